package model

import (
	"fmt"
	"slices"
	"time"
)

// Past keeps whole samples, to go back to. It keeps as many as there are points
// in the history; of these the processes too, as long as they fit into
// pastRows. Where they do not, moments lose their processes: the older they are
// the fewer are left, so that the last minutes are complete and an hour ago
// every so many are:
//
//	                                                      now
//	|     x     x     x     x   x   x   x   x x x x xxxxxxxxx|
//
// Adding a sample allocates nothing once the memory is there.
type Past struct {
	ring  []moment
	next  int     // where the next moment goes, once the ring is full
	kept  []int   // places in ring of the moments with rows, the oldest first
	rows  int     // kept in all
	spare [][]Row // memory of rows that are kept no more
}

// moment is one sample of the past.
type moment struct {
	sample  Sample // without rows
	rows    []Row
	hasRows bool
	passes  Passes
}

const (
	// pastRows is how many rows are kept: 40 MB.
	pastRows = 1 << 17

	// pastDetail is how close moments with rows stand at least, as a part of their
	// age, while there is room.
	pastDetail = 1.0 / 64
)

// Len returns how many moments there are.
func (p *Past) Len() int { return len(p.ring) }

// at returns a moment: 0 is the oldest.
func (p *Past) at(i int) *moment { return &p.ring[(p.next+i)%len(p.ring)] }

// add keeps a copy of s. It takes the place of a sample of the same moment.
func (p *Past) add(s *Sample, passes *Passes) {
	place := len(p.ring)
	switch {
	case place > 0 && s.Source == "sim" && p.at(place-1).sample.Time.Equal(s.Time): // time stands still
		place = (p.next + place - 1) % place
		p.dropRows(len(p.kept) - 1) // the latest moment has rows
	case place < historyPoints:
		p.ring = append(p.ring, moment{})
	default:
		place = p.next
		p.next = (p.next + 1) % historyPoints
		if p.ring[place].hasRows {
			p.dropRows(0)
		}
	}
	p.kept = append(p.kept, place)
	m := &p.ring[place]
	m.sample, m.passes = *s, *passes
	m.sample.Rows = nil
	m.rows, m.hasRows = p.memory(), true
	m.rows = append(m.rows[:0], s.Rows...)
	p.rows += len(m.rows)
	p.thin(s.Time)
}

// memory returns memory for rows.
func (p *Past) memory() []Row {
	n := len(p.spare)
	if n == 0 {
		return nil
	}
	rows := p.spare[n-1]
	p.spare = p.spare[:n-1]
	return rows
}

// dropRows forgets the processes of the i-th moment that has any.
func (p *Past) dropRows(i int) {
	m := &p.ring[p.kept[i]]
	p.kept = slices.Delete(p.kept, i, i+1)
	p.rows -= len(m.rows)
	if cap(m.rows) > 0 {
		p.spare = append(p.spare, m.rows[:0])
	}
	m.rows, m.hasRows = nil, false
}

// thin drops the processes of some moments until there is room for all that are
// left: first of those that stand close together for their age, from the oldest
// on, and where that is not enough of less close ones. What is left is then
// spread over the ages like the marks of a slide rule. The latest moment keeps
// its processes, however many these are.
func (p *Past) thin(now time.Time) {
	for detail := pastDetail; p.rows > pastRows && detail < 1; detail *= 2 {
		for i := 1; i < len(p.kept)-1 && p.rows > pastRows; {
			t := p.ring[p.kept[i]].sample.Time
			age, gap := now.Sub(t), t.Sub(p.ring[p.kept[i-1]].sample.Time)
			if gap < time.Duration(float64(age)*detail) {
				p.dropRows(i)
			} else {
				i++
			}
		}
	}
	for p.rows > pastRows && len(p.kept) > 1 {
		p.dropRows(0)
	}
}

// find returns the last moment that is not after t, or the first one.
func (p *Past) find(t time.Time) int {
	lo, hi := 0, p.Len()
	for lo < hi {
		if mid := (lo + hi) / 2; p.at(mid).sample.Time.After(t) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return max(0, lo-1)
}

// restore puts moment i into *to, using its memory again, and returns when the
// processes were like that: those of the nearest moment that has any are shown
// where its own were dropped.
func (p *Past) restore(i int, to *Sample) (rowsAt time.Time) {
	rows := to.Rows[:0]
	*to = p.at(i).sample
	from := i
	for d := range p.Len() {
		if i-d >= 0 && p.at(i-d).hasRows {
			from = i - d
			break
		}
		if i+d < p.Len() && p.at(i+d).hasRows {
			from = i + d
			break
		}
	}
	to.Rows = append(rows, p.at(from).rows...)
	return p.at(from).sample.Time
}

// pause freezes the screen at moment i of the past.
func (s *State) pause(i int) {
	s.Paused = true
	at := s.past.restore(i, &s.frozen)
	s.gone = s.gone[:0]
	s.Sample, s.Passes = &s.frozen, s.past.at(i).passes
	if !at.Equal(s.frozen.Time) {
		s.Message = "the processes are those of " + at.Format("15:04:05") + ": none are kept of this moment"
	}
	s.arrange()
}

// goLive shows the latest sample again.
func (s *State) goLive() Command {
	if !s.Paused {
		s.Message = "this is live"
		return Nothing
	}
	s.Paused = false
	s.gone = s.gone[:0]
	s.Sample, s.Passes = s.latest, s.passes
	s.arrange()
	return Refresh
}

func (s *State) togglePause() Command {
	if s.Paused {
		return s.goLive()
	}
	s.pause(s.past.Len() - 1)
	return Nothing
}

// walk goes that many moments forward from the one shown, and pauses there.
func walk(by int) func(*State) Command {
	return func(s *State) Command {
		at := s.past.find(s.Sample.Time)
		return s.goTo(at, at+by)
	}
}

// leap goes that much time forward from the moment shown, one moment at least.
func leap(by time.Duration) func(*State) Command {
	return func(s *State) Command {
		at := s.past.find(s.Sample.Time)
		to := s.past.find(s.Sample.Time.Add(by))
		switch {
		case by > 0:
			to = max(to, at+1)
		case to == at:
			to--
		}
		return s.goTo(at, to)
	}
}

// goTo goes from moment at to moment to, or as far as there is something.
func (s *State) goTo(at, to int) Command {
	switch last := s.past.Len() - 1; {
	case to < 0 && at == 0:
		s.Message = "this is the oldest moment that is kept"
		return Nothing
	case to > last && !s.Paused:
		s.Message = "this is the latest moment"
		return Nothing
	case to > last && at == last:
		s.Message = "this is the latest moment; L goes on live"
		return Nothing
	default:
		s.pause(max(0, min(to, last)))
	}
	return Nothing
}

// Behind returns how long before the latest sample the one shown was taken.
func (s *State) Behind() time.Duration {
	if !s.Paused || s.latest == nil {
		return 0
	}
	return s.latest.Time.Sub(s.Sample.Time)
}

// withoutPast says why there is no past to go to.
func withoutPast(s *State) string {
	if s.past.Len() == 0 {
		return "there is no sample yet"
	}
	return ""
}

// askMoment asks for a time of day to go to.
func (s *State) askMoment() Command {
	oldest := s.past.at(0).sample.Time
	return s.ask(&Prompt{
		Label: "Go to time: ",
		Hint:  []string{"like 14:02 or 14:02:31, or 5m ago as 5m", "kept since " + oldest.Format("15:04:05")},
		done: func(s *State, text string) (Command, error) {
			t, err := momentNamed(text, s.latest.Time)
			if err != nil {
				return Nothing, err
			}
			i := s.past.find(t)
			s.pause(i)
			if t.Before(oldest) {
				s.Message = "nothing older is kept"
			}
			return Nothing, nil
		},
	})
}

// momentNamed returns the last time before now that a text names: a time of day
// or how long ago.
func momentNamed(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d.Abs()), nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		clock, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		y, m, d := now.Date()
		t := time.Date(y, m, d, clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		if t.After(now) {
			t = t.AddDate(0, 0, -1)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time like 14:02 or 5m", text)
}

// pastBindings are the keys that walk through the past, in any view.
func pastBindings() []Binding {
	return []Binding{
		{[]string{"F7", "p", "z"}, "F7 p z", "Pause", "freeze the screen; again goes on", (*State).togglePause, withoutPast},
		{[]string{"["}, "[", "", "back by one sample, and pause", walk(-1), withoutPast},
		{[]string{"]"}, "]", "", "forward by one sample", walk(1), withoutPast},
		{[]string{"{"}, "{", "", "back by a minute", leap(-time.Minute), withoutPast},
		{[]string{"}"}, "}", "", "forward by a minute", leap(time.Minute), withoutPast},
		{[]string{"J"}, "J", "", "go to a time", (*State).askMoment, withoutPast},
		{[]string{"L"}, "L", "", "live again", (*State).goLive, nil},
	}
}
