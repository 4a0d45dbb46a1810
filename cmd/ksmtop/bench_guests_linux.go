package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/procfs"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// qemuPatience is how long guests have to boot and to come to rest.
const qemuPatience = 5 * time.Minute

// qemuGuests are QEMU processes, which end with this thread, whatever ends it. So
// all is done by the goroutine that made them.
type qemuGuests struct{ list []*qemuGuest }

type qemuGuest struct {
	cmd    *exec.Cmd
	output guestOutput
}

func newQEMUGuests() *qemuGuests {
	runtime.LockOSThread()
	return new(qemuGuests)
}

func (gs *qemuGuests) start(boot *qemuBoot, n int) error {
	for i := range n {
		g := new(qemuGuest)
		g.cmd = exec.Command(boot.program, "-accel", "tcg", "-name", fmt.Sprintf("guest=ksmtop%d", i+1),
			"-m", strconv.FormatUint(boot.memory>>20, 10), "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
			"-kernel", boot.kernel, "-initrd", boot.initrd, "-append", "console=ttyS0 quiet no_timer_check")
		g.cmd.Stdout, g.cmd.Stderr = &g.output, &g.output
		// A signal from the terminal is for this process alone.
		g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if err := g.cmd.Start(); err != nil {
			return err
		}
		gs.list = append(gs.list, g)
	}
	return nil
}

// settle waits until the guests have booted and are at rest, and stops them.
func (gs *qemuGuests) settle(ctx context.Context, fsys sysfs.FS, ready string) error {
	deadline := time.Now().Add(qemuPatience)
	pause := func(d time.Duration) error {
		if time.Now().After(deadline) {
			return fmt.Errorf("the guests did not come to rest in %s; the first one says %q", durationText(qemuPatience), gs.list[0].output.last())
		}
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, g := range gs.list {
		for !g.output.has(ready) {
			if _, err := g.stat(fsys); err != nil {
				return err
			}
			if err := pause(100 * time.Millisecond); err != nil {
				return err
			}
		}
	}
	var before procfs.Stat
	for {
		var now procfs.Stat
		for _, g := range gs.list {
			s, err := g.stat(fsys)
			if err != nil {
				return err
			}
			now.User, now.Sys, now.RSS = now.User+s.User, now.Sys+s.Sys, now.RSS+s.RSS
		}
		const interval, restful = time.Second, 10 // ticks of 1/100 s of each guest in it
		ticks := now.User + now.Sys - before.User - before.Sys
		if now.RSS == before.RSS && ticks <= restful*uint64(len(gs.list)) {
			break
		}
		before = now
		if err := pause(interval); err != nil {
			return err
		}
	}
	for _, g := range gs.list {
		if err := g.stop(); err != nil {
			return err
		}
	}
	return nil
}

// stop stops all threads of a guest.
func (g *qemuGuest) stop() error {
	pid := g.cmd.Process.Pid
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return g.ended()
	}
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			return g.ended()
		}
		return nil
	}
}

// stat fails if the guest has ended.
func (g *qemuGuest) stat(fsys sysfs.FS) (procfs.Stat, error) {
	content, err := os.ReadFile(fsys.ProcPath(strconv.Itoa(g.cmd.Process.Pid), "stat"))
	if err != nil {
		return procfs.Stat{}, g.ended()
	}
	s, err := procfs.ParseStat(content)
	if err == nil && s.Exiting() {
		err = g.ended()
	}
	return s, err
}

// ended is the error of a guest that should run.
func (g *qemuGuest) ended() error {
	return hinted{fmt.Errorf("a guest ended: %q", g.output.last()), "is --kernel a kernel, and --initrd an initial file system whose /init stays?"}
}

// kill ends the guests, and waits until they and their memory are gone.
func (gs *qemuGuests) kill() {
	for _, g := range gs.list {
		_ = g.cmd.Process.Kill() // it may have ended
	}
	for _, g := range gs.list {
		_ = g.cmd.Wait() // which reports the kill
	}
	runtime.UnlockOSThread()
}

// guestOutput is what a guest has said, of which the end is kept. It may be used
// concurrently.
type guestOutput struct {
	mu   sync.Mutex
	text []byte
}

const keptOutput = 64 << 10

func (o *guestOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if more := len(o.text) - keptOutput; more > 0 {
		o.text = append(o.text[:0], o.text[more:]...)
	}
	return len(p), nil
}

func (o *guestOutput) has(word string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Contains(o.text, []byte(word))
}

// last returns the last line, cleaned.
func (o *guestOutput) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := bytes.TrimSpace(o.text)
	return text.Clean(string(all[bytes.LastIndexByte(all, '\n')+1:]))
}
