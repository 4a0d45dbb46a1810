package sim_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
)

// Four machines of 16 MiB, half of which is the same in all.
func ExampleHost() {
	s, err := scenario.Parse("four.toml", []byte(`
[scenario]
title = "four machines"

[[group]]
name = "vm"
count = 4
memory = "16MiB"

[[group.class]]
kind = "image"
fraction = 0.5
image = "linux"
pool = "8MiB"

[[group.class]]
kind = "private"
fraction = 0.5
`))
	if err != nil {
		log.Fatal(err)
	}
	host, err := sim.NewHost(s, sim.HostOptions{})
	if err != nil {
		log.Fatal(err)
	}
	settled, err := host.RunUntilSettled(context.Background(), time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	r := host.Reading()
	fmt.Println("settled:", settled, "at", host.Now().Truncate(time.Second))
	fmt.Println("saved:", r.Counters.PagesSharing, "pages")
	fmt.Println("ksmd:", r.Host.KSMD.Truncate(time.Millisecond))
	// Output:
	// settled: true at 33s
	// saved: 6144 pages
	// ksmd: 186ms
}
