package model

import (
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// scan returns a sample with these counters.
func scan(seconds float64, fullScans uint64, sharing, visited, items uint64) *Sample {
	s := at(seconds)
	c := &s.Reading.Counters
	c.FullScans, c.PagesSharing, c.PagesScanned = fullScans, sysfs.Pages(sharing), sysfs.Pages(visited)
	s.Savings.Items = items
	return s
}

func TestPasses(t *testing.T) {
	type known struct {
		ended  uint64
		last   time.Duration // 0 if unknown
		gained int64
		done   float64 // -1 if unknown
		left   time.Duration
	}
	var p Passes
	for i, step := range []struct {
		sample *Sample
		want   known
	}{
		// Nothing is known before the end of a pass was seen, and not how
		// long it took before two ends were.
		{scan(0, 10, 100, 5000, 1000), known{done: -1}},
		{scan(1, 10, 150, 5100, 1000), known{done: -1}},
		{scan(2, 11, 200, 5200, 1000), known{ended: 1, gained: 100, done: 0}},
		{scan(7, 11, 200, 5700, 1000), known{gained: 100, done: 0.5}},
		{scan(12, 12, 190, 6200, 1000), known{ended: 1, last: 10 * time.Second, gained: -10, done: 0, left: 10 * time.Second}},
		{scan(14.5, 12, 190, 6450, 1000), known{last: 10 * time.Second, gained: -10, done: 0.25, left: 7500 * time.Millisecond}},
		// Never quite done, however many pages came on the way.
		{scan(30, 12, 190, 9999, 1000), known{last: 10 * time.Second, gained: -10, done: 0.99, left: 100 * time.Millisecond}},
		// Several at once.
		{scan(32, 16, 230, 12000, 1000), known{ended: 4, last: 5 * time.Second, gained: 10, done: 0, left: 5 * time.Second}},
		// run=2 and again from nothing.
		{scan(33, 0, 0, 12500, 0), known{done: -1}},
		{scan(34, 1, 5, 13000, 100), known{ended: 1, gained: 5, done: 0}},
	} {
		got := known{ended: p.take(step.sample), gained: p.Gained, done: -1}
		if p.HasLast {
			got.last = p.Last
		}
		if done, ok := p.Done(); ok {
			got.done = done
		}
		if left, ok := p.Left(); ok {
			got.left = left.Round(time.Millisecond)
		}
		if got != step.want {
			t.Errorf("step %d: got %+v, want %+v", i, got, step.want)
		}
	}
}

// Of quick passes nobody can say where they are, and a kernel without counters
// of visits does not tell at all.
func TestPassesUnknown(t *testing.T) {
	var p Passes
	for i := range uint64(4) {
		p.take(scan(float64(i)/2, i, 0, i*100, 100))
	}
	if !p.HasLast || p.Last != 500*time.Millisecond {
		t.Errorf("Last = %v, %t, want 500ms", p.Last, p.HasLast)
	}
	if done, ok := p.Done(); ok {
		t.Errorf("Done = %v of a pass of half a second", done)
	}
	p = Passes{}
	for i := range uint64(3) {
		p.take(scan(float64(i)*10, i, 0, 0, 100))
	}
	if done, ok := p.Done(); ok {
		t.Errorf("Done = %v though visits are not counted", done)
	}
	p = Passes{}
	without := scan(0, 5, 0, 0, 0)
	without.Reading.Counters.Present = 0
	if ended := p.take(without); ended != 0 || p != (Passes{}) {
		t.Errorf("without full_scans: %d ended, %+v", ended, p)
	}
}
