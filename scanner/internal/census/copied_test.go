package census

import (
	"context"
	"maps"
	"math/rand/v2"
	"testing"
)

// Copied gives each content with copies once, however it is cut into pieces, and
// whether the content is heavy or not.
func TestCopied(t *testing.T) {
	const pages = 20_000
	c := New(Options{Pages: pages, Groups: 3, Zero: testZero})
	workers := []*Worker{c.Worker(), c.Worker()}
	random := rand.New(rand.NewPCG(9, 9))
	want := make(map[uint64]uint64)
	for i := range pages {
		fingerprint := fingerprintOf(1, random.IntN(1+random.IntN(9000)))
		switch random.IntN(4) {
		case 0:
			fingerprint = testZero
		case 1:
			fingerprint = fingerprintOf(2, 1) // heavy
		}
		workers[i%2].Add([]uint64{fingerprint}, uint32(random.IntN(3)), uint64(i))
		if fingerprint != testZero {
			want[c.prefix(fingerprint)]++
		}
	}
	maps.DeleteFunc(want, func(_, n uint64) bool { return n < 2 })
	for _, most := range []int{1, 100, pages} {
		got := make(map[uint64]uint64)
		calls := 0
		var contents []Copied
		for partition, more := uint64(0), true; more; calls++ {
			var err error
			if contents, partition, more, err = c.Copied(context.Background(), contents[:0], partition, most); err != nil {
				t.Fatal(err)
			}
			if more && len(contents) < most {
				t.Fatalf("%d contents and more to come, want at least %d", len(contents), most)
			}
			for _, content := range contents {
				got[content.Fingerprint] += content.Copies
			}
		}
		if !maps.Equal(got, want) || most < pages && calls < 2 {
			t.Errorf("at most %d: %d contents in %d pieces, want %d", most, len(got), calls, len(want))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, _, err := c.Copied(ctx, nil, 0, pages); err != context.Canceled {
		t.Errorf("error = %v, want that it was cancelled", err)
	}
}

// However many workers there are, what those take that Workers allows is limited,
// and at least 52 bits are kept.
func TestWorkersAreLimited(t *testing.T) {
	for _, tt := range []struct {
		pages   uint64
		workers int
		bits    int
	}{
		{1 << 20, 1, 52}, {1 << 28, 0, 54}, {1 << 28, 2, 54}, {1 << 28, 3, 53}, {1 << 28, 5, 53}, {1 << 28, 6, 52}, {1 << 28, 1000, 52},
	} {
		c := New(Options{Pages: tt.pages, Workers: tt.workers})
		first := 1 << c.partitionBits * chunkBytes
		if got := c.FingerprintBits(); got != tt.bits || c.Workers() < min(2, tt.workers) || c.Workers()*first > 12<<20 {
			t.Errorf("%d pages, %d workers: %d bits, at most %d workers, want %d bits", tt.pages, tt.workers, got, c.Workers(), tt.bits)
		}
	}
}
