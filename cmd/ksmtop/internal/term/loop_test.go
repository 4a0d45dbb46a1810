package term

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"
)

// fakeApp records what happens to it. Keys: q quits, p panics.
type fakeApp struct {
	events []string
	drawn  chan string // the text of each drawing, if anyone waits for it
	draws  int
	panics bool // in Draw
}

func (a *fakeApp) Handle(ev Event) bool {
	a.events = append(a.events, fmt.Sprintf("%T %v", ev, ev))
	if ev == Key("p") {
		panic("boom")
	}
	return ev == Key("q")
}

func (a *fakeApp) Draw(c *view.Canvas) {
	if a.panics {
		panic("boom")
	}
	a.draws++
	w, h := c.Size()
	c.Text(0, 0, view.Bad, fmt.Sprintf("%dx%d 世 e\u0301\x1b", w, h))
	for i, e := range a.events {
		c.Text(0, i+1, view.Normal, e)
	}
	c.Select(0, 1, w)
	c.SetCursor(2, 1)
	select {
	case a.drawn <- c.String():
	default:
	}
}

// spyScreen counts what SimulationScreen does not do itself.
type spyScreen struct {
	tcell.SimulationScreen
	suspended, resumed, finished, synced int
}

func (s *spyScreen) Suspend() error { s.suspended++; return nil }
func (s *spyScreen) Resume() error  { s.resumed++; return nil }
func (s *spyScreen) Fini()          { s.finished++; s.SimulationScreen.Fini() }
func (s *spyScreen) Sync()          { s.synced++; s.SimulationScreen.Sync() }

func openFake(t *testing.T) (*Loop, *spyScreen) {
	t.Helper()
	p, err := view.NewPalette("dark", view.Depth256)
	if err != nil {
		t.Fatal(err)
	}
	spy := &spyScreen{SimulationScreen: tcell.NewSimulationScreen("")}
	o := Options{Palette: p, Depth: view.Depth256, Level: view.LevelBraille, Mouse: true}
	sc := newScreen(spy, o)
	if err := sc.init(o); err != nil {
		t.Fatal(err)
	}
	spy.SetSize(40, 10)
	l := newLoop(sc)
	l.stopSelf = func() bool { return true }
	t.Cleanup(l.Close)
	return l, spy
}

// run runs the app and fails the test if it does not end in time.
func run(t *testing.T, ctx context.Context, l *Loop, app App) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- l.Run(ctx, app) }()
	select {
	case err := <-result:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not end")
		return nil
	}
}

func TestRun(t *testing.T) {
	l, spy := openFake(t)
	app := &fakeApp{drawn: make(chan string, 100)}
	spy.InjectKey(tcell.KeyF2, 0, 0)
	spy.InjectMouse(7, 3, tcell.ButtonPrimary, 0)
	spy.InjectKey(tcell.KeyCtrlL, 0, tcell.ModCtrl)
	spy.SetSize(30, 8)
	if err := spy.PostEvent(tcell.NewEventResize(30, 8)); err != nil {
		t.Fatal(err)
	}
	// The screen is gone when Run returns: look at it from the loop.
	var text string
	var bad, normal tcell.Style
	l.Go(func() {
		for d := range app.drawn {
			if strings.Contains(d, "Resize") {
				break
			}
		}
		l.Post(func() {
			cells, w, _ := spy.GetContents()
			for _, c := range cells[:w] {
				text += string(c.Runes)
			}
			bad, normal = cells[0].Style, cells[2*w].Style
			if x, y, ok := spy.GetCursor(); x != 2 || y != 1 || !ok {
				t.Errorf("cursor at %d, %d, %t", x, y, ok)
			}
			spy.InjectKey(tcell.KeyRune, 'q', 0)
		})
	})
	if err := run(t, t.Context(), l, app); err != nil {
		t.Fatalf("Run() = %v", err)
	}

	want := "term.Key F2, term.Mouse {7 3 0 false}, term.Resize {30 8}, term.Key q"
	if got := strings.Join(app.events, ", "); got != want {
		t.Errorf("events %s, want %s", got, want)
	}
	// The simulation shows an X where the right half of a wide character is.
	if want := "30x8 世X e\u0301\ufffd"; !strings.HasPrefix(text, want) {
		t.Errorf("the first row shows %q, want %q", text, want)
	}
	if fg, _, attr := bad.Decompose(); fg != tcell.PaletteColor(203) || attr != tcell.AttrBold {
		t.Errorf("role bad has style %v, %v", fg, attr)
	}
	if normal != tcell.StyleDefault {
		t.Errorf("role normal has style %+v", normal)
	}
	if spy.synced != 1 || spy.finished != 1 {
		t.Errorf("%d repaints, %d closes, want one of each", spy.synced, spy.finished)
	}
}

func TestDrawsAreCoalesced(t *testing.T) {
	l, spy := openFake(t)
	app := &fakeApp{}
	posted := 0
	for range 1000 {
		l.Post(func() { posted++ })
	}
	l.Post(func() { spy.InjectKey(tcell.KeyRune, 'q', 0) })
	if err := run(t, t.Context(), l, app); err != nil {
		t.Fatal(err)
	}
	// At first, and after the thousand; q may come with them or after them.
	if posted != 1000 || app.draws > 3 {
		t.Errorf("%d functions ran and %d drawings were made, want 1000 and at most 3", posted, app.draws)
	}
}

func TestPanics(t *testing.T) {
	tests := map[string]func(*Loop, *spyScreen, *fakeApp){
		"in Handle": func(_ *Loop, s *spyScreen, _ *fakeApp) { s.InjectKey(tcell.KeyRune, 'p', 0) },
		"in Draw":   func(_ *Loop, _ *spyScreen, a *fakeApp) { a.panics = true },
		"in Post":   func(l *Loop, _ *spyScreen, _ *fakeApp) { l.Post(func() { panic("boom") }) },
		"in Go":     func(l *Loop, _ *spyScreen, _ *fakeApp) { l.Go(func() { panic("boom") }) },
	}
	for name, cause := range tests {
		t.Run(name, func(t *testing.T) {
			l, spy := openFake(t)
			app := &fakeApp{}
			cause(l, spy, app)
			err := run(t, t.Context(), l, app)
			var p *PanicError
			if !errors.As(err, &p) {
				t.Fatalf("Run() = %v, want a PanicError", err)
			}
			if p.Value != "boom" || !strings.Contains(string(p.Stack), "loop_test.go") {
				t.Errorf("panic with %v, stack\n%s", p.Value, p.Stack)
			}
			if !strings.HasPrefix(err.Error(), "panic: boom\n\ngoroutine ") {
				t.Errorf("Error() = %q", err)
			}
			if spy.finished != 1 {
				t.Errorf("the screen was closed %d times", spy.finished)
			}
		})
	}
}

func TestContextEndsRun(t *testing.T) {
	l, spy := openFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	l.Post(cancel)
	if err := run(t, ctx, l, &fakeApp{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v", err)
	}
	l.Post(func() { t.Error("a function ran after the end") })
	l.Close()
	if spy.finished != 1 {
		t.Errorf("the screen was closed %d times", spy.finished)
	}
}

func TestSuspend(t *testing.T) {
	l, spy := openFake(t)
	stopped := 0
	l.stopSelf = func() bool {
		stopped++
		l.queue.add(item{signal: syscall.SIGCONT}) // what ends this stop: nothing to do
		l.queue.add(item{signal: syscall.SIGCONT}) // after SIGSTOP
		l.Post(func() { spy.InjectKey(tcell.KeyRune, 'q', 0) })
		return true
	}
	spy.InjectKey(tcell.KeyCtrlZ, 0, tcell.ModCtrl)
	app := &fakeApp{}
	if err := run(t, t.Context(), l, app); err != nil {
		t.Fatal(err)
	}
	if stopped != 1 || spy.resumed != 2 || spy.suspended != 3 { // once more to close
		t.Errorf("stopped %d, resumed %d, released %d times, want 1, 2, 3", stopped, spy.resumed, spy.suspended)
	}
	if len(app.events) != 1 {
		t.Errorf("the program was handed %v, want q only", app.events)
	}
}

func TestQueueIsBounded(t *testing.T) {
	q := queue{wake: make(chan struct{}, 1)}
	for range maxQueued + 10 {
		q.add(item{event: tcell.NewEventKey(tcell.KeyUp, 0, 0)})
	}
	q.add(item{post: func() {}})
	if got := len(q.take(nil)); got != maxQueued+1 {
		t.Errorf("%d items queued, want %d", got, maxQueued+1)
	}
}

func TestDrawAllocatesNothing(t *testing.T) {
	l, _ := openFake(t)
	app := stillApp{}
	l.screen.draw(app)
	if n := testing.AllocsPerRun(20, func() { l.screen.draw(app) }); n != 0 {
		t.Errorf("drawing the same again allocates %v times", n)
	}
}

type stillApp struct{}

func (stillApp) Handle(Event) bool { return false }
func (stillApp) Draw(c *view.Canvas) {
	w, h := c.Size()
	c.Fill(0, 0, w, h, view.Chart, "⣿")
	c.Text(0, 0, view.Warn, "世界 plain")
}
