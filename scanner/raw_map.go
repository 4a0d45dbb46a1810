//go:build unix

package scanner

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// mapped hands out a piece of the file where it lies, in the page cache, and
// returns how far it came: up to end, or up to what cannot be mapped or is not in
// the file.
//
// Who reads a mapping where the file has become shorter, or where its disk fails,
// is sent SIGBUS, which here is a panic that ends looking. Only the rest of the
// last page of a shorter file reads as zeros, so its size is asked afterwards. In
// either case the caller finds out with read(2) what is there.
func (r *imageReader) mapped(at, end int64) (reached int64, err error) {
	mem, err := unix.Mmap(int(r.m.file.Fd()), at, int(end-at), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return at, nil // not every file system can
	}
	defer unix.Munmap(mem)
	for len(mem) > 0 {
		part := mem[:min(len(mem), len(r.b.mem))]
		if !r.lookAt(part) {
			break
		}
		info, err := r.m.file.Stat()
		if err != nil {
			return at, newError("read", r.m.name, err)
		}
		if info.Size() < at+int64(len(part)) {
			break
		}
		pages := len(part) / r.m.pageSize
		r.tally.Pages += uint64(pages)
		r.b.runs = append(r.b.runs[:0], Run{uint64(at), pages})
		err = r.take(part, r.b.runs)
		r.b.runs = r.b.runs[:0]
		if err != nil {
			return at, err
		}
		mem = mem[len(part):]
		at += int64(len(part))
	}
	return at, nil
}

// lookAt calls look, and reports whether all of mem could be read.
func (r *imageReader) lookAt(mem []byte) (whole bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil && !isFault(v, mem) {
			panic(v)
		}
	}()
	r.look(mem)
	return true
}

// isFault reports whether a panic is that of an access to mem.
func isFault(v any, mem []byte) bool {
	e, ok := v.(interface{ Addr() uintptr })
	return ok && uint64(e.Addr())-address(mem) < uint64(len(mem))
}
