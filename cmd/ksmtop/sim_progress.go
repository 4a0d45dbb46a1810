package main

import (
	"io"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simProgress keeps a line of a terminal up to date while a simulation takes long.
type simProgress struct {
	w     io.Writer // nil if there is no terminal
	runs  int
	begun int // runs
	began time.Time
	quiet time.Time // since when there was nothing to be seen
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
func (p *simProgress) begin() {
	p.begun++
	p.began = time.Now()
	p.quiet = p.began
}

const (
	quietTime     = time.Second // before anything is shown of a run
	progressEvery = 100 * time.Millisecond
)

// due reports whether it is time to show something.
func (p *simProgress) due() bool {
	if p.w == nil {
		return false
	}
	now := time.Now()
	return now.Sub(p.quiet) >= quietTime && now.Sub(p.shown) >= progressEvery
}

// show shows how far a run is.
func (p *simProgress) show(r *simRun) {
	if p.due() {
		p.put(p.line(r, time.Since(p.began)))
	}
}

// showMachine shows how far a machine is on its way to a virtual time.
func (p *simProgress) showMachine(m simMachine, until time.Duration) {
	if !p.due() {
		return
	}
	now := m.reading()
	pace := simPace{at: m.now(), until: until, took: time.Since(p.began), reading: &now, part: float64(m.now()) / float64(until), left: ", about "}
	p.put(pace.appendTo([]byte("SIM ")))
}

func (p *simProgress) put(line []byte) {
	p.shown = time.Now()
	_, _ = p.w.Write(append(append([]byte{'\r'}, line...), "\x1b[K"...)) // the answer matters, not this
}

// line says how far a run has come in some real time.
func (p *simProgress) line(r *simRun, took time.Duration) []byte {
	line := []byte("SIM ")
	if p.runs > 1 {
		line = append(line, r.name...)
		line = format.Count(append(line, " of "...), uint64(p.runs))
		line = append(line, ": "...)
	}
	pace := simPace{at: r.host.Now(), took: took, reading: &r.now, part: r.done(), left: ", about "}
	if r.until.scans == 0 {
		pace.until = r.limit()
	}
	if !r.until.isSet { // it may settle before
		pace.left = ", at most about "
	}
	return pace.appendTo(line)
}

// simPace is how far a simulation has come.
type simPace struct {
	at, until time.Duration // virtual; until is 0 if it is not known
	took      time.Duration // real
	reading   *sysfs.Reading
	part      float64 // that is done, from 0 to 1
	left      string  // the words before the time that is left
}

func (p *simPace) appendTo(line []byte) []byte {
	line = format.Duration(append(line, "at "...), p.at)
	if p.until > 0 {
		line = format.Duration(append(line, " of "...), p.until)
	}
	line = format.Amount(append(line, ", "...), p.at.Seconds()/p.took.Seconds())
	line = append(line, " times real time, saved "...)
	saved, _ := p.reading.Counters.Savings(p.reading.PageSize)
	line = format.Bytes(line, saved.SavedBytes)
	if p.part > 0 {
		left := time.Duration(p.took.Seconds() * (1 - p.part) / p.part * float64(time.Second))
		line = append(format.Duration(append(line, p.left...), left.Round(time.Second)), " left"...)
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
	p.shown, p.quiet = time.Time{}, time.Now()
}
