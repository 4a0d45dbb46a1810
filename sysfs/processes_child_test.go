//go:build linux

package sysfs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Some things cannot be tried in the process of the tests: being another user,
// with few descriptors, in a /proc of one's own. So the test program starts
// itself again, with the name of what to do in the environment.

const (
	childEnv = "SYSFS_TEST_CHILD" // a key of children
	childArg = "SYSFS_TEST_ARG"
	nobody   = 65534
)

var children = map[string]func(arg string) error{
	"setuid":    childSetuid,
	"namespace": childNamespace,
	"report":    childReport,
	"limit":     childLimit,
	"raise":     childRaise,
}

// TestProcessChild is no test: it is the beginning of a child.
func TestProcessChild(t *testing.T) {
	name := os.Getenv(childEnv)
	if name == "" {
		t.Skip("is a part of other tests")
	}
	if err := children[name](os.Getenv(childArg)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func childCommand(name, arg string, attr *syscall.SysProcAttr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestProcessChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+name, childArg+"="+arg, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	cmd.Dir = "/" // where every user may be
	return cmd
}

// runChild returns what the child prints.
func runChild(t *testing.T, name, arg string, attr *syscall.SysProcAttr) string {
	t.Helper()
	out, err := childCommand(name, arg, attr).Output()
	if err != nil {
		t.Fatalf("child %s: %v\n%s", name, err, out)
	}
	return string(out)
}

// startChild starts a child that reads lines and answers them.
func startChild(t *testing.T, name string) (cmd *exec.Cmd, in io.Writer, out *bufio.Scanner) {
	t.Helper()
	cmd = childCommand(name, "", nil)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child %s: %v", name, err)
		}
	})
	return cmd, stdin, bufio.NewScanner(stdout)
}

// childSetuid becomes nobody at the first line.
func childSetuid(string) error {
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	fmt.Println("done")
	in.Scan()
	return nil
}

// childReport prints the counts of several readings of the /proc at arg, the
// last ones with All.
func childReport(proc string) error {
	r, err := FS{Proc: proc}.NewProcessReader()
	if err != nil {
		return err
	}
	defer r.Close()
	var report []counts
	var p Processes
	for i := range 2 * reportReadings {
		r.All = i >= reportReadings
		if err := r.Read(&p); err != nil {
			return err
		}
		if p.Problem != nil {
			return p.Problem
		}
		report = append(report, countsOf(&p))
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// reportReadings is enough for a second attempt at what was denied.
const reportReadings = 2*retryDenied + 2

// childNamespace runs in a PID and mount namespace of its own, as its first
// process. It starts sleeping programs and zombies of two users, and a report by
// nobody. arg is a directory and the options of the /proc to be mounted there.
func childNamespace(arg string) error {
	dir, options, _ := strings.Cut(arg, ",")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", dir, "proc", 0, options); err != nil {
		return err
	}
	for _, user := range []uint32{0, 0, 0, nobody, nobody} {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		cmd.Dir = "/"
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	for _, user := range []uint32{0, nobody, nobody} {
		cmd := exec.Command("true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		cmd.Dir = "/"
		if err := cmd.Start(); err != nil {
			return err
		}
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			return err
		}
	}
	for _, user := range []uint32{nobody, 0} {
		report := childCommand("report", dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}})
		report.Stdout = os.Stdout
		if err := report.Run(); err != nil {
			return err
		}
	}
	return nil
}

// Eight processes (five sleep, three are zombies), their parent and the reader.
func TestProcessReaderDenied(t *testing.T) {
	needsProcessData(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root for processes of two users and a /proc of their own")
	}
	tests := []struct {
		options     string
		nobody, all counts
	}{
		{options: "hidepid=0",
			nobody: counts{Seen: 10, Readable: 3, Denied: 4, NoMemory: 3},
			all:    counts{Seen: 10, Readable: 3, Denied: 4, NoMemory: 3, List: 7}},
		// Who hides processes hides zombies of others as well: one cannot tell
		// what they are, and there is nothing to list.
		{options: "hidepid=1",
			nobody: counts{Seen: 10, Readable: 3, Denied: 5, NoMemory: 2},
			all:    counts{Seen: 10, Readable: 3, Denied: 5, NoMemory: 2, List: 3}},
		{options: "hidepid=2",
			nobody: counts{Seen: 5, Readable: 3, NoMemory: 2},
			all:    counts{Seen: 5, Readable: 3, NoMemory: 2, List: 3}},
	}
	for _, tt := range tests {
		t.Run(tt.options, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "sysfs") // nobody may not enter t.TempDir
			if err != nil {
				t.Fatal(err)
			}
			defer os.Remove(dir)
			attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
			cmd := childCommand("namespace", dir+","+tt.options, attr)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			out, err := cmd.Output()
			if err != nil {
				if strings.Contains(err.Error(), "operation not permitted") {
					t.Skip("needs namespaces: ", err)
				}
				t.Fatalf("%v\n%s", err, out)
			}
			reports := json.NewDecoder(strings.NewReader(string(out)))
			check := func(who string, want, all counts) {
				var got []counts
				if err := reports.Decode(&got); err != nil {
					t.Fatalf("%v in %q", err, out)
				}
				for i, got := range got {
					want := want
					if i >= reportReadings {
						want = all
					}
					if got != want {
						t.Errorf("reading %d by %s: %+v, want %+v", i, who, got, want)
					}
				}
			}
			check("nobody", tt.nobody, tt.all)
			root := counts{Seen: 10, Readable: 7, NoMemory: 3}
			rootAll := root
			rootAll.List = 7
			check("root", root, rootAll)
		})
	}
}

// TestProcessReaderKernelThread: nobody can tell threads of the kernel from
// processes that are denied, though their KSM data is denied as well.
func TestProcessReaderKernelThread(t *testing.T) {
	needsProcessData(t)
	const kthreadd = 2
	status, err := os.ReadFile("/proc/2/status")
	if err != nil || !strings.HasPrefix(string(status), "Name:\tkthreadd\n") {
		t.Skip("needs to see the threads of the kernel")
	}
	r := newProcessReader(t, FS{})
	r.All = true
	var p Processes
	readProcesses(t, r, &p)
	if found := processOf(&p, kthreadd); found != nil {
		t.Errorf("kthreadd is listed: %+v", found)
	}
	if p.NoMemory == 0 {
		t.Error("no process is without memory, want kthreadd at least")
	}
}

const (
	limitTotal      = 300
	limitRegistered = 15 // every twentieth
	limitFiles      = 100
)

// With 100 descriptors for 300 processes everything is read right, also while
// something else in the program uses up what is left.
func TestProcessReaderFewFiles(t *testing.T) {
	fsys := processTree(t, limitTotal, limitTotal/limitRegistered)
	runChild(t, "limit", fsys.Proc, nil)
}

func childLimit(proc string) error {
	limit := unix.Rlimit{Cur: limitFiles, Max: limitFiles}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	r, err := FS{Proc: proc}.NewProcessReader()
	if err != nil {
		return err
	}
	defer r.Close()
	r.fixed = true // also where root could raise it

	var p Processes
	read := func(when string, all bool) error {
		r.All = all
		if err := r.Read(&p); err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		want := counts{Seen: limitTotal, Readable: limitTotal, Registered: limitRegistered, List: limitRegistered}
		if all {
			want.List = limitTotal
		}
		if got := countsOf(&p); got != want {
			return fmt.Errorf("%s: %+v, want %+v (problem: %v)", when, got, want, p.Problem)
		}
		for i := range p.List {
			q := &p.List[i]
			want := uint64(0)
			if q.PID%(limitTotal/limitRegistered) == 0 {
				want = uint64(q.PID)
			}
			if q.KSM.RmapItems != want || q.Comm != "p "+strconv.Itoa(q.PID) || q.RSS != Pages(2*q.PID) || q.Start != uint64(1000+q.PID) {
				return fmt.Errorf("%s: %+v", when, *q)
			}
		}
		return nil
	}
	held := func(registered bool) (n int) {
		for i := range r.known {
			for _, f := range r.known[i].files {
				if f.IsOpen() && r.known[i].registered == registered {
					n++
				}
			}
		}
		return n
	}
	for i := range 3 {
		if err := read(fmt.Sprint("reading ", i), false); err != nil {
			return err
		}
		if got, others := held(true), held(false); got != 3*limitRegistered || got+others != r.most || r.open != got+others {
			return fmt.Errorf("reading %d: %d descriptors of registered processes and %d of others, limit %d, counted %d", i, got, others, r.most, r.open)
		}
	}
	if err := read("all", true); err != nil {
		return err
	}
	if got := held(true); got != 3*limitRegistered {
		return fmt.Errorf("all: %d descriptors of registered processes", got)
	}

	// Now somebody takes all that is left.
	var taken []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	if len(taken) == 0 {
		return fmt.Errorf("nothing was left to take")
	}
	for i := range 3 {
		if err := read(fmt.Sprint("exhausted ", i), i == 1); err != nil {
			return err
		}
		if got := held(true); got != 3*limitRegistered {
			return fmt.Errorf("exhausted %d: %d descriptors of registered processes", i, got)
		}
	}
	// And what the reader gives back, too: nothing but its reserve is left.
	for range 10 {
		for {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
			if err != nil {
				break
			}
			taken = append(taken, fd)
		}
		if err := read("squeezed", false); err != nil {
			return err
		}
	}
	if got, others := held(true), held(false); got != 3*limitRegistered || others > 10 {
		return fmt.Errorf("squeezed: %d descriptors of registered processes and %d of others", got, others)
	}
	for _, fd := range taken {
		unix.Close(fd)
	}
	for range 100 {
		if err := read("free again", false); err != nil {
			return err
		}
	}
	if r.open != r.most {
		return fmt.Errorf("free again: %d descriptors of %d are used", r.open, r.most)
	}
	return nil
}

// A soft limit is raised; a hard one by those who may; and nobody tries for ever.
func TestProcessReaderRaisesLimit(t *testing.T) {
	fsys := processTree(t, limitTotal, limitTotal)
	runChild(t, "raise", fsys.Proc, nil)
}

func childRaise(proc string) error {
	readings := func() (*ProcessReader, error) {
		r, err := FS{Proc: proc}.NewProcessReader()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		var p Processes
		for range 3 {
			if err := r.Read(&p); err != nil {
				return nil, err
			}
			if p.Readable != limitTotal {
				return nil, fmt.Errorf("%d are readable: %v", p.Readable, p.Problem)
			}
		}
		return r, nil
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Max < 4*limitTotal {
		return nil // too little to try
	}
	l.Cur = limitFiles
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	r, err := readings()
	if err != nil {
		return err
	}
	if r.most < limitTotal || r.fixed {
		return fmt.Errorf("soft limit %d, hard limit %d: at most %d descriptors, given up: %t", l.Cur, l.Max, r.most, r.fixed)
	}

	l.Cur, l.Max = limitFiles, limitFiles
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	higher := unix.Rlimit{Cur: limitFiles, Max: limitFiles + 1}
	may := unix.Setrlimit(unix.RLIMIT_NOFILE, &higher) == nil
	if r, err = readings(); err != nil {
		return err
	}
	if raised := r.most >= limitTotal; raised != may || r.fixed == may {
		return fmt.Errorf("hard limit %d, which may be raised: %t; at most %d descriptors, given up: %t", l.Max, may, r.most, r.fixed)
	}
	return nil
}
