//go:build amd64 || arm64

package real

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Without its memory a scan that is measured ends, with an error.
func TestCalibrateKilled(t *testing.T) {
	c := &calibration{k: openKernel(t), ctx: t.Context()}
	must(t, c.begin(pairs(64), 1))
	if s, err := c.scan(); err != nil || s.Work.Visits == 0 {
		t.Fatalf("scan() = %+v, %v", s, err)
	}
	pid := c.k.processes["p"].pid
	var info unix.Siginfo
	must(t, unix.Kill(pid, unix.SIGKILL), unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil))
	// ksmd may first do something, as it finds out.
	var err error
	for range 3 {
		if _, err = c.scan(); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrDisturbed) || !strings.HasSuffix(err.Error(), "is gone") {
		t.Errorf("scan() error = %v, want ErrDisturbed since the memory is gone", err)
	}
	checkPair(t, c.k) // and the kernel is good for scripts again
}

// What ends a calibration is its error, and it has said how far it came.
func TestCalibrateInterrupted(t *testing.T) {
	k := openKernel(t)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var told []string
	_, err := k.Calibrate(ctx, 1<<14, func(what string) {
		told = append(told, what)
		cancel(enough)
	})
	if err != enough || len(told) != 1 || told[0] != "visits, round 1 of 3" {
		t.Errorf("Calibrate() error = %v, after it told %q", err, told)
	}
	checkPair(t, k)
}
