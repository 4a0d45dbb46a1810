//go:build linux

package sysfs

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkProcessReader reads /proc with so many more sleeping processes, with
// nothing to do with KSM (All lists them anyway).
func BenchmarkProcessReader(b *testing.B) {
	needsProcessData(b)
	for _, n := range []int{100, 1000} {
		if testing.Short() && n > 100 {
			continue
		}
		for range n {
			sleeper(b)
		}
		for _, all := range []bool{false, true} {
			b.Run(fmt.Sprintf("n=%d/all=%t", n, all), func(b *testing.B) {
				benchmarkReader(b, newProcessReader(b, FS{}), all)
			})
		}
	}
}

// BenchmarkProcessReaderFewFiles has descriptors for a tenth of the processes
// only, which all want to keep three: the time per process must not grow with n.
func BenchmarkProcessReaderFewFiles(b *testing.B) {
	for _, n := range []int{500, 5000} {
		if testing.Short() && n > 500 {
			continue
		}
		fsys := processTree(b, n, 1)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			r := newProcessReader(b, fsys)
			r.limit, r.most, r.fixed = n/10, n/10, true
			benchmarkReader(b, r, false)
		})
	}
}

func benchmarkReader(b *testing.B, r *ProcessReader, all bool) {
	r.All = all
	var p Processes
	readProcesses(b, r, &p)
	b.ReportAllocs()
	before := cpuTimeUsed(b)
	for b.Loop() {
		readProcesses(b, r, &p)
	}
	used := cpuTimeUsed(b) - before
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/float64(p.Seen), "cpu-ns/process")
}

// cpuTimeUsed returns the CPU time of this process, which other load changes
// less than elapsed time.
func cpuTimeUsed(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAttribute(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			c := Counters{PagesShared: 1000, PagesSharing: Pages(100 * n), KSMZeroPages: 500, Present: SetOf(PagesShared, PagesSharing, KSMZeroPages)}
			list := make([]Process, n)
			for i := range list {
				list[i] = holder(Pages(90+i%20), 0)
			}
			parts := make([]int64, 0, n)
			b.ReportAllocs()
			for b.Loop() {
				parts, _, _ = c.Attribute(list, 4096, parts[:0])
			}
		})
	}
}
