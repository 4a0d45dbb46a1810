//go:build amd64 || arm64

package real

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// handle is this program's side of a worker, which is a child of this process.
type handle struct {
	pid  int
	sock int
}

// startFirst starts the worker from which all others are forked. It has no
// areas. From base up to limit its addresses are free.
func startFirst() (h *handle, base, limit uint64, err error) {
	const op = "start worker"
	if !workersReady.Load() {
		return nil, 0, 0, &Error{Op: op, Err: errors.New("the program did not call real.WorkerMain first in main")}
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, 0, 0, &Error{Op: op, Err: err}
	}
	file := os.NewFile(uintptr(theirs), "socket")
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{workerName}
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{file} // becomes workerFD
	// A signal from the terminal is for this process alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	file.Close()
	var greeting hello
	if err == nil {
		err = receive(ours, unsafe.Pointer(&greeting), unsafe.Sizeof(greeting))
		// If it fails its status says less than what it has sent.
		_ = cmd.Wait()
	}
	if err == nil && greeting.errno != 0 {
		err = syscall.Errno(greeting.errno)
	}
	if err != nil {
		unix.Close(ours)
		return nil, 0, 0, &Error{Op: op, Err: err}
	}
	return &handle{pid: int(greeting.pid), sock: ours}, greeting.base, greeting.limit, nil
}

// fork makes a child of h, a copy on write.
func (h *handle) fork() (*handle, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, &Error{Op: "fork", Err: err}
	}
	pid, err := h.do("fork", &command{op: opFork}, unix.UnixRights(theirs))
	unix.Close(theirs)
	if err != nil {
		unix.Close(ours)
		return nil, err
	}
	return &handle{pid: int(pid), sock: ours}, nil
}

// syscall lets h make a system call; name is for errors.
func (h *handle) syscall(name string, number uintptr, args ...uint64) (uint64, error) {
	cmd := command{op: opSyscall}
	cmd.arg[0] = uint64(number)
	copy(cmd.arg[1:], args)
	return h.do(name, &cmd, nil)
}

// do lets h carry out a command and waits until it has. The error is an *Error.
func (h *handle) do(op string, cmd *command, rights []byte) (uint64, error) {
	var a answer
	err := send(h.sock, unsafe.Pointer(cmd), unsafe.Sizeof(*cmd), rights)
	if err == nil {
		err = receive(h.sock, unsafe.Pointer(&a), unsafe.Sizeof(a))
	}
	if err == nil && a.errno != 0 {
		err = syscall.Errno(a.errno)
	}
	if err != nil {
		return 0, h.failed(op, err)
	}
	return a.value, nil
}

// begin has h begin with writes, of which there are at most maxWrites, and finish
// waits for them, which must follow. It returns how long each took.
func (h *handle) begin(writes []pageWrite) error {
	r := request{command: command{op: opWrites}}
	r.arg[0] = uint64(copy(r.writes[:], writes))
	size := unsafe.Offsetof(r.writes) + uintptr(r.arg[0])*unsafe.Sizeof(r.writes[0])
	if err := send(h.sock, unsafe.Pointer(&r), size, nil); err != nil {
		return h.failed("write", err)
	}
	return nil
}

func (h *handle) finish(writes int, r *reply) ([]uint32, error) {
	size := unsafe.Offsetof(r.took) + uintptr(writes)*unsafe.Sizeof(r.took[0])
	if err := receive(h.sock, unsafe.Pointer(r), size); err != nil {
		return nil, h.failed("write", err)
	}
	return r.took[:writes], nil
}

// failed makes the error of an operation.
func (h *handle) failed(op string, err error) error {
	if err == errGone {
		err = h.fate()
	}
	return &Error{Op: op, Err: err}
}

// mapArea maps memory of h's own, of huge pages or without any.
func (h *handle) mapArea(at, length uint64, huge bool) error {
	const nowhere = ^uint64(0) // descriptor -1
	_, err := h.syscall("mmap", unix.SYS_MMAP, at, length, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_FIXED_NOREPLACE, nowhere, 0)
	if err != nil {
		return err
	}
	advice := uint64(unix.MADV_NOHUGEPAGE)
	if huge {
		advice = unix.MADV_HUGEPAGE
	}
	err = h.madvise(at, length, advice)
	if errors.Is(err, unix.EINVAL) { // there are no huge pages
		err = nil
	}
	return err
}

// madvise calls madvise(2) in h.
func (h *handle) madvise(at, length, advice uint64) error {
	_, err := h.syscall("madvise", unix.SYS_MADVISE, at, length, advice)
	return err
}

// alive returns an error if h has ended, which it should not by itself.
func (h *handle) alive() error {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, h.pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == nil && info.Signo == 0 {
		return nil
	}
	return h.fate()
}

// fate says how a worker has ended that should not have. It can be asked
// again, since the worker is left to end.
func (h *handle) fate() error {
	return fmt.Errorf("worker process %d was ended from outside, or for want of memory: %w", h.pid, unix.ESRCH)
}

// end ends workers and waits until their memory is gone. All are sent the
// signal before the first is waited for.
func end(workers ...*handle) error {
	var failed error
	for _, h := range workers {
		// The pid is h's until it has been waited for.
		if err := unix.Kill(h.pid, unix.SIGKILL); err != nil {
			failed = &Error{Op: "kill", Err: err}
		}
		unix.Close(h.sock)
	}
	for _, h := range workers {
		if err := wait(h.pid); err != nil {
			failed = &Error{Op: "wait4", Err: err}
		}
	}
	return failed
}

func wait(pid int) error {
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// A socket keeps the borders of messages, so that each is sent and received
// whole. Nobody but this process and one worker holds an end.

func socketPair() (ours, theirs int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	return pair[0], pair[1], err
}

// errGone reports that the other end is closed.
var errGone = errors.New("the worker has ended")

// send sends the first bytes of a struct, which has no pointers and no padding.
func send(sock int, from unsafe.Pointer, size uintptr, rights []byte) error {
	text := unsafe.Slice((*byte)(from), size)
	for {
		_, err := unix.SendmsgN(sock, text, rights, nil, unix.MSG_NOSIGNAL)
		switch err {
		case unix.EINTR:
			continue
		case unix.EPIPE, unix.ECONNRESET:
			return errGone
		}
		return err
	}
}

// receive fills that many bytes of a struct, which has no pointers and no padding.
func receive(sock int, to unsafe.Pointer, size uintptr) error {
	for {
		n, err := unix.Read(sock, unsafe.Slice((*byte)(to), size))
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECONNRESET || err == nil && uintptr(n) != size:
			return errGone
		}
		return err
	}
}
