package scanner

import (
	"context"
	"sync"
	"time"
)

// limiter keeps a scan from being a load: in bytes a second over all workers,
// and in CPU time as a share of one CPU.
//
// Both are kept on average since the beginning: a worker that is ahead sleeps.
type limiter struct {
	bytesPerSecond float64 // 0 is no limit
	cpuShare       float64 // of one CPU, per worker; 0 is no limit

	mu    sync.Mutex
	began time.Time
	bytes float64
}

func newLimiter(o *Options, workers int) *limiter {
	l := &limiter{bytesPerSecond: float64(o.MaxRate), began: time.Now()}
	if o.MaxCPU > 0 && o.MaxCPU < 100*float64(workers) {
		l.cpuShare = o.MaxCPU / 100 / float64(workers)
	}
	return l
}

// pause is called by a worker after each batch, with its bytes and the time it
// took. It sleeps for as long as the limits demand, or until ctx is done.
func (l *limiter) pause(ctx context.Context, bytes int, busy time.Duration) {
	var wait time.Duration
	if l.cpuShare > 0 {
		wait = time.Duration(float64(busy) * (1/l.cpuShare - 1))
	}
	if l.bytesPerSecond > 0 {
		l.mu.Lock()
		l.bytes += float64(bytes)
		due := time.Duration(l.bytes / l.bytesPerSecond * float64(time.Second))
		l.mu.Unlock()
		wait = max(wait, due-time.Since(l.began))
	}
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
