package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// withPast returns a state with samples 0 to n-1, two seconds apart. Sample i has
// a process i+1 and NetBytes i.
func withPast(n int) *State {
	s := NewState(2 * time.Second)
	for i := range n {
		s.Take(sampleOf(i, registeredRow(i+1, 10)))
	}
	return s
}

func TestWalkingBack(t *testing.T) {
	tests := []struct {
		keys    string
		want    int // the sample shown
		paused  bool
		message string
	}{
		{"", 99, false, ""},
		{"p", 99, true, ""},
		{"p p", 99, false, ""},
		{"[", 98, true, ""},
		{"[ [ [", 96, true, ""},
		{"[ [ ]", 98, true, ""},
		{"]", 99, false, "this is the latest moment"},
		{"[ ] ]", 99, true, "this is the latest moment; L goes on live"},
		{"{", 69, true, ""},
		{"{ }", 99, true, ""},
		{"{ { { {", 0, true, ""},
		{"{ { { { [", 0, true, "this is the oldest moment that is kept"},
		{"[ L", 99, false, ""},
		{"[ Esc", 99, false, ""},
		{"[ z", 99, false, ""},
		{"L", 99, false, "this is live"},
		{"J 1 4 : 0 1 Enter", 30, true, ""},
		{"J 1 4 : 0 1 : 3 1 Enter", 45, true, ""},
		{"J 1 m Enter", 69, true, ""},
		{"J 1 h Enter", 0, true, "nothing older is kept"},
		{"J x Enter", 99, false, `"x" is no time like 14:02 or 5m`},
	}
	for _, tt := range tests {
		s := withPast(100)
		for key := range strings.FieldsSeq(tt.keys) {
			s.Key(key)
		}
		if got := int(s.Sample.Savings.NetBytes); got != tt.want || s.Paused != tt.paused || s.Message != tt.message {
			t.Errorf("%q: sample %d, paused %t, message %q, want %d, %t, %q", tt.keys, got, s.Paused, s.Message, tt.want, tt.paused, tt.message)
		}
		if at := slices.IndexFunc(s.Rows, func(r Row) bool { return !r.Gone }); at < 0 || s.Rows[at].PID != tt.want+1 {
			t.Errorf("%q: rows %v, want process %d", tt.keys, pids(s), tt.want+1)
		}
		if want := time.Duration(99-tt.want) * 2 * time.Second; s.Behind() != want {
			t.Errorf("%q: Behind() = %v, want %v", tt.keys, s.Behind(), want)
		}
	}
}

// TestPauseGoesOn takes samples while the screen is paused: it stays as it is,
// and they are there afterwards.
func TestPauseGoesOn(t *testing.T) {
	s := withPast(10)
	s.Key("p")
	for i := 10; i < 20; i++ {
		s.Take(sampleOf(i, registeredRow(i+1, 10)))
	}
	if got := s.Sample.Savings.NetBytes; got != 9 || s.Rows[0].PID != 10 || s.Latest().Savings.NetBytes != 19 {
		t.Errorf("paused: sample %d, rows %v, latest %d, want 9, [10], 19", got, pids(s), s.Latest().Savings.NetBytes)
	}
	if s.History.Len() != 20 {
		t.Errorf("%d points in the history, want 20", s.History.Len())
	}
	s.Key("]")
	if got := s.Sample.Savings.NetBytes; got != 10 {
		t.Errorf("one step forward leads to sample %d, want 10", got)
	}
	s.Key("p")
	if got := s.Sample.Savings.NetBytes; got != 19 || pids(s)[0] != 20 {
		t.Errorf("live again: sample %d, rows %v, want 19, [20]", got, pids(s))
	}
}

// TestPastIsBounded keeps more moments than there is room for.
func TestPastIsBounded(t *testing.T) {
	var p Past
	rows := rowsTo(2000)
	for i := range historyPoints + 100 {
		p.add(sampleOf(i, rows[:1000+i%1000]...), &Passes{})
		kept := 0
		for _, place := range p.kept {
			kept += len(p.ring[place].rows)
		}
		if kept != p.rows || kept > pastRows {
			t.Fatalf("%d rows are kept and %d counted, want %d at most", kept, p.rows, pastRows)
		}
	}
	if p.Len() != historyPoints {
		t.Fatalf("%d moments, want %d", p.Len(), historyPoints)
	}
	if first := p.at(0).sample.Savings.NetBytes; first != 100 {
		t.Errorf("the oldest is sample %d, want 100", first)
	}
	// Detail: all of the last moments, and some as old as half the history.
	last := p.Len() - 1
	for i := last; i > last-16; i-- {
		if !p.at(i).hasRows {
			t.Errorf("moment %d from the end has lost its processes", last-i)
		}
	}
	old := 0
	for i := range p.Len() / 2 {
		if p.at(i).hasRows {
			old++
		}
	}
	if old == 0 {
		t.Error("no moment of the older half has its processes")
	}
	var s Sample
	for i := range p.Len() {
		if at := p.restore(i, &s); len(s.Rows) == 0 || s.Savings.NetBytes != int64(100+i) {
			t.Fatalf("moment %d: sample %d with %d rows of %v", i, s.Savings.NetBytes, len(s.Rows), at)
		}
	}
}

// TestPastOfOneGiant keeps the latest moment, whatever its size.
func TestPastOfOneGiant(t *testing.T) {
	var p Past
	rows := make([]Row, pastRows+1)
	for i := range 3 {
		p.add(sampleOf(i, rows...), &Passes{})
		if len(p.kept) != 1 || !p.at(i).hasRows {
			t.Errorf("after %d samples %d moments have processes, want the latest", i+1, len(p.kept))
		}
	}
}

// BenchmarkPast adds samples to a past that is full.
func BenchmarkPast(b *testing.B) {
	for _, rows := range []int{10, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			var p Past
			sample := sampleOf(0, rowsTo(rows)...)
			add := func() {
				sample.Time = sample.Time.Add(2 * time.Second)
				p.add(sample, &Passes{})
			}
			for range historyPoints {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
			}
		})
	}
}

// TestFind looks for moments by their time.
func TestFind(t *testing.T) {
	s := withPast(5)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{-time.Hour, 0}, {0, 0}, {time.Second, 0}, {2 * time.Second, 1}, {7 * time.Second, 3}, {time.Hour, 4}} {
		if got := s.past.find(testStart.Add(tt.after)); got != tt.want {
			t.Errorf("find(%v) = %d, want %d", tt.after, got, tt.want)
		}
	}
}

// TestMomentNamed understands times of yesterday.
func TestMomentNamed(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 5, 0, 0, time.UTC)
	got, err := momentNamed("23:59", now)
	if want := time.Date(2026, 2, 28, 23, 59, 0, 0, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("momentNamed = %v, %v, want %v", got, err, want)
	}
}

// A simulation that stands still changes its last moment, also where the ring is
// full; there is no second one of the same time.
func TestPastOfStandingTime(t *testing.T) {
	for _, moments := range []int{1, 3, historyPoints, historyPoints + 5} {
		s := NewState(time.Second)
		s.face(SimSource)
		for i := range moments {
			sample := at(float64(i))
			sample.Source, sample.Rows = "sim", []Row{registered(1, 0, "vm-1")}
			s.Take(sample)
		}
		sample := at(float64(moments - 1))
		sample.Source, sample.Rows = "sim", []Row{registered(1, 0, "vm-1"), registered(2, 0, "vm-2")}
		sample.Savings.NetBytes = 77
		s.Take(sample)
		n := min(moments, historyPoints)
		if s.past.Len() != n || s.History.Len() != n || s.History.At(n-1).Net != 77 {
			t.Errorf("%d moments: %d are kept, %d in the history, the last with %v", moments, s.past.Len(), s.History.Len(), s.History.At(n-1).Net)
		}
		var last, before Sample
		s.past.restore(n-1, &last)
		s.past.restore(max(0, n-2), &before)
		if len(last.Rows) != 2 || last.Savings.NetBytes != 77 || n > 1 && len(before.Rows) != 1 {
			t.Errorf("%d moments: the last has %d processes, the one before %d", moments, len(last.Rows), len(before.Rows))
		}
	}
}
