package view

import (
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
)

// dialogWidth is the width of the frame of a dialog, if there is room.
const dialogWidth = 78

// dialogLine is one line of the text of a dialog: a key or another short word,
// and what is said of it.
type dialogLine struct {
	word, text string
	wordRole   Role
	columns    bool // the text is in the second column
}

// box is where a dialog is on the screen, its frame included:
//
//	┌─ Title ─────────── note ─┐
//	│ text                     │
//	│                          │   only if there is text
//	│>item                     │
//	│ item                     │
//	│    [ Cancel ]  [ Do it ] │   one below the other where room is short
//	└──────────────────────────┘
type box struct {
	x, y, w, h int
	lines      []dialogLine
	text       int // lines of text shown
	items      int // items shown
	buttons    buttonForm
}

// buttonForm says how the buttons of a dialog stand.
type buttonForm uint8

const (
	inRow   buttonForm = iota
	stacked            // one below the other
	oneOnly            // only the one that Enter presses: there is no room for more
)

// dialogBox lays a dialog out on a screen of w times h cells.
func dialogBox(w, h int, d *model.Dialog, s *model.State) box {
	top := 0
	if isSim(s) { // the word SIM stays to be seen
		top = 1
		h--
	}
	if asks(d) {
		h -= messageRows(w, h+top, s)
	}
	b := box{w: min(w, dialogWidth), lines: dialogText(min(w, dialogWidth)-2, d, s)}
	b.text = len(b.lines)
	rows := 0 // of buttons
	if len(d.Buttons) > 0 {
		b.buttons, rows = buttonRows(b.w-2, h-4, d)
	}
	room := max(0, h-4-rows) // for text and items
	if len(d.Items) > 0 {
		least := min(len(d.Items), max(1, room/2)) // items that have room before text
		if b.text > 0 {
			b.text = max(0, min(b.text, room-least-1))
		}
		b.items = max(1, min(len(d.Items), room-b.text-1))
	}
	b.text = min(b.text, room)
	b.h = min(h-2, b.text+b.items+rows+2)
	if b.text > 0 && b.items > 0 {
		b.h = min(h-2, b.h+1)
	}
	b.x, b.y = (w-b.w)/2, top+(h-2-b.h)/2
	return b
}

// dialogText returns the text of a dialog in lines of w cells.
func dialogText(w int, d *model.Dialog, s *model.State) []dialogLine {
	switch d.Kind {
	case model.HelpText:
		return helpLines(w, s)
	case model.KnobList:
		return knobText(w, d)
	}
	var lines []dialogLine
	for _, paragraph := range d.Text {
		for _, line := range wrap(paragraph, w-2) {
			lines = append(lines, dialogLine{text: line})
		}
	}
	for _, word := range d.Words {
		for i, line := range wrap(word.Text, w-wordWidth-3) {
			name := ""
			if i == 0 {
				name = word.Name
			}
			lines = append(lines, dialogLine{name, line, Key, true})
		}
	}
	return lines
}

// buttonText is how a button looks.
func buttonText(b *model.Button) string { return "[ " + b.Text + " ]" }

// buttonRows returns how the buttons stand in a box of w times h cells inside, and
// how many lines they take. Half of the lines stay for text.
func buttonRows(w, h int, d *model.Dialog) (buttonForm, int) {
	used := 1
	for i := range d.Buttons {
		used += len(buttonText(&d.Buttons[i])) + 2
	}
	switch {
	case used <= w:
		return inRow, 1
	case len(d.Buttons) <= h/2:
		return stacked, len(d.Buttons)
	}
	return oneOnly, 1
}

// fitDialog tells a dialog how much of it a screen of w times h cells shows.
func fitDialog(w, h int, d *model.Dialog, s *model.State) {
	b := dialogBox(w, h, d, s)
	d.Scroller.Fit(len(b.lines), b.text)
	d.List.Fit(b.items)
}

// drawDialog draws a dialog over the view.
func drawDialog(c *Canvas, d *model.Dialog, s *model.State) {
	w, h := c.Size()
	b := dialogBox(w, h, d, s)
	c.on(0, 0, w, h-1, target{}) // what lies below takes no clicks
	note := "Esc closes"
	if len(d.Items) == 0 && d.Scroller.Top+b.text < len(b.lines) {
		note = moreNote(b.w, d.Title)
	}
	inside := c.Box(b.x, b.y, b.w, b.h, d.Title, note)
	y := 0
	top := 0
	if len(d.Items) == 0 {
		top = min(d.Scroller.Top, max(0, len(b.lines)-b.text))
	}
	for _, line := range b.lines[top:min(len(b.lines), top+b.text)] {
		x := 1
		if line.columns {
			inside.Text(1, y, line.wordRole, line.word)
			x += wordWidth
		}
		inside.Text(x, y, Normal, line.text)
		y++
	}
	if b.text > 0 && b.items > 0 {
		y++
	}
	for i := d.List.Top; i < min(d.List.Top+b.items, len(d.Items)); i++ {
		drawItem(&inside, y, d, i, s)
		y++
	}
	drawButtons(&inside, y, b.buttons, d)
}

// moreNote says that a text goes on, in as many words as there is room for beside the
// title of a box of w cells.
func moreNote(w int, title string) string {
	note := "PgDn more, Esc closes"
	for _, shorter := range [...]string{"PgDn more", "PgDn"} {
		if text.Width(text.Clean(title))+len(note) > w-9 { // frame, and lines and blanks at both ends
			note = shorter
		}
	}
	return note
}

func drawItem(c *Canvas, y int, d *model.Dialog, i int, s *model.State) {
	w, _ := c.Size()
	item := &d.Items[i]
	role := Normal
	if item.Why != "" {
		role = Dim
	}
	if d.Kind == model.KnobList {
		drawKnob(c, y, item.Field, s)
	} else {
		c.TextIn(1, y, w-2, role, item.Text)
	}
	if i == d.Selected {
		c.Text(0, y, Normal, c.Glyphs().Cursor)
		c.Select(0, y, w)
	}
	c.on(0, y, w, 1, target{kind: dialogItem, index: i})
}

func drawButtons(c *Canvas, y int, form buttonForm, d *model.Dialog) {
	w, _ := c.Size()
	x := 1
	if form == inRow {
		used := 0
		for i := range d.Buttons {
			used += len(buttonText(&d.Buttons[i])) + 2
		}
		x = max(1, (w-used+2)/2)
	}
	for i := range d.Buttons {
		text := buttonText(&d.Buttons[i])
		if form == oneOnly && i != d.Button {
			continue
		}
		c.Text(x, y, Key, text)
		if i == d.Button {
			c.Select(x, y, len(text))
		}
		c.on(x, y, len(text), 1, target{kind: dialogButton, index: i})
		if form == inRow {
			x += len(text) + 2
		} else {
			y++
		}
	}
}
