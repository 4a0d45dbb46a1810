package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/madvise"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Exit statuses of run for a program that could not be started, as shells
// have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func newRun(c *common) *cobra.Command {
	var wantReport bool
	cmd := &cobra.Command{
		Use:   "run [--report] -- CMD [ARG...]",
		Short: "Start a program with its memory mergeable",
		Long: `run starts a program with PR_SET_MEMORY_MERGE on: all its private memory, and
that of the programs it starts, may be merged. The program needs no change and
nobody needs root for it. Linux 6.7 or later keeps the switch when a program
starts another.

Without --report ksmtop becomes the program. With it ksmtop stays, passes
signals on, and at the end says on standard error what merging saved and cost,
for the program and for those it started. Signals typed at a terminal reach the
program from there.

The exit status is the program's, 127 if it was not found, 126 if it could not
be executed. Nothing is merged while KSM is off; run says so and goes on.`,
		Example: `  ksmtop run -- python3 app.py
  ksmtop run --report -- make -j8`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("run needs a program")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			program, err := findProgram(args)
			if err != nil {
				return err
			}
			if err := mergingSurvives(cmd.Context()); err != nil {
				return err
			}
			sayIfOff(cmd.ErrOrStderr(), c.fsys)
			if !wantReport {
				return become(program)
			}
			return c.runReported(cmd.Context(), program, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&wantReport, "report", false, "say at the end what merging saved and cost")
	cmd.Flags().SetInterspersed(false) // what follows CMD is CMD's
	return cmd
}

// findProgram returns the command for args, or an error with a shell's status.
func findProgram(args []string) (*exec.Cmd, error) {
	name := args[0]
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) {
		err = nil // the user has it in PATH and shells run it
	}
	if errors.Is(err, exec.ErrNotFound) && inPath(name) {
		err = syscall.EACCES
	}
	if err != nil {
		return nil, startError(name, err)
	}
	return &exec.Cmd{Path: path, Args: args}, nil
}

// inPath reports whether a directory of PATH has a file of that name, be it
// one that cannot be executed.
func inPath(name string) bool {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}

var errNoInterpreter = errors.New("its interpreter is missing")

func startError(name string, err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	err = fmt.Errorf("run %q: %w", name, err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return statusError{exitNotFound, hinted{err, "the program's name or path is looked up as a shell does it"}}
	}
	hint := "it must be an executable file"
	if errors.Is(err, syscall.ENOEXEC) {
		hint = "a script needs a first line like #!/bin/sh"
	}
	return statusError{exitNotExecutable, hinted{err, hint}}
}

// mergingSurvives returns an error if this kernel cannot start a program with
// merging on.
func mergingSurvives(ctx context.Context) error {
	switch survives, err := madvise.MemoryMergeSurvivesExec(ctx); {
	case err != nil:
		return err
	case !survives:
		return hinted{
			fmt.Errorf("run: %w: it loses the switch when a program starts; Linux keeps it since 6.7, except some releases after that", madvise.ErrNotSupported),
			"a program can still call prctl(PR_SET_MEMORY_MERGE) itself",
		}
	}
	return nil
}

// sayIfOff says on w that nothing will be merged, if ksmd does not scan.
func sayIfOff(w io.Writer, fsys sysfs.FS) {
	knobs, err := fsys.Knobs()
	switch {
	case errors.Is(err, sysfs.ErrNotSupported):
		warn(w, "this kernel has no KSM: nothing will be merged", "it was built without CONFIG_KSM, or a container hides it")
	case knobs.Has(sysfs.Run) && knobs.RunMode() != sysfs.RunScan:
		warn(w, fmt.Sprintf("KSM is off (run is %d): the program's memory is mergeable, but nothing will be merged", knobs.Run),
			"as root, `ksmtop set run=1` starts ksmd")
	}
}

// become replaces this process by program, with merging on.
func become(program *exec.Cmd) error {
	if err := madvise.SetMemoryMerge(true); err != nil {
		return err
	}
	err := syscall.Exec(program.Path, program.Args, os.Environ())
	if _, statErr := os.Stat(program.Path); statErr == nil && errors.Is(err, fs.ErrNotExist) {
		err = errNoInterpreter // the file itself is there
	}
	return startError(program.Args[0], err)
}

// runReported starts program, waits for it and reports what merging saved.
func (c *common) runReported(ctx context.Context, program *exec.Cmd, stderr io.Writer) error {
	name := program.Args[0]
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := madvise.WrapCommand(program); err != nil {
		return err
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals) // all
	defer signal.Stop(signals)
	if err := program.Start(); err != nil {
		return startError(name, err)
	}
	watch := newWatch(c.fsys, program.Process.Pid)
	defer watch.close()
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case s := <-signals:
			pass(s, program.Process)
		case <-tick.C:
			watch.look()
		case err := <-ended:
			watch.lookAtHost()
			_ = report.Run(stderr, &watch.run) // the program's status counts
			return programStatus(err)
		case <-ctx.Done():
			_ = program.Process.Signal(syscall.SIGTERM)
			ctx = context.Background() // once
		}
	}
}

// pass passes a signal on to the program, unless it is about ksmtop itself (a
// child that ended, a closed pipe, and what the Go runtime sends itself) or the
// terminal sends it to the program as well. If it stops the program it stops
// ksmtop, too.
func pass(s os.Signal, program *os.Process) {
	switch s {
	case syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG:
		return
	}
	if !typedAtTerminal(s) {
		_ = program.Signal(s) // it may have ended
	}
	switch s {
	case syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}

// typedAtTerminal reports whether the terminal sends s to the program as well:
// both are in its foreground then.
func typedAtTerminal(s os.Signal) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP:
		return inForeground()
	}
	return false
}

// programStatus turns the end of a program into ksmtop's: its status, or 128
// and the number of the signal that killed it.
func programStatus(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	if state, ok := exit.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return statusError{status: 128 + int(state.Signal())}
	}
	return statusError{status: exit.ExitCode()}
}
