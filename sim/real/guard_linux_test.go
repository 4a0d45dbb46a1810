//go:build amd64 || arm64

package real_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sysfs"
)

// endless is a script that has merged pages and changed knobs when it gets to
// its last line, where it stays.
const endless = `
set max_page_sharing 3
set use_zero_pages 1
spawn p
map p a 300
fill p a 0 100 1
write p a 100 200 1000
mergeable p a 0 300
fork p c
scan 2
show merged
set pages_to_scan 1
batch 1000000
`

func init() {
	helpers["endless"] = runEndless
}

// runEndless says on standard output when pages are merged.
func runEndless() error {
	script, err := sim.Parse("endless.script", []byte(endless))
	if err != nil {
		return err
	}
	return real.Guard(context.Background(), sysfs.FS{}, sysfs.GuardOptions{}, func(ctx context.Context, k *real.Kernel) error {
		runner := sim.Runner{Backend: k, Before: func(op *sim.Op) {
			if op.Kind == sim.OpBatch {
				fmt.Println("merged")
			}
		}}
		_, err := runner.Run(ctx, script)
		return err
	})
}

// TestInterrupted ends a program in the middle of a script. It must leave no
// process, and the knobs as they were: at once if the signal can be caught, and
// otherwise after the next guard.
func TestInterrupted(t *testing.T) {
	before := ksmtest.AtRest(t)
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGKILL} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), helperVar+"=endless")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				cmd.Process.Kill()
				cmd.Wait()
				t.Fatalf("the program ended by itself: %v: %s", err, stderr.String())
			}
			if line != "merged\n" {
				t.Errorf("it said %q", line)
			}
			workers := children(t, cmd.Process.Pid)
			if len(workers) != 3 { // the first one, p and c
				t.Errorf("%d workers, want 3", len(workers))
			}
			if err := unix.Kill(cmd.Process.Pid, signal); err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			if err == nil {
				t.Error("the program ended without an error")
			}
			if signal != unix.SIGKILL && !strings.Contains(stderr.String(), "interrupted by "+unix.SignalName(signal)) {
				t.Errorf("it ended with %v: %q", err, stderr.String())
			}

			deadline := time.Now().Add(5 * time.Second)
			for _, pid := range workers {
				for alive(pid) {
					if signal != unix.SIGKILL || time.Now().After(deadline) {
						t.Fatalf("worker %d is still there", pid)
					}
					time.Sleep(time.Millisecond)
				}
			}
			// Another guard may be quicker to repair what SIGKILL left, but
			// this waits for it.
			if _, err := (sysfs.FS{}).Repair(t.Context(), sysfs.GuardOptions{}); err != nil {
				t.Fatal(err)
			}
			g, err := sysfs.FS{}.Acquire(t.Context(), sysfs.GuardOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Release()
			now, err := sysfs.FS{}.Read()
			if err != nil {
				t.Fatal(err)
			}
			if now.Knobs != before {
				t.Errorf("knobs are %+v, want %+v", now.Knobs, before)
			}
			if now.Counters.PagesShared != 0 || now.Counters.KSMZeroPages != 0 {
				t.Errorf("pages are merged still: %+v", now.Counters)
			}
		})
	}
}

// children returns the processes whose parent is pid.
func children(t *testing.T, pid int) []int {
	t.Helper()
	reader, err := sysfs.FS{}.NewProcessReader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	reader.All = true
	var all sysfs.Processes
	if err := reader.Read(&all); err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, p := range all.List {
		if p.PPID == pid {
			found = append(found, p.PID)
		}
	}
	return found
}

// alive reports whether a process is there and more than a zombie.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false
	}
	return !strings.Contains(string(text), ") Z ") && !strings.Contains(string(text), ") X ")
}

// One show prints a row for the system and one for each process.
func ExampleGuard() {
	script, err := sim.Parse("pair.script", []byte("spawn p\nmap p a 2\nfill p a 0 2 5\nmergeable p a 0 2\nscan 2\nshow end\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	// The first line of main, and of TestMain, is real.WorkerMain().
	err = real.Guard(context.Background(), sysfs.FS{}, sysfs.GuardOptions{}, func(ctx context.Context, k *real.Kernel) error {
		table, err := sim.Run(ctx, script, k)
		if err != nil {
			return err
		}
		return table.WriteTSV(os.Stdout)
	})
	if err != nil {
		fmt.Println(err)
	}
}
