//go:build unix

package sysfs_test

import (
	"context"
	"fmt"
	"log"
	"path/filepath"

	"github.com/ksmtop/ksmtop/sysfs"
)

func ExampleFS_Guard() {
	fsys, remove := exampleTree()
	defer remove()
	show := func(when string) {
		k, err := fsys.Knobs()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(when, k.Run, k.SleepMillisecs)
	}

	// Only for a copied tree: the machine has its own directory.
	opts := sysfs.GuardOptions{Dir: filepath.Join(fsys.Root, "run")}
	experiment := func(ctx context.Context) error {
		_, err := fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: "0"}, sysfs.Setting{Field: sysfs.SleepMillisecs, Value: "0"})
		show("inside:")
		return err
	}
	fmt.Println(fsys.Guard(context.Background(), opts, experiment))
	opts.Force = true
	fmt.Println(fsys.Guard(context.Background(), opts, experiment))
	show("after:")
	// Output:
	// KSM is in use: run is 1; pages_shared 100, pages_sharing 900, ksm_zero_pages 0
	// inside: 0 0
	// <nil>
	// after: 1 20
}

func ExampleFS_Acquire() {
	fsys, remove := exampleTree()
	defer remove()
	g, err := fsys.Acquire(context.Background(), sysfs.GuardOptions{Dir: filepath.Join(fsys.Root, "run"), Force: true})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Release() // its error tells if a knob could not be put back
	fmt.Println(fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: "0"}))
	// Output:
	// [{run 1 0 false}] <nil>
}

func ExampleFS_Repair() {
	fsys, remove := exampleTree()
	defer remove()
	opts := sysfs.GuardOptions{Dir: filepath.Join(fsys.Root, "run")}
	interrupted, err := fsys.Interrupted(opts)
	fmt.Println(interrupted, err)
	repaired, err := fsys.Repair(context.Background(), opts)
	fmt.Println(repaired, err)
	// Output:
	// false <nil>
	// false <nil>
}
