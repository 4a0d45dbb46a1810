package ksmd

// The unstable tree holds, for the length of one scan, the pages that have no
// equal so far, in the order of their bytes. Nobody keeps their owners from
// writing to them: then positions lie in the wrong order, and searches may miss an
// equal page or give up at a page that has vanished. Which ones depends on the
// shape of the tree.
//
// While nobody has touched the memory since the scan began none of that can
// happen, and the answer is what a table by content says. Insertions and removals
// are noted down in a log, and if memory changes in mid-scan the tree is made from
// it, with the contents of the time, and walked from then on. Where trees are never
// walked there is no log, and the table has the items themselves.
type insertion struct {
	id      itemID // with removal, if it is one
	content Content
}

const removal = 1 << 31

// emptyUnstable begins a new unstable tree, for items items at most.
func (t *trees) emptyUnstable(items int, real bool) {
	if cap(t.log) < items && !real && !t.noLog {
		t.log = make([]insertion, 0, items)
	}
	t.log = t.log[:0]
	t.unstable.reset()
	t.real = real
	t.inUnstable = population{}
}

// lookUp returns the item that has content c in an unstable tree that is not real,
// or 0; waits is what trees.waiting says.
func (d *Daemon) lookUp(t *trees, c Content, waits uint32) itemID {
	if t.noLog {
		return d.lookUpItem(t, c, itemID(waits))
	}
	if waits-1 < uint32(len(t.log)) {
		if e := t.log[waits-1]; e.content == c && e.id&removal == 0 {
			return e.id
		}
	}
	return 0
}

// lookUpItem does so without a log: is item id, if not 0, in this tree?
func (d *Daemon) lookUpItem(t *trees, c Content, id itemID) itemID {
	if id == 0 {
		return 0
	}
	it := d.item(id)
	if it.place != inUnstable || it.b != uint32(d.seq) || Content(it.c) != c || it.numa != t.numa {
		return 0
	}
	return id
}

// note notes down that an item is inserted into an unstable tree that is not real.
func (t *trees) note(id itemID, c Content, waits *uint32) {
	if t.noLog {
		*waits = uint32(id)
		return
	}
	t.log = append(t.log, insertion{id: id, content: c})
	*waits = uint32(len(t.log))
}

// removeUnstable takes an item out that was inserted in this scan.
func (d *Daemon) removeUnstable(t *trees, it *item, id itemID) {
	if t.real {
		t.inUnstable.add(d, t.contentAt[it.c], -1)
		t.unstable.remove(it.c)
		return
	}
	c := Content(it.c)
	waits := t.waiting(d, c)
	if d.lookUp(t, c, *waits) != id {
		return // another has taken its place, which happens without trees only
	}
	t.inUnstable.add(d, c, -1)
	*waits = 0
	if !t.noLog {
		t.log = append(t.log, insertion{id: id | removal, content: c})
	}
}

// growUnstable makes the tree as it would be by now.
func (d *Daemon) growUnstable(t *trees) {
	for _, e := range t.log {
		at, parent, left := t.unstable.root, uint32(0), false
		for at != 0 {
			p := &t.unstable.at[at]
			order := d.mem.Compare(e.content, t.contentAt[at])
			if order == 0 {
				break
			}
			parent = at
			if left = order < 0; left {
				at = p.left
			} else {
				at = p.right
			}
		}
		if e.id&removal != 0 {
			t.unstable.remove(at)
			continue
		}
		t.insertUnstable(parent, left, e.id, e.content)
	}
	t.log = t.log[:0]
	t.real = true
	d.tellPositions(t, t.unstable.root)
}

// tellPositions tells the items of a part of the tree where they are.
func (d *Daemon) tellPositions(t *trees, at uint32) {
	if at == 0 {
		return
	}
	p := &t.unstable.at[at]
	d.item(itemID(p.value)).c = at
	d.tellPositions(t, p.left)
	d.tellPositions(t, p.right)
}

// insertUnstable puts an item into the tree.
func (t *trees) insertUnstable(parent uint32, left bool, id itemID, c Content) uint32 {
	at := t.unstable.insert(parent, left, uint32(id))
	for int(at) >= len(t.contentAt) {
		t.contentAt = append(t.contentAt, 0)
	}
	t.contentAt[at] = c
	return at
}

// findOrInsert looks for an item of equal content and returns it with its page. If
// there is none the item id takes its place in the tree, unless the search gave
// up: then the item is in no tree.
func (d *Daemon) findOrInsert(it *item, id itemID, m *Mapping, numa int) (equal itemID, page Page, gaveUp bool) {
	t := &d.trees[numa]
	d.work.Unstable.search(d, &t.inUnstable, m.Content, &d.recent.unstable)
	place := uint32(m.Content)
	if t.real {
		var at uint32
		if equal, page, at = d.walkUnstable(t, id, m, numa); at == 0 {
			return equal, page, equal == 0
		}
		place = at
	} else {
		waits := t.waiting(d, m.Content)
		if equal = d.lookUp(t, m.Content, *waits); equal != 0 {
			met, ok := d.meet(equal, m.Page)
			switch {
			case ok && met.Content == m.Content:
				equal, page = d.partner(equal, met, numa)
				return equal, page, equal == 0
			case d.walk != TreesNever, met.Page == m.Page, !ok && m.Content == 0:
				return 0, 0, true
			}
			// It has another content by now, or has gone: then this one takes its
			// place, since only of zeros the number surely stands for the same.
		}
		t.note(id, m.Content, waits)
	}
	t.inUnstable.add(d, m.Content, 1)
	it.place, it.numa = inUnstable, uint8(numa)
	it.b, it.c = uint32(d.seq), place
	d.unshared++
	return 0, 0, false
}

// walkUnstable does the same in a real tree. It returns the position of the new
// item, or 0.
func (d *Daemon) walkUnstable(t *trees, id itemID, m *Mapping, numa int) (equal itemID, page Page, at uint32) {
	parent, left := uint32(0), false
	for at = t.unstable.root; at != 0; {
		p := t.unstable.at[at]
		met, ok := d.meet(itemID(p.value), m.Page)
		if !ok {
			return 0, 0, 0
		}
		if met.Content == m.Content {
			equal, page = d.partner(itemID(p.value), met, numa)
			return equal, page, 0
		}
		parent = at
		if left = d.mem.Compare(m.Content, met.Content) < 0; left {
			at = p.left
		} else {
			at = p.right
		}
	}
	return 0, 0, t.insertUnstable(parent, left, id, m.Content)
}

// meet looks at the page of an item of the tree. A search gives up if it has
// vanished, or if it is the very page that is looked for, shared after a fork
// (script fork-before-scan).
func (d *Daemon) meet(id itemID, page Page) (Mapping, bool) {
	p, index := d.owner(id)
	m, ok := d.mem.Lookup(p, index)
	if !ok || m.Page == page {
		d.event(Event{Kind: GaveUp, Process: p, Index: index})
		return m, false
	}
	return m, true
}

// partner returns an item of equal content, met in the tree of NUMA node numa, and
// its page. The search gives up if that page is on another node: it came there when
// the item was in the tree, or else merge_across_nodes was 1 then.
func (d *Daemon) partner(id itemID, met Mapping, numa int) (equal itemID, page Page) {
	if !d.knobs.MergeAcrossNodes && d.mem.NUMANode(met.Page) != numa {
		p, index := d.owner(id)
		d.event(Event{Kind: GaveUp, Process: p, Index: index})
		return 0, 0
	}
	return id, met.Page
}
