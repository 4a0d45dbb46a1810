//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
)

// scan runs ksmtop scan and returns the time of the command. Without marks it
// also finds what else the child has, a few hundred pages of the Go runtime.
func (o *options) scan(ctx context.Context, workers int, args ...string) (time.Duration, error) {
	a, err := o.ksmtop.Scan(ctx, append([]string{"--workers", strconv.Itoa(workers)}, args...)...)
	if err != nil {
		return 0, err
	}
	pages := o.size / int64(os.Getpagesize())
	others := a.Pages - pages
	if o.scans++; o.scans == 1 {
		o.saves = a.WouldSave
	}
	o.others = max(o.others, others)
	if others < 0 || others > pages/100 || a.WouldSave < o.saves-o.others || a.WouldSave > o.saves+o.others {
		return 0, fmt.Errorf("ksmtop scan %v: would save %d of %d pages; the target has %d, and the first scan said %d", args, a.WouldSave, a.Pages, pages, o.saves)
	}
	if others == 0 {
		o.saves = a.WouldSave
	}
	return a.Wall, nil
}

// row prints a row of the table. The ratio is how many times faster ksmtop is.
func (o *options) row(ours string, our []time.Duration, theirs string, their []time.Duration, limit, goal float64) {
	ratio := measure.Median(their).Seconds() / measure.Median(our).Seconds()
	verdict := "reaches the goal"
	switch {
	case ratio < limit:
		verdict = "**misses the limit**"
		o.missed++
	case ratio < goal:
		verdict = "reaches the limit"
	}
	fmt.Printf("| %s | %.3f | %s | %.3f | %.2f | %g | %g | %s |\n",
		ours, measure.Median(our).Seconds(), theirs, measure.Median(their).Seconds(), ratio, limit, goal, verdict)
}

// workersText returns "1 worker" or "2 workers".
func workersText(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}

// withReading compares with process_vm_readv alone, before memory is marked.
func (o *options) withReading(ctx context.Context) error {
	limits := []struct {
		workers     int
		limit, goal float64
	}{{1, 0.75, 0.82}, {2, 0.62, 0.72}}
	limits = limits[:min(len(limits), runtime.NumCPU())]
	our, their := make([][]time.Duration, len(limits)), make([][]time.Duration, len(limits))
	for round := range o.rounds + 1 { // the first one is not counted
		for i, l := range limits {
			read, err := o.target.read(l.workers)
			if err != nil {
				return err
			}
			scan, err := o.scan(ctx, l.workers, "-p", o.target.pid())
			if err != nil {
				return err
			}
			if round > 0 {
				our[i], their[i] = append(our[i], scan), append(their[i], read)
			}
		}
	}
	for i, l := range limits {
		o.row(workersText(l.workers), our[i], fmt.Sprintf("process_vm_readv, %d at once", l.workers), their[i], l.limit, l.goal)
	}
	return nil
}

// withKSMD compares with ksmd's first three scans.
func (o *options) withKSMD(ctx context.Context) error {
	const limit, goal = 20, 30
	if err := o.target.mark(); err != nil {
		return err
	}
	var our, their []time.Duration
	for range o.rounds {
		if err := measure.Reset(); err != nil {
			return err
		}
		scan, err := o.scan(ctx, 1, "-p", o.target.pid())
		if err != nil {
			return err
		}
		ksmd, err := measure.FullScans(ctx, 3)
		if err != nil {
			return err
		}
		our, their = append(our, scan), append(their, ksmd)
	}
	o.row(workersText(1), our, "ksmd, first 3 scans", their, limit, goal)
	return nil
}

// withDuperemove compares with duperemove on an image of the memory. It reads one
// file with one thread, but uses others to hash and compare.
func (o *options) withDuperemove(ctx context.Context) error {
	const limit, goal = 20, 40
	image := filepath.Join(o.Dir, "image")
	if err := o.target.dump(image); err != nil {
		return err
	}
	workers := runtime.NumCPU()
	var one, all, their []time.Duration
	for range o.rounds {
		began := time.Now()
		if err := measure.Run(ctx, nil, "duperemove", "-b", strconv.Itoa(os.Getpagesize()), "--dedupe-options=same,partial", image); err != nil {
			return err
		}
		their = append(their, time.Since(began))
		for _, m := range []struct {
			workers int
			to      *[]time.Duration
		}{{1, &one}, {workers, &all}} {
			scan, err := o.scan(ctx, m.workers, image)
			if err != nil {
				return err
			}
			*m.to = append(*m.to, scan)
		}
	}
	o.row("of an image, 1 worker", one, "duperemove", their, limit, goal)
	o.row("of an image, "+workersText(workers), all, "duperemove", their, limit, goal)
	return os.Remove(image)
}
