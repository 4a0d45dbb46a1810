package view

import (
	"strings"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// drawMessage draws what stands above the keys: the latest message or, without one,
// what the user should know.
func drawMessage(c *Canvas, y int, s *model.State) {
	switch {
	case s.Message != "":
		drawWords(c, y, messageRoom(c.w, y+2, s), Warn, s.Message)
		return
	case s.Prompt != nil:
		p := c.pen(1, y)
		for i, clause := range s.Prompt.Hint {
			if i > 0 {
				p.part().text(Dim, "; ")
			}
			p.text(Dim, clause)
		}
		return
	case len(s.Tasks) > 0:
		drawTask(c, y, s.Tasks[len(s.Tasks)-1])
		return
	case s.Paused && s.Behind() > 0:
		p := c.pen(1, y)
		p.duration(Status, s.Behind()).text(Status, " ago").text(Normal, "  ").text(Key, "[ ]").text(Normal, " step")
		p.part().text(Normal, "  ").text(Key, "{ }").text(Normal, " minute").part().text(Normal, "  ").text(Key, "J").text(Normal, " to a time")
		p.part().text(Normal, "  ").text(Key, "L").text(Normal, " live")
		return
	case s.View == model.Simulator:
		drawSimHint(c, y, s)
		return
	case s.Sample == nil || s.NoKSM():
		return
	case s.Tags() > 0 && s.View != model.EventList:
		p := c.pen(1, y)
		p.number(Tagged, s.Tags()).text(Tagged, " tagged").part().text(Normal, "  ").text(Key, "F9").text(Normal, " does something with them")
		p.part().text(Normal, "  ").text(Key, "U").text(Normal, " untags all")
		return
	}
	p := c.pen(1, y)
	switch k := &s.Sample.Reading.Knobs; {
	case k.Has(sysfs.Run) && k.RunMode() != sysfs.RunScan:
		writeStopped(&p, s)
	case s.Sample.ProcessProblem != nil:
		drawWords(c, y, messageRoom(c.w, y+2, s), Bad, s.Sample.ProcessProblem.Error())
	case s.TableInFront() && s.Selected < len(s.Rows) && s.Rows[s.Selected].Pays():
		r := &s.Rows[s.Selected]
		p.text(Warn, "! pid ").number(Warn, r.PID).text(Warn, " costs more than it saves")
		p.part().text(Warn, ": ").count(Warn, r.KSM.RmapItems).text(Warn, " pages tracked, ")
		p.count(Warn, uint64(r.MergedPages())).text(Warn, " merged")
	}
}

// drawWords draws a message that ends in line y: in one line if it fits, and else,
// below a rule, in as many as it takes, but not more than most.
func drawWords(c *Canvas, y, most int, role Role, message string) {
	w, _ := c.Size()
	if fitsLine(w, message) {
		c.TextIn(1, y, w-1, role, message)
		return
	}
	lines := messageLines(w, most, message)
	top := y + 1 - len(lines)
	c.on(0, top, w, len(lines), target{}) // what is below takes no clicks
	c.Fill(0, top, w, len(lines), Normal, " ")
	if len(lines) > 1 && top > 1 {
		c.HLine(0, top-1, w, Dim)
	}
	for i, line := range lines {
		c.TextIn(1, top+i, w-1, role, line)
	}
}

// fitsLine reports whether a message needs no more than a line of w cells.
func fitsLine(w int, message string) bool {
	return !strings.Contains(message, "\n") && text.Width(text.Clean(message)) <= w-1
}

// messageLines breaks a message that does not fit into a line of w cells into at most so
// many. What is too much is in the last of them, where it is cut.
func messageLines(w, most int, message string) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(message, "\n") {
		lines = append(lines, wrap(paragraph, w-2)...)
	}
	if len(lines) > most {
		lines = append(lines[:most-1], strings.Join(lines[most-1:], " "))
	}
	return lines
}

// messageRows returns how many lines a message of several takes from what is above, its
// rule included, on a screen of w times h cells. A view and a question make room for it.
// Over another dialog it lies until the next key: what a list is about, or how a text
// ends, can wait for that.
func messageRows(w, h int, s *model.State) int {
	if s.Message == "" || fitsLine(w, s.Message) {
		return 0
	}
	if n := len(messageLines(w, messageRoom(w, h, s), s.Message)); n > 1 {
		return n
	}
	return 0
}

// messageRoom returns how many lines a message may have on a screen of w times h cells,
// so that enough is left of a view for the row that is selected, and of a question for
// its buttons.
func messageRoom(w, h int, s *model.State) int {
	switch d := s.Dialog(); {
	case asks(d):
		return max(1, h-9)
	case d != nil:
		return h - 2 // the first line stays
	case isSmall(w, h):
		return max(1, h-5)
	}
	return h - 6
}

// asks reports whether a dialog is a question, which has buttons.
func asks(d *model.Dialog) bool { return d != nil && len(d.Buttons) > 0 }

// drawTask draws what is being done beside the screen, and how far it is.
func drawTask(c *Canvas, y int, t *model.Task) {
	const bar = 22
	p := c.pen(1, y)
	p.text(Status, t.Name)
	if t.Total > 0 {
		share := float64(t.Done) / float64(t.Total)
		if p.x+1+bar+5 < p.end {
			c.Meter(p.x+1, y, bar, Meter, share)
			p = p.upTo(p.x+1+bar, p.end)
		}
		p.part().text(Normal, " ").show(Normal, appendPercent(p.line(), share, 0))
	}
	if t.Stopping {
		p.part().text(Normal, "  stopping")
		return
	}
	p.part().text(Normal, "  ").text(Key, "Esc").text(Normal, " stops it")
}

func writeStopped(p *pen, s *model.State) {
	if s.Simulated() {
		p.text(Warn, "the simulated ksmd is stopped").part().text(Warn, ": the knob run of view 6 starts it")
		return
	}
	if s.Sample.HasSavings && s.Sample.Savings.SavedBytes > 0 {
		p.text(Warn, "KSM is stopped").part().text(Warn, ", ").bytes(Warn, s.Sample.Savings.SavedBytes).text(Warn, " still merged")
		p.part().text(Warn, ": `ksmtop set run=1` goes on").part().text(Warn, " (root)")
		return
	}
	p.text(Warn, "KSM is off").part().text(Warn, ": `ksmtop set run=1` starts it").part().text(Warn, " (root)")
}
