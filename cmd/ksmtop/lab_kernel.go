package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sysfs"
)

// disturbances is how often a script runs again during which somebody else used
// KSM.
const disturbances = 3

// kernelRun returns what runs scripts on the kernel.
func kernelRun(k *real.Kernel) sim.RunFunc {
	return func(ctx context.Context, s *sim.Script) (o sim.Outcome, err error) {
		for range 1 + disturbances {
			if err = k.Reset(ctx); err == nil {
				r := sim.Runner{Backend: k, PageSize: os.Getpagesize()}
				o, err = r.Outcome(ctx, s)
			}
			if !errors.Is(err, real.ErrDisturbed) {
				break
			}
		}
		return o, err
	}
}

// labSide is where scripts run.
type labSide struct {
	name string
	run  sim.RunFunc
}

// withSides calls fn with where scripts shall run, which is over when it returns.
// A signal ends fn's context. It is for fn to say what that means: no error comes
// of the signal alone.
func (f *labFlags) withSides(cmd *cobra.Command, fn func(context.Context, []labSide) error) error {
	if f.on == onSim {
		ctx, stop := labSignals(cmd.Context())
		defer stop()
		return fn(ctx, []labSide{{onSim, f.model(f.engine, simPageBytes)}})
	}
	began := false
	err := real.Guard(cmd.Context(), f.fsys, guardOptions(cmd, f.force), func(ctx context.Context, k *real.Kernel) error {
		began = true
		f.readsMakePages = k.ReadsMakePages()
		kernel := labSide{onKernel, kernelRun(k)}
		if f.on == onKernel {
			return fn(ctx, []labSide{kernel})
		}
		return fn(ctx, []labSide{{onSim, f.model(f.engine, os.Getpagesize())}, kernel})
	})
	if _, ok := errors.AsType[*sysfs.SignalError](err); ok && !began {
		return errLabInterrupted
	}
	err = withoutSignal(err)
	switch {
	case began || sysfs.Hint(err) != "":
	case errors.Is(err, fs.ErrPermission):
		return hinted{err, "running on the kernel needs root; --on sim needs nothing"}
	case errors.Is(err, sysfs.ErrNotSupported):
		return hinted{err, "the kernel here cannot do it; --on sim needs no KSM"}
	}
	return err
}

// withoutSignal returns err without the signals that are joined to it.
func withoutSignal(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, err := range joined.Unwrap() {
			rest = append(rest, withoutSignal(err))
		}
		return errors.Join(rest...)
	}
	if _, ok := err.(*sysfs.SignalError); ok {
		return nil
	}
	return err
}

// labSignals end a script on the model. A second one ends the program.
func labSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := untilSignal(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// errLabInterrupted is why a script ended before its end.
var errLabInterrupted = errors.New("interrupted before the script ended")
