//go:build unix

package sysfs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sysfs"
)

// guardable returns a fake kernel with knobs to remember, and the options of a
// guard of it.
func guardable(t testing.TB) (*fakeKernel, sysfs.GuardOptions) {
	t.Helper()
	dir := t.TempDir()
	k := newFakeKernel(t, dir)
	k.set(t, remembered)
	return k, sysfs.GuardOptions{Dir: filepath.Join(dir, "run")}.Hooked(nil, k.write)
}

const remembered = "pages_to_scan=350 sleep_millisecs=33 smart_scan=0 advisor_min_pages_to_scan=777"

// set writes settings one after another.
func (k *fakeKernel) set(t testing.TB, settings string) {
	t.Helper()
	for _, s := range parse(t, settings) {
		if err := k.write(s.Field, s.Value); err != nil {
			t.Fatalf("%v: %v", s, err)
		}
	}
}

func wantKnobs(t testing.TB, fsys sysfs.FS, want string) {
	t.Helper()
	if got := differing(t, fsys); got != want {
		t.Errorf("knobs are\n     %s\nwant %s", got, want)
	}
}

func wantState(t testing.TB, opts sysfs.GuardOptions, want bool) {
	t.Helper()
	if _, err := os.Stat(opts.StatePath()); (err == nil) != want {
		t.Errorf("state file: %v, want one: %t", err, want)
	}
}

func TestGuardEnds(t *testing.T) {
	errFn := errors.New("by fn")
	tests := []struct {
		name  string
		fn    func() error
		want  error
		panic any
	}{
		{name: "return", fn: func() error { return nil }},
		{name: "error", fn: func() error { return errFn }, want: errFn},
		{name: "panic", fn: func() error { panic(errFn) }, panic: errFn},
		{name: "Goexit", fn: func() error { runtime.Goexit(); return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, opts := guardable(t)
			ran := false
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() {
					if got := recover(); got != tt.panic {
						t.Errorf("panic is %v, want %v", got, tt.panic)
					}
				}()
				err := k.Guard(t.Context(), opts, func(context.Context) error {
					ran = true
					wantState(t, opts, true)
					k.set(t, "run=2 max_page_sharing=3 advisor_mode=scan-time sleep_millisecs=1 run=1")
					k.store(sysfs.PagesShared, "5")
					return tt.fn()
				})
				if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
					t.Errorf("Guard() = %v, want %v", err, tt.want)
				}
			}()
			<-done
			if !ran {
				t.Error("Guard() did not run the function")
			}
			wantKnobs(t, k.FS, remembered)
			wantState(t, opts, false)
			if got := k.read(sysfs.PagesShared); got != "0" {
				t.Errorf("pages_shared = %s afterwards, want 0", got)
			}
		})
	}
}

func TestGuardInUse(t *testing.T) {
	const stat = "ksm_rmap_items %d\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\nksm_merge_any: %s\nksm_mergeable: %s\n"
	tests := []struct {
		name  string
		setup func(k *fakeKernel, process func(pid int, comm, stat string))
		want  string // what follows "KSM is in use: "; empty if it is not
	}{
		{
			name: "other processes, not in KSM",
			setup: func(_ *fakeKernel, process func(int, string, string)) {
				process(7, "bash", fmt.Sprintf(stat, 0, "no", "no"))
				process(os.Getpid(), "self", fmt.Sprintf(stat, 9, "yes", "yes"))
			},
		},
		{
			name:  "counts of its past",
			setup: func(k *fakeKernel, _ func(int, string, string)) { k.store(sysfs.FullScans, "7") },
		},
		{
			name:  "run",
			setup: func(k *fakeKernel, _ func(int, string, string)) { k.store(sysfs.Run, "1") },
			want:  "run is 1",
		},
		{
			name: "merged",
			setup: func(k *fakeKernel, _ func(int, string, string)) {
				k.store(sysfs.PagesShared, "1")
				k.store(sysfs.PagesSharing, "2")
			},
			want: "pages_shared 1, pages_sharing 2, ksm_zero_pages 0",
		},
		{
			name:  "zero pages",
			setup: func(k *fakeKernel, _ func(int, string, string)) { k.store(sysfs.KSMZeroPages, "3") },
			want:  "pages_shared 0, pages_sharing 0, ksm_zero_pages 3",
		},
		{
			name: "marked",
			setup: func(_ *fakeKernel, process func(int, string, string)) {
				process(7, "qemu", fmt.Sprintf(stat, 0, "no", "yes"))
			},
			want: `mergeable memory in process 7 ("qemu")`,
		},
		{
			name: "all of a process, with a hostile name",
			setup: func(_ *fakeKernel, process func(int, string, string)) {
				process(7, "\x1b]0;x\a\xff\u202e", fmt.Sprintf(stat, 0, "yes", "no"))
			},
			want: `mergeable memory in process 7 ("\x1b]0;x\a\xff\u202e")`,
		},
		{
			name: "before Linux 6.14",
			setup: func(_ *fakeKernel, process func(int, string, string)) {
				process(7, "qemu", "ksm_rmap_items 10\n")
			},
			want: `mergeable memory in process 7 ("qemu")`,
		},
		{
			name: "everything",
			setup: func(k *fakeKernel, process func(int, string, string)) {
				k.store(sysfs.Run, "2")
				k.store(sysfs.PagesShared, "1")
				for pid := 11; pid < 16; pid++ {
					process(pid, "qemu", fmt.Sprintf(stat, 0, "yes", "yes"))
				}
			},
			want: `run is 2; pages_shared 1, pages_sharing 0, ksm_zero_pages 0; ` +
				`mergeable memory in process 11 ("qemu"), process 12 ("qemu"), process 13 ("qemu") and 2 more`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, opts := guardable(t)
			tt.setup(k, func(pid int, comm, stat string) {
				dir := filepath.Join(k.Proc, strconv.Itoa(pid))
				writeTree(t, filepath.Join(dir, "comm"), comm+"\n")
				writeTree(t, filepath.Join(dir, "ksm_stat"), stat)
			})
			before := differing(t, k.FS)
			g, err := k.Acquire(t.Context(), opts)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("Acquire() error = %v", err)
				}
			} else {
				inUse, ok := errors.AsType[*sysfs.InUseError](err)
				if !ok || inUse.Error() != "KSM is in use: "+tt.want {
					t.Fatalf("Acquire() error = %v, want KSM is in use: %s", err, tt.want)
				}
				if !strings.Contains(sysfs.Hint(err), "force") {
					t.Errorf("Hint(%v) = %q, want to force it", err, sysfs.Hint(err))
				}
				wantState(t, opts, false)
				opts.Force = true
				if g, err = k.Acquire(t.Context(), opts); err != nil {
					t.Fatalf("Acquire() with Force: error = %v", err)
				}
			}
			k.store(sysfs.SleepMillisecs, "9")
			if err := g.Release(); err != nil {
				t.Error(err)
			}
			wantKnobs(t, k.FS, before)
		})
	}
}

// Where KSM was in use nothing is unmerged, unless a knob cannot be put back
// otherwise.
func TestGuardForced(t *testing.T) {
	tests := []struct{ name, experiment, writes string }{
		{name: "nothing to unmerge for", experiment: "sleep_millisecs=1 run=0", writes: "sleep_millisecs=33 run=1"},
		{
			name: "busy", experiment: "run=2 max_page_sharing=3 run=1",
			writes: "max_page_sharing=256:EBUSY run=2 max_page_sharing=256 run=1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, opts := guardable(t)
			k.set(t, "run=1")
			k.store(sysfs.PagesShared, "5")
			before := differing(t, k.FS)
			r := recorder{through: k.write}
			opts.Force = true
			err := k.Guard(t.Context(), opts.Hooked(nil, r.write), func(context.Context) error {
				k.set(t, tt.experiment)
				k.store(sysfs.PagesShared, "4")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.writes, " "); got != tt.writes {
				t.Errorf("Guard() writes %s, want %s", got, tt.writes)
			}
			wantKnobs(t, k.FS, before)
		})
	}
}

// With the advisor on, pages_to_scan is put back too, through the advisor's
// starting value.
func TestGuardAdvisor(t *testing.T) {
	const before = "run=1 pages_to_scan=1234 smart_scan=0 advisor_mode=scan-time advisor_min_pages_to_scan=777"
	for _, experiment := range []string{
		"advisor_mode=none pages_to_scan=5", "advisor_min_pages_to_scan=5", "advisor_mode=none advisor_mode=scan-time", "run=2 advisor_mode=none",
	} {
		t.Run(experiment, func(t *testing.T) {
			k, opts := guardable(t)
			k.set(t, "sleep_millisecs=20 advisor_min_pages_to_scan=1234 advisor_mode=scan-time advisor_min_pages_to_scan=777 run=1")
			wantKnobs(t, k.FS, before)
			opts.Force = true
			err := k.Guard(t.Context(), opts, func(context.Context) error {
				k.set(t, experiment)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			wantKnobs(t, k.FS, before)
		})
	}
}

// The advisor's choice may be what pages_to_scan was before it, which switching
// it off changes.
func TestGuardAdvisorOff(t *testing.T) {
	k, opts := guardable(t)
	err := k.Guard(t.Context(), opts, func(context.Context) error {
		k.set(t, "advisor_min_pages_to_scan=350 advisor_mode=scan-time")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantKnobs(t, k.FS, remembered)
}

// While memory is taken offline run reads with bit 4 set, which it does not
// take.
func TestGuardOffline(t *testing.T) {
	tests := []struct{ name, before, inside, writes string }{
		{name: "at first", before: "5", inside: "0", writes: "run=1"},
		{name: "at last", before: "1", inside: "5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, opts := guardable(t)
			r := recorder{through: k.write}
			opts.Force = true
			k.store(sysfs.Run, tt.before)
			err := k.Guard(t.Context(), opts.Hooked(nil, r.write), func(context.Context) error {
				k.store(sysfs.Run, tt.inside)
				return nil
			})
			if got := strings.Join(r.writes, " "); err != nil || got != tt.writes {
				t.Errorf("Guard() = %v and writes %q, want %q", err, got, tt.writes)
			}
		})
	}
}

// What cannot be put back is an error, and the next guard tries again.
func TestGuardRefused(t *testing.T) {
	k, opts := guardable(t)
	g, err := k.Acquire(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	k.set(t, "sleep_millisecs=1 smart_scan=1 run=1")
	k.refuse = map[string]error{"sleep_millisecs=33": unix.ENOMEM}
	for range 2 {
		if err := g.Release(); !errors.Is(err, unix.ENOMEM) {
			t.Errorf("Release() error = %v, want ENOMEM", err)
		}
	}
	wantKnobs(t, k.FS, strings.Replace(remembered, "sleep_millisecs=33", "sleep_millisecs=1", 1))
	wantState(t, opts, true)
	k.refuse = nil
	if repaired, err := k.Repair(t.Context(), opts); !repaired || err != nil {
		t.Errorf("Repair() = %t, %v, want true", repaired, err)
	}
	wantKnobs(t, k.FS, remembered)
	if repaired, err := k.Repair(t.Context(), opts); repaired || err != nil {
		t.Errorf("Repair() again = %t, %v, want false", repaired, err)
	}
}

// Somebody who writes against the guard makes it fail, and the next one repairs.
func TestGuardDisturbed(t *testing.T) {
	k, opts := guardable(t)
	disturb := func(f sysfs.Field, text string) error {
		if f == sysfs.SleepMillisecs {
			text = "44"
		}
		return k.write(f, text)
	}
	err := k.Guard(t.Context(), opts.Hooked(nil, disturb), func(context.Context) error {
		k.set(t, "sleep_millisecs=1")
		return nil
	})
	if want := "sleep_millisecs: is 44, not 33, after it was put back"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Guard() error = %v, want %s", err, want)
	}
	wantState(t, opts, true)
	if repaired, err := k.Repair(t.Context(), opts); !repaired || err != nil {
		t.Errorf("Repair() = %t, %v, want true", repaired, err)
	}
	wantKnobs(t, k.FS, remembered)
}

// Pages that unmerging does not reach are an error.
func TestGuardLeftMerged(t *testing.T) {
	k, opts := guardable(t)
	opts = opts.Hooked(nil, nil) // ordinary files: run=2 unmerges nothing
	err := k.Guard(t.Context(), opts, func(context.Context) error {
		k.store(sysfs.PagesShared, "1")
		k.store(sysfs.PagesSharing, "3")
		return nil
	})
	if want := "settings are back, but merged pages stay: 4"; err == nil || err.Error() != want {
		t.Errorf("Guard() error = %v, want %s", err, want)
	}
	wantKnobs(t, k.FS, remembered)
	wantState(t, opts, false)
}

func TestGuardLock(t *testing.T) {
	k, opts := guardable(t)
	g, err := k.Acquire(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for name, err := range map[string]error{
		"Guard":  k.Guard(ctx, opts, func(context.Context) error { t.Error("two guards in force"); return nil }),
		"Repair": func() error { _, err := k.Repair(ctx, opts); return err }(),
	} {
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "lock "+opts.Dir) {
			t.Errorf("%s() while another is in force: error = %v, want DeadlineExceeded", name, err)
		}
	}

	waiting := make(chan error)
	go func() {
		waiting <- k.Guard(t.Context(), opts, func(context.Context) error {
			wantKnobs(t, k.FS, remembered)
			return nil
		})
	}()
	k.set(t, "sleep_millisecs=1")
	if err := g.Release(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("Guard() that waited: error = %v", err)
	}
}

// Who has to wait is told so, once, and nobody else is.
func TestGuardWaiting(t *testing.T) {
	k, opts := guardable(t)
	g, err := k.Acquire(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	opts.Waiting = func() {
		told++
		if err := g.Release(); err != nil {
			t.Error(err)
		}
	}
	for range 2 { // the second has nothing to wait for
		if err := k.Guard(t.Context(), opts, func(context.Context) error { return nil }); err != nil {
			t.Errorf("Guard() error = %v", err)
		}
		if told != 1 {
			t.Errorf("Waiting was called %d times, want once", told)
		}
	}
	if g, err = k.Acquire(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	defer g.Release()
	opts.Waiting = func() { told++ }
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // a few looks at the lock
	defer cancel()
	if err := k.Guard(ctx, opts, nil); !errors.Is(err, context.DeadlineExceeded) || told != 2 {
		t.Errorf("Guard() error = %v, and Waiting was called %d times, want twice", err, told)
	}
}

// A directory that cannot be written to is an error before anything happens.
func TestGuardDir(t *testing.T) {
	k, opts := guardable(t)
	writeTree(t, opts.Dir, "a file, not a directory")
	if err := k.Guard(t.Context(), opts, nil); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("Guard() error = %v, want ENOTDIR", err)
	}
}

// killed leaves things as a killed guard does: changed knobs, the state file,
// and nobody with the lock.
func killed(t testing.TB) (*fakeKernel, sysfs.GuardOptions) {
	t.Helper()
	k, opts := guardable(t)
	g, err := k.Acquire(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile(opts.StatePath())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Release(); err != nil {
		t.Fatal(err)
	}
	k.set(t, "sleep_millisecs=1 run=1")
	writeTree(t, opts.StatePath(), string(state))
	return k, opts
}

func TestGuardRepairs(t *testing.T) {
	k, opts := killed(t)
	if interrupted, err := k.Interrupted(opts); !interrupted || err != nil {
		t.Errorf("Interrupted() = %t, %v, want true", interrupted, err)
	}
	err := k.Guard(t.Context(), opts, func(context.Context) error {
		wantKnobs(t, k.FS, remembered)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantKnobs(t, k.FS, remembered)
	if interrupted, err := k.Interrupted(opts); interrupted || err != nil {
		t.Errorf("Interrupted() after repair = %t, %v, want false", interrupted, err)
	}
}

// A guard in force is not an interrupted one; one of a process with the same
// number that began at another time is.
func TestInterrupted(t *testing.T) {
	k, opts := guardable(t)
	stat := filepath.Join(k.Proc, strconv.Itoa(os.Getpid()), "stat")
	const line = "%d (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0 0\n"
	writeTree(t, stat, fmt.Sprintf(line, os.Getpid(), 5000))
	g, err := k.Acquire(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Release()
	for start, want := range map[int]bool{5000: false, 6000: true} {
		writeTree(t, stat, fmt.Sprintf(line, os.Getpid(), start))
		if got, err := k.Interrupted(opts); got != want || err != nil {
			t.Errorf("Interrupted() with a process of %d = %t, %v, want %t", start, got, err, want)
		}
	}
}

// After a reboot the kernel has its defaults, and the file means nothing.
func TestGuardReboot(t *testing.T) {
	k, opts := killed(t)
	writeTree(t, filepath.Join(k.Proc, "sys/kernel/random/boot_id"), "22222222-2222-2222-2222-222222222222\n")
	k.set(t, "run=0")
	before := differing(t, k.FS)
	if interrupted, err := k.Interrupted(opts); interrupted || err != nil {
		t.Errorf("Interrupted() = %t, %v, want false", interrupted, err)
	}
	if err := k.Guard(t.Context(), opts, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	wantKnobs(t, k.FS, before)
	wantState(t, opts, false)
}

func TestGuardDamaged(t *testing.T) {
	tests := []struct {
		name   string
		damage func(state string) string
		want   string
	}{
		{"empty", func(string) string { return "" }, "damaged: unexpected end of JSON input"},
		{"cut", func(s string) string { return s[:len(s)/2] }, "damaged: unexpected end of JSON input"},
		{"zeros", func(s string) string { return strings.Repeat("\x00", len(s)) }, "damaged: invalid character"},
		{"null", func(string) string { return "null" }, "damaged: incomplete"},
		{"no knobs", func(s string) string { return s[:strings.Index(s, `,"knobs"`)] + "}" }, "damaged: incomplete"},
		{"unknown knob", func(s string) string { return strings.Replace(s, "smart_scan", "\\u001b", 1) }, `damaged: "\x1b" is no knob`},
		{"counter", func(s string) string { return strings.Replace(s, "smart_scan", "full_scans", 1) }, `damaged: "full_scans" is no knob`},
		{"bad number", func(s string) string { return strings.Replace(s, `"350"`, `"35O"`, 1) }, `damaged: pages_to_scan: "35O": invalid syntax`},
		{"bad word", func(s string) string { return strings.Replace(s, `"none"`, `"no\nne"`, 1) }, `damaged: advisor_mode: "[no\nne]": invalid syntax`},
		{"other tree", func(s string) string { return strings.Replace(s, `/sys"`, `/other"`, 1) }, `/other", not "`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, opts := killed(t)
			state, err := os.ReadFile(opts.StatePath())
			if err != nil {
				t.Fatal(err)
			}
			writeTree(t, opts.StatePath(), tt.damage(string(state)))
			before := differing(t, k.FS)
			_, repairErr := k.Repair(t.Context(), opts)
			_, interruptedErr := k.Interrupted(opts)
			for name, err := range map[string]error{
				"Guard":       k.Guard(t.Context(), opts, func(context.Context) error { t.Error("fn runs"); return nil }),
				"Repair":      repairErr,
				"Interrupted": interruptedErr,
			} {
				e, ok := errors.AsType[*sysfs.StateError](err)
				if !ok || e.Path != opts.StatePath() || !strings.Contains(e.Error(), tt.want) {
					t.Errorf("%s() error = %v, want %s", name, err, tt.want)
				}
				if !strings.Contains(sysfs.Hint(err), "remove this file") {
					t.Errorf("Hint(%v) = %q, want to remove the file", err, sysfs.Hint(err))
				}
			}
			wantKnobs(t, k.FS, before)
		})
	}
}
