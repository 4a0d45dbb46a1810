//go:build unix

package fingerprint

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadsOnlyItsMemory hashes pages that begin right after, or end right
// before, memory that cannot be read.
func TestReadsOnlyItsMemory(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	wall := os.Getpagesize()
	room := (33*4096 + wall - 1) / wall * wall
	region, err := unix.Mmap(-1, 0, wall+room+wall, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(region) })
	inside := region[wall : wall+room]
	copy(inside, randomBytes(room))
	for _, end := range [][]byte{region[:wall], region[wall+room:]} {
		if err := unix.Mprotect(end, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	for _, im := range implementations() {
		t.Run(im.name, func(t *testing.T) {
			for _, pageSize := range []int{32, 64, 96, 2048, 4064, 4096} {
				for n := 1; n <= 33; n++ {
					for _, mem := range [][]byte{inside[:n*pageSize], inside[room-n*pageSize:]} {
						if got, want := fingerprints(t, im, mem, pageSize), sums(mem, pageSize); !slices.Equal(got, want) {
							t.Fatalf("%d pages of %d bytes = %x, want %x", n, pageSize, got, want)
						}
					}
				}
			}
		})
	}
}

// TestChangingMemory hashes memory of which another mapping of the same file
// changes every other page: the pages that stand still must not notice.
func TestChangingMemory(t *testing.T) {
	const pageSize, n, rounds = 4096, 15, 2000
	path := filepath.Join(t.TempDir(), "memory")
	if err := os.WriteFile(path, randomBytes(n*pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mapping := func(prot int) []byte {
		mem, err := unix.Mmap(int(file.Fd()), 0, n*pageSize, prot, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		return mem
	}
	mem, other := mapping(unix.PROT_READ), mapping(unix.PROT_READ|unix.PROT_WRITE)
	defer unix.Munmap(mem)
	defer unix.Munmap(other)
	want := sums(mem, pageSize)

	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for v := byte(0); ; v++ {
			for page := 1; page < n; page += 2 {
				for i := range pageSize {
					other[page*pageSize+i] = v
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	defer writer.Wait()
	defer close(stop)
	for _, im := range implementations() {
		for range rounds {
			got := fingerprints(t, im, mem, pageSize)
			for i := 0; i < n; i += 2 {
				if got[i] != want[i] {
					t.Fatalf("%s: page %d, which stands still, = %016x, want %016x", im.name, i, got[i], want[i])
				}
			}
		}
	}
}

// TestFault hashes memory that cannot be read: the panic must be one that can be
// recovered from, also where the stack has to grow while it passes.
func TestFault(t *testing.T) {
	mem, err := unix.Mmap(-1, 0, 33*4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	for _, im := range implementations() {
		for n := 1; n <= 33; n++ {
			recovered := make(chan any)
			go func() { // with a small stack of its own
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					v := recover()
					deep(1000)
					recovered <- v
				}()
				defer deep(1000)
				im.pages(make([]uint64, n), mem[:n*4096], 4096)
			}()
			if v, ok := (<-recovered).(interface{ Addr() uintptr }); !ok {
				t.Errorf("%s: %d pages: recovered %v, want a fault", im.name, n, v)
			}
		}
	}
}

// deep needs n frames of stack.
//
//go:noinline
func deep(n int) byte {
	var room [128]byte
	if n > 0 {
		room[n%128] = deep(n-1) + 1
	}
	return room[n%128]
}
