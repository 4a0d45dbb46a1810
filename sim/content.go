package sim

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// Contents are numbers: content 0 is a page of zero bytes, and the bytes of any
// other follow from its number by the rule of Fill. So pages of a simulated
// machine need no bytes: equal numbers are equal pages, and what else ksmd asks,
// the order of two pages and the checksum of one, is computed from the number.
//
// Numbers are large and sparse. To be used as indexes they are interned, which
// gives each number in use a small one, its ksmd.Content:
//
//	slots (open addressing)   entries
//	+----+----+----+----+     +---+-----------------+
//	|  2 |    |  1 |    | --> | 0 | number 0        |
//	+----+----+----+----+     | 1 | number, refs 3  |
//	  by home(number)         | 2 | number, refs 1  |
//	                          +---+-----------------+
//
// An entry without references keeps its meaning, and can be had again by its
// number, until the next recycle. A content costs 12 bytes, 16 with exact checksums,
// and its slots 5 to 11, or 5 where their number was known before. Interning a number
// costs two cache misses, or fewer where the last one was its neighbour.

// pageBytes is the size of the pages whose checksums and bytes are made.
const pageBytes = 4096

// firstAlike is the first of the contents that are equal to each other but for
// the last word of the page.
const firstAlike = 1 << 63

// Fill writes the bytes of a content to page, the length of which is a multiple
// of 8. Content 0 is zero bytes. In the page of another content c the i-th
// little-endian word of 8 bytes is mix(c*1000003 + i), where mix is the output
// function of SplitMix64. Contents from 1<<63 on have the page of 1<<63 but for
// the last word, which is the content's number: comparing two of them means
// reading all of both.
func Fill(page []byte, content uint64) {
	for i := 0; i < len(page); i += 8 {
		binary.LittleEndian.PutUint64(page[i:], word(min(content, firstAlike), i/8))
	}
	if content >= firstAlike {
		binary.LittleEndian.PutUint64(page[len(page)-8:], content)
	}
}

// word returns the i-th word of a page, of a content up to firstAlike.
func word(content uint64, i int) uint64 {
	if content == 0 {
		return 0
	}
	return mix(content*1000003 + uint64(i))
}

// mix is a bijection of 64-bit words.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// compareBytes orders the pages of two contents by their bytes. Of two that are
// neither 0 nor alike already the first words differ, since both the
// multiplication and mix are bijections; from a page of zero bytes at most one word
// does not.
func compareBytes(a, b uint64) int {
	if a == b {
		return 0
	}
	if a >= firstAlike && b >= firstAlike {
		return cmp.Compare(bits.ReverseBytes64(a), bits.ReverseBytes64(b))
	}
	a, b = min(a, firstAlike), min(b, firstAlike)
	i := 0
	for word(a, i) == word(b, i) {
		i++
	}
	return cmp.Compare(bits.ReverseBytes64(word(a, i)), bits.ReverseBytes64(word(b, i)))
}

// contents interns the numbers of contents. Make it with newContents.
type contents struct {
	entries []entry  // by ksmd.Content
	sums    []uint32 // checksums of the bytes, by ksmd.Content; nil if not exact
	slots   []uint32 // hash table of the entries but 0; 0 is an empty slot
	lines   uint64   // of lineSlots slots each; no multiple of probeStep
	inverse uint64   // of probeStep, modulo the number of slots
	used    int      // slots that are not empty
	free    uint32   // head of the list of free entries, 0 is none
	limbo   []uint32 // entries that lost their last reference since the last recycle
	alike   bool     // there is or was a number from firstAlike on
}

// entry is 12 bytes: a number of 8 in two halves needs no padding.
type entry struct {
	low, high uint32 // halves of the number; low of a free entry is the next free one
	refs      uint32 // pages and holds; and inLimbo
}

// inLimbo is set in refs while the entry is in the list limbo.
const inLimbo = 1 << 31

func (e *entry) number() uint64 { return uint64(e.high)<<32 | uint64(e.low) }

func newContents(exactChecksums bool) contents {
	c := contents{
		entries: []entry{{refs: 1}}, // content 0 stays
	}
	c.makeSlots(1)
	if exactChecksums {
		c.sums = []uint32{bytesSum(0)}
	}
	return c
}

// checksum returns the checksum of a content, or what stands for it.
func (c *contents) checksum(id ksmd.Content) uint32 {
	if c.sums != nil {
		return c.sums[id]
	}
	return uint32(mix(c.entries[id].number()))
}

// bytesSum returns the checksum of the bytes of a content.
func bytesSum(content uint64) uint32 {
	var page [pageBytes]byte
	Fill(page[:], content)
	return uint32(xxhash.Sum64(page[:]))
}

// reserve makes room for n contents beside content 0, of which there are none yet.
func (c *contents) reserve(n int) {
	c.entries = slices.Grow(c.entries, n)
	c.makeSlots(uint64(n)*4/3/lineSlots + 1)
}

// Numbers are often consecutive. So 16 of them have their homes in one cache line
// of slots, the line by their common hash; and a number that finds its slot taken
// goes on probeStep slots farther, where its neighbours go, too. As that is a prime
// which does not divide the number of slots, a search comes to all of them.
const (
	lineSlots = 16
	probeStep = lineSlots + 1
)

// makeSlots makes new slots, all empty, in that many lines or a few more.
func (c *contents) makeSlots(lines uint64) {
	lines = max(lines, 2) // a step is never longer than all
	if lines%probeStep == 0 {
		lines++
	}
	c.lines = lines
	size := lines * lineSlots
	c.slots = make([]uint32, size)
	rounds := uint64(1) // one of the first 16 leads to slot 1
	for (rounds*size+1)%probeStep != 0 {
		rounds++
	}
	c.inverse = (rounds*size + 1) / probeStep
}

// home returns the slot in which the search for number starts.
func (c *contents) home(number uint64) uint32 {
	hash := mix(number / lineSlots)
	line, _ := bits.Mul64(hash, c.lines)
	return uint32(line)*lineSlots + (uint32(hash)+uint32(number))%lineSlots
}

// after returns the slot in which a search goes on behind slot i.
func (c *contents) after(i uint32) uint32 {
	if i += probeStep; i >= uint32(len(c.slots)) {
		i -= uint32(len(c.slots))
	}
	return i
}

// steps returns how many steps of a search lead from slot a to slot b.
func (c *contents) steps(a, b uint32) uint64 {
	size := uint64(len(c.slots))
	return (uint64(b) + size - uint64(a)) % size * c.inverse % size
}

// intern returns the content of a number, which may be without references: the
// caller adds one.
func (c *contents) intern(number uint64) ksmd.Content {
	if number == 0 {
		return 0
	}
	i := c.home(number)
	for ; c.slots[i] != 0; i = c.after(i) {
		if id := c.slots[i]; c.entries[id].number() == number {
			return ksmd.Content(id)
		}
	}
	id := c.add(number)
	c.slots[i] = id
	c.used++
	if c.used > len(c.slots)/4*3 {
		c.grow()
	}
	return ksmd.Content(id)
}

// add makes an entry for a number that is in no slot yet.
func (c *contents) add(number uint64) uint32 {
	id := c.free
	if id != 0 {
		c.free = c.entries[id].low
	} else {
		id = uint32(len(c.entries))
		c.entries = append(c.entries, entry{})
	}
	c.entries[id] = entry{low: uint32(number), high: uint32(number >> 32)}
	c.alike = c.alike || number >= firstAlike
	if c.sums == nil {
		return id
	}
	sum := bytesSum(number)
	if int(id) == len(c.sums) {
		c.sums = append(c.sums, sum)
	} else {
		c.sums[id] = sum
	}
	return id
}

// grow doubles the slots.
func (c *contents) grow() {
	old := c.slots
	c.makeSlots(2 * c.lines)
	for _, id := range old {
		if id == 0 {
			continue
		}
		i := c.home(c.entries[id].number())
		for c.slots[i] != 0 {
			i = c.after(i)
		}
		c.slots[i] = id
	}
}

// retain adds a reference, release takes one away.
func (c *contents) retain(id ksmd.Content) { c.entries[id].refs++ }

func (c *contents) release(id ksmd.Content) {
	e := &c.entries[id]
	e.refs--
	if e.refs == 0 {
		e.refs = inLimbo
		c.limbo = append(c.limbo, uint32(id))
	}
}

// recycle frees the entries that have been without references since they came
// into limbo, or are so again.
func (c *contents) recycle() {
	for _, id := range c.limbo {
		e := &c.entries[id]
		e.refs &^= inLimbo
		if e.refs == 0 {
			c.remove(id)
			e.low, c.free = c.free, id
		}
	}
	c.limbo = c.limbo[:0]
}

// remove takes an entry out of its slot, and moves those behind it that could
// not be found over the gap.
func (c *contents) remove(id uint32) {
	gap := c.home(c.entries[id].number())
	for c.slots[gap] != id {
		gap = c.after(gap)
	}
	for i := c.after(gap); c.slots[i] != 0; i = c.after(i) {
		home := c.home(c.entries[c.slots[i]].number())
		if c.steps(home, i) >= c.steps(gap, i) { // home is at the gap or before it
			c.slots[gap] = c.slots[i]
			gap = i
		}
	}
	c.slots[gap] = 0
	c.used--
}

// isAlike reports whether a content is one of those from firstAlike on.
func (c *contents) isAlike(id ksmd.Content) bool {
	return c.alike && c.entries[id].number() >= firstAlike
}

// compare orders two contents by their bytes.
func (c *contents) compare(a, b ksmd.Content) int {
	if a == b {
		return 0
	}
	return compareBytes(c.entries[a].number(), c.entries[b].number())
}
