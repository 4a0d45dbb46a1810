package sysfs

import (
	"bytes"
	"errors"
	"math"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// Process is one process and its part in KSM.
type Process struct {
	PID   int
	PPID  int
	Start uint64 // when it began, in ticks of 1/100 s since boot; with PID it names one process for ever
	UID   uint32 // effective user
	Comm  string // as the process set it: hostile, clean it before showing it
	RSS   Pages  // resident memory; the kernel counts by CPU and is off by tens of pages for each

	KSM ProcessStat
}

// ProcessStat is one process's /proc/PID/ksm_stat, with ksm_merging_pages
// from the file of that name where ksm_stat lacks it. A field that is not in
// Present has no value.
type ProcessStat struct {
	// RmapItems is the number of pages of the process that ksmd tracks, 64
	// bytes of metadata each. Since Linux 6.1. After a fork, kernels before
	// 6.17 start with the parent's number.
	RmapItems uint64

	// ZeroPages is the number of zero pages that KSM put in place of pages of
	// the process; it moves at once. Since Linux 6.6.
	ZeroPages SignedPages

	// MergingPages is the number of pages of the process that are mapped to KSM
	// pages, as of ksmd's last visit. Since Linux 5.19.
	MergingPages Pages

	// Profit is the kernel's (MergingPages + ZeroPages) * page size - RmapItems
	// * 64 in bytes. It counts every sharer in full, so that it sums to more than
	// the machine saves. Since Linux 6.4.
	Profit int64

	// MergeAny reports whether all memory of the process is mergeable, by
	// prctl(PR_SET_MEMORY_MERGE). Since Linux 6.14.
	MergeAny bool

	// Mergeable reports whether any area of the process is mergeable.
	// Since Linux 6.14.
	Mergeable bool

	Present ProcessFields
}

// ProcessFields is a set of the values of a ProcessStat.
type ProcessFields uint8

// The members of ProcessFields, by the kernel's names.
const (
	KSMRmapItems     ProcessFields = 1 << iota // ksm_rmap_items
	KSMZeroPagesOf                             // ksm_zero_pages
	KSMMergingPages                            // ksm_merging_pages
	KSMProcessProfit                           // ksm_process_profit
	KSMMergeAny                                // ksm_merge_any
	KSMMergeable                               // ksm_mergeable
)

// Has reports whether s holds all of fields.
func (s *ProcessStat) Has(fields ProcessFields) bool { return s.Present&fields == fields }

// Registered reports whether the process takes part in KSM: memory of it is
// mergeable, tracked or merged.
func (s *ProcessStat) Registered() bool {
	return s.RmapItems != 0 || s.MergingPages != 0 || s.ZeroPages != 0 || s.MergeAny || s.Mergeable
}

// MetadataBytes returns what the kernel spends on tracking the process's pages:
// ItemBytes for each.
func (s *ProcessStat) MetadataBytes() int64 {
	return int64(min(s.RmapItems, math.MaxInt64/2/ItemBytes)) * ItemBytes
}

// Mode says how memory became mergeable: "all" by prctl, "vma" by madvise,
// "none" not at all. It is false where the kernel does not tell, before 6.14.
func (s *ProcessStat) Mode() (string, bool) {
	switch {
	case !s.Has(KSMMergeAny | KSMMergeable):
		return "", false
	case s.MergeAny:
		return "all", true
	case s.Mergeable:
		return "vma", true
	}
	return "none", true
}

var errWord = errors.New("must be yes or no")

var errNoFields = errors.New("has no line that is known")

// parse stores the content of a ksm_stat. Lines of later kernels are skipped,
// and a bad line does not keep the others from being stored.
func (s *ProcessStat) parse(text []byte) error {
	*s = ProcessStat{}
	var failed error
	procfs.Lines(text, func(key, value []byte) bool {
		var field ProcessFields
		var err error
		switch string(key) {
		case "ksm_rmap_items":
			field = KSMRmapItems
			s.RmapItems, err = parseUnsigned(value, 1<<64-1)
		case "ksm_zero_pages":
			field = KSMZeroPagesOf
			err = signedPages(value, &s.ZeroPages)
		case "ksm_merging_pages":
			field = KSMMergingPages
			err = s.parseMerging(value)
		case "ksm_process_profit":
			field = KSMProcessProfit
			s.Profit, err = parseSigned(value)
		case "ksm_merge_any":
			field = KSMMergeAny
			s.MergeAny, err = yesNo(value)
		case "ksm_mergeable":
			field = KSMMergeable
			s.Mergeable, err = yesNo(value)
		}
		if err == nil {
			s.Present |= field
		} else if failed == nil {
			failed = err
		}
		return true
	})
	if s.Present == 0 && failed == nil {
		return valueError(text, errNoFields)
	}
	return failed
}

// parseMerging stores the content of a ksm_merging_pages.
func (s *ProcessStat) parseMerging(text []byte) error {
	n, err := parseUnsigned(text, 1<<64-1)
	if err == nil {
		s.MergingPages = Pages(n)
		s.Present |= KSMMergingPages
	}
	return err
}

func signedPages(text []byte, to *SignedPages) error {
	n, err := parseSigned(text)
	*to = SignedPages(n)
	return err
}

func yesNo(text []byte) (bool, error) {
	switch {
	case bytes.Equal(text, []byte("yes")):
		return true, nil
	case bytes.Equal(text, []byte("no")):
		return false, nil
	}
	return false, valueError(text, errWord)
}
