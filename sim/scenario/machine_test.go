package scenario

import (
	"container/heap"
	"fmt"
	"slices"
	"testing"
	"time"
)

// absent is the content of a page that is not present.
const absent = 1<<64 - 1

// memory is a guest's memory as a list of contents.
type memory struct {
	pages []uint64
	calls int
	freed int
	trace func(first, pages int, content, step uint64) // may be nil
}

func newMemory(pages int) *memory {
	return &memory{pages: slices.Repeat([]uint64{absent}, pages)}
}

func (m *memory) Write(first, pages int, content, step uint64) {
	m.calls++
	if m.trace != nil {
		m.trace(first, pages, content, step)
	}
	if pages < 1 || step > 1 {
		panic(fmt.Sprintf("Write of %d pages with step %d", pages, step))
	}
	for k := range m.pages[first : first+pages] {
		m.pages[first+k] = content + uint64(k)*step
	}
}

func (m *memory) Free(first, pages int) {
	m.freed += pages
	for k := range m.pages[first : first+pages] {
		m.pages[first+k] = absent
	}
}

// counter counts what is written, and keeps nothing.
type counter struct{ calls, pages int }

func (c *counter) Write(_, pages int, _, _ uint64) {
	c.calls++
	c.pages += pages
}
func (c *counter) Free(_, _ int) {}

// machine carries out a scenario: all guests, in the order of time.
type machine struct {
	scenario *Scenario
	guests   []Guest   // nil before their start
	memories []*memory // nil before their start
	queue    queue
	// started is called for each guest that starts; it may be nil.
	started func(guest int)
}

// due is a guest and when it starts or steps next.
type due struct {
	at    time.Duration
	guest int
}

type queue []due

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].guest < q[j].guest
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(due)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newMachine(s *Scenario) *machine {
	n := len(s.Plans())
	m := &machine{scenario: s, guests: make([]Guest, n), memories: make([]*memory, n)}
	for i, p := range s.Plans() {
		heap.Push(&m.queue, due{p.Start, i})
	}
	return m
}

// step does what is due next, and returns false if that is after a time.
func (m *machine) step(until time.Duration) bool {
	if len(m.queue) == 0 || m.queue[0].at > until {
		return false
	}
	d := heap.Pop(&m.queue).(due)
	plan := m.scenario.Plans()[d.guest]
	if m.guests[d.guest] == nil {
		m.guests[d.guest] = m.scenario.Guest(d.guest)
		m.memories[d.guest] = newMemory(plan.Pages)
		if plan.Parent >= 0 {
			copy(m.memories[d.guest].pages, m.memories[plan.Parent].pages)
		}
		if m.started != nil {
			m.started(d.guest)
		}
	} else {
		m.guests[d.guest].Step(m.memories[d.guest])
	}
	if at, ok := m.guests[d.guest].Next(); ok {
		if at < d.at || plan.End != 0 && at >= plan.End {
			panic(fmt.Sprintf("%s: Next() = %v after %v, end %v", plan.Name, at, d.at, plan.End))
		}
		heap.Push(&m.queue, due{at, d.guest})
	}
	return true
}

// run carries out the scenario until a time.
func (m *machine) run(until time.Duration) *machine {
	for m.step(until) {
	}
	return m
}

// contents returns how many pages have each content, in all guests that exist at
// a time.
func (m *machine) contents(at time.Duration) map[uint64]int {
	counts := map[uint64]int{}
	for i, memory := range m.memories {
		if end := m.scenario.Plans()[i].End; memory == nil || end != 0 && end <= at {
			continue
		}
		for _, c := range memory.pages {
			if c != absent {
				counts[c]++
			}
		}
	}
	return counts
}

// mustParse returns the scenario of a text.
func mustParse(t testing.TB, text string) *Scenario {
	t.Helper()
	s, err := Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatalf("Parse(...) error = %v", err)
	}
	return s
}

// mustPreset returns a preset.
func mustPreset(t testing.TB, name string) *Scenario {
	t.Helper()
	s, err := Preset(name)
	if err != nil {
		t.Fatalf("Preset(%q) error = %v", name, err)
	}
	return s
}

// near reports whether got is want, but for a share of it.
func near(got, want, share float64) bool {
	return got >= want-want*share && got <= want+want*share
}
