package madvise

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotSupported reports that the running kernel lacks a feature, because it
// is too old or was built without CONFIG_KSM. The text of the error that wraps
// it names the Linux version that has the feature.
var ErrNotSupported = fmt.Errorf("not supported by this kernel: %w", errors.ErrUnsupported)

// ErrUnverified reports that memory was marked, but that the kernel's list of
// areas could not be read (no /proc, for example), so that it is not known
// whether the kernel ignored some of it.
var ErrUnverified = errors.New("marked, but not verified")

// Error records a failed operation. Err is the cause and wraps a
// syscall.Errno, [ErrNotSupported], [ErrUnverified] or an [IneligibleError]
// where there is one.
type Error struct {
	Op  string // such as "mark mergeable"
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// IneligibleError reports areas that can not be merged: the kernel accepts the
// request and silently does nothing for them. The rest of the range is marked.
type IneligibleError struct {
	Areas []Area // in ascending order of address, never empty
}

func (e *IneligibleError) Error() string {
	const shown = 3
	var b strings.Builder
	b.WriteString("can not be merged: ")
	for i, a := range e.Areas {
		if i == shown {
			fmt.Fprintf(&b, ", and %d more", len(e.Areas)-shown)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%#x-%#x (%s)", a.Start, a.End, a.Reason)
	}
	return b.String()
}

// Area is a part of one mapping, from address Start up to but not including
// End; both are multiples of the page size.
type Area struct {
	Start, End uintptr
	Reason     Reason
}

// Reason says in words why the kernel does not merge an area. Where several
// hold, the first in the order of the constants is given.
type Reason string

// The reasons of mm/ksm.c, as far as /proc/PID/smaps shows them.
const (
	ReasonHugetlb   Reason = "hugetlb pages"
	ReasonDroppable Reason = "droppable memory"
	ReasonIO        Reason = "I/O memory"
	ReasonPFN       Reason = "page frames without struct page"
	ReasonMixed     Reason = "mixed map of pages and page frames"
	ReasonShared    Reason = "shared mapping"
	ReasonFixedSize Reason = "mapping that may not grow, such as the vdso"

	// ReasonUnknown is a mapping that smaps shows as ordinary and that the
	// kernel did not mark all the same: of a DAX file, for example.
	ReasonUnknown Reason = "the kernel did not mark it"
)
