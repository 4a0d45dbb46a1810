package scanner

import (
	"context"
	"math"
	"sync"
	"time"
)

// limiter keeps a scan from being a load: in bytes a second, and in CPU time as a
// share of one CPU, of all goroutines together.
//
// Both are kept on average since the beginning: who is ahead sleeps.
type limiter struct {
	bytesPerSecond float64 // 0 is no limit
	cpuShare       float64 // of one CPU; 0 is no limit
	began          time.Time

	mu    sync.Mutex
	bytes float64
	busy  time.Duration
}

// newLimiter returns the limiter of o. More CPUs than there are workers need no
// limit.
func newLimiter(o *Options, workers int) *limiter {
	l := &limiter{bytesPerSecond: float64(o.MaxRate), began: time.Now()}
	if o.MaxCPU < 100*float64(workers) {
		l.cpuShare = o.MaxCPU / 100
	}
	return l
}

// pause is called after a piece of work, with its bytes and the time it took. It
// sleeps for as long as the limits demand, or until ctx is done.
func (l *limiter) pause(ctx context.Context, bytes int, busy time.Duration) {
	if l.cpuShare == 0 && l.bytesPerSecond == 0 {
		return
	}
	wait := l.take(bytes, busy) - time.Since(l.began)
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

// take counts a piece of work, and returns how long all work must have taken by now.
func (l *limiter) take(bytes int, busy time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += float64(bytes)
	l.busy += busy
	var due float64 // ns
	if l.bytesPerSecond > 0 {
		due = l.bytes / l.bytesPerSecond * float64(time.Second)
	}
	if l.cpuShare > 0 {
		due = max(due, float64(l.busy)/l.cpuShare)
	}
	return time.Duration(min(due, math.MaxInt64/2))
}
