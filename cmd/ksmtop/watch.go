package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/sysfs"
)

// watchEvery is how often run --report looks at the program: what happens in
// the last moment before the end is not seen.
const watchEvery = 100 * time.Millisecond

// watch follows what merging saves for a program and those it starts.
type watch struct {
	fsys   sysfs.FS
	ksm    *sysfs.Reader // nil without KSM
	procs  *sysfs.ProcessReader
	list   sysfs.Processes
	parts  []int64
	family map[int]uint64 // the program and its descendants: PID -> Start
	root   int

	reading sysfs.Reading
	run     report.RunResult
}

func newWatch(fsys sysfs.FS, pid int) *watch {
	w := &watch{fsys: fsys, root: pid, family: make(map[int]uint64)}
	w.ksm, _ = fsys.NewReader()
	w.procs, _ = fsys.NewProcessReader()
	if w.procs != nil {
		w.procs.All = true // a family is found through parents of every kind
	}
	w.lookAtHost()
	return w
}

func (w *watch) close() {
	if w.ksm != nil {
		w.ksm.Close()
	}
	if w.procs != nil {
		w.procs.Close()
	}
}

// lookAtHost takes in ksmd's CPU time.
func (w *watch) lookAtHost() {
	if w.ksm == nil {
		return
	}
	w.ksm.Read(&w.reading)
	if w.reading.Host.HasKSMD {
		w.run.TakeKSMD(w.reading.Host.KSMD)
	}
}

// look takes in what the family saves now.
func (w *watch) look() {
	if w.ksm == nil || w.procs == nil || w.procs.Read(&w.list) != nil {
		return
	}
	w.ksm.Read(&w.reading)
	var ok bool
	w.parts, _, ok = w.reading.Counters.Attribute(w.list.List, w.fsys.PageBytes(), w.parts[:0])
	if !ok {
		return
	}
	w.adopt()
	var now report.RunSaving
	for i := range w.list.List {
		p := &w.list.List[i]
		if _, ok := w.family[p.PID]; !ok {
			continue
		}
		now.Processes++
		now.SavedBytes += w.parts[i]
		now.MetadataBytes += p.KSM.MetadataBytes()
	}
	if now.Processes > 0 {
		w.run.Take(now)
	}
}

// adopt brings the family up to date: a process whose parent belongs to it
// does so too, and goes on to when that parent has gone. A number that has been
// given to another process does not.
func (w *watch) adopt() {
	for i := range w.list.List {
		p := &w.list.List[i]
		if start, ok := w.family[p.PID]; ok && start != p.Start {
			delete(w.family, p.PID)
		}
	}
	for grown := true; grown; { // a child may have a smaller number than its parent
		grown = false
		for i := range w.list.List {
			p := &w.list.List[i]
			if _, ok := w.family[p.PID]; ok {
				continue
			}
			if _, ok := w.family[p.PPID]; ok || p.PID == w.root {
				w.family[p.PID] = p.Start
				grown = true
			}
		}
	}
}

// inForeground reports whether this process is in the foreground of the
// terminal that it was started from.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
