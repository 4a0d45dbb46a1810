package model

// Panel is a panel of the Overview that has the whole screen.
type Panel uint8

// The panels that can have it. The two charts of ksmd have no other place.
const (
	NoPanel Panel = iota
	NetPanel
	BrokenPanel
	CPUPanel
	VisitsPanel
	TablePanel
	numPanels
)

// expand gives the next panel the whole screen, and after the last the Overview
// is back.
func (s *State) expand() Command {
	s.Panel = (s.Panel + 1) % numPanels
	return Nothing
}

// overviewBack closes the panel that has the whole screen, or drops the filter.
func overviewBack(s *State) bool {
	if s.Panel != NoPanel {
		s.Panel = NoPanel
		return true
	}
	return s.dropFilter()
}

func overviewView() View {
	expand := Binding{[]string{"e"}, "e", "", "one panel on the whole screen, then the next; Esc goes back", (*State).expand, withoutTable}
	return View{
		ID: Overview, Name: "Overview", Short: "Over", About: "what KSM saves and costs, and who gains",
		Keys: Keymap{Own: append(tableBindings(), expand)}, list: tableList, matches: rowMatches, back: overviewBack, NeedsKSM: true,
	}
}

func processesView() View {
	columns := []Binding{
		{[]string{"Right"}, "Right", "", "one column to the right", scrollColumns(1), withoutTable},
		{[]string{"Left"}, "Left", "", "one column to the left", scrollColumns(-1), withoutTable},
	}
	return View{
		ID: Processes, Name: "Processes", Short: "Proc", About: "all columns, trees, groups and tags",
		Keys: Keymap{Own: append(tableBindings(), columns...)}, list: tableList, matches: rowMatches, back: (*State).dropFilter, NeedsKSM: true,
	}
}

func rowMatches(s *State, i int, text string) bool { return text != "" && s.Rows[i].has(text) }
