package view

import "github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"

// logRows returns how many events the view shows.
func logRows(_, h int, _ *model.State) int { return max(1, h-1) }

// drawLog draws the view of all events, the latest on top.
func drawLog(c *Canvas, s *model.State) {
	w, h := c.Size()
	drawLogRows(c, logRows(w, h, s), s)
}

// On narrow screens events are cut, and the selected one stands below them in full:
//
//	─ Events ───────────── ! problems only ─
//	 rows
//	────────────────────────────────────────
//	 eventLines of the selected one
const eventLines = 3

// smallLogRows returns how many events fit beside that, or without it where room is short.
func smallLogRows(w, h int, s *model.State) int {
	const least = 3 // rows
	if rows := h - 1 - 1 - eventLines; w < smallWidth && rows >= least {
		return rows
	}
	return logRows(w, h, s)
}

func drawSmallLog(c *Canvas, s *model.State) {
	w, h := c.Size()
	l := &s.Log
	rows := smallLogRows(w, h, s)
	drawLogRows(c, rows, s)
	if below := 1 + rows; below < h && l.Selected < len(l.Shown) {
		c.HLine(0, below, w, Dim)
		e := &l.Shown[l.Selected]
		paragraph(c, below+1, eventRole(e, s), e.Text)
	}
}

// drawLogRows draws a title and so many events.
func drawLogRows(c *Canvas, rows int, s *model.State) {
	w, _ := c.Size()
	l := &s.Log
	title, note := "Events", "! problems only"
	if l.Problems {
		title, note = "Events: problems only", "! all"
	}
	c.Title(0, 0, w, title, note)
	if len(l.Shown) == 0 {
		p := c.pen(1, 1)
		p.text(Dim, "nothing since ").clock(Dim, s.History.Since())
	}
	for i := l.Top; i < min(l.Top+rows, len(l.Shown)); i++ {
		y := 1 + i - l.Top
		drawEvent(c, y, &l.Shown[i], s)
		drawCursor(c, y, i, &l.List)
	}
}

// drawEvent draws one event in line y. One that is later than the moment shown is
// dim.
func drawEvent(c *Canvas, y int, e *model.Event, s *model.State) {
	w, _ := c.Size()
	p := c.pen(1, y)
	role, mark, clock := eventRole(e, s), " ", Normal
	if role == Dim {
		clock = Dim
	}
	switch {
	case e.Problem:
		mark = "!"
	case e.Own:
		mark = "x"
	}
	p.clock(clock, e.At).text(Normal, " ").text(role, mark).text(Normal, " ")
	c.TextIn(p.x, p.y, w-1-p.x, role, e.Text)
}

// eventRole returns how an event is shown.
func eventRole(e *model.Event, s *model.State) Role {
	switch {
	case e.At.After(s.Sample.Time):
		return Dim
	case e.Problem:
		return Warn
	}
	return Normal
}
