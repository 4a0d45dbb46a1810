//go:build linux

// Command scan measures ksmtop scan against what bounds it, and against what else
// finds equal pages, all in one run and in turn:
//
//	go run ./bench/scan [-size 4G] [-rounds 5] [-dir DIR] [-against reading,duperemove,ksmd]
//
// A child process holds size bytes of private memory in 4 KiB pages: 70 % with a
// content of their own, 25 % drawn from a pool, the more popular ones more often,
// and 5 % zeros. Measured are
//
//   - the memory read with process_vm_readv alone, into one buffer of 2 MiB a
//     thread, against ksmtop scan with as many workers: of a process that has not
//     marked anything for KSM, as is the rule before KSM is switched on;
//   - the first three full scans of the same memory by ksmd, at full speed, against
//     ksmtop scan with one worker before them, both of marked memory;
//   - duperemove, which finds equal blocks in files, on an image of the memory in
//     the page cache, against ksmtop scan of that file.
//
// For ksmtop it is the time of the whole command, from its start to its end. The
// table has medians, their ratio, the limit it must reach and the goal; the exit
// status is 1 if a limit is missed. All scans must give the same answer.
//
// It needs root, KSM that nobody else uses, duperemove (a Debian package of that
// name), the size once more on the disk of DIR, and memory for both: with less it
// takes a smaller size, and says so. However it ends, KSM's settings are put back;
// after a SIGKILL `ksmtop set --repair` does that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
	"github.com/ksmtop/ksmtop/internal/format"
)

// options are the flags and what was made of them.
type options struct {
	size   int64 // of the target, in bytes
	rounds int
	peers  []string // what to measure against

	*measure.Scratch
	ksmtop measure.Ksmtop
	target *target
	scans  int
	saves  int64 // pages, as all scans must say
	others int64 // most pages of a scan that are not the target's memory
	missed int   // limits
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "target" {
		fmt.Fprintln(os.Stderr, "target:", hold(os.Args[2]))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "scan:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var o options
	size := flag.String("size", "4G", "the size of the memory, in `BYTES`")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured, an odd number")
	dir := flag.String("dir", os.TempDir(), "where the image goes, on a disk")
	against := flag.String("against", "reading,duperemove,ksmd", "the `PEERS` to measure against")
	flag.Parse()
	o.peers = strings.Split(*against, ",")
	for _, peer := range o.peers {
		if !slices.ContainsFunc(comparisons, func(c comparison) bool { return c.peer == peer }) {
			return fmt.Errorf("-against: there is no %q", peer)
		}
	}
	if err := o.setSize(*size); err != nil {
		return err
	}
	if o.rounds < 1 || o.rounds%2 == 0 {
		return fmt.Errorf("-rounds: %d: must be odd", o.rounds)
	}
	if slices.Contains(o.peers, "duperemove") {
		if _, err := exec.LookPath("duperemove"); err != nil {
			return err
		}
	}
	if o.Scratch, err = measure.NewScratch(*dir); err != nil {
		return err
	}
	defer o.Close()
	if o.ksmtop, err = o.Build(ctx); err != nil {
		return err
	}
	if err := measure.Guard(ctx, o.compare); err != nil {
		return err
	}
	if o.missed > 0 {
		return fmt.Errorf("%d limits missed", o.missed)
	}
	return nil
}

// comparison measures against one peer. ksmd comes last: what it has merged and
// unmerged lies elsewhere in memory.
type comparison struct {
	peer string
	with func(*options, context.Context) error
}

var comparisons = []comparison{
	{"reading", (*options).withReading},
	{"duperemove", (*options).withDuperemove},
	{"ksmd", (*options).withKSMD},
}

// compare measures everything and prints the table.
func (o *options) compare(ctx context.Context) error {
	err := measure.Reset()
	if err != nil {
		return err
	}
	if o.target, err = startTarget(o.Scratch, o.size); err != nil {
		return err
	}
	defer o.target.kill()
	fmt.Printf("%s, %d MiB, medians of %d\n\n", measure.Conditions(), o.size>>20, o.rounds)
	fmt.Println("| ksmtop scan | seconds | compared with | seconds | ratio | limit | goal | |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, c := range comparisons {
		if !slices.Contains(o.peers, c.peer) {
			continue
		}
		if err := c.with(o, ctx); err != nil {
			return err
		}
	}
	fmt.Printf("\nAll %d scans found that merging saves %d of %d pages, those without marks give or take %d of the rest of the child. In the end: %s.\n",
		o.scans, o.saves, o.size/int64(os.Getpagesize()), o.others, measure.Conditions())
	return nil
}

// setSize takes the size that is wanted, halved until it fits in memory twice.
func (o *options) setSize(text string) error {
	size, err := format.ParseBytes(text)
	if err != nil {
		return fmt.Errorf("-size: %w", err)
	}
	o.size = int64(size) &^ (readBytes - 1)
	for fits := measure.AvailableBytes() / 5 * 2; o.size > fits && o.size > 64<<20; {
		o.size = o.size / 2 &^ (readBytes - 1)
	}
	if o.size < int64(size) {
		fmt.Printf("There is memory for %d MiB only.\n", o.size>>20)
	}
	if o.size < 64<<20 {
		return errors.New("-size: must be at least 64M")
	}
	return nil
}
