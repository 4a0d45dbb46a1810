package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// taskProgressEvery is how often the screen shows how far a task is.
const taskProgressEvery = 200 * time.Millisecond

// runTasks runs what the state has started, each on a goroutine of its own.
func (s *screen) runTasks() {
	for _, task := range s.state.Started() {
		ctx, cancel := context.WithCancel(s.ctx)
		task.Prepare(time.Now(), cancel)
		s.loop.Go(func() {
			s.runTask(ctx, task)
			cancel()
		})
	}
}

// runTask runs one task and hands its result to the state.
func (s *screen) runTask(ctx context.Context, task *model.Task) {
	var done, total atomic.Int64
	ended := make(chan struct{})
	s.loop.Go(func() {
		tick := time.NewTicker(taskProgressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.loop.Post(func() { task.Done, task.Total = done.Load(), total.Load() })
			case <-ended:
				return
			}
		}
	})
	result, err := task.Run(ctx, func(d, t int64) { done.Store(d); total.Store(t) })
	close(ended) // not deferred: a panic ends the loop by itself
	s.loop.Post(func() {
		s.state.End(task, result, err)
		s.runTasks()        // the result may have started another
		s.sampler.refresh() // it may have changed what there is to see
	})
}
