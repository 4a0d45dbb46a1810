//go:build linux

// Command model compares the model's speed with that of the kernel's ksmd: a full
// scan of the same million pages, 30 % of them duplicates, in which nothing changes
// any more, with smart_scan 0. It prints both, and fails if the model is not 300
// times as fast.
//
//	go run ./bench/model [-pages N] [-rounds N]
//
// It needs root, a KSM that nobody uses, and 4 GiB of memory for a million pages.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sysfs"
)

const limit = 300

func main() {
	real.WorkerMain()
	pages := flag.Int("pages", 1_000_000, "pages in all, in 4 processes")
	rounds := flag.Int("rounds", 5, "scans of which the median counts")
	flag.Parse()
	if err := compare(*pages, *rounds); err != nil {
		log.Fatal(err)
	}
}

func compare(pages, rounds int) error {
	model, err := steady(context.Background(), sim.NewMachine(ksmd.Options{}), pages, rounds)
	if err != nil {
		return err
	}
	var kernel result
	err = real.Guard(context.Background(), sysfs.FS{}, sysfs.GuardOptions{}, func(ctx context.Context, k *real.Kernel) error {
		kernel, err = steady(ctx, k, pages, rounds)
		return err
	})
	if err != nil {
		return err
	}
	if model.sharing != kernel.sharing {
		return fmt.Errorf("the model merged %d pages, the kernel %d", model.sharing, kernel.sharing)
	}
	ratio := float64(kernel.scan) / float64(model.scan)
	each := func(r result) float64 { return float64(r.scan) / float64(pages) }
	fmt.Printf("%d pages, %d of them saved; a scan in which nothing changes, medians of %d\n", pages, model.sharing, rounds)
	fmt.Printf("ksmd  %10.1f ns a page\nmodel %10.1f ns a page, %.0f times as fast (limit %d)\n", each(kernel), each(model), ratio, limit)
	if ratio < limit {
		return fmt.Errorf("the model is not %d times as fast", limit)
	}
	return nil
}

type result struct {
	scan    time.Duration // median
	sharing sysfs.Pages
}

// steady makes the memory on b, has it merged, and times scans.
func steady(ctx context.Context, b sim.Backend, pages, rounds int) (result, error) {
	const processes = 4
	each := pages / processes
	if err := b.Set(ctx, sysfs.PagesToScan, 1<<31); err != nil {
		return result{}, err
	}
	for i := range processes {
		name := fmt.Sprintf("p%d", i)
		steps := []error{
			b.Spawn(ctx, name),
			b.Map(ctx, name, "a", each),
			b.Mergeable(ctx, name, "a", 0, each),
			// The first 70 % are this process's own, the rest that of the one before.
			b.Write(ctx, name, "a", 0, each*7/10, uint64(1+i*each), 1),
			b.Write(ctx, name, "a", each*7/10, each-each*7/10, uint64(1+(i+processes-1)%processes*each), 1),
		}
		if at := slices.IndexFunc(steps, func(err error) bool { return err != nil }); at >= 0 {
			return result{}, steps[at]
		}
	}
	if err := b.Scan(ctx, 3); err != nil {
		return result{}, err
	}
	var times []time.Duration
	for range rounds {
		begin := time.Now()
		if err := b.Scan(ctx, 1); err != nil {
			return result{}, err
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	c, err := b.Counters(ctx)
	return result{scan: times[len(times)/2], sharing: c.PagesSharing}, err
}
