package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/ksmtop/ksmtop/internal/procfs"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

const (
	// simPageCost is what the model needs for a page of a guest, in bytes, and a
	// little more: measured are 59, for 64 GiB of same-os.
	simPageCost = 64

	// maxSimPages is how many pages the model can number.
	maxSimPages = 1<<31 - 2
)

// checkRoom returns an error for a scenario that is too large for the model, or
// for the memory that is available here, in bytes.
func checkRoom(s *scenario.Scenario, available uint64) error {
	pages := uint64(scenario.PeakPages(s.Plans(), false))
	const hint = "--scale 0.01 makes all memory smaller and keeps the shares of it"
	switch needs := pages * simPageCost; {
	case pages > maxSimPages:
		return hinted{fmt.Errorf("the guests have %s at one time, and the model has room for 8 TiB", bytesText(int64(pages)*scenario.PageSize)), hint}
	case needs > available:
		return hinted{fmt.Errorf("simulating this takes about %s of memory, and %s is available", bytesText(int64(needs)), bytesText(int64(available))), hint}
	}
	return nil
}

// memAvailable returns the memory that is available here, in bytes, or the largest
// number where nobody says.
func memAvailable() uint64 {
	content, err := os.ReadFile(sysfs.FS{}.ProcPath("meminfo"))
	if err != nil {
		return math.MaxUint64
	}
	available := uint64(math.MaxUint64)
	procfs.Lines(content, func(key, value []byte) bool {
		if string(key) != "MemAvailable" {
			return true
		}
		if kib, err := strconv.ParseUint(strings.TrimSuffix(string(value), " kB"), 10, 54); err == nil {
			available = kib << 10
		}
		return false
	})
	return available
}
