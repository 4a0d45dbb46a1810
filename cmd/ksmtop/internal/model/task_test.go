package model

import (
	"context"
	"errors"
	"testing"
	"time"
)

// work returns work that ends with the given result and error.
func work(result func(*State), err error) Work {
	return func(context.Context, func(done, total int64)) (func(*State), error) { return result, err }
}

func TestTask(t *testing.T) {
	broken := errors.New("out of pages")
	tests := []struct {
		name    string
		err     error
		message string
	}{
		{"done", nil, ""},
		{"stopped", context.Canceled, "counting: stopped"},
		{"failed", broken, "counting: out of pages"},
	}
	for _, tt := range tests {
		s := stateWith(1)
		s.Start("counting", work(func(s *State) { s.User = "counted" }, tt.err))
		started := s.Started()
		if len(started) != 1 || len(s.Tasks) != 1 || s.Started() != nil {
			t.Fatalf("%s: %d tasks to begin, %d in all, want one", tt.name, len(started), len(s.Tasks))
		}
		task := started[0]
		result, err := task.Run(t.Context(), func(int64, int64) {})
		s.End(task, result, err)
		if len(s.Tasks) != 0 || s.User != "counted" || s.Message != tt.message {
			t.Errorf("%s: %d tasks, result %q, message %q, want %q", tt.name, len(s.Tasks), s.User, s.Message, tt.message)
		}
	}
}

// TestEscStopsTasks stops the task that was started last, one with each Esc.
func TestEscStopsTasks(t *testing.T) {
	s := stateWith(1)
	first, second := s.Start("first", work(nil, nil)), s.Start("second", work(nil, nil))
	var ctxs []context.Context
	for _, task := range s.Started()[:1] { // the second has not begun yet
		ctx, cancel := context.WithCancel(t.Context())
		task.Prepare(time.Time{}, cancel)
		ctxs = append(ctxs, ctx)
	}
	s.Key("Esc")
	if !second.Stopping || first.Stopping {
		t.Errorf("after Esc stopping are first %t, second %t, want the second", first.Stopping, second.Stopping)
	}
	ctx, cancel := context.WithCancel(t.Context())
	second.Prepare(time.Time{}, cancel)
	if ctx.Err() == nil {
		t.Error("a task that was stopped before it began goes on")
	}
	s.Key("Esc")
	if ctxs[0].Err() == nil {
		t.Error("the first task goes on after the second Esc")
	}
	s.Key("Esc")
	if s.Message != "" || len(s.Tasks) != 2 {
		t.Errorf("message %q, %d tasks, want none and both, which have not ended", s.Message, len(s.Tasks))
	}
}
