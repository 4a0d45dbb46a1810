package model

import (
	"math"
	"testing"
	"time"
)

func withNet(s *Sample, net int64) *Sample {
	s.Savings.NetBytes = net
	return s
}

func TestHistoryEmpty(t *testing.T) {
	var h History
	if h.Len() != 0 || h.Span() != 0 || !h.Since().IsZero() {
		t.Errorf("empty history: Len %d, Span %v, Since %v", h.Len(), h.Span(), h.Since())
	}
	if lo, hi := h.Range(time.Hour, NetOf); !math.IsNaN(lo) || !math.IsNaN(hi) {
		t.Errorf("empty history: Range = %v, %v, want NaN", lo, hi)
	}
}

func TestHistoryKeepsTheLatest(t *testing.T) {
	var h History
	for i := range historyPoints + 10 {
		h.Add(withNet(at(float64(i)), int64(i)), time.Second)
		first := max(0, i-historyPoints+1)
		if h.Len() != i-first+1 || h.At(0).Net != float64(first) || h.At(h.Len()-1).Net != float64(i) {
			t.Fatalf("after sample %d: %d points from %v to %v", i, h.Len(), h.At(0).Net, h.At(h.Len()-1).Net)
		}
		if want := time.Duration(i-first) * time.Second; h.Span() != want {
			t.Fatalf("after sample %d: Span = %v, want %v", i, h.Span(), want)
		}
		if want := epoch.Add(time.Duration(first) * time.Second); !h.Since().Equal(want) {
			t.Fatalf("after sample %d: Since = %v, want %v", i, h.Since(), want)
		}
	}
}

func TestHistoryGapsAndRange(t *testing.T) {
	var h History
	for i, net := range []int64{-50, 7, 3, 5} {
		h.Add(withNet(at(float64(i)), net), time.Second)
	}
	unknown := at(4)
	unknown.HasSavings = false
	h.Add(unknown, time.Second)
	if !math.IsNaN(h.At(4).Net) || !math.IsNaN(h.At(0).Broken) {
		t.Errorf("unknown values are %v and %v, want NaN", h.At(4).Net, h.At(0).Broken)
	}
	known := at(5)
	known.Rates.HasBrokenPerSecond = true
	h.Add(withNet(known, 5), time.Second)
	if h.At(5).Broken != 0 {
		t.Errorf("a rate of 0 is %v", h.At(5).Broken)
	}
	for _, tt := range []struct {
		span   time.Duration
		lo, hi float64
	}{
		{time.Hour, -50, 7},
		{5 * time.Second, -50, 7},
		{4 * time.Second, 3, 7},
		{2 * time.Second, 5, 5},
		{0, 5, 5},
	} {
		if lo, hi := h.Range(tt.span, NetOf); lo != tt.lo || hi != tt.hi {
			t.Errorf("Range(%v) = %v, %v, want %v, %v", tt.span, lo, hi, tt.lo, tt.hi)
		}
	}
}

// A point holds since the one before, unless samples are missing in between.
func TestHistoryFrom(t *testing.T) {
	var h History
	for i, step := range []struct {
		at, delay, from float64 // seconds
	}{
		{10, 2, 8},    // the first holds for the time before it
		{12, 2, 10},   // as it should be
		{15.5, 2, 12}, // late, but none is missing
		{20, 2, 18},   // a gap
		{25, 5, 20},   // a longer delay
		{26, 1, 25},   // taken at once after a change
		{31, 1, 30},   // a gap
		{30, 1, 29},   // a clock that went back
	} {
		h.Add(at(step.at), time.Duration(step.delay*float64(time.Second)))
		want := epoch.Add(time.Duration(step.from * float64(time.Second)))
		if got := h.At(h.Len() - 1); !got.From.Equal(want) || !got.At.Equal(at(step.at).Time) {
			t.Errorf("point %d is from %v to %v, want from %v", i, got.From.Sub(epoch), got.At.Sub(epoch), want.Sub(epoch))
		}
	}
}
