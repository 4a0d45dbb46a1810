package scanner

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/internal/zeropage"
)

// TestQuirk asks for more regions at once than the kernel collects, which
// returns walk_end too low: who goes on from there sees pages twice.
func TestQuirk(t *testing.T) {
	const pages = 9000
	mem, err := separate(pages, readWrite, private, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		t.Fatal(err)
	}
	for i := 0; i < pages; i += 2 {
		fillPages(mem, i, 1)
	}
	p := openProcess(t, os.Getpid(), AreasEligible)
	start := address(mem)
	end := start + uint64(len(mem))
	b := NewBuffer()
	for _, scan := range []bool{true, false} {
		if scan && !p.pagemap.scan {
			continue
		}
		p.pagemap.scan = scan
		for _, size := range []int{1, 2, 511, 512, 513, 1024, 4499, 4500, 4501, 8192} {
			vec := make([]region, size)
			found, last := 0, start
			for at := start; at < end; {
				n, next, err := p.pagemap.next(at, end, 0, vec, &b.live)
				if err != nil || next <= at || next > end {
					t.Fatalf("next(%#x) = %d, %#x, %v", at, n, next, err)
				}
				for _, r := range vec[:n] {
					if r.start < last || r.end <= r.start {
						t.Fatalf("scan=%t vec=%d: region %#x-%#x after %#x", scan, size, r.start, r.end, last)
					}
					last = r.end
					found += int(r.end-r.start) / testPage
				}
				at = next
			}
			if found != pages/2 {
				t.Errorf("scan=%t vec=%d: %d pages, want %d", scan, size, found, pages/2)
			}
		}
	}
}

// needPagemapScan skips the test where the kernel is too old for PAGEMAP_SCAN.
func needPagemapScan(t *testing.T, p *Process) {
	t.Helper()
	switch {
	case p.ZeroPagesKnown():
	case ksmtest.KernelSince(t, 6, 7):
		t.Fatal("PAGEMAP_SCAN is not used, and Linux 6.7 has it")
	default:
		t.Skip("PAGEMAP_SCAN needs Linux 6.7")
	}
}

// zerosMapped reports whether memory that is only read becomes the zero page.
func zerosMapped(t testing.TB) bool {
	t.Helper()
	mapped, err := zeropage.Mapped()
	if err != nil {
		t.Fatal(err)
	}
	return mapped
}

// TestSparseSpans has a page at either end of an area of 256 GiB.
func TestSparseSpans(t *testing.T) {
	p := openProcess(t, os.Getpid(), AreasEligible)
	needPagemapScan(t, p)
	const size = 256 << 30
	mem, err := separate(size/testPage, readWrite, private|unix.MAP_NORESERVE, -1)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Munmap(mem)
	fillPages(mem, 5, 1)
	fillPages(mem, size/testPage-1, 1)
	own, err := OpenOwn(mem)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	spans := spansOf(t, own)
	if got, _ := readAll(t, own, spans); len(spans) != 2 || len(got) != 2 {
		t.Errorf("%d pages in %d spans, want 2 in 2", len(got), len(spans))
	}
}
