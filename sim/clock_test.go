package sim

import (
	"testing"
	"time"
)

func TestSleepEnd(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name   string
		now    time.Duration
		millis uint32
		hz     int
		want   time.Duration
	}{
		{"none", 7 * ms, 0, 250, 7 * ms},
		{"default from a tick", 0, 20, 250, 24 * ms},
		{"default in a tick", 24*ms + ms/2, 20, 250, 48 * ms},
		{"default at the end of a tick", 28*ms - 1, 20, 250, 48 * ms},
		{"a tick later", 28 * ms, 20, 250, 52 * ms},
		{"shortest", 0, 1, 250, 8 * ms},
		{"HZ 100", 0, 20, 100, 30 * ms},
		{"HZ 1000", 0, 20, 1000, 21 * ms},
		{"last of the finest level", 0, 62 * 4, 250, 63 * 4 * ms},
		{"first of the next level", 0, 63 * 4, 250, 64 * 4 * ms},
		{"the next level, worst", 4 * ms, 63 * 4, 250, 72 * 4 * ms},
		{"a second", 0, 1000, 250, 1024 * ms},
		{"longest", 0, 1<<31 - 1, 1000, 1 << 31 * ms},
		{"no end", 0, 1 << 31, 250, never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sleepEnd(tt.now, tt.millis, tt.hz); got != tt.want {
				t.Errorf("sleepEnd(%v, %d, %d) = %v, want %v", tt.now, tt.millis, tt.hz, got, tt.want)
			}
		})
	}
}

func TestTicksPerSecond(t *testing.T) {
	for _, tt := range []struct {
		wakes     float64
		millisecs uint32
		want      int
	}{
		{41.67, 20, 250}, {41.2, 20, 250}, {47.6, 20, 1000}, {46.9, 20, 1000}, {42.86, 20, 300}, {33.3, 20, 100}, {20, 20, 100},
		{1 / 0.104, 100, 250},
	} {
		if got := TicksPerSecond(tt.wakes, tt.millisecs); got != tt.want {
			t.Errorf("TicksPerSecond(%v, %d) = %d, want %d", tt.wakes, tt.millisecs, got, tt.want)
		}
	}
}
