package view

import (
	"strings"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// wordWidth is the width of the column of keys and other words.
const wordWidth = 10

// signs explains what stands for values.
var signs = [...][2]string{
	{"-", "this kernel has no such value"},
	{"?", "there is a value, but it may not be read"},
	{".", "zero"},
	{"~", "an estimate"},
	{"!", "a process that costs more than it saves; in Events, a problem"},
	{"x", "in Events, what was written from here"},
}

// helpLines returns the lines of Help for a box of w cells: the keys, the
// signs, the columns, and what this kernel lacks.
func helpLines(w int, s *model.State) []dialogLine {
	var lines []dialogLine
	add := func(role Role, word, text string) {
		for i, part := range wrap(text, w-wordWidth-3) {
			if i > 0 {
				word = ""
			}
			lines = append(lines, dialogLine{word, part, role, true})
		}
	}
	heading := func(text string) {
		if len(lines) > 0 {
			lines = append(lines, dialogLine{})
		}
		lines = append(lines, dialogLine{word: text, wordRole: Heading, columns: true})
	}
	keys := func(bindings []model.Binding) {
		for i := range bindings {
			b := &bindings[i]
			role := Key
			text := b.Help
			if why := b.Unavailable(s); why != "" {
				role, text = Dim, text+" ("+why+")"
			}
			add(role, b.Show, text)
		}
	}
	view := s.Current()
	heading(view.Name)
	keys(view.Keys.Own)
	heading("Any view")
	keys(view.Keys.General)
	add(Key, "Mouse", "a click selects a row, sorts by a heading or presses a key of the last row; the wheel moves; with Shift the terminal selects text")
	heading("Signs")
	for _, sign := range signs {
		add(Normal, sign[0], sign[1])
	}
	heading("Columns")
	for _, name := range s.ColumnNames() {
		column := model.ColumnByName(name)
		add(Normal, column.Heading, column.Meaning)
	}
	heading("Charts")
	add(Normal, "net", "net savings: what merging saves less its metadata")
	add(Normal, "cow/s", "merged pages that are copied back in a second, since they were written to or unmerged")
	missingFields(s, heading, func(f sysfs.Field, why string) { add(Normal, "", f.String()+": "+why) })
	return lines
}

// missingFields reports the fields of /sys/kernel/mm/ksm that have no value, if
// there are any.
func missingFields(s *model.State, heading func(string), add func(sysfs.Field, string)) {
	if s.Sample == nil || s.NoKSM() {
		return
	}
	begun := false
	for f := range sysfs.Fields() {
		if _, ok := s.Sample.Reading.Value(f); ok {
			continue
		}
		if !begun {
			heading("Not on this machine")
			begun = true
		}
		why := "since Linux " + f.Info().Since
		if err := s.Sample.Reading.Problem(f); err != nil {
			why = err.Error()
		}
		add(f, why)
	}
}

// wrap breaks text between words into lines of at most w bytes; a longer word has
// lines of its own.
func wrap(text string, w int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for len(word) > w && w > 0 {
			if line != "" {
				lines = append(lines, line)
			}
			n := breakAt(word, w)
			lines, line, word = append(lines, word[:n]), "", word[n:]
		}
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= w:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// breakAt returns how much of a word that is longer than w bytes a line of w cells
// takes: up to a part of a path or of a name, if there is one.
func breakAt(word string, w int) int {
	for _, end := range []string{"/", "_"} {
		if n := strings.LastIndex(word[:w], end) + 1; n > w/2 {
			return n
		}
	}
	for n := w; n > 0; n-- {
		if utf8.RuneStart(word[n]) {
			return n
		}
	}
	return w
}
