package main

import (
	"cmp"
	"context"
	"errors"
	"sort"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simRun is a scenario with some knobs, from its begin to its end.
type simRun struct {
	name     string          // A, B and so on
	variant  []sysfs.Setting // what --vs says of it
	scenario *scenario.Scenario
	options  sim.HostOptions
	until    simUntil
	interval time.Duration // between samples
	watch    time.Duration // how often it looks at the saving between them; 0 is growthStep

	host    *sim.Host     // while it runs
	changes time.Duration // lastChange of the scenario
	now     sysfs.Reading // the last one
	before  sysfs.Reading // that of the last sample
	points  []simPoint
	growth  growth
	result  *simResult // nil until it has ended
}

// simPoint is what a chart shows of a sample.
type simPoint struct {
	at         time.Duration
	saved, net float64 // bytes
	percent    float64 // of one CPU that ksmd used since the sample before
	hasPercent bool
}

// simResult is what came of a run.
type simResult struct {
	sample  model.Sample // the last one
	elapsed time.Duration
	settled bool
	partial bool // a signal, or a knob that was refused, ended it before its time
	groups  []simGroup
	scans   uint64 // full scans that were asked for and did not come

	// to90 is when the saving first was 90 % of what it is at the end.
	to90    time.Duration
	hasTo90 bool
}

// simGroup is what the guests of a group have and save at the end.
type simGroup struct {
	name           string
	guests, ended  int // all that there were so far, and those of them that have ended
	resident       int64
	saved, cost    int64
	freed          int64 // bytes
	faults         uint64
	faultTime      time.Duration
	merged, tracks uint64 // pages
}

func (g *simGroup) net() int64 { return g.saved - g.cost }

const (
	// growthStep is how often a run looks at the saving between samples, unless
	// it says otherwise.
	growthStep = time.Second

	// scanStep is how exactly a run ends with a full scan. Batches are hardly
	// ever less apart.
	scanStep = 10 * time.Millisecond
)

// run simulates. It calls sample for each sample and show as often as it can. If
// it was ended early the result is partial; the error is that of a knob, or of
// sample.
func (r *simRun) run(ctx context.Context, sample func(*simRun) error, show func(*simRun)) error {
	host, err := sim.NewHost(r.scenario, r.options)
	if err != nil {
		return usage(err)
	}
	r.host, r.changes = host, lastChange(r.scenario)
	r.now = host.Reading()
	r.before = r.now
	var worked time.Duration // when ksmd last did something
	ended := false
	for err == nil && !ended {
		now := host.Now()
		if now%r.interval == 0 {
			if err := r.take(sample); err != nil {
				return err
			}
		}
		next := min(nextMultiple(now, r.interval), nextMultiple(now, cmp.Or(r.watch, growthStep)), r.limit())
		scanned := r.now.Counters.PagesScanned
		ended, err = r.advance(ctx, next)
		r.now = host.Reading()
		if saved, ok := r.now.Counters.Savings(r.now.PageSize); ok {
			r.growth.take(host.Now(), saved.SavedBytes)
		}
		if r.now.Counters.PagesScanned != scanned {
			worked = host.Now()
		}
		ended = ended || host.Now() >= r.limit() || r.until.scans > 0 && host.Now()-worked >= r.scenario.Length
		show(r)
	}
	if err := r.take(sample); err != nil {
		return err
	}
	r.end(err != nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// nextMultiple returns the next time after now that is a multiple of step.
func nextMultiple(now, step time.Duration) time.Duration { return (now/step + 1) * step }

// limit returns when the run ends at the latest.
func (r *simRun) limit() time.Duration {
	switch {
	case r.until.scans > 0:
		return longestSim
	case r.until.isSet:
		return r.until.length
	}
	return r.scenario.Length
}

// advance lets time pass until a time, and reports whether before or then that
// has happened for which the run waits.
func (r *simRun) advance(ctx context.Context, until time.Duration) (bool, error) {
	switch {
	case r.until.scans > 0:
		for now := r.host.Now(); now < until; now = r.host.Now() {
			if err := r.host.Advance(ctx, min(nextMultiple(now, scanStep), until)); err != nil {
				return false, err
			}
			if r.host.Reading().Counters.FullScans >= r.until.scans {
				return true, nil
			}
		}
		return false, nil
	case r.until.isSet:
		return false, r.host.Advance(ctx, until)
	}
	if r.host.Now() < r.changes {
		return false, r.host.Advance(ctx, min(until, r.changes))
	}
	return r.host.RunUntilSettled(ctx, until)
}

// lastChange returns when the last thing happens that a scenario plans: a guest
// starts or ends, or a knob is set. What seems settled before is not.
func lastChange(s *scenario.Scenario) time.Duration {
	last := time.Duration(0)
	for _, e := range s.Events {
		last = max(last, e.At)
	}
	for _, p := range s.Plans() {
		last = max(last, p.Start, p.End)
	}
	return last
}

// take takes the current moment in as a sample, unless it did so before.
func (r *simRun) take(write func(*simRun) error) error {
	if n := len(r.points); n > 0 && r.points[n-1].at == r.host.Now() {
		return nil
	}
	saved, _ := r.now.Counters.Savings(r.now.PageSize)
	p := simPoint{at: r.host.Now(), saved: float64(saved.SavedBytes), net: float64(saved.NetBytes)}
	// Batches come one by one: what happened in a moment is no rate.
	if elapsed := r.now.Time.Sub(r.before.Time); elapsed >= r.interval/2 {
		rates := sysfs.RatesBetween(&r.before, &r.now)
		p.percent, p.hasPercent = rates.KSMDPercent, rates.HasKSMDPercent
	}
	r.points = append(r.points, p)
	err := write(r)
	r.before = r.now
	return err
}

// end makes the result, and gives the memory of the host back.
func (r *simRun) end(partial bool) {
	res := &simResult{elapsed: r.host.Now(), settled: r.host.Settled(), partial: partial}
	r.fill(&res.sample)
	res.groups = r.groups(&res.sample)
	if r.now.Counters.FullScans < r.until.scans {
		res.scans = r.until.scans - r.now.Counters.FullScans
	}
	if s := res.sample.Savings; res.sample.HasSavings && s.SavedBytes > 0 {
		res.to90, res.hasTo90 = r.growth.reached(s.SavedBytes - s.SavedBytes/10)
	}
	r.result = res
	r.host = nil
}

// growth has the moments at which more was saved than ever before, by 0.1 %.
type growth struct {
	at    []time.Duration
	saved []int64 // bytes, ascending
}

func (g *growth) take(at time.Duration, saved int64) {
	highest := int64(0)
	if n := len(g.saved); n > 0 {
		highest = g.saved[n-1]
	}
	if saved > highest+highest/1000 {
		g.at, g.saved = append(g.at, at), append(g.saved, saved)
	}
}

// reached returns when that much was first saved.
func (g *growth) reached(saved int64) (time.Duration, bool) {
	i := sort.Search(len(g.saved), func(i int) bool { return g.saved[i] >= saved })
	if i == len(g.saved) {
		return 0, false
	}
	return g.at[i], true
}
