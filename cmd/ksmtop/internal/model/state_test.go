package model

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

var testStart = time.Date(2025, 11, 20, 14, 0, 0, 0, time.UTC)

// registeredRow returns a process with so many merged pages.
func registeredRow(pid int, merged uint64) Row {
	r := Row{Name: fmt.Sprintf("p%d", pid), Profit: int64(merged) * 4096}
	r.PID, r.Start = pid, uint64(1000+pid)
	r.KSM = sysfs.ProcessStat{MergingPages: sysfs.Pages(merged), Mergeable: true, Present: sysfs.KSMMergingPages | sysfs.KSMRmapItems}
	return r
}

// sampleOf returns a sample with these rows, so many samples after the start.
func sampleOf(n int, rows ...Row) *Sample {
	s := &Sample{Time: testStart.Add(time.Duration(n) * 2 * time.Second), PageSize: 4096, Rows: rows}
	s.Counts = Counts{Seen: 100, Readable: 90, Registered: len(rows)}
	s.Reading.Counters.Present = sysfs.SetOf(sysfs.FullScans)
	s.HasSavings, s.Savings.NetBytes = true, int64(n)
	return s
}

// stateWith returns a state with processes 1 to n, the first of which has
// merged most.
func stateWith(n int) *State {
	s := NewState(2 * time.Second)
	s.Take(sampleOf(0, rowsTo(n)...))
	s.Fit(5)
	return s
}

func rowsTo(n int) []Row {
	var rows []Row
	for pid := 1; pid <= n; pid++ {
		rows = append(rows, registeredRow(pid, uint64(1000-pid)))
	}
	return rows
}

// pids returns the rows in order, negative if they have gone.
func pids(s *State) []int {
	var all []int
	for _, r := range s.Rows {
		if r.Gone {
			all = append(all, -r.PID)
		} else {
			all = append(all, r.PID)
		}
	}
	return all
}

func TestSelectionFollowsTheProcess(t *testing.T) {
	s := stateWith(4)
	s.Key("Down")
	selected := func(when string, pid, index int) {
		t.Helper()
		if s.Selected != index || s.Rows[s.Selected].PID != pid {
			t.Errorf("%s: row %d, pid %d is selected in %v, want row %d, pid %d", when, s.Selected, s.Rows[s.Selected].PID, pids(s), index, pid)
		}
	}
	selected("at first", 2, 1)

	rows := rowsTo(4)
	rows[1].Profit = -1
	s.Take(sampleOf(1, rows...))
	selected("another order", 2, 3)

	s.Key("I")
	selected("the other way round", 2, 0)

	rows[1].Start = 7
	s.Take(sampleOf(2, rows...))
	if got, want := pids(s), []int{2, -2, 4, 3, 1}; !slices.Equal(got, want) {
		t.Fatalf("rows = %v, want %v", got, want)
	}
	if s.Selected != 1 {
		t.Errorf("row %d is selected, want the one that has gone, not that with its number", s.Selected)
	}

	s.Take(sampleOf(3, rows...))
	selected("the place it had", 4, 1)

	s.Take(sampleOf(4))
	s.Take(sampleOf(5))
	if s.Selected != 0 || len(s.Rows) != 0 {
		t.Errorf("row %d of %v is selected, want 0 of none", s.Selected, pids(s))
	}
	s.Key("Down")
	s.Take(sampleOf(6, rowsTo(3)...))
	selected("rows again", 3, 0)
}

// TestFirstRowUntilChosen keeps the first row selected for users that have not
// touched the table, whoever is in it.
func TestFirstRowUntilChosen(t *testing.T) {
	s := stateWith(4)
	rows := rowsTo(4)
	rows[3].Profit = 1 << 40
	s.Take(sampleOf(1, rows...))
	if s.Selected != 0 || s.Rows[0].PID != 4 {
		t.Errorf("row %d, pid %d is selected, want row 0, pid 4", s.Selected, s.Rows[s.Selected].PID)
	}
}

func TestScrolling(t *testing.T) {
	s := stateWith(20) // of which 5 fit
	for _, tt := range []struct {
		key           string
		selected, top int
	}{
		{"Down", 1, 0}, {"PgDn", 6, 2}, {"PgDn", 11, 7}, {"Up", 10, 7}, {"PgUp", 5, 5}, {"End", 19, 15}, {"Down", 19, 15},
		{"k", 18, 15}, {"g", 0, 0}, {"Up", 0, 0}, {"G", 19, 15}, {"Home", 0, 0}, {"j", 1, 0},
	} {
		s.Key(tt.key)
		if s.Selected != tt.selected || s.Top != tt.top {
			t.Errorf("%s: row %d is selected and %d the first, want %d and %d", tt.key, s.Selected, s.Top, tt.selected, tt.top)
		}
	}
	s.Key("End")
	s.Fit(2)
	if s.Top != 18 {
		t.Errorf("first row on a smaller screen = %d, want 18", s.Top)
	}
	s.Fit(30)
	if s.Top != 0 {
		t.Errorf("first row on a larger screen = %d, want 0", s.Top)
	}
	s.ClickRow(7)
	s.ClickRow(25) // below the last
	s.ClickRow(-1)
	if s.Selected != 7 {
		t.Errorf("row %d is selected, want 7", s.Selected)
	}
	s.Wheel(-3)
	if s.Selected != 4 {
		t.Errorf("row %d is selected after the wheel, want 4", s.Selected)
	}
}

func TestGoneRows(t *testing.T) {
	s := stateWith(3)
	s.Take(sampleOf(1, rowsTo(1)...))
	if got, want := pids(s), []int{1, -2, -3}; !slices.Equal(got, want) {
		t.Errorf("rows = %v, want %v", got, want)
	}
	s.Take(&Sample{Time: testStart.Add(4 * time.Second)})
	if got := pids(s); got != nil {
		t.Errorf("rows without /proc = %v, want none", got)
	}
	s.Take(sampleOf(3, rowsTo(2)...))
	if got, want := pids(s), []int{1, 2}; !slices.Equal(got, want) {
		t.Errorf("rows = %v, want %v", got, want)
	}
}

func TestFilters(t *testing.T) {
	idle := Row{Process: sysfs.Process{PID: 9, Start: 9, UID: 5}}
	s := NewState(time.Second)
	s.Take(sampleOf(0, registeredRow(1, 1), idle))
	if got, want := pids(s), []int{1}; !slices.Equal(got, want) {
		t.Errorf("rows = %v, want %v", got, want)
	}
	if got := s.Key("a"); got != SetWants || !s.All {
		t.Errorf("a = %v, all %t, want SetWants, true", got, s.All)
	}
	if got, want := pids(s), []int{1, 9}; !slices.Equal(got, want) {
		t.Errorf("all rows = %v, want %v", got, want)
	}
	s.Key("a")
	s.Filter = Filter{PIDs: []int{9}}
	s.Take(sampleOf(1, registeredRow(1, 1), idle))
	if got, want := pids(s), []int{9}; !slices.Equal(got, want) {
		t.Errorf("rows of -p 9 = %v, want %v", got, want)
	}
}

// TestChartSpan lets the charts grow with the history.
func TestChartSpan(t *testing.T) {
	s := NewState(2 * time.Second)
	if got := s.ChartSpan(); got != time.Minute {
		t.Errorf("ChartSpan() at first = %v, want 1m", got)
	}
	for _, tt := range []struct {
		samples int
		want    time.Duration
	}{{29, time.Minute}, {31, 2 * time.Minute}, {61, 4 * time.Minute}, {121, 10 * time.Minute}, {3000, 10 * time.Minute}} {
		for n := s.History.Len(); n < min(tt.samples, historyPoints); n++ {
			s.History.Add(sampleOf(n), s.Delay)
		}
		if got := s.ChartSpan(); got != tt.want {
			t.Errorf("ChartSpan() after %d samples = %v, want %v", tt.samples, got, tt.want)
		}
	}
}

// TestTakeAllocatesNoRows takes the same samples again and again. Sorting
// allocates once for each time it is done, however many processes there are.
func TestTakeAllocatesNoRows(t *testing.T) {
	for _, rows := range []int{10, 1000} {
		for _, arranged := range []struct {
			name   string
			change func(*State)
			most   float64 // allocations of a sample and of sorting anew
		}{
			{"flat", func(*State) {}, 2},
			{"tree", func(s *State) { s.Tree = true }, 2},
			{"groups", func(s *State) { s.Group = ByUser }, 6},
			{"filter", func(s *State) { s.Filter.Text = "p1|p2" }, 2},
		} {
			s := NewState(time.Second)
			arranged.change(s)
			samples := [...]*Sample{sampleOf(0, rowsTo(rows)...), sampleOf(1, rowsTo(rows)...)}
			for _, sample := range samples {
				for i := range sample.Rows { // a tree of some depth, and two users
					sample.Rows[i].PPID, sample.Rows[i].User = sample.Rows[i].PID/2, []string{"ana", "bob"}[i%2]
				}
			}
			for range historyPoints {
				s.History.Add(samples[0], time.Second)
			}
			for i := range historyPoints { // moments with rows until there is no room for more
				few := *samples[0]
				if i < historyPoints-2*pastRows/rows {
					few.Rows = nil
				}
				s.past.add(&few, &s.passes)
			}
			s.Take(samples[0])
			n := 0
			take := func() {
				s.Take(samples[n%2])
				s.Key("I")
				n++
			}
			take()
			if n := testing.AllocsPerRun(20, take); n > arranged.most {
				t.Errorf("%d rows, %s: taking a sample and sorting twice allocates %v times, want %v at most", rows, arranged.name, n, arranged.most)
			}
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for _, rows := range []int{10, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := NewState(time.Second)
			sample := sampleOf(0, rowsTo(rows)...)
			b.ReportAllocs()
			for b.Loop() {
				s.Take(sample)
			}
		})
	}
}
