package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// WhatIfView is the view that says what merging would save and cost before anything
// is switched on: a form, whose fields are the rows of the list, and the answer.
type WhatIfView struct {
	List
	Within bool // each process for itself
	Areas  scanner.Areas
	MaxCPU uint64 // percent of one CPU for reading; 0 is no limit
	Knobs  sysfs.Knobs

	Scanning
	Forecast sim.Forecast // for Answer and Knobs

	left   []Target // out of the question of Answer, since they cost more than they gain
	filled bool
}

// WhatIfField is a field of the form.
type WhatIfField uint8

// The fields, in their order.
const (
	FieldTargets WhatIfField = iota
	FieldMerge
	FieldAreas
	FieldMaxCPU
	FieldPagesToScan
	FieldSleep
	FieldSharing
	FieldZero
	FieldRun
	NumWhatIfFields
)

func whatIfView() View {
	return View{
		ID: WhatIf, Name: "What-if", Short: "What-if", About: "what merging would save and cost, before it is switched on",
		Keys: Keymap{Own: []Binding{
			{[]string{"Enter"}, "Enter", "", "change the field, or run", (*State).enterField, withoutMemory},
			{[]string{"Right", "Space"}, "Right Space", "", "the next value of the field", stepField(1), withoutMemory},
			{[]string{"Left"}, "Left", "", "the value before", stepField(-1), withoutMemory},
			{[]string{"r"}, "r", "Run", "read the memory and answer", (*State).askWhatIf, withoutMemory},
			{[]string{"t"}, "t", "Targets", "choose which memory to read", (*State).chooseTargets, withoutMemory},
			{[]string{"-"}, "-", "", "leave out what costs more than it gains, and run again", (*State).leaveOut, withoutLosers},
			{[]string{"+"}, "+", "", "take back what was left out, and run again", (*State).takeBack, withoutLeft},
			{[]string{"f"}, "f", "", "the knobs in force again", (*State).knobsBack, withoutMemory},
		}},
		list:  func(s *State) *List { return &s.WhatIf.List },
		shown: func(s *State) { s.WhatIf.fill(s) },
	}
}

// fill fills the form in when it is seen first.
func (v *WhatIfView) fill(s *State) {
	if v.filled {
		return
	}
	v.filled, v.Areas = true, scanner.AreasAuto
	v.Knobs = s.knobsNow()
	v.SetLen(int(NumWhatIfFields))
}

func (s *State) knobsBack() Command {
	s.WhatIf.Knobs = s.knobsNow()
	s.WhatIf.forecast()
	return Nothing
}

// Losers returns the groups of the answer that cost more than they gain.
func (v *WhatIfView) Losers() []*scanner.Group {
	if v.Answer == nil {
		return nil
	}
	var losers []*scanner.Group
	for i := range v.Answer.Groups {
		if g := &v.Answer.Groups[i]; v.NetOf(g) < 0 {
			losers = append(losers, g)
		}
	}
	slices.SortStableFunc(losers, func(a, b *scanner.Group) int { return int(max(-1, min(1, v.NetOf(a)-v.NetOf(b)))) })
	return losers
}

// Gain returns the pages that a group saves, as the form would merge.
func (v *WhatIfView) Gain(g *scanner.Group) float64 {
	if v.Within {
		return float64(g.Within)
	}
	return g.WouldSave()
}

// NetOf returns what is left of a group's gain after its metadata, in bytes.
func (v *WhatIfView) NetOf(g *scanner.Group) int64 {
	return int64(v.Gain(g)*float64(v.Answer.PageSize)) - g.MetadataBytes()
}

// WouldSave returns the pages that merging would save, as the form would merge.
func (v *WhatIfView) WouldSave() uint64 {
	if v.Within {
		return v.Answer.Within
	}
	return v.Answer.WouldSave
}

// Net returns what is left of that after the metadata, in bytes.
func (v *WhatIfView) Net() int64 {
	return int64(v.WouldSave())*int64(v.Answer.PageSize) - v.Answer.MetadataBytes()
}

// StillToGain returns what would be saved beyond what is saved already, in bytes.
func (v *WhatIfView) StillToGain() int64 {
	return (int64(v.WouldSave()) - int64(v.Answer.AlreadySaved)) * int64(v.Answer.PageSize)
}

// MergedAfter returns when the second pass would end.
func (v *WhatIfView) MergedAfter() time.Duration {
	first, second := v.Forecast.First.Elapsed, v.Forecast.Second.Elapsed
	return first + min(second, math.MaxInt64-first)
}

// Outdated reports whether the answer is for something else than what the form
// says now.
func (v *WhatIfView) Outdated(s *State) bool {
	q := v.question(s)
	old := &v.Answer.Question
	return q.Areas != old.Areas || q.MaxPageSharing != old.MaxPageSharing || q.UseZeroPages != old.UseZeroPages ||
		len(v.left) == 0 && !slices.Equal(q.Targets, old.Targets)
}

func (v *WhatIfView) question(s *State) ScanQuestion {
	return ScanQuestion{
		Targets: slices.Clone(s.ScanTargets()), By: "process", Areas: v.Areas, MaxCPU: float64(v.MaxCPU),
		MaxPageSharing: uint64(v.Knobs.MaxPageSharing), UseZeroPages: v.Knobs.UseZeroPages,
	}
}

// askWhatIf reads the targets.
func (s *State) askWhatIf() Command {
	if s.Message = s.targetsEnded(); s.Message != "" {
		return Nothing
	}
	s.WhatIf.fill(s)
	return s.whatIf(s.WhatIf.question(s), nil)
}

// whatIf asks a question, out of which some processes were left.
func (s *State) whatIf(q ScanQuestion, left []Target) Command {
	return s.WhatIf.ask(s, q, func(s *State) {
		s.WhatIf.left = left
		s.WhatIf.forecast()
	})
}

func (v *WhatIfView) forecast() {
	if v.Answer != nil {
		v.Forecast = v.Answer.Forecast(&v.Knobs)
	}
}

func withoutLosers(s *State) string {
	if why := withoutMemory(s); why != "" {
		return why
	}
	losers := s.WhatIf.Losers()
	switch {
	case s.WhatIf.Answer == nil:
		return "nothing was read yet: r does"
	case len(losers) == 0:
		return "nothing costs more than it gains"
	case len(losers) == len(s.WhatIf.Answer.Groups):
		return "everything costs more than it gains: nothing would be left"
	}
	return ""
}

func withoutLeft(s *State) string {
	if why := withoutMemory(s); why != "" {
		return why
	}
	if len(s.WhatIf.left) == 0 {
		return "nothing was left out"
	}
	return ""
}

// LeftOut returns how many processes were left out of the answer.
func (v *WhatIfView) LeftOut() int { return len(v.left) }

// leaveOut asks again, without the processes that cost more than they gain.
func (s *State) leaveOut() Command {
	v := &s.WhatIf
	q := v.question(s)
	q.Targets = nil
	left := slices.Clone(v.left)
	for i := range v.Answer.Groups {
		g := &v.Answer.Groups[i]
		if v.NetOf(g) < 0 {
			left = append(left, v.Answer.Members[g.Name]...)
		} else {
			q.Targets = append(q.Targets, v.Answer.Members[g.Name]...)
		}
	}
	return s.whatIf(q, left)
}

func (s *State) takeBack() Command { return s.askWhatIf() }

// enterField changes the selected field as fits it.
func (s *State) enterField() Command {
	switch f := WhatIfField(s.WhatIf.Selected); f {
	case FieldTargets:
		return s.chooseTargets()
	case FieldMaxCPU, FieldPagesToScan, FieldSleep, FieldSharing:
		return s.typeField(f)
	case FieldRun:
		return s.askWhatIf()
	}
	return stepField(1)(s)
}

// WhatIfKnob returns the knob that a field stands for, and its value.
func (v *WhatIfView) WhatIfKnob(f WhatIfField) (sysfs.Field, uint64, bool) {
	switch f {
	case FieldPagesToScan:
		return sysfs.PagesToScan, uint64(v.Knobs.PagesToScan), true
	case FieldSleep:
		return sysfs.SleepMillisecs, uint64(v.Knobs.SleepMillisecs), true
	case FieldSharing:
		return sysfs.MaxPageSharing, uint64(v.Knobs.MaxPageSharing), true
	}
	return 0, 0, false
}

// typeField asks for a number.
func (s *State) typeField(f WhatIfField) Command {
	label, hint := "Percent of one CPU: ", "0 is no limit"
	if knob, _, ok := s.WhatIf.WhatIfKnob(f); ok {
		label, hint = knob.String()+": ", "nothing is written to the kernel"
	}
	return s.ask(&Prompt{
		Label: label, Hint: []string{hint, "Enter takes it", "Esc leaves it"},
		done: func(s *State, text string) (Command, error) { return Nothing, s.WhatIf.set(f, text) },
	})
}

// set sets a field that is a number, if it can have that value.
func (v *WhatIfView) set(f WhatIfField, text string) error {
	knob, _, ok := v.WhatIfKnob(f)
	if !ok {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n > 100_000 {
			return errors.New("must be a number of percent, as 50; 0 is no limit")
		}
		v.MaxCPU = n
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && knob == sysfs.MaxPageSharing && n < 2 {
		return errors.New("must be at least 2")
	}
	k := v.Knobs
	if err := k.Set(knob, text); err != nil {
		return fmt.Errorf("%q: not a value of %s", text, knob)
	}
	v.Knobs = k
	v.forecast()
	return nil
}

// stepField changes the selected field to its next value, or the one before:
// numbers double, or halve.
func stepField(by int) func(*State) Command {
	return func(s *State) Command {
		v := &s.WhatIf
		switch f := WhatIfField(v.Selected); f {
		case FieldTargets:
			kinds := []TargetKind{TargetTagged, TargetAll}
			if len(s.Targets.Fixed) > 0 {
				kinds = append(kinds, TargetFixed)
			}
			at := slices.Index(kinds, s.Targets.Kind)
			s.Targets.Kind = kinds[((at+by)%len(kinds)+len(kinds))%len(kinds)]
		case FieldMerge:
			v.Within = !v.Within
		case FieldAreas:
			const n = int(scanner.AreasMarked) + 1
			v.Areas = scanner.Areas((int(v.Areas) + by + n) % n)
		case FieldZero:
			v.Knobs.UseZeroPages = !v.Knobs.UseZeroPages
			v.forecast()
		case FieldRun:
			return s.askWhatIf()
		case FieldMaxCPU:
			v.MaxCPU = step(v.MaxCPU, by, 0, 100)
		default:
			knob, n, _ := v.WhatIfKnob(f)
			least := uint64(0)
			if knob == sysfs.MaxPageSharing {
				least = 2
			}
			_ = v.set(f, strconv.FormatUint(step(n, by, least, math.MaxInt32), 10)) // in range
		}
		return Nothing
	}
}

// step doubles n, or halves it, within bounds. Below 1 is 0.
func step(n uint64, by int, least, most uint64) uint64 {
	switch {
	case by < 0:
		n /= 2
	case n == 0:
		n = 1
	default:
		n *= 2
	}
	return max(least, min(most, n))
}
