package zeropage

import (
	"encoding/binary"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

func mapped() (bool, error) {
	const (
		entryBytes = 8
		present    = 1 << 63
		exclusive  = 1 << 56 // nobody else maps the page, since Linux 4.2; never of the zero page
	)
	pageSize := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return false, err
	}
	defer unix.Munmap(mem)
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // a kernel without huge pages refuses

	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return false, err
	}
	defer pagemap.Close()
	var read byte
	for _, b := range mem {
		read |= b
	}
	runtime.KeepAlive(read)
	var entry [entryBytes]byte
	// The kernel's memory, which Go does not move.
	at := uintptr(unsafe.Pointer(unsafe.SliceData(mem))) / uintptr(pageSize) * entryBytes
	if _, err := pagemap.ReadAt(entry[:], int64(at)); err != nil {
		return false, err
	}
	state := binary.NativeEndian.Uint64(entry[:])
	return state&present != 0 && state&exclusive == 0, nil
}
