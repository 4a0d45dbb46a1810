package view

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestMeter(t *testing.T) {
	tests := []struct {
		fraction float64
		w        int
		want     string
	}{
		{0, 12, "[          ]"}, {1e-9, 12, "[|         ]"}, {0.116, 12, "[|         ]"}, {0.5, 12, "[|||||     ]"},
		{0.999, 12, "[||||||||| ]"}, {1, 12, "[||||||||||]"}, {7, 12, "[||||||||||]"}, {-1, 12, "[          ]"},
		{math.Inf(1), 5, "[|||]"}, {math.NaN(), 12, "[-         ]"}, {0.5, 3, "[|]"}, {0.5, 2, ""},
	}
	for _, tt := range tests {
		c := NewCanvas(20, 1)
		c.Meter(0, 0, tt.w, Meter, tt.fraction)
		if got := strings.TrimSuffix(c.String(), "\n"); got != tt.want {
			t.Errorf("Meter(%v, w=%d) = %q, want %q", tt.fraction, tt.w, got, tt.want)
		}
	}
}

func TestApportion(t *testing.T) {
	const huge = math.MaxUint64
	tests := []struct {
		cells  int
		values []uint64
		want   []int
	}{
		{10, nil, nil},
		{10, []uint64{0, 0}, []int{0, 0}},
		{0, []uint64{1, 2}, []int{0, 0}},
		{-3, []uint64{1, 2}, []int{0, 0}},
		{10, []uint64{5}, []int{10}},
		{10, []uint64{1, 1, 1}, []int{4, 3, 3}},
		{10, []uint64{1, 0, 1000000}, []int{1, 0, 9}},
		{2, []uint64{1, 1, 1}, []int{1, 1, 0}},
		{3, []uint64{1, 50, 50}, []int{1, 1, 1}},
		{8, []uint64{huge, huge, huge, huge, huge, huge, huge, huge}, []int{1, 1, 1, 1, 1, 1, 1, 1}},
		{7, []uint64{huge, 1, 1}, []int{5, 1, 1}},
		{100, []uint64{114284, 948551, 1402117, 88020}, []int{5, 37, 55, 3}},
	}
	for _, tt := range tests {
		got := make([]int, len(tt.values))
		apportion(got, tt.cells, tt.values)
		if !slices.Equal(got, tt.want) {
			t.Errorf("apportion(%d, %v) = %v, want %v", tt.cells, tt.values, got, tt.want)
		}
	}
}

func FuzzApportion(f *testing.F) {
	f.Add(uint16(98), uint64(114284), uint64(948551), uint64(1402117), uint64(88020))
	f.Add(uint16(3), uint64(1), uint64(math.MaxUint64), uint64(0), uint64(7))
	f.Fuzz(func(t *testing.T, n uint16, a, b, c, d uint64) {
		cells := int(n % 301)
		values := []uint64{a, b, c, d}
		got := make([]int, 4)
		apportion(got, cells, values)

		sum, total, nonzero := 0, new(big.Int), 0
		for i, v := range values {
			sum += got[i]
			total.Add(total, new(big.Int).SetUint64(v))
			if v > 0 {
				nonzero++
			}
		}
		if want := cells; nonzero > 0 && sum != want || nonzero == 0 && sum != 0 {
			t.Fatalf("apportion(%d, %v) = %v adds up to %d", cells, values, got, sum)
		}
		for i, v := range values {
			if v == 0 && got[i] != 0 || v > 0 && got[i] == 0 && cells >= nonzero {
				t.Errorf("apportion(%d, %v) = %v", cells, values, got)
			}
			for j, u := range values {
				if v > u && got[i] < got[j] {
					t.Errorf("apportion(%d, %v) = %v: %d gets less than %d", cells, values, got, v, u)
				}
			}
			// Without parts to be kept visible no share is off by a whole cell;
			// each of those may take one more. The shift may move one as well.
			if nonzero > 0 {
				exact, _ := new(big.Rat).SetFrac(new(big.Int).Mul(new(big.Int).SetUint64(v), big.NewInt(int64(cells))), total).Float64()
				if diff := math.Abs(float64(got[i]) - exact); diff >= float64(nonzero)+1e-6 {
					t.Errorf("apportion(%d, %v) = %v: share %d is off by %v", cells, values, got, i, diff)
				}
			}
		}
	})
}
