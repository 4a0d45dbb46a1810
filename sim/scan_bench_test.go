package sim

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// benchMachine has pages pages in 16 processes, a tenth of which have an equal
// page each in the next three tenths, in a scattered order: 30 % duplicates.
func benchMachine(b testing.TB, pages int, trees ksmd.Trees) (*Memory, *ksmd.Daemon) {
	b.Helper()
	m := NewMemory(MemoryOptions{})
	d := ksmd.New(m, ksmd.Options{Trees: trees})
	for f, v := range map[sysfs.Field]uint64{
		sysfs.Run: 1, sysfs.SmartScan: 0, sysfs.PagesToScan: 1 << 31, sysfs.UseZeroPages: 0,
		sysfs.StableNodeChainsPruneMillisecs: 1<<32 - 1,
	} {
		if err := d.SetValue(f, v); err != nil {
			b.Fatal(err)
		}
	}
	const processes = 16
	each := pages / processes
	unique := uint64(pages) * 7 / 10
	n := uint64(0)
	for range processes {
		p := m.Spawn()
		a := m.Map(p, each)
		m.MarkMergeable(p, a, 0, each)
		d.Register(p)
		for i := range each {
			c := n
			if n >= unique {
				c = (n - unique) * 7 % unique
			}
			m.Write(p, a, i, 1, c+1, 0)
			n++
		}
	}
	return m, d
}

// BenchmarkScan measures full scans of memory of which 30 % is duplicates: the
// first reads checksums, the second merges, and in the third nothing changes. It
// reports ns a page visit, and the bytes that the daemon needs a page.
func BenchmarkScan(b *testing.B) {
	for i, engine := range []string{"exact", "walk", "fast"} {
		for _, pages := range []int{1_000_000, 10_000_000} {
			b.Run(fmt.Sprintf("engine=%s/pages=%d", engine, pages), func(b *testing.B) {
				visit := [3]float64{}
				bytes := 0.0
				for b.Loop() {
					b.StopTimer()
					m, d := benchMachine(b, pages, ksmd.Trees(i))
					before := heap()
					b.StartTimer()
					for i := range visit {
						start := b.Elapsed()
						d.Scan()
						visit[i] += float64(b.Elapsed() - start)
					}
					b.StopTimer()
					bytes = float64(int64(heap())-int64(before)) / float64(pages)
					runtime.KeepAlive(m)
					runtime.KeepAlive(d)
					b.StartTimer()
				}
				for i, name := range []string{"ns/first", "ns/merging", "ns/steady"} {
					b.ReportMetric(visit[i]/float64(b.N)/float64(pages), name)
				}
				b.ReportMetric(bytes, "B/page")
			})
		}
	}
}

// heap returns the bytes in use.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
