package term

import (
	"strings"
	"time"
	"unicode"

	"github.com/gdamore/tcell/v2"
)

// Event is something the user did: a Key, a Mouse or a Resize.
type Event interface{ event() }

// Key is a key by name: the character it types, or a name such as Enter, Esc,
// Tab, Space, Backspace, Delete, Insert, Up, Down, Left, Right, Home, End,
// PgUp, PgDn, F1. Ctrl-, Alt- and Shift- come before it in this order, Shift-
// only before names: "q", "Q", "Ctrl-C", "Alt-x", "Shift-Tab".
type Key string

// Mouse is a button pressed, or the wheel turned, over a cell. Releases and
// movements are not reported.
type Mouse struct {
	X, Y   int
	Button Button
	Double bool // the second click on the same cell within doubleClick
}

// Button is a mouse button or a direction of the wheel.
type Button uint8

// The buttons.
const (
	Left Button = iota
	Middle
	Right
	WheelUp
	WheelDown
)

// Resize says that the terminal has a new size in cells. The canvas of the next
// drawing has it too.
type Resize struct{ W, H int }

func (Key) event()    {}
func (Mouse) event()  {}
func (Resize) event() {}

const (
	// doubleClick is the longest time between the clicks of a double click.
	doubleClick = 400 * time.Millisecond

	// pasteGap is the longest silence inside a paste. A terminal that loses
	// the end of one must not make the keyboard dead.
	pasteGap = time.Second
)

// translator turns tcell's events into ours. Pasted text is dropped: as keys it
// would start whatever its letters happen to mean.
type translator struct {
	pasting bool
	pasteAt time.Time // of the last event of the paste

	held    tcell.ButtonMask // buttons down at the last mouse event
	click   Mouse            // last click, if it can become double
	clickAt time.Time
}

// translate returns the event that ev stands for, or nil.
func (t *translator) translate(ev tcell.Event) Event {
	switch ev := ev.(type) {
	case *tcell.EventPaste:
		t.pasting, t.pasteAt = ev.Start(), ev.When()
	case *tcell.EventKey:
		if t.pasting && ev.When().Sub(t.pasteAt) < pasteGap {
			t.pasteAt = ev.When()
			return nil
		}
		t.pasting = false
		if k := keyName(ev); k != "" {
			return k
		}
	case *tcell.EventMouse:
		if m, ok := t.mouse(ev); ok {
			return m
		}
	case *tcell.EventResize:
		w, h := ev.Size()
		return Resize{W: w, H: h}
	}
	return nil
}

// mouse reports presses. tcell reports the buttons that are down, so a press is
// a button that was not down before; the wheel is never released.
func (t *translator) mouse(ev *tcell.EventMouse) (m Mouse, ok bool) {
	pressed := ev.Buttons() &^ t.held
	t.held = ev.Buttons() &^ (tcell.WheelUp | tcell.WheelDown)
	m.X, m.Y = ev.Position()
	switch {
	case pressed&tcell.WheelUp != 0:
		m.Button = WheelUp
		return m, true
	case pressed&tcell.WheelDown != 0:
		m.Button = WheelDown
		return m, true
	case pressed&tcell.ButtonPrimary != 0:
		m.Button = Left
	case pressed&tcell.ButtonMiddle != 0:
		m.Button = Middle
	case pressed&tcell.ButtonSecondary != 0:
		m.Button = Right
	default:
		return Mouse{}, false
	}
	if m == t.click && ev.When().Sub(t.clickAt) < doubleClick {
		t.clickAt = time.Time{} // a third click begins anew
		m.Double = true
		return m, true
	}
	t.click, t.clickAt = m, ev.When()
	return m, true
}

func keyName(ev *tcell.EventKey) Key {
	mod := ev.Modifiers()
	var name string
	switch k := ev.Key(); {
	case k == tcell.KeyRune && ev.Rune() == ' ':
		name = "Space"
	case k == tcell.KeyRune:
		if !unicode.IsPrint(ev.Rune()) {
			return ""
		}
		name = string(ev.Rune())
		mod &^= tcell.ModShift
	case k == tcell.KeyBacktab:
		name = "Tab"
		mod |= tcell.ModShift
	default:
		name = tcell.KeyNames[k]
		if name == "" {
			return ""
		}
		if plain, ok := strings.CutPrefix(name, "Ctrl-"); ok {
			name = plain
			mod |= tcell.ModCtrl
		}
	}
	if mod&tcell.ModShift != 0 {
		name = "Shift-" + name
	}
	if mod&(tcell.ModAlt|tcell.ModMeta) != 0 {
		name = "Alt-" + name
	}
	if mod&tcell.ModCtrl != 0 {
		name = "Ctrl-" + name
	}
	return Key(name)
}
