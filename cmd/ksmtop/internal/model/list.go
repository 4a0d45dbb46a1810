package model

// List is the state of a list on the screen: which row is selected and which
// rows are shown. The zero List is empty. Whatever is done to it, the selected
// row exists, unless there is none, and is among those shown.
type List struct {
	Selected int // index of the selected row; 0 if there is none
	Top      int // index of the first row shown

	length int  // rows there are
	page   int  // rows that fit, as last drawn
	chosen bool // the user has moved; until then the first row is selected
}

// Len returns how many rows there are.
func (l *List) Len() int { return l.length }

// SetLen says that there are n rows now.
func (l *List) SetLen(n int) {
	l.length = n
	l.selectRow(l.Selected)
}

// Choose selects the row nearest to i as the user wishes.
func (l *List) Choose(i int) {
	l.chosen = true
	l.selectRow(i)
}

// Fit says that so many rows fit the screen.
func (l *List) Fit(rows int) {
	l.page = rows
	l.scroll()
}

// selectRow selects the row nearest to i, and brings it into view.
func (l *List) selectRow(i int) {
	l.Selected = max(0, min(i, l.length-1))
	l.scroll()
}

// scroll brings the selected row into view.
func (l *List) scroll() {
	rows := max(1, l.page)
	l.Top = max(0, min(l.Top, l.length-rows, l.Selected))
	if l.Selected >= l.Top+rows {
		l.Top = l.Selected - rows + 1
	}
}

// Scroller is text that is longer than the screen.
type Scroller struct {
	Top    int  // the first line shown
	end    int  // the largest Top that makes sense, as last drawn
	hidden bool // there is text, and no room for any of it, as last drawn
}

// Scroll moves by that many lines.
func (s *Scroller) Scroll(by int) { s.Top = max(0, min(s.Top+by, s.end)) }

// Fit says that of so many lines so many fit the screen.
func (s *Scroller) Fit(lines, rows int) {
	s.hidden = lines > 0 && rows < 1
	s.end = max(0, lines-max(1, rows))
	s.Scroll(0)
}
