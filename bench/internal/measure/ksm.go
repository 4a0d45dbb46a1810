//go:build unix

package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Guard lends the machine's KSM to fn, as sysfs.FS.Guard does. Programs that were
// killed a moment ago get the time to be gone.
func Guard(ctx context.Context, fn func(ctx context.Context) error) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := sysfs.FS{}.Guard(ctx, sysfs.GuardOptions{}, fn)
		inUse, ok := errors.AsType[*sysfs.InUseError](err)
		if !ok || inUse.Run != sysfs.RunStop || inUse.Processes == 0 || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// Reset unmerges everything, takes ksmd to the start of its list and leaves it
// stopped. The settings are the kernel's defaults, but for these: no page is
// skipped, all are visited in one batch, the next follows at once, and the knobs
// given.
func Reset(settings ...sysfs.Setting) error {
	var fsys sysfs.FS
	knobs, err := fsys.Knobs()
	if err != nil {
		return err
	}
	want := map[sysfs.Field]string{sysfs.SmartScan: "0", sysfs.PagesToScan: "1000000000", sysfs.SleepMillisecs: "0"}
	for _, s := range settings {
		want[s.Field] = s.Value
	}
	all := []sysfs.Setting{{Field: sysfs.Run, Value: "2"}}
	for f := range knobs.Present.All() {
		value, ok := want[f]
		if !ok {
			value = f.Info().Default
		}
		all = append(all, sysfs.Setting{Field: f, Value: value})
	}
	_, err = fsys.Set(all...)
	return err
}

// FullScans lets ksmd make n full scans, or a little more, and leaves it stopped.
// It returns how long they took.
func FullScans(ctx context.Context, n uint64) (time.Duration, error) {
	var took time.Duration
	_, err := scanUntil(ctx, func(c *sysfs.Counters, elapsed time.Duration) bool {
		took = elapsed
		return c.FullScans >= n
	})
	return took, err
}

// Merge lets ksmd scan until several full scans have merged nothing more, leaves
// it stopped, and returns what it then counts.
func Merge(ctx context.Context) (sysfs.Counters, error) {
	const quiet = 4 // full scans; in the first one ksmd merges nothing
	var saved, since uint64
	return scanUntil(ctx, func(c *sysfs.Counters, _ time.Duration) bool {
		if now := Saved(c); now != saved {
			saved, since = now, c.FullScans
		}
		return c.FullScans > since+quiet
	})
}

// Saved returns how many pages merging saves.
func Saved(c *sysfs.Counters) uint64 { return uint64(c.PagesSharing) + uint64(max(0, c.KSMZeroPages)) }

// scanUntil lets ksmd scan, after Reset, until enough returns true.
func scanUntil(ctx context.Context, enough func(c *sysfs.Counters, elapsed time.Duration) bool) (c sysfs.Counters, err error) {
	var fsys sysfs.FS
	run := func(value string) error {
		_, err := fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: value})
		return err
	}
	began := time.Now()
	if err := run("1"); err != nil {
		return c, err
	}
	for deadline := began.Add(5 * time.Minute); ; {
		if c, err = fsys.Counters(); err != nil || enough(&c, time.Since(began)) {
			break
		}
		if time.Now().After(deadline) {
			err = fmt.Errorf("ksmd came to no end in %d full scans", c.FullScans)
			break
		}
		if err = pause(ctx, 2*time.Millisecond); err != nil {
			break
		}
	}
	if err := errors.Join(err, run("0")); err != nil { // this waits for the end of the batch
		return c, err
	}
	return fsys.Counters()
}

// pause waits, but no longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
