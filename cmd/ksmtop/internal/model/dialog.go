package model

import (
	"slices"

	"github.com/ksmtop/ksmtop/sysfs"
)

// DialogKind says what a dialog looks like.
type DialogKind uint8

// The kinds of dialogs.
const (
	Plain    DialogKind = iota // text, items and buttons
	HelpText                   // the list of keys: its text is of package view
	KnobList                   // the knobs: text and items are of package view
)

// Dialog is a box over the view. It takes all keys until it closes. It has
// text, below that items to choose from or nothing, below that buttons or
// nothing.
type Dialog struct {
	Kind  DialogKind
	Title string
	Text  []string // paragraphs; an empty one is an empty line
	Words []Word   // below the text

	List     // the items
	Items    []Item
	Scroller // of the text, where there are no items

	// Buttons, of which the first is the safe choice: it only closes.
	Buttons []Button
	Button  int // the one that Enter presses

	extra []Binding // keys of its own
	keys  Keymap
}

// Word is a short word and what is said of it, beside it.
type Word struct{ Name, Text string }

// Item is a line to choose in a dialog.
type Item struct {
	Text  string
	Field sysfs.Field // instead of the text, in a KnobList
	Why   string      // it cannot be chosen now; empty if it can
	do    func(*State) Command
	stays bool // the dialog stays open
}

// Button is a button of a dialog.
type Button struct {
	Text string

	// Word has to be typed before the button does anything. Empty for most.
	Word string
	do   func(*State) Command
}

// Keys returns the keys that work in the dialog.
func (d *Dialog) Keys() *Keymap { return &d.keys }

// Open shows a dialog over all that is there.
func (s *State) Open(d *Dialog) Command {
	d.List.SetLen(len(d.Items))
	d.keys = newKeymap(dialogBindings(d), nil)
	s.dialogs = append(s.dialogs, d)
	return Nothing
}

// Dialog returns the dialog in front, or nil.
func (s *State) Dialog() *Dialog {
	if len(s.dialogs) == 0 {
		return nil
	}
	return s.dialogs[len(s.dialogs)-1]
}

// CloseDialog closes the dialog in front.
func (s *State) CloseDialog() Command {
	if n := len(s.dialogs); n > 0 {
		s.dialogs[n-1] = nil
		s.dialogs = s.dialogs[:n-1]
	}
	return Nothing
}

// Confirm asks a question whose safe answer is Cancel.
func (s *State) Confirm(title string, text []string, buttons ...Button) Command {
	return s.Open(&Dialog{Title: title, Text: text, Buttons: append([]Button{{Text: "Cancel"}}, buttons...)})
}

// dialogBindings are the keys of a dialog.
func dialogBindings(d *Dialog) []Binding {
	keys := slices.Clone(d.extra)
	add := func(show, footer, help string, do func(*State) Command, names ...string) {
		keys = append(keys, Binding{names, show, footer, help, do, nil})
	}
	closing := []string{"Esc", "q"}
	if d.Kind == HelpText {
		closing = []string{"Esc", "q", "Enter", "F1", "?", "h"}
	}
	add("Esc q", "Close", "close", (*State).CloseDialog, closing...)
	if len(d.Items) > 0 {
		add("Enter", "Choose", "do what is chosen", func(s *State) Command { return s.chooseItem(d.Selected) }, "Enter")
	}
	if len(d.Buttons) > 0 {
		add("Enter", "Press", "press the button", func(s *State) Command { return s.press(d.Button) }, "Enter", "Space")
		add("Right Tab", "", "the next button", func(*State) Command { d.nextButton(1); return Nothing }, "Right", "Tab", "l")
		add("Left Shift-Tab", "", "the button before", func(*State) Command { d.nextButton(-1); return Nothing }, "Left", "Shift-Tab", "h")
	}
	for _, k := range []struct {
		show, help string
		by         func() int
		names      []string
	}{
		{"Up k", "one line up", func() int { return -1 }, []string{"Up", "k"}},
		{"Down j", "one line down", func() int { return 1 }, []string{"Down", "j"}},
		{"PgUp", "one page up", func() int { return -d.pageRows() }, []string{"PgUp"}},
		{"PgDn", "one page down", func() int { return d.pageRows() }, []string{"PgDn"}},
		{"Home g", "to the beginning", func() int { return -wholeList }, []string{"Home", "g"}},
		{"End G", "to the end", func() int { return wholeList }, []string{"End", "G"}},
	} {
		add(k.show, "", k.help, func(*State) Command { d.Move(k.by()); return Nothing }, k.names...)
	}
	if len(d.Buttons) == 0 {
		add("Space", "", "one page down", func(*State) Command { d.Move(d.pageRows()); return Nothing }, "Space")
	}
	add("F10", "Quit", "quit ksmtop; so does Ctrl-C", func(*State) Command { return Quit }, "F10", "Ctrl-C")
	return keys
}

// wholeList is farther than any list is long.
const wholeList = 1 << 30

// pageRows is how far PgDn goes.
func (d *Dialog) pageRows() int { return max(1, d.page-1) }

// Move moves by that many lines: the chosen item or, without items, the text.
func (d *Dialog) Move(by int) {
	if len(d.Items) > 0 {
		d.Choose(d.Selected + by)
		return
	}
	d.Scroll(by)
}

func (d *Dialog) nextButton(by int) {
	n := len(d.Buttons)
	d.Button = (d.Button + by + n) % n
}

// chooseItem does what an item of the dialog in front stands for, and closes it.
func (s *State) chooseItem(i int) Command {
	d := s.Dialog()
	if d == nil || i < 0 || i >= len(d.Items) {
		return Nothing
	}
	d.Choose(i)
	item := &d.Items[i]
	if item.Why != "" {
		s.Message = item.Why
		return Nothing
	}
	if !item.stays {
		s.CloseDialog()
	}
	if item.do == nil {
		return Nothing
	}
	return item.do(s)
}

// press presses a button of the dialog in front.
func (s *State) press(i int) Command {
	d := s.Dialog()
	if d == nil || i < 0 || i >= len(d.Buttons) {
		return Nothing
	}
	d.Button = i
	b := &d.Buttons[i]
	if i > 0 && d.hidden {
		s.Message = "the screen is too small to show what this does"
		return Nothing
	}
	act := func(s *State) Command {
		s.CloseDialog()
		if b.do == nil {
			return Nothing
		}
		return b.do(s)
	}
	if b.Word == "" {
		return act(s)
	}
	return s.ask(&Prompt{
		Label: "type " + b.Word + ": ",
		Hint:  []string{"Enter does it", "Esc leaves everything as it is"},
		done: func(s *State, text string) (Command, error) {
			if text != b.Word {
				return Nothing, errNotTyped
			}
			return act(s), nil
		},
	})
}
