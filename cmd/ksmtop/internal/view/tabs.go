package view

import (
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// drawTabs draws the row of views: their keys and names, the one in front in
// brackets. Where room is short names are shorter, and news are a star:
//
//	[1 Overview] 2 Processes  7 Events (3 new)
//	[1 Over] 2 Proc  7 Events*
func drawTabs(c *Canvas, y int, s *model.State) {
	w, _ := c.Size()
	long := tabsWidth(s, true) <= w
	x := 0
	for i := range s.Views {
		v := &s.Views[i]
		line := appendTab(c.g.line[:0], v, s, long)
		c.g.line = line
		role := Normal
		switch {
		case v.ID == s.View:
			role = Selected
			c.Text(x, y, role, "[")
			c.Text(x+1+len(line), y, role, "]")
		case v.NeedsKSM && s.NoKSM():
			role = Dim
		}
		c.Bytes(x+1, y, role, line)
		c.onKey(x, y, len(line)+2, v.ID.Key())
		x += len(line) + 2
	}
}

// tabsWidth returns the width of the row of views.
func tabsWidth(s *model.State, long bool) int {
	var room [64]byte
	w := 0
	for i := range s.Views {
		w += len(appendTab(room[:0], &s.Views[i], s, long)) + 2
	}
	return w
}

// appendTab appends the text of one tab, which is ASCII.
func appendTab(dst []byte, v *model.View, s *model.State, long bool) []byte {
	dst = append(append(dst, v.ID.Key()...), ' ')
	news := v.News(s)
	if !long {
		dst = append(dst, v.Short...)
		if news > 0 {
			dst = append(dst, '*')
		}
		return dst
	}
	dst = append(dst, v.Name...)
	if news > 0 {
		dst = append(strconv.AppendInt(append(dst, " ("...), int64(news), 10), " new)"...)
	}
	return dst
}
