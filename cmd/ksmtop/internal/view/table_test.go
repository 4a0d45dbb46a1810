package view

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// TestColumnsGiveWay holds the table to the order in which narrow screens drop
// columns, and to leaving room for the command.
func TestColumnsGiveWay(t *testing.T) {
	var before []string
	for w := 300; w >= smallWidth; w-- {
		var names []string
		used := 1
		columns := shownColumns(nil, w, single(func(*model.Sample) {}))
		for i, c := range columns {
			names = append(names, c.Name)
			used += c.Width + gap(columns, i)
		}
		if w-used < 20 {
			t.Errorf("width %d leaves %d cells to the command", w, w-used)
		}
		if before != nil && len(names) < len(before) {
			gone := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return slices.Contains(names, n) })
			if want := dropped[len(model.TableColumns)-len(before) : len(model.TableColumns)-len(names)]; !slices.Equal(gone, want) {
				t.Errorf("width %d drops %q, want %q", w, gone, want)
			}
		}
		before = names
	}
	if want := []string{"pid", "merged", "rmap_pg", "profit", "command"}; !slices.Equal(before, want) {
		t.Errorf("width %d shows %q, want %q", smallWidth, before, want)
	}
}

// line returns the line of the screen with that text.
func line(t *testing.T, c *Canvas, text string) string {
	t.Helper()
	for l := range strings.Lines(c.String()) {
		if strings.Contains(l, text) {
			return strings.TrimSuffix(l, "\n")
		}
	}
	t.Fatalf("%q is not on the screen:\n%s", text, c)
	return ""
}

func TestRows(t *testing.T) {
	row := func(change func(*model.Row)) func(*model.Sample) {
		return func(s *model.Sample) {
			s.Rows = []model.Row{fixtureRow(77, "ana", "vma", 1000, 4000, 2000, "/opt/x/prog --flag")}
			s.Rows[0].HasTrend = true
			change(&s.Rows[0])
		}
	}
	tests := []struct {
		name   string
		change func(*model.Row)
		want   string // from MERGED on
	}{
		{"usual", func(*model.Row) {}, "3.91M   25%    2.0    3.78M     .  prog --flag"},
		{"pays", func(r *model.Row) { r.KSM.RmapItems, r.Profit = 64001, -64 }, "3.91M   25%   64.0!     -64     .  prog --flag"},
		{"just below", func(r *model.Row) { r.KSM.RmapItems = 63999 }, "3.91M   25%   64.0    3.78M     .  prog --flag"},
		{"many items", func(r *model.Row) { r.KSM.RmapItems = 99e9 }, "3.91M   25% 99.0 M!   3.78M     .  prog --flag"},
		{"largest", func(r *model.Row) { r.KSM.RmapItems, r.Profit = 1<<64-1, -1<<63 }, "3.91M   25% #######  -8.00E     .  prog --flag"},
		{"nothing merged", func(r *model.Row) { r.KSM.MergingPages, r.Profit = 0, -128000 }, ".    0%      -    -125K     .  prog --flag"},
		{"refused", func(r *model.Row) { r.KSM, r.Profit, r.HasTrend = sysfs.ProcessStat{}, 0, false }, "?     ?      ?        ?     ?  prog --flag"},
		{"trend", func(r *model.Row) { r.Trend = -1.6 * (1 << 20) }, "3.91M   25%    2.0    3.78M    -2  prog --flag"},
	}
	for _, tt := range tests {
		s := single(row(tt.change))
		s.All = true
		s.SortBy(model.ColumnByName("pid"))
		got := line(t, screenOf(s, 80, 24, LevelASCII), "prog --flag")
		if want := fmt.Sprintf(">%7d ana      ", 77); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: %q, want it to end in %q", tt.name, got, tt.want)
		}
		if gotWidth := len(got); gotWidth != 59+len("prog --flag") {
			t.Errorf("%s: %q: the command begins at %d, want 59", tt.name, got, gotWidth-len("prog --flag"))
		}
	}
}

func TestGoneRowIsDim(t *testing.T) {
	s := single(func(*model.Sample) {})
	next := fixtureSample(0)
	next.Rows = slices.DeleteFunc(next.Rows, func(r model.Row) bool { return r.PID == 2298 })
	s.Take(next)
	dim := func() (shown, dim bool) {
		c := screenOf(s, 120, 40, LevelBraille)
		for y, l := range strings.Split(c.String(), "\n") {
			if strings.HasPrefix(l, "    2298 ") {
				_, _, role, _ := c.Cell(60, y)
				return true, role == Dim
			}
		}
		return false, false
	}
	if shown, dim := dim(); !shown || !dim {
		t.Errorf("a process that has gone: shown %t, dim %t, want both", shown, dim)
	}
	s.Take(fixtureSampleWithout(2298))
	if shown, _ := dim(); shown {
		t.Error("a process that has gone is still shown with the second sample")
	}
}

func fixtureSampleWithout(pid int) *model.Sample {
	s := fixtureSample(0)
	s.Rows = slices.DeleteFunc(s.Rows, func(r model.Row) bool { return r.PID == pid })
	return s
}

func TestNotes(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model.Sample)
		filter model.Filter
		w      int
		want   []string
	}{
		{"usual", func(*model.Sample) {}, model.Filter{}, 80, []string{
			"   12.0M saved by processes that exited or may not be read",
			"     180 take no part in KSM (a lists them)"}},
		{"nothing left over", func(s *model.Sample) { s.Unattributed = 0 }, model.Filter{}, 80, []string{
			"     180 take no part in KSM (a lists them)"}},
		{"less than nothing", func(s *model.Sample) { s.Unattributed = -8192 }, model.Filter{}, 80, []string{
			"  -8.00K saved by processes that exited or may not be read",
			"     180 take no part in KSM (a lists them)"}},
		{"filter", func(*model.Sample) {}, model.Filter{HasUID: true}, 80, []string{
			"   12.0M saved by processes that exited or may not be read"}},
		{"denied, narrow", func(s *model.Sample) { s.Denied, s.HasUnattributed = 400000, false }, model.Filter{HasUID: true}, 60, []string{
			" 400 000 may not be read: that needs root"}},
	}
	for _, tt := range tests {
		s := single(tt.change)
		s.Filter = tt.filter
		c := NewCanvas(tt.w, 4)
		drawNotes(c, 0, 4, s)
		got := strings.Split(strings.TrimRight(c.String(), "\n"), "\n")
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%q, want\n%q", tt.name, got, tt.want)
		}
	}
}

// TestPen holds the pen to writing whole parts, and nothing after one that does
// not fit.
func TestPen(t *testing.T) {
	for w, want := range map[int]string{
		0: "", 4: "", 5: "one 1", 8: "one 1", 11: "one 1, 2345", 12: "one 1, 2345", 13: "one 1, 2345 6",
	} {
		c := NewCanvas(w, 1)
		p := c.pen(0, 0)
		p.text(Normal, "one ").number(Normal, 1).part().text(Normal, ", ").number(Normal, 2345).part().text(Normal, " ").number(Normal, 6)
		if got := strings.TrimSuffix(c.String(), "\n"); got != want {
			t.Errorf("width %d: %q, want %q", w, got, want)
		}
	}
	c := NewCanvas(20, 1)
	p := c.pen(0, 0).upTo(2, 8)
	p.text(Normal, "abcdef").text(Normal, "g")
	if got := c.String(); got != "\n" {
		t.Errorf("a part of 7 cells in 6 = %q, want nothing", got)
	}
}

func TestPercent(t *testing.T) {
	for _, tt := range []struct {
		share  float64
		digits int
		want   string
	}{
		{0, 1, "0.0%"}, {1e-9, 1, "<0.1%"}, {0.0005, 1, "0.1%"}, {0.372, 1, "37.2%"}, {1, 1, "100.0%"},
		{0, 0, "0%"}, {0.001, 0, "<1%"}, {0.006, 0, "1%"}, {1, 0, "100%"}, {-0.25, 1, "-25.0%"},
	} {
		if got := string(appendPercent(nil, tt.share, tt.digits)); got != tt.want {
			t.Errorf("appendPercent(%v, %d) = %q, want %q", tt.share, tt.digits, got, tt.want)
		}
	}
}

// manyRows returns a state with n processes.
func manyRows(n int) *model.State {
	return single(func(s *model.Sample) {
		s.Rows = s.Rows[:0]
		for i := range n {
			s.Rows = append(s.Rows, fixtureRow(1+i, "名前", "all", uint64(100+i), 5000, 900, "/usr/bin/worker --名前="+fmt.Sprint(i%50)))
			s.Rows[i].HasTrend, s.Rows[i].Trend = true, float64(i<<20)
		}
		s.Counts = model.Counts{Seen: n + 100, Readable: n + 50, Denied: 9, Registered: n}
	})
}

// TestDrawAllocatesNothing draws tables of 10 and of 1000 processes again and
// again, in every view.
func TestDrawAllocatesNothing(t *testing.T) {
	for _, rows := range []int{10, 1000} {
		for _, pressed := range [][]string{
			{}, {"2"}, {"2", "t"}, {"2", "b", "Down", "Enter"}, {"2", "Space", "c"}, {"2", "\\", "w", "Enter"}, {"7"}, {"["}, {"e"}, {"e", "e", "e"},
		} {
			s := manyRows(rows)
			keys(s, pressed...)
			for _, w := range []int{200, 80, 40} {
				c := NewCanvas(w, rows+40)
				draw := func() {
					c.Clear()
					Fit(w, rows+40, s)
					Draw(c, s)
				}
				draw()
				if n := leastAllocs(draw); n != 0 {
					t.Errorf("%d rows, %d columns after %q: drawing again allocates %v times", rows, w, pressed, n)
				}
			}
		}
	}
}

func BenchmarkScreen(b *testing.B) {
	for view, pressed := range map[string][]string{"overview": {}, "processes": {"2"}, "tree": {"2", "t"}, "events": {"7"}} {
		for _, rows := range []int{10, 1000} {
			b.Run(fmt.Sprintf("view=%s/rows=%d", view, rows), func(b *testing.B) {
				s := manyRows(rows)
				keys(s, pressed...)
				c := NewCanvas(200, rows+40)
				Fit(200, rows+40, s)
				b.ReportAllocs()
				for b.Loop() {
					c.Clear()
					Draw(c, s)
				}
			})
		}
	}
}

// BenchmarkFirstDraw measures what the screen itself adds to the time of the
// first paint: from a sample with 1000 processes to a drawn canvas.
func BenchmarkFirstDraw(b *testing.B) {
	sample := manyRows(1000).Sample
	b.ReportAllocs()
	for b.Loop() {
		s := model.NewState(2 * time.Second)
		s.Take(sample)
		c := NewCanvas(120, 40)
		Fit(120, 40, s)
		Draw(c, s)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/draw")
}
