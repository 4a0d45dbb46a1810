package model

import (
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Passes follows ksmd's full scans over several samples: when the present one
// began and how long the last one took. It knows nothing until it has seen one
// end.
type Passes struct {
	seen  bool
	count uint64    // full_scans
	began time.Time // when the present pass began, to within a sample
	start uint64    // pages visited or skipped since boot when it began

	Last    time.Duration // how long the last pass took, to within a sample
	HasLast bool
	Gained  int64 // pages more saved by the last pass
	saved   int64
	visited uint64
	items   uint64
}

// take looks at a sample and returns how many passes ended since the last one.
func (p *Passes) take(s *Sample) uint64 {
	c := &s.Reading.Counters
	if !c.Has(sysfs.FullScans) || !s.HasSavings {
		return 0
	}
	p.visited = uint64(c.PagesScanned) + uint64(c.PagesSkipped)
	p.items = s.Savings.Items
	saved := int64(c.PagesSharing) + int64(c.KSMZeroPages)
	if !p.seen || c.FullScans < p.count { // the first sample, or run=2
		*p = Passes{seen: true, count: c.FullScans, saved: saved, visited: p.visited, items: p.items}
		return 0
	}
	ended := c.FullScans - p.count
	if ended == 0 {
		return 0
	}
	if !p.began.IsZero() {
		p.Last, p.HasLast = s.Time.Sub(p.began)/time.Duration(min(ended, 1<<30)), true
	}
	p.Gained = (saved - p.saved) / int64(min(ended, 1<<30))
	p.count, p.began, p.start, p.saved = c.FullScans, s.Time, p.visited, saved
	return ended
}

// Done returns which part of the present pass is done, from 0 to below 1. It
// is an estimate: the number of pages changes during a pass. Of passes that are
// over before anybody has read the number it says nothing.
func (p *Passes) Done() (float64, bool) {
	if p.HasLast && p.Last < 2*time.Second || p.began.IsZero() || p.items == 0 || p.visited < p.start || p.visited == 0 {
		return 0, false
	}
	return min(0.99, float64(p.visited-p.start)/float64(p.items)), true
}

// Left returns how long the present pass will take yet, if it is like the last.
func (p *Passes) Left() (time.Duration, bool) {
	done, ok := p.Done()
	return time.Duration((1 - done) * float64(p.Last)), ok && p.HasLast
}
