package scenario_test

import (
	"fmt"
	"time"

	"github.com/ksmtop/ksmtop/sim/scenario"
)

// printer prints what a guest does.
type printer struct{}

func (printer) Write(first, pages int, content, step uint64) {
	fmt.Printf("  %d pages from page %d get content %#x, step %d\n", pages, first, content, step)
}

func (printer) Free(first, pages int) {
	fmt.Printf("  %d pages from page %d are given back\n", pages, first)
}

func Example() {
	s, err := scenario.Parse("two.toml", []byte(`
[[group]]
name = "vm"
count = 2
memory = "1MiB"
interval = "5s"

[[group.class]]
kind = "image"
fraction = 0.5
image = "linux"
pool = "1MiB"

[[group.class]]
kind = "zero"
fraction = 0.25

[[event]]
at = "1m"
balloon = "vm"
share = 0.1
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, plan := range s.Plans() {
		fmt.Println(plan.Name, "starts at", plan.Start)
		guest := s.Guest(i)
		for at, ok := guest.Next(); ok && at < time.Hour; at, ok = guest.Next() {
			fmt.Println(" at", at)
			guest.Step(printer{})
		}
	}
	// Output:
	// vm-1 starts at 0s
	//  at 0s
	//   128 pages from page 0 get content 0x100000000, step 1
	//   64 pages from page 128 get content 0x0, step 0
	//   64 pages from page 192 get content 0x2000000000000000, step 1
	//  at 1m0s
	//   26 pages from page 230 are given back
	// vm-2 starts at 5s
	//  at 5s
	//   128 pages from page 0 get content 0x100000000, step 1
	//   64 pages from page 128 get content 0x0, step 0
	//   64 pages from page 192 get content 0x2000100000000000, step 1
	//  at 1m0s
	//   26 pages from page 230 are given back
}

func ExampleParse() {
	_, err := scenario.Parse("host.toml", []byte(`[[group]]
name = "vm"
memory = "1GiB"
[[group.class]]
kind = "zero"
fraction = 1.2
`))
	fmt.Println(err)
	// Output:
	// host.toml:6: group.class.fraction: 1.2: must be 0 to 1
}

func ExamplePreset() {
	s, err := scenario.Preset("clones")
	if err != nil {
		fmt.Println(err)
		return
	}
	big := s.Scale(8)
	fmt.Printf("%s: %d guests, %d GiB\n", big.Title, len(big.Plans()), big.MemoryBytes>>30)
	// Output:
	// eight copies of one machine, which do nothing: 8 guests, 64 GiB
}
