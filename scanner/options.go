package scanner

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// Options are the options of [Scan]. The zero value scans as fast as it can,
// without a limit on sharing.
type Options struct {
	// Workers is how many goroutines read; 0 is one for each CPU.
	Workers int

	// MaxPageSharing is the kernel's knob of that name: how many pages may
	// share one KSM page. 0 is no limit, otherwise at least 2.
	MaxPageSharing uint64

	// UseZeroPages is the kernel's knob of that name: pages of zeros are
	// replaced by the kernel's zero page.
	UseZeroPages bool

	// Top is how many of the most copied contents the report lists.
	Top int

	// MaxCPU limits the CPU time of all workers, in percent of one CPU; 0 is
	// no limit. It also limits Workers to as many as can use that.
	MaxCPU float64

	// MaxRate limits reading, in bytes a second; 0 is no limit.
	MaxRate uint64

	// ExpectedPages is about how many pages there are, for the progress and
	// for the size of tables. It may be wrong.
	ExpectedPages uint64

	// Verify reads the memory again after counting, and compares the bytes of
	// pages that were counted as equal; see [Verification].
	Verify bool

	// Progress, if not nil, is called about five times a second, from one
	// goroutine.
	Progress func(Progress)
}

// Progress is how far one reading of the memory is.
type Progress struct {
	Verifying     bool // it is not the first, but one of Options.Verify
	PagesRead     uint64
	ExpectedPages uint64 // as Options.ExpectedPages, or what is known by now if that is more
	BytesRead     uint64
	Elapsed       time.Duration // since this reading began
}

func (o *Options) check() error {
	switch {
	case o.Workers < 0:
		return fmt.Errorf("scanner: %d workers", o.Workers)
	case o.MaxPageSharing == 1:
		return fmt.Errorf("scanner: max_page_sharing 1: must be at least 2, or 0 for no limit")
	case o.MaxCPU < 0:
		return fmt.Errorf("scanner: max CPU of %v %%", o.MaxCPU)
	}
	return nil
}

func (o *Options) workers() int {
	n := o.Workers
	if n == 0 {
		n = runtime.NumCPU()
	}
	if cpus := math.Ceil(o.MaxCPU / 100); cpus > 0 && cpus < float64(n) {
		n = int(cpus)
	}
	return n
}

// Target is memory to scan: a [Source] that is opened when it is its turn, and
// the group that its pages count for.
type Target struct {
	Name  string // for people: "pid 123"
	Group string
	Open  func() (Source, error)
}

// ProcessTarget is the memory of a process. Where it is opened several times, it
// is the same process or [ErrGone], whoever has its number then.
func ProcessTarget(pid int, group string, areas Areas) Target {
	var first atomic.Pointer[uint64] // when the process began that was opened first
	return Target{
		Name: fmt.Sprintf("pid %d", pid), Group: group,
		Open: func() (Source, error) {
			p, err := OpenProcess(pid, areas)
			if err != nil {
				return nil, err
			}
			start := p.Start()
			if first.CompareAndSwap(nil, &start) || *first.Load() == start {
				return p, nil
			}
			_ = p.Close() // it was only opened
			return nil, newError("open", p.Name(), ErrGone)
		},
	}
}

// ImageTarget is a raw image of memory in a file, with pages of pageSize bytes.
func ImageTarget(path, group string, pageSize int) Target {
	return Target{Name: path, Group: group, Open: func() (Source, error) { return OpenImage(path, pageSize) }}
}

// OwnTarget is memory of the caller's own, which is read in place. It must stay
// mapped until [Scan] returns.
func OwnTarget(group string, mem ...[]byte) Target {
	return Target{Name: "own memory", Group: group, Open: func() (Source, error) { return OpenOwn(mem...) }}
}
