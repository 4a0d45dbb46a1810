package view

import (
	"strings"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// drawMessage draws the line above the keys: the latest message or, without
// one, what the user should know.
func drawMessage(c *Canvas, y int, s *model.State) {
	w, _ := c.Size()
	switch {
	case s.Message != "":
		if d := s.Dialog(); strings.Contains(s.Message, "\n") || d != nil && len(d.Items) > 0 {
			drawWords(c, y, s.Message)
			return
		}
		c.TextIn(1, y, w-1, Warn, s.Message)
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
		c.TextIn(1, y, w-1, Bad, s.Sample.ProcessProblem.Error())
	case s.TableInFront() && s.Selected < len(s.Rows) && s.Rows[s.Selected].Pays():
		r := &s.Rows[s.Selected]
		p.text(Warn, "! pid ").number(Warn, r.PID).text(Warn, " costs more than it saves")
		p.part().text(Warn, ": ").count(Warn, r.KSM.RmapItems).text(Warn, " pages tracked, ")
		p.count(Warn, uint64(r.MergedPages())).text(Warn, " merged")
	}
}

// drawWords draws a message that ends in line y: in one line if it fits, and else,
// below a rule, in as many as it takes. They cover what is above, until the next
// key, and so it is for what is worth that: a refusal with its advice, and what is
// said of a list to choose from.
func drawWords(c *Canvas, y int, message string) {
	w, _ := c.Size()
	if !strings.Contains(message, "\n") && c.Width(message) <= w-1 {
		c.TextIn(1, y, w-1, Warn, message)
		return
	}
	var lines []string
	for paragraph := range strings.SplitSeq(message, "\n") {
		lines = append(lines, wrap(paragraph, w-2)...)
	}
	lines = lines[:min(len(lines), y)] // line 0 stays
	top := y + 1 - len(lines)
	c.on(0, top, w, len(lines), target{}) // what is below takes no clicks
	c.Fill(0, top, w, len(lines), Normal, " ")
	if len(lines) > 1 && top > 1 {
		c.HLine(0, top-1, w, Dim)
	}
	for i, line := range lines {
		c.TextIn(1, top+i, w-1, Warn, line)
	}
}

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
