//go:build unix

package sysfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/kept"
	"github.com/ksmtop/ksmtop/internal/procfs"
)

// GuardOptions are the options of Guard and its parts.
type GuardOptions struct {
	// Dir is where the lock and the remembered settings are; it is made if it
	// is missing. The empty Dir is /run/ksmtop: one lock for the machine.
	// Another one is for copied trees and tests.
	Dir string

	// Force begins also where KSM is in use. Whatever is merged may then be
	// unmerged by the experiment.
	Force bool

	// Waiting, if not nil, is called once if another guard is in force, before
	// waiting for its end.
	Waiting func()

	// For tests: step is called before each write, rename, removal and
	// sync, and write writes knobs in place of FS.write.
	step  func()
	write func(f Field, text string) error
}

func (o GuardOptions) dir() string {
	if o.Dir == "" {
		return "/run/ksmtop"
	}
	return o.Dir
}

func (o GuardOptions) tick() {
	if o.step != nil {
		o.step()
	}
}

// Guard runs fn, which may change the knobs as it likes, and puts all of them
// back when fn returns, panics or calls runtime.Goexit. Only one guard is in
// force at a time; others wait for it until ctx is done.
//
// SIGINT, SIGTERM, SIGHUP and SIGQUIT, unless ignored, cancel fn's context with
// a *SignalError as its cause, which is then in Guard's error too. If a second
// signal comes and fn has not returned two seconds later, the knobs are put back
// while fn still runs, and the signal then does what it does without Guard: it
// ends the process.
//
// What cannot be caught here (SIGKILL, or a panic in a goroutine that fn
// started) leaves the settings in a file in which the next guard finds them and
// puts them back before anything else; after a reboot the file means nothing.
//
// If KSM is in use the error is an *InUseError, unless opts.Force. If it was
// not, everything is unmerged in the end, and it is an error if something stays
// merged. Another program that uses KSM while fn runs cannot be kept from it.
func (fsys FS) Guard(ctx context.Context, opts GuardOptions, fn func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	acquired := make(chan *Guarded, 1)
	stop := onSignals(cancel, acquired)
	defer stop()

	g, err := fsys.Acquire(ctx, opts)
	if err != nil {
		return err
	}
	acquired <- g
	defer func() {
		err = errors.Join(err, g.Release())
		if s, ok := errors.AsType[*SignalError](context.Cause(ctx)); ok && !errors.Is(err, s) {
			err = errors.Join(err, s)
		}
	}()
	return fn(ctx)
}

// SignalError is why the context of a guarded function was cancelled.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string { return "interrupted by " + unix.SignalName(e.Signal) }

// patience is how long fn may go on after a second signal. While it does it may
// write knobs, also after they were put back.
const patience = 2 * time.Second

// onSignals cancels at the first signal. Some time after the second it releases
// the guard that is in force and lets the signal end the process.
func onSignals(cancel context.CancelCauseFunc, acquired <-chan *Guarded) (stop func()) {
	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) { // as under nohup
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	next := func() (s syscall.Signal, ok bool) {
		select {
		case s := <-signals:
			return s.(syscall.Signal), true
		case <-done:
			return 0, false
		}
	}
	var watcher sync.WaitGroup
	watcher.Go(func() {
		s, ok := next()
		if !ok {
			return
		}
		cancel(&SignalError{s})
		if s, ok = next(); !ok {
			return
		}
		select {
		case <-time.After(patience):
		case <-done:
			return
		}
		select {
		case g := <-acquired:
			g.Release()
		case <-done:
			return
		}
		signal.Reset(s)
		unix.Kill(unix.Getpid(), s)
	})
	return func() {
		signal.Stop(signals)
		close(done)
		watcher.Wait()
	}
}

// Guarded is a guard in force.
type Guarded struct {
	fsys  FS
	opts  GuardOptions
	lock  int
	saved saved

	release sync.Once
	err     error
}

// Acquire begins what Guard does: it waits for the lock, puts right what a
// killed guard left, looks whether KSM is in use, and remembers the knobs. It
// handles no signals. Release ends it.
func (fsys FS) Acquire(ctx context.Context, opts GuardOptions) (*Guarded, error) {
	if err := fsys.Supported(); err != nil {
		return nil, err
	}
	lock, err := acquireLock(ctx, opts)
	if err != nil {
		return nil, err
	}
	g := &Guarded{fsys: fsys, opts: opts, lock: lock}
	if err := g.begin(); err != nil {
		unix.Close(lock)
		return nil, err
	}
	return g, nil
}

func (g *Guarded) begin() error {
	if _, err := g.fsys.repair(g.opts); err != nil {
		return err
	}
	now := g.fsys.glance()
	if err := now.problemsOf(Knob); err != nil {
		return err
	}
	use := g.fsys.inUse(&now)
	if use != nil && !g.opts.Force {
		return use
	}
	boot, err := g.fsys.bootID()
	if err != nil {
		return err
	}
	self := unix.Getpid()
	g.saved = saved{
		Root: g.fsys.root(), Boot: boot, PID: self, Start: g.fsys.startTime(self),
		Clean: use == nil || use.Run == RunStop && !use.merged(), knobs: now.Knobs,
	}
	return g.saved.store(g.opts)
}

// Release puts the knobs back and gives up the lock. Repeated calls do nothing
// and return the same. If a knob could not be put back the next guard tries
// again.
func (g *Guarded) Release() error {
	g.release.Do(func() {
		g.err = g.saved.restore(g.fsys, g.opts)
		unix.Close(g.lock)
	})
	return g.err
}

// Repair puts right what a killed guard left, as the next Guard would, and
// reports whether there was anything. It waits for a guard in force until ctx
// is done.
func (fsys FS) Repair(ctx context.Context, opts GuardOptions) (bool, error) {
	if err := fsys.Supported(); err != nil {
		return false, err
	}
	lock, err := acquireLock(ctx, opts)
	if err != nil {
		return false, err
	}
	defer unix.Close(lock)
	return fsys.repair(opts)
}

// repair puts the knobs back if there is a state file. The lock is held, so
// that whoever wrote it is dead.
func (fsys FS) repair(opts GuardOptions) (bool, error) {
	s, err := fsys.loadSaved(opts)
	if s == nil || err != nil {
		return false, err
	}
	return true, s.restore(fsys, opts)
}

// Interrupted reports whether a guard was killed since boot and nothing has put
// the settings back yet. It changes nothing and needs no privilege.
func (fsys FS) Interrupted(opts GuardOptions) (bool, error) {
	s, err := fsys.loadSaved(opts)
	if s == nil || err != nil {
		return false, err
	}
	start := fsys.startTime(s.PID)
	return start == 0 || start != s.Start, nil
}

// restore puts the knobs back and removes the state file.
func (s *saved) restore(fsys FS, opts GuardOptions) error {
	write := opts.write
	if write == nil {
		write = fsys.write
	}
	c := control{fsys, func(f Field, text string) error {
		opts.tick()
		return write(f, text)
	}}
	unmerge := unmergeIfBusy
	if s.Clean {
		unmerge = unmergeFirst
	}
	if err := c.bring(s.knobs, s.knobs.Present, unmerge); err != nil {
		return err
	}
	now := fsys.glance()
	if err := s.compare(fsys, &now.Knobs); err != nil {
		return err
	}
	if err := s.remove(opts); err != nil {
		return err
	}
	if s.Clean {
		if n := mergedPages(&now.Counters); n != 0 {
			return fmt.Errorf("settings are back, but merged pages stay: %d", n)
		}
	}
	return nil
}

// compare returns an error if a knob is not what it was, though the kernel took
// the value: somebody else wrote it. The advisor moves pages_to_scan itself.
func (s *saved) compare(fsys FS, now *Knobs) error {
	for f := range s.knobs.Present.All() {
		if same(f, now, &s.knobs) || f == PagesToScan && s.knobs.Has(AdvisorMode) && s.knobs.AdvisorMode != AdvisorNone {
			continue
		}
		got, _ := now.Value(f)
		want, _ := s.knobs.Value(f)
		return &Error{Op: "write", Path: fsys.Path(f), Err: fmt.Errorf("is %s, not %s, after it was put back", got, want)}
	}
	return nil
}

// mergedPages is zero if nothing is merged.
func mergedPages(c *Counters) uint64 {
	return uint64(c.PagesShared) + uint64(c.PagesSharing) + uint64(max(0, c.KSMZeroPages))
}

// InUseError reports that KSM is in use, so that an experiment would disturb
// the machine.
type InUseError struct {
	Run       uint32      // the knob
	Shared    Pages       // KSM pages
	Sharing   Pages       // further mappings of them
	Zero      SignedPages // zero pages put in place by KSM
	Processes int         // how many processes have mergeable memory

	examples []string // up to 3 of the processes
}

func (e *InUseError) merged() bool { return e.Shared != 0 || e.Sharing != 0 || e.Zero != 0 }

func (e *InUseError) Error() string {
	var why []string
	if e.Run != RunStop {
		why = append(why, fmt.Sprintf("run is %d", e.Run))
	}
	if e.merged() {
		why = append(why, fmt.Sprintf("pages_shared %d, pages_sharing %d, ksm_zero_pages %d", e.Shared, e.Sharing, e.Zero))
	}
	if e.Processes > 0 {
		text := "mergeable memory in " + strings.Join(e.examples, ", ")
		if more := e.Processes - len(e.examples); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		why = append(why, text)
	}
	return "KSM is in use: " + strings.Join(why, "; ")
}

// Hint returns advice in one line.
func (e *InUseError) Hint() string {
	return "an experiment begins by unmerging everything: run it on another machine, or force it"
}

// inUse returns in which ways KSM is in use, or nil.
func (fsys FS) inUse(now *Reading) *InUseError {
	e := &InUseError{
		Run: now.Knobs.Run, Shared: now.Counters.PagesShared, Sharing: now.Counters.PagesSharing, Zero: now.Counters.KSMZeroPages,
	}
	fsys.registered(func(pid int) {
		e.Processes++
		if e.Processes <= 3 {
			e.examples = append(e.examples, fsys.processName(pid))
		}
	})
	if e.Run == RunStop && !e.merged() && e.Processes == 0 {
		return nil
	}
	return e
}

// registered calls each with every process other than this one whose memory
// is mergeable or tracked. One that has gone, or may not be looked at, is
// passed over.
func (fsys FS) registered(each func(pid int)) {
	dir, err := procfs.OpenDir(fsys.proc())
	if err != nil {
		return
	}
	defer dir.Close()
	pids, _ := dir.AppendPIDs(nil)
	slices.Sort(pids)
	buf := make([]byte, 4096)
	for _, pid := range pids {
		if pid == unix.Getpid() {
			continue
		}
		text, err := kept.ReadAll(filepath.Join(fsys.proc(), strconv.Itoa(pid), "ksm_stat"), buf)
		if err != nil {
			continue
		}
		found := false
		procfs.Lines(text, func(key, value []byte) bool {
			switch string(key) {
			case "ksm_rmap_items":
				found = found || string(value) != "0"
			case "ksm_mergeable", "ksm_merge_any":
				found = found || string(value) == "yes"
			}
			return !found
		})
		if found {
			each(pid)
		}
	}
}

// processName names a process in an error.
func (fsys FS) processName(pid int) string {
	comm, _ := kept.ReadAll(filepath.Join(fsys.proc(), strconv.Itoa(pid), "comm"), make([]byte, 64))
	return fmt.Sprintf("process %d (%q)", pid, strings.TrimSuffix(string(comm), "\n"))
}
