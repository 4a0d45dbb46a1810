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
	var w ways
	count := func(perByte [numWays]time.Duration) (pieces [numWays]int) {
		for range 10 * tryPieces {
			i := w.next()
			pieces[i]++
			w.took(i, 1<<20, perByte[i]<<20)
		}
		return pieces
	}
	if i := w.next(); i != wayMap {
		t.Errorf("the first piece goes way %d, want %d: nothing is known", i, wayMap)
	}
	for _, quicker := range []way{wayMap, wayCopy, wayMap} {
		times := [numWays]time.Duration{4, 4}
		times[quicker] = 1
		count(times) // until it knows
		pieces := count(times)
		if n := pieces[numWays-1-quicker]; n < 9 || n > 10 {
			t.Errorf("with way %d quicker %d pieces went the other way, want 9 or 10", quicker, n)
		}
	}
	// A slow piece is forgotten at the next one.
	w.took(wayMap, 1<<20, 1000<<20)
	w.took(wayMap, 1<<20, 1<<20)
	if i := w.next(); i != wayMap {
		t.Errorf("after a slow piece and a quick one it goes way %d, want %d", i, wayMap)
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
