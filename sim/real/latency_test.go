package real

import (
	"math"
	"testing"
	"time"
)

func TestLatencyClasses(t *testing.T) {
	for _, ns := range []uint32{0, 1, 15, 16, 31, 32, 33, 63, 64, 1000, 123456789, math.MaxUint32} {
		class := latencyClass(ns)
		from, to := latencyStart(class), latencyStart(class+1)
		if uint64(ns) < from || uint64(ns) >= to {
			t.Errorf("%d is in class %d, from %d to %d", ns, class, from, to)
		}
		if width := to - from; width > 1 && width*latencySteps > from {
			t.Errorf("class %d of %d is %d wide", class, ns, width)
		}
	}
	var l Latency
	if highest := latencyClass(math.MaxUint32); highest >= len(l.classes) {
		t.Errorf("the highest class is %d, of %d", highest, len(l.classes))
	}
}

func TestLatencyQuantiles(t *testing.T) {
	var l Latency
	if got := l.Quantile(0.5); got != 0 || l.Writes() != 0 {
		t.Errorf("of nothing the median is %v, of %d writes", got, l.Writes())
	}
	for range 2 {
		for ns := range uint32(10000) {
			l.add(ns)
		}
	}
	if l.Writes() != 20000 {
		t.Errorf("%d writes, want 20000", l.Writes())
	}
	for q, want := range map[float64]time.Duration{0: 0, 0.001: 10, 0.5: 5000, 0.99: 9900, 1: 9999} {
		if got := l.Quantile(q); math.Abs(float64(got-want)) > float64(want)/30 {
			t.Errorf("Quantile(%v) = %v, want about %v", q, got, want)
		}
	}
}
