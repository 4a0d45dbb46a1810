package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

func filled(content uint64) []byte {
	page := make([]byte, pageBytes)
	for i := range page {
		page[i] = 0xa5 // what was there before
	}
	Fill(page, content)
	return page
}

// zeroWord is the content the first word of which is 0: the number c with
// mix(c*1000003) == 0, where mix(x) is 0 for x = -0x9e3779b97f4a7c15 only.
func zeroWord() uint64 {
	const minusGolden = 0x61c8864680b583eb
	inverse := uint64(1) // of 1000003, by Newton's method
	for range 6 {
		inverse *= 2 - 1000003*inverse
	}
	return minusGolden * inverse
}

func TestFill(t *testing.T) {
	tests := []struct{ content, first, last uint64 }{
		{content: 0},
		{content: 1, first: 0x5a0052b913b21d24, last: 0x7c2dc6be59c2de7}, // by another program
		{content: 1<<63 - 1, first: 0x4ece960706ff74e5, last: 0x33516c88b077ed92},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.content), func(t *testing.T) {
			page := filled(tt.content)
			if got := binary.LittleEndian.Uint64(page); got != tt.first {
				t.Errorf("first word = %#x, want %#x", got, tt.first)
			}
			if got := binary.LittleEndian.Uint64(page[pageBytes-8:]); got != tt.last {
				t.Errorf("last word = %#x, want %#x", got, tt.last)
			}
		})
	}
}

// TestZeroChecksum has the checksum that the kernel gives a page of zero bytes.
func TestZeroChecksum(t *testing.T) {
	m := NewMemory(MemoryOptions{ExactChecksums: true})
	if got := m.contents.checksum(0); got != 0x32d8bbdb {
		t.Errorf("Checksum(0) = %#x, want 0x32d8bbdb", got)
	}
}

// TestContents holds what is computed from numbers equal to what their bytes say.
func TestContents(t *testing.T) {
	numbers := []uint64{0, 1, 2, 3, 1 << 32, 1<<63 - 1, zeroWord() &^ (1 << 63), zeroWord()}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		numbers = append(numbers, rng.Uint64()>>1)
	}
	numbers = append(numbers, firstAlike, firstAlike+1, firstAlike+255, firstAlike+256, 1<<64-1)
	for range 20 {
		numbers = append(numbers, rng.Uint64()|firstAlike)
	}
	c := newContents(true)
	for _, a := range numbers {
		pageA := filled(a)
		idA := c.intern(a)
		c.retain(idA)
		if got, want := c.checksum(idA), uint32(xxhash.Sum64(pageA)); got != want {
			t.Errorf("checksum of %d = %#x, want %#x", a, got, want)
		}
		for _, b := range numbers {
			idB := c.intern(b)
			c.retain(idB)
			if got, want := c.compare(idA, idB), bytes.Compare(pageA, filled(b)); got != want {
				t.Errorf("compare(%d, %d) = %d, want %d", a, b, got, want)
			}
			if (idA == idB) != (a == b) {
				t.Errorf("contents %d and %d have ids %d and %d", a, b, idA, idB)
			}
		}
	}
}

// TestZeroWord makes sure that the case is in TestContents.
func TestZeroWord(t *testing.T) {
	if got := word(zeroWord(), 0); got != 0 {
		t.Fatalf("first word of %d = %#x, want 0", zeroWord(), got)
	}
	if got := compareBytes(0, zeroWord()); got != -1 {
		t.Errorf("compareBytes(0, %d) = %d, want -1", zeroWord(), got)
	}
}

// Contents that are alike differ in the last word only.
func TestAlike(t *testing.T) {
	a, b := filled(firstAlike+1), filled(firstAlike+0x0203)
	if !bytes.Equal(a[:pageBytes-8], b[:pageBytes-8]) {
		t.Error("two contents that are alike differ before the last word")
	}
	if got := binary.LittleEndian.Uint64(b[pageBytes-8:]); got != firstAlike+0x0203 {
		t.Errorf("last word = %#x, want the number %#x", got, uint64(firstAlike+0x0203))
	}
	c := newContents(false)
	if zero, ordinary := c.isAlike(0), c.isAlike(c.intern(firstAlike-1)); zero || ordinary {
		t.Errorf("isAlike = %v for zero, %v for the last ordinary content, want false", zero, ordinary)
	}
	if !c.isAlike(c.intern(firstAlike)) {
		t.Error("isAlike is false for the first content that is")
	}
}

func TestChecksumOfNumber(t *testing.T) {
	c := newContents(false)
	seen := map[uint32]uint64{}
	for number := range uint64(1000) {
		sum := c.checksum(c.intern(number))
		if other, ok := seen[sum]; ok {
			t.Fatalf("contents %d and %d have checksum %#x", other, number, sum)
		}
		seen[sum] = number
	}
}

// TestIntern runs random references against a map that never forgets.
func TestIntern(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		c := newContents(false)
		if seed%2 == 1 {
			c.reserve(rng.IntN(3000)) // any number of slots
		}
		refs := map[uint64]int{}           // by number
		ids := map[uint64]ksmd.Content{}   // of numbers in use, or that were since the last recycle
		means := map[ksmd.Content]uint64{} // the reverse
		for range 5000 {
			number := 1 + rng.Uint64N(1+10<<(seed%8))
			switch op := rng.IntN(100); {
			case op < 50:
				id := c.intern(number)
				c.retain(id)
				if old, ok := ids[number]; ok && old != id {
					t.Fatalf("seed %d: %d was content %d, is %d", seed, number, old, id)
				}
				if other, ok := means[id]; ok && other != number {
					t.Fatalf("seed %d: content %d of %d is used for %d", seed, id, other, number)
				}
				if c.entries[id].number() != number {
					t.Fatalf("seed %d: content %d has number %d, want %d", seed, id, c.entries[id].number(), number)
				}
				ids[number], means[id] = id, number
				refs[number]++
			case op < 99:
				if refs[number] > 0 {
					c.release(ids[number])
					refs[number]--
				}
			default:
				c.recycle()
				for number, id := range ids {
					if refs[number] == 0 {
						delete(ids, number)
						delete(means, id)
					}
				}
				if c.used != len(ids) {
					t.Fatalf("seed %d: %d slots used after recycle, want %d", seed, c.used, len(ids))
				}
			}
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add(uint64(0), uint64(0))
	f.Add(uint64(1), uint64(2))
	f.Add(zeroWord(), uint64(0))
	f.Add(uint64(firstAlike+1), uint64(firstAlike+256))
	f.Add(uint64(firstAlike+1), uint64(7))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		if got, want := compareBytes(a, b), bytes.Compare(filled(a), filled(b)); got != want {
			t.Errorf("compareBytes(%d, %d) = %d, want %d", a, b, got, want)
		}
	})
}
