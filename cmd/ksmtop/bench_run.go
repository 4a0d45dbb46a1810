package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// benchRun is a scenario that is predicted twice and then carried out.
type benchRun struct {
	flags    *benchFlags
	scenario *scenario.Scenario
	knobs    []sysfs.Setting // at the start, those of the scenario and then those of flags
	predict  *simRun
	scan     *scanner.Report
	out      io.Writer
	progress *benchProgress

	live      *model.Live
	sample    model.Sample
	points    []simPoint
	growth    growth
	first     sysfs.Reading
	last      sysfs.Reading
	elapsed   time.Duration // of the scenario, so far
	late      time.Duration
	strangers int   // the most other processes that had mergeable memory
	freed     int64 // bytes of zeros that were freed as huge pages were split
	hasFreed  bool  // they were counted
	measured  bool  // there is a result
	partial   bool  // a signal ended it before its end: the result is of elapsed
	quiet     real.Latency
	busy      real.Latency
}

const (
	// quietWrites is how long writes without KSM are timed at most.
	quietWrites = 10 * time.Second

	// benchWatch is how often a bench looks at the saving between samples, and so
	// how exactly it knows the time to 90 %.
	benchWatch = 100 * time.Millisecond
)

// newBenchRun reads the scenario and checks all that can be wrong with it and with
// the flags.
func (f *benchFlags) newBenchRun(cmd *cobra.Command, arg string) (*benchRun, error) {
	s, err := f.scenario(cmd, arg)
	if err != nil {
		return nil, err
	}
	set, err := simSettings("--set", f.set)
	if err == nil {
		err = checkSteps(s.Knobs, set)
	}
	if err != nil {
		return nil, usage(err)
	}
	costs, err := readCosts(f.cost)
	if err != nil {
		return nil, err
	}
	progress := newBenchProgress(cmd.ErrOrStderr())
	if f.asJSON && isTerminal(cmd.OutOrStdout()) { // samples show how far it is
		progress = newBenchProgress(io.Discard)
	}
	old, _ := searchFirst(osRelease(f.fsys.Proc))
	options := sim.HostOptions{Knobs: set, SearchFirst: old, KeepZeros: keepsZeros(osRelease(f.fsys.Proc))}
	costs.apply(&options)
	return &benchRun{
		flags: f, scenario: s, knobs: slices.Concat(s.Knobs, set), out: cmd.OutOrStdout(),
		progress: progress,
		predict: &simRun{
			name: "A", scenario: s, options: options, until: f.length.simUntil,
			interval: time.Duration(f.interval), watch: benchWatch,
		},
	}, nil
}

// interrupted is the error of a bench that a signal ended.
func (b *benchRun) interrupted() error {
	if b.predict.result == nil {
		return errors.New("interrupted before ksmd began")
	}
	return fmt.Errorf("interrupted at %s of %s", durationText(b.elapsed), durationText(b.length()))
}

// print prints the result.
func (b *benchRun) print() error {
	if b.flags.asJSON {
		return b.writeSummary(b.out)
	}
	_, err := io.WriteString(b.out, b.report())
	return err
}

// length is how long the scenario is carried out.
func (b *benchRun) length() time.Duration { return b.predict.result.elapsed }

// run predicts and measures.
func (b *benchRun) run(ctx context.Context, k *real.Kernel) error {
	defer b.progress.clear()
	b.progress.show("simulating")
	nothing := func(*simRun) error { return nil }
	if err := b.predict.run(ctx, nothing, func(*simRun) {}); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := b.rehearse(ctx, k); err != nil {
		return err
	}
	if err := k.Start(ctx, b.knobs); err != nil {
		return err
	}
	return b.measure(ctx, k)
}

// rehearse has the guests come to where they will be in the end, with ksmd off, scans
// their memory, and times their writes.
func (b *benchRun) rehearse(ctx context.Context, k *real.Kernel) (err error) {
	h, err := real.NewHost(b.scenario, k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	b.progress.show("rehearsing")
	if err := h.Rehearse(ctx, b.length()); err != nil {
		return err
	}
	b.progress.show("scanning")
	if b.scan, err = b.scanGuests(ctx, h); err != nil {
		return err
	}
	b.progress.show("timing writes without KSM")
	h.ForgetLatency()
	until := b.length() + min(quietWrites, b.length())
	if h.Next() <= until {
		if err := h.Advance(ctx, until); err != nil {
			return err
		}
	}
	b.quiet = h.Latency()
	return nil
}

// scanGuests scans the mergeable memory of the guests, with the knobs that the
// simulation ended with.
func (b *benchRun) scanGuests(ctx context.Context, h *real.Host) (*scanner.Report, error) {
	var targets []scanner.Target
	plans := b.scenario.Plans()
	for _, g := range h.Guests() {
		targets = append(targets, scanner.ProcessTarget(g.PID, plans[g.Plan].Name, scanner.AreasMarked))
	}
	return scanAll(ctx, targets, &b.predict.now.Knobs)
}

// scanAll scans guests, with the knobs given. That not all can be read is an error.
func scanAll(ctx context.Context, guests []scanner.Target, knobs *sysfs.Knobs) (*scanner.Report, error) {
	r, err := scanner.Scan(ctx, guests, scanner.Options{
		MaxPageSharing: uint64(knobs.MaxPageSharing), UseZeroPages: knobs.UseZeroPages,
	})
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !r.Complete:
		return nil, fmt.Errorf("scanning the guests: %w", errors.Join(append(r.Problems, errors.New("not everything could be read"))...))
	}
	return r, nil
}

// measure carries out the scenario in real time.
func (b *benchRun) measure(ctx context.Context, k *real.Kernel) (err error) {
	h, err := real.NewHost(b.scenario, k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if b.live, err = model.NewLive(b.flags.fsys); err != nil {
		return err
	}
	defer b.live.Close()
	reader, err := b.flags.fsys.NewReader()
	if err != nil {
		return err
	}
	defer reader.Close()
	reader.Read(&b.first)
	interval := time.Duration(b.flags.interval)
	for b.elapsed = 0; ; {
		if err := h.Advance(ctx, b.elapsed); err != nil {
			return b.cutShort(h, reader, err)
		}
		reader.Read(&b.last)
		saved, _ := b.last.Counters.Savings(b.last.PageSize)
		b.growth.take(b.elapsed, saved.SavedBytes)
		if b.elapsed%interval == 0 || b.elapsed == b.length() {
			if err := b.take(h, &saved); err != nil {
				return err
			}
		}
		if b.elapsed == b.length() {
			return b.finish(ctx, h, reader)
		}
		b.elapsed = min(nextMultiple(b.elapsed, benchWatch), nextMultiple(b.elapsed, interval), b.length())
	}
}

// finish takes in the result.
func (b *benchRun) finish(ctx context.Context, h *real.Host, reader *sysfs.Reader) error {
	if err := b.stop(h, reader); err != nil || !b.hasHuge() {
		return err
	}
	// Guests never read what they have not written: the zero page is where ksmd put
	// it, or the kernel for ksmd.
	r, err := b.scanGuests(ctx, h)
	if err == nil {
		b.freed = (int64(r.MappedZeroPages) - int64(b.last.Counters.KSMZeroPages)) * b.last.PageSize
		b.hasFreed = true
	}
	return err
}

// cutShort takes in what was measured before err ended the scenario, if that is a
// signal. What was freed is not counted then: it takes time.
func (b *benchRun) cutShort(h *real.Host, reader *sysfs.Reader, err error) error {
	if _, ok := errors.AsType[*sysfs.SignalError](err); !ok || len(b.points) == 0 {
		return err
	}
	b.partial = true
	return errors.Join(b.stop(h, reader), err)
}

// stop stops ksmd, which waits for the end of a batch, and reads the counters. In
// mid-batch the page that ksmd has in its hands may be in none of them.
func (b *benchRun) stop(h *real.Host, reader *sysfs.Reader) error {
	if _, err := b.flags.fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: "0"}); err != nil {
		return err
	}
	reader.Read(&b.last)
	b.late, b.busy = h.Late(), h.Latency()
	b.measured = true
	return nil
}

// hasHuge reports whether there are guests with huge pages.
func (b *benchRun) hasHuge() bool {
	return slices.ContainsFunc(b.scenario.Plans(), func(p scenario.Plan) bool { return p.Huge })
}

// take takes a sample of the present moment.
func (b *benchRun) take(h *real.Host, saved *sysfs.Savings) error {
	b.points = append(b.points, simPoint{at: b.elapsed, saved: float64(saved.SavedBytes), net: float64(saved.NetBytes)})
	b.progress.show(fmt.Sprintf("at %s of %s, saved %s", durationText(b.elapsed), durationText(b.length()), bytesText(saved.SavedBytes)))
	b.live.Read(&b.sample)
	b.sample.Source = "bench"
	ours := make(map[int]bool)
	for _, g := range h.Guests() {
		ours[g.PID] = true
	}
	strangers := 0
	for i := range b.sample.Rows {
		if r := &b.sample.Rows[i]; r.KSM.Registered() && !ours[r.PID] {
			strangers++
		}
	}
	b.strangers = max(b.strangers, strangers)
	if !b.flags.asJSON {
		return nil
	}
	return report.JSON(b.out, &b.sample)
}

// benchResult is one column of the table: counters at the end and what became of them
// until then.
type benchResult struct {
	shared, sharing, zero, unshared int64 // pages
	saved, net                      int64 // bytes
	to90, cpu                       time.Duration
	hasTo90, hasCPU                 bool
	scans                           int64 // full scans
	hasScans                        bool
	freed                           int64 // bytes, saved and not counted: zeros in huge pages that were split
	hasFreed                        bool  // there are huge pages, and a number
}

func (b *benchRun) byScan() benchResult { return scanResult(b.scan, b.predict.now.Knobs.UseZeroPages) }

// scanResult is what a scan predicts, with a value of the knob use_zero_pages.
func scanResult(r *scanner.Report, useZeroPages bool) benchResult {
	zero := int64(0)
	if useZeroPages {
		zero = int64(r.ByZeroPages)
	}
	return benchResult{
		shared: int64(r.Shared), sharing: int64(r.WouldSave) - zero, zero: zero, unshared: int64(r.Unshared),
		saved: r.WouldSaveBytes(), net: r.NetBytes(),
	}
}

func (b *benchRun) bySim() benchResult {
	res := b.predict.result
	r := endResult(&res.sample.Reading)
	r.to90, r.hasTo90, r.freed, r.hasFreed = res.to90, res.hasTo90, res.freed(), b.hasHuge()
	r.cpu, r.hasCPU = res.cpu(), true
	return r
}

func (b *benchRun) byKernel() benchResult {
	r := endResult(&b.last)
	r.freed, r.hasFreed = b.freed, b.hasFreed
	if r.saved > 0 && !b.partial { // or it may not be 90 % of it
		r.to90, r.hasTo90 = b.growth.reached(r.saved - r.saved/10)
	}
	if b.first.Host.HasKSMD && b.last.Host.HasKSMD {
		r.cpu, r.hasCPU = b.last.Host.KSMD-b.first.Host.KSMD, true
	}
	return r
}

// endResult is what a reading says of it.
func endResult(r *sysfs.Reading) benchResult {
	c := &r.Counters
	saved, _ := c.Savings(r.PageSize)
	return benchResult{
		shared: int64(c.PagesShared), sharing: int64(c.PagesSharing), zero: int64(c.KSMZeroPages), unshared: int64(c.PagesUnshared),
		saved: saved.SavedBytes, net: saved.NetBytes,
		scans: int64(c.FullScans), hasScans: c.Has(sysfs.FullScans),
	}
}

// deviation is how far the saving was from what the simulation predicts, on average
// over the samples and in parts of what was measured in the end. It is NaN if
// nothing was saved.
func (b *benchRun) deviation() float64 {
	sum := 0.0
	n := min(len(b.points), len(b.predict.points))
	for i := range n {
		sum += math.Abs(b.points[i].saved - b.predict.points[i].saved)
	}
	final := b.points[len(b.points)-1].saved
	if final == 0 {
		return math.NaN()
	}
	return sum / float64(n) / final
}
