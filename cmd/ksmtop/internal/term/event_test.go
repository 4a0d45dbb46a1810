package term

import (
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
)

func TestKeyNames(t *testing.T) {
	tests := []struct {
		key  tcell.Key
		r    rune
		mod  tcell.ModMask
		want Key
	}{
		{tcell.KeyRune, 'q', 0, "q"},
		{tcell.KeyRune, 'Q', tcell.ModShift, "Q"},
		{tcell.KeyRune, '世', 0, "世"},
		{tcell.KeyRune, ' ', 0, "Space"},
		{tcell.KeyRune, 'x', tcell.ModAlt, "Alt-x"},
		{tcell.KeyRune, 'c', tcell.ModCtrl, "Ctrl-C"},
		{tcell.KeyRune, '\u202e', 0, ""},
		{tcell.KeyRune, '\u009b', 0, ""},
		{tcell.KeyCtrlC, 0, tcell.ModCtrl, "Ctrl-C"},
		{tcell.KeyCtrlC, 0, 0, "Ctrl-C"},
		{tcell.KeyCtrlSpace, 0, tcell.ModCtrl, "Ctrl-Space"},
		{tcell.KeyEnter, 0, 0, "Enter"},
		{tcell.KeyEsc, 0, 0, "Esc"},
		{tcell.KeyTab, 0, 0, "Tab"},
		{tcell.KeyTab, 0, tcell.ModShift, "Shift-Tab"},
		{tcell.KeyBacktab, 0, 0, "Shift-Tab"},
		{tcell.KeyBackspace, 0, 0, "Backspace"},
		{tcell.KeyBackspace2, 0, 0, "Backspace"},
		{tcell.KeyF10, 0, 0, "F10"},
		{tcell.KeyUp, 0, 0, "Up"},
		{tcell.KeyPgDn, 0, 0, "PgDn"},
		{tcell.KeyLeft, 0, tcell.ModCtrl | tcell.ModShift, "Ctrl-Shift-Left"},
		{tcell.Key(999), 0, 0, ""},
	}
	for _, tt := range tests {
		if got := keyName(tcell.NewEventKey(tt.key, tt.r, tt.mod)); got != tt.want {
			t.Errorf("key %d, %q, modifiers %d = %q, want %q", tt.key, tt.r, tt.mod, got, tt.want)
		}
	}
}

func TestMouse(t *testing.T) {
	var tr translator
	steps := []struct {
		x       int
		buttons tcell.ButtonMask
		want    Event
	}{
		{3, tcell.ButtonPrimary, Mouse{X: 3, Y: 4}},
		{5, tcell.ButtonPrimary, nil}, // dragged
		{5, tcell.ButtonNone, nil},    // released
		{3, tcell.ButtonPrimary, Mouse{X: 3, Y: 4, Double: true}},
		{3, tcell.ButtonNone, nil},
		{3, tcell.ButtonPrimary, Mouse{X: 3, Y: 4}}, // the third begins anew
		{3, tcell.ButtonNone, nil},
		{4, tcell.ButtonPrimary, Mouse{X: 4, Y: 4}}, // another cell
		{4, tcell.ButtonPrimary | tcell.ButtonSecondary, Mouse{X: 4, Y: 4, Button: Right}},
		{4, tcell.ButtonNone, nil},
		{4, tcell.ButtonMiddle, Mouse{X: 4, Y: 4, Button: Middle}},
		{4, tcell.WheelUp, Mouse{X: 4, Y: 4, Button: WheelUp}},
		{4, tcell.WheelUp, Mouse{X: 4, Y: 4, Button: WheelUp}},
		{4, tcell.WheelDown, Mouse{X: 4, Y: 4, Button: WheelDown}},
	}
	for i, s := range steps {
		if got := tr.translate(tcell.NewEventMouse(s.x, 4, s.buttons, 0)); got != s.want {
			t.Errorf("step %d: %+v, want %+v", i, got, s.want)
		}
	}

	// Slow clicks are two clicks.
	tr = translator{}
	tr.translate(tcell.NewEventMouse(1, 1, tcell.ButtonPrimary, 0))
	tr.translate(tcell.NewEventMouse(1, 1, tcell.ButtonNone, 0))
	tr.clickAt = tr.clickAt.Add(-doubleClick)
	if got, want := tr.translate(tcell.NewEventMouse(1, 1, tcell.ButtonPrimary, 0)), (Mouse{X: 1, Y: 1}); got != want {
		t.Errorf("a slow second click = %+v, want %+v", got, want)
	}
}

func TestPasteIsDropped(t *testing.T) {
	var tr translator
	key := func() Event { return tr.translate(tcell.NewEventKey(tcell.KeyRune, 'q', 0)) }
	tr.translate(tcell.NewEventPaste(true))
	if got := key(); got != nil {
		t.Errorf("a pasted key = %v", got)
	}
	tr.translate(tcell.NewEventPaste(false))
	if got := key(); got != Key("q") {
		t.Errorf("the key after a paste = %v, want q", got)
	}
	tr.translate(tcell.NewEventPaste(true))
	tr.pasteAt = time.Now().Add(-pasteGap)
	if got := key(); got != Key("q") {
		t.Errorf("the key after a paste without end = %v, want q", got)
	}
}
