package scanner

// maxRuns is the most runs in a batch: one for each page of the smallest page
// size that a system has.
const maxRuns = BatchBytes / 4096

// Buffer is the memory that a goroutine needs to read sources, one after the
// other: some 2.1 MiB.
type Buffer struct {
	mem  []byte // what was read, of runs
	runs []Run  // at most maxRuns

	live liveBuffer
	ways ways // of reading images
}

// NewBuffer returns a buffer.
func NewBuffer() *Buffer { return newBuffer(BatchBytes) }

// newBuffer returns a buffer for batches of that size, a multiple of the page
// size and at most BatchBytes.
//
// It is not inlined, so that the Buffer is surely on the heap: the kernel is
// given addresses in it as numbers, and only there does nothing move.
//
//go:noinline
func newBuffer(sizeBytes int) *Buffer {
	return &Buffer{mem: make([]byte, sizeBytes), runs: make([]Run, 0, maxRuns)}
}

// bufferBytes returns the size of the batches of each of several workers: as
// large as they can be if all together shall be no larger than allBuffers. Many
// workers are limited by the speed of memory, and not by system calls.
func bufferBytes(workers, pageSize int) int {
	size := BatchBytes
	for size > leastBuffer && size*workers > allBuffers {
		size /= 2
	}
	return max(size, pageSize)
}

const (
	allBuffers  = 8 << 20
	leastBuffer = 64 << 10
)

// addRun adds pages to runs, to the last one if they follow it.
func addRun(runs []Run, start uint64, pages, pageSize int) []Run {
	if n := len(runs); n > 0 {
		if last := &runs[n-1]; last.Start+uint64(last.Pages*pageSize) == start {
			last.Pages += pages
			return runs
		}
	}
	return append(runs, Run{start, pages})
}
