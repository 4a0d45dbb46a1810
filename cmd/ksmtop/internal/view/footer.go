package view

import "github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"

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
		x := c.Text(1, y, Heading, s.Prompt.Label)
		x = c.Text(x, y, Normal, s.Prompt.Text)
		c.SetCursor(min(x, w-1), y)
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
