package model

import (
	"slices"
	"strconv"
	"strings"
)

// ViewID names a view. It is the number of its key, too.
type ViewID uint8

// The views.
const (
	Overview ViewID = 1 + iota
	Processes
	VMAs
	Sharing
	WhatIf
	Simulator
	EventList
)

// View is one of the program's screens, apart from what it looks like.
type View struct {
	ID          ViewID
	Name, Short string // on its tab, with room and without
	About       string // a line of Help
	Keys        Keymap

	// list returns the list that the keys of the cursor and the mouse move in,
	// or nil if there is none now. A view without such a list has none at all.
	list func(*State) *List

	// matches reports whether row i of the list has what is searched for. Nil
	// means that one cannot search.
	matches func(s *State, i int, text string) bool

	// news returns what the tab says of things that the user has not seen yet:
	// how many there are.
	news func(*State) int

	// shown, if any, is called when the view comes to the front.
	shown func(*State)

	// back does the first thing that there is to go back from, and reports
	// whether there was any.
	back func(*State) bool

	// NeedsKSM says that there is nothing to show without KSM.
	NeedsKSM bool
}

// News returns how many things the view has that the user has not seen.
func (v *View) News(s *State) int {
	if v.news == nil {
		return 0
	}
	return v.news(s)
}

// newViews returns all views that there are. One more is one more line here and
// in package view's table of screens.
func newViews() []View {
	views := []View{
		overviewView(),
		processesView(),
		vmasView(),
		sharingView(),
		whatIfView(),
		simulatorView(),
		eventsView(),
	}
	general := generalBindings(views)
	for i := range views {
		v := &views[i]
		var all []Binding
		if v.list != nil {
			all = cursorBindings()
		}
		if v.matches != nil {
			all = append(all, searchBindings()...)
		}
		all = append(all, general...)
		v.Keys = newKeymap(v.Keys.Own, without(all, v.Keys.Own))
	}
	return views
}

// without returns bindings without the keys that a view has for something else.
func without(bindings, own []Binding) []Binding {
	var list []Binding
	for _, b := range bindings {
		taken := func(key string) bool {
			return slices.ContainsFunc(own, func(o Binding) bool { return slices.Contains(o.Keys, key) })
		}
		if slices.ContainsFunc(b.Keys, taken) {
			b.Keys = slices.DeleteFunc(slices.Clone(b.Keys), taken)
			b.Show = strings.Join(slices.DeleteFunc(strings.Fields(b.Show), taken), " ")
		}
		if len(b.Keys) > 0 {
			list = append(list, b)
		}
	}
	return list
}

// viewBindings are the keys that choose a view.
func viewBindings(views []View) []Binding {
	var bindings []Binding
	for _, v := range views {
		key := v.ID.Key()
		bindings = append(bindings, Binding{[]string{key}, key, "", v.Name + ": " + v.About,
			func(s *State) Command { return s.Show(v.ID) }, nil})
	}
	return bindings
}

// Key returns the key that shows the view.
func (id ViewID) Key() string { return strconv.Itoa(int(id)) }

// Current returns the view in front.
func (s *State) Current() *View { return s.viewOf(s.View) }

func (s *State) viewOf(id ViewID) *View {
	for i := range s.Views {
		if s.Views[i].ID == id {
			return &s.Views[i]
		}
	}
	return nil
}

// Show brings a view to the front.
func (s *State) Show(id ViewID) Command {
	v := s.viewOf(id)
	if v == nil {
		return Nothing
	}
	s.trail = s.trail[:0]
	s.View = id
	if v.shown != nil {
		v.shown(s)
	}
	return Nothing
}

// Enter brings a view to the front from which Esc leads back to the present one.
func (s *State) Enter(id ViewID) Command {
	if id == s.View || s.viewOf(id) == nil {
		return Nothing
	}
	trail := append(s.trail, s.View)
	command := s.Show(id)
	s.trail = trail
	return command
}

// leave leads back from a view that was entered, and reports whether it was.
func (s *State) leave() bool {
	n := len(s.trail)
	if n == 0 {
		return false
	}
	trail := s.trail[:n-1]
	s.Show(s.trail[n-1])
	s.trail = trail
	return true
}

// nextView shows the view that is by steps to the right.
func nextView(by int) func(*State) Command {
	return func(s *State) Command {
		n := len(s.Views)
		for i := range s.Views {
			if s.Views[i].ID == s.View {
				return s.Show(s.Views[((i+by)%n+n)%n].ID)
			}
		}
		return Nothing
	}
}

// TableInFront reports whether the view in front is about the table of processes.
func (s *State) TableInFront() bool { return s.View == Overview || s.View == Processes }

// currentList returns the list in front, or nil.
func (s *State) currentList() *List {
	if v := s.Current(); v.list != nil {
		return v.list(s)
	}
	return nil
}
