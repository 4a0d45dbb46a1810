package census

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// A stream fills dst with the fingerprints of the pages from number first on.
type stream func(dst []uint64, first int, r *rand.Rand)

// mixed is what scans of machines look like: 70 % of the pages are unique, 5 %
// zero, and the others are of pages/20 contents, unevenly frequent.
func mixed(pages int) stream {
	return func(dst []uint64, first int, r *rand.Rand) {
		for i := range dst {
			switch u := r.IntN(100); {
			case u < 5:
				dst[i] = testZero
			case u < 30:
				x := r.Float64()
				dst[i] = fingerprintOf(1, int(x*x*x*float64(pages/20)))
			default:
				dst[i] = fingerprintOf(2, first+i)
			}
		}
	}
}

func unique(int) stream {
	return func(dst []uint64, first int, _ *rand.Rand) {
		for i := range dst {
			dst[i] = fingerprintOf(2, first+i)
		}
	}
}

// heavy90 has one content in 90 % of the pages.
func heavy90(int) stream {
	return func(dst []uint64, first int, r *rand.Rand) {
		for i := range dst {
			dst[i] = fingerprintOf(2, first+i)
			if r.IntN(10) > 0 {
				dst[i] = fingerprintOf(1, 1)
			}
		}
	}
}

func equal(int) stream {
	return func(dst []uint64, _ int, _ *rand.Rand) {
		for i := range dst {
			dst[i] = fingerprintOf(1, 1)
		}
	}
}

func zipf(pages int) stream {
	z := rand.NewZipf(rand.New(rand.NewPCG(5, 5)), 1.1, 1, uint64(pages))
	return func(dst []uint64, _ int, _ *rand.Rand) {
		for i := range dst {
			dst[i] = fingerprintOf(1, int(z.Uint64()))
		}
	}
}

const batchPages = 512 // 2 MiB of 4 KiB pages

// feed adds pages with the given workers, one after the other, in turns of
// 16 batches (32 MiB); the group changes with the turn.
func feed(c *Census, pages, workers, groups int, s stream) {
	r := rand.New(rand.NewPCG(1, 1))
	ws := make([]*Worker, workers)
	for i := range ws {
		ws[i] = c.Worker()
	}
	batch := make([]uint64, batchPages)
	for first, turn := 0, 0; first < pages; first += len(batch) {
		batch = batch[:min(batchPages, pages-first)]
		s(batch, first, r)
		ws[turn%workers].Add(batch, uint32(turn*7919%groups), uint64(first))
		if first/batchPages%16 == 15 {
			turn++
		}
	}
}

// heapBytes returns the live heap.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemory(t *testing.T) {
	const mib = 1 << 20
	type test struct {
		name     string
		estimate int
		groups   int
		workers  int
		stream   func(int) stream
		perPage  float64
		fixed    int64 // bytes for each worker
	}
	for _, pages := range []int{1 << 20, 1 << 24} {
		tests := []test{
			{"unique", pages, 1, 1, unique, 5.5, 2 * mib},
			{"mixed", pages, 1, 2, mixed, 5.5, 2 * mib},
			{"65536 groups", pages, 1 << 16, 2, unique, 8, 3 * mib},
			{"estimate too low", pages / 1000, 1, 1, unique, 5.5, 2 * mib},
			{"estimate too high", pages * 1000, 1, 1, unique, 5.5, 6 * mib},
			{"equal", pages, 1, 1, equal, 0, 2 * mib},
			{"heavy", pages, 1, 1, heavy90, 0.6, 2 * mib},
			{"many workers", pages, 1, 16, unique, 5.5, 2 * mib},
			{"256 groups", pages, 256, 1, unique, 6.5, 2 * mib},
		}
		if pages > 1<<20 {
			tests = tests[:4]
		}
		for _, tt := range tests {
			t.Run(fmt.Sprintf("pages=%d/%s", pages, tt.name), func(t *testing.T) {
				if testing.Short() && pages > 1<<20 {
					t.Skip("takes seconds")
				}
				s := tt.stream(pages)
				before := heapBytes()
				c := New(Options{Pages: uint64(tt.estimate), Groups: tt.groups, Zero: testZero})
				feed(c, pages, tt.workers, tt.groups, s)
				used := heapBytes() - before
				allowed := int64(tt.perPage*float64(pages)) + int64(tt.workers)*tt.fixed
				t.Logf("%.2f bytes a page", float64(used)/float64(pages))
				if used > allowed {
					t.Errorf("%d pages take %d bytes, more than %d", pages, used, allowed)
				}

				before = heapBytes()
				peak := peakDuring(t, func() {
					r, err := c.Count(context.Background(), 2, Query{Top: 20})
					if err != nil || r.Pages != uint64(pages) {
						t.Errorf("Count() = %+v, %v", r, err)
					}
				})
				allowed = 4*mib + int64(tt.groups)*(2*40+80) + int64(pages>>minPartitionBits)*2*60
				if grown := peak - before; grown > allowed {
					t.Errorf("counting %d pages takes %d bytes, more than %d", pages, grown, allowed)
				}
			})
		}
	}
}

// peakDuring returns the bytes allocated while f ran, freed or not, on top of
// the heap before it: no less than the heap at its highest.
func peakDuring(t *testing.T, f func()) int64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(before.HeapAlloc + after.TotalAlloc - before.TotalAlloc)
}

// However uneven contents are, no partition gets so long that it would keep
// one goroutine busy when the others are done.
func TestPartitionsAreEven(t *testing.T) {
	const pages = 1 << 20
	for name, s := range map[string]func(int) stream{
		"unique": unique, "mixed": mixed, "heavy": heavy90, "equal": equal, "zipf": zipf,
	} {
		c := New(Options{Pages: pages, Zero: testZero})
		feed(c, pages, 1, 1, s(pages))
		w := c.workers[0]
		longest := 0
		for _, at := range w.cursor {
			length := 0
			for chunk := at / chunkBytes; chunk != 0; chunk = w.before(chunk) {
				length++
			}
			longest = max(longest, length)
		}
		entries := longest * int((chunkBytes-chunkHeader)/w.stride)
		t.Logf("%s: at most %d pages", name, entries)
		if entries > pages/200 {
			t.Errorf("%s: a partition has %d of %d pages, want at most 0.5 %%", name, entries, pages)
		}
	}
}

func BenchmarkCensus(b *testing.B) {
	for _, pages := range []int{1e6, 6e6, 16e6, 32e6} {
		fingerprints := make([]uint64, pages)
		mixed(pages)(fingerprints, 0, rand.New(rand.NewPCG(1, 1)))
		for _, groups := range []int{1, 200, 1 << 16} {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("pages=%d/groups=%d/workers=%d", pages, groups, workers), func(b *testing.B) {
					var add, count time.Duration
					var used int64
					for b.Loop() {
						b.StopTimer()
						before := heapBytes()
						b.StartTimer()
						start := time.Now()
						c := New(Options{Pages: uint64(pages), Groups: groups, Zero: testZero})
						addInParallel(c, fingerprints, workers, groups)
						add += time.Since(start)
						b.StopTimer()
						used = heapBytes() - before
						b.StartTimer()
						start = time.Now()
						if _, err := c.Count(context.Background(), workers, Query{Top: 20}); err != nil {
							b.Fatal(err)
						}
						count += time.Since(start)
					}
					perPage := func(d time.Duration) float64 {
						return float64(d.Nanoseconds()) / float64(b.N) / float64(pages)
					}
					b.ReportMetric(float64(used)/float64(pages), "B/page")
					b.ReportMetric(perPage(add), "add-ns/page")
					b.ReportMetric(perPage(count), "count-ns/page")
					b.ReportMetric(perPage(add+count), "ns/page")
				})
			}
		}
		if pages > 6e6 {
			continue
		}
		b.Run(fmt.Sprintf("pages=%d/map", pages), func(b *testing.B) {
			var used int64
			for b.Loop() {
				b.StopTimer()
				before := heapBytes()
				b.StartTimer()
				copies := make(map[uint64]uint32)
				for _, f := range fingerprints {
					copies[f]++
				}
				b.StopTimer()
				used = heapBytes() - before
				runtime.KeepAlive(copies)
				b.StartTimer()
			}
			b.ReportMetric(float64(used)/float64(pages), "B/page")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(pages), "ns/page")
		})
	}
}

// addInParallel deals spans of 32 MiB out to workers, each of another group.
func addInParallel(c *Census, fingerprints []uint64, workers, groups int) {
	done := make(chan bool)
	for i := range workers {
		w := c.Worker()
		go func() {
			const span = 16 * batchPages
			for n := i; n*span < len(fingerprints); n += workers {
				for at := n * span; at < min((n+1)*span, len(fingerprints)); at += batchPages {
					w.Add(fingerprints[at:min(at+batchPages, len(fingerprints))], uint32(n*7919%groups), uint64(at))
				}
			}
			done <- true
		}()
	}
	for range workers {
		<-done
	}
}
