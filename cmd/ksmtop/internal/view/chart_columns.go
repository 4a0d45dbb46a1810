package view

import (
	"math"
	"time"
)

// Columns turns a history of samples into the values of a chart, one for each
// span of time of equal length. A column shows the sample in it that is
// farthest from zero: a peak is never averaged away, however long the history.
// A column that no sample covers is a gap. Columns begin at whole multiples of
// their length, so a chart moves by whole columns and does not flicker.
type Columns struct {
	values []float64
	start  int64 // nanoseconds since 1970 at which the first column begins
	length int64 // of one column, in nanoseconds
}

// NewColumns returns columns that fill dst, all gaps at first; they end with
// the column that contains end and span about the given time.
func NewColumns(dst []float64, end time.Time, span time.Duration) Columns {
	for i := range dst {
		dst[i] = math.NaN()
	}
	n := int64(max(len(dst), 1))
	length := max(int64(span)/n, 1)
	return Columns{values: dst, start: (floorDiv(end.UnixNano()-1, length) + 1 - n) * length, length: length}
}

// Add enters a value that held after from and up to to, usually the times of
// two samples in a row: columns shorter than a sample then have no gaps, while
// a missed sample leaves one. NaN is a gap.
func (c Columns) Add(from, to time.Time, v float64) {
	if len(c.values) == 0 || math.IsNaN(v) {
		return
	}
	last := floorDiv(to.UnixNano()-1-c.start, c.length)
	first := min(floorDiv(from.UnixNano()-c.start, c.length), last)
	for i := max(first, 0); i <= min(last, int64(len(c.values)-1)); i++ {
		if old := c.values[i]; math.IsNaN(old) || math.Abs(v) > math.Abs(old) {
			c.values[i] = v
		}
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
