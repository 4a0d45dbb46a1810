//go:build linux || darwin || freebsd

package scanner

import "golang.org/x/sys/unix"

// The lseek that finds data and holes; their numbers differ between systems.
const (
	seekData = unix.SEEK_DATA
	seekHole = unix.SEEK_HOLE
)
