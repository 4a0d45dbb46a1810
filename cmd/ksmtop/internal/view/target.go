package view

import "github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"

// target is what a click on a part of the screen stands for. Whoever draws the
// part says so.
type target struct {
	x, y, w, h int // on the whole canvas
	kind       targetKind
	key        string        // to press, or the name of a number
	index      int           // of a row, an item or a button
	column     *model.Column // to sort by
}

type targetKind uint8

const (
	ignored  targetKind = iota // nothing: it hides what lies below
	keyPress                   // a key
	listRow                    // a row of the list in front
	heading                    // the heading of a column
	number                     // to be explained
	dialogItem
	dialogButton
)

// on adds a target of w times h cells. Of targets that overlap the last one
// counts.
func (c *Canvas) on(x, y, w, h int, t target) {
	t.x, t.y, t.w, t.h = c.x+x, c.y+y, w, h
	c.g.targets = append(c.g.targets, t)
}

// onKey makes a click press a key.
func (c *Canvas) onKey(x, y, w int, key string) { c.on(x, y, w, 1, target{kind: keyPress, key: key}) }

// onRow makes a click on line y select row i of the list in front.
func (c *Canvas) onRow(y, i int) { c.on(0, y, c.w, 1, target{kind: listRow, index: i}) }

// onHeading makes a click sort by a column.
func (c *Canvas) onHeading(x, y, w int, column *model.Column) {
	c.on(x, y, w, 1, target{kind: heading, column: column})
}

// onNumber makes a click explain the number called name.
func (c *Canvas) onNumber(x, y, w int, name string) {
	c.on(x, y, w, 1, target{kind: number, key: name})
}

// targetAt returns what a click on a cell of the whole canvas stands for.
func (c *Canvas) targetAt(x, y int) target {
	for i := len(c.g.targets) - 1; i >= 0; i-- {
		t := c.g.targets[i]
		if x >= t.x && x < t.x+t.w && y >= t.y && y < t.y+t.h {
			return t
		}
	}
	return target{}
}

// Click does what a click on the cell x, y of what was drawn last on c asks for.
// The second click of a double click is Enter.
func Click(c *Canvas, x, y int, double bool, s *model.State) model.Command {
	if s.Prompt != nil {
		return model.Nothing
	}
	t := c.targetAt(x, y)
	if s.Dialog() != nil && t.kind != keyPress && t.kind != dialogItem && t.kind != dialogButton {
		return model.Nothing
	}
	switch t.kind {
	case keyPress:
		return s.Key(t.key)
	case listRow:
		s.ClickRow(t.index)
		if double {
			return s.Key("Enter")
		}
	case number:
		return s.Explain(t.key)
	case heading:
		s.SortBy(t.column)
	case dialogItem:
		return s.ClickItem(t.index)
	case dialogButton:
		return s.ClickButton(t.index)
	}
	return model.Nothing
}
