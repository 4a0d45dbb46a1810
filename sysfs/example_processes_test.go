//go:build unix

package sysfs_test

import (
	"fmt"

	"github.com/ksmtop/ksmtop/sysfs"
)

func ExampleProcessReader() {
	reader, err := copied.NewProcessReader()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()

	var p sysfs.Processes // used again and again: reading allocates next to nothing
	if err := reader.Read(&p); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of %d readable, %d registered\n", p.Readable, p.Readable+p.Denied+p.Malformed, p.Registered)
	for _, q := range p.List {
		mode, _ := q.KSM.Mode()
		fmt.Printf("%d %q %s: %d pages merged, profit %d bytes\n", q.PID, q.Comm, mode, q.KSM.MergingPages, q.KSM.Profit)
	}
	// Output:
	// 4 of 4 readable, 3 registered
	// 1201 "qemu-system-x86" vma: 301056 pages merged, profit 1367343104 bytes
	// 1350 "redis-server" all: 900 pages merged, profit -2555904 bytes
	// 1666 "a) R 1 (\x1b[2J\nb" all: 1024 pages merged, profit 4063232 bytes
}

func ExampleCounters_Savings() {
	var c sysfs.Counters
	c.PagesSharing, c.PagesShared, c.PagesUnshared = 10, 4, 2000
	c.GeneralProfit = 10*4096 - 2014*64
	c.Present = sysfs.SetOf(sysfs.PagesSharing, sysfs.PagesShared, sysfs.PagesUnshared, sysfs.GeneralProfit)

	if s, ok := c.Savings(4096); ok {
		fmt.Printf("%d bytes saved, %d spent on %d pages: net %d\n", s.SavedBytes, s.MetadataBytes, s.Items, s.NetBytes)
	}
	// Output:
	// 40960 bytes saved, 128896 spent on 2014 pages: net -87936
}

// Three processes share one page; one of them may not be read.
func ExampleCounters_Attribute() {
	var c sysfs.Counters
	c.PagesShared, c.PagesSharing = 1, 2
	c.Present = sysfs.SetOf(sysfs.PagesShared, sysfs.PagesSharing)
	list := make([]sysfs.Process, 2)
	list[0].KSM.MergingPages = 1
	list[1].KSM.MergingPages = 1

	parts, rest, ok := c.Attribute(list, 4096, nil)
	fmt.Println(parts, rest, ok)
	fmt.Println(parts[0]+parts[1]+rest == 2*4096)
	// Output:
	// [2730 2731] 2731 true
	// true
}

func ExampleRatesBetween() {
	reader, err := copied.NewReader()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()
	var earlier, later sysfs.Reading
	reader.Read(&earlier)
	reader.Read(&later)
	later.Counters.PagesScanned += 5000 // as if ksmd had worked,
	later.Time = earlier.Time.Add(2e9)  // for two seconds

	r := sysfs.RatesBetween(&earlier, &later)
	if r.HasPagesPerSecond {
		fmt.Printf("%.0f pages/s\n", r.PagesPerSecond)
	}
	if r.HasFullScan {
		fmt.Println("a full scan takes", r.FullScan.Round(1e9))
	}
	// Output:
	// 2500 pages/s
	// a full scan takes 4m12s
}
