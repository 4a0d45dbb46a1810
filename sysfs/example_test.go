//go:build unix

package sysfs_test

import (
	"errors"
	"fmt"

	"github.com/ksmtop/ksmtop/sysfs"
)

// copied is a copied tree, so that the numbers below are always the same. The
// zero FS reads the running kernel.
var copied = sysfs.FS{
	Root:     "testdata/kernels/6.18/sys",
	Proc:     "testdata/kernels/6.18/proc",
	PageSize: 4096,
}

func ExampleFS_Counters() {
	c, err := copied.Counters()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("saved:", int64(c.PagesSharing)+int64(c.KSMZeroPages), "pages")
	if c.Has(sysfs.GeneralProfit) { // since Linux 6.4
		fmt.Println("profit:", c.GeneralProfit, "bytes")
	}
	// Output:
	// saved: 326056 pages
	// profit: 1295228416 bytes
}

func ExampleFS_Counters_notSupported() {
	fsys := sysfs.FS{Root: "testdata/kernels/none/sys"}
	_, err := fsys.Counters()
	fmt.Println(errors.Is(err, sysfs.ErrNotSupported))
	fmt.Println(err)
	// Output:
	// true
	// open testdata/kernels/none/sys/kernel/mm/ksm: not supported by this kernel: unsupported operation
}

func ExampleFS_Knobs() {
	k, err := copied.Knobs()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("scanning:", k.Run == sysfs.RunScan)
	fmt.Println(k.PagesToScan, "pages every", k.SleepMillisecs, "ms")
	// Output:
	// scanning: true
	// 1000 pages every 20 ms
}

func ExampleKnobs_Set() {
	k := sysfs.DefaultKnobs()
	fmt.Println(k.Set(sysfs.PagesToScan, "2500"), k.PagesToScan)
	fmt.Println(k.Set(sysfs.MaxPageSharing, "1"))
	// Output:
	// <nil> 2500
	// "1": must be at least 2: a KSM page is one that is shared
}

func ExampleReader() {
	reader, err := copied.NewReader()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()

	var r sysfs.Reading // used again and again: reading allocates nothing
	for range 2 {
		reader.Read(&r)
		if err := r.Problem(sysfs.PagesSharing); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(r.Counters.PagesSharing, "pages saved, ksmd has used", r.Host.KSMD)
	}
	// Output:
	// 285056 pages saved, ksmd has used 48.211345678s
	// 285056 pages saved, ksmd has used 48.211345678s
}

func ExampleFieldByName() {
	f, ok := sysfs.FieldByName("general_profit")
	fmt.Println(f, ok, f.Info().Unit, "since", f.Info().Since)
	_, ok = sysfs.FieldByName("general_loss")
	fmt.Println(ok)
	// Output:
	// general_profit true bytes since 6.4
	// false
}

// What Linux 5.4 counts.
func ExampleFields() {
	old := sysfs.FS{Root: "testdata/kernels/5.4/sys", Proc: "testdata/kernels/5.4/proc"}
	r, err := old.Read()
	if err != nil {
		fmt.Println(err)
		return
	}
	for f := range sysfs.Fields() {
		if f.Info().Kind == sysfs.Knob {
			continue
		}
		if v, ok := r.Value(f); ok {
			fmt.Println(f, v)
		} else {
			fmt.Println(f, "since", f.Info().Since)
		}
	}
	// Output:
	// pages_sharing 9000
	// ksm_zero_pages since 6.6
	// general_profit since 6.4
	// pages_shared 1000
	// pages_unshared 50000
	// pages_volatile 5000
	// full_scans 12
	// pages_scanned since 6.6
	// pages_skipped since 6.7
	// stable_node_chains 0
	// stable_node_dups 0
}
