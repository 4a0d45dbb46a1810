package model

// Source says of which machine the screens are.
type Source uint8

// The sources.
const (
	LiveSource Source = iota // this machine, or copied trees
	SimSource                // the simulated machine A
)

// machine is what the screens know of one machine, and how they show it.
type machine struct {
	Sample  *Sample // shown: the latest or, if paused, one of the past; nil before the first
	History History
	Passes  Passes // as of Sample
	Events  Events

	// The scales of the charts are kept here since they remember.
	NetScale, BrokenScale, CPUScale, VisitsScale Scale

	Paused bool

	Table // of processes
	Log   EventsLog

	latest *Sample // the latest taken
	passes Passes  // as of latest
	past   Past
	frozen Sample // the moment of the past that is shown
}

func newMachine() *machine {
	m := &machine{NetScale: Scale{Binary: true}}
	m.Column = ColumnByName("profit")
	return m
}

// Source returns of which machine the screens are now.
func (s *State) Source() Source { return s.front }

// Simulated reports whether the screens are of a simulated machine.
func (s *State) Simulated() bool { return s.front == SimSource }

// TakeFrom takes a sample of one of the machines in, whether it is in front or
// not, and returns the one before, which is free now.
func (s *State) TakeFrom(source Source, sample *Sample) (before *Sample) {
	front := s.front
	s.face(source)
	before = s.latest
	s.behind = source != front
	s.Take(sample)
	s.behind = false
	s.face(front)
	return before
}

// face puts a machine in front.
func (s *State) face(source Source) {
	if s.front != source {
		s.machine, s.other = s.other, s.machine
		s.front = source
	}
}

// live returns the latest sample of this machine, or nil.
func (s *State) live() *Sample {
	if s.front == LiveSource {
		return s.latest
	}
	return s.other.latest
}

// StartSimulated says that there is no other machine than simulated ones, and has
// the first one opened.
func (s *State) StartSimulated(name string) {
	s.onlySim = true
	s.other.listLike(s.machine)
	s.other.Filter = s.Filter
	s.face(SimSource)
	s.Show(Simulator)
	s.OpenSim(name)
}

// ShowReal puts the real machine in front, or what is chosen for one.
func (s *State) ShowReal() { s.face(LiveSource) }

// listLike makes m list processes as another machine does.
func (m *machine) listLike(other *machine) {
	m.Column, m.Inverted, m.All = other.Column, other.Inverted, other.All
	m.Tree, m.Group, m.FirstColumn = other.Tree, other.Group, other.FirstColumn
}

// showSource has the screens show another machine.
func (s *State) showSource(source Source) {
	s.face(source)
	s.arrange()
	if v := s.Current(); v.shown != nil {
		v.shown(s)
	}
}

// forgetSimulated forgets all that is known of the simulated machine but how its
// processes are listed.
func (s *State) forgetSimulated() {
	front := s.front
	s.face(SimSource)
	fresh := newMachine()
	fresh.listLike(s.machine)
	fresh.Filter = s.Filter
	fresh.Log.Problems = s.Log.Problems
	*s.machine = *fresh
	s.face(front)
}

// switchSource shows the other machine.
func (s *State) switchSource() Command {
	if s.Simulated() {
		s.showSource(LiveSource)
		s.Message = "this is the real machine again; S shows the simulated one"
		return Nothing
	}
	s.showSource(SimSource)
	s.Message = "all views are of the simulated machine; S shows the real one"
	return Nothing
}

func withoutOther(s *State) string {
	switch {
	case s.onlySim:
		return "ksmtop was started with --sim: there is no other machine"
	case !s.Sim.Open:
		return "nothing is simulated: o opens a simulated machine"
	}
	return ""
}

// notSimulated says why a view is not there for a simulated machine, or nothing.
func notSimulated(id ViewID) string {
	switch id {
	case VMAs:
		return "Simulated guests have one area of memory each, all of it mergeable: there is no list of areas."
	case Sharing:
		return "The simulation counts equal pages, and has no bytes to look at: Overview shows what is shared."
	case WhatIf:
		return "What if is what the simulator answers: change a knob in view 6, and b compares."
	}
	return ""
}

// Missing says why the view in front has nothing to show of a simulated machine, or
// nothing.
func (s *State) Missing() string {
	if !s.Simulated() {
		return ""
	}
	return notSimulated(s.View)
}
