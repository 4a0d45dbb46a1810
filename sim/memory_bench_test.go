package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// benchMemory is a mergeable process with pages pages, some percent of which have
// the content of another.
func benchMemory(pages, duplicates int) (*Memory, ksmd.Process) {
	m := NewMemory(MemoryOptions{})
	p := m.Spawn()
	area := m.Map(p, pages)
	m.MarkMergeable(p, area, 0, pages)
	rng := rand.New(rand.NewPCG(1, 2))
	if duplicates == 0 {
		m.Write(p, area, 0, pages, 1, 1)
		return m, p
	}
	for i := range pages {
		content := uint64(i)
		if rng.IntN(100) < duplicates {
			content = rng.Uint64N(uint64(i) + 1)
		}
		m.Write(p, area, i, 1, 1+content, 0)
	}
	return m, p
}

// BenchmarkCandidates looks at all pages of a process, a buffer at a time.
func BenchmarkCandidates(b *testing.B) {
	for _, pages := range []int{1e4, 1e6, 1e7} {
		for _, duplicates := range []int{0, 30} {
			b.Run(fmt.Sprintf("pages=%d/duplicates=%d", pages, duplicates), func(b *testing.B) {
				m, p := benchMemory(pages, duplicates)
				dst := make([]ksmd.Mapping, 1024)
				for b.Loop() {
					seen, from := 0, uint64(0)
					for {
						n := m.Candidates(p, from, dst)
						if n == 0 {
							break
						}
						seen, from = seen+n, dst[n-1].Index+1
					}
					if seen != pages {
						b.Fatalf("%d candidates, want %d", seen, pages)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(pages), "ns/page")
			})
		}
	}
}

// BenchmarkWrite writes to random pages of 1M one by one, or to all: new contents,
// or contents that others have.
func BenchmarkWrite(b *testing.B) {
	const pages = 1e6
	b.Run("one/new", func(b *testing.B) {
		m, p := benchMemory(pages, 0)
		rng := rand.New(rand.NewPCG(1, 2))
		content := uint64(1 << 40)
		for b.Loop() {
			m.Write(p, 0, rng.IntN(pages), 1, content, 0)
			if content++; content%1e5 == 0 {
				m.Recycle()
			}
		}
	})
	b.Run("one/known", func(b *testing.B) {
		m, p := benchMemory(pages, 0)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := 0; b.Loop(); i++ {
			m.Write(p, 0, rng.IntN(pages), 1, 1+rng.Uint64N(pages), 0)
			if i%1e5 == 0 {
				m.Recycle()
			}
		}
	})
	b.Run("all/new", func(b *testing.B) {
		m, p := benchMemory(pages, 0)
		content := uint64(1 << 40)
		for b.Loop() {
			m.Write(p, 0, 0, pages, content, 1)
			content += pages
			m.Recycle()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pages, "ns/page")
	})
	b.Run("all/first", func(b *testing.B) {
		for b.Loop() {
			benchMemory(pages, 0)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pages, "ns/page")
	})
}

// BenchmarkFork starts a child of a process of 1M pages and ends it again.
func BenchmarkFork(b *testing.B) {
	const pages = 1e6
	m, p := benchMemory(pages, 0)
	for b.Loop() {
		m.Exit(m.Fork(p))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pages, "ns/page")
}

// BenchmarkSize reports what the pages of a machine cost.
func BenchmarkSize(b *testing.B) {
	for _, duplicates := range []int{0, 30, 100} {
		b.Run(fmt.Sprintf("duplicates=%d", duplicates), func(b *testing.B) {
			const pages = 1e7
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				m, _ := benchMemory(pages, duplicates)
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/pages, "B/page")
				runtime.KeepAlive(m)
			}
		})
	}
}
