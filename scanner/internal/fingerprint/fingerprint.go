// Package fingerprint turns memory pages into 64-bit fingerprints: equal pages
// have equal fingerprints, and different pages almost surely different ones.
//
// The fingerprint is xxHash64 with seed 0 over the whole page. The low 32 bits
// of it are the checksum ksmd keeps for a page on a 64-bit machine
// (mm/ksm.c: calc_checksum, since Linux 5.0).
//
// # Why several pages at once
//
// One xxHash64 is slower than memory. It runs four lanes v1..v4 over the page,
// 32 bytes a step, and each lane is a chain in which every link waits for the
// one before:
//
//	v = rotl(v + word*prime2, 31) * prime1
//
// Add, rotate and multiply take 5 cycles or more, whatever else the processor
// could do meanwhile. But pages do not depend on each other, and the four lanes
// of a page all do the same. So lanes become the elements of vector registers,
// and several pages are hashed side by side until the multiplier is busy all
// the time. With AVX-512 a register holds two pages and four registers eight:
//
//	element     7   6   5   4    3   2   1   0
//
//	Z0         v4  v3  v2  v1   v4  v3  v2  v1
//	           '---page 2---'   '---page 0---'
//	Z1         v4  v3  v2  v1   v4  v3  v2  v1
//	           '---page 3---'   '---page 1---'
//	Z2         v4  v3  v2  v1   v4  v3  v2  v1
//	           '---page 6---'   '---page 4---'
//	Z3         v4  v3  v2  v1   v4  v3  v2  v1
//	           '---page 7---'   '---page 5---'
//
// A step loads 32 bytes of each page, just as they lie in memory. After the
// last step the registers are transposed, which is why page 2 and not page 1
// stands beside page 0 (two unpacks and a shuffle then leave them in order):
//
//	element     7   6   5   4    3   2   1   0
//
//	V1         v1  v1  v1  v1   v1  v1  v1  v1
//	of page     7   6   5   4    3   2   1   0     V2, V3 and V4 likewise
//
// so that merging the lanes and the final mixing is done for eight pages at
// once too, and the result is stored as it stands. With AVX2 a register holds
// one page and four registers four. AVX2 has no 64-bit product: it is composed
// of 32-bit ones,
//
//	x*c mod 2^64 = lo(x)*lo(c) + (hi(x)*lo(c) + lo(x)*hi(c)) << 32
//
// the first from VPMULUDQ, and the other two, of which only the low 32 bits
// matter, side by side from one VPMULLD of x with the halves of c swapped. What
// is to be shifted is added up late: a step needs two products, of a word and of
// the lane before it is rotated, and the lane is the sum of them,
//
//	v = lo + lo' + (cross + cross') << 32
//
// so that one shift and one mask serve both. That keeps the vector units busy but
// not the multiplier of the general registers, which hashes one page more in the
// same time: five at once.
//
// # Cost
//
// Time is proportional to the bytes read, each of them once, and nothing is
// allocated. With AVX2 on Zen 3, pages in a cache are hashed 2.0 times as fast as
// one after the other while another thread shares the core, and 2.4 times while
// none does; those streaming from memory 1.5 times (BenchmarkPages). Beyond the
// cache the limit is how fast one core can read. The prefetchers of the processor
// stop at the end of a page, so the next group is prefetched while one is hashed.
//
// # Limits
//
// The page size is a multiple of 32 bytes, which leaves xxHash64 no tail to
// treat. Up to three pages left over by the groups are hashed one by one, if
// there are less than twelve.
package fingerprint

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// An implementation is one way to compute what Pages promises. All of them
// give the same result.
type implementation struct {
	name  string
	pages func(dst []uint64, mem []byte, pageSize int)
}

// generic works on every machine.
var generic = implementation{name: "generic", pages: pagesGeneric}

// chosen is the fastest implementation this machine has.
var chosen = implementations()[0]

// Sum returns the fingerprint of page, which may be of any length.
func Sum(page []byte) uint64 {
	return xxhash.Sum64(page)
}

// Pages stores in dst[i] the fingerprint of the i-th page of mem, for every i.
// It reads nothing but mem, and may be called concurrently. The memory may be
// written to by others meanwhile, for example by a process that shares it: the
// fingerprint of a page that changes while it is read means nothing.
//
// The page size is in bytes, positive and a multiple of 32. Pages panics if it
// is not, or if mem is not len(dst) pages long.
func Pages(dst []uint64, mem []byte, pageSize int) {
	if pageSize <= 0 || pageSize%32 != 0 {
		panic(fmt.Sprintf("fingerprint: page size %d is not a positive multiple of 32", pageSize))
	}
	if len(mem)%pageSize != 0 || len(mem)/pageSize != len(dst) {
		panic(fmt.Sprintf("fingerprint: %d bytes are not %d pages of %d bytes", len(mem), len(dst), pageSize))
	}
	chosen.pages(dst, mem, pageSize)
}

// Zero returns the fingerprint of a page of pageSize zero bytes.
func Zero(pageSize int) uint64 {
	return Sum(make([]byte, pageSize))
}

// Implementation names what Pages uses on this machine: "avx512", "avx2" or
// "generic".
func Implementation() string {
	return chosen.name
}

// pagesGeneric hashes one page after the other.
func pagesGeneric(dst []uint64, mem []byte, pageSize int) {
	for i := range dst {
		dst[i] = Sum(mem[i*pageSize : (i+1)*pageSize])
	}
}
