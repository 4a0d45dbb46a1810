package madvise

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SetMemoryMerge switches merging on or off for the calling process, all its
// threads and all its memory, present and future
// (prctl(2) PR_SET_MEMORY_MERGE, since Linux 6.4).
//
// On marks every area that can be merged; areas that can not are left out in
// silence. Off, after on, unmarks every area, also those of [Mergeable], and
// gives merged pages their own copies at once: memory use grows by as much. Off
// without on before does nothing. The switch is inherited by fork(2), and by
// execve(2) since Linux 6.7; see [MemoryMergeSurvivesExec].
func SetMemoryMerge(on bool) error {
	var value uintptr
	if on {
		value = 1
	}
	if err := unix.Prctl(unix.PR_SET_MEMORY_MERGE, value, 0, 0, 0); err != nil {
		return &Error{"set memory merge", explainPrctl(err)}
	}
	return nil
}

// MemoryMerge reports whether merging is on for the calling process as a
// whole (prctl(2) PR_GET_MEMORY_MERGE, since Linux 6.4).
func MemoryMerge() (bool, error) {
	value, err := unix.PrctlRetInt(unix.PR_GET_MEMORY_MERGE, 0, 0, 0, 0)
	if err != nil {
		return false, &Error{"get memory merge", explainPrctl(err)}
	}
	return value != 0, nil
}

func explainPrctl(err error) error {
	switch err {
	case unix.EINVAL, unix.ENOSYS:
		return needs("6.4")
	case unix.ENOMEM:
		return fmt.Errorf("out of kernel memory: %w", err)
	case unix.EINTR:
		return fmt.Errorf("stopped by a signal, can be repeated: %w", err)
	default:
		return err
	}
}
