package model

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// fixture returns a tree of sysfs/testdata.
func fixture(name string) sysfs.FS {
	dir := "../../../../sysfs/testdata/kernels/" + name
	return sysfs.FS{Root: dir + "/sys", Proc: dir + "/proc", PageSize: 4096}
}

// read returns one sample of all processes.
func read(t *testing.T, fsys sysfs.FS) *Sample {
	t.Helper()
	l, err := NewLive(fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Want(Wants{All: true})
	var s Sample
	l.Read(&s)
	return &s
}

// The parts of the saving add up to it, and what is absent has no value.
func TestLiveFixtures(t *testing.T) {
	for _, tt := range []struct {
		name      string
		saved     int64
		net       int64
		processes bool // this kernel tells of processes
	}{
		{"5.4", 36864000, 32704000, false},
		{"6.1", 614400000, 588672000, true},
		{"6.4-instagram", 20968022016, 20158298048, true},
		{"6.6", 868352000, 843072000, true},
		{"6.18", 1335525376, 1295228416, true},
		{"6.18-negative", 1720320, -29676160, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := read(t, fixture(tt.name))
			if s.NoKSM != nil || s.ProcessProblem != nil {
				t.Fatalf("NoKSM %v, ProcessProblem %v", s.NoKSM, s.ProcessProblem)
			}
			if !s.HasSavings || s.Savings.SavedBytes != tt.saved || s.Savings.NetBytes != tt.net {
				t.Errorf("Savings = %+v, %t, want %d saved and %d net", s.Savings, s.HasSavings, tt.saved, tt.net)
			}
			if s.HasProcesses() != tt.processes {
				t.Errorf("HasProcesses = %t of %+v, want %t", s.HasProcesses(), s.Counts, tt.processes)
			}
			sum := s.Unattributed
			for i := range s.Rows {
				r := &s.Rows[i]
				sum += r.Saved
				if r.HasSaved(s) != tt.processes || r.HasNet(s) != tt.processes || r.HasProfit() != tt.processes {
					t.Errorf("pid %d: HasSaved %t, HasNet %t, HasProfit %t, want %t", r.PID, r.HasSaved(s), r.HasNet(s), r.HasProfit(), tt.processes)
				}
				if want := r.Saved - int64(r.KSM.RmapItems)*64; r.Net != want {
					t.Errorf("pid %d: Net = %d, want %d", r.PID, r.Net, want)
				}
				if r.KSM.Has(sysfs.KSMProcessProfit) && r.Profit != r.KSM.Profit {
					t.Errorf("pid %d: Profit = %d, the kernel says %d", r.PID, r.Profit, r.KSM.Profit)
				}
			}
			if !s.HasUnattributed || sum != tt.saved {
				t.Errorf("parts and rest sum to %d, %t, want %d", sum, s.HasUnattributed, tt.saved)
			}
			if len(s.Rows) == 0 || s.Kernel == "" {
				t.Errorf("%d rows, kernel %q", len(s.Rows), s.Kernel)
			}
		})
	}
}

func TestLiveWithoutKSM(t *testing.T) {
	s := read(t, fixture("none"))
	if !errors.Is(s.NoKSM, sysfs.ErrNotSupported) || s.HasSavings || s.HasUnattributed || s.HasProcesses() {
		t.Errorf("NoKSM %v, HasSavings %t, HasUnattributed %t, HasProcesses %t", s.NoKSM, s.HasSavings, s.HasUnattributed, s.HasProcesses())
	}
}

// Names and command lines of processes come clean, and short of nothing.
func TestLiveHostileText(t *testing.T) {
	tree := t.TempDir()
	for name, content := range map[string]string{
		"1/stat":               "1 (a) R 1 (\x1b[2J\nb) S 0 1 1 0 -1 4194560 0 0 0 0 5 5 0 0 20 0 1 0 100 1000000 3000 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n",
		"1/comm":               "a) R 1 (\x1b[2J\nb\n",
		"1/cmdline":            "\x1b]0;owned\a\x00a\xff\x00\u202egpj.exe\x00\r\n\x9b31m\x00",
		"1/ksm_stat":           "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\nksm_merge_any: yes\nksm_mergeable: yes\n",
		"2/stat":               "2 (\xff\xfe\u200b\x7f) S 0 1 1 0 -1 4194560 0 0 0 0 5 5 0 0 20 0 1 0 100 1000000 3000 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n",
		"2/cmdline":            "",
		"2/ksm_stat":           "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\nksm_merge_any: yes\nksm_mergeable: yes\n",
		"sys/kernel/hostname":  "host\x1b[31m\n",
		"sys/kernel/osrelease": "6.18\x07\n",
	} {
		write(t, filepath.Join(tree, name), content)
	}
	fsys := fixture("6.18")
	fsys.Proc = tree
	s := read(t, fsys)
	if len(s.Rows) != 2 {
		t.Fatalf("%d rows (%v), want 2", len(s.Rows), s.ProcessProblem)
	}
	for _, got := range []string{s.Host, s.Kernel, s.Rows[0].Name, s.Rows[0].Command, s.Rows[0].User, s.Rows[1].Name, s.Rows[1].Command} {
		if got == "" || got != text.Clean(got) {
			t.Errorf("%q is not clean", got)
		}
	}
	const bad = "\ufffd"
	if want := bad + "]0;owned" + bad + " a" + bad + " " + bad + "gpj.exe " + bad + bad + bad + "31m"; s.Rows[0].Command != want {
		t.Errorf("Command = %q, want %q", s.Rows[0].Command, want)
	}
	if want := "[" + s.Rows[1].Name + "]"; s.Rows[1].Command != want {
		t.Errorf("Command without arguments = %q, want %q", s.Rows[1].Command, want)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A process that takes another's number, or that starts another program, is not
// shown under the old name.
func TestLiveIdentity(t *testing.T) {
	tree := t.TempDir()
	process := func(start int, comm, cmdline string) {
		write(t, filepath.Join(tree, "7/stat"), fmt.Sprintf("7 (%s) S 0 1 1 0 -1 4194560 0 0 0 0 5 5 0 0 20 0 1 0 %d 1000000 3000 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n", comm, start))
		write(t, filepath.Join(tree, "7/cmdline"), cmdline)
		write(t, filepath.Join(tree, "7/ksm_stat"), "ksm_rmap_items 1\nksm_zero_pages 0\nksm_merging_pages 1\nksm_process_profit 1\nksm_merge_any: yes\nksm_mergeable: yes\n")
	}
	fsys := fixture("6.18")
	fsys.Proc = tree
	process(100, "first", "first\x00-x\x00")
	l, err := NewLive(fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var s Sample
	for _, step := range []struct {
		start         int
		comm, cmdline string
		want          string
	}{
		{100, "first", "first\x00-x\x00", "first first -x"},
		{100, "second", "second\x00", "second second"},
		{200, "second", "other\x00", "second other"},
	} {
		process(step.start, step.comm, step.cmdline)
		l.Read(&s)
		if len(s.Rows) != 1 {
			t.Fatalf("%d rows, want 1", len(s.Rows))
		}
		if got := s.Rows[0].Name + " " + s.Rows[0].Command; got != step.want {
			t.Errorf("after %+v: %q, want %q", step, got, step.want)
		}
	}
	if err := os.RemoveAll(filepath.Join(tree, "7")); err != nil {
		t.Fatal(err)
	}
	l.Read(&s)
	if len(s.Rows) != 0 || len(l.known) != 0 {
		t.Errorf("%d rows and %d processes remembered, want none", len(s.Rows), len(l.known))
	}
}

// Zero pages that could not be counted are not none.
func TestLiveUnreadableZeroPages(t *testing.T) {
	tree := t.TempDir()
	if err := os.CopyFS(tree, os.DirFS(fixture("6.6").Root)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tree, "kernel/mm/ksm/ksm_zero_pages"), "many\n")
	fsys := fixture("6.6")
	fsys.Root = tree
	s := read(t, fsys)
	if s.HasSavings || s.HasUnattributed {
		t.Errorf("HasSavings %t, HasUnattributed %t, want neither", s.HasSavings, s.HasUnattributed)
	}
	if got := string(ColumnByName("saved").Plain(nil, &s.Rows[0], s)); got != "?" {
		t.Errorf("saved = %q, want ?", got)
	}
}

// A reading that is repeated allocates nothing for each row.
func TestLiveReadAllocations(t *testing.T) {
	tree := t.TempDir()
	for pid := 1; pid <= 50; pid++ {
		dir := filepath.Join(tree, fmt.Sprint(pid))
		write(t, dir+"/stat", fmt.Sprintf("%d (p) S 0 1 1 0 -1 4194560 0 0 0 0 5 5 0 0 20 0 1 0 100 1000000 3000 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n", pid))
		write(t, dir+"/cmdline", "p\x00")
		write(t, dir+"/ksm_stat", fmt.Sprintf("ksm_rmap_items %d\nksm_zero_pages 0\nksm_merging_pages 1\nksm_process_profit 1\nksm_merge_any: yes\nksm_mergeable: yes\n", pid))
	}
	fsys := fixture("6.18")
	fsys.Proc = tree
	l, err := NewLive(fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var s Sample
	l.Read(&s)
	if got := testing.AllocsPerRun(20, func() { l.Read(&s) }); got > 5 {
		t.Errorf("a reading of %d processes makes %v allocations", len(s.Rows), got)
	}
}

func TestTrend(t *testing.T) {
	var tr trend
	for i, step := range []struct {
		seconds float64
		value   int64
		want    float64 // a minute
		ok      bool
	}{
		{0, 1000, 0, false},
		{0, 1000, 0, false}, // no time has passed
		{1, 1010, 600, true},
		{30, 1300, 600, true},
		{60, 1000, -600, true}, // against the value at 30 s
		{90, 1000, 0, true},    // against the one at 60 s
	} {
		got, ok := tr.next(epoch.Add(time.Duration(step.seconds*float64(time.Second))), step.value)
		if ok != step.ok || got != step.want {
			t.Errorf("step %d: %v, %t, want %v, %t", i, got, ok, step.want, step.ok)
		}
	}
}

func TestShortCommand(t *testing.T) {
	for command, want := range map[string]string{
		"":                    "",
		"/":                   "",
		"/usr/bin/qemu -m /x": "qemu -m /x",
		"qemu /usr/bin":       "qemu /usr/bin",
		"./a/b":               "./a/b",
		"[kthread]":           "[kthread]",
	} {
		r := Row{Command: command}
		if got := r.ShortCommand(); got != want {
			t.Errorf("ShortCommand of %q = %q, want %q", command, got, want)
		}
	}
}

// This process is among those of this machine.
func TestLiveHere(t *testing.T) {
	s := read(t, sysfs.FS{})
	me := os.Getpid()
	for i := range s.Rows {
		if s.Rows[i].PID != me {
			continue
		}
		args, err := os.ReadFile("/proc/self/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		program, _, _ := bytes.Cut(args, []byte{0})
		if !strings.HasPrefix(s.Rows[i].Command, string(program)) {
			t.Errorf("Command = %q, want one of %q", s.Rows[i].Command, program)
		}
		return
	}
	t.Errorf("pid %d is not among %d processes (%v)", me, len(s.Rows), s.ProcessProblem)
}
