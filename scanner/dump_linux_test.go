package scanner

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A dump of 1 GiB gives what a brute-force count of the numbers in its pages
// gives. Most of it is written as number only, so that it is made quickly: the
// file system fills the pages up with zeros.
func TestDumpEqualsBruteForce(t *testing.T) {
	const size, pages = 1 << 30, 1 << 30 / 4096
	if testing.Short() {
		t.Skip("writes 700 MiB")
	}
	dir := t.TempDir()
	var free unix.Statfs_t
	if err := unix.Statfs(dir, &free); err != nil || free.Bavail*uint64(free.Bsize) < 2*size {
		t.Skipf("there is no room for a dump in %s: %v", dir, err)
	}
	path := filepath.Join(dir, "dump")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	random := rand.New(rand.NewPCG(7, 8))
	copies := make(map[uint64]uint64)
	holes := uint64(0)
	var number [8]byte
	for page := 0; page < pages; {
		run := 1 + random.IntN(100)
		kind := random.IntN(10)
		for ; run > 0 && page < pages; run-- {
			var content uint64
			switch {
			case kind < 3: // a hole
				holes++
				page++
				continue
			case kind == 3: // zeros
			case kind < 7: // copied, some much more often than others
				x := random.Float64()
				content = 1 + uint64(x*x*x*20_000)
			default:
				content = 1<<32 + uint64(page)
			}
			copies[content]++
			binary.LittleEndian.PutUint64(number[:], content)
			if _, err := f.WriteAt(number[:], int64(page)*4096+int64(content%512)*8); err != nil {
				t.Fatal(err)
			}
			page++
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {MaxPageSharing: 3, UseZeroPages: true, Verify: true, Workers: 3}} {
		r, err := Scan(t.Context(), []Target{ImageTarget(path, "dump", 4096)}, o)
		if err != nil {
			t.Fatal(err)
		}
		want := summed(o.MaxPageSharing, o.UseZeroPages, copies, 0)
		if got := resultOf(r); got != want || r.HolePages != holes || !r.Complete {
			t.Errorf("%+v: %+v with %d holes, complete %v, want %+v with %d", o, got, r.HolePages, r.Complete, want, holes)
		}
		var distinct, pages, saved uint64
		for _, b := range r.Histogram {
			distinct, pages, saved = distinct+b.Distinct, pages+b.Pages, saved+b.Saved
		}
		if distinct != want.distinct || pages != want.pages || saved != want.saved {
			t.Errorf("%+v: the histogram sums to %d, %d, %d, want %+v", o, distinct, pages, saved, want)
		}
		if v := r.Verification; o.Verify && (!v.Complete || v.Unequal != 0 || v.Changed != 0 || v.Compared == 0) {
			t.Errorf("verified: %+v", v)
		}
	}
}
