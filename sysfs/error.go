package sysfs

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrNotSupported reports that the running kernel lacks a feature, for
// example because it was built without CONFIG_KSM or is too old.
var ErrNotSupported = fmt.Errorf("not supported by this kernel: %w", errors.ErrUnsupported)

// Error records a failed access to one file. Err is the cause: a
// syscall.Errno, a *ValueError, a *RefusedError or ErrNotSupported.
type Error struct {
	Op   string // "open", "read", "write", "parse" or "lock"
	Path string
	Err  error
}

func (e *Error) Error() string { return e.Op + " " + e.Path + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ValueError reports text that is not a value of the kind expected. Err is
// strconv.ErrSyntax, strconv.ErrRange or a reason in words.
type ValueError struct {
	Text string // at most the first 64 bytes of it
	Err  error
}

func (e *ValueError) Error() string { return strconv.Quote(e.Text) + ": " + e.Err.Error() }
func (e *ValueError) Unwrap() error { return e.Err }

// errEmpty is the cause of a ValueError for a file without content.
var errEmpty = errors.New("empty file")

func valueError(text []byte, err error) error {
	if len(text) > 64 {
		text = text[:64]
	}
	return &ValueError{Text: string(text), Err: err}
}
