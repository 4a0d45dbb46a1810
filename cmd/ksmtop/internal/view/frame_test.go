package view

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// TestFooter holds the last row of every view to what it promises at every
// width: whole keys, in order, each bound, and always one to quit.
func TestFooter(t *testing.T) {
	s := fixture()
	for i := range s.Views {
		testFooter(t, &s.Views[i].Keys)
	}
	s.Key("?")
	testFooter(t, s.Keys())
}

func testFooter(t *testing.T, keys *model.Keymap) {
	for w := leastWidth; w <= 300; w++ {
		end := 0
		cells := footer(nil, w, keys)
		for _, k := range cells {
			if k.x < end {
				t.Fatalf("width %d: %s at %d overlaps the key before it, which ends at %d", w, k.key, k.x, end)
			}
			end = k.x + k.w
			if !slices.Contains(k.binding.Keys, k.key) {
				t.Errorf("width %d: %s is not among %q", w, k.key, k.binding.Keys)
			}
		}
		if end > w {
			t.Errorf("width %d: the last key ends at %d", w, end)
		}
		if last := cells[len(cells)-1]; last.binding.Footer != "Quit" {
			t.Errorf("width %d: the last key is %s, want Quit", w, last.binding.Footer)
		}
	}
}

// TestUnavailableKeysAreDim holds the footer and Help equal to what keys do.
func TestUnavailableKeysAreDim(t *testing.T) {
	s := single(func(s *model.Sample) { noKSM(s, sysfs.ErrNotSupported) })
	c := screenOf(s, 80, 24, LevelASCII)
	for _, k := range footer(nil, 80, s.Keys()) {
		_, _, role, _ := c.Cell(k.x, 23)
		if dim, want := role == Dim, k.binding.Unavailable(s) != ""; dim != want {
			t.Errorf("%s is dim: %t, want %t", k.key, dim, want)
		}
	}
	s.Key("s")
	if want := "without KSM there is no table of processes"; s.Message != want {
		t.Errorf("message = %q, want %q", s.Message, want)
	}
}

func TestClick(t *testing.T) {
	find := func(t *testing.T, c *Canvas, text string) (x, y int) {
		t.Helper()
		for y, line := range strings.Split(c.String(), "\n") {
			if i := strings.Index(line, text); i >= 0 {
				return len([]rune(line[:i])), y
			}
		}
		t.Fatalf("%q is not on the screen:\n%s", text, c)
		return 0, 0
	}
	tests := []struct {
		name string
		keys []string
		w, h int
		on   string // text clicked on
		want func(*model.State) bool
	}{
		{"row", nil, 120, 40, "jupyter", func(s *model.State) bool { return s.Rows[s.Selected].PID == 7003 }},
		{"row of the small form", nil, 40, 12, "php-fpm", func(s *model.State) bool { return s.Rows[s.Selected].PID == 4410 }},
		{"row after scrolling", []string{"End"}, 80, 24, "10001", func(s *model.State) bool { return s.Rows[s.Selected].PID == 10001 }},
		{"heading", nil, 120, 40, "MERGED", func(s *model.State) bool { return s.Column.Name == "merged" && !s.Inverted }},
		{"heading sorted by", nil, 120, 40, "PROFIT", func(s *model.State) bool { return s.Column.Name == "profit" && s.Inverted }},
		{"heading of the command", nil, 80, 24, "COMMAND", func(s *model.State) bool { return s.Column.Name == "command" }},
		{"meter", nil, 80, 24, "Saved", func(s *model.State) bool { return s.Dialog().Title == "saved" }},
		{"key", nil, 80, 24, "Pause", func(s *model.State) bool { return s.Paused }},
		{"short key", nil, 40, 12, "\\Filter", func(s *model.State) bool { return s.Prompt != nil }},
		{"beside Help", []string{"?"}, 120, 40, "Savings", func(s *model.State) bool { return s.Dialog() != nil && s.Selected == 0 }},
		{"key of Help", []string{"?"}, 120, 40, "Close", func(s *model.State) bool { return s.Dialog() == nil }},
		{"number", nil, 120, 40, "Ratio", func(s *model.State) bool { return s.Dialog().Title == "ratio" }},
		{"number of ksmd", nil, 120, 40, "pass 1832", func(s *model.State) bool { return s.Dialog().Title == "pass" }},
		{"number of the legend", nil, 80, 24, "= sharing", func(s *model.State) bool { return s.Dialog().Title == "pages_sharing" }},
		{"chart", nil, 120, 40, "Net savings", func(s *model.State) bool { return s.Dialog().Title == "net" }},
		{"tab", nil, 120, 40, "7 Events", func(s *model.State) bool { return s.View == model.EventList }},
		{"tab under Help", []string{"?"}, 200, 60, "2 Processes", func(s *model.State) bool { return s.View == model.Overview }},
		{"event", []string{"7"}, 80, 24, "9177 chrome takes", func(s *model.State) bool {
			return strings.HasPrefix(s.Log.Shown[s.Log.Selected].Text, "9177 chrome takes")
		}},
		{"while typing", []string{"d"}, 80, 24, "MERGED", func(s *model.State) bool { return s.Prompt != nil && s.Column.Name == "profit" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := fixture()
			Fit(tt.w, tt.h, s)
			keys(s, tt.keys...)
			c := screenOf(s, tt.w, tt.h, LevelBraille)
			x, y := find(t, c, tt.on)
			if got := Click(c, x, y, false, s); got != model.Nothing {
				t.Errorf("Click() = %v, want Nothing", got)
			}
			if !tt.want(s) {
				t.Errorf("click on %q at %d,%d did something else: selected %d, sorted by %s", tt.on, x, y, s.Selected, s.Column.Name)
			}
		})
	}
	s := fixture()
	c := screenOf(s, 80, 24, LevelBraille)
	x, y := find(t, c, "Quit")
	if got := Click(c, x, y, false, s); got != model.Quit {
		t.Errorf("click on Quit = %v, want %v", got, model.Quit)
	}
}

// TestHelpIsComplete scrolls through Help and wants to have seen every word of
// every key.
func TestHelpIsComplete(t *testing.T) {
	for _, size := range [][2]int{{120, 40}, {80, 24}, {60, 16}, {40, 12}} {
		w, h := size[0], size[1]
		s := fixture()
		keys(s, "?")
		var seen strings.Builder
		for top := -1; ; {
			c := screenOf(s, w, h, LevelASCII)
			if s.Dialog().Scroller.Top == top {
				break
			}
			top = s.Dialog().Scroller.Top
			seen.WriteString(c.String())
			s.Key("Down")
		}
		for _, b := range s.Current().Keys.All() {
			for word := range strings.FieldsSeq(b.Show + " " + b.Help) {
				if !strings.Contains(seen.String(), word) {
					t.Errorf("%dx%d: Help never shows %q of %q", w, h, word, b.Help)
				}
			}
		}
		for _, name := range model.TableColumns {
			if heading := model.ColumnByName(name).Heading; !strings.Contains(seen.String(), heading) {
				t.Errorf("%dx%d: Help never shows the column %s", w, h, heading)
			}
		}
	}
}

func TestTooSmall(t *testing.T) {
	for _, tt := range []struct {
		w, h int
		want string
	}{
		{19, 4, "need 20x5\nhave 19x4\n\n\n"},
		{100, 1, "need 20x5, have 100x1\n"},
		{9, 9, "need 20x5\nhave 9x9\n\n\n\n\n\n\n\n"},
		{3, 2, "\n\n"},
		{0, 0, ""},
	} {
		if got := screenOf(fixture(), tt.w, tt.h, LevelASCII).String(); got != tt.want {
			t.Errorf("%dx%d = %q, want %q", tt.w, tt.h, got, tt.want)
		}
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model.State)
		w      int
		want   string
	}{
		{"a long name of the machine", func(s *model.State) { s.Sample.Host = strings.Repeat("h", 90) }, 80,
			" ksmtop LIVE                                                 14:02:31  2s  root"},
		{"half a second", func(s *model.State) { s.Delay = 500 * time.Millisecond }, 80,
			" ksmtop LIVE  db1                                         14:02:31  500ms  root"},
		{"a long delay", func(s *model.State) { s.Delay = 90*time.Minute + time.Millisecond }, 80,
			" ksmtop LIVE  db1                               14:02:31  1h30m0.001s  user ana"},
		{"no room for all", func(s *model.State) { s.User = strings.Repeat("u", 60); s.Sample.Denied = 9 }, 80,
			" ksmtop LIVE  db1                                                      14:02:31"},
	}
	for _, tt := range tests {
		s := single(func(*model.Sample) {})
		if strings.HasPrefix(tt.name, "a long delay") {
			s.Root, s.User, s.Sample.Counts = false, "ana", model.Counts{Seen: 1}
		}
		tt.change(s)
		got, _, _ := strings.Cut(screenOf(s, tt.w, 24, LevelASCII).String(), "\n")
		if got != tt.want {
			t.Errorf("%s:\n%q, want\n%q", tt.name, got, tt.want)
		}
	}
}

// pressable are keys for random sequences: all that are bound, and some more.
func pressable() []string {
	all := []string{"Enter", "Space", "Backspace", "Ctrl-U", "x", "0", "5", ".", "ä", "Alt-x", "Tab", "F12", "Delete"}
	s := fixture()
	for i := range s.Views {
		for _, b := range s.Views[i].Keys.All() {
			all = append(all, b.Keys...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestRandomKeys presses random keys between random samples, sizes and clicks,
// and holds every screen to its laws.
func TestRandomKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	walk(t, random, 2000, randomSamples(random))
}

func FuzzScreen(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		walk(t, random, 60, randomSamples(random))
	})
}

// TestRandomKeysOnLiveData presses 100 000 keys while this machine is looked at,
// with the two samples that the program has, of which one is shown while the
// other is read.
func TestRandomKeysOnLiveData(t *testing.T) {
	live, err := model.NewLive(sysfs.FS{})
	if err != nil {
		t.Skip("there is no /proc here:", err)
	}
	defer live.Close()
	presses := 100_000
	if testing.Short() {
		presses = 5000
	}
	samples := [2]model.Sample{}
	taken := 0
	walk(t, rand.New(rand.NewPCG(5, 6)), presses, func(s *model.State) *model.Sample {
		sample := &samples[taken%2]
		taken++
		live.Want(s.Wants())
		live.Read(sample)
		return sample
	})
}

// randomSamples returns samples at random times.
func randomSamples(random *rand.Rand) func(*model.State) *model.Sample {
	at := fixtureEnd
	return func(*model.State) *model.Sample {
		at = at.Add(time.Duration(random.IntN(5000)) * time.Millisecond)
		return randomSample(random, at)
	}
}

// walk changes a state at random and draws it. Nothing can be written: there is
// no kernel to write to.
func walk(t *testing.T, random *rand.Rand, presses int, next func(*model.State) *model.Sample) {
	all := pressable()
	s := model.NewState(2 * time.Second)
	if random.IntN(8) > 0 {
		s.Memory = fixtureMemory()
	}
	c := NewCanvas(80, 24)
	var last []string
	for i := range presses {
		w, h := 80, 24
		switch random.IntN(12) {
		case 0:
			s.TakeFrom(model.LiveSource, next(s))
		case 1:
			w, h = random.IntN(301), random.IntN(101)
		case 2:
			w, h = 15+random.IntN(120), random.IntN(45)
		case 3:
			cw, ch := c.Size()
			Click(c, random.IntN(cw+2)-1, random.IntN(ch+2)-1, random.IntN(2) == 0, s)
			last = append(last, "click")
		case 4:
			s.Wheel(random.IntN(9) - 4)
			last = append(last, "wheel")
		case 5, 6:
			if memory, ok := s.Memory.(*fakeMemory); ok {
				memory.change(random)
			}
			runTasks(t, s)
			last = append(last, "tasks")
		case 7:
			s.TakeSim(randomSim(random, s))
			s.SimCommands()
			last = append(last, "sim")
		}
		key := all[random.IntN(len(all))]
		s.Key(key)
		last = append(last, key)
		if i%3 != 0 && i < presses-1 {
			continue // several events are handled before one drawing
		}
		c.SetLevel(Level(random.IntN(int(numLevels))))
		c.Resize(w, h)
		Fit(w, h, s)
		Draw(c, s)
		checkScreen(t, c, s)
		if t.Failed() {
			t.Fatalf("%dx%d after %q:\n%s", w, h, last[max(0, len(last)-20):], c)
		}
	}
}

// checkScreen fails the test unless a screen obeys its laws: only clean cells,
// and where the view in front has a list its selected row is marked, and no
// other.
func checkScreen(t *testing.T, c *Canvas, s *model.State) {
	t.Helper()
	checkCanvas(t, c)
	if len(s.Rows) > 0 && (s.Selected < 0 || s.Selected >= len(s.Rows)) {
		t.Errorf("row %d of %d is selected", s.Selected, len(s.Rows))
	}
	w, h := c.Size()
	if s.Dialog() != nil || s.Sample == nil || w < leastWidth || h < leastHeight {
		return
	}
	marked := 0
	for y := range h - 2 {
		if _, _, _, selected := c.Cell(w-1, y); !selected {
			continue
		}
		marked++
		row := c.targetAt(w-1, y)
		want, text := s.Selected, ""
		switch s.View {
		case model.VMAs:
			want = s.VMA.Selected
		case model.Sharing:
			want = s.Sharing.Selected
		case model.WhatIf:
			want = s.WhatIf.Selected
		case model.Overview, model.Processes:
			if r := s.SelectedRow(); !r.Place.Head {
				text = fmt.Sprint(r.PID)
			}
		case model.EventList:
			want, text = s.Log.Selected, s.Log.Shown[s.Log.Selected].At.Format("15:04:05")
		case model.Simulator:
			want, text = s.Sim.Selected, model.SimKnobs[s.Sim.Selected].String()[:3]
		}
		if row.kind != listRow || row.index != want {
			t.Errorf("line %d is selected and stands for %+v, want row %d", y, row, want)
		}
		if got := strings.Split(c.String(), "\n")[y]; !strings.Contains(got, text) {
			t.Errorf("line %d is %q, want %q in it", y, got, text)
		}
	}
	want := 1
	switch {
	case s.Missing() != "", s.View == model.Simulator && !s.Sim.Open:
		want = 0
	case s.View == model.Simulator:
	case s.Current().NeedsKSM && s.NoKSM(), s.View == model.Overview && s.Panel != model.NoPanel && s.Panel != model.TablePanel,
		s.TableInFront() && len(s.Rows) == 0, s.View == model.EventList && len(s.Log.Shown) == 0,
		s.View == model.VMAs && len(s.VMA.Areas) == 0, s.View == model.Sharing && s.Sharing.Len() == 0:
		want = 0
	}
	if marked != want {
		t.Errorf("%d rows are marked as selected, want %d", marked, want)
	}
}

// randomSample returns a sample of some kernel with some of a few processes.
func randomSample(random *rand.Rand, at time.Time) *model.Sample {
	s := fixtureSample(time.Duration(random.IntN(600)) * time.Second)
	s.Time, s.Reading.Time = at, at
	switch random.IntN(8) {
	case 0:
		linux54(s)
	case 1:
		noKSM(s, sysfs.ErrNotSupported)
	case 2:
		stopped(s)
	case 3:
		merged(s, random.Uint64N(1<<40), random.Uint64N(1<<40), random.Uint64N(1<<40))
	case 4:
		s.Reading.Host = sysfs.Host{}
		s.Rates = sysfs.Rates{}
		s.Counts = model.Counts{Seen: 9, Readable: 2, Denied: 7, Registered: 1}
	}
	s.Savings, s.HasSavings = s.Reading.Counters.Savings(fixturePage)
	s.Rows = slices.DeleteFunc(s.Rows, func(r model.Row) bool { return random.IntN(4) == 0 })
	for i := range s.Rows {
		r := &s.Rows[i]
		if random.IntN(20) == 0 {
			r.Start++ // the number is in use again
		}
		if random.IntN(10) == 0 {
			r.KSM, r.Profit = sysfs.ProcessStat{}, 0
		}
		if random.IntN(5) == 0 {
			r.Profit, r.KSM.RmapItems = -random.Int64(), random.Uint64()
		}
	}
	return s
}
