package main

import (
	"math"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// fill makes a sample of the current moment, as of a real machine. Its processes
// are the guests that run, numbered from 1 as the scenario plans them.
func (r *simRun) fill(to *model.Sample) {
	fillSim(to, r.scenario.Name, &r.before, &r.now, hostProcesses(r.host, r.scenario))
}

// hostProcesses returns the guests that run as processes, numbered from 1 as the
// scenario plans them.
func hostProcesses(host *sim.Host, s *scenario.Scenario) []sysfs.Process {
	guests := host.Processes()
	list := make([]sysfs.Process, len(guests))
	plans := s.Plans()
	for i, g := range guests {
		plan := &plans[g.Plan]
		list[i] = sysfs.Process{
			PID: g.Plan + 1, PPID: plan.Parent + 1, Comm: g.Name, RSS: g.Resident, KSM: g.Stat,
			Start: uint64(plan.Start / (10 * time.Millisecond)),
		}
	}
	return list
}

// fillSim makes a sample of a simulated machine from two readings, that of the
// sample before and that of now, and its processes.
func fillSim(to *model.Sample, name string, before, now *sysfs.Reading, list []sysfs.Process) {
	*to = model.Sample{
		Source: "sim", Host: text.Clean(name), Time: now.Time, PageSize: now.PageSize, Reading: *now,
		Rates:  sysfs.RatesBetween(before, now),
		Counts: model.Counts{Seen: len(list), Readable: len(list), Registered: registeredIn(list)},
		Rows:   to.Rows[:0],
	}
	to.Savings, to.HasSavings = now.Counters.Savings(to.PageSize)
	var parts []int64
	parts, to.Unattributed, to.HasUnattributed = now.Counters.Attribute(list, to.PageSize, nil)
	for i := range list {
		p := &list[i]
		name := text.Clean(p.Comm)
		row := model.Row{Process: *p, Name: name, Command: name, User: "sim", Saved: parts[i], Profit: p.KSM.Profit}
		row.Net = row.Saved - p.KSM.MetadataBytes()
		to.Rows = append(to.Rows, row)
	}
}

// registeredIn returns how many of the processes take part in KSM.
func registeredIn(list []sysfs.Process) int {
	n := 0
	for i := range list {
		if list[i].KSM.Registered() {
			n++
		}
	}
	return n
}

// groups sums up the guests of each group, from a sample of the current moment.
func (r *simRun) groups(s *model.Sample) []simGroup {
	var list []simGroup
	of := make(map[string]int)
	for _, p := range r.scenario.Plans() {
		i, known := of[p.Group]
		if !known {
			i = len(list)
			of[p.Group] = i
			list = append(list, simGroup{name: p.Group})
		}
		if p.Start > r.host.Now() {
			continue
		}
		list[i].guests++
		if p.End > 0 && p.End <= r.host.Now() {
			list[i].ended++
		}
	}
	for i, g := range r.host.Processes() {
		row, sum := &s.Rows[i], &list[of[g.Group]]
		sum.resident += int64(g.Resident) * s.PageSize
		sum.saved += row.Saved
		sum.cost += row.KSM.MetadataBytes()
		sum.merged += uint64(max(0, row.MergedPages()))
		sum.tracks += row.KSM.RmapItems
		sum.freed += int64(g.Freed) * s.PageSize
		sum.faults += g.Faults
		sum.faultTime += g.FaultTime
	}
	return list
}

// What follows from a result.

func (res *simResult) savings() sysfs.Savings { return res.sample.Savings }

func (res *simResult) cpu() time.Duration { return res.sample.Reading.Host.KSMD }

// cpuPercent is the part of one CPU that ksmd used from the begin on, in percent.
func (res *simResult) cpuPercent() float64 {
	if res.elapsed == 0 {
		return 0
	}
	return 100 * res.cpu().Seconds() / res.elapsed.Seconds()
}

// bytesPerCPUSecond is what is saved at the end for each second of CPU that ksmd
// used, NaN if it used none.
func (res *simResult) bytesPerCPUSecond() float64 {
	if res.cpu() == 0 {
		return math.NaN()
	}
	return float64(res.savings().SavedBytes) / res.cpu().Seconds()
}

// freed is what the kernel freed of huge pages that it split, in bytes.
func (res *simResult) freed() int64 {
	sum := int64(0)
	for i := range res.groups {
		sum += res.groups[i].freed
	}
	return sum
}

func (res *simResult) faults() (n uint64, cost time.Duration) {
	for _, g := range res.groups {
		n += g.faults
		cost += g.faultTime
	}
	return n, cost
}
