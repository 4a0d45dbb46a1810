package scanner

import (
	"io"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// Mapping is one area of a process's memory as the kernel lists it, and whether
// KSM could merge what is in it.
type Mapping struct {
	Start, End uint64 // addresses; End is the first behind
	Perm       string // as the kernel writes it: "rw-p"
	Name       string // path or name in brackets, as the kernel escapes it: hostile

	// RSS, Anonymous and KSM are how much of the area is present in memory, how
	// much of that belongs to no file or was copied from one, and how much is on
	// KSM pages, which pages that were replaced by the zero page are not; in
	// bytes. HasSizes is false where only maps could be read, HasKSM before Linux
	// 6.8 too.
	RSS, Anonymous, KSM int64
	HasSizes, HasKSM    bool

	// Marked says that the area is mergeable now, by madvise or prctl.
	Marked bool

	// Reason is why KSM cannot merge anything here, or NumReasons if it could. It
	// is ReasonFile of a private file of which nothing was written to.
	Reason Reason
}

// Bytes returns the size of the area.
func (m *Mapping) Bytes() int64 { return int64(m.End - m.Start) }

// Eligible reports whether KSM could merge memory of the area if it were marked.
func (m *Mapping) Eligible() bool { return m.Reason == eligible }

// ReadMappings returns the areas that r, a smaps or a maps, lists, in ascending
// order. In a maps, reasons are told from names as far as they can.
func ReadMappings(r io.Reader) ([]Mapping, error) {
	var all []Mapping
	err := procfs.Mappings(r, func(m *procfs.Mapping) error {
		if string(m.Name) == "[vsyscall]" {
			return nil // code of the kernel, outside of the process's memory
		}
		area := Mapping{
			Start: m.Start, End: m.End, Perm: string(m.Perm[:]), Name: string(m.Name),
			RSS: m.RSS, Anonymous: m.Anonymous, KSM: m.KSM, HasSizes: m.HasRSS, HasKSM: m.HasKSM,
			Marked: m.Flags&procfs.VMMergeable != 0, Reason: ineligible(m),
		}
		if area.Reason == eligible && isFile(m) && m.HasRSS && m.Anonymous == 0 {
			area.Reason = ReasonFile
		}
		all = append(all, area)
		return nil
	})
	return all, err
}

// isFile reports whether pages of the area can belong to the page cache. The
// private /dev/zero is no such file.
func isFile(m *procfs.Mapping) bool { return m.Inode != 0 && string(m.Name) != "/dev/zero" }
