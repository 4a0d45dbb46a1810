//go:build linux

// Command screens measures what ksmtop's screen costs, beside htop with as many
// processes, at the same delay and on terminals of the same size, in one run:
//
//	go run ./bench/screens [-n 1000,5000] [-delay 1s] [-for 15s] [-rounds 5]
//
// Both programs run at the same time, beside n sleeping processes, ksmtop as it begins
// and with all of these in its table. Their CPU time is the kernel's, without that of
// their start. What ksmtop writes to its terminal in a refresh is set beside what it
// writes when it draws everything anew (Ctrl-L).
//
// The limits: of htop's CPU time a half with 1000 processes and three quarters with
// 5000, and a quarter of the bytes of a full redraw. The exit status is 1 if one is
// missed. It needs htop, and changes nothing but that the processes are there.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
)

type options struct {
	delay, span time.Duration
	rounds      int
}

func main() {
	var o options
	counts := flag.String("n", "1000,5000", "how many `PROCESSES` sleep, with several one after the other")
	flag.DurationVar(&o.delay, "delay", time.Second, "the time from one refresh to the next, in whole tenths of seconds")
	flag.DurationVar(&o.span, "for", 15*time.Second, "how long the programs are measured")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured, an odd number")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *counts, o); err != nil {
		fmt.Fprintln(os.Stderr, "screens:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, counts string, o options) error {
	if o.delay < 100*time.Millisecond || o.delay%(100*time.Millisecond) != 0 || o.rounds < 1 || o.rounds%2 == 0 {
		return errors.New("-delay must be whole tenths of seconds, and -rounds odd")
	}
	if _, err := exec.LookPath("htop"); err != nil {
		return err
	}
	scratch, err := measure.NewScratch(os.TempDir())
	if err != nil {
		return err
	}
	defer scratch.Close()
	ksmtop, err := scratch.Build(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s, medians of %d, %v each, every %v\n\n", measure.Conditions(), o.rounds, o.span, o.delay)
	fmt.Println("| processes | listed | ksmtop, CPU of a refresh | htop | ratio | limit | bytes of a refresh | of a full redraw | ratio | limit |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	missed := 0
	for text := range strings.SplitSeq(counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("-n: %q: not a number of processes", text)
		}
		more, err := o.rows(ctx, string(ksmtop), filepath.Join(scratch.Dir, "config"), n)
		if err != nil {
			return err
		}
		missed += more
	}
	if missed > 0 {
		return fmt.Errorf("%d rows miss a limit", missed)
	}
	return nil
}

// rows measures with n processes, and returns how many rows miss a limit.
func (o *options) rows(ctx context.Context, ksmtop, dir string, n int) (missed int, err error) {
	sleepers, err := startSleepers(n)
	defer sleepers.end()
	if err != nil {
		return 0, err
	}
	for _, all := range []string{"no", "yes"} {
		config := filepath.Join(dir, "ksmtop", "config")
		if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
			return missed, err
		}
		if err := os.WriteFile(config, []byte("all = "+all+"\n"), 0o600); err != nil {
			return missed, err
		}
		listed := "of KSM"
		if all == "yes" {
			listed = "all"
		}
		ok, err := o.row(ctx, ksmtop, dir, n, listed)
		if err != nil {
			return missed, err
		}
		if !ok {
			missed++
		}
	}
	return missed, nil
}

// row prints a row of the table. It reports whether the limits are kept. ksmtop's
// preferences are in the folder config.
func (o *options) row(ctx context.Context, ksmtop, config string, n int, listed string) (ok bool, err error) {
	var ours, theirs []time.Duration
	var refresh, redraw []int
	for range o.rounds {
		us, err := start(config, ksmtop, "-d", o.delay.String())
		if err != nil {
			return false, err
		}
		them, err := start(config, "htop", "-d", strconv.Itoa(int(o.delay/(100*time.Millisecond))))
		if err != nil {
			us.end()
			return false, err
		}
		err = o.round(ctx, us, them, func(a, b time.Duration, bytes, all int) {
			ours, theirs = append(ours, a), append(theirs, b)
			refresh, redraw = append(refresh, bytes), append(redraw, all)
		})
		us.end()
		them.end()
		if err != nil {
			return false, err
		}
	}
	slices.Sort(refresh)
	slices.Sort(redraw)
	a, b := measure.Median(ours), measure.Median(theirs)
	some, all := refresh[o.rounds/2], redraw[o.rounds/2]
	cpu, drawn := a.Seconds()/b.Seconds(), float64(some)/float64(all)
	limit := 0.5
	if n > 1000 {
		limit = 0.75
	}
	const drawnLimit = 0.25
	fmt.Printf("| %d | %s | %.1f ms | %.1f ms | %.2f | %.2f | %d | %d | %.2f | %.2f |\n",
		n, listed, a.Seconds()*1000, b.Seconds()*1000, cpu, limit, some, all, drawn, drawnLimit)
	return cpu <= limit && drawn <= drawnLimit, nil
}

// round measures two programs on their terminals.
func (o *options) round(ctx context.Context, us, them *program, add func(us, them time.Duration, refresh, redraw int)) error {
	wait := func(d time.Duration) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
	if err := wait(3*time.Second + 2*o.delay); err != nil { // both have started
		return err
	}
	refreshes := max(1, int(o.span/o.delay))
	cpuUs, errUs := us.cpu()
	cpuThem, errThem := them.cpu()
	bytesUs := us.bytes.Load()
	if err := errors.Join(errUs, errThem); err != nil {
		return err
	}
	if err := wait(time.Duration(refreshes) * o.delay); err != nil {
		return err
	}
	afterUs, errUs := us.cpu()
	afterThem, errThem := them.cpu()
	if err := errors.Join(errUs, errThem); err != nil {
		return err
	}
	refresh := int(us.bytes.Load()-bytesUs) / refreshes
	before := us.bytes.Load()
	if _, err := us.terminal.Write([]byte{'L' - '@'}); err != nil {
		return err
	}
	if err := wait(o.delay / 2); err != nil {
		return err
	}
	redraw := int(us.bytes.Load() - before)
	if redraw == 0 || !bytes.Contains(us.seen(), []byte("Processes")) {
		return errors.New("ksmtop has drawn nothing")
	}
	n := time.Duration(refreshes)
	add((afterUs-cpuUs)/n, (afterThem-cpuThem)/n, refresh, redraw)
	return nil
}
