//go:build amd64 || arm64

package real

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/kept"
	"github.com/ksmtop/ksmtop/internal/procfs"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Stepping ksmd
//
// mm/ksm.c: ksm_scan_thread is a loop, here with W(c) for "sleep until c":
//
//	loop:  lock;  if run == 1 and the list is not empty: one batch;  unlock
//	       if run == 1 and the list is not empty:
//	            W(sleep_millisecs is not what it was, or that time is over)   "between batches"
//	       else W(run == 1 and the list is not empty)                         "parked"
//
// Between the operations of a script ksmd is parked, with run 0. So the first
// process that registers, which wakes it, does not begin a scan. Some batches are
//
//	write run=1              it wakes, makes a batch, and sleeps between batches
//	wait until it sleeps
//	write sleep_millisecs    another value: it wakes, makes the next one, ...
//	wait until it sleeps
//	...
//	write run=0
//	write sleep_millisecs    it wakes and parks
//	wait until it sleeps
//
// The lock is of the writers of run, too, so that run=0 waits for a batch that
// has begun; but it keeps one from beginning that has not. So the end of the
// batch must be seen: in a batch ksmd waits uninterruptibly only (state D), and
// W is the only interruptible sleep (state S). Writing wakes it before the write
// returns. Between waking and seeing that its condition holds it is in state S
// for a moment, but only a sleep adds to voluntary_ctxt_switches. Hence: state S
// and more of them than in the sleep before.
//
// sleep_millisecs is so long that it never ends by itself.

// daemon is ksmd.
type daemon struct {
	status kept.File // /proc/PID/status
	buf    [4096]byte
}

// findDaemon looks for the kernel thread of that name in /proc.
func findDaemon(proc string) (*daemon, error) {
	dir, err := procfs.OpenDir(proc)
	if err != nil {
		return nil, &sysfs.Error{Op: "open", Path: proc, Err: err}
	}
	defer dir.Close()
	pids, err := dir.AppendPIDs(nil)
	if err != nil {
		return nil, &sysfs.Error{Op: "read", Path: proc, Err: err}
	}
	slices.Sort(pids)
	d := &daemon{}
	for _, pid := range pids {
		home := filepath.Join(proc, strconv.Itoa(pid))
		text, err := kept.ReadAll(filepath.Join(home, "stat"), d.buf[:])
		if err != nil {
			continue
		}
		stat, err := procfs.ParseStat(text)
		if err != nil || string(stat.Comm) != "ksmd" || !stat.KernelThread() {
			continue
		}
		path := filepath.Join(home, "status")
		if d.status, err = kept.Open(path); err != nil {
			return nil, &sysfs.Error{Op: "open", Path: path, Err: err}
		}
		return d, nil
	}
	return nil, &Error{
		Op: "find ksmd", Err: errors.New("not among the processes"),
		hint: "scripts run in the first pid namespace only, not in a container",
	}
}

func (d *daemon) close() { d.status.Close() }

// look returns whether ksmd is in an interruptible sleep, and how often it has
// gone to sleep since boot.
func (d *daemon) look() (asleep bool, sleeps uint64, err error) {
	text, err := d.status.Once(d.buf[:])
	if err != nil {
		return false, 0, &Error{Op: "read status of ksmd", Err: err}
	}
	found := 0
	procfs.Lines(text, func(line, _ []byte) bool {
		key, value, _ := bytes.Cut(line, []byte(":\t"))
		switch string(key) {
		case "State":
			asleep = string(value) == "S"
			found++
		case "voluntary_ctxt_switches":
			sleeps, err = strconv.ParseUint(string(value), 10, 64)
			found++
		}
		return found < 2
	})
	if err != nil || found < 2 {
		return false, 0, &Error{Op: "read status of ksmd", Err: errors.New("it lacks State or voluntary_ctxt_switches")}
	}
	return asleep, sleeps, nil
}

// await waits until ksmd is asleep and has gone to sleep at least so many times
// since boot, in two looks in a row, and returns how many times. It returns false
// if ksmd stays asleep without having done so: it was probably not woken.
func (d *daemon) await(ctx context.Context, least uint64) (sleeps uint64, woken bool, err error) {
	const (
		looks   = 8                      // without a pause
		longest = 200 * time.Microsecond // of a pause
		patient = time.Millisecond
	)
	var before uint64
	seen, pause := false, 10*time.Microsecond
	var since time.Time // when it was first found asleep, too early
	for try := 0; ; try++ {
		asleep, sleeps, err := d.look()
		if err != nil {
			return 0, false, err
		}
		switch {
		case !asleep:
			seen, since = false, time.Time{}
		case sleeps < least && since.IsZero():
			since = time.Now()
		case sleeps < least:
			if time.Since(since) > patient {
				return sleeps, false, nil
			}
		case seen && sleeps == before:
			return sleeps, true, nil
		default:
			seen, before = true, sleeps
		}
		if try < looks {
			continue
		}
		if ctx.Err() != nil {
			return 0, false, context.Cause(ctx)
		}
		// ksmd may need this CPU.
		unix.Nanosleep(&unix.Timespec{Nsec: int64(pause)}, nil)
		pause = min(2*pause, longest)
	}
}
