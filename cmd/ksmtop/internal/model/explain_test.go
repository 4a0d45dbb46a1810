package model

import (
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

// TestEverythingIsExplained opens every item of the list of numbers, in every
// view, and wants a text with the kernel's own definition where there is one.
func TestEverythingIsExplained(t *testing.T) {
	for _, view := range []string{"1", "2", "5", "7"} {
		s := stateWith(3)
		s.Key(view)
		s.Key("i")
		names := s.Dialog().Items
		if len(names) < len(topics)+len(TableColumns)+20 {
			t.Errorf("view %s: only %d numbers", view, len(names))
		}
		for i, item := range names {
			s.ClickItem(i)
			d := s.Dialog()
			name, _, _ := strings.Cut(item.Text, "  ")
			if d.Title != name || len(d.Text) == 0 || len(d.Text[0]) < 20 {
				t.Errorf("view %s: item %q opens %q, %q", view, item.Text, d.Title, d.Text)
			}
			if f, ok := sysfs.FieldByName(name); ok && d.Text[0] != f.Info().Meaning {
				t.Errorf("%s is explained by %q, not by the kernel's %q", name, d.Text[0], f.Info().Meaning)
			}
			s.Key("Esc")
			if s.Dialog() == nil {
				t.Fatalf("view %s: Esc in %q closes the list, too", view, name)
			}
		}
	}
}

// TestSortedColumnIsAsked has the column that sorts chosen first.
func TestSortedColumnIsAsked(t *testing.T) {
	s := stateWith(3)
	s.Key("2")
	s.SortBy(ColumnByName("ofrss"))
	s.Key("i")
	s.Key("Enter")
	if got := s.Dialog().Title; got != "OFRSS" {
		t.Errorf("explained is %q, want OFRSS", got)
	}
}

func TestPanels(t *testing.T) {
	s := stateWith(3)
	for want := NetPanel; want < numPanels; want++ {
		if s.Key("e"); s.Panel != want {
			t.Errorf("panel %d, want %d", s.Panel, want)
		}
	}
	if s.Key("e"); s.Panel != NoPanel {
		t.Errorf("panel %d after the last, want none", s.Panel)
	}
	s.Key("e")
	if s.Key("Esc"); s.Panel != NoPanel {
		t.Errorf("panel %d after Esc, want none", s.Panel)
	}
}
