package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"syscall"
	"time"
)

// MinPageSize and MaxPageSize are the limits of the page size of an [Image],
// in bytes.
const (
	MinPageSize = 4096
	MaxPageSize = BatchBytes
)

// Image is a file with the memory of a machine or a process, page after page,
// such as QEMU's pmemsave writes. Its holes, if the file system tells them, are
// memory that is not there: they are counted (Tally.HolePages), not read.
//
// A page that is no longer in the file when it is to be read, because the file
// has become shorter, is counted as ReasonVanished.
type Image struct {
	file     *os.File
	name     string
	pageSize int
	size     int64
}

// SizeError reports a file that does not consist of whole pages: it is not a
// raw image, is cut off, or has another page size.
type SizeError struct {
	SizeBytes int64 // of the file
	PageSize  int   // in bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%d bytes are no multiple of the page size %d: %d are left over",
		e.SizeBytes, e.PageSize, e.SizeBytes%int64(e.PageSize))
}

// OpenImage opens a raw image with pages of pageSize bytes, a power of two from
// [MinPageSize] to [MaxPageSize].
//
// Anything but a regular file is refused, and not opened: a FIFO would block,
// and to open a device can have effects. So are an empty file, and one that
// does not consist of whole pages, with a *[SizeError].
func OpenImage(path string, pageSize int) (*Image, error) {
	m := &Image{name: "file " + path, pageSize: pageSize}
	if err := m.open(path); err != nil {
		if m.file != nil {
			m.file.Close()
		}
		return nil, newError("open", m.name, err)
	}
	return m, nil
}

func (m *Image) open(path string) error {
	if m.pageSize < MinPageSize || m.pageSize > MaxPageSize || bits.OnesCount(uint(m.pageSize)) != 1 {
		return fmt.Errorf("page size %d is not a power of two from %d to %d: %w", m.pageSize, MinPageSize, MaxPageSize, fs.ErrInvalid)
	}
	info, err := os.Stat(path)
	if err == nil {
		err = regular(info)
	}
	if err != nil {
		return err
	}
	if m.file, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
		return err
	}
	if info, err = m.file.Stat(); err == nil {
		err = regular(info) // it may be another file by now
	}
	if err != nil {
		return err
	}
	switch m.size = info.Size(); {
	case m.size == 0:
		return fmt.Errorf("the file is empty: %w", fs.ErrInvalid)
	case m.size%int64(m.pageSize) != 0:
		return &SizeError{m.size, m.pageSize}
	}
	return nil
}

// regular returns an error that says what else the file is.
func regular(info fs.FileInfo) error {
	kind := ""
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return syscall.EISDIR
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	default:
		kind = "of type " + mode.Type().String()
	}
	return fmt.Errorf("not a regular file but %s: %w", kind, fs.ErrInvalid)
}

// Name returns "file " and the path as it was given.
func (m *Image) Name() string { return m.name }

// PageSize returns what OpenImage was given.
func (m *Image) PageSize() int { return m.pageSize }

// Pages returns the number of pages of the file, holes included.
func (m *Image) Pages() uint64 { return uint64(m.size) / uint64(m.pageSize) }

// Close closes the file.
func (m *Image) Close() error { return m.file.Close() }

// Spans implements [Source]. Holes are in the spans, to be counted.
func (m *Image) Spans(dst []Span) ([]Span, error) {
	for start := int64(0); start < m.size; start += SpanBytes {
		dst = append(dst, Span{Start: uint64(start), End: uint64(min(start+SpanBytes, m.size))})
	}
	return dst, nil
}

// Read implements [Source].
func (m *Image) Read(ctx context.Context, s Span, b *Buffer, each func(mem []byte, runs []Run) error) (Tally, error) {
	r := imageReader{m: m, b: b, look: func([]byte) {}, take: each}
	return r.read(ctx, s)
}

// readInPlace is Read in two steps: look reads pages, and take is told where they
// lie, without reading them again. Pieces are mapped, so that nothing is copied, or
// copied, whichever is quicker here: see ways. If pages are no longer in the file, look
// ends in the middle of them, and is called again with those that still are.
func (m *Image) readInPlace(ctx context.Context, s Span, b *Buffer, look func(mem []byte), take func(mem []byte, runs []Run) error) (Tally, error) {
	r := imageReader{m: m, b: b, look: look, take: take, inPlace: true}
	return r.read(ctx, s)
}

// imageReader reads one span.
type imageReader struct {
	m       *Image
	b       *Buffer
	look    func(mem []byte)
	take    func(mem []byte, runs []Run) error
	inPlace bool

	filled int // bytes of b.mem, of b.runs, that are to be handed out
	tally  Tally
}

func (r *imageReader) read(ctx context.Context, s Span) (Tally, error) {
	r.b.runs = r.b.runs[:0]
	for at, end := int64(s.Start), int64(s.End); at < end; {
		if err := ctx.Err(); err != nil {
			return r.tally, err
		}
		data, hole, err := r.m.extent(at, end)
		if err != nil {
			return r.tally, newError("read", r.m.name, err)
		}
		r.tally.HolePages += uint64((data - at) / int64(r.m.pageSize))
		for at = data; at < hole; {
			if !r.inPlace || hole-at < leastMapped {
				err = r.copy(at, hole)
				at = hole
			} else {
				at, err = r.piece(at, hole)
			}
			if err != nil {
				return r.tally, err
			}
		}
	}
	return r.tally, r.flush()
}

// piece reads a piece of the file, in the way that is quicker here. It returns where
// the piece ends.
func (r *imageReader) piece(at, end int64) (reached int64, err error) {
	if err := r.flush(); err != nil {
		return at, err
	}
	way := r.b.ways.next()
	end = min(end, at+pieceBatches*int64(len(r.b.mem)))
	began := time.Now()
	if way == wayMap {
		reached, err = r.mapped(at, end)
	} else {
		reached = at
	}
	if err == nil {
		err = r.copy(reached, end)
	}
	if err == nil {
		err = r.flush()
	}
	r.b.ways.took(way, end-at, time.Since(began))
	return end, err
}

// copyBytes is how much is copied at once where the copy is looked at and forgotten:
// it is still in the second-level cache then.
const copyBytes = 512 << 10

// copy reads a piece of the file into the buffer, and hands out what is there
// whenever it is full.
func (r *imageReader) copy(at, end int64) error {
	room := len(r.b.mem)
	if r.inPlace {
		room = min(room, max(copyBytes, r.m.pageSize))
	}
	for at < end {
		size := int(min(end-at, int64(room-r.filled)))
		n, err := r.m.file.ReadAt(r.b.mem[r.filled:r.filled+size], at)
		if err != nil && err != io.EOF {
			return newError("read", r.m.name, fmt.Errorf("at %d: %w", at+int64(n), cause(err)))
		}
		pages := n / r.m.pageSize
		if pages > 0 {
			r.b.runs = addRun(r.b.runs, uint64(at), pages, r.m.pageSize)
			r.filled += pages * r.m.pageSize
		}
		r.tally.Skipped[ReasonVanished] += uint64(size/r.m.pageSize - pages)
		at += int64(size)
		if r.filled == room {
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush hands out what is in the buffer.
func (r *imageReader) flush() error {
	if r.filled == 0 {
		return nil
	}
	r.tally.Pages += uint64(r.filled / r.m.pageSize)
	r.look(r.b.mem[:r.filled])
	err := r.take(r.b.mem[:r.filled], r.b.runs)
	r.b.runs, r.filled = r.b.runs[:0], 0
	return err
}

// extent returns the first stretch of at..end with data, in whole pages. It is
// empty and at the end if there is none, or begins behind the end of a file
// that has become shorter: the read notices that.
func (m *Image) extent(at, end int64) (data, hole int64, err error) {
	if seekData < 0 {
		return at, end, nil
	}
	data, err = m.file.Seek(at, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO):
		// A hole up to the end of the file, wherever that is now.
		info, err := m.file.Stat()
		if err != nil {
			return 0, 0, err
		}
		return min(max(info.Size()/int64(m.pageSize)*int64(m.pageSize), at), end), end, nil
	case errors.Is(err, syscall.EINVAL):
		return at, end, nil // the file system does not tell
	case err != nil:
		return 0, 0, err
	case data >= end:
		return end, end, nil
	}
	hole, err = m.file.Seek(data, seekHole)
	if errors.Is(err, syscall.ENXIO) {
		hole, err = end, nil // the file has become shorter between the calls
	}
	if err != nil {
		return 0, 0, err
	}
	mask := int64(m.pageSize) - 1
	return data &^ mask, min((hole+mask)&^mask, end), nil
}
