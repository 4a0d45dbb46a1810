// Package procfs reads what /proc says about processes.
package procfs

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Dir is an open /proc, listed again and again.
type Dir struct {
	fd  int
	buf []byte
}

// OpenDir opens a /proc. Errors are bare unix.Errno values.
func OpenDir(path string) (*Dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{fd: fd, buf: make([]byte, 32<<10)}, nil
}

// Close closes d.
func (d *Dir) Close() { unix.Close(d.fd) }

// FD returns the descriptor of the directory, which stays d's.
func (d *Dir) FD() int { return d.fd }

// AppendPIDs appends the processes that there are now to dst, in the order of
// the directory, which for a real /proc is ascending.
func (d *Dir) AppendPIDs(dst []int) ([]int, error) {
	if _, err := unix.Seek(d.fd, 0, 0); err != nil {
		return dst, err
	}
	for {
		n, err := unix.ReadDirent(d.fd, d.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return dst, err
		}
		dst = appendNumeric(dst, d.buf[:n])
	}
}

// appendNumeric appends the names in a buffer of struct linux_dirent64 that
// are numbers: 8 bytes inode, 8 offset, 2 length of the entry, 1 type, name, 0.
func appendNumeric(dst []int, entries []byte) []int {
	const nameAt = 19
	for len(entries) > nameAt {
		size := int(binary.NativeEndian.Uint16(entries[16:]))
		if size <= nameAt || size > len(entries) {
			break
		}
		name, _, _ := bytes.Cut(entries[nameAt:size], []byte{0})
		if pid, ok := parsePID(name); ok {
			dst = append(dst, pid)
		}
		entries = entries[size:]
	}
	return dst
}
