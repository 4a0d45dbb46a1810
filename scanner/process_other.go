//go:build !linux

package scanner

import (
	"context"
	"strconv"
)

// liveBuffer is empty where no live process can be read.
type liveBuffer struct{}

// Process is the memory of a live process: on Linux only.
type Process struct{ pid int }

// OpenProcess returns an *[Error] with [ErrNotSupported].
func OpenProcess(pid int, _ Areas) (*Process, error) {
	return nil, &Error{Op: "open", Name: "pid " + strconv.Itoa(pid), Err: ErrNotSupported}
}

// Name returns "pid " and the number.
func (p *Process) Name() string { return "pid " + strconv.Itoa(p.pid) }

// PageSize returns 0.
func (p *Process) PageSize() int { return 0 }

// PID is the number of the process.
func (p *Process) PID() int { return p.pid }

// Start returns 0.
func (p *Process) Start() uint64 { return 0 }

// Areas returns AreasAuto.
func (p *Process) Areas() Areas { return AreasAuto }

// Guesses returns false.
func (p *Process) Guesses() bool { return false }

// ZeroPagesKnown returns false.
func (p *Process) ZeroPagesKnown() bool { return false }

// Pages returns 0.
func (p *Process) Pages() uint64 { return 0 }

// Spans returns dst and [ErrNotSupported].
func (p *Process) Spans(dst []Span) ([]Span, error) {
	return dst, &Error{Op: "list", Name: p.Name(), Err: ErrNotSupported}
}

// Read returns [ErrNotSupported].
func (p *Process) Read(context.Context, Span, *Buffer, func(mem []byte, runs []Run) error) (Tally, error) {
	return Tally{}, &Error{Op: "read", Name: p.Name(), Err: ErrNotSupported}
}

func (p *Process) likelySpans() ([]Span, error) { return p.Spans(nil) }

func (p *Process) readSpans(ctx context.Context, spans []Span, b *Buffer, each func(mem []byte, runs []Run) error) (Tally, error) {
	return p.Read(ctx, spans[0], b, each)
}

// Close does nothing.
func (p *Process) Close() error { return nil }
