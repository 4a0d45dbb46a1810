package sim

import (
	"context"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Backend is where a page script runs: a Machine, or the real kernel. Run calls
// it only with what the language allows and with names that exist.
//
// An error ends the script. A knob that the kernel refuses to change is an error
// that is syscall.EBUSY.
type Backend interface {
	// Set writes a knob. Set(sysfs.Run, 2) unmerges everything.
	Set(ctx context.Context, knob sysfs.Field, value uint64) error

	// Spawn starts a process without areas, Fork a copy of parent, and Exit ends
	// one and waits until its memory is gone.
	Spawn(ctx context.Context, process string) error
	Fork(ctx context.Context, parent, child string) error
	Exit(ctx context.Context, process string) error

	// Map adds an area above all others of the process: private, anonymous,
	// untouched, without huge pages.
	Map(ctx context.Context, process, area string, pages int) error

	// Unmap and the following act on pages pages from page first of an area,
	// none of which is unmapped.
	Unmap(ctx context.Context, process, area string, first, pages int) error

	// Write gives page first+k the content content + k*step, ascending.
	// step is 0 or 1.
	Write(ctx context.Context, process, area string, first, pages int, content, step uint64) error
	Read(ctx context.Context, process, area string, first, pages int) error
	DontNeed(ctx context.Context, process, area string, first, pages int) error
	Mergeable(ctx context.Context, process, area string, first, pages int) error
	Unmergeable(ctx context.Context, process, area string, first, pages int) error

	// Scan runs batches until full_scans has grown by n, Batch runs n batches.
	// Both end early when there is nothing to do: run is not 1, no process is
	// registered, or pages_to_scan is 0.
	Scan(ctx context.Context, n int) error
	Batch(ctx context.Context, n int) error

	// Counters returns the counters of the whole; PagesScanned and PagesSkipped
	// count from the start of the script. ProcessStat returns those of a process.
	Counters(ctx context.Context) (sysfs.Counters, error)
	ProcessStat(ctx context.Context, process string) (sysfs.ProcessStat, error)

	// Close ends all processes and puts everything back as it was.
	Close() error
}
