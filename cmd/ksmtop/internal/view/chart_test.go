package view

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestSpan(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		v, lo, hi float64
		rows      int
		from, to  int
	}{
		{nan, 0, 10, 8, 0, 0},
		{5, 0, 10, 0, 0, 0},
		{0, 0, 10, 8, 7, 8},
		{0.1, 0, 10, 8, 7, 8},
		{5, 0, 10, 8, 4, 8},
		{5.1, 0, 10, 8, 3, 8},
		{10, 0, 10, 8, 0, 8},
		{99, 0, 10, 8, 0, 8},
		{-1, 0, 10, 8, 7, 8}, // below a scale that begins at zero: its foot
		{0, 0, 0, 8, 7, 8},
		{1, 0, 0, 8, 0, 8},
		{5, -5, 5, 8, 0, 4},
		{0, -5, 5, 8, 3, 4},
		{-5, -5, 5, 8, 4, 8},
		{-0.1, -5, 5, 8, 4, 5},
		{-5, -5, 0, 8, 0, 8},
		{0, -5, 0, 8, 0, 1},
		{1, -1000, 1, 8, 0, 1}, // a scale that reaches above zero keeps a row there
		{-1, -1, 1000, 8, 7, 8},
		{math.Inf(1), 0, 10, 8, 0, 8},
		{3, -5, 5, 1, 0, 1},
	}
	for _, tt := range tests {
		if from, to := span(tt.v, tt.lo, tt.hi, tt.rows); from != tt.from || to != tt.to {
			t.Errorf("span(%v, %v, %v, %d) = %d, %d, want %d, %d", tt.v, tt.lo, tt.hi, tt.rows, from, to, tt.from, tt.to)
		}
	}
}

func FuzzSpan(f *testing.F) {
	f.Add(1.0, 2.0, -3.0, 10.0, uint8(16))
	f.Fuzz(func(t *testing.T, a, b, lo, hi float64, n uint8) {
		for _, v := range []float64{a, b, lo, hi} {
			if math.IsNaN(v) || math.Abs(v) > 1e150 {
				t.Skip("scales are finite")
			}
		}
		rows := int(n)
		size := func(v float64) int {
			from, to := span(v, lo, hi, rows)
			if from < 0 || to > rows || from > to || rows > 0 && from == to {
				t.Fatalf("span(%v, %v, %v, %d) = %d, %d", v, lo, hi, rows, from, to)
			}
			return to - from
		}
		if a >= 0 && b >= a && size(b) < size(a) {
			t.Errorf("on %v to %v in %d rows, %v has %d dots and %v has %d", lo, hi, rows, a, size(a), b, size(b))
		}
	})
}

func TestBraille(t *testing.T) {
	// The dots in rows from the top left: U+2801 is the top left, U+2880 the
	// bottom right.
	for mask, want := range map[int]string{0: "⠀", 1: "⠁", 2: "⠈", 1 << 6: "⡀", 1 << 7: "⢀", 0xf0: "⣤", 0xff: "⣿", 0x55: "⡇"} {
		if got := braille(mask); got != want {
			t.Errorf("braille(%08b) = %s, want %s", mask, got, want)
		}
	}
}

func TestChartDots(t *testing.T) {
	// Each column of a braille chart has the dots that span says.
	values := []float64{0, 1, 2, math.NaN(), 3, 5, 8, 13, 21, -3, -8, 34}
	c := NewCanvas(6, 5)
	c.Chart(Chart, values, -10, 34)
	for i, v := range values {
		got := 0
		for y := range 5 {
			s, _, _, _ := c.Cell(i/2, y)
			if s == " " {
				continue
			}
			r, _ := utf8.DecodeRuneInString(s)
			side := rune(0x47) // left column
			if i%2 == 1 {
				side = 0xb8
			}
			got += bits.OnesCount32(uint32((r - 0x2800) & side))
		}
		from, to := span(v, -10, 34, 20)
		if got != to-from {
			t.Errorf("column %d, value %v, has %d dots, want %d", i, v, got, to-from)
		}
	}
}

func TestChartAlignment(t *testing.T) {
	tests := [numLevels]struct {
		columns     int
		short, long string
	}{
		LevelASCII:   {4, "  :#\n", "...#\n"},
		LevelBlocks:  {4, "  ▄█\n", "▄▄▄█\n"},
		LevelBraille: {8, "   ⣼\n", "⣀⣀⣀⣸\n"},
	}
	for level, tt := range tests {
		c := NewCanvas(4, 1)
		c.SetLevel(Level(level))
		if got := c.ChartColumns(4); got != tt.columns {
			t.Errorf("%s: ChartColumns(4) = %d, want %d", levelNames[level], got, tt.columns)
		}
		c.Chart(Chart, []float64{2, 7}, 0, 7)
		if got := c.String(); got != tt.short {
			t.Errorf("%s: two values = %q, want %q", levelNames[level], got, tt.short)
		}
		long := make([]float64, 100)
		long[99] = 7
		c.Chart(Chart, long, 0, 7)
		if got := c.String(); got != tt.long {
			t.Errorf("%s: a hundred values = %q, want %q", levelNames[level], got, tt.long)
		}
	}
}

func TestSpark(t *testing.T) {
	nan := math.NaN()
	c := NewCanvas(12, 1)
	c.Spark(0, 0, 12, Chart, []float64{nan, 0, 0.001, 1, 2, 3, 4, 5, 6, 99, -1}, 6)
	if got, want := c.String(), "  .::-=+*##v\n"; got != want {
		t.Errorf("Spark = %q, want %q", got, want)
	}
	if got, want := c.Roles(), "..cccccccccb\n"; got != want {
		t.Errorf("Spark roles = %q, want %q", got, want)
	}
	c.Spark(0, 0, 3, Chart, []float64{9, 9, 9, 0, 0, 0}, 0)
	if got, want := c.String()[:3], "..."; got != want {
		t.Errorf("Spark of the last values = %q, want %q", got, want)
	}
}

func TestColumns(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	tests := []struct {
		name    string
		samples [][3]float64 // from, to, value
		want    string       // ten columns of one second that end at 10
	}{
		{"empty", nil, "- - - - - - - - - -"},
		{"one a column", [][3]float64{{0, 1, 5}, {1, 2, 6}, {9, 10, 7}}, "5 6 - - - - - - - 7"},
		{"peak", [][3]float64{{0, .2, 5}, {.2, .6, 9}, {.6, 1, 2}}, "9 - - - - - - - - -"},
		{"farthest from zero", [][3]float64{{0, .2, 5}, {.2, .6, -9}, {.6, 1, 2}}, "-9 - - - - - - - - -"},
		{"longer than a column", [][3]float64{{0, 3, 5}, {3, 6, 0}}, "5 5 5 0 0 0 - - - -"},
		{"a gap", [][3]float64{{0, 2, 5}, {4, 6, 6}}, "5 5 - - 6 6 - - - -"},
		{"unknown", [][3]float64{{0, 2, math.NaN()}, {1, 2, 3}}, "- 3 - - - - - - - -"},
		{"outside", [][3]float64{{-5, -1, 5}, {-2, 1, 6}, {9, 30, 7}, {20, 30, 8}}, "6 - - - - - - - - 7"},
		{"no length", [][3]float64{{5, 5, 4}}, "- - - - 4 - - - - -"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buf := make([]float64, 10)
			c := NewColumns(buf, at(9.5), 10*time.Second)
			for _, s := range tt.samples {
				c.Add(at(s[0]), at(s[1]), s[2])
			}
			got := strings.ReplaceAll(strings.Trim(fmt.Sprint(buf), "[]"), "NaN", "-")
			if got != tt.want {
				t.Errorf("columns = %s, want %s", got, tt.want)
			}
		})
	}

	var none Columns
	none.Add(at(0), at(1), 1) // no columns: nothing to do, no panic
	NewColumns(nil, at(0), time.Second).Add(at(0), at(1), 1)
}

// As time passes the values move left by whole columns and do not change.
func TestColumnsAreSteady(t *testing.T) {
	draw := func(end float64) []float64 {
		buf := make([]float64, 20)
		c := NewColumns(buf, time.Unix(0, int64(end*1e9)), 20*time.Second)
		for i := range 400 {
			from := float64(i) * 0.3
			c.Add(time.Unix(0, int64(from*1e9)), time.Unix(0, int64((from+0.3)*1e9)), math.Sin(float64(i*i)))
		}
		return buf
	}
	a := draw(50)
	for shift := range 10 {
		for _, part := range []float64{0.001, 0.5, 1} {
			b := draw(50 + float64(shift) + part)
			for i := range len(a) - shift - 1 {
				if a[i+shift+1] != b[i] {
					t.Fatalf("after %v s column %d = %v, want %v", float64(shift)+part, i, b[i], a[i+shift+1])
				}
			}
		}
	}
}
