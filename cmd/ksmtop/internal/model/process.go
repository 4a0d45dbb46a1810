package model

import "fmt"

// openProcess shows the areas of the selected process or, where there is no memory
// to look at, its numbers.
func (s *State) openProcess() Command {
	r := s.SelectedRow()
	switch {
	case r.Place.Head:
		return s.toggleBranch()
	case s.Memory == nil || s.Simulated() || r.Gone:
		return s.showProcess(r)
	}
	return s.ShowAreas(targetOf(r))
}

// showProcess shows the numbers of a process, each with what it means.
func (s *State) showProcess(r *Row) Command {
	d := &Dialog{Title: fmt.Sprintf("Process %d %s", r.PID, r.Name)}
	add := func(format string, args ...any) { d.Text = append(d.Text, fmt.Sprintf(format, args...)) }
	add("%s", r.Command)
	add("")
	if ratio, ok := r.ItemsPerPage(); ok && r.Pays() {
		add("It costs more than it saves: ksmd tracks %d of its pages, 64 bytes of metadata each, and merged %d. That is %.1f for each; from %d on tracking costs more.",
			r.KSM.RmapItems, r.MergedPages(), ratio, s.Sample.PageSize/64)
		add("")
	} else if r.Pays() {
		add("It costs more than it saves: ksmd tracks %d of its pages, 64 bytes of metadata each, and merged none.", r.KSM.RmapItems)
		add("")
	}
	for _, name := range AllColumns {
		c := ColumnByName(name)
		if name == "comm" || name == "command" || name == "pid" {
			continue
		}
		unit := c.Unit
		if c.Short != nil {
			unit = ""
		}
		d.Words = append(d.Words, Word{c.Heading, fmt.Sprintf("%s%s: %s", c.Cell(nil, r, s.Sample), unit, c.Meaning)})
	}
	return s.Open(d)
}
