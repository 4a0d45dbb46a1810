package scanner

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// page is a page that was handed out.
type page struct {
	at      uint64
	content string
}

// readAll reads the spans of src in order and checks what every Read must hold.
func readAll(t testing.TB, src Source, spans []Span) ([]page, Tally) {
	t.Helper()
	var pages []page
	var total Tally
	b := NewBuffer()
	for _, s := range spans {
		if s.Start >= s.End || s.End-s.Start > SpanBytes {
			t.Fatalf("span %+v", s)
		}
		before := len(pages)
		tally, err := src.Read(t.Context(), s, b, func(mem []byte, runs []Run) error {
			if len(mem) == 0 || len(mem) > BatchBytes {
				t.Fatalf("%d bytes at once", len(mem))
			}
			for _, r := range runs {
				for i := range r.Pages {
					p := page{r.Start + uint64(i*src.PageSize()), string(mem[:src.PageSize()])}
					if p.at < s.Start || p.at >= s.End || len(pages) > 0 && p.at <= pages[len(pages)-1].at {
						t.Fatalf("page at %#x in span %+v", p.at, s)
					}
					pages = append(pages, p)
					mem = mem[src.PageSize():]
				}
			}
			if len(mem) != 0 {
				t.Fatalf("%d bytes are in no run", len(mem))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if int(tally.Pages) != len(pages)-before {
			t.Fatalf("tally says %d pages of %+v, %d were handed out", tally.Pages, s, len(pages)-before)
		}
		total.Add(tally)
	}
	return pages, total
}

func spansOf(t testing.TB, src Source) []Span {
	t.Helper()
	spans, err := src.Spans(nil)
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

// spansIn returns the spans of an area.
func spansIn(t testing.TB, src Source, e extent) []Span {
	t.Helper()
	return slices.DeleteFunc(spansOf(t, src), func(s Span) bool {
		outside := s.End <= e.start || s.Start >= e.end
		if !outside && (s.Start < e.start || s.End > e.end) {
			t.Fatalf("span %+v lies across the border of the area %+v", s, e)
		}
		return outside
	})
}

func openProcess(t testing.TB, pid int, areas Areas) *Process {
	t.Helper()
	p, err := OpenProcess(pid, areas)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestReadersAgree reads the same content in every way.
func TestReadersAgree(t *testing.T) {
	for _, name := range []string{"dense", "nearly", "mixed", "every-other"} {
		pages := newLayout(name)
		// What must come out, brute force; withZeros where the zero page can
		// not be told from others.
		expect := func(base uint64, withZeros bool) (want []page, tally Tally) {
			for i, kind := range pages {
				content := make([]byte, testPage)
				switch {
				case kind == untouched:
					continue
				case kind == zeroMapped && !withZeros:
					tally.ZeroPages++
					continue
				case kind != zeroMapped:
					fill(content, uint64(kind))
				}
				want = append(want, page{base + uint64(i*testPage), string(content)})
			}
			tally.Pages = uint64(len(want))
			return want, tally
		}
		check := func(t *testing.T, src Source, spans []Span, base uint64, withZeros bool) {
			t.Helper()
			want, wantTally := expect(base, withZeros || !zerosMapped(t))
			got, tally := readAll(t, src, spans)
			if tally != wantTally {
				t.Errorf("tally = %+v, want %+v", tally, wantTally)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d pages differ from the %d written", len(got), len(want))
			}
		}

		for _, protection := range []string{"readable", "none"} {
			child := startChild(t, nil, "layout", name, protection)
			e := child.areas["layout"]
			for _, scan := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/process/%s/scan=%t", name, protection, scan), func(t *testing.T) {
					p := openProcess(t, child.Process.Pid, AreasEligible)
					if scan {
						needPagemapScan(t, p)
					}
					p.pagemap.scan = scan
					check(t, p, spansIn(t, p, e), e.start, !scan)
				})
			}
		}

		t.Run(name+"/own", func(t *testing.T) {
			for _, prot := range []int{readWrite, unix.PROT_NONE} {
				mem, err := separate(len(pages), readWrite, private, -1)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Munmap(mem)
				if err := pages.write(mem); err != nil {
					t.Fatal(err)
				}
				if err := unix.Mprotect(mem, prot); err != nil {
					t.Fatal(err)
				}
				own, err := OpenOwn(mem)
				if err != nil {
					t.Fatal(err)
				}
				defer own.Close()
				check(t, own, spansOf(t, own), address(mem), !own.self.ZeroPagesKnown())
				if prot == readWrite {
					self := openProcess(t, os.Getpid(), AreasEligible)
					check(t, self, spansIn(t, self, extent{address(mem), address(mem) + uint64(len(mem))}), address(mem), !self.ZeroPagesKnown())
				}
			}
		})

		t.Run(name+"/image", func(t *testing.T) {
			want, wantTally := expect(0, false)
			wantTally.HolePages, wantTally.ZeroPages = uint64(len(pages))-wantTally.Pages, 0
			path := filepath.Join(t.TempDir(), "image")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, p := range want {
				if _, err := f.WriteAt([]byte(p.content), int64(p.at)); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Truncate(int64(len(pages) * testPage)); err != nil {
				t.Fatal(err)
			}
			m, err := OpenImage(path, testPage)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			got, tally := readAll(t, m, spansOf(t, m))
			if tally != wantTally {
				t.Errorf("tally = %+v, want %+v (does this file system tell holes?)", tally, wantTally)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d pages differ from the %d written", len(got), len(want))
			}
		})
	}
}

// TestWorkers reads one source from several goroutines.
func TestWorkers(t *testing.T) {
	child := startChild(t, nil, "layout", "mixed", "readable")
	p := openProcess(t, child.Process.Pid, AreasEligible)
	spans := spansIn(t, p, child.areas["layout"])
	if len(spans) < 2 {
		t.Fatalf("%d spans, want several", len(spans))
	}
	want, wantTally := readAll(t, p, spans)

	parts := make([][]page, len(spans))
	tallies := make([]Tally, len(spans))
	var wg sync.WaitGroup
	for i, s := range spans {
		wg.Go(func() {
			parts[i], tallies[i] = readAll(t, p, []Span{s})
		})
	}
	wg.Wait()
	var tally Tally
	for _, part := range tallies {
		tally.Add(part)
	}
	if got := slices.Concat(parts...); tally != wantTally || !slices.Equal(got, want) {
		t.Errorf("%d pages, %+v, want %d and %+v", len(got), tally, len(want), wantTally)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	child := startChild(t, nil, "layout", "mixed", "readable")
	p := openProcess(t, child.Process.Pid, AreasEligible)
	// Who has kin is found out anew when processes begin, which takes memory.
	kin.has(p.identity, &NewBuffer().live)
	kin.mu.Lock()
	took := kin.took
	kin.took = time.Hour
	kin.mu.Unlock()
	defer func() { kin.took = took }()
	mem, err := separate(1000, readWrite, private, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	fillPages(mem, 0, 1000)
	own, err := OpenOwn(mem)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, mem, 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := OpenImage(path, testPage)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b := NewBuffer()
	for _, src := range []Source{p, own, m} {
		s := spansOf(t, src)[0]
		if src == p {
			s = spansIn(t, p, child.areas["layout"])[0]
		}
		pages := 0
		each := func(mem []byte, runs []Run) error { pages += len(runs); return nil }
		n := testing.AllocsPerRun(5, func() {
			if _, err := src.Read(t.Context(), s, b, each); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 || pages == 0 {
			t.Errorf("%s: reading a span allocates %g times, want 0", src.Name(), n)
		}
	}
}
