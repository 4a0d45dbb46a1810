package ksmd

// The processes that take part stand in a ring with a marker, the head, in it.
// The order is that in which they are scanned.
//
//	head -> A -> B -> C -> head          the cursor is at B, say
//
// A process that begins to take part comes immediately before the cursor: with
// the cursor at the head that is the end of the list; in mid-scan it is left out
// of this scan and comes before B in the next one (script register-midscan). One
// that exits comes next, so that its items go in this scan (script
// exit-under-cursor).

// headSlot is the slot of the head. As the number of a slot it also says that there
// is none, and as that of the cursor that no scan is under way.
const headSlot = 0

// slot is the place of a process in the ring, and what the daemon keeps of it.
type slot struct {
	next, prev uint32 // slots
	of         Process
	first      uint32 // its first block of items, or 0
	items      int
	merging    int // items that are attached to KSM pages
	exited     bool
}

func (d *Daemon) linkBefore(s, at uint32) {
	prev := d.slots[at].prev
	d.slots[s].prev, d.slots[s].next = prev, at
	d.slots[prev].next, d.slots[at].prev = s, s
}

func (d *Daemon) unlink(s uint32) {
	next, prev := d.slots[s].next, d.slots[s].prev
	d.slots[prev].next, d.slots[next].prev = next, prev
}

// slotOf returns the slot of p, or 0 if it takes no part.
func (d *Daemon) slotOf(p Process) uint32 {
	if int(p) >= len(d.slotOfProcess) {
		return 0
	}
	return d.slotOfProcess[p]
}

// Register lets p take part, as the kernel does when it first gets a mergeable
// area or is forked by one that takes part. It may do so already.
func (d *Daemon) Register(p Process) {
	if d.slotOf(p) != 0 {
		return
	}
	for int(p) >= len(d.slotOfProcess) {
		d.slotOfProcess = append(d.slotOfProcess, 0)
	}
	var s uint32
	if n := len(d.freeSlots); n > 0 {
		s = d.freeSlots[n-1]
		d.freeSlots = d.freeSlots[:n-1]
	} else {
		s = uint32(len(d.slots))
		d.slots = append(d.slots, slot{})
	}
	d.slots[s] = slot{of: p}
	d.slotOfProcess[p] = s
	d.linkBefore(s, d.cursor.slot)
	d.event(Event{Kind: Registered, Process: p})
}

// Registered reports whether p takes part. A process goes on to do so after all
// its areas became unmergeable or it exited, until ksmd has noticed.
func (d *Daemon) Registered(p Process) bool { return d.slotOf(p) != 0 }

// Exit says that p has ended and all its pages are gone. Its items are dropped when
// the cursor comes to it. It may take no part.
func (d *Daemon) Exit(p Process) {
	s := d.slotOf(p)
	if s == 0 {
		return
	}
	d.slots[s].exited = true
	switch {
	case s == d.cursor.slot:
	case d.slots[s].items == 0:
		d.unregister(s)
	default:
		d.unlink(s)
		d.linkBefore(s, d.slots[d.cursor.slot].next)
	}
}

func (d *Daemon) unregister(s uint32) {
	d.unlink(s)
	p := d.slots[s].of
	d.slotOfProcess[p] = 0
	d.freeSlots = append(d.freeSlots, s)
	d.event(Event{Kind: Unregistered, Process: p})
}
