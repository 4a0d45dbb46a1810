package view

import (
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// dropped are the columns that narrow screens leave out, the first first.
var dropped = [...]string{"trend", "ofrss", "mode", "user"}

// shownColumns appends the columns of the table in front that fit into w cells to
// dst.
func shownColumns(dst []*model.Column, w int, s *model.State) []*model.Column {
	if s.View == model.Processes {
		return someColumns(dst, w, s.FirstColumn)
	}
	drop := 0
	switch { // 60 to 79 columns lose one after the other
	case w < 64:
		drop = 4
	case w < 68:
		drop = 3
	case w < 74:
		drop = 2
	case w < 80:
		drop = 1
	}
next:
	for _, name := range model.TableColumns {
		for _, d := range dropped[:drop] {
			if d == name {
				continue next
			}
		}
		dst = append(dst, model.ColumnByName(name))
	}
	return dst
}

// commandWidth is how many cells the command gets at least.
const commandWidth = 20

// someColumns appends the first and the last of all columns to dst, and between
// them as many as fit, without those scrolled away at the left.
func someColumns(dst []*model.Column, w, first int) []*model.Column {
	names := model.AllColumns
	last := len(names) - 1
	pid := model.ColumnByName(names[0])
	dst = append(dst, pid)
	used := 1 + pid.Width + 2
	for i := 1 + first; i < last; i++ {
		c := model.ColumnByName(names[i])
		if used += 1 + c.Width; used+commandWidth > w {
			break
		}
		dst = append(dst, c)
	}
	return append(dst, model.ColumnByName(names[last]))
}

// gap returns the cells between column i and the next: more before the command,
// which begins at its left edge.
func gap(columns []*model.Column, i int) int {
	if i+1 < len(columns) && columns[i+1].Width == 0 {
		return 2
	}
	return 1
}

// drawTable draws the processes: a title, the header, so many rows from s.Top
// on, and so many notes on what is not listed.
func drawTable(c *Canvas, s *model.State, rows, notes int) {
	w, _ := c.Size()
	drawTableTitle(c, s)
	var room [24]*model.Column
	columns := shownColumns(room[:0], w, s)
	drawHeader(c, 1, columns, s)
	y := tableTop
	for i := s.Top; i < len(s.Rows) && y < tableTop+rows; i++ {
		drawProcess(c, y, columns, s, i)
		y++
	}
	if len(s.Rows) == 0 {
		y = drawEmpty(c, y, s)
	}
	drawNotes(c, y, notes, s)
}

// drawTableTitle draws what the table lists, in which order, and at the right
// what it leaves out:
//
//	─ All processes, tree, by profit ▼ ─────────── filter qemu|php: 5 of 214 ─
func drawTableTitle(c *Canvas, s *model.State) {
	w, _ := c.Size()
	g := c.Glyphs()
	line := c.g.line[:0]
	if s.All && len(s.Filter.PIDs) == 0 {
		line = append(line, "All processes"...)
	} else {
		line = append(line, "Processes"...)
	}
	switch {
	case s.Group != model.NoGroups:
		line = append(append(line, " of each "...), model.Groupings[s.Group]...)
	case s.Tree:
		line = append(line, ", tree"...)
	}
	arrow := g.Descending
	if s.Column.Ascending != s.Inverted {
		arrow = g.Ascending
	}
	line = append(append(append(append(line, " by "...), s.Column.Name...), ' '), arrow...)
	whole := c.interned(line)
	c.Title(0, 0, w, whole, tableNote(c, s))
}

// tableNote says what the table leaves out.
func tableNote(c *Canvas, s *model.State) string {
	line := c.g.line[:0]
	switch {
	case s.Filter.Text != "":
		line = append(append(line, "filter "...), s.Filter.Text...)
		line = strconv.AppendInt(append(line, ": "...), int64(len(s.Rows)), 10)
		line = strconv.AppendInt(append(line, " of "...), int64(len(s.Rows)+s.Hidden), 10)
	case len(s.Filter.PIDs) > 0:
		return "-p only"
	case s.Filter.HasUID:
		return "one user only"
	default:
		return "s sort"
	}
	return c.interned(line)
}

func drawHeader(c *Canvas, y int, columns []*model.Column, s *model.State) {
	x := 1
	w, _ := c.Size()
	for i, col := range columns {
		role := Dim
		if col == s.Column {
			role = Heading
		}
		width := col.Width
		if width == 0 {
			width = w - x
		}
		if col.Left {
			c.TextIn(x, y, width, role, col.Heading)
		} else {
			c.TextRight(x, y, width, role, col.Heading)
		}
		c.onHeading(x, y, width, col)
		x += col.Width + gap(columns, i)
	}
}

func drawProcess(c *Canvas, y int, columns []*model.Column, s *model.State, i int) {
	w, _ := c.Size()
	row := &s.Rows[i]
	base := rowRole(row, s)
	x := 1
	for j, col := range columns {
		role := base
		switch {
		case row.Place.Head && headBlank(col, s):
			x += col.Width + gap(columns, j)
			continue
		case col.Width == 0:
			drawCommand(c, x, y, w-x, base, row)
			continue
		}
		line := col.Cell(c.g.line[:0], row, s.Sample)
		switch {
		case col.Name == "profit" && row.Pays():
			role = Bad
		case col.Name == "rmap_pg":
			line, role = heavyMark(line, role, row, s.Sample.PageSize)
		}
		if col.Left {
			c.BytesIn(x, y, col.Width, role, line)
		} else {
			c.BytesRight(x, y, col.Width, role, line)
		}
		c.g.line = line
		x += col.Width + gap(columns, j)
	}
	drawTag(c, y, row, s)
	drawCursor(c, y, i, &s.Table.List)
}

// drawTag marks a row that is tagged.
func drawTag(c *Canvas, y int, row *model.Row, s *model.State) {
	if s.Tagged(row) {
		c.Text(1, y, Tagged, c.Glyphs().Tag)
	}
}

// rowRole returns how a row is shown.
func rowRole(row *model.Row, s *model.State) Role {
	switch {
	case s.Tagged(row):
		return Tagged
	case row.Gone:
		return Dim
	case row.Place.Head:
		return Heading
	}
	return Normal
}

// headBlank reports whether a column has nothing to say of a group.
func headBlank(col *model.Column, s *model.State) bool {
	switch col.Name {
	case "pid", "ppid", "uid", "mode", "comm":
		return true
	case "user":
		return s.Group != model.ByUser
	}
	return false
}

// drawCommand draws the last column: the branches of the tree, and the command
// or the name of the group, with how many processes are below.
func drawCommand(c *Canvas, x, y, w int, role Role, row *model.Row) {
	line := c.g.line[:0]
	place := &row.Place
	g := c.Glyphs()
	for d := 1; d < min(place.Depth, w/4); d++ {
		if place.Through>>d&1 == 1 {
			line = append(line, g.TreeThrough...)
		} else {
			line = append(line, g.TreeBlank...)
		}
	}
	switch {
	case place.Depth == 0:
	case place.Last:
		line = append(append(line, g.TreeLast...), ' ')
	default:
		line = append(append(line, g.TreeChild...), ' ')
	}
	if place.Below > 0 {
		mark := g.Open
		if place.Closed {
			mark = g.Closed
		}
		line = append(append(line, mark...), ' ')
	}
	command := row.ShortCommand()
	if place.Below > 0 {
		// The number has to be seen, so it comes first where there is little room.
		line = strconv.AppendInt(append(line, '('), int64(place.Below), 10)
		if place.Head {
			line = append(line, ") "...)
		} else {
			line = append(line, " below) "...)
		}
	}
	line = append(line, command[:min(len(command), maxCommand)]...)
	c.BytesIn(x, y, w, role, line)
	c.g.line = line
}

// maxCommand is more of a command than any screen shows, in bytes: the longest
// are megabytes.
const maxCommand = 8192

// drawCursor marks line y as row i of a list, which a click selects.
func drawCursor(c *Canvas, y, i int, l *model.List) {
	if i == l.Selected {
		c.Text(0, y, Normal, c.Glyphs().Cursor)
		c.Select(0, y, c.w)
	}
	c.onRow(y, i)
}

// heavyMark completes the cell of RMAP/PG: seven cells, of which the last marks
// processes whose tracking costs more than merging saves.
func heavyMark(line []byte, role Role, r *model.Row, pageSize int64) ([]byte, Role) {
	ratio, ok := r.ItemsPerPage()
	if ok && len(line) > 6 {
		line = format.Amount(line[:0], ratio)
	}
	if ok && ratio >= float64(pageSize)/sysfs.ItemBytes {
		return append(line, '!'), Warn
	}
	return append(line, ' '), role
}

// drawEmpty says why there are no rows, and returns the line behind that.
func drawEmpty(c *Canvas, y int, s *model.State) int { return paragraph(c, y, Dim, whyEmpty(s)) }

func whyEmpty(s *model.State) string {
	switch {
	case s.Hidden > 0 && s.Filter.Text != "":
		hides := strconv.Itoa(s.Hidden) + " processes"
		if s.Hidden == 1 {
			hides = "1 process"
		}
		return "the filter hides " + hides + ": Esc drops it"
	case len(s.Filter.PIDs) > 0:
		return "the processes of -p have gone"
	case s.Filter.HasUID:
		return "no process of this user takes part in KSM"
	case s.Sample.Seen > 0 && !s.Sample.HasProcesses():
		return "this kernel does not tell which processes take part (Linux 5.19 does)"
	case s.Simulated():
		return "no guest takes part yet: time has to go on for that"
	case s.Sample.Denied > 0 || noteUnattributed.needed(s):
		return "no readable process takes part in KSM"
	}
	return "no process takes part in KSM: `ksmtop run -- CMD` starts one that does"
}

// note is one line below the table: a number in the column of the PIDs, and
// what it is about.
type note uint8

// The notes, the most important first.
const (
	noteRestricted note = iota
	noteDenied
	noteUnattributed
	noteUnlisted
	numNotes
)

// needed reports whether s needs the note.
func (n note) needed(s *model.State) bool {
	switch n {
	case noteRestricted:
		return restricted(s)
	case noteDenied:
		return s.Sample.Denied > 0
	case noteUnattributed:
		return s.Sample.HasUnattributed && s.Sample.Unattributed != 0 && s.Sample.HasProcesses()
	default:
		return unlisted(s) > 0
	}
}

func (n note) write(p pen, s *model.State) {
	const w = 8 // of the number
	switch n {
	case noteRestricted:
		p.right(0, w, Dim, format.Count(p.line(), uint64(s.Sample.Seen)))
		p.text(Dim, " processes are seen, not all").part().text(Dim, ": a container or hidepid hides the others")
	case noteDenied:
		p.right(0, w, Dim, format.Count(p.line(), uint64(s.Sample.Denied)))
		p.text(Dim, " may not be read").part().text(Dim, ": that needs root").part().text(Dim, " or CAP_DAC_READ_SEARCH")
	case noteUnattributed:
		p.right(0, w, Dim, format.Short(p.line(), s.Sample.Unattributed))
		p.text(Dim, " saved by processes that exited").part().text(Dim, " or may not be read")
	case noteUnlisted:
		p.right(0, w, Dim, format.Count(p.line(), uint64(unlisted(s))))
		p.text(Dim, " take no part in KSM").part().text(Dim, " (a lists them)")
	}
}

// notes returns how many notes s needs.
func notes(s *model.State) int {
	needed := 0
	for n := range numNotes {
		if n.needed(s) {
			needed++
		}
	}
	return needed
}

// drawNotes draws the notes that s needs, so many at most.
func drawNotes(c *Canvas, y, most int, s *model.State) {
	for n := range numNotes {
		if most > 0 && n.needed(s) {
			n.write(c.pen(0, y), s)
			y++
			most--
		}
	}
}

// restricted reports whether /proc does not show everything: ksmd, which is
// there where KSM is, cannot be seen.
func restricted(s *model.State) bool {
	return !s.NoKSM() && s.Sample.Seen > 0 && !s.Sample.Reading.Host.HasKSMD
}

// unlisted returns how many processes could be read and are not listed, since
// they have nothing to do with KSM.
func unlisted(s *model.State) int {
	if s.All || s.Filter.HasUID || len(s.Filter.PIDs) > 0 || s.Filter.Text != "" {
		return 0
	}
	return s.Sample.Readable - s.Sample.Registered
}

// drawEvents draws a title and the latest events, the latest on top.
func drawEvents(c *Canvas, s *model.State) {
	w, h := c.Size()
	c.Title(0, 0, w, "Events", "")
	later := s.Events.After(s.Sample.Time) // than the moment shown
	if s.Events.Len() == later {
		p := c.pen(1, 1)
		p.text(Dim, "nothing since ").clock(Dim, s.History.Since())
	}
	for i := 0; i < s.Events.Len()-later && i < h-1; i++ {
		drawEvent(c, 1+i, s.Events.Latest(later+i), s)
	}
}
