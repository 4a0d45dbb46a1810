package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// osRelease returns the release of the kernel, or "".
func osRelease(proc string) string {
	if proc == "" {
		proc = "/proc"
	}
	text, err := os.ReadFile(filepath.Join(proc, "sys/kernel/osrelease"))
	if err != nil {
		return ""
	}
	return string(text)
}

// searchFirst reports whether a release of Linux, from 4.13 on, has the rules from
// before 6.11.
func searchFirst(release string) (old, ok bool) {
	old, ok = releasedBefore(release, 6, 11)
	tooOld, _ := releasedBefore(release, 4, 13)
	return old, ok && !tooOld
}

// keepsZeros reports whether a release of Linux has the rules from before 6.12, for
// huge pages that are split.
func keepsZeros(release string) bool {
	old, _ := releasedBefore(release, 6, 12)
	return old
}

// releasedBefore reports whether a release of Linux came before a version, if it is one.
func releasedBefore(release string, major, minor int) (earlier, ok bool) {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n < 2 || a < 0 || b < 0 {
		return false, false
	}
	return a < major || a == major && b < minor, true
}
