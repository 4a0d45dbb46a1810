package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
)

// RunSaving is what merging saves for a program and its descendants at one
// moment, amortised.
type RunSaving struct {
	Processes     int
	SavedBytes    int64
	MetadataBytes int64
}

func (s RunSaving) net() int64 { return s.SavedBytes - s.MetadataBytes }

// RunResult is what was seen while a program ran.
type RunResult struct {
	highest, last RunSaving
	looks         int

	ksmd      time.Duration // used by ksmd for the whole machine meanwhile
	ksmdFirst time.Duration
	hasKSMD   bool
}

// Take takes one moment in.
func (r *RunResult) Take(s RunSaving) {
	r.looks++
	r.last = s
	if r.looks == 1 || s.SavedBytes > r.highest.SavedBytes {
		r.highest = s
	}
}

// TakeKSMD takes in the CPU time that ksmd has used since boot.
func (r *RunResult) TakeKSMD(cpu time.Duration) {
	if !r.hasKSMD {
		r.ksmdFirst, r.hasKSMD = cpu, true
	}
	r.ksmd = cpu - r.ksmdFirst
}

// Run writes what merging saved.
func Run(w io.Writer, r *RunResult) error {
	var b strings.Builder
	if r.looks == 0 {
		b.WriteString("ksmtop: the program ended before its KSM data could be read, or this kernel has none\n")
	} else {
		writeMoment(&b, "at its highest", r.highest)
		writeMoment(&b, "at the end", r.last)
	}
	if r.hasKSMD {
		fmt.Fprintf(&b, "ksmtop: ksmd used %s of CPU meanwhile, for all processes of the machine\n", format.Duration(nil, r.ksmd))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeMoment(b *strings.Builder, when string, s RunSaving) {
	fmt.Fprintf(b, "ksmtop: %-14s merging saved %s and cost %s of metadata, net %s (%s)\n", when,
		bytesOf(s.SavedBytes), bytesOf(s.MetadataBytes), bytesOf(s.net()), things(uint64(s.Processes), "process"))
}
