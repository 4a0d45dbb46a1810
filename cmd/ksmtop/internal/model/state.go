package model

import "time"

// State is all that the screen shows: the latest sample, what earlier ones left
// behind, and what the user chose. It changes by Take (a sample), Key (a key),
// the mouse and the results of tasks, and drawing it changes nothing.
type State struct {
	*machine          // in front
	front    Source   // which that is
	other    *machine // the one that is not in front
	onlySim  bool     // there is no real machine
	behind   bool     // a sample of the other one is being taken in

	Sim Sim // the view of the simulator

	Delay time.Duration
	Theme string
	User  string // who runs the program
	Root  bool

	// Kernel is what knobs are written to, or nil. ReadOnly forbids to write.
	Kernel   Kernel
	ReadOnly bool

	// Memory is what memory of processes is read from, or nil.
	Memory      Memory
	ShowContent bool // show bytes of memory, which may hold secrets

	// What the views of memory show.
	Targets Targets
	VMA     VMAView
	Sharing SharingView
	WhatIf  WhatIfView

	Views []View // in the order of their tabs
	View  ViewID // the one in front
	Panel Panel  // of the Overview, if it has the whole screen

	// Prompt is what is being typed, or nil.
	Prompt *Prompt

	// Message is for the line above the keys, until the next key.
	Message string

	Tasks []*Task // what is being done beside the screen

	Search string // what was searched for last

	writes KnobWrites

	dialogs []*Dialog // the last is in front
	trail   []ViewID  // the views to which Esc leads back, the last first
	started []*Task
}

// ChartSpan returns how much time the charts show: 10 minutes, or less while
// the history is shorter. Of a simulated machine they show all of the history.
func (s *State) ChartSpan() time.Duration {
	for _, span := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if s.History.Span() < span {
			return span
		}
	}
	if s.Simulated() {
		return wholeSpan(s.History.Span())
	}
	return 10 * time.Minute
}

// wholeSpan returns a round time from 10 minutes on that has room for span. Of a
// simulation all is shown, which may be days.
func wholeSpan(span time.Duration) time.Duration {
	for _, round := range []time.Duration{10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour} {
		if span <= round {
			return round
		}
	}
	const day = 24 * time.Hour
	return (span + day - 1) / day * day
}

// NewState returns the state before the first sample.
func NewState(delay time.Duration) *State {
	return &State{machine: newMachine(), other: newMachine(), Delay: delay, Views: newViews(), View: Overview}
}

// Take takes a new sample in and, unless the screen is paused, shows it. It
// belongs to the state until the next one is taken.
func (s *State) Take(sample *Sample) {
	delay := s.Delay
	if s.Simulated() {
		delay = sample.Interval
	}
	s.History.Add(sample, delay)
	s.NetScale.Update(s.History.Range(s.ChartSpan(), NetOf))
	s.BrokenScale.Update(s.History.Range(s.ChartSpan(), BrokenOf))
	s.CPUScale.Update(s.History.Range(s.ChartSpan(), CPUOf))
	s.VisitsScale.Update(s.History.Range(s.ChartSpan(), VisitsOf))
	s.Events.take(sample, &s.passes, s.passes.take(sample))
	s.past.add(sample, &s.passes)
	s.latest = sample
	if s.writes.first.Present == 0 && !s.Simulated() {
		s.writes.first = sample.Reading.Knobs
	}
	if !s.Paused {
		s.findGone(sample)
		s.Sample, s.Passes = sample, s.passes
		s.dropTags()
		s.arrange()
	}
	s.arrangeLog()
	s.VMA.follow(s)
}

// Latest returns the sample that was taken last, or nil.
func (s *State) Latest() *Sample { return s.latest }

// NoKSM reports whether there are no counters to show.
func (s *State) NoKSM() bool { return s.Sample != nil && s.Sample.NoKSM != nil }

// Fit says that so many rows of the list in front fit the screen.
func (s *State) Fit(rows int) {
	if l := s.currentList(); l != nil {
		l.Fit(rows)
	}
}

// Wheel moves by that many rows what is in front.
func (s *State) Wheel(by int) {
	switch d := s.Dialog(); {
	case s.Prompt != nil:
	case d != nil:
		d.Move(by)
	default:
		if l := s.currentList(); l != nil {
			l.Choose(l.Selected + by)
		}
	}
}

// ClickRow selects a row of the list in front.
func (s *State) ClickRow(i int) {
	if l := s.currentList(); l != nil && i >= 0 && i < l.Len() {
		l.Choose(i)
	}
}

// ClickItem does what a click on an item of the dialog in front asks for.
func (s *State) ClickItem(i int) Command { return s.chooseItem(i) }

// ClickButton does what a click on a button of the dialog in front asks for.
func (s *State) ClickButton(i int) Command { return s.press(i) }
