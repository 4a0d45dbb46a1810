package scanner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// pagesOf returns aligned memory of n pages whose contents are picked by pick:
// 0 is a page of zeros.
func pagesOf(t testing.TB, n int, pick func(i int) int) []byte {
	t.Helper()
	size := os.Getpagesize()
	raw := make([]byte, (n+1)*size)
	skip := 0
	if over := int(uintptr(unsafe.Pointer(&raw[0])) % uintptr(size)); over != 0 {
		skip = size - over
	}
	mem := raw[skip : skip+n*size]
	for i := range n {
		content := pick(i)
		mem[i*size] = 0 // a page that nobody has written to is not there
		for j := 0; content != 0 && j < size; j += 8 {
			mem[i*size+j], mem[i*size+j+1], mem[i*size+j+2] = byte(content), byte(content>>8), byte(j/8)
		}
	}
	return mem
}

// counted is what a brute-force count finds.
type counted struct {
	pages, zero, distinct, saved uint64
}

// bruteForce counts the pages of some memories as one, the slow and obvious way.
func bruteForce(limit uint64, useZero bool, memories ...[]byte) counted {
	return summed(limit, useZero, copiesIn(memories...), string(make([]byte, os.Getpagesize())))
}

// copiesIn returns how many copies of each content there are.
func copiesIn(memories ...[]byte) map[string]uint64 {
	size := os.Getpagesize()
	copies := make(map[string]uint64)
	for _, mem := range memories {
		for ; len(mem) > 0; mem = mem[size:] {
			copies[string(mem[:size])]++
		}
	}
	return copies
}

// summed sums up how many copies there are of contents, of which zero is that of
// zeros.
func summed[K comparable](limit uint64, useZero bool, copies map[K]uint64, zero K) counted {
	c := counted{zero: copies[zero], distinct: uint64(len(copies))}
	for content, k := range copies {
		c.pages += k
		if useZero && content == zero {
			c.saved += k
			continue
		}
		kept := uint64(1)
		if limit > 0 {
			kept = (k + limit - 1) / limit
		}
		c.saved += k - kept
	}
	return c
}

func resultOf(r *Report) counted { return counted{r.Pages, r.ZeroPages, r.Distinct, r.WouldSave} }

// Random memories give what a brute-force count gives, in place and as an image,
// for every setting of the knobs.
func TestScanEqualsBruteForce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, contents := range []int{1, 2, 30, 5000} {
		mem := pagesOf(t, 3000, func(int) int { return random.IntN(contents) })
		path := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(path, mem, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []uint64{0, 2, 3, 256} {
			for _, useZero := range []bool{false, true} {
				want := bruteForce(limit, useZero, mem)
				o := Options{MaxPageSharing: limit, UseZeroPages: useZero, Workers: 3, Top: 3}
				for _, target := range []Target{OwnTarget("own", mem), ImageTarget(path, "image", os.Getpagesize())} {
					r, err := Scan(t.Context(), []Target{target}, o)
					if err != nil {
						t.Fatal(err)
					}
					if got := resultOf(r); got != want || !r.Complete {
						t.Errorf("%s, %d contents, %+v: %+v, complete %v, want %+v", target.Name, contents, o, got, r.Complete, want)
					}
				}
			}
		}
	}
}

// The parts of the groups sum to the whole, and each saves alone what it would
// be alone.
func TestScanGroups(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var targets []Target
	var memories [][]byte
	for i := range 5 {
		mem := pagesOf(t, 400, func(int) int { return random.IntN(300) })
		memories = append(memories, mem)
		targets = append(targets, OwnTarget(fmt.Sprintf("group %d", i), mem))
	}
	r, err := Scan(t.Context(), targets, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := resultOf(r), bruteForce(0, false, memories...); got != want {
		t.Errorf("the whole is %+v, want %+v", got, want)
	}
	var sum float64
	for _, g := range r.Groups {
		sum += g.WouldSave()
		var number int
		if _, err := fmt.Sscanf(g.Name, "group %d", &number); err != nil {
			t.Fatal(err)
		}
		if want := bruteForce(0, false, memories[number]); g.Within != want.saved || g.Pages != want.pages || g.Distinct != want.distinct {
			t.Errorf("%s: within %d, pages %d, distinct %d, want %+v", g.Name, g.Within, g.Pages, g.Distinct, want)
		}
	}
	if sum != float64(r.WouldSave) || r.Within+r.Between != r.WouldSave {
		t.Errorf("groups sum to %v, within %d + between %d, want %d", sum, r.Within, r.Between, r.WouldSave)
	}
}

// The most copied contents come with their class and owners.
func TestScanTop(t *testing.T) {
	a := pagesOf(t, 100, func(i int) int { return i % 2 * 7 }) // 50 zero pages, 50 of content 7
	b := pagesOf(t, 10, func(int) int { return 7 })
	r, err := Scan(t.Context(), []Target{OwnTarget("a", a), OwnTarget("b", b)}, Options{Top: 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Top) != 2 {
		t.Fatalf("Top has %d contents, want 2: %+v", len(r.Top), r.Top)
	}
	first, second := r.Top[0], r.Top[1]
	if first.Copies != 60 || first.Class != ClassOther || len(first.Owners) != 2 || first.Owners[0] != (Owner{"a", 50}) || first.Owners[1] != (Owner{"b", 10}) {
		t.Errorf("the first is %d copies of class %q in %v", first.Copies, first.Class, first.Owners)
	}
	if len(first.Sample) != os.Getpagesize() {
		t.Errorf("the first has a sample of %d bytes", len(first.Sample))
	}
	if second.Copies != 50 || second.Class != ClassZero {
		t.Errorf("the second is %d copies of class %q", second.Copies, second.Class)
	}
}

// What cannot be opened is listed, and the rest is read.
func TestScanRefused(t *testing.T) {
	mem := pagesOf(t, 10, func(i int) int { return i })
	missing := ImageTarget(filepath.Join(t.TempDir(), "missing"), "x", os.Getpagesize())
	gone := Target{Name: "gone", Open: func() (Source, error) { return nil, ErrGone }}
	r, err := Scan(t.Context(), []Target{missing, OwnTarget("own", mem), gone}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || len(r.Refused) != 1 || r.Refused[0].Target != missing.Name || !errors.Is(r.Refused[0].Err, os.ErrNotExist) {
		t.Errorf("complete %v, refused %v", r.Complete, r.Refused)
	}
	if r.Gone != 1 || r.Pages != 10 {
		t.Errorf("gone %d, pages %d, want 1, 10", r.Gone, r.Pages)
	}
}

// A file that becomes shorter after it was opened is counted as far as it is
// there, and reported.
func TestScanShrinkingImage(t *testing.T) {
	mem := pagesOf(t, 3000, func(i int) int { return i % 10 })
	path := filepath.Join(t.TempDir(), "image")
	left := 700 * os.Getpagesize()
	target := ImageTarget(path, "image", os.Getpagesize())
	open := target.Open
	target.Open = func() (Source, error) {
		source, err := open()
		if err := os.Truncate(path, int64(left)+5); err != nil {
			t.Error(err)
		}
		return source, err
	}
	for _, verify := range []bool{false, true} {
		if err := os.WriteFile(path, mem, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Scan(t.Context(), []Target{target}, Options{Verify: verify})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := resultOf(r), bruteForce(0, false, mem[:left]); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if want := "file " + path + " became shorter while it was read"; r.Complete || len(r.Problems) != 1 || r.Problems[0].Error() != want {
			t.Errorf("complete %v, problems %v, want that it %s", r.Complete, r.Problems, want)
		}
		// It no longer consists of whole pages, and so cannot be opened again.
		if v := r.Verification; verify && (v.Compared != 0 || v.Changed != 700 || v.Unequal != 0) {
			t.Errorf("verified %+v, want nothing compared", v)
		}
	}
}

// A scan that is stopped reports what it has read, and says that it is part.
func TestScanStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	mem := pagesOf(t, 10, func(i int) int { return i })
	stop := Target{Name: "stop", Open: func() (Source, error) {
		cancel()
		return nil, ErrGone
	}}
	r, err := Scan(ctx, []Target{stop, OwnTarget("own", mem)}, Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || r.Pages != 0 {
		t.Errorf("complete %v, %d pages, want a part without any", r.Complete, r.Pages)
	}
}

func TestScanChecksOptions(t *testing.T) {
	for _, o := range []Options{{Workers: -1}, {MaxPageSharing: 1}, {MaxCPU: -1}} {
		if _, err := Scan(t.Context(), nil, o); err == nil {
			t.Errorf("Scan with %+v: no error", o)
		}
	}
	dir := t.TempDir()
	for i, size := range []int{4096, 8192} {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Scan(t.Context(), []Target{
		ImageTarget(filepath.Join(dir, "0"), "", 4096), ImageTarget(filepath.Join(dir, "1"), "", 8192),
	}, Options{})
	if err == nil {
		t.Error("Scan of images with pages of different sizes: no error")
	}
}

// scarce is a source that takes a descriptor of a few.
type scarce struct {
	Source
	taken *atomic.Int64
}

func (s scarce) Close() error {
	s.taken.Add(-1)
	return s.Source.Close()
}

// Where there are few descriptors, a target is opened when another is done with. The
// first that was read stays open.
func TestScanWaitsForDescriptors(t *testing.T) {
	const pages, targets = 50, 30
	mem := pagesOf(t, pages, func(i int) int { return i })
	for _, tt := range []struct{ descriptors, workers, refused int }{
		{descriptors: 2, workers: 1}, {descriptors: 2, workers: 8}, {descriptors: 5, workers: 2},
		{descriptors: 1, workers: 2, refused: targets - 1}, {descriptors: 0, workers: 1, refused: targets},
	} {
		var taken atomic.Int64
		own := OwnTarget("", mem)
		target := Target{Name: "scarce", Open: func() (Source, error) {
			if taken.Add(1) > int64(tt.descriptors) {
				taken.Add(-1)
				return nil, newError("open", "scarce", &fs.PathError{Op: "open", Err: syscall.EMFILE})
			}
			src, err := own.Open()
			return scarce{src, &taken}, err
		}}
		r, err := Scan(t.Context(), slices.Repeat([]Target{target}, targets), Options{Workers: tt.workers})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Refused) != tt.refused || r.Pages != uint64(pages*(targets-tt.refused)) || taken.Load() != 0 {
			t.Errorf("%+v: %d refused, %d pages, %d still open", tt, len(r.Refused), r.Pages, taken.Load())
		}
	}
}

func TestLimiter(t *testing.T) {
	second := time.Second
	for _, tt := range []struct {
		name    string
		o       Options
		workers int
		bytes   int
		busy    time.Duration
		want    time.Duration // after two such pieces of work
	}{
		{name: "none", workers: 2, bytes: 1 << 20, busy: second},
		{name: "rate", o: Options{MaxRate: 1 << 20}, workers: 2, bytes: 1 << 20, busy: second, want: 2 * second},
		{name: "half a CPU", o: Options{MaxCPU: 50}, workers: 1, bytes: 1 << 20, busy: second, want: 4 * second},
		{name: "all CPUs", o: Options{MaxCPU: 200}, workers: 2, bytes: 1 << 20, busy: second},
		{name: "one CPU of two", o: Options{MaxCPU: 100}, workers: 2, bytes: 1 << 20, busy: second, want: 2 * second},
		{name: "both, CPU is less", o: Options{MaxCPU: 25, MaxRate: 1 << 20}, workers: 1, bytes: 1 << 20, busy: second, want: 8 * second},
		{name: "next to nothing", o: Options{MaxCPU: 1e-300}, workers: 1, busy: second, want: math.MaxInt64/2 + 1},
		{name: "both, rate is less", o: Options{MaxCPU: 50, MaxRate: 1 << 18}, workers: 1, bytes: 1 << 20, busy: second, want: 8 * second},
	} {
		l := newLimiter(&tt.o, tt.workers)
		l.take(tt.bytes, tt.busy)
		if got := l.take(tt.bytes, tt.busy); got != tt.want {
			t.Errorf("%s: must have taken %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Workers that have to share a CPU would wait for it, and their waiting would count
// as work.
func TestMaxCPULimitsWorkers(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want int
	}{
		{Options{Workers: 8}, 8},
		{Options{Workers: 8, MaxCPU: 70}, 1},
		{Options{Workers: 8, MaxCPU: 100}, 1},
		{Options{Workers: 8, MaxCPU: 101}, 2},
		{Options{Workers: 8, MaxCPU: 0.01}, 1},
		{Options{Workers: 8, MaxCPU: 1e300}, 8},
		{Options{Workers: 1, MaxCPU: 300}, 1},
		{Options{MaxCPU: 1e9}, runtime.NumCPU()},
	} {
		if got := tt.o.workers(); got != tt.want {
			t.Errorf("%+v: %d workers, want %d", tt.o, got, tt.want)
		}
	}
}

// The limits hold on average, and do not change the answer.
func TestScanLimits(t *testing.T) {
	mem := pagesOf(t, 600, func(i int) int { return i % 100 })
	r, err := Scan(t.Context(), []Target{OwnTarget("own", mem)}, Options{Workers: 2, MaxCPU: 50, MaxRate: uint64(len(mem)) * 20})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := resultOf(r), bruteForce(0, false, mem); got != want {
		t.Errorf("Scan = %+v, want %+v", got, want)
	}
	if least := float64(len(mem)) / float64(uint64(len(mem))*20); r.Elapsed.Seconds() < least {
		t.Errorf("took %v, want at least %v s at that rate", r.Elapsed, least)
	}
}
