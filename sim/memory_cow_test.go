package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// state describes each page of an area in a word.
func state(m *Memory, p ksmd.Process, area int) string {
	var words []string
	for _, e := range m.processes[p].areas[area].table {
		switch n := e & lowMask; {
		case n >= firstPage:
			pg := &m.pages[n]
			word := fmt.Sprintf("%d/%d", m.contents.entries[pg.content].number(), *m.mappings(pg))
			if pg.users.node() != 0 {
				word += "k"
			}
			words = append(words, word)
		default:
			words = append(words, []string{"-", "zero", "splitzero", "ksmzero", "gone"}[n])
		}
	}
	return strings.Join(words, " ")
}

// TestCopyOnWrite follows pages through fork, merging and writes. A page is
// content/mappings, with k for a KSM page.
func TestCopyOnWrite(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	p := m.Spawn()
	a := m.Map(p, 5)
	first := uint64(1)
	expect := func(what string, p ksmd.Process, want string) {
		t.Helper()
		if got := state(m, p, a); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	share := func(index uint64, n ksmd.Node) {
		t.Helper()
		at, ok := m.Lookup(p, index)
		if !ok || !m.Share(p, at, 0, n) {
			t.Fatalf("page %d cannot be shared", index)
		}
	}
	m.Write(p, a, 0, 3, 7, 0)
	m.Read(p, a, 0, 4)
	expect("written and read", p, "7/1 7/1 7/1 zero -")

	c := m.Fork(p)
	expect("parent", p, "7/2 7/2 7/2 zero -")
	m.Write(c, a, 0, 1, 8, 0)
	expect("child wrote", p, "7/1 7/2 7/2 zero -")
	page := m.processes[p].areas[a].table[0]
	m.Write(p, a, 0, 1, 9, 0)
	expect("parent wrote in place", p, "9/1 7/2 7/2 zero -")
	if got := m.processes[p].areas[a].table[0]; got != page {
		t.Errorf("page %d was copied to %d, though nobody else had it", page, got)
	}

	m.MarkMergeable(p, a, 0, 5)
	share(first+1, 1)
	expect("child's is a KSM page, too", c, "8/1 7/2k 7/2 zero -")
	to, _ := m.Lookup(p, first+1)
	if m.Share(p, to, 0, 2) || m.NodeOf(to.Page) != 1 {
		t.Error("a KSM page must not be shared again")
	}
	if !m.Merge(p, first+2, to.Page) {
		t.Fatal("cannot merge")
	}
	expect("merged", p, "9/1 7/3k 7/3k zero -")
	expect("child keeps the other page", c, "8/1 7/3k 7/1 zero -")
	m.UnmarkMergeable(c, a, 0, 5) // was not mergeable: nothing
	expect("child", c, "8/1 7/3k 7/1 zero -")
	m.Write(p, a, 1, 1, 7, 0)
	m.Exit(c)
	expect("last of the KSM page", p, "9/1 7/1 7/1k zero -")
	m.Write(p, a, 2, 1, 7, 0)
	expect("and it was copied", p, "9/1 7/1 7/1 zero -")
	if m.KSMPages() != 0 || m.NodeOf(to.Page) != 0 {
		t.Errorf("%d KSM pages, node %d left", m.KSMPages(), m.NodeOf(to.Page))
	}

	m.Write(p, a, 3, 1, 0, 0)
	if !m.MergeZero(p, first+3) || m.MergeZero(p, first+3) || m.MergeZero(p, first) {
		t.Error("MergeZero must replace the page of zero bytes once, and no other")
	}
	c = m.Fork(p)
	expect("child has the zero page", c, "9/2 7/2 7/2 ksmzero -")
	if m.ZeroPages(c) != 1 || m.AllZeroPages() != 2 {
		t.Errorf("%d zero pages in the child, %d in all, want 1 and 2", m.ZeroPages(c), m.AllZeroPages())
	}
	m.Read(c, a, 3, 1)
	m.Unmerge(c)
	expect("child has its own", c, "9/2 7/2 7/2 0/1 -")
	m.Unmap(p, a, 2, 2)
	expect("unmapped", p, "9/2 7/2 gone gone -")
	if m.AllZeroPages() != 0 {
		t.Errorf("%d zero pages, want 0", m.AllZeroPages())
	}
}

func TestNUMANode(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	p := m.Spawn()
	a := m.Map(p, 3)
	m.MarkMergeable(p, a, 0, 3)
	m.Write(p, a, 0, 1, 5, 0)
	m.SetNUMANode(p, 2)
	m.Write(p, a, 0, 2, 6, 1)
	c := m.Fork(p)
	m.Write(c, a, 2, 1, 9, 0)
	m.SetNUMANode(p, 0)
	m.DontNeed(p, a, 1, 1)
	m.DontNeed(c, a, 1, 1)
	m.Write(p, a, 1, 1, 7, 0) // the page of node 2, again
	node := func(p ksmd.Process, k int) int {
		return m.NUMANode(ksmd.Page(m.processes[p].areas[a].table[k] & lowMask))
	}
	m.Write(p, m.Map(p, 3), 0, 3, 1, 1)
	last := m.NUMANode(ksmd.Page(len(m.pages) - 1)) // of a page behind all of node 2
	for _, tt := range []struct{ got, want int }{{node(p, 0), 0}, {node(p, 1), 0}, {node(c, 2), 2}, {last, 0}} {
		if tt.got != tt.want {
			t.Errorf("NUMA node %d, want %d", tt.got, tt.want)
		}
	}
}

// TestMisuse does what a Memory panics at.
func TestMisuse(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	p := m.Spawn()
	a := m.Map(p, 4)
	m.Write(p, a, 0, 4, 1, 1)
	m.Unmap(p, a, 1, 1)
	gone := m.Spawn()
	m.Exit(gone)
	tests := []struct {
		name string
		do   func()
	}{
		{"exit twice", func() { m.Exit(gone) }},
		{"fork the dead", func() { m.Fork(gone) }},
		{"map for the dead", func() { m.Map(gone, 1) }},
		{"no such process", func() { m.Map(gone+1, 1) }},
		{"no such area", func() { m.Write(p, a+1, 0, 1, 1, 1) }},
		{"behind the end", func() { m.Write(p, a, 3, 2, 1, 1) }},
		{"before the start", func() { m.Write(p, a, -1, 1, 1, 1) }},
		{"write the unmapped", func() { m.Write(p, a, 0, 2, 1, 1) }},
		{"read the unmapped", func() { m.Read(p, a, 1, 1) }},
		{"drop the unmapped", func() { m.DontNeed(p, a, 1, 3) }},
		{"unmap twice", func() { m.Unmap(p, a, 1, 1) }},
		{"mark the unmapped", func() { m.MarkMergeable(p, a, 0, 4) }},
		{"unmark the unmapped", func() { m.UnmarkMergeable(p, a, 0, 4) }},
	}
	want := state(m, p, a)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				if got := state(m, p, a); got != want {
					t.Errorf("it is %s, was %s", got, want)
				}
			}()
			tt.do()
		})
	}
}
