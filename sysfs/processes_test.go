//go:build linux

package sysfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// processTree returns a tree of n processes with the PIDs 1 to n, of which
// every nth as registered says takes part in KSM.
func processTree(t testing.TB, n, registered int) FS {
	t.Helper()
	dir := t.TempDir()
	for pid := 1; pid <= n; pid++ {
		text := "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\nksm_merge_any: no\nksm_mergeable: no\n"
		if pid%registered == 0 {
			text = fmt.Sprintf("ksm_rmap_items %d\nksm_zero_pages 0\nksm_merging_pages 1\nksm_process_profit 0\nksm_merge_any: no\nksm_mergeable: yes\n", pid)
		}
		writeFile(t, filepath.Join(dir, strconv.Itoa(pid), "ksm_stat"), text)
		writeFile(t, filepath.Join(dir, strconv.Itoa(pid), "stat"), statLine(pid, 0x400000))
	}
	return FS{Proc: dir}
}

func statLine(pid int, flags uint) string {
	return fmt.Sprintf("%d (p %d) S 1 1 1 0 -1 %d 0 0 0 0 0 0 0 0 20 0 1 0 %d 4096 %d 0\n", pid, pid, flags, 1000+pid, 2*pid)
}

func newProcessReader(t testing.TB, fsys FS) *ProcessReader {
	t.Helper()
	r, err := fsys.NewProcessReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func readProcesses(t testing.TB, r *ProcessReader, to *Processes) {
	t.Helper()
	if err := r.Read(to); err != nil {
		t.Fatal(err)
	}
}

// counts is what Processes counts, for comparing and for printing.
type counts struct{ Seen, Readable, Denied, NoMemory, Registered, Malformed, List int }

func countsOf(p *Processes) counts {
	return counts{p.Seen, p.Readable, p.Denied, p.NoMemory, p.Registered, p.Malformed, len(p.List)}
}

func TestProcessReaderTrees(t *testing.T) {
	const words = KSMMergeAny | KSMMergeable
	tests := []struct {
		tree  string
		want  counts
		all   int // rows of List with All set: without ksmd, a thread of the kernel
		first Process
	}{
		{tree: "none", want: counts{Seen: 1}, all: 1},
		{tree: "5.4", want: counts{Seen: 4}, all: 3},
		{tree: "6.1", want: counts{Seen: 5, Readable: 4, NoMemory: 1, Registered: 3, List: 3}, all: 4,
			first: Process{PID: 1201, KSM: ProcessStat{RmapItems: 262144, MergingPages: 158000, Present: KSMRmapItems | KSMMergingPages}}},
		{tree: "6.4-instagram", want: counts{Seen: 2, Readable: 1, NoMemory: 1}, all: 1},
		{tree: "6.6", want: counts{Seen: 5, Readable: 4, NoMemory: 1, Registered: 3, List: 3}, all: 4,
			first: Process{PID: 1201, KSM: ProcessStat{RmapItems: 294912, ZeroPages: 11900, MergingPages: 208000, Profit: 881836032, Present: allProcessFields &^ words}}},
		{tree: "6.18", want: counts{Seen: 5, Readable: 4, NoMemory: 1, Registered: 3, List: 3}, all: 4,
			first: Process{PID: 1201, KSM: ProcessStat{RmapItems: 524288, ZeroPages: 40960, MergingPages: 301056, Profit: 1367343104, Mergeable: true, Present: allProcessFields}}},
		{tree: "6.18-negative", want: counts{Seen: 4, Readable: 3, NoMemory: 1, Registered: 2, List: 2}, all: 3,
			first: Process{PID: 1350, KSM: ProcessStat{RmapItems: 480000, MergingPages: 300, Profit: -29491200, MergeAny: true, Mergeable: true, Present: allProcessFields}}},
	}
	for _, tt := range tests {
		t.Run(tt.tree, func(t *testing.T) {
			r := newProcessReader(t, tree(t, tt.tree))
			var p Processes
			for range 3 {
				r.All = false
				readProcesses(t, r, &p)
				if got := countsOf(&p); got != tt.want || p.Problem != nil {
					t.Fatalf("Read: %+v, problem %v, want %+v", got, p.Problem, tt.want)
				}
				if len(p.List) > 0 {
					first := p.List[0]
					if first.PID != tt.first.PID || first.KSM != tt.first.KSM {
						t.Errorf("the first process is %+v, want %+v", first, tt.first)
					}
					if first.Comm == "" || first.PPID != 1 || first.Start == 0 || first.RSS == 0 || first.UID != ownerOf(t, r.fsys.Proc) {
						t.Errorf("the first process lacks something: %+v", first)
					}
				}
				r.All = true
				readProcesses(t, r, &p)
				if len(p.List) != tt.all || p.Registered != tt.want.Registered || p.Problem != nil {
					t.Errorf("with All: %d rows, %d registered, problem %v, want %d, %d", len(p.List), p.Registered, p.Problem, tt.all, tt.want.Registered)
				}
			}
		})
	}
}

func ownerOf(t testing.TB, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Uid
}

// Linux 5.19 and 6.0 have ksm_merging_pages, but no ksm_stat.
func TestProcessReaderWithoutStat(t *testing.T) {
	fsys := treeCopy(t, "6.1")
	remove := func(pattern string) {
		names, _ := filepath.Glob(filepath.Join(fsys.Proc, pattern))
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove("*/ksm_stat")
	r := newProcessReader(t, fsys)
	var p Processes
	for range 2 {
		readProcesses(t, r, &p)
		if got, want := countsOf(&p), (counts{Seen: 5, Readable: 4, NoMemory: 1, Registered: 3, List: 3}); got != want {
			t.Errorf("Read: %+v, want %+v", got, want)
		}
		if got, want := p.List[0].KSM, (ProcessStat{MergingPages: 158000, Present: KSMMergingPages}); got != want {
			t.Errorf("KSM = %+v, want %+v", got, want)
		}
	}
}

// A zero that was not read is still no absent value.
func TestProcessReaderMergingOfUntracked(t *testing.T) {
	r := newProcessReader(t, tree(t, "6.1"))
	r.All = true
	var p Processes
	readProcesses(t, r, &p)
	if got, want := p.List[0].KSM, (ProcessStat{Present: KSMRmapItems | KSMMergingPages}); got != want {
		t.Errorf("KSM of an untracked process = %+v, want %+v", got, want)
	}
}

func TestProcessReaderMalformed(t *testing.T) {
	tests := []struct {
		name    string
		break_  func(t *testing.T, dir string)
		problem string // after the directory
		listed  bool
	}{
		{name: "ksm_stat: too large", break_: func(t *testing.T, dir string) {
			writeFile(t, dir+"/ksm_stat", "ksm_rmap_items 18446744073709551616\nksm_merging_pages 3\n")
		}, problem: `parse ksm_stat: "18446744073709551616": value out of range`, listed: true},
		{name: "ksm_stat: text", break_: func(t *testing.T, dir string) { writeFile(t, dir+"/ksm_stat", "\x1b[2J") },
			problem: `parse ksm_stat: "\x1b[2J": has no line that is known`},
		{name: "ksm_stat: directory", break_: func(t *testing.T, dir string) {
			os.Remove(dir + "/ksm_stat")
			os.Mkdir(dir+"/ksm_stat", 0o777)
		}, problem: "read ksm_stat: is a directory"},
		{name: "ksm_stat: FIFO", break_: func(t *testing.T, dir string) {
			os.Remove(dir + "/ksm_stat")
			if err := unix.Mkfifo(dir+"/ksm_stat", 0o666); err != nil {
				t.Fatal(err)
			}
		}, problem: "read ksm_stat: illegal seek"},
		{name: "stat: text", break_: func(t *testing.T, dir string) { writeFile(t, dir+"/stat", "x") },
			problem: "parse stat: not a line of /proc/PID/stat", listed: true},
		{name: "stat: empty", break_: func(t *testing.T, dir string) { writeFile(t, dir+"/stat", "") },
			problem: "parse stat: not a line of /proc/PID/stat", listed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := processTree(t, 3, 1)
			dir := filepath.Join(fsys.Proc, "2")
			tt.break_(t, dir)
			r := newProcessReader(t, fsys)
			var p Processes
			for range 2 {
				readProcesses(t, r, &p)
				want := counts{Seen: 3, Readable: 2, Malformed: 1, Registered: 2, List: 2}
				if tt.listed {
					want.Registered, want.List = 3, 3
				}
				if got := countsOf(&p); got != want {
					t.Errorf("Read: %+v, want %+v", got, want)
				}
				var e *Error
				if !errors.As(p.Problem, &e) || strings.ReplaceAll(e.Error(), dir+"/", "") != tt.problem {
					t.Errorf("problem: %v, want %s", p.Problem, tt.problem)
				}
			}
		})
	}
}

func TestProcessReaderMissingRoot(t *testing.T) {
	_, err := FS{Proc: "testdata/no such"}.NewProcessReader()
	if want := "open testdata/no such: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("NewProcessReader: %v, want %s", err, want)
	}
}

func TestProcessReaderAllocates(t *testing.T) {
	for _, name := range []string{"6.1", "6.6", "6.18"} {
		for _, all := range []bool{false, true} {
			r := newProcessReader(t, tree(t, name))
			r.All = all
			var p Processes
			readProcesses(t, r, &p)
			if n := testing.AllocsPerRun(50, func() { r.Read(&p) }); n != 0 {
				t.Errorf("kernel %s, All %t: a reading allocates %v times", name, all, n)
			}
		}
	}
}

// sleeper starts a program that sleeps until the test ends.
func sleeper(t testing.TB) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd
}

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

func processOf(p *Processes, pid int) *Process {
	for i := range p.List {
		if p.List[i].PID == pid {
			return &p.List[i]
		}
	}
	return nil
}

// needsProcessData skips the test where /proc has no KSM data.
func needsProcessData(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/proc/self/ksm_stat"); err != nil {
		t.Skip("needs a kernel with ksm_stat: ", err)
	}
}

func TestProcessReaderComesAndGoes(t *testing.T) {
	needsProcessData(t)
	r := newProcessReader(t, FS{})
	r.All = true
	var p Processes
	readProcesses(t, r, &p)
	cmd := sleeper(t)
	pid := cmd.Process.Pid
	for range 2 {
		readProcesses(t, r, &p)
		found := processOf(&p, pid)
		if found == nil {
			t.Fatalf("process %d is not listed", pid)
		}
		if found.PPID != os.Getpid() || found.UID != uint32(os.Geteuid()) || !found.KSM.Has(KSMRmapItems) {
			t.Errorf("process %d: %+v", pid, found)
		}
	}
	// A zombie has no memory; its descriptors go when it is waited for.
	cmd.Process.Kill()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	readProcesses(t, r, &p)
	if processOf(&p, pid) != nil {
		t.Errorf("the zombie %d is listed", pid)
	}
	if p.NoMemory == 0 {
		t.Error("nobody is without memory, want the zombie at least")
	}
	held := openFilesOf(t, pid)
	cmd.Wait()
	readProcesses(t, r, &p)
	if processOf(&p, pid) != nil {
		t.Errorf("process %d has gone and is listed", pid)
	}
	if left := openFilesOf(t, pid); held == 0 || left != 0 {
		t.Errorf("%d descriptors of the process before it went and %d after, want some and none", held, left)
	}
}

// openFilesOf counts this process's descriptors of files of process pid.
func openFilesOf(t testing.TB, pid int) int {
	t.Helper()
	n := 0
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		target, _ := os.Readlink("/proc/self/fd/" + link.Name())
		if strings.HasPrefix(target+"/", fmt.Sprintf("/proc/%d/", pid)) {
			n++
		}
	}
	return n
}

// The number of a process that has gone is given to another one before the
// next reading.
func TestProcessReaderReusedPID(t *testing.T) {
	needsProcessData(t)
	const last = "/proc/sys/kernel/ns_last_pid"
	if err := unix.Access(last, unix.W_OK); err != nil {
		t.Skipf("needs to choose process numbers: %s: %v", last, err)
	}
	for _, kept := range []bool{true, false} {
		t.Run(fmt.Sprintf("ksm_stat kept=%t", kept), func(t *testing.T) {
			r := newProcessReader(t, FS{})
			r.All = true
			var p Processes
			cmd := sleeper(t)
			pid := cmd.Process.Pid
			readProcesses(t, r, &p)
			if processOf(&p, pid) == nil {
				t.Fatalf("process %d is not listed", pid)
			}
			if !kept { // as if there had been a descriptor for its stat only
				for i := range r.known {
					r.close(&r.known[i].files[ksmStatFile])
				}
			}
			kill(cmd)
			startAs(t, pid, last)
			readProcesses(t, r, &p)
			if found := processOf(&p, pid); kept && found == nil || found != nil && found.Comm != "cat" {
				t.Errorf("the second process %d is %+v, want a cat", pid, found)
			}
			readProcesses(t, r, &p)
			if found := processOf(&p, pid); found == nil || found.Comm != "cat" || !found.KSM.Has(KSMRmapItems) {
				t.Errorf("at the second reading the second process %d is %+v, want a cat", pid, found)
			}
		})
	}
}

// startAs starts a cat with that number, through the file with the last one used.
func startAs(t *testing.T, pid int, last string) {
	t.Helper()
	for range 200 {
		if err := os.WriteFile(last, []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skip("needs to choose process numbers: ", err)
		}
		cmd := exec.Command("cat") // waits for its input
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end := func() {
			in.Close()
			cmd.Wait()
		}
		if cmd.Process.Pid == pid {
			t.Cleanup(end)
			return
		}
		end() // somebody was faster
	}
	t.Skipf("process %d was never to be had again", pid)
}

// A program that changes its user keeps its name, its start and its descriptors.
func TestProcessReaderChangedUser(t *testing.T) {
	needsProcessData(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	cmd, in, out := startChild(t, "setuid")
	r := newProcessReader(t, FS{})
	r.All = true
	var p Processes
	for _, want := range []uint32{0, nobody} {
		for range 2 {
			readProcesses(t, r, &p)
			found := processOf(&p, cmd.Process.Pid)
			if found == nil || found.UID != want {
				t.Fatalf("the program is listed as %+v, want user %d", found, want)
			}
		}
		fmt.Fprintln(in)
		out.Scan()
	}
}

func TestProcessReaderOnly(t *testing.T) {
	r := newProcessReader(t, processTree(t, 40, 2))
	var p Processes
	for _, tt := range []struct {
		only []int
		all  bool
		want string
		seen int
	}{
		{only: []int{3, 4, 8, 41}, want: "4 8", seen: 3},
		{only: []int{3, 4, 8, 41}, all: true, want: "3 4 8", seen: 3},
		{only: []int{8, 9, 10}, all: true, want: "8 9 10", seen: 3},
		{only: []int{}, all: true},
		{only: []int{41}, all: true},
		{only: nil, want: "2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 34 36 38 40", seen: 40},
		{only: []int{10}, want: "10", seen: 1},
	} {
		r.Only, r.All = tt.only, tt.all
		readProcesses(t, r, &p)
		var pids []string
		for i := range p.List {
			pids = append(pids, strconv.Itoa(p.List[i].PID))
		}
		if got := strings.Join(pids, " "); got != tt.want || p.Seen != tt.seen || p.Readable != tt.seen {
			t.Errorf("Only %v, All %v: read %q of %d seen and %d readable, want %q of %d",
				tt.only, tt.all, got, p.Seen, p.Readable, tt.want, tt.seen)
		}
	}
}
