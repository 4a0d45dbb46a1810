package scanner

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/scanner/internal/census"
)

// mix gives each number another one that looks random.
func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// distinctChild is memory of that many pages, of which no two are alike, nor
// like those of another seed.
func distinctChild(c *child, args []string) error {
	pages, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	seed, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	mem := c.area("distinct", pages, readWrite, private, -1)
	if err := unix.Madvise(mem, unix.MADV_HUGEPAGE); err != nil && err != unix.EINVAL {
		return err
	}
	for i := range pages {
		binary.NativeEndian.PutUint64(mem[i*testPage:], uint64(seed)<<32+uint64(i)+1)
	}
	return nil
}

// measuredChild scans processes or feeds the census with
// fingerprints, and prints how much memory it had at most:
//
//	measured scan WORKERS GROUPS PID...
//	measured feed WORKERS GROUPS PAGES
func measuredChild(c *child, args []string) error {
	debug.SetGCPercent(100) // as in any program
	numbers := make([]int, 0, len(args))
	for _, arg := range args[1:] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	workers, groups, rest := numbers[0], numbers[1], numbers[2:]
	switch args[0] {
	case "scan":
		var targets []Target
		for i, pid := range rest {
			targets = append(targets, ProcessTarget(pid, strconv.Itoa(i%groups), AreasEligible))
		}
		r, err := Scan(context.Background(), targets, Options{Workers: workers, Top: 5})
		if err != nil {
			return err
		}
		fmt.Println("pages", r.Pages)
	case "feed":
		pages, err := feed(workers, groups, rest[0])
		if err != nil {
			return err
		}
		fmt.Println("pages", pages)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Println("peak", strings.Fields(peak)[0])
	return nil
}

// feed counts pages of that many groups as a scan with that many workers does.
func feed(workers, groups, pages int) (uint64, error) {
	s := newScan(nil, Options{Workers: workers})
	s.groups = make([]string, groups)
	s.census = census.New(census.Options{Pages: uint64(pages), Groups: groups, Workers: workers})
	var wg sync.WaitGroup
	const batch = BatchBytes / 4096
	for i := range workers {
		adder := s.adder()
		wg.Go(func() {
			prints := make([]uint64, batch)
			for first := i * batch; first < pages; first += workers * batch {
				prints := prints[:min(batch, pages-first)]
				for j := range prints {
					prints[j] = mix(uint64(first + j + 1))
				}
				adder.Lock()
				adder.Add(prints, uint32(first/batch%groups), uint64(first))
				adder.Unlock()
			}
		})
	}
	wg.Wait()
	r, err := s.census.Count(context.Background(), s.counters(), census.Query{Top: 5})
	if err != nil {
		return 0, err
	}
	return r.Distinct, nil
}

// A scan takes 48 MiB and 5.5 bytes for each page, or 8 with groups: the whole
// process, at its peak, and with as many workers as the largest machine has.
func TestMemoryOfScan(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("takes seconds, and is not so with the race detector")
	}
	const constant = 48 << 20
	check := func(t *testing.T, what, workers, groups string, least int, args ...string) {
		t.Helper()
		perPage := 8.0
		if groups == "1" {
			perPage = 5.5
		}
		child := startChild(t, nil, append([]string{"measured", what, workers, groups}, args...)...)
		defer child.end()
		var pages, kilobytes int
		if _, err := fmt.Sscanf(strings.Join(child.notes, "\n"), "pages %d\npeak %d", &pages, &kilobytes); err != nil {
			t.Fatalf("%v in %q", err, child.notes)
		}
		peak := kilobytes << 10
		most := constant + int(perPage*float64(pages))
		t.Logf("%d pages: %.1f MiB of %.1f MiB", pages, float64(peak)/(1<<20), float64(most)/(1<<20))
		if peak > most {
			t.Errorf("%d pages took %d bytes, more than %d", pages, peak, most)
		}
		if pages < least || peak < 5*pages {
			t.Errorf("%d pages and %d bytes, less than there can be", pages, peak)
		}
	}
	run := func(what string, least int, args ...string) {
		for _, workers := range []string{"1", "8", "24", "128"} {
			for _, groups := range []string{"1", "1000"} {
				t.Run(fmt.Sprintf("%s/workers=%s/groups=%s", what, workers, groups), func(t *testing.T) {
					check(t, what, workers, groups, least, args...)
				})
			}
		}
	}
	run("feed", 16<<20, strconv.Itoa(16<<20))

	const pages, processes = 1 << 20, 4
	if available(t) < (pages*4096)*5/4 {
		t.Skip("there is no room for 4 GiB of processes")
	}
	var pids []string
	for i := range processes {
		child := startChild(t, nil, "distinct", strconv.Itoa(pages/processes), strconv.Itoa(i))
		defer child.end()
		pids = append(pids, strconv.Itoa(child.Process.Pid))
	}
	run("scan", pages, pids...)
}

// available returns how much memory is free or can be freed, in bytes.
func available(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
