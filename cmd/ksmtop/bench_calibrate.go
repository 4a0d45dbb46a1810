package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/replace"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/real"
)

// calibrationPages is how many pages a calibration uses if there is room, a GiB, and
// leastCalibration how many it needs.
const (
	calibrationPages = 1 << 18
	leastCalibration = 1 << 14
)

// runCalibrate measures what ksmd's work costs here, and prints it.
func (f *benchFlags) runCalibrate(cmd *cobra.Command) error {
	most := uint64(calibrationPages)
	if f.memory != "" {
		memory, err := f.memoryBytes(leastCalibration * 4096)
		if err != nil {
			return err
		}
		most = memory / 4096
	}
	var save *replace.File
	if f.save != "" { // before minutes of work, not after
		var err error
		if save, err = replace.Create(f.save, 0o666); err != nil {
			return pathError(err)
		}
		defer save.Discard() // unless it is in place
	}
	progress := newBenchProgress(cmd.ErrOrStderr())
	defer progress.clear()
	var c real.Calibration
	measuring := "" // what, and in which round
	interrupted := func() error { return calibrationInterrupted(measuring) }
	err := f.guarded(cmd, interrupted, func(ctx context.Context, k *real.Kernel) error {
		pages, err := calibrationRoom(memAvailable(), most)
		if err != nil {
			return err
		}
		c, err = k.Calibrate(ctx, pages, func(what string) {
			measuring = what
			progress.show("calibrating: " + what)
		})
		return err
	})
	progress.clear()
	if err != nil {
		return err
	}
	file := newCostFile(strings.TrimSpace(text.Clean(osRelease(f.fsys.Proc))), cpuModel(f.fsys), c.HZ, c.Costs)
	content, err := file.text()
	if err != nil {
		return err
	}
	if save != nil {
		if _, err := save.Write(content); err != nil {
			return pathError(err)
		}
		if err := save.Commit(); err != nil {
			return pathError(err)
		}
	}
	out := cmd.OutOrStdout()
	if f.asJSON {
		_, err := io.Copy(out, bytes.NewReader(content))
		return err
	}
	_, err = io.WriteString(out, calibrationText(machineText(f.fsys), &c, f.save))
	return err
}

// calibrationInterrupted is the error of a calibration that a signal ended while that
// was measured, or before anything was.
func calibrationInterrupted(measuring string) error {
	if measuring == "" {
		return errors.New("interrupted before the first round: no costs are written")
	}
	return fmt.Errorf("interrupted while measuring %s: no costs are written", measuring)
}

// calibrationRoom returns how many pages a calibration may use, with so many bytes
// available and at most so many pages.
func calibrationRoom(available, most uint64) (int, error) {
	const pageCost = 4096 + simPageCost
	for pages := calibrationPages; pages >= leastCalibration; pages /= 2 {
		if uint64(pages) <= most && uint64(pages)*pageCost <= available/100*benchShare {
			return pages, nil
		}
	}
	return 0, checkShare("calibrating takes at least", leastCalibration*pageCost, available, "end other programs first")
}

// calibrationText is the table of costs beside the defaults.
func calibrationText(machine string, c *real.Calibration, saved string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n\n", machine, time.Now().Format(time.DateOnly))
	standard := sim.DefaultCosts()
	fmt.Fprintf(&b, "%-10s %-10s  %s\n", "HERE", "DEFAULT", "CPU TIME OF KSMD FOR")
	row := func(here, standard time.Duration, what string) {
		fmt.Fprintf(&b, "%-10s %-10s  %s\n", costText(here), costText(standard), what)
	}
	x := &c.Costs
	row(x.Item+x.Visit+x.Checksum, standard.Item+standard.Visit+standard.Checksum, "a page at its first visit")
	row(x.Visit, standard.Visit, "a visit of a page that is merged")
	row(x.Revisit, standard.Revisit, "the same, if others that are merged with it were visited just before")
	row(x.Checksum, standard.Checksum, "the checksum of a page, on top of the visit")
	row(x.Skip, standard.Skip, "a page that smart scan skips")
	row(x.Empty, standard.Empty, "an address at which there is nothing to do")
	row(x.Join, standard.Join, "merging a page with a KSM page")
	row(x.Rejoin, standard.Rejoin, "merging a page with one that others were merged with just before")
	row(x.Pair, standard.Pair, "making a KSM page of two pages")
	row(x.Zero, standard.Zero, "replacing a page by the zero page")
	row(x.UnstableLevel, standard.UnstableLevel, "a level of the unstable tree")
	row(x.UnstableMiss, standard.UnstableMiss, fmt.Sprintf("more for each level behind the first %d (%d)", x.CachedLevels, standard.CachedLevels))
	row(x.StableLevel, standard.StableLevel, "a level of the stable tree")
	row(x.StableMiss, standard.StableMiss, "more for each level behind those")
	row(x.AlikeLevel, standard.AlikeLevel, "more for a level whose page differs in its last bytes only")
	row(x.AgainLevel, standard.AgainLevel, "a level of either tree, for a content that was just searched for")
	row(x.Batch, standard.Batch, "a batch: waking up, locking")
	fmt.Fprintf(&b, "\n%-10s %-10s  a guest's write to a merged page, on top of another write\n", costText(x.Fault), costText(standard.Fault))
	b.WriteString("\nThose here were measured with batches of 1000 pages and sleeps between them, as ksmd\nmostly works; the defaults on another machine and with one batch a scan, which is cheaper.\n")
	fmt.Fprintf(&b, "\nWith sleep_millisecs 20 ksmd woke %.2f times a second: %d ticks a second.\n", c.Wakes, c.HZ)
	for _, name := range []string{"unstable searches", "stable searches", "pages alike"} {
		if off, ok := c.Fits[name]; ok {
			fmt.Fprintf(&b, "The costs of %s fit the measurements with an error of %.1f %%.\n", name, 100*off)
		}
	}
	if saved != "" {
		fmt.Fprintf(&b, "Saved in %s: `ksmtop sim --cost %s` and `ksmtop bench --cost %s` use it.\n", text.Clean(saved), text.Clean(saved), text.Clean(saved))
	}
	return b.String()
}

// costText writes some nanoseconds or microseconds.
func costText(d time.Duration) string {
	if d < time.Microsecond {
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	}
	return fmt.Sprintf("%.2f us", float64(d)/float64(time.Microsecond))
}
