package census

import (
	"math"
	"slices"
)

// Where pages are.
//
// The census keeps no locations, but a reader wants to look at one page of
// each of the most copied contents. So each worker keeps the fingerprints and
// locations of a sample of the pages: of those for which a hash of the
// location is below a limit. When the sample is full, the limit is halved. A
// content with c copies among N pages (zero pages left out) is in the sample
// with probability 1 - exp(-c*n/N), n being the size of the sample: at 2^24
// pages, 95 % if it has 1500 to 3000 copies or more.
//
// Which pages are in the sample depends on their locations only, not on their
// order. Nor does it on the number of workers: Count halves the limit further
// until the samples of all workers together are no larger than one may be. As
// each worker halved its own only when it had to, that is the limit that a
// single worker would have come to.

// maxSample is the largest number of pages in a sample.
const maxSample = 1 << 15

type sampled struct {
	fingerprint, location uint64
}

type sample struct {
	below uint64 // limit of scatter(location)
	pages []sampled
}

func newSample() sample { return sample{below: math.MaxUint64} }

// scatter is a hash of a location: a bijection without fixed structure.
func scatter(location uint64) uint64 {
	location *= 0x9e3779b97f4a7c15
	location ^= location >> 32
	return location * 0xd6e8feb86659fd93
}

// add adds a page whose scatter(location) is below the limit.
func (s *sample) add(fingerprint, location uint64) {
	s.pages = append(s.pages, sampled{fingerprint, location})
	s.shrink()
}

// shrink lowers the limit until the sample is small enough. If one location
// was given to more pages than fit, the sample may end up empty.
func (s *sample) shrink() {
	for len(s.pages) > maxSample {
		s.below /= 2
		s.pages = slices.DeleteFunc(s.pages, func(p sampled) bool { return scatter(p.location) >= s.below })
	}
}

// locate fills in the lowest location in the samples of each content.
func (c *Census) locate(contents []Content) {
	index := make(map[uint64]int, len(contents))
	for i, content := range contents {
		if !content.Zero {
			index[content.Fingerprint] = i
		}
	}
	below := c.sampleLimit()
	for _, w := range c.workers {
		for _, p := range w.sample.pages {
			i, ok := index[c.prefix(p.fingerprint)]
			if !ok || scatter(p.location) >= below {
				continue
			}
			if content := &contents[i]; !content.HasLocation || p.location < content.Location {
				content.Location, content.HasLocation = p.location, true
			}
		}
	}
}

// sampleLimit returns the limit that one sample of all pages would have.
func (c *Census) sampleLimit() uint64 {
	below := uint64(math.MaxUint64)
	for _, w := range c.workers {
		below = min(below, w.sample.below)
	}
	for {
		n := 0
		for _, w := range c.workers {
			for _, p := range w.sample.pages {
				if scatter(p.location) < below {
					n++
				}
			}
		}
		if n <= maxSample {
			return below
		}
		below /= 2
	}
}
