//go:build amd64 || arm64

package real

import (
	"fmt"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

// BenchmarkBatch measures a batch of one page: as one of many of an operation,
// as an operation by itself, and after something was done to pages.
func BenchmarkBatch(b *testing.B) {
	for _, batches := range []int{1, 100} {
		for _, touched := range []bool{false, true} {
			b.Run(fmt.Sprintf("batches=%d/touched=%t", batches, touched), func(b *testing.B) {
				k, ctx := openKernel(b), b.Context()
				const pages = 1000
				must(b, k.Spawn(ctx, "p"), k.Map(ctx, "p", "a", pages), k.Mergeable(ctx, "p", "a", 0, pages),
					k.Write(ctx, "p", "a", 0, pages, 1, 1), k.Set(ctx, sysfs.PagesToScan, 1))
				for b.Loop() {
					k.touched = touched
					must(b, k.Batch(ctx, batches))
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batches), "ns/batch")
			})
		}
	}
}

// BenchmarkWrite measures filling fresh pages with random words.
func BenchmarkWrite(b *testing.B) {
	k, ctx := onlyProcesses(b), b.Context()
	const pages = 8192
	must(b, k.Spawn(ctx, "p"), k.Map(ctx, "p", "a", pages))
	b.SetBytes(pages * int64(k.page))
	for b.Loop() {
		must(b, k.Write(ctx, "p", "a", 0, pages, 1, 1), k.DontNeed(ctx, "p", "a", 0, pages))
	}
}

// BenchmarkSpawn measures making and ending a process.
func BenchmarkSpawn(b *testing.B) {
	k, ctx := onlyProcesses(b), b.Context()
	for b.Loop() {
		must(b, k.Spawn(ctx, "p"), k.Exit(ctx, "p"))
	}
}

// BenchmarkReset measures what every script pays.
func BenchmarkReset(b *testing.B) {
	k, ctx := openKernel(b), b.Context()
	for b.Loop() {
		must(b, k.Reset(ctx))
	}
}

// BenchmarkShow measures reading all that a show needs, which depends on how
// many processes the machine has.
func BenchmarkShow(b *testing.B) {
	k, ctx := openKernel(b), b.Context()
	for b.Loop() {
		if _, err := k.Counters(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
