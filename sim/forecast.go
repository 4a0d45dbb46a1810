package sim

import (
	"math"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Forecast is what ksmd's first two scans of memory that stands still take by
// Costs, if nothing is tracked yet. After the second everything is merged.
//
// The order of the pages is taken to be random: when a share f of them has been
// visited in the second scan, a page whose content has c copies meets
//
//	(1-f)^(c-1)           of the time: no other copy so far, it waits in the unstable tree
//	(c-1) f (1-f)^(c-2)   one other, which waits: both become a KSM page
//	else                  a KSM page
//
// and c f (1-f)^(c-1) of the contents wait in the unstable tree. The scan is summed
// up in forecastSteps steps. That copies of a content beyond max_page_sharing make
// further KSM pages is left out: it takes a pair instead of a join for one in as
// many pages.
type Forecast struct{ First, Second ForecastScan }

// ForecastScan is one full scan.
type ForecastScan struct {
	CPU     time.Duration // of ksmd
	Elapsed time.Duration // with the sleeps
}

// Share returns the CPU time as a share of one CPU: 0 to 1.
func (s ForecastScan) Share() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return min(1, float64(s.CPU)/float64(s.Elapsed))
}

// StillContents are contents that have the same number of copies.
type StillContents struct {
	Copies   float64 // of each, at least 1
	Contents uint64
}

const forecastSteps = 64

// Forecast returns what the first scans take of such contents and of so many
// pages that the zero page replaces, under the knobs pages_to_scan and
// sleep_millisecs. No advisor changes these.
func (c Costs) Forecast(still []StillContents, zeroPages uint64, k *sysfs.Knobs) Forecast {
	p := newPrices(c)
	pages := float64(zeroPages)
	for _, s := range still {
		pages += s.Copies * float64(s.Contents)
	}
	batches := max(1, math.Ceil(pages/max(1, float64(k.PagesToScan))))
	// A scan of which each part would take so many nanoseconds if all were like it.
	scan := func(whole func(f float64) float64) ForecastScan {
		var cpu, elapsed float64
		for step := range forecastSteps {
			batch := whole((float64(step)+0.5)/forecastSteps)/batches + float64(c.Batch)
			cpu += batch
			elapsed += max(batch, float64(sleepEnd(nanoseconds(batch), k.SleepMillisecs, defaultHZ))) // it begins at a tick
		}
		return ForecastScan{nanoseconds(cpu * batches / forecastSteps), nanoseconds(elapsed * batches / forecastSteps)}
	}
	visits := pages * float64(c.Visit+c.Checksum)
	zeros := float64(zeroPages) * float64(c.Zero)
	return Forecast{
		First:  scan(func(float64) float64 { return visits + pages*float64(c.Item) }),
		Second: scan(func(f float64) float64 { return visits + zeros + p.searches(still, pages, f) }),
	}
}

// searches returns what searches and merges of the second scan would cost, in
// nanoseconds, if all of it were as it is when a share f of the pages has been visited.
func (p *prices) searches(still []StillContents, pages, f float64) float64 {
	var waiting, merged float64
	for _, s := range still {
		n, none := float64(s.Contents), math.Pow(1-f, s.Copies)
		one := s.Copies * f * math.Pow(1-f, s.Copies-1)
		waiting += n * one
		merged += n * max(0, 1-none-one)
	}
	stable, unstable := treeClass(merged), treeClass(waiting)
	var sum float64
	for _, s := range still {
		first := math.Pow(1-f, s.Copies-1)
		pair := 0.0
		if s.Copies > 1 {
			pair = min(1-first, (s.Copies-1)*f*math.Pow(1-f, s.Copies-2))
		}
		join := max(0, 1-first-pair)
		again := 1 - math.Pow(1-min(1, s.Copies/pages), ksmd.Recent)
		either := func(yes, no time.Duration) float64 { return again*float64(yes) + (1-again)*float64(no) }
		each := first*float64(p.stable[stable]) + (1-first)*either(p.again[stable], p.stable[stable]) +
			first*float64(p.unstable[unstable]) + pair*either(p.again[unstable], p.unstable[unstable]) +
			pair*float64(p.Pair) + join*either(p.Rejoin, p.Join)
		sum += s.Copies * float64(s.Contents) * each
	}
	return sum
}

// treeClass returns the class of a tree of so many contents.
func treeClass(contents float64) int { return ksmd.SizeClass(int(min(contents, math.MaxInt32))) }

// nanoseconds turns a number of them into a duration, of at most 292 years.
func nanoseconds(ns float64) time.Duration {
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
