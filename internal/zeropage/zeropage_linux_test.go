package zeropage

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The zero page is not counted among the anonymous memory of an area.
func TestMapped(t *testing.T) {
	got, err := Mapped()
	if err != nil {
		t.Skip(err)
	}
	mem, err := unix.Mmap(-1, 0, 64*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		t.Fatal(err)
	}
	sum := byte(0)
	for _, b := range mem {
		sum += b
	}
	if err := unix.Mprotect(mem, unix.PROT_READ); err != nil || sum != 0 { // an area of its own
		t.Fatal(err, sum)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	_, area, found := strings.Cut(string(smaps), fmt.Sprintf("%08x-", uintptr(unsafe.Pointer(unsafe.SliceData(mem)))))
	_, area, hasAnonymous := strings.Cut(area, "\nAnonymous:")
	if !found || !hasAnonymous {
		t.Fatalf("the area is not in smaps: %t, %t", found, hasAnonymous)
	}
	kB := strings.Fields(area)[0]
	if want := kB == "0"; got != want {
		t.Errorf("Mapped() = %t, but reading made %s kB of anonymous memory", got, kB)
	}
}
