package scanner

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/internal/fingerprint"
)

// coarse is a hash of which all but the first bits are lost, so that different
// pages have the same.
func coarse(bits int) hash {
	return func(dst []uint64, mem []byte, pageSize int) {
		fingerprint.Pages(dst, mem, pageSize)
		for i := range dst {
			dst[i] = dst[i] >> (64 - bits) << (64 - bits)
		}
	}
}

// What was counted as equal and is not is found, to the page.
func TestVerifyFindsUnequal(t *testing.T) {
	size := os.Getpagesize()
	random := rand.New(rand.NewPCG(5, 6))
	for _, contents := range []int{1, 2, 40, 3000} {
		for _, bits := range []int{1, 6, 11, 64} {
			mem := pagesOf(t, 2500, func(int) int { return random.IntN(contents) })
			path := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(path, mem, 0o600); err != nil {
				t.Fatal(err)
			}
			h := coarse(bits)
			zero := h.of(make([]byte, size))
			pages := make(map[uint64]uint64)
			different := make(map[uint64]map[string]bool)
			for rest := mem; len(rest) > 0; rest = rest[size:] {
				print := h.of(rest[:size])
				pages[print]++
				if different[print] == nil {
					different[print] = make(map[string]bool)
				}
				different[print][string(rest[:size])] = true
			}
			want := Verification{Complete: true}
			for print, n := range pages {
				if print == zero {
					different[print][string(make([]byte, size))] = true
				} else if n == 1 {
					continue
				}
				want.Compared += n
				want.Unequal += uint64(len(different[print]) - 1)
			}
			for _, target := range []Target{OwnTarget("own", mem), ImageTarget(path, "image", size)} {
				s := newScan([]Target{target}, Options{Verify: true, Workers: 3})
				s.hash, s.keep = h, 100*size // so that it takes several passes
				r, err := s.do(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got := *r.Verification
				if least := uint64(len(mem)); want.Compared > 0 && got.BytesRead < least || contents == 3000 && bits == 11 && got.BytesRead < 5*least {
					t.Errorf("%s, %d contents, %d bits: read only %d bytes", target.Name, contents, bits, got.BytesRead)
				}
				got.BytesRead, got.Elapsed = 0, 0
				if got != want {
					t.Errorf("%s, %d contents, %d bits: %+v, want %+v", target.Name, contents, bits, got, want)
				}
				if r.Distinct+got.Unequal < uint64(len(copiesIn(mem))) {
					t.Errorf("%s, %d contents, %d bits: %d distinct and %d unequal are too few", target.Name, contents, bits, r.Distinct, got.Unequal)
				}
			}
		}
	}
}

// changing is memory that change is applied to when it is opened for the second
// time.
func changing(mem []byte, change func()) Target {
	target := OwnTarget("own", mem)
	open, times := target.Open, 0
	target.Open = func() (Source, error) {
		if times++; times == 2 {
			change()
		}
		return open()
	}
	return target
}

// A page that has changed since it was counted is not called unequal.
func TestVerifyTellsChanged(t *testing.T) {
	contents := []int{1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 0, 0, 0, 6, 6}
	mem := pagesOf(t, len(contents), func(i int) int { return contents[i] })
	set := func(page, content int) {
		copy(mem[page*os.Getpagesize():], pagesOf(t, 1, func(int) int { return content }))
	}
	target := changing(mem, func() {
		set(0, 100) // the first of five
		set(4, 101) // and the last
		set(6, 6)   // one of three becomes a copy of another content
		set(8, 102) // of three one remains
		set(9, 103)
		set(11, 5) // what was single has a copy
		set(14, 104)
	})
	r, err := Scan(t.Context(), []Target{target}, Options{Verify: true, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	got := *r.Verification
	got.BytesRead, got.Elapsed = 0, 0
	// Compared: 3 of content 1, 2 of 2, none of 3, 2 of zeros, 2 of 6 and one more.
	want := Verification{Complete: true, Compared: 10, Changed: 2 + 1 + 3 + 1}
	if got != want {
		t.Errorf("Verification = %+v, want %+v", got, want)
	}
}

// A page that changes between being hashed and being compared is neither equal
// nor unequal.
func TestCompareTornPage(t *testing.T) {
	mem := pagesOf(t, 3, func(i int) int { return 7 })
	s := newScan([]Target{OwnTarget("own", mem)}, Options{})
	if _, err := s.do(t.Context()); err != nil {
		t.Fatal(err)
	}
	copied, _, _, err := s.census.Copied(t.Context(), nil, 0, 10)
	if err != nil || len(copied) != 1 || copied[0].Copies != 3 {
		t.Fatalf("Copied = %+v, %v, want one content with 3 copies", copied, err)
	}
	c := newComparison(s, copied, 0)
	page := mem[:os.Getpagesize()]
	claim := c.of(s.hash.of(page))
	spare := make([]byte, len(page))
	torn := pagesOf(t, 1, func(int) int { return 8 })
	for _, p := range [][]byte{torn, page, torn, page} {
		c.compare(claim, p, spare)
	}
	var v Verification
	c.sum(&v)
	if v.Compared != 2 || v.Unequal != 0 || v.Changed != 1 {
		t.Errorf("%+v, want 2 compared, none unequal, 1 changed", v)
	}
}

// Verifying that is interrupted leaves the count as it is, and says so.
func TestVerifyInterrupted(t *testing.T) {
	mem := pagesOf(t, 20, func(i int) int { return 1 + i%3 })
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Scan(ctx, []Target{changing(mem, cancel)}, Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Verification; !r.Complete || r.WouldSave != 17 || v.Complete || v.Compared != 0 {
		t.Errorf("complete %v, saves %d, %+v, want a whole count and a part compared", r.Complete, r.WouldSave, v)
	}
}

// Without copies there is nothing to read again, nor without targets.
func TestVerifyNothing(t *testing.T) {
	mem := pagesOf(t, 20, func(i int) int { return 1 + i })
	for _, targets := range [][]Target{nil, {OwnTarget("own", mem)}} {
		r, err := Scan(t.Context(), targets, Options{Verify: true})
		if err != nil {
			t.Fatal(err)
		}
		if v := r.Verification; !v.Complete || v.BytesRead != 0 || v.Compared != 0 {
			t.Errorf("%d targets: %+v, want nothing read", len(targets), v)
		}
	}
}
