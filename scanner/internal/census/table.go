package census

import "math/bits"

// table counts the pages of one partition. It is used for one partition after
// the other, and grows to what the fullest needs.
//
// Slots hold numbers of contents, so that the slots that are empty cost four
// bytes each and what is found is read in one run:
//
//	slots      [ 0 | 2 | 0 | 1 | 0 | 0 | 3 | 0 ]      number of a content, from 1
//	contents   [ key, copies | key, copies | ... ]
//	                  |
//	pairs             +-> group, copies -> group, copies    if there are groups
//
// Most contents are in one group only; the others' pairs are found through
// slots of their own, so that a content in many groups costs no more a page
// than another.
type table struct {
	multiplier uint64 // odd
	grouped    bool

	contents []content
	slots    []uint32
	shift    uint // of a product to its slot

	pairs     []pair
	pairSlots []uint32
	pairShift uint
	paired    int // pairs in pairSlots: those of contents with more than one
}

type content struct {
	key    uint64 // what is stored of the fingerprint
	copies uint64
	first  uint32 // pair from which the others are reached
	last   uint32 // pair of the latest page
}

// pair is the copies of one content in one group.
type pair struct {
	copies  uint64
	content uint32
	group   uint32
	next    uint32 // noPair: none
}

const (
	noPair   = 1<<32 - 1
	minSlots = 1 << 8
)

func newTable(multiplier uint64, grouped bool) *table {
	t := &table{multiplier: multiplier, grouped: grouped}
	t.slots, t.shift = newSlots(minSlots)
	t.pairSlots, t.pairShift = newSlots(minSlots)
	return t
}

// newSlots returns n slots, n being a power of two, and the shift for them.
func newSlots(n int) ([]uint32, uint) {
	return make([]uint32, n), uint(64 - bits.TrailingZeros(uint(n)))
}

// reset empties the table.
func (t *table) reset() {
	t.slots, t.shift = emptied(t.slots, t.shift, len(t.contents))
	t.pairSlots, t.pairShift = emptied(t.pairSlots, t.pairShift, t.paired)
	t.contents, t.pairs, t.paired = t.contents[:0], t.pairs[:0], 0
}

// emptied clears slots of which some were used, or returns fewer if they were
// far too many.
func emptied(slots []uint32, shift uint, used int) ([]uint32, uint) {
	if len(slots) > minSlots && used < len(slots)/16 {
		return newSlots(len(slots) / 4)
	}
	if used > 0 {
		clear(slots)
	}
	return slots, shift
}

// add counts n pages of a content and a group.
func (t *table) add(key uint64, group uint32, n uint64) {
	id, isNew := t.find(key)
	c := &t.contents[id]
	c.copies += n
	if !t.grouped {
		return
	}
	if isNew {
		c.first = t.newPair(id, group, n, noPair)
		c.last = c.first
		return
	}
	if p := &t.pairs[c.last]; p.group == group {
		p.copies += n
		return
	}
	t.addPair(c, id, group, n)
}

// find returns the index of a content, which is added if it is new.
func (t *table) find(key uint64) (id uint32, isNew bool) {
	slot := key * t.multiplier >> t.shift
	for {
		n := t.slots[slot]
		if n == 0 {
			break
		}
		if t.contents[n-1].key == key {
			return n - 1, false
		}
		slot = (slot + 1) & uint64(len(t.slots)-1)
	}
	t.contents = append(t.contents, content{key: key})
	t.slots[slot] = uint32(len(t.contents))
	if len(t.contents) > len(t.slots)/2 {
		t.grow()
	}
	return uint32(len(t.contents) - 1), true
}

func (t *table) grow() {
	t.slots, t.shift = newSlots(len(t.slots) * 4)
	for i := range t.contents {
		place(t.slots, t.contents[i].key*t.multiplier>>t.shift, uint32(i+1))
	}
}

// place puts n in the first free slot from slot on.
func place(slots []uint32, slot uint64, n uint32) {
	for slots[slot] != 0 {
		slot = (slot + 1) & uint64(len(slots)-1)
	}
	slots[slot] = n
}

func (t *table) newPair(id, group uint32, n uint64, next uint32) uint32 {
	t.pairs = append(t.pairs, pair{copies: n, content: id, group: group, next: next})
	return uint32(len(t.pairs) - 1)
}

// addPair counts n pages of content id, whose latest page was in another
// group.
func (t *table) addPair(c *content, id, group uint32, n uint64) {
	if t.pairs[c.first].next == noPair {
		t.placePair(c.first)
	}
	slot := t.pairSlot(id, group)
	for t.pairSlots[slot] != 0 {
		i := t.pairSlots[slot] - 1
		if p := &t.pairs[i]; p.content == id && p.group == group {
			p.copies += n
			c.last = i
			return
		}
		slot = (slot + 1) & uint64(len(t.pairSlots)-1)
	}
	c.first = t.newPair(id, group, n, c.first)
	c.last = c.first
	t.placePair(c.first)
}

func (t *table) pairSlot(id, group uint32) uint64 {
	return (uint64(id)<<24 ^ uint64(group)) * t.multiplier >> t.pairShift
}

// placePair makes a pair that is in no slot findable.
func (t *table) placePair(i uint32) {
	t.paired++
	if t.paired <= len(t.pairSlots)/2 {
		place(t.pairSlots, t.pairSlot(t.pairs[i].content, t.pairs[i].group), i+1)
		return
	}
	t.pairSlots, t.pairShift = newSlots(len(t.pairSlots) * 4)
	for j := range t.pairs {
		// The only pair of a content has no slot, but pair i is about to get company.
		if p := &t.pairs[j]; uint32(j) == i || t.pairs[t.contents[p.content].first].next != noPair {
			place(t.pairSlots, t.pairSlot(p.content, p.group), uint32(j+1))
		}
	}
}

// firstGroup returns a group that holds a content.
func (t *table) firstGroup(c *content) uint32 {
	if !t.grouped {
		return 0
	}
	return t.pairs[c.first].group
}

// holders appends the groups of a content, in any order.
func (t *table) holders(dst []Holder, c *content) []Holder {
	if !t.grouped {
		return append(dst, Holder{Group: 0, Copies: c.copies})
	}
	for i := c.first; i != noPair; i = t.pairs[i].next {
		dst = append(dst, Holder{Group: t.pairs[i].group, Copies: t.pairs[i].copies})
	}
	return dst
}
