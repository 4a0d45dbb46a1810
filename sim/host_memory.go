package sim

import "github.com/ksmtop/ksmtop/scanner/ksmd"

// hostMemory is the Memory of a Host, whose guests have one area each, all of it
// mergeable. Guests write far more often than ksmd comes by: of a page that is
// rewritten each minute and visited once an hour only every sixtieth content is
// ever looked at. So a content is interned when ksmd looks, and till then the page
// has its number, in the place of the content and the checksum:
//
//	written   page{number, -----, users}      raw: its bit is set
//	             | ksmd looks
//	             v
//	          page{content, sum, users}       as Memory has it
//
// A write to a raw page touches its entry in the table and the page, no more. Memory
// itself must not give a process a raw page to write to: write is instead of its
// Write. A page that ksmd has looked at is not raw, and so no KSM page is.
//
// Writes go to places all over the memory, and each has to wait for two of them.
// So those of one moment are collected, and the places read beforehand, which a
// CPU does several at a time.
type hostMemory struct {
	*Memory
	later  []laterWrite // to the area of one guest
	read   uint32       // keeps reading beforehand from being optimized away
	passed uint64       // addresses that ksmd passed over, with nothing that can be merged
}

// newHostMemory returns a memory in which pages pages do not need to be moved.
func newHostMemory(pages int, opts MemoryOptions) hostMemory {
	m := NewMemory(opts)
	m.pages = make([]page, firstPage, firstPage+pages)
	m.contents.reserve(pages)
	return hostMemory{Memory: m, later: make([]laterWrite, 0, 256)}
}

type laterWrite struct {
	page, entry uint32
	number      uint64
}

func (m *hostMemory) setNumber(n uint32, number uint64) {
	pg := &m.pages[n]
	pg.content, pg.sum = ksmd.Content(number), uint32(number>>32)
}

func (m *hostMemory) setRaw(n uint32) {
	for int(n/64) >= len(m.raw) {
		m.raw = append(m.raw, 0)
	}
	m.raw[n/64] |= 1 << (n % 64)
}

// intern gives a raw page its content, and makes it one that Memory knows.
func (m *hostMemory) intern(n uint32) {
	pg := &m.pages[n]
	c := m.contents.intern(uint64(pg.sum)<<32 | uint64(pg.content))
	m.contents.retain(c)
	pg.content, pg.sum = c, m.contents.checksum(c)
	m.raw[n/64] &^= 1 << (n % 64)
}

// write gives page first+k of a guest the content content + k*step. It returns how
// many of the pages were KSM pages, zero pages placed for KSM, and not there.
func (m *hostMemory) write(p ksmd.Process, first, pages int, content, step uint64) (ksm, zero, absent int) {
	pr, a, table := m.rangeOf(p, 0, first, pages)
	absent = m.populate(pr, a, first, pages)
	for i := range table {
		k, z, n := m.writePage(pr, &table[i], content)
		ksm, zero, absent = ksm+k, zero+z, absent+n
		content += step
	}
	return ksm, zero, absent
}

// writeLater does the writes that were collected, to the area of a guest.
func (m *hostMemory) writeLater(p ksmd.Process) (ksm, zero, absent int) {
	pr := m.live(p)
	a := &pr.areas[0]
	table := a.table
	for i := range m.later {
		if a.huge {
			absent += m.populate(pr, a, int(m.later[i].page), 1)
		}
		m.later[i].entry = table[m.later[i].page]
	}
	for i := range m.later {
		if n := m.later[i].entry & lowMask; n >= firstPage {
			m.read |= uint32(m.pages[n].users)
		}
	}
	for i := range m.later {
		k, z, n := m.writePage(pr, &table[m.later[i].page], m.later[i].number)
		ksm, zero, absent = ksm+k, zero+z, absent+n
	}
	m.later = m.later[:0]
	m.version++
	return ksm, zero, absent
}

// writePage gives the page of an entry a content, and returns what it was, as write
// does.
func (m *hostMemory) writePage(pr *process, e *uint32, number uint64) (ksm, zero, absent int) {
	old := *e & lowMask
	switch {
	case old >= firstPage:
		pg := &m.pages[old]
		if pg.users.node() != 0 {
			ksm = 1
		} else if pg.users == 1 {
			if !m.isRaw(old) {
				m.contents.release(pg.content)
				m.setRaw(old)
			}
			m.setNumber(old, number)
			return 0, 0, 0
		}
	case old == zeroKSM || old == zeroSplit:
		zero = 1
	default:
		absent = 1
	}
	n := m.newPage(0, 0, 0)
	m.contents.release(0)
	m.setRaw(n)
	m.setNumber(n, number)
	*e = *e&mergeable | n
	m.drop(pr, old)
	return ksm, zero, absent
}

// free gives pages back, and returns how many of them were there.
func (m *hostMemory) free(p ksmd.Process, first, pages int) int {
	there := 0
	for _, e := range m.live(p).areas[0].table[first : first+pages] {
		if e&lowMask != untouched {
			there++
		}
	}
	m.DontNeed(p, 0, first, pages)
	return there
}

// Candidates implements ksmd.Memory.
func (m *hostMemory) Candidates(p ksmd.Process, from uint64, dst []ksmd.Mapping) int {
	n := m.Memory.Candidates(p, from, dst)
	for i := range dst[:n] {
		m.look(&dst[i])
	}
	areas := m.processes[p].areas
	switch {
	case n > 0:
		m.passed += dst[n-1].Index + 1 - from - uint64(n)
	case len(areas) > 0:
		m.passed += max(areas[len(areas)-1].end(), from) - from
	}
	return n
}

// Lookup implements ksmd.Memory.
func (m *hostMemory) Lookup(p ksmd.Process, index uint64) (ksmd.Mapping, bool) {
	at, ok := m.Memory.Lookup(p, index)
	if ok {
		m.look(&at)
	}
	return at, ok
}

// look interns the content of a page that is shown to ksmd.
func (m *hostMemory) look(at *ksmd.Mapping) {
	if n := uint32(at.Page); m.isRaw(n) {
		m.intern(n)
		at.Content, at.Sum = m.pages[n].content, m.pages[n].sum
	}
}

// ksmMapped counts the mappings of KSM pages, of all processes.
func (m *hostMemory) ksmMapped() int {
	all := 0
	for i := range m.processes {
		for _, a := range m.processes[i].areas {
			all += m.ksmIn(a.table)
		}
	}
	return all
}

// ksmIn counts the entries of a table that are KSM pages.
func (m *hostMemory) ksmIn(table []uint32) int {
	all := 0
	for _, e := range table {
		if n := e & lowMask; n >= firstPage && m.pages[n].users.node() != 0 {
			all++
		}
	}
	return all
}
