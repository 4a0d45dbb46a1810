package scanner

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// only is the part of a source that lies in an extent.
type only struct {
	Source
	extent
}

func (o only) Spans(dst []Span) ([]Span, error) {
	spans, err := o.Source.Spans(dst)
	return slices.DeleteFunc(spans, func(s Span) bool { return s.End <= o.start || s.Start >= o.end }), err
}

// FuzzScan makes memory of random pages and compares what a scan of it says with
// a brute-force count: in place, as that of a process, and as an image with and
// without holes.
func FuzzScan(f *testing.F) {
	f.Add(uint64(1), uint16(0), uint16(0), uint8(0), uint8(0), false)
	f.Add(uint64(2), uint16(700), uint16(50), uint8(9), uint8(2), true)
	f.Add(uint64(3), uint16(1200), uint16(2000), uint8(0), uint8(3), false)
	f.Add(uint64(4), uint16(300), uint16(1), uint8(200), uint8(255), true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, seed uint64, pages, contents uint16, shared, limit uint8, useZero bool) {
		random := rand.New(rand.NewPCG(seed, 0))
		l := make(layout, 1+int(pages)%1500)
		for i := 0; i < len(l); {
			kind := random.IntN(6)
			for run := 1 + random.IntN(1<<random.IntN(8)); run > 0 && i < len(l); run-- {
				switch kind {
				case 0:
					l[i] = untouched
				case 1:
					l[i] = zeroMapped
				case 2: // zeros
				default:
					l[i] = pageKind(random.IntN(1 + int(contents)))
				}
				i++
			}
		}

		mem, err := separate(len(l), readWrite, private, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(mem)
		// The last pages are a shared mapping, which KSM leaves alone.
		eligible := len(l) - min(int(shared), len(l)-1)
		if tail := mem[eligible*testPage:]; len(tail) > 0 {
			if _, err := unix.MmapPtr(-1, 0, pointer(&tail[0]), uintptr(len(tail)), readWrite, unix.MAP_SHARED|unix.MAP_ANON|unix.MAP_FIXED); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.write(mem); err != nil {
			t.Fatal(err)
		}
		e := extent{address(mem), address(mem) + uint64(len(mem))}
		self := openProcess(t, os.Getpid(), AreasEligible)

		live, dense, sparse := make(map[uint64]uint64), make(map[uint64]uint64), make(map[uint64]uint64)
		var want Report
		files := make([]*os.File, 2)
		for i := range files {
			if files[i], err = os.CreateTemp(dir, "image"); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(files[i].Name())
			defer files[i].Close()
			if err := files[i].Truncate(int64(len(mem))); err != nil {
				t.Fatal(err)
			}
		}
		page := make([]byte, testPage)
		for i, kind := range l {
			present := kind != untouched && kind != zeroMapped
			content := uint64(0)
			if present {
				content = uint64(kind)
			}
			fill(page, content)
			dense[content]++
			write := files[:1]
			switch {
			case i < eligible && present:
				live[content]++
				sparse[content]++
				write = files
			case i < eligible && kind == zeroMapped && self.ZeroPagesKnown() && zerosMapped(t):
				want.MappedZeroPages += 2 // once in place, once as a process
			case i < eligible && kind == zeroMapped:
				live[0]++
			}
			if len(write) < 2 {
				want.HolePages++
			}
			for _, f := range write {
				if _, err := f.WriteAt(page, int64(i*testPage)); err != nil {
					t.Fatal(err)
				}
			}
		}
		process := Target{Name: "self", Group: "self", Open: func() (Source, error) {
			p, err := OpenProcess(os.Getpid(), AreasEligible)
			return only{p, e}, err
		}}
		o := Options{MaxPageSharing: uint64(limit), UseZeroPages: useZero, Workers: 1 + int(seed%4), Verify: true}
		if limit == 1 {
			o.MaxPageSharing = 2
		}
		r, err := Scan(t.Context(), []Target{
			OwnTarget("own", mem), process,
			ImageTarget(files[0].Name(), "dense", testPage), ImageTarget(files[1].Name(), "sparse", testPage),
		}, o)
		if err != nil {
			t.Fatal(err)
		}

		all := make(map[uint64]uint64)
		groups := map[string]map[uint64]uint64{"own": live, "self": live, "dense": dense, "sparse": sparse}
		for _, copies := range groups {
			for content, n := range copies {
				all[content] += n
			}
		}
		wantAll := summed(o.MaxPageSharing, useZero, all, 0)
		if got := resultOf(r); got != wantAll || !r.Complete {
			t.Errorf("%+v, complete %v, %v, want %+v", got, r.Complete, r.Problems, wantAll)
		}
		if r.MappedZeroPages != want.MappedZeroPages || r.HolePages != want.HolePages {
			t.Errorf("%d mapped zero pages, %d holes, want %d and %d", r.MappedZeroPages, r.HolePages, want.MappedZeroPages, want.HolePages)
		}
		for _, g := range r.Groups {
			want := summed(o.MaxPageSharing, useZero, groups[g.Name], 0)
			if got := (counted{g.Pages, g.ZeroPages, g.Distinct, g.Within}); got != want {
				t.Errorf("%s: %+v, want %+v", g.Name, got, want)
			}
		}
		compared := uint64(0)
		for content, n := range all {
			if n > 1 || content == 0 {
				compared += n
			}
		}
		if v := r.Verification; !v.Complete || v.Compared != compared || v.Unequal != 0 || v.Changed != 0 {
			t.Errorf("verified %+v, want %d compared", v, compared)
		}
	})
}
