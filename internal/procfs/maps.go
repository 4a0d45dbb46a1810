package procfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// Mapping is one area of a process's memory, as /proc/PID/maps and
// /proc/PID/smaps list it.
type Mapping struct {
	Start, End uint64 // addresses, multiples of the page size; End is the first behind
	Perm       [4]byte
	Readable   bool
	Shared     bool   // or may be shared: VM_MAYSHARE
	Inode      uint64 // 0 of memory without a file
	Name       []byte // path or name in brackets, as the kernel escapes it: hostile; valid until the visit returns

	// RSS, Anonymous and KSM are how much of the area is present, how much of that
	// is anonymous memory, and how much is on KSM pages, in bytes. Only smaps has
	// them; KSM since Linux 6.8.
	RSS, Anonymous, KSM int64
	HasRSS, HasKSM      bool

	// Flags are the flags of smaps, as far as anybody here asks. HasFlags is
	// false in maps, and in the smaps of kernels without them.
	Flags    VMFlags
	HasFlags bool
}

// VMFlags is a set of the two-letter flags of VmFlags in /proc/PID/smaps.
type VMFlags uint16

// The members of VMFlags.
const (
	VMShared     VMFlags = 1 << iota // sh
	VMMayShare                       // ms
	VMHugetlb                        // ht
	VMDroppable                      // dp
	VMIO                             // io
	VMPFN                            // pf
	VMMixed                          // mm
	VMDontExpand                     // de
	VMMergeable                      // mg
)

var vmFlags = map[string]VMFlags{
	"sh": VMShared, "ms": VMMayShare, "ht": VMHugetlb, "dp": VMDroppable, "io": VMIO,
	"pf": VMPFN, "mm": VMMixed, "de": VMDontExpand, "mg": VMMergeable,
}

// Mappings calls visit for each area that r, a maps or an smaps, lists. It
// stops at the first error, which may be visit's. VmFlags are the last line of an
// area: who needs no more areas than one that has them can stop before the kernel
// makes the text of the next.
//
// It is not prometheus/procfs because that allocates for each area, of which a
// process can have 65530, and leaves VmFlags out.
func Mappings(r io.Reader, visit func(*Mapping) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	var m Mapping
	var name []byte // the line of m is overwritten before m is complete
	open := false
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil && err != io.EOF {
			if errors.Is(err, bufio.ErrBufferFull) {
				return fmt.Errorf("line of more than %d bytes", lines.Size())
			}
			return err
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if flags, ok := bytes.CutPrefix(line, []byte("VmFlags:")); ok {
			if !open {
				return fmt.Errorf("%q belongs to no area", clip(line))
			}
			m.Flags, m.HasFlags, open = parseVMFlags(flags), true, false
			if err := visit(&m); err != nil {
				return err
			}
			continue
		}
		if len(line) > 0 && line[0] >= 'A' && line[0] <= 'Z' {
			m.size(line)
			continue
		}
		if open {
			if err := visit(&m); err != nil {
				return err
			}
		}
		if m, open = parseMapping(line); !open {
			return fmt.Errorf("malformed area %q", clip(line))
		}
		name = append(name[:0], m.Name...)
		m.Name = name
	}
	if open {
		return visit(&m)
	}
	return nil
}

// size takes in a line like "Rss:   12 kB".
func (m *Mapping) size(line []byte) {
	switch line[0] { // there are two dozen lines for each area
	case 'R', 'A', 'K':
	default:
		return
	}
	key, value, _ := bytes.Cut(line, []byte{':'})
	to := &m.RSS
	switch string(key) {
	case "Rss":
	case "Anonymous":
		to = &m.Anonymous
	case "KSM":
		to = &m.KSM
	default:
		return
	}
	kib, rest, ok := number(bytes.TrimLeft(value, " "))
	if !ok || string(rest) != " kB" || kib > math.MaxInt64>>10 {
		return
	}
	*to = int64(kib) << 10
	m.HasRSS = m.HasRSS || to == &m.RSS
	m.HasKSM = m.HasKSM || to == &m.KSM
}

func clip(line []byte) []byte { return line[:min(len(line), 64)] }

func parseVMFlags(text []byte) VMFlags {
	var flags VMFlags
	for word := range bytes.FieldsSeq(text) {
		flags |= vmFlags[string(word)]
	}
	return flags
}

// parseMapping parses the first line of an area:
//
//	7f1c5a000000-7f1c5a021000 rw-p 00000000 00:00 0    name
func parseMapping(line []byte) (m Mapping, ok bool) {
	if m.Start, line, ok = hex(line); !ok || !hasByte(&line, '-') {
		return m, false
	}
	if m.End, line, ok = hex(line); !ok || !hasByte(&line, ' ') || m.End <= m.Start {
		return m, false
	}
	if len(line) < 5 || line[4] != ' ' {
		return m, false
	}
	m.Perm = [4]byte(line[:4])
	m.Readable, m.Shared = line[0] == 'r', line[3] == 's'
	line = line[5:]
	for _, after := range []byte{' ', ':', ' '} { // offset, major and minor device number
		if _, line, ok = hex(line); !ok || !hasByte(&line, after) {
			return m, false
		}
	}
	if m.Inode, line, ok = number(line); !ok || len(line) > 0 && line[0] != ' ' {
		return m, false
	}
	m.Name = bytes.TrimLeft(line, " ")
	return m, true
}

// hasByte cuts c off the front of text, and reports whether it was there.
func hasByte(text *[]byte, c byte) bool {
	if len(*text) == 0 || (*text)[0] != c {
		return false
	}
	*text = (*text)[1:]
	return true
}

// hex cuts hexadecimal digits in lower case off text. It is false if there are
// none, or too many for a uint64.
func hex(text []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(text); i++ {
		var d byte
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c >= 'a' && c <= 'f':
			d = c - 'a' + 10
		default:
			return n, text[i:], i > 0
		}
		if n>>60 != 0 {
			return 0, text, false
		}
		n = n<<4 | uint64(d)
	}
	return n, text[i:], i > 0
}
