package fingerprint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

// randomBytes returns n bytes, the same ones for the same n.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	for rest := b; len(rest) > 0; {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], rng.Uint64())
		rest = rest[copy(rest, word[:]):]
	}
	return b
}

// sums is Pages too simple to be wrong.
func sums(mem []byte, pageSize int) []uint64 {
	var all []uint64
	for page := range slices.Chunk(mem, pageSize) {
		all = append(all, xxhash.Sum64(page))
	}
	return all
}

// fingerprints runs im on mem. It fails the test if im writes beside its
// destination.
func fingerprints(t *testing.T, im implementation, mem []byte, pageSize int) []uint64 {
	t.Helper()
	const guard = 0x5555555555555555
	n := len(mem) / pageSize
	dst := make([]uint64, n+16)
	for i := range dst {
		dst[i] = guard
	}
	im.pages(dst[8:8+n:8+n], mem, pageSize)
	for i, v := range dst {
		if (i < 8 || i >= 8+n) && v != guard {
			t.Fatalf("%d pages of %d bytes: dst[%d] was written", n, pageSize, i-8)
		}
	}
	return dst[8 : 8+n]
}

func TestKnownPages(t *testing.T) {
	count := make([]byte, 4096)
	for i := range count {
		count[i] = byte(i)
	}
	tests := []struct {
		name string
		page []byte
		want uint32 // the checksum ksmd keeps
	}{
		{name: "zero", page: make([]byte, 4096), want: 0x32d8bbdb},
		{name: "ff", page: bytes.Repeat([]byte{0xff}, 4096), want: 0x4282321f},
		{name: "5a", page: bytes.Repeat([]byte{0x5a}, 4096), want: 0x45241946},
		{name: "counting", page: count, want: 0x186af6a4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := uint32(Sum(tt.page)); got != tt.want {
				t.Errorf("Sum = %08x in the low half, want %08x", got, tt.want)
			}
			for _, im := range implementations() {
				for i, got := range fingerprints(t, im, bytes.Repeat(tt.page, 15), 4096) {
					if uint32(got) != tt.want {
						t.Errorf("%s: page %d = %08x in the low half, want %08x", im.name, i, uint32(got), tt.want)
					}
				}
			}
		})
	}
}

func TestZero(t *testing.T) {
	for _, pageSize := range []int{32, 4096, 16384, 65536} {
		if got, want := Zero(pageSize), xxhash.Sum64(make([]byte, pageSize)); got != want {
			t.Errorf("Zero(%d) = %016x, want %016x", pageSize, got, want)
		}
	}
}

// TestEverySize holds every implementation equal to xxhash for every page size
// up to 8 KiB, number of pages up to four groups and a page, and place of the
// first page in a cache line. With -short, and for the generic implementation,
// which is xxhash itself, it takes what is most likely to matter.
func TestEverySize(t *testing.T) {
	const maxPages = 33
	var everySize, everyPlace []int
	for pageSize := 32; pageSize <= 8192; pageSize += 32 {
		everySize = append(everySize, pageSize)
	}
	for place := range 64 {
		everyPlace = append(everyPlace, place)
	}
	mem := randomBytes(63 + maxPages*8192)
	for _, im := range implementations() {
		t.Run(im.name, func(t *testing.T) {
			sizes, places := everySize, everyPlace
			if testing.Short() || im.name == generic.name {
				sizes, places = []int{32, 64, 96, 4064, 4096, 8192}, []int{0, 1, 31, 32, 63}
			}
			for _, pageSize := range sizes {
				for _, place := range places {
					all := mem[place : place+maxPages*pageSize]
					want := sums(all, pageSize)
					for n := range maxPages + 1 {
						got := fingerprints(t, im, all[:n*pageSize], pageSize)
						if !slices.Equal(got, want[:n]) {
							t.Fatalf("%d pages of %d bytes at place %d = %x, want %x", n, pageSize, place, got, want[:n])
						}
					}
				}
			}
		})
	}
}

func TestLargePages(t *testing.T) {
	const pageSize = 64 << 10
	mem := randomBytes(13 * pageSize)
	for _, im := range implementations() {
		if got, want := fingerprints(t, im, mem, pageSize), sums(mem, pageSize); !slices.Equal(got, want) {
			t.Errorf("%s: 13 pages of %d bytes = %x, want %x", im.name, pageSize, got, want)
		}
	}
}

// TestSpecialWords tries words at which 32-bit products carry or vanish.
func TestSpecialWords(t *testing.T) {
	words := []uint64{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 63, 1<<64 - 1, 0xffffffff00000000, 0x8000000080000000}
	const pageSize, n = 64, 1024
	rng := rand.New(rand.NewPCG(1, 2))
	var mem []byte
	for range n * pageSize / 8 {
		mem = binary.LittleEndian.AppendUint64(mem, words[rng.IntN(len(words))])
	}
	for _, im := range implementations() {
		if got, want := fingerprints(t, im, mem, pageSize), sums(mem, pageSize); !slices.Equal(got, want) {
			t.Errorf("%s: %d pages of special words differ from xxhash", im.name, n)
		}
	}
}

func TestPagesInvariants(t *testing.T) {
	tests := []struct {
		name                 string
		pages, bytes, pgSize int
		panics               bool
	}{
		{name: "empty", pages: 0, bytes: 0, pgSize: 4096},
		{name: "one", pages: 1, bytes: 4096, pgSize: 4096},
		{name: "page size zero", pages: 0, bytes: 0, pgSize: 0, panics: true},
		{name: "page size negative", pages: 0, bytes: 0, pgSize: -4096, panics: true},
		{name: "page size odd", pages: 8, bytes: 8 * 48, pgSize: 48, panics: true},
		{name: "a byte short", pages: 8, bytes: 8*4096 - 1, pgSize: 4096, panics: true},
		{name: "a byte more", pages: 8, bytes: 8*4096 + 1, pgSize: 4096, panics: true},
		{name: "a page short", pages: 8, bytes: 7 * 4096, pgSize: 4096, panics: true},
		{name: "a page more", pages: 8, bytes: 9 * 4096, pgSize: 4096, panics: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if r := recover(); (r != nil) != tt.panics {
					t.Errorf("Pages(%d pages, %d bytes, %d) panics with %v, want a panic: %t", tt.pages, tt.bytes, tt.pgSize, r, tt.panics)
				}
			}()
			Pages(make([]uint64, tt.pages), make([]byte, tt.bytes), tt.pgSize)
		})
	}
}

func TestPagesAllocatesNothing(t *testing.T) {
	dst, mem := make([]uint64, 15), make([]byte, 15*4096)
	if got := testing.AllocsPerRun(100, func() { Pages(dst, mem, 4096) }); got != 0 {
		t.Errorf("Pages allocates %v times, want 0", got)
	}
}

// TestImplementation compares the choice with what the kernel says about the
// processor, so that a mistake in detecting a feature cannot hide the fast
// implementations from the other tests.
func TestImplementation(t *testing.T) {
	if got, want := Implementation(), implementations()[0].name; got != want {
		t.Errorf("Implementation() = %q, want %q, the first", got, want)
	}
	if runtime.GOARCH != "amd64" {
		if got := Implementation(); got != "generic" {
			t.Errorf("Implementation() = %q, want generic on %s", got, runtime.GOARCH)
		}
		return
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skipf("nothing to compare with: %v", err)
	}
	_, flags, _ := strings.Cut(string(info), "\nflags")
	flags, _, _ = strings.Cut(flags, "\n")
	has := func(flag string) bool { return slices.Contains(strings.Fields(flags), flag) }
	want := []string{"generic"}
	if has("avx2") {
		want = append([]string{"avx2"}, want...)
		if has("avx512f") && has("avx512dq") {
			want = append([]string{"avx512"}, want...)
		}
	}
	var got []string
	for _, im := range implementations() {
		got = append(got, im.name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("implementations = %q, want %q", got, want)
	}
}

// FuzzPages holds every implementation equal to xxhash. The memory is the input
// repeated, so that a short input still fills many large pages, with every page
// made different from the others.
func FuzzPages(f *testing.F) {
	f.Add([]byte{0}, uint8(127), uint8(8))
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x80"), uint8(0), uint8(33))
	f.Add(randomBytes(100), uint8(3), uint8(15))
	f.Fuzz(func(t *testing.T, data []byte, size, pages uint8) {
		if len(data) == 0 {
			t.Skip("nothing to repeat")
		}
		pageSize, n := 32*(1+int(size)), int(pages)%40
		mem := make([]byte, n*pageSize)
		for i := range mem {
			mem[i] = data[i%len(data)]
		}
		for i := range n {
			mem[i*pageSize+i%pageSize] ^= byte(i)
		}
		for _, im := range implementations() {
			if got, want := fingerprints(t, im, mem, pageSize), sums(mem, pageSize); !slices.Equal(got, want) {
				t.Errorf("%s: %d pages of %d bytes = %x, want %x", im.name, n, pageSize, got, want)
			}
		}
	})
}

func ExamplePages() {
	const pageSize = 4096
	mem := make([]byte, 3*pageSize)
	copy(mem[pageSize:], "not zero")
	fps := make([]uint64, 3)
	Pages(fps, mem, pageSize)
	fmt.Println(fps[0] == fps[1], fps[0] == fps[2], fps[0] == Zero(pageSize))
	// Output: false true true
}

func ExampleSum() {
	fmt.Printf("%016x\n", Sum(make([]byte, 4096)))
	// Output: ac869b6f32d8bbdb
}

func ExampleImplementation() {
	switch Implementation() {
	case "avx512", "avx2", "generic":
		fmt.Println("known")
	}
	// Output: known
}

// BenchmarkPages: the buffer fits the L2 cache, the L3 cache or neither. After
// every call cespare/xxhash has its turn on the same buffer, outside the time
// that is reported, so that x-cespare, the median of the ratios of the two
// speeds, stands even on a machine that is busy with other things.
func BenchmarkPages(b *testing.B) {
	const pageSize = 4096
	for _, size := range []int{256 << 10, 4 << 20, 1 << 30} {
		mem := randomBytes(size)
		dst := make([]uint64, size/pageSize)
		for _, im := range implementations() {
			b.Run(fmt.Sprintf("kib=%d/impl=%s", size>>10, im.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				var ratios []float64
				for b.Loop() {
					start := time.Now()
					im.pages(dst, mem, pageSize)
					took := time.Since(start)
					b.StopTimer()
					start = time.Now()
					generic.pages(dst, mem, pageSize)
					ratios = append(ratios, float64(time.Since(start))/float64(took))
					b.StartTimer()
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "x-cespare")
			})
		}
	}
}
