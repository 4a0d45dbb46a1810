package model

// searchBindings are the keys of any view in whose list one can search.
func searchBindings() []Binding {
	return []Binding{
		{[]string{"F3", "/"}, "F3 /", "Search", "go to the next row with a text; as in a filter, or | may stand between several", (*State).askSearch, withoutList},
		{[]string{"n"}, "n", "", "the next row with it", searchAgain(1), withoutSearch},
		{[]string{"N"}, "N", "", "the one before", searchAgain(-1), withoutSearch},
	}
}

func withoutSearch(s *State) string {
	if s.Search == "" {
		return "nothing was searched for: / does"
	}
	return withoutList(s)
}

// askSearch goes to what is being typed, from the row on where it began.
func (s *State) askSearch() Command {
	l := s.currentList()
	from := l.Selected
	follow := func(s *State, text string) {
		s.Search = text
		if !s.find(from, 1) {
			l.Choose(from)
		}
	}
	return s.ask(&Prompt{
		Label: "Search: ", most: longestText,
		Hint:    []string{"part of what a row says", "Enter stays there, then n and N go on", "Esc goes back"},
		typed:   follow,
		dropped: func(s *State) { s.Search = ""; l.Choose(from) },
		done: func(s *State, text string) (Command, error) {
			s.Search = text
			if !s.find(from, 1) {
				s.Message = "nothing has " + text
			}
			return Nothing, nil
		},
	})
}

// searchAgain goes to the next row, or the one before, with what was searched
// for.
func searchAgain(by int) func(*State) Command {
	return func(s *State) Command {
		if !s.find(s.currentList().Selected+by, by) {
			s.Message = "nothing has " + s.Search
		}
		return Nothing
	}
}

// find selects the first row from i on, in steps of by and around the end, that
// has what is searched for, and reports whether there is one.
func (s *State) find(i, by int) bool {
	v := s.Current()
	l := v.list(s)
	n := l.Len()
	for k := range n {
		at := ((i+k*by)%n + n) % n
		if v.matches(s, at, s.Search) {
			l.Choose(at)
			return true
		}
	}
	return false
}

// hasText reports whether one of the words, between which there are bars, is in
// a text.
func hasText(text, words string) bool {
	r := Row{Command: text}
	return words != "" && r.has(words)
}
