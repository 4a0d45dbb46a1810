//go:build unix

package sysfs

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// control writes the knobs of one kernel. Tests give it a write of their own.
type control struct {
	fsys  FS
	write func(f Field, text string) error // errors are bare, as the kernel gave them
}

// write writes text and a newline to f's file, in one write(2): the kernel
// takes each for a value of its own.
func (fsys FS) write(f Field, text string) error {
	fd, err := retry(func() (int, error) {
		return unix.Open(fsys.Path(f), unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	line := []byte(strings.TrimSuffix(text, "\n") + "\n")
	// A signal ends an unmerging with EINTR and run at 0; it goes on from there.
	n, err := retry(func() (int, error) { return unix.Write(fd, line) })
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return err
}

// retry calls do until no signal interrupts it.
func retry(do func() (int, error)) (int, error) {
	for {
		n, err := do()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// RefusedError reports that the kernel refused a value for a reason that lies
// outside of the value, or would refuse it.
type RefusedError struct {
	Errno  syscall.Errno
	Reason string // in words; empty if Errno says it all

	hint string
}

func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return e.Errno.Error()
	}
	return e.Errno.Error() + ": " + e.Reason
}

func (e *RefusedError) Unwrap() error { return e.Errno }

// Hint returns advice in one line, or "".
func (e *RefusedError) Hint() string { return e.hint }

// Hint returns the advice of the first error in err's tree that has some, or "".
func Hint(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return e.Hint()
	}
	return ""
}

var (
	errAdvisorOn = &RefusedError{
		Errno: unix.EINVAL, Reason: "the advisor chooses this value while advisor_mode is not none",
		hint: "set advisor_mode=none in the same step, or give the advisor its starting value: advisor_min_pages_to_scan",
	}
	errBusy = &RefusedError{
		Errno: unix.EBUSY, Reason: "KSM pages exist",
		hint: "write run=2 first, which unmerges everything; run=1 may follow in the same step",
	}
	errStillBusy = &RefusedError{
		Errno: unix.EBUSY, Reason: "KSM pages exist that unmerging does not reach: processes outside of KSM have them from a fork",
		hint: "they go when those processes end",
	}
)

// refused explains why the kernel did not take s. unmerged says that run=2 was
// written just before.
func (fsys FS) refused(s Setting, err error, unmerged bool) error {
	errno, ok := errors.AsType[syscall.Errno](err)
	if ok {
		switch why := (&RefusedError{Errno: errno}); errno {
		case unix.ENOENT:
			return fsys.lacks(s.Field)
		case unix.EBUSY:
			err = errBusy
			if unmerged {
				err = errStillBusy
			}
		case unix.EINVAL:
			if s.Field == PagesToScan {
				err = errAdvisorOn // the text was checked, so that no other reason is left
				break
			}
			why.Reason = "this kernel does not take " + strconv.Quote(s.Value)
			err = why
		case unix.EACCES, unix.EPERM:
			why.hint = "changing KSM settings needs root (CAP_DAC_OVERRIDE)"
			err = why
		case unix.EROFS:
			why.hint = "/sys is mounted read-only, as in containers: change it on the host"
			err = why
		case unix.ENOMEM:
			why.Reason = "too little memory to unmerge everything"
			why.hint = "unmerging needs a page for each of pages_sharing and ksm_zero_pages: free memory first, or end what gains most"
			err = why
		default:
			err = why
		}
	}
	return &Error{Op: "write", Path: fsys.Path(s.Field), Err: err}
}

// lacks is the error for a knob that this kernel does not have.
func (fsys FS) lacks(f Field) error {
	return &Error{Op: "write", Path: fsys.Path(f), Err: &lackingError{f}}
}

type lackingError struct{ field Field }

func (e *lackingError) Error() string {
	if e.field == MergeAcrossNodes {
		return "not supported by this kernel: since Linux " + e.field.Info().Since + ", with NUMA"
	}
	return "not supported by this kernel: since Linux " + e.field.Info().Since
}

func (e *lackingError) Unwrap() error { return ErrNotSupported }

// unmerging says when bring may unmerge everything.
type unmerging uint8

const (
	neverUnmerge  unmerging = iota
	unmergeIfBusy           // only if a knob cannot be put back otherwise
	unmergeFirst
)

// bring gives the knobs in which the values they have in k, whatever they are
// now. It may be stopped between any two writes and begun again. It goes on
// after a refusal, and returns them all.
//
//	run        stop or unmerge, if that is to be or helps
//	advisor    off, if it is on and should not be, or not at this pages_to_scan
//	the rest   in any order, only what differs
//	advisor    on, with the present pages_to_scan as its starting value for a moment
//	run        as it was
func (c control) bring(k Knobs, which FieldSet, unmerge unmerging) error {
	which &= k.Present
	var refused []error
	unmerged := false
	put := func(f Field, value string) {
		err := c.write(f, value)
		if err == unix.EBUSY && unmerge == unmergeIfBusy && !unmerged {
			if err = c.write(Run, "2"); err == nil {
				unmerged = true
				err = c.write(f, value)
			}
		}
		if err != nil {
			refused = append(refused, c.fsys.refused(Setting{f, value}, err, unmerged))
		}
		unmerged = unmerged || f == Run && value == "2"
	}
	restore := func(f Field) {
		v, _ := k.Value(f)
		put(f, v.String())
	}
	k.Run = k.RunMode()

	now := c.fsys.glance().Knobs
	switch {
	case unmerge == unmergeFirst:
		put(Run, "2")
	case which.Has(Run) && k.Run != RunScan && !same(Run, &now, &k):
		restore(Run)
	}

	mode := now.AdvisorMode
	if which.Has(AdvisorMode) {
		mode = k.AdvisorMode
	}
	advised := k.Has(AdvisorMode) && mode != AdvisorNone
	start := advised && which.Has(AdvisorMode) && !(same(AdvisorMode, &now, &k) && same(PagesToScan, &now, &k))
	if now.Has(AdvisorMode) && now.AdvisorMode != AdvisorNone && (!advised || start) {
		put(AdvisorMode, AdvisorNone)
		now = c.fsys.glance().Knobs
	}

	for f := range which.All() {
		if f == Run || f == AdvisorMode || f == PagesToScan && advised || same(f, &now, &k) {
			continue
		}
		restore(f)
	}

	if start {
		put(AdvisorMinPagesToScan, Unsigned(uint64(k.PagesToScan)).String())
		restore(AdvisorMode)
		restore(AdvisorMinPagesToScan)
	}

	now = c.fsys.glance().Knobs
	if which.Has(Run) && !same(Run, &now, &k) {
		restore(Run)
	}
	return errors.Join(refused...)
}

// same reports whether two sets of knobs have the same value of f.
func same(f Field, a, b *Knobs) bool {
	if f == Run {
		return a.Has(f) && b.Has(f) && a.RunMode() == b.RunMode()
	}
	v, hasV := a.Value(f)
	w, hasW := b.Value(f)
	return hasV && hasW && v == w
}
