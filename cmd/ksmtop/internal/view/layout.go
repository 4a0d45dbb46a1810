package view

import "github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"

// layout says how many rows each panel of the Overview has, from top to
// bottom, titles included; a panel of 0 rows is left out.
//
//	wide (two columns)              narrow
//	top     Savings | ksmd          Savings, with the pages bar
//	middle  the pages bar           ksmd
//	charts  Net | Copies on write   two sparklines
//	table   processes               the same
//	events                          the same
//
// Where room is short the charts give way first, then events, then middle and
// top; the table keeps three processes.
type layout struct {
	wide                               bool
	top, middle, charts, table, events int
	notes                              int // lines below the table that say what it does not show
}

const (
	tableTop  = 2 // title and header of the table
	leastRows = 3 // processes that the table keeps
)

func layoutOf(w, h int, s *model.State) layout {
	l := layout{wide: w >= wideWidth, notes: min(notes(s), max(1, h/8))}
	l.events = 1 + max(2, min(5, s.Events.Len()))
	most, leastCharts := 4, 0 // rows for which charts and events make room
	if l.wide {
		l.top, l.middle, l.charts = 6, 4, 8
		most, leastCharts = 8, 4
		if h >= 50 {
			l.charts = 12
		}
	} else {
		l.top, l.middle, l.charts = 5, 2, 2
		l.events = min(l.events, 3)
	}
	rows := max(leastRows, min(most, len(s.Rows)))
	short := l.top + l.middle + l.charts + l.events + tableTop + rows + l.notes - h
	shrink(&l.charts, leastCharts, &short)
	shrink(&l.events, 2, &short)
	short -= rows - leastRows
	remove(&l.charts, &short)
	remove(&l.events, &short)
	remove(&l.middle, &short)
	remove(&l.top, &short)
	l.table = h - l.top - l.middle - l.charts - l.events
	return l
}

// shrink takes rows from a panel down to least while they are short.
func shrink(rows *int, least int, short *int) {
	n := max(0, min(*rows-least, *short))
	*rows -= n
	*short -= n
}

// remove takes a whole panel if rows are short.
func remove(rows *int, short *int) {
	if *short > 0 {
		*short -= *rows
		*rows = 0
	}
}

// rows returns how many processes the table shows.
func (l layout) rows() int { return max(1, l.table-tableTop-l.notes) }
