package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/term"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"
)

// screenFlags say how the screen looks.
type screenFlags struct {
	theme          string
	color          string
	noColor, ascii bool
	noMouse        bool
	readOnly       bool
	noConfig       bool
	content        bool
	depth          view.Depth
}

func (f *screenFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.theme, "theme", "dark", "colours of the screen: `NAME` is dark, light, mono or cvd (for any colour vision)")
	flags.StringVar(&f.color, "color", "", "`COLOURS` of the terminal: never, 16, 256 or true; else NO_COLOR, TERM and COLORTERM tell")
	flags.BoolVarP(&f.noColor, "no-color", "C", false, "the same as --color=never")
	flags.BoolVarP(&f.ascii, "no-unicode", "U", false, "draw with ASCII characters only")
	flags.BoolVar(&f.noConfig, "no-config", false, "neither use nor keep preferences: the file ksmtop/config of $XDG_CONFIG_HOME or ~/.config")
	flags.BoolVar(&f.readOnly, "readonly", false, "never write KSM's settings from the screen")
	flags.BoolVar(&f.content, "show-content", false, "let the screen show first bytes of equal pages; they may hold secrets")
	flags.BoolVarP(&f.noMouse, "no-mouse", "M", false, "leave the mouse to the terminal")
}

func (f *screenFlags) check() error {
	if f.noColor {
		f.color = "never"
	}
	var err error
	if f.depth, err = view.DetectDepth(f.color, os.Getenv); err != nil {
		return err
	}
	if _, err = view.NewPalette(f.theme, f.depth); err != nil {
		return fmt.Errorf("--theme: %w", err)
	}
	return nil
}

// screen is the program with a terminal: samples and keys go into the state,
// and the state is drawn.
type screen struct {
	state   *model.State
	loop    *term.Loop
	sampler *sampler   // nil with --sim
	engine  *simEngine // of simulated machines
	depth   view.Depth
	canvas  *view.Canvas    // as last drawn
	ctx     context.Context // ends with the screen
}

// runScreen shows the screen until the user quits, and keeps preferences.
func (t *top) runScreen(cmd *cobra.Command) error {
	state := model.NewState(time.Duration(t.delay))
	prefs, err := t.prefer(cmd, state)
	if err != nil {
		state.Message = err.Error()
	}
	err = t.show(cmd.Context(), state)
	state.ShowReal() // the preferences are those for it
	if saveErr := prefs.Save(); saveErr != nil {
		warn(cmd.ErrOrStderr(), saveErr.Error(), "what was chosen on the screen is not kept; --no-config does without")
	}
	return err
}

// show shows the screen until the user quits.
func (t *top) show(ctx context.Context, state *model.State) error {
	palette, err := view.NewPalette(state.Theme, t.screen.depth)
	if err != nil {
		return err
	}
	live, err := t.realOrSim()
	if err != nil {
		return err
	}
	state.Filter = t.filter
	state.User, state.Root = userName(), os.Geteuid() == 0
	state.Kernel, state.ReadOnly = t.fsys, t.screen.readOnly
	if t.fsys.Proc == "" { // else there are files, and no processes
		state.Memory = &memory{t.fsys}
	}
	state.ShowContent = t.screen.content
	s := &screen{state: state, depth: t.screen.depth}
	s.loop, err = term.Open(term.Options{
		Palette: palette, Depth: t.screen.depth,
		Level: view.DetectLevel(t.screen.ascii, os.Getenv), Mouse: !t.screen.noMouse,
	})
	if err != nil {
		if live != nil {
			live.Close()
		}
		return hinted{err, "ksmtop -b prints text and needs no terminal"}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.ctx = ctx
	s.startEngine(ctx)
	if live == nil {
		state.StartSimulated(t.sim)
		s.runSim()
		return screenEnd(s.loop.Run(ctx, s))
	}
	s.sampler = newSampler(live, state.Delay, state.Wants(), t.count)
	s.loop.Go(func() {
		s.sampler.run(ctx, func(sample *model.Sample) { s.loop.Post(func() { s.take(sample) }) })
		stop() // not deferred: a panic ends the loop by itself
	})
	return screenEnd(s.loop.Run(ctx, s))
}

// realOrSim opens this machine, or makes sure that --sim names something that can
// be simulated; then the machine is nil.
func (t *top) realOrSim() (*model.Live, error) {
	if t.sim == "" {
		return t.live()
	}
	_, err := openSim(t.sim, screenRoom(memAvailable()))
	return nil, err
}

// screenEnd turns the end of the loop into that of the program: in silence with
// a shell's status for signals.
func screenEnd(err error) error {
	if e, ok := errors.AsType[*term.SignalError](err); ok {
		return statusError{status: 128 + int(e.Signal)}
	}
	if _, ok := errors.AsType[*term.PanicError](err); ok {
		return hinted{err, "this is a mistake in ksmtop; the lines above say where"}
	}
	if errors.Is(err, context.Canceled) { // there are as many samples as were wanted
		return nil
	}
	return err
}

func userName() string {
	uid := os.Geteuid()
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// take takes a sample in and gives the one before back.
func (s *screen) take(sample *model.Sample) {
	if before := s.state.TakeFrom(model.LiveSource, sample); before != nil {
		s.sampler.giveBack(before)
	}
	s.runTasks() // the view in front may want more
}

// Draw draws the state.
func (s *screen) Draw(c *view.Canvas) {
	w, h := c.Size()
	view.Fit(w, h, s.state)
	view.Draw(c, s.state)
	s.canvas = c
}

// Handle takes what the user did.
func (s *screen) Handle(event term.Event) (quit bool) {
	switch e := event.(type) {
	case term.Key:
		return s.do(s.state.Key(string(e)))
	case term.Mouse:
		return s.mouse(e)
	}
	return false
}

func (s *screen) do(command model.Command) (quit bool) {
	s.runTasks()
	s.runSim()
	switch command {
	case model.Quit:
		return true
	case model.SetTheme:
		s.setTheme()
	case model.SetDelay:
		s.engine.setDelay(s.state.Delay)
	}
	if s.sampler == nil || s.state.Simulated() && command != model.SetDelay {
		return false // what is simulated has everything at once
	}
	switch command {
	case model.SetDelay:
		s.sampler.setDelay(s.state.Delay)
	case model.SetWants:
		s.sampler.setWants(s.state.Wants())
	case model.Refresh:
		s.sampler.refresh()
	}
	return false
}

func (s *screen) setTheme() {
	p, err := view.NewPalette(s.state.Theme, s.depth)
	if err != nil {
		s.state.Message = err.Error()
		return
	}
	s.loop.SetPalette(p)
	if s.depth == view.DepthMono {
		s.state.Message += ": no difference, since colours are off"
	}
}

// wheelRows is how far one turn of the wheel goes.
const wheelRows = 3

func (s *screen) mouse(e term.Mouse) (quit bool) {
	switch e.Button {
	case term.WheelUp:
		s.state.Wheel(-wheelRows)
	case term.WheelDown:
		s.state.Wheel(wheelRows)
	case term.Left:
		return s.do(view.Click(s.canvas, e.X, e.Y, e.Double, s.state))
	}
	return false
}
