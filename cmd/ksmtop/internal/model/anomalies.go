package model

import (
	"fmt"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// An anomaly is looked for in windows of time. Most last for several: they are
// one event, whose text grows with them.
const (
	windowLength = 10 * time.Second

	// A burst of copies on write gives back at least so many bytes in a window,
	// and at least so much of what is saved.
	burstBytes = 16 << 20
	burstShare = 0.01

	// swapBytes is how much merged memory has to be copied at least when it
	// comes back from swap.
	swapBytes = 1 << 20

	// ksmd is busy from one percentage of a CPU on until below the other.
	busyPercent, calmPercent = 90, 70
)

// anomalies finds what is not as it should be.
type anomalies struct {
	began, last time.Time // of the window: its first and its latest sample
	broken      float64   // pages copied back in it
	cpu         float64   // CPU time of ksmd in it, in seconds
	cpuKnown    bool
	swapped     uint64 // SwapinCopy at its beginning
	scanned     uint64 // pages visited and skipped at its beginning

	burst, swap, stuck ongoing
	busy               bool
	negative           bool // metadata costs more than merging saves
	hidden             bool // there was no reading
}

// ongoing is an anomaly that is going on.
type ongoing struct {
	event uint64 // its event, or 0
	since time.Time
	bytes float64
}

// lookForAnomalies takes a sample in.
func (e *Events) lookForAnomalies(s *Sample) {
	a := &e.anomalies
	if (s.NoKSM != nil) != a.hidden && e.begun {
		a.hidden = s.NoKSM != nil
		if a.hidden {
			e.add(s.Time, true, "KSM cannot be looked at any more: %v", s.NoKSM)
		} else {
			e.add(s.Time, false, "KSM can be looked at again")
		}
	}
	if s.NoKSM != nil {
		*a = anomalies{hidden: a.hidden}
		return
	}
	if s.HasSavings {
		if now := s.Savings.NetBytes < 0; now != a.negative {
			a.negative = now
			if now {
				e.add(s.Time, true, "metadata costs more than merging saves: %s net", format.Bytes(nil, s.Savings.NetBytes))
			} else {
				e.add(s.Time, false, "merging saves more than its metadata costs again: %s net", format.Bytes(nil, s.Savings.NetBytes))
			}
		}
	}
	if a.began.IsZero() || s.Time.Before(a.last) {
		e.beginWindow(s)
		return
	}
	elapsed := s.Time.Sub(a.last).Seconds()
	a.last = s.Time
	if s.Rates.HasBrokenPerSecond {
		a.broken += s.Rates.BrokenPerSecond * elapsed
	}
	if s.Rates.HasKSMDPercent {
		a.cpu, a.cpuKnown = a.cpu+s.Rates.KSMDPercent/100*elapsed, true
	}
	if s.Time.Sub(a.began) >= windowLength {
		e.endWindow(s)
		e.beginWindow(s)
	}
}

func (e *Events) beginWindow(s *Sample) {
	a := &e.anomalies
	a.began, a.last, a.broken, a.cpu, a.cpuKnown = s.Time, s.Time, 0, 0, false
	a.swapped, a.scanned = s.Reading.Host.SwapinCopy, visits(s)
	for i := range e.known {
		e.known[i].base = e.known[i].merged
	}
}

// visits returns how many pages ksmd has visited or skipped since boot.
func visits(s *Sample) uint64 {
	return uint64(s.Reading.Counters.PagesScanned) + uint64(s.Reading.Counters.PagesSkipped)
}

// endWindow judges a window that is full.
func (e *Events) endWindow(s *Sample) {
	a := &e.anomalies
	length := s.Time.Sub(a.began)
	k, h := &s.Reading.Knobs, &s.Reading.Host
	scanning := k.Has(sysfs.Run) && k.RunMode() == sysfs.RunScan

	bytes := a.broken * float64(s.PageSize)
	least := max(burstBytes, burstShare*float64(s.Savings.SavedBytes))
	unmerged := k.Has(sysfs.Run) && k.RunMode() == sysfs.RunUnmerge
	e.goOn(&a.burst, s, bytes >= least && !unmerged, bytes, func(o *ongoing) string {
		return fmt.Sprintf("copies on write gave back %s in %s%s", format.Bytes(nil, int64(o.bytes)), span(o, s), e.loser(s))
	})

	bytes = 0
	if h.HasSwapinCopy && h.SwapinCopy > a.swapped {
		bytes = float64(h.SwapinCopy-a.swapped) * float64(s.PageSize)
	}
	e.goOn(&a.swap, s, bytes >= swapBytes, bytes, func(o *ongoing) string {
		return fmt.Sprintf("merged memory is swapped: %s copied on its way back in %s", format.Bytes(nil, int64(o.bytes)), span(o, s))
	})

	still := scanning && s.Reading.Counters.Has(sysfs.PagesScanned) && k.PagesToScan > 0 &&
		time.Duration(k.SleepMillisecs)*time.Millisecond < windowLength/2 && s.Registered > 0 && visits(s) == a.scanned
	e.goOn(&a.stuck, s, still, 0, func(o *ongoing) string {
		return fmt.Sprintf("run is 1, but ksmd has not looked at a page for %s", span(o, s))
	})

	if a.cpuKnown {
		percent := 100 * a.cpu / length.Seconds()
		if !a.busy && percent >= busyPercent {
			a.busy = true
			e.add(s.Time, true, "ksmd uses %.0f%% of a CPU", percent)
		} else if a.busy && percent < calmPercent {
			a.busy = false
			e.add(s.Time, false, "ksmd uses %.0f%% of a CPU again", percent)
		}
	}
}

// span returns how long an anomaly has been going on.
func span(o *ongoing, s *Sample) string {
	d := s.Time.Sub(o.since)
	if d < time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return string(format.Duration(nil, d))
}

// goOn begins the event of an anomaly, or brings its text up to date, or ends
// it, according to whether it is there in this window.
func (e *Events) goOn(o *ongoing, s *Sample, there bool, bytes float64, text func(*ongoing) string) {
	switch {
	case !there:
		*o = ongoing{}
		return
	case o.event == 0:
		o.since = e.anomalies.began
		o.bytes = bytes
		e.add(s.Time, true, "%s", text(o))
		o.event = e.list[len(e.list)-1].id
		return
	}
	o.bytes += bytes
	for i := len(e.list) - 1; i >= 0; i-- {
		if e.list[i].id == o.event {
			e.list[i].Text = text(o)
			return
		}
	}
}

// loser names the process that has lost most merged pages in the window, if it
// has lost much.
func (e *Events) loser(s *Sample) string {
	var most *participant
	for i := range e.known {
		p := &e.known[i]
		if p.base > p.merged && (most == nil || p.base-p.merged > most.base-most.merged) {
			most = p
		}
	}
	if most == nil || float64(most.base-most.merged) < e.anomalies.broken/4 {
		return ""
	}
	return fmt.Sprintf(": %d %s lost %s", most.pid, most.name, format.Bytes(nil, (most.base-most.merged)*s.PageSize))
}
