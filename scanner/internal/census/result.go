package census

// Query says under which knobs of KSM pages are thought to be merged, and
// what to tell of it.
type Query struct {
	// MaxPageSharing is how many pages may share one KSM page, at least 2 as
	// in the kernel; 0 is no limit.
	MaxPageSharing uint64

	// UseZeroPages has zero pages replaced by the kernel's zero page, so that
	// each of them is saved, instead of merged like any other content.
	UseZeroPages bool

	// Top is the number of contents to list in Result.Top.
	Top int
}

// Result is what merging all pages would save once KSM has settled, if none of
// them changes. All numbers are pages unless they say otherwise. The zero page
// is one content among the others.
type Result struct {
	Pages     uint64 // all that were added
	ZeroPages uint64
	Distinct  uint64 // contents

	Saved     uint64 // Sharing, and with UseZeroPages all zero pages
	ZeroSaved uint64 // part of Saved that is zero pages, with or without UseZeroPages

	// What the kernel would count as pages_shared, pages_sharing and
	// pages_unshared. With UseZeroPages they leave out the zero pages, which
	// it counts as ksm_zero_pages.
	Shared, Sharing, Unshared uint64

	Histogram []Bucket  // from one copy up to the most copies there are
	Groups    []Group   // by number, Options.Groups of them
	Top       []Content // most copied contents, of at least two copies: most copies first, then lowest fingerprint
}

// Bucket is one row of a histogram of contents by their copies.
type Bucket struct {
	CopiesFrom, CopiesTo uint64 // 1-1, 2-2, 3-4, 5-8, 9-16 and so on
	Distinct             uint64 // contents
	Pages, Saved         uint64 // of those contents
}

// Group is what one group of pages has and gains.
//
// A group's gain is what it would save if it were alone, and its part of what
// is saved beyond that because groups have contents in common:
//
// KSM keeps ceil(K/m) pages of a content with K copies under the limit m (one
// without a limit), and saves the rest. Apart, the groups that hold it would
// keep as many pages or more: the sum of ceil(c/m) over their copies c.
// The difference is saved between groups. It is divided in equal parts among the
// groups whose copies do not fill their pages (c is no multiple of m); without
// a limit these are all. Thus no part is negative, a group that adds nothing
// gets nothing, and groups which are alike get the same.
//
// Without a limit this is the Shapley value: a group's gain from a content
// that G groups hold is c - 1/G. With a limit it still is where the copies that do not
// fill a page, added over the groups, fit one page. Where they do not, the
// Shapley value would set apart groups with one copy and groups with m-1,
// which is not done here.
//
// With UseZeroPages every group saves its zero pages alone.
type Group struct {
	Pages     uint64
	ZeroPages uint64
	Distinct  uint64 // contents; one that is in several groups counts in each
	Within    uint64 // pages saved if the group were alone
	Between   Part   // pages saved with others, the group's part; never negative
}

// Gain returns the group's part of Result.Saved. The parts of all groups sum
// to it exactly.
func (g Group) Gain() Part { return PartsPerPage*Part(g.Within) + g.Between }

// Part is a number of pages that may have a fraction, in units of 2^-20 page.
//
// What is divided among groups does not come out even in these units. What is
// left, less than one unit for each of the groups, goes to one of them that a
// hash of the content and the group picks: it favours no group in the long
// run.
type Part uint64

// PartsPerPage is the number of parts that make a page.
const PartsPerPage = 1 << 20

// Pages returns p in pages. It is exact up to 2^33 pages (32 TiB of 4 KiB
// pages), and so is any sum of such numbers up to that size, in any order.
func (p Part) Pages() float64 { return float64(p) / PartsPerPage }

// Content is one content of which there are several copies.
type Content struct {
	// Fingerprint is what is kept of the fingerprint (Census.FingerprintBits),
	// followed by zero bits.
	Fingerprint uint64

	Zero   bool // the zero page
	Copies uint64

	// Holders are the groups with most copies, at most MaxHolders: most copies
	// first, then lowest number. MoreGroups is how many others hold it.
	Holders    []Holder
	MoreGroups int

	// Location is where one copy was when it was added, unless HasLocation is
	// false: for all but the zero page it is known only for a sample of
	// the pages, which holds most contents with many copies.
	Location    uint64
	HasLocation bool
}

// MaxHolders is the largest number of groups that a Content names.
const MaxHolders = 8

// Holder is a group that holds copies of a content.
type Holder struct {
	Group  uint32
	Copies uint64
}

// saving returns what becomes of equal pages under the limit: of every
// MaxPageSharing pages one is kept, and one of what remains.
func (q Query) saving(copies uint64) (saved, shared, unshared uint64) {
	if copies == 1 {
		return 0, 0, 1
	}
	if q.MaxPageSharing == 0 || copies <= q.MaxPageSharing {
		return copies - 1, 1, 0
	}
	shared = copies / q.MaxPageSharing
	switch copies % q.MaxPageSharing {
	case 0:
	case 1:
		unshared = 1
	default:
		shared++
	}
	return copies - shared - unshared, shared, unshared
}
