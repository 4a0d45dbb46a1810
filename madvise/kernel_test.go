//go:build linux

package madvise_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/madvise"
)

var pageSize = os.Getpagesize()

// guard keeps a test that marks memory out of the way of those that look at
// KSM as a whole. These run as root; tests of other users have no part in it.
// It skips, or fails, where the kernel has no KSM.
func guard(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/sys/kernel/mm/ksm"); err != nil {
		ksmtest.Skip(t, "kernel without CONFIG_KSM: ", err)
	}
	if os.Geteuid() == 0 {
		ksmtest.Guard(t)
	}
}

// guardSwitch is guard for tests that need the switch of the process.
func guardSwitch(t *testing.T) {
	t.Helper()
	if !ksmtest.KernelSince(t, 6, 4) {
		t.Skip("PR_SET_MEMORY_MERGE needs Linux 6.4")
	}
	guard(t)
}

// mmap maps pages until the end of the test. A protected page on both sides
// keeps other areas from becoming one with them.
func mmap(t *testing.T, fd, pages, prot, flags int) []byte {
	t.Helper()
	guarded, err := unix.Mmap(-1, 0, (pages+2)*pageSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(guarded) })
	mem := guarded[pageSize : len(guarded)-pageSize]
	remap(t, mem, fd, prot, flags)
	return mem
}

// remap puts a new mapping in the place of mem.
func remap(t *testing.T, mem []byte, fd, prot, flags int) {
	t.Helper()
	// mem is mapped by mmap above, and nothing but the test uses it.
	if _, err := unix.MmapPtr(fd, 0, unsafe.Pointer(unsafe.SliceData(mem)), uintptr(len(mem)), prot, flags|unix.MAP_FIXED); err != nil {
		t.Fatal(err)
	}
}

const (
	readWrite = unix.PROT_READ | unix.PROT_WRITE
	anonymous = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
)

func addr(mem []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(mem))) }

// marks returns a letter for each page of mem: m if it is marked mergeable, -
// if not, and space if it is not mapped.
func marks(t *testing.T, mem []byte) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	pages := []byte(strings.Repeat(" ", len(mem)/pageSize))
	var start, end uintptr
	for line := range strings.Lines(string(text)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			start, end = from, to
		}
		flags, ok := strings.CutPrefix(line, "VmFlags:")
		if !ok {
			continue
		}
		for i := range pages {
			if page := addr(mem) + uintptr(i*pageSize); start <= page && page < end {
				pages[i] = '-'
				if strings.Contains(flags, " mg ") {
					pages[i] = 'm'
				}
			}
		}
	}
	return string(pages)
}

func tempFile(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestMergeableKinds(t *testing.T) {
	guard(t)
	file := int(tempFile(t, strings.Repeat("x", 4*pageSize)).Fd())
	tests := []struct {
		name            string
		fd, prot, flags int
		want            madvise.Reason // "" if eligible
	}{
		{name: "anonymous", fd: -1, prot: readWrite, flags: anonymous},
		{name: "PROT_NONE", fd: -1, flags: anonymous},
		{name: "locked", fd: -1, prot: readWrite, flags: anonymous | unix.MAP_LOCKED},
		{name: "private file", fd: file, prot: readWrite, flags: unix.MAP_PRIVATE},
		{name: "private read-only file", fd: file, prot: unix.PROT_READ, flags: unix.MAP_PRIVATE},
		{name: "shared anonymous", fd: -1, prot: readWrite, flags: unix.MAP_SHARED | unix.MAP_ANONYMOUS, want: madvise.ReasonShared},
		{name: "shared file", fd: file, prot: readWrite, flags: unix.MAP_SHARED, want: madvise.ReasonShared},
		{name: "shared read-only file", fd: file, prot: unix.PROT_READ, flags: unix.MAP_SHARED, want: madvise.ReasonShared},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mem := mmap(t, tt.fd, 4, tt.prot, tt.flags)
			err := madvise.Mergeable(mem)
			if tt.want == "" {
				if err != nil {
					t.Errorf("Mergeable error = %v", err)
				}
				if got := marks(t, mem); got != "mmmm" {
					t.Errorf("marks = %q, want mmmm", got)
				}
			} else {
				wantAreas(t, err, madvise.Area{Start: addr(mem), End: addr(mem) + uintptr(4*pageSize), Reason: tt.want})
			}
			if err := madvise.Unmergeable(mem); err != nil {
				t.Errorf("Unmergeable error = %v", err)
			}
			if got := marks(t, mem); got != "----" {
				t.Errorf("marks after Unmergeable = %q, want ----", got)
			}
		})
	}
}

func wantAreas(t *testing.T, err error, want ...madvise.Area) {
	t.Helper()
	ineligible, ok := errors.AsType[*madvise.IneligibleError](err)
	if !ok {
		t.Fatalf("Mergeable error = %v, want an IneligibleError", err)
	}
	if !reflect.DeepEqual(ineligible.Areas, want) {
		t.Errorf("Areas = %x\nwant %x", ineligible.Areas, want)
	}
}

// Memory that only some machines have.
func TestMergeableRareKinds(t *testing.T) {
	guard(t)
	const mapDroppable = 0x08 // since Linux 6.11
	for name, tt := range map[string]struct {
		flags int
		want  madvise.Reason
	}{
		"hugetlb":   {anonymous | unix.MAP_HUGETLB | unix.MAP_NORESERVE, madvise.ReasonHugetlb},
		"droppable": {mapDroppable | unix.MAP_ANONYMOUS, madvise.ReasonDroppable},
	} {
		t.Run(name, func(t *testing.T) {
			const sizeBytes = 32 << 20 // a multiple of the usual huge page sizes
			mem, err := unix.Mmap(-1, 0, sizeBytes, readWrite, tt.flags)
			if err != nil {
				if name == "droppable" && ksmtest.KernelSince(t, 6, 11) && math.MaxInt > math.MaxInt32 {
					t.Fatal(err)
				}
				t.Skipf("mmap: %v", err)
			}
			defer unix.Munmap(mem)
			wantAreas(t, madvise.Mergeable(mem), madvise.Area{Start: addr(mem), End: addr(mem) + sizeBytes, Reason: tt.want})
		})
	}
}

func TestMergeableMixed(t *testing.T) {
	guard(t)
	mem := mmap(t, -1, 8, readWrite, anonymous)
	remap(t, mem[2*pageSize:4*pageSize], -1, readWrite, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	remap(t, mem[6*pageSize:], -1, readWrite, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	base := addr(mem)

	// Half of the last area, and that by one byte: the page counts.
	err := madvise.Mergeable(mem[pageSize : 6*pageSize+1])
	at := func(page int) uintptr { return base + uintptr(page*pageSize) }
	wantAreas(t, err,
		madvise.Area{Start: at(2), End: at(4), Reason: madvise.ReasonShared},
		madvise.Area{Start: at(6), End: at(7), Reason: madvise.ReasonShared})
	if got := marks(t, mem); got != "-m--mm--" {
		t.Errorf("marks = %q, want -m--mm--", got)
	}
	if want := fmt.Sprintf("mark mergeable: can not be merged: %#x-%#x (shared mapping), %#x-%#x (shared mapping)",
		at(2), at(4), at(6), at(7)); err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
}

func TestMergeableHole(t *testing.T) {
	guard(t)
	mem := mmap(t, -1, 5, readWrite, anonymous)
	// Nothing else uses the page, and mmap's cleanup covers it.
	if err := unix.MunmapPtr(unsafe.Pointer(&mem[2*pageSize]), uintptr(pageSize)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remap(t, mem[2*pageSize:3*pageSize], -1, unix.PROT_NONE, anonymous) })

	const why = "a part of the memory is not mapped, the rest is done: cannot allocate memory"
	err := madvise.Mergeable(mem)
	if !errors.Is(err, unix.ENOMEM) || err.Error() != "mark mergeable: "+why {
		t.Errorf("Mergeable error = %v, want ENOMEM explained", err)
	}
	if got := marks(t, mem); got != "mm mm" {
		t.Errorf("marks = %q, want %q", got, "mm mm")
	}
	if err := madvise.Unmergeable(mem); !errors.Is(err, unix.ENOMEM) || err.Error() != "mark unmergeable: "+why {
		t.Errorf("Unmergeable error = %v, want ENOMEM explained", err)
	}
	if got := marks(t, mem); got != "-- --" {
		t.Errorf("marks = %q, want %q", got, "-- --")
	}
}

func TestMergeableBounds(t *testing.T) {
	guard(t)
	mem := mmap(t, -1, 3, readWrite, anonymous)
	for _, b := range [][]byte{nil, {}, mem[:0], mem[1:1]} {
		if err := madvise.Mergeable(b); err != nil {
			t.Errorf("Mergeable of nothing = %v, want nil", err)
		}
		if err := madvise.Unmergeable(b); err != nil {
			t.Errorf("Unmergeable of nothing = %v, want nil", err)
		}
	}
	want := fmt.Sprintf("mark mergeable: address %#x is not a multiple of the page size %d: invalid argument", addr(mem)+1, pageSize)
	if err := madvise.Mergeable(mem[1:]); !errors.Is(err, unix.EINVAL) || err.Error() != want {
		t.Errorf("Mergeable unaligned = %v, want %s", err, want)
	}
	if errors.Is(madvise.Mergeable(mem[1:]), madvise.ErrNotSupported) {
		t.Error("an unaligned address is reported as ErrNotSupported")
	}
	if err := madvise.Unmergeable(mem[1:]); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Unmergeable unaligned = %v, want EINVAL", err)
	}
	if got := marks(t, mem); got != "---" {
		t.Errorf("marks = %q, want ---", got)
	}

	for range 2 { // twice is as once
		if err := madvise.Mergeable(mem[pageSize : pageSize+1]); err != nil {
			t.Errorf("Mergeable of one byte = %v", err)
		}
		if got := marks(t, mem); got != "-m-" {
			t.Errorf("marks = %q, want -m-", got)
		}
	}
	if err := madvise.Mergeable(mem); err != nil {
		t.Errorf("Mergeable = %v", err)
	}
	if err := madvise.Unmergeable(mem[pageSize : 2*pageSize]); err != nil {
		t.Errorf("Unmergeable = %v", err)
	}
	if got := marks(t, mem); got != "m-m" {
		t.Errorf("marks = %q, want m-m", got)
	}
}

func TestRegion(t *testing.T) {
	guard(t)
	for _, tt := range []struct{ sizeBytes, wantPages int }{
		{1, 1}, {pageSize, 1}, {pageSize + 1, 2}, {10 * pageSize, 10},
	} {
		r, err := madvise.NewRegion(tt.sizeBytes)
		if err != nil {
			t.Fatal(err)
		}
		mem := r.Bytes()
		if len(mem) != tt.wantPages*pageSize {
			t.Errorf("NewRegion(%d) has %d bytes, want %d pages", tt.sizeBytes, len(mem), tt.wantPages)
		}
		if got, want := marks(t, mem), strings.Repeat("m", tt.wantPages); got != want {
			t.Errorf("marks = %q, want %q", got, want)
		}
		for i := range mem {
			if mem[i] != 0 {
				t.Fatalf("byte %d is %d, want 0", i, mem[i])
			}
			mem[i] = 1
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := r.Free(); err != nil {
					t.Errorf("Free = %v", err)
				}
			})
		}
		all.Wait()
		if got := r.Bytes(); got != nil {
			t.Errorf("Bytes after Free has %d bytes, want nil", len(got))
		}
	}

	var zero madvise.Region
	if err := zero.Free(); err != nil || zero.Bytes() != nil {
		t.Errorf("zero Region: Free = %v, Bytes = %v, want nil", err, zero.Bytes())
	}
	for _, sizeBytes := range []int{0, -1, math.MinInt, math.MaxInt} {
		if r, err := madvise.NewRegion(sizeBytes); r != nil || !errors.Is(err, unix.EINVAL) {
			t.Errorf("NewRegion(%d) error = %v, want EINVAL", sizeBytes, err)
		}
	}
	if math.MaxInt > math.MaxInt32 { // else the machine may have as much
		if r, err := madvise.NewRegion(math.MaxInt / 2); r != nil || !errors.Is(err, unix.ENOMEM) {
			t.Errorf("NewRegion(MaxInt/2) error = %v, want ENOMEM", err)
		}
	}
}

func TestRegionFreeUnmaps(t *testing.T) {
	guard(t)
	r, err := madvise.NewRegion(16 << 20)
	if err != nil {
		t.Fatal(err)
	}
	mem := r.Bytes()
	if err := r.Free(); err != nil {
		t.Fatal(err)
	}
	if got := marks(t, mem); strings.Contains(got, "m") {
		t.Error("memory is still mapped after Free")
	}
}

func TestMemoryMerge(t *testing.T) {
	guardSwitch(t)
	set := func(on bool) {
		t.Helper()
		if err := madvise.SetMemoryMerge(on); err != nil {
			t.Fatal(err)
		}
		if got, err := madvise.MemoryMerge(); err != nil || got != on {
			t.Fatalf("MemoryMerge after SetMemoryMerge(%t) = %t, %v", on, got, err)
		}
	}
	wantMarks := func(mem []byte, want string) {
		t.Helper()
		if got := marks(t, mem); got != want {
			t.Errorf("marks = %q, want %q", got, want)
		}
	}
	t.Cleanup(func() { madvise.SetMemoryMerge(false) })

	mem := mmap(t, -1, 3, readWrite, anonymous)
	if err := madvise.Mergeable(mem[:pageSize]); err != nil {
		t.Fatal(err)
	}
	set(false) // was not on: a marked area stays
	wantMarks(mem, "m--")
	set(true)
	set(true)
	wantMarks(mem, "mmm")
	later := mmap(t, -1, 1, readWrite, anonymous)
	wantMarks(later, "m")
	if err := madvise.Unmergeable(later); err != nil {
		t.Fatal(err)
	}
	wantMarks(later, "-")
	set(false) // was on: no area stays
	wantMarks(mem, "---")
	wantMarks(mmap(t, -1, 1, readWrite, anonymous), "-")
}
