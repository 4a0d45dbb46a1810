package model

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Command is what a key asks of the program outside the model.
type Command uint8

// The commands.
const (
	Nothing Command = iota
	Quit
	SetDelay // to State.Delay
	SetWants // to State.Wants
	SetTheme // to State.Theme
	Refresh  // take a sample now
)

// generalBindings are the keys of any view.
func generalBindings(views []View) []Binding {
	bindings := []Binding{
		{[]string{"F1", "?", "h"}, "F1 ? h", "Help", "this list", (*State).openHelp, nil},
		{[]string{"Esc"}, "Esc", "", "one step back; stops what is being done", (*State).stepBack, nil},
	}
	bindings = append(bindings, viewBindings(views)...)
	bindings = append(bindings, Binding{[]string{"F2"}, "F2", "Knobs", "KSM's settings; root changes them", (*State).openKnobs, withoutKnobs})
	bindings = append(bindings, simBindings()...)
	bindings = append(bindings, pastBindings()...)
	return append(bindings, []Binding{
		{[]string{"Tab"}, "Tab", "", "the next view", nextView(1), nil},
		{[]string{"Shift-Tab"}, "Shift-Tab", "", "the view before", nextView(-1), nil},
		{[]string{"d"}, "d", "", "change the time between two samples", (*State).askDelay, nil},
		{[]string{"i"}, "i", "", "what is this number? With the mouse: click on one", (*State).openTopics, withoutNumbers},
		{[]string{"T"}, "T", "", "next theme: dark, light, mono, cvd", (*State).nextTheme, nil},
		{[]string{"Ctrl-L"}, "Ctrl-L", "", "draw everything anew", nothing, nil}, // done by package term
		{[]string{"Ctrl-Z"}, "Ctrl-Z", "", "suspend; fg comes back", nothing, nil},
		{[]string{"F10", "q", "Ctrl-C"}, "F10 q", "Quit", "quit; so does Ctrl-C", func(*State) Command { return Quit }, nil},
	}...)
}

// cursorBindings are the keys of the cursor in any view with a list.
func cursorBindings() []Binding {
	return []Binding{
		{[]string{"Up", "k"}, "Up k", "", "one row up", move(-1), withoutList},
		{[]string{"Down", "j"}, "Down j", "", "one row down", move(1), withoutList},
		{[]string{"PgUp"}, "PgUp", "", "one page up", page(-1), withoutList},
		{[]string{"PgDn"}, "PgDn", "", "one page down", page(1), withoutList},
		{[]string{"Home", "g"}, "Home g", "", "first row", move(-wholeList), withoutList},
		{[]string{"End", "G"}, "End G", "", "last row", move(wholeList), withoutList},
	}
}

// Keys returns the keys that work now: those of the dialog in front or of the
// view.
func (s *State) Keys() *Keymap {
	if d := s.Dialog(); d != nil {
		return d.Keys()
	}
	return &s.Current().Keys
}

// Key does what a key asks for, and returns what is left to the program.
func (s *State) Key(key string) Command {
	s.Message = ""
	switch {
	case key == "Ctrl-C":
		return Quit
	case s.Prompt != nil:
		return s.promptKey(key)
	}
	b := s.Keys().find(key)
	if b == nil {
		s.Message = fmt.Sprintf("%s does nothing here; F1 lists the keys", key)
		if s.Dialog() != nil {
			s.Message = "Esc closes the box"
		}
		return Nothing
	}
	if why := b.Unavailable(s); why != "" {
		s.Message = why
		return Nothing
	}
	return b.do(s)
}

// isOwn reports whether a binding is one of the view in front alone.
func (s *State) isOwn(b *Binding) bool {
	own := s.Current().Keys.Own
	for i := range own {
		if &own[i] == b {
			return true
		}
	}
	return false
}

func nothing(*State) Command { return Nothing }

// withoutList says why there is nothing to move in.
func withoutList(s *State) string {
	if s.Current().NeedsKSM && s.NoKSM() {
		return "without KSM there is nothing to choose from here"
	}
	return ""
}

func move(by int) func(*State) Command {
	return func(s *State) Command {
		if l := s.currentList(); l != nil {
			l.Choose(l.Selected + by)
		}
		return Nothing
	}
}

func page(by int) func(*State) Command {
	return func(s *State) Command {
		if l := s.currentList(); l != nil {
			l.Choose(l.Selected + by*max(1, l.page))
		}
		return Nothing
	}
}

// stepBack stops what is being done beside the screen, as the line above the keys
// says, or else undoes the last step of those that lead somewhere: in the view,
// from one view to another, into the past.
func (s *State) stepBack() Command {
	v := s.Current()
	switch {
	case s.stopTask():
	case v.back != nil && v.back(s):
	case s.leave():
	case s.Paused:
		return s.goLive()
	}
	return Nothing
}

func (s *State) openHelp() Command { return s.Open(&Dialog{Kind: HelpText, Title: "Help"}) }

// Delays that the screen takes.
const (
	shortestDelay = 10 * time.Millisecond
	longestDelay  = time.Hour
)

func (s *State) askDelay() Command {
	return s.ask(&Prompt{
		Label: fmt.Sprintf("Delay (now %v): ", s.Delay),
		Hint:  []string{"like 500ms or 2s, or seconds", "Enter sets it", "Esc leaves it"},
		done: func(s *State, text string) (Command, error) {
			d, err := ParseDelay(text)
			switch {
			case err != nil:
				return Nothing, err
			case d < shortestDelay:
				return Nothing, errors.New("must be at least 10ms")
			case d > longestDelay:
				return Nothing, errors.New("must be at most 1h")
			}
			s.Delay = d
			return SetDelay, nil
		},
	})
}

// Themes are the names of the colour themes, in the order of the key.
var Themes = []string{"dark", "light", "mono", "cvd"}

func (s *State) nextTheme() Command {
	s.Theme = Themes[(slices.Index(Themes, s.Theme)+1)%len(Themes)]
	s.Message = "theme " + s.Theme
	return SetTheme
}
