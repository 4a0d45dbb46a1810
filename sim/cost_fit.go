package sim

import (
	"math"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// CostSample is some work of ksmd, and the CPU time that it took.
type CostSample struct {
	Work ksmd.Work
	CPU  time.Duration
}

// Fit sets one or two parts of the costs, given the others, so that the samples are
// met best: with the least sum of squares of relative errors. The parts are pointers
// to fields of c. A part is at least 0. Where the samples do not depend on a part, it
// becomes 0. Fit returns the root of the mean square of the relative errors.
func (c *Costs) Fit(samples []CostSample, parts ...*time.Duration) float64 {
	for _, part := range parts {
		*part = 0
	}
	// What remains for the parts, and how often each sample has each of them.
	rest := make([]float64, len(samples))
	counts := make([][]float64, len(parts))
	for i, s := range samples {
		rest[i] = float64(s.CPU - c.CPU(s.Work))
	}
	for k, part := range parts {
		const unit = 1 << 20
		counts[k] = make([]float64, len(samples))
		for i, s := range samples {
			without := c.CPU(s.Work)
			*part = unit
			counts[k][i] = float64(c.CPU(s.Work)-without) / unit
			*part = 0
		}
	}
	for k, value := range leastSquares(samples, rest, counts) {
		*parts[k] = time.Duration(math.Round(value))
	}
	sum := 0.0
	for _, s := range samples {
		off := float64(c.CPU(s.Work)-s.CPU) / float64(s.CPU)
		sum += off * off
	}
	return math.Sqrt(sum / float64(len(samples)))
}

// leastSquares solves for one or two values that are not negative.
func leastSquares(samples []CostSample, rest []float64, counts [][]float64) []float64 {
	dot := func(a, b []float64) float64 {
		sum := 0.0
		for i := range samples {
			weight := 1 / float64(samples[i].CPU)
			sum += a[i] * b[i] * weight * weight
		}
		return sum
	}
	single := func(k int) float64 {
		if d := dot(counts[k], counts[k]); d > 0 {
			return max(0, dot(counts[k], rest)/d)
		}
		return 0
	}
	if len(counts) == 1 {
		return []float64{single(0)}
	}
	aa, ab, bb := dot(counts[0], counts[0]), dot(counts[0], counts[1]), dot(counts[1], counts[1])
	ar, br := dot(counts[0], rest), dot(counts[1], rest)
	if det := aa*bb - ab*ab; det > 1e-9*aa*bb {
		a, b := (ar*bb-br*ab)/det, (br*aa-ar*ab)/det
		if a >= 0 && b >= 0 {
			return []float64{a, b}
		}
		if b < 0 {
			return []float64{single(0), 0}
		}
		return []float64{0, single(1)}
	}
	return []float64{single(0), 0}
}
