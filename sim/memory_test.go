package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// twin is a memory too slow and simple to be wrong: every page knows who maps it.
type twin struct {
	processes map[ksmd.Process]*twinProcess
}

type twinProcess struct {
	areas []*twinArea
	next  uint64
}

type twinArea struct {
	first   uint64
	entries []*twinEntry
}

type twinEntry struct {
	what      string // "", "zero", "ksm zero", "gone" or "page"
	page      *twinPage
	mergeable bool
}

type twinPage struct {
	content uint64
	node    ksmd.Node
	owners  map[*twinEntry]bool
}

func (e *twinEntry) set(what string, page *twinPage) {
	if e.page != nil {
		delete(e.page.owners, e)
	}
	e.what, e.page = what, page
	if page != nil {
		page.owners[e] = true
	}
}

func (e *twinEntry) setNew(content uint64) {
	e.set("page", &twinPage{content: content, owners: map[*twinEntry]bool{}})
}

func (e *twinEntry) candidate() bool { return e.what == "page" && e.mergeable }

func (e *twinEntry) unmerge() {
	switch {
	case !e.mergeable:
	case e.what == "ksm zero":
		e.setNew(0)
	case e.what == "page" && e.page.node != 0:
		e.setNew(e.page.content)
	}
}

func (p *twinProcess) each(do func(index uint64, e *twinEntry)) {
	for _, a := range p.areas {
		for i, e := range a.entries {
			do(a.first+uint64(i), e)
		}
	}
}

func (w *twin) fork(parent, child ksmd.Process) {
	from := w.processes[parent]
	to := &twinProcess{next: from.next}
	for _, a := range from.areas {
		b := &twinArea{first: a.first}
		for _, e := range a.entries {
			c := &twinEntry{mergeable: e.mergeable}
			c.set(e.what, e.page)
			b.entries = append(b.entries, c)
		}
		to.areas = append(to.areas, b)
	}
	w.processes[child] = to
}

// pair is a Memory and its twin, and what must stay true of content numbers.
type pair struct {
	t    *testing.T
	m    *Memory
	w    twin
	last ksmd.Process
	node ksmd.Node
	held []ksmd.Content
	// means is what each content in use since the last Recycle stands for.
	means map[ksmd.Content]uint64
}

func newPair(t *testing.T) *pair {
	return &pair{
		t:     t,
		m:     NewMemory(MemoryOptions{}),
		w:     twin{processes: map[ksmd.Process]*twinProcess{}},
		means: map[ksmd.Content]uint64{},
	}
}

// run interprets ops as operations, and compares after each. It returns how many
// operations changed something.
func (c *pair) run(ops []byte) int {
	done := 0
	next := func(n int) int {
		if len(ops) == 0 {
			return 0
		}
		b := ops[0]
		ops = ops[1:]
		return int(b) % n
	}
	for len(ops) > 0 {
		before, version := c.view(), c.m.Version()
		name, daemon, ok := c.step(next)
		if !ok {
			continue
		}
		done++
		after := c.view()
		c.check(name)
		changed := before != after
		if got := c.m.Version(); daemon && got != version || !daemon && changed && got <= version {
			c.t.Fatalf("%s: Version %d -> %d, changed = %v", name, version, got, changed)
		}
	}
	return done
}

// step does one operation. It reports its name, whether it is one of ksmd's, and
// whether it was possible.
func (c *pair) step(next func(int) int) (name string, daemon, ok bool) {
	op := next(20)
	if op == 0 || len(c.w.processes) == 0 {
		if len(c.w.processes) == 6 {
			return "", false, false
		}
		c.last = c.m.Spawn()
		c.w.processes[c.last] = &twinProcess{next: 1}
		return "spawn", false, true
	}
	// The n-th process that lives.
	var live []ksmd.Process
	for p := range c.last + 1 {
		if c.w.processes[p] != nil {
			live = append(live, p)
		}
	}
	p := live[next(len(live))]
	tp := c.w.processes[p]
	switch op {
	case 1:
		if len(live) == 6 {
			return "", false, false
		}
		c.last = c.m.Fork(p)
		c.w.fork(p, c.last)
		return "fork", false, true
	case 2:
		c.m.Exit(p)
		tp.each(func(_ uint64, e *twinEntry) { e.set("gone", nil) })
		delete(c.w.processes, p)
		return "exit", false, true
	case 3:
		if len(tp.areas) == 4 {
			return "", false, false
		}
		n := 1 + next(20)
		a := &twinArea{first: tp.next}
		for range n {
			a.entries = append(a.entries, &twinEntry{})
		}
		tp.next += uint64(n) + 1
		tp.areas = append(tp.areas, a)
		if got := c.m.Map(p, n); got != len(tp.areas)-1 {
			c.t.Fatalf("Map = %d, want %d", got, len(tp.areas)-1)
		}
		return "map", false, true
	case 4, 5, 6, 7, 8:
		return c.daemonStep(op, p, next)
	}
	if len(tp.areas) == 0 {
		return "", false, false
	}
	number := next(len(tp.areas))
	a := tp.areas[number]
	first := next(len(a.entries))
	n := 1 + next(len(a.entries)-first)
	entries := a.entries[first : first+n]
	mapped := !slices.ContainsFunc(entries, func(e *twinEntry) bool { return e.what == "gone" })
	if got := c.m.Mapped(p, number, first, n); got != mapped {
		c.t.Fatalf("Mapped(%d, %d, %d, %d) = %v, want %v", p, number, first, n, got, mapped)
	}
	if !mapped {
		return "", false, false
	}
	switch op {
	case 9:
		c.m.Unmap(p, number, first, n)
		for _, e := range entries {
			e.set("gone", nil)
			e.mergeable = false
		}
		return "unmap", false, true
	case 10:
		c.m.Read(p, number, first, n)
		for _, e := range entries {
			if e.what == "" {
				e.set("zero", nil)
			}
		}
		return "read", false, true
	case 11:
		c.m.DontNeed(p, number, first, n)
		for _, e := range entries {
			e.set("", nil)
		}
		return "dontneed", false, true
	case 12, 13:
		c.m.MarkMergeable(p, number, first, n)
		for _, e := range entries {
			e.mergeable = true
		}
		return "mergeable", false, true
	case 14:
		c.m.UnmarkMergeable(p, number, first, n)
		for _, e := range entries {
			e.unmerge()
			e.mergeable = false
		}
		return "unmergeable", false, true
	}
	content, step := uint64(next(6)), uint64(op&1)
	if op >= 18 {
		content = mix(content+uint64(next(40))) >> 1
	}
	c.m.Write(p, number, first, n, content, step)
	for k, e := range entries {
		if to := content + uint64(k)*step; e.what == "page" && e.page.node == 0 && len(e.page.owners) == 1 {
			e.page.content = to
		} else {
			e.setNew(to)
		}
	}
	return "write", false, true
}

// daemonStep does something that ksmd may do. p lives.
func (c *pair) daemonStep(op int, p ksmd.Process, next func(int) int) (name string, daemon, ok bool) {
	tp := c.w.processes[p]
	if op == 4 {
		switch next(4) {
		case 0:
			c.m.Unmerge(p)
			tp.each(func(_ uint64, e *twinEntry) { e.unmerge() })
			return "unmerge", true, true
		case 1:
			c.m.Recycle()
			c.forget()
			return "recycle", true, true
		case 2:
			if n := len(c.held); n > 0 {
				c.m.Release(c.held[n-1])
				c.held = c.held[:n-1]
			}
			return "release", true, true
		}
		if all := c.mappings(p); len(all) > 0 {
			id := all[next(len(all))].Content
			c.m.Hold(id)
			c.held = append(c.held, id)
		}
		return "hold", true, true
	}
	// Any page of p, a candidate or not, and any other page that is mapped.
	if tp.next == 1 {
		return "", true, false
	}
	index := uint64(next(int(tp.next)))
	mapping, found := c.m.Lookup(p, index)
	var e *twinEntry
	tp.each(func(i uint64, at *twinEntry) {
		if i == index && at.candidate() {
			e = at
		}
	})
	if found != (e != nil) {
		c.t.Fatalf("Lookup(%d, %d) = %v, want %v", p, index, found, e != nil)
	}
	switch op {
	case 5:
		c.node++
		got := c.m.Share(p, mapping, 0, c.node)
		want := e != nil && e.page.node == 0
		if got != want {
			c.t.Fatalf("Share(%d, %d) = %v, want %v", p, index, got, want)
		}
		if want {
			e.page.node = c.node
		}
		return "share", true, true
	case 6:
		for _, other := range []ksmd.Process{p, c.last} {
			for _, to := range c.mappings(other) {
				page := c.twinOf(other, to.Index)
				got := c.m.Merge(p, index, to.Page)
				want := e != nil && page.node != 0 && page.content == e.page.content
				if got != want {
					c.t.Fatalf("Merge(%d, %d, %d) = %v, want %v", p, index, to.Page, got, want)
				}
				if want {
					e.set("page", page)
					return "merge", true, true
				}
			}
		}
		return "merge nothing", true, true
	case 7:
		got := c.m.MergeZero(p, index)
		want := e != nil && e.page.content == 0
		if got != want {
			c.t.Fatalf("MergeZero(%d, %d) = %v, want %v", p, index, got, want)
		}
		if want {
			e.set("ksm zero", nil)
		}
		return "merge zero", true, true
	}
	if e == nil || next(4) != 0 {
		return "", true, false
	}
	c.m.Unshare(p, mapping)
	e.page.node = 0
	return "unshare", true, true
}

// mappings returns all candidates of p, and holds Candidates to what it promises
// about where it begins and ends.
func (c *pair) mappings(p ksmd.Process) []ksmd.Mapping {
	dst := make([]ksmd.Mapping, 100)
	all := dst[:c.m.Candidates(p, 0, dst)]
	for i, from := range all {
		few := make([]ksmd.Mapping, 3)
		n := c.m.Candidates(p, from.Index, few)
		if n == 0 || !slices.Equal(few[:n], all[i:i+n]) {
			c.t.Fatalf("Candidates(%d, %d) = %v, want the first of %v", p, from.Index, few[:n], all[i:])
		}
		if got, ok := c.m.Lookup(p, from.Index); !ok || got != from {
			c.t.Fatalf("Lookup(%d, %d) = %v, %v, want %v", p, from.Index, got, ok, from)
		}
	}
	if len(all) > 0 {
		if n := c.m.Candidates(p, all[len(all)-1].Index+1, dst[len(all):]); n != 0 {
			c.t.Fatalf("Candidates(%d) finds %d behind the last", p, n)
		}
	}
	return all
}

func (c *pair) twinOf(p ksmd.Process, index uint64) *twinPage {
	var page *twinPage
	if tp := c.w.processes[p]; tp != nil {
		tp.each(func(i uint64, e *twinEntry) {
			if i == index {
				page = e.page
			}
		})
	}
	return page
}

// view is what Version watches.
func (c *pair) view() string {
	type seen struct {
		p ksmd.Process
		m ksmd.Mapping
	}
	var all []seen
	for p := range c.last + 1 {
		if p == 0 {
			continue
		}
		for _, mapping := range c.mappings(p) {
			all = append(all, seen{p, mapping})
		}
	}
	nodes := []ksmd.Node{}
	for n := range c.m.pages {
		nodes = append(nodes, c.m.NodeOf(ksmd.Page(n)))
	}
	for len(nodes) > 0 && nodes[len(nodes)-1] == 0 {
		nodes = nodes[:len(nodes)-1]
	}
	return fmt.Sprint(all, nodes)
}

// check compares all that can be seen.
func (c *pair) check(name string) {
	c.t.Helper()
	m := c.m
	pages := map[*twinPage]ksmd.Page{}
	numbers := map[ksmd.Page]*twinPage{}
	used, allZero, ksm := map[*twinPage]bool{}, 0, 0
	for p := range c.last + 1 {
		if p == 0 {
			continue
		}
		var want []uint64
		zero, mergeable := 0, false
		var entries []*twinEntry
		if tp := c.w.processes[p]; tp != nil {
			tp.each(func(index uint64, e *twinEntry) {
				mergeable = mergeable || e.mergeable
				if e.what == "ksm zero" {
					zero++
				}
				if e.page != nil && !used[e.page] {
					used[e.page] = true
					if e.page.node != 0 {
						ksm++
					}
				}
				if e.candidate() {
					want = append(want, index)
					entries = append(entries, e)
				}
			})
		}
		allZero += zero
		if got := m.ZeroPages(p); got != zero {
			c.t.Fatalf("%s: ZeroPages(%d) = %d, want %d", name, p, got, zero)
		}
		if got := m.Mergeable(p); got != mergeable {
			c.t.Fatalf("%s: Mergeable(%d) = %v, want %v", name, p, got, mergeable)
		}
		got := c.mappings(p)
		if len(got) != len(want) {
			c.t.Fatalf("%s: Candidates(%d) = %v, want indexes %v", name, p, got, want)
		}
		for i, g := range got {
			page := entries[i].page
			if g.Index != want[i] || g.Node != page.node || m.contents.entries[g.Content].number() != page.content {
				c.t.Fatalf("%s: Candidates(%d)[%d] = %v, want index %d, node %d, content %d", name, p, i, g, want[i], page.node, page.content)
			}
			if g.Sum != m.contents.checksum(g.Content) || g.Node != m.NodeOf(g.Page) {
				c.t.Fatalf("%s: mapping %v, but checksum %d, node %d", name, g, m.contents.checksum(g.Content), m.NodeOf(g.Page))
			}
			if old, ok := pages[page]; ok && old != g.Page || !ok && numbers[g.Page] != nil {
				c.t.Fatalf("%s: page %d of process %d is not the one it should be", name, g.Page, p)
			}
			pages[page], numbers[g.Page] = g.Page, page
			if got := int(*m.mappings(&m.pages[g.Page])); got != len(page.owners) {
				c.t.Fatalf("%s: page %d has %d mappings, want %d", name, g.Page, got, len(page.owners))
			}
			if number, ok := c.means[g.Content]; ok && number != page.content {
				c.t.Fatalf("%s: content %d was %d, is %d", name, g.Content, number, page.content)
			}
			c.means[g.Content] = page.content
		}
	}
	if m.AllZeroPages() != allZero || m.KSMPages() != ksm || m.Pages() != len(used) {
		c.t.Fatalf("%s: zero, KSM and all pages %d, %d, %d, want %d, %d, %d",
			name, m.AllZeroPages(), m.KSMPages(), m.Pages(), allZero, ksm, len(used))
	}
	for _, id := range c.held {
		if number := c.means[id]; m.contents.entries[id].number() != number {
			c.t.Fatalf("%s: held content %d is no longer %d", name, id, number)
		}
	}
	c.conserved(name)
}

// conserved holds the counts inside of Memory to what the page tables say.
func (c *pair) conserved(name string) {
	c.t.Helper()
	m := c.m
	mappings := make([]int, len(m.pages))
	for _, pr := range m.processes {
		for _, a := range pr.areas {
			for _, e := range a.table {
				if n := e & lowMask; n >= firstPage {
					mappings[n]++
				}
			}
		}
	}
	refs := make([]int, len(m.contents.entries))
	refs[0] = 1
	for n := range m.pages {
		pg := &m.pages[n]
		if int(*m.mappings(pg)) != mappings[n] {
			c.t.Fatalf("%s: page %d has %d mappings, %d counted", name, n, *m.mappings(pg), mappings[n])
		}
		if *m.mappings(pg) > 0 {
			refs[pg.content]++
		}
	}
	for _, id := range c.held {
		refs[id]++
	}
	for id, e := range m.contents.entries {
		if got := int(e.refs &^ inLimbo); got != refs[id] {
			c.t.Fatalf("%s: content %d has %d references, %d counted", name, id, got, refs[id])
		}
	}
}

// forget drops from means what Recycle may give away.
func (c *pair) forget() {
	kept := map[ksmd.Content]uint64{}
	for id, number := range c.means {
		if c.m.contents.entries[id].refs&^inLimbo > 0 {
			kept[id] = number
		}
	}
	c.means = kept
}

// end frees all and looks for what was left.
func (c *pair) end() {
	c.t.Helper()
	for p := range c.last + 1 {
		if c.w.processes[p] != nil {
			c.m.Exit(p)
		}
	}
	for _, id := range c.held {
		c.m.Release(id)
	}
	m := c.m
	m.Recycle()
	if m.Pages() != 0 || m.KSMPages() != 0 || m.AllZeroPages() != 0 || m.contents.used != 0 {
		c.t.Fatalf("%d pages, %d KSM pages, %d zero pages, %d contents left",
			m.Pages(), m.KSMPages(), m.AllZeroPages(), m.contents.used)
	}
	free := 0
	for n := m.free; n != 0; n = uint32(m.pages[n].content) {
		free++
	}
	if want := len(m.pages) - firstPage; free != want {
		c.t.Fatalf("%d of %d pages in the free list", free, want)
	}
	free = 0
	for id := m.contents.free; id != 0; id = m.contents.entries[id].low {
		free++
	}
	if want := len(m.contents.entries) - 1; free != want {
		c.t.Fatalf("%d of %d contents in the free list", free, want)
	}
}

// TestMemory runs random operations on a Memory and on its twin.
func TestMemory(t *testing.T) {
	seeds, done := uint64(16), 0
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 0))
		ops := make([]byte, 3000)
		for i := range ops {
			ops[i] = byte(rng.Uint32())
		}
		c := newPair(t)
		done += c.run(ops)
		c.end()
	}
	if done < int(seeds)*200 {
		t.Errorf("%d operations in %d runs, want more", done, seeds)
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte{0, 3, 0, 9, 12, 0, 0, 0, 9, 16, 0, 0, 0, 9, 1, 1, 0, 5, 0, 2})
	f.Add([]byte{0, 3, 0, 4, 13, 0, 0, 0, 3, 16, 0, 0, 0, 3, 0, 7, 0, 1, 1, 0, 14, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 2000 {
			t.Skip("long enough with less")
		}
		c := newPair(t)
		c.run(ops)
		c.end()
	})
}

// Where the kernel maps no zero page, reading makes pages that ksmd may merge.
func TestReadsMakePages(t *testing.T) {
	for _, makes := range []bool{false, true} {
		m := NewMachine(ksmd.Options{})
		if makes {
			m.MapNoZeroPage()
		}
		script, err := Parse("reads", []byte("spawn p\nmap p a 9\nmergeable p a 0 9\nwrite p a 0 2 7\nread p a 1 4\nscan 2\nshow end\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), script, m); err != nil {
			t.Fatal(err)
		}
		var want [3]sysfs.Pages // shared, sharing, unshared
		if want = [...]sysfs.Pages{0, 0, 2}; makes {
			want = [...]sysfs.Pages{1, 2, 2}
		}
		c := m.daemon.Counters()
		if got := [...]sysfs.Pages{c.PagesShared, c.PagesSharing, c.PagesUnshared}; got != want {
			t.Errorf("reads make pages: %t: shared, sharing and unshared pages %d, want %d", makes, got, want)
		}
	}
}
