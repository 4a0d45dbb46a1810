// Package model holds what the screens show and how keys change it: samples,
// their history, the table of processes, selection and sorting. It draws nothing
// and reads no terminal, so that every state can be made by a test.
package model

import (
	"slices"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Sample is all that is known of one moment, wherever it comes from.
type Sample struct {
	Source   string // "live", or "sim"
	Time     time.Time
	Interval time.Duration // of a simulation: the virtual time since the sample before
	Scale    float64       // of a simulation: the factor of all memory, 1 for what the scenario says; 0 if there is none
	Host     string        // the machine's name, cleaned
	Kernel   string        // the kernel's release, cleaned; empty if unknown
	PageSize int64         // bytes of a base page

	// NoKSM is why there is no Reading: sysfs.ErrNotSupported if the kernel
	// has no KSM, or what kept it from being looked at. Nil if there is one.
	NoKSM   error
	Reading sysfs.Reading

	Savings    sysfs.Savings
	HasSavings bool
	Rates      sysfs.Rates // since the sample before

	Rows []Row // in ascending order of PID
	Counts
	ProcessProblem error // first malformed data of a process, or of /proc itself

	// Unattributed is the part of the saving that belongs to no row, in bytes.
	Unattributed    int64
	HasUnattributed bool
}

// SavingsFields are the counters from which savings and costs are computed.
var SavingsFields = []sysfs.Field{
	sysfs.PagesSharing, sysfs.KSMZeroPages, sysfs.GeneralProfit,
	sysfs.PagesShared, sysfs.PagesUnshared, sysfs.PagesVolatile,
}

// unreadable reports whether one of SavingsFields is there and could not be
// read.
func (s *Sample) unreadable() bool {
	return slices.ContainsFunc(SavingsFields, func(f sysfs.Field) bool { return s.Reading.Problem(f) != nil })
}

// Counts is how many processes there are.
type Counts struct {
	Seen       int // visible in /proc
	Readable   int // whose KSM data could be read
	Denied     int // whose KSM data needs a privilege
	Registered int // readable and registered with KSM
	Malformed  int // whose KSM data made no sense
}

// Eligible returns the number of processes that KSM could work on: all but
// threads of the kernel and those that have ended.
func (c *Counts) Eligible() int { return c.Readable + c.Denied + c.Malformed }

// HasProcesses reports whether the counts of KSM data are known: that this
// kernel has such data, and that somebody's was looked at.
func (c *Counts) HasProcesses() bool { return c.Eligible() > 0 }

// Row is one process.
type Row struct {
	sysfs.Process
	User    string // name or number of the effective user, cleaned
	Name    string // comm, cleaned
	Command string // the command line, cleaned; in brackets if there is none

	// Cgroup is the control group and Guest the virtual machine or container,
	// cleaned; empty if there is none or nobody asked.
	Cgroup, Guest string

	Saved  int64 // bytes, amortised: all rows and the unattributed rest sum to the saving
	Net    int64 // Saved less metadata, in bytes
	Profit int64 // bytes, as the kernel counts: every sharer in full

	// Trend is the change of Profit in bytes per minute over the last 30 to
	// 60 seconds, or less at the beginning.
	Trend    float64
	HasTrend bool

	// Gone says that the row is of the sample before: the process has exited
	// since, or left KSM.
	Gone bool

	Place Place // in a tree or group
}

// MergedPages returns the pages of the process that share a KSM page or the
// zero page.
func (r *Row) MergedPages() int64 {
	return int64(r.KSM.MergingPages) + max(0, int64(r.KSM.ZeroPages))
}

// ItemsPerPage returns how many pages ksmd tracks for each that it merged, or
// false if none is merged. From page size / 64 on tracking costs more than
// merging saves.
func (r *Row) ItemsPerPage() (float64, bool) {
	merged := r.MergedPages()
	if merged <= 0 || !r.KSM.Has(sysfs.KSMRmapItems) {
		return 0, false
	}
	return float64(r.KSM.RmapItems) / float64(merged), true
}

// ShortCommand returns the command line without the program's directory.
func (r *Row) ShortCommand() string {
	program, _, _ := strings.Cut(r.Command, " ")
	if !strings.HasPrefix(program, "/") {
		return r.Command
	}
	return r.Command[strings.LastIndexByte(program, '/')+1:]
}

// HasSaved reports whether Saved is known.
func (r *Row) HasSaved(s *Sample) bool {
	return s.HasUnattributed && r.KSM.Has(sysfs.KSMMergingPages)
}

// HasNet reports whether Net is known.
func (r *Row) HasNet(s *Sample) bool { return r.HasSaved(s) && r.KSM.Has(sysfs.KSMRmapItems) }

// HasProfit reports whether Profit is known. Before Linux 6.1 it is not: nobody
// knows how many pages are tracked.
func (r *Row) HasProfit() bool {
	return r.KSM.Has(sysfs.KSMProcessProfit) || r.KSM.Has(sysfs.KSMMergingPages|sysfs.KSMRmapItems)
}

// Pays reports whether tracking the process costs more than it saves.
func (r *Row) Pays() bool { return r.HasProfit() && r.Profit < 0 }
