package main

import (
	"io"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
)

// simProgress keeps a line of a terminal up to date while a simulation takes long.
type simProgress struct {
	w     io.Writer // nil if there is no terminal
	runs  int
	begun int // runs
	began time.Time
	shown time.Time // zero if nothing is shown
}

func newSimProgress(w io.Writer, runs int) *simProgress {
	p := &simProgress{runs: runs}
	if isTerminal(w) {
		p.w = w
	}
	return p
}

// begin says that the next run begins.
func (p *simProgress) begin(*simRun) {
	p.begun++
	p.began = time.Now()
}

const (
	quietTime     = time.Second // before anything is shown of a run
	progressEvery = 100 * time.Millisecond
)

func (p *simProgress) show(r *simRun) {
	if p.w == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.began) < quietTime || now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	_, _ = p.w.Write(append(append([]byte{'\r'}, p.line(r, now.Sub(p.began))...), "\x1b[K"...)) // the answer matters, not this
}

// line says how far a run has come in some real time.
func (p *simProgress) line(r *simRun, took time.Duration) []byte {
	line := []byte("SIM ")
	if p.runs > 1 {
		line = append(line, r.name...)
		line = format.Count(append(line, " of "...), uint64(p.runs))
		line = append(line, ": "...)
	}
	now := r.host.Now()
	line = format.Duration(append(line, "at "...), now)
	if r.until.scans == 0 {
		line = format.Duration(append(line, " of "...), r.limit())
	}
	line = format.Amount(append(line, ", "...), now.Seconds()/took.Seconds())
	line = append(line, " times real time, saved "...)
	saved, _ := r.now.Counters.Savings(r.now.PageSize)
	line = format.Bytes(line, saved.SavedBytes)
	if part := r.done(); part > 0 {
		left := time.Duration(took.Seconds() * (1 - part) / part * float64(time.Second))
		words := ", about "
		if !r.until.isSet { // it may settle before
			words = ", at most about "
		}
		line = append(format.Duration(append(line, words...), left.Round(time.Second)), " left"...)
	}
	return line
}

// done returns how much of a run is done, from 0 to 1.
func (r *simRun) done() float64 {
	if r.until.scans > 0 {
		return min(1, float64(r.now.Counters.FullScans)/float64(r.until.scans))
	}
	return float64(r.host.Now()) / float64(r.limit())
}

// clear removes the line.
func (p *simProgress) clear() {
	if !p.shown.IsZero() {
		_, _ = p.w.Write([]byte("\r\x1b[K"))
	}
}
