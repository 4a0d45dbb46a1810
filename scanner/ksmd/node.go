package ksmd

// node is a KSM page: what the kernel calls a stable node.
type node struct {
	page    Page
	content Content
	sum     uint32 // checksum of the content
	items   uint32 // attached
	newest  itemID // of them
	waiting uint32 // see byContent
	at      uint32 // its position, if it is in the tree itself and that is real
	chain   uint32 // that it hangs in, or 0
	next    Node   // in the chain, from the front
	prev    Node
	numa    uint8
}

// chain holds several nodes of one content, none of which may have more than
// max_page_sharing mappings. It can be empty or hold a single node until a search
// comes by.
type chain struct {
	content Content
	front   Node
	nodes   uint32
	roomy   uint32 // nodes that have room
	waiting uint32 // see byContent
	at      uint32 // its position, if the tree is real
	pruned  int64  // when it was last looked through, in ticks
	numa    uint8
	dirty   bool // a search that comes by would change it
}

// hasRoom reports whether a node may get a mapping more, and extra others. One
// without items has none: nobody can say how many map it.
func (d *Daemon) hasRoom(n *node, extra uint32) bool {
	return n.items >= 1 && n.items+extra < d.maxSharing
}

// isDead reports whether the page of a node has been freed.
func (d *Daemon) isDead(n Node) bool { return d.mem.NodeOf(d.node(n).page) != n }

func (d *Daemon) node(n Node) *node { return d.nodes.at(uint32(n)) }

// attach makes an item one of node n's.
func (d *Daemon) attach(it *item, id itemID, n Node) {
	nd := d.node(n)
	had := d.hasRoom(nd, 0)
	it.numa = uint8(sumOfNode)
	if it.a != nd.sum {
		it.numa = uint8(d.keepSum(id, it.a))
	}
	it.place, it.a, it.b, it.c = inStable, uint32(n), 0, uint32(nd.newest)
	if nd.newest != 0 {
		d.item(nd.newest).b = uint32(id)
		d.sharing++
	} else {
		d.shared++
	}
	nd.newest = id
	nd.items++
	if nd.chain != 0 {
		d.roomChanged(nd, had)
	}
	p, index := d.owner(id)
	d.slots[d.slotOf(p)].merging++
	d.event(Event{Kind: Attached, Process: p, Index: index, Node: n})
}

// detach takes an item out of the tree or node that it is in. Only here does the
// daemon notice that a page was written to or unmapped.
func (d *Daemon) detach(it *item, id itemID) {
	switch it.place {
	case inUnstable:
		d.unshared--
		if it.b == uint32(d.seq) {
			d.removeUnstable(&d.trees[it.numa], it, id)
		}
		it.place = inNone
	case inStable:
		d.detachStable(it, id)
	}
}

func (d *Daemon) detachStable(it *item, id itemID) {
	n := Node(it.a)
	if d.isDead(n) {
		d.removeNode(n)
		return
	}
	nd := d.node(n)
	had := d.hasRoom(nd, 0)
	if it.b != 0 {
		d.item(itemID(it.b)).c = it.c
	} else {
		nd.newest = itemID(it.c)
	}
	if it.c != 0 {
		d.item(itemID(it.c)).b = it.b
	}
	nd.items--
	if nd.items > 0 {
		d.sharing--
	} else {
		d.shared--
	}
	d.unlock(it, id, inNone)
	if nd.chain != 0 {
		d.roomChanged(nd, had)
	}
	p, index := d.owner(id)
	d.slots[d.slotOf(p)].merging--
	d.event(Event{Kind: Detached, Process: p, Index: index, Node: n})
}

// meetShared visits a KSM page. An item that is not attached to it came to it by
// fork, say, and so without regard to max_page_sharing.
//
// Here the kernel asks less than it should: whether the item's last node had the
// address of this one, not whether the item is still attached. Freed memory is used
// again, so if the page became a KSM page by another who maps it, and the new node
// got the memory of the one that the item left, the kernel takes the item for
// attached for ever (sim/testdata/undecided/left-node.script). Whether it does
// depends on what else the kernel allocates; the daemon attaches the item and says
// Undecided. The kernel makes an item that leaves a node while that lives forget the
// address, since Linux 5.13 (left-living-node.script there).
func (d *Daemon) meetShared(it *item, id itemID, m *Mapping) {
	switch it.place {
	case inStable:
		if Node(it.a) == m.Node {
			return
		}
	case leftStable:
		d.undecided++
		p, index := d.owner(id)
		d.event(Event{Kind: Undecided, Process: p, Index: index, Node: m.Node})
	}
	d.detach(it, id)
	d.attach(it, id, m.Node)
}

// Undecided returns how often a page was visited where what the kernel does
// depends on its allocator. As long as it is 0 all counters are exact.
func (d *Daemon) Undecided() int { return d.undecided }

// removeNode takes a node away whose page has gone, and lets go of all its items
// at once, in whatever process they are.
func (d *Daemon) removeNode(n Node) {
	nd := d.node(n)
	for id := nd.newest; id != 0; {
		it := d.item(id)
		d.unlock(it, id, leftStable)
		p, _ := d.owner(id)
		d.slots[d.slotOf(p)].merging--
		id = itemID(it.c)
	}
	if nd.items > 0 {
		d.shared--
		d.sharing -= int(nd.items) - 1
	}
	if nd.chain != 0 {
		d.unhang(n)
	} else {
		t := &d.trees[nd.numa]
		d.growStable(t)
		d.removeStable(t, nd.content, nd.at)
	}
	d.event(Event{Kind: NodeGone, Node: n, Count: int(nd.items)})
	d.mem.Release(nd.content)
	*nd = node{}
	d.nodes.give(uint32(n))
	d.living--
	d.dead--
}

// hang puts node n at the front of chain c.
func (d *Daemon) hang(n Node, c uint32) {
	ch, nd := d.chains.at(c), d.node(n)
	nd.chain, nd.prev, nd.next = c, 0, ch.front
	if ch.front != 0 {
		d.node(ch.front).prev = n
	}
	ch.front = n
	ch.nodes++
	if d.hasRoom(nd, 0) {
		ch.roomy++
	}
	d.dups++
	d.updateDirty(ch)
}

// unhang takes node n out of its chain.
func (d *Daemon) unhang(n Node) {
	nd := d.node(n)
	ch := d.chains.at(nd.chain)
	if nd.prev != 0 {
		d.node(nd.prev).next = nd.next
	} else {
		ch.front = nd.next
	}
	if nd.next != 0 {
		d.node(nd.next).prev = nd.prev
	}
	ch.nodes--
	if d.hasRoom(nd, 0) {
		ch.roomy--
	}
	nd.chain, nd.prev, nd.next = 0, 0, 0
	d.dups--
	d.updateDirty(ch)
}

// toFront moves node n to the front of its chain.
func (d *Daemon) toFront(n Node) {
	c := d.node(n).chain
	d.unhang(n)
	d.hang(n, c)
}

// roomChanged keeps account of a node in a chain that had room or not.
func (d *Daemon) roomChanged(nd *node, had bool) {
	ch := d.chains.at(nd.chain)
	if has := d.hasRoom(nd, 0); has && !had {
		ch.roomy++
	} else if !has && had {
		ch.roomy--
	}
	d.updateDirty(ch)
}

// updateDirty decides whether a search that comes by would change a chain of which all
// nodes live, see Daemon.resolve.
func (d *Daemon) updateDirty(ch *chain) {
	dirty := ch.nodes < 2 || ch.roomy > 0 && !d.hasRoom(d.node(ch.front), 0)
	if dirty == ch.dirty {
		return
	}
	ch.dirty = dirty
	if dirty {
		d.dirty++
	} else {
		d.dirty--
	}
}

// newChain puts a chain in the place that node n has in the tree, and n into it.
func (d *Daemon) newChain(n Node) uint32 {
	nd, c := d.node(n), d.chains.take()
	ch := d.chains.at(c)
	*ch = chain{content: nd.content, at: nd.at, pruned: d.now, numa: nd.numa, dirty: true}
	d.dirty++
	d.chained++
	d.mem.Hold(nd.content)
	nd.at = 0
	d.trees[nd.numa].setStable(d, nd.content, entry(c)|isChain)
	if d.isDue(ch) {
		d.due++
	}
	d.event(Event{Kind: ChainMade, Node: n})
	d.hang(n, c)
	return c
}

// dissolve puts the only node of chain c in the chain's place.
func (d *Daemon) dissolve(c uint32) Node {
	ch := d.chains.at(c)
	n := ch.front
	d.unhang(n)
	d.node(n).at = ch.at
	d.trees[ch.numa].setStable(d, ch.content, entry(n))
	d.event(Event{Kind: ChainGone, Node: n})
	d.freeChain(c)
	return n
}

// removeChain takes the empty chain c out of its tree.
func (d *Daemon) removeChain(c uint32) {
	ch := d.chains.at(c)
	d.removeStable(&d.trees[ch.numa], ch.content, ch.at)
	d.event(Event{Kind: ChainGone})
	d.freeChain(c)
}

func (d *Daemon) freeChain(c uint32) {
	ch := d.chains.at(c)
	d.mem.Release(ch.content)
	if ch.dirty {
		d.dirty--
	}
	if d.isDue(ch) {
		d.due--
	}
	*ch = chain{}
	d.chains.give(c)
	d.chained--
}
