package ksmd

import "math/bits"

// Most pages of most scans are as they were at the last one: merged, or alone with
// their content. sweep visits a row of such pages with what mergeStep would come to
// for them, and no more. It stops before the first page for which anything else
// could be true, and leaves that to mergeStep.
//
// It looks at the pages of one block of items, of those that are looked up, and at
// most left of them; it returns how many it visited.
func (d *Daemon) sweep(left uint32) uint32 {
	blk := d.cursor.at
	t := &d.trees[0]
	if blk == nil || t.real || d.mustWalk() || d.smart || d.searchFirst ||
		!d.knobs.MergeAcrossNodes || d.observe != nil {
		return 0
	}
	ahead := d.mappings[d.seen:]
	ahead = ahead[:min(len(ahead), int(left), sameClass(t.inUnstable.all))]
	index, first := d.cursor.index, itemID(d.cursor.block*blockPages)
	log, by := t.log, t.by
	alone, searchedAgain, metAgain := 0, 0, 0
	n := 0
	for ; n < len(ahead); n++ {
		m := &ahead[n]
		off := m.Index - blk.first
		if m.Index != index || off >= blockPages || blk.exists>>off&1 == 0 {
			break
		}
		it := &blk.items[off]
		if m.Node != 0 {
			if it.place != inStable || Node(it.a) != m.Node {
				break
			}
			if d.recent.visited.again(uint32(m.Node), d.pagesScanned+uint64(n)) {
				d.work.Revisits++
			}
		} else {
			if it.place != inUnstable || it.a != m.Sum || m.Content == 0 && d.knobs.UseZeroPages {
				break
			}
			c, id := &by[m.Content], first+itemID(off)
			if *c&inStableTree != 0 {
				break
			}
			// Its place in the tree of the last scan is gone; it takes one in this.
			if t.noLog {
				if d.lookUpItem(t, m.Content, itemID(*c)) != 0 {
					break
				}
				*c = byContent(id)
			} else {
				if at := uint32(*c) - 1; at < uint32(len(log)) && log[at].content == m.Content {
					break
				}
				log = append(log, insertion{id: id, content: m.Content})
				*c = byContent(len(log))
			}
			it.numa = 0
			it.b, it.c = uint32(d.seq), uint32(m.Content)
			alone++
			alike := d.alike != nil && d.alike(m.Content)
			if d.recent.stable.again(uint32(m.Content), d.pagesScanned+uint64(n)) {
				searchedAgain++
			} else if alike {
				d.work.Stable.Alike[SizeClass(t.inStable.alike)]++
			}
			if d.recent.unstable.again(uint32(m.Content), d.pagesScanned+uint64(n)) {
				metAgain++
			} else if alike {
				d.work.Unstable.Alike[SizeClass(t.inUnstable.alike)]++
			}
			if alike {
				t.inUnstable.alike++
			}
		}
		index++
	}
	t.log = log
	d.cursor.index = index
	d.seen += n
	d.pagesScanned += uint64(n)
	d.swept += uint64(n)
	if alone > 0 {
		d.work.Checksums += uint64(alone)
		stable, unstable := t.inStable.class, t.inUnstable.class
		d.work.Stable.Searches[stable] += uint64(alone)
		d.work.Stable.Again[stable] += uint64(searchedAgain)
		d.work.Unstable.Searches[unstable] += uint64(alone)
		d.work.Unstable.Again[unstable] += uint64(metAgain)
		t.inUnstable.grow(alone)
	}
	return uint32(n)
}

// sameClass returns how much a size may grow until it is of the next class.
func sameClass(size int) int {
	b := bits.Len(uint(size))
	if b < 2 {
		return 1
	}
	if half := 3 << (b - 2); size < half {
		return half - size
	}
	return 1<<b - size
}
