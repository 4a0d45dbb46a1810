package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simEngine simulates beside the screen, on a goroutine of its own. Commands come
// in by send, and what they come to goes out by show, ten times a second at most.
//
// Time goes on in slices, so that a command waits for some 40 ms: each slice brings
// A nearer to a goal, and then B to where A is. When both are there the goal moves
// on, not before its turn has come in real time.
type simEngine struct {
	show func(*model.SimUpdate)
	free chan *model.Sample // two of them, as of a sampler
	wake chan struct{}
	room func() int64 // pages that a machine may have

	mu       sync.Mutex
	commands []model.SimCommand
	delay    time.Duration // the least virtual time between two samples

	// Of the goroutine:

	spec *simSpec
	a, b *simSide
	shot model.SimShot // what does not change all the time
	goal time.Duration

	doing simDoing
	steps int    // how many batches are to come
	scans uint64 // full scans when it began

	due     time.Time // when the goal's turn has come
	shown   time.Time // when it was last shown
	trends  model.Trends
	sampled time.Duration // virtual time of the last sample
	hasTime bool          // there was a sample
}

// simDoing is what a machine does that is paused.
type simDoing uint8

const (
	doingNothing simDoing = iota
	doingBatch
	doingScan
)

const (
	// simSlice is how long commands may have to wait.
	simSlice = 40 * time.Millisecond

	// simFrame is the time between two updates of the screen.
	simFrame = 100 * time.Millisecond
)

// simSide is one of the machines.
type simSide struct {
	machine simMachine
	what    string
	before  sysfs.Reading // of the last sample
	percent float64
	known   bool // percent is
}

func newSimEngine(delay time.Duration, show func(*model.SimUpdate)) *simEngine {
	e := &simEngine{
		show: show, free: make(chan *model.Sample, 2), wake: make(chan struct{}, 1), delay: delay,
		room: func() int64 { return screenRoom(memAvailable()) },
	}
	e.free <- new(model.Sample)
	e.free <- new(model.Sample)
	return e
}

// send asks for something. It may be called by any goroutine.
func (e *simEngine) send(commands ...model.SimCommand) {
	e.change(func() { e.commands = append(e.commands, commands...) })
}

func (e *simEngine) setDelay(d time.Duration) { e.change(func() { e.delay = d }) }

func (e *simEngine) change(f func()) {
	e.mu.Lock()
	f()
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default: // there is a wake-up on its way
	}
}

// giveBack returns a sample that is shown no more.
func (e *simEngine) giveBack(sample *model.Sample) { e.free <- sample }

// run simulates until ctx is done.
func (e *simEngine) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		e.obeyAll(ctx)
		wait := e.work(ctx)
		if wait == 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-e.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// obeyAll does what was asked for.
func (e *simEngine) obeyAll(ctx context.Context) {
	e.mu.Lock()
	commands := e.commands
	e.commands = nil
	e.mu.Unlock()
	for i := range commands {
		c := &commands[i]
		u := &model.SimUpdate{}
		e.shot.Obeyed++
		if err := e.obey(c); err != nil {
			u.Err = err
			if c.Kind == model.SimSet {
				u.Refused, u.Undo = &c.Settings[0], c.Undo
			}
		}
		e.tell(ctx, u)
	}
}

func (e *simEngine) obey(c *model.SimCommand) error {
	if e.a == nil && c.Kind != model.SimOpen {
		return nil
	}
	switch c.Kind {
	case model.SimOpen:
		return e.open(c.Name)
	case model.SimClose:
		e.spec, e.a, e.b, e.doing = nil, nil, nil, doingNothing
		e.shot = model.SimShot{Run: e.shot.Run, Obeyed: e.shot.Obeyed}
	case model.SimToggle:
		e.shot.Running = !e.shot.Running
		e.stop()
	case model.SimBatch, model.SimScan:
		if e.doing == doingBatch && c.Kind == model.SimBatch {
			e.steps++ // the key is pressed fast
			return nil
		}
		e.shot.Running, e.steps = false, 1
		e.stop()
		e.doing, e.scans = doingBatch, e.a.machine.reading().Counters.FullScans
		e.shot.Doing = "to the next batch"
		if c.Kind == model.SimScan {
			e.doing = doingScan
			e.shot.Doing = "to the end of the scan"
		}
	case model.SimFaster:
		e.shot.Speed = max(0, min(e.shot.Speed+c.By, len(model.Speeds)-1))
		if e.doing == doingNothing { // a step goes on to its end at any speed
			e.stop()
		}
	case model.SimSet:
		for _, set := range c.Settings {
			if err := e.a.machine.set(set); err != nil {
				return fmt.Errorf("%s: %w", set.Field, cause(err))
			}
		}
	case model.SimRestart:
		var other []sysfs.Setting
		if e.b != nil {
			other = model.SettingsOf(e.b.machine.reading().Knobs)
		}
		return e.begin(c.Settings, other)
	case model.SimCompare:
		if err := e.begin(c.Settings, c.Other); err != nil {
			return err
		}
		e.b.what = c.What
	case model.SimAlone:
		e.b = nil
	}
	return nil
}

// cause returns the innermost of errors, without the paths of the kernel's files.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// open reads a scenario or a script and begins with it. Until it has been read
// the machine before goes on to be there.
func (e *simEngine) open(name string) error {
	spec, err := openSim(name, e.room())
	if err != nil {
		return err
	}
	before := e.spec
	e.spec = spec
	if err := e.begin(nil, nil); err != nil {
		e.spec = before
		return err
	}
	obeyed, run := e.shot.Obeyed, e.shot.Run
	e.shot = model.SimShot{Obeyed: obeyed, Run: run, Speed: model.ScenarioSpeed, Running: true}
	if spec.script != nil {
		e.shot.Speed, e.shot.Running = model.ScriptSpeed, false
	}
	spec.describe(&e.shot)
	return nil
}

// begin begins anew with machines that have some knobs set on top of their own; B
// is there if it has some.
func (e *simEngine) begin(knobs, other []sysfs.Setting) error {
	what := ""
	if e.b != nil {
		what = e.b.what
	}
	a, err := e.side(knobs)
	if err != nil {
		return err
	}
	var b *simSide
	if other != nil {
		if b, err = e.side(other); err != nil {
			return err
		}
		b.what = what
	}
	e.a, e.b, e.trends = a, b, model.Trends{}
	e.shot.Run++
	e.goal, e.sampled, e.hasTime, e.shot.Now = 0, 0, false, 0
	e.stop()
	return nil
}

func (e *simEngine) side(knobs []sysfs.Setting) (*simSide, error) {
	m, err := e.spec.machine(knobs)
	if err != nil {
		return nil, err
	}
	return &simSide{machine: m, before: m.reading()}, nil
}

// stop gives up the goal: what comes then is up to the next one.
func (e *simEngine) stop() {
	e.goal = e.a.machine.now()
	e.due = time.Now()
	e.doing, e.shot.Doing, e.shot.Reached = doingNothing, "", 0
}

// work simulates for a slice, and returns for how long there is nothing to do.
func (e *simEngine) work(ctx context.Context) time.Duration {
	if e.a == nil {
		return time.Hour
	}
	slice, cancel := context.WithTimeout(ctx, simSlice)
	defer cancel()
	switch {
	case e.doing != doingNothing:
		done, err := e.do(slice)
		e.finish(ctx, done, err)
		return 0
	case e.behind(e.a):
		e.approach(ctx, slice, e.a)
		return 0
	case e.b != nil && e.behind(e.b):
		e.approach(ctx, slice, e.b)
		return 0
	case !e.shot.Running:
		return time.Hour
	}
	if wait := time.Until(e.due); wait > 0 {
		return wait
	}
	e.next(ctx)
	return 0
}

func (e *simEngine) behind(s *simSide) bool { return s.machine.now() < e.goal && !s.machine.over() }

// approach brings a machine nearer to the goal. As fast as possible the goal is
// where A comes in a slice.
func (e *simEngine) approach(ctx, slice context.Context, s *simSide) {
	err := s.machine.advance(slice, e.goal)
	switch {
	case ctx.Err() != nil:
	case isPause(err):
		if s == e.a && model.Speeds[e.shot.Speed] == 0 {
			e.goal = s.machine.now()
		}
	case err != nil:
		e.shot.Running = false
		e.stop()
		e.tell(ctx, &model.SimUpdate{Err: err})
	case s.machine.over():
		e.shot.Running = false
		e.tell(ctx, &model.SimUpdate{})
	}
	if time.Since(e.shown) >= simFrame {
		e.tell(ctx, &model.SimUpdate{})
	}
}

// do does a step that was asked for, or a part of it, and reports whether it is
// done.
func (e *simEngine) do(slice context.Context) (done bool, err error) {
	m := e.a.machine
	for {
		ok, err := m.step(slice)
		switch {
		case isPause(err):
			return false, nil
		case err != nil:
			return true, err
		case !ok && !m.over():
			return true, errors.New("ksmd has nothing to do")
		case !ok:
			return true, nil
		case e.doing == doingBatch:
			if e.steps--; e.steps == 0 {
				return true, nil
			}
		case m.reading().Counters.FullScans != e.scans:
			return true, nil
		}
		if err := slice.Err(); err != nil {
			return false, nil
		}
	}
}

// finish ends a step that is done. B follows.
func (e *simEngine) finish(ctx context.Context, done bool, err error) {
	if !done && time.Since(e.shown) < simFrame {
		return
	}
	if done {
		e.stop()
	}
	e.tell(ctx, &model.SimUpdate{Err: err})
}

// next shows where the machines are, and moves the goal on.
func (e *simEngine) next(ctx context.Context) {
	now := time.Now()
	speed := model.Speeds[e.shot.Speed]
	if e.a.machine.over() {
		e.shot.Running = false
	}
	frame := now.Sub(e.shown)
	if frame >= simFrame {
		e.tell(ctx, &model.SimUpdate{})
	}
	step := time.Minute
	if speed > 0 {
		step = time.Duration(speed) * simFrame
	}
	e.goal = e.a.machine.now() + step
	e.due = now
	if speed > 0 {
		e.due = now.Add(simFrame)
	}
}

// tell shows what there is to see, with a sample if it is time for one.
func (e *simEngine) tell(ctx context.Context, u *model.SimUpdate) {
	if e.a != nil {
		e.mu.Lock()
		delay := e.delay
		e.mu.Unlock()
		now := e.a.machine.now()
		if elapsed := now - e.sampled; !e.hasTime || elapsed >= delay || !e.shot.Running {
			select {
			case u.Sample = <-e.free:
			case <-ctx.Done():
				return
			}
			e.sample(u.Sample, elapsed)
		}
		e.describe()
	}
	e.shown = time.Now()
	u.Shot = e.shot
	e.show(u)
}

// sample makes a sample of A, and notes what the next one is compared with.
func (e *simEngine) sample(to *model.Sample, elapsed time.Duration) {
	reading := e.a.machine.reading()
	fillSim(to, e.spec.name(), &e.a.before, &reading, e.a.machine.processes())
	e.trends.Fill(to)
	to.Interval = elapsed
	e.sampled, e.hasTime = e.a.machine.now(), true
	for _, s := range []*simSide{e.a, e.b} {
		if s == nil || s.machine.now() <= s.before.Time.Sub(sim.Epoch) { // B may be behind
			continue
		}
		reading := s.machine.reading()
		rates := sysfs.RatesBetween(&s.before, &reading)
		if s.known = rates.HasKSMDPercent; s.known {
			s.percent = rates.KSMDPercent
		}
		s.before = reading
	}
}

// describe brings the shot up to date.
func (e *simEngine) describe() {
	now := e.a.machine.now()
	if elapsed := time.Since(e.shown); e.shot.Running && elapsed < time.Second && now > e.shot.Now && e.shot.Now > 0 {
		reached := float64(now-e.shot.Now) / float64(max(elapsed, simFrame/2))
		if e.shot.Reached == 0 {
			e.shot.Reached = reached
		}
		e.shot.Reached += (reached - e.shot.Reached) / 8
	}
	e.shot.Now = now
	e.shot.Next, e.shot.Over = e.a.machine.next(), e.a.machine.over()
	e.shot.A = e.a.side()
	e.shot.B, e.shot.HasB = model.SimSide{}, e.b != nil
	if e.b != nil {
		e.shot.B = e.b.side()
	}
}

func (s *simSide) side() model.SimSide {
	side := model.SimSide{What: s.what, Reading: s.machine.reading()}
	side.Settled, side.HasSettled = s.machine.calm()
	side.Savings, side.HasSavings = side.Reading.Counters.Savings(side.Reading.PageSize)
	side.Percent, side.HasPercent = s.percent, s.known
	return side
}
