package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sysfs"
)

// nobody is a user who owns nothing and may do nothing.
const nobody = 65534

// asNobody returns a way to run ksmtop as that user: a copy of the program that
// everybody may execute, in a directory that everybody may enter.
func asNobody(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("ksmtop")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if os.Geteuid() != nobody {
			t.Skip("needs root to become nobody")
		}
		return func(args ...string) *exec.Cmd { return exec.Command(path, args...) }
	}
	dir, err := os.MkdirTemp("", "ksmtop-nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		if info, err := os.Stat(parent); err != nil || info.Mode()&0o001 == 0 {
			t.Skipf("nobody may not enter %s", parent)
		}
		if parent == filepath.Dir(parent) {
			break
		}
	}
	for _, name := range []string{"ksmtop", "ksm-workload"} {
		from, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		copyFile(t, filepath.Join(dir, name), from)
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(dir, "ksmtop"), args...)
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME=/nonexistent")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// Without any privilege everything that only looks works, and says what is
// missing and what would give it.
func TestNobodyLooks(t *testing.T) {
	run := asNobody(t)
	const capability = "CAP_DAC_READ_SEARCH"

	status := finish(t, run("status", "--interval", "0")).want(t, 0)
	batch := finish(t, run("-b", "-n", "1", "-o", "processes_seen,processes_denied,pages_sharing")).want(t, 0)
	d := parse(t, finish(t, run("--json", "-n", "1")).want(t, 0).stdout)
	if status.stderr != "" || batch.stderr != "" {
		t.Errorf("standard error: %q, %q", status.stderr, batch.stderr)
	}
	if len(d.Errors) > 0 {
		t.Errorf("errors %q", d.Errors)
	}
	var fsys sysfs.FS
	if fsys.Supported() != nil {
		if !strings.HasPrefix(status.stdout, "This kernel has no KSM") {
			t.Errorf("status: %s", status.stdout)
		}
		return
	}
	compareNames(t, d, fsys)
	if seen, denied := batchCount(t, batch.stdout, "processes_seen"), batchCount(t, batch.stdout, "processes_denied"); denied == 0 || denied >= seen {
		if others := othersThan(t, nobody); others > 0 || denied > 0 {
			t.Errorf("%d processes of %d are denied, and %d programs of others are running:\n%s", denied, seen, others, batch.stdout)
		}
		t.Skip("nobody else is to be seen, or this kernel has no ksm_stat, so nothing can be denied")
	}
	if !strings.Contains(status.stdout, "belong to other users ("+capability+" or root reads them)") {
		t.Errorf("status does not say what is missing:\n%s", status.stdout)
	}
	block := finish(t, run("-b", "-n", "1")).want(t, 0).stdout
	if !strings.Contains(block, "\nNot readable without "+capability+": the KSM data of ") {
		t.Errorf("-b does not say what is missing:\n%s", block)
	}
	if len(d.Denied) != 1 || d.Denied[0].What != "processes" || d.Denied[0].Count < 1 || d.Denied[0].Capability != capability {
		t.Errorf("denied: %+v", d.Denied)
	}

	// Another's process is not shown as one that merges nothing.
	other := finish(t, run("-b", "-n", "1", "-p", "1", "-o", "pid,mode,merged,zero,items,profit,saved,net")).want(t, 0)
	if fields := strings.Fields(other.stdout); strings.Join(fields[len(fields)-8:], " ") != "1 ? ? ? ? ? ? ?" {
		t.Errorf("process 1: %s", other.stdout)
	}
	one := parse(t, finish(t, run("--json", "-n", "1", "-p", "1")).want(t, 0).stdout)
	if len(one.Process) != 1 || one.Process[0].Saved != nil || one.Process[0].Merging != nil || one.Process[0].Items != nil {
		t.Errorf("process 1: %+v", one.Process)
	}
}

// compareNames checks that the document has all files of the kernel: all can be
// read by everybody.
func compareNames(t *testing.T, d schema, fsys sysfs.FS) {
	t.Helper()
	for name := range files(t, fsys) {
		if _, ok := d.KSM[name]; !ok {
			t.Errorf("ksm.%s is missing", name)
		}
	}
}

func batchCount(t *testing.T, block, name string) (n int) {
	t.Helper()
	_, rest, _ := strings.Cut(block, name+" ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatalf("no number for %s in %q", name, block)
	}
	return n
}

// othersThan returns how many programs run of which that user may not read the
// KSM data.
func othersThan(t *testing.T, uid uint32) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, entry := range entries {
		dir := filepath.Join("/proc", entry.Name())
		info, err := os.Stat(filepath.Join(dir, "ksm_stat"))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid == uid {
			continue
		}
		if args, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && len(args) > 0 { // no thread of the kernel
			n++
		}
	}
	return n
}

// Changing settings is refused with advice, and nothing is changed.
func TestNobodyMayNotSet(t *testing.T) {
	run := asNobody(t)
	var fsys sysfs.FS
	if fsys.Supported() != nil {
		t.Skip("this kernel has no KSM")
	}
	if os.Geteuid() == 0 {
		ksmtest.Guard(t) // nor does another test change it meanwhile
	}
	before := files(t, fsys)["use_zero_pages"]
	other := map[string]string{"0": "1", "1": "0"}[before]
	r := finish(t, run("set", "use_zero_pages="+other)).want(t, 1)
	want := "ksmtop: write /sys/kernel/mm/ksm/use_zero_pages: permission denied\nksmtop: hint: changing KSM settings needs root (CAP_DAC_OVERRIDE)\n"
	if r.stderr != want && !strings.Contains(r.stderr, "read-only") {
		t.Errorf("standard error %q, want %q", r.stderr, want)
	}
	if r.stdout != "" {
		t.Errorf("standard output %q", r.stdout)
	}
	if after := files(t, fsys)["use_zero_pages"]; after != before {
		t.Errorf("use_zero_pages is %s, and was %s", after, before)
	}
	tried := finish(t, run("set", "--dry-run", "use_zero_pages="+other)).want(t, 0)
	if !strings.HasPrefix(tried.stdout, "use_zero_pages: "+before+" -> "+other+"\n") {
		t.Errorf("dry run: %q", tried.stdout)
	}
}

// Without root bench is refused, with advice.
func TestNobodyMayNotBench(t *testing.T) {
	run := asNobody(t)
	if (sysfs.FS{}).Supported() != nil {
		t.Skip("this kernel has no KSM")
	}
	for _, tt := range []struct {
		args []string
		hint string
	}{
		{[]string{"bench", "clones", "--scale", "64M"}, "bench needs root; `ksmtop sim` needs nothing"},
		{[]string{"bench", "--calibrate"}, "bench needs root"},
	} {
		r := finish(t, run(tt.args...)).want(t, exitFailed)
		if !strings.HasSuffix(r.stderr, "permission denied\nksmtop: hint: "+tt.hint+"\n") || r.stdout != "" {
			t.Errorf("%v prints %q and %q", tt.args, r.stdout, r.stderr)
		}
	}
}

// A user without privileges merges memory of a program, and sees it.
func TestNobodyRuns(t *testing.T) {
	if os.Geteuid() == 0 {
		ksmtest.Guard(t)
	} else {
		needRun(t)
	}
	run := asNobody(t)
	p := launchCmd(t, run("run", "--report", "--", "ksm-workload", "16", "1", "0", "5"))
	if os.Geteuid() == 0 {
		ksmtest.Scan(t, 3)
	}
	d := parse(t, finish(t, run("status", "--json", "--interval", "0")).want(t, 0).stdout)
	workload := d.find("ksm-workload")
	if workload == nil || workload.UID != nobody || workload.Mode != "" && workload.Mode != "all" {
		t.Fatalf("the workload is not among %+v, or not as it should be", d.Process)
	}
	if os.Geteuid() == 0 {
		reconcile(t, d)
		if *workload.Saved < 14<<20 {
			t.Errorf("the workload saves %d, want near 16 MiB", *workload.Saved)
		}
		waitForLooks(t, p.Process.Pid)
	}
	if status := p.end(t); status != 5 {
		t.Errorf("exit status %d, want 5", status)
	}
	if os.Geteuid() == 0 && len(reportLine.FindAllString(p.stderr.String(), -1)) != 2 {
		t.Errorf("no report in %q", p.stderr)
	}
}

// A tree that may not be entered is neither a kernel without KSM nor empty.
func TestNobodyRefusedTree(t *testing.T) {
	run := asNobody(t)
	dir, err := os.MkdirTemp("", "ksmtop-refused")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	mm := filepath.Join(dir, "kernel/mm")
	if err := os.MkdirAll(mm, 0o755); err != nil {
		t.Fatal(err)
	}
	forbid := func(path string) {
		t.Helper()
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o755) })
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	forbid(mm)
	r := finish(t, run("status", "--interval", "0", "--sysfs", dir)).want(t, 0)
	if !strings.HasPrefix(r.stdout, "KSM cannot be looked at: ") || !strings.Contains(r.stdout, "permission denied") {
		t.Errorf("status of a tree that may not be entered: %+v", r)
	}
	r = finish(t, run("--json", "-n", "1", "--sysfs", dir)).want(t, 0)
	if d := parse(t, r.stdout); d.KSM != nil || len(d.Errors) != 1 || !strings.Contains(d.Errors[0], "permission denied") {
		t.Errorf("JSON of a tree that may not be entered: %s", r.stdout)
	}
	forbid(dir)
	r = finish(t, run("wait", "--settled", "--sysfs", filepath.Join(dir, "kernel"))).want(t, 1)
	if !strings.Contains(r.stderr, "permission denied\nksmtop: hint: ") || r.stdout != "" {
		t.Errorf("wait in a tree that may not be entered: %+v", r)
	}
}
