package ksmd

import (
	"math"
	"testing"
)

func TestLevelsOfSizes(t *testing.T) {
	last := -1
	for size := 0; size < 1<<31; size += 1 + size/50 {
		class := SizeClass(size)
		if class < last || class > 63 {
			t.Fatalf("SizeClass(%d) = %d, after %d", size, class, last)
		}
		last = class
		got, want := float64(Levels(class))/16, math.Log2(float64(max(size, 1)))
		if math.Abs(got-want) > 0.4 {
			t.Errorf("Levels of %d = %.2f, its logarithm is %.2f", size, got, want)
		}
	}
	if got := SizeClass(1<<31 - 1); got != 63 {
		t.Errorf("sizeClass of the most = %d, want 63", got)
	}
}

func TestSameClass(t *testing.T) {
	for size := range 5000 {
		n := sameClass(size)
		if n < 1 || SizeClass(size+n-1) != SizeClass(size) {
			t.Fatalf("sameClass(%d) = %d, which is too much", size, n)
		}
		if size >= 2 && SizeClass(size+n) == SizeClass(size) {
			t.Fatalf("sameClass(%d) = %d, which is too little", size, n)
		}
	}
}
