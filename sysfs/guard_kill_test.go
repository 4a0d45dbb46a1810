//go:build linux

package sysfs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sysfs"
)

// task is what a process started by these tests does: a test cannot kill
// itself. It comes in the environment as JSON.
type task struct {
	Do     string // "experiment", "repair", "obedient", "stubborn" or "nohup"
	Dir    string // of the fake kernel; empty for the real one
	State  string // GuardOptions.Dir
	Force  bool
	KillAt int // the step at which it kills itself
}

const taskVariable = "KSMTOP_TEST_TASK"

// doTask does the task that this process was started for, if it was, and ends
// the process. Tests that start processes call it first.
func doTask(t *testing.T) {
	text := os.Getenv(taskVariable)
	if text == "" {
		return
	}
	var do task
	if err := json.Unmarshal([]byte(text), &do); err != nil {
		t.Fatal(err)
	}
	var fsys sysfs.FS
	write := fsys.Write
	if do.Dir != "" {
		k := openFakeKernel(do.Dir)
		fsys, write = k.FS, k.write
	}
	steps := 0
	step := func() {
		if steps++; steps == do.KillAt {
			unix.Kill(unix.Getpid(), unix.SIGKILL)
			select {} // the signal may come a moment later
		}
	}
	opts := sysfs.GuardOptions{Dir: do.State, Force: do.Force}.Hooked(step, write)

	var err error
	switch do.Do {
	case "experiment":
		err = experiment(t, fsys, opts, func(f sysfs.Field, text string) error {
			step()
			return write(f, text)
		})
	case "repair":
		_, err = fsys.Repair(t.Context(), opts)
	case "nohup":
		signal.Ignore(unix.SIGHUP)
		err = waitForSignal(t.Context(), fsys, opts, "obedient")
	default:
		err = waitForSignal(t.Context(), fsys, opts, do.Do)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// experiment changes every knob and merges pages, under a guard.
func experiment(t *testing.T, fsys sysfs.FS, opts sysfs.GuardOptions, write func(sysfs.Field, string) error) error {
	g, err := fsys.Acquire(t.Context(), opts)
	if err != nil {
		return err
	}
	_, err = fsys.SetThrough(write, parse(t, "run=2 advisor_mode=none max_page_sharing=3 merge_across_nodes=0 use_zero_pages=1 "+
		"smart_scan=1 stable_node_chains_prune_millisecs=0 sleep_millisecs=1 pages_to_scan=1000 run=1")...)
	if err != nil {
		return err
	}
	if fsys.Root != "" {
		err = os.WriteFile(fsys.Path(sysfs.PagesShared), []byte("7\n"), 0o644)
	} else if !opts.Force {
		mergeable(t, 4)
		err = await(10*time.Second, func() bool {
			c, err := fsys.Counters()
			return err == nil && c.PagesSharing > 0
		})
	}
	if err != nil {
		return err
	}
	_, err = fsys.SetThrough(write, parse(t, "advisor_min_pages_to_scan=600 advisor_max_pages_to_scan=1000 advisor_max_cpu=50 "+
		"advisor_target_scan_time=9 advisor_mode=scan-time")...)
	return errors.Join(err, g.Release())
}

// waitForSignal waits in a guarded function for the end of its context. The
// stubborn one goes on for ever, the tidying one for a while, and writes a knob.
func waitForSignal(ctx context.Context, fsys sysfs.FS, opts sysfs.GuardOptions, manner string) error {
	return fsys.Guard(ctx, opts, func(ctx context.Context) error {
		if _, err := fsys.Set(sysfs.Setting{Field: sysfs.SleepMillisecs, Value: "1"}); err != nil {
			return err
		}
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println(context.Cause(ctx))
		switch manner {
		case "stubborn":
			select {}
		case "tidying":
			time.Sleep(200 * time.Millisecond)
			if _, err := fsys.Set(sysfs.Setting{Field: sysfs.SleepMillisecs, Value: "5"}); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

func await(limit time.Duration, condition func() bool) error {
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("waited in vain")
		}
	}
	return nil
}

// command returns a process that does the task in the test that calls it.
func command(t *testing.T, do task) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(do)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v=false")
	// The race detector would have each process that ends sleep for a second.
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	return cmd
}

// runTask runs the task and reports whether it killed itself.
func runTask(t *testing.T, do task) (wasKilled bool) {
	t.Helper()
	out, err := command(t, do).CombinedOutput()
	if err == nil {
		return false
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("%+v: %v\n%s", do, err, out)
	}
	return true
}

// A guard that is killed at any step, and a repair that is killed at any step
// after it, leave what the next start puts right.
func TestGuardKilled(t *testing.T) {
	doTask(t)
	// KSM in use, with the advisor's choice of pages_to_scan, which is none of
	// its settings. The real advisor chooses anew at the end of each full scan,
	// of which batches of 0 pages reach none.
	const forced = "max_page_sharing=100 sleep_millisecs=33 advisor_min_pages_to_scan=%d advisor_mode=scan-time advisor_min_pages_to_scan=777 run=1"
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprintf("fake/force=%t", force), func(t *testing.T) {
			dir := t.TempDir()
			k := newFakeKernel(t, dir)
			if force {
				k.set(t, fmt.Sprintf(forced, 1234))
			} else {
				k.set(t, remembered)
			}
			killAnywhere(t, k.FS, k.write, task{Dir: dir, State: filepath.Join(dir, "run"), Force: force})
		})
		t.Run(fmt.Sprintf("kernel/force=%t", force), func(t *testing.T) {
			fsys := ksmtest.Guard(t)
			if force {
				set(t, fsys, fmt.Sprintf(forced, 0))
			} else {
				set(t, fsys, remembered)
			}
			killAnywhere(t, fsys, fsys.Write, task{State: t.TempDir(), Force: force})
		})
	}
}

func killAnywhere(t *testing.T, fsys sysfs.FS, write func(sysfs.Field, string) error, do task) {
	t.Helper()
	opts := sysfs.GuardOptions{Dir: do.State}.Hooked(nil, write)
	before := differing(t, fsys)
	check := func(at string) {
		t.Helper()
		state, err := os.ReadFile(opts.StatePath())
		left := err == nil
		if got, err := fsys.Interrupted(opts); got != left || err != nil {
			t.Errorf("killed at %s: Interrupted() = %t, %v, want %t", at, got, err, left)
		}
		if got, err := fsys.Repair(t.Context(), opts); got != left || err != nil {
			t.Errorf("killed at %s: Repair() = %t, %v, want %t\n%s", at, got, err, left, state)
		}
		wantState(t, opts, false)
		if got := differing(t, fsys); got != before {
			t.Fatalf("killed at %s: knobs are\n     %s\nwant %s", at, got, before)
		}
		if c, err := fsys.Counters(); err != nil || c.PagesShared != 0 || c.PagesSharing != 0 {
			t.Fatalf("killed at %s: %d pages shared, %d sharing, %v, want none", at, c.PagesShared, c.PagesSharing, err)
		}
	}
	experiment, repair := do, do
	experiment.Do, repair.Do = "experiment", "repair"

	// Killed at each step, and the repair once, each time a step later until
	// it has no more.
	last, repairs, longest := 0, 0, 0
	for n := 1; ; n++ {
		experiment.KillAt = n
		if !runTask(t, experiment) {
			check("no step")
			break
		}
		last = n
		repairs++
		repair.KillAt = repairs
		if !runTask(t, repair) {
			longest, repairs = max(longest, repairs-1), 0
		}
		check(fmt.Sprintf("step %d, its repair at step %d", n, repair.KillAt))
	}
	t.Logf("killed at each of %d steps, and the repair at each of %d", last, longest)
	if last < 30 || longest < 10 {
		t.Errorf("the guard has %d steps and its repair %d, want at least 30 and 10: are all hooked?", last, longest)
	}
}

func TestGuardSignals(t *testing.T) {
	doTask(t)
	tests := []struct {
		do      string
		signals []syscall.Signal
		want    []string // its lines
		exit    int      // its status, or -1: ended by the last signal
	}{
		{do: "obedient", signals: []syscall.Signal{unix.SIGINT}, want: []string{"interrupted by SIGINT", "context canceled", "interrupted by SIGINT"}, exit: 1},
		{do: "obedient", signals: []syscall.Signal{unix.SIGTERM}, want: []string{"interrupted by SIGTERM", "context canceled", "interrupted by SIGTERM"}, exit: 1},
		{do: "obedient", signals: []syscall.Signal{unix.SIGHUP}, want: []string{"interrupted by SIGHUP", "context canceled", "interrupted by SIGHUP"}, exit: 1},
		{do: "obedient", signals: []syscall.Signal{unix.SIGQUIT}, want: []string{"interrupted by SIGQUIT", "context canceled", "interrupted by SIGQUIT"}, exit: 1},
		{do: "stubborn", signals: []syscall.Signal{unix.SIGTERM, unix.SIGTERM}, want: []string{"interrupted by SIGTERM"}, exit: -1},
		{do: "stubborn", signals: []syscall.Signal{unix.SIGTERM, unix.SIGINT}, want: []string{"interrupted by SIGTERM"}, exit: -1},
		{do: "tidying", signals: []syscall.Signal{unix.SIGINT, unix.SIGINT}, want: []string{"interrupted by SIGINT", "context canceled", "interrupted by SIGINT"}, exit: 1},
		{do: "nohup", signals: []syscall.Signal{unix.SIGHUP, unix.SIGTERM}, want: []string{"interrupted by SIGTERM", "context canceled", "interrupted by SIGTERM"}, exit: 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.do, tt.signals), func(t *testing.T) {
			if tt.do != "nohup" && signal.Ignored(tt.signals[0]) {
				t.Skip("whoever started this has the signal ignored, so the process inherits that")
			}
			k, opts := guardable(t)
			cmd := command(t, task{Do: tt.do, Dir: filepath.Dir(k.Root), State: opts.Dir})
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "ready" {
				t.Fatalf("the process says %q, want ready", lines.Text())
			}
			wantState(t, opts, true)
			var got []string
			for i, s := range tt.signals {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				if i < len(tt.signals)-1 && tt.do != "nohup" && lines.Scan() { // it has noticed the first
					got = append(got, lines.Text())
				}
			}
			for lines.Scan() {
				got = append(got, lines.Text())
			}
			err = cmd.Wait()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if last := tt.signals[len(tt.signals)-1]; tt.exit < 0 && status.Signal() != last || tt.exit >= 0 && status.ExitStatus() != tt.exit {
				t.Errorf("the process ends with %v, want status %d (-1: %v)", err, tt.exit, last)
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("the process says %q, want %q", got, tt.want)
			}
			wantKnobs(t, k.FS, remembered)
			wantState(t, opts, false)
		})
	}
}
