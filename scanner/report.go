package scanner

import (
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Report is the answer of a scan. Counts are pages unless they say otherwise.
type Report struct {
	PageSize int
	Complete bool // all targets were read to the end

	// Pages is the number of pages looked at: those that KSM could merge and
	// that are present.
	Pages     uint64
	ZeroPages uint64 // those full of zeros
	Distinct  uint64 // contents

	// WouldSave is the number of pages that merging all of them would save
	// once KSM has settled, if none changes: what the kernel would count as
	// pages_sharing and ksm_zero_pages. ByZeroPages is the part that is pages of
	// zeros; Within is what the groups would save if each were alone, and
	// Between what they save together beyond that.
	WouldSave   uint64
	ByZeroPages uint64
	Within      uint64
	Between     uint64

	// Shared and Unshared are what the kernel would count as pages_shared and
	// pages_unshared.
	Shared, Unshared uint64

	// Items is the number of pages that ksmd would go on tracking: all but
	// those that the zero page replaces.
	Items uint64

	Groups    []Group  // those with most to gain first
	Histogram []Bucket // contents by the number of their copies
	Top       []Content

	// MappedZeroPages are mappings of the kernel's zero page: memory only ever
	// read, or replaced by KSM before. SwappedPages are swapped out, HolePages
	// lie in the holes of images. None of them is among Pages.
	MappedZeroPages uint64
	SwappedPages    uint64
	HolePages       uint64

	// Skipped is the number of pages present that KSM could not merge, or that
	// could not be read, by the reason.
	Skipped map[Reason]uint64

	// Refused are the targets that could not be opened, and Gone is how many
	// processes exited before they were read.
	Refused []Refusal
	Gone    int

	// Problems are errors that cut single targets short.
	Problems []error

	BytesRead uint64
	Elapsed   time.Duration

	// Verification is what Options.Verify found, in further time and with further
	// reading. It is nil if that was not asked for.
	Verification *Verification
}

// WouldSaveBytes returns WouldSave in bytes.
func (r *Report) WouldSaveBytes() int64 { return int64(r.WouldSave) * int64(r.PageSize) }

// MetadataBytes returns what the kernel would spend on tracking the pages.
func (r *Report) MetadataBytes() int64 { return int64(r.Items) * sysfs.ItemBytes }

// NetBytes returns what is left of the saving after the metadata; it is
// negative if merging would cost more than it saves.
func (r *Report) NetBytes() int64 { return r.WouldSaveBytes() - r.MetadataBytes() }

// Refusal is a target that could not be opened, and why.
type Refusal struct {
	Target string
	Err    error
}

// Group is one group's part in a Report.
type Group struct {
	Name      string
	Pages     uint64
	ZeroPages uint64
	Distinct  uint64
	Within    uint64  // pages that it would save if it were alone
	Between   float64 // its part of what groups save together beyond that
	Items     uint64
}

// WouldSave returns the group's part of the whole saving, in pages: the parts of
// all groups sum to Report.WouldSave.
func (g *Group) WouldSave() float64 { return float64(g.Within) + g.Between }

// MetadataBytes returns what the kernel would spend on tracking the group.
func (g *Group) MetadataBytes() int64 { return int64(g.Items) * sysfs.ItemBytes }

// NetBytes returns the group's part of the saving less its metadata.
func (g *Group) NetBytes(pageSize int) int64 {
	return int64(g.WouldSave()*float64(pageSize)) - g.MetadataBytes()
}

// Bucket is a row of the histogram: the contents of which there are from
// CopiesFrom to CopiesTo copies.
type Bucket struct {
	CopiesFrom, CopiesTo uint64
	Distinct             uint64
	Pages, Saved         uint64
}

// Content is one of the most copied contents.
type Content struct {
	Copies uint64
	Class  Class  // empty if no copy could be looked at again
	Sample []byte // its bytes, or nil; they may hold secrets
	Owners []Owner
	More   int // further groups that hold it
}

// Owner is a group that holds copies of a content.
type Owner struct {
	Group  string
	Copies uint64
}

// AddReplaced takes in pages of a group that KSM has already replaced by the zero
// page. They are saved now, and no scan can see them: they look like memory that
// was only ever read. The process's ksm_stat counts them.
func (r *Report) AddReplaced(group string, pages uint64) {
	for i := range r.Groups {
		g := &r.Groups[i]
		if g.Name != group || pages == 0 {
			continue
		}
		if g.ZeroPages == 0 {
			g.Distinct++
		}
		if r.ZeroPages == 0 {
			r.Distinct++
		}
		g.Pages, g.ZeroPages, g.Within = g.Pages+pages, g.ZeroPages+pages, g.Within+pages
		r.Pages, r.ZeroPages, r.Within = r.Pages+pages, r.ZeroPages+pages, r.Within+pages
		r.WouldSave, r.ByZeroPages = r.WouldSave+pages, r.ByZeroPages+pages
	}
}
