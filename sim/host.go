package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// A Host is a machine in virtual time. Two things happen on it: its guests and the
// scenario do something at times that they know beforehand, and ksmd works through
// batches. The next of all that is what happens next:
//
//	guests     ──w─────w──w────────s───w─────────w───    w: writes, s: starts
//	scenario   ──────────────k───────────────────────    k: sets a knob
//	ksmd       █·······█·······█·······█████·······█·    █: CPU time, ·: sleep
//	           ───────────────────────────────────> t
//
// A batch is at one moment, that at which it begins; then its CPU time passes, and
// then the sleep. What guests write while a batch goes on comes after it. With the
// thousands of pages that a batch may have that is some ten milliseconds early.
//
// What is due at the same time happens in the order of scenario.Agenda, and a batch
// of ksmd comes last.
//
// A page visited takes 20 to 100 ns of real time and a page written about 60. A page
// needs 16 bytes while it has not been visited, and up to 56 with its item, its content
// and what is known of that.
//
// What happens to huge pages is told in huge.go.

// HostOptions says how a scenario is run. The zero value is to run it as it is, on a
// machine with Linux 6.12 or later.
type HostOptions struct {
	// Costs is the CPU time that everything takes; the zero value is DefaultCosts.
	Costs Costs

	// HZ is the ticks a second of the kernel, up to 1000; 0 is 250.
	HZ int

	// Seed, if not nil, replaces that of the scenario.
	Seed *uint64

	// Knobs are set at the start, after those of the scenario. Its events happen
	// nonetheless.
	Knobs []sysfs.Setting

	// Exact walks ksmd's trees where their shape matters, ksmd.TreesWhenNeeded
	// instead of ksmd.TreesNever. While guests write that is always, and slow.
	Exact bool

	// SearchFirst is how Linux did it before 6.11, see ksmd.Options.
	SearchFirst bool

	// KeepZeros is how Linux did it before 6.12, see MemoryOptions. It goes with
	// SearchFirst.
	KeepZeros bool
}

// Host runs a scenario in virtual time, without a real page: guests that write,
// and ksmd, which merges what it finds equal. It is deterministic, and not for
// concurrent use. Make it with NewHost.
type Host struct {
	plan   plan
	now    time.Duration
	agenda *scenario.Agenda
	guests []hostGuest // by plan

	memory   hostMemory
	daemon   *ksmd.Daemon
	prices   prices
	hz       int
	batches  uint64
	wake     time.Duration // when ksmd goes on, or never
	busyTill time.Duration // when its last batch is over
	spent    time.Duration // CPU time before the batch that goes on
	inBatch  bool
	parked   bool // it waits for something to do, not for time

	present  int    // pages that guests have written and not freed
	cowKSM   uint64 // KSM mappings broken
	waiting  int    // plans that have not started
	settling settling
}

// plan is what a Host needs of a scenario.
type plan struct {
	memoryBytes uint64
	events      []scenario.Event
	guests      []scenario.Plan
	behaviour   func(i int) scenario.Guest
}

// NewHost returns a host on which nothing has happened yet, at time 0, with the
// knobs of the scenario. The kernel's defaults are the others, but that run is 1.
// The error is that of a knob which cannot be set.
func NewHost(s *scenario.Scenario, opts HostOptions) (*Host, error) {
	if opts.Seed != nil {
		s = s.WithSeed(*opts.Seed)
	}
	opts.Knobs = append(slices.Clone(s.Knobs), opts.Knobs...)
	return newHost(plan{s.MemoryBytes, s.Events, s.Plans(), s.Guest}, opts)
}

func newHost(p plan, opts HostOptions) (*Host, error) {
	if opts.Costs == (Costs{}) {
		opts.Costs = DefaultCosts()
	}
	if opts.HZ == 0 {
		opts.HZ = defaultHZ
	}
	if opts.HZ < 0 || opts.HZ > 1000 {
		return nil, fmt.Errorf("HZ %d: not from 1 to 1000", opts.HZ)
	}
	h := &Host{
		plan:    p,
		agenda:  scenario.NewAgenda(p.events, p.guests),
		guests:  make([]hostGuest, len(p.guests)),
		memory:  newHostMemory(int(scenario.PeakPages(p.guests, false)), MemoryOptions{KeepZeros: opts.KeepZeros || opts.SearchFirst}),
		prices:  newPrices(opts.Costs),
		hz:      opts.HZ,
		wake:    never,
		parked:  true,
		waiting: len(p.guests),
	}
	trees := ksmd.TreesNever
	if opts.Exact {
		trees = ksmd.TreesWhenNeeded
	}
	h.daemon = ksmd.New(&h.memory, ksmd.Options{
		SearchFirst: opts.SearchFirst,
		Trees:       trees,
		Alike:       h.memory.contents.isAlike,
		Contents:    cap(h.memory.contents.entries),
		Clock:       ksmd.Clock{Now: h.inBatchNow, CPU: h.cpu, HZ: opts.HZ},
	})
	if err := h.setStart(opts.Knobs); err != nil {
		return nil, err
	}
	return h, nil
}

// setStart sets the knobs with which a host begins, the last of each: those on
// which the advisor looks as it is switched on before it, and run at the end.
func (h *Host) setStart(knobs []sysfs.Setting) error {
	last := map[sysfs.Field]string{sysfs.Run: "1"}
	for _, k := range knobs {
		last[k.Field] = k.Value
	}
	var fields []sysfs.Field
	for f := range last {
		fields = append(fields, f)
	}
	rank := func(f sysfs.Field) int {
		switch f {
		case sysfs.Run:
			return 2
		case sysfs.AdvisorMode:
			return 1
		}
		return 0
	}
	slices.SortFunc(fields, func(a, b sysfs.Field) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	for _, f := range fields {
		if err := h.daemon.Set(f, last[f]); err != nil {
			return err
		}
	}
	return nil
}

// Now returns the virtual time since the scenario began.
func (h *Host) Now() time.Duration { return h.now }

// Advance lets time pass until a time, and does all that is due by then. The error
// is that of ctx, or of a knob that the scenario sets and the kernel would refuse;
// then the time is when that happened, and Advance can go on.
func (h *Host) Advance(ctx context.Context, until time.Duration) error {
	for {
		ok, err := h.step(until)
		if err != nil {
			return err
		}
		if !ok {
			h.now = max(h.now, until)
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// RunUntilSettled advances until Settled, or limit, and reports whether it is
// settled. Errors are those of Advance.
func (h *Host) RunUntilSettled(ctx context.Context, limit time.Duration) (bool, error) {
	for !h.Settled() {
		ok, err := h.step(limit)
		if err != nil {
			return false, err
		}
		if !ok {
			h.now = max(h.now, limit)
			return h.Settled(), nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// AdvanceToBatch advances until ksmd has worked through one more batch, which it
// does at the time that then is now, or until limit; it reports whether there was
// one. Errors are those of Advance.
func (h *Host) AdvanceToBatch(ctx context.Context, limit time.Duration) (bool, error) {
	for before := h.batches; h.batches == before; {
		ok, err := h.step(limit)
		if err != nil {
			return false, err
		}
		if !ok {
			h.now = max(h.now, limit)
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return h.batches > before, err
		}
	}
	return true, nil
}

// step does what is due next, and reports whether there was something until then.
func (h *Host) step(until time.Duration) (bool, error) {
	at := h.agenda.Next()
	if h.wake < at {
		if h.wake > until {
			return false, nil
		}
		h.now = h.wake
		h.batch()
		return true, nil
	}
	if at > until || at == never {
		return false, nil
	}
	h.now = at
	err := h.keep(h.agenda.Take())
	h.unpark()
	return true, err
}

// unpark wakes ksmd if it waits for something to do and there is something.
func (h *Host) unpark() {
	if h.parked && !h.daemon.Idle() {
		h.parked, h.wake = false, max(h.now, h.busyTill)
	}
}

// keep does what an appointment is for.
func (h *Host) keep(a scenario.Appointment) error {
	switch a.Kind {
	case scenario.SetKnobs:
		for _, s := range h.plan.events[a.Index].Settings {
			if err := h.set(s.Field, s.Value); err != nil {
				return fmt.Errorf("at %v: %w", a.At, err)
			}
		}
	case scenario.StepGuest:
		h.stepGuest(a.Index)
	case scenario.StartGuest:
		h.startGuest(a.Index)
	case scenario.EndGuest:
		h.endGuest(a.Index)
	}
	return nil
}

// batch is ksmd's turn. It takes some time, so that a daemon that never sleeps
// comes to an end. Without pages to scan it is parked as without processes.
func (h *Host) batch() {
	if h.daemon.Idle() {
		h.wake, h.parked = never, true
		return
	}
	h.spent = h.cpu()
	h.batches++
	h.inBatch = true
	b := h.daemon.Batch()
	h.inBatch = false
	h.busyTill = h.now + max(h.cpu()-h.spent, 1)
	h.wake = sleepEnd(h.busyTill, h.daemon.Knobs().SleepMillisecs, h.hz)
	if b.Ended {
		h.scanHasEnded()
	}
}

// cpu returns the CPU time that ksmd has used.
func (h *Host) cpu() time.Duration {
	w := h.daemon.Work()
	return h.prices.cpu(&w) +
		time.Duration(h.batches)*h.prices.Batch +
		time.Duration(h.memory.passed)*h.prices.Empty
}

// inBatchNow is the time as ksmd sees it, for whom it passes also in a batch.
func (h *Host) inBatchNow() time.Duration {
	if h.inBatch {
		return h.now + h.cpu() - h.spent
	}
	return h.now
}

// Set changes a knob now, with the errors of ksmd.Daemon.Set.
func (h *Host) Set(f sysfs.Field, value string) error {
	err := h.set(f, value)
	h.unpark()
	return err
}

func (h *Host) set(f sysfs.Field, value string) error {
	was := h.daemon.Knobs()
	mapped := 0
	if f == sysfs.Run && was.Run != sysfs.RunUnmerge {
		mapped = h.memory.ksmMapped()
	}
	if err := h.daemon.Set(f, value); err != nil {
		return err
	}
	knobs := h.daemon.Knobs()
	if knobs.Run == sysfs.RunUnmerge {
		h.cowKSM += uint64(mapped - h.memory.ksmMapped())
	}
	if knobs.SleepMillisecs != was.SleepMillisecs && !h.parked {
		h.wake = max(h.now, h.busyTill) // the sleep ends
	}
	h.disturbed()
	return nil
}
