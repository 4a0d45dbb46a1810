package census

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// checkChunks is after how many chunks of one partition Count looks whether
// it was cancelled; some 100 000 pages.
const checkChunks = 2048

// Count counts the pages that have been added so far, with the given number
// of goroutines (at least one). The result depends on the pages, their groups
// and locations and on the query only, not on the number of workers or on the
// order in which pages came. The pages stay: they may be counted again, also
// at the same time, and more be added after. The error is that of the context,
// or says what is wrong with the query.
func (c *Census) Count(ctx context.Context, goroutines int, q Query) (*Result, error) {
	if q.MaxPageSharing == 1 {
		return nil, fmt.Errorf("max_page_sharing: 1: less than 2")
	}
	heavies := c.heavies()
	var next atomic.Uint64
	counters := make([]*counter, max(1, goroutines))
	var wg sync.WaitGroup
	for i := range counters {
		k := &counter{
			census: c,
			table:  newTable(c.multiplier, c.groups > 1),
			tally:  newTally(q, c.groups),
		}
		counters[i] = k
		wg.Go(func() {
			for {
				partition := next.Add(1) - 1
				if partition >= 1<<c.partitionBits || !k.count(ctx, partition, heavies) {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := counters[0].tally
	for _, k := range counters[1:] {
		all.merge(k.tally)
	}
	return c.finish(all), nil
}

// heavies returns the heavy contents of all workers, in order of fingerprint.
func (c *Census) heavies() []heavy {
	var all []heavy
	for _, w := range c.workers {
		all = append(all, w.heavies...)
		for slot, n := range &w.heavyPages {
			if n > 0 {
				all = append(all, heavy{w.heavyKey[slot], n, w.group})
			}
		}
	}
	slices.SortFunc(all, func(a, b heavy) int { return cmp.Compare(a.fingerprint, b.fingerprint) })
	return all
}

// finish adds to the sums of all partitions what is known without counting.
func (c *Census) finish(t *tally) *Result {
	var zeros uint64
	var holders []Holder
	totals := make([]groupPages, c.groups)
	for _, w := range c.workers {
		for i, g := range w.groups {
			totals[i].pages += g.pages
			totals[i].zeros += g.zeros
		}
	}
	for i, g := range totals {
		t.groups[i].Pages = g.pages
		t.groups[i].ZeroPages = g.zeros
		if g.zeros > 0 {
			zeros += g.zeros
			holders = append(holders, Holder{Group: uint32(i), Copies: g.zeros})
		}
	}
	t.foldSingles()
	if zeros > 0 {
		t.addZeros(c.prefix(c.zero), zeros, holders)
	}
	if len(t.top) > 0 {
		c.locate(t.top)
	}
	for i := range t.top {
		if t.top[i].Zero {
			t.top[i].Location, t.top[i].HasLocation = c.zeroLocation()
		}
	}
	r := t.result
	r.Histogram, r.Groups, r.Top = t.rows(), t.groups, t.top
	return &r
}

// zeroLocation returns the lowest location of a zero page.
func (c *Census) zeroLocation() (location uint64, ok bool) {
	for _, w := range c.workers {
		if w.hasZero && (!ok || w.zeroLocation < location) {
			location, ok = w.zeroLocation, true
		}
	}
	return location, ok
}

// counter counts partitions, one after the other.
type counter struct {
	census  *Census
	table   *table
	tally   *tally
	holders []Holder
}

// count counts one partition. It returns false if ctx was cancelled.
func (k *counter) count(ctx context.Context, partition uint64, heavies []heavy) bool {
	if !k.fill(ctx, partition, heavies) {
		return false
	}
	for i := range k.table.contents {
		content := &k.table.contents[i]
		if content.copies == 1 {
			k.tally.addSingle(k.table.firstGroup(content))
			continue
		}
		k.holders = k.table.holders(k.holders[:0], content)
		k.tally.add(k.census.fingerprint(partition, content.key), content.copies, k.holders)
	}
	return true
}

// fill makes the table that of one partition. It returns false if ctx was
// cancelled.
func (k *counter) fill(ctx context.Context, partition uint64, heavies []heavy) bool {
	k.table.reset()
	for _, w := range k.census.workers {
		if !k.load(ctx, w, partition) {
			return false
		}
	}
	first, _ := slices.BinarySearchFunc(heavies, partition, func(h heavy, p uint64) int {
		return cmp.Compare(k.census.partition(h.fingerprint), p)
	})
	for _, h := range heavies[first:] {
		if k.census.partition(h.fingerprint) != partition {
			break
		}
		k.table.add(k.census.remainder(h.fingerprint), h.group, h.copies)
	}
	return true
}

// load puts what a worker has in a partition into the table. It returns false
// if ctx was cancelled.
func (k *counter) load(ctx context.Context, w *Worker, partition uint64) bool {
	end := w.cursor[partition]
	chunk, end := end/chunkBytes, end%chunkBytes
	before := w.before(chunk)
	groupMask := uint64(1)<<(8*k.census.groupBytes) - 1
	for n := 1; chunk != 0; n++ {
		if n%checkChunks == 0 && ctx.Err() != nil {
			return false
		}
		// The next chunk is far away in memory: fetching its header now, not
		// when it is needed, hides the wait.
		after := w.before(before)
		entries := w.chunk(chunk)
		for at := uint64(chunkHeader); at < end && at <= lastEntry; at += w.stride {
			entry := binary.LittleEndian.Uint64(entries[at:])
			k.table.add(entry&remainderMask, uint32(entry>>remainderBits&groupMask), 1)
		}
		chunk, before, end = before, after, chunkBytes
	}
	return ctx.Err() == nil
}
