package ksmd

import "github.com/ksmtop/ksmtop/sysfs"

// Batch is what one batch did.
type Batch struct {
	Scanned int  // pages handed to the merge step
	Skipped int  // pages that smart scan skipped
	Ended   bool // a full scan ended with it
}

// Idle reports that there is nothing to do: run is not 1, no process takes part,
// or pages_to_scan is 0.
func (d *Daemon) Idle() bool {
	return d.knobs.RunMode() != sysfs.RunScan || d.slots[headSlot].next == headSlot || d.knobs.PagesToScan == 0
}

// Batch visits pages_to_scan pages, or fewer if the scan ends. The next scan
// begins with the next batch (script batch-and-scan-end).
func (d *Daemon) Batch() Batch {
	var b Batch
	if d.Idle() {
		return b
	}
	d.resume()
	scanned, skipped := d.pagesScanned, d.pagesSkipped
	wait := 0 // pages until the next attempt to sweep
	for n := d.knobs.PagesToScan; n > 0; n-- {
		if wait > 0 {
			wait--
		} else {
			swept := d.sweep(n)
			if n -= swept; n == 0 {
				break
			}
			if swept == 0 && d.seen < len(d.mappings) {
				wait = 8
			}
		}
		m, it, id := d.next(n)
		if m == nil {
			b.Ended = true
			break
		}
		d.mergeStep(it, id, m)
		d.pagesScanned++
	}
	b.Scanned, b.Skipped = int(d.pagesScanned-scanned), int(d.pagesSkipped-skipped)
	return b
}

// Scan runs batches until a full scan ends, and reports whether one did: it ends
// early where Idle becomes true.
func (d *Daemon) Scan() bool {
	for !d.Idle() {
		if d.Batch().Ended {
			return true
		}
	}
	return false
}

// resume takes notice of what has happened since the last batch.
func (d *Daemon) resume() {
	if d.clock.Now != nil {
		d.now = d.ticks(d.clock.Now())
	}
	d.schedule()
	d.recount()
	if d.walk == TreesNever {
		// What waits in the unstable tree may then have the number of a content that
		// means another one now. Nothing but the price of a search depends on it: who
		// is found there is compared once more.
		d.mem.Recycle()
	}
	d.makeRoom()
	d.lookAgain()
}

// lookAgain takes notice of what has changed other than by merging: mappings that
// were looked up in advance are void then, and so is the table in place of the
// unstable tree.
func (d *Daemon) lookAgain() {
	v := d.mem.Version()
	if v == d.version {
		return
	}
	d.version = v
	d.seen = 0
	d.mappings = d.mappings[:0]
	if d.cursor.slot != headSlot && d.walk != TreesNever {
		for i := range d.trees {
			if t := &d.trees[i]; !t.real {
				d.growUnstable(t)
			}
		}
	}
}

// makeRoom makes the tables by content as long as they must be.
func (d *Daemon) makeRoom() {
	contents := d.mem.Contents()
	for i := range d.trees {
		if t := &d.trees[i]; len(t.by) < contents {
			t.by = append(t.by, make([]byContent, contents-len(t.by))...)
		}
	}
}

// recount finds out how many nodes have lost their page.
func (d *Daemon) recount() { d.dead = d.living - d.mem.KSMPages() }

// next moves the cursor to the next page that is to be looked at, and makes its
// item. It returns nil at the end of a scan. Mappings are looked up in advance for
// the left pages that the batch still has: behind it memory may have changed.
func (d *Daemon) next(left uint32) (*Mapping, *item, itemID) {
	if d.cursor.slot == headSlot {
		d.begin()
	}
	for {
		s := &d.slots[d.cursor.slot]
		for !s.exited {
			if d.seen == len(d.mappings) {
				all := d.mappings[:min(cap(d.mappings), int(left))]
				d.mappings = all[:d.mem.Candidates(s.of, d.cursor.index, all)]
				d.makeRoom() // the memory may number contents only as they are shown
				d.seen = 0
				if len(d.mappings) == 0 {
					break
				}
			}
			m := &d.mappings[d.seen]
			d.seen++
			it, id := d.itemAt(m.Index)
			if d.smart && m.Node == 0 && d.skip(it, id) {
				d.pagesSkipped++
				d.event(Event{Kind: Skipped, Process: s.of, Index: m.Index})
				continue
			}
			return m, it, id
		}
		here := d.cursor.slot
		if s.exited {
			d.enter(here)
		}
		// A process in which no page was visited and none can be leaves now; the scan
		// counts all the same (script no-process).
		nothing := d.cursor.index == 0 && (s.exited || !d.mem.Mergeable(s.of))
		d.dropRest()
		d.enter(d.slots[here].next)
		d.seen, d.mappings = 0, d.mappings[:0]
		if nothing {
			d.unregister(here)
		}
		if d.cursor.slot == headSlot {
			d.end()
			return nil, nil, 0
		}
	}
}

// begin starts a full scan.
func (d *Daemon) begin() {
	d.event(Event{Kind: ScanBegan, Count: d.items})
	d.advisor.begin(d.clock)
	d.mem.Recycle()
	for i := range d.trees {
		d.trees[i].emptyUnstable(d.items, d.walk == TreesAlways)
	}
	d.enter(d.slots[headSlot].next)
	d.seen, d.mappings = 0, d.mappings[:0]
}

// end finishes a full scan.
func (d *Daemon) end() {
	d.advise()
	d.event(Event{Kind: ScanEnded, Count: d.items})
	d.seq++
}

// skip decides whether smart scan passes over a page that is no KSM page: after
// its third visit, ever more of those that follow (script smart-scan-table).
func (d *Daemon) skip(it *item, id itemID) bool {
	age := it.age
	if age < 255 {
		it.age++
	}
	if age < 3 {
		return false
	}
	if it.skips == 0 {
		switch {
		case age <= 3:
			it.skips = 1
		case age <= 5:
			it.skips = 2
		case age <= 8:
			it.skips = 4
		default:
			it.skips = 8
		}
		return false
	}
	it.skips--
	d.detach(it, id)
	return true
}

// mergeStep is what the daemon does with one page.
func (d *Daemon) mergeStep(it *item, id itemID, m *Mapping) {
	if m.Node != 0 {
		if d.recent.visited.again(uint32(m.Node), d.pagesScanned) {
			d.work.Revisits++
		}
		d.meetShared(it, id, m)
		return
	}
	numa := 0
	if !d.knobs.MergeAcrossNodes {
		numa = d.mem.NUMANode(m.Page)
	}
	p := d.slots[d.cursor.slot].of
	if d.searchFirst && d.join(it, id, m, p, numa) {
		return
	}
	d.detach(it, id) // so that its checksum is there
	d.work.Checksums++
	if it.a != m.Sum {
		it.a = m.Sum
		d.event(Event{Kind: Changed, Process: p, Index: m.Index})
		return
	}
	if d.knobs.UseZeroPages && m.Content == 0 {
		merged := d.mem.MergeZero(p, m.Index)
		d.lookAgain()
		if merged {
			d.work.Zeros++
			d.recount()
			d.event(Event{Kind: Zeroed, Process: p, Index: m.Index})
			return
		}
		d.event(Event{Kind: Failed, Process: p, Index: m.Index})
	}
	if !d.searchFirst && d.join(it, id, m, p, numa) {
		return
	}
	equal, page, gaveUp := d.findOrInsert(it, id, m, numa)
	switch {
	case gaveUp:
	case equal == 0:
		d.event(Event{Kind: Unshared, Process: p, Index: m.Index})
	default:
		d.pair(it, id, m, p, equal, page, numa)
	}
}

// join merges a page with a KSM page of equal content, if one has room. It
// reports whether there was one: if merging fails the page is left for this scan.
func (d *Daemon) join(it *item, id itemID, m *Mapping, p Process, numa int) bool {
	n := d.search(m.Content, numa)
	if n == 0 {
		return false
	}
	d.detach(it, id)
	merged := d.mem.Merge(p, m.Index, d.node(n).page)
	d.lookAgain()
	if merged {
		d.work.Joins++
		if d.recent.joined.again(uint32(n), d.pagesScanned) {
			d.work.Rejoins++
		}
		d.recount()
		d.attach(it, id, n)
	} else {
		d.event(Event{Kind: Failed, Process: p, Index: m.Index})
	}
	return true
}

// pair makes a page and its partner from the unstable tree one KSM page. It is
// the page itself, the one scanned later, that both keep.
func (d *Daemon) pair(it *item, id itemID, m *Mapping, p Process, equal itemID, page Page, numa int) {
	n := Node(d.nodes.take())
	shared := d.mem.Share(p, *m, page, n)
	d.lookAgain()
	if !shared {
		d.nodes.give(uint32(n))
		d.event(Event{Kind: Failed, Process: p, Index: m.Index})
		return
	}
	tp, index := d.owner(equal)
	merged := d.mem.Merge(tp, index, m.Page)
	d.lookAgain()
	if !merged {
		d.mem.Unshare(p, *m)
		d.nodes.give(uint32(n))
		d.event(Event{Kind: Failed, Process: tp, Index: index})
		return
	}
	d.living++
	d.work.Pairs++
	d.recent.joined.again(uint32(n), d.pagesScanned)
	d.recount()
	other := d.item(equal)
	d.detach(other, equal)
	*d.node(n) = node{page: m.Page, content: m.Content, sum: m.Sum, numa: uint8(numa)}
	d.mem.Hold(m.Content)
	d.insert(n)
	d.attach(other, equal, n)
	d.attach(it, id, n)
}
