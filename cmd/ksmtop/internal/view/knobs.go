package view

import (
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// knobText returns what the chosen knob means, in lines of w cells: always as
// many, so that the list below stays where it is.
func knobText(w int, d *model.Dialog) []dialogLine {
	rows := 2
	if w < 70 {
		rows = 4
	}
	lines := make([]dialogLine, rows)
	if d.Selected < len(d.Items) {
		info := d.Items[d.Selected].Field.Info()
		for i, line := range wrap(info.Meaning+" Since Linux "+info.Since+".", w-2) {
			if i < rows {
				lines[i].text = line
			}
		}
	}
	return lines
}

// drawKnob draws one line of the list of knobs: name, value, unit, and what is
// worth knowing of the value.
func drawKnob(c *Canvas, y int, f sysfs.Field, s *model.State) {
	const valueWidth = 10
	w, _ := c.Size()
	nameWidth := min(36, max(12, w-26))
	role := Normal
	if !s.Root || s.ReadOnly { // these can only be looked at
		role = Dim
	}
	c.TextIn(1, y, nameWidth-1, role, f.String())
	value, ok := s.Knobs().Value(f)
	if !ok {
		c.TextRight(nameWidth, y, valueWidth, Dim, "-")
		return
	}
	p := c.pen(0, y)
	was, changed := s.Was(f)
	if changed {
		role = Warn
	}
	p.right(nameWidth, valueWidth, role, value.Append(p.line()))
	p.part().text(Dim, " ").text(Dim, f.Info().Unit)
	switch {
	case changed:
		p.part().text(Warn, "  was ").text(Warn, was)
	case value.String() != f.Info().Default:
		p.part().text(Dim, "  at boot ").text(Dim, f.Info().Default)
	}
	if needsUnmerging(f, s) {
		p.part().text(Dim, "  needs run=2")
	}
}

// needsUnmerging reports whether the kernel takes another value of a knob only
// while nothing is merged, and something is.
func needsUnmerging(f sysfs.Field, s *model.State) bool {
	return (f == sysfs.MaxPageSharing || f == sysfs.MergeAcrossNodes) && s.Latest().Reading.Counters.PagesShared > 0
}
