package scanner_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/scanner"
)

// A program scans memory of its own: eight pages, of which three are equal and
// four were never written to after being zeroed.
func ExampleScan() {
	size := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 8*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 8 * size {
		mem[i] = 0 // a page that was never touched is not there
	}
	for _, page := range []int{1, 3, 5} {
		copy(mem[page*size:], "the same in three pages")
	}
	mem[7*size] = 1

	report, err := scanner.Scan(context.Background(), []scanner.Target{scanner.OwnTarget("me", mem)}, scanner.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pages", report.Pages, "zero", report.ZeroPages, "distinct", report.Distinct)
	fmt.Println("merging would save", report.WouldSave, "pages and track", report.Items)
	// Output:
	// pages 8 zero 4 distinct 3
	// merging would save 5 pages and track 8
}
