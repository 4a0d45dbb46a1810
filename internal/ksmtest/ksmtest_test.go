//go:build linux

package ksmtest_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Two pairs of equal pages and a page of its own: what ksmd counts after each
// of its scans is known exactly (with smart_scan nothing is skipped so early).
func TestScan(t *testing.T) {
	fsys := ksmtest.Guard(t)
	size := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 5*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		t.Fatal(err)
	}
	for page, content := range []byte{1, 2, 3, 1, 2} {
		for i := range size {
			mem[page*size+i] = content
		}
	}
	if err := unix.Madvise(mem, unix.MADV_MERGEABLE); err != nil {
		t.Fatal(err)
	}

	first := counters(t, fsys)
	if first.FullScans != 0 || first.PagesVolatile != 0 {
		t.Errorf("Guard left full_scans %d and pages_volatile %d, want 0 and 0", first.FullScans, first.PagesVolatile)
	}
	type row struct {
		scans                     uint64
		scanned                   sysfs.Pages
		shared, sharing, unshared sysfs.Pages
		volatile                  sysfs.SignedPages
		scan                      int
	}
	for _, want := range []row{
		{scan: 0, scans: 0},
		{scan: 1, scans: 1, scanned: 5, volatile: 5},
		{scan: 1, scans: 2, scanned: 10, shared: 2, sharing: 2, unshared: 1},
		{scan: 2, scans: 4, scanned: 20, shared: 2, sharing: 2, unshared: 1},
	} {
		ksmtest.Scan(t, want.scan)
		c := counters(t, fsys)
		got := row{
			scan: want.scan, scans: c.FullScans, scanned: c.PagesScanned - first.PagesScanned,
			shared: c.PagesShared, sharing: c.PagesSharing, unshared: c.PagesUnshared, volatile: c.PagesVolatile,
		}
		if got != want {
			t.Errorf("after Scan(%d): got %+v, want %+v", want.scan, got, want)
		}
	}
}

func counters(t *testing.T, fsys sysfs.FS) sysfs.Counters {
	t.Helper()
	c, err := fsys.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
