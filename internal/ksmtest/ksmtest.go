// Package ksmtest lends the machine's KSM to tests, one test at a time.
package ksmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Require is the environment variable that, set to 1, makes a test fail that
// would be skipped for want of KSM, as on a machine that is there to test it.
const Require = "KSMTOP_REQUIRE_KSM"

// lockWait is how long a test waits for the tests of other packages.
const lockWait = 5 * time.Minute

// Skip skips the test since the machine lacks something, as why says, or fails it
// where Require is set.
func Skip(t testing.TB, why ...any) {
	t.Helper()
	if os.Getenv(Require) == "1" {
		t.Fatalf("%s is set, and this cannot be tested: %s", Require, fmt.Sprint(why...))
	}
	t.Skip(why...)
}

// KernelSince reports whether the running kernel is of that release or later.
func KernelSince(t testing.TB, major, minor int) bool {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	var gotMajor, gotMinor int
	release := unix.ByteSliceToString(uts.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &gotMajor, &gotMinor); err != nil {
		t.Fatalf("release %q: %v", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}

// Guard gives the test the machine's KSM until it ends: ksmd stopped, nothing
// tracked, full_scans 0, every knob at its default. The test may change the
// knobs and make memory of its own mergeable, or of processes that it waits
// for; it undoes the latter before it ends, with t.Cleanup or defer.
//
// A test is skipped, with the reason, where it cannot have KSM: without root,
// without KSM, with a read-only /sys, or where somebody uses KSM.
func Guard(t testing.TB) sysfs.FS {
	t.Helper()
	var fsys sysfs.FS
	g := lend(t, fsys)
	t.Cleanup(func() {
		if stat, err := os.ReadFile("/proc/self/ksm_stat"); err == nil && bytes.Contains(stat, []byte(": yes")) {
			t.Errorf("the test ends with mergeable memory, which keeps others from using KSM:\n%s", stat)
		}
		if err := g.Release(); err != nil {
			t.Error(err)
		}
	})
	if _, err := fsys.Set(defaults(t, fsys)...); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// AtRest returns the knobs at a time when no test has KSM, for a test of a program
// that takes it itself. The test is skipped where Guard would skip it.
func AtRest(t testing.TB) sysfs.Knobs {
	t.Helper()
	var fsys sysfs.FS
	g := lend(t, fsys)
	knobs, err := fsys.Knobs()
	if err := errors.Join(err, g.Release()); err != nil {
		t.Fatal(err)
	}
	return knobs
}

// lend acquires the machine's KSM, or skips the test.
func lend(t testing.TB, fsys sysfs.FS) *sysfs.Guarded {
	t.Helper()
	const needed = "needs the machine's KSM: "
	if err := fsys.Supported(); err != nil {
		Skip(t, needed, err)
	}
	if os.Geteuid() != 0 {
		Skip(t, needed, "not root")
	}
	if err := unix.Access(fsys.Path(sysfs.Run), unix.W_OK); err != nil {
		Skip(t, needed, &sysfs.Error{Op: "write", Path: fsys.Path(sysfs.Run), Err: err})
	}
	ctx, cancel := context.WithTimeout(t.Context(), lockWait)
	defer cancel()
	g, err := acquire(ctx, fsys)
	if inUse, ok := errors.AsType[*sysfs.InUseError](err); ok {
		Skip(t, needed, inUse)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// acquire gives the processes of the test before, killed a moment ago, time to
// be gone.
func acquire(ctx context.Context, fsys sysfs.FS) (*sysfs.Guarded, error) {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		g, err := fsys.Acquire(ctx, sysfs.GuardOptions{})
		inUse, ok := errors.AsType[*sysfs.InUseError](err)
		if !ok || inUse.Run != sysfs.RunStop || inUse.Processes == 0 || time.Now().After(deadline) {
			return g, err
		}
	}
}

// defaults returns the settings of a kernel that has just booted, after an
// unmerging that takes ksmd back to the start of its list.
func defaults(t testing.TB, fsys sysfs.FS) []sysfs.Setting {
	t.Helper()
	present, err := fsys.Knobs()
	if err != nil {
		t.Fatal(err)
	}
	settings := []sysfs.Setting{{Field: sysfs.Run, Value: "2"}}
	for f := range present.Present.All() {
		settings = append(settings, sysfs.Setting{Field: f, Value: f.Info().Default})
	}
	return settings
}

// long is a sleep_millisecs from which ksmd does not wake by itself.
const long = 100_000_000

// Scan lets ksmd make n full scans and leaves it stopped, with the counters of
// the moment. It is exact: no page is visited before or after. The knobs
// pages_to_scan and sleep_millisecs stay at large values.
func Scan(t testing.TB, n int) {
	t.Helper()
	var fsys sysfs.FS
	ksmd := findKSMD(t)
	set := func(settings ...sysfs.Setting) {
		t.Helper()
		if _, err := fsys.Set(settings...); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := fsys.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var now sysfs.Reading
	fullScans := func() uint64 {
		reader.Read(&now)
		return now.Counters.FullScans
	}
	// A write of another sleep_millisecs ends ksmd's sleep.
	wake := func() {
		t.Helper()
		reader.Read(&now)
		sleep := long
		if now.Knobs.SleepMillisecs == long {
			sleep++
		}
		set(sysfs.Setting{Field: sysfs.SleepMillisecs, Value: strconv.Itoa(sleep)})
	}

	set(sysfs.Setting{Field: sysfs.Run, Value: "0"}, sysfs.Setting{Field: sysfs.PagesToScan, Value: strconv.Itoa(long)})
	for range n {
		wake()
		before := fullScans()
		set(sysfs.Setting{Field: sysfs.Run, Value: "1"})
		for deadline := time.Now().Add(30 * time.Second); fullScans() == before; {
			if time.Now().After(deadline) {
				t.Fatal("ksmd made no full scan within 30 seconds: is any memory mergeable?")
			}
			// Inside a batch ksmd waits uninterruptibly only. So if it is in
			// an interruptible sleep, and no scan has ended, this one has not
			// begun: ksmd had not yet noticed that it was stopped.
			if ksmd.sleeping(t) && fullScans() == before {
				wake()
			}
		}
		// This waits for the batch to end.
		set(sysfs.Setting{Field: sysfs.Run, Value: "0"})
		if after := fullScans(); after != before+1 {
			t.Fatalf("ksmd made %d full scans, want 1", after-before)
		}
	}
	wake()
}

// daemon is the directory of ksmd in /proc.
type daemon string

func findKSMD(t testing.TB) daemon {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if text, err := os.ReadFile(name); err != nil || string(text) != "ksmd\n" {
			continue
		}
		d := daemon(filepath.Dir(name))
		if link, err := os.Readlink(string(d) + "/exe"); err != nil && link == "" { // a kernel thread has none
			return d
		}
	}
	t.Fatal("ksmd is not among the processes in /proc")
	return ""
}

// sleeping reports whether ksmd waits for something other than a lock.
func (d daemon) sleeping(t testing.TB) bool {
	t.Helper()
	text, err := os.ReadFile(string(d) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), ") ")
	if !found {
		t.Fatal(fmt.Errorf("%s/stat: %q", d, text))
	}
	return strings.HasPrefix(rest, "S")
}
