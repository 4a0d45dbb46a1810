package ksmd

import "math/bits"

// Work is what the daemon did since New, as far as it costs time: a model of its
// CPU time gives each kind a price. All numbers are cumulative.
type Work struct {
	Visits    uint64 // pages handed to the merge step
	Revisits  uint64 // of them, KSM pages that were visited at most Recent visits before
	Skips     uint64 // pages that smart scan passed over
	Items     uint64 // items made
	Checksums uint64 // pages read for their checksum
	Joins     uint64 // pages merged with a KSM page that there was
	Rejoins   uint64 // of them, those with one that was joined or made at most Recent visits before
	Pairs     uint64 // pairs of pages made a KSM page
	Zeros     uint64 // pages replaced by the zero page

	Stable, Unstable Walks
}

// Recent is how many visits a page stays in the caches of the CPU, about: ksmd reads two
// pages at a visit that merges, and this many take half a megabyte.
const Recent = 64

// recent remembers with which nodes or contents something was done last, and when. A
// place can be that of several numbers, of which it knows the last: the number, and in
// the low half at which visit, modulo 2^32.
type recent [Recent]uint64

// again notes down that something is done with a number, and reports whether it was
// shortly before. Numbers of one place lie too far apart for their difference to be
// small.
func (r *recent) again(number uint32, visits uint64) bool {
	last := &r[number%Recent]
	now := uint64(number)<<32 | uint64(uint32(visits+Recent+1)) // 0 is too long ago
	was := *last
	*last = now
	return now-was <= Recent
}

// Walks are the searches in one kind of tree. A search that comes with an
// insertion into the stable tree is not counted: Pairs has those.
type Walks struct {
	// Searches are all.
	Searches BySize

	// Again are those for a content that was searched for at most Recent visits
	// before: the way to it still is in the caches.
	Again BySize

	// Alike are those others for a content of which Options.Alike says so, by the
	// number of such contents that the tree had.
	Alike BySize
}

// BySize counts searches by the size that the tree had, which is rounded to a
// class: two classes for each doubling. See Levels.
type BySize [64]uint64

// SizeClass returns the class of BySize of a size, from 0 for none to 63.
func SizeClass(size int) int {
	n := bits.Len32(uint32(size))
	return 2*n + size<<2>>n&1
}

// Levels returns how deep a tree of a class of BySize is, the logarithm to base 2
// of the size in the middle of the class, in sixteenths: 16 is one level.
func Levels(class int) int {
	switch {
	case class < 4: // no position, or one
		return 0
	case class%2 == 0:
		return 16*(class/2-1) + 5
	default:
		return 16*(class/2) - 3
	}
}

// Minus returns what was done since earlier.
func (w Work) Minus(earlier Work) Work {
	w.Visits -= earlier.Visits
	w.Revisits -= earlier.Revisits
	w.Skips -= earlier.Skips
	w.Items -= earlier.Items
	w.Checksums -= earlier.Checksums
	w.Joins -= earlier.Joins
	w.Rejoins -= earlier.Rejoins
	w.Pairs -= earlier.Pairs
	w.Zeros -= earlier.Zeros
	w.Stable.subtract(&earlier.Stable)
	w.Unstable.subtract(&earlier.Unstable)
	return w
}

func (w *Walks) subtract(earlier *Walks) {
	for class := range w.Searches {
		w.Searches[class] -= earlier.Searches[class]
		w.Again[class] -= earlier.Again[class]
		w.Alike[class] -= earlier.Alike[class]
	}
}

// Work returns what the daemon did.
func (d *Daemon) Work() Work {
	w := d.work
	w.Visits, w.Skips = d.pagesScanned, d.pagesSkipped
	return w
}

// population is how many contents a tree holds, and how many of them are alike.
type population struct {
	all, alike int
	class      uint8 // SizeClass of all
	low, width int   // from how many on, and for how many, that is so
}

func (p *population) add(d *Daemon, c Content, n int) {
	p.grow(n)
	if d.alike != nil {
		p.addAlike(d, c, n)
	}
}

func (p *population) grow(n int) {
	p.all += n
	if uint(p.all-p.low) >= uint(p.width) {
		p.classify()
	}
}

// classify finds the class of a size for which it is not known. That is so rare that
// it shall not be inlined in grow, which then is.
//
//go:noinline
func (p *population) classify() {
	p.class = uint8(SizeClass(p.all))
	p.low, p.width = p.all, sameClass(p.all)
}

func (p *population) addAlike(d *Daemon, c Content, n int) {
	if d.alike(c) {
		p.alike = max(p.alike+n, 0) // a number may have got another meaning, see Daemon.resume
	}
}

// search notes down a search for c in a tree that holds p.
func (w *Walks) search(d *Daemon, p *population, c Content, r *recent) {
	class := p.class % 64
	w.Searches[class]++
	if r.again(uint32(c), d.pagesScanned) {
		w.Again[class]++
	} else if d.alike != nil {
		w.searchAlike(d, p, c)
	}
}

func (w *Walks) searchAlike(d *Daemon, p *population, c Content) {
	if d.alike(c) {
		w.Alike[SizeClass(p.alike)]++
	}
}
