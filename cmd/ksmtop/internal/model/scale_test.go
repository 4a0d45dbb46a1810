package model

import (
	"math"
	"testing"
)

func TestScale(t *testing.T) {
	var s Scale
	check := func(when string, lo, hi float64) {
		t.Helper()
		if gotLo, gotHi := s.Bounds(); gotLo != lo || gotHi != hi {
			t.Errorf("%s: Bounds() = %v, %v, want %v, %v", when, gotLo, gotHi, lo, hi)
		}
	}
	check("at first", 0, 0)
	s.Update(0, 0)
	check("all zero", 0, 0)
	s.Update(0, 1150)
	check("grows at once", 0, 1200)
	s.Update(-3, 1150)
	check("grows below zero", -3, 1200)
	s.Update(math.NaN(), 5)
	s.Update(0, math.Inf(1))
	check("keeps its bounds", -3, 1200)
	for range shrinkAfter - 1 {
		s.Update(0, 90)
	}
	check("not yet", -3, 1200)
	s.Update(0, 450)
	check("what the last updates needed", 0, 500)
	for range shrinkAfter - 1 {
		s.Update(0, 90)
	}
	s.Update(0, 490)
	for range shrinkAfter - 1 {
		s.Update(0, 90)
	}
	check("needed in between", 0, 500)
	s.Update(0, 90)
	check("in the end", 0, 100)
	for range shrinkAfter {
		s.Update(0, 0)
	}
	check("all zero for long", 0, 0)
	if lo, _ := s.Bounds(); math.Signbit(lo) {
		t.Error("lo is minus zero")
	}
}

func TestScaleBinary(t *testing.T) {
	const ki, mi, gi = 1 << 10, 1 << 20, 1 << 30
	tests := []struct{ v, want float64 }{
		{3.47 * gi, 3.5 * gi}, {1023.5 * ki, mi}, {mi, mi}, {1.1 * mi, 1.2 * mi}, {900 * ki, 1000 * ki}, {1, 1}, {700, 800},
	}
	for _, tt := range tests {
		s := Scale{Binary: true}
		s.Update(0, tt.v)
		if _, hi := s.Bounds(); hi != tt.want {
			t.Errorf("bound for %v = %v, want %v", tt.v, hi, tt.want)
		}
	}
}

func FuzzScale(f *testing.F) {
	f.Add(3.47e9, true)
	f.Add(1000.0, false)
	f.Add(1e-300, true)
	f.Fuzz(func(t *testing.T, v float64, binary bool) {
		if !(v > 1e-290 && v < 1e290) {
			t.Skip("not a value for a chart")
		}
		s := Scale{Binary: binary}
		s.Update(-v, v)
		lo, hi := s.Bounds()
		if lo != -hi || hi < v || hi > 1.34*v {
			t.Fatalf("bounds for %v = %v, %v", v, lo, hi)
		}
		if again := s.round(hi); again < hi || again > hi*1.34 {
			t.Errorf("round(round(%v)) = %v, want %v", v, again, hi)
		}
	})
}
