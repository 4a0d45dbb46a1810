package view

import "math"

// A chart shows one value a column, as an area between the value and zero:
//
//	    ⢀⣀    1.2k     A column is as many dots high as its value is large on
//	 ⢀⣴⣿⣿⣧⡀            the scale from lo to hi. Zero has one dot, no value has
//	⣤⣾⣿⣿⣿⣿⣷ ⣤   0      none: a gap is not a zero. Values below zero hang down
//	       ⠛   -0.3k   from the line of zero and have the role Bad.
//
// A cell holds a small grid of dots, which depends on the level: two columns by
// four rows in braille, one by two in half blocks, one by seven in ASCII, where
// the density of a character stands for the height. All levels share the same
// arithmetic, in dots.

// dots returns the columns and rows of dots in one cell of a chart.
func (l Level) dots() (columns, rows int) {
	switch l {
	case LevelBraille:
		return 2, 4
	case LevelBlocks:
		return 1, 2
	default:
		return 1, len(ramp) - 1
	}
}

// ramp holds the marks of ASCII charts and of sparklines on any terminal, by
// density. The first is a gap, the second is zero.
const ramp = " .:-=+*#"

// ChartColumns returns how many values a chart of w cells shows.
func (c *Canvas) ChartColumns(w int) int {
	columns, _ := c.g.glyphs.Level.dots()
	return columns * max(w, 0)
}

// span returns the first row of dots that value v fills and the row after its
// last, of so many rows from the top. NaN fills none, any other value at least
// one. The scale includes zero.
func span(v, lo, hi float64, rows int) (from, to int) {
	if math.IsNaN(v) || rows <= 0 {
		return 0, 0
	}
	lo, hi = min(lo, 0), max(hi, 0)
	if lo == 0 && hi == 0 {
		hi = 1
	}
	above := rows // rows for values above zero
	if lo < 0 {
		above = int(math.Round(hi / (hi - lo) * float64(rows)))
		above = min(above, rows-1)
		if hi > 0 {
			above = max(above, min(1, rows-1))
		}
	}
	switch {
	case v < 0 && above < rows:
		below := rows - above
		return above, above + height(v/lo, below)
	case above > 0:
		return above - height(v/hi, above), above
	default: // the scale ends at zero, and v is not below it
		return 0, 1
	}
}

// height returns the rows for a fraction of the scale: at least one, at most
// all. Rounding is up, so that the smallest value above zero differs from zero
// as early as the rows allow.
func height(fraction float64, rows int) int {
	if !(fraction > 0) { // also 0/0
		return 1
	}
	if fraction >= 1 {
		return rows
	}
	return max(int(math.Ceil(fraction*float64(rows))), 1)
}

// Chart fills the canvas with an area chart of the values, the last at the
// right edge; NaN is a gap. If there are more values than columns (see
// ChartColumns) the first are not shown. The scale reaches from lo, at most
// zero, to hi, at least zero; values beyond it are cut off there.
func (c *Canvas) Chart(role Role, values []float64, lo, hi float64) {
	level := c.g.glyphs.Level
	columns, rows := level.dots()
	total := rows * c.h
	for x := range c.w {
		for y := range c.h {
			mask, count, negative := 0, 0, true
			for col := range columns {
				i := len(values) - columns*(c.w-x) + col
				if i < 0 {
					continue
				}
				from, to := span(values[i], lo, hi, total)
				from, to = max(from-y*rows, 0), min(to-y*rows, rows)
				if from >= to {
					continue
				}
				for row := from; row < to; row++ {
					mask |= 1 << (row*columns + col)
					count++
				}
				negative = negative && values[i] < 0
			}
			r := role
			switch {
			case mask == 0:
				r = Normal
			case negative:
				r = Bad
			}
			c.put(x, y, r, c.g.glyphs.dots(mask, count), 1)
		}
	}
}

// dots returns the character for a cell with the given dots set, in rows from
// the top left; count is their number.
func (g *Glyphs) dots(mask, count int) string {
	switch {
	case mask == 0:
		return " "
	case g.Level == LevelBraille:
		return braille(mask)
	case g.Level == LevelASCII:
		return ramp[count : count+1]
	case count == 2:
		return g.Full
	case mask == 1:
		return g.TopHalf
	default:
		return g.LowerHalf
	}
}

// brailleBits holds the bit in the code point of each dot, in rows from the
// top left: Unicode numbers the dots down the left column first, and the
// bottom row last.
var brailleBits = [8]int{0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80}

// brailleStrings holds the 256 patterns by mask of dots.
var brailleStrings = func() (s [256]string) {
	for mask := range s {
		r := rune(0x2800)
		for i, bit := range brailleBits {
			if mask&(1<<i) != 0 {
				r += rune(bit)
			}
		}
		s[mask] = string(r)
	}
	return s
}()

func braille(mask int) string { return brailleStrings[mask] }

// Spark draws the values as one row of w marks, the last at the right end, of
// increasing density: " .:-=+*#". A blank is a gap (NaN), a dot zero, and # is
// hi or more. A value below zero is a v with role Bad. It looks the same at
// every level. If there are more values than cells the first are not shown.
func (c *Canvas) Spark(x, y, w int, role Role, values []float64, hi float64) {
	for cell := range w {
		i := len(values) - w + cell
		if i < 0 || math.IsNaN(values[i]) {
			c.put(x+cell, y, Normal, " ", 1)
			continue
		}
		v := values[i]
		if v < 0 {
			c.put(x+cell, y, Bad, "v", 1)
			continue
		}
		n := 1
		if v > 0 && hi > 0 {
			n += height(v/hi, len(ramp)-2)
		}
		c.put(x+cell, y, role, ramp[n:n+1], 1)
	}
}
