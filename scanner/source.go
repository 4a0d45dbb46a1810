package scanner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// SpanBytes is the largest size of a [Span].
const SpanBytes = 32 << 20

// BatchBytes is the most memory that a [Source] hands out at once. It fits in
// the caches next to what the reader does with it, and it is large enough that
// the cost of a system call is spread thin.
const BatchBytes = 2 << 20

// Source is memory that can be scanned. Several goroutines may call Read at
// the same time, each with a Buffer of its own.
type Source interface {
	// Name says what is read, for people: "pid 123", "file x.raw". It can
	// hold a path, and so any characters.
	Name() string

	// PageSize is the size of a page in bytes: a power of two, at most
	// [MaxPageSize].
	PageSize() int

	// Pages estimates how many pages Read will hand out for all spans.
	Pages() uint64

	// Spans appends the pieces of work there are now to dst, in ascending
	// order. Memory that is not there is in no span, as far as that is known
	// at little cost.
	Spans(dst []Span) ([]Span, error)

	// Read hands the pages of s that are present to each, in ascending order,
	// at most [BatchBytes] at a time; a page's size divides len(mem), and runs
	// say where the pages in mem lie. Neither may be kept. Read stops when each
	// returns an error, and returns that.
	//
	// Tally says what became of all pages of s, or, with an error, of those
	// up to there. After [ErrGone] the source has no more to give.
	Read(ctx context.Context, s Span, b *Buffer, each func(mem []byte, runs []Run) error) (Tally, error)

	// Close frees what the source holds. No Read may be under way.
	Close() error
}

// Span is a piece of work of one [Source]: addresses or file offsets from
// Start up to End, multiples of the page size, at most [SpanBytes] apart.
type Span struct {
	Start, End uint64
	part       int // what of the source it belongs to, as the source counts
}

// Run is a number of neighbouring pages. Start is the address or the file
// offset of the first.
type Run struct {
	Start uint64
	Pages int
}

// Tally counts pages by what became of them.
type Tally struct {
	// Pages is the number of pages handed out.
	Pages uint64

	// ZeroPages is the number of mappings of the kernel's zero page, in areas
	// that are scanned: memory that was only ever read, or that KSM replaced
	// (use_zero_pages). They take no memory and are not handed out. Where
	// [Process.ZeroPagesKnown] is false they are among Pages.
	ZeroPages uint64

	// SwappedPages is the number of pages swapped out, in areas that are
	// scanned. Pages that the kernel is moving at that moment count as such.
	SwappedPages uint64

	// HolePages is the number of pages of an image that lie in its holes.
	// They are not read, and are not zero pages: like memory never touched,
	// they are not there.
	HolePages uint64

	// Skipped is the number of further pages present in memory, by the reason
	// for which they were not handed out. It counts pages, not the size of
	// areas.
	Skipped [NumReasons]uint64
}

// Add adds o to t.
func (t *Tally) Add(o Tally) {
	t.Pages += o.Pages
	t.ZeroPages += o.ZeroPages
	t.SwappedPages += o.SwappedPages
	t.HolePages += o.HolePages
	for r, n := range o.Skipped {
		t.Skipped[r] += n
	}
}

// Reason says why pages that are present are not handed out.
type Reason uint8

// The reasons. Up to ReasonNotMarked they are those for which ksmd leaves the
// pages alone.
const (
	// ReasonShared is a shared mapping, or one that may be shared.
	ReasonShared Reason = iota

	// ReasonFile is a page of a private file mapping that the process has not
	// written to: it belongs to the page cache.
	ReasonFile

	// ReasonHugetlb is a hugetlb page.
	ReasonHugetlb

	// ReasonSpecial is I/O memory, page frames without struct page, or a
	// mapping that the kernel keeps at its size, such as the vdso.
	ReasonSpecial

	// ReasonDroppable is memory of MAP_DROPPABLE, since Linux 6.11.
	ReasonDroppable

	// ReasonNotMarked is memory that could be merged, and is not marked for it
	// where only marked memory was asked for.
	ReasonNotMarked

	// ReasonVanished is a page that was there and could not be read a moment
	// later: unmapped, protected or cut off the file.
	ReasonVanished

	// ReasonUnreadable is a page of an area without read permission that could
	// not be read through /proc/PID/mem either.
	ReasonUnreadable

	// NumReasons is the number of reasons.
	NumReasons
)

// String returns the name under which s is reported, such as "not_marked".
func (r Reason) String() string {
	return [...]string{"shared", "file", "hugetlb", "special", "droppable", "not_marked", "vanished", "unreadable"}[r]
}

// Error records a failed operation on one source. Err is the cause: a
// syscall.Errno, [ErrNoProcess], [ErrGone], [ErrNotSupported], a
// *[RefusedError] or a *[SizeError].
type Error struct {
	Op   string // "open", "list" or "read"
	Name string // of the source, as [Source] gives it
	Err  error
}

func (e *Error) Error() string { return e.Op + " " + e.Name + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// newError returns an Error without the path in err, which the name says.
func newError(op, name string, err error) error {
	return &Error{Op: op, Name: name, Err: cause(err)}
}

func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// ErrNotSupported reports that the system cannot do it: live processes are
// read on Linux only, and only with /proc and CONFIG_PROC_PAGE_MONITOR.
var ErrNotSupported = fmt.Errorf("not supported by this system: %w", errors.ErrUnsupported)

// ErrNoProcess reports that there is no process of that number. It is
// fs.ErrNotExist.
var ErrNoProcess error = &condition{"no such process", fs.ErrNotExist}

// ErrGone reports that a process has exited, or has replaced its memory
// (execve), since it was opened. It is syscall.ESRCH.
var ErrGone error = &condition{"the process has exited or has started another program", syscall.ESRCH}

// condition is an error with better words for what it is.
type condition struct {
	text string
	is   error
}

func (c *condition) Error() string        { return c.text }
func (c *condition) Is(target error) bool { return target == c.is }

// RefusedError reports that the kernel lets the caller not read a process.
// It is fs.ErrPermission.
type RefusedError struct {
	// Capability is what would permit it, "CAP_SYS_PTRACE", or empty if the
	// caller has that: then the process is protected by a security module,
	// belongs to another user namespace, or Yama forbids it.
	Capability string

	// Yama is the setting kernel.yama.ptrace_scope where it can be the cause,
	// as it is from 1 on, or else 0. 3 forbids it to everybody.
	Yama int

	Err error // the syscall.Errno
}

func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	switch {
	case e.Yama >= 3:
		fmt.Fprintf(&b, " (kernel.yama.ptrace_scope is %d: nobody may, until the next boot)", e.Yama)
	case e.Capability == "":
		b.WriteString(" (despite CAP_SYS_PTRACE: a security module or another user namespace protects the process)")
	case e.Yama > 0:
		fmt.Fprintf(&b, " (needs %s, since kernel.yama.ptrace_scope is %d)", e.Capability, e.Yama)
	default:
		fmt.Fprintf(&b, " (needs %s)", e.Capability)
	}
	return b.String()
}

func (e *RefusedError) Unwrap() error { return e.Err }
