//go:build linux

// Command programs holds ksmtop's prediction against what the kernel then does,
// with real programs: redis-server, a JVM, python3, node and QEMU guests.
//
//	go run ./bench/programs [-install] [-n 3] [-kernel FILE] [WORKLOAD...]
//
// Each workload is n instances of one program, started by `ksmtop run`, filled
// with data and then stopped (SIGSTOP), so that their memory stands still. With
// KSM off, `ksmtop scan` predicts how many pages merging saves. Then ksmd merges
// at full speed, with smart_scan 0, until several full scans have changed nothing,
// and its pages_sharing and ksm_zero_pages are the truth. This is done with
// use_zero_pages 0 and 1, each time with new instances. The result is a table in Markdown; the exit status is 1
// if a prediction is more than 1 % off.
//
// To merge a page of a huge page, ksmd has it split, and since Linux 6.12 each
// split maps the kernel's zero page in place of all pages of zeros in it (mm/
// migrate.c: try_to_map_unused_to_zeropage). They are saved because ksmd runs, but
// it does not count them. The table has them in a column of their own, and the
// difference is that to the sum.
//
// It needs root, KSM that nobody else uses, and the programs. A workload whose
// programs are missing is left out; -install installs them as Debian packages
// first, with the services that these may start. The guests boot the kernel in
// FILE, else the newest in /boot, else with -install one of Debian's, which is
// downloaded but not installed.
//
// However it ends, the programs are killed, and what was merged with them, and
// KSM's settings are put back; after a SIGKILL `ksmtop set --repair` does the latter.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
	"github.com/ksmtop/ksmtop/sysfs"
)

// limitPercent is how far off a prediction may be.
const limitPercent = 1

// options are the flags and what was made of them.
type options struct {
	install bool
	copies  int
	kernel  string

	*measure.Scratch
	ksmtop measure.Ksmtop
}

func main() {
	var o options
	flag.BoolVar(&o.install, "install", false, "install missing programs with apt-get")
	flag.IntVar(&o.copies, "n", 3, "how many instances of each program")
	flag.StringVar(&o.kernel, "kernel", "", "the kernel of the guests")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	if err := o.run(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "programs:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context, names []string) (err error) {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if o.Scratch, err = measure.NewScratch(""); err != nil {
		return err
	}
	defer o.Close()
	if o.ksmtop, err = o.Build(ctx); err != nil {
		return err
	}
	fmt.Printf("%s\n\n", measure.Conditions())
	fmt.Println("| workload | processes | use_zero_pages | pages looked at | predicted pages | merged pages | zeros freed by splitting | difference | seconds of scan | net MiB |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	var all []error
	for _, w := range chosen {
		if o.install && len(w.missing()) > 0 {
			if err := installPackages(ctx, w.packages); err != nil {
				return err
			}
		}
		if missing := w.missing(); len(missing) > 0 {
			fmt.Printf("| %s | left out: there is no %s | | | | | | | | |\n", w.name, strings.Join(missing, ", "))
			continue
		}
		if err := o.try(ctx, w); err != nil {
			all = append(all, fmt.Errorf("%s: %w", w.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(all...)
}

// choose returns the workloads of these names, or all of them.
func choose(names []string) ([]workload, error) {
	if len(names) == 0 {
		return workloads, nil
	}
	var chosen []workload
	for _, name := range names {
		i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q: no such workload", name)
		}
		chosen = append(chosen, workloads[i])
	}
	return chosen, nil
}

// missing returns which programs of the workload are not installed.
func (w *workload) missing() []string {
	return slices.DeleteFunc(slices.Clone(w.programs), func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}

// installPackages installs Debian packages. A signal does not cut that short.
func installPackages(ctx context.Context, packages []string) error {
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, packages...)} {
		args = append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"}, args...)
		if err := measure.Run(context.WithoutCancel(ctx), nil, "env", args...); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// try measures one workload, and prints its rows of the table.
func (o *options) try(ctx context.Context, w workload) error {
	if w.prepare != nil {
		if err := w.prepare(ctx, o); err != nil {
			return err
		}
	}
	for _, useZero := range []string{"0", "1"} {
		err := measure.Guard(ctx, func(ctx context.Context) error { return o.compare(ctx, w, useZero) })
		if err != nil {
			return err
		}
	}
	return nil
}

// compare starts the programs, predicts, lets ksmd merge, and prints a row.
func (o *options) compare(ctx context.Context, w workload, useZero string) error {
	if err := measure.Reset(sysfs.Setting{Field: sysfs.UseZeroPages, Value: useZero}); err != nil {
		return err
	}
	programs, err := o.start(ctx, w)
	defer programs.kill()
	if err == nil {
		err = programs.freeze(ctx)
	}
	if err != nil {
		return err
	}
	scan := func() (measure.Answer, error) { return o.ksmtop.Scan(ctx, "--areas", "marked", "-p", programs.pids()) }
	predicted, err := scan()
	if err != nil {
		return err
	}
	counters, err := measure.Merge(ctx)
	if err != nil {
		return err
	}
	after, err := scan()
	if err != nil {
		return err
	}
	merged := int64(measure.Saved(&counters))
	// Mappings of the zero page that are new, and not ksmd's.
	split := after.Skipped["mapped_zero"] - predicted.Skipped["mapped_zero"] - int64(counters.KSMZeroPages)
	off := 100 * float64(predicted.WouldSave-merged-split) / float64(max(merged+split, 1))
	fmt.Printf("| %s | %d | %s | %d | %d | %d | %d | %+.3f %% | %.3f | %.1f |\n", w.name, len(programs.list), useZero,
		predicted.Pages, predicted.WouldSave, merged, split, off, predicted.Wall.Seconds(), float64(predicted.NetBytes)/(1<<20))
	if math.Abs(off) > limitPercent {
		return fmt.Errorf("the prediction is %+.3f %% off; skipped %v; kernel: shared %d, sharing %d, unshared %d, volatile %d, zero %d",
			off, predicted.Skipped, counters.PagesShared, counters.PagesSharing, counters.PagesUnshared, counters.PagesVolatile, counters.KSMZeroPages)
	}
	return nil
}
