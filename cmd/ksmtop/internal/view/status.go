package view

import (
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sim"
)

// drawSource begins row 0 with where the data comes from.
func drawSource(c *Canvas, s *model.State) pen {
	p := c.pen(1, 0)
	p.text(Heading, "ksmtop").text(Normal, " ")
	if isSim(s) {
		p.text(Status, "SIM")
		if s.Paused && s.View != model.Simulator {
			p.text(Status, " frozen")
		}
		return p
	}
	p.text(Status, "LIVE")
	if s.Paused {
		p.text(Status, " paused")
	}
	return p
}

// isSim reports whether what the screen shows is simulated.
func isSim(s *model.State) bool {
	return s.Simulated() || s.View == model.Simulator && s.Sim.Open
}

// simNow returns the virtual time of what the screen shows.
func simNow(s *model.State) time.Duration {
	if s.View == model.Simulator {
		return s.Sim.Shot.Now
	}
	return s.Sample.Time.Sub(sim.Epoch)
}

// appendVirtual appends a virtual time as t=00:14:20, with thousandths where it is
// short.
func appendVirtual(dst []byte, d time.Duration) []byte {
	two := func(dst []byte, n int) []byte {
		if n < 10 {
			dst = append(dst, '0')
		}
		return strconv.AppendInt(dst, int64(n), 10)
	}
	dst = two(append(dst, "t="...), int(d/time.Hour))
	dst = two(append(dst, ':'), int(d%time.Hour/time.Minute))
	dst = two(append(dst, ':'), int(d%time.Minute/time.Second))
	if rest := int(d % time.Second / time.Millisecond); rest > 0 && d < time.Minute {
		dst = append(dst, '.')
		dst = append(dst, byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return dst
}

// appendSpeed appends how fast the simulation runs, and whether it does.
func appendSpeed(dst []byte, shot *model.SimShot) []byte {
	speed := model.Speeds[shot.Speed]
	if speed == 0 {
		dst = append(dst, "fastest"...)
	} else {
		dst = strconv.AppendInt(append(dst, 'x'), int64(speed), 10)
	}
	if shot.Running && shot.Reached > 0 && (speed == 0 || shot.Reached < 0.8*float64(speed)) {
		dst = append(format.Amount(append(dst, " (is x"...), shot.Reached), ')')
	}
	return dst
}

// simState is one word for what the simulation does.
func simState(shot *model.SimShot) string {
	switch {
	case shot.Doing != "":
		return shot.Doing
	case shot.Over:
		return "ended"
	case shot.Running:
		return "running"
	}
	return "paused"
}

// drawSimStatus draws row 0 for a simulated machine.
func drawSimStatus(c *Canvas, s *model.State) {
	w, _ := c.Size()
	shot := &s.Sim.Shot
	p := drawSource(c, s)
	line := append(appendVirtual(p.line(), simNow(s)), "  "...)
	short := len(line) - 2
	line = append(append(appendSpeed(line, shot), "  "...), simState(shot)...)
	if p.x+2+len(line) >= w {
		line = line[:short]
	}
	at := w - 1 - len(line)
	name := p.upTo(p.x, at-2)
	p.right(at, len(line), Normal, line)
	name.text(Normal, "  ").text(Normal, shot.Name)
	if !shot.Script {
		name.part().text(Normal, " seed ").count(Normal, shot.Seed)
	}
	if shot.Scale > 1 {
		name.part().text(Normal, ", memory 1/").number(Normal, shot.Scale)
	}
}

// drawStatus draws row 0.
func drawStatus(c *Canvas, s *model.State) {
	if isSim(s) {
		drawSimStatus(c, s)
		return
	}
	w, _ := c.Size()
	sample := s.Sample
	p := drawSource(c, s)
	p.end = w - 10
	if sample.Host != "" {
		p.part().text(Normal, "  ").text(Normal, sample.Host)
	}
	if sample.Kernel != "" && w >= wideWidth {
		p.part().text(Normal, "  Linux ").text(Normal, sample.Kernel)
	}
	line := sample.Time.AppendFormat(p.line(), "15:04:05")
	short := len(line)
	line = append(line, "  "...)
	if w >= wideWidth {
		line = append(line, "every "...)
	}
	line = appendDelay(line, s.Delay)
	if w >= wideWidth {
		line = append(line, "  history "...)
		line = appendSpan(line, s.History.Span())
	}
	line = append(line, "  "...)
	line = appendPrivilege(line, s)
	if p.x+2+len(line) >= w {
		line = line[:short]
	}
	p.right(w-1-len(line), len(line), Normal, line)
}

// appendDelay appends d as users type it: "2s", "500ms".
func appendDelay(dst []byte, d time.Duration) []byte {
	switch {
	case d%time.Second == 0 && d < time.Hour:
		return append(strconv.AppendInt(dst, int64(d/time.Second), 10), 's')
	case d%time.Millisecond == 0 && d < time.Second:
		return append(strconv.AppendInt(dst, int64(d/time.Millisecond), 10), "ms"...)
	}
	return append(dst, d.String()...)
}

// appendSpan appends d as "42m", "3h" or "1h30m".
func appendSpan(dst []byte, d time.Duration) []byte {
	switch {
	case d < time.Minute:
		return append(strconv.AppendInt(dst, int64(d/time.Second), 10), 's')
	case d < time.Hour:
		return append(strconv.AppendInt(dst, int64(d/time.Minute), 10), 'm')
	}
	dst = append(strconv.AppendInt(dst, int64(d/time.Hour), 10), 'h')
	if d%time.Hour < time.Minute {
		return dst
	}
	return append(strconv.AppendInt(dst, int64(d%time.Hour/time.Minute), 10), 'm')
}

// appendPrivilege appends as whom the program runs and, if it may not look at
// all processes, at how many it may.
func appendPrivilege(dst []byte, s *model.State) []byte {
	if s.Root && s.Sample.Denied == 0 {
		return append(dst, "root"...)
	}
	dst = append(append(dst, "user "...), s.User...)
	if s.Sample.Eligible() == 0 {
		return dst
	}
	dst = append(dst, ": "...)
	dst = strconv.AppendInt(dst, int64(s.Sample.Readable), 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, int64(s.Sample.Eligible()), 10)
}
