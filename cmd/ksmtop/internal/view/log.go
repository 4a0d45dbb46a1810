package view

import "github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"

// logRows returns how many events the view shows.
func logRows(_, h int, _ *model.State) int { return max(1, h-1) }

// drawLog draws the view of all events, the latest on top.
func drawLog(c *Canvas, s *model.State) {
	w, h := c.Size()
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
	for i := l.Top; i < min(l.Top+logRows(w, h, s), len(l.Shown)); i++ {
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
	role, mark, clock := Normal, " ", Normal
	switch {
	case e.At.After(s.Sample.Time):
		role, clock = Dim, Dim
	case e.Problem:
		role = Warn
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
