package sim

import (
	"time"

	"github.com/ksmtop/ksmtop/sim/scenario"
)

// ksmd sleeps by the kernel's timer wheel, which counts ticks and not
// milliseconds. A sleep is rounded up to ticks, and since it begins at some time
// within a tick it gets one more. So 20 ms at 250 ticks a second are the rest of
// this tick and 5 more, and as the daemon wakes at a tick and then works for less
// than a tick, it wakes each 24 ms:
//
//	tick      0     1     2     3     4     5     6     7
//	ksmd      #·······································#·····
//	          batch            sleep                  batch
//
// With pages_to_scan 100 that is 4167 pages a second and not 5000 (measured: 4180).
//
// From 63 ticks on the wheel is coarser, eight times with each level, as timers
// that far away are mostly cancelled: the end is the next multiple of 8 ticks, from
// 504 on of 64, and so on. A second at 250 ticks so takes 1 to 1.032 s.

// defaultHZ is how many ticks a second kernels of distributions mostly have.
const defaultHZ = 250

// never is later than every time of a Host.
const never = scenario.Never

// sleepEnd returns when a sleep of so many milliseconds that begins at now ends,
// at hz ticks a second. Zero milliseconds are no sleep, and from 1<<31 on they have
// no end.
func sleepEnd(now time.Duration, millisecs uint32, hz int) time.Duration {
	if millisecs >= 1<<31 {
		return never
	}
	ticks := (int64(millisecs)*int64(hz) + 999) / 1000
	if ticks == 0 {
		return now
	}
	coarse := int64(1)
	for limit := int64(63); ticks >= limit; limit *= 8 {
		coarse *= 8
	}
	tick := time.Second / time.Duration(hz)
	end := (int64(now/tick)+ticks)/coarse + 1
	return time.Duration(end*coarse) * tick
}

// TicksPerSecond returns the number of ticks a second, of those that Linux can be
// built with, at which a daemon that sleeps so many milliseconds and works for a
// moment wakes as often a second as given.
func TicksPerSecond(wakes float64, millisecs uint32) int {
	best, least := 0, 0.0
	for _, hz := range []int{100, 250, 300, 1000} {
		expected := 1 / sleepEnd(1, millisecs, hz).Seconds()
		if off := max(expected/wakes, wakes/expected); best == 0 || off < least {
			best, least = hz, off
		}
	}
	return best
}
