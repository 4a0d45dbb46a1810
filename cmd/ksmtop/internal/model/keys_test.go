package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

func TestKeys(t *testing.T) {
	tests := []struct {
		name    string
		keys    string // with blanks between
		command Command
		check   func(s *State) bool // nil for none
	}{
		{"sort", "s", Nothing, func(s *State) bool { return s.Column.Name == "trend" && !s.Inverted }},
		{"sort by the first after the last", "F6 > F6", Nothing, func(s *State) bool { return s.Column.Name == "pid" }},
		{"sort by the column before", "<", Nothing, func(s *State) bool { return s.Column.Name == "rmap_pg" }},
		{"sort the other way round", "I", Nothing, func(s *State) bool { return s.Inverted && s.Rows[0].PID == 4 }},
		{"and back", "I I", Nothing, func(s *State) bool { return !s.Inverted && s.Rows[0].PID == 1 }},
		{"a new column begins in its own order", "I s", Nothing, func(s *State) bool { return !s.Inverted }},
		{"pause", "p", Nothing, func(s *State) bool { return s.Paused }},
		{"go on", "F7 z", Refresh, func(s *State) bool { return !s.Paused }},
		{"all while paused", "p a", Nothing, func(s *State) bool { return !s.All && strings.HasPrefix(s.Message, "paused") }},
		{"theme", "T", SetTheme, func(s *State) bool { return s.Theme == "light" && s.Message == "theme light" }},
		{"themes go round", "T T T T", SetTheme, func(s *State) bool { return s.Theme == "dark" }},
		{"message until the next key", "T Up", Nothing, func(s *State) bool { return s.Message == "" }},
		{"help", "F1", Nothing, func(s *State) bool { return s.Dialog().Kind == HelpText }},
		{"help away", "? Esc", Nothing, func(s *State) bool { return s.Dialog() == nil }},
		{"q leaves help only", "h q", Nothing, func(s *State) bool { return s.Dialog() == nil }},
		{"quit from help", "h F10", Quit, nil},
		{"help scrolls", "? Down PgDn Up", Nothing, func(s *State) bool { return s.Dialog().Scroller.Top == 4 }},
		{"help has an end", "? Space Space Space Space", Nothing, func(s *State) bool { return s.Dialog().Scroller.Top == 12 }},
		{"help from end to start", "? End PgUp Home", Nothing, func(s *State) bool { return s.Dialog().Scroller.Top == 0 }},
		{"help begins at its start", "? End ? ?", Nothing, func(s *State) bool { return s.Dialog().Scroller.Top == 0 }},
		{"keys under help do nothing", "? s", Nothing, func(s *State) bool {
			return s.Column.Name == "profit" && s.Message == "Esc closes the box"
		}},
		{"another view", "7", Nothing, func(s *State) bool { return s.View == EventList }},
		{"the next view", "Tab", Nothing, func(s *State) bool { return s.View == Processes }},
		{"views go round", "7 Tab", Nothing, func(s *State) bool { return s.View == Overview }},
		{"the view before the first", "Shift-Tab", Nothing, func(s *State) bool { return s.View == EventList }},
		{"keys of another view", "7 s", Nothing, func(s *State) bool {
			return s.Column.Name == "profit" && s.Message == "s does nothing here; F1 lists the keys"
		}},
		{"delay", "d 5 0 0 m s Enter", SetDelay, func(s *State) bool { return s.Delay == 500*time.Millisecond && s.Prompt == nil }},
		{"delay in seconds", "d 1 . 5 Enter", SetDelay, func(s *State) bool { return s.Delay == 1500*time.Millisecond }},
		{"delay corrected", "d x Enter Backspace 7 Enter", SetDelay, func(s *State) bool { return s.Delay == 7*time.Second && s.Message == "" }},
		{"delay cleared", "d x y Ctrl-U 3 Enter", SetDelay, func(s *State) bool { return s.Delay == 3*time.Second }},
		{"delay wrong", "d x Enter", Nothing, func(s *State) bool { return s.Prompt != nil && strings.HasPrefix(s.Message, "must be a time") }},
		{"delay too short", "d 9 m s Enter", Nothing, func(s *State) bool { return s.Prompt != nil && s.Message == "must be at least 10ms" }},
		{"delay too long", "d 2 h Enter", Nothing, func(s *State) bool { return s.Prompt != nil && s.Message == "must be at most 1h" }},
		{"delay dropped", "d 7 Esc", Nothing, func(s *State) bool { return s.Prompt == nil && s.Delay == 2*time.Second }},
		{"delay left as it is", "d Enter", Nothing, func(s *State) bool { return s.Prompt == nil && s.Delay == 2*time.Second }},
		{"letters are typed", "d q p F7 Up", Nothing, func(s *State) bool { return s.Prompt.Text == "qp" && !s.Paused }},
		{"typing has an end", "d" + strings.Repeat(" 1", 99), Nothing, func(s *State) bool { return len(s.Prompt.Text) == longestPrompt }},
		{"Ctrl-C while typing", "d Ctrl-C", Quit, nil},
		{"Ctrl-C in help", "? Ctrl-C", Quit, nil},
		{"quit", "q", Quit, nil},
		{"Esc does not quit", "Esc", Nothing, func(s *State) bool { return s.Message == "" }},
		{"unknown", "ä", Nothing, func(s *State) bool { return s.Message == "ä does nothing here; F1 lists the keys" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := stateWith(4)
			s.Theme = "dark"
			var got Command
			for key := range strings.FieldsSeq(tt.keys) {
				got = s.Key(key)
				fit(s, 5, 17)
			}
			if got != tt.command {
				t.Errorf("the last of %q = %d, want %d", tt.keys, got, tt.command)
			}
			if tt.check != nil && !tt.check(s) {
				t.Errorf("after %q: message %q, sorted by %s, inverted %t, dialogs %v, prompt %+v, delay %v",
					tt.keys, s.Message, s.Column.Name, s.Inverted, s.dialogs, s.Prompt, s.Delay)
			}
		})
	}
}

// fit says that so many rows of everything fit the screen, of a text of so many
// lines.
func fit(s *State, rows, lines int) {
	s.Fit(rows)
	if d := s.Dialog(); d != nil {
		d.List.Fit(rows)
		d.Scroller.Fit(lines, rows)
	}
}

// keymaps returns the keymaps of all views and of a dialog of each kind.
func keymaps() map[string]*Keymap {
	s := NewState(time.Second)
	maps := map[string]*Keymap{}
	for i := range s.Views {
		maps[s.Views[i].Name] = &s.Views[i].Keys
	}
	s.openHelp()
	maps["help"] = s.Keys()
	s.Confirm("a question", nil, Button{Text: "Yes"})
	maps["question"] = s.Keys()
	s.Open(&Dialog{Title: "a menu", Items: []Item{{Text: "one"}}})
	maps["menu"] = s.Keys()
	return maps
}

// TestBindings holds all keymaps to their laws: every key is bound once, is
// shown in Help and does what that says, and the last key of the footer quits.
func TestBindings(t *testing.T) {
	for name, keymap := range keymaps() {
		seen := map[string]bool{}
		for _, b := range keymap.All() {
			if b.Help == "" || b.Show == "" || len(b.Keys) == 0 || b.do == nil {
				t.Errorf("%s: binding %+v is incomplete", name, b)
			}
			shown := strings.Fields(b.Show)
			for _, key := range b.Keys {
				if seen[key] {
					t.Errorf("%s: %s is bound twice", name, key)
				}
				seen[key] = true
				if !slices.Contains(shown, key) && !strings.Contains(b.Help, key) && len(keymap.General) > 0 {
					t.Errorf("%s: Help does not show %s, which does %q", name, key, b.Help)
				}
				if keymap.find(key) != b {
					t.Errorf("%s: %s does something else than %q", name, key, b.Help)
				}
			}
			for _, key := range shown {
				if !slices.Contains(b.Keys, key) {
					t.Errorf("%s: Help shows %s for %q, which it does not do", name, key, b.Help)
				}
			}
		}
		if last := keymap.Footer[len(keymap.Footer)-1]; last.Footer != "Quit" {
			t.Errorf("%s: the last key of the footer is %s, want Quit", name, last.Footer)
		}
	}
}

func TestUnavailable(t *testing.T) {
	without := stateWith(1)
	without.Take(&Sample{Time: testStart, NoKSM: sysfs.ErrNotSupported})
	chosen := stateWith(1)
	chosen.Filter.PIDs = []int{1}
	tests := []struct {
		name, key string
		state     *State
		want      string
	}{
		{"no table", "s", without, "without KSM there is no table of processes"},
		{"no table to list all", "a", without, "without KSM there is no table of processes"},
		{"-p", "a", chosen, "-p chose the processes"},
		{"before the first sample", "Down", NewState(time.Second), ""},
	}
	for _, tt := range tests {
		if got := tt.state.Key(tt.key); got != Nothing {
			t.Errorf("%s: %s = %d, want Nothing", tt.name, tt.key, got)
		}
		if tt.state.Message != tt.want {
			t.Errorf("%s: message %q, want %q", tt.name, tt.state.Message, tt.want)
		}
	}
}

// TestRandomKeys presses 20 000 random keys between random samples and holds
// the selection to its laws.
func TestRandomKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := []string{"Enter", "Space", "Backspace", "x", "1", "s", "Esc", "Esc"}
	for _, keymap := range keymaps() {
		for _, b := range keymap.All() {
			all = append(all, b.Keys...)
		}
	}
	slices.Sort(all) // maps have no order
	s := NewState(2 * time.Second)
	var last []string
	for n := range 20000 {
		key := all[random.IntN(len(all))]
		last = append(last, key)
		s.Key(key)
		if random.IntN(4) == 0 && !s.Paused {
			s.Take(sampleOf(n, slices.DeleteFunc(rowsTo(random.IntN(30)), func(Row) bool { return random.IntN(3) == 0 })...))
		}
		rows := random.IntN(12)
		fit(s, rows, random.IntN(40))
		for _, l := range []*List{&s.Table.List, s.currentList()} {
			if bad := l.broken(); bad != "" {
				t.Fatalf("after %q: %s", last[max(0, len(last)-9):], bad)
			}
		}
		if len(s.Rows) != s.Table.Len() {
			t.Fatalf("after %q: %d rows, the list has %d", last[max(0, len(last)-9):], len(s.Rows), s.Table.Len())
		}
		if d := s.Dialog(); d != nil && (d.Scroller.Top < 0 || d.Scroller.Top > d.end) {
			t.Fatalf("after %q: the text begins at %d of %d", last[max(0, len(last)-9):], d.Scroller.Top, d.end)
		}
	}
}

// broken says which law of lists is broken, or "".
func (l *List) broken() string {
	rows := max(1, l.page)
	if l.Selected < 0 || l.Selected > max(0, l.length-1) || l.Selected < l.Top || l.Selected >= l.Top+rows || l.Top < 0 {
		return fmt.Sprintf("row %d of %d is selected, shown are %d from %d", l.Selected, l.length, rows, l.Top)
	}
	return ""
}
