package model

import (
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

var epoch = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// at returns a sample so many seconds after epoch, of a kernel with everything.
func at(seconds float64) *Sample {
	s := &Sample{
		Source: "test", Time: epoch.Add(time.Duration(seconds * float64(time.Second))), PageSize: 4096,
		HasSavings: true, HasUnattributed: true,
	}
	s.Reading.Knobs = sysfs.DefaultKnobs()
	for f := range sysfs.Fields() {
		if f.Info().Kind != sysfs.Knob {
			s.Reading.Counters.Present |= sysfs.SetOf(f)
		}
	}
	return s
}

// registered returns a row of a process that takes part in KSM.
func registered(pid int, start uint64, name string) Row {
	r := Row{Name: name, Command: name, User: "ana"}
	r.PID, r.Start = pid, start
	r.KSM = sysfs.ProcessStat{MergeAny: true, Present: allFields}
	return r
}

const allFields = sysfs.KSMRmapItems | sysfs.KSMZeroPagesOf | sysfs.KSMMergingPages | sysfs.KSMProcessProfit |
	sysfs.KSMMergeAny | sysfs.KSMMergeable

// processOf returns a process and its parent, without anything else.
func processOf(pid, ppid int) sysfs.Process {
	return sysfs.Process{PID: pid, PPID: ppid, Start: uint64(1000 + pid)}
}
