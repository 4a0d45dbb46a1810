//go:build amd64 || arm64

package real

import (
	"errors"

	"golang.org/x/sys/unix"
)

// khugepaged makes huge pages again of what ksmd has split, and of zeros that were
// freed then: a few in a minute by default, and each undoes 512 pages of merging. The
// model leaves it out. So only memory that was not touched yet is marked
// MADV_HUGEPAGE; where a huge page has appeared, MADV_NOHUGEPAGE leaves that as it is
// and keeps khugepaged away.

const (
	hugeBytes = 2 << 20 // of a huge page
	hugePages = hugeBytes / 4096
)

// touch notes down that a page is written to, if its guest has huge pages.
func (g *hostGuest) touch(page int) {
	if unit := page / hugePages; g.untouched != nil && g.untouched[unit] {
		g.untouched[unit] = false
		g.appeared = append(g.appeared, unit)
	}
}

// keepHugePages marks the memory of huge pages that have appeared. All writes have
// been carried out.
func (h *Host) keepHugePages(i int) error {
	g := &h.guests[i]
	for len(g.appeared) > 0 {
		first, n := g.appeared[0], 1
		for n < len(g.appeared) && g.appeared[n] == first+n {
			n++
		}
		g.appeared = g.appeared[n:]
		if err := h.adviseHuge(g, first, n, unix.MADV_NOHUGEPAGE); err != nil {
			return err
		}
	}
	g.appeared = nil
	return nil
}

// release makes huge pages possible again where whole ones were given back.
func (h *Host) release(g *hostGuest, first, pages int) error {
	if g.untouched == nil {
		return nil
	}
	from, to := (first+hugePages-1)/hugePages, (first+pages)/hugePages
	if from >= to {
		return nil
	}
	for unit := from; unit < to; unit++ {
		g.untouched[unit] = true
	}
	return h.adviseHuge(g, from, to-from, unix.MADV_HUGEPAGE)
}

// adviseHuge calls madvise for n huge pages. A kernel without huge pages refuses,
// which is as well.
func (h *Host) adviseHuge(g *hostGuest, first, n int, advice uint64) error {
	end := min(uint64(first+n)*hugeBytes, g.length)
	err := g.worker.madvise(h.base+uint64(first)*hugeBytes, end-uint64(first)*hugeBytes, advice)
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
