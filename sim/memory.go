package sim

import (
	"slices"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// A Memory is a table of pages, and for each area of each process a table of
// what is mapped there, one word of 32 bits per page:
//
//	process 1, area 0   M12  M12  M13  zero  -        M: mergeable
//	process 2, area 0   M12   14   15  zero  -        2 is a forked child of 1
//	                     |
//	pages     12: content 7, node 1, 3 mappings       a KSM page
//	          13: content 5, 1 mapping                a page of its own
//
// That is 16 bytes for a page that is mapped once, and nothing else grows with
// the memory but what its contents need. How many map a KSM page is kept by its
// node. Operations on a range are one loop over its words; a page costs at most
// two cache misses beside those of its content.
//
// Semantics are those of private anonymous memory without swap, pinned pages or
// lack of memory: a page that ksmd wants to merge can always be merged, unless a
// huge page is in the way (huge.go).

// An entry of a page table is a word: mergeable or 0, plus one of the following
// or the number of a page, which is at least firstPage.
const (
	untouched = iota // nothing is mapped
	zeroRead         // the zero page, since a page was read before it was written
	zeroSplit        // the zero page, since a huge page with zeros was split
	zeroKSM          // the zero page, placed by KSM
	gone             // unmapped for good
	firstPage

	mergeable = 1 << 31
	lowMask   = mergeable - 1
)

// page is a physical page. A free one has no mappings.
type page struct {
	content ksmd.Content // of a free page: the number of the next free one
	sum     uint32       // checksum of the content: Candidates need not look it up
	users   users
}

// users is who maps a page: the number of mappings, or with isKSM the node of a KSM
// page, and Memory.mapped has the number of its mappings.
type users uint32

const isKSM users = 1 << 31

// node returns the node of a KSM page, or 0.
func (u users) node() ksmd.Node {
	if u&isKSM == 0 {
		return 0
	}
	return ksmd.Node(u &^ isKSM)
}

// area is a range of addresses that were mapped together.
type area struct {
	first     uint64   // index of the first page
	table     []uint32 // entries; nil when all are gone
	mapped    int      // entries that are not gone
	mergeable int      // entries that are mergeable
	huge      bool     // pages come as huge ones where they can
}

func (a *area) end() uint64 { return a.first + uint64(len(a.table)) }

// has reports whether the area has a range, none of which is gone.
func (a *area) has(first, pages int) bool {
	if first < 0 || pages < 0 || first > len(a.table) || pages > len(a.table)-first {
		return false
	}
	return a.mapped == len(a.table) || !slices.Contains(a.table[first:first+pages], gone)
}

type process struct {
	areas     []area // ascending
	next      uint64 // the index at which the next area begins
	mergeable int    // mergeable pages of all areas
	zeros     int    // zero pages placed by KSM
	splits    int    // zero pages placed as huge pages were split
	numaNode  uint8
	alive     bool
	isForked  bool // it is a child, or has had one
}

// MemoryOptions says how a Memory is made. The zero value is a good one.
type MemoryOptions struct {
	// ExactChecksums makes the checksum of a content that of its bytes, as the
	// kernel computes it: about a microsecond for each content that is new. Without,
	// it is another hash of the content's number. ksmd tells by checksums only
	// whether a page has changed, so the difference shows where the bytes before
	// and after a change have the same one, once in 2^32 changes.
	ExactChecksums bool

	// KeepZeros is how Linux did it before 6.12: pages of zeros stay when a huge page
	// is split.
	KeepZeros bool
}

// Memory is the memory of a machine that does not exist: processes, their areas,
// and pages that have a number for a content (see Fill). It implements
// ksmd.Memory. Areas of a process are numbered from 0 in the order in which they
// were mapped; they lie at ascending addresses with a page of unmapped space
// between them. A forked child has the areas of its parent.
//
// Methods panic if a process does not live, or a page is outside its area or
// unmapped. A Memory is deterministic, and not for concurrent use. Make it with
// NewMemory.
type Memory struct {
	contents  contents
	pages     []page   // by number; the first firstPage are not used
	mapped    []uint32 // mappings of KSM pages, by node
	free      uint32   // head of the list of free pages, 0 is none
	inUse     int
	ksmPages  int
	zeros     int      // zero pages placed by KSM
	raw       []uint64 // a bit for each page, as far as any is set: hostMemory says which
	huge      hugePages
	numaNodes []uint8   // by page, as far as any is not 0
	noZero    bool      // reads make pages, see Machine.MapNoZeroPage
	processes []process // by number; the first is not used
	version   uint64
}

var _ ksmd.Memory = (*Memory)(nil)

// NewMemory returns a memory without processes.
func NewMemory(opts MemoryOptions) *Memory {
	return &Memory{
		contents:  newContents(opts.ExactChecksums),
		pages:     make([]page, firstPage),
		processes: make([]process, 1),
		huge:      hugePages{keepZeros: opts.KeepZeros},
	}
}

// Spawn starts a process without areas.
func (m *Memory) Spawn() ksmd.Process {
	m.processes = append(m.processes, process{next: 1, alive: true})
	return ksmd.Process(len(m.processes) - 1)
}

// Fork starts a copy of parent. They share all pages until one writes.
func (m *Memory) Fork(parent ksmd.Process) ksmd.Process {
	m.live(parent).isForked = true
	child := *m.live(parent)
	child.areas = slices.Clone(child.areas)
	for i := range child.areas {
		a := &child.areas[i]
		a.table = slices.Clone(a.table)
		for _, e := range a.table {
			if n := e & lowMask; n >= firstPage {
				*m.mappings(&m.pages[n])++
			}
		}
	}
	m.zeros += child.zeros
	m.version++
	m.processes = append(m.processes, child)
	return ksmd.Process(len(m.processes) - 1)
}

// Exit ends a process and unmaps all its memory.
func (m *Memory) Exit(p ksmd.Process) {
	pr := m.live(p)
	for i := range pr.areas {
		for _, e := range pr.areas[i].table {
			m.drop(pr, e&lowMask)
		}
	}
	*pr = process{}
	m.version++
}

// SetNUMANode makes pages that p touches from now on lie on a NUMA node, from 0
// to 255. It is 0 in a new process, and a child's is its parent's.
func (m *Memory) SetNUMANode(p ksmd.Process, node uint8) { m.live(p).numaNode = node }

// Map gives p a further area of untouched pages and returns its number.
func (m *Memory) Map(p ksmd.Process, pages int) int {
	pr := m.live(p)
	pr.areas = append(pr.areas, area{first: pr.next, table: make([]uint32, pages), mapped: pages})
	pr.next += uint64(pages) + 1
	return len(pr.areas) - 1
}

// Mapped reports whether the area has pages pages from page first on and none of
// them is unmapped.
func (m *Memory) Mapped(p ksmd.Process, area, first, pages int) bool {
	return m.live(p).areas[area].has(first, pages)
}

// Unmap unmaps a range of an area. Its pages cannot be used again.
func (m *Memory) Unmap(p ksmd.Process, area, first, pages int) {
	pr, a, table := m.rangeOf(p, area, first, pages)
	marked := 0
	for i, e := range table {
		m.drop(pr, e&lowMask)
		marked += int(e / mergeable)
		table[i] = gone
	}
	a.mergeable -= marked
	pr.mergeable -= marked
	a.mapped -= pages
	if a.mapped == 0 {
		a.table = nil
	}
}

// Write gives page first+k of an area the content content + k*step, ascending. A
// page that is shared or a KSM page is copied, unless it is an ordinary one and
// its other users have gone. One that is not there, or is the zero page, appears.
func (m *Memory) Write(p ksmd.Process, area, first, pages int, content, step uint64) {
	pr, a, table := m.rangeOf(p, area, first, pages)
	m.populate(pr, a, first, pages)
	m.pages = slices.Grow(m.pages, appearing(table))
	var c ksmd.Content
	var sum uint32
	for i, e := range table {
		if i == 0 || step != 0 {
			c = m.contents.intern(content)
			sum = m.contents.checksum(c)
			content += step
		}
		old := e & lowMask
		if old >= firstPage {
			if pg := &m.pages[old]; pg.users == 1 {
				m.contents.retain(c)
				m.contents.release(pg.content)
				pg.content, pg.sum = c, sum
				continue
			}
		}
		table[i] = e&mergeable | m.newPage(c, sum, pr.numaNode)
		m.drop(pr, old)
	}
}

// appearing returns how many entries of a table have no page.
func appearing(table []uint32) int {
	n := 0
	for _, e := range table {
		if e&lowMask < firstPage {
			n++
		}
	}
	return n
}

// Read reads from each page of a range. One that is not there becomes the zero
// page, or a page of zeros where the kernel maps none.
func (m *Memory) Read(p ksmd.Process, area, first, pages int) {
	_, _, table := m.rangeOf(p, area, first, pages)
	for i, e := range table {
		if e&lowMask != untouched {
			continue
		}
		if m.noZero {
			m.Write(p, area, first+i, 1, 0, 0)
		} else {
			table[i] = e | zeroRead
		}
	}
}

// DontNeed drops the pages of a range, as madvise(MADV_DONTNEED) does: it is as
// untouched.
func (m *Memory) DontNeed(p ksmd.Process, area, first, pages int) {
	pr, _, table := m.rangeOf(p, area, first, pages)
	for i, e := range table {
		m.drop(pr, e&lowMask)
		table[i] = e & mergeable // untouched
	}
}

// MarkMergeable makes a range mergeable, as madvise(MADV_MERGEABLE) does.
func (m *Memory) MarkMergeable(p ksmd.Process, area, first, pages int) {
	pr, a, table := m.rangeOf(p, area, first, pages)
	marked := 0
	for i, e := range table {
		marked += 1 - int(e/mergeable)
		table[i] = e | mergeable
	}
	a.mergeable += marked
	pr.mergeable += marked
}

// UnmarkMergeable undoes that, as madvise(MADV_UNMERGEABLE) does: where the range
// was mergeable, every KSM page and every zero page that KSM placed is replaced
// by a private copy.
func (m *Memory) UnmarkMergeable(p ksmd.Process, area, first, pages int) {
	pr, a, table := m.rangeOf(p, area, first, pages)
	m.unmerge(pr, table)
	marked := 0
	for i, e := range table {
		marked += int(e / mergeable)
		table[i] = e & lowMask
	}
	a.mergeable -= marked
	pr.mergeable -= marked
}

// Pages returns how many pages are in use.
func (m *Memory) Pages() int { return m.inUse }

// live returns a process that lives.
func (m *Memory) live(p ksmd.Process) *process {
	pr := &m.processes[p]
	if !pr.alive {
		panic("sim: the process does not live")
	}
	return pr
}

// rangeOf returns a process, its area and the entries of a range of that, which
// is about to be changed.
func (m *Memory) rangeOf(p ksmd.Process, area, first, pages int) (*process, *area, []uint32) {
	pr := m.live(p)
	a := &pr.areas[area]
	if !a.has(first, pages) {
		panic("sim: no such pages")
	}
	m.version++
	return pr, a, a.table[first : first+pages : first+pages]
}

// mappings returns how many map a page, to be changed.
func (m *Memory) mappings(pg *page) *uint32 {
	if n := pg.users.node(); n != 0 {
		return &m.mapped[n]
	}
	return (*uint32)(&pg.users)
}

// isRaw reports whether a page has the number of its content in place of content
// and sum.
func (m *Memory) isRaw(n uint32) bool {
	return int(n/64) < len(m.raw) && m.raw[n/64]>>(n%64)&1 != 0
}

// newPage returns the number of a new page with one mapping.
func (m *Memory) newPage(c ksmd.Content, sum uint32, numaNode uint8) uint32 {
	m.contents.retain(c)
	m.inUse++
	n := m.free
	if n != 0 {
		m.free = uint32(m.pages[n].content)
		m.pages[n] = page{content: c, sum: sum, users: 1}
	} else {
		n = uint32(len(m.pages))
		if n == mergeable {
			panic("sim: a memory has less than 2^31 pages")
		}
		m.pages = append(m.pages, page{content: c, sum: sum, users: 1})
	}
	if numaNode != 0 && int(n) >= len(m.numaNodes) {
		m.numaNodes = append(m.numaNodes, make([]uint8, int(n)+1-len(m.numaNodes))...)
	}
	if int(n) < len(m.numaNodes) {
		m.numaNodes[n] = numaNode
	}
	return n
}

// drop ends one mapping of what was mapped in pr, without its mergeable bit. The
// caller overwrites the entry.
func (m *Memory) drop(pr *process, old uint32) {
	switch {
	case old >= firstPage:
		pg := &m.pages[old]
		left := m.mappings(pg)
		*left--
		if *left > 0 {
			return
		}
		if pg.users.node() != 0 {
			m.ksmPages--
		}
		if m.isRaw(old) {
			m.raw[old/64] &^= 1 << (old % 64)
		} else {
			m.contents.release(pg.content)
		}
		m.huge.leave(old)
		*pg = page{content: ksmd.Content(m.free)}
		m.free = old
		m.inUse--
	case old == zeroKSM:
		pr.zeros--
		m.zeros--
	case old == zeroSplit:
		pr.splits--
	}
}
