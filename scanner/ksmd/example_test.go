package ksmd_test

import (
	"bytes"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// A daemon on the memory of one process, all of it mergeable, that stands still.
func Example() {
	m := newStill([][]byte{
		page('a'), page('b'), page('a'), page(0), page('a'), page('c'),
	})
	d := ksmd.New(m, ksmd.Options{})
	d.Register(0)
	if err := d.Set(sysfs.Run, "1"); err != nil {
		fmt.Println(err)
		return
	}
	for d.Counters().FullScans < 2 {
		d.Scan()
	}
	c := d.Counters()
	fmt.Printf("%d KSM page, %d pages saved, %d without an equal, profit %d bytes\n",
		c.PagesShared, c.PagesSharing, c.PagesUnshared, c.GeneralProfit)
	// Output: 1 KSM page, 2 pages saved, 3 without an equal, profit 7808 bytes
}

func page(b byte) []byte { return bytes.Repeat([]byte{b}, 4096) }

// still is a memory of real bytes that nobody writes to: process 0 has page i+1 at
// index i, and the content of a page is the first page with these bytes.
type still struct {
	pages  [][]byte // by content
	mapped []ksmd.Mapping
	nodes  map[ksmd.Page]ksmd.Node
	pinned map[uint64]bool // indexes that cannot be merged
}

func newStill(pages [][]byte) *still {
	m := &still{
		pages:  [][]byte{page(0)},
		nodes:  map[ksmd.Page]ksmd.Node{},
		pinned: map[uint64]bool{},
	}
	for i, p := range pages {
		c := 0
		for c < len(m.pages) && !bytes.Equal(m.pages[c], p) {
			c++
		}
		if c == len(m.pages) {
			m.pages = append(m.pages, p)
		}
		m.mapped = append(m.mapped, ksmd.Mapping{
			Index:   uint64(i),
			Page:    ksmd.Page(i + 1),
			Content: ksmd.Content(c),
			Sum:     uint32(xxhash.Sum64(p)),
		})
	}
	return m
}

func (m *still) Candidates(p ksmd.Process, from uint64, dst []ksmd.Mapping) int {
	n := 0
	for ; n < len(dst) && from+uint64(n) < uint64(len(m.mapped)); n++ {
		dst[n], _ = m.Lookup(p, from+uint64(n))
	}
	return n
}

func (m *still) Lookup(_ ksmd.Process, index uint64) (ksmd.Mapping, bool) {
	at := m.mapped[index]
	at.Node = m.nodes[at.Page]
	return at, true
}

func (m *still) Share(_ ksmd.Process, at ksmd.Mapping, _ ksmd.Page, n ksmd.Node) bool {
	if m.pinned[at.Index] {
		return false
	}
	m.nodes[at.Page] = n
	return true
}

func (m *still) Merge(_ ksmd.Process, index uint64, to ksmd.Page) bool {
	if m.pinned[index] {
		return false
	}
	m.mapped[index].Page = to
	return true
}

func (m *still) Unshare(_ ksmd.Process, at ksmd.Mapping) { delete(m.nodes, at.Page) }
func (m *still) Compare(a, b ksmd.Content) int           { return bytes.Compare(m.pages[a], m.pages[b]) }
func (m *still) Contents() int                           { return len(m.pages) }
func (m *still) NodeOf(page ksmd.Page) ksmd.Node         { return m.nodes[page] }
func (m *still) KSMPages() int                           { return len(m.nodes) }
func (m *still) NUMANode(ksmd.Page) int                  { return 0 }
func (m *still) Mergeable(ksmd.Process) bool             { return true }
func (m *still) MergeZero(ksmd.Process, uint64) bool     { return false }
func (m *still) Unmerge(ksmd.Process)                    {}
func (m *still) ZeroPages(ksmd.Process) int              { return 0 }
func (m *still) AllZeroPages() int                       { return 0 }
func (m *still) Hold(ksmd.Content)                       {}
func (m *still) Release(ksmd.Content)                    {}
func (m *still) Recycle()                                {}
func (m *still) Version() uint64                         { return 0 }
