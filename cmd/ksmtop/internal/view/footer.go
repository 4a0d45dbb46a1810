package view

import (
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
)

// footerKey is one key in the last row and the column where it begins.
type footerKey struct {
	x, w    int
	key     string
	binding *model.Binding
}

// footer appends the keys that fit into w cells to dst. The last, which quits, is
// always among them.
func footer(dst []footerKey, w int, keys *model.Keymap) []footerKey {
	blank, between := 1, 1 // between the key and its word, and after it
	switch whole := footerWidth(keys); {
	case w >= wideWidth && whole+len(keys.Footer) <= w:
		between = 2
	case w < smallWidth || whole > w:
		blank = 0
	}
	cell := func(b *model.Binding) footerKey {
		key := b.Keys[0]
		for _, k := range b.Keys {
			if w < smallWidth && len(k) < len(key) {
				key = k
			}
		}
		return footerKey{key: key, w: len(key) + blank + len(b.Footer), binding: b}
	}
	all := keys.Footer
	last := cell(all[len(all)-1])
	x := 0
	for _, b := range all[:len(all)-1] {
		k := cell(b)
		if x+k.w+between+last.w > w {
			break
		}
		k.x = x
		dst = append(dst, k)
		x += k.w + between
	}
	last.x = x
	return append(dst, last)
}

// footerWidth returns the width of all keys of the footer, with a blank before
// and after each word.
func footerWidth(keys *model.Keymap) int {
	width := 0
	for _, b := range keys.Footer {
		width += len(b.Keys[0]) + len(b.Footer) + 2
	}
	return width - 1
}

// drawFooter draws the last row.
func drawFooter(c *Canvas, y int, s *model.State) {
	w, _ := c.Size()
	if s.Prompt != nil {
		drawTyped(c, y, s.Prompt)
		return
	}
	var room [16]footerKey
	for _, k := range footer(room[:0], w, s.Keys()) {
		keyRole, wordRole := Key, Normal
		if k.binding.Unavailable(s) != "" {
			keyRole, wordRole = Dim, Dim
		}
		c.Text(k.x, y, keyRole, k.key)
		c.Text(k.x+k.w-len(k.binding.Footer), y, wordRole, k.binding.Footer)
		c.onKey(k.x, y, k.w, k.key)
	}
}

// leastTyped is how many cells of what is typed are seen. A question that leaves less
// room stands above it.
const leastTyped = 10

// questionLines breaks the question of a prompt into the lines that stand above what is
// typed on a screen of w times h cells: none if both fit into one, or there is no room.
func questionLines(w, h int, p *model.Prompt) []string {
	const least = 10 // lines of a screen
	if h < least || 1+text.Width(p.Label)+leastTyped <= w {
		return nil
	}
	return wrap(p.Label, w-2)
}

// drawTyped draws what is being typed, of which the end is seen, and the question if
// that stands before it.
func drawTyped(c *Canvas, y int, p *model.Prompt) {
	w, h := c.Size()
	x := 1
	if questionLines(w, h, p) == nil {
		n := min(text.Width(p.Label), w-1-leastTyped)
		c.TextIn(x, y, n, Heading, p.Label)
		x += n
	}
	typed := p.Text
	if room := w - 1 - x; text.Width(typed) > room { // a cell is the cursor's
		x = c.Text(x, y, Dim, c.Glyphs().More)
		typed = lastCells(typed, room-1)
	}
	x = c.Text(x, y, Normal, typed)
	c.SetCursor(min(x, w-1), y)
}

// lastCells returns the longest end of clean text that fits into so many cells.
func lastCells(s string, cells int) string {
	for over := text.Width(s) - cells; over > 0; {
		n, width := text.Next([]byte(s))
		s, over = s[n:], over-width
	}
	return s
}
