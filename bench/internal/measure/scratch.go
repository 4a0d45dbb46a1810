//go:build unix

package measure

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Scratch is a directory and a process group that end when this process ends,
// however it ends. A shell sees to that, which notices when the other end of its
// standard input is gone.
type Scratch struct {
	Dir   string
	shell *exec.Cmd
	alive io.Closer
}

// NewScratch makes a directory in parent and a process group.
func NewScratch(parent string) (*Scratch, error) {
	dir, err := os.MkdirTemp(parent, "ksmtop-bench-")
	if err != nil {
		return nil, err
	}
	s := &Scratch{Dir: dir, shell: exec.Command("sh", "-c", `read -r _; rm -rf "$1"; kill -KILL 0`, "sh", dir)}
	s.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.alive, err = s.shell.StdinPipe(); err == nil {
		err = s.shell.Start()
	}
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	return s, nil
}

// Build builds ksmtop in the directory. The working directory must be in its
// module.
func (s *Scratch) Build(ctx context.Context) (Ksmtop, error) {
	path := filepath.Join(s.Dir, "ksmtop")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/ksmtop/ksmtop/cmd/ksmtop")
	s.Join(cmd)
	return Ksmtop(path), run(cmd)
}

// Join makes a command that is not started yet a member of the process group.
func (s *Scratch) Join(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: s.shell.Process.Pid}
}

// Close removes the directory and kills the process group.
func (s *Scratch) Close() {
	_ = s.alive.Close()
	_ = s.shell.Wait() // which reports that it was killed
}
