package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/madvise"
	"github.com/ksmtop/ksmtop/sysfs"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// patienceForKSM is how long it waits for a program that must first get the machine's
// KSM, which tests of other packages have for a while each.
const patienceForKSM = 5 * time.Minute

// shareKSM keeps the tests that count pages from running meanwhile. It is for
// tests that start programs with mergeable memory and do not care what becomes
// of it.
func shareKSM(t testing.TB) {
	t.Helper()
	g, err := sysfs.FS{}.Acquire(t.Context(), sysfs.GuardOptions{})
	if err != nil {
		return // nobody here can count pages: there is no KSM, no root, or KSM is in use
	}
	t.Cleanup(func() {
		if err := g.Release(); err != nil {
			t.Error(err)
		}
	})
}

// result is what a program printed, and its exit status.
type result struct {
	stdout, stderr string
	status         int
}

// ksmtop runs the command to its end.
func ksmtop(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, exec.Command("ksmtop", args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// want checks the exit status.
func (r result) want(t *testing.T, status int) result {
	t.Helper()
	if r.status != status {
		t.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s", r.status, status, r.stdout, r.stderr)
	}
	return r
}

// program is a workload that was started and has its memory filled.
type program struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stderr *output
	ended  bool
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// launch starts a command that prints ready when it is, and ends it in the end.
func launch(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return launchCmd(t, exec.Command(name, args...))
}

func launchCmd(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{Cmd: cmd, stderr: &output{}}
	p.Cmd.Stderr = p.stderr
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("%v: %q, %v; standard error %q", p.Args, line, err, p.stderr)
	}
	return p
}

// end lets the program end and returns its exit status.
func (p *program) end(t *testing.T) int {
	t.Helper()
	if p.ended {
		return p.ProcessState.ExitCode()
	}
	p.ended = true
	_ = p.stdin.Close()
	timer := time.AfterFunc(patience, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	if err := p.Wait(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Error(err)
		}
	}
	return p.ProcessState.ExitCode()
}

// schema is the JSON document, as docs/json.md describes it.
type schema struct {
	Schema   int             `json:"schema"`
	Time     time.Time       `json:"time"`
	PageSize int64           `json:"page_size"`
	Kernel   string          `json:"kernel"`
	Source   string          `json:"source"`
	KSM      map[string]any  `json:"ksm"`
	Derived  derivedSchema   `json:"derived"`
	Process  []processSchema `json:"processes"`
	Rest     *int64          `json:"unattributed_bytes"`
	Denied   []struct {
		What       string `json:"what"`
		Count      int    `json:"count"`
		Capability string `json:"capability"`
	} `json:"denied"`
	Errors []string `json:"errors"`
}

type derivedSchema struct {
	Saved          *int64   `json:"saved_bytes"`
	Metadata       *int64   `json:"metadata_bytes"`
	Net            *int64   `json:"net_bytes"`
	Ratio          *float64 `json:"ratio"`
	Items          *uint64  `json:"items"`
	KSMDPercent    *float64 `json:"ksmd_cpu_percent"`
	PagesPerSecond *float64 `json:"pages_per_second"`
	FullScan       *float64 `json:"full_scan_seconds"`
}

type processSchema struct {
	PID       int     `json:"pid"`
	StartTime uint64  `json:"start_time"`
	UID       uint32  `json:"uid"`
	Comm      string  `json:"comm"`
	Mode      string  `json:"mode"`
	Items     *uint64 `json:"ksm_rmap_items"`
	Zero      *int64  `json:"ksm_zero_pages"`
	Merging   *uint64 `json:"ksm_merging_pages"`
	Profit    *int64  `json:"ksm_process_profit"`
	Saved     *int64  `json:"saved_bytes"`
	Net       *int64  `json:"net_bytes"`
}

// parse reads one document. Members that schema does not have are an error.
func parse(t *testing.T, text string) schema {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	var d schema
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if d.Schema != 1 || d.Time.IsZero() || d.PageSize != int64(os.Getpagesize()) || d.Source != "live" || d.Kernel == "" {
		t.Errorf("schema %d, time %v, page_size %d, source %q, kernel %q", d.Schema, d.Time, d.PageSize, d.Source, d.Kernel)
	}
	return d
}

func statusJSON(t *testing.T) schema {
	t.Helper()
	return parse(t, ksmtop(t, "status", "--json", "--interval", "0").want(t, 0).stdout)
}

// files reads the kernel's files as they are.
func files(t *testing.T, fsys sysfs.FS) map[string]string {
	t.Helper()
	dir := filepath.Dir(fsys.Path(sysfs.Run))
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[name.Name()] = strings.TrimSuffix(string(content), "\n")
	}
	return all
}

var chosen = regexp.MustCompile(`\[(.*)\]`)

// compare checks that the document has every file of the kernel, with its
// value, and nothing else.
func compare(t *testing.T, d schema, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if match := chosen.FindStringSubmatch(value); match != nil {
			value = match[1]
		}
		if got := fmt.Sprint(d.KSM[name]); got != value {
			t.Errorf("ksm.%s is %s, the kernel's file says %s", name, got, value)
		}
	}
	for name := range d.KSM {
		if _, ok := want[name]; !ok {
			t.Errorf("ksm.%s is in the document, and no file of the kernel", name)
		}
	}
}

// reconcile checks that the parts of the saving are the saving.
func reconcile(t *testing.T, d schema) {
	t.Helper()
	if d.Derived.Saved == nil || d.Derived.Metadata == nil || d.Derived.Net == nil || d.Rest == nil {
		t.Fatalf("derived values are missing: %+v, rest %v", d.Derived, d.Rest)
	}
	if *d.Derived.Saved-*d.Derived.Metadata != *d.Derived.Net {
		t.Errorf("saved %d - metadata %d is not net %d", *d.Derived.Saved, *d.Derived.Metadata, *d.Derived.Net)
	}
	if profit, ok := d.KSM["general_profit"]; ok && fmt.Sprint(profit) != strconv.FormatInt(*d.Derived.Net, 10) {
		t.Errorf("net %d is not general_profit %v", *d.Derived.Net, profit)
	}
	sum := *d.Rest
	for _, p := range d.Process {
		if p.Saved == nil || p.Net == nil || p.Items == nil || *p.Net != *p.Saved-int64(*p.Items)*64 {
			t.Errorf("process %+v does not add up", p)
			continue
		}
		sum += *p.Saved
	}
	if sum != *d.Derived.Saved {
		t.Errorf("processes and rest sum to %d, want %d", sum, *d.Derived.Saved)
	}
}

func (d schema) process(pid int) *processSchema {
	for i := range d.Process {
		if d.Process[i].PID == pid {
			return &d.Process[i]
		}
	}
	return nil
}

// find returns a process of that name.
func (d schema) find(comm string) *processSchema {
	for i := range d.Process {
		if d.Process[i].Comm == comm {
			return &d.Process[i]
		}
	}
	return nil
}

// Memory of a program that ksmtop started is merged by the real ksmd, and every
// output says so as the kernel does.
func TestStatusIsTheKernels(t *testing.T) {
	fsys := ksmtest.Guard(t)
	if _, err := fsys.Set(sysfs.Setting{Field: sysfs.UseZeroPages, Value: "1"}); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "ksmtop", "run", "--", "ksm-workload", "48", "8", "8")
	if !strings.Contains(p.stderr.String(), "KSM is off (run is 0)") {
		t.Errorf("run says %q, and not that KSM is off", p.stderr)
	}
	ksmtest.Scan(t, 3)

	d := statusJSON(t)
	compare(t, d, files(t, fsys))
	reconcile(t, d)
	page := int64(os.Getpagesize())
	equal := 48<<20/page - 1
	if *d.Derived.Saved < equal*page*9/10 {
		t.Errorf("saved %d, want near %d", *d.Derived.Saved, (equal+8<<20/page)*page)
	}
	got := d.process(p.Process.Pid) // without --report ksmtop became the program
	if got == nil {
		t.Fatalf("pid %d is not among the processes: %+v", p.Process.Pid, d.Process)
	}
	if got.Comm != "ksm-workload" || got.UID != 0 || *got.Merging < uint64(equal)*9/10 || *got.Zero < 8<<20/page*9/10 {
		t.Errorf("process %+v merges %d pages and %d of zeros", *got, *got.Merging, *got.Zero)
	}
	if got.Mode != "" && got.Mode != "all" { // known since Linux 6.14
		t.Errorf("mode %q, want all", got.Mode)
	}

	// The same in words, in a block, and in JSON line by line.
	status := ksmtop(t, "status", "--interval", "10ms").want(t, 0).stdout
	for _, want := range []string{"KSM is stopped: run is 0", "\nSaved ", " MiB ", "Processes that gain:", "ksm-workload 48 8 8"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	batch := ksmtop(t, "-b", "-n", "1", "-o", "pages_sharing,general_profit,saved_bytes").want(t, 0).stdout
	want := fmt.Sprintf("pages_sharing %v\ngeneral_profit %v\nsaved_bytes %d\n", d.KSM["pages_sharing"], d.KSM["general_profit"], *d.Derived.Saved)
	if batch != want {
		t.Errorf("batch %q, want %q", batch, want)
	}

	// The kernel's own refusal, and that of ksmtop before it.
	refused := ksmtop(t, "set", "max_page_sharing=300").want(t, 1)
	if !strings.Contains(refused.stderr, "device or resource busy: KSM pages exist\nksmtop: hint: write run=2 first") {
		t.Errorf("set while pages are merged: %s", refused.stderr)
	}
	before := files(t, fsys)
	ksmtop(t, "set", "sleep_millisecs=77", "max_page_sharing=300").want(t, 1)
	if after := files(t, fsys); after["sleep_millisecs"] != before["sleep_millisecs"] {
		t.Errorf("sleep_millisecs is %s after a step that was refused, want %s", after["sleep_millisecs"], before["sleep_millisecs"])
	}

	// run=2 with --yes frees everything, and the rest of the step follows.
	unmerged := ksmtop(t, "set", "--yes", "max_page_sharing=300", "run=2").want(t, 0)
	if !strings.Contains(unmerged.stdout, "max_page_sharing: 256 -> 300 pages\n") || !strings.Contains(unmerged.stdout, "run: 0 -> 2\n") {
		t.Errorf("set run=2: %s", unmerged.stdout)
	}
	d = statusJSON(t)
	reconcile(t, d)
	if *d.Derived.Saved != 0 {
		t.Errorf("%d bytes are saved after run=2", *d.Derived.Saved)
	}
	if status := p.end(t); status != 0 {
		t.Errorf("the program ended with status %d", status)
	}
}

// Tracking that gains nothing costs: a negative profit is negative everywhere.
func TestNegativeProfitIsTheKernels(t *testing.T) {
	fsys := ksmtest.Guard(t)
	launch(t, "ksmtop", "run", "--", "ksm-workload", "0", "32", "0")
	ksmtest.Scan(t, 1)
	d := statusJSON(t)
	compare(t, d, files(t, fsys))
	reconcile(t, d)
	if *d.Derived.Net >= 0 {
		t.Fatalf("net %d after one scan of unique memory, want less than 0", *d.Derived.Net)
	}
	profit := fmt.Sprint(d.KSM["general_profit"])
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "general_profit,net_bytes"}, "general_profit " + profit + "\nnet_bytes " + profit + "\n"},
		{[]string{"-b", "-n", "1"}, " " + profit + " bytes\n"},
		{[]string{"status", "--explain"}, "general_profit = " + profit + " bytes\n"},
		{[]string{"--json", "-n", "1"}, `"general_profit":` + profit + ","},
		{[]string{"--json", "-n", "1"}, `"net_bytes":` + profit + ","},
		{[]string{"status", "--interval", "0"}, "\nNet        -"},
		{[]string{"status", "--interval", "0"}, "\nProcesses that pay more for tracking than they save:\n"},
	} {
		if got := ksmtop(t, tt.args...).want(t, 0).stdout; !strings.Contains(got, tt.want) {
			t.Errorf("ksmtop %v: no %q in\n%s", tt.args, tt.want, got)
		}
	}
}

// waitForLooks waits until a ksmtop run --report has looked at its program from
// now on: until it has begun to read files twice.
func waitForLooks(t *testing.T, pid int) {
	t.Helper()
	read := func() (n uint64) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return n
	}
	tick := time.NewTicker(watchEvery / 10)
	defer tick.Stop()
	reading, begun := true, 0 // the look that is perhaps under way does not count
	before := read()
	for deadline := time.Now().Add(patience); begun < 3; {
		<-tick.C
		if time.Now().After(deadline) {
			t.Fatal("ksmtop run --report does not look at its program")
		}
		now := read()
		if now != before && !reading {
			begun++
		}
		reading, before = now != before, now
	}
}

var reportLine = regexp.MustCompile(`(?m)^ksmtop: (at its highest|at the end    ) merging saved ([0-9.]+) (\w+) and cost ([0-9.]+) (\w+) of metadata, net (-?[0-9.]+) (\w+) \((\d+) process`)

// run --report tells what merging saved for the program and those it started.
func TestRunReport(t *testing.T) {
	ksmtest.Guard(t)
	p := launch(t, "ksmtop", "run", "--report", "--", "sh", "-c", "ksm-workload 32 4 0; exit 9")
	ksmtest.Scan(t, 3)

	d := statusJSON(t)
	reconcile(t, d)
	workload := d.find("ksm-workload")
	if workload == nil || workload.PID == p.Process.Pid {
		t.Fatalf("no workload of its own among %+v", d.Process)
	}
	if workload.Mode != "" && workload.Mode != "all" {
		t.Errorf("mode %q of a program's program, want all", workload.Mode)
	}
	waitForLooks(t, p.Process.Pid)
	if status := p.end(t); status != 9 {
		t.Errorf("exit status %d, want 9", status)
	}
	var family int64 // ksmd is stopped: as much as status said then
	for _, p := range d.Process {
		if p.PID == workload.PID || p.Comm == "sh" {
			family += *p.Saved
		}
	}
	lines := reportLine.FindAllStringSubmatch(p.stderr.String(), -1)
	if len(lines) != 2 {
		t.Fatalf("no report in %q", p.stderr)
	}
	for _, line := range lines {
		saved, err := strconv.ParseFloat(line[2], 64)
		if want := float64(family) / (1 << 20); err != nil || line[3] != "MiB" || saved < want*0.95 || saved > want*1.05 || want < 28 {
			t.Errorf("saved %s %s (%v), want about %.1f MiB", line[2], line[3], err, want)
		}
		if line[5] != "KiB" && line[5] != "MiB" {
			t.Errorf("cost %s %s", line[4], line[5])
		}
		if processes, _ := strconv.Atoi(line[8]); processes < 1 || processes > 2 {
			t.Errorf("%s processes, want the shell and the workload", line[8])
		}
	}
	if !regexp.MustCompile(`(?m)^ksmtop: ksmd used [0-9.]+ m?s of CPU meanwhile`).MatchString(p.stderr.String()) {
		t.Errorf("no CPU of ksmd in %q", p.stderr)
	}
}

// wait --settled returns when the real ksmd has found what there is, and gives
// up when that takes too long.
func TestWaitForTheKernel(t *testing.T) {
	fsys := ksmtest.Guard(t)
	set := func(settings ...sysfs.Setting) {
		t.Helper()
		if _, err := fsys.Set(settings...); err != nil {
			t.Fatal(err)
		}
	}
	stopped := ksmtop(t, "wait", "--settled", "--timeout", "1m").want(t, 1)
	if !strings.Contains(stopped.stderr, "ksmtop: ksmd does not scan: run is 0\n") {
		t.Errorf("wait while ksmd is stopped: %s", stopped.stderr)
	}
	launch(t, "ksmtop", "run", "--", "ksm-workload", "16", "4", "0")

	// One page every hour: no scan ends.
	set(sysfs.Setting{Field: sysfs.PagesToScan, Value: "1"}, sysfs.Setting{Field: sysfs.SleepMillisecs, Value: "3600000"}, sysfs.Setting{Field: sysfs.Run, Value: "1"})
	late := ksmtop(t, "wait", "--settled", "--timeout", "300ms", "--every", "10ms").want(t, 1)
	if !strings.Contains(late.stderr, "ksmtop: not settled in time: ") || late.stdout != "" {
		t.Errorf("wait for a slow ksmd: %+v", late)
	}

	set(sysfs.Setting{Field: sysfs.PagesToScan, Value: "5000"}, sysfs.Setting{Field: sysfs.SleepMillisecs, Value: "1"})
	settled := ksmtop(t, "wait", "--settled", "--timeout", "2m", "--every", "10ms").want(t, 0)
	if !regexp.MustCompile(`^settled after [0-9 ]+ full scans: [0-9 ]+ pages saved, last gain -?[0-9 ]+ pages a scan\n$`).MatchString(settled.stdout) {
		t.Errorf("wait: %q", settled.stdout)
	}
	c, err := fsys.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if want := sysfs.Pages(16<<20/os.Getpagesize()) * 9 / 10; c.PagesSharing < want {
		t.Errorf("settled with %d pages saved, want at least %d", c.PagesSharing, want)
	}
	set(sysfs.Setting{Field: sysfs.Run, Value: "0"})
}

// The advisor of the real kernel refuses pages_to_scan.
func TestSetWithAdvisor(t *testing.T) {
	fsys := ksmtest.Guard(t)
	if k, err := fsys.Knobs(); err != nil || !k.Has(sysfs.AdvisorMode) {
		if ksmtest.KernelSince(t, 6, 8) {
			t.Fatalf("advisor_mode cannot be read: %v", err)
		}
		t.Skip("the advisor needs Linux 6.8")
	}
	on := ksmtop(t, "set", "advisor_mode=scan-time").want(t, 0)
	if !strings.Contains(on.stdout, "advisor_mode: none -> scan-time\n") || !strings.Contains(on.stdout, "(the kernel's doing)\n") {
		t.Errorf("set advisor_mode: %s", on.stdout)
	}
	refused := ksmtop(t, "set", "sleep_millisecs=5", "pages_to_scan=7").want(t, 1)
	if !strings.Contains(refused.stderr, "the advisor chooses this value") || !strings.Contains(refused.stderr, "\nksmtop: hint: ") {
		t.Errorf("set pages_to_scan: %s", refused.stderr)
	}
	if got := files(t, fsys)["sleep_millisecs"]; got != "20" {
		t.Errorf("sleep_millisecs is %s, want 20 as before", got)
	}
	ksmtop(t, "set", "advisor_mode=none", "pages_to_scan=7").want(t, 0)
	if got := files(t, fsys)["pages_to_scan"]; got != "7" {
		t.Errorf("pages_to_scan is %s, want 7", got)
	}
}

// Signals to ksmtop run --report reach the program, once each, and not those
// typed at a terminal twice.
func TestRunPassesSignals(t *testing.T) {
	needRun(t)
	cmd := exec.Command("ksmtop", "run", "--report", "ksm-signals")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a terminal
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewReader(stdout)
	expect := func(want string) {
		t.Helper()
		if line, err := lines.ReadString('\n'); err != nil || line != want+"\n" {
			t.Fatalf("the program prints %q (%v), want %s", line, err, want)
		}
	}
	expect("ready")
	for _, s := range []syscall.Signal{unix.SIGUSR1, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGCONT, unix.SIGUSR2, unix.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		expect(unix.SignalName(s))
	}
	if line, err := lines.ReadString('\n'); err != io.EOF {
		t.Errorf("after the last signal the program prints %q, %v", line, err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("exit status %d (%v), want the program's 3", cmd.ProcessState.ExitCode(), err)
	}
}

// needRun skips the test where ksmtop run does not work.
func needRun(t *testing.T) {
	t.Helper()
	shareKSM(t)
	survives, err := madvise.MemoryMergeSurvivesExec(t.Context())
	if err != nil && !errors.Is(err, madvise.ErrNotSupported) {
		t.Fatal(err)
	}
	if !survives {
		ksmtest.Skip(t, "this kernel does not keep merging on over exec: ", err)
	}
}
