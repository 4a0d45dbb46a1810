//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// patience is how long programs have to start, and then to come to rest.
const patience = 2 * time.Minute

// programs are the instances of a workload.
type programs struct{ list []*program }

type program struct {
	cmd    *exec.Cmd
	output output
}

// start starts all instances, also those of a workload that then fails.
func (o *options) start(ctx context.Context, w workload) (*programs, error) {
	started := new(programs)
	for i := range o.copies {
		p := new(program)
		p.cmd = exec.Command(string(o.ksmtop), append([]string{"run", "--"}, w.command(o, i)...)...)
		p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
		o.Join(p.cmd)
		if err := p.cmd.Start(); err != nil {
			return started, err
		}
		started.list = append(started.list, p)
	}
	for i, p := range started.list {
		if err := p.await(ctx, w.ready); err != nil {
			return started, err
		}
		if w.fill != nil {
			if err := w.fill(ctx, o, i); err != nil {
				return started, err
			}
		}
	}
	return started, nil
}

// await waits until the program says word.
func (p *program) await(ctx context.Context, word string) error {
	for deadline := time.Now().Add(patience); !p.output.has(word); time.Sleep(50 * time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := p.stat(); err != nil || time.Now().After(deadline) {
			return fmt.Errorf("%s did not get ready: %s", p.cmd.Args[3], &p.output)
		}
	}
	return nil
}

// freeze waits until the programs are at rest, and stops them.
func (ps *programs) freeze(ctx context.Context) error {
	const interval = time.Second
	var before procfs.Stat
	for deadline := time.Now().Add(patience); ; {
		var now procfs.Stat
		for _, p := range ps.list {
			s, err := p.stat()
			if err != nil {
				return err
			}
			now.User, now.Sys, now.RSS = now.User+s.User, now.Sys+s.Sys, now.RSS+s.RSS
		}
		ticks := now.User + now.Sys - before.User - before.Sys // of 1/100 s
		if now.RSS == before.RSS && ticks <= 10*uint64(len(ps.list)) {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("the programs do not come to rest")
		}
		before = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
	for _, p := range ps.list {
		pid := p.cmd.Process.Pid
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			return err
		}
		// This returns when all threads have stopped.
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
			return fmt.Errorf("process %d did not stop: %s", pid, &p.output)
		}
	}
	return nil
}

// kill ends the programs and waits for their end.
func (ps *programs) kill() {
	for _, p := range ps.list {
		_ = p.cmd.Process.Kill() // it may have ended
	}
	for _, p := range ps.list {
		_ = p.cmd.Wait() // which reports the kill
	}
}

// pids returns the list for ksmtop's -p.
func (ps *programs) pids() string {
	var all []string
	for _, p := range ps.list {
		all = append(all, strconv.Itoa(p.cmd.Process.Pid))
	}
	return strings.Join(all, ",")
}

// stat fails if the program has ended.
func (p *program) stat() (procfs.Stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return procfs.Stat{}, err
	}
	s, err := procfs.ParseStat(text)
	if err == nil && s.Exiting() {
		err = fmt.Errorf("process %d has ended: %s", s.PID, &p.output)
	}
	return s, err
}

// output is what a program has said. It may be used concurrently.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) has(word string) bool { return strings.Contains(o.String(), word) }

// String returns all of it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.text.String())
}
