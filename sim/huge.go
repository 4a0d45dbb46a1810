package sim

import (
	"slices"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// A huge page is 512 pages that are mapped and freed as one. ksmd has an item for
// each of them and looks at it like at any other page. Only when one is really to be
// merged, or to become the zero page, the kernel splits the huge page first, for all
// who map it, and then it is 512 ordinary pages for good:
//
//	huge page    A B 0 0 C ...      ksmd finds B again elsewhere
//	                | split
//	                v
//	             A B . . C ...      .: the zero page
//	               | merged
//
// If the other B is in the same huge page, ksmd holds that twice, so that it cannot
// be split and nothing is merged. Then ksmd lets go of one and splits it after all.
// One page of each such huge page is late by a scan for that.
//
// Since Linux 6.12 the kernel does not keep the pages of zeros of a huge page that it
// splits: it frees them and maps the zero page. That saves memory as merging does,
// and counts nowhere, not even in ksm_zero_pages. A page of zeros that was itself to
// be merged has gone by then; that attempt fails. And one that waited in the unstable
// tree keeps its place there, where all searches for zeros give up until the next
// scan. So of huge pages that are full of zeros one is freed a scan, unless
// use_zero_pages has all of them replaced.
//
// A huge page comes, full of zeros, where one of its pages is written and none was
// there, in an area that wants huge pages. A forked child has its parent's huge pages,
// and gets ordinary pages where it writes. Pages that are given back one by one come
// again one by one. The kernel also makes huge pages of ordinary ones as time goes
// by, but not of those that are merged: that is left out.

// hugeUnit is the number of pages in a huge page, which begin at multiples of it
// from the first of their area on.
const hugeUnit = 512

// hugePages says which pages are in huge pages. The zero value is none.
type hugePages struct {
	keepZeros bool
	of        []uint32 // by page, as far as any is not 0: the number of its huge page
	made      uint32   // numbers given
	left      []uint32 // pages that stay when one is split; kept for the next time
}

// at returns the number of the huge page that a page is in, or 0.
func (h *hugePages) at(n uint32) uint32 {
	if int(n) >= len(h.of) {
		return 0
	}
	return h.of[n]
}

// same reports whether two pages are in one huge page.
func (h *hugePages) same(n, other uint32) bool {
	unit := h.at(n)
	return unit != 0 && unit == h.at(other)
}

// leave makes a page an ordinary one.
func (h *hugePages) leave(n uint32) {
	if int(n) < len(h.of) {
		h.of[n] = 0
	}
}

// MarkHuge makes the pages of an area come as huge ones from now on, as
// madvise(MADV_HUGEPAGE) does where transparent_hugepage is madvise.
func (m *Memory) MarkHuge(p ksmd.Process, area int) { m.live(p).areas[area].huge = true }

// populate makes what a write to a range needs of huge pages, and returns how many
// pages that were.
func (m *Memory) populate(pr *process, a *area, first, pages int) int {
	if !a.huge {
		return 0
	}
	made := 0
	for at := first / hugeUnit * hugeUnit; at < first+pages && at+hugeUnit <= len(a.table); at += hugeUnit {
		table := a.table[at : at+hugeUnit]
		if table[max(first-at, 0)]&lowMask == untouched && allUntouched(table) {
			m.makeHuge(pr, table)
			made += hugeUnit
		}
	}
	return made
}

func allUntouched(table []uint32) bool {
	return !slices.ContainsFunc(table, func(e uint32) bool { return e&lowMask != untouched })
}

// makeHuge puts a huge page of zeros into untouched entries.
func (m *Memory) makeHuge(pr *process, table []uint32) {
	h := &m.huge
	h.made++
	sum := m.contents.checksum(0)
	for i, e := range table {
		n := m.newPage(0, sum, pr.numaNode)
		if int(n) >= len(h.of) {
			h.of = append(h.of, make([]uint32, int(n)+1-len(h.of))...)
		}
		h.of[n] = h.made
		table[i] = e&mergeable | n
	}
}

// split splits the huge page in which p has a page at index, if it is in one.
func (m *Memory) split(p ksmd.Process, index uint64) {
	if m.huge.made == 0 {
		return
	}
	pr := &m.processes[p]
	e := pr.entry(index)
	if e == nil {
		return
	}
	unit := m.huge.at(*e & lowMask)
	if unit == 0 {
		return
	}
	m.version++
	mine := &pr.areas[pr.areaAt(index)]
	at := int(index-mine.first) / hugeUnit * hugeUnit
	m.freeZeros(pr, mine.table[at:at+hugeUnit], unit)
	if pr.isForked { // then others have the huge page at the same place
		for i := range m.processes {
			other := &m.processes[i]
			k := other.areaAt(index)
			if other.isForked && k < len(other.areas) && other.areas[k].first == mine.first && at+hugeUnit <= len(other.areas[k].table) {
				m.freeZeros(other, other.areas[k].table[at:at+hugeUnit], unit)
			}
		}
	}
	for _, n := range m.huge.left {
		m.huge.leave(n)
	}
	m.huge.left = m.huge.left[:0]
}

// freeZeros puts the zero page in place of the pages of zeros that a table has of a
// huge page, and notes the others down.
func (m *Memory) freeZeros(pr *process, table []uint32, unit uint32) {
	for i, e := range table {
		n := e & lowMask
		switch {
		case m.huge.at(n) != unit:
		case m.isZero(n) && !m.huge.keepZeros:
			table[i] = e&mergeable | zeroSplit
			pr.splits++
			m.drop(pr, n)
		default:
			m.huge.left = append(m.huge.left, n)
		}
	}
}

// isZero reports whether a page has zeros only.
func (m *Memory) isZero(n uint32) bool {
	pg := &m.pages[n]
	return pg.content == 0 && (pg.sum == 0 || !m.isRaw(n))
}

// FreedZeros returns how many pages of p were freed since they were zeros in a huge
// page that was split, and are the zero page now.
func (m *Memory) FreedZeros(p ksmd.Process) int { return m.processes[p].splits }
