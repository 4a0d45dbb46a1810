package scenario

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// group is how the memory of a group's guests is divided: its classes one after
// another, and behind them private pages that are never rewritten.
type group struct {
	*groupSpec
	pages    int
	classes  []class
	streams  []stream
	ownPages uint64 // own contents that are given out before the guest starts
}

// class is a range of pages.
type class struct {
	*classSpec
	first, pages int
	pooled       int // image: the first pages, which are from the pool
	pool         int // pages of the image
	isForked     bool
	copies       *copies // self
	ownFirst     uint64  // self: the first of its own contents
	inclusion    func() []float64
}

// stream is a range of pages with one rate of rewriting.
type stream struct {
	class        int
	first, pages int
	every        time.Duration
}

// scalePages returns a size times factor, in whole units, and at least one.
func scalePages(pages, unit int, factor float64) int {
	return max(1, int(math.Floor(float64(float64(pages/unit)*factor)+0.5))) * unit
}

func newGroup(spec *groupSpec, index int, seed uint64, factor float64) group {
	g := group{groupSpec: spec, pages: scalePages(spec.pages, spec.sizeUnit(), factor)}
	first, sum := 0, 0.0
	for i := range spec.classes {
		sum += spec.classes[i].fraction
		end := portion(min(sum, 1), g.pages, 1)
		g.addClass(&spec.classes[i], first, end, factor, newRandom(seed, forCopies, index, i))
		first = end
	}
	g.addClass(&classSpec{kind: kindPrivate}, first, g.pages, factor, rand.PCG{})
	return g
}

func (g *group) addClass(spec *classSpec, first, end int, factor float64, random rand.PCG) {
	c := class{classSpec: spec, first: first, pages: end - first, isForked: g.parent >= 0}
	switch spec.kind {
	case kindImage:
		c.pool = scalePages(spec.poolPages, 1, factor)
		c.pooled = min(c.pages-portion(spec.relocated, c.pages, 1), c.pool)
		pool, pooled, exponent := c.pool, c.pooled, spec.exponent
		c.inclusion = sync.OnceValue(func() []float64 { return inclusion(pool, pooled, exponent) })
	case kindSelf:
		c.copies = newCopies(spec.maxCopies, random)
		c.ownFirst = g.ownPages
		g.ownPages += uint64(c.copies.distinct(c.pages))
	}
	sum, from := 0.0, 0
	for _, w := range spec.writes {
		sum += w.share
		to := portion(min(sum, 1), c.pages, 1)
		if to > from {
			g.streams = append(g.streams, stream{len(g.classes), first + from, to - from, w.every})
		}
		from = to
	}
	g.classes = append(g.classes, c)
}

// selfBlock is the number of pages in which the multiplicities of a self class
// repeat.
const selfBlock = 4096

// copies is how the pages of a block are equal to each other: each run of pages
// of the same number has one content. The lengths of the runs, 2 and more, have
// a heavy tail: the probability of n is proportional to n^-2.
type copies struct {
	run  [selfBlock]uint16
	runs int
}

func newCopies(longest int, random rand.PCG) *copies {
	const one = 1 << 30 // the weight of a run of length 1
	total := 0
	for n := 2; n <= longest; n++ {
		total += one / (n * n)
	}
	c := &copies{}
	for at := 0; at < selfBlock; c.runs++ {
		length, rest := 2, below(&random, total)
		for rest >= one/(length*length) {
			rest -= one / (length * length)
			length++
		}
		if at+length >= selfBlock-1 { // nothing alone at the end
			length = selfBlock - at
		}
		for range length {
			c.run[at] = uint16(c.runs)
			at++
		}
	}
	return c
}

// at returns the content of a page of the class, as a number from 0.
func (c *copies) at(page int) int {
	return page/selfBlock*c.runs + int(c.run[page%selfBlock])
}

// distinct returns the number of contents of the first pages of the class.
func (c *copies) distinct(pages int) int {
	if pages == 0 {
		return 0
	}
	return c.at(pages-1) + 1
}
