//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// still is a host that comes to rest in a second.
const still = `
[knobs]
smart_scan = 0
pages_to_scan = 20000
sleep_millisecs = 2
use_zero_pages = 1
max_page_sharing = 8

[[group]]
name = "vm"
count = 3
memory = "8MiB"
boot = "300ms"
interval = "100ms"
class = [
	{ kind = "image", fraction = 0.3, image = "os", pool = "4MiB", subset = "zipf" },
	{ kind = "self", fraction = 0.2 },
	{ kind = "zero", fraction = 0.1 },
	{ kind = "prefix", fraction = 0.1 },
	{ kind = "free", fraction = 0.1 },
]
`

// bench runs the command, again if tests elsewhere use KSM just then.
func bench(t *testing.T, args ...string) result {
	t.Helper()
	for deadline := time.Now().Add(patienceForKSM); ; time.Sleep(100 * time.Millisecond) {
		r := ksmtop(t, append([]string{"bench"}, args...)...)
		r.stderr = strings.TrimPrefix(r.stderr, waitsText("bench"))
		if !inUse(r.stderr) || time.Now().After(deadline) {
			return r
		}
	}
}

// inUse reports whether a bench failed since KSM is in use. It may have waited before
// that, for tests elsewhere.
func inUse(stderr string) bool {
	return strings.HasPrefix(strings.TrimPrefix(stderr, waitsText("bench")), "ksmtop: KSM is in use: ")
}

// benchLines are the lines that bench --json printed.
func benchLines(t *testing.T, stdout string) (samples []map[string]any, summary benchEndValues) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	for _, line := range lines[:len(lines)-1] {
		var sample map[string]any
		if err := json.Unmarshal([]byte(line), &sample); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		samples = append(samples, sample)
	}
	var last benchSummary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	return samples, last.Summary
}

// counters are what must be equal for memory at rest.
func (v benchValues) counters() benchValues {
	v.Freed, v.To90, v.CPU, v.Scans = nil, nil, nil, nil
	return v
}

// For memory at rest both predictions are exact.
func TestBenchStill(t *testing.T) {
	before := ksmtest.AtRest(t)
	file := filepath.Join(t.TempDir(), "still.toml")
	if err := os.WriteFile(file, []byte(still), 0o666); err != nil {
		t.Fatal(err)
	}
	for length := 5 * time.Second; ; length *= 3 { // on a busy machine ksmd may need longer
		r := bench(t, "--json", "--interval", "500ms", "--for", length.String(), file).want(t, 0)
		samples, s := benchLines(t, r.stdout)
		if want := int(length/(500*time.Millisecond)) + 1; len(samples) != want || samples[0]["source"] != "bench" || len(samples[want-1]["processes"].([]any)) != 3 {
			t.Errorf("%d samples, want %d; the last is %v", len(samples), want, samples[len(samples)-1])
		}
		if s.Measured.counters() != s.Sim.counters() && length < time.Minute {
			continue
		}
		if got, want := s.Sim.counters(), s.Measured.counters(); got != want || want.Sharing == 0 || want.Zero == 0 || want.Unshared == 0 {
			t.Errorf("the simulation predicts %+v, measured %+v", got, want)
		}
		if got, want := s.Scan.counters(), s.Measured.counters(); got != want {
			t.Errorf("the scan predicts %+v, measured %+v", got, want)
		}
		if s.Strangers != 0 || s.Measured.CPU == nil || s.Measured.To90 == nil || s.Deviation == nil {
			t.Errorf("summary %+v", s)
		}
		break
	}
	if after := ksmtest.AtRest(t); after != before {
		t.Errorf("the knobs are %+v after it, want %+v", after, before)
	}
}

// What guests write is timed, and the table is printed.
func TestBenchWriting(t *testing.T) {
	ksmtest.AtRest(t)
	file := filepath.Join(t.TempDir(), "writing.toml")
	text := strings.Replace(still, `"zero", fraction = 0.1`, `"zero", fraction = 0.1, write = [{ share = 1, every = "2s" }]`, 1)
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	r := bench(t, "--for", "2s", file).want(t, 0)
	for _, want := range []string{
		"3 guests; seed 1\n", "by scan       by SIM     measured  scan differs   SIM differs\n", "\npages_sharing ", "\nksmd CPU ",
		"\nsaved over time ", "\n  KSM off  ", "\n  KSM on   ",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("it lacks %q:\n%s", want, r.stdout)
		}
	}
	if r.stderr != "" {
		t.Errorf("standard error %q", r.stderr)
	}
}

// startBench starts a bench that takes long, and returns when its guests are there,
// with their ids and that of the worker from which they come.
func startBench(t *testing.T) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer, workers []int) {
	t.Helper()
	for deadline := time.Now().Add(patienceForKSM); ; {
		stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
		cmd = exec.Command("ksmtop", "bench", "--for", "10m", "--set", "sleep_millisecs=500", "-")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(still), stdout, stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended if all went well
		for {
			if workers = workersOf(t, cmd.Process.Pid); len(workers) == 4 {
				return cmd, stdout, stderr, workers
			}
			if time.Now().After(deadline) {
				t.Fatalf("it has the workers %v, want 4", workers)
			}
			if hasEnded(t, cmd.Process.Pid) {
				_ = cmd.Wait() // with the status
				if !inUse(stderr.String()) {
					t.Fatalf("it ended: %s", stderr)
				}
				break // and again, since tests elsewhere use KSM just now
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// hasEnded reports whether a child has, and leaves it to be waited for.
func hasEnded(t *testing.T, pid int) bool {
	t.Helper()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	return info.Signo != 0
}

// Ctrl-C: the knobs are back, no worker is left, and it says how far it came.
func TestBenchInterrupted(t *testing.T) {
	before := ksmtest.AtRest(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		cmd, stdout, stderr, workers := startBench(t)
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // with the status
		wantGone(t, workers)
		if signal == syscall.SIGKILL { // the next one puts right what is left
			ksmtop(t, "lab", "--on", "both", filepath.Join(goldenScripts, "pair.script")).want(t, 0)
		} else if status := cmd.ProcessState.ExitCode(); status != exitFailed || !strings.HasPrefix(strings.TrimPrefix(stderr.String(), waitsText("bench")), "ksmtop: interrupted ") || stdout.Len() > 0 {
			t.Errorf("%v: status %d, %q and %q", signal, status, stdout, stderr)
		}
		if after := ksmtest.AtRest(t); after != before {
			t.Errorf("%v: the knobs are %+v after it, want %+v", signal, after, before)
		}
	}
}

// Ctrl-C while ksmd works: what was measured is there, and marked as a part of it.
func TestBenchInterruptedLater(t *testing.T) {
	before := ksmtest.AtRest(t)
	for _, asJSON := range []bool{true, false} {
		args := []string{"bench", "--for", "2m", "--interval", "100ms", "-"}
		if asJSON {
			args = append(args, "--json")
		}
		stdout, stderr, status := interruptBench(t, func(pid int, now sysfs.Counters) bool {
			return len(workersOf(t, pid)) == 4 && now.FullScans > 2 && now.PagesSharing > 0
		}, args...)
		if want := regexp.MustCompile(`^ksmtop: interrupted at [0-9.]+ m?s of 2 min\n$`); status != exitFailed || !want.MatchString(stderr) {
			t.Errorf("%v: status %d, standard error %q", args, status, stderr)
		}
		if asJSON {
			samples, s := benchLines(t, stdout)
			if len(samples) == 0 || s.Complete || s.Seconds <= 0 || s.Seconds > 60 || s.Measured.Scans == nil || s.Sim.Sharing == 0 {
				t.Errorf("%d samples, summary %+v", len(samples), s)
			}
		} else if !strings.Contains(stdout, "; partial: interrupted after ") || !strings.Contains(stdout, "\npages_sharing ") {
			t.Errorf("it prints\n%s", stdout)
		}
		if after := ksmtest.AtRest(t); after != before {
			t.Errorf("%v: the knobs are %+v after it, want %+v", args, after, before)
		}
	}
}

// interruptBench starts a bench, with the host still as its standard input, and sends
// SIGINT when it is far enough, by its id and by KSM's counters. It tries again if tests
// elsewhere use KSM just then.
func interruptBench(t *testing.T, enough func(pid int, now sysfs.Counters) bool, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var fsys sysfs.FS
	for deadline := time.Now().Add(patienceForKSM); ; time.Sleep(100 * time.Millisecond) {
		var out, errors bytes.Buffer
		cmd := exec.Command("ksmtop", args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(still), &out, &errors
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill() // it has ended if all went well
		for !hasEnded(t, cmd.Process.Pid) {
			now, err := fsys.Counters()
			if err != nil {
				t.Fatal(err)
			}
			if enough(cmd.Process.Pid, now) {
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("it has not come far enough: %+v", now)
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = cmd.Wait() // with the status
		if stderr = strings.TrimPrefix(errors.String(), waitsText("bench")); !inUse(stderr) || time.Now().After(deadline) {
			return out.String(), stderr, cmd.ProcessState.ExitCode()
		}
	}
}

// While another one has KSM a bench says that it waits, and a signal ends that.
func TestBenchWaits(t *testing.T) {
	ksmtest.Guard(t)
	for _, args := range [][]string{{"clones", "--scale", "64M"}, {"--calibrate"}} {
		wantWaits(t, "interrupted before ", append([]string{"bench"}, args...)...)
	}
}

// wantWaits runs a command, which waits and says so, and ends it with a signal. It
// then fails with an error that begins in that way.
func wantWaits(t *testing.T, ends string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ksmtop", args...)
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stderr := bufio.NewReader(pipe)
	if line, err := stderr.ReadString('\n'); line != waitsText(args[0]) {
		t.Errorf("%v says %q (%v), want %q", args, line, err, waitsText(args[0]))
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	rest, err := io.ReadAll(stderr)
	_ = cmd.Wait() // with the status
	if status := cmd.ProcessState.ExitCode(); err != nil || status != exitFailed || !strings.HasPrefix(string(rest), "ksmtop: "+ends) {
		t.Errorf("%v: status %d, %q (%v)", args, status, rest, err)
	}
}

// Where KSM is in use it is refused, and nothing changes.
func TestBenchInUse(t *testing.T) {
	ksmtest.AtRest(t)
	p := launch(t, "ksm-region", "100", "10", "1")
	for _, args := range [][]string{{"clones", "--scale", "64M"}, {"--calibrate"}} {
		r := ksmtop(t, append([]string{"bench"}, args...)...).want(t, exitFailed)
		if !inUse(r.stderr) || !strings.Contains(r.stderr, "\nksmtop: hint: an experiment begins by unmerging everything: ") || r.stdout != "" {
			t.Errorf("bench %v prints %q and %q", args, r.stdout, r.stderr)
		}
	}
	p.end(t)
}

// What is too large is refused, with advice.
func TestBenchTooLarge(t *testing.T) {
	ksmtest.AtRest(t)
	r := bench(t, "clones", "--scale", "2T").want(t, exitFailed)
	if !strings.HasPrefix(r.stderr, "ksmtop: the guests need up to 2.0") || !strings.Contains(r.stderr, "hint: --scale 1GiB ") {
		t.Errorf("standard error %q", r.stderr)
	}
}

// Costs of this machine make sense, and sim takes the file.
func TestBenchCalibrate(t *testing.T) {
	before := ksmtest.AtRest(t)
	file := filepath.Join(t.TempDir(), "costs.json")
	r := bench(t, "--calibrate", "--memory", "64M", "--save", file).want(t, 0)
	if !strings.Contains(r.stdout, "a visit of a page that is merged\n") || !strings.Contains(r.stdout, "ticks a second.\n") {
		t.Errorf("it prints\n%s", r.stdout)
	}
	costs, err := readCosts(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &costs.Costs
	// The others are differences of times, which on a busy machine can come to nothing.
	if c.Visit < time.Nanosecond || c.Visit > time.Millisecond {
		t.Errorf("a visit costs %v", c.Visit)
	}
	if *c == (sim.Costs{}) || costs.HZ < 100 {
		t.Errorf("%+v", costs)
	}
	ksmtop(t, "sim", "clones", "--scale", "0.01", "--until", "5s", "--cost", file).want(t, 0)
	if after := ksmtest.AtRest(t); after != before {
		t.Errorf("the knobs are %+v after it, want %+v", after, before)
	}
}

// Ctrl-C while costs are measured: it says how far it came, and the file of costs is what
// it was.
func TestBenchCalibrateInterrupted(t *testing.T) {
	before := ksmtest.AtRest(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "costs.json")
	if err := os.WriteFile(file, []byte("of another day"), 0o666); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := interruptBench(t, func(pid int, now sysfs.Counters) bool {
		return len(workersOf(t, pid)) == 2 && now.PagesSharing > 0
	}, "bench", "--calibrate", "--memory", "64M", "--save", file)
	want := regexp.MustCompile(`^ksmtop: interrupted while measuring [a-z ]+, round [123] of 3: no costs are written\n$`)
	if status != exitFailed || !want.MatchString(stderr) || stdout != "" {
		t.Errorf("status %d, %q and %q", status, stdout, stderr)
	}
	list, err := os.ReadDir(dir)
	if content, readErr := os.ReadFile(file); err != nil || readErr != nil || len(list) != 1 || string(content) != "of another day" {
		t.Errorf("the directory holds %v (%v), the file %q (%v)", list, err, content, readErr)
	}
	if after := ksmtest.AtRest(t); after != before {
		t.Errorf("the knobs are %+v after it, want %+v", after, before)
	}
}

// qemuArgs are those of a bench of two real guests. A test that cannot have these is
// skipped.
func qemuArgs(t *testing.T) []string {
	t.Helper()
	kernel := os.Getenv("KSMTOP_GUEST_KERNEL")
	if found, _ := filepath.Glob("/boot/vmlinuz-*"); kernel == "" && len(found) == 0 {
		t.Skip("there is no kernel for guests: neither $KSMTOP_GUEST_KERNEL nor /boot/vmlinuz-*")
	}
	for _, program := range []string{qemuProgram, "busybox"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	args := []string{"--qemu", "2", "--memory", "128M"}
	if kernel != "" {
		args = append(args, "--kernel", kernel)
	}
	return args
}

// Ctrl-C while guests boot, and while they are merged: what was measured is there, if
// there is any.
func TestBenchQEMUInterrupted(t *testing.T) {
	args := append([]string{"bench"}, qemuArgs(t)...)
	before := ksmtest.AtRest(t)
	boots := func(pid int, _ sysfs.Counters) bool { return len(childrenOf(t, pid, "qemu-system-")) == 2 }
	merges := func(pid int, now sysfs.Counters) bool { return boots(pid, now) && now.PagesSharing > 0 }
	if stdout, stderr, status := interruptBench(t, boots, args...); status != exitFailed || stderr != "ksmtop: interrupted before ksmd began\n" || stdout != "" {
		t.Errorf("%v: status %d, %q and %q", args, status, stdout, stderr)
	}
	stdout, stderr, status := interruptBench(t, merges, args...)
	want := regexp.MustCompile(`^ksmtop: interrupted after [0-9.]+ m?s of merging\n$`)
	if status != exitFailed || !want.MatchString(stderr) || !strings.Contains(stdout, "; partial: interrupted after ") || !strings.Contains(stdout, "\npages_sharing ") {
		t.Errorf("%v: status %d, %q and\n%s", args, status, stderr, stdout)
	}
	if after := ksmtest.AtRest(t); after != before { // which fails if a guest is left
		t.Errorf("the knobs are %+v after it, want %+v", after, before)
	}
}

// With real guests scan and kernel agree within a hundredth, and no guest is left.
func TestBenchQEMU(t *testing.T) {
	args := append(qemuArgs(t), "--json")
	before := ksmtest.AtRest(t)
	r := bench(t, args...).want(t, 0)
	var last struct {
		Summary struct {
			Scan     benchValues `json:"predicted_by_scan"`
			Measured benchValues `json:"measured"`
		} `json:"summary"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &last); err != nil {
		t.Fatal(err)
	}
	s := &last.Summary
	if s.Measured.Freed == nil {
		t.Fatalf("it does not say what was freed: %s", r.stdout)
	}
	got, want := s.Scan.Saved, s.Measured.Saved+*s.Measured.Freed
	if want == 0 || math.Abs(float64(got-want)) > float64(want)/100 {
		t.Errorf("the scan predicts %d bytes, measured %d: %s", got, want, r.stdout)
	}
	if after := ksmtest.AtRest(t); after != before { // which fails if a guest is left
		t.Errorf("the knobs are %+v after it, want %+v", after, before)
	}
}
