package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// family returns a process with a parent and so many merged pages.
func family(pid, ppid int, merged uint64) Row {
	r := registeredRow(pid, merged)
	r.PPID, r.User = ppid, []string{"ana", "bob", "eve"}[pid%3]
	return r
}

// sketch draws a tree with two blanks for each depth: pid/below, x if closed.
func sketch(rows []Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s%d", strings.Repeat("  ", r.Place.Depth), r.PID)
		if r.Place.Below > 0 {
			fmt.Fprintf(&b, "/%d", r.Place.Below)
		}
		if r.Place.Closed {
			fmt.Fprintf(&b, "x=%d", r.KSM.MergingPages)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestTree(t *testing.T) {
	rows := func() []Row {
		return []Row{family(9, 3, 70), family(7, 1, 60), family(5, 3, 50), family(3, 1, 40), family(8, 5, 30), family(1, 0, 20), family(2, 99, 10), family(4, 4, 5)}
	}
	tests := []struct {
		name   string
		closed []int
		want   string
	}{
		{"open", nil, "1/5\n  7\n  3/3\n    9\n    5/1\n      8\n2\n4\n"},
		{"a branch closed", []int{3}, "1/5\n  7\n  3/3x=190\n2\n4\n"},
		{"the root closed", []int{1}, "1/5x=270\n2\n4\n"},
		{"one in another", []int{1, 5}, "1/5x=270\n2\n4\n"},
		{"a leaf has nothing to close", []int{8}, "1/5\n  7\n  3/3\n    9\n    5/1\n      8\n2\n4\n"},
	}
	for _, tt := range tests {
		closed := map[process]bool{}
		for _, pid := range tt.closed {
			closed[process{pid, uint64(1000 + pid)}] = true
		}
		var f forest
		for range 2 { // the second time in used memory
			if got := sketch(f.tree(rows(), closed)); got != tt.want {
				t.Errorf("%s:\n%swant\n%s", tt.name, got, tt.want)
			}
		}
	}
}

// TestTreeLines holds the lines of the tree to what they mean: whether a sibling
// of an ancestor follows.
func TestTreeLines(t *testing.T) {
	var f forest
	rows := f.tree([]Row{family(1, 0, 1), family(2, 1, 1), family(3, 2, 1), family(4, 1, 1)}, nil)
	for i, want := range []Place{
		{Last: true, Below: 3, Shown: 3},
		{Depth: 1, Below: 1, Shown: 1},
		{Depth: 2, Last: true, Through: 2},
		{Depth: 1, Last: true},
	} {
		if rows[i].Place != want {
			t.Errorf("row %d: %+v, want %+v", i, rows[i].Place, want)
		}
	}
}

// TestRandomTrees holds trees of processes with any parents, even rings, to
// their laws: without closed branches every row is there once, below its parent.
func TestRandomTrees(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var f forest
	for range 2000 {
		var rows []Row
		n := random.IntN(30)
		for i := range n {
			r := family(1+i, random.IntN(n+2), 1)
			r.Start = random.Uint64N(4)
			rows = append(rows, r)
		}
		random.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		rows = f.tree(rows, nil)
		var pids []int
		var path []int
		for _, r := range rows {
			pids = append(pids, r.PID)
			path = append(path[:r.Place.Depth], r.PID)
			if d := r.Place.Depth; d > 0 && path[d-1] != r.PPID {
				t.Fatalf("%d stands below %d, its parent is %d\n%s", r.PID, path[d-1], r.PPID, sketch(rows))
			}
			if r.Place.Below != r.Place.Shown {
				t.Fatalf("%d has %d below it and %d shown", r.PID, r.Place.Below, r.Place.Shown)
			}
		}
		slices.Sort(pids)
		for i := range n {
			if len(pids) != n || pids[i] != 1+i {
				t.Fatalf("%d rows became %v", n, pids)
			}
		}
	}
}

func TestGroups(t *testing.T) {
	s := NewState(time.Second)
	s.Take(sampleOf(0, family(1, 0, 10), family(2, 0, 20), family(3, 0, 30), family(4, 0, 40), family(5, 0, 50)))
	s.Fit(10)
	s.Key("b")
	s.Key("Down")
	if got := s.Key("Enter"); got != SetWants {
		t.Errorf("choosing groups = %d, want SetWants", got)
	}
	list := func() string {
		var b strings.Builder
		for _, r := range s.Rows {
			if r.Place.Head {
				fmt.Fprintf(&b, "%s=%d/%d ", r.Name, r.KSM.MergingPages, r.Place.Below)
			} else {
				fmt.Fprintf(&b, "%d ", r.PID)
			}
		}
		return b.String()
	}
	if got, want := list(), "eve=70/2 5 2 bob=50/2 4 1 ana=30/1 3 "; got != want {
		t.Errorf("groups by user: %s, want %s", got, want)
	}
	s.Key("Home")
	s.Key("-")
	if got, want := list(), "eve=70/2 bob=50/2 4 1 ana=30/1 3 "; got != want {
		t.Errorf("a group closed: %s, want %s", got, want)
	}
	s.Key("Down")
	s.Key("Space") // a head has no tag, so all in the group get one
	if s.Tags() != 2 || len(s.TaggedRows()) != 2 {
		t.Errorf("%d tags, want 2", s.Tags())
	}
	s.Key("I")
	if got, want := list(), "ana=30/1 3 bob=50/2 1 4 eve=70/2 "; got != want {
		t.Errorf("the other way round: %s, want %s", got, want)
	}
	if s.Wants() != (Wants{}) {
		t.Errorf("Wants() = %+v, want nothing", s.Wants())
	}
	s.Group = ByGuest
	if want := (Wants{Units: true}); s.Wants() != want {
		t.Errorf("Wants() by virtual machine = %+v, want %+v", s.Wants(), want)
	}
}

// TestTreeShowsAncestors shows parents that have nothing to do with KSM, also of
// rows that a filter chose.
func TestTreeShowsAncestors(t *testing.T) {
	idle := func(pid, ppid int) Row {
		return Row{Name: "idle", User: "eve", Process: processOf(pid, ppid)}
	}
	s := NewState(time.Second)
	s.Take(sampleOf(0, idle(1, 0), idle(2, 1), idle(3, 1), family(4, 2, 10), family(5, 4, 20)))
	s.Key("t")
	if got, want := sketch(s.Rows), "1/3\n  2/2\n    4/1\n      5\n"; got != want {
		t.Errorf("tree:\n%swant\n%s", got, want)
	}
	s.Filter.Text = "p5"
	s.arrange()
	if got, want := sketch(s.Rows), "1/3\n  2/2\n    4/1\n      5\n"; got != want || s.Hidden != 0 {
		t.Errorf("tree with a filter:\n%s%d hidden, want\n%s0", got, s.Hidden, want)
	}
	s.Key("t")
	if got, want := sketch(s.Rows), "5\n"; got != want || s.Hidden != 1 {
		t.Errorf("filter:\n%s%d hidden, want\n%s1", got, s.Hidden, want)
	}
}
