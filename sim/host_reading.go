package sim

import (
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Epoch is the time of day at which every simulation begins.
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Reading returns what sysfs.FS would read on the host now. MemAvailable is what
// guests' pages and ksmd's items and nodes leave of the memory, and 0 where guests
// have more than there is. Time begins with the year 2000.
func (h *Host) Reading() sysfs.Reading {
	c := h.daemon.Counters()
	items := (int64(c.PagesSharing)+int64(c.KSMZeroPages))*pageBytes - c.GeneralProfit // in bytes
	nodes := (int64(c.PagesShared) + int64(c.StableNodeChains)) * sysfs.ItemBytes
	used := int64(h.memory.Pages())*pageBytes + items + nodes
	return sysfs.Reading{
		Time:     Epoch.Add(h.now),
		PageSize: pageBytes,
		Counters: c,
		Knobs:    h.daemon.Knobs(),
		Host: sysfs.Host{
			MemTotal:      h.plan.memoryBytes,
			MemAvailable:  uint64(max(int64(h.plan.memoryBytes)-used, 0)),
			HasMemory:     true,
			CowKSM:        h.cowKSM,
			HasCowKSM:     true,
			HasSwapinCopy: true, // there is no swap
			KSMD:          h.cpu(),
			HasKSMD:       true,
		},
	}
}

// GuestReading is what there is to know of a guest of a Host that runs.
type GuestReading struct {
	Plan        int // its index in scenario.Scenario.Plans
	Name, Group string
	Stat        sysfs.ProcessStat

	// Resident is what the kernel counts as its memory: pages that it has written
	// and not freed, merged ones too, but not zero pages that KSM placed, nor Freed.
	Resident sysfs.Pages

	// Freed is pages of zeros that the kernel freed as it split huge pages for KSM.
	// They are saved, too, but no counter has them.
	Freed sysfs.Pages

	// Faults is the number of its writes to KSM pages and to zero pages that KSM
	// placed, each of which made a copy, and FaultTime what they cost it. Both
	// are cumulative.
	Faults    uint64
	FaultTime time.Duration
}

// Processes returns the guests that run, in the order of the scenario's plans.
func (h *Host) Processes() []GuestReading {
	var list []GuestReading
	for i := range h.guests {
		g, p := &h.guests[i], &h.plan.guests[i]
		if g.behaviour == nil {
			continue
		}
		stat, freed := h.daemon.ProcessStat(g.process), h.memory.FreedZeros(g.process)
		list = append(list, GuestReading{
			Plan:      i,
			Name:      p.Name,
			Group:     p.Group,
			Stat:      stat,
			Resident:  sysfs.Pages(g.present - int(stat.ZeroPages) - freed),
			Freed:     sysfs.Pages(freed),
			Faults:    g.faults,
			FaultTime: h.faultTime(g),
		})
	}
	return list
}

// Content returns the content of a page of a guest that runs, and whether the page
// is present: the guest has written and not freed it, or it came with a huge page. The
// guest is an index in scenario.Scenario.Plans.
func (h *Host) Content(guest, page int) (content uint64, present bool) {
	g := &h.guests[guest]
	if g.behaviour == nil {
		return 0, false
	}
	n := h.memory.processes[g.process].areas[0].table[page] & lowMask
	switch {
	case n == untouched:
		return 0, false
	case n < firstPage:
		return 0, true // a zero page placed for KSM: guests only write
	}
	pg := &h.memory.pages[n]
	if h.memory.isRaw(n) {
		return uint64(pg.sum)<<32 | uint64(pg.content), true
	}
	return h.memory.contents.entries[pg.content].number(), true
}
