//go:build unix && !linux

// Package procfs reads what /proc says about processes.
package procfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// Dir is an open /proc, listed again and again.
type Dir struct {
	fd   int
	path string
}

// OpenDir opens a /proc: here a copy of one, since only Linux has a real one.
func OpenDir(path string) (*Dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{fd: fd, path: path}, nil
}

// Close closes d.
func (d *Dir) Close() { unix.Close(d.fd) }

// FD returns the descriptor of the directory, which stays d's.
func (d *Dir) FD() int { return d.fd }

// AppendPIDs appends the processes that there are now to dst.
func (d *Dir) AppendPIDs(dst []int) ([]int, error) {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		if pid, ok := parsePID([]byte(e.Name())); ok {
			dst = append(dst, pid)
		}
	}
	return dst, err
}
