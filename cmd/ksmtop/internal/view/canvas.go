// Package view draws the screens of ksmtop. Everything is drawn on a Canvas, a
// grid of cells in memory, so a screen is a pure function of what it shows and
// of its size, and can be tested without a terminal.
package view

import (
	"strings"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/internal/text"
)

// cell is one place of the grid. A wide character occupies two cells: the
// left one holds it with width 2, the right one is empty with width 0.
type cell struct {
	s        string // one cluster of clean text
	role     Role
	width    uint8 // cells: 0, 1 or 2
	selected bool
}

// blank is a cell that shows nothing.
var blank = cell{s: " ", width: 1}

// maxInterned bounds the strings kept for reuse, so that a stream of hostile
// names cannot fill the memory. It is far more than any alphabet in use.
const maxInterned = 4096

// grid is the memory shared by a canvas and its parts.
type grid struct {
	w, h     int
	cells    []cell
	glyphs   *Glyphs
	scratch  []byte            // clean text being drawn
	interned map[string]string // clusters other than ASCII, as strings
	line     []byte            // text being composed: see pen
	values   []float64         // values of a chart
	targets  []target          // what clicks stand for
	body     Canvas            // the view's part; here, since on the stack it would be allocated
	cursorX  int
	cursorY  int
	cursor   bool
}

// Canvas is a rectangle of cells to draw on, or a part of one. Coordinates are
// in cells, from 0,0 at its top left; whatever falls outside is not drawn.
//
// All text is made harmless by package text before it reaches a cell, so
// strings from other processes may be passed as they are. On a canvas whose
// glyphs are ASCII, whatever is not ASCII appears as a question mark.
//
// Drawing again on a canvas of the same size allocates nothing. A Canvas is
// not safe for concurrent use. The zero value has no cells and cannot be drawn
// on: use NewCanvas.
type Canvas struct {
	g          *grid
	x, y, w, h int // the part of the grid
}

// NewCanvas returns a blank canvas of w times h cells, with braille glyphs.
// Negative sizes count as zero.
func NewCanvas(w, h int) *Canvas {
	c := &Canvas{g: &grid{glyphs: &glyphSets[LevelBraille], interned: map[string]string{}}}
	c.Resize(w, h)
	return c
}

// Resize makes the whole canvas w times h cells and blanks it. It must not be
// called on a part.
func (c *Canvas) Resize(w, h int) {
	w, h = max(w, 0), max(h, 0)
	if n := w * h; n <= cap(c.g.cells) {
		c.g.cells = c.g.cells[:n]
	} else {
		c.g.cells = make([]cell, n)
	}
	c.g.w, c.g.h = w, h
	c.x, c.y, c.w, c.h = 0, 0, w, h
	c.Clear()
}

// SetLevel chooses the characters that the canvas and its parts draw with.
func (c *Canvas) SetLevel(level Level) { c.g.glyphs = &glyphSets[level] }

// Glyphs returns the characters to draw with.
func (c *Canvas) Glyphs() *Glyphs { return c.g.glyphs }

// Size returns the width and height in cells.
func (c *Canvas) Size() (w, h int) { return c.w, c.h }

// Sub returns the part of the canvas inside the given rectangle. Drawing on it
// changes the canvas, but nothing outside the rectangle, except that a wide
// character cut by its edge is blanked as a whole.
func (c *Canvas) Sub(x, y, w, h int) Canvas {
	x0, y0 := min(max(x, 0), c.w), min(max(y, 0), c.h)
	x1, y1 := max(min(x+w, c.w), x0), max(min(y+h, c.h), y0)
	return Canvas{g: c.g, x: c.x + x0, y: c.y + y0, w: x1 - x0, h: y1 - y0}
}

// Clear blanks every cell and hides the cursor.
func (c *Canvas) Clear() {
	if c.w == c.g.w && c.h == c.g.h {
		for i := range c.g.cells {
			c.g.cells[i] = blank
		}
	} else {
		c.Fill(0, 0, c.w, c.h, Normal, " ")
	}
	c.g.cursor = false
	c.g.targets = c.g.targets[:0]
}

// SetCursor shows the terminal's cursor at the given cell, if it is inside.
func (c *Canvas) SetCursor(x, y int) {
	c.g.cursor = x >= 0 && x < c.w && y >= 0 && y < c.h
	c.g.cursorX, c.g.cursorY = c.x+x, c.y+y
}

// Cursor returns the cell of the cursor on the whole canvas; ok is false if it
// is hidden.
func (c *Canvas) Cursor() (x, y int, ok bool) { return c.g.cursorX, c.g.cursorY, c.g.cursor }

// Cell returns what a cell holds: one cluster of clean text and its width of 1
// or 2 cells. The right half of a wide character is empty with width 0, a cell
// outside the canvas a blank.
func (c *Canvas) Cell(x, y int) (s string, width int, role Role, selected bool) {
	if x < 0 || y < 0 || x >= c.w || y >= c.h {
		return blank.s, 1, blank.role, false
	}
	p := &c.g.cells[(c.y+y)*c.g.w+c.x+x]
	return p.s, int(p.width), p.role, p.selected
}

// put writes one cluster. Of a wide one that an edge cuts, the half inside is
// blank.
func (c *Canvas) put(x, y int, role Role, s string, width int) {
	if y < 0 || y >= c.h || x >= c.w || x+width <= 0 || c.w == 0 {
		return
	}
	if x < 0 || x+width > c.w {
		x, s, width = max(x, 0), blank.s, 1
	}
	i := (c.y+y)*c.g.w + c.x + x
	cells := c.g.cells
	for j := i; j < i+width; j++ {
		c.g.split(j)
	}
	cells[i] = cell{s: s, role: role, width: uint8(width)}
	if width == 2 {
		cells[i+1] = cell{role: role}
	}
}

// split blanks the other half of the wide character that cell i is part of,
// if any, so that cell i can be overwritten.
func (g *grid) split(i int) {
	other := i
	switch g.cells[i].width {
	case 0:
		other = i - 1
	case 2:
		other = i + 1
	}
	if other != i {
		g.cells[other].s, g.cells[other].width = blank.s, 1
		g.cells[i].s, g.cells[i].width = blank.s, 1
	}
}

// intern returns the cluster as a string, allocating only the first time.
func (g *grid) intern(cluster []byte) string {
	if len(cluster) == 1 {
		return asciiString(cluster[0])
	}
	if s, ok := g.interned[string(cluster)]; ok {
		return s
	}
	if len(g.interned) >= maxInterned {
		clear(g.interned)
	}
	s := string(cluster)
	g.interned[s] = s
	return s
}

// clean returns the clean form of s in the canvas's character set. It is valid
// until the next call.
func clean[T ~string | ~[]byte](g *grid, s T) []byte {
	if g.glyphs.Level == LevelASCII {
		g.scratch = text.AppendASCII(g.scratch[:0], s)
	} else {
		g.scratch = text.Append(g.scratch[:0], s)
	}
	return g.scratch
}

// asciiString returns a printable ASCII character as a string.
func asciiString(c byte) string {
	const printable = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
	return printable[c-' ' : c-' '+1]
}

// Text draws s from x on and returns the column after it, at most the width of
// the canvas. What lies left of column 0 or right of the last is not drawn.
func (c *Canvas) Text(x, y int, role Role, s string) int { return draw(c, x, y, role, s) }

// Bytes is Text for bytes.
func (c *Canvas) Bytes(x, y int, role Role, s []byte) int { return draw(c, x, y, role, s) }

func draw[T ~string | ~[]byte](c *Canvas, x, y int, role Role, s T) int {
	i := 0
	for ; i < len(s) && x < c.w; i++ {
		if !plainAt(s, i) {
			return drawClusters(c, x, y, role, s[i:])
		}
		c.put(x, y, role, asciiString(s[i]), 1)
		x++
	}
	return x
}

// plainAt reports whether the character at s[i] is printable ASCII and is not
// followed by anything that might combine with it.
func plainAt[T ~string | ~[]byte](s T, i int) bool {
	return s[i] >= ' ' && s[i] <= '~' && (i+1 == len(s) || s[i+1] < utf8.RuneSelf)
}

func drawClusters[T ~string | ~[]byte](c *Canvas, x, y int, role Role, s T) int {
	// A command line may be megabytes long: look no further than the edge.
	clean(c.g, head(s, text.MaxClusterBytes*(c.w-x+1)))
	return min(c.drawScratch(x, y, c.w, role), c.w)
}

// head returns the beginning of s, not more than so many bytes, without cutting
// a character in two.
func head[T ~string | ~[]byte](s T, size int) T {
	if len(s) <= size {
		return s
	}
	for range utf8.UTFMax - 1 {
		if utf8.RuneStart(s[size]) {
			break
		}
		size--
	}
	return s[:size]
}

// drawScratch draws the clean text in the grid's scratch space from x on, up to
// the first cluster that would begin at column end or later, and returns the
// column after the last one drawn.
func (c *Canvas) drawScratch(x, y, end int, role Role) int {
	for rest := c.g.scratch; len(rest) > 0 && x < end; {
		n, width := text.Next(rest)
		c.put(x, y, role, c.g.intern(rest[:n]), width)
		x += width
		rest = rest[n:]
	}
	return x
}

// TextIn draws s into the w cells from x on, filling up with blanks. If s does
// not fit, the last cell shows that it goes on.
func (c *Canvas) TextIn(x, y, w int, role Role, s string) { drawIn(c, x, y, w, role, s) }

// BytesIn is TextIn for bytes.
func (c *Canvas) BytesIn(x, y, w int, role Role, s []byte) { drawIn(c, x, y, w, role, s) }

func drawIn[T ~string | ~[]byte](c *Canvas, x, y, w int, role Role, s T) {
	if w <= 0 {
		return
	}
	end := x + w
	more := measure(c.g, s, w) > w
	if more {
		end--
	}
	at := c.drawScratch(x, y, end, role)
	if more {
		if at > end { // a wide character took the last cell too
			at -= 2
		}
		c.put(at, y, role, c.g.glyphs.More, 1)
		at++
	}
	for ; at < x+w; at++ {
		c.put(at, y, role, blank.s, 1)
	}
}

// TextRight draws s at the right end of the w cells from x on, with blanks
// before it. It is for numbers: one that does not fit is not cut, which would
// make it another number, but shown as a row of '#'.
func (c *Canvas) TextRight(x, y, w int, role Role, s string) { drawRight(c, x, y, w, role, s) }

// BytesRight is TextRight for bytes.
func (c *Canvas) BytesRight(x, y, w int, role Role, s []byte) { drawRight(c, x, y, w, role, s) }

func drawRight[T ~string | ~[]byte](c *Canvas, x, y, w int, role Role, s T) {
	width := measure(c.g, s, w)
	if width > w {
		c.Fill(x, y, w, 1, role, "#")
		return
	}
	c.Fill(x, y, w-width, 1, role, " ")
	c.drawScratch(x+w-width, y, x+w, role)
}

// measure returns the width of s in cells, or some number above limit if it is
// wider than that, and leaves the clean beginning of s in g.scratch.
func measure[T ~string | ~[]byte](g *grid, s T, limit int) int {
	h := head(s, text.MaxClusterBytes*(max(limit, 0)+1))
	cells := 0
	if len(h) < len(s) {
		cells = limit + 1
	}
	for rest := clean(g, h); len(rest) > 0 && cells <= limit; {
		n, width := text.Next(rest)
		cells += width
		rest = rest[n:]
	}
	return cells
}

// Fill fills w times h cells with s, which is one character of one cell;
// anything else counts as a blank.
func (c *Canvas) Fill(x, y, w, h int, role Role, s string) {
	if len(s) != 1 || !plainAt(s, 0) {
		p := clean(c.g, s)
		if n, width := text.Next(p); n == len(p) && width == 1 {
			s = c.g.intern(p)
		} else {
			s = blank.s
		}
	}
	x1, y1 := min(x+w, c.w), min(y+h, c.h)
	for j := max(y, 0); j < y1; j++ {
		for i := max(x, 0); i < x1; i++ {
			c.put(i, j, role, s, 1)
		}
	}
}

// Select marks w cells of a row as selected: their style is that of their role
// with foreground and background exchanged, and a golden letter becomes a
// capital (a normal cell becomes s). Text drawn later is not selected, so it
// comes last.
func (c *Canvas) Select(x, y, w int) {
	if y < 0 || y >= c.h {
		return
	}
	for i := max(x, 0); i < min(x+w, c.w); i++ {
		c.g.cells[(c.y+y)*c.g.w+c.x+i].selected = true
	}
}

// String returns the text on the canvas, one line a row, without the blanks at
// the ends of the lines.
func (c *Canvas) String() string {
	var b strings.Builder
	for y := range c.h {
		blanks := 0
		for x := range c.w {
			s, _, _, _ := c.Cell(x, y)
			if s == blank.s {
				blanks++
				continue
			}
			for range blanks {
				b.WriteByte(' ')
			}
			if s != "" {
				blanks = 0
			}
			b.WriteString(s)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Roles returns the roles of all cells, one line a row and one letter a cell:
// see Role.Letter. A selected cell has a capital letter, or s if it is normal.
func (c *Canvas) Roles() string {
	b := make([]byte, 0, (c.w+1)*c.h)
	for y := range c.h {
		for x := range c.w {
			_, _, role, selected := c.Cell(x, y)
			b = append(b, role.letter(selected))
		}
		b = append(b, '\n')
	}
	return string(b)
}
