package scanner

import (
	"encoding/binary"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Which pages are there is asked before any is read: to read a page that was
// never touched maps a zero page and costs page tables, and to read one that
// is swapped out brings it back.
//
// Since Linux 6.7 the ioctl PAGEMAP_SCAN on /proc/PID/pagemap lists stretches
// of pages in the same state. It passes holes of any size at once and tells the
// zero page. Before, pagemap has 8 bytes for each page, present or not, and the
// zero page looks like others.

// The states of a page: PAGE_IS_* of include/uapi/linux/fs.h.
const (
	pageFile    = 1 << 2 // of the page cache; costs a look at each page
	pagePresent = 1 << 3
	pageSwapped = 1 << 4 // or moving, or a guard
	pageZero    = 1 << 5 // the kernel's zero page
	pageHuge    = 1 << 6 // mapped as part of a huge page
	pageGuard   = 1 << 8 // MADV_GUARD_INSTALL; since Linux 6.16
)

// region is a stretch of pages in the same state: struct page_region.
type region struct {
	start, end uint64
	state      uint64
}

// pmScanArg is struct pm_scan_arg.
type pmScanArg struct {
	size, flags       uint64
	start, end        uint64
	walkEnd           uint64
	vec, vecLen       uint64
	maxPages          uint64
	categoryInverted  uint64
	categoryMask      uint64
	categoryAnyofMask uint64
	returnMask        uint64
}

// pagemapScan is PAGEMAP_SCAN: _IOWR('f', 16, struct pm_scan_arg).
const pagemapScan = 3<<30 | unsafe.Sizeof(pmScanArg{})<<16 | 'f'<<8 | 16

// liveBuffer is the part of a Buffer that asks for and reads the memory of
// processes.
type liveBuffer struct {
	arg     pmScanArg
	regions [512]region
	entries [4096 * entryBytes]byte // of pagemap

	stat [1024]byte

	want        []Run  // pages to read next, at most maxRuns of them
	alone       []bool // for each of them, whether only this process maps it
	wantMemory  [maxRuns]Run
	aloneMemory [maxRuns]bool
	local       [1]unix.Iovec
	remote      [maxRuns]unix.RemoteIovec
}

// liveBuffers are those that nobody uses. To open a process takes one for a moment.
var liveBuffers = sync.Pool{New: func() any { return new(liveBuffer) }}

func borrow() *liveBuffer    { return liveBuffers.Get().(*liveBuffer) }
func giveBack(b *liveBuffer) { liveBuffers.Put(b) }

// pagemap is an open /proc/PID/pagemap. It belongs to the memory that the
// process had when it was opened, and shows nothing once that is gone.
type pagemap struct {
	fd       int
	pageSize uint64
	scan     bool   // PAGEMAP_SCAN works
	known    uint64 // pageGuard, if it tells that
}

// probe finds out what the kernel can tell.
func (m *pagemap) probe(b *liveBuffer) {
	for _, m.known = range []uint64{pageGuard, 0} {
		if _, err := m.ioctl(0, 0, 0, 0, b.regions[:], b); err == nil {
			m.scan = true
			return
		}
	}
}

// ioctl stores in vec what is present or swapped out in start..end, in the
// states present, swapped and zero, and those of also. It stops when vec is
// full or when it has found maxPages, if that is not 0.
//
// It does not return how far it came: in Linux 6.18 and before, walk_end can
// lie before regions already stored if vec has more than 512.
func (m *pagemap) ioctl(start, end, also, maxPages uint64, vec []region, b *liveBuffer) (int, error) {
	b.arg = pmScanArg{
		size:  uint64(unsafe.Sizeof(b.arg)),
		start: start,
		end:   end,
		// vec is part of a Buffer, which is on the heap and does not move.
		vec:               uint64(uintptr(unsafe.Pointer(unsafe.SliceData(vec)))),
		vecLen:            uint64(len(vec)),
		maxPages:          maxPages,
		categoryAnyofMask: pagePresent | pageSwapped,
		returnMask:        pagePresent | pageSwapped | pageZero | m.known | also,
	}
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m.fd), pagemapScan, uintptr(unsafe.Pointer(&b.arg)))
	runtime.KeepAlive(b)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// next stores regions of start..end in vec, in ascending order, and returns
// how many and the address at which to go on.
func (m *pagemap) next(start, end, also uint64, vec []region, b *liveBuffer) (n int, at uint64, err error) {
	if !m.scan {
		return m.nextEntries(start, end, also, vec, b)
	}
	if n, err = m.ioctl(start, end, also, 0, vec, b); err != nil {
		return 0, start, err
	}
	if n < len(vec) {
		return n, end, nil
	}
	return n, vec[n-1].end, nil
}

// entryBytes is the size of an entry of pagemap, and the bits are those of
// Documentation/admin-guide/mm/pagemap.rst.
const (
	entryBytes   = 8
	entryAlone   = 1 << 56 // no other mapping
	entryGuard   = 1 << 58 // since Linux 6.15
	entryFile    = 1 << 61
	entrySwapped = 1 << 62
	entryPresent = 1 << 63
)

// nextEntries is next for kernels before 6.7.
func (m *pagemap) nextEntries(start, end, also uint64, vec []region, b *liveBuffer) (n int, at uint64, err error) {
	count := min((end-start)/m.pageSize, uint64(len(b.entries)/entryBytes))
	size, err := unix.Pread(m.fd, b.entries[:count*entryBytes], int64(start/m.pageSize*entryBytes))
	if err != nil {
		return 0, start, err
	}
	if size < entryBytes {
		return 0, end, nil // the memory is gone
	}
	at = start
	for entries := b.entries[:size/entryBytes*entryBytes]; len(entries) > 0; entries = entries[entryBytes:] {
		var state uint64
		switch e := binary.NativeEndian.Uint64(entries); {
		case e&entryPresent != 0 && e&entryFile != 0:
			state = pagePresent | pageFile&also
		case e&entryPresent != 0:
			state = pagePresent
		case e&entryGuard != 0:
			state = pageSwapped | pageGuard
		case e&entrySwapped != 0:
			state = pageSwapped
		}
		switch {
		case state == 0:
		case n > 0 && vec[n-1].end == at && vec[n-1].state == state:
			vec[n-1].end += m.pageSize
		case n == len(vec):
			return n, at, nil
		default:
			vec[n] = region{at, at + m.pageSize, state}
			n++
		}
		at += m.pageSize
	}
	return n, at, nil
}

// find returns the first address in start..end where a page is present or
// swapped out, or end. Without PAGEMAP_SCAN it does not look.
func (m *pagemap) find(start, end uint64, b *liveBuffer) (uint64, error) {
	if !m.scan {
		return start, nil
	}
	n, err := m.ioctl(start, end, 0, 1, b.regions[:1], b)
	if err != nil || n == 0 {
		return end, err
	}
	return b.regions[0].start, nil
}
