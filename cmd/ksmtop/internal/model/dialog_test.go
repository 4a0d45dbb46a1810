package model

import (
	"strings"
	"testing"
)

// TestDialogs presses keys in a menu of three items, of which the second cannot
// be chosen, and in a question with three buttons, of which the third needs a
// word.
func TestDialogs(t *testing.T) {
	menu := func(s *State) {
		mark := func(to string) func(*State) Command { return func(s *State) Command { s.User = to; return Refresh } }
		s.Open(&Dialog{Title: "menu", Items: []Item{{Text: "one", do: mark("one")}, {Text: "two", Why: "not today", do: mark("two")}, {Text: "three"}}})
	}
	question := func(s *State) {
		s.Confirm("really?", []string{"text"},
			Button{Text: "Stop", do: func(s *State) Command { s.User = "stop"; return Refresh }},
			Button{Text: "type burn", Word: "burn", do: func(s *State) Command { s.User = "burnt"; return Refresh }})
	}
	tests := []struct {
		name    string
		open    func(*State)
		keys    string
		command Command
		did     string
		open2   bool // still open
		message string
	}{
		{"first item", menu, "Enter", Refresh, "one", false, ""},
		{"item that cannot be chosen", menu, "Down Enter", Nothing, "", true, "not today"},
		{"item that does nothing", menu, "End Enter", Nothing, "", false, ""},
		{"no item after the last", menu, "Down Down Down Up Up Enter", Refresh, "one", false, ""},
		{"menu left", menu, "Esc", Nothing, "", false, ""},
		{"menu quit", menu, "F10", Quit, "", true, ""},
		{"keys of the view", menu, "s", Nothing, "", true, "Esc closes the box"},
		{"the safe answer", question, "Enter", Nothing, "", false, ""},
		{"the second button", question, "Right Enter", Refresh, "stop", false, ""},
		{"buttons go round", question, "Left Left Space", Refresh, "stop", false, ""},
		{"word not typed", question, "Left Enter Enter", Nothing, "", true, ""},
		{"another word", question, "Left Enter b u r p Enter", Nothing, "", true, errNotTyped.Error()},
		{"the word", question, "Left Enter b u r n Enter", Refresh, "burnt", false, ""},
		{"the word is dropped", question, "Left Enter b u r n Esc", Nothing, "", true, ""},
	}
	for _, tt := range tests {
		s := stateWith(3)
		tt.open(s)
		var got Command
		for key := range strings.FieldsSeq(tt.keys) {
			got = s.Key(key)
		}
		if got != tt.command || s.User != tt.did || (s.Dialog() != nil) != tt.open2 || s.Message != tt.message {
			t.Errorf("%s: command %d, did %q, open %t, message %q", tt.name, got, s.User, s.Dialog() != nil, s.Message)
		}
	}
}

// TestDialogsStack opens one dialog over another, which comes back.
func TestDialogsStack(t *testing.T) {
	s := stateWith(3)
	s.Confirm("first", nil)
	s.Confirm("second", nil)
	for _, want := range []string{"second", "first"} {
		if got := s.Dialog().Title; got != want {
			t.Errorf("the dialog in front is %q, want %q", got, want)
		}
		s.Key("Esc")
	}
	if s.Dialog() != nil || s.CloseDialog() != Nothing {
		t.Error("there is a dialog left")
	}
}

// TestEscLeadsBack enters one view from another.
func TestEscLeadsBack(t *testing.T) {
	s := stateWith(3)
	s.Enter(EventList)
	if s.View != EventList {
		t.Fatalf("view %d, want %d", s.View, EventList)
	}
	s.Key("Esc")
	s.Key("Esc") // and no farther
	if s.View != Overview {
		t.Errorf("view %d after Esc, want %d", s.View, Overview)
	}
	s.Enter(EventList)
	s.Key("7") // chosen, it is not one that was entered
	s.Key("Esc")
	if s.View != EventList {
		t.Errorf("view %d, want %d", s.View, EventList)
	}
}

// TestNothingIsDoneUnseen presses buttons of a question whose text has no room.
func TestNothingIsDoneUnseen(t *testing.T) {
	s := stateWith(1)
	done := false
	s.Confirm("really?", []string{"text"}, Button{Text: "Do it", do: func(*State) Command { done = true; return Nothing }})
	s.Dialog().Scroller.Fit(1, 0)
	s.Key("Right")
	s.Key("Enter")
	if want := "the screen is too small to show what this does"; done || s.Message != want {
		t.Errorf("done %t, message %q, want %q", done, s.Message, want)
	}
	s.Dialog().Scroller.Fit(1, 1)
	if s.Key("Enter"); !done {
		t.Error("with room for the text the button does nothing")
	}
}
