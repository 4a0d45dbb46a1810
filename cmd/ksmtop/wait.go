package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// settling decides when merging has settled: when the gain of several full
// scans in a row was small. Time says nothing, since a scan may take hours; and
// one scan says nothing, since a page is merged at its second visit at the
// earliest, so that a first scan gains nothing.
type settling struct {
	percent float64 // of what is saved: a gain up to that is small
	scans   uint64  // so many in a row

	begun  bool
	passes uint64 // full_scans at the last look
	saved  int64  // pages saved when it was reached
	small  uint64 // scans in a row with a small gain
	gain   int64  // pages per scan, of the last one
	known  bool   // gain is
}

// take looks at one reading and reports whether merging has settled.
func (s *settling) take(c *sysfs.Counters) bool {
	saved := int64(c.PagesSharing) + max(0, int64(c.KSMZeroPages))
	if !s.begun || c.FullScans < s.passes { // run=2 starts from nothing
		s.begun, s.passes, s.saved, s.small, s.known = true, c.FullScans, saved, 0, false
		return false
	}
	scans := c.FullScans - s.passes
	if scans == 0 {
		return false
	}
	s.gain = (saved - s.saved) / int64(scans)
	s.known = true
	s.passes, s.saved = c.FullScans, saved
	if float64(max(s.gain, -s.gain)) <= float64(saved)*s.percent/100 {
		s.small += scans
	} else {
		s.small = 0
	}
	return s.small >= s.scans
}

func newWait(c *common) *cobra.Command {
	var settled bool
	timeout, every := seconds(0), seconds(200*time.Millisecond)
	s := settling{}
	cmd := &cobra.Command{
		Use:   "wait --settled",
		Short: "Wait until merging has settled",
		Long: `wait returns when ksmd has found what there is to merge: when full scans have
ended (full_scans has advanced) and the gain of each of the last --scans was at
most --percent of what is saved. Two scans are the least that tell anything: a
page is merged at its second visit at the earliest.

The exit status is 1 if --timeout passes first, or if ksmd does not scan.`,
		Example: `  ksmtop wait --settled --timeout 10m && ksmtop status`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !settled:
				return usage(errors.New("wait needs to be told for what: --settled"))
			case every < seconds(time.Millisecond):
				return usage(errors.New("--every must be at least 1ms"))
			case !(s.percent >= 0 && s.percent <= 100):
				return usage(errors.New("--percent must be between 0 and 100"))
			case s.scans < 1:
				return usage(errors.New("--scans must be at least 1"))
			}
			ctx, stop := untilSignal(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout))
				defer cancel()
			}
			if err := c.waitSettled(ctx, &s, time.Duration(every)); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "settled after %s: %s saved, last gain %s a scan\n", format.Things(nil, s.passes, "full scan"),
				format.SignedThings(nil, s.saved, "page"), format.SignedThings(nil, s.gain, "page"))
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&settled, "settled", false, "wait until full scans gain little")
	flags.Var(&timeout, "timeout", "give up after that `TIME`; 0 is never")
	flags.Float64Var(&s.percent, "percent", 1, "a gain up to `P` percent of what is saved is little")
	flags.Uint64Var(&s.scans, "scans", 2, "`N` full scans in a row must gain little")
	flags.Var(&every, "every", "`TIME` between two looks")
	return cmd
}

func (c *common) waitSettled(ctx context.Context, s *settling, every time.Duration) error {
	if err := c.check(); err != nil {
		return err
	}
	reader, err := c.fsys.NewReader()
	if err != nil {
		return err
	}
	defer reader.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var r sysfs.Reading
	for {
		reader.Read(&r)
		for _, f := range []sysfs.Field{sysfs.FullScans, sysfs.PagesSharing, sysfs.Run} {
			if err := r.Problem(f); err != nil {
				return err
			}
			if _, ok := r.Value(f); !ok {
				return &sysfs.Error{Op: "open", Path: c.fsys.Path(f), Err: sysfs.ErrNotSupported}
			}
		}
		if r.Knobs.RunMode() != sysfs.RunScan {
			return hinted{fmt.Errorf("ksmd does not scan: run is %d", r.Knobs.Run), "as root, `ksmtop set run=1` starts it"}
		}
		if s.take(&r.Counters) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return notSettled(ctx, s)
		}
	}
}

func notSettled(ctx context.Context, s *settling) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("interrupted before merging settled")
	}
	last := "no full scan ended"
	if s.known {
		last = fmt.Sprintf("the last full scan gained %s", format.SignedThings(nil, s.gain, "page"))
	}
	return hinted{fmt.Errorf("not settled in time: %s", last), "`ksmtop status` says how long a full scan takes"}
}
