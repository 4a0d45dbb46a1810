//go:build unix && !(linux && (amd64 || arm64))

package real

import (
	"context"
	"time"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// WorkerMain does nothing here.
func WorkerMain() {}

// Kernel cannot be had here: Open fails.
type Kernel struct{ sim.Backend }

// Reset fails.
func (*Kernel) Reset(context.Context) error { return errNotHere }

// ReadsMakePages returns false.
func (*Kernel) ReadsMakePages() bool { return false }

var errNotHere = &Error{Op: "run a script", Err: sysfs.ErrNotSupported, hint: "scripts run on Linux on amd64 and arm64; the model runs everywhere"}

// Guard fails.
func Guard(context.Context, sysfs.FS, sysfs.GuardOptions, func(context.Context, *Kernel) error) error {
	return errNotHere
}

// Open fails.
func Open(context.Context, sysfs.FS) (*Kernel, error) { return nil, errNotHere }

// Start fails.
func (*Kernel) Start(context.Context, []sysfs.Setting) error { return errNotHere }

// Host cannot be had here: NewHost fails.
type Host struct{}

// NewHost fails.
func NewHost(*scenario.Scenario, *Kernel) (*Host, error) { return nil, errNotHere }

// Close does nothing.
func (*Host) Close() error { return nil }

// Late returns 0.
func (*Host) Late() time.Duration { return 0 }

// Latency returns that of nothing.
func (*Host) Latency() Latency { return Latency{} }

// ForgetLatency does nothing.
func (*Host) ForgetLatency() {}

// Next returns scenario.Never.
func (*Host) Next() time.Duration { return scenario.Never }

// Rehearse fails.
func (*Host) Rehearse(context.Context, time.Duration) error { return errNotHere }

// Advance fails.
func (*Host) Advance(context.Context, time.Duration) error { return errNotHere }

// Guests returns nil.
func (*Host) Guests() []GuestProcess { return nil }

// Calibrate fails.
func (*Kernel) Calibrate(context.Context, int, func(string)) (Calibration, error) {
	return Calibration{}, errNotHere
}
