package view

import (
	"errors"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// squeezed returns text without what breaks it into lines.
func squeezed(s string) string { return strings.Join(strings.Fields(s), "") }

// A message that is longer than a line is not cut, and does not cover the first line.
func TestLongMessage(t *testing.T) {
	const end = "the end"
	s := fixture()
	keys(s, "F2")
	for _, tt := range []struct {
		message string
		w, h    int
		lines   int // besides the rule
	}{
		{"12345678901 " + end, 20, 5, 1},
		{"123456789012 " + end, 20, 5, 2},
		{"one\n" + end, 80, 24, 2},
		{strings.Repeat("word ", 30) + end, 40, 12, 5},
		{"write /sys/kernel/mm/ksm/stable_node_chains_prune_millisecs: " + end, 40, 12, 3},
		{strings.Repeat("9", 50) + " " + end, 40, 12, 2},
		{strings.Repeat("データ", 10) + " " + end, 40, 12, 3},
	} {
		s.Message = tt.message
		got := screenOf(s, tt.w, tt.h, LevelBraille)
		before := *s
		before.Message = ""
		plain := strings.Split(screenOf(&before, tt.w, tt.h, LevelBraille).String(), "\n")
		lines := strings.Split(got.String(), "\n")
		message := strings.Join(lines[tt.h-1-tt.lines:tt.h-1], "")
		if squeezed(message) != squeezed(tt.message) || lines[0] != plain[0] {
			t.Errorf("%q in %dx%d looks like\n%s", tt.message, tt.w, tt.h, got)
		}
		if rule := tt.h - 2 - tt.lines; tt.lines > 1 && rule > 0 && strings.Trim(lines[rule], "─") != "" {
			t.Errorf("%q in %dx%d: above it is %q, want a rule", tt.message, tt.w, tt.h, lines[rule])
		}
	}
	s.Message = strings.Repeat("word ", 1000)
	if got := screenOf(s, 40, 12, LevelBraille).String(); !strings.HasPrefix(got, "┌─ Knobs ") {
		t.Errorf("a message of 1000 words covers everything:\n%s", got)
	}
}

// Views and questions make room for such a message: the row that is selected is there,
// and so are the buttons.
func TestRoomForMessage(t *testing.T) {
	message := strings.Repeat("word ", 20) + "the end"
	for _, tt := range []struct {
		name, above string // above: what is seen above the message
		state       func() *model.State
	}{
		{"overview", ">", fixture},
		{"processes", ">", func() *model.State { return answered(t, withMemory(), "2", "End", "PgUp") }},
		{"areas", ">", func() *model.State { return answered(t, withMemory(), append(memoryViews[0].keys, "End")...) }},
		{"sharing", ">", func() *model.State { return answered(t, withMemory(), "4", "r", "End") }},
		{"what-if", ">", func() *model.State { return answered(t, withMemory(), "5", "r", "End") }},
		{"simulator", ">", func() *model.State { s := fixtureSim(); keys(s, "6", "End"); return s }},
		{"events", ">", func() *model.State { s := fixture(); keys(s, "7", "End"); return s }},
		{"question", "[ Two ]", func() *model.State {
			s := fixture()
			s.Confirm("Sure?", []string{strings.Repeat("text ", 50)}, model.Button{Text: "One"}, model.Button{Text: "Two"})
			return s
		}},
	} {
		for _, size := range [][2]int{{40, 12}, {80, 24}} {
			s := tt.state()
			screenOf(s, size[0], size[1], LevelASCII)
			s.Message = message
			c := screenOf(s, size[0], size[1], LevelASCII)
			checkScreen(t, c, s)
			screen := c.String()
			above, end, _ := strings.Cut(screen, "\n"+strings.Repeat("-", size[0])+"\n")
			if got := strings.Join(strings.Fields(end), " "); !strings.HasPrefix(got, message) || !strings.Contains(above, tt.above) {
				t.Errorf("%s, %v:\n%s", tt.name, size, screen)
			}
		}
	}
}

// What a view says in place of its rows can be read to its end.
func TestParagraphs(t *testing.T) {
	refused := &sysfs.Error{Op: "open", Path: "/sys/kernel/mm/ksm/stable_node_chains_prune_millisecs", Err: errors.New("permission denied")}
	malformed := &sysfs.Error{Op: "parse", Path: "/proc/2231/ksm_stat", Err: errors.New(`"x": invalid syntax`)}
	noRows := func(s *model.Sample) {
		s.Rows, s.Counts, s.Unattributed = nil, model.Counts{Seen: 320, Readable: 320}, 0
	}
	for _, tt := range []struct {
		state *model.State
		keys  []string
		want  string
	}{
		{single(func(s *model.Sample) { noKSM(s, refused) }), nil, refused.Error()},
		{single(linux54), nil, "this kernel does not tell which processes take part (Linux 5.19 does)"},
		{single(linux54), []string{"2"}, "this kernel does not tell which processes take part (Linux 5.19 does)"},
		{single(noRows), nil, "no process takes part in KSM: `ksmtop run -- CMD` starts one that does"},
		{single(noRows), []string{"2"}, "no process takes part in KSM: `ksmtop run -- CMD` starts one that does"},
		{single(func(s *model.Sample) { s.ProcessProblem, s.Malformed = malformed, 1 }), []string{"2"}, malformed.Error()},
		{fixture(), []string{"6"}, "It needs neither root nor KSM, and changes nothing on this machine. o opens a scenario or a page script"},
	} {
		keys(tt.state, tt.keys...)
		for _, size := range [][2]int{{40, 12}, {60, 16}, {80, 24}} {
			c := screenOf(tt.state, size[0], size[1], LevelASCII)
			if got := squeezed(c.String()); !strings.Contains(got, squeezed(tt.want)) {
				t.Errorf("%v, %q: %q is not to be read:\n%s", size, tt.keys, tt.want, c)
			}
			checkScreen(t, c, tt.state)
		}
	}
}

// The question can be read, what may be typed, and the end of what is typed.
func TestTyping(t *testing.T) {
	path := strings.Repeat("a/long/path/", 10) + "end.toml"
	for _, tt := range []struct {
		state *model.State
		keys  string
		typed string
		want  []string
	}{
		{fixture(), "F2 Down Enter", "4000", []string{"pages_to_scan (now 4000): 4000", "pages, 100 at boot"}},
		{fixture(), "F2 Down Down Down Down Down Down Enter", "3000", []string{"stable_node_chains_prune_millisecs (now 2000): 3000", "ms, 2000 at boot"}},
		{fixtureSim(), "6 End Up Up Enter", "3000", []string{"stable_node_chains_prune_millisecs (now 2000): 3000", "ms, 2000 at boot"}},
		{fixtureSim(), "6 Down Down Down Down Down Down Down Enter", "x Enter", []string{"must be a decimal number", "advisor_min_pages_to_scan (now 500): x"}},
		{fixtureSim(), "6 o Home Enter", path, []string{"File: ", "/path/end.toml", "a .toml or a .script"}},
		{fixture(), "2 F4", strings.Repeat("z", 50) + "end", []string{"Filter: ", "zzend", "part of a pid, user or command"}},
	} {
		tt.state.Kernel = paperKernel{tt.state}
		keys(tt.state, strings.Fields(tt.keys)...)
		for word := range strings.FieldsSeq(tt.typed) {
			if word == "Enter" {
				keys(tt.state, word)
			} else {
				keys(tt.state, strings.Split(word, "")...)
			}
		}
		for _, size := range [][2]int{{40, 12}, {80, 24}} {
			c := screenOf(tt.state, size[0], size[1], LevelASCII)
			checkScreen(t, c, tt.state)
			for _, want := range tt.want {
				if got := squeezed(c.String()); !strings.Contains(got, squeezed(want)) {
					t.Errorf("%v, %q: %q is not to be read:\n%s", size, tt.keys, want, c)
				}
			}
			if x, y, ok := c.Cursor(); !ok || y != size[1]-1 || x >= size[0] {
				t.Errorf("%v, %q: the cursor is at %d, %d (%v)", size, tt.keys, x, y, ok)
			}
		}
	}
}

// Of the event that is selected all can be read.
func TestSelectedEvent(t *testing.T) {
	s := fixture()
	keys(s, "7")
	for i := range s.Log.Shown {
		if i > 0 {
			s.Key("Down")
		}
		c := screenOf(s, 40, 12, LevelASCII)
		checkScreen(t, c, s)
		if want := s.Log.Shown[i].Text; s.Log.Selected != i || !strings.Contains(squeezed(c.String()), squeezed(want)) {
			t.Errorf("%q is not to be read:\n%s", want, c)
		}
	}
	if c := screenOf(s, 30, 6, LevelASCII); strings.Contains(c.String(), strings.Repeat("-", 30)) {
		t.Errorf("there is no room for it, and this is there:\n%s", c)
	}
}
