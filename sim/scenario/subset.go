package scenario

import "math/rand/v2"

// A guest has some of the pages of an image: the first, or each with the same
// probability, or the popular ones rather than the others. Which they are is
// drawn when they are first written, in the order of the image, so that nothing
// needs to be remembered of a page. Guests draw independently of each other: so k
// guests that have page i with probability p[i] have on average
//
//	sum over i of 1-(1-p[i])^k
//
// pages of the image together; B(1-(1-q)^k) if all p[i] are q.

type subsetKind uint8

const (
	subsetAll subsetKind = iota
	subsetUniform
	subsetZipf
)

var subsetNames = []string{"all", "uniform", "zipf"}

// inclusion returns with which probability a subset of want of pool pages has each
// of them: proportional to (i+1)^-exponent, but at most 1, and in sum want.
func inclusion(pool, want int, exponent float64) []float64 {
	p := make([]float64, pool)
	total := 0.0
	for i := range p {
		p[i] = pow(float64(i+1), -exponent)
	}
	for i := pool - 1; i >= 0; i-- { // small ones first: rounding
		total += p[i]
	}
	certain := 0
	for certain < want && p[certain]*float64(want-certain) >= total {
		total -= p[certain]
		p[certain] = 1
		certain++
	}
	for i := certain; i < pool; i++ {
		p[i] *= float64(want-certain) / total
	}
	return p
}

// subset draws the pages that a guest has, ascending. Each is drawn with its
// probability, corrected by how many are still wanted of how many are expected,
// so that there are as many as wanted in the end.
type subset struct {
	kind     subsetKind
	random   rand.PCG
	pool     int
	want     int       // still
	next     int       // page
	p        []float64 // Zipf
	expected float64   // sum of p from next on
}

func newSubset(c *class, random rand.PCG) subset {
	s := subset{kind: c.subset, random: random, pool: c.pool, want: c.pooled}
	if s.kind == subsetZipf {
		s.p, s.expected = c.inclusion(), float64(s.want)
	}
	return s
}

// take returns the next page. It returns false if there is no more: for Zipf the
// last of those wanted may be missing.
func (s *subset) take() (int, bool) {
	for s.want > 0 && s.next < s.pool {
		page := s.next
		s.next++
		if s.takes(page) {
			s.want--
			return page, true
		}
	}
	return 0, false
}

func (s *subset) takes(page int) bool {
	switch s.kind {
	case subsetAll:
		return true
	case subsetUniform:
		return below(&s.random, s.pool-page) < s.want
	}
	p := s.p[page]
	taken := p == 1 || uniform(&s.random)*s.expected < p*float64(s.want)
	s.expected -= p
	return taken
}

// draw returns one page of an image, as likely as a subset has it.
func (c *class) draw(random *rand.PCG) int {
	if c.subset != subsetZipf {
		return below(random, c.pool)
	}
	p := c.inclusion()
	for {
		if i := below(random, len(p)); p[i] == 1 || uniform(random) < p[i] {
			return i
		}
	}
}
