package term

import (
	"context"
	"testing"

	"github.com/gdamore/tcell/v2"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"
)

// themeApp changes the theme with its first key and quits with the second.
type themeApp struct {
	l    *Loop
	next *view.Palette
}

func (a *themeApp) Handle(ev Event) bool {
	if ev == Key("q") {
		return true
	}
	a.l.SetPalette(a.next)
	return false
}

func (a *themeApp) Draw(c *view.Canvas) {
	c.Text(0, 0, view.Good, "g")
	c.Text(1, 0, view.Good, "g")
	c.Select(1, 0, 1)
}

func TestSetPalette(t *testing.T) {
	l, spy := openFake(t)
	light, err := view.NewPalette("light", view.Depth256)
	if err != nil {
		t.Fatal(err)
	}
	app := &themeApp{l: l, next: light}
	l.screen.draw(app)
	style := func(x int) tcell.Style {
		cells, _, _ := spy.GetContents()
		return cells[x].Style
	}
	if got, want := style(0), tcell.StyleDefault.Foreground(tcell.PaletteColor(113)); got != want {
		t.Errorf("Good in the dark theme = %v, want %v", got, want)
	}
	if _, err := l.handle(app, item{event: tcell.NewEventKey(tcell.KeyRune, 'T', 0)}); err != nil {
		t.Fatal(err)
	}
	l.screen.draw(app)
	want := tcell.StyleDefault.Foreground(tcell.PaletteColor(22))
	if got := style(0); got != want {
		t.Errorf("Good in the light theme = %v, want %v", got, want)
	}
	if got := style(1); got != want.Reverse(true) {
		t.Errorf("selected Good in the light theme = %v, want %v", got, want.Reverse(true))
	}

	spy.InjectKey(tcell.KeyRune, 'q', 0)
	if err := run(t, context.Background(), l, app); err != nil {
		t.Fatal(err)
	}
}
