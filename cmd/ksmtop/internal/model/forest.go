package model

import (
	"cmp"
	"slices"
	"sort"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Place says where a row stands in a tree or a group.
//
//	libvirtd (2 below)      Depth 0, Below 2
//	|- qemu                 Depth 1
//	|  `- helper            Depth 2, Last, Through bit 1
//	`- qemu                 Depth 1, Last
type Place struct {
	Depth   int
	Through uint64 // bit d: the line of depth d goes on below this row
	Last    bool   // no row of the same parent follows
	Below   int    // rows that descend from this one
	Shown   int    // of these, the ones that are shown, right after this row
	Closed  bool   // they are not shown, and the row has the sums of all
	Head    bool   // it is the row of a group and no process
}

// deepest is the depth of a tree from which on all is drawn as equally deep.
const deepest = 63

// forest brings rows into the order of trees. Its memory is used again.
type forest struct {
	index       map[int]int32 // PID -> place among the rows
	parent      []int32       // -1 for none
	first, next []int32       // children in order, -1 for none
	rows        []Row
}

const none = int32(-1)

// reset makes room for n rows.
func (f *forest) reset(n int) {
	if f.index == nil {
		f.index = make(map[int]int32)
	}
	clear(f.index)
	f.parent, f.first, f.next = f.parent[:0], f.first[:0], f.next[:0]
	for range n {
		f.parent, f.first, f.next = append(f.parent, none), append(f.first, none), append(f.next, none)
	}
	f.rows = f.rows[:0]
}

// tree brings rows into the order of a tree of parents and children, in which
// the children of one parent keep their order. The rows below closed ones are
// left out.
func (f *forest) tree(rows []Row, closed map[process]bool) []Row {
	f.reset(len(rows))
	for i := range rows {
		if at, ok := f.index[rows[i].PID]; !ok || rows[at].Gone { // one of two with this number has gone
			f.index[rows[i].PID] = int32(i)
		}
	}
	for i := range rows {
		r := &rows[i]
		if at, ok := f.index[r.PPID]; ok && r.PPID > 0 && isParent(&rows[at], r) {
			f.parent[i] = at
		}
	}
	// Backwards, so that the lists of children stand in the order of rows.
	for i := len(rows) - 1; i >= 0; i-- {
		if p := f.parent[i]; p != none {
			f.next[i], f.first[p] = f.first[p], int32(i)
		}
	}
	last := none
	for i := range rows {
		if f.parent[i] == none {
			last = int32(i)
		}
	}
	for i := range rows {
		if f.parent[i] == none {
			f.grow(rows, int32(i), branch{last: int32(i) == last, sum: none}, closed)
		}
	}
	rows, f.rows = f.rows, rows
	return rows
}

// isParent reports whether p can be the parent of r: it began before, or at the
// same tick with a smaller number. That also rules out rings.
func isParent(p, r *Row) bool {
	return p.Start < r.Start || p.Start == r.Start && p.PID < r.PID
}

// branch says where a row of a tree stands that is being laid out.
type branch struct {
	depth   int
	through uint64
	last    bool
	sum     int32 // the closed row above it, to whose sums it adds and which hides it, or none
}

// grow appends row i and all below it, and returns how many rows are below and
// how many of these are shown.
func (f *forest) grow(rows []Row, i int32, b branch, closed map[process]bool) (below, shown int) {
	at := int32(len(f.rows))
	under := branch{depth: b.depth + 1, through: b.through, sum: b.sum}
	if !b.last && b.depth <= deepest {
		under.through |= 1 << b.depth
	}
	if b.sum != none {
		f.rows[b.sum].add(&rows[i])
	} else {
		f.rows = append(f.rows, rows[i])
		f.rows[at].Place = Place{Depth: b.depth, Through: b.through, Last: b.last}
		if f.first[i] != none && closed[rows[i].id()] {
			f.rows[at].Place.Closed = true
			under.sum = at
		}
	}
	for child := f.first[i]; child != none; child = f.next[child] {
		under.last = f.next[child] == none
		n, s := f.grow(rows, child, under, closed)
		below += 1 + n
		if under.sum == none {
			shown += 1 + s
		}
	}
	if b.sum == none {
		f.rows[at].Place.Below, f.rows[at].Place.Shown = below, shown
	}
	return below, shown
}

// add adds what another row has to the sums of r.
func (r *Row) add(o *Row) {
	r.KSM.RmapItems += o.KSM.RmapItems
	r.KSM.ZeroPages += o.KSM.ZeroPages
	r.KSM.MergingPages += o.KSM.MergingPages
	r.KSM.Profit += o.KSM.Profit
	r.KSM.MergeAny = r.KSM.MergeAny || o.KSM.MergeAny
	r.KSM.Mergeable = r.KSM.Mergeable || o.KSM.Mergeable
	r.KSM.Present |= o.KSM.Present &^ (sysfs.KSMMergeAny | sysfs.KSMMergeable)
	r.RSS += o.RSS
	r.Saved += o.Saved
	r.Net += o.Net
	r.Profit += o.Profit
	if o.HasTrend {
		r.Trend, r.HasTrend = r.Trend+o.Trend, true
	}
}

// Grouping is what the rows of one group have in common.
type Grouping uint8

// The groupings.
const (
	NoGroups Grouping = iota
	ByUser
	ByCommand
	ByCgroup
	ByGuest
)

// Groupings names the groupings, as menus and the title show them.
var Groupings = [...]string{"none", "user", "command", "cgroup", "virtual machine"}

// groupOf returns the name of r's group.
func (g Grouping) groupOf(r *Row) string {
	name := ""
	switch g {
	case ByUser:
		name = r.User
	case ByCommand:
		name = r.Name
	case ByCgroup:
		if name = r.Cgroup; name == "" {
			return "(no cgroup)"
		}
	case ByGuest:
		if name = r.Guest; name == "" {
			return "(no virtual machine or container)"
		}
	}
	return name
}

// groups puts a row with the sums above the rows of each group. The groups are
// in the order of their sums, the rows of one group keep theirs.
func (f *forest) groups(rows []Row, by Grouping, column *Column, inverted bool, closed map[process]bool) []Row {
	o := grouped{rows, by}
	sort.Stable(&o)
	f.reset(0)
	heads := 0
	// First all heads, to be sorted, each with the place of its first row.
	for i := range rows {
		if i == 0 || by.groupOf(&rows[i-1]) != by.groupOf(&rows[i]) {
			f.rows = append(f.rows, Row{Name: by.groupOf(&rows[i]), Command: by.groupOf(&rows[i]), User: rows[i].User})
			h := &f.rows[heads]
			h.PID, h.Place.Head = 1+i, true
			if by != ByUser {
				h.User = ""
			}
			heads++
		}
		h := &f.rows[heads-1]
		h.add(&rows[i])
		h.Place.Below++
	}
	Sort(f.rows, column, inverted)
	for i := range heads {
		h := f.rows[i]
		from := h.PID - 1
		h.PID, h.Start = 0, hash(h.Name)
		h.Place.Closed = closed[h.id()]
		if !h.Place.Closed {
			h.Place.Shown = h.Place.Below
		}
		f.rows = append(f.rows, h)
		for j := from; j < from+h.Place.Shown; j++ {
			f.rows = append(f.rows, rows[j])
			f.rows[len(f.rows)-1].Place = Place{Depth: 1, Last: j == from+h.Place.Shown-1}
		}
	}
	f.rows = slices.Delete(f.rows, 0, heads)
	rows, f.rows = f.rows, rows
	return rows
}

// hash is FNV-1a: the name of a group as the number that identifies it.
func hash(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}

// grouped sorts rows by the name of their group.
type grouped struct {
	rows []Row
	by   Grouping
}

func (g *grouped) Len() int      { return len(g.rows) }
func (g *grouped) Swap(i, j int) { g.rows[i], g.rows[j] = g.rows[j], g.rows[i] }
func (g *grouped) Less(i, j int) bool {
	return cmp.Less(g.by.groupOf(&g.rows[i]), g.by.groupOf(&g.rows[j]))
}
