package scanner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refusedChild tries to read another process, and then itself.
func refusedChild(c *child, args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	_, err = OpenProcess(pid, AreasAuto)
	refused, ok := errors.AsType[*RefusedError](err)
	fmt.Println(ok && errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrGone), ok && refused.Capability == "CAP_SYS_PTRACE", err)
	p, err := OpenProcess(os.Getpid(), AreasAuto)
	if err != nil {
		return err
	}
	spans, err := p.Spans(nil)
	if err != nil {
		return err
	}
	var total Tally
	for _, s := range spans {
		tally, err := p.Read(context.Background(), s, NewBuffer(), func([]byte, []Run) error { return nil })
		if err != nil {
			return err
		}
		total.Add(tally)
	}
	if total.Pages == 0 {
		return errors.New("no pages of its own")
	}
	return nil
}

func TestRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to start a process as another user needs root")
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	child := startChild(t, attr, "refused", strconv.Itoa(os.Getpid()))
	want := fmt.Sprintf("true true open pid %d: permission denied (needs CAP_SYS_PTRACE", os.Getpid())
	if len(child.notes) != 1 || !strings.HasPrefix(child.notes[0], want) {
		t.Errorf("printed %q, want %q", child.notes, want)
	}
}

// forbiddenChild reads itself where process_vm_readv is forbidden, as it is in
// many containers.
func forbiddenChild(c *child, args []string) error {
	runtime.LockOSThread() // a filter is one of a thread
	mem := c.area("forbidden", 1000, readWrite, private, -1)
	fillPages(mem, 0, 1000)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_PROCESS_VM_READV, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return err
	}
	p, err := OpenProcess(os.Getpid(), AreasEligible)
	if err != nil {
		return err
	}
	spans, err := p.Spans(nil)
	if err != nil {
		return err
	}
	start, pages := address(mem), 0
	for _, s := range spans {
		if s.Start < start || s.Start >= start+uint64(len(mem)) {
			continue
		}
		_, err := p.Read(context.Background(), s, NewBuffer(), func(got []byte, runs []Run) error {
			pages += len(got) / testPage
			if !bytes.Equal(got, mem[runs[0].Start-start:][:len(got)]) {
				return errors.New("other bytes")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	fmt.Println(pages, "pages", p.noReadv.Load())
	return nil
}

func TestReadvForbidden(t *testing.T) {
	child := startChild(t, nil, "forbidden")
	if want := []string{"1000 pages true"}; !slices.Equal(child.notes, want) {
		t.Errorf("the child found %q, want %q", child.notes, want)
	}
}
