package main

import (
	"context"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// startEngine starts what simulates machines for view 6. It sleeps until one is
// opened.
func (s *screen) startEngine(ctx context.Context) {
	s.engine = newSimEngine(s.state.Delay, func(u *model.SimUpdate) {
		s.loop.Post(func() {
			if before := s.state.TakeSim(u); before != nil {
				s.engine.giveBack(before)
			}
		})
	})
	s.loop.Go(func() { s.engine.run(ctx) })
}

// runSim hands over what the user wants of simulated machines.
func (s *screen) runSim() {
	if commands := s.state.SimCommands(); len(commands) > 0 {
		s.engine.send(commands...)
	}
}
