package model

import "math"

// shrinkAfter is how many updates in a row must leave room on a scale before it
// shrinks.
const shrinkAfter = 15

// Scale keeps the bounds of a chart steady from one sample to the next. Each
// bound grows at once, so that no value is cut off, and shrinks only after
// shrinkAfter updates in a row had no need of it, then to what these needed: a
// chart that rescales with each sample cannot be read. The zero value is ready
// for use.
type Scale struct {
	// Binary chooses bounds round in powers of 1024 instead of 1000, for bytes.
	Binary bool

	above, below bound // distances from zero
}

// bound is one end of a scale.
type bound struct {
	at     float64
	fitted int     // updates in a row that needed less
	needed float64 // the most that these needed
}

func (b *bound) update(need float64) {
	if need >= b.at {
		*b = bound{at: need}
		return
	}
	b.fitted++
	b.needed = max(b.needed, need)
	if b.fitted == shrinkAfter {
		*b = bound{at: b.needed}
	}
}

// Update tells the scale the smallest and largest value now shown. It is called
// once a sample, not once a drawing. NaN and infinite values change nothing.
func (s *Scale) Update(smallest, largest float64) {
	below, above := s.round(-smallest), s.round(largest)
	if math.IsNaN(below) || math.IsNaN(above) {
		return
	}
	s.below.update(below)
	s.above.update(above)
}

// Bounds returns the scale: lo is zero or a round number below it, hi likewise
// above. Both are zero before the first update and while all values are zero.
func (s *Scale) Bounds() (lo, hi float64) { return 0 - s.below.at, s.above.at }

// steps are the round numbers from 1 up to below 10.
var steps = [...]float64{1, 1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8}

// round returns the smallest round number not below v, zero if v is not
// positive, NaN if v is not a number that a chart could show.
func (s *Scale) round(v float64) float64 {
	if math.IsNaN(v) || math.Abs(v) > 1e300 {
		return math.NaN()
	}
	if v <= 1e-300 {
		return 0
	}
	unit, next := s.unit(v)
	decade := math.Pow(10, math.Floor(math.Log10(v/unit)))
	for _, step := range steps {
		if r := step * decade * unit; r >= v {
			return min(r, next)
		}
	}
	// Rounding in Log10 can make the decade one too small, hence the 100.
	if r := 10 * decade * unit; r >= v {
		return min(r, next)
	}
	return min(100*decade*unit, next)
}

// unit returns the power of 1024 at or below v and the next one, for binary
// scales of numbers from 1; otherwise 1 and no limit.
func (s *Scale) unit(v float64) (unit, next float64) {
	if !s.Binary || v < 1 {
		return 1, math.Inf(1)
	}
	unit = 1
	for unit*1024 <= v {
		unit *= 1024
	}
	return unit, unit * 1024
}
