//go:build linux

package madvise_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/madvise"
)

func init() {
	beforeShim = before
	if os.Getenv(helperVar) == "pdeathsig" && os.Args[0] != "ksmtop-madvise-shim" {
		runtime.LockOSThread()
	}
	helpers["compare"] = compareHere
	helpers["pdeathsig"] = printPdeathsig
	helpers["deleted"] = wrapWhenDeleted
	helpers["probe"] = probe
	helpers["no ksm"] = withoutKSM
	helpers["switch refused"] = switchRefused
	helpers["no proc"] = markWithoutProc
}

// before is what processes do before ExecShim.
func before() {
	switch os.Getenv(helperVar) {
	case "wrap before ExecShim":
		fmt.Println(madvise.WrapCommand(exec.Command("true")))
		os.Exit(0)
	case "pdeathsig":
		// The shim should be on its first thread whatever happens before, and
		// the program must be, to ask for a property of that thread.
		if os.Args[0] != "ksmtop-madvise-shim" {
			return
		}
		for range 4 {
			go func() {
				for range 20000 {
					runtime.Gosched()
				}
			}()
		}
		for range 20000 {
			runtime.Gosched()
		}
	}
}

// helperCommand starts this binary as one of the helpers.
func helperCommand(name string, argv ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err) // no /proc: nothing here works
	}
	argv = append(argv, self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), helperVar+"="+name, "GORACE=atexit_sleep_ms=0") // the race detector sleeps 1 s by default
	return cmd
}

func runHelper(t *testing.T, name string, argv ...string) string {
	t.Helper()
	out, err := helperCommand(name, argv...).CombinedOutput()
	if err != nil {
		t.Errorf("helper %s: %v", name, err)
	}
	return string(out)
}

// shows returns a command that prints what an exec passes on.
func shows() *exec.Cmd {
	return exec.Command("cat",
		"/proc/self/status", "/proc/self/cmdline", "/proc/self/environ", "/proc/self/limits", "/proc/self/cgroup",
		"/proc/self/oom_score_adj", "/proc/self/timerslack_ns",
		"/proc/self/fdinfo/0", "/proc/self/fdinfo/3", "/proc/self/fdinfo/4")
}

// run runs cmd and returns its output and exit status. Its output is a file,
// since with a pipe exec.Cmd would pass a new one each time.
func run(cmd *exec.Cmd) (output string, status int, err error) {
	f, err := os.CreateTemp("", "madvise-test")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return "", 0, err
	}
	text, err := os.ReadFile(f.Name())
	return string(text), cmd.ProcessState.ExitCode(), err
}

// stable leaves out of /proc/PID/status what no two processes share: ids of
// processes, memory, scheduling.
func stable(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		key, _, _ := strings.Cut(line, ":")
		switch key {
		case "Tgid", "Ngid", "Pid", "PPid", "NStgid", "NSpid", "NSpgid", "NSsid", "FDSize", "HugetlbPages", "SigQ",
			"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
			continue
		}
		if strings.HasPrefix(key, "Vm") || strings.HasPrefix(key, "Rss") {
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

// compare runs the same command twice, as it is and wrapped, and says where the
// outputs differ. It returns the output.
func compare(command func() *exec.Cmd) (string, error) {
	direct, directStatus, err := run(command())
	if err != nil {
		return "", fmt.Errorf("direct: %w", err)
	}
	cmd := command()
	if err := madvise.WrapCommand(cmd); err != nil {
		return "", err
	}
	wrapped, wrappedStatus, err := run(cmd)
	if err != nil {
		return "", fmt.Errorf("wrapped: %w", err)
	}
	if wrappedStatus != directStatus {
		return "", fmt.Errorf("exit status %d, directly %d: %s", wrappedStatus, directStatus, wrapped)
	}
	got, want := stable(wrapped), stable(direct)
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i, line := range gotLines {
		if i >= len(wantLines) || line != wantLines[i] {
			return "", fmt.Errorf("wrapped, line %d: %q, directly %q", i, line, wantLines[min(i, len(wantLines)-1)])
		}
	}
	if got != want {
		return "", fmt.Errorf("wrapped output ends before %q", wantLines[len(gotLines):])
	}
	return direct, nil
}

func TestWrapCommandChangesNothing(t *testing.T) {
	guardSwitch(t)
	dir := t.TempDir()
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(cat, filepath.Join(dir, "kitten")); err != nil {
		t.Fatal(err)
	}
	file := tempFile(t, "0123456789")
	if _, err := file.Seek(3, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*exec.Cmd)
		want   string // somewhere in the output
	}{
		{"plain", func(*exec.Cmd) {}, "cat\x00/proc/self/status\x00"},
		{"argv0", func(c *exec.Cmd) { c.Args[0] = "other name" }, "other name\x00/proc/self/status\x00"},
		{"empty argv0", func(c *exec.Cmd) { c.Args[0] = "" }, "\x00/proc/self/status\x00"},
		{"argv0 of the shim", func(c *exec.Cmd) { c.Args[0] = "ksmtop-madvise-shim" }, "ksmtop-madvise-shim\x00/proc"},
		{"env", func(c *exec.Cmd) { c.Env = []string{"A=1", "B=", "A=2", "odd", "=x=y", "GODEBUG=x"} }, "A=2\x00"},
		{"empty env", func(c *exec.Cmd) { c.Env = []string{} }, ""},
		{"dir", func(c *exec.Cmd) { c.Dir = dir }, "PWD=" + dir + "\x00"},
		{"relative path below dir", func(c *exec.Cmd) { c.Dir = dir; c.Path = "./kitten" }, "Name:\tkitten\n"},
		{"bare path below dir", func(c *exec.Cmd) { c.Dir = dir; c.Path = "kitten" }, "Name:\tkitten\n"},
		{"files", func(c *exec.Cmd) { c.Stdin = file; c.ExtraFiles = []*os.File{file, file} }, "pos:\t3\n"},
		{"session", func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }, ""},
		{"group", func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }, ""},
	}
	if os.Geteuid() == 0 {
		tests = append(tests, []struct {
			name   string
			change func(*exec.Cmd)
			want   string
		}{
			{"credential", func(c *exec.Cmd) {
				c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65533, Groups: []uint32{7, 9}}}
			}, "Uid:\t65534\t65534\t65534\t65534\nGid:\t65533\t65533\t65533\t65533\n"},
			{"ambient capability", func(c *exec.Cmd) {
				c.SysProcAttr = &syscall.SysProcAttr{
					Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
					AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE},
				}
			}, "CapAmb:\t0000000000000400\n"},
			{"namespaces", func(c *exec.Cmd) {
				c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS}
			}, ""},
			{"user namespace", func(c *exec.Cmd) {
				c.SysProcAttr = &syscall.SysProcAttr{
					Cloneflags:  syscall.CLONE_NEWUSER,
					UidMappings: []syscall.SysProcIDMap{{ContainerID: 5, HostID: 0, Size: 1}},
				}
			}, ""},
		}...)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := compare(func() *exec.Cmd {
				cmd := shows()
				tt.change(cmd)
				return cmd
			})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, tt.want) {
				t.Errorf("output lacks %q, the test proves nothing: %q", tt.want, out)
			}
		})
	}
	t.Run("no args", func(t *testing.T) { // exec.Cmd makes the path argv[0]
		out, err := compare(func() *exec.Cmd { return &exec.Cmd{Path: "/bin/sh", Stdin: strings.NewReader("echo $0")} })
		if err != nil || out != "/bin/sh\n" {
			t.Errorf("argv[0] = %q, %v, want /bin/sh", out, err)
		}
	})
}

// compareHere compares in a process that was started in an unusual way.
func compareHere() error {
	signal.Ignore(syscall.SIGUSR2)
	out, err := compare(func() *exec.Cmd {
		cmd := shows()
		cmd.Env = []string{"A=1"}
		return cmd
	})
	fmt.Print(out)
	return err
}

func TestWrapCommandLimitsAndSignals(t *testing.T) {
	guardSwitch(t)
	tests := []struct {
		name string
		argv []string
		want string
	}{
		{"soft limit of files", []string{"sh", "-c", `ulimit -Sn 99; exec "$0"`}, "Max open files            99 "},
		{"ignored signals", []string{"env", "--ignore-signal=HUP,INT,PIPE,TERM,TSTP"}, "SigIgn:\t0000000000080803\n"},
		{"blocked signals", []string{"env", "--block-signal=USR1,TSTP"}, "SigBlk:\t0000000000080200\n"},
		{"priority", []string{"nice", "-n", "5"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.argv[len(tt.argv)-1], "-signal=") {
				if err := exec.Command(tt.argv[0], append(tt.argv[1:], "true")...).Run(); err != nil {
					t.Skipf("env(1) has no such option: %v", err)
				}
			}
			if out := runHelper(t, "compare", tt.argv...); !strings.Contains(out, tt.want) {
				t.Errorf("output lacks %q: %s", tt.want, out)
			}
		})
	}
}

// The parent's death signal belongs to the thread that set it.
func TestWrapCommandPdeathsig(t *testing.T) {
	guardSwitch(t)
	runtime.LockOSThread() // the signal comes when the starting thread ends
	defer runtime.UnlockOSThread()
	cmd := helperCommand("pdeathsig")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGUSR1}
	if err := madvise.WrapCommand(cmd); err != nil {
		t.Fatal(err)
	}
	if out, status, err := run(cmd); err != nil || status != 0 || out != "10\n" {
		t.Errorf("death signal %q, status %d, %v, want 10 (SIGUSR1)", out, status, err)
	}
}

func printPdeathsig() error {
	var sig int32 // the kernel writes to it before the call returns
	status, err := unix.PrctlRetInt(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0)
	if err != nil || status != 0 {
		return fmt.Errorf("prctl: %d, %w", status, err)
	}
	fmt.Println(sig)
	return nil
}

func TestWrapCommandExitStatus(t *testing.T) {
	guardSwitch(t)
	dir := t.TempDir()
	script := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := script("plain", "#!/bin/sh\n", 0o644)
	orphan := script("orphan", "#!/no/such/interpreter\n", 0o755)
	junk := script("junk", "\x00junk", 0o755)
	missing := filepath.Join(dir, "mis\nsing")
	tests := []struct {
		name       string
		path       string
		args       []string
		wantStatus int
		wantOutput string
	}{
		{"success", "/bin/sh", []string{"sh", "-c", "exit 0"}, 0, ""},
		{"status", "/bin/sh", []string{"sh", "-c", "echo out; exit 7"}, 7, "out\n"},
		{"signal", "/bin/sh", []string{"sh", "-c", "kill -9 $$"}, -1, ""},
		{"missing", missing, nil, 127, fmt.Sprintf("madvise: exec %q: no such file or directory\n", missing)},
		{"below a file", plain + "/x", nil, 127, fmt.Sprintf("madvise: exec %q: not a directory\n", plain+"/x")},
		{"not executable", plain, nil, 126, fmt.Sprintf("madvise: exec %q: permission denied\n", plain)},
		{"directory", dir, nil, 126, fmt.Sprintf("madvise: exec %q: permission denied\n", dir)},
		{"interpreter", orphan, nil, 126, fmt.Sprintf("madvise: exec %q: its interpreter is missing: no such file or directory\n", orphan)},
		{"format", junk, nil, 126, fmt.Sprintf("madvise: exec %q: exec format error\n", junk)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := &exec.Cmd{Path: tt.path, Args: tt.args}
			if err := madvise.WrapCommand(cmd); err != nil {
				t.Fatal(err)
			}
			out, status, err := run(cmd)
			if err != nil || status != tt.wantStatus || out != tt.wantOutput {
				t.Errorf("status %d, output %q, %v\nwant %d, %q", status, out, err, tt.wantStatus, tt.wantOutput)
			}
		})
	}
}

func TestWrapCommandRefuses(t *testing.T) {
	guardSwitch(t)
	missing := exec.Command("no-such-program-anywhere")
	if err := madvise.WrapCommand(missing); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("WrapCommand of an unknown program = %v, want exec.ErrNotFound", err)
	}
	if err := missing.Start(); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("Start of an unknown program = %v, want exec.ErrNotFound", err)
	}

	started := exec.Command("true")
	if err := started.Run(); err != nil {
		t.Fatal(err)
	}
	traced := exec.Command("true")
	traced.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	for _, tt := range []struct {
		cmd  *exec.Cmd
		want string
	}{
		{&exec.Cmd{}, "wrap command: no command"},
		{started, "wrap command: already started"},
		{traced, "wrap command: a traced program can not be started through a shim"},
	} {
		path := tt.cmd.Path
		if err := madvise.WrapCommand(tt.cmd); err == nil || err.Error() != tt.want {
			t.Errorf("WrapCommand = %v, want %s", err, tt.want)
		}
		if tt.cmd.Path != path {
			t.Errorf("WrapCommand changed Path to %q", tt.cmd.Path)
		}
	}

	const want = "wrap command: the program did not call madvise.ExecShim first in main\n"
	if got := runHelper(t, "wrap before ExecShim"); got != want {
		t.Errorf("WrapCommand before ExecShim = %q, want %q", got, want)
	}
}

// A shim that is called in a way WrapCommand does not call it.
func TestShimMalformed(t *testing.T) {
	guardSwitch(t)
	for _, args := range [][]string{{}, {"exec"}, {"exec", "0", "/bin/true"}, {"exec", "z", "/bin/true", "true"}, {"get", "x"}, {"x"}} {
		cmd := helperCommand("")
		cmd.Args = append([]string{"ksmtop-madvise-shim"}, args...)
		out, status, err := run(cmd)
		if err != nil || status != 126 || !strings.HasPrefix(out, "madvise: ") || strings.Count(out, "\n") != 1 {
			t.Errorf("shim %q: status %d, output %q, %v, want 126 and one line", args, status, out, err)
		}
	}
}

func TestWrapCommandMerges(t *testing.T) {
	guardSwitch(t)
	if survives, err := madvise.MemoryMergeSurvivesExec(t.Context()); err != nil {
		t.Fatal(err)
	} else if !survives {
		ksmtest.Skip(t, "this kernel does not keep the switch over exec")
	}
	mergeAny := func(cmd *exec.Cmd) string {
		t.Helper()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		dir := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if comm, err := os.ReadFile(dir + "comm"); err != nil {
				t.Fatal(err)
			} else if string(comm) == "sleep\n" {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("the program is still %q", comm)
			}
		}
		stat, err := os.ReadFile(dir + "ksm_stat")
		if err != nil {
			t.Fatal(err)
		}
		_, answer, ok := strings.Cut(string(stat), "ksm_merge_any: ")
		if !ok {
			if ksmtest.KernelSince(t, 6, 14) {
				t.Fatalf("ksm_stat has no ksm_merge_any: %q", stat)
			}
			t.Skip("ksm_merge_any needs Linux 6.14")
		}
		answer, _, _ = strings.Cut(answer, "\n")
		return answer
	}
	if got := mergeAny(exec.Command("sleep", "60")); got != "no" {
		t.Errorf("ksm_merge_any of a program started directly: %s, want no", got)
	}
	cmd := exec.Command("sleep", "60")
	if err := madvise.WrapCommand(cmd); err != nil {
		t.Fatal(err)
	}
	if got := mergeAny(cmd); got != "yes" {
		t.Errorf("ksm_merge_any of a wrapped program: %s, want yes", got)
	}
	if on, err := madvise.MemoryMerge(); err != nil || on {
		t.Errorf("MemoryMerge of the caller = %t, %v, want false", on, err)
	}
}

// copySelf copies this binary.
func copySelf(t *testing.T) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrapCommandDeletedExecutable(t *testing.T) {
	guardSwitch(t)
	cmd := exec.Command(copySelf(t))
	cmd.Env = append(os.Environ(), helperVar+"=deleted")
	if out, status, err := run(cmd); err != nil || status != 0 || out != "hello\n" {
		t.Errorf("status %d, output %q, %v, want hello", status, out, err)
	}
}

func wrapWhenDeleted() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Remove(self); err != nil {
		return err
	}
	cmd := exec.Command("echo", "hello")
	cmd.Stdout = os.Stdout
	if err := madvise.WrapCommand(cmd); err != nil {
		return err
	}
	return cmd.Run()
}

// A setuid executable must not run other programs for anybody.
func TestShimSetuid(t *testing.T) {
	guardSwitch(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a setuid file")
	}
	path := copySelf(t)
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Flags&unix.ST_NOSUID != 0 {
		t.Skip("the temporary directory is mounted nosuid")
	}
	for _, args := range [][]string{{"exec", "0", "/bin/echo", "echo", "executed"}, {"set"}, {"get"}} {
		cmd := exec.Command(path)
		cmd.Args = append([]string{"ksmtop-madvise-shim"}, args...)
		const want = "madvise: the starting program's executable is setuid, setgid or has capabilities: operation not permitted\n"
		if out, status, err := run(cmd); err != nil || status != 126 || !strings.HasPrefix(out, want) {
			// With go test -cover, more lines follow: that user can not write the profile.
			t.Errorf("setuid shim %q: status %d, output %q, %v, want 126, %q", args, status, out, err, want)
		}
	}
}

func TestMemoryMergeSurvivesExec(t *testing.T) {
	guardSwitch(t)
	const cancelled = "try memory merge over exec: context canceled\n"
	switch got := runHelper(t, "probe"); {
	case got == cancelled+"true\n":
	case got == cancelled+"false\n" && !ksmtest.KernelSince(t, 6, 19):
		t.Log("this kernel does not keep the switch over exec")
	default:
		t.Errorf("MemoryMergeSurvivesExec, cancelled and not: %q", got)
	}
}

func probe() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := madvise.MemoryMergeSurvivesExec(ctx)
	fmt.Println(err)
	first, err := madvise.MemoryMergeSurvivesExec(context.Background())
	if err != nil {
		return err
	}
	again, err := madvise.MemoryMergeSurvivesExec(ctx) // remembered: ctx does not matter
	if err != nil || again != first {
		return fmt.Errorf("second answer %t, %v, first %t", again, err, first)
	}
	fmt.Println(first)
	return nil
}

// refuse makes the kernel answer calls of this process, and of its children,
// with errno if they are the system call nr with value as the argument of the
// index.
func refuse(calls ...refused) error {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		result = unix.BPF_RET | unix.BPF_K
	)
	var filter []unix.SockFilter
	for _, c := range calls {
		filter = append(filter,
			unix.SockFilter{Code: load, K: 0}, // nr of struct seccomp_data
			unix.SockFilter{Code: equal, K: c.nr, Jf: 3},
			unix.SockFilter{Code: load, K: 16 + 8*c.index}, // low half of args[index]
			unix.SockFilter{Code: equal, K: c.value, Jf: 1},
			unix.SockFilter{Code: result, K: unix.SECCOMP_RET_ERRNO | uint32(c.errno)})
	}
	filter = append(filter, unix.SockFilter{Code: result, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // both calls must come from one thread; the second reaches all
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	// The kernel copies prog, which lives until the call returns.
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

type refused struct {
	nr, index, value uint32
	errno            syscall.Errno
}

// needSeccomp skips where refuse does not work.
func needSeccomp(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the filter is written for little-endian 64-bit machines")
	}
	if _, err := os.Stat("/proc/sys/kernel/seccomp"); err != nil {
		t.Skipf("kernel without seccomp filters: %v", err)
	}
}

// A kernel without CONFIG_KSM, which says EINVAL to everything.
func TestWithoutKSM(t *testing.T) {
	needSeccomp(t)
	const old = ": not supported by this kernel: unsupported operation (needs Linux 2.6.32 or later, built with CONFIG_KSM)\n"
	const new = ": not supported by this kernel: unsupported operation (needs Linux 6.4 or later, built with CONFIG_KSM)\n"
	want := "mark mergeable" + old + "mark unmergeable" + old + "allocate region" + old +
		"set memory merge" + new + "get memory merge" + new + "wrap command" + new + "try memory merge over exec" + new
	if got := runHelper(t, "no ksm"); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func withoutKSM() error {
	if err := refuse(
		refused{unix.SYS_MADVISE, 2, unix.MADV_MERGEABLE, unix.EINVAL},
		refused{unix.SYS_MADVISE, 2, unix.MADV_UNMERGEABLE, unix.EINVAL},
		refused{unix.SYS_PRCTL, 0, unix.PR_SET_MEMORY_MERGE, unix.EINVAL},
		refused{unix.SYS_PRCTL, 0, unix.PR_GET_MEMORY_MERGE, unix.EINVAL},
	); err != nil {
		return err
	}
	mem, err := unix.Mmap(-1, 0, pageSize, readWrite, anonymous)
	if err != nil {
		return err
	}
	cmd := exec.Command("true")
	_, regionErr := madvise.NewRegion(1)
	_, getErr := madvise.MemoryMerge()
	_, probeErr := madvise.MemoryMergeSurvivesExec(context.Background())
	for _, err := range []error{
		madvise.Mergeable(mem), madvise.Unmergeable(mem), regionErr,
		madvise.SetMemoryMerge(true), getErr, madvise.WrapCommand(cmd), probeErr,
	} {
		if !errors.Is(err, madvise.ErrNotSupported) {
			return fmt.Errorf("%v is not ErrNotSupported", err)
		}
		fmt.Println(err)
	}
	return cmd.Run() // unchanged, and so it works
}

// A kernel that has the switch and does not let this process use it.
func TestSwitchRefused(t *testing.T) {
	guardSwitch(t)
	needSeccomp(t)
	want := "try memory merge over exec: exit status 126: \"madvise: set memory merge: operation not permitted\\n\"\n" +
		"madvise: set memory merge: operation not permitted\n" +
		"exit status 126\n"
	if got := runHelper(t, "switch refused"); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func switchRefused() error {
	if err := refuse(refused{unix.SYS_PRCTL, 0, unix.PR_SET_MEMORY_MERGE, unix.EPERM}); err != nil {
		return err
	}
	_, err := madvise.MemoryMergeSurvivesExec(context.Background())
	fmt.Println(err)
	cmd := exec.Command("echo", "executed")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := madvise.WrapCommand(cmd); err != nil {
		return err
	}
	fmt.Println(cmd.Run())
	return nil
}

// A system without /proc.
func TestMergeableUnverified(t *testing.T) {
	guard(t)
	needSeccomp(t)
	const want = "mark mergeable: marked, but not verified: open /proc/self/smaps: no such file or directory\n"
	if got := runHelper(t, "no proc"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func markWithoutProc() error {
	mem, err := unix.Mmap(-1, 0, pageSize, readWrite, anonymous)
	if err != nil {
		return err
	}
	// No file can be opened for reading from here on.
	if err := refuse(refused{unix.SYS_OPENAT, 2, unix.O_RDONLY | unix.O_CLOEXEC | unix.O_LARGEFILE, unix.ENOENT}); err != nil {
		return err
	}
	err = madvise.Mergeable(mem)
	if !errors.Is(err, madvise.ErrUnverified) || !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("Mergeable error = %w, want ErrUnverified and ENOENT", err)
	}
	fmt.Println(err)
	return nil
}
