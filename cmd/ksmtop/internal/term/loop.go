// Package term connects a program to a terminal: it shows what the program
// draws on a view.Canvas and hands it the user's keys. It is the only user of
// tcell.
//
// Everything that touches the program's state happens on one goroutine, the
// one that calls Loop.Run: events, functions posted from elsewhere, drawing.
//
//	tcell ──┐
//	signals ├─> queue ──> Run: handle all that is queued, then draw once
//	Post ───┘
//
// Whatever ends the program, short of SIGKILL and errors that Go cannot
// recover from, the terminal is put back first.
package term

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/gdamore/tcell/v2"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"
)

// App is a program with a screen. Its methods are called on one goroutine.
type App interface {
	// Handle changes the state of the program; it must not draw or block.
	// Ctrl-Z and Ctrl-L do not get here: the Loop suspends and repaints.
	Handle(Event) (quit bool)

	// Draw draws all of the program on a blank canvas of the terminal's size.
	Draw(*view.Canvas)
}

// PanicError reports a panic in the program. The terminal has been restored.
type PanicError struct {
	Value any    // as passed to panic
	Stack []byte // of the goroutine that panicked
}

// Error returns the message and, on the lines below, the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n\n%s", e.Value, e.Stack) }

// SignalError reports that a signal ended the program.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string { return "ended by signal: " + e.Signal.String() }

// Loop runs an App on a terminal.
type Loop struct {
	screen  *screen
	keys    translator
	queue   queue
	signals chan os.Signal

	// stopSelf stops the process until it is continued, and reports whether
	// SIGCONT was seen. Tests replace it.
	stopSelf func() bool

	// ignoreContinue is set while the SIGCONT that ended stopSelf is queued.
	ignoreContinue bool

	closing sync.Once
	closed  chan struct{}
}

// Open takes over the terminal that controls the process. The caller must call
// Run or Close. Errors say what is wrong with the terminal: none at all, or
// of a type that cannot position text.
func Open(o Options) (*Loop, error) {
	s, err := openScreen(o)
	if err != nil {
		return nil, err
	}
	return newLoop(s), nil
}

func newLoop(s *screen) *Loop {
	l := &Loop{
		screen:   s,
		queue:    queue{wake: make(chan struct{}, 1)},
		signals:  make(chan os.Signal, 8),
		stopSelf: stopSelf,
		closed:   make(chan struct{}),
	}
	notify(l.signals)
	go l.pollScreen()
	go l.pollSignals()
	return l
}

// Close gives the terminal back in the state in which Open found it. Further
// calls do nothing.
func (l *Loop) Close() {
	l.closing.Do(func() {
		l.screen.close()
		signal.Stop(l.signals)
		close(l.closed)
	})
}

// Post lets f run on the goroutine of Run, which draws afterwards. It may be
// called from any goroutine and does not wait. After Run has ended it does
// nothing.
func (l *Loop) Post(f func()) {
	select {
	case <-l.closed:
	default:
		l.queue.add(item{post: f})
	}
}

// Go runs f on a goroutine of its own. If f panics, Run ends with a PanicError
// as if it had panicked itself; a plain go statement would leave the terminal
// in disorder. Run does not wait for f to end.
func (l *Loop) Go(f func()) {
	go func() {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			select {
			case <-l.closed:
				panic(v) // the terminal is in order and Run is over: crash as usual
			default:
				l.queue.add(item{err: &PanicError{Value: v, Stack: debug.Stack()}})
			}
		}()
		f()
	}()
}

// Run draws the program and serves it until it quits (nil), ctx is done (its
// error), a signal ends it (*SignalError), it panics (*PanicError) or the
// terminal fails. The terminal is closed when Run returns.
func (l *Loop) Run(ctx context.Context, app App) (err error) {
	defer l.Close()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()

	var batch []item
	for {
		l.screen.draw(app)
		for len(batch) == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-l.queue.wake:
				batch = l.queue.take(batch)
			}
		}
		for _, it := range batch {
			if done, err := l.handle(app, it); done || err != nil {
				return err
			}
		}
		clear(batch) // lets go of the functions
		batch = batch[:0]
	}
}

// handle does what one queued item asks for.
func (l *Loop) handle(app App, it item) (quit bool, err error) {
	switch {
	case it.err != nil:
		return false, it.err
	case it.post != nil:
		it.post()
		return false, nil
	case it.signal != 0:
		return false, l.signal(it.signal)
	}

	switch ev := l.keys.translate(it.event); ev {
	case nil:
		return false, nil
	case Key("Ctrl-Z"):
		return false, l.suspend()
	case Key("Ctrl-L"):
		l.screen.repaint = true
		return false, nil
	default:
		return app.Handle(ev), nil
	}
}

func (l *Loop) signal(s syscall.Signal) error {
	switch s {
	case syscall.SIGCONT:
		if l.ignoreContinue {
			l.ignoreContinue = false
			return nil
		}
		// Stopped from outside: the shell has set up the terminal for itself.
		if err := l.screen.release(); err != nil {
			return err
		}
		return l.screen.resume()
	default:
		return &SignalError{Signal: s}
	}
}

// suspend gives the terminal back, stops the process, and takes the terminal
// again when it is continued.
func (l *Loop) suspend() error {
	if err := l.screen.release(); err != nil {
		return err
	}
	l.ignoreContinue = l.stopSelf()
	return l.screen.resume()
}

// pollScreen queues tcell's events. It must keep taking them to the end: tcell
// does not stop while its own queue is full.
func (l *Loop) pollScreen() {
	for {
		switch ev := l.screen.s.PollEvent().(type) {
		case nil:
			return
		case *tcell.EventError:
			l.queue.add(item{err: fmt.Errorf("read terminal: %s", ev.Error())})
		default:
			l.queue.add(item{event: ev})
		}
	}
}

// pollSignals queues signals until the loop is closed.
func (l *Loop) pollSignals() {
	for {
		select {
		case <-l.closed:
			return
		case s := <-l.signals:
			if s, ok := s.(syscall.Signal); ok {
				l.queue.add(item{signal: s})
			}
		}
	}
}

// item is one thing to do; exactly one field is set.
type item struct {
	event  tcell.Event
	post   func()
	signal syscall.Signal
	err    error
}

// maxQueued bounds the events that wait, in case the program is busy while
// something floods the terminal. Posted functions and errors always fit.
const maxQueued = 4096

// queue holds what Run has to do.
type queue struct {
	wake  chan struct{} // holds one token while there are items
	mu    sync.Mutex
	items []item
}

func (q *queue) add(it item) {
	q.mu.Lock()
	if it.event == nil || len(q.items) < maxQueued {
		q.items = append(q.items, it)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all items and keeps the empty slice for those to come.
func (q *queue) take(empty []item) []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = empty
	return items
}
