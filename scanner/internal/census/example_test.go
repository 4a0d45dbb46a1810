package census_test

import (
	"context"
	"fmt"

	"github.com/ksmtop/ksmtop/scanner/internal/census"
)

// Two groups have a page in common, and the first has a further copy of it.
func Example() {
	const zero, common, own = 1 << 60, 2 << 60, 3 << 60
	c := census.New(census.Options{Pages: 6, Groups: 2, Zero: zero})

	w := c.Worker() // one for each goroutine that reads memory
	w.Add([]uint64{common, zero, common}, 0, 0)
	w.Add([]uint64{zero, common, own}, 1, 3)

	r, err := c.Count(context.Background(), 1, census.Query{UseZeroPages: true, Top: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of %d pages saved\n", r.Saved, r.Pages)
	for i, g := range r.Groups {
		fmt.Printf("group %d: %d alone, %v with others\n", i, g.Within, g.Between.Pages())
	}
	fmt.Printf("%d copies of one content, one of them at %d\n", r.Top[0].Copies, r.Top[0].Location)
	// Output:
	// 4 of 6 pages saved
	// group 0: 2 alone, 0.5 with others
	// group 1: 1 alone, 0.5 with others
	// 3 copies of one content, one of them at 0
}
