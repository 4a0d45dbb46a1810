package ksmd

import (
	"math"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// advisor chooses pages_to_scan so that a full scan takes the target time: it
// scales by how far the last scan was off, smooths the trend of scan times, and
// keeps within the CPU that it may use. All arithmetic is that of whole numbers.
//
// It knows only how long the scan took, not why: a scan in which smart scan
// skipped nearly everything was fast and cheap, and pages_to_scan then shoots up.
type advisor struct {
	began  time.Duration // the full scan; 0 if the advisor was off then
	scan   int64         // seconds that the one before took, or 0
	change int64         // of the scan time, smoothed, in percent
	cpu    time.Duration // used by then
}

// minCPU is the percentage that the daemon always gets.
const minCPU = 10

func (a *advisor) begin(c Clock) {
	if c.Now != nil {
		a.began = c.Now()
	}
}

// switched follows a write of advisor_mode.
func (a *advisor) switched(was, next *sysfs.Knobs) {
	if next.AdvisorMode == was.AdvisorMode {
		return
	}
	*a = advisor{}
	next.PagesToScan = 100
	if next.AdvisorMode == sysfs.AdvisorScanTime {
		next.PagesToScan = uint32(next.AdvisorMinPagesToScan)
	}
}

// advise runs at the end of a full scan.
func (d *Daemon) advise() {
	if d.knobs.AdvisorMode != sysfs.AdvisorScanTime {
		return
	}
	var now, cpu time.Duration
	if d.clock.Now != nil {
		now = d.clock.Now()
	}
	if d.clock.CPU != nil {
		cpu = d.clock.CPU()
	}
	a := &d.advisor
	scan := max(int64((now-a.began)/time.Second), 1)
	pages, percent := a.next(&d.knobs, scan, cpu)
	d.knobs.PagesToScan = pages
	d.event(Event{Kind: Advised, Count: int(pages), Percent: percent})
}

// next returns the new pages_to_scan after a scan of so many seconds, and the CPU
// percentage that it was found to have used.
func (a *advisor) next(k *sysfs.Knobs, scan int64, cpu time.Duration) (pages uint32, percent int) {
	used := max((cpu-a.cpu).Milliseconds()*100/(scan*1000), 1)
	last := a.scan
	if last == 0 {
		last = scan
	}
	target := int64(min(k.AdvisorTargetScanTime, math.MaxInt64/100))
	factor := max(target*100/scan, 1)
	change := max(scan*100/last, 1)
	change = (70*a.change + 30*change) / 100

	// The kernel multiplies in 32 bits.
	want := uint64(k.PagesToScan*100) / uint64(factor)
	want = want * uint64(change) / 100
	cost := max(uint64(k.PagesToScan)/uint64(used), 1)
	want = min(want, cost*uint64(k.AdvisorMaxCPU))
	want = max(want, cost*minCPU)
	want = min(want, k.AdvisorMaxPagesToScan)

	*a = advisor{scan: scan, change: change, cpu: cpu}
	return uint32(want), int(used)
}
