package madvise

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// unmarked returns the parts of start..end that the calling process has mapped
// and that are not marked mergeable.
func unmarked(start, end uintptr) ([]Area, error) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return unmarkedIn(f, start, end)
}

// unmarkedIn is unmarked of the smaps text r. It reads no further than the last
// area it needs.
func unmarkedIn(r io.Reader, start, end uintptr) ([]Area, error) {
	var areas []Area
	enough := errors.New("enough")
	err := procfs.Mappings(r, func(m *procfs.Mapping) error {
		if !m.HasFlags {
			return fmt.Errorf("no VmFlags of area %x-%x", m.Start, m.End)
		}
		first, last := max(uintptr(m.Start), start), min(uintptr(m.End), end)
		if first < last && m.Flags&procfs.VMMergeable == 0 {
			areas = append(areas, Area{first, last, reasonOf(m.Flags)})
		}
		if uintptr(m.End) >= end {
			return enough
		}
		return nil
	})
	if err != nil && err != enough {
		return nil, fmt.Errorf("smaps: %w", err)
	}
	return areas, nil
}

// reasonOf says why an area with these flags is not marked.
func reasonOf(flags procfs.VMFlags) Reason {
	for _, r := range []struct {
		flags  procfs.VMFlags
		reason Reason
	}{
		{procfs.VMHugetlb, ReasonHugetlb},
		{procfs.VMDroppable, ReasonDroppable},
		{procfs.VMIO, ReasonIO},
		{procfs.VMPFN, ReasonPFN},
		{procfs.VMMixed, ReasonMixed},
		// MAP_SHARED without write access has the second only.
		{procfs.VMShared | procfs.VMMayShare, ReasonShared},
		{procfs.VMDontExpand, ReasonFixedSize},
	} {
		if flags&r.flags != 0 {
			return r.reason
		}
	}
	return ReasonUnknown
}
