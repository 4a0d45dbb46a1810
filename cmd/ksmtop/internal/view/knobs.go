package view

import (
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// knobText returns what the chosen knob means, in lines of w cells: always as
// many, so that the list below stays where it is. Since when there is such a knob is
// left out where it would be cut.
func knobText(w int, d *model.Dialog) []dialogLine {
	rows := 2
	if w < narrowKnobs {
		rows = 3
	}
	lines := make([]dialogLine, rows)
	if d.Selected < len(d.Items) {
		info := d.Items[d.Selected].Field.Info()
		words := wrap(info.Meaning+" Since Linux "+info.Since+".", w-2)
		if len(words) > rows {
			words = wrap(info.Meaning, w-2)
		}
		for i := range words[:min(rows, len(words))] {
			lines[i].text = words[i]
		}
	}
	return lines
}

// narrowKnobs is the width of a list of knobs below which values stand at its right end:
// names have the room then that there is.
const narrowKnobs = 60

// drawKnob draws one line of the list of knobs: name, value, unit, and what is
// worth knowing of the value.
func drawKnob(c *Canvas, y int, f sysfs.Field, s *model.State) {
	const nameWidth, valueWidth = 36, 10
	w, _ := c.Size()
	role := Normal
	if !s.Root || s.ReadOnly { // these can only be looked at
		role = Dim
	}
	value, ok := s.Knobs().Value(f)
	_, changed := s.Was(f)
	valueRole := role
	if changed {
		valueRole = Warn
	}
	p := c.pen(0, y)
	if w < narrowKnobs {
		line := append(p.line(), '-')
		if ok {
			line = value.Append(p.line())
		}
		n := len(line)
		p.right(w-1-n, n, valueRole, line)
		c.TextIn(1, y, w-3-n, role, f.String())
		if ok {
			p = c.pen(1, y).upTo(1+min(len(f.String()), w-3-n), w-2-n)
			writeKnobNote(&p, f, s)
		}
		return
	}
	c.TextIn(1, y, nameWidth-1, role, f.String())
	if !ok {
		c.TextRight(nameWidth, y, valueWidth, Dim, "-")
		return
	}
	p.right(nameWidth, valueWidth, valueRole, value.Append(p.line()))
	p.part().text(Dim, " ").text(Dim, f.Info().Unit)
	writeKnobNote(p.part(), f, s)
}

// writeKnobNote writes what is worth knowing of a knob's value.
func writeKnobNote(p *pen, f sysfs.Field, s *model.State) {
	value, _ := s.Knobs().Value(f)
	was, changed := s.Was(f)
	switch {
	case changed:
		p.text(Warn, "  was ").text(Warn, was)
	case value.String() != f.Info().Default:
		p.text(Dim, "  at boot ").text(Dim, f.Info().Default)
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
