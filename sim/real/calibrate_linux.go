//go:build amd64 || arm64

package real

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Calibrating
//
// Each experiment makes memory of one kind and lets ksmd scan it. A model of it
// does the same and counts the work: so many visits, checksums, searches in trees
// of such sizes. An experiment is chosen so that all but one kind of work, or two,
// have been given a cost by those before it:
//
//	pairs of equal pages, merged      visits
//	equal pages, merged               visits of the page that was visited last
//	different pages, rewritten        visits, checksums
//	different pages, first scan       visits, checksums, items
//	different pages, of 2^12 to 2^n   visits, checksums, unstable searches
//	the same beside KSM pages         ... and stable searches
//	pages alike up to their ends      ... and comparing whole pages
//	pairs of equal pages, merging     visits, checksums, searches, pairs
//	eight of each, merging            ... and joins
//	equal pages, merging              joins of what was joined last
//	equal pages behind pairs, merging searches for what was searched for last
//	pages of zeros                    visits, checksums, replacing
//	replaced by the zero page         addresses without anything to do
//	different pages, all skipped      skips
//
// ksmd works as it mostly does, in batches with sleeps between them. During a sleep its
// CPU has other things to do, and what ksmd had in the cache is gone: the same scan in
// one batch took a fifth to a third less (Linux 6.18.44, 2 vCPUs of an Intel Xeon).
//
// All experiments are repeated, and the median of ksmd's CPU time counts, which the
// scheduler measures to the nanosecond. The least is what ksmd takes when nobody else
// uses the memory, which is less than it takes on most days.

// Calibrate measures what ksmd's work costs on this machine, in about three minutes. It
// takes memory for so many pages, at least 1<<14; trees larger than that are
// extrapolated. Progress, if not nil, is told what is measured and in which round. The
// error is the cause of ctx, or an *Error; the kernel is good for Reset and Close
// afterwards.
func (k *Kernel) Calibrate(ctx context.Context, pages int, progress func(string)) (Calibration, error) {
	if pages < 1<<14 {
		return Calibration{}, &Error{Op: "calibrate", Err: unix.EINVAL}
	}
	if progress == nil {
		progress = func(string) {}
	}
	c := &calibration{k: k, ctx: ctx, trees: pages, pages: min(pages, most), progress: progress}
	c.result.Fits = make(map[string]float64)
	err := c.measure()
	if err == nil || errors.Is(err, ctx.Err()) { // the model says no more
		err = context.Cause(ctx)
	}
	return c.result, err
}

type calibration struct {
	k        *Kernel
	m        *sim.Machine
	ctx      context.Context
	trees    int // pages for the largest trees
	pages    int // pages for what does not depend on trees
	progress func(string)
	result   Calibration
}

// base is the number of pages of the experiments that do not depend on it.
const base = 1 << 14

// most is the number of pages of those that do, but not by their logarithm.
const most = 1 << 16

// leastTree is the size of the smallest tree: the pages of smaller ones are all in the
// cache, which those of a machine are not.
const leastTree = 1 << 12

// rounds is how often everything is measured. What another program disturbs in one
// round, for a second or for a minute, it may leave alone in another.
const rounds = 3

// A scan that is measured is made in batches of so many pages, with so long a sleep
// between them.
const (
	batchPages = 1000
	batchSleep = 20 * time.Millisecond
)

func (c *calibration) measure() error {
	samples := make([][rounds][]sim.CostSample, len(experiments))
	for round := range rounds {
		for i, e := range experiments {
			c.progress(fmt.Sprintf("%s, round %d of %d", e.about, 1+round, rounds))
			got, err := e.run(c)
			if err != nil {
				return err
			}
			samples[i][round] = got
		}
	}
	for i, e := range experiments {
		e.fit(c, medians(samples[i]))
	}
	for _, step := range []struct {
		about string
		do    func() error
	}{{"faults", c.faults}, {"sleep", c.sleep}} {
		c.progress(fmt.Sprintf("%s, after all %d rounds", step.about, rounds))
		if err := step.do(); err != nil {
			return err
		}
	}
	return c.k.Reset(c.ctx)
}

// medians returns for each sample of a round its work, which is the same in all rounds,
// and the median of the times that it took.
func medians(of [rounds][]sim.CostSample) []sim.CostSample {
	middle := slices.Clone(of[0])
	for k := range middle {
		var times [rounds]time.Duration
		for round, samples := range of {
			times[round] = samples[k].CPU
		}
		slices.Sort(times[:])
		middle[k].CPU = times[rounds/2]
	}
	return middle
}

// area is the memory of an experiment: ranges of pages one after another.
type area []pageRange

// pageRange is pages whose contents are content, content+step and so on.
type pageRange struct {
	pages         int
	content, step uint64
}

// begin starts an experiment with memory, and knobs, and lets ksmd scan it.
func (c *calibration) begin(a area, scans int, knobs ...knob) error {
	if err := c.k.Reset(c.ctx); err != nil {
		return err
	}
	c.m = sim.NewMachine(ksmd.Options{Trees: ksmd.TreesNever})
	return c.both(func(b sim.Backend) error {
		for _, x := range knobs {
			if err := b.Set(c.ctx, x.field, x.value); err != nil {
				return err
			}
		}
		if err := a.make(c.ctx, b); err != nil {
			return err
		}
		return b.Scan(c.ctx, scans)
	})
}

type knob struct {
	field sysfs.Field
	value uint64
}

// make makes the area, of a process of its own.
func (a area) make(ctx context.Context, b sim.Backend) error {
	pages := 0
	for _, r := range a {
		pages += r.pages
	}
	if err := b.Spawn(ctx, "p"); err != nil {
		return err
	}
	if err := b.Map(ctx, "p", "a", pages); err != nil {
		return err
	}
	if err := b.Mergeable(ctx, "p", "a", 0, pages); err != nil {
		return err
	}
	first := 0
	for _, r := range a {
		if err := b.Write(ctx, "p", "a", first, r.pages, r.content, r.step); err != nil {
			return err
		}
		first += r.pages
	}
	return nil
}

// Kinds of memory.

func different(pages int) area { return area{{pages, 1, 1}} }
func equal(pages int) area     { return area{{pages, 1, 0}} }
func zeros(pages int) area     { return area{{pages, 0, 0}} }
func pairs(pages int) area     { return copies(pages, 2) }
func eights(pages int) area    { return copies(pages, 8) }
func alike(pages int) area     { return area{{pages, sim.MaxContent + 2, 1}} }

// equalBehindPairs has a tree made of pairs, and then searches in it for one content.
func equalBehindPairs(pages int) area {
	return append(pairs(pages/2), pageRange{pages, 1 << 32, 0})
}

// copies has each content n times, far from each other: what is compared is in no
// cache, as with real memory.
func copies(pages, n int) area {
	var a area
	for range n {
		a = append(a, pageRange{pages / n, 1, 1})
	}
	return a
}

func (c *calibration) both(do func(sim.Backend) error) error {
	if err := do(c.k); err != nil {
		return err
	}
	return do(c.m)
}

// scan lets ksmd scan once, in batches, and returns what that was.
func (c *calibration) scan() (sim.CostSample, error) {
	before := c.k.settings[sysfs.PagesToScan]
	set := func(pages uint64) error {
		return c.both(func(b sim.Backend) error { return b.Set(c.ctx, sysfs.PagesToScan, pages) })
	}
	if err := set(batchPages); err != nil {
		return sim.CostSample{}, err
	}
	s, err := c.timed(func(b sim.Backend) error {
		if b != c.k {
			return b.Scan(c.ctx, 1)
		}
		for scans := c.k.last.fullScans; c.k.last.fullScans == scans; {
			last := c.k.last
			if err := c.k.Batch(c.ctx, 1); err != nil {
				return err
			}
			if c.k.last == last { // nor would it be otherwise the next time
				return disturbed("the memory that ksmd should scan is gone")
			}
			time.Sleep(batchSleep)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	return s, set(before)
}

func (c *calibration) timed(do func(sim.Backend) error) (s sim.CostSample, err error) {
	work := c.m.Work()
	before, err := c.cpu()
	if err != nil {
		return s, err
	}
	if err := c.both(do); err != nil {
		return s, err
	}
	after, err := c.cpu()
	s.CPU, s.Work = after-before, c.m.Work().Minus(work)
	return s, err
}

// cpu returns the CPU time of ksmd, which is parked.
func (c *calibration) cpu() (time.Duration, error) {
	c.k.reader.Read(&c.k.now)
	c.k.fresh = false
	if !c.k.now.Host.HasKSMD {
		return 0, &Error{Op: "read the CPU time of ksmd", Err: sysfs.ErrNotSupported}
	}
	return c.k.now.Host.KSMD, nil
}

// fit fits parts of the costs to samples.
func (c *calibration) fit(name string, samples []sim.CostSample, parts ...*time.Duration) {
	if off := c.result.Costs.Fit(samples, parts...); len(samples) > len(parts) {
		c.result.Fits[name] = off
	}
}

// steady returns a scan of memory in which nothing changes any more.
func (c *calibration) steady(a area) (sim.CostSample, error) {
	if err := c.begin(a, 2); err != nil {
		return sim.CostSample{}, err
	}
	return c.scan()
}
