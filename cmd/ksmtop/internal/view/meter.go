package view

import (
	"math"
	"math/bits"
)

// Meter draws a bar of w cells: [|||     ]. The fraction is 0 to 1; more shows
// as full. A fraction that is not zero shows at least one stroke and one that
// is not 1 leaves at least one cell empty, if there is room for both. NaN means
// unknown and shows as [-    ].
func (c *Canvas) Meter(x, y, w int, role Role, fraction float64) {
	if w < 3 {
		return
	}
	c.put(x, y, Normal, "[", 1)
	c.put(x+w-1, y, Normal, "]", 1)
	c.Fill(x+1, y, w-2, 1, role, " ")
	if math.IsNaN(fraction) {
		c.put(x+1, y, Dim, "-", 1)
		return
	}
	c.Fill(x+1, y, meterCells(fraction, w-2), 1, role, "|")
}

// meterCells returns how many of so many cells are filled.
func meterCells(fraction float64, cells int) int {
	switch {
	case fraction <= 0:
		return 0
	case fraction >= 1:
		return cells
	}
	n := int(math.Round(fraction * float64(cells)))
	return max(min(n, cells-1), 1)
}

// Part is one segment of a stacked bar.
type Part struct {
	Value uint64
	Mark  byte // printable ASCII, tells the segments apart without colour
	Role  Role
}

// maxParts is the largest number of segments in a stacked bar.
const maxParts = 8

// Stack draws a bar of w cells, [####====....~~], that is divided among the
// parts, at most 8, in proportion to their values; the values need not have
// any unit. See apportion for the rounding.
func (c *Canvas) Stack(x, y, w int, parts ...Part) {
	if w < 3 {
		return
	}
	c.put(x, y, Normal, "[", 1)
	c.put(x+w-1, y, Normal, "]", 1)
	c.Fill(x+1, y, w-2, 1, Normal, " ")

	var values [maxParts]uint64
	var cells [maxParts]int
	n := min(len(parts), maxParts)
	for i, p := range parts[:n] {
		values[i] = p.Value
	}
	apportion(cells[:n], w-2, values[:n])
	at := x + 1
	for i, p := range parts[:n] {
		for range cells[i] {
			c.put(at, y, p.Role, asciiString(min(max(p.Mark, ' '), '~')), 1)
			at++
		}
	}
}

// apportion divides cells among values by the method of the largest remainder:
// each gets its share rounded down, and the cells left over go to the largest
// fractions, the earlier first. Then, if there are enough cells for all values
// above zero, each of these that got none takes one from the largest share (of
// equal shares from that of the smallest value). The result adds up to cells,
// or is all zero if the values are, and a larger value never gets less.
func apportion(dst []int, cells int, values []uint64) {
	clear(dst)
	var v, rest [maxParts]uint64
	largest, nonzero := uint64(0), 0
	for _, x := range values {
		largest = max(largest, x)
		if x > 0 {
			nonzero++
		}
	}
	if nonzero == 0 || cells <= 0 {
		return
	}
	// Keep the sum below 1<<63: eight values below 1<<60.
	shift := max(bits.Len64(largest)-60, 0)
	sum := uint64(0)
	for i, x := range values {
		v[i] = x >> shift
		sum += v[i]
	}

	left := cells
	for i := range values {
		hi, lo := bits.Mul64(v[i], uint64(cells))
		share, r := bits.Div64(hi, lo, sum) // v[i] <= sum, so share <= cells
		dst[i], rest[i] = int(share), r
		left -= int(share)
	}
	for ; left > 0; left-- { // the remainders add up to left*sum
		best := 0
		for i := range values {
			if rest[i] > rest[best] {
				best = i
			}
		}
		dst[best]++
		rest[best] = 0
	}

	if nonzero > cells {
		return
	}
	for i, x := range values {
		if x == 0 || dst[i] > 0 {
			continue
		}
		best := 0
		for j := range dst {
			if dst[j] > dst[best] || dst[j] == dst[best] && values[j] <= values[best] {
				best = j
			}
		}
		dst[best]--
		dst[i] = 1
	}
}
