// Package real runs page scripts and scenarios on the kernel, with real processes
// and real memory. For a script ksmd is stepped batch by batch: a [Kernel] is a
// sim.Backend, so that sim.Run prints for the kernel what it prints for the model.
// For a scenario it goes its own way, from [Kernel.Start] on, and a [Host] lets the
// guests do in real time what those of a sim.Host do in virtual time.
// [Kernel.Calibrate] measures what ksmd's work costs.
//
// It needs Linux 6.6 or later with CONFIG_KSM, root, and a machine on which
// nobody else uses KSM. The knobs, and ksmd, belong to the whole machine:
// [Guard] takes care that they are as before in the end. A Host without a Kernel
// needs nothing but Linux.
//
// A program that uses the package calls [WorkerMain] first in main, and in
// TestMain of its tests.
package real

import "errors"

// ErrDisturbed reports that somebody else used KSM, or wrote its knobs, while a
// script ran. What the script has shown since its beginning may be wrong: run
// it again, after Reset.
var ErrDisturbed = errors.New("somebody else uses KSM at the same time")

// Error records an operation that failed. Err is the cause: a syscall.Errno,
// ErrDisturbed or sysfs.ErrNotSupported, or wraps one.
type Error struct {
	Op  string // such as "mmap"
	Err error

	hint string
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Hint returns advice in one line, or "".
func (e *Error) Hint() string { return e.hint }
