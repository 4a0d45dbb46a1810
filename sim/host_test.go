package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// record is all that can be read from a host in some moments of its time.
func record(t *testing.T, h *Host, every, length time.Duration) string {
	t.Helper()
	text := ""
	for at := every; at <= length; at += every {
		advance(t, h, at)
		text += fmt.Sprintf("%+v\n%+v\n", h.Reading(), h.Processes())
	}
	return text
}

func TestPresetsAreDeterministic(t *testing.T) {
	for _, info := range scenario.Presets() {
		t.Run(info.Name, func(t *testing.T) {
			t.Parallel()
			run := func(seed *uint64) string {
				s, err := scenario.Preset(info.Name)
				if err != nil {
					t.Fatal(err)
				}
				h, err := NewHost(s.Scale(1.0/512), HostOptions{Seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				return record(t, h, 15*time.Second, time.Minute)
			}
			first := run(nil)
			if run(nil) != first {
				t.Error("a second run has other readings")
			}
			other := uint64(12345)
			if seeded := run(&other); run(&other) != seeded {
				t.Error("a second run with a seed has other readings")
			}
		})
	}
}

// Stopping on the way changes nothing.
func TestAdvanceInSteps(t *testing.T) {
	s, err := scenario.Preset("same-os")
	if err != nil {
		t.Fatal(err)
	}
	var ends []string
	for _, step := range []time.Duration{time.Minute, 7 * time.Millisecond} {
		h, err := NewHost(s.Scale(1.0/256), HostOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for at := step; at < time.Minute; at += step {
			advance(t, h, at)
		}
		advance(t, h, time.Minute)
		ends = append(ends, fmt.Sprintf("%+v\n%+v", h.Reading(), h.Processes()))
	}
	if ends[0] != ends[1] {
		t.Errorf("in one step\n%s\nin many\n%s", ends[0], ends[1])
	}
}

// The memory of a host interns contents late; nothing shows it.
func TestHostMemoryIsAMemory(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		lazy, plain := newHostMemory(0, MemoryOptions{}), NewMemory(MemoryOptions{})
		opts := ksmd.Options{Trees: ksmd.Trees(seed % 3)}
		daemons := [2]*ksmd.Daemon{ksmd.New(&lazy, opts), ksmd.New(plain, opts)}
		each := func(do func(d *ksmd.Daemon)) {
			for _, d := range daemons {
				do(d)
			}
		}
		for f, v := range map[sysfs.Field]uint64{
			sysfs.Run: 1, sysfs.SmartScan: rng.Uint64N(2), sysfs.UseZeroPages: rng.Uint64N(2),
			sysfs.PagesToScan: 1 + rng.Uint64N(60), sysfs.MaxPageSharing: 2 + rng.Uint64N(5),
		} {
			each(func(d *ksmd.Daemon) {
				if err := d.SetValue(f, v); err != nil {
					t.Fatal(err)
				}
			})
		}
		const pages = 50
		var living []ksmd.Process
		present := 0
		for n := range 600 {
			p := ksmd.Process(0)
			if len(living) > 0 {
				p = living[rng.IntN(len(living))]
			}
			first := rng.IntN(pages)
			count := 1 + rng.IntN(pages-first)
			switch op := rng.IntN(40); {
			case len(living) == 0 || op == 0 && len(living) < 6:
				p = lazy.Spawn()
				plain.Spawn()
				for _, m := range []*Memory{lazy.Memory, plain} {
					m.Map(p, pages)
					m.MarkMergeable(p, 0, 0, pages)
				}
				each(func(d *ksmd.Daemon) { d.Register(p) })
				living = append(living, p)
			case op == 1 && len(living) < 6:
				child := lazy.Fork(p)
				plain.Fork(p)
				each(func(d *ksmd.Daemon) { d.Register(child) })
				living = append(living, child)
			case op == 2:
				lazy.Exit(p)
				plain.Exit(p)
				each(func(d *ksmd.Daemon) { d.Exit(p) })
				living = slices.DeleteFunc(living, func(q ksmd.Process) bool { return q == p })
			case op < 6:
				lazy.free(p, first, count)
				plain.DontNeed(p, 0, first, count)
			case op < 14:
				content, step := rng.Uint64N(30), rng.Uint64N(2)
				lazy.write(p, first, count, content, step)
				plain.Write(p, 0, first, count, content, step)
			case op < 20:
				for range count {
					page, number := rng.IntN(pages), rng.Uint64N(30)<<40
					lazy.later = append(lazy.later, laterWrite{page: uint32(page), number: number})
					plain.Write(p, 0, page, 1, number, 0)
				}
				lazy.writeLater(p)
			default:
				each(func(d *ksmd.Daemon) { d.Batch() })
			}
			if got, want := daemons[0].Counters(), daemons[1].Counters(); got != want {
				t.Fatalf("seed %d, operation %d: counters are %+v, with a plain memory %+v", seed, n, got, want)
			}
			if got, want := lazy.Pages(), plain.Pages(); got != want {
				t.Fatalf("seed %d, operation %d: %d pages, with a plain memory %d", seed, n, got, want)
			}
			present = max(present, lazy.Pages())
		}
		if present < pages {
			t.Errorf("seed %d: never more than %d pages", seed, present)
		}
	}
}

func TestKnobsOfAHost(t *testing.T) {
	events := func(at time.Duration, settings ...string) scenario.Event {
		return scenario.Event{At: at, Settings: knobs(t, settings...)}
	}
	tests := []struct {
		name     string
		start    []string
		events   []scenario.Event
		until    time.Duration
		scanned  int // pages, at 1000 a batch
		fullScan uint64
	}{
		{"a batch each 24 ms", nil, nil, 47 * time.Millisecond, 2000, 0},
		{"at its time", nil, nil, 48 * time.Millisecond, 3000, 0},
		{"stopped", []string{"run", "0"}, nil, time.Second, 0, 0},
		{"no pages", []string{"pages_to_scan", "0"}, nil, time.Second, 0, 0},
		{"started when parked", []string{"run", "0"},
			[]scenario.Event{events(10*time.Millisecond, "run", "1")}, 10 * time.Millisecond, 1000, 0},
		{"started again in a sleep", []string{"sleep_millisecs", "1000"},
			[]scenario.Event{events(10*time.Millisecond, "run", "0"), events(20*time.Millisecond, "run", "1")},
			time.Second, 1000, 0},
		{"another sleep ends a sleep", []string{"sleep_millisecs", "1000"},
			[]scenario.Event{events(10*time.Millisecond, "sleep_millisecs", "1001")}, 10 * time.Millisecond, 2000, 0},
		{"the same does not", []string{"sleep_millisecs", "1000"},
			[]scenario.Event{events(10*time.Millisecond, "sleep_millisecs", "1000")}, time.Second, 1000, 0},
		{"for ever", []string{"sleep_millisecs", "4294967295"}, nil, 1000 * time.Hour, 1000, 0},
		{"no sleep", []string{"sleep_millisecs", "0"}, nil, 10 * time.Microsecond, 10500, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := writes(10500, 1, 1)
			p := plan{
				events:    tt.events,
				guests:    []scenario.Plan{{Pages: g.plan.Pages, Parent: -1}},
				behaviour: func(int) scenario.Guest { return g },
			}
			// A batch of these costs takes a microsecond; the eleventh ends the scan.
			opts := HostOptions{Costs: Costs{Batch: 1000}, Knobs: knobs(t, "pages_to_scan", "1000")}
			opts.Knobs = append(opts.Knobs, knobs(t, tt.start...)...)
			h, err := newHost(p, opts)
			if err != nil {
				t.Fatal(err)
			}
			if tt.name == "no sleep" {
				tt.until++
			}
			advance(t, h, tt.until)
			c := h.Reading().Counters
			if int(c.PagesScanned) != tt.scanned || c.FullScans != tt.fullScan {
				t.Errorf("%d pages and %d scans, want %d and %d", c.PagesScanned, c.FullScans, tt.scanned, tt.fullScan)
			}
		})
	}
}

func TestRefusedKnobs(t *testing.T) {
	guests := []*fakeGuest{writes(10, 1, 0)}
	if _, err := newHost(plan{}, HostOptions{Knobs: knobs(t, "max_page_sharing", "1")}); err == nil {
		t.Error("newHost takes max_page_sharing 1")
	}
	if _, err := newHost(plan{}, HostOptions{HZ: 1001}); err == nil {
		t.Error("newHost takes 1001 ticks a second")
	}
	h := fakeHost(t, HostOptions{}, guests)
	h.agenda.Add(scenario.Appointment{At: time.Second, Kind: scenario.SetKnobs})
	h.plan.events = []scenario.Event{{At: time.Second, Settings: knobs(t, "max_page_sharing", "7")}}
	if err := h.Advance(t.Context(), time.Minute); !errors.Is(err, syscall.EBUSY) || h.Now() != time.Second {
		t.Errorf("Advance() = %v at %v, want EBUSY at 1s", err, h.Now())
	}
	if err := h.Set(sysfs.MaxPageSharing, "7"); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("Set() = %v, want EBUSY", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Advance(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("Advance() = %v with a context that is done", err)
	}
}

// What guests do at the same time: one writes and then is forked, and the child
// does what it does at once before the parent ends; ksmd comes last.
func TestOrderAtEqualTimes(t *testing.T) {
	const at = 24 * time.Millisecond
	var log []string
	note := func(name string, then func(w scenario.Writer)) func(time.Duration, scenario.Writer) {
		return func(now time.Duration, w scenario.Writer) {
			if now == at {
				log = append(log, name)
			}
			then(w)
		}
	}
	parent := &fakeGuest{plan: scenario.Plan{Pages: 100, End: at}, at: []time.Duration{0, at},
		do: note("parent", func(w scenario.Writer) { w.Write(0, 50, 1, 1) })}
	child := &fakeGuest{plan: scenario.Plan{Pages: 100, Start: at, Parent: 1}, at: []time.Duration{at},
		do: note("child", func(w scenario.Writer) { w.Write(50, 10, 100, 1) })}
	other := &fakeGuest{plan: scenario.Plan{Pages: 5, Start: at}, at: []time.Duration{at},
		do: note("other", func(w scenario.Writer) { w.Write(0, 5, 200, 1) })}
	h := fakeHost(t, HostOptions{Costs: noCosts}, []*fakeGuest{parent, child, other}, "pages_to_scan", "1000")
	advance(t, h, at)
	if want := []string{"parent", "child", "other"}; !slices.Equal(log, want) {
		t.Errorf("order %v, want %v", log, want)
	}
	list := h.Processes()
	if len(list) != 2 || list[0].Plan != 1 || list[0].Resident != 60 || list[1].Resident != 5 {
		t.Errorf("%+v run, want the child with 60 pages and the other with 5", list)
	}
	if got := h.memory.Pages(); got != 65 {
		t.Errorf("%d pages in use, want 65", got)
	}
}

func TestCopyOnWriteFaults(t *testing.T) {
	g := writes(30, 0, 0)
	g.at = []time.Duration{0, time.Second, 2 * time.Second}
	g.do = func(at time.Duration, w scenario.Writer) {
		switch at {
		case 0:
			w.Write(0, 10, 0, 0) // zero pages
			w.Write(10, 20, 7, 0)
		case time.Second:
			for _, page := range []int{0, 1, 9, 12, 12, 12, 13} { // three zero pages, two KSM pages
				w.Write(page, 1, 1000+uint64(page), 0)
			}
		default:
			w.Free(0, 5)
		}
	}
	h := fakeHost(t, HostOptions{}, []*fakeGuest{g}, "use_zero_pages", "1", "pages_to_scan", "1000")
	advance(t, h, time.Second-1)
	if c := h.Reading().Counters; c.KSMZeroPages != 10 || c.PagesSharing != 19 {
		t.Fatalf("%+v, want 10 zero pages and 19 sharing", c)
	}
	advance(t, h, 1500*time.Millisecond)
	r, list := h.Reading(), h.Processes()
	if list[0].Faults != 5 || list[0].FaultTime != 5*DefaultCosts().Fault || r.Host.CowKSM != 2 {
		t.Errorf("%d faults that took %v, cow_ksm %d; want 5, 10µs and 2", list[0].Faults, list[0].FaultTime, r.Host.CowKSM)
	}
	if got := list[0].Resident; got != 23 {
		t.Errorf("%d pages resident, want 30 without 7 zero pages", got)
	}
	advance(t, h, 3*time.Second)
	if got := h.Processes()[0].Resident; got != 21 {
		t.Errorf("%d pages resident of 25, of which 4 are zero pages, want 21", got)
	}
	if err := h.Set(sysfs.Run, "2"); err != nil {
		t.Fatal(err)
	}
	if r := h.Reading(); r.Host.CowKSM != 2+18 || r.Counters.PagesSharing != 0 {
		t.Errorf("cow_ksm %d after unmerging 18 pages, %d sharing; want 20 and 0", r.Host.CowKSM, r.Counters.PagesSharing)
	}
}

func TestReading(t *testing.T) {
	h := fakeHost(t, HostOptions{}, []*fakeGuest{writes(1000, 1, 0)}, "pages_to_scan", "5000")
	advance(t, h, time.Second)
	r := h.Reading()
	if got := r.Time.Sub(Epoch); got != time.Second || r.PageSize != 4096 {
		t.Errorf("time %v, page size %d", got, r.PageSize)
	}
	// 4 KSM pages in a chain: 4 pages, 1000 items, 5 nodes.
	if got, want := r.Host.MemTotal-r.Host.MemAvailable, uint64(4*4096+1000*64+5*64); got != want {
		t.Errorf("%d bytes in use, want %d", got, want)
	}
	if r.Host.KSMD != h.cpu() || r.Host.KSMD < time.Millisecond || r.Host.KSMD > 20*time.Millisecond {
		t.Errorf("ksmd has used %v", r.Host.KSMD)
	}
	p := h.Processes()[0]
	if p.Stat.MergingPages != 1000 || p.Resident != 1000 {
		t.Errorf("%+v, want 1000 pages that are merged", p)
	}
}

// The advisor sees virtual time and CPU: it brings the scan time to its target, as
// long as that takes more than a tenth of a CPU.
func TestAdvisorOnAHost(t *testing.T) {
	pages := 100_000
	h := fakeHost(t, HostOptions{}, []*fakeGuest{writes(pages, 1, 1)},
		"advisor_mode", "scan-time", "advisor_target_scan_time", "4", "smart_scan", "0")
	if got := h.Reading().Knobs.PagesToScan; got != 500 {
		t.Fatalf("pages_to_scan %d at the start, want 500", got)
	}
	advance(t, h, 3*time.Minute)
	before := h.Reading().Counters.FullScans
	advance(t, h, 6*time.Minute)
	scan := 3 * 60 / float64(h.Reading().Counters.FullScans-before)
	if scan < 3.5 || scan > 4.7 {
		t.Errorf("a scan takes %.1f s, the target is 4 s", scan)
	}
}

func TestSettled(t *testing.T) {
	const pages = 2000
	booting := writes(pages, 1, 0)
	booting.at, booting.every = []time.Duration{0}, 100*time.Millisecond
	booted := 0
	booting.do = func(_ time.Duration, w scenario.Writer) {
		if booted < pages {
			w.Write(booted, 20, 1<<40+uint64(booted), 1)
			booted += 20
		}
	}
	late := writes(pages, 1, 0)
	late.plan.Start, late.at = 20*time.Second, []time.Duration{20 * time.Second}
	tests := []struct {
		name  string
		guest *fakeGuest
		smart string
		scans uint64
		after time.Duration
	}{
		{"still", writes(pages, 1, 0), "0", 4, 0}, // in the second scan it merges
		{"smart scan", writes(pages, 1, 0), "1", 11, 0},
		{"booting for 10 s", booting, "0", 0, 10 * time.Second},
		{"starting at 20 s", late, "0", 0, 20 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := fakeHost(t, HostOptions{}, []*fakeGuest{tt.guest}, "smart_scan", tt.smart, "pages_to_scan", "20")
			settled, err := h.RunUntilSettled(t.Context(), time.Minute)
			if err != nil || !settled || !h.Settled() {
				t.Fatalf("RunUntilSettled() = %v, %v at %v", settled, err, h.Now())
			}
			if got := h.Reading().Counters.FullScans; tt.scans != 0 && got != tt.scans {
				t.Errorf("settled after %d scans, want %d", got, tt.scans)
			}
			if h.Now() < tt.after || h.Now() > tt.after+30*time.Second {
				t.Errorf("settled at %v", h.Now())
			}
			if since, ok := h.CalmSince(); !ok || since > h.Now()-calmTime {
				t.Errorf("CalmSince() = %v, %t at %v", since, ok, h.Now())
			}
			if err := h.Set(sysfs.PagesToScan, "400"); err != nil {
				t.Fatal(err)
			}
			if since, ok := h.CalmSince(); h.Settled() || ok || since != h.Now() {
				t.Errorf("settled right after a knob was set: CalmSince() = %v, %t", since, ok)
			}
		})
	}
	stopped := fakeHost(t, HostOptions{}, []*fakeGuest{writes(10, 1, 0)}, "run", "0")
	if settled, err := stopped.RunUntilSettled(t.Context(), time.Minute); settled || err != nil || stopped.Now() != time.Minute {
		t.Errorf("without ksmd RunUntilSettled() = %v, %v at %v, want false at the limit", settled, err, stopped.Now())
	}
}

// Content tells what pages hold, whether ksmd has looked at them, merged them or
// replaced them, and which are not there.
func TestContentOfAHost(t *testing.T) {
	const far = 1<<62 + 7
	guest := &fakeGuest{
		plan: scenario.Plan{Pages: 8, End: time.Hour},
		at:   []time.Duration{0, 10 * time.Second},
		do: func(at time.Duration, w scenario.Writer) {
			if at == 0 {
				w.Write(0, 2, far, 0)   // merged
				w.Write(2, 2, 0, 0)     // replaced
				w.Write(4, 2, 1<<63, 1) // looked at
				return
			}
			w.Write(1, 1, 9, 0)
			w.Write(6, 1, far+1, 0)
			w.Free(4, 1)
		},
	}
	h := fakeHost(t, HostOptions{}, []*fakeGuest{guest}, "use_zero_pages", "1")
	check := func(want ...uint64) {
		t.Helper()
		const absent = 1<<64 - 1
		for page, want := range want {
			got, present := h.Content(0, page)
			if present != (want != absent) || present && got != want {
				t.Errorf("at %v Content(0, %d) = %#x, %t, want %#x", h.Now(), page, got, present, want)
			}
		}
	}
	const no = 1<<64 - 1
	check(no, no, no, no, no, no, no, no)
	advance(t, h, time.Nanosecond)
	check(far, far, 0, 0, 1<<63, 1<<63+1, no, no)
	advance(t, h, 9*time.Second)
	if c := h.Reading().Counters; c.PagesSharing != 1 || c.KSMZeroPages != 2 {
		t.Fatalf("counters %+v", c)
	}
	check(far, far, 0, 0, 1<<63, 1<<63+1, no, no)
	advance(t, h, 10*time.Second)
	check(far, 9, 0, 0, no, 1<<63+1, far+1, no)
	advance(t, h, time.Hour)
	check(no, no, no, no, no, no, no, no)
}
