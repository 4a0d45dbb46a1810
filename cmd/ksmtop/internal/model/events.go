package model

import (
	"fmt"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Event is something that happened between two samples.
type Event struct {
	At      time.Time
	Problem bool
	Own     bool // the user did it, from here
	Text    string
	who     process // whom it is about, if it is about one

	id     uint64 // of this event alone; never 0
	passes bool   // it is about quick passes
}

// quickPass is the length below which passes are no events one by one: the
// latest takes the place of the one before.
const quickPass = 10 * time.Second

// eventsKept is how many events are remembered.
const eventsKept = 1000

// Events is the list of what happened, the latest last.
type Events struct {
	list  []Event
	added uint64      // events so far
	noted uint64      // of these, all but ends of passes
	knobs sysfs.Knobs // of the last sample
	begun bool        // there was a last sample

	expected map[sysfs.Field]string // values that were written from here and not seen yet

	anomalies anomalies

	known []participant // registered with KSM in the last sample
	spare []participant
}

// participant is a process that takes part in KSM.
type participant struct {
	process
	name         string
	merged, base int64 // merged pages now and at the beginning of the window
}

// process identifies one process for ever.
type process struct {
	pid   int
	start uint64
}

// Len returns how many events are remembered.
func (e *Events) Len() int { return len(e.list) }

// Latest returns the i-th event from the end.
func (e *Events) Latest(i int) *Event { return &e.list[len(e.list)-1-i] }

// After returns how many events happened after t.
func (e *Events) After(t time.Time) int {
	n := 0
	for n < len(e.list) && e.Latest(n).At.After(t) {
		n++
	}
	return n
}

func (e *Events) add(at time.Time, problem bool, format string, args ...any) {
	if len(e.list) == eventsKept {
		e.list = append(e.list[:0], e.list[1:]...)
	}
	e.added++
	e.noted++
	e.list = append(e.list, Event{At: at, Problem: problem, Text: fmt.Sprintf(format, args...), id: e.added})
}

// take compares a sample with the one before.
func (e *Events) take(s *Sample, passes *Passes, ended uint64) {
	if s.NoKSM != nil {
		e.lookForAnomalies(s)
		return
	}
	if ended > 0 {
		e.passEnded(s, passes, ended)
	}
	if e.begun {
		e.compareKnobs(s)
	}
	e.compareProcesses(s)
	e.lookForAnomalies(s)
	e.knobs, e.begun = s.Reading.Knobs, true
}

func (e *Events) passEnded(s *Sample, passes *Passes, ended uint64) {
	what := fmt.Sprintf("pass %d ended", s.Reading.Counters.FullScans)
	if ended > 1 {
		what = fmt.Sprintf("%d passes ended, the last was %d", ended, s.Reading.Counters.FullScans)
	}
	if passes.HasLast {
		what += ": ~" + string(format.Duration(nil, passes.Last))
		if ended > 1 {
			what += " each"
		}
	}
	sign := ""
	if passes.Gained > 0 {
		sign = "+"
	}
	quick := passes.HasLast && passes.Last < quickPass
	if n := len(e.list); quick && n > 0 && e.list[n-1].passes {
		e.list = e.list[:n-1]
	}
	e.add(s.Time, false, "%s, %s, %s%s merged", what, format.Things(nil, s.Savings.Items, "page"), sign, format.SignedCount(nil, passes.Gained))
	e.noted--
	e.list[len(e.list)-1].passes = quick
}

// expect says which changes of knobs are the user's own.
func (e *Events) expect(changes []sysfs.Change) {
	e.expected = make(map[sysfs.Field]string)
	for _, c := range changes {
		if c.Old != c.New {
			e.expected[c.Field] = c.New
		}
	}
}

// own adds what the user did.
func (e *Events) own(at time.Time, text string) {
	e.add(at, false, "%s", text)
	e.list[len(e.list)-1].Own = true
	e.noted-- // it is no news
}

func (e *Events) compareKnobs(s *Sample) {
	for f := range sysfs.Fields() {
		before, had := e.knobs.Value(f)
		now, has := s.Reading.Knobs.Value(f)
		if !had || !has || before == now {
			continue
		}
		if f == sysfs.PagesToScan && s.Reading.Knobs.AdvisorMode == sysfs.AdvisorScanTime {
			continue // the advisor's daily work
		}
		if value, ok := e.expected[f]; ok && value == now.String() {
			delete(e.expected, f)
			continue
		}
		if s.Source == "sim" {
			e.add(s.Time, false, "%s: %s -> %s", f, before, now)
			continue
		}
		e.add(s.Time, true, "%s changed outside ksmtop: %s -> %s", f, before, now)
	}
}

// fewEvents is how many processes are reported one by one when they begin or
// cease to take part between two samples. More are only counted.
const fewEvents = 3

// compareProcesses notices which processes began or ceased to take part. Both
// lists ascend by PID.
func (e *Events) compareProcesses(s *Sample) {
	if s.Seen == 0 {
		return // /proc could not be listed
	}
	before, now := e.known, e.spare[:0]
	came, went := 0, 0
	leave := func(p participant) {
		if went++; went <= fewEvents {
			e.add(s.Time, false, "%d %s takes no part in KSM any more", p.pid, p.name)
			e.list[len(e.list)-1].who = p.process
		}
	}
	for i := range s.Rows {
		r := &s.Rows[i]
		if !r.KSM.Registered() {
			continue
		}
		p := participant{r.id(), r.Name, r.MergedPages(), r.MergedPages()}
		now = append(now, p)
		for len(before) > 0 && before[0].pid < p.pid {
			leave(before[0])
			before = before[1:]
		}
		if len(before) > 0 && before[0].pid == p.pid {
			last := before[0]
			before = before[1:]
			if last.process == p.process {
				now[len(now)-1].base = last.base
				continue
			}
			leave(last)
		}
		if came++; e.begun && came <= fewEvents {
			e.add(s.Time, false, "%d %s takes part in KSM", p.pid, p.name)
			e.list[len(e.list)-1].who = p.process
		}
	}
	for _, p := range before {
		leave(p)
	}
	switch more := came - fewEvents; {
	case !e.begun || more <= 0:
	case more == 1:
		e.add(s.Time, false, "1 more process takes part in KSM")
	default:
		e.add(s.Time, false, "%d more processes take part in KSM", more)
	}
	switch more := went - fewEvents; {
	case more <= 0:
	case more == 1:
		e.add(s.Time, false, "1 more process takes no part in KSM any more")
	default:
		e.add(s.Time, false, "%d more processes take no part in KSM any more", more)
	}
	e.known, e.spare = now, e.known
}
