package scanner

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpansTogether reads the spans of a process with areas of every kind, and many
// small ones, one by one and together.
func TestSpansTogether(t *testing.T) {
	for _, kind := range []string{"kinds", "small"} {
		args := map[string][]string{"kinds": {"kinds", t.TempDir()}, "small": {"small", "300"}}[kind]
		child := startChild(t, nil, args...)
		child.stop(t)
		p := openProcess(t, child.Process.Pid, AreasEligible)
		for _, scan := range []bool{true, false} {
			if scan {
				needPagemapScan(t, p)
			}
			p.pagemap.scan = scan
			for _, size := range []int{BatchBytes, 64 << 10, testPage} {
				t.Run(fmt.Sprintf("%s/scan=%t/%d", kind, scan, size), func(t *testing.T) {
					sure := spansOf(t, p)
					want, wantTally := readAll(t, p, sure)
					spans, err := p.likelySpans()
					if err != nil || len(want) < 300 || len(sure) < 20 || scan && len(spans) <= len(sure) {
						t.Fatalf("%d pages in %d spans of %d likely ones, %v, want more", len(want), len(sure), len(spans), err)
					}
					before := slices.Clone(spans)
					var got []page
					tally, err := p.readSpans(t.Context(), spans, newBuffer(size), func(mem []byte, runs []Run) error {
						if len(mem) == 0 || len(mem) > size {
							t.Fatalf("%d bytes at once", len(mem))
						}
						for _, r := range runs {
							for i := range r.Pages {
								got = append(got, page{r.Start + uint64(i*testPage), string(mem[:testPage])})
								mem = mem[testPage:]
							}
						}
						if len(mem) != 0 {
							t.Fatalf("%d bytes are in no run", len(mem))
						}
						return nil
					})
					if err != nil || tally != wantTally {
						t.Errorf("together: %+v, %v, want %+v", tally, err, wantTally)
					}
					if !slices.Equal(got, want) {
						t.Errorf("together: %d pages, one by one %d, or they differ", len(got), len(want))
					}
					if !slices.Equal(spans, before) {
						t.Error("the spans were changed")
					}
				})
			}
		}
	}
}

// smallChild has areas of one to eight pages, readable or not, some side by side and
// some with a page missing.
func smallChild(c *child, args []string) error {
	var areas int
	if _, err := fmt.Sscan(args[0], &areas); err != nil {
		return err
	}
	mem, err := separate(8*areas, readWrite, private, -1)
	if err != nil {
		return err
	}
	for i := range areas {
		pages := 1 + i%5
		if i%4 == 3 {
			pages = 8 // up to the next area
		}
		at := mem[8*i*testPage:]
		for j := range 8 {
			if j < pages && (i%7 != 3 || j != 1) {
				fill(at[j*testPage:][:testPage], uint64(8*i+j))
			}
		}
		prot := readWrite
		switch {
		case i%3 == 1:
			prot = unix.PROT_NONE
		case i%4 == 3:
			prot = unix.PROT_READ
		}
		if err := unix.Mprotect(at[:pages*testPage], prot); err != nil {
			return err
		}
		if i%4 == 0 {
			rest := at[pages*testPage : 8*testPage]
			if err := unix.MunmapPtr(pointer(&rest[0]), uintptr(len(rest))); err != nil {
				return err
			}
		}
	}
	return nil
}

// Every unit has a span at least, and as many as fit.
func TestCut(t *testing.T) {
	spans := []Span{
		{0, SpanBytes, 0}, {SpanBytes, SpanBytes + 4096, 0}, {1 << 30, 1<<30 + 8192, 1}, {2 << 30, 2<<30 + SpanBytes - 12288, 2},
		{3 << 30, 3<<30 + 4096, 3}, {4 << 30, 4<<30 + SpanBytes, 4},
	}
	var got []int
	rest := spans
	for len(rest) > 0 {
		var unit []Span
		unit, rest = cut(rest)
		got = append(got, len(unit))
	}
	if want := []int{1, 3, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("units of %v spans, want %v", got, want)
	}
}
