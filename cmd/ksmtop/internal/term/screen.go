package term

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"
)

// Options says how to use the terminal.
type Options struct {
	Palette *view.Palette // the styles of the roles
	Depth   view.Depth    // the colours that Palette was made for
	Level   view.Level    // the characters to draw with
	Mouse   bool          // report the mouse; the terminal's own selection then needs Shift
}

// releaseTimeout is how long tcell may take to let go of the terminal. It never
// does if input floods in meanwhile: its reader then waits for ever to pass on
// what it read.
const releaseTimeout = time.Second

// screen shows a canvas on a terminal.
type screen struct {
	s      tcell.Screen
	canvas *view.Canvas
	styles [2][]tcell.Style // by selected, by role

	repaint bool // send all of the next drawing, in case something else wrote here

	force   func()  // gives the terminal back if tcell hangs; nil in tests
	noColor *string // NO_COLOR as it was, if it was changed
}

func openScreen(o Options) (*screen, error) {
	name := os.Getenv("TERM")
	if name == "" || name == "dumb" {
		return nil, fmt.Errorf("TERM=%q: the terminal cannot position text", name)
	}
	found, err := tcell.LookupTerminfo(name)
	if err != nil {
		return nil, fmt.Errorf("TERM=%q: unknown type of terminal", name)
	}
	// tcell knows neither --color nor what is usual today for a TERM: tell it
	// how to select the colours of the palette, and nothing else.
	ti := *found
	ti.SetFgBg, ti.SetFgBgRGB, ti.SetBgRGB, ti.SetFgRGB = "", "", "", ""
	switch o.Depth {
	case view.Depth16:
		ti.Colors, ti.SetFg = 16, setIndexed
	case view.Depth256:
		ti.Colors, ti.SetFg = 256, setIndexed
	case view.DepthTrue:
		ti.Colors, ti.SetFg, ti.SetFgRGB = 256, setIndexed, setRGB
	}

	// A locale that is not UTF-8 goes with ASCII drawing, so that is all it
	// needs to encode. The default is to fail on names tcell does not know.
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII)

	tty, err := tcell.NewDevTty()
	if err != nil {
		return nil, fmt.Errorf("no terminal: %w", err)
	}
	s, err := tcell.NewTerminfoScreenFromTtyTerminfo(tty, &ti)
	if err != nil {
		_ = tty.Close() // err says more
		return nil, err
	}
	sc := newScreen(s, o)
	sc.force = func() {
		seq := ti.ShowCursor + ti.AttrOff + ti.ExitKeypad + ti.EnableAutoMargin + ti.ExitCA
		if ti.Mouse != "" {
			seq += disableInput
		}
		if ti.XTermLike {
			seq += disableKeyboard
		}
		_, _ = io.WriteString(tty, seq) // nothing else is left to try
		_ = tty.Stop()
	}
	// tcell itself obeys NO_COLOR, whatever --color says.
	if v, ok := os.LookupEnv("NO_COLOR"); ok && o.Depth != view.DepthMono {
		sc.noColor = &v
		if err := os.Unsetenv("NO_COLOR"); err != nil {
			return nil, err
		}
	}
	if err := sc.init(o); err != nil {
		sc.restoreEnv()
		return nil, err
	}
	return sc, nil
}

// Sequences to select a foreground colour, in terminfo's language: those of
// xterm, which every terminal with colours understands as far as its own go.
const (
	setIndexed = "\x1b[%?%p1%{8}%<%t3%p1%d%e%p1%{16}%<%t9%p1%{8}%-%d%e38;5;%p1%d%;m"
	setRGB     = "\x1b[38;2;%p1%d;%p2%d;%p3%dm"
)

// Sequences to end what tcell enables besides terminfo: reports of the mouse
// and bracketed paste, and the protocols of the keyboard.
const (
	disableInput    = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l"
	disableKeyboard = "\x1b[?9001l\x1b[<u\x1b[>4;0m"
)

// newScreen wraps a tcell screen that is not initialized yet.
func newScreen(s tcell.Screen, o Options) *screen {
	sc := &screen{s: s, canvas: view.NewCanvas(0, 0)}
	sc.canvas.SetLevel(o.Level)
	sc.setPalette(o.Palette)
	return sc
}

func (sc *screen) init(o Options) error {
	if err := sc.s.Init(); err != nil {
		return fmt.Errorf("open terminal: %w", err)
	}
	sc.s.EnablePaste() // so that pastes can be told from keys
	if o.Mouse {
		sc.s.EnableMouse(tcell.MouseButtonEvents)
	}
	return nil
}

func tcellStyle(s view.Style) tcell.Style {
	t := tcell.StyleDefault.Bold(s.Bold).Reverse(s.Reverse).Underline(s.Underline)
	if i, ok := s.Color.Index(); ok {
		t = t.Foreground(tcell.PaletteColor(i))
	} else if hex, ok := s.Color.RGB(); ok {
		t = t.Foreground(tcell.NewHexColor(hex))
	}
	return t
}

// draw lets the program draw and shows the result. tcell sends the terminal
// only what changed.
func (sc *screen) draw(app App) {
	w, h := sc.s.Size()
	sc.canvas.Resize(w, h)
	app.Draw(sc.canvas)
	for y := range h {
		for x := range w {
			s, width, role, selected := sc.canvas.Cell(x, y)
			if width == 0 {
				continue // tcell shows a wide character in both its cells
			}
			i := 0
			if selected {
				i = 1
			}
			sc.s.Put(x, y, s, sc.styles[i][role])
		}
	}
	if x, y, ok := sc.canvas.Cursor(); ok {
		sc.s.ShowCursor(x, y)
	} else {
		sc.s.HideCursor()
	}
	if sc.repaint {
		sc.repaint = false
		sc.s.Sync()
		return
	}
	sc.s.Show()
}

// release gives the terminal back for a while; resume takes it again.
func (sc *screen) release() error {
	done := make(chan error, 1)
	go func() { done <- sc.s.Suspend() }()
	timeout := time.NewTimer(releaseTimeout)
	defer timeout.Stop()
	select {
	case err := <-done:
		return err
	case <-timeout.C:
		if sc.force != nil {
			sc.force()
		}
		return errors.New("terminal lost: its input does not end")
	}
}

func (sc *screen) resume() error {
	if err := sc.s.Resume(); err != nil {
		return fmt.Errorf("resume terminal: %w", err)
	}
	return nil
}

// close gives the terminal back for good.
func (sc *screen) close() {
	// Release first, while events are still taken from tcell: Fini would wait
	// for a reader that waits for them.
	_ = sc.release() // the terminal is as good as it gets
	sc.s.Fini()
	sc.restoreEnv()
}

func (sc *screen) restoreEnv() {
	if sc.noColor != nil {
		_ = os.Setenv("NO_COLOR", *sc.noColor) // it was set to this before
	}
}
