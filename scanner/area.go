package scanner

import (
	"io"
	"strings"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// Areas says which memory of a process is scanned.
type Areas uint8

// The choices of areas.
const (
	// AreasAuto is AreasMarked for a process that has marked areas, and else
	// AreasEligible.
	AreasAuto Areas = iota

	// AreasEligible is all memory that could be merged: what
	// prctl(PR_SET_MEMORY_MERGE) would mark.
	AreasEligible

	// AreasMarked is the memory that is marked now, by that or by madvise.
	AreasMarked
)

func (a Areas) String() string { return [...]string{"auto", "eligible", "marked"}[a] }

// area is a part of a process's address space.
type area struct {
	start, end uint64
	readable   bool
	marked     bool
	// file reports a mapping of a file, in which pages can belong to the page
	// cache. The private /dev/zero is none.
	file    bool
	noFlags bool   // reason is told by name
	reason  Reason // why it is left out; eligible if it is not
}

// eligible is the reason of no area to be left out.
const eligible = NumReasons

// parseAreas returns the areas that r lists, a maps or an smaps. The second
// result reports whether they all have flags; without them some reasons are
// told by name, and MAP_DROPPABLE not at all.
//
// The kernel makes the list piece by piece. An area that has meanwhile grown
// over its predecessor is listed with all of it; it is cut, so that no page is
// in two areas.
func parseAreas(r io.Reader) (areas []area, flags bool, err error) {
	var end uint64
	flags = true
	err = procfs.Mappings(r, func(m *procfs.Mapping) error {
		if string(m.Name) == "[vsyscall]" || m.End <= end {
			return nil // the former is code of the kernel, outside of the process's memory
		}
		areas = append(areas, area{
			start:    max(m.Start, end),
			end:      m.End,
			readable: m.Readable,
			marked:   m.Flags&procfs.VMMergeable != 0,
			file:     isFile(m),
			noFlags:  !m.HasFlags,
			reason:   ineligible(m),
		})
		flags = flags && m.HasFlags
		end = m.End
		return nil
	})
	return areas, flags, err
}

// ineligible says why the kernel does not merge pages of the area
// (mm/ksm.c: vma_ksm_compatible), or eligible.
func ineligible(m *procfs.Mapping) Reason {
	if !m.HasFlags {
		return ineligibleByName(m)
	}
	switch f := m.Flags; {
	case f&procfs.VMHugetlb != 0:
		return ReasonHugetlb
	case f&procfs.VMDroppable != 0:
		return ReasonDroppable
	case f&(procfs.VMShared|procfs.VMMayShare) != 0:
		return ReasonShared
	case f&(procfs.VMIO|procfs.VMPFN|procfs.VMMixed|procfs.VMDontExpand) != 0:
		return ReasonSpecial
	}
	return eligible
}

// ineligibleByName does what it can without flags. A private mapping of a file
// in a hugetlbfs is left to the walk of its pages.
func ineligibleByName(m *procfs.Mapping) Reason {
	name := string(m.Name)
	switch {
	case strings.HasPrefix(name, "/anon_hugepage"):
		return ReasonHugetlb
	case m.Shared:
		return ReasonShared
	case name == "[vdso]", strings.HasPrefix(name, "[vvar"), name == "[uprobes]":
		return ReasonSpecial
	}
	return eligible
}

// choose leaves those areas out that mode does not want, and returns what mode
// came to.
func choose(areas []area, mode Areas) Areas {
	if mode == AreasAuto {
		mode = AreasEligible
		for i := range areas {
			if areas[i].marked {
				mode = AreasMarked
			}
		}
	}
	if mode == AreasMarked {
		for i := range areas {
			if a := &areas[i]; a.reason == eligible && !a.marked {
				a.reason = ReasonNotMarked
			}
		}
	}
	return mode
}
