package ksmd

// The stable tree holds the KSM pages in the order of their bytes, one position
// for each content: a node, or a chain of nodes. A search goes down from the root
// and compares bytes, and since pages vanish without telling anybody it tidies up
// what it meets on its way: dead nodes, and chains that have changed. So what is
// left over depends on which searches came by which positions, that is on the
// shape of the tree. This is the only reason for having one.
//
// While there is nothing to tidy, a search has no effect but its answer, and the
// answer is what a table by content says. Therefore insertions are only noted
// down, and made when somebody has to walk:
//
//	all nodes live, chains in order       a table look-up, no tree
//	a page has gone, or a chain changed   the real walk, until all is tidy
//
// The tree then comes out as if it had been there all the time, since its shape
// follows from the order of insertions and removals. Daemon.mustWalk is the
// condition. It errs on the side of walking.

// entry is who stands for a content in the stable tree: a Node, or the number of a
// chain with isChain; 0 is nobody.
type entry uint32

const isChain entry = 1 << 30

// growStable makes the stable tree real: it makes the insertions that were only noted.
func (d *Daemon) growStable(t *trees) {
	for _, c := range t.pending {
		at, parent, left := t.stable.root, uint32(0), false
		for at != 0 {
			parent = at
			p := &t.stable.at[at]
			if left = d.mem.Compare(c, Content(p.value)) < 0; left {
				at = p.left
			} else {
				at = p.right
			}
		}
		at = t.stable.insert(parent, left, uint32(c))
		if e := t.stableEntry(c); e&isChain != 0 {
			d.chains.at(uint32(e &^ isChain)).at = at
		} else {
			d.node(Node(e)).at = at
		}
	}
	t.pending = t.pending[:0]
}

// removeStable takes the position of a content away, unless there is no tree.
func (d *Daemon) removeStable(t *trees, c Content, at uint32) {
	t.inStable.add(d, c, -1)
	t.setStable(d, c, 0)
	if at != 0 {
		t.stable.remove(at)
	}
}

// mustWalk reports whether a search could change something.
func (d *Daemon) mustWalk() bool {
	return d.dead|d.dirty|d.due != 0 || d.walk == TreesAlways
}

// search looks for a KSM page with content c that has room, and returns it or 0.
func (d *Daemon) search(c Content, numa int) Node {
	t := &d.trees[numa]
	d.work.Stable.search(d, &t.inStable, c, &d.recent.stable)
	var n Node
	if d.mustWalk() {
		n = d.searchTidying(t, c)
	} else if e := t.stableEntry(c); e&isChain != 0 {
		n = d.chains.at(uint32(e &^ isChain)).front // it has room, or none of the chain has
	} else {
		n = Node(e)
	}
	if n == 0 || !d.hasRoom(d.node(n), 0) {
		return 0
	}
	return n
}

// searchTidying returns the node that stands for c, or 0, and tidies up.
func (d *Daemon) searchTidying(t *trees, c Content) Node {
	if d.walk == TreesNever {
		return d.resolve(t.stableEntry(c), true)
	}
	n, _, _ := d.descend(t, c, true)
	return n
}

// descend goes down to content c and tidies up on its way. It returns the node that
// stands for c now; or 0, and where c would be inserted.
func (d *Daemon) descend(t *trees, c Content, prune bool) (found Node, parent uint32, left bool) {
	d.growStable(t)
again:
	parent, left = 0, false
	for at := t.stable.root; at != 0; {
		value := Content(t.stable.at[at].value)
		n := d.resolve(t.stableEntry(value), prune)
		if n == 0 {
			goto again
		}
		if value == c {
			return n, 0, false
		}
		parent = at
		if left = d.mem.Compare(c, value) < 0; left {
			at = t.stable.at[at].left
		} else {
			at = t.stable.at[at].right
		}
	}
	return 0, parent, left
}

// resolve returns the node that stands for a position: the node itself, or of a
// chain the one that new pages shall join. It is 0 if the position has been
// removed, so that the walk must begin anew.
//
// Without pruning it stops at the first node with room, and does not notice that
// later ones are dead (script chain-prune-look). With pruning it goes to the end
// and prefers the fullest that has room (script chain-prune-choice). What it chose
// it moves to the front, if there is room for two (script chain-front).
func (d *Daemon) resolve(e entry, prune bool) Node {
	if e == 0 {
		return 0
	}
	if e&isChain == 0 {
		if d.isDead(Node(e)) {
			d.removeNode(Node(e))
			return 0
		}
		return Node(e)
	}
	c := uint32(e &^ isChain)
	ch := d.chains.at(c)
	prune = prune && d.isDue(ch)
	if prune {
		d.setPruned(ch, d.now)
	}
	var best Node
	bestHasRoom := false
	for n := ch.front; n != 0; {
		nd := d.node(n)
		next := nd.next
		if d.isDead(n) {
			d.removeNode(n)
			n = next
			continue
		}
		hasRoom := d.hasRoom(nd, 0)
		if best == 0 || hasRoom && (!bestHasRoom || nd.items > d.node(best).items) {
			best, bestHasRoom = n, hasRoom
		}
		if hasRoom && !prune {
			break
		}
		n = next
	}
	switch {
	case best == 0:
		d.removeChain(c)
	case ch.nodes == 1:
		d.dissolve(c)
	case best != ch.front && d.hasRoom(d.node(best), 1):
		d.toFront(best)
	}
	return best
}

// isDue reports whether a search that comes by a chain looks through all of it.
func (d *Daemon) isDue(ch *chain) bool {
	return d.pruneTicks >= 0 && d.now >= ch.pruned+d.pruneTicks
}

func (d *Daemon) setPruned(ch *chain, at int64) {
	was := d.isDue(ch)
	ch.pruned = at
	if is := d.isDue(ch); is && !was {
		d.due++
	} else if was && !is {
		d.due--
	}
}

// schedule counts the chains that are due, after time or the knob has changed.
func (d *Daemon) schedule() {
	d.due = 0
	if d.pruneTicks < 0 || d.chained == 0 {
		return
	}
	d.chains.all(func(ch *chain) {
		if (ch.nodes > 0 || ch.dirty) && d.isDue(ch) { // it is in use
			d.due++
		}
	})
}

// insert puts node n, which is in no tree yet, into the stable tree.
func (d *Daemon) insert(n Node) {
	nd := d.node(n)
	t, c := &d.trees[nd.numa], nd.content
	switch {
	case d.walk == TreesNever:
		d.resolve(t.stableEntry(c), false)
	case d.mustWalk():
		if found, parent, left := d.descend(t, c, false); found == 0 {
			nd.at = t.stable.insert(parent, left, uint32(c))
		}
	case t.stableEntry(c) == 0:
		t.pending = append(t.pending, c)
	}
	equal := t.stableEntry(c)
	if equal == 0 {
		t.setStable(d, c, entry(n))
		t.inStable.add(d, c, 1)
		return
	}
	at := uint32(equal &^ isChain)
	if equal&isChain == 0 {
		at = d.newChain(Node(equal))
	}
	d.hang(n, at)
}

// clear removes KSM pages and chains from the root of every stable tree on, until
// it meets a page that still lives. It reports whether it got rid of all.
func (d *Daemon) clear() bool {
	all := true
	for i := range d.trees {
		t := &d.trees[i]
		d.growStable(t)
		gone := true
		for gone && t.stable.root != 0 {
			gone = d.clearEntry(t.stableEntry(Content(t.stable.at[t.stable.root].value)))
		}
		if d.walk == TreesNever {
			for c := range t.by {
				if e := t.stableEntry(Content(c)); e != 0 && !d.clearEntry(e) {
					gone = false
				}
			}
		}
		all = all && gone
	}
	return all
}

func (d *Daemon) clearEntry(e entry) bool {
	if e&isChain == 0 {
		if !d.isDead(Node(e)) {
			return false
		}
		d.removeNode(Node(e))
		return true
	}
	c := uint32(e &^ isChain)
	for n := d.chains.at(c).front; n != 0; {
		next := d.node(n).next
		if !d.isDead(n) {
			return false
		}
		d.removeNode(n)
		n = next
	}
	d.removeChain(c)
	return true
}
