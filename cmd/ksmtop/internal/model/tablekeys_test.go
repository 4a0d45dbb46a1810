package model

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTableKeys presses keys in a table of eight processes of three users, the
// fourth of which is called qemu.
func TestTableKeys(t *testing.T) {
	tests := []struct {
		name     string
		keys     string
		rows     string // pids, the selected one in brackets, tagged ones with a star
		message  string
		commands []Command // of the last keys; nil for Nothing
	}{
		{"tag", "Space", "1* [2] 3 4 5 6 7 8", "", nil},
		{"tag and untag", "Space Up Space", "1 [2] 3 4 5 6 7 8", "", nil},
		{"tag the last", "End Space", "1 2 3 4 5 6 7 [8*]", "", nil},
		{"untag all", "Space Space U", "1 2 [3] 4 5 6 7 8", "", nil},
		{"nothing to untag", "U", "[1] 2 3 4 5 6 7 8", "nothing is tagged: Space tags a process", nil},
		{"tag a branch", "t Down c", "1/2 [2*]/1 3* 4 5 6 7 8", "", nil},
		{"untag a branch", "t Down c c", "1/2 [2]/1 3 4 5 6 7 8", "", nil},
		{"close a branch", "t -", "[1]/2x 4 5 6 7 8", "", nil},
		{"and open it", "t - +", "[1]/2 2/1 3 4 5 6 7 8", "", nil},
		{"nothing to close", "-", "[1] 2 3 4 5 6 7 8", "nothing is below this row; F5 shows the tree of processes", nil},
		{"tree away", "t F5", "[1] 2 3 4 5 6 7 8", "", []Command{SetWants}},
		{"filter", "\\ Q E", "[4]", "", nil},
		{"filter kept", "\\ q e Enter", "[4]", "", nil},
		{"filter by one of two", "F4 q e m u | p 7 Enter", "[4] 7", "", nil},
		{"filter by pid", "F4 8 Enter", "[8]", "", nil},
		{"filter by user", "F4 b o b Enter", "[1] 4 7", "", nil},
		{"filter dropped while typing", "\\ q e Esc", "[1] 2 3 4 5 6 7 8", "", nil},
		{"filter dropped", "\\ q e Enter Esc", "[1] 2 3 4 5 6 7 8", "", nil},
		{"filter emptied", "\\ q Enter \\ Ctrl-U Enter", "[1] 2 3 4 5 6 7 8", "", nil},
		{"filter that hides all", "\\ z z Enter", "", "", nil},
		{"search", "/ q e", "1 2 3 [4] 5 6 7 8", "", nil},
		{"search kept", "/ q e Enter", "1 2 3 [4] 5 6 7 8", "", nil},
		{"search dropped", "/ q e Esc", "[1] 2 3 4 5 6 7 8", "", nil},
		{"search again", "/ b o b Enter n", "1 2 3 [4] 5 6 7 8", "", nil},
		{"search again, around the end", "/ b o b Enter n n n", "[1] 2 3 4 5 6 7 8", "", nil},
		{"search backwards", "/ b o b Enter N", "1 2 3 4 5 6 [7] 8", "", nil},
		{"search in vain", "/ z z Enter", "[1] 2 3 4 5 6 7 8", "nothing has zz", nil},
		{"no search to repeat", "n", "[1] 2 3 4 5 6 7 8", "nothing was searched for: / does", nil},
		{"one user", "u Down Down Enter", "[1] 4 7", "", nil},
		{"all users again", "u Down Enter u Home Enter", "[1] 2 3 4 5 6 7 8", "", nil},
		{"columns", "Right", "[1] 2 3 4 5 6 7 8", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewState(time.Second)
			var rows []Row
			for pid := 1; pid <= 8; pid++ {
				r := family(pid, 0, uint64(100-pid))
				r.UID = uint32(pid % 3)
				r.Command = r.Name
				rows = append(rows, r)
			}
			rows[1].PPID, rows[2].PPID, rows[3].Command = 1, 2, "/usr/bin/Qemu"
			s.Take(sampleOf(0, rows...))
			s.Key("2")
			var got Command
			for key := range strings.FieldsSeq(tt.keys) {
				got = s.Key(key)
			}
			var b strings.Builder
			for i := range s.Rows {
				r := &s.Rows[i]
				cell := fmt.Sprint(r.PID)
				if s.Tagged(r) {
					cell += "*"
				}
				if i == s.Selected {
					cell = "[" + cell + "]"
				}
				if r.Place.Below > 0 {
					cell += fmt.Sprintf("/%d", r.Place.Below)
				}
				if r.Place.Closed {
					cell += "x"
				}
				b.WriteString(cell + " ")
			}
			if strings.TrimSpace(b.String()) != tt.rows || s.Message != tt.message {
				t.Errorf("after %q: rows %s, message %q, want %s, %q", tt.keys, b.String(), s.Message, tt.rows, tt.message)
			}
			if len(tt.commands) > 0 && got != tt.commands[0] {
				t.Errorf("the last of %q = %d, want %d", tt.keys, got, tt.commands[0])
			}
		})
	}
}

// TestTagsOfTheGone drops the tag of a process one sample after it has gone.
func TestTagsOfTheGone(t *testing.T) {
	s := stateWith(3)
	s.Key("Space")
	s.Take(sampleOf(1, rowsTo(3)[1:]...))
	if s.Tags() != 1 {
		t.Errorf("%d tags while the row is still there, want 1", s.Tags())
	}
	if rows := s.TaggedRows(); len(rows) != 1 || rows[0].PID == 1 {
		t.Errorf("actions are for %v, want one process that is there", rows)
	}
	s.Take(sampleOf(2, rowsTo(3)[1:]...))
	if s.Tags() != 0 {
		t.Errorf("%d tags, want none", s.Tags())
	}
}

// TestEventOfTheTagged reports that a tagged process has gone, which would not
// be reported otherwise.
func TestEventOfTheTagged(t *testing.T) {
	idle := Row{Name: "idle", Process: processOf(9, 1)}
	s := NewState(time.Second)
	s.Key("a")
	s.Take(sampleOf(0, registeredRow(1, 5), idle))
	s.Key("End")
	s.Key("Space")
	s.Take(sampleOf(1, registeredRow(1, 5)))
	if got, want := s.Events.Latest(0).Text, "9 idle, which was tagged, has gone"; got != want {
		t.Errorf("the latest event is %q, want %q", got, want)
	}
}

func TestActions(t *testing.T) {
	s := stateWith(3)
	for _, keys := range []string{"F9 Enter", "F9 Down Enter", "Enter"} {
		for key := range strings.FieldsSeq(keys) {
			s.Key(key)
		}
		d := s.Dialog()
		if d == nil || !strings.Contains(d.Title+strings.Join(d.Text, "\n"), "1") {
			t.Fatalf("%s shows %+v, want something about process 1", keys, d)
		}
		s.Key("Esc")
	}
	s.Key("Space")
	s.Key("Space")
	s.Key("F9")
	s.Key("Down")
	s.Key("Enter")
	if want := "for one process only: untag the others"; s.Message != want {
		t.Errorf("numbers of two processes: message %q, want %q", s.Message, want)
	}
}

// FuzzHas holds the search to its laws, with the standard library's as the slow
// twin.
func FuzzHas(f *testing.F) {
	f.Add("qemu-System", "SYS")
	f.Add("a", "")
	f.Fuzz(func(t *testing.T, text, word string) {
		ascii := func(s string) string {
			return strings.Map(func(r rune) rune {
				if 'A' <= r && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, strings.ToValidUTF8(s, "?"))
		}
		text, word = strings.ToValidUTF8(text, "?"), strings.ToValidUTF8(word, "?")
		if got, want := containsFold(text, word), strings.Contains(ascii(text), ascii(word)); got != want {
			t.Errorf("containsFold(%q, %q) = %t, want %t", text, word, got, want)
		}
	})
}
