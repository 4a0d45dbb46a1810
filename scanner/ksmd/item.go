package ksmd

import "math/bits"

// Items are what the daemon knows of each page it tracks. They lie in blocks of
// 64 neighbours, and the blocks of a process in a list in the order of addresses:
// which process and which page an item is of follows from where it is, and a pass
// over a process walks through memory from front to back. An item takes 16 bytes,
// and three eighths of a byte in its block; a page far from all others takes a block
// of its own.

const (
	blockPages = 64
	maxItems   = 1 << 31 // byContent and insertion have no room for more
)

type item struct {
	age, skips uint8 // of smart scan
	place      place
	numa       uint8 // in the unstable tree: which; in the stable one: a sumPlace

	// A union. In the stable tree: the node, and the next newer and older item of
	// that node. Elsewhere: the checksum of the page when it was last looked at;
	// and in the unstable tree the low bits of the scan in which it was inserted,
	// and its position, or if the tree is not real the content.
	a, b, c uint32
}

// sumPlace says where the checksum of an item in the stable tree is.
type sumPlace uint8

const (
	sumOfNode sumPlace = iota // it is that of the node's page
	sumZero                   // it is 0, since a page that came by fork was never looked at
	sumOdd                    // Daemon.oddSums has it
)

// checksum returns the checksum of an item's page when it was last looked at.
func (d *Daemon) checksum(it *item, id itemID) uint32 {
	if it.place != inStable {
		return it.a
	}
	switch sumPlace(it.numa) {
	case sumOfNode:
		return d.node(Node(it.a)).sum
	case sumOdd:
		return d.oddSums[id]
	}
	return 0
}

// keepSum keeps a checksum of an item in the stable tree that is not its node's.
func (d *Daemon) keepSum(id itemID, sum uint32) sumPlace {
	if sum == 0 {
		return sumZero
	}
	d.oddSums[id] = sum
	return sumOdd
}

// unlock makes an item of the stable tree, with a checksum, one that is nowhere.
func (d *Daemon) unlock(it *item, id itemID, to place) {
	sum := d.checksum(it, id)
	if sumPlace(it.numa) == sumOdd {
		delete(d.oddSums, id)
	}
	it.place, it.a = to, sum
}

type place uint8

const (
	inNone place = iota
	inUnstable
	inStable
	leftStable // in none since its node was removed, the address of which the kernel still has
)

type itemID uint32

func (id itemID) block() uint32 { return uint32(id) / blockPages }

type block struct {
	first  uint64 // the index of its first page
	exists uint64 // a bit for each item
	next   uint32 // the next block of the process
	of     Process
	items  [blockPages]item
}

func (d *Daemon) item(id itemID) *item {
	return &d.blocks.at(id.block()).items[id%blockPages]
}

// owner returns the process and the index of an item's page.
func (d *Daemon) owner(id itemID) (Process, uint64) {
	b := d.blocks.at(id.block())
	return b.of, b.first + uint64(id%blockPages)
}

// cursor is where the scan stands: in which process, and between which pages.
type cursor struct {
	slot  uint32 // of the list of processes; headSlot between two scans
	index uint64 // pages below have been passed
	prev  uint32 // the last block with items passed only, or 0
	block uint32 // the first other one, or 0
	at    *block // the same, or nil
}

// moveTo makes block n the one that the cursor is at.
func (d *Daemon) moveTo(n uint32) {
	d.cursor.block, d.cursor.at = n, nil
	if n != 0 {
		d.cursor.at = d.blocks.at(n)
	}
}

// enter puts the cursor before the first page of a slot.
func (d *Daemon) enter(slot uint32) {
	d.cursor = cursor{slot: slot}
	d.moveTo(d.slots[slot].first)
}

// itemAt returns the item of index, made if there was none, and moves the cursor
// behind it. Items in between belong to pages that have gone, and are dropped.
func (d *Daemon) itemAt(index uint64) (*item, itemID) {
	if blk := d.cursor.at; blk != nil && index == d.cursor.index {
		if off := index - blk.first; off < blockPages && blk.exists>>off&1 != 0 {
			d.cursor.index++
			return &blk.items[off], itemID(uint64(d.cursor.block)*blockPages + off)
		}
	}
	d.dropBelow(index)
	if d.cursor.at == nil || d.cursor.at.first > index {
		b := d.blocks.take()
		if b >= maxItems/blockPages {
			panic("ksmd: more than 2^31 items")
		}
		blk := d.blocks.at(b)
		blk.first, blk.exists = index&^(blockPages-1), 0
		blk.next, blk.of = d.cursor.block, d.slots[d.cursor.slot].of
		d.linkAfter(d.cursor.prev, b)
		d.moveTo(b)
	}
	blk := d.cursor.at
	off := index & (blockPages - 1)
	if blk.exists>>off&1 == 0 {
		blk.exists |= 1 << off
		blk.items[off] = item{}
		d.items++
		d.work.Items++
		d.slots[d.cursor.slot].items++
	}
	d.cursor.index = index + 1
	return &blk.items[off], itemID(uint64(d.cursor.block)*blockPages + off)
}

// linkAfter makes block n the next one after prev, or the first if that is 0.
func (d *Daemon) linkAfter(prev, n uint32) {
	if prev == 0 {
		d.slots[d.cursor.slot].first = n
	} else {
		d.blocks.at(prev).next = n
	}
}

// dropBelow drops the items from the cursor up to below index, and leaves the
// cursor at the block that index is or would be in.
func (d *Daemon) dropBelow(index uint64) {
	for d.cursor.at != nil {
		n, blk := d.cursor.block, d.cursor.at
		if blk.first >= index {
			return
		}
		gone := blk.exists
		if from := d.cursor.index; from > blk.first {
			if from-blk.first >= blockPages {
				gone = 0
			} else {
				gone &= ^uint64(0) << (from - blk.first)
			}
		}
		inside := index-blk.first < blockPages
		if inside {
			gone &= 1<<(index-blk.first) - 1
		}
		for ; gone != 0; gone &= gone - 1 {
			off := bits.TrailingZeros64(gone)
			d.drop(&blk.items[off], itemID(n*blockPages+uint32(off)))
			blk.exists &^= 1 << off
		}
		if inside {
			return
		}
		next := blk.next
		if blk.exists != 0 {
			d.cursor.prev = n
		} else {
			d.linkAfter(d.cursor.prev, next)
			d.blocks.give(n)
		}
		d.moveTo(next)
	}
}

// dropRest drops all items from the cursor to the end of the process.
func (d *Daemon) dropRest() {
	d.dropBelow(^uint64(0))
}

// drop forgets an item, but for the bit in its block.
func (d *Daemon) drop(it *item, id itemID) {
	d.detach(it, id)
	if d.observe != nil {
		p, index := d.owner(id)
		d.observe(Event{Kind: Dropped, Process: p, Index: index})
	}
	d.items--
	d.slots[d.cursor.slot].items--
}
