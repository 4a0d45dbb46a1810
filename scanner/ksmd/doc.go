// Package ksmd is the algorithm of ksmd, the kernel's daemon that finds equal
// pages of memory and merges them (Kernel Samepage Merging), on any memory that
// can be read. Its counters are those that Linux would print, not roughly: page
// scripts that ran on a real kernel (package sim) print the same tables here.
//
// Where a rule surprises, here and in the code, a script is named that shows it:
// script pair is sim/testdata/golden/pair.script, and pair.tsv beside it is the
// table that Linux 6.18 printed. ksmtop lab --events FILE tells such a script page
// by page.
//
// # What is scanned
//
// A process takes part once an area of its memory is mergeable, by madvise or
// prctl. Only pages that are present, anonymous and in a mergeable area are
// looked at: not untouched ones, not swapped ones, not the page cache. For each
// page that it meets the daemon keeps an item, 64 bytes in the kernel, as long as
// the page stays there. Items remember a checksum and how often the page was
// visited; an item is in one of three places:
//
//	                 ┌────────────── the page was written to ──────────────┐
//	                 v                                                     │
//	first visit   ┌──────┐  checksum as at   ┌──────────┐  an equal   ┌────┴───┐
//	────────────> │ none │  the last visit   │ unstable │  page came  │ stable │
//	              │      ├─────────────────> │ tree     ├───────────> │ tree   │
//	              └──┬───┘                   └────┬─────┘             └────────┘
//	                 │ ^                          │                        ^
//	                 │ └──── next visit ──────────┘                        │
//	                 └──── equal to a KSM page that has room ──────────────┘
//
//	counted as       pages_volatile   pages_unshared      pages_shared + pages_sharing
//
// pages_shared is the number of KSM pages that have an item, also if it is one only
// (script one-sharer-left), and pages_sharing that of the further items.
//
// # One visit
//
// The pages of all processes are visited in turn, process by process, addresses
// ascending: a full scan. A batch visits pages_to_scan of them, and then the
// daemon sleeps. A batch ends where the scan does, at the latest, and the end is
// noticed only when a page is looked for and there is none: the last batch of a
// scan may visit nothing (script batch-and-scan-end). A visit of a page
// (Daemon.mergeStep):
//
//  1. It is a KSM page: nothing to do, but that a mapping which came by fork is
//     attached, without regard to max_page_sharing (script fork-over-limit). So a
//     KSM page of zeros stays one when use_zero_pages is switched on (script
//     zero-pages-switch).
//  2. The item leaves the place that it had. Only now is it noticed that a page
//     was copied by a write, so pages_sharing falls at the next visit and not at
//     the write (script cow-break).
//  3. The checksum differs from the one at the last visit: remember it, no more.
//     A page must stand still for a scan before it is worth comparing, so nothing
//     merges in the first scan (script pair).
//  4. use_zero_pages, and the page is all zero: the zero page takes its place, and
//     the item goes in the next scan (script zero-pages-on).
//  5. The stable tree has a KSM page of this content with room: map that. A
//     duplicate that came late needs two visits for it (script late-duplicate).
//  6. The unstable tree has an equal item: both become one KSM page, the one
//     scanned later, which is inserted into the stable tree. Else this item is
//     inserted into the unstable tree. The search gives up at an item whose page
//     has vanished, or is the very page that is visited, mapped elsewhere after a
//     fork: then the item goes nowhere (script fork-before-scan).
//
// The unstable tree lasts for one scan and is then thrown away, since pages in it
// are written to while they are there. The count of its items is not: so
// pages_unshared in mid-scan has the items of the last scan that have not been
// visited yet (script process-order, batch6).
//
// So memory that does not change is merged by the end of the second scan. Of K
// equal pages with max_page_sharing m there are K/m KSM pages with m mappings
// each, and one more with the K mod m others, unless that is a single page, which
// stays unshared (script chain-remainders).
//
// # Before Linux 6.11
//
// Step 5 came first, even before step 2, then 2, 3, 4 and 6 (Options.SearchFirst).
// A duplicate of a KSM page then merged at its first visit.
//
// # Who takes part
//
// Processes are scanned in the order in which they came to take part. One that
// does so in mid-scan waits for the next scan, and then comes before the process
// at which the cursor was (script register-midscan). One that exits loses its items
// when the cursor comes to it; for that it is put next (script exit-under-cursor).
// One of which no area is mergeable any more leaves in the scan that finds this
// out, which still counts; full_scans stands still while nobody takes part (script
// no-process).
//
// # Smart scan
//
// With smart_scan, the default, a page that is no KSM page is visited in the first
// four scans of its life, and then skipped in ever more of them: in one before the
// next visit, then in two, in four, and from there on in eight before each. So
// visits are in scans 1 to 4, 6, 9, 14, 23, 32 and so on. An item that is skipped
// leaves the unstable tree, so pages_unshared and pages_volatile of memory that
// does not change go up and down for ever (script smart-scan-table); and two equal
// pages of different age may not meet for scans (script smart-late-duplicate).
// Scans without smart_scan do not count (script knob-switch-smart), nor does a KSM
// page grow older.
//
// # Too many mappings
//
// Whoever wants to reclaim or migrate a page must find all its mappings, so a KSM
// page has at most max_page_sharing of them. When all KSM pages of a content are
// full, the next two pages that are equal make a new one, and a chain holds them:
//
//	┌── stable tree, in the order of bytes ──┐
//	│                [node]                  │
//	│            ┌─────┴──────┐              │
//	│         [node]       [chain]           │
//	└──────────────────────┬─────────────────┘
//	                       ├─ node 256 of 256
//	                       ├─ node 256 of 256
//	                       └─ node  17 of 256
//
// A search that passes a chain, on its way or as its aim, looks for a node with room
// and stops at the first. Once in stable_node_chains_prune_millisecs it looks at all
// of the chain, removes the nodes that are dead (script chain-prune-look) and prefers
// the fullest that has room (script chain-prune-choice). What it finds moves to the
// front, if there is room for two (script chain-front). A chain of one node becomes
// that node again (script chain-prune-never, scan10).
//
// stable_node_chains counts chains, stable_node_dups the nodes in them. A KSM page
// whose mappings are all in places without items, such as an area that is not
// mergeable in a forked child, counts as having no room; so a pair of equal pages
// can make a chain of far fewer mappings than the limit (script
// fork-shared-page-merged-later, scan2b).
//
// # What vanishes
//
// Pages go by writes, unmapping, MADV_DONTNEED and exit, and the daemon is told
// nothing. It notices when it visits the item or, if the item's page has gone,
// when it comes to the next page behind it (script dontneed-timing). A KSM page
// that nobody maps any more is a dead node: it is removed, with all items it
// still has, by the first of its items that is visited or by the first search that
// comes by its position in the tree. Chains are put in order by searches only: an
// empty chain stays until one comes by (script chain-empty). Which searches come
// by depends on the shape of the tree, so this is a red-black tree in byte order
// with the kernel's rules.
//
// The zero pages are the exception: ksm_zero_pages follows every write, unmap,
// fork and exit at once (script zero-pages-fork).
//
// # The knobs
//
// run = 0 stops the daemon where it stands, and 1 lets it go on there. run = 2
// unmerges: every KSM page in a mergeable area becomes private copies, all items
// go, full_scans is 0 again, and the next scan begins at the first process (scripts
// run-2 and run-2-order). What an area that is not mergeable holds survives (script
// fork-shared-page-merged-later).
//
// max_page_sharing and merge_across_nodes can change while pages_shared is 0; what
// is left of chains goes then (script limit-change). With merge_across_nodes = 0
// every NUMA node has two trees of its own, so that equal pages on different nodes
// stay apart. With advisor_mode scan-time the daemon itself chooses pages_to_scan
// at the end of each scan (advisor.go).
//
// # Time and space
//
// The trees are the slow part of the kernel's algorithm and rarely matter: while
// nothing in the stable tree waits to be tidied, and nobody wrote to memory since
// the scan began, a table by content gives what they would, and the insertions are
// only noted down (stable.go, unstable.go). When something does wait the trees
// are made from these notes, and walked, until all is tidy. So one engine is as
// fast as a table and exact at every moment, in mid-scan too. Options.Trees can say
// that trees are always walked, which is there to prove it, or never, for machines
// whose memory changes all the time.
//
// A visit takes some nanoseconds where nothing changes, some tens where pages
// merge, and about a microsecond where the trees of millions of pages are walked.
// The daemon needs some 17 bytes a page, 4 a content and 44 a KSM page; and 8 for
// each page in the unstable tree's notes, which TreesNever does without.
//
// # Limits
//
// There is no swap, no memory going offline, and pages do not migrate between NUMA
// nodes. A huge page is to be shown as its base pages; what merging does to it is
// up to Memory.Share, Merge and MergeZero. Package sim splits it as the kernel does.
//
// In one rare case what the kernel does depends on which memory its allocator hands
// out. The daemon cannot know that; it counts such cases (Daemon.Undecided,
// sim/testdata/undecided/left-node.script).
package ksmd
