// Command ksmtop shows what page deduplication (KSM) does on a Linux machine,
// changes its settings safely, and starts programs whose memory is mergeable.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/madvise"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sysfs"
)

// What prctl(PR_SET_PDEATHSIG) has set belongs to the main thread. The program
// that `run` becomes has it if exec is called there.
func init() { runtime.LockOSThread() }

func main() {
	madvise.ExecShim() // does not return in a program that is being started
	real.WorkerMain()  // nor in a process of a page script
	if !slices.Contains(os.Args, "run") {
		runtime.UnlockOSThread() // which costs time
	}
	// With a handler a closed pipe is an error of the write, and programs
	// started from here begin with the default again.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// untilSignal returns a context that ends when one of the signals comes. Those
// that whoever started ksmtop has it ignore (nohup) stay ignored.
func untilSignal(ctx context.Context, signals ...os.Signal) (context.Context, context.CancelFunc) {
	signals = slices.DeleteFunc(signals, signal.Ignored)
	if len(signals) == 0 { // which would be all for NotifyContext
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, signals...)
}

// run is the program, and returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return end(root.ExecuteContext(ctx), stderr)
}

// end says on stderr what err is about and returns the exit status.
func end(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return exitDone
	}
	var status statusError
	if errors.As(err, &status) && status.err == nil {
		return status.status
	}
	// Only the stack of a panic has several lines, or tabs.
	for line := range strings.Lines(strings.ReplaceAll(err.Error(), "\t", "    ")) {
		fmt.Fprintf(stderr, "ksmtop: %s\n", text.Clean(strings.TrimSuffix(line, "\n")))
	}
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(stderr, "ksmtop: hint: %s\n", hint)
	}
	if status.status != 0 {
		return status.status
	}
	return exitFailed
}

// statusError ends the program with a status of its own. Without err it does
// so in silence.
type statusError struct {
	status int
	err    error
}

func (e statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e statusError) Unwrap() error { return e.err }

// usage marks err as a mistake in how the program was called.
func usage(err error) error { return statusError{exitUsage, err} }

// hinted is an error with advice.
type hinted struct {
	err  error
	hint string
}

func (e hinted) Error() string { return e.err.Error() }
func (e hinted) Unwrap() error { return e.err }
func (e hinted) Hint() string  { return e.hint }

// hintFor returns advice in one line, or nothing.
func hintFor(err error) string {
	if hint := sysfs.Hint(err); hint != "" {
		return hint
	}
	var status statusError
	switch {
	case errors.As(err, &status) && status.status == exitUsage:
		return "ksmtop --help shows how to call it"
	case errors.Is(err, sysfs.ErrNotSupported):
		return "this needs a kernel that was built with CONFIG_KSM; `ksmtop status` says what there is"
	case errors.Is(err, madvise.ErrNotSupported):
		return "`ksmtop status` says what this kernel has"
	}
	if e, ok := errors.AsType[*sysfs.Error](err); ok && errors.Is(e, fs.ErrPermission) {
		return "changing KSM's knobs needs root, and other users' processes " + capabilityNeeded
	}
	return ""
}
