package procfs

import (
	"bytes"
	"errors"
	"math"
)

// Stat is what /proc/PID/stat says of a process, as far as anybody here asks.
type Stat struct {
	PID   int
	Comm  []byte // as the process set it: hostile; shares memory with the text parsed
	PPID  int
	Flags uint64 // PF_ bits of include/linux/sched.h
	User  uint64 // CPU time in user mode, in ticks of 1/100 s
	Sys   uint64 // CPU time in the kernel, in ticks of 1/100 s
	Start uint64 // when the process began, in ticks of 1/100 s since boot
	RSS   uint64 // resident memory, in pages
}

// KernelThread reports whether the process runs in the kernel only, which no
// program can pretend: PF_KTHREAD.
func (s *Stat) KernelThread() bool { return s.Flags&0x200000 != 0 }

// Exiting reports whether the process is about to end, or has ended and waits
// for its parent to notice: PF_EXITING.
func (s *Stat) Exiting() bool { return s.Flags&0x4 != 0 }

var errStat = errors.New("not a line of /proc/PID/stat")

// ParseStat parses the content of /proc/PID/stat without allocating, which is
// why it is not prometheus/procfs: a monitor reads it once for every process
// and refresh.
func ParseStat(text []byte) (Stat, error) {
	var s Stat
	// The name may hold blanks and parentheses: it ends at the last one.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return s, errStat
	}
	pid, ok := parsePID(text[:open-1])
	if !ok || text[open-1] != ' ' {
		return s, errStat
	}
	s.PID, s.Comm = pid, text[open+1:end]
	rest := text[end+1:]
	if len(rest) < 3 || rest[0] != ' ' || rest[2] != ' ' { // " S "
		return s, errStat
	}
	rest = rest[2:]
	for field := 4; field <= 24; field++ { // numbered as in proc_pid_stat(5)
		if len(rest) == 0 || rest[0] != ' ' {
			return s, errStat
		}
		rest = rest[1:]
		negative := len(rest) > 0 && rest[0] == '-'
		if negative {
			rest = rest[1:]
		}
		var n uint64
		if n, rest, ok = number(rest); !ok {
			return s, errStat
		}
		if negative {
			n = 0 // only of fields that are not kept
		}
		switch field {
		case 4:
			if n > math.MaxInt32 {
				return s, errStat
			}
			s.PPID = int(n)
		case 9:
			s.Flags = n
		case 14:
			s.User = n
		case 15:
			s.Sys = n
		case 22:
			s.Start = n
		case 24:
			s.RSS = n
		}
	}
	return s, nil
}

// parsePID parses the number of a process as the kernel writes it.
func parsePID(name []byte) (int, bool) {
	n, rest, ok := number(name)
	if !ok || len(rest) != 0 || name[0] == '0' || n > math.MaxInt32 {
		return 0, false
	}
	return int(n), true
}

// number cuts decimal digits off text. It is false if there are none, or too
// many for a uint64.
func number(text []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		d := uint64(text[i] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, text, false
		}
		n = n*10 + d
		i++
	}
	return n, text[i:], i > 0
}

// Lines calls each with the key and the value of every line of a file such as
// /proc/meminfo, /proc/vmstat or /proc/PID/ksm_stat: a key, a colon in some
// files, blanks, and the value. It stops when each returns false.
func Lines(text []byte, each func(key, value []byte) bool) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		key, value, _ := bytes.Cut(line, []byte{' '})
		if !each(bytes.TrimSuffix(key, []byte{':'}), bytes.TrimLeft(value, " ")) {
			return
		}
	}
}
