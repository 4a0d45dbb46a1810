package view

import (
	"strings"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// notice is what stands above the keys.
type notice uint8

const (
	noNotice      notice = iota
	noticeMessage        // the latest message
	noticePrompt         // what may be typed
	noticeTask           // what is being done beside the screen
	noticePast           // that this is not now
	noticeSim            // keys of the simulator
	noticeTags           // processes are tagged
	noticeStopped        // ksmd does not scan
	noticeProblem        // why there are no processes, or one is missing
	noticePays           // the selected process costs more than it saves
)

// noticeOf returns what the user should know most.
func noticeOf(s *model.State) notice {
	switch {
	case s.Message != "":
		return noticeMessage
	case s.Prompt != nil:
		return noticePrompt
	case len(s.Tasks) > 0:
		return noticeTask
	case s.Paused && s.Behind() > 0:
		return noticePast
	case s.View == model.Simulator:
		return noticeSim
	case s.Sample == nil || s.NoKSM():
		return noNotice
	case s.Tags() > 0 && s.View != model.EventList:
		return noticeTags
	}
	switch k := &s.Sample.Reading.Knobs; {
	case k.Has(sysfs.Run) && k.RunMode() != sysfs.RunScan:
		return noticeStopped
	case s.Sample.ProcessProblem != nil:
		return noticeProblem
	case s.TableInFront() && s.Selected < len(s.Rows) && s.Rows[s.Selected].Pays():
		return noticePays
	}
	return noNotice
}

// drawMessage draws what stands above the keys: the latest message or, without one,
// what the user should know.
func drawMessage(c *Canvas, y int, s *model.State) {
	p := c.pen(1, y)
	switch noticeOf(s) {
	case noticeMessage:
		drawWords(c, y, messageRoom(c.w, y+2, s), Warn, messageOf(c.w, y+2, s))
	case noticePrompt:
		if question := questionLines(c.w, y+2, s.Prompt); question != nil {
			p = c.pen(1, drawLines(c, y, Heading, append([]string{""}, question...)))
		}
		for i, clause := range s.Prompt.Hint {
			if i > 0 {
				p.part().text(Dim, "; ")
			}
			p.text(Dim, clause)
		}
	case noticeTask:
		drawTask(c, y, s.Tasks[len(s.Tasks)-1])
	case noticePast:
		p.duration(Status, s.Behind()).text(Status, " ago").text(Normal, "  ").text(Key, "[ ]").text(Normal, " step")
		p.part().text(Normal, "  ").text(Key, "{ }").text(Normal, " minute").part().text(Normal, "  ").text(Key, "J").text(Normal, " to a time")
		p.part().text(Normal, "  ").text(Key, "L").text(Normal, " live")
	case noticeSim:
		drawSimHint(c, y, s)
	case noticeTags:
		p.number(Tagged, s.Tags()).text(Tagged, " tagged").part().text(Normal, "  ").text(Key, "F9").text(Normal, " does something with them")
		p.part().text(Normal, "  ").text(Key, "U").text(Normal, " untags all")
	case noticeStopped:
		writeStopped(&p, s)
	case noticeProblem:
		drawWords(c, y, messageRoom(c.w, y+2, s), Bad, s.Sample.ProcessProblem.Error())
	case noticePays:
		r := &s.Rows[s.Selected]
		p.text(Warn, "! pid ").number(Warn, r.PID).text(Warn, " costs more than it saves")
		p.part().text(Warn, ": ").count(Warn, r.KSM.RmapItems).text(Warn, " pages tracked, ")
		p.count(Warn, uint64(r.MergedPages())).text(Warn, " merged")
	}
}

// messageOf returns the latest message, and the question to which it is an answer if that
// has no other place.
func messageOf(w, h int, s *model.State) string {
	if s.Prompt == nil || questionLines(w, h, s.Prompt) == nil {
		return s.Message
	}
	return s.Message + "\n" + s.Prompt.Label
}

// drawWords draws a message that ends in line y: in one line if it fits, and else,
// below a rule, in as many as it takes, but not more than most.
func drawWords(c *Canvas, y, most int, role Role, message string) {
	w, _ := c.Size()
	if fitsLine(w, message) {
		c.TextIn(1, y, w-1, role, message)
		return
	}
	drawLines(c, y, role, messageLines(w, most, message))
}

// drawLines draws lines of which the last is line y, below a rule if there are several,
// and returns where the first is.
func drawLines(c *Canvas, y int, role Role, lines []string) int {
	w, _ := c.Size()
	top := y + 1 - len(lines)
	c.on(0, top, w, len(lines), target{}) // what is below takes no clicks
	c.Fill(0, top, w, len(lines), Normal, " ")
	if len(lines) > 1 && top > 1 {
		c.HLine(0, top-1, w, Dim)
	}
	for i, line := range lines {
		c.TextIn(1, top+i, w-1, role, line)
	}
	return top
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

// messageRows returns how many lines a notice of several takes from what is above, its
// rule included, on a screen of w times h cells. A view and a question make room for it.
// Over another dialog it lies until the next key: what a list is about, or how a text
// ends, can wait for that.
func messageRows(w, h int, s *model.State) int {
	n := 0
	switch noticeOf(s) {
	case noticeMessage:
		n = rowsOf(w, h, s, messageOf(w, h, s))
	case noticeProblem:
		n = rowsOf(w, h, s, s.Sample.ProcessProblem.Error())
	case noticePrompt:
		n = 1 + len(questionLines(w, h, s.Prompt)) // and what may be typed
	}
	if n == 1 {
		return 0 // there is no rule
	}
	return n
}

// rowsOf returns how many lines a message has.
func rowsOf(w, h int, s *model.State, message string) int {
	if fitsLine(w, message) {
		return 1
	}
	return len(messageLines(w, messageRoom(w, h, s), message))
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

// paragraph draws what a view says of itself from line y on, in as many lines as it takes
// and there are, and returns the line behind it.
func paragraph(c *Canvas, y int, role Role, words string) int {
	lines := []string{words}
	if !fitsLine(c.w, words) {
		lines = messageLines(c.w, max(1, c.h-y), words)
	}
	for i, line := range lines {
		if fitsLine(c.w, line) {
			c.Text(1, y+i, role, line)
		} else {
			c.TextIn(1, y+i, c.w-1, role, line)
		}
	}
	return y + len(lines)
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
