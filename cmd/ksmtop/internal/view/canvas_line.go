package view

import "github.com/ksmtop/ksmtop/internal/text"

// HLine draws a horizontal line of w cells.
func (c *Canvas) HLine(x, y, w int, role Role) {
	for i := max(x, 0); i < min(x+w, c.w); i++ {
		c.put(i, y, role, c.g.glyphs.HLine, 1)
	}
}

// VLine draws a vertical line of h cells.
func (c *Canvas) VLine(x, y, h int, role Role) {
	for j := max(y, 0); j < min(y+h, c.h); j++ {
		c.put(x, j, role, c.g.glyphs.VLine, 1)
	}
}

// Title draws the head of a panel, a line of w cells with a title near its left
// end and a note near its right end:
//
//	─ Savings ──────────────────────────── 3.5G ─
//
// Two heads side by side make one line with two titles. Either text may be
// empty. A note that leaves no room for the title is left out, a title too
// long is cut.
func (c *Canvas) Title(x, y, w int, title, note string) {
	c.HLine(x, y, w, Dim)
	end := x + 1
	if title != "" && w >= 5 {
		room := w - 4 // a line and a blank at both ends
		n := min(measure(c.g, title, room), room)
		c.put(x+1, y, Dim, " ", 1)
		c.TextIn(x+2, y, n, Heading, title)
		c.put(x+2+n, y, Dim, " ", 1)
		end = x + n + 3
	}
	if note == "" {
		return
	}
	n := measure(c.g, note, w)
	at := x + w - n - 3
	if at <= end {
		return
	}
	c.put(at, y, Dim, " ", 1)
	c.TextIn(at+1, y, n, Dim, note)
	c.put(at+1+n, y, Dim, " ", 1)
}

// Box blanks w times h cells, draws a frame around them with a title, and
// returns the part inside the frame. It is for dialogs over a screen.
func (c *Canvas) Box(x, y, w, h int, title, note string) Canvas {
	if w < 2 || h < 2 {
		return c.Sub(x, y, 0, 0)
	}
	g := c.g.glyphs
	c.Fill(x, y, w, h, Normal, " ")
	c.put(x, y, Dim, g.TopLeft, 1)
	c.Title(x+1, y, w-2, title, note)
	c.put(x+w-1, y, Dim, g.TopRight, 1)
	c.VLine(x, y+1, h-2, Dim)
	c.VLine(x+w-1, y+1, h-2, Dim)
	c.put(x, y+h-1, Dim, g.BottomLeft, 1)
	c.HLine(x+1, y+h-1, w-2, Dim)
	c.put(x+w-1, y+h-1, Dim, g.BottomRight, 1)
	return c.Sub(x+1, y+1, w-2, h-2)
}

// Width returns the number of cells that s occupies when drawn on the canvas.
func (c *Canvas) Width(s string) int {
	cells := 0
	for rest := clean(c.g, s); len(rest) > 0; {
		n, width := text.Next(rest)
		cells += width
		rest = rest[n:]
	}
	return cells
}
