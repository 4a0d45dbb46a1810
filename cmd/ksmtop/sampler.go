package main

import (
	"context"
	"sync"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// sampler takes samples on a goroutine of its own, so that a slow one does not
// hold up the screen. Two samples exist: one is shown while the next is taken,
// so that nothing is allocated for them.
type sampler struct {
	live *model.Live
	free chan *model.Sample
	wake chan struct{} // something below was changed
	last int           // how many samples are taken; 0 is no end

	mu    sync.Mutex
	delay time.Duration
	wants model.Wants
}

// firstDelay is the time to the second sample, which has the first rates: a
// person who has just started the program waits for them.
const firstDelay = 500 * time.Millisecond

func newSampler(live *model.Live, delay time.Duration, wants model.Wants, last int) *sampler {
	s := &sampler{
		live: live, delay: delay, wants: wants, last: last,
		free: make(chan *model.Sample, 2), wake: make(chan struct{}, 1),
	}
	s.free <- new(model.Sample)
	s.free <- new(model.Sample)
	return s
}

// giveBack returns a sample that is shown no more.
func (s *sampler) giveBack(sample *model.Sample) { s.free <- sample }

func (s *sampler) setDelay(d time.Duration) { s.change(func() { s.delay = d }) }
func (s *sampler) setWants(w model.Wants)   { s.change(func() { s.wants = w }) }
func (s *sampler) refresh()                 { s.change(func() {}) }

// change changes a setting and has a sample taken at once.
func (s *sampler) change(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // there is a wake-up on its way
	}
}

// run takes samples and passes them to show until ctx is done, or until the
// time of the last one is over.
func (s *sampler) run(ctx context.Context, show func(*model.Sample)) {
	defer s.live.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for taken := 0; ; taken++ {
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		if taken > 0 && taken == s.last {
			return
		}
		var sample *model.Sample
		select {
		case sample = <-s.free:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		delay := s.delay
		s.live.Want(s.wants)
		s.mu.Unlock()
		began := time.Now()
		s.live.Read(sample)
		show(sample)
		if taken == 0 {
			delay = min(delay, firstDelay)
		}
		timer.Reset(max(0, delay-time.Since(began)))
	}
}
