package sysfs

import (
	"math"
	"math/bits"
	"time"
)

// ItemBytes is the size of the kernel's record of one tracked page, struct
// ksm_rmap_item, on 64-bit machines: the constant in general_profit and
// ksm_process_profit.
const ItemBytes = 64

// Savings is what KSM saves and costs now. SavedBytes - MetadataBytes is
// NetBytes, always.
type Savings struct {
	// SavedBytes is (pages_sharing + ksm_zero_pages) * page size.
	SavedBytes int64

	// Items is the number of pages that ksmd tracks. The kernel prints it
	// nowhere: it follows from general_profit. Before Linux 6.4, and where
	// general_profit is impossible (above what is saved), it is the sum of
	// pages_shared, pages_sharing, pages_unshared and pages_volatile.
	Items uint64

	// MetadataBytes is Items * ItemBytes.
	MetadataBytes int64

	// NetBytes is the kernel's general_profit where Items follows from it.
	NetBytes int64
}

// Savings computes what follows from c with pages of pageSize bytes. It is
// false if c lacks what is needed, or if the numbers are beyond any memory.
func (c *Counters) Savings(pageSize int64) (Savings, bool) {
	merged, zero, ok := c.savedBytes(pageSize)
	if !ok {
		return Savings{}, false
	}
	s := Savings{SavedBytes: merged + zero}
	if s.Items, ok = c.items(s.SavedBytes); !ok {
		return Savings{}, false
	}
	s.MetadataBytes = int64(s.Items) * ItemBytes
	s.NetBytes = s.SavedBytes - s.MetadataBytes
	return s, true
}

// beyond is an amount of memory in bytes that no machine has. Sums of a few
// smaller ones do not overflow.
const beyond = 1 << 60

// savedBytes returns what merging and what zero pages save.
func (c *Counters) savedBytes(pageSize int64) (merged, zero int64, ok bool) {
	if pageSize <= 0 || !c.Has(PagesSharing) {
		return 0, 0, false
	}
	limit := beyond / pageSize
	if uint64(c.PagesSharing) > uint64(limit) {
		return 0, 0, false
	}
	merged = int64(c.PagesSharing) * pageSize
	if c.Has(KSMZeroPages) {
		pages := int64(c.KSMZeroPages)
		if pages > limit || pages < -limit {
			return 0, 0, false
		}
		zero = pages * pageSize
	}
	return merged, zero, true
}

func (c *Counters) items(savedBytes int64) (uint64, bool) {
	const limit = beyond / ItemBytes
	if c.Has(GeneralProfit) && c.GeneralProfit > -beyond && c.GeneralProfit < beyond {
		cost := savedBytes - c.GeneralProfit
		if cost >= 0 && cost%ItemBytes == 0 {
			return uint64(cost / ItemBytes), true
		}
	}
	gauges := SetOf(PagesShared, PagesSharing, PagesUnshared, PagesVolatile)
	if c.Present&gauges != gauges {
		return 0, false
	}
	sum := uint64(0)
	for _, n := range []uint64{uint64(c.PagesShared), uint64(c.PagesSharing), uint64(c.PagesUnshared), uint64(c.PagesVolatile)} {
		if n > limit {
			return 0, false
		}
		sum += n
	}
	return sum, sum <= limit
}

// Ratio returns PagesSharing/PagesShared, the mean number of pages saved by
// each KSM page. It is false if nothing is merged.
func (c *Counters) Ratio() (float64, bool) {
	if !c.Has(PagesShared) || !c.Has(PagesSharing) || c.PagesShared == 0 {
		return 0, false
	}
	return float64(c.PagesSharing) / float64(c.PagesShared), true
}

// Attribute divides the machine's saving among processes: what merging saves
// in proportion to their ksm_merging_pages, zero pages as they are. It appends
// the bytes of each process to dst, in the order of the list, and returns what
// is left: the part of processes that have exited since ksmd last visited
// them or that may not be read. The parts and the rest sum to
// Savings.SavedBytes exactly.
//
// Rounding is settled by running sums: the first k processes together have
// the whole bytes below their exact part, so that each is less than a byte off,
// and if the processes hold all merged pages nothing is left over. If they claim
// more than the machine has, since it was not all read at one moment or since two
// of them share their memory, everybody's part shrinks in proportion and nothing
// is left. Parts are never negative. The rest is only where ksm_zero_pages is,
// which kernels before 6.10 could make so.
//
// It is false if c does not say what is saved and by how many KSM pages.
func (c *Counters) Attribute(list []Process, pageSize int64, dst []int64) (parts []int64, rest int64, ok bool) {
	merged, zero, ok := c.savedBytes(pageSize)
	if !ok || !c.Has(PagesShared) || c.PagesShared > beyond {
		return dst, 0, false
	}
	var claimed, claimedZero uint64
	for i := range list {
		claimed += clampPages(list[i].KSM.MergingPages)
		claimedZero += clampPages(Pages(max(0, list[i].KSM.ZeroPages)))
	}
	zeroToGive := uint64(max(0, zero))
	byMerging := split{total: uint64(merged), whole: max(claimed, uint64(c.PagesShared+c.PagesSharing))}
	byZero := split{total: zeroToGive, whole: max(claimedZero, zeroToGive/uint64(pageSize))}
	rest = merged + zero
	for i := range list {
		k := &list[i].KSM
		part := byMerging.next(clampPages(k.MergingPages)) + byZero.next(clampPages(Pages(max(0, k.ZeroPages))))
		dst = append(dst, int64(part))
		rest -= int64(part)
	}
	return dst, rest, true
}

// clampPages keeps sums of nonsense from overflowing: no process has more than
// 2^40 pages, and no machine more than 2^22 processes.
func clampPages(n Pages) uint64 { return uint64(min(n, 1<<40)) }

// split hands out a total in proportion to parts of a whole.
type split struct {
	total, whole uint64
	taken        uint64 // parts handed out
	given        uint64 // of total
}

func (s *split) next(part uint64) uint64 {
	if s.whole == 0 {
		return 0
	}
	s.taken += part
	hi, lo := bits.Mul64(s.total, s.taken)
	upTo, _ := bits.Div64(hi, lo, s.whole) // taken <= whole, so the quotient fits
	got := upTo - s.given
	s.given = upTo
	return got
}

// Rates is what happened between two readings. A value that is unknown, since
// the kernel lacks a counter or since it was reset in between, has its Has
// field false.
type Rates struct {
	// KSMDPercent is ksmd's CPU time as a percentage of one CPU.
	KSMDPercent    float64
	HasKSMDPercent bool

	// PagesPerSecond is how fast ksmd visits pages, those not counted that
	// smart scan skipped. Since Linux 6.6.
	PagesPerSecond    float64
	HasPagesPerSecond bool

	// SkippedPerSecond is how fast smart scan skips pages. Since Linux 6.7.
	SkippedPerSecond    float64
	HasSkippedPerSecond bool

	// BrokenPerSecond is how many KSM mappings are copied back a second, by
	// writes or by unmerging. Since Linux 5.19.
	BrokenPerSecond    float64
	HasBrokenPerSecond bool

	// FullScan is how long a pass over all tracked pages takes: the mean of the
	// passes that ended in between if they were many, else an estimate from
	// Savings.Items and the speed.
	FullScan    time.Duration
	HasFullScan bool
}

// RatesBetween computes the rates from an earlier and a later reading.
func RatesBetween(earlier, later *Reading) Rates {
	var r Rates
	elapsed := later.Time.Sub(earlier.Time)
	if elapsed <= 0 {
		return r
	}
	per := func(have bool, from, to uint64) (float64, bool) {
		if !have || to < from { // backwards: reset in between
			return 0, false
		}
		return float64(to-from) / elapsed.Seconds(), true
	}
	a, b := &earlier.Counters, &later.Counters
	both := func(f Field) bool { return a.Has(f) && b.Has(f) }
	r.PagesPerSecond, r.HasPagesPerSecond = per(both(PagesScanned), uint64(a.PagesScanned), uint64(b.PagesScanned))
	r.SkippedPerSecond, r.HasSkippedPerSecond = per(both(PagesSkipped), uint64(a.PagesSkipped), uint64(b.PagesSkipped))
	r.BrokenPerSecond, r.HasBrokenPerSecond = per(earlier.Host.HasCowKSM && later.Host.HasCowKSM, earlier.Host.CowKSM, later.Host.CowKSM)
	if cpu, ok := per(earlier.Host.HasKSMD && later.Host.HasKSMD, uint64(earlier.Host.KSMD), uint64(later.Host.KSMD)); ok {
		r.KSMDPercent, r.HasKSMDPercent = cpu/float64(time.Second)*100, true
	}
	r.FullScan, r.HasFullScan = fullScan(a, b, later.PageSize, elapsed, r)
	return r
}

// fullScan estimates the length of a pass. When n passes ended it took between
// n-1 and n+1 of them, so few of them tell less than the speed does, where
// the kernel tells the speed.
func fullScan(a, b *Counters, pageSize int64, elapsed time.Duration, r Rates) (time.Duration, bool) {
	const few, many = 2, 8
	ended := uint64(0)
	if a.Has(FullScans) && b.Has(FullScans) {
		if b.FullScans < a.FullScans {
			return 0, false // everything began anew
		}
		ended = b.FullScans - a.FullScans
	}
	mean := func() time.Duration { return elapsed / time.Duration(min(ended, uint64(elapsed))) }
	if ended >= many {
		return mean(), true
	}
	saved, ok := b.Savings(pageSize)
	speed := r.PagesPerSecond + r.SkippedPerSecond
	if !ok || saved.Items == 0 || !r.HasPagesPerSecond || speed <= 0 {
		if ended < few {
			return 0, false
		}
		return mean(), true
	}
	seconds := float64(saved.Items) / speed
	if seconds > math.MaxInt64/float64(time.Second)/2 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
