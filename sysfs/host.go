//go:build unix

package sysfs

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/kept"
	"github.com/ksmtop/ksmtop/internal/procfs"
)

// Host is what /proc says of the whole machine, as far as it concerns KSM.
// Each value comes with whether it could be read.
type Host struct {
	// MemTotal and MemAvailable are in bytes. /proc/meminfo.
	MemTotal, MemAvailable uint64
	HasMemory              bool

	// CowKSM is the number of KSM mappings broken since boot, by writes and
	// by unmerging; cumulative, in pages. /proc/vmstat, since Linux 5.19.
	CowKSM    uint64
	HasCowKSM bool

	// SwapinCopy is the number of KSM pages copied when they were swapped in;
	// cumulative, in pages. /proc/vmstat ksm_swpin_copy, since Linux 5.19.
	SwapinCopy    uint64
	HasSwapinCopy bool

	// KSMD is the CPU time that ksmd has used since boot. In a container the
	// daemon may not be visible.
	KSMD    time.Duration
	HasKSMD bool
}

// hostReader reads Host through files that it keeps open.
type hostReader struct {
	meminfo, vmstat kept.File
	ksmd            kept.File
	inTicks         bool // ksmd is its stat: there is no schedstat
	buf             []byte
}

func (h *hostReader) open(proc string) {
	h.buf = make([]byte, 16<<10)
	h.meminfo, _ = kept.Open(filepath.Join(proc, "meminfo"))
	h.vmstat, _ = kept.Open(filepath.Join(proc, "vmstat"))
	h.findKSMD(proc)
}

func (h *hostReader) close() {
	h.meminfo.Close()
	h.vmstat.Close()
	h.ksmd.Close()
}

// findKSMD looks for the kernel thread of that name. Kernel threads are among
// the first processes, so that this reads few files.
func (h *hostReader) findKSMD(proc string) {
	dir, err := procfs.OpenDir(proc)
	if err != nil {
		return
	}
	defer dir.Close()
	pids, _ := dir.AppendPIDs(nil)
	slices.Sort(pids)
	for _, pid := range pids {
		at := filepath.Join(proc, strconv.Itoa(pid))
		text, err := kept.ReadAll(filepath.Join(at, "stat"), h.buf)
		if err != nil {
			continue
		}
		stat, err := procfs.ParseStat(text)
		if err != nil || string(stat.Comm) != "ksmd" || !stat.KernelThread() {
			continue
		}
		if !h.openSchedstat(at) {
			h.ksmd, _ = kept.Open(filepath.Join(at, "stat"))
			h.inTicks = true
		}
		return
	}
}

// openSchedstat opens the thread's schedstat, or returns false if it tells
// nothing: a kernel that has it but does not count prints "0 0 0", although
// a thread that was ever started has run once.
func (h *hostReader) openSchedstat(at string) bool {
	var err error
	if h.ksmd, err = kept.Open(filepath.Join(at, "schedstat")); err != nil {
		return false
	}
	text, err := h.ksmd.Read(h.buf)
	if err != nil || string(text) == "0 0 0\n" {
		h.ksmd.Close()
		return false
	}
	return true
}

func (h *hostReader) read(to *Host) {
	*to = Host{}
	if text, ok := h.text(h.meminfo); ok {
		found := 0
		procfs.Lines(text, func(key, value []byte) bool {
			switch string(key) {
			case "MemTotal":
				found += kibibytes(value, &to.MemTotal)
			case "MemAvailable":
				found += kibibytes(value, &to.MemAvailable)
			}
			return found < 2
		})
		to.HasMemory = found == 2
	}
	if text, ok := h.text(h.vmstat); ok {
		procfs.Lines(text, func(key, value []byte) bool {
			var err error
			switch string(key) {
			case "cow_ksm":
				to.CowKSM, err = decimal(value)
				to.HasCowKSM = err == nil
			case "ksm_swpin_copy":
				to.SwapinCopy, err = decimal(value)
				to.HasSwapinCopy = err == nil
			}
			return !to.HasCowKSM || !to.HasSwapinCopy
		})
	}
	if text, ok := h.text(h.ksmd); ok {
		to.KSMD, to.HasKSMD = cpuTime(text, h.inTicks)
	}
}

func (h *hostReader) text(f kept.File) ([]byte, bool) {
	if !f.IsOpen() {
		return nil, false
	}
	text, err := f.Read(h.buf)
	return text, err == nil
}

// cpuTime returns the CPU time in a thread's schedstat, whose first number is
// in nanoseconds, or in its stat.
func cpuTime(text []byte, inTicks bool) (time.Duration, bool) {
	if inTicks {
		stat, err := procfs.ParseStat(text)
		return time.Duration(stat.User+stat.Sys) * (time.Second / 100), err == nil
	}
	end := slices.Index(text, ' ')
	if end < 0 {
		return 0, false
	}
	ns, err := decimal(text[:end])
	return time.Duration(ns), err == nil
}

// kibibytes stores a value like "123 kB" in bytes and returns how many it stored.
func kibibytes(text []byte, to *uint64) int {
	end := slices.Index(text, ' ')
	if end < 0 {
		return 0
	}
	n, err := decimal(text[:end])
	if err != nil || n > 1<<53 {
		return 0
	}
	*to = n << 10
	return 1
}

// notThere reports whether a file of a process is missing since the process
// has gone, or since there never was such a file.
func notThere(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}
