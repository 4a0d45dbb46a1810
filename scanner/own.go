package scanner

import (
	"fmt"
	"io/fs"
	"os"
	"unsafe"
)

// OpenOwn returns memory of the calling process, such as an area from mmap(2).
// It is read in place, without a copy, but for parts without read permission.
// Each piece consists of whole pages, and must stay mapped until the source is
// closed. Pieces that overlap are read as often.
//
// Only pages that are there are looked at: memory that was never touched stays
// so. (On systems other than Linux, all pages are read.)
//
// For all memory of the calling process, open it with [OpenProcess]: then what
// the program unmaps meanwhile is counted as vanished, where in place it would
// be a crash.
func OpenOwn(mem ...[]byte) (*Own, error) {
	o := &Own{mem: mem, pageSize: os.Getpagesize()}
	err := o.check()
	if err == nil {
		err = o.open()
	}
	if err != nil {
		return nil, newError("open", o.Name(), err)
	}
	return o, nil
}

func (o *Own) check() error {
	for _, mem := range o.mem {
		if start := address(mem); start%uint64(o.pageSize) != 0 {
			return fmt.Errorf("address %#x is not a multiple of the page size %d: %w", start, o.pageSize, fs.ErrInvalid)
		}
		if len(mem)%o.pageSize != 0 {
			return &SizeError{int64(len(mem)), o.pageSize}
		}
		o.pages += uint64(len(mem) / o.pageSize)
	}
	return nil
}

// address returns where mem starts.
func address(mem []byte) uint64 {
	// The pointer becomes a number that is compared with those of /proc, never
	// a pointer again.
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem))))
}

// Name returns "own memory".
func (o *Own) Name() string { return "own memory" }

// PageSize is the machine's.
func (o *Own) PageSize() int { return o.pageSize }

// Pages returns the number of pages of the memory, there or not.
func (o *Own) Pages() uint64 { return o.pages }

// inPlace hands out the pages of mem, which begins at the address start.
func inPlace(mem []byte, start uint64, pageSize int, b *Buffer, t *Tally, each func(mem []byte, runs []Run) error) error {
	for len(mem) > 0 {
		part := mem[:min(len(mem), len(b.mem))]
		t.Pages += uint64(len(part) / pageSize)
		b.runs = append(b.runs[:0], Run{start, len(part) / pageSize})
		if err := each(part, b.runs); err != nil {
			return err
		}
		mem = mem[len(part):]
		start += uint64(len(part))
	}
	return nil
}
