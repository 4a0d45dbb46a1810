//go:build unix

package sysfs_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ksmtop/ksmtop/sysfs"
)

// exampleTree makes a tree like a small /sys, so that examples leave the
// machine alone.
func exampleTree() (fsys sysfs.FS, remove func()) {
	dir, err := os.MkdirTemp("", "ksmtop-example")
	if err != nil {
		log.Fatal(err)
	}
	for path, text := range map[string]string{
		"sys/kernel/mm/ksm/run":              "1\n",
		"sys/kernel/mm/ksm/sleep_millisecs":  "20\n",
		"sys/kernel/mm/ksm/max_page_sharing": "256\n",
		"sys/kernel/mm/ksm/pages_shared":     "100\n",
		"sys/kernel/mm/ksm/pages_sharing":    "900\n",
		"proc/sys/kernel/random/boot_id":     "5ad6d4fc-3d0c-4f8c-b0a3-1d2a3a9b6f10\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return sysfs.FS{Root: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc")}, func() { os.RemoveAll(dir) }
}

func ExampleParseSetting() {
	s, err := sysfs.ParseSetting("sleep_millisecs=5")
	fmt.Println(s, err)
	_, err = sysfs.ParseSetting("sleep_millisecs=5ms")
	fmt.Println(err)
	// Output:
	// sleep_millisecs=5 <nil>
	// sleep_millisecs: "5ms": must be a decimal number
}

func ExampleFS_Plan() {
	fsys, remove := exampleTree()
	defer remove()
	changes, err := fsys.Plan(
		sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "512"},
		sysfs.Setting{Field: sysfs.Run, Value: "2"},
		sysfs.Setting{Field: sysfs.Run, Value: "1"},
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range changes {
		fmt.Println(c.Field, c.Old, "->", c.New)
	}
	// Output:
	// run 1 -> 2
	// max_page_sharing 256 -> 512
	// run 2 -> 1
}

func ExampleFS_Set() {
	fsys, remove := exampleTree()
	defer remove()
	changes, err := fsys.Set(sysfs.Setting{Field: sysfs.SleepMillisecs, Value: "5"})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range changes {
		fmt.Println(c.Field, c.Old, "->", c.New)
	}
	// Output:
	// sleep_millisecs 20 -> 5
}

func ExampleHint() {
	fsys, remove := exampleTree()
	defer remove()
	_, err := fsys.Set(sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "512"})
	if e, ok := err.(*sysfs.Error); ok {
		fmt.Println(e.Err)
	}
	fmt.Println("hint:", sysfs.Hint(err))
	// Output:
	// device or resource busy: KSM pages exist
	// hint: write run=2 first, which unmerges everything; run=1 may follow in the same step
}

func ExampleCounters_UnmergeBytes() {
	c := sysfs.Counters{PagesShared: 100, PagesSharing: 900, KSMZeroPages: 24}
	fmt.Println(c.UnmergeBytes(4096), "bytes")
	// Output:
	// 3784704 bytes
}
