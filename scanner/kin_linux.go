package scanner

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Of a huge page that a fork has shared, and of which the other process has written
// to parts, pagemap says for all 512 pages what is true of the first: it may tell that
// nobody else maps them while somebody does. To read those with process_vm_readv makes
// copies, beside a huge page that stays. So the pages of a process that has kin are not
// read that way.
//
// Kin are processes that come from each other by fork, without a new program since.
// They have the same identity, for the kernel chooses another stack for each program.
// (Where it is told not to, programs alike are taken for kin.) Kin that may not be seen
// are not known: of other users, for who has no CAP_SYS_PTRACE, and outside of this PID
// namespace.

// kinPart is which part of the time is spent at most on finding out anew who has kin,
// on a machine where processes begin all the time: then a fork is noticed that much
// later.
const kinPart = 20

// families knows how many processes have each identity.
type families struct {
	mu      sync.Mutex
	loadavg int // descriptor, which is never closed; -1 is none yet
	sizes   map[identity]int
	newest  uint64        // process when they were found
	found   time.Time     // when that was
	took    time.Duration // to find out
}

var kin = families{loadavg: -1}

// has reports whether more than one process has that identity. If it can not tell it
// is true.
func (f *families) has(id identity, b *liveBuffer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	newest, err := f.newestProcess(b)
	if err != nil {
		return true
	}
	if f.sizes == nil || newest != f.newest && time.Since(f.found) >= kinPart*f.took {
		began := time.Now()
		sizes, err := readFamilies()
		if err != nil {
			return true
		}
		f.sizes, f.newest, f.found = sizes, newest, time.Now()
		f.took = f.found.Sub(began)
	}
	return f.sizes[id] > 1
}

// newestProcess returns the number that was given last in this PID namespace, to a
// process or a thread: the last word of /proc/loadavg.
func (f *families) newestProcess(b *liveBuffer) (uint64, error) {
	if f.loadavg < 0 {
		var err error
		if f.loadavg, err = unix.Open("/proc/loadavg", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return 0, err
		}
	}
	n, err := unix.Pread(f.loadavg, b.stat[:], 0)
	if err != nil {
		return 0, err
	}
	text := bytes.TrimSpace(b.stat[:n])
	return decimal(text[bytes.LastIndexByte(text, ' ')+1:]), nil
}

func readFamilies() (map[identity]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	sizes := make(map[identity]int, len(names))
	text := make([]byte, 1024)
	for _, name := range names {
		if _, err := strconv.Atoi(name); err != nil {
			continue
		}
		fd, err := unix.Openat(int(dir.Fd()), name+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // it has ended
		}
		n, err := unix.Read(fd, text)
		unix.Close(fd)
		if err != nil {
			continue
		}
		sizes[identify(text[:n])]++
	}
	return sizes, nil
}
