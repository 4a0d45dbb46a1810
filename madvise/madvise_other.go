//go:build !linux

package madvise

import (
	"context"
	"fmt"
	"os/exec"
)

// errLinux is the cause of every error here.
var errLinux = fmt.Errorf("%w (needs Linux)", ErrNotSupported)

// Mergeable returns an error that wraps [ErrNotSupported].
func Mergeable([]byte) error { return &Error{"mark mergeable", errLinux} }

// Unmergeable returns an error that wraps [ErrNotSupported].
func Unmergeable([]byte) error { return &Error{"mark unmergeable", errLinux} }

// Region is memory that may be merged. There is none here.
type Region struct{}

// NewRegion returns an error that wraps [ErrNotSupported].
func NewRegion(sizeBytes int) (*Region, error) { return nil, &Error{"allocate region", errLinux} }

// Bytes returns nil.
func (*Region) Bytes() []byte { return nil }

// Free does nothing.
func (*Region) Free() error { return nil }

// SetMemoryMerge returns an error that wraps [ErrNotSupported].
func SetMemoryMerge(bool) error { return &Error{"set memory merge", errLinux} }

// MemoryMerge returns an error that wraps [ErrNotSupported].
func MemoryMerge() (bool, error) { return false, &Error{"get memory merge", errLinux} }

// ExecShim does nothing.
func ExecShim() {}

// WrapCommand returns an error that wraps [ErrNotSupported].
func WrapCommand(*exec.Cmd) error { return &Error{"wrap command", errLinux} }

// MemoryMergeSurvivesExec returns an error that wraps [ErrNotSupported].
func MemoryMergeSurvivesExec(context.Context) (bool, error) {
	return false, &Error{"try memory merge over exec", errLinux}
}
