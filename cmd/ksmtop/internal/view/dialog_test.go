package view

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// dialogs are dialogs of all shapes.
var dialogs = map[string]func(*model.State){
	"question": func(s *model.State) {
		s.Confirm("Unmerge everything?", []string{"It needs 3.62 GiB at once, and 2.10 GiB is available: the kernel may kill processes.", "", "That is all."},
			model.Button{Text: "Stop, write 0"}, model.Button{Text: "type unmerge", Word: "unmerge"})
	},
	"menu": func(s *model.State) {
		d := &model.Dialog{Title: "Actions", Text: []string{"On 2 tagged processes:"}}
		for i := range 20 {
			d.Items = append(d.Items, model.Item{Text: fmt.Sprintf("%d the action", i)})
		}
		d.Items[2].Why = "not today"
		s.Open(d)
	},
	"knobs": func(s *model.State) { keys(s, "F2") },
	"text": func(s *model.State) {
		s.Open(&model.Dialog{Title: "About", Text: strings.Split(strings.Repeat("a paragraph of some length, of which there are many\n", 30), "\n")})
	},
}

// itemText returns what is shown of the chosen item.
func itemText(d *model.Dialog) string {
	if item := d.Items[d.Selected]; d.Kind != model.KnobList {
		return item.Text
	}
	return d.Items[d.Selected].Field.String()[:3]
}

// TestDialogsFit draws every dialog at many sizes: its frame is whole, what is
// chosen is shown, and all buttons are there.
func TestDialogsFit(t *testing.T) {
	for name, open := range dialogs {
		for _, size := range [][2]int{{200, 60}, {80, 24}, {60, 16}, {40, 12}, {30, 10}, {20, 8}} {
			s := fixture()
			open(s)
			for _, key := range []string{"", "Down", "End", "PgUp", "Right", "Right"} {
				if key != "" {
					s.Key(key)
				}
				c := screenOf(s, size[0], size[1], LevelASCII)
				checkCanvas(t, c)
				text := c.String()
				d := s.Dialog()
				if len(d.Items) > 0 && !strings.Contains(text, itemText(d)) {
					t.Errorf("%s, %v after %q: item %d is chosen and not shown:\n%s", name, size, key, d.Selected, text)
				}
				for i := range d.Buttons {
					if i != d.Button && size[1] < 12 {
						continue // there is no room for all
					}
					if !strings.Contains(text, d.Buttons[i].Text) {
						t.Errorf("%s, %v: button %q is missing:\n%s", name, size, d.Buttons[i].Text, text)
					}
				}
				if n := strings.Count(text, "+-"); n < 2 {
					t.Errorf("%s, %v: the frame has %d left corners:\n%s", name, size, n, text)
				}
			}
		}
	}
}

func TestDialogGolden(t *testing.T) {
	for name, open := range dialogs {
		for _, size := range [][2]int{{80, 24}, {40, 12}} {
			s := fixture()
			open(s)
			file := fmt.Sprintf("dialog_%s_%dx%d", name, size[0], size[1])
			t.Run(file, func(t *testing.T) { goldenScreen(t, file, screenOf(s, size[0], size[1], LevelBraille)) })
		}
	}
}

// A text that goes on says so beside its title, however long that is.
func TestDialogSaysMore(t *testing.T) {
	for _, tt := range []struct{ title, want string }{
		{"About", "PgDn more, Esc closes"}, {"This needs root", " PgDn more "}, {"Write to the real machine?", " PgDn "},
	} {
		s := fixture()
		s.Open(&model.Dialog{Title: tt.title, Text: strings.Split(strings.Repeat("a line of text\n", 30), "\n")})
		top, _, _ := strings.Cut(screenOf(s, 40, 12, LevelASCII).String(), "\n")
		if !strings.Contains(top, " "+tt.title+" ") || !strings.Contains(top, tt.want) {
			t.Errorf("%q: the box begins with %s, want %q", tt.title, top, tt.want)
		}
		s.Key("End")
		if top, _, _ := strings.Cut(screenOf(s, 40, 12, LevelASCII).String(), "\n"); strings.Contains(top, "PgDn") {
			t.Errorf("%q: at the end the box begins with %s", tt.title, top)
		}
	}
}

// At 40x12 names of knobs can be told apart, their values are there, and what knobs mean
// and what can be done is not cut.
func TestNarrowLists(t *testing.T) {
	s := fixture()
	keys(s, "F2")
	for i, item := range s.Dialog().Items {
		if i > 0 {
			keys(s, "Down")
		}
		c := screenOf(s, 40, 12, LevelASCII)
		text, name := c.String(), item.Field.String()
		value, _ := s.Knobs().Value(item.Field)
		at := strings.Index(text, "|>"+name[:min(len(name), 28)])
		if at < 0 || !strings.HasSuffix(strings.Split(text[at:], "\n")[0], " "+value.String()+" |") {
			t.Errorf("%s is not there, with %v:\n%s", name, value, text)
		}
		if got := strings.ReplaceAll(squeezed(text), "||", ""); !strings.Contains(got, squeezed(item.Field.Info().Meaning)) {
			t.Errorf("%s: what it means is cut:\n%s", name, text)
		}
	}
	const room = 36
	for open, items := range map[string]int{"2 F9": 5, "2 Space Space F9": 5, "5 Enter": 3, "6 b": 3, "6 o": 1} { // behind them are names
		s := withMemory()
		if open[0] == '6' {
			s = fixtureSim()
		}
		keys(s, strings.Fields(open)...)
		d := s.Dialog()
		if d == nil || len(d.Items) < items {
			t.Fatalf("%q opens %+v: %s", open, d, s.Message)
		}
		for i := range items {
			if text := d.Items[i].Text; len(text) > room {
				t.Errorf("%q: item %q has %d cells, and there is room for %d", open, text, len(text), room)
			}
		}
	}
}

// TestClickInDialog clicks on items and buttons, and on what lies below.
func TestClickInDialog(t *testing.T) {
	click := func(t *testing.T, s *model.State, text string) {
		t.Helper()
		c := screenOf(s, 80, 24, LevelASCII)
		for y, line := range strings.Split(c.String(), "\n") {
			if x := strings.Index(line, text); x >= 0 {
				Click(c, x, y, false, s)
				return
			}
		}
		t.Fatalf("%q is not on the screen:\n%s", text, c)
	}
	s := fixture()
	dialogs["menu"](s)
	click(t, s, "2 the action")
	if s.Message != "not today" || s.Dialog().Selected != 2 {
		t.Errorf("after a click on an item that cannot be chosen: message %q, item %d", s.Message, s.Dialog().Selected)
	}
	click(t, s, "3 the action")
	if s.Dialog() != nil {
		t.Error("a click on an item does not choose it")
	}
	dialogs["question"](s)
	click(t, s, "ksmtop")
	if s.Dialog() == nil {
		t.Error("a click beside the question answers it")
	}
	click(t, s, "[ type unmerge ]")
	if s.Prompt == nil {
		t.Error("a click on the button asks for no word")
	}
}

// TestTaskIsShown draws a task with and without its end in sight.
func TestTaskIsShown(t *testing.T) {
	for _, tt := range []struct {
		w           int
		done, total int64
		stopping    bool
		want        string
	}{
		{80, 0, 0, false, " reading 3 processes  Esc stops it"},
		{80, 1, 4, false, " reading 3 processes [|||||               ] 25%  Esc stops it"},
		{40, 1, 4, false, " reading 3 processes 25%  Esc stops it"},
		{80, 4, 4, true, " reading 3 processes [||||||||||||||||||||] 100%  stopping"},
	} {
		s := fixture()
		task := s.Start("reading 3 processes", nil)
		task.Done, task.Total, task.Stopping = tt.done, tt.total, tt.stopping
		if got := strings.Split(screenOf(s, tt.w, 24, LevelASCII).String(), "\n")[22]; got != tt.want {
			t.Errorf("%+v:\n%q, want\n%q", tt, got, tt.want)
		}
	}
}
