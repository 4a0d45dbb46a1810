package model

import (
	"context"
	"errors"
	"time"
)

// Work is something that takes longer than a screen may wait, such as reading
// the memory of a process. It runs on a goroutine of its own until it has
// finished or ctx is done, and tells progress how far it is, which may be
// called as often as it likes. It must not touch the State. The function that it
// returns, if any, brings the result there.
type Work func(ctx context.Context, progress func(done, total int64)) (result func(*State), err error)

// Task is Work that has been started.
type Task struct {
	Name  string // what it does: "reading 3 processes"
	Began time.Time

	// Done of Total is how far it is, in a unit of its own. A Total of 0 means
	// that nobody knows.
	Done, Total int64

	// Stopping says that the user has stopped it and it has not ended yet.
	Stopping bool

	work   Work
	cancel context.CancelFunc
}

// Start has work done beside the screen. It is shown under its name, and Esc
// stops it.
func (s *State) Start(name string, work Work) *Task {
	t := &Task{Name: name, work: work}
	s.Tasks = append(s.Tasks, t)
	s.started = append(s.started, t)
	return t
}

// startAside has work done of which nothing is shown, and which Esc does not stop:
// work that keeps the view in front up to date.
func (s *State) startAside(name string, work Work) {
	s.started = append(s.started, &Task{Name: name, work: work})
}

// Started returns the tasks that have been started since the last call and that
// nobody runs yet.
func (s *State) Started() []*Task {
	started := s.started
	s.started = nil
	return started
}

// Run runs the task to its end, for whoever took it from Started. Before, on the
// goroutine that the State belongs to, Prepare was called.
func (t *Task) Run(ctx context.Context, progress func(done, total int64)) (func(*State), error) {
	return t.work(ctx, progress)
}

// Prepare says that the task begins, and how it is stopped.
func (t *Task) Prepare(now time.Time, cancel context.CancelFunc) {
	t.Began, t.cancel = now, cancel
	if t.Stopping { // before it began
		cancel()
	}
}

// End takes a task from the list and its result in.
func (s *State) End(t *Task, result func(*State), err error) {
	for i := range s.Tasks {
		if s.Tasks[i] == t {
			s.Tasks = append(s.Tasks[:i:i], s.Tasks[i+1:]...)
			break
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		s.Message = t.Name + ": stopped"
	case err != nil:
		s.Message = t.Name + ": " + withAdvice(err)
	}
	if result != nil {
		result(s)
	}
}

// stop stops the task.
func (t *Task) stop() {
	t.Stopping = true
	if t.cancel != nil {
		t.cancel()
	}
}

// stopTask stops the task that was started last, and reports whether there was
// one.
func (s *State) stopTask() bool {
	for i := len(s.Tasks) - 1; i >= 0; i-- {
		if t := s.Tasks[i]; !t.Stopping {
			t.stop()
			return true
		}
	}
	return false
}
