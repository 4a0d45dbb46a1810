package model

// EventsLog is the view of all events, the latest on top.
type EventsLog struct {
	List
	Problems bool    // show problems only
	Shown    []Event // the latest first

	seen uint64 // Events.noted when the view was last in front
}

func eventsView() View {
	return View{
		ID: EventList, Name: "Events", Short: "Events", About: "what happened, and when",
		Keys: Keymap{Own: []Binding{
			{[]string{"Enter"}, "Enter", "Go to", "go back to that moment, paused; Esc and L lead to the present", (*State).openEvent, withoutEvents},
			{[]string{"!"}, "!", "Problems", "show problems only, or all events again", (*State).toggleProblems, nil},
		}},
		matches: func(s *State, i int, text string) bool { return hasText(s.Log.Shown[i].Text, text) },
		list:    func(s *State) *List { return &s.Log.List },
		news:    func(s *State) int { return int(s.Events.noted - s.Log.seen) },
		shown:   (*State).arrangeLog,
	}
}

// arrangeLog chooses which events are shown. The selection stays at the same
// event, or on top until the user moves it.
func (s *State) arrangeLog() {
	l := &s.Log
	if s.View == EventList && !s.behind {
		l.seen = s.Events.noted
	}
	at, selected := 0, uint64(0)
	if l.chosen && l.Selected < len(l.Shown) {
		at, selected = l.Selected, l.Shown[l.Selected].id
	}
	l.Shown = l.Shown[:0]
	for i := range s.Events.Len() {
		e := s.Events.Latest(i)
		if l.Problems && !e.Problem {
			continue
		}
		if e.id == selected {
			at = len(l.Shown)
		}
		l.Shown = append(l.Shown, *e)
	}
	l.SetLen(len(l.Shown))
	l.selectRow(at)
}

func (s *State) toggleProblems() Command {
	s.Log.Problems = !s.Log.Problems
	s.arrangeLog()
	return Nothing
}

func withoutEvents(s *State) string {
	if len(s.Log.Shown) == 0 {
		return "there is no event"
	}
	return ""
}

// openEvent shows the moment of the selected event, with whom it is about.
func (s *State) openEvent() Command {
	e := s.Log.Shown[s.Log.Selected]
	i := s.past.find(e.At)
	s.Enter(Overview)
	s.pause(i)
	if !s.frozen.Time.Equal(e.At) {
		s.Message = "the nearest moment that is kept is " + s.frozen.Time.Format("15:04:05")
	}
	for at := range s.Rows {
		if e.who != (process{}) && s.Rows[at].id() == e.who {
			s.Choose(at)
			return Nothing
		}
	}
	return Nothing
}
