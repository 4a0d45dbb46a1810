//go:build amd64 || arm64

package real

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Each of these measures one kind of work, or two. calibration.measure calls them in
// such an order that the other work in an experiment has a cost already.

func (c *calibration) visits() error { return c.repeated(&c.result.Costs.Visit, pairs(c.pages)) }
func (c *calibration) alike() error  { return c.repeated(&c.result.Costs.AlikeLevel, alike(base)) }

func (c *calibration) checksums() error {
	costs := &c.result.Costs
	var first []sim.CostSample
	err := c.fitOne(&costs.Checksum, func() (sim.CostSample, error) {
		if err := c.begin(different(c.pages), 0); err != nil {
			return sim.CostSample{}, err
		}
		s, err := c.scan()
		if err != nil {
			return s, err
		}
		first = append(first, s)
		err = c.both(func(b sim.Backend) error { return b.Write(c.ctx, "p", "a", 0, c.pages, 1<<32, 1) })
		if err != nil {
			return s, err
		}
		return c.scan()
	})
	if err == nil {
		c.fit("", []sim.CostSample{median(first)}, &costs.Item)
	}
	return err
}

func (c *calibration) joins() error { return c.merging(&c.result.Costs.Join, copies(c.pages, 8), 1) }
func (c *calibration) rejoins() error {
	return c.merging(&c.result.Costs.Rejoin, equal(c.pages), 1)
}

// searchesAgain makes a tree, and then looks through it for one content again and again.
func (c *calibration) searchesAgain() error {
	return c.merging(&c.result.Costs.AgainLevel, append(pairs(c.pages/2), pageRange{c.pages, 1 << 32, 0}), 1)
}

func (c *calibration) pairs() error { return c.merging(&c.result.Costs.Pair, pairs(c.pages), 1) }

// skips is of the first scan that skips all pages.
func (c *calibration) skips() error {
	return c.merging(&c.result.Costs.Skip, different(c.pages), 4, knob{sysfs.SmartScan, 1})
}

// unstableSearches also chooses how many levels stay in the cache.
func (c *calibration) unstableSearches() error {
	costs := &c.result.Costs
	var samples []sim.CostSample
	for n := leastTree; n <= c.trees; n *= 4 {
		s, err := c.steady(different(n))
		if err != nil {
			return err
		}
		samples = append(samples, s)
	}
	best, least := 0, math.Inf(1)
	for costs.CachedLevels = 8; costs.CachedLevels <= 16; costs.CachedLevels++ {
		if off := costs.Fit(samples, &costs.UnstableLevel, &costs.UnstableMiss); off < least {
			best, least = costs.CachedLevels, off
		}
	}
	costs.CachedLevels = best
	c.fit("unstable searches", samples, &costs.UnstableLevel, &costs.UnstableMiss)
	return nil
}

func (c *calibration) stableSearches() error {
	costs := &c.result.Costs
	var samples []sim.CostSample
	for n := leastTree; 3*n <= c.trees; n *= 4 {
		s, err := c.steady(append(pairs(2*n), pageRange{n, 1 << 32, 1}))
		if err != nil {
			return err
		}
		samples = append(samples, s)
	}
	c.fit("stable searches", samples, &costs.StableLevel, &costs.StableMiss)
	return nil
}

// zeros also measures addresses at which nothing is.
func (c *calibration) zeros() error {
	var empty []time.Duration
	err := c.fitOne(&c.result.Costs.Zero, func() (sim.CostSample, error) {
		if err := c.begin(zeros(c.pages), 1, knob{sysfs.UseZeroPages, 1}); err != nil {
			return sim.CostSample{}, err
		}
		merging, err := c.scan()
		if err != nil {
			return merging, err
		}
		// The next scan frees the items, and the one behind it finds nothing.
		if _, err := c.scan(); err != nil {
			return merging, err
		}
		later, err := c.scan()
		empty = append(empty, later.CPU)
		return merging, err
	})
	if err == nil {
		slices.Sort(empty)
		c.result.Costs.Empty = empty[len(empty)/2] / time.Duration(c.pages)
	}
	return err
}

// batches measures a batch that visits one page.
func (c *calibration) batches() error {
	const n = 2000
	if err := c.begin(equal(base), 2); err != nil {
		return err
	}
	if err := c.both(func(b sim.Backend) error { return b.Set(c.ctx, sysfs.PagesToScan, 1) }); err != nil {
		return err
	}
	s, err := c.timed(func(b sim.Backend) error { return b.Batch(c.ctx, n) })
	c.result.Costs.Batch = max(0, s.CPU-c.result.Costs.CPU(s.Work)) / n
	return err
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
