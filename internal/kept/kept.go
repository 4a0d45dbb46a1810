//go:build unix

// Package kept reads small files again and again through descriptors that stay
// open, as a monitor reads /sys and /proc: no path walk, no allocation.
package kept

import (
	"golang.org/x/sys/unix"
)

// File is an open file that is read from its beginning each time. Errors are
// bare unix.Errno values, so that they can be compared without unwrapping.
// The zero value is not open. A File is not safe for concurrent use.
type File struct {
	fd   int
	open bool
}

// Open opens path for reading. It never blocks, also if path is a FIFO.
func Open(path string) (File, error) { return OpenAt(unix.AT_FDCWD, path) }

// OpenAt opens path below the directory descriptor dirfd.
func OpenAt(dirfd int, path string) (File, error) {
	for {
		fd, err := unix.Openat(dirfd, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return File{}, err
		}
		return File{fd: fd, open: true}, nil
	}
}

// IsOpen reports whether f holds a descriptor.
func (f File) IsOpen() bool { return f.open }

// FD returns the descriptor, which stays f's.
func (f File) FD() int { return f.fd }

// Read fills buf from the beginning of the file and returns the part that was
// filled. A file that is longer than buf is cut off.
func (f File) Read(buf []byte) ([]byte, error) {
	if !f.open {
		return nil, unix.EBADF
	}
	n := 0
	for n < len(buf) {
		m, err := unix.Pread(f.fd, buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return buf[:n], nil
}

// Once reads the file as Read does, for files whose whole content comes in one
// read: it saves the second system call that looks for the end.
func (f File) Once(buf []byte) ([]byte, error) {
	if !f.open {
		return nil, unix.EBADF
	}
	for {
		n, err := unix.Pread(f.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

// Close closes f and makes it the zero File. Closing a File twice does nothing.
func (f *File) Close() {
	if f.open {
		unix.Close(f.fd)
	}
	*f = File{}
}

// ReadAll opens path, fills buf from it and closes it.
func ReadAll(path string, buf []byte) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Read(buf)
}
