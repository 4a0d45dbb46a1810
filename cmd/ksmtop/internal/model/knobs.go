package model

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Kernel is what knobs are written to: sysfs.FS is one.
type Kernel interface {
	// Plan returns what Set would change, and the errors that can be foreseen.
	Plan(settings ...sysfs.Setting) ([]sysfs.Change, error)
	Set(settings ...sysfs.Setting) ([]sysfs.Change, error)
	Path(sysfs.Field) string
}

// KnobWrites is what knobs were written from here, so that it can be undone.
type KnobWrites struct {
	undo  [][]sysfs.Setting // what undoes each step, the last step last
	first sysfs.Knobs       // as the first sample had them
}

// Was returns the value that a knob had when the program began, if it has
// another now.
func (s *State) Was(f sysfs.Field) (string, bool) {
	before, ok := s.writes.first.Value(f)
	now, has := s.Knobs().Value(f)
	return before.String(), ok && has && before != now
}

// Knobs returns the knobs as they are now, also while the past is shown.
func (s *State) Knobs() *sysfs.Knobs { return &s.live().Reading.Knobs }

// withoutKnobs says why there are no knobs to look at.
func withoutKnobs(s *State) string {
	switch {
	case s.Simulated():
		return "these are the real machine's knobs: 6 changes those of the simulated one"
	case s.latest == nil:
		return "there is no sample yet"
	case s.latest.NoKSM != nil:
		return "without KSM there are no knobs"
	}
	return ""
}

// fixedKnobs says why knobs can only be looked at.
func (s *State) fixedKnobs() string {
	switch {
	case s.ReadOnly:
		return "ksmtop was started with --readonly: knobs can only be looked at"
	case s.Kernel == nil:
		return "the knobs of this source cannot be written"
	}
	return ""
}

// openKnobs lists the knobs.
func (s *State) openKnobs() Command {
	d := &Dialog{Kind: KnobList, Title: "Knobs"}
	for f := range sysfs.Fields() {
		if _, ok := s.Knobs().Value(f); ok && f.Info().Kind == sysfs.Knob {
			d.Items = append(d.Items, Item{Field: f, stays: true, do: func(s *State) Command { return s.askKnob(f) }})
		}
	}
	d.extra = []Binding{
		{[]string{"z"}, "z", "Undo", "put back what was written last", (*State).undoKnobs, withoutUndo},
	}
	return s.Open(d)
}

func withoutUndo(s *State) string {
	if len(s.writes.undo) == 0 {
		return "nothing was written from here"
	}
	return s.fixedKnobs()
}

// askKnob asks for the new value of a knob.
func (s *State) askKnob(f sysfs.Field) Command {
	if why := s.fixedKnobs(); why != "" {
		s.Message = why
		return Nothing
	}
	now, _ := s.Knobs().Value(f)
	return s.ask(&Prompt{
		Label: fmt.Sprintf("%s (now %s): ", f, now),
		Hint:  []string{knobHint(f), "Enter shows what it does", "Esc leaves it"},
		done: func(s *State, text string) (Command, error) {
			setting, err := sysfs.ParseSetting(f.String() + "=" + text)
			if err != nil {
				return Nothing, err
			}
			return s.propose("Write a knob?", false, setting)
		},
	})
}

// knobHint says what values a knob takes.
func knobHint(f sysfs.Field) string {
	switch f {
	case sysfs.Run:
		return "0 stops, 1 scans, 2 unmerges all"
	case sysfs.AdvisorMode:
		return sysfs.AdvisorNone + " or " + sysfs.AdvisorScanTime
	case sysfs.MergeAcrossNodes, sysfs.UseZeroPages, sysfs.SmartScan:
		return "0 or 1"
	}
	unit := f.Info().Unit
	if unit == "" {
		unit = "a number"
	}
	return unit + ", " + f.Info().Default + " at boot"
}

// propose shows what settings would change and asks whether to write them. Undo
// says that they undo the last step.
func (s *State) propose(title string, undo bool, settings ...sysfs.Setting) (Command, error) {
	changes, err := s.Kernel.Plan(settings...)
	if err != nil {
		return Nothing, err
	}
	if !s.Root {
		return s.showWrites(settings, changes), nil
	}
	write := func(settings ...sysfs.Setting) func(*State) Command {
		return func(s *State) Command { return s.write(settings, undo) }
	}
	if unmerges(changes) {
		return s.Confirm("Unmerge everything?", s.unmergeText(),
			Button{Text: "Stop, write 0", do: write(sysfs.Setting{Field: sysfs.Run, Value: "0"})},
			Button{Text: "type unmerge", Word: "unmerge", do: write(settings...)}), nil
	}
	return s.Confirm(title, s.changeText(changes), Button{Text: "Write", do: write(settings...)}), nil
}

// withAdvice returns err in words, and in a second line what can be done, if that is
// known.
func withAdvice(err error) string {
	if hint := sysfs.Hint(err); hint != "" {
		return err.Error() + "\n" + hint
	}
	return err.Error()
}

// unmerges reports whether a step unmerges everything.
func unmerges(changes []sysfs.Change) bool {
	return slices.ContainsFunc(changes, func(c sysfs.Change) bool {
		return c.Field == sysfs.Run && c.New == "2" && c.Old != "2"
	})
}

// changeText says what a step writes where.
func (s *State) changeText(changes []sysfs.Change) []string {
	var text []string
	for _, c := range changes {
		unit := ""
		if c.Field.Info().Unit != "" {
			unit = " " + c.Field.Info().Unit
		}
		switch {
		case c.Implied:
			text = append(text, fmt.Sprintf("the kernel then changes %s from %s to %s%s", c.Field, c.Old, c.New, unit))
		case c.Old == c.New:
			text = append(text, fmt.Sprintf("writes %s to %s, which is its value now", c.New, s.Kernel.Path(c.Field)))
		default:
			text = append(text, fmt.Sprintf("writes %s%s to %s (now %s)", c.New, unit, s.Kernel.Path(c.Field), c.Old))
		}
	}
	return append(text, "", "It is for the whole machine, until the next boot.")
}

// unmergeText says what unmerging everything takes.
func (s *State) unmergeText() []string {
	r := &s.latest.Reading
	now, _ := r.Knobs.Value(sysfs.Run)
	needs := "how much memory that needs cannot be told"
	if r.Counters.Has(sysfs.PagesSharing) {
		needs = "needs " + bytesOf(r.Counters.UnmergeBytes(s.latest.PageSize)) + " at once"
	}
	if r.Host.HasMemory {
		available := int64(r.Host.MemAvailable)
		needs += "; " + bytesOf(available) + " is available"
		if r.Counters.UnmergeBytes(s.latest.PageSize) > available {
			needs += ": the kernel may kill processes"
		}
	}
	return []string{
		fmt.Sprintf("writes 2 to %s (now %s)", s.Kernel.Path(sysfs.Run), now),
		needs + ".", "",
		"Writing 0 instead stops ksmd and keeps merged pages.",
	}
}

func bytesOf(n int64) string { return string(format.Bytes(nil, n)) }

// showWrites shows somebody who may not write what root would do.
func (s *State) showWrites(settings []sysfs.Setting, changes []sysfs.Change) Command {
	d := &Dialog{Title: "This needs root", Text: s.changeText(changes)}
	if s.Kernel.Path(sysfs.Run) == (sysfs.FS{}).Path(sysfs.Run) {
		set := "  ksmtop set"
		for _, setting := range settings {
			set += " " + setting.String()
		}
		d.Text = append(d.Text, "", "As root, one of these does it:", set)
	} else { // a copy, which ksmtop set would not mean
		d.Text = append(d.Text, "", "Who may write there does it so:")
	}
	for _, setting := range settings {
		d.Text = append(d.Text, fmt.Sprintf("  echo %s > %s", setting.Value, s.Kernel.Path(setting.Field)))
	}
	return s.Open(d)
}

// write writes settings beside the screen: unmerging takes its time.
func (s *State) write(settings []sysfs.Setting, undo bool) Command {
	changes, err := s.Kernel.Plan(settings...)
	if err != nil {
		s.Message = withAdvice(err)
		return Nothing
	}
	s.Events.expect(changes)
	kernel, before := s.Kernel, s.latest.Savings.SavedBytes
	s.Start("writing "+settings[0].String(), func(context.Context, func(done, total int64)) (func(*State), error) {
		began := time.Now()
		changes, err := kernel.Set(settings...)
		took := time.Since(began)
		return func(s *State) {
			if err == nil {
				s.wrote(changes, undo, before, took)
			} else {
				front := s.front
				s.face(LiveSource)
				s.Events.expected = nil
				s.face(front)
			}
		}, err
	})
	return Nothing
}

// wrote takes in that a step was written.
func (s *State) wrote(changes []sysfs.Change, undo bool, saved int64, took time.Duration) {
	front := s.front // which may have become the simulated machine meanwhile
	s.face(LiveSource)
	defer s.face(front)
	if n := len(s.writes.undo); undo && n > 0 {
		s.writes.undo = s.writes.undo[:n-1]
	}
	var back []sysfs.Setting
	s.Message = ""
	for _, c := range changes {
		text := fmt.Sprintf("%s written by ksmtop: %s -> %s", c.Field, c.Old, c.New)
		switch {
		case c.Old == c.New:
			continue
		case c.Implied:
			text = fmt.Sprintf("%s changed by the kernel: %s -> %s", c.Field, c.Old, c.New)
			if c.Field == sysfs.PagesToScan && leavesNone(changes) {
				back = append(back, sysfs.Setting{Field: c.Field, Value: c.Old})
			}
		default:
			back = append(back, sysfs.Setting{Field: c.Field, Value: c.Old})
			s.Message = fmt.Sprintf("%s: %s -> %s", c.Field, c.Old, c.New)
		}
		if unmerges([]sysfs.Change{c}) {
			text += fmt.Sprintf(", unmerged %s in %s", bytesOf(saved), format.Duration(nil, took))
		}
		s.Events.own(s.latest.Time, text)
	}
	s.arrangeLog()
	if undo || len(back) == 0 {
		return
	}
	s.writes.undo = append(s.writes.undo, back)
	s.Message += "; z among the knobs undoes it"
}

// leavesNone reports whether an advisor begins to choose pages_to_scan, and so whether
// what it was before can be written again once the advisor is gone.
func leavesNone(changes []sysfs.Change) bool {
	return slices.ContainsFunc(changes, func(c sysfs.Change) bool {
		return c.Field == sysfs.AdvisorMode && c.Old == sysfs.AdvisorNone
	})
}

// undoKnobs asks whether to put back what was written last.
func (s *State) undoKnobs() Command {
	last := s.writes.undo[len(s.writes.undo)-1]
	command, err := s.propose("Undo the last write?", true, last...)
	if err != nil {
		s.Message = withAdvice(err)
	}
	return command
}
