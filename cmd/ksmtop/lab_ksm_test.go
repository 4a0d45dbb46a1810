//go:build linux

package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/internal/zeropage"
	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/real"
)

var (
	agreeFor  = flag.Duration("agree", 5*time.Second, "how long TestKernelAgrees compares kernel and model")
	agreeSeed = flag.Uint64("agreeseed", 1, "the first random script that TestKernelAgrees compares them on")
)

// Kernel and model print the same for random scripts.
func TestKernelAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("compares for a while")
	}
	fsys := ksmtest.Guard(t)
	k, err := real.Open(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	old, _ := searchFirst(osRelease(""))
	f := &labFlags{rules: rulesNew, readsMakePages: k.ReadsMakePages()}
	if old {
		f.rules = rulesOld
	}
	begin := time.Now()
	z := sim.Fuzz{
		Kernel: kernelRun(k), Model: f.model(engineFast, os.Getpagesize()), Seed: *agreeSeed,
		More: func() bool { return time.Since(begin) < *agreeFor },
	}
	stats, found, err := z.Run(t.Context())
	t.Logf("%d scripts from seed %d, %d operations, %d rows, %d values; did not come again: seeds %v",
		stats.Scripts, z.Seed, stats.Ops, stats.Rows, stats.Cells, stats.Unstable)
	if err != nil {
		t.Fatal(err)
	}
	if found != nil {
		t.Errorf("seed %d: %v for\n%s", found.Seed, found.Differences, found.Script.Format())
	}
}

// lab runs the command, which may have to wait for tests elsewhere.
func lab(t *testing.T, args ...string) result {
	t.Helper()
	r := ksmtop(t, append([]string{"lab"}, args...)...)
	r.stderr = withoutWaits(r.stderr)
	return r
}

// withoutWaits returns what lab says on standard error but that it waits.
func withoutWaits(stderr string) string { return strings.TrimPrefix(stderr, waitsText("lab")) }

// What the kernel prints is what it printed when the tables were made, and what
// the model prints; the knobs are as before. One that maps no zero page says so, and
// prints another table where a script reads.
func TestLabOnKernel(t *testing.T) {
	before := ksmtest.AtRest(t)
	mapsZeroPage, err := zeropage.Mapped()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pair", "fork-before-scan", "chain-limit-2", "zero-pages-on", "batch-writes-between"} {
		script := filepath.Join(goldenScripts, name+".script")
		want, err := os.ReadFile(filepath.Join(goldenScripts, name+".tsv"))
		if err != nil {
			t.Fatal(err)
		}
		if os.Getpagesize() == simPageBytes {
			r := lab(t, "--on", "kernel", "--tsv", "-", script).want(t, 0)
			said := ""
			if !mapsZeroPage && name == "zero-pages-on" {
				want, said = withoutZeroPage(t, script), noteReadsMakePages+"\n"
			}
			if r.stdout != string(want) || r.stderr != said {
				t.Errorf("%s: the kernel prints\n%s%s\nwant\n%s%s", name, r.stdout, r.stderr, want, said)
			}
		}
		r := lab(t, "--on", "both", script).want(t, 0)
		if !strings.Contains(r.stdout, "\nsim and kernel agree in all ") {
			t.Errorf("%s: %s", name, r.stdout)
		}
	}
	r := lab(t, "--fuzz", "5s", "--out", t.TempDir()).want(t, 0)
	if !strings.Contains(r.stdout, " values compared\n") || r.stderr != "" {
		t.Errorf("--fuzz: %s%s", r.stdout, r.stderr)
	}
	if after := ksmtest.AtRest(t); after != before {
		t.Errorf("the knobs are %+v after it, want %+v", after, before)
	}
}

// withoutZeroPage returns the table that the model prints where reads make pages.
func withoutZeroPage(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	script, err := sim.Parse(path, text)
	if err != nil {
		t.Fatal(err)
	}
	m := sim.NewMachine(ksmd.Options{})
	defer m.Close()
	m.MapNoZeroPage()
	table, err := sim.Run(t.Context(), script, m)
	if err != nil {
		t.Fatal(err)
	}
	var tsv bytes.Buffer
	if err := table.WriteTSV(&tsv); err != nil {
		t.Fatal(err)
	}
	return tsv.Bytes()
}

// The kernel refuses a knob: the rows before it, the line and status 1.
func TestLabRefusedByKernel(t *testing.T) {
	ksmtest.AtRest(t)
	path := filepath.Join(t.TempDir(), "busy.script")
	script := "spawn p\nmap p a 2\nfill p a 0 2 5\nmergeable p a 0 2\nscan 2\nshow before\nset max_page_sharing 7\nshow after\n"
	if err := os.WriteFile(path, []byte(script), 0o666); err != nil {
		t.Fatal(err)
	}
	r := lab(t, "--on", "kernel", "--tsv", "-", path).want(t, exitFailed)
	if strings.Count(r.stdout, "\n") != 3 || strings.Contains(r.stdout, "after") {
		t.Errorf("it prints\n%swant the two rows before the refusal", r.stdout)
	}
	if want := "ksmtop: " + path + `:7: "max_page_sharing": cannot change while there are KSM pages` + "\n"; !strings.HasPrefix(r.stderr, want) {
		t.Errorf("standard error %q, want %q", r.stderr, want)
	}
	lab(t, "--on", "both", path).want(t, exitFailed)
}

// endless is a script that nobody waits for: it takes minutes.
const endless = "spawn p\nspawn q\nmap p a 3000\nwrite p a 0 3000 1\nmergeable p a 0 3000\nset pages_to_scan 10\nscan 10000\nshow end\n"

// startEndless starts an endless script on the kernel, and returns when its
// processes are there, with their ids.
func startEndless(t *testing.T) (cmd *exec.Cmd, stderr *bytes.Buffer, workers []int) {
	t.Helper()
	stderr = new(bytes.Buffer)
	cmd = exec.Command("ksmtop", "lab", "--on", "kernel", "-")
	cmd.Stdin, cmd.Stderr = strings.NewReader(endless), stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended if all went well
	for deadline := time.Now().Add(patienceForKSM); len(workers) < 3; time.Sleep(10 * time.Millisecond) {
		if workers = workersOf(t, cmd.Process.Pid); time.Now().After(deadline) {
			t.Fatalf("it has the workers %v, want 3: %s", workers, stderr)
		}
	}
	return cmd, stderr, workers
}

// workersOf returns the workers among the children of a process.
func workersOf(t *testing.T, parent int) []int {
	t.Helper()
	return childrenOf(t, parent, "ksmtop-worker")
}

// childrenOf returns those children of a process whose names begin like that.
func childrenOf(t *testing.T, parent int, name string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has gone
		}
		head, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) || !strings.Contains(head, "("+name) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// wantGone waits until none of these processes is a worker.
func wantGone(t *testing.T, workers []int) {
	t.Helper()
	for _, pid := range workers {
		comm := filepath.Join("/proc", strconv.Itoa(pid), "comm")
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if text, err := os.ReadFile(comm); err != nil || string(text) != "ksmtop-worker\n" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("worker %d is there still", pid)
				break
			}
		}
	}
}

// Ctrl-C, and what else ends programs: the knobs are back and the workers gone
// when it ends, and it says why.
func TestLabInterrupted(t *testing.T) {
	before := ksmtest.AtRest(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, stderr, workers := startEndless(t)
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // with the status
		if status := cmd.ProcessState.ExitCode(); status != exitFailed {
			t.Errorf("%v: status %d, want 1", signal, status)
		}
		if want := "ksmtop: stdin: interrupted before the script ended\n"; withoutWaits(stderr.String()) != want {
			t.Errorf("%v: standard error %q, want %q", signal, stderr, want)
		}
		wantGone(t, workers)
		if after := ksmtest.AtRest(t); after != before {
			t.Errorf("%v: the knobs are %+v after it, want %+v", signal, after, before)
		}
	}
}

// It is killed: the workers end by themselves, and the next run puts the knobs
// back.
func TestLabKilled(t *testing.T) {
	before := ksmtest.AtRest(t)
	cmd, _, workers := startEndless(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	wantGone(t, workers)
	lab(t, "--on", "both", filepath.Join(goldenScripts, "pair.script")).want(t, 0)
	if after := ksmtest.AtRest(t); after != before {
		t.Errorf("the knobs are %+v after it, want %+v", after, before)
	}
}

// Ctrl-C ends the comparison of random scripts with its summary, and status 0.
func TestLabFuzzInterrupted(t *testing.T) {
	ksmtest.AtRest(t)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("ksmtop", "lab", "--fuzz", "1h", "--out", t.TempDir())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // it has ended if all went well
	for deadline := time.Now().Add(patienceForKSM); len(workersOf(t, cmd.Process.Pid)) < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it has no workers: %s", &stderr)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if err != nil || !strings.Contains(stdout.String(), " values compared\n") || withoutWaits(stderr.String()) != "" {
		t.Errorf("it ends with %v, and says %q and %q", err, &stdout, &stderr)
	}
}

// While another one has KSM lab says that it waits, and a signal ends that.
func TestLabWaits(t *testing.T) {
	ksmtest.Guard(t)
	pair := filepath.Join(goldenScripts, "pair.script")
	for _, args := range [][]string{{"--on", "kernel", pair}, {"--on", "both", pair}, {"--fuzz", "1h", "--out", t.TempDir()}} {
		wantWaits(t, "interrupted before the script ended\n", append([]string{"lab"}, args...)...)
	}
}
