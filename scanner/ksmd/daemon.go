package ksmd

import (
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Options say how a Daemon differs from that of a machine with Linux 6.11 or
// later. The zero value is such a machine, in which no time passes.
type Options struct {
	// SearchFirst is how Linux 4.13 to 6.10 did it: the stable tree was searched
	// before the page's checksum was compared, so that a page equal to a KSM page
	// merged at its first visit, and an all-zero KSM page won over the zero page.
	SearchFirst bool

	// Trees says when the trees are walked.
	Trees Trees

	// Observer, if not nil, is told everything that the daemon does. It must not
	// call the daemon.
	Observer func(Event)

	// Alike, if not nil, reports whether a content is one of those that are equal
	// to each other up to the end of the page, so that comparing two reads all of
	// both. It concerns Work only.
	Alike func(Content) bool

	// Clock tells the time for stable_node_chains_prune_millisecs and the advisor.
	Clock Clock

	// Contents is the number of contents for which room is made at the start. Where
	// there are more, what is known of them is copied as it grows.
	Contents int

	// PageBytes is the size of a page; 0 is 4096.
	PageBytes int

	// NUMANodes is the number of NUMA nodes, 1 to 256; 0 is 1. Pages do not
	// migrate between nodes.
	NUMANodes int
}

// Trees says when a Daemon walks its trees, as the kernel always does, and when it
// looks into tables by content instead.
type Trees uint8

const (
	// TreesWhenNeeded walks them where the answer of a table could be another one.
	// All counters are exact at every moment.
	TreesWhenNeeded Trees = iota

	// TreesAlways walks them always. It is slower and changes nothing.
	TreesAlways

	// TreesNever looks into tables only: it is fast also while memory changes.
	//
	// What is then not found on the way stays longer: dead nodes until one of their
	// items is visited or their content is searched for, which shows in mid-scan
	// only; chains until their content is searched for, so StableNodeChains and
	// StableNodeDups may be larger at any time. And a page that is written to or
	// vanishes while it is in the unstable tree leads no search astray, so that
	// pages can merge which the kernel would have missed until the next scan; but
	// one of zeros that has vanished ends searches for zeros, as it does with trees.
	// For memory that changes between scans only, everything but chains and dups
	// is exact at the end of every scan, as long as no two KSM pages of one content
	// have room: which of them a page joins depends on the searches that only passed
	// their chain, and shows when the pages of one of them go (script chain-front).
	TreesNever
)

// Clock is the time that the daemon sees. A nil function stands still at 0.
type Clock struct {
	Now func() time.Duration // since boot
	CPU func() time.Duration // that the daemon has used since boot
	HZ  int                  // ticks a second in which the kernel counts; 0 is 250
}

// Daemon is ksmd.
type Daemon struct {
	mem         Memory
	knobs       sysfs.Knobs
	observe     func(Event)
	clock       Clock
	pageBytes   int64
	searchFirst bool
	walk        Trees
	alike       func(Content) bool

	smart      bool
	maxSharing uint32
	pruneTicks int64 // -1 is never

	slots         []slot
	slotOfProcess []uint32
	freeSlots     []uint32
	cursor        cursor
	seq           uint64
	now           int64 // in ticks
	advisor       advisor

	blocks   slab[block]
	mappings []Mapping // looked up in advance
	seen     int       // of them
	version  uint64    // of the memory that they show

	nodes   slab[node]
	chains  slab[chain]
	trees   []trees
	oddSums map[itemID]uint32 // see sumPlace

	items, shared, sharing, unshared int
	living, dead                     int // nodes, and those of them whose page has gone
	undecided                        int
	chained, dups                    int // chains, and nodes in them
	dirty, due                       int // chains that a search would change, or prune
	pagesScanned, pagesSkipped       uint64
	swept                            uint64 // of pagesScanned, those that sweep visited
	work                             Work   // but for Visits and Skips
	recent                           struct{ visited, joined, stable, unstable recent }
}

// trees are the stable and the unstable tree of a NUMA node, or of all.
type trees struct {
	by []byContent

	stable  tree      // values are contents
	pending []Content // to be inserted into it

	numa      uint8
	noLog     bool        // since trees are never walked
	log       []insertion // of the unstable tree, unless that is real
	real      bool
	unstable  tree      // values are items
	contentAt []Content // of its positions, with which their items were inserted

	inStable, inUnstable population
}

// byContent is what is known of a content: with inStableTree its entry in the stable
// tree; else who waits in the unstable one, if it is still there: a place in the log,
// from 1, or with noLog an item. Where both are there the node or chain has the
// second. It is rare, since then all KSM pages of that content must be full.
type byContent uint32

const inStableTree byContent = 1 << 31

// stableEntry returns the entry of a content in the stable tree, or 0.
func (t *trees) stableEntry(c Content) entry {
	if e := t.by[c]; e&inStableTree != 0 {
		return entry(e &^ inStableTree)
	}
	return 0
}

// waiting returns where it says who waits in the unstable tree with a content.
func (t *trees) waiting(d *Daemon, c Content) *uint32 {
	if t.by[c]&inStableTree == 0 {
		return (*uint32)(&t.by[c])
	}
	return d.waitingBeside(t.stableEntry(c))
}

// waitingBeside does so for a content that has an entry in the stable tree. It is
// rarely needed, and keeps waiting small enough to be inlined.
//
//go:noinline
func (d *Daemon) waitingBeside(e entry) *uint32 {
	if e&isChain != 0 {
		return &d.chains.at(uint32(e &^ isChain)).waiting
	}
	return &d.node(Node(e)).waiting
}

// setStable sets the entry of a content in the stable tree; 0 is none.
func (t *trees) setStable(d *Daemon, c Content, e entry) {
	waits := *t.waiting(d, c)
	t.by[c] = 0
	if e != 0 {
		t.by[c] = byContent(e) | inStableTree
	}
	*t.waiting(d, c) = waits
}

// New returns a daemon with the settings of a kernel that has just booted: run
// is 0.
func New(mem Memory, opts Options) *Daemon {
	d := &Daemon{
		mem:         mem,
		knobs:       sysfs.DefaultKnobs(),
		observe:     opts.Observer,
		clock:       opts.Clock,
		pageBytes:   int64(opts.PageBytes),
		searchFirst: opts.SearchFirst,
		walk:        opts.Trees,
		alike:       opts.Alike,
		slots:       make([]slot, 1),
		mappings:    make([]Mapping, 0, 256),
		trees:       make([]trees, max(opts.NUMANodes, 1)),
		oddSums:     map[itemID]uint32{},
	}
	for i := range d.trees {
		d.trees[i].numa, d.trees[i].noLog = uint8(i), d.walk == TreesNever
	}
	d.trees[0].by = make([]byContent, 0, opts.Contents)
	if d.pageBytes == 0 {
		d.pageBytes = 4096
	}
	if d.clock.HZ == 0 {
		d.clock.HZ = 250
	}
	d.applyKnobs()
	return d
}

func (d *Daemon) ticks(t time.Duration) int64 {
	return int64(t) / (int64(time.Second) / int64(d.clock.HZ))
}

// applyKnobs derives from the knobs what is looked at for every page.
func (d *Daemon) applyKnobs() {
	d.smart = d.knobs.SmartScan
	d.maxSharing = uint32(d.knobs.MaxPageSharing)
	ms := int64(d.knobs.StableNodeChainsPruneMillisecs)
	d.pruneTicks = -1
	if ms < 1<<31 {
		d.pruneTicks = (ms*int64(d.clock.HZ) + 999) / 1000
	}
}

// Knobs returns the settings.
func (d *Daemon) Knobs() sysfs.Knobs { return d.knobs }

// Set writes a knob, as text, and does what the kernel does with it: run = 2
// unmerges everything before it returns. The error is a *sysfs.ValueError for a
// text that the kernel does not take, and else has a syscall.Errno in it: EBUSY
// for max_page_sharing and merge_across_nodes while there are KSM pages, EINVAL
// for pages_to_scan while the advisor chooses it.
func (d *Daemon) Set(f sysfs.Field, text string) error {
	was, next := d.knobs, d.knobs
	if err := next.Set(f, text); err != nil {
		return err
	}
	refuse := func(errno syscall.Errno) error {
		return fmt.Errorf("%s: %w", f, errno)
	}
	d.recount()
	switch f {
	case sysfs.Run:
		if next.Run == sysfs.RunUnmerge && was.Run != sysfs.RunUnmerge {
			d.unmergeAll()
		}
	case sysfs.MaxPageSharing, sysfs.MergeAcrossNodes:
		changes := next.MaxPageSharing != was.MaxPageSharing || next.MergeAcrossNodes != was.MergeAcrossNodes
		if changes && (d.shared != 0 || !d.clear()) {
			return refuse(syscall.EBUSY)
		}
	case sysfs.PagesToScan:
		if was.AdvisorMode == sysfs.AdvisorScanTime {
			return refuse(syscall.EINVAL)
		}
	case sysfs.AdvisorMode:
		d.advisor.switched(&was, &next)
	}
	d.knobs = next
	d.applyKnobs()
	return nil
}

// SetValue does the same with a number.
func (d *Daemon) SetValue(f sysfs.Field, value uint64) error {
	return d.Set(f, strconv.FormatUint(value, 10))
}

// unmergeAll is what writing 2 to run does. A KSM page that an area outside holds
// survives it, and the search tree then keeps what it cannot free from the root on
// (script fork-shared-page-merged-later). The cursor is at the head then (script
// run-2-order).
func (d *Daemon) unmergeAll() {
	d.seq++ // the unstable tree is of no scan any more, and goes as a whole
	for s := d.slots[headSlot].next; s != headSlot; {
		next := d.slots[s].next
		if !d.slots[s].exited {
			d.mem.Unmerge(d.slots[s].of)
		}
		d.enter(s)
		d.dropRest()
		if d.slots[s].exited {
			d.unregister(s)
		}
		s = next
	}
	d.enter(headSlot)
	d.recount()
	d.clear()
	d.seq = 0
}

// Counters returns what the files of the kernel would say. PagesScanned and
// PagesSkipped count from New.
func (d *Daemon) Counters() sysfs.Counters {
	zero := d.mem.AllZeroPages()
	return sysfs.Counters{
		PagesShared:      sysfs.Pages(d.shared),
		PagesSharing:     sysfs.Pages(d.sharing),
		PagesUnshared:    sysfs.Pages(d.unshared),
		PagesVolatile:    sysfs.SignedPages(max(0, d.items-d.shared-d.sharing-d.unshared)),
		FullScans:        d.seq,
		PagesScanned:     sysfs.Pages(d.pagesScanned),
		PagesSkipped:     sysfs.Pages(d.pagesSkipped),
		KSMZeroPages:     sysfs.SignedPages(zero),
		StableNodeChains: uint64(d.chained),
		StableNodeDups:   uint64(d.dups),
		GeneralProfit:    int64(d.sharing+zero)*d.pageBytes - int64(d.items)*sysfs.ItemBytes,
		Present:          counters,
	}
}

var counters = sysfs.SetOf(
	sysfs.PagesShared, sysfs.PagesSharing, sysfs.PagesUnshared, sysfs.PagesVolatile,
	sysfs.FullScans, sysfs.PagesScanned, sysfs.PagesSkipped, sysfs.KSMZeroPages,
	sysfs.StableNodeChains, sysfs.StableNodeDups, sysfs.GeneralProfit,
)

// ProcessStat returns what /proc/PID/ksm_stat of p would say. MergeAny is not
// known here.
func (d *Daemon) ProcessStat(p Process) sysfs.ProcessStat {
	zero := d.mem.ZeroPages(p)
	s := &d.slots[d.slotOf(p)] // the head's numbers are 0
	return sysfs.ProcessStat{
		RmapItems:    uint64(s.items),
		ZeroPages:    sysfs.SignedPages(zero),
		MergingPages: sysfs.Pages(s.merging),
		Profit:       int64(s.merging+zero)*d.pageBytes - int64(s.items)*sysfs.ItemBytes,
		Mergeable:    d.mem.Mergeable(p),
		Present: sysfs.KSMRmapItems | sysfs.KSMZeroPagesOf | sysfs.KSMMergingPages |
			sysfs.KSMProcessProfit | sysfs.KSMMergeable,
	}
}
