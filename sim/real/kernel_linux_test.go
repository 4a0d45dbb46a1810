//go:build amd64 || arm64

package real

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// run runs a script on k, from the start.
func run(t testing.TB, k *Kernel, text string) (*sim.Table, error) {
	t.Helper()
	script, err := sim.Parse("test.script", []byte(text))
	must(t, err, k.Reset(t.Context()))
	return sim.Run(t.Context(), script, k)
}

const pair = "spawn p\nmap p a 2\nfill p a 0 2 5\nmergeable p a 0 2\nscan 2\nshow end\n"

// checkPair fails unless the kernel is good for another script.
func checkPair(t testing.TB, k *Kernel) {
	t.Helper()
	table, err := run(t, k, pair)
	must(t, err)
	for _, want := range []struct {
		column sim.Column
		value  int64
	}{{sim.ColumnFullScans, 2}, {sim.ColumnPagesScanned, 4}, {sim.ColumnPagesShared, 1}, {sim.ColumnPagesSharing, 1}} {
		if got, ok := table.Rows[0].Value(want.column); !ok || got != want.value {
			t.Errorf("%s = %d, %t, want %d", want.column, got, ok, want.value)
		}
	}
}

func TestRefused(t *testing.T) {
	k := openKernel(t)
	table, err := run(t, k, pair+"set max_page_sharing 256\nset max_page_sharing 2\nshow never\n")
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("error = %v, want EBUSY", err)
	}
	if e, ok := errors.AsType[*sim.ScriptError](err); !ok || e.Line != 8 || e.Word != "max_page_sharing" {
		t.Errorf("error = %v, want a ScriptError of line 8", err)
	}
	if len(table.Rows) != 2 {
		t.Errorf("%d rows, want the 2 before the error", len(table.Rows))
	}
	checkPair(t, k)
}

// What a script leaves is not there for the next one.
func TestReset(t *testing.T) {
	k := openKernel(t)
	_, err := run(t, k, `set run 0
set smart_scan 1
set use_zero_pages 1
set max_page_sharing 2
set merge_across_nodes 0
set stable_node_chains_prune_millisecs 0
set pages_to_scan 3
spawn p
map p a 9
fill p a 0 9 0
mergeable p a 0 9
fork p c
set run 1
scan 4
fill p a 0 2 1
batch
show end
`)
	must(t, err)
	checkPair(t, k)
	for f, want := range map[sysfs.Field]string{
		sysfs.Run: "0", sysfs.SmartScan: "0", sysfs.UseZeroPages: "0", sysfs.MaxPageSharing: "256", sysfs.MergeAcrossNodes: "1",
		sysfs.StableNodeChainsPruneMillisecs: "4294967295", sysfs.PagesToScan: "1000000", sysfs.AdvisorMode: "none",
	} {
		if got, ok := k.now.Knobs.Value(f); ok && got.String() != want {
			t.Errorf("%s = %s, want %s", f, got, want)
		}
	}
}

func TestDisturbed(t *testing.T) {
	fsys := ksmtest.Guard(t)
	k, err := Open(t.Context(), fsys)
	must(t, err)
	t.Cleanup(func() { must(t, k.Close()) })
	ctx := t.Context()
	stranger := onlyProcesses(t)
	must(t, stranger.Spawn(ctx, "x"), stranger.Map(ctx, "x", "a", 3), stranger.Write(ctx, "x", "a", 0, 3, 1, 1))

	check := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, ErrDisturbed) {
			t.Fatalf("error = %v, want ErrDisturbed", err)
		}
		if sysfs.Hint(err) == "" {
			t.Errorf("no hint for %v", err)
		}
	}
	set := func(t *testing.T, f sysfs.Field, value string) {
		t.Helper()
		_, err := fsys.Set(sysfs.Setting{Field: f, Value: value})
		must(t, err)
	}
	t.Run("process", func(t *testing.T) {
		must(t, k.Reset(ctx), stranger.Mergeable(ctx, "x", "a", 0, 3))
		_, err := k.Counters(ctx)
		check(t, err)
		check(t, k.Reset(ctx))
		must(t, stranger.Exit(ctx, "x"))
		checkPair(t, k)
	})
	t.Run("knob", func(t *testing.T) {
		must(t, k.Reset(ctx))
		set(t, sysfs.UseZeroPages, "1")
		_, err := k.Counters(ctx)
		check(t, err)
		checkPair(t, k)
	})
	t.Run("scan", func(t *testing.T) {
		checkPair(t, k)
		set(t, sysfs.Run, "1")
		for {
			c, err := fsys.Counters()
			must(t, err)
			if c.FullScans != 2 {
				break
			}
		}
		set(t, sysfs.Run, "0")
		check(t, k.Batch(ctx, 1))
		checkPair(t, k)
	})
}

// A scan ends when the last process leaves ksmd's list in the middle of it, and
// an operation after it has nothing to do.
func TestListEmpties(t *testing.T) {
	k := openKernel(t)
	table, err := run(t, k, pair+"unmergeable p a 0 2\nscan 1000000\nshow gone\nbatch 1000000\nshow still\nmergeable p a 0 2\nscan\nshow again\n")
	must(t, err)
	for i, want := range []int64{2, 3, 3, 4} {
		if got, _ := table.Rows[2*i].Value(sim.ColumnFullScans); got != want {
			t.Errorf("%s: full_scans = %d, want %d", table.Rows[2*i].Label, got, want)
		}
	}
}

// Cancelling ends a scan in its middle, and another script can follow.
func TestCancelledScan(t *testing.T) {
	k := openKernel(t)
	cause := errors.New("enough")
	const pages = 40000
	must(t, k.Spawn(t.Context(), "p"), k.Map(t.Context(), "p", "a", pages), k.Mergeable(t.Context(), "p", "a", 0, pages),
		k.Write(t.Context(), "p", "a", 0, pages, 1, 1))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer time.AfterFunc(20*time.Millisecond, func() { cancel(cause) }).Stop()
	if err := k.Scan(ctx, 1000000); err != cause {
		t.Errorf("Scan() error = %v, want the cause", err)
	}
	if err := k.Set(ctx, sysfs.Run, 0); err != cause {
		t.Errorf("Set() error = %v, want the cause", err)
	}
	if _, err := k.Counters(ctx); err != cause {
		t.Errorf("Counters() error = %v, want the cause", err)
	}
	if _, err := k.ProcessStat(ctx, "p"); err != cause {
		t.Errorf("ProcessStat() error = %v, want the cause", err)
	}
	checkPair(t, k)
}

// The worker from which all others come can be lost, and is replaced.
func TestFirstKilled(t *testing.T) {
	k := openKernel(t)
	var info unix.Siginfo
	must(t, unix.Kill(k.first.pid, unix.SIGKILL), unix.Waitid(unix.P_PID, k.first.pid, &info, unix.WEXITED|unix.WNOWAIT, nil))
	if err := k.Spawn(t.Context(), "p"); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Spawn() error = %v, want ESRCH", err)
	}
	checkPair(t, k)
	p := k.processes["p"]
	must(t, unix.Kill(p.pid, unix.SIGKILL), unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil))
	k.fresh = false
	if _, err := k.ProcessStat(t.Context(), "p"); !errors.Is(err, unix.ESRCH) {
		t.Errorf("ProcessStat() of a process that was killed: error = %v, want ESRCH", err)
	}
	checkPair(t, k)
}

// Whatever switch this program was started with, only what a script says is
// mergeable.
func TestMemoryMerge(t *testing.T) {
	fsys := ksmtest.Guard(t)
	must(t, unix.Prctl(unix.PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
	first, _, _, err := startFirst()
	must(t, unix.Prctl(unix.PR_SET_MEMORY_MERGE, 0, 0, 0, 0), err)
	t.Cleanup(func() { must(t, end(first)) })
	reader, err := fsys.NewProcessReader()
	must(t, err)
	defer reader.Close()
	var all sysfs.Processes
	must(t, reader.Read(&all))
	for _, p := range all.List {
		if p.PID == first.pid {
			t.Errorf("the worker is registered: %+v", p.KSM)
		}
	}
}

// Without privileges the error says what is missing.
func TestOpenUnprivileged(t *testing.T) {
	var fsys sysfs.FS
	if fsys.Supported() != nil {
		t.Skip("no KSM here")
	}
	if os.Geteuid() == 0 {
		runtime.LockOSThread() // and never unlocked: the thread ends with the test
		must(t, unix.Setfsuid(65534))
	}
	k, err := Open(t.Context(), fsys)
	if k != nil || !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EROFS) {
		t.Fatalf("Open() = %v, %v, want no permission", k, err)
	}
	if hint := sysfs.Hint(err); !strings.Contains(hint, "root") && !strings.Contains(hint, "read-only") {
		t.Errorf("hint is %q", hint)
	}
}

// Nothing would happen in a copy of /sys.
func TestOpenCopy(t *testing.T) {
	root := t.TempDir()
	if _, err := Open(t.Context(), sysfs.FS{Root: root}); !errors.Is(err, sysfs.ErrNotSupported) {
		t.Errorf("without KSM: Open() error = %v, want ErrNotSupported", err)
	}
	must(t, os.MkdirAll(filepath.Join(root, "kernel/mm/ksm"), 0o755))
	_, err := Open(t.Context(), sysfs.FS{Root: root})
	if err == nil || !strings.Contains(err.Error(), "a copy") || sysfs.Hint(err) == "" {
		t.Errorf("Open() error = %v, want that it is a copy, and advice", err)
	}
	// Guard says so before it looks for the lock, in what is no directory here.
	lock := filepath.Join(root, "lock")
	must(t, os.WriteFile(lock, nil, 0o600))
	err = Guard(t.Context(), sysfs.FS{Root: root}, sysfs.GuardOptions{Dir: lock}, nil)
	if err == nil || !strings.Contains(err.Error(), "a copy") {
		t.Errorf("Guard() error = %v, want that it is a copy", err)
	}
}

// A program that does not call WorkerMain is told so, and not started again and
// again.
func TestWithoutWorkerMain(t *testing.T) {
	workersReady.Store(false)
	defer workersReady.Store(true)
	if _, err := Open(t.Context(), sysfs.FS{}); err == nil || !strings.Contains(err.Error(), "WorkerMain") {
		t.Errorf("Open() error = %v, want that WorkerMain was not called", err)
	}
}
