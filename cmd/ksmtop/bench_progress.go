package main

import (
	"io"
	"time"
)

// benchProgress keeps a line of a terminal up to date.
type benchProgress struct {
	w     io.Writer // nil if there is no terminal
	shown time.Time
}

func newBenchProgress(w io.Writer) *benchProgress {
	p := new(benchProgress)
	if isTerminal(w) {
		p.w = w
	}
	return p
}

func (p *benchProgress) show(text string) {
	if p.w == nil {
		return
	}
	_, _ = io.WriteString(p.w, "\rbench: "+text+"\x1b[K") // the answer matters, not this
	p.shown = time.Now()
}

// clear removes the line.
func (p *benchProgress) clear() {
	if !p.shown.IsZero() {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}
