//go:build unix

package sysfs

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// acquireLock waits for the lock in dir, which the kernel takes from whoever
// holds it when that process ends. Closing the descriptor gives it up. The
// file stays: removing it would let two lock different files.
func acquireLock(ctx context.Context, opts GuardOptions) (int, error) {
	dir := opts.dir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, &Error{Op: "open", Path: dir, Err: cause(err)}
	}
	path := filepath.Join(dir, "lock")
	// Nobody else may open it: whoever can open a file can lock it.
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	})
	if err != nil {
		return 0, &Error{Op: "open", Path: path, Err: err}
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if ctx.Err() != nil {
			unix.Close(fd)
			return 0, &Error{Op: "lock", Path: path, Err: context.Cause(ctx)}
		}
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return fd, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			unix.Close(fd)
			return 0, &Error{Op: "lock", Path: path, Err: err}
		}
		if err == unix.EWOULDBLOCK && opts.Waiting != nil {
			opts.Waiting()
			opts.Waiting = nil
			continue // it may have ended meanwhile
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}
