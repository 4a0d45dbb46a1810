package scanner

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Each way is tried, and then the quicker one is gone, also when that changes.
func TestWays(t *testing.T) {
	const batch = 1 << 20
	var w ways
	count := func(perByte [numWays]time.Duration) (bytes [numWays]int64) {
		for range 10 * tryPieces {
			i, size := w.next(batch)
			bytes[i] += size
			w.took(i, size, perByte[i]*time.Duration(size))
		}
		return bytes
	}
	if i, size := w.next(batch); i != wayMap || size != batch {
		t.Errorf("the first piece goes way %d with %d bytes, want %d with %d: nothing is known", i, size, wayMap, batch)
	}
	for _, quicker := range []way{wayMap, wayCopy, wayMap} {
		times := [numWays]time.Duration{4, 4}
		times[quicker] = 1
		count(times) // until it knows
		bytes := count(times)
		other := numWays - 1 - quicker
		if n, tries := bytes[other]/batch, int64(10); n < tries-2 || n > tries+tries {
			t.Errorf("with way %d quicker %d batches went the other way, want about %d", quicker, n, tries)
		}
	}
}

// However an image is read its pages are the same.
func TestWaysAgree(t *testing.T) {
	const batches = 9
	path := filepath.Join(t.TempDir(), "image")
	content := make([]byte, batches*BatchBytes+3*4096)
	for page := 0; page < len(content); page += 4096 {
		binary.NativeEndian.PutUint64(content[page:], uint64(page))
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := OpenImage(path, 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	alwaysCopy := alwaysMap
	alwaysCopy.nsPerByte[wayMap], alwaysCopy.nsPerByte[wayCopy] = alwaysMap.nsPerByte[wayCopy], alwaysMap.nsPerByte[wayMap]
	for name, w := range map[string]ways{"both": {}, "map": alwaysMap, "copy": alwaysCopy} {
		b := NewBuffer()
		b.ways = w
		var got, looked []byte
		next := uint64(0)
		look := func(mem []byte) { looked = append(looked[:0], mem...) }
		tally, err := m.readInPlace(t.Context(), Span{End: uint64(len(content))}, b, look, func(mem []byte, runs []Run) error {
			for _, r := range runs {
				if r.Start != next {
					t.Fatalf("%s: pages at %d, want those at %d", name, r.Start, next)
				}
				next += uint64(r.Pages * 4096)
			}
			got = append(got, looked...)
			return nil
		})
		if err != nil || tally != (Tally{Pages: uint64(len(content) / 4096)}) || !bytes.Equal(got, content) {
			t.Errorf("%s: %+v, %v, contents equal: %t", name, tally, err, bytes.Equal(got, content))
		}
	}
}
