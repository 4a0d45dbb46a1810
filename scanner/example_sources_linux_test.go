package scanner_test

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/scanner"
)

// Ten pages of memory, of which three have been written to, read in place.
func ExampleOpenOwn() {
	pageSize := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 10*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Munmap(mem)
	unix.Madvise(mem, unix.MADV_NOHUGEPAGE)
	for _, page := range []int{2, 3, 7} {
		mem[page*pageSize] = byte(page)
	}

	own, err := scanner.OpenOwn(mem)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer own.Close()
	spans, err := own.Spans(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer := scanner.NewBuffer()
	for _, s := range spans {
		tally, err := own.Read(context.Background(), s, buffer, func(mem []byte, runs []scanner.Run) error {
			fmt.Println(len(mem)/pageSize, "pages, the first of them begins with", mem[0])
			return nil
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(tally.Pages, "pages in all")
	}
	// Output:
	// 2 pages, the first of them begins with 2
	// 1 pages, the first of them begins with 7
	// 3 pages in all
}
