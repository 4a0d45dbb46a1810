package real

import (
	"math/bits"
	"time"
)

// Latency is how long writes took, as a histogram with 16 classes for each
// doubling: a quantile is at most 6 % off. The zero value is of no writes.
type Latency struct {
	classes [33 * latencySteps]uint64
	n       uint64
}

const latencySteps = 16 // classes for each doubling

// latencyClass returns the class of a time in nanoseconds, which is exact below
// 2*latencySteps.
func latencyClass(ns uint32) int {
	shift := max(0, bits.Len32(ns)-bits.Len32(latencySteps))
	return shift*latencySteps + int(ns>>shift)
}

// latencyStart returns the least time of a class.
func latencyStart(class int) uint64 {
	shift := max(0, class/latencySteps-1)
	return uint64(class-shift*latencySteps) << shift
}

func (l *Latency) add(ns uint32) {
	l.classes[latencyClass(ns)]++
	l.n++
}

// Writes returns how many writes there were.
func (l Latency) Writes() uint64 { return l.n }

// Quantile returns the time within which the share q of the writes were done, 0 to
// 1: the middle of its class. It returns 0 if there were none.
func (l Latency) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(l.n))
	for class, n := range l.classes {
		if n > rank || n > 0 && n == rank && q == 1 {
			return time.Duration((latencyStart(class) + latencyStart(class+1) - 1) / 2)
		}
		rank -= n
	}
	return 0
}
