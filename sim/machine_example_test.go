package sim_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Three equal pages, two of which share one KSM page when max_page_sharing is 2.
func ExampleMachine() {
	script, err := sim.Parse("three.script", []byte(`
set max_page_sharing 2
spawn p
map p a 3
fill p a 0 3 5
mergeable p a 0 3
scan 2
`))
	if err != nil {
		log.Fatal(err)
	}
	m := sim.NewMachine(ksmd.Options{})
	if _, err := sim.Run(context.Background(), script, m); err != nil {
		log.Fatal(err)
	}
	c, err := m.Counters(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sysfs.PagesShared, c.PagesShared)
	fmt.Println(sysfs.PagesSharing, c.PagesSharing)
	fmt.Println(sysfs.PagesUnshared, c.PagesUnshared)
	// Output:
	// pages_shared 1
	// pages_sharing 1
	// pages_unshared 1
}

// A forked child shares its parent's pages until one of them writes.
func ExampleMemory() {
	m := sim.NewMemory(sim.MemoryOptions{})
	parent := m.Spawn()
	area := m.Map(parent, 10)
	m.Write(parent, area, 0, 8, 1, 1) // contents 1 to 8
	child := m.Fork(parent)
	fmt.Println(m.Pages())
	m.Write(child, area, 0, 3, 0, 0)
	fmt.Println(m.Pages())
	m.Exit(parent)
	fmt.Println(m.Pages())
	// Output:
	// 8
	// 11
	// 8
}
