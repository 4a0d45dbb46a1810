//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/creack/pty"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// program is a program on a terminal of its own.
type program struct {
	cmd      *exec.Cmd
	terminal *os.File
	bytes    atomic.Int64 // written to it

	mu    sync.Mutex
	first []byte // of what was written, some
}

// start starts a program whose preferences are in the folder config.
func start(config, name string, args ...string) (*program, error) {
	p := &program{cmd: exec.Command(name, args...)}
	p.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "XDG_CONFIG_HOME="+config)
	var err error
	if p.terminal, err = pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		return nil, err
	}
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := p.terminal.Read(buffer)
			p.bytes.Add(int64(n))
			p.mu.Lock()
			if len(p.first) < 1<<20 {
				p.first = append(p.first, buffer[:n]...)
			}
			p.mu.Unlock()
			if err != nil {
				return // it has ended
			}
		}
	}()
	return p, nil
}

// seen returns some of what was written.
func (p *program) seen() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// cpu returns the CPU time that it has used, in all its threads, to 10 ms.
func (p *program) cpu() (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.cmd.Path, err)
	}
	stat, err := procfs.ParseStat(text)
	if err != nil {
		return 0, err
	}
	return time.Duration(stat.User+stat.Sys) * (time.Second / 100), nil
}

func (p *program) end() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // which reports the kill
	_ = p.terminal.Close()
}

// sleepers are processes that do nothing.
type sleepers []*exec.Cmd

func startSleepers(n int) (sleepers, error) {
	var all sleepers
	for range n {
		cmd := exec.Command("sleep", "100000")
		if err := cmd.Start(); err != nil {
			return all, err
		}
		all = append(all, cmd)
	}
	return all, nil
}

func (s sleepers) end() {
	for _, cmd := range s {
		_ = cmd.Process.Kill()
	}
	for _, cmd := range s {
		_ = cmd.Wait()
	}
}
