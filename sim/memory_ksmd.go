package sim

import (
	"sort"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// The methods of Memory that ksmd uses are described in ksmd.Memory.

// Candidates implements ksmd.Memory.
func (m *Memory) Candidates(p ksmd.Process, from uint64, dst []ksmd.Mapping) int {
	pr := &m.processes[p]
	n := 0
	for i := pr.areaAt(from); i < len(pr.areas) && n < len(dst); i++ {
		a := &pr.areas[i]
		if a.mergeable == 0 {
			continue
		}
		start := max(from, a.first)
		n += m.candidates(a.table[start-a.first:], start, dst[n:])
	}
	return n
}

// candidates does the same for the entries of one area from index on.
func (m *Memory) candidates(table []uint32, index uint64, dst []ksmd.Mapping) int {
	n := 0
	pages := m.pages
	for i, e := range table {
		if e < mergeable|firstPage {
			continue
		}
		if n == len(dst) {
			break
		}
		number := e & lowMask
		pg := &pages[number]
		d := &dst[n]
		d.Index = index + uint64(i)
		d.Page = ksmd.Page(number)
		d.Node = pg.users.node()
		d.Content = pg.content
		d.Sum = pg.sum
		n++
	}
	return n
}

// Lookup implements ksmd.Memory.
func (m *Memory) Lookup(p ksmd.Process, index uint64) (ksmd.Mapping, bool) {
	e := m.processes[p].entry(index)
	if e == nil || *e < mergeable|firstPage {
		return ksmd.Mapping{}, false
	}
	number := *e & lowMask
	pg := &m.pages[number]
	return ksmd.Mapping{
		Index:   index,
		Page:    ksmd.Page(number),
		Node:    pg.users.node(),
		Content: pg.content,
		Sum:     pg.sum,
	}, true
}

// areaAt returns the number of the area that holds index, or of the next one.
func (pr *process) areaAt(index uint64) int {
	if len(pr.areas) == 0 || index < pr.areas[0].end() {
		return 0
	}
	return sort.Search(len(pr.areas), func(i int) bool { return index < pr.areas[i].end() })
}

// entry returns the entry of an index, or nil.
func (pr *process) entry(index uint64) *uint32 {
	i := pr.areaAt(index)
	if i == len(pr.areas) || index < pr.areas[i].first {
		return nil
	}
	a := &pr.areas[i]
	return &a.table[index-a.first]
}

// Mergeable implements ksmd.Memory.
func (m *Memory) Mergeable(p ksmd.Process) bool { return m.processes[p].mergeable > 0 }

// NodeOf implements ksmd.Memory.
func (m *Memory) NodeOf(page ksmd.Page) ksmd.Node { return m.pages[page].users.node() }

// NUMANode implements ksmd.Memory.
func (m *Memory) NUMANode(page ksmd.Page) int {
	if int(page) >= len(m.numaNodes) {
		return 0
	}
	return int(m.numaNodes[page])
}

// Compare implements ksmd.Memory.
func (m *Memory) Compare(a, b ksmd.Content) int { return m.contents.compare(a, b) }

// Hold implements ksmd.Memory.
func (m *Memory) Hold(c ksmd.Content) { m.contents.retain(c) }

// Release implements ksmd.Memory.
func (m *Memory) Release(c ksmd.Content) { m.contents.release(c) }

// Recycle implements ksmd.Memory.
func (m *Memory) Recycle() { m.contents.recycle() }

// Share implements ksmd.Memory.
func (m *Memory) Share(p ksmd.Process, at ksmd.Mapping, partner ksmd.Page, n ksmd.Node) bool {
	if m.huge.same(uint32(at.Page), uint32(partner)) {
		m.split(p, at.Index)
		return false
	}
	m.split(p, at.Index)
	e := m.processes[p].entry(at.Index)
	pg := &m.pages[at.Page]
	if e == nil || *e != mergeable|uint32(at.Page) || pg.users.node() != 0 {
		return false
	}
	for int(n) >= len(m.mapped) {
		m.mapped = append(m.mapped, 0)
	}
	m.mapped[n] = uint32(pg.users)
	pg.users = isKSM | users(n)
	m.ksmPages++
	return true
}

// Merge implements ksmd.Memory.
func (m *Memory) Merge(p ksmd.Process, index uint64, to ksmd.Page) bool {
	m.split(p, index)
	pr := &m.processes[p]
	e := pr.entry(index)
	if e == nil || *e < mergeable|firstPage {
		return false
	}
	old, target := *e&lowMask, &m.pages[to]
	node := target.users.node()
	if node == 0 || target.content != m.pages[old].content {
		return false
	}
	m.mapped[node]++
	*e = mergeable | uint32(to)
	m.drop(pr, old)
	return true
}

// MergeZero implements ksmd.Memory.
func (m *Memory) MergeZero(p ksmd.Process, index uint64) bool {
	m.split(p, index)
	pr := &m.processes[p]
	e := pr.entry(index)
	if e == nil || *e < mergeable|firstPage || m.pages[*e&lowMask].content != 0 {
		return false
	}
	m.drop(pr, *e&lowMask)
	*e = mergeable | zeroKSM
	pr.zeros++
	m.zeros++
	return true
}

// Unshare implements ksmd.Memory.
func (m *Memory) Unshare(p ksmd.Process, at ksmd.Mapping) {
	if pg := &m.pages[at.Page]; pg.users.node() != 0 {
		pg.users = users(*m.mappings(pg))
		m.ksmPages--
	}
}

// Unmerge implements ksmd.Memory.
func (m *Memory) Unmerge(p ksmd.Process) {
	pr := &m.processes[p]
	for i := range pr.areas {
		if pr.areas[i].mergeable > 0 {
			m.unmerge(pr, pr.areas[i].table)
		}
	}
}

// unmerge replaces what KSM placed in the mergeable entries of pr's table.
func (m *Memory) unmerge(pr *process, table []uint32) {
	for i, e := range table {
		if e < mergeable|zeroKSM {
			continue
		}
		old := e & lowMask
		var c ksmd.Content // of a zero page, 0
		if old >= firstPage {
			if m.pages[old].users.node() == 0 {
				continue
			}
			c = m.pages[old].content
		}
		table[i] = mergeable | m.newPage(c, m.contents.checksum(c), pr.numaNode)
		m.drop(pr, old)
	}
}

// ZeroPages implements ksmd.Memory.
func (m *Memory) ZeroPages(p ksmd.Process) int { return m.processes[p].zeros }

// AllZeroPages implements ksmd.Memory.
func (m *Memory) AllZeroPages() int { return m.zeros }

// KSMPages implements ksmd.Memory.
func (m *Memory) KSMPages() int { return m.ksmPages }

// Version implements ksmd.Memory.
func (m *Memory) Version() uint64 { return m.version }

// Contents implements ksmd.Memory.
func (m *Memory) Contents() int { return len(m.contents.entries) }
