package madvise

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mergeable permits ksmd to merge the pages of b with equal ones, and checks
// that the kernel took it up. b must start on a page boundary, and so comes
// from mmap(2), not from make; if it ends within a page, that whole page is
// included. An empty b is no error and nothing is done. Marking twice is the
// same as once.
//
// Only private mappings can be merged, of memory or of files, and in them only
// pages that the process has written to. Areas of b that can not be merged are
// reported as an [IneligibleError]; the others are marked then. If b has parts
// that are not mapped the error wraps ENOMEM; the others are marked but not
// checked. If the check itself is not possible the error wraps
// [ErrUnverified].
//
// Marks are inherited by fork(2) and lost by execve(2).
//
// The check reads /proc/self/smaps up to the end of b, for which the kernel
// visits every page the process has in memory below that address: tens of
// milliseconds for each GiB. Mark one large region rather than many small ones.
func Mergeable(b []byte) error {
	const op = "mark mergeable"
	if len(b) == 0 {
		return nil
	}
	if err := advise(b, unix.MADV_MERGEABLE); err != nil {
		return &Error{op, err}
	}
	start := address(b)
	areas, err := unmarked(start, start+roundUp(uintptr(len(b))))
	if err != nil {
		return &Error{op, fmt.Errorf("%w: %w", ErrUnverified, err)}
	}
	if len(areas) > 0 {
		return &Error{op, &IneligibleError{areas}}
	}
	return nil
}

// Unmergeable forbids ksmd to merge the pages of b and gives every page that
// was merged its own copy again, at once: memory use grows by as much. It also
// undoes [SetMemoryMerge] for b. The demands on b are those of [Mergeable];
// areas that were never marked are no error.
func Unmergeable(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := advise(b, unix.MADV_UNMERGEABLE); err != nil {
		return &Error{"mark unmergeable", err}
	}
	return nil
}

// advise calls madvise(2), which for these two advices needs no more than an
// aligned start, and explains its errors. b is not empty.
func advise(b []byte, advice int) error {
	if start, size := address(b), uintptr(os.Getpagesize()); start%size != 0 {
		return fmt.Errorf("address %#x is not a multiple of the page size %d: %w", start, size, unix.EINVAL)
	}
	switch err := unix.Madvise(b, advice); err {
	case unix.EINVAL, unix.ENOSYS:
		return needs("2.6.32")
	case unix.ENOMEM:
		return fmt.Errorf("a part of the memory is not mapped, the rest is done: %w", err)
	case unix.EAGAIN:
		return fmt.Errorf("out of kernel memory, or of areas (sysctl vm.max_map_count): %w", err)
	case unix.EINTR:
		return fmt.Errorf("stopped by a signal, can be repeated: %w", err)
	default:
		return err
	}
}

// needs returns the ErrNotSupported of a feature that came with the version.
func needs(version string) error {
	return fmt.Errorf("%w (needs Linux %s or later, built with CONFIG_KSM)", ErrNotSupported, version)
}

// address returns where b starts.
func address(b []byte) uintptr {
	// The pointer becomes a number that is compared and printed, never a
	// pointer again.
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}

// roundUp rounds a size in bytes up to whole pages.
func roundUp(sizeBytes uintptr) uintptr {
	size := uintptr(os.Getpagesize())
	return (sizeBytes + size - 1) / size * size
}

// Region is memory outside the Go heap that ksmd may merge. Its methods may be
// called concurrently. Regions come from [NewRegion]; the zero value is one
// that was freed.
type Region struct {
	mu  sync.Mutex
	mem []byte // nil after Free
}

// NewRegion allocates sizeBytes of zeroed private memory, at least 1 and
// rounded up to whole pages, and marks it mergeable. Nothing frees it but
// [Region.Free].
func NewRegion(sizeBytes int) (*Region, error) {
	const op = "allocate region"
	if sizeBytes <= 0 || sizeBytes > math.MaxInt-os.Getpagesize() {
		return nil, &Error{op, fmt.Errorf("size %d: %w", sizeBytes, unix.EINVAL)}
	}
	mem, err := unix.Mmap(-1, 0, int(roundUp(uintptr(sizeBytes))),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, &Error{op, err}
	}
	// Private anonymous memory is always eligible, so Mergeable's check is
	// not needed.
	if err := advise(mem, unix.MADV_MERGEABLE); err != nil {
		return nil, &Error{op, errors.Join(err, unix.Munmap(mem))}
	}
	return &Region{mem: mem}, nil
}

// Bytes returns the memory, a whole number of pages, or nil after
// [Region.Free]. It must not be touched after Free: the address is no longer
// mapped, or belongs to something else.
func (r *Region) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mem
}

// Free gives the memory back to the system. Further calls do nothing.
func (r *Region) Free() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return nil
	}
	if err := unix.Munmap(r.mem); err != nil {
		return &Error{"free region", err}
	}
	r.mem = nil
	return nil
}
