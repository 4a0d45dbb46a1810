package scanner

import "time"

// A piece of an image can be mapped or copied, and which is quicker depends on more
// than can be asked. To map is to copy nothing. But the page cache may hold the file
// in small pieces, of each of which the kernel tells the processor, a page fault for
// every few pages, and in some virtual machines that takes four times as long as to
// copy them; where it holds the file in huge pages it takes hardly any time. So each
// worker tries both ways now and then, and goes the one that was quicker.
type way int

const (
	wayMap way = iota
	wayCopy
	numWays
)

const (
	// leastMapped is from how many bytes on it can be quicker to map them.
	leastMapped = 128 << 10

	// pieceBatches is how many batches a piece is, which is mapped at once. To unmap it
	// takes a word to all processors, however many pages it has.
	pieceBatches = 4

	// tryPieces is after how many pieces one is read in the other way.
	tryPieces = 32
)

// ways remembers how long both ways took.
type ways struct {
	nsPerByte [numWays]float64 // lately; 0 is not known
	untilTry  int              // pieces
}

// next returns the way in which the next piece shall be read.
func (w *ways) next() way {
	for i, ns := range w.nsPerByte {
		if ns == 0 {
			return way(i)
		}
	}
	quicker := wayMap
	if w.nsPerByte[wayCopy] < w.nsPerByte[wayMap] {
		quicker = wayCopy
	}
	if w.untilTry--; w.untilTry < 0 {
		w.untilTry = tryPieces
		return numWays - 1 - quicker
	}
	return quicker
}

// took notes down how long a piece took. What was slow once, since its pages came from
// the disk, or something else had the CPU, is believed by half.
func (w *ways) took(i way, bytes int64, elapsed time.Duration) {
	ns := max(float64(elapsed), 1) / float64(bytes)
	if last := w.nsPerByte[i]; last > 0 {
		ns = min(ns, (ns+last)/2)
	}
	w.nsPerByte[i] = ns
}
