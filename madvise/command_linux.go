package madvise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// How a program comes to begin with merging on
//
// The switch belongs to a process's memory, so it has to be set between fork
// and exec, where Go lets nobody in. Therefore the caller's own executable is
// started in the program's place, as a shim, and becomes the program:
//
//	caller ── fork, exec /proc/self/exe ──> shim ── prctl, exec ──> program
//
// The process stays the same, and with it its id, parent, descriptors,
// directory, credentials, limits and namespaces. What an exec would change or
// a Go runtime has changed is put back: see execProgram.
//
// The shim is recognised by argv[0], which, unlike the other arguments, the
// tools that run a program for somebody with fewer privileges (sudo) do not
// let that somebody choose. The arguments are
//
//	shimName "exec" IGNORED PATH ARGV...   become PATH, called ARGV...
//	shimName "set"                         switch on, exec the next one
//	shimName "get"                         print what is left of it
//
// IGNORED is the set of ignored signals, hexadecimal, bit 0 for signal 1.
const (
	shimName = "ksmtop-madvise-shim"
	shimExec = "exec"
	shimSet  = "set"
	shimGet  = "get"

	// selfExe is the caller's own executable, also when its file has been
	// deleted or replaced.
	selfExe = "/proc/self/exe"

	// The exit statuses of shells.
	statusCannotExec = 126
	statusNotFound   = 127
)

// shimReady says that main has called ExecShim. Without that, starting
// ourselves as a shim would run the program's main again, which would do so
// again.
var shimReady atomic.Bool

func isShim(argv []string) bool { return len(argv) > 0 && argv[0] == shimName }

// In a shim main runs on the process's first thread only if the thread is
// locked during initialisation, and exec must be called by that one: the signal
// sent at the parent's death, for instance, belongs to a thread and not to the
// process.
func init() {
	if isShim(os.Args) {
		runtime.LockOSThread()
	}
}

// ExecShim makes [WrapCommand] and [MemoryMergeSurvivesExec] work. A program
// that uses them must call it first in main, and first in TestMain of its
// tests. It returns at once, unless the process was started by one of the two;
// then it does not return.
//
// The initialisation of all packages of the program runs before, also in the
// shim. It should not write to standard output, nor change the environment or
// the directory.
func ExecShim() {
	if !isShim(os.Args) {
		shimReady.Store(true)
		return
	}
	status, err := runShim(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "madvise:", err)
	}
	os.Exit(status)
}

// WrapCommand changes cmd so that its program begins with merging on, as if it
// had called [SetMemoryMerge] first. It needs no privilege. It is called after
// all fields of cmd are set and before Start; the program must have called
// [ExecShim].
//
// cmd starts the caller's own executable, which switches merging on and then
// becomes the program. The program sees the same arguments, environment,
// directory, descriptors, credentials, limits and process id as it would
// without, and the same signals ignored as at the time of WrapCommand. What
// differs:
//
//   - Path, Args and String of cmd are those of the shim.
//   - A program that does not exist or can not be executed is not an error of
//     Start: the shim writes one line to the program's standard error and exits
//     with status 127 (not found) or 126 (not executable, or the kernel refused
//     the switch), as shells do.
//   - Start returns some milliseconds before the program begins; a signal sent
//     in between meets the shim.
//   - With SysProcAttr.Credential that user must be allowed to execute the
//     caller's executable. With Chroot there must be a /proc inside, or Start
//     fails.
//   - Ptrace is refused.
//
// On Linux 6.4 to 6.6 the program starts without merging: ask
// [MemoryMergeSurvivesExec]. Programs that the program starts inherit the
// switch, also those that are setuid. On an error cmd is unchanged. If cmd.Err
// is set it is the error.
//
// A caller whose executable gives privileges (setuid, setgid, file capabilities)
// can not use it: its shim would gain them again, and pass them on to the
// program. The shim refuses, with status 126.
func WrapCommand(cmd *exec.Cmd) error {
	if err := wrap(cmd); err != nil {
		return &Error{"wrap command", err}
	}
	return nil
}

func wrap(cmd *exec.Cmd) error {
	switch {
	case cmd.Err != nil:
		return cmd.Err
	case cmd.Path == "":
		return errors.New("no command")
	case cmd.Process != nil:
		return errors.New("already started")
	case cmd.SysProcAttr != nil && cmd.SysProcAttr.Ptrace:
		return errors.New("a traced program can not be started through a shim")
	}
	if err := canShim(); err != nil {
		return err
	}
	argv := cmd.Args
	if len(argv) == 0 { // as exec.Cmd does it
		argv = []string{cmd.Path}
	}
	cmd.Args = append([]string{shimName, shimExec, ignoredSignals(), cmd.Path}, argv...)
	cmd.Path = selfExe
	return nil
}

// canShim says what keeps this process from starting a shim that works.
func canShim() error {
	if !shimReady.Load() {
		return errors.New("the program did not call madvise.ExecShim first in main")
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_MEMORY_MERGE, 0, 0, 0, 0); err != nil {
		return explainPrctl(err)
	}
	return nil
}

// checkPrivileges refuses if the kernel gave this process privileges because of
// the file it executes.
func checkPrivileges() error {
	const atSecure = 23 // AT_SECURE of linux/auxvec.h
	auxv, err := unix.Auxv()
	if err != nil {
		return err
	}
	for _, entry := range auxv {
		if entry[0] == atSecure && entry[1] != 0 {
			return fmt.Errorf("the starting program's executable is setuid, setgid or has capabilities: %w", unix.EPERM)
		}
	}
	return nil
}

// ignoredSignals returns the signals this process ignores, and so the ones its
// children would, in the form the shim expects.
func ignoredSignals() string {
	var set uint64
	for n := 1; n <= 64; n++ {
		if signal.Ignored(syscall.Signal(n)) {
			set |= 1 << (n - 1)
		}
	}
	return strconv.FormatUint(set, 16)
}

// runShim does what argv, without the name, asks for. It returns only when
// this is over, with the exit status.
func runShim(argv []string) (status int, err error) {
	// A shim that has privileges its caller lacks would run any program with
	// them.
	if err := checkPrivileges(); err != nil {
		return statusCannotExec, err
	}
	switch {
	case len(argv) >= 4 && argv[0] == shimExec:
		return execProgram(argv[1], argv[2], argv[3:])
	case len(argv) == 1 && argv[0] == shimSet:
		if err := SetMemoryMerge(true); err != nil {
			return statusCannotExec, err
		}
		err := syscall.Exec(selfExe, []string{shimName, shimGet}, os.Environ())
		return statusCannotExec, fmt.Errorf("exec %s: %w", selfExe, err)
	case len(argv) == 1 && argv[0] == shimGet:
		on, err := stillOn()
		if err != nil {
			return statusCannotExec, err
		}
		fmt.Println(on)
		return 0, nil
	default:
		return statusCannotExec, fmt.Errorf("%s: not called by madvise.WrapCommand", shimName)
	}
}

// execProgram switches merging on and becomes the program. It returns if that
// is not possible.
//
// What the Go runtime of the shim has changed of what an exec passes on: it
// catches most signals that were ignored; they are passed in ignored. It raised
// the soft limit of open files; syscall.Exec puts that back. It unblocked the
// signals that kill or dump a Go program; so did the caller's runtime, unless
// the caller has blocked one of them again by a system call of its own. A
// relative path needs no thought: the directory is the program's already.
func execProgram(ignored, path string, argv []string) (status int, err error) {
	set, err := strconv.ParseUint(ignored, 16, 64)
	if err != nil {
		return statusCannotExec, err
	}
	for n := 1; n <= 64; n++ {
		if set&(1<<(n-1)) != 0 {
			signal.Ignore(syscall.Signal(n))
		}
	}
	if err := SetMemoryMerge(true); err != nil {
		return statusCannotExec, err
	}
	err = syscall.Exec(path, argv, os.Environ())
	status = statusCannotExec
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		status = statusNotFound
		if _, statErr := os.Stat(path); statErr == nil {
			status = statusCannotExec
			err = fmt.Errorf("its interpreter is missing: %w", err)
		}
	}
	return status, fmt.Errorf("exec %q: %w", path, err)
}

// stillOn reports whether the switch is on and does what it should: kernels
// that keep the switch over exec without using it have existed.
func stillOn() (bool, error) {
	on, err := MemoryMerge()
	if err != nil || !on {
		return false, err
	}
	mem, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return false, err
	}
	start := address(mem)
	areas, err := unmarked(start, start+uintptr(len(mem)))
	return len(areas) == 0, err
}

// survivesExec is the answer of MemoryMergeSurvivesExec, nil until there is a
// definite one.
var survivesExec atomic.Pointer[bool]

// MemoryMergeSurvivesExec reports whether this kernel keeps the switch of
// [SetMemoryMerge] over execve(2), as it must for [WrapCommand]. Linux does so
// since 6.7, but some releases after that failed to, so it is tried: the calling
// program, which must have called [ExecShim], is started as a child that
// switches merging on, executes itself and looks. This takes some milliseconds.
//
// An error means that the answer is not known, except [ErrNotSupported]: there
// is no switch. An answer is remembered, an error is not.
func MemoryMergeSurvivesExec(ctx context.Context) (bool, error) {
	if known := survivesExec.Load(); known != nil {
		return *known, nil
	}
	answer, err := probeExec(ctx)
	if err != nil {
		return false, &Error{"try memory merge over exec", err}
	}
	survivesExec.Store(&answer)
	return answer, nil
}

func probeExec(ctx context.Context) (bool, error) {
	if err := canShim(); err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, selfExe)
	cmd.Args = []string{shimName, shimSet}
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return false, fmt.Errorf("%w: %q", err, failed.Stderr)
	}
	if err != nil {
		return false, err
	}
	return strconv.ParseBool(strings.TrimSpace(string(out)))
}
