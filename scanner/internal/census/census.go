// Package census counts equal pages by their fingerprints, and says what
// merging them would save, for the whole and for each group of pages.
//
// # The problem
//
// A scan yields a fingerprint for each page of a machine, some hundred million
// of them, as fast as memory can be read: one every 300 to 500 ns for each
// worker. Counting must not be felt beside that. A hash table of all contents
// has a cache miss for each page and takes 20 to 40 bytes a page, memory that
// a host which is short of memory, and is scanned for that reason, does not
// have.
//
// # The idea
//
// Pages are dealt out by the first p bits of their fingerprint to 2^p
// partitions, and only the next 40 bits are stored. A partition is a list of
// chunks of 256 bytes; a worker owns its partitions and its pool of chunks,
// so that adding a page is one store at the end of a chunk, without a lock:
//
//	fingerprint   | p bits: partition | 40 bits: stored | rest: dropped |
//
//	worker 0      partition 0      -> [...........] -> [...........]
//	              partition 1      -> [.....      ] -> [...........]
//	              ...
//	worker 1      partition 0      -> [..         ]
//	              ...
//
// Equal pages meet in one partition. When all pages are in, partitions are
// counted one by one, each in a hash table that fits the cache, and several at
// once by several goroutines. What is stored stays as it is, so that the same
// pages can be counted again under other knobs.
//
// With groups, each entry is followed by the group in one to three bytes.
//
// # Heavy contents
//
// The zero page is counted apart and never stored. So are other contents that
// would make a partition much longer than the others: whenever a chunk is
// full, a few of its entries are compared with the page at hand. If they are
// equal, the content goes to a small table that is looked at before the
// partitions, and from then on only a number is kept for it. It does not
// matter for the result whether a content is found to be heavy, or when.
//
// # Exactness
//
// Two pages are taken for equal if the first p+40 bits of their fingerprints
// are equal, except that a zero page is one whose 64 bits are those of the
// zero page. Among N pages of different contents N^2/2^(p+41) pairs are
// expected to be taken for equal wrongly; p is 12 for up to 2^24 pages, 13 for
// up to 2^25 and 14 for more, by the number of pages that was expected. With more
// than 2 workers it is at most 13, and with more than 5 it is 12:
//
//	pages expected and seen    2^20    2^24    2^26    2^28 (1 TiB)
//	false pairs              0.0001    0.03    0.13    2
//
// Where p is 12 instead of 14, since more pages come than were expected or with
// many workers, the false pairs are four times as many.
//
// # Cost
//
// Memory: 5.2 bytes a page, 6.3 with up to 2^8 groups, 7.3 with up to 2^16 and
// 8.3 with up to 2^24, and less for heavy contents. On top of it each worker
// takes up to 2 MiB (p = 12) or 6 MiB (p = 14), however many pages were
// expected or seen, and 16 bytes for each group: so goroutines beyond what
// Workers returns should share them. Each goroutine that counts
// takes up to 60 bytes for each page of the largest partition, and 40 bytes
// for each group.
//
// Time: BenchmarkCensus compares it with that of a Go map of fingerprints,
// which takes four to ten times as long and gives no groups. The table of one
// partition leaves a second-level cache of 512 KiB at about 2^28 pages, and
// counting is slower from there on.
//
// Fingerprints need not be evenly distributed: a partition may hold all
// pages, but is then counted by one goroutine alone.
package census

import (
	"fmt"
	"math/bits"
	"sync"
)

const (
	remainderBits = 40
	remainderMask = 1<<remainderBits - 1

	minPartitionBits = 12
	maxPartitionBits = 14

	// partitionPages is how many pages a partition should hold.
	partitionPages = 1 << 12
)

// MaxGroups is the largest number of groups that a census can tell apart.
const MaxGroups = 1 << 24

// Options describes the pages that are going to be counted.
type Options struct {
	// Pages is about how many pages will be added. It may be wrong: see the
	// package comment for what then changes.
	Pages uint64

	// Groups is the number of groups; 0 is 1. Groups are numbered from 0. New
	// panics if it is negative or more than MaxGroups.
	Groups int

	// Workers is how many goroutines are going to add pages.
	Workers int

	// Zero is the fingerprint of a page of zeros.
	Zero uint64

	// Seed is a number that the owners of the pages cannot guess. Knowing it,
	// they could choose contents that make counting slow. No result depends
	// on it.
	Seed uint64
}

// Census holds the fingerprints of pages. Its workers add pages, each from
// one goroutine, and Count counts them when no worker is adding.
type Census struct {
	partitionBits uint
	groups        int
	groupBytes    int
	zero          uint64
	multiplier    uint64 // of the hash tables of Count; odd

	mu      sync.Mutex
	workers []*Worker
}

// New returns an empty census.
func New(o Options) *Census {
	if o.Groups < 0 || o.Groups > MaxGroups {
		panic(fmt.Sprintf("census: %d groups, at most %d are possible", o.Groups, MaxGroups))
	}
	groups := max(1, o.Groups)
	partitions := (max(1, o.Pages)-1)/partitionPages + 1
	partitionBits := min(max(uint(bits.Len64(partitions-1)), minPartitionBits), maxPartitionBits)
	for partitionBits > minPartitionBits && o.Workers > workersOf(partitionBits) {
		partitionBits--
	}
	return &Census{
		partitionBits: partitionBits,
		groups:        groups,
		groupBytes:    (bits.Len(uint(groups-1)) + 7) / 8,
		zero:          o.Zero,
		multiplier:    (o.Seed ^ 0x9e3779b97f4a7c15) | 1,
	}
}

// workersOf returns how many workers fit in the memory that the first chunks of
// all their partitions may take.
func workersOf(partitionBits uint) int {
	const memory = 12 << 20
	return memory / (chunkBytes<<partitionBits + slabBytes)
}

// Workers returns how many workers there should be at most, so that those chunks
// which are not full take little memory.
func (c *Census) Workers() int { return workersOf(c.partitionBits) }

// FingerprintBits returns how many leading bits of a fingerprint are kept.
// Pages whose fingerprints differ only behind them are taken for equal.
func (c *Census) FingerprintBits() int { return int(c.partitionBits) + remainderBits }

// prefix returns the part of a fingerprint that is kept, in its place.
func (c *Census) prefix(fingerprint uint64) uint64 {
	dropped := 64 - remainderBits - c.partitionBits
	return fingerprint >> dropped << dropped
}

// partition returns the number of the partition of a fingerprint.
func (c *Census) partition(fingerprint uint64) uint64 {
	return fingerprint >> (64 - c.partitionBits)
}

// remainder returns what is stored of a fingerprint in its partition.
func (c *Census) remainder(fingerprint uint64) uint64 {
	return fingerprint << c.partitionBits >> (64 - remainderBits)
}

// fingerprint is the inverse of partition and remainder; dropped bits are 0.
func (c *Census) fingerprint(partition, remainder uint64) uint64 {
	return partition<<(64-c.partitionBits) | remainder<<(64-remainderBits-c.partitionBits)
}
