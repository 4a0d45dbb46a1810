package census

import (
	"cmp"
	"math/bits"
	"slices"
)

// tally adds up contents. Every sum is one of integers, so that tallies of
// several goroutines add up to the same in any order.
type tally struct {
	query     Query
	result    Result // sums only
	histogram [65]Bucket
	groups    []Group // Pages and ZeroPages are not used
	singles   uint64  // contents of one copy, not in result and histogram
	top       []Content
}

func newTally(q Query, groups int) *tally {
	return &tally{query: q, groups: make([]Group, groups)}
}

// addSingle adds a content of one copy. Most contents are of this kind.
func (t *tally) addSingle(group uint32) {
	t.singles++
	t.groups[group].Distinct++
}

// foldSingles adds the contents of one copy to result and histogram.
func (t *tally) foldSingles() {
	t.result.Pages += t.singles
	t.result.Distinct += t.singles
	t.result.Unshared += t.singles
	t.histogram[0].Pages += t.singles
	t.histogram[0].Distinct += t.singles
	t.singles = 0
}

// add adds one content: its number of copies, at least 2, and the groups that
// hold them.
func (t *tally) add(fingerprint, copies uint64, holders []Holder) {
	saved, shared, unshared := t.query.saving(copies)
	t.result.Shared += shared
	t.result.Sharing += saved
	t.result.Unshared += unshared
	t.count(copies, saved)
	t.divide(fingerprint, saved, holders)
	t.rank(Content{Fingerprint: fingerprint, Copies: copies}, holders)
}

// addZeros adds the content zero page.
func (t *tally) addZeros(fingerprint, copies uint64, holders []Holder) {
	saved, shared, unshared := t.query.saving(copies)
	if t.query.UseZeroPages {
		saved = copies
		for _, h := range holders {
			t.groups[h.Group].Distinct++
			t.groups[h.Group].Within += h.Copies
		}
	} else {
		t.result.Shared += shared
		t.result.Sharing += saved
		t.result.Unshared += unshared
		t.divide(fingerprint, saved, holders)
	}
	t.result.ZeroPages = copies
	t.result.ZeroSaved = saved
	t.count(copies, saved)
	if copies >= 2 {
		t.rank(Content{Fingerprint: fingerprint, Copies: copies, Zero: true}, holders)
	}
}

func (t *tally) count(copies, saved uint64) {
	t.result.Pages += copies
	t.result.Distinct++
	t.result.Saved += saved
	b := &t.histogram[bits.Len64(copies-1)]
	b.Distinct++
	b.Pages += copies
	b.Saved += saved
}

// divide gives each group its part of what a content saves; see Group.
func (t *tally) divide(fingerprint, saved uint64, holders []Holder) {
	if len(holders) == 1 {
		g := &t.groups[holders[0].Group]
		g.Distinct++
		g.Within += saved
		return
	}
	between := saved
	var open uint64 // groups whose copies do not fill their pages
	for _, h := range holders {
		within, _, _ := t.query.saving(h.Copies)
		between -= within
		g := &t.groups[h.Group]
		g.Distinct++
		g.Within += within
		if t.query.isOpen(h.Copies) {
			open++
		}
	}
	if between == 0 {
		return
	}
	each, left := between*PartsPerPage/open, between*PartsPerPage%open
	picked, lowest := -1, uint64(0)
	for i, h := range holders {
		if !t.query.isOpen(h.Copies) {
			continue
		}
		t.groups[h.Group].Between += Part(each)
		if left == 0 {
			continue
		}
		// Groups differ and scatter is a bijection, so no two draw the same.
		if draw := scatter(fingerprint ^ uint64(h.Group)); picked < 0 || draw < lowest {
			picked, lowest = i, draw
		}
	}
	if left > 0 {
		t.groups[holders[picked].Group].Between += Part(left)
	}
}

// isOpen reports whether further copies could join this many without a
// further page being kept.
func (q Query) isOpen(copies uint64) bool {
	return q.MaxPageSharing == 0 || copies%q.MaxPageSharing != 0
}

// rank puts a content in its place among the most copied ones, if it is one.
func (t *tally) rank(c Content, holders []Holder) {
	if len(t.top) >= t.query.Top && (t.query.Top <= 0 || compareContents(c, t.top[len(t.top)-1]) > 0) {
		return
	}
	c.Holders = append(c.Holders, holders...)
	slices.SortFunc(c.Holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Copies, a.Copies), cmp.Compare(a.Group, b.Group))
	})
	if len(c.Holders) > MaxHolders {
		c.MoreGroups = len(c.Holders) - MaxHolders
		c.Holders = slices.Clone(c.Holders[:MaxHolders])
	}
	t.insert(c)
}

// insert is rank for a content whose holders are in order.
func (t *tally) insert(c Content) {
	at, _ := slices.BinarySearchFunc(t.top, c, compareContents)
	if at >= t.query.Top {
		return
	}
	if len(t.top) == t.query.Top {
		t.top = t.top[:len(t.top)-1]
	}
	t.top = slices.Insert(t.top, at, c)
}

// compareContents orders contents by copies, most first. Two can only be
// equal otherwise if one of them is the zero page.
func compareContents(a, b Content) int {
	order := cmp.Or(cmp.Compare(b.Copies, a.Copies), cmp.Compare(a.Fingerprint, b.Fingerprint))
	if order == 0 && a.Zero != b.Zero {
		if a.Zero {
			return -1
		}
		return 1
	}
	return order
}

// merge adds another tally of other contents to t.
func (t *tally) merge(o *tally) {
	t.singles += o.singles
	r := &t.result
	r.Pages += o.result.Pages
	r.ZeroPages += o.result.ZeroPages
	r.Distinct += o.result.Distinct
	r.Saved += o.result.Saved
	r.ZeroSaved += o.result.ZeroSaved
	r.Shared += o.result.Shared
	r.Sharing += o.result.Sharing
	r.Unshared += o.result.Unshared
	for i, b := range &o.histogram {
		t.histogram[i].Distinct += b.Distinct
		t.histogram[i].Pages += b.Pages
		t.histogram[i].Saved += b.Saved
	}
	for i, g := range o.groups {
		t.groups[i].Distinct += g.Distinct
		t.groups[i].Within += g.Within
		t.groups[i].Between += g.Between
	}
	for _, c := range o.top {
		t.insert(c)
	}
}

// rows returns the histogram up to its last row that is not empty.
func (t *tally) rows() []Bucket {
	n := len(t.histogram)
	for n > 0 && t.histogram[n-1].Distinct == 0 {
		n--
	}
	rows := slices.Clone(t.histogram[:n])
	for i := range rows {
		rows[i].CopiesFrom, rows[i].CopiesTo = 1, 1
		if i > 0 {
			rows[i].CopiesFrom, rows[i].CopiesTo = 1<<(i-1)+1, 1<<i
		}
	}
	return rows
}
