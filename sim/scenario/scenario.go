package scenario

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// PageSize is the size of a page in bytes. A huge page has hugePages of them.
const (
	PageSize  = 4096
	hugePages = 512
)

// Scenario is one machine and what happens on it. Make it with Parse or Preset.
// It does not change, and may be used by several goroutines.
type Scenario struct {
	Name  string
	Title string // one sentence

	// Seed decides all that is random.
	Seed uint64

	// MemoryBytes is the memory of the host. Guests may have more together.
	MemoryBytes uint64

	// Length is how long the scenario is worth looking at.
	Length time.Duration

	// Knobs are set before anything starts, in this order, with run among them;
	// what is not named has the value at boot.
	Knobs []sysfs.Setting

	// Events are changes of knobs, by time.
	Events []Event

	spec   *spec
	factor float64
	plans  []Plan
	groups []group // layouts, as those of spec
	owner  []int32 // the group of each plan
}

// Event is a change of knobs, in the order in which the kernel takes them. At is
// since the scenario began.
type Event struct {
	At       time.Duration
	Settings []sysfs.Setting
}

// Plan is when a guest exists, and what is known of it before. Times are since
// the scenario began.
type Plan struct {
	Name   string // group and number, as web-3
	Group  string
	Start  time.Duration
	End    time.Duration // 0: it stays
	Pages  int
	Parent int  // index of the plan it is forked from, at Start; -1 if it is not
	Huge   bool // its memory comes in huge pages
}

// Plans returns every guest that will ever be, group by group. Parents come before
// their children. The caller must not change it.
func (s *Scenario) Plans() []Plan { return s.plans }

// Scale returns the scenario with all memory multiplied by a factor, and the
// shares of it kept. It panics if CheckScale has an error for the factor.
func (s *Scenario) Scale(factor float64) *Scenario {
	if err := s.CheckScale(factor); err != nil {
		panic("scenario: not checked: " + err.Error())
	}
	return s.rebuild(s.Seed, s.factor*factor)
}

// CheckScale returns an error if the scenario cannot be scaled by a factor.
func (s *Scenario) CheckScale(factor float64) error {
	switch {
	case !(factor > 0): // or no number
		return fmt.Errorf("scale %v: must be more than 0", factor)
	case factor > math.MaxInt32:
		return fmt.Errorf("scale %v: must be at most %d", factor, math.MaxInt32)
	}
	scaled := s.factor * factor
	total := 0.0
	tooLarge := func(what string, pages float64, limit int64) error {
		if pages*scaled <= float64(limit) {
			return nil
		}
		return fmt.Errorf("scale %v: %s more than %d GiB", factor, what, limit*PageSize>>30)
	}
	if err := tooLarge("the host has", float64(s.spec.memoryPages), maxPages); err != nil {
		return err
	}
	for _, g := range s.spec.groups {
		if err := tooLarge("a guest has", float64(g.pages), maxGuestPages); err != nil {
			return err
		}
		for _, c := range g.classes {
			if err := tooLarge("an image has", float64(c.poolPages), maxPoolPages); err != nil {
				return err
			}
		}
	}
	for _, i := range s.owner {
		total += float64(s.spec.groups[i].pages)
	}
	return tooLarge("all guests have", total, maxPages)
}

// WithSeed returns the scenario with another seed.
func (s *Scenario) WithSeed(seed uint64) *Scenario { return s.rebuild(seed, s.factor) }

func (s *Scenario) rebuild(seed uint64, factor float64) *Scenario {
	n := build(s.spec, seed, factor)
	n.Length, n.Knobs, n.Events = s.Length, s.Knobs, s.Events
	return n
}

// build makes the plans and layouts of a specification that was checked.
func build(sp *spec, seed uint64, factor float64) *Scenario {
	s := &Scenario{Name: sp.name, Title: sp.title, Seed: seed, spec: sp, factor: factor}
	first := make([]int, len(sp.groups)) // the first plan of each group
	for i := range sp.groups {
		g := &sp.groups[i]
		s.groups = append(s.groups, newGroup(g, i, seed, factor))
		first[i] = len(s.plans)
		parent := -1
		if g.parent >= 0 {
			parent = first[g.parent]
		}
		random := newRandom(seed, forPlans, i, 0)
		plan := func(start time.Duration, count int) {
			for range count {
				p := Plan{
					Name:   fmt.Sprintf("%s-%d", g.name, len(s.plans)-first[i]+1),
					Group:  g.name,
					Start:  start,
					Pages:  s.groups[i].pages,
					Parent: parent,
					Huge:   g.huge,
				}
				if g.maxLifetime > 0 {
					p.End = start + g.minLifetime
					p.End += below(&random, g.maxLifetime-g.minLifetime+1)
				}
				s.plans = append(s.plans, p)
				s.owner = append(s.owner, int32(i))
				if g.isRandom {
					start += time.Duration(mulDiv(exponential(&random), uint64(g.interval), 1<<32))
				} else {
					start += g.interval
				}
			}
		}
		plan(g.start, g.count)
		for _, a := range sp.adds {
			if a.group == i {
				plan(a.at, a.count)
			}
		}
	}
	s.MemoryBytes = uint64(float64(sp.memoryPages)*factor) * PageSize
	if sp.memoryPages == 0 {
		const gib = 1 << 30
		s.MemoryBytes = (uint64(PeakPages(s.plans, true))*PageSize + gib - 1) / gib * gib
	}
	return s
}

// PeakPages returns the most pages that guests have at one time, where one that
// ends makes room for one that starts then. Without forked those of forked guests do
// not count, which share most of them.
func PeakPages(plans []Plan, forked bool) int64 {
	type change struct {
		at    time.Duration
		pages int64
	}
	var changes []change
	for _, p := range plans {
		if p.Parent >= 0 && !forked {
			continue
		}
		changes = append(changes, change{p.Start, int64(p.Pages)})
		if p.End > 0 {
			changes = append(changes, change{p.End, -int64(p.Pages)})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.pages, b.pages))
	})
	peak, now := int64(0), int64(0)
	for _, c := range changes {
		now += c.pages
		peak = max(peak, now)
	}
	return peak
}
