//go:build unix

package scanner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestOpenImageErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", 8192)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(fifo, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		pageSize   int
		want       error
		text       string
	}{
		{"missing", filepath.Join(dir, "missing"), 4096, fs.ErrNotExist, "no such file or directory"},
		{"directory", dir, 4096, syscall.EISDIR, "is a directory"},
		{"FIFO", fifo, 4096, fs.ErrInvalid, "not a regular file but a FIFO: invalid argument"},
		{"link to FIFO", link, 4096, fs.ErrInvalid, "not a regular file but a FIFO: invalid argument"},
		{"device", os.DevNull, 4096, fs.ErrInvalid, "not a regular file but a device: invalid argument"},
		{"empty", write("empty", 0), 4096, fs.ErrInvalid, "the file is empty: invalid argument"},
		{"one byte", write("one", 1), 4096, nil, "1 bytes are no multiple of the page size 4096: 1 are left over"},
		{"cut off", write("cut", 10000), 4096, nil, "10000 bytes are no multiple of the page size 4096: 1808 are left over"},
		{"other page size", good, 16384, nil, "8192 bytes are no multiple of the page size 16384: 8192 are left over"},
		{"no page size", good, 0, fs.ErrInvalid, "page size 0 is not a power of two from 4096 to 2097152: invalid argument"},
		{"negative", good, -4096, fs.ErrInvalid, "page size -4096 is not a power of two from 4096 to 2097152: invalid argument"},
		{"too small", good, 2048, fs.ErrInvalid, "page size 2048 is not a power of two from 4096 to 2097152: invalid argument"},
		{"too large", good, 4 << 20, fs.ErrInvalid, "page size 4194304 is not a power of two from 4096 to 2097152: invalid argument"},
		{"no power of two", good, 12288, fs.ErrInvalid, "page size 12288 is not a power of two from 4096 to 2097152: invalid argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := OpenImage(tt.path, tt.pageSize)
			if err == nil {
				t.Fatal("no error")
			}
			if _, ok := errors.AsType[*SizeError](err); ok != (tt.want == nil) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error = %#v, want %v", err, tt.want)
			}
			if want := "open file " + tt.path + ": " + tt.text; err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
}

// TestLargePages reads pages of which one begins with a hole, one ends with
// one, and one is one.
func TestLargePages(t *testing.T) {
	const pageSize = 64 << 10
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{0, 2*pageSize - 1, 4 * pageSize, 5*pageSize - 1} {
		if _, err := f.WriteAt([]byte{1}, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(7 * pageSize); err != nil {
		t.Fatal(err)
	}
	m, err := OpenImage(path, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	spans, err := m.Spans(nil)
	if err != nil || len(spans) != 1 || m.Pages() != 7 {
		t.Fatalf("spans %+v, %v, pages %d", spans, err, m.Pages())
	}
	var runs []Run
	ones := 0
	tally, err := m.Read(t.Context(), spans[0], NewBuffer(), func(mem []byte, r []Run) error {
		runs = append(runs, r...)
		for _, b := range mem {
			ones += int(b)
		}
		return nil
	})
	want := []Run{{0, 2}, {4 * pageSize, 1}}
	if err != nil || !slices.Equal(runs, want) || ones != 4 || tally.Pages != 3 || tally.HolePages != 4 {
		t.Errorf("runs %+v with %d bytes set, %+v, %v, want %+v with 4", runs, ones, tally, err, want)
	}
}

// TestShrinkingImage cuts an image off while it is read, after the first batch.
func TestShrinkingImage(t *testing.T) {
	const pages = 3 * BatchBytes / 4096
	for _, tt := range shrinkings {
		t.Run(tt.name, func(t *testing.T) {
			m, path := imageToShrink(t, pages, tt.holes)
			tally, err := m.Read(t.Context(), Span{End: pages * 4096}, NewBuffer(), func(mem []byte, _ []Run) error {
				if i := slices.Index(mem, 0); i >= 0 {
					t.Errorf("byte %d was not in the file", i)
				}
				return os.Truncate(path, tt.sizeBytes)
			})
			want := tt.want
			want.Skipped[ReasonVanished] = pages - want.Pages - want.HolePages
			if err != nil || tally != want {
				t.Errorf("tally = %+v, %v, want %+v", tally, err, want)
			}
		})
	}
}

var shrinkings = []struct {
	name      string
	holes     bool
	sizeBytes int64 // after the first batch
	want      Tally
}{
	{name: "to nothing", want: Tally{Pages: 512}},
	{name: "to the part read", sizeBytes: BatchBytes, want: Tally{Pages: 512}},
	{name: "by a page", sizeBytes: 3*BatchBytes - 4096, want: Tally{Pages: 3*512 - 1}},
	{name: "within a page", sizeBytes: BatchBytes + 5*4096 + 1, want: Tally{Pages: 517}},
	{name: "holes, to nothing", holes: true, want: Tally{Pages: 512}},
	{name: "holes, within a hole", holes: true, sizeBytes: BatchBytes + 5*4096 + 1, want: Tally{Pages: 512, HolePages: 5}},
}

// imageToShrink makes an image of ones, or with nothing behind its first batch.
func imageToShrink(t *testing.T, pages int, holes bool) (*Image, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	data := bytes.Repeat([]byte{1}, pages*4096)
	if holes {
		data = data[:BatchBytes]
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(pages)*4096); err != nil {
		t.Fatal(err)
	}
	m, err := OpenImage(path, 4096)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, path
}

// alwaysMap is for a buffer into which nothing is copied that can be mapped.
var alwaysMap = ways{nsPerByte: [numWays]float64{wayMap: 1, wayCopy: math.MaxFloat64}, untilTry: math.MaxInt}

// TestShrinkingInPlace does the same where pages are looked at in the page cache:
// once before a batch is looked at, so that the processor faults, and once after
// all of it has been, so that only the file's size tells.
func TestShrinkingInPlace(t *testing.T) {
	const pages = 3 * BatchBytes / 4096
	for _, tt := range shrinkings {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/before=%t", tt.name, before), func(t *testing.T) {
				m, path := imageToShrink(t, pages, tt.holes)
				looks, sum := 0, 0
				var seen []byte
				shrink := func() {
					if looks++; looks == 2 {
						if err := os.Truncate(path, tt.sizeBytes); err != nil {
							t.Fatal(err)
						}
					}
				}
				look := func(mem []byte) {
					if before {
						shrink()
					}
					seen = append(seen[:0], mem...)
					if !before {
						shrink()
					}
				}
				b := NewBuffer()
				b.ways = alwaysMap
				tally, err := m.readInPlace(t.Context(), Span{End: pages * 4096}, b, look, func(mem []byte, runs []Run) error {
					if len(seen) != len(mem) || len(runs) != 1 || runs[0].Pages*4096 != len(mem) {
						t.Errorf("%d bytes taken of %d that were looked at, %v", len(mem), len(seen), runs)
					}
					if i := slices.Index(seen, 0); i >= 0 {
						t.Errorf("byte %d was not in the file", i)
					}
					sum += len(mem)
					return nil
				})
				want := tt.want
				if tt.holes { // there is no second batch
					want = Tally{Pages: 512, HolePages: 1024}
				}
				want.Skipped[ReasonVanished] = pages - want.Pages - want.HolePages
				if err != nil || tally != want || sum != int(want.Pages)*4096 {
					t.Errorf("tally = %+v with %d bytes, %v, want %+v", tally, sum, err, want)
				}
			})
		}
	}
}

func TestOwnErrors(t *testing.T) {
	size := os.Getpagesize()
	mem := make([]byte, 3*size)
	aligned := mem[(size-int(address(mem)%uint64(size)))%size:][:2*size]
	if _, err := OpenOwn(aligned[1:]); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error = %v, want that the address is no multiple", err)
	}
	_, err := OpenOwn(aligned, aligned[:size+1])
	if e, ok := errors.AsType[*SizeError](err); !ok || *e != (SizeError{int64(size) + 1, size}) {
		t.Errorf("error = %v, want a SizeError", err)
	}
}
