package ksmd

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// 140 scans of the real advisor, each with the scan time and CPU percentage that
// it saw and the pages_to_scan that it chose (testdata/advisor.tsv says where from).
func TestAdvisorIsTheKernels(t *testing.T) {
	file, err := os.Open("testdata/advisor.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	knobs := sysfs.DefaultKnobs()
	for f, text := range map[sysfs.Field]string{
		sysfs.AdvisorTargetScanTime: "2",
		sysfs.PagesToScan:           "500",
	} {
		if err := knobs.Set(f, text); err != nil {
			t.Fatal(err)
		}
	}
	var a advisor
	cpu := time.Duration(0)
	rows := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "scan_time_s") {
			continue
		}
		var scan, percent int64
		var want uint32
		if _, err := fmt.Sscan(line, &scan, &percent, &want); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rows++
		cpu += time.Duration(percent*scan*10) * time.Millisecond
		got, gotPercent := a.next(&knobs, scan, cpu)
		if got != want || gotPercent != int(percent) {
			t.Fatalf("row %d: after a scan of %d s at %d %%: %d pages (%d %%), the kernel chose %d", rows, scan, percent, got, gotPercent, want)
		}
		knobs.PagesToScan = got
	}
	if rows != 140 {
		t.Errorf("%d rows, want 140", rows)
	}
}
