package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// hugeArea maps real huge pages with some contents, which are not mergeable yet, or
// skips the test.
func hugeArea(t *testing.T, contents []uint64) []byte {
	t.Helper()
	const hugeBytes = hugeUnit * pageBytes
	if os.Getpagesize() != pageBytes {
		t.Skip("pages are not of 4096 bytes")
	}
	size := len(contents) * pageBytes
	all, err := unix.Mmap(-1, 0, size+hugeBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(all); err != nil {
			t.Error(err)
		}
	})
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(all))) % hugeBytes // pointer to integer only
	mem := all[skip:][:size:size]
	if err := unix.Madvise(mem, unix.MADV_HUGEPAGE); err != nil {
		t.Skip("there are no huge pages: ", err)
	}
	for i, c := range contents {
		Fill(mem[i*pageBytes:][:pageBytes], c)
	}
	// From now on khugepaged makes no huge pages of what was split.
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
	if _, huge := residentPages(t, mem); huge != len(contents) {
		t.Skipf("of %d pages only %d are in huge pages", len(contents), huge)
	}
	return mem
}

// residentPages returns how many pages of an area are present, zero pages apart, and
// how many are in huge pages.
func residentPages(t *testing.T, mem []byte) (resident, huge int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	from := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	to, inside := from+uintptr(len(mem)), false
	for line := range bytes.Lines(text) {
		var first, end uintptr
		if n, _ := fmt.Sscanf(string(line), "%x-%x ", &first, &end); n == 2 {
			inside = first >= from && end <= to
			continue
		}
		name, rest, _ := strings.Cut(string(line), ":")
		kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		if !inside || err != nil {
			continue
		}
		switch name {
		case "Rss":
			resident += kib / 4
		case "AnonHugePages":
			huge += kib / 4
		}
	}
	return resident, huge
}

// Huge pages of random contents, some of them zeros, on this kernel and on the
// model: after each of some scans all counters are equal, and so are the pages that
// are left and those that are still in huge pages.
func TestHugeOnTheKernel(t *testing.T) {
	fsys := ksmtest.Guard(t)
	if !ksmtest.KernelSince(t, 6, 12) {
		t.Skip("the kernel is older than 6.12: pages of zeros stay")
	}
	for seed := range uint64(6) {
		for _, useZero := range []string{"0", "1"} {
			t.Run(fmt.Sprintf("seed=%d/use_zero_pages=%s", seed, useZero), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 8))
				contents := make([]uint64, (2+rng.IntN(3))*hugeUnit)
				common, zeros := rng.IntN(40), rng.IntN(60) // of a thousand
				for i := range contents {
					switch r := rng.IntN(1000); {
					case i/hugeUnit == 1 && seed%2 == 0: // alone, and never split
						contents[i] = 1<<30 + uint64(i)
					case i/hugeUnit != 1 && seed == 1: // zeros only
						contents[i] = 0
					case r < zeros:
						contents[i] = 0
					case r < zeros+common:
						contents[i] = 1 + rng.Uint64N(30)
					default:
						contents[i] = 1<<20 + uint64(i)
					}
				}
				if seed == 0 {
					contents = thpContents()
				}
				mem := hugeArea(t, contents)
				if _, err := fsys.Set(
					sysfs.Setting{Field: sysfs.Run, Value: "2"}, sysfs.Setting{Field: sysfs.Run, Value: "0"},
					sysfs.Setting{Field: sysfs.SmartScan, Value: "0"}, sysfs.Setting{Field: sysfs.UseZeroPages, Value: useZero},
				); err != nil {
					t.Fatal(err)
				}
				if err := unix.Madvise(mem, unix.MADV_MERGEABLE); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := unix.Madvise(mem, unix.MADV_UNMERGEABLE); err != nil {
						t.Error(err)
					}
				}()
				begin, err := fsys.Counters()
				if err != nil {
					t.Fatal(err)
				}
				model := newHugeMachine(t, ksmd.Options{}, contents, "use_zero_pages", useZero)
				for scan := range 5 {
					ksmtest.Scan(t, 1)
					c, err := fsys.Counters()
					if err != nil {
						t.Fatal(err)
					}
					got := hugeRowOf(&c, begin.PagesScanned)
					got.resident, got.huge = residentPages(t, mem)
					model.daemon.Scan()
					if want := model.row(); got != want {
						t.Fatalf("scan %d: the kernel has\n%v, the model\n%v", scan+1, got, want)
					}
				}
			})
		}
	}
}
