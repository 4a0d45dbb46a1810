package ksmd

// Process names a process of a Memory. Numbers are small and never used twice.
type Process uint32

// Page names a physical page of a Memory, from 1; 0 is no page. The number of a
// page that was freed may be used for another one.
type Page uint32

// Content names the bytes of a page: two pages have the same Content if and only
// if they are equal. Content 0 is the page of zero bytes. A number that no page
// has any more, and that is not held, may be used for other bytes after the next
// call of Memory.Recycle, not before.
type Content uint32

// Node is the daemon's name of a KSM page, from 1; 0 is none.
type Node uint32

// Mapping is one page of a process that ksmd may look at.
type Mapping struct {
	Index   uint64  // the virtual address divided by the page size
	Page    Page    // what is mapped there
	Node    Node    // what Memory.Share was told of that page, or 0
	Content Content // what is in it

	// Sum is the checksum of the content: the low 32 bits of its xxHash64 with
	// seed 0. Memory of which nobody has made the bytes may have another hash.
	Sum uint32
}

// Memory is the memory on which a Daemon works. Its owner tells the Daemon of
// processes that begin and end to take part (Daemon.Register, Daemon.Exit) and
// may change everything else as it likes between two calls of Daemon's methods.
//
// A page is shared memory: several mappings, of several processes after a fork,
// can have the same one. Writing to a page that is shared, or that is a KSM page
// however few map it, makes a copy. The page of which the last mapping has gone
// is freed.
type Memory interface {
	// Candidates fills dst with mappings of p from index from on, ascending:
	// those of anonymous pages that are present in mergeable areas, neither the
	// zero page nor anything swapped out. It returns how many; 0 means that there
	// are none, a short count does not. A process that has exited has none.
	Candidates(p Process, from uint64, dst []Mapping) int

	// Lookup returns what Candidates would for one index, or false.
	Lookup(p Process, index uint64) (Mapping, bool)

	// Mergeable reports whether any area of p is mergeable now.
	Mergeable(p Process) bool

	// NodeOf returns the Node of page, 0 if it is no KSM page. The daemon asks
	// also for pages that were freed, to find that out.
	NodeOf(page Page) Node

	// NUMANode returns the number, from 0, of the NUMA node that page is on.
	NUMANode(page Page) int

	// Compare orders contents by their bytes, unsigned, the lowest address first.
	Compare(a, b Content) int

	// Contents returns a number above those of all contents.
	Contents() int

	// Hold and Release keep the number of a content from being used for another.
	Hold(c Content)
	Release(c Content)

	// Recycle ends the time in which numbers without a page keep their meaning.
	Recycle()

	// Share makes page, which is mapped at m, a KSM page in place, for all who
	// map it, as n. partner is the page that shall be merged with it, or 0. It is
	// false, and the page is none, if it is pinned or otherwise cannot be
	// write-protected now, or is in a huge page with its partner.
	Share(p Process, m Mapping, partner Page, n Node) bool

	// Merge maps index of p, which has the same bytes, to the KSM page to.
	// It is false, and that page has not changed, if that cannot be.
	Merge(p Process, index uint64, to Page) bool

	// MergeZero does the same with the zero page, and counts it in ZeroPages.
	MergeZero(p Process, index uint64) bool

	// Unshare undoes a Share that found no partner: page is an ordinary page
	// again, and so is the copy of each that maps it.
	Unshare(p Process, m Mapping)

	// Unmerge gives p a private copy of every KSM page and of every zero page
	// that KSM placed in its mergeable areas.
	Unmerge(p Process)

	// ZeroPages returns how many zero pages of p KSM placed, and
	// AllZeroPages that of all processes together.
	ZeroPages(p Process) int
	AllZeroPages() int

	// KSMPages returns how many KSM pages there are: Share adds one, Unshare and
	// the end of the last mapping take one away.
	KSMPages() int

	// Version grows whenever anything is changed that Candidates, Lookup or
	// NodeOf show, other than by the methods above; and when one of those changed
	// other pages than that which it merged, since a huge page was split.
	Version() uint64
}
