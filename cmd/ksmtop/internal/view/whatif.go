package view

import (
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// The view that answers before anything is switched on: the form on top, the
// answer below, and the parts of the processes where there is room:
//
//	─ What if ─────────────────────────────
//	 fields, whatIfRows of them
//	─ Answer ──────────────── all was read ─
//	 lines of the answer
//	─ Processes ───────────────────────────
//	 LOOKED AT  WITHIN ...

// answerLeast is how many lines are kept for the answer if not all fields fit.
const answerLeast = 7

func whatIfRows(_, h int, _ *model.State) int {
	const fields = int(model.NumWhatIfFields)
	return max(1, min(fields, h-1-answerLeast))
}

func drawWhatIf(c *Canvas, s *model.State) {
	w, h := c.Size()
	v := &s.WhatIf
	rows := whatIfRows(w, h, s)
	c.Title(0, 0, w, "What if", "nothing is changed by asking")
	for i := v.Top; i < min(v.Top+rows, v.Len()); i++ {
		drawField(c, 1+i-v.Top, i, s)
	}
	y := 1 + rows
	if v.Answer == nil {
		c.Title(0, y, w, "Answer", "")
		drawUnasked(c, y+1, v.Task, s)
		return
	}
	c.Title(0, y, w, answerTitle(s), answerNote(c, v.Answer))
	y = drawAnswer(c, y+1, h, s)
	drawParts(c, y, h, v)
}

func answerTitle(s *model.State) string {
	switch {
	case s.WhatIf.Task != nil:
		return "Answer of before, reading anew"
	case s.WhatIf.Outdated(s):
		return "Answer of before: r asks anew"
	}
	return "Answer"
}

// drawField draws a field of the form.
func drawField(c *Canvas, y, i int, s *model.State) {
	v := &s.WhatIf
	p := c.pen(1, y)
	const at = 19 // of values
	value := func(label string) *pen {
		p.text(Dim, label)
		p = p.upTo(at, c.w)
		return &p
	}
	run := 0
	switch f := model.WhatIfField(i); f {
	case model.FieldTargets:
		writeTargets(value("Targets"), s)
	case model.FieldMerge:
		chosen := 0
		if v.Within {
			chosen = 1
		}
		writeChoice(value("Merge"), chosen, "across processes", "within each")
	case model.FieldAreas:
		writeChoice(value("Memory"), int(v.Areas), "marked, or else all", "all", "marked") // in the order of scanner.Areas
	case model.FieldMaxCPU:
		writeNumber(value("Reading"), v.MaxCPU, "% of one CPU at most", "% CPU")
		if v.MaxCPU == 0 {
			p.part().text(Dim, ": no limit")
		}
	case model.FieldZero:
		choice := "[off]"
		if v.Knobs.UseZeroPages {
			choice = "[on ]"
		}
		value("use_zero_pages").text(Normal, choice)
	case model.FieldRun:
		p = p.upTo(at, c.w)
		p.text(Key, "[ Run ]")
		run = p.x - at
		if n := v.LeftOut(); n > 0 {
			p.part().text(Dim, "  without ").number(Normal, n).text(Dim, " that cost more than they gain").part().text(Dim, "; + takes them back")
		}
	default:
		knob, n, _ := v.WhatIfKnob(f)
		units := [...][2]string{
			model.FieldPagesToScan: {" pages a batch", " pages"},
			model.FieldSleep:       {" ms between batches", " ms"},
			model.FieldSharing:     {" pages on a KSM page at most", " pages"},
		}[f]
		writeNumber(value(knob.String()), n, units[0], units[1])
	}
	drawCursor(c, y, i, &v.List)
	if run > 0 {
		c.onKey(at, y, run, "r")
	}
}

// writeChoice writes choices, of which one is chosen: only that where there is no room for
// all of them.
func writeChoice(p *pen, chosen int, choices ...string) {
	const mark, between = 4, 3
	width := -between
	for _, choice := range choices {
		width += mark + len(choice) + between
	}
	if p.x+width > p.end {
		p.text(Normal, "[").text(Normal, choices[chosen]).text(Normal, "]")
		return
	}
	for i, choice := range choices {
		if i > 0 {
			p.text(Normal, "   ")
		}
		mark := "( ) "
		if i == chosen {
			mark = "(*) "
		}
		p.text(Normal, mark).text(Normal, choice)
	}
}

// writeNumber writes a number and its unit, in short where there is no room.
func writeNumber(p *pen, n uint64, unit, short string) {
	line := strconv.AppendUint(append(p.line(), '['), n, 10)
	p.show(Normal, append(line, ']'))
	if p.x+len(unit) > p.end {
		unit = short
	}
	p.part().text(Dim, unit)
}

// answerWide is the width from which the answer has two columns.
const answerWide = 78

// drawAnswer draws the answer from line y on, and returns the line behind it.
func drawAnswer(c *Canvas, y, h int, s *model.State) int {
	v := &s.WhatIf
	a := v.Answer
	if a.Pages == 0 {
		p := c.pen(1, y)
		p.text(Warn, nothingFound(a))
		drawNotRead(c, y+1, max(0, h-y-1), a)
		return min(h, y+1+notReadLines(a))
	}
	wide := c.w >= answerWide
	for i, write := range [...]func(p *pen, v *model.WhatIfView){writeWouldSave, writeMetadata, writeNetOf} {
		if y+i >= h {
			return h
		}
		p := c.pen(1, y+i)
		if wide {
			p.end = 44
		}
		write(&p, v)
	}
	x, line := 45, y
	if !wide {
		x, line = 1, y+3
	}
	for i, write := range [...]func(p *pen, v *model.WhatIfView){writeAlready, writeStillToGain, writeFirstPass, writeMerged} {
		if line+i >= h {
			return h
		}
		p := c.pen(x, line+i)
		write(&p, v)
	}
	y = line + 4
	y = drawLosers(c, y, h, v)
	lines := min(notReadLines(a), max(0, h-y))
	drawNotRead(c, y, lines, a)
	return y + lines
}

// label writes what a number is, in so many cells. A click there explains it.
func label(p *pen, word string) *pen {
	const width = 14
	end := p.x + width
	p.c.onNumber(p.x, p.y, p.end-p.x, word)
	p.text(Dim, word)
	if !p.full {
		*p = p.upTo(end, p.end)
	}
	return p
}

func writeWouldSave(p *pen, v *model.WhatIfView) {
	a := v.Answer
	label(p, "would save").bytes(Good, int64(v.WouldSave())*int64(a.PageSize))
	p.part().text(Normal, "  ").count(Normal, v.WouldSave()).text(Dim, " pages")
}

func writeMetadata(p *pen, v *model.WhatIfView) {
	label(p, "metadata").bytes(Normal, v.Answer.MetadataBytes())
	p.part().text(Normal, "  ").count(Normal, v.Answer.Items).text(Dim, " rmap items")
}

func writeNetOf(p *pen, v *model.WhatIfView) {
	role := Good
	if v.Net() < 0 {
		role = Bad
	}
	a := v.Answer
	label(p, "net").bytes(role, v.Net())
	p.part().text(Dim, ", ").percent(Normal, float64(v.Net())/float64(a.Pages)/float64(a.PageSize)).text(Dim, " of ").bytes(Normal, int64(a.Pages)*int64(a.PageSize))
}

func writeAlready(p *pen, v *model.WhatIfView) {
	label(p, "already saved")
	if v.Answer.AlreadySaved == 0 {
		p.text(Normal, ".")
		return
	}
	p.bytes(Normal, int64(v.Answer.AlreadySaved)*int64(v.Answer.PageSize))
}

func writeStillToGain(p *pen, v *model.WhatIfView) {
	label(p, "still to gain").bytes(Normal, v.StillToGain())
}

func writeFirstPass(p *pen, v *model.WhatIfView) {
	if v.Knobs.PagesToScan == 0 {
		label(p, "first pass").text(Warn, "never").part().text(Dim, ": pages_to_scan is 0")
		return
	}
	scan := v.Forecast.First
	label(p, "first pass").text(Normal, "~").duration(Normal, scan.Elapsed)
	p.part().text(Dim, " at ").percent(Normal, scan.Share()).text(Dim, " cpu")
}

func writeMerged(p *pen, v *model.WhatIfView) {
	if v.Knobs.PagesToScan == 0 {
		label(p, "merged after").text(Warn, "never")
		return
	}
	f := &v.Forecast
	label(p, "merged after").text(Normal, "~").duration(Normal, v.MergedAfter())
	p.part().text(Dim, ", 2nd at ").percent(Normal, f.Second.Share())
}

// losersShown is how many processes that cost more than they gain are named.
const losersShown = 3

// drawLosers names the processes that cost more than they gain, and returns the
// line behind.
func drawLosers(c *Canvas, y, h int, v *model.WhatIfView) int {
	losers := v.Losers()
	if len(losers) == 0 {
		return y
	}
	page := float64(v.Answer.PageSize)
	rest := v.Net()
	for i, g := range losers {
		rest -= v.NetOf(g)
		if i >= losersShown || y >= h {
			continue
		}
		p := c.pen(1, y)
		p.text(Bad, "! ").text(Normal, g.Name)
		p.part().text(Dim, " adds ").bytes(Normal, g.MetadataBytes()).text(Dim, " metadata for ").bytes(Normal, int64(v.Gain(g)*page))
		y++
	}
	if y < h && len(losers) < len(v.Answer.Groups) {
		p := c.pen(1, y)
		p.text(Warn, "without ")
		if len(losers) == 1 {
			p.text(Warn, "it")
		} else {
			p.text(Warn, "these ").number(Warn, len(losers))
		}
		p.text(Warn, " net is about ~").bytes(Warn, rest)
		p.part().text(Normal, "  ").text(Key, "-").text(Normal, " leaves out and asks again")
		y++
	}
	return y
}

// drawParts draws the parts of the processes, as many as fit from line y on.
func drawParts(c *Canvas, y, h int, v *model.WhatIfView) {
	const top = 2
	if h-y < top+1 || len(v.Answer.Groups) < 2 {
		return
	}
	w, _ := c.Size()
	c.Title(0, y, w, "Processes", "")
	drawGroupHeader(c, y+1)
	for i := range v.Answer.Groups {
		if y+top+i >= h {
			return
		}
		g := &v.Answer.Groups[i]
		drawGroup(c, y+top+i, g, v.Gain(g), v.Answer.PageSize)
	}
}

// smallWhatIfRows keeps three lines for the answer.
func smallWhatIfRows(_, h int, _ *model.State) int {
	return max(1, min(int(model.NumWhatIfFields), h-3))
}

// drawSmallWhatIf draws it on screens too small for sentences.
func drawSmallWhatIf(c *Canvas, s *model.State) {
	w, h := c.Size()
	v := &s.WhatIf
	rows := smallWhatIfRows(w, h, s)
	for i := v.Top; i < min(v.Top+rows, v.Len()); i++ {
		drawField(c, i-v.Top, i, s)
	}
	switch y := rows; {
	case y >= h:
	case v.Answer == nil && v.Task != nil:
		p := c.pen(1, y)
		p.text(Normal, "reading...")
	case v.Answer != nil && v.Answer.Pages == 0:
		drawNothingFound(c, y, v.Answer)
	case v.Answer != nil:
		drawSmallAnswer(c, y, v.Answer, int64(v.WouldSave())*int64(v.Answer.PageSize), v.Net())
		for i, write := range [...]func(p *pen, v *model.WhatIfView){writeFirstPass, writeMerged} {
			if y+1+i < h {
				p := c.pen(1, y+1+i)
				write(&p, v)
			}
		}
	}
}
