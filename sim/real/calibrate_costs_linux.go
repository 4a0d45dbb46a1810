//go:build amd64 || arm64

package real

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// experiment is memory that ksmd scans, and what is fitted to that.
type experiment struct {
	about string

	// run returns samples: the same work each time, and times that differ.
	run func(*calibration) ([]sim.CostSample, error)

	// fit sets parts of the costs by the samples. The parts of the experiments before
	// it are known.
	fit func(*calibration, []sim.CostSample)
}

// The experiments, in the order of fitting.
var experiments = []experiment{
	{"visits", steady(pairs), fit(func(c *sim.Costs) *time.Duration { return &c.Visit })},
	{"visits of the same", steady(equal), fit(func(c *sim.Costs) *time.Duration { return &c.Revisit })},
	{"checksums and items", (*calibration).rewritten, (*calibration).fitRewritten},
	{"skips", merging(different, 4, knob{sysfs.SmartScan, 1}), fit(func(c *sim.Costs) *time.Duration { return &c.Skip })},
	{"unstable searches", (*calibration).unstableSearches, (*calibration).fitUnstableSearches},
	{"stable searches", (*calibration).stableSearches, (*calibration).fitStableSearches},
	{"pages alike", (*calibration).alikes, (*calibration).fitAlikes},
	{"pairs", merging(pairs, 1), fit(func(c *sim.Costs) *time.Duration { return &c.Pair })},
	{"joins", merging(eights, 1), fit(func(c *sim.Costs) *time.Duration { return &c.Join })},
	{"joins of the same", merging(equal, 1), fit(func(c *sim.Costs) *time.Duration { return &c.Rejoin })},
	{"searches for the same", merging(equalBehindPairs, 1), fit(func(c *sim.Costs) *time.Duration { return &c.AgainLevel })},
	{"zero pages", (*calibration).zeros, (*calibration).fitZeros},
	{"batches", (*calibration).batches, (*calibration).fitBatches},
}

// fit returns what fits one part.
func fit(part func(*sim.Costs) *time.Duration) func(*calibration, []sim.CostSample) {
	return func(c *calibration, samples []sim.CostSample) { c.fit("", samples, part(&c.result.Costs)) }
}

// steady returns an experiment with memory in which nothing changes any more.
func steady(a func(pages int) area) func(*calibration) ([]sim.CostSample, error) {
	return func(c *calibration) ([]sim.CostSample, error) {
		s, err := c.steady(a(c.pages))
		return []sim.CostSample{s}, err
	}
}

// merging returns an experiment with the scan that follows so many.
func merging(a func(pages int) area, scans int, knobs ...knob) func(*calibration) ([]sim.CostSample, error) {
	return func(c *calibration) ([]sim.CostSample, error) {
		if err := c.begin(a(c.pages), scans, knobs...); err != nil {
			return nil, err
		}
		s, err := c.scan()
		return []sim.CostSample{s}, err
	}
}

// rewritten is the first scan of some pages, and one of all of them rewritten.
func (c *calibration) rewritten() ([]sim.CostSample, error) {
	if err := c.begin(different(c.pages), 0); err != nil {
		return nil, err
	}
	first, err := c.scan()
	if err != nil {
		return nil, err
	}
	err = c.both(func(b sim.Backend) error { return b.Write(c.ctx, "p", "a", 0, c.pages, 1<<32, 1) })
	if err != nil {
		return nil, err
	}
	later, err := c.scan()
	return []sim.CostSample{first, later}, err
}

func (c *calibration) fitRewritten(samples []sim.CostSample) {
	c.fit("", samples[1:], &c.result.Costs.Checksum)
	c.fit("", samples[:1], &c.result.Costs.Item)
}

// unstableSearches are in trees of several sizes.
func (c *calibration) unstableSearches() (samples []sim.CostSample, err error) {
	for n := leastTree; n <= c.trees; n *= 4 {
		s, err := c.steady(different(n))
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// fitUnstableSearches also chooses how many levels stay in the cache.
func (c *calibration) fitUnstableSearches(samples []sim.CostSample) {
	costs := &c.result.Costs
	best, least := 0, math.Inf(1)
	for costs.CachedLevels = 8; costs.CachedLevels <= 16; costs.CachedLevels++ {
		if off := costs.Fit(samples, &costs.UnstableLevel, &costs.UnstableMiss); off < least {
			best, least = costs.CachedLevels, off
		}
	}
	costs.CachedLevels = best
	c.fit("unstable searches", samples, &costs.UnstableLevel, &costs.UnstableMiss)
}

// stableSearches are for pages that are in unstable trees, too.
func (c *calibration) stableSearches() (samples []sim.CostSample, err error) {
	for n := leastTree; 3*n <= c.trees; n *= 4 {
		s, err := c.steady(append(pairs(2*n), pageRange{n, 1 << 32, 1}))
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	return samples, nil
}

func (c *calibration) fitStableSearches(samples []sim.CostSample) {
	c.fit("stable searches", samples, &c.result.Costs.StableLevel, &c.result.Costs.StableMiss)
}

// alikes are searches in a tree that is mostly in the cache, and in one that is not.
func (c *calibration) alikes() (samples []sim.CostSample, err error) {
	for _, n := range []int{base / 4, c.pages} {
		s, err := c.steady(alike(n))
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	return samples, nil
}

func (c *calibration) fitAlikes(samples []sim.CostSample) {
	c.fit("pages alike", samples, &c.result.Costs.AlikeLevel)
}

// zeros is the scan that replaces pages of zeros, and one that finds nothing.
func (c *calibration) zeros() ([]sim.CostSample, error) {
	if err := c.begin(zeros(c.pages), 1, knob{sysfs.UseZeroPages, 1}); err != nil {
		return nil, err
	}
	replacing, err := c.scan()
	if err != nil {
		return nil, err
	}
	if _, err := c.scan(); err != nil { // which frees the items
		return nil, err
	}
	later, err := c.scan()
	return []sim.CostSample{replacing, later}, err
}

func (c *calibration) fitZeros(samples []sim.CostSample) {
	c.fit("", samples[:1], &c.result.Costs.Zero)
	c.result.Costs.Empty = samples[1].CPU / time.Duration(c.pages)
}

// singles is the number of batches that visit one page.
const singles = 1000

func (c *calibration) batches() ([]sim.CostSample, error) {
	if err := c.begin(equal(base), 2); err != nil {
		return nil, err
	}
	if err := c.both(func(b sim.Backend) error { return b.Set(c.ctx, sysfs.PagesToScan, 1) }); err != nil {
		return nil, err
	}
	s, err := c.timed(func(b sim.Backend) error { return b.Batch(c.ctx, singles) })
	return []sim.CostSample{s}, err
}

func (c *calibration) fitBatches(samples []sim.CostSample) {
	costs := &c.result.Costs
	costs.Batch = max(0, samples[0].CPU-costs.CPU(samples[0].Work)) / singles
}

// faults measures how much longer it takes to write to a KSM page than to another
// page.
func (c *calibration) faults() error {
	if err := c.begin(equal(base), 2); err != nil {
		return err
	}
	p := c.k.processes["p"]
	var means [2]time.Duration
	for round := range means { // merged, and then not
		var sum time.Duration
		var answer reply
		for first := 0; first < base; first += maxWrites {
			list := make([]pageWrite, maxWrites)
			for i := range list {
				list[i] = pageWrite{c.k.address(p, "a", first+i), 1, uint64(1 + first + i), 0}
			}
			if err := p.begin(list); err != nil {
				return err
			}
			took, err := p.finish(len(list), &answer)
			if err != nil {
				return err
			}
			for _, ns := range took {
				sum += time.Duration(ns)
			}
		}
		means[round] = sum / base
	}
	c.result.Costs.Fault = max(0, means[0]-means[1])
	return nil
}

// sleep finds out how the kernel rounds sleep_millisecs.
func (c *calibration) sleep() error {
	const milliseconds, length = 20, 2 * time.Second
	err := c.k.Start(c.ctx, []sysfs.Setting{
		{Field: sysfs.PagesToScan, Value: "1"}, {Field: sysfs.SmartScan, Value: "0"},
		{Field: sysfs.SleepMillisecs, Value: strconv.Itoa(milliseconds)},
	})
	if err != nil {
		return err
	}
	k := c.k
	if err := different(base).make(c.ctx, k); err != nil {
		return err
	}
	wakes := func() (sysfs.Pages, time.Time, error) {
		counters, err := k.fsys.Counters()
		return counters.PagesScanned, time.Now(), err
	}
	before, from, err := wakes()
	if err != nil {
		return err
	}
	select {
	case <-time.After(length):
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	after, to, err := wakes()
	if err != nil {
		return err
	}
	c.result.Wakes = float64(after-before) / to.Sub(from).Seconds()
	c.result.HZ = sim.TicksPerSecond(c.result.Wakes, milliseconds)
	return nil
}
