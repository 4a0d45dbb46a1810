package census

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
)

// count counts pages with several workers, each of which adds every so many
// pages at a time. Batches hold pages of one group with locations in sequence,
// as Add wants them.
func count(t testing.TB, pages []page, o Options, workers, batch int, q Query) *Result {
	t.Helper()
	c := New(o)
	addAll(c, pages, workers, batch)
	r, err := c.Count(context.Background(), workers, q)
	if err != nil {
		t.Fatalf("Count() error = %v", err)
	}
	return r
}

func addAll(c *Census, pages []page, workers, batch int) {
	var wg sync.WaitGroup
	for i := range workers {
		w := c.Worker()
		wg.Go(func() {
			for start := i * batch; start < len(pages); start += workers * batch {
				addBatch(w, pages[start:min(start+batch, len(pages))])
			}
		})
	}
	wg.Wait()
}

func addBatch(w *Worker, pages []page) {
	var fingerprints []uint64
	for i, p := range pages {
		fingerprints = append(fingerprints, p.fingerprint)
		if i+1 == len(pages) || pages[i+1].group != p.group || pages[i+1].location != p.location+1 {
			w.Add(fingerprints, p.group, p.location+1-uint64(len(fingerprints)))
			fingerprints = fingerprints[:0]
		}
	}
}

// check compares a result with that of slowCount, and verifies the laws that
// any result obeys.
func check(t testing.TB, pages []page, groups int, q Query, got *Result) {
	t.Helper()
	want := slowCount(pages, groups, q)

	var gained, groupPages, groupZeros uint64
	for i, g := range got.Groups {
		gained += uint64(g.Gain())
		groupPages += g.Pages
		groupZeros += g.ZeroPages
		// The division of one content is off by less than a unit for each group.
		allowed := float64(g.Distinct) * float64(groups) / PartsPerPage
		if off := math.Abs(g.Gain().Pages() - want.gains[i]); off > allowed+1e-6 {
			t.Errorf("group %d gains %v pages, want %v", i, g.Gain().Pages(), want.gains[i])
		}
	}
	if want := got.Saved * PartsPerPage; gained != want {
		t.Errorf("groups gain %d parts together, want %d", gained, want)
	}
	if groupPages != got.Pages || groupZeros != got.ZeroPages {
		t.Errorf("groups have %d pages, %d zero; want %d, %d", groupPages, groupZeros, got.Pages, got.ZeroPages)
	}
	var sum Bucket
	for _, b := range got.Histogram {
		sum.Distinct += b.Distinct
		sum.Pages += b.Pages
		sum.Saved += b.Saved
	}
	if sum.Distinct != got.Distinct || sum.Pages != got.Pages || sum.Saved != got.Saved {
		t.Errorf("histogram sums to %+v, want %d distinct, %d pages, %d saved", sum, got.Distinct, got.Pages, got.Saved)
	}
	merged := got.Pages
	if q.UseZeroPages {
		merged -= got.ZeroPages
	}
	if n := got.Shared + got.Sharing + got.Unshared; n != merged {
		t.Errorf("shared + sharing + unshared = %d, want %d", n, merged)
	}

	at := make(map[uint64]page)
	for _, p := range pages {
		at[p.location] = p
	}
	if len(got.Top) != len(want.Top) {
		t.Fatalf("%d top contents, want %d", len(got.Top), len(want.Top))
	}
	for i, c := range got.Top {
		if c.HasLocation {
			if p, ok := at[c.Location]; !ok || p.fingerprint>>12<<12 != c.Fingerprint {
				t.Errorf("content %x is not at location %d", c.Fingerprint, c.Location)
			}
		} else if c.Zero || len(pages) <= maxSample {
			t.Errorf("content %x has no location", c.Fingerprint)
		}
		c.HasLocation, c.Location = false, 0
		if !reflect.DeepEqual(c, want.Top[i]) {
			t.Fatalf("top content %d = %+v, want %+v", i, c, want.Top[i])
		}
	}
	for i, g := range got.Groups {
		g.Between = 0
		if g != want.Groups[i] {
			t.Fatalf("group %d = %+v, want %+v", i, g, want.Groups[i])
		}
	}
	if !slices.Equal(got.Histogram, want.Histogram) {
		t.Errorf("histogram %+v\nwant      %+v", got.Histogram, want.Histogram)
	}
	plain := *got
	plain.Groups, plain.Histogram, plain.Top = want.Groups, want.Histogram, want.Top
	if !reflect.DeepEqual(plain, want.Result) {
		t.Errorf("Count() = %+v\nwant      %+v", plain, want.Result)
	}
}

func TestCount(t *testing.T) {
	memories := []struct {
		name string
		memory
	}{
		{"empty", memory{contents: 1, skew: 1, groups: 1}},
		{"one page", memory{pages: 1, contents: 1, skew: 1, groups: 1}},
		{"one zero page", memory{pages: 1, contents: 1, skew: 1, groups: 3, zeros: 100}},
		{"all zero", memory{pages: 5000, contents: 1, skew: 1, groups: 3, zeros: 100}},
		{"all equal", memory{pages: 40000, contents: 1, skew: 1, groups: 1}},
		{"all equal in groups", memory{pages: 40000, contents: 1, skew: 1, groups: 70}},
		{"three contents", memory{pages: 30000, contents: 3, skew: 1, groups: 2, zeros: 10}},
		{"pairs", memory{pages: 20000, contents: 10000, skew: 1, groups: 4, zeros: 1}},
		{"unique", memory{pages: 20000, contents: 1 << 40, skew: 1, groups: 5}},
		{"skewed", memory{pages: 50000, contents: 20000, skew: 4, groups: 300, zeros: 5}},
		{"two group bytes", memory{pages: 30000, contents: 500, skew: 2, groups: 1 << 16, zeros: 5}},
		{"three group bytes", memory{pages: 30000, contents: 500, skew: 2, groups: 1<<16 + 1, zeros: 5}},
	}
	for _, m := range memories {
		for _, q := range []Query{
			{Top: 5},
			{Top: 1 << 20, UseZeroPages: true},
			{Top: 0, MaxPageSharing: 2},
			{Top: 20, MaxPageSharing: 3, UseZeroPages: true},
			{Top: 20, MaxPageSharing: 256},
		} {
			t.Run(fmt.Sprintf("%s/limit=%d/zero=%t", m.name, q.MaxPageSharing, q.UseZeroPages), func(t *testing.T) {
				pages := m.generate(1)
				o := Options{Pages: uint64(m.pages), Groups: m.groups, Zero: testZero, Seed: 3}
				check(t, pages, m.groups, q, count(t, pages, o, 2, 64, q))
			})
		}
	}
}

func FuzzCount(f *testing.F) {
	f.Add(uint64(1), uint16(0), uint16(1), uint8(1), uint16(1), uint8(0), uint8(1), uint8(1), uint16(0), false)
	f.Add(uint64(2), uint16(9000), uint16(2), uint8(1), uint16(2), uint8(20), uint8(3), uint8(7), uint16(2), true)
	f.Add(uint64(3), uint16(20000), uint16(9000), uint8(4), uint16(300), uint8(5), uint8(2), uint8(200), uint16(3), false)
	f.Add(uint64(4), uint16(60000), uint16(3), uint8(5), uint16(5), uint8(0), uint8(1), uint8(255), uint16(256), true)
	f.Fuzz(func(t *testing.T, seed uint64, pages, contents uint16, skew uint8, groups uint16, zeros, workers, batch uint8, limit uint16, useZero bool) {
		m := memory{
			pages:    int(pages),
			contents: max(1, int(contents)),
			skew:     1 + int(skew)%8,
			groups:   max(1, int(groups)),
			zeros:    int(zeros) % 101,
		}
		q := Query{MaxPageSharing: uint64(limit), UseZeroPages: useZero, Top: int(seed % 40)}
		if limit == 1 {
			t.Skip("the kernel takes no limit of 1")
		}
		memory := m.generate(seed)
		o := Options{Groups: m.groups, Zero: testZero, Seed: seed}
		check(t, memory, m.groups, q, count(t, memory, o, 1+int(workers)%4, 1+int(batch), q))
	})
}

// Small numbers are no hashes: they all lie in one partition. Each is in two
// groups in turn.
func TestUnevenFingerprints(t *testing.T) {
	var pages []page
	for i := range 50000 {
		pages = append(pages, page{fingerprint: uint64(i%9000) << 12, group: uint32(i / 9000 % 2), location: uint64(i)})
	}
	q := Query{Top: 10}
	check(t, pages, 2, q, count(t, pages, Options{Groups: 2, Zero: testZero}, 2, 100, q))
}

// Two contents of one partition and one slot are heavy in turn. When the second
// makes the first give way, the few pages of the first since the group began
// go back to the partition, whose chunk is full at that moment.
func TestHeavyGivesWay(t *testing.T) {
	const first, second = 5<<52 | 1<<20 | 9, 5<<52 | 2<<20 | 9
	var pages []page
	add := func(fingerprint uint64, group uint32, n int) {
		for range n {
			pages = append(pages, page{fingerprint, group, uint64(len(pages))})
		}
	}
	add(first, 0, 200)
	add(first, 1, leastHeavy-1)
	add(second, 1, 200)
	q := Query{Top: 2}
	c := New(Options{Groups: 2, Zero: testZero})
	w := c.Worker()
	addBatch(w, pages)
	if w.heavyKey[9] != second {
		t.Fatalf("slot 9 has %x, want %x", w.heavyKey[9], uint64(second))
	}
	r, err := c.Count(context.Background(), 1, q)
	if err != nil {
		t.Fatal(err)
	}
	check(t, pages, 2, q, r)
}

// A table that one partition made large must not be cleared for all others.
func TestTableShrinks(t *testing.T) {
	table := newTable(0x9e3779b97f4a7c15, true)
	for i := range uint64(10000) {
		table.add(i, uint32(i%2), 1)
		table.add(i, 2, 1)
	}
	for range 10 {
		table.reset()
	}
	if len(table.slots) != minSlots || len(table.pairSlots) != minSlots {
		t.Errorf("%d and %d slots after partitions that were empty, want %d", len(table.slots), len(table.pairSlots), minSlots)
	}
}

func TestSaving(t *testing.T) {
	for _, limit := range []uint64{0, 2, 3, 4, 255, 256, 257} {
		for copies := uint64(1); copies <= 1030; copies++ {
			saved, shared, unshared := Query{MaxPageSharing: limit}.saving(copies)
			wantShared, wantSaved, wantUnshared := slowMerge(copies, limit)
			if saved != wantSaved || shared != wantShared || unshared != wantUnshared {
				t.Fatalf("limit %d: saving(%d) = %d, %d, %d, want %d, %d, %d",
					limit, copies, saved, shared, unshared, wantSaved, wantShared, wantUnshared)
			}
		}
	}
}

// The gain is the Shapley value of the game in which a coalition of groups is
// worth what its pages would save, without a limit, and with one as long as
// the copies that do not fill a page fit one page together.
func TestGainIsShapley(t *testing.T) {
	tests := []struct {
		limit  uint64
		copies []uint64
	}{
		{0, []uint64{1, 1}},
		{0, []uint64{1, 2, 5}},
		{0, []uint64{7, 1, 1, 3, 2}},
		{256, []uint64{7, 1, 1, 3, 2}},
		{4, []uint64{1, 1, 2}},
		{4, []uint64{5, 1, 6}},
		{4, []uint64{4, 8, 1, 1}},
		{2, []uint64{2, 1, 1}},
		{3, []uint64{3, 3}},
	}
	for _, tt := range tests {
		q := Query{MaxPageSharing: tt.limit}
		c := New(Options{Groups: len(tt.copies), Zero: testZero})
		w := c.Worker()
		for g, n := range tt.copies {
			for range n {
				w.Add([]uint64{12345 << 30}, uint32(g), 0)
			}
		}
		r, err := c.Count(context.Background(), 1, q)
		if err != nil {
			t.Fatal(err)
		}
		for g, want := range shapley(tt.copies, tt.limit) {
			off := new(big.Rat).Sub(want, big.NewRat(int64(r.Groups[g].Gain()), PartsPerPage))
			if off.Abs(off).Cmp(big.NewRat(int64(len(tt.copies)), PartsPerPage)) >= 0 {
				t.Errorf("limit %d, copies %v: group %d gains %v, want %v",
					tt.limit, tt.copies, g, r.Groups[g].Gain().Pages(), want)
			}
		}
	}
}

// shapley averages what each group adds over all orders in which groups come.
func shapley(copies []uint64, limit uint64) []*big.Rat {
	value := make([]*big.Rat, len(copies))
	for i := range value {
		value[i] = new(big.Rat)
	}
	orders := int64(0)
	var visit func(order []int, present uint64)
	visit = func(order []int, present uint64) {
		if len(order) == len(copies) {
			orders++
			present = 0
			for _, g := range order {
				_, before, _ := slowMerge(present, limit)
				present += copies[g]
				_, after, _ := slowMerge(present, limit)
				value[g].Add(value[g], big.NewRat(int64(after-before), 1))
			}
			return
		}
		for g := range copies {
			if !slices.Contains(order, g) {
				visit(append(slices.Clone(order), g), present)
			}
		}
	}
	visit(nil, 0)
	for _, v := range value {
		v.Quo(v, big.NewRat(orders, 1))
	}
	return value
}

// A group whose copies fill their pages adds nothing to what others save.
func TestGainOfFullPages(t *testing.T) {
	c := New(Options{Groups: 3, Zero: testZero})
	w := c.Worker()
	for g, n := range []int{4, 1, 1} {
		w.Add(slices.Repeat([]uint64{99 << 40}, n), uint32(g), 0)
	}
	r, err := c.Count(context.Background(), 1, Query{MaxPageSharing: 2})
	if err != nil {
		t.Fatal(err)
	}
	for g, want := range []float64{2, 0.5, 0.5} {
		if got := r.Groups[g].Gain().Pages(); got != want {
			t.Errorf("group %d gains %v pages, want %v", g, got, want)
		}
	}
}

// The result depends on nothing but the pages: not on their order, the
// workers, the batches, the seed or on counting again.
func TestDeterminism(t *testing.T) {
	pages := memory{pages: 150000, contents: 60000, skew: 5, groups: 40, zeros: 5}.generate(8)
	q := Query{Top: 1000, MaxPageSharing: 256}
	options := Options{Groups: 40, Zero: testZero}
	want := count(t, pages, options, 1, 1000, q)
	known := 0
	for _, c := range want.Top {
		if c.HasLocation {
			known++
		}
	}
	if known < 50 || known == len(want.Top) {
		t.Errorf("%d of %d locations are known, want many but not all: the sample must have been reduced", known, len(want.Top))
	}

	r := rand.New(rand.NewPCG(1, 2))
	for _, workers := range []int{1, 2, 3, 8} {
		for _, batch := range []int{1, 37, 4096} {
			options.Seed = r.Uint64()
			if got := count(t, pages, options, workers, batch, q); !reflect.DeepEqual(got, want) {
				t.Errorf("%d workers, batches of %d: got %+v\nwant %+v", workers, batch, got, want)
			}
		}
		r.Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
	}
	slices.SortFunc(pages, func(a, b page) int { return int(a.group) - int(b.group) })
	c := New(options)
	addAll(c, pages, 2, 512)
	for range 2 {
		got, err := c.Count(context.Background(), 3, q)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("by groups: got %+v\nwant %+v", got, want)
		}
	}
}

// Counting leaves the pages as they are, and more can be added after.
func TestAddAfterCount(t *testing.T) {
	pages := memory{pages: 30000, contents: 3000, skew: 3, groups: 3, zeros: 5}.generate(4)
	c := New(Options{Groups: 3, Zero: testZero})
	w := c.Worker()
	for _, half := range [][]page{pages[:10000], pages[10000:]} {
		addBatch(w, half)
		for _, q := range []Query{{Top: 3}, {MaxPageSharing: 2, UseZeroPages: true}} {
			got, err := c.Count(context.Background(), 2, q)
			if err != nil {
				t.Fatal(err)
			}
			check(t, pages[:got.Pages], 3, q, got)
		}
	}
}

func TestAddZeros(t *testing.T) {
	c := New(Options{Groups: 2, Zero: testZero})
	w, other := c.Worker(), c.Worker()
	w.AddZeros(1000, 1, 5000)
	w.AddZeros(0, 0, 3)
	other.Add([]uint64{1 << 60, testZero, testZero}, 0, 70)
	r, err := c.Count(context.Background(), 1, Query{UseZeroPages: true, Top: 2})
	if err != nil {
		t.Fatal(err)
	}
	if r.Pages != 1003 || r.ZeroPages != 1002 || r.ZeroSaved != 1002 || r.Saved != 1002 || r.Unshared != 1 {
		t.Errorf("Count() = %+v", r)
	}
	want := []Content{{
		Fingerprint: testZero >> 12 << 12,
		Zero:        true,
		Copies:      1002,
		Holders:     []Holder{{1, 1000}, {0, 2}},
		Location:    71,
		HasLocation: true,
	}}
	if !reflect.DeepEqual(r.Top, want) {
		t.Errorf("Top = %+v, want %+v", r.Top, want)
	}
}

// One location for all pages is of no use, but must not be stored a million
// times, or for ever shrink the sample.
func TestOneLocation(t *testing.T) {
	c := New(Options{Zero: testZero})
	w := c.Worker()
	for i := range 2 * maxSample {
		w.Add([]uint64{fingerprintOf(1, i/2)}, 0, 77)
	}
	r, err := c.Count(context.Background(), 1, Query{Top: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.sample.pages) > maxSample || r.Distinct != maxSample || r.Top[0].HasLocation {
		t.Errorf("sample of %d pages; Count() = %+v", len(w.sample.pages), r)
	}
}

func TestCountErrors(t *testing.T) {
	c := New(Options{Zero: testZero})
	addAll(c, memory{pages: 1000, contents: 1000, skew: 1, groups: 1}.generate(1), 1, 100)
	if _, err := c.Count(context.Background(), 1, Query{MaxPageSharing: 1}); err == nil {
		t.Error("Count() with max_page_sharing 1: no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err := c.Count(ctx, 2, Query{}); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("Count() after cancel = %v, %v, want nil, %v", r, err, context.Canceled)
	}
}

// cancelled is a context that is cancelled when it has been asked so often.
type cancelled struct {
	context.Context
	after int
}

func (c *cancelled) Err() error {
	if c.after--; c.after < 0 {
		return context.Canceled
	}
	return nil
}

// Even one partition with everything in it does not make a cancel wait.
func TestCancelInsidePartition(t *testing.T) {
	c := New(Options{Zero: testZero})
	w := c.Worker()
	for i := range 10 * checkChunks * 49 {
		w.Add([]uint64{uint64(i) << 12}, 0, 0)
	}
	ctx := &cancelled{Context: context.Background(), after: 5}
	k := counter{census: c, table: newTable(c.multiplier, false), tally: newTally(Query{}, 1)}
	if k.count(ctx, 0, nil) {
		t.Fatal("count() was not cancelled")
	}
	if got, want := len(k.table.contents), 6*checkChunks*49; got > want {
		t.Errorf("counted %d pages after being cancelled at about %d", got, want)
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		options    Options
		bits       int
		groupBytes int
	}{
		{Options{}, 52, 0},
		{Options{Pages: 1 << 24, Groups: 1}, 52, 0},
		{Options{Pages: 1<<24 + 1, Groups: 2}, 53, 1},
		{Options{Pages: 1<<25 + 1, Groups: 256}, 54, 1},
		{Options{Pages: 1 << 62, Groups: 257}, 54, 2},
		{Options{Pages: 1<<64 - 1, Groups: 1 << 16}, 54, 2},
		{Options{Groups: 1<<16 + 1}, 52, 3},
		{Options{Groups: MaxGroups}, 52, 3},
	} {
		c := New(tt.options)
		if c.FingerprintBits() != tt.bits || c.groupBytes != tt.groupBytes {
			t.Errorf("New(%+v) keeps %d bits and %d bytes of the group, want %d and %d",
				tt.options, c.FingerprintBits(), c.groupBytes, tt.bits, tt.groupBytes)
		}
		const all = uint64(0xfedcba9876543210)
		if got, want := c.fingerprint(c.partition(all), c.remainder(all)), all>>(64-tt.bits)<<(64-tt.bits); got != want || c.prefix(all) != want {
			t.Errorf("New(%+v): fingerprint %x, prefix %x, want %x", tt.options, got, c.prefix(all), want)
		}
	}
	for _, groups := range []int{-1, MaxGroups + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New() with %d groups did not panic", groups)
				}
			}()
			New(Options{Groups: groups})
		}()
	}
}
