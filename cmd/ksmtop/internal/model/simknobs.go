package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ksmtop/ksmtop/sysfs"
)

// KnobRange is between which values a key steps, in 1, 2, 5, 10 and so on. What the
// kernel takes beyond that can be typed.
type KnobRange struct {
	Least, Most uint64
	Double      bool // in steps of 2, 4, 8 and so on
}

// RangeOf returns the range of a knob that is a number.
func RangeOf(f sysfs.Field) (KnobRange, bool) {
	switch f {
	case sysfs.PagesToScan:
		return KnobRange{Least: 10, Most: 1_000_000}, true
	case sysfs.SleepMillisecs:
		return KnobRange{Most: 10_000}, true
	case sysfs.MaxPageSharing:
		return KnobRange{Least: 2, Most: 4096, Double: true}, true
	case sysfs.StableNodeChainsPruneMillisecs:
		return KnobRange{Most: 100_000}, true
	case sysfs.AdvisorMaxCPU:
		return KnobRange{Least: 1, Most: 100}, true
	case sysfs.AdvisorMinPagesToScan, sysfs.AdvisorMaxPagesToScan:
		return KnobRange{Least: 100, Most: 1_000_000}, true
	case sysfs.AdvisorTargetScanTime:
		return KnobRange{Least: 1, Most: 10_000}, true
	}
	return KnobRange{}, false
}

// rungs is room for the values of any ladder.
type rungs [24]uint64

// ladder returns the values between which the keys step, ascending, in the room
// given.
func (r KnobRange) ladder(room *rungs) []uint64 {
	list := room[:0]
	if r.Least == 0 {
		list = append(list, 0)
	}
	decades := [...]uint64{1, 2, 5}
	factors, base := decades[:], uint64(10)
	if r.Double {
		factors, base = decades[:1], 2
	}
	for decade := uint64(1); decade <= r.Most; decade *= base {
		for _, factor := range factors {
			if v := factor * decade; v >= r.Least && v <= r.Most {
				list = append(list, v)
			}
		}
	}
	return list
}

// Place returns where a value stands in the range, from 0 to 1.
func (r KnobRange) Place(v uint64) float64 {
	var room rungs
	ladder := r.ladder(&room)
	i, _ := slices.BinarySearch(ladder, v)
	return float64(min(i, len(ladder)-1)) / float64(len(ladder)-1)
}

// next returns the next value of the ladder in a direction, or the value itself.
func (r KnobRange) next(v uint64, by int) uint64 {
	var room rungs
	ladder := r.ladder(&room)
	i, found := slices.BinarySearch(ladder, v)
	switch {
	case by > 0 && found:
		i++
	case by < 0:
		i--
	}
	switch {
	case i < 0:
		return min(v, ladder[0])
	case i >= len(ladder):
		return max(v, ladder[len(ladder)-1])
	}
	return ladder[i]
}

// words are the values of knobs that are not numbers.
func words(f sysfs.Field) []string {
	switch f {
	case sysfs.Run:
		return []string{"0", "1", "2"}
	case sysfs.AdvisorMode:
		return []string{sysfs.AdvisorNone, sysfs.AdvisorScanTime}
	}
	return []string{"0", "1"}
}

// simKnob returns the selected knob and its value.
func (s *State) simKnob() (sysfs.Field, string) {
	f := SimKnobs[s.Sim.Selected]
	if later, ok := s.Sim.Later[f]; ok {
		return f, later
	}
	v, _ := s.Sim.Knobs.Value(f)
	return f, v.String()
}

// turnKnob gives the selected knob its next value in a direction.
func turnKnob(by int) func(*State) Command {
	return func(s *State) Command {
		f, now := s.simKnob()
		to := now
		if r, ok := RangeOf(f); ok {
			v, err := strconv.ParseUint(now, 10, 64)
			if err != nil {
				return Nothing
			}
			to = strconv.FormatUint(r.next(v, by), 10)
		} else {
			list := words(f)
			to = list[max(0, min(slices.Index(list, now)+by, len(list)-1))]
		}
		if to == now {
			s.Message = fmt.Sprintf("%s: that is the end of the scale; Enter takes any value", f)
			return Nothing
		}
		return s.setSimKnob(sysfs.Setting{Field: f, Value: to})
	}
}

// setSimKnob changes a knob of A so that it can be undone.
func (s *State) setSimKnob(set sysfs.Setting) Command {
	m := &s.Sim
	before, _ := m.Knobs.Value(set.Field)
	delete(m.Later, set.Field)
	knobs := m.Knobs
	if err := knobs.Set(set.Field, set.Value); err != nil {
		s.Message = err.Error()
		return Nothing
	}
	if knobs == m.Knobs {
		return Nothing
	}
	back := []sysfs.Setting{{Field: set.Field, Value: before.String()}}
	if set.Field == sysfs.AdvisorMode && m.Knobs.AdvisorMode == sysfs.AdvisorNone { // which chooses another one
		back = append(back, sysfs.Setting{Field: sysfs.PagesToScan, Value: strconv.FormatUint(uint64(m.Knobs.PagesToScan), 10)})
	}
	m.Knobs = knobs
	m.undo = append(m.undo, back)
	if len(m.undo) > undoSteps {
		m.undo = append(m.undo[:0], m.undo[1:]...)
	}
	s.askSim(SimCommand{Kind: SimSet, Settings: []sysfs.Setting{set}})
	return Nothing
}

// undoSteps is how many changes can be undone.
const undoSteps = 100

// undoSimKnob puts the knob back that was changed last.
func (s *State) undoSimKnob() Command {
	m := &s.Sim
	last := m.undo[len(m.undo)-1]
	m.undo = m.undo[:len(m.undo)-1]
	var again []string
	for _, set := range last {
		_ = m.Knobs.Set(set.Field, set.Value) // it had this value
		again = append(again, fmt.Sprintf("%s is %s again", set.Field, set.Value))
	}
	s.Message = strings.Join(again, ", ")
	s.askSim(SimCommand{Kind: SimSet, Settings: last, Undo: true})
	return Nothing
}

func (s *State) askSimKnob() Command {
	f, now := s.simKnob()
	return s.ask(&Prompt{
		Label: fmt.Sprintf("%s (now %s): ", f, now),
		Hint:  []string{knobHint(f), "Enter sets it", "Esc leaves it"},
		done: func(s *State, text string) (Command, error) {
			set, err := sysfs.ParseSetting(f.String() + "=" + text)
			if err != nil {
				return Nothing, err
			}
			return s.setSimKnob(set), nil
		},
	})
}
