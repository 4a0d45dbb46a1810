package model

import (
	"cmp"
	"fmt"
	"slices"
)

// tableBindings are the keys of the views that show the table of processes.
func tableBindings() []Binding {
	return []Binding{
		{[]string{"Enter"}, "Enter", "", "the memory of the process, area by area", (*State).openProcess, withoutRows},
		{[]string{"Space"}, "Space", "", "tag the process, or untag it", (*State).tag, withoutRows},
		{[]string{"c"}, "c", "", "tag it and all below it in the tree or group", (*State).tagBelow, withoutRows},
		{[]string{"U"}, "U", "", "untag all", (*State).untagAll, withoutTags},
		{[]string{"F9"}, "F9", "Actions", "what can be done with the tagged processes, or with the selected one", (*State).openActions, withoutRows},
		{[]string{"w"}, "w", "", "what if the tagged processes, or the selected one, were merged", (*State).whatIfTagged, withoutScan},
		{[]string{"F4", "\\"}, "F4 \\", "Filter", "show only processes with a text, or one of several: qemu|php", (*State).askFilter, withoutTable},
		{[]string{"u"}, "u", "", "show only one user's processes", (*State).chooseUser, withoutTable},
		{[]string{"a"}, "a", "", "list also processes that take no part in KSM", (*State).toggleAll, allFixed},
		{[]string{"F5", "t"}, "F5 t", "Tree", "children below their parents", (*State).toggleTree, withoutTable},
		{[]string{"b"}, "b", "", "sums by user, command, cgroup or virtual machine", (*State).chooseGroups, withoutTable},
		{[]string{"-", "+"}, "- +", "", "hide what is below the row in the tree or group, or show it again", (*State).toggleBranch, withoutRows},
		{[]string{"F6", "s", ">"}, "F6 s >", "Sort", "sort by the next column", sortNext(1), withoutTable},
		{[]string{"<"}, "<", "", "sort by the column before", sortNext(-1), withoutTable},
		{[]string{"I"}, "I", "", "sort the other way round", sortNext(0), withoutTable},
	}
}

func tableList(s *State) *List { return &s.Table.List }

func withoutTable(s *State) string {
	if s.NoKSM() {
		return "without KSM there is no table of processes"
	}
	return ""
}

func withoutRows(s *State) string {
	if why := withoutTable(s); why != "" {
		return why
	}
	if len(s.Rows) == 0 {
		return "there is no process in the table"
	}
	return ""
}

func withoutTags(s *State) string {
	if s.Tags() == 0 {
		return "nothing is tagged: Space tags a process"
	}
	return ""
}

func allFixed(s *State) string {
	switch {
	case s.NoKSM():
		return withoutTable(s)
	case len(s.Filter.PIDs) > 0:
		return "-p chose the processes"
	case s.Paused:
		return "paused: F7 goes on, then a lists all processes"
	}
	return ""
}

// sortNext sorts by the column that many steps to the right: with 0 the other
// way round.
func sortNext(by int) func(*State) Command {
	return func(s *State) Command {
		if by == 0 {
			s.SortBy(s.Column)
		} else {
			s.SortBy(s.nextColumn(by))
		}
		return Nothing
	}
}

func (s *State) toggleAll() Command {
	s.All = !s.All
	s.arrange()
	return SetWants
}

func (s *State) toggleTree() Command {
	s.Tree = !s.Tree || s.Group != NoGroups
	s.Group = NoGroups
	s.arrange()
	return SetWants
}

// toggleBranch hides or shows what is below the selected row.
func (s *State) toggleBranch() Command {
	r := s.SelectedRow()
	if r.Place.Below == 0 {
		s.Message = "nothing is below this row; F5 shows the tree of processes"
		return Nothing
	}
	if s.closed == nil {
		s.closed = make(map[process]bool)
	}
	if r.Place.Closed {
		delete(s.closed, r.id())
	} else {
		s.closed[r.id()] = true
	}
	s.chosen = true
	s.arrange()
	return Nothing
}

// chooseGroups asks by what to form groups.
func (s *State) chooseGroups() Command {
	d := &Dialog{Title: "Groups of processes", Text: []string{"A row for each group, with the sums of its processes:"}}
	for g, name := range Groupings {
		d.Items = append(d.Items, Item{Text: name, do: func(s *State) Command {
			s.Group = Grouping(g)
			s.arrange()
			return SetWants
		}})
	}
	s.Open(d)
	d.Choose(int(s.Group))
	return Nothing
}

// chooseUser asks whose processes to show.
func (s *State) chooseUser() Command {
	d := &Dialog{Title: "Processes of one user"}
	d.Items = append(d.Items, Item{Text: "all users", do: func(s *State) Command { return s.showUser(0, false) }})
	type user struct {
		name      string
		uid       uint32
		processes int
	}
	var users []user
	if s.Sample != nil {
		for i := range s.Sample.Rows {
			r := &s.Sample.Rows[i]
			at := slices.IndexFunc(users, func(u user) bool { return u.uid == r.UID })
			if at < 0 {
				at = len(users)
				users = append(users, user{name: r.User, uid: r.UID})
			}
			users[at].processes++
		}
	}
	slices.SortFunc(users, func(a, b user) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.uid, b.uid)) })
	for _, u := range users {
		d.Items = append(d.Items, Item{
			Text: fmt.Sprintf("%s (%d)", u.name, u.processes),
			do:   func(s *State) Command { return s.showUser(u.uid, true) },
		})
	}
	s.Open(d)
	for i, u := range users {
		if s.Filter.HasUID && s.Filter.UID == u.uid {
			d.Choose(i + 1)
		}
	}
	return Nothing
}

func (s *State) showUser(uid uint32, only bool) Command {
	s.Filter.UID, s.Filter.HasUID = uid, only
	s.arrange()
	return Nothing
}

// longestText is how many characters a filter or a search can have.
const longestText = 60

// askFilter changes the filter while it is typed.
func (s *State) askFilter() Command {
	before := s.Filter.Text
	set := func(s *State, text string) {
		s.Filter.Text = text
		s.arrange()
	}
	return s.ask(&Prompt{
		Label: "Filter: ", Text: before, most: longestText, empty: true,
		Hint:    []string{"part of a pid, user or command", "or several: qemu|php", "Enter keeps it", "Esc drops it"},
		typed:   set,
		dropped: func(s *State) { set(s, "") },
		done:    func(s *State, text string) (Command, error) { set(s, text); return Nothing, nil },
	})
}

// dropFilter drops what the user filters by, and reports whether there was
// anything.
func (s *State) dropFilter() bool {
	if s.Filter.Text == "" {
		return false
	}
	s.Filter.Text = ""
	s.arrange()
	return true
}

// openActions asks what to do with the tagged processes, or the selected one.
func (s *State) openActions() Command {
	rows := s.TaggedRows()
	if len(rows) == 0 {
		s.Message = "this row is no process that is there"
		return Nothing
	}
	title := fmt.Sprintf("%d %s", rows[0].PID, rows[0].Name)
	if len(rows) > 1 {
		title = fmt.Sprintf("%d tagged processes", len(rows))
	}
	return s.Open(&Dialog{Title: "Actions", Text: []string{"With " + title + ":"}, Items: s.actions(rows)})
}

// actions returns what can be done with processes.
func (s *State) actions(rows []Row) []Item {
	items := []Item{
		{Text: "whole command lines, to copy them", do: func(s *State) Command { return s.showCommands(rows) }},
		{Text: "their numbers, and what each means", do: func(s *State) Command { return s.showProcess(&rows[0]) }},
		{Text: "untag all", Why: withoutTags(s), do: (*State).untagAll},
		{Text: "what if their memory were merged", Why: withoutMemory(s), do: func(s *State) Command { return s.scanRows(rows, WhatIf) }},
		{Text: "what their memory has in common", Why: withoutMemory(s), do: func(s *State) Command { return s.scanRows(rows, Sharing) }},
	}
	if len(rows) > 1 {
		items[1].Why = "for one process only: untag the others"
	}
	return items
}

func (s *State) showCommands(rows []Row) Command {
	d := &Dialog{Title: "Command lines", Text: []string{"With Shift the mouse selects text.", ""}}
	for i := range rows {
		d.Text = append(d.Text, fmt.Sprintf("%d  %s", rows[i].PID, rows[i].Command))
	}
	return s.Open(d)
}
