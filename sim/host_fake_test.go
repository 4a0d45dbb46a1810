package sim

import (
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// fakeGuest does something at given times, and then at regular ones if every is
// not 0.
type fakeGuest struct {
	plan  scenario.Plan
	at    []time.Duration
	every time.Duration
	do    func(at time.Duration, w scenario.Writer)
}

func (g *fakeGuest) Pages() int { return g.plan.Pages }

func (g *fakeGuest) Next() (time.Duration, bool) {
	if len(g.at) == 0 {
		return 0, false
	}
	return g.at[0], true
}

func (g *fakeGuest) Step(w scenario.Writer) {
	at := g.at[0]
	if len(g.at) > 1 {
		g.at = g.at[1:]
	} else if g.every > 0 {
		g.at = []time.Duration{at + g.every}
	} else {
		g.at = nil
	}
	g.do(at, w)
}

// fakeHost returns a host with guests, which start at Plan.Start and have no
// parent if that is 0: Parent counts from 1 here. Settings are alternately the name
// of a knob and its value.
func fakeHost(t testing.TB, opts HostOptions, guests []*fakeGuest, settings ...string) *Host {
	t.Helper()
	p := plan{memoryBytes: 1 << 40, behaviour: func(i int) scenario.Guest { return guests[i] }}
	for _, g := range guests {
		g.plan.Parent--
		p.guests = append(p.guests, g.plan)
	}
	opts.Knobs = append(opts.Knobs, knobs(t, settings...)...)
	h, err := newHost(p, opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func knobs(t testing.TB, settings ...string) []sysfs.Setting {
	t.Helper()
	var list []sysfs.Setting
	for i := 0; i < len(settings); i += 2 {
		f, ok := sysfs.FieldByName(settings[i])
		if !ok {
			t.Fatalf("no knob %q", settings[i])
		}
		list = append(list, sysfs.Setting{Field: f, Value: settings[i+1]})
	}
	return list
}

// writes is a guest that writes some contents at its start.
func writes(pages int, content, step uint64) *fakeGuest {
	return &fakeGuest{
		plan: scenario.Plan{Pages: pages},
		at:   []time.Duration{0},
		do:   func(_ time.Duration, w scenario.Writer) { w.Write(0, pages, content, step) },
	}
}

func advance(t testing.TB, h *Host, until time.Duration) {
	t.Helper()
	if err := h.Advance(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	if h.Now() != until {
		t.Fatalf("the time is %v after Advance to %v", h.Now(), until)
	}
}
