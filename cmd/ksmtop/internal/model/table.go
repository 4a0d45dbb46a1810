package model

import (
	"cmp"
	"slices"
)

// Table is the table of processes, which several views show.
type Table struct {
	// List has the place of the selected row in Rows. The selection follows the
	// process wherever it goes.
	List

	// Rows are the sample's, filtered and sorted, with those of the sample
	// before that have gone. In a tree they stand in its order, in groups below
	// the row of their group's sums.
	Rows []Row

	Column   *Column // sorted by
	Inverted bool
	All      bool // list processes that have nothing to do with KSM, too
	Filter   Filter
	Tree     bool
	Group    Grouping

	// FirstColumn is how many columns, after the first, are scrolled away at the
	// left.
	FirstColumn int

	// Hidden is how many processes of the sample the filter hides.
	Hidden int

	gone      []Row
	tagged    map[process]bool
	tagsEnded bool             // the last of them have been dropped since
	closed    map[process]bool // branches of the tree and groups whose rows are not shown
	forest    forest
	wanted    []bool // which rows of the sample are ancestors of those shown
}

// id returns what identifies the row's process.
func (r *Row) id() process { return process{r.PID, r.Start} }

// SelectedRow returns the selected process, or nil.
func (s *State) SelectedRow() *Row {
	if s.Selected >= len(s.Rows) {
		return nil
	}
	return &s.Rows[s.Selected]
}

// selectedProcess identifies the selected process. It is zero if there is none.
func (s *State) selectedProcess() process {
	if r := s.SelectedRow(); r != nil {
		return r.id()
	}
	return process{}
}

// findGone keeps the rows that are shown now and that the next sample does not
// have.
func (s *State) findGone(next *Sample) {
	s.gone = s.gone[:0]
	if next.Seen == 0 {
		return // /proc could not be listed
	}
	for i := range s.Rows {
		r := &s.Rows[i]
		if r.Gone || r.Place.Head || next.rowOf(r.id()) != nil {
			continue
		}
		s.gone = append(s.gone, *r)
		s.gone[len(s.gone)-1].Gone = true
		if s.Tagged(r) && !r.KSM.Registered() { // of others there is an event anyway
			s.Events.add(next.Time, false, "%d %s, which was tagged, has gone", r.PID, r.Name)
		}
	}
}

// rowOf returns the row of a process, or nil.
func (s *Sample) rowOf(p process) *Row {
	at, found := slices.BinarySearchFunc(s.Rows, p.pid, func(r Row, pid int) int { return cmp.Compare(r.PID, pid) })
	if !found || s.Rows[at].Start != p.start {
		return nil
	}
	return &s.Rows[at]
}

// arrange filters and sorts the rows, and finds the selected process again
// wherever it stands now.
func (s *State) arrange() {
	if s.Sample == nil {
		return
	}
	selected := s.selectedProcess()
	s.filterRows()
	Sort(s.Rows, s.Column, s.Inverted)
	switch {
	case s.Group != NoGroups:
		s.Rows = s.forest.groups(s.Rows, s.Group, s.Column, s.Inverted, s.closed)
	case s.Tree:
		s.Rows = s.forest.tree(s.Rows, s.closed)
	}
	s.Table.SetLen(len(s.Rows))
	if !s.chosen {
		s.selectRow(0)
		return
	}
	for i := range s.Rows {
		if s.Rows[i].id() == selected {
			s.selectRow(i)
			break
		}
	}
}

// filterRows takes the rows that are to be shown from the sample.
func (s *State) filterRows() {
	s.Rows, s.Hidden = s.Rows[:0], 0
	s.wanted = slices.Grow(s.wanted[:0], len(s.Sample.Rows))[:len(s.Sample.Rows)]
	clear(s.wanted)
	for i := range s.Sample.Rows {
		if r := &s.Sample.Rows[i]; s.listed(r) && s.Filter.shows(r) {
			s.wanted[i] = true
			if s.Tree && s.Group == NoGroups {
				s.wantAncestors(r)
			}
		}
	}
	for i := range s.Sample.Rows {
		if s.wanted[i] {
			s.Rows = append(s.Rows, s.Sample.Rows[i])
		} else if s.listed(&s.Sample.Rows[i]) {
			s.Hidden++
		}
	}
	for i := range s.gone {
		if s.Filter.shows(&s.gone[i]) && s.listed(&s.gone[i]) {
			s.Rows = append(s.Rows, s.gone[i])
		}
	}
}

// listed reports whether a process is one of those that the table is about.
func (s *State) listed(r *Row) bool {
	return s.All || r.KSM.Registered() || len(s.Filter.PIDs) > 0
}

// wantAncestors marks all processes from which r descends, which a tree needs.
// Above one that is marked already it stops: there it has been done, or will be.
func (s *State) wantAncestors(r *Row) {
	for {
		at, found := slices.BinarySearchFunc(s.Sample.Rows, r.PPID, func(r Row, pid int) int { return cmp.Compare(r.PID, pid) })
		if !found || s.wanted[at] {
			return
		}
		s.wanted[at] = true
		r = &s.Sample.Rows[at]
	}
}

// Wants is what the table needs samples to have beside registered processes.
type Wants struct {
	All   bool // processes that have nothing to do with KSM, too
	Units bool // the control groups and virtual machines of processes
}

// Wants returns what samples should have.
func (s *State) Wants() Wants {
	return Wants{
		All:   s.All || len(s.Filter.PIDs) > 0 || s.Tree && s.Group == NoGroups,
		Units: s.Group == ByCgroup || s.Group == ByGuest,
	}
}

// SortBy sorts by another column, and the other way round if it is the same.
func (s *State) SortBy(c *Column) {
	if s.Column == c {
		s.Inverted = !s.Inverted
	} else {
		s.Column, s.Inverted = c, false
	}
	s.arrange()
}

// TableColumns are the columns of the table of processes in the Overview.
var TableColumns = []string{"pid", "user", "mode", "merged", "ofrss", "rmap_pg", "profit", "trend", "command"}

// AllColumns are the columns of the view of processes. The first and the last
// are always shown.
var AllColumns = []string{
	"pid", "user", "mode", "merged", "ofrss", "rmap_pg", "profit", "trend",
	"net", "saved", "zero", "rss", "items", "ppid", "uid", "comm", "command",
}

// ColumnNames returns the names of the columns of the table in front.
func (s *State) ColumnNames() []string {
	if s.View == Processes {
		return AllColumns
	}
	return TableColumns
}

// nextColumn returns the column of the table in front that is by steps to the
// right of the one sorted by.
func (s *State) nextColumn(by int) *Column {
	names := s.ColumnNames()
	n := len(names)
	return ColumnByName(names[((slices.Index(names, s.Column.Name)+by)%n+n)%n])
}

// scrollColumns moves the table's columns by that many.
func scrollColumns(by int) func(*State) Command {
	return func(s *State) Command {
		s.FirstColumn = max(0, min(s.FirstColumn+by, len(AllColumns)-3))
		return Nothing
	}
}

// Tagged reports whether the user has tagged a row.
func (s *State) Tagged(r *Row) bool { return len(s.tagged) > 0 && s.tagged[r.id()] }

// TaggedRows returns the tagged processes of the sample or, if there are none,
// the selected one.
func (s *State) TaggedRows() []Row {
	var rows []Row
	if s.Sample == nil {
		return nil
	}
	for i := range s.Sample.Rows {
		if s.Tagged(&s.Sample.Rows[i]) {
			rows = append(rows, s.Sample.Rows[i])
		}
	}
	if r := s.SelectedRow(); len(rows) == 0 && r != nil && !r.Place.Head && !r.Gone {
		rows = append(rows, *r)
	}
	return rows
}

// Tags returns how many processes are tagged.
func (s *State) Tags() int { return len(s.tagged) }

// dropTags forgets the tags of processes that the sample does not have.
func (s *State) dropTags() {
	tags := len(s.tagged)
	for p := range s.tagged {
		if s.Sample.rowOf(p) == nil && s.Sample.Seen > 0 && !slices.ContainsFunc(s.gone, func(r Row) bool { return r.id() == p }) {
			delete(s.tagged, p)
		}
	}
	if tags > 0 && len(s.tagged) == 0 {
		s.tagsEnded = true
	}
}

// TagsEnded reports whether there were tags, and all processes that had them have
// ended: what was to be done with them is to be done with nothing else.
func (s *State) TagsEnded() bool { return s.tagsEnded && len(s.tagged) == 0 }

// tag tags or untags the selected row, and goes one down.
func (s *State) tag() Command {
	s.tagRows(1)
	s.Choose(s.Selected + 1)
	return Nothing
}

// tagBelow tags or untags the selected row and all below it in the tree or the
// group.
func (s *State) tagBelow() Command {
	if r := s.SelectedRow(); r != nil {
		s.tagRows(1 + r.Place.Shown)
	}
	return Nothing
}

// tagRows tags n rows from the selected one on, or untags them if that is
// tagged. A group has no tag, so all in it get one.
func (s *State) tagRows(n int) {
	first := s.SelectedRow()
	if first == nil {
		return
	}
	on := !s.Tagged(first)
	if first.Place.Head && len(s.Rows) > s.Selected+1 {
		n = 1 + first.Place.Shown
		on = first.Place.Shown > 0 && !s.Tagged(&s.Rows[s.Selected+1])
	}
	s.tagsEnded = false
	if s.tagged == nil {
		s.tagged = make(map[process]bool)
	}
	for i := s.Selected; i < min(len(s.Rows), s.Selected+n); i++ {
		switch r := &s.Rows[i]; {
		case r.Place.Head || r.Gone:
		case on:
			s.tagged[r.id()] = true
		default:
			delete(s.tagged, r.id())
		}
	}
}

func (s *State) untagAll() Command {
	clear(s.tagged)
	return Nothing
}
