//go:build !linux && !darwin && !freebsd

package scanner

// There is no lseek that finds holes here, or it is not known: all is data.
const (
	seekData = -1
	seekHole = -1
)
