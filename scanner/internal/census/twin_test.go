package census

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

const testZero = 0x5bd2a1f0c3e49687

// page is one page of a random memory.
type page struct {
	fingerprint uint64
	group       uint32
	location    uint64
}

// memory describes a random memory.
type memory struct {
	pages    int
	contents int // besides the zero page
	skew     int // content is uniform to this power: 1 is even
	groups   int
	zeros    int // percent of pages
}

func (m memory) generate(seed uint64) []page {
	r := rand.New(rand.NewPCG(seed, 7))
	pages := make([]page, m.pages)
	for i := range pages {
		p := &pages[i]
		p.location = uint64(i)
		p.group = uint32(r.IntN(m.groups))
		if r.IntN(100) < m.zeros {
			p.fingerprint = testZero
			continue
		}
		u := r.Float64()
		x := 1.0
		for range m.skew {
			x *= u
		}
		p.fingerprint = fingerprintOf(seed, int(x*float64(m.contents)))
	}
	return pages
}

// fingerprintOf returns the fingerprint of a content: it spreads over all bits
// like a hash.
func fingerprintOf(seed uint64, content int) uint64 {
	return scatter(scatter(seed) + uint64(content)*0x632be59bd9b4e019)
}

// slowMerge fills KSM pages one by one, as ksmd does with equal pages: each
// takes limit pages (0: any number).
func slowMerge(copies, limit uint64) (shared, sharing, unshared uint64) {
	var ksm []uint64
	for range copies {
		if n := len(ksm); n > 0 && (limit == 0 || ksm[n-1] < limit) {
			ksm[n-1]++
		} else {
			ksm = append(ksm, 1)
		}
	}
	for _, n := range ksm {
		if n == 1 {
			unshared++
		} else {
			shared++
			sharing += n - 1
		}
	}
	return shared, sharing, unshared
}

// slow is what slowCount finds.
type slow struct {
	Result
	gains []float64 // pages, of each group
}

// slowCount is Count, too simple to be wrong. It knows no locations.
func slowCount(pages []page, groups int, q Query) slow {
	byContent := make(map[uint64]map[uint32]uint64)
	s := slow{gains: make([]float64, groups)}
	s.Groups = make([]Group, groups)
	for _, p := range pages {
		if byContent[p.fingerprint] == nil {
			byContent[p.fingerprint] = make(map[uint32]uint64)
		}
		byContent[p.fingerprint][p.group]++
		s.Groups[p.group].Pages++
	}
	for fingerprint, copiesOf := range byContent {
		var copies uint64
		for _, n := range copiesOf {
			copies += n
		}
		isZero := fingerprint == testZero
		save := func(n uint64) uint64 {
			_, sharing, _ := slowMerge(n, q.MaxPageSharing)
			if isZero && q.UseZeroPages {
				return n
			}
			return sharing
		}
		saved := save(copies)
		s.Pages += copies
		s.Distinct++
		s.Saved += saved
		if isZero {
			s.ZeroPages, s.ZeroSaved = copies, saved
		}
		if !isZero || !q.UseZeroPages {
			shared, sharing, unshared := slowMerge(copies, q.MaxPageSharing)
			s.Shared += shared
			s.Sharing += sharing
			s.Unshared += unshared
		}
		row := 0
		for from, to := uint64(1), uint64(1); ; from, to = to+1, to*2 {
			if row == len(s.Histogram) {
				s.Histogram = append(s.Histogram, Bucket{CopiesFrom: from, CopiesTo: to})
			}
			if copies <= to {
				break
			}
			row++
		}
		s.Histogram[row].Distinct++
		s.Histogram[row].Pages += copies
		s.Histogram[row].Saved += saved

		between := saved
		var open []uint32
		for g, n := range copiesOf {
			s.Groups[g].Distinct++
			s.Groups[g].Within += save(n)
			s.gains[g] += float64(save(n))
			between -= save(n)
			if isZero {
				s.Groups[g].ZeroPages += n
			}
			if q.MaxPageSharing == 0 || n%q.MaxPageSharing != 0 {
				open = append(open, g)
			}
		}
		for _, g := range open {
			s.gains[g] += float64(between) / float64(len(open))
		}

		if copies >= 2 {
			c := Content{Fingerprint: fingerprint >> 12 << 12, Zero: isZero, Copies: copies}
			for _, g := range slices.Sorted(maps.Keys(copiesOf)) {
				c.Holders = append(c.Holders, Holder{g, copiesOf[g]})
			}
			slices.SortStableFunc(c.Holders, func(a, b Holder) int { return cmp.Compare(b.Copies, a.Copies) })
			if more := len(c.Holders) - MaxHolders; more > 0 {
				c.Holders, c.MoreGroups = c.Holders[:MaxHolders], more
			}
			s.Top = append(s.Top, c)
		}
	}
	slices.SortFunc(s.Top, func(a, b Content) int {
		return cmp.Or(cmp.Compare(b.Copies, a.Copies), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	s.Top = s.Top[:min(len(s.Top), q.Top)]
	return s
}
