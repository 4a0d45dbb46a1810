//go:build unix

package sysfs

import (
	"math"
	"testing"
	"time"
)

// gauges has the fields that every kernel has.
var gauges = SetOf(PagesShared, PagesSharing, PagesUnshared, PagesVolatile)

func TestSavings(t *testing.T) {
	const page = 4096
	tests := []struct {
		name string
		c    Counters
		want Savings
		not  bool
	}{
		{name: "nothing known", not: true},
		{name: "no general_profit (5.4)",
			c:    Counters{PagesShared: 10, PagesSharing: 40, PagesUnshared: 5, PagesVolatile: 3, Present: gauges},
			want: Savings{SavedBytes: 40 * page, Items: 58, MetadataBytes: 58 * 64, NetBytes: 40*page - 58*64}},
		{name: "no zero pages (6.4): a value left over does not count",
			c:    Counters{PagesSharing: 40, KSMZeroPages: 7, GeneralProfit: 40*page - 58*64, Present: SetOf(PagesSharing, GeneralProfit)},
			want: Savings{SavedBytes: 40 * page, Items: 58, MetadataBytes: 58 * 64, NetBytes: 40*page - 58*64}},
		{name: "zero pages",
			c:    Counters{PagesSharing: 40, KSMZeroPages: 7, GeneralProfit: 47*page - 58*64, Present: SetOf(PagesSharing, KSMZeroPages, GeneralProfit)},
			want: Savings{SavedBytes: 47 * page, Items: 58, MetadataBytes: 58 * 64, NetBytes: 47*page - 58*64}},
		{name: "negative profit",
			c:    Counters{PagesUnshared: 1000, GeneralProfit: -64000, Present: gauges | SetOf(GeneralProfit)},
			want: Savings{Items: 1000, MetadataBytes: 64000, NetBytes: -64000}},
		{name: "negative zero pages",
			c:    Counters{KSMZeroPages: -2, GeneralProfit: -2*page - 64, Present: gauges | SetOf(GeneralProfit, KSMZeroPages)},
			want: Savings{SavedBytes: -2 * page, Items: 1, MetadataBytes: 64, NetBytes: -2*page - 64}},
		// The cover letter of "mm: process/cgroup ksm support": its profit was
		// not read at the moment of the rest, whose sum is 17,771,048.
		{name: "Instagram",
			c: Counters{PagesShared: 129547, PagesSharing: 5119146, PagesUnshared: 1760924, PagesVolatile: 10761341,
				GeneralProfit: 20158298048, Present: gauges | SetOf(GeneralProfit)},
			want: Savings{SavedBytes: 20968022016, Items: 12651937, MetadataBytes: 809723968, NetBytes: 20158298048}},
		{name: "profit above the saving",
			c: Counters{PagesShared: 1, PagesSharing: 2, PagesUnshared: 3, PagesVolatile: 4,
				GeneralProfit: 3 * page, Present: gauges | SetOf(GeneralProfit)},
			want: Savings{SavedBytes: 2 * page, Items: 10, MetadataBytes: 640, NetBytes: 2*page - 640}},
		{name: "profit in odd bytes, nothing else", c: Counters{GeneralProfit: -1, Present: SetOf(PagesSharing, GeneralProfit)}, not: true},
		{name: "one gauge refused", c: Counters{Present: SetOf(PagesShared, PagesSharing, PagesVolatile)}, not: true},
		{name: "sharing beyond any memory", c: Counters{PagesSharing: math.MaxUint64, Present: gauges}, not: true},
		{name: "shared beyond any memory", c: Counters{PagesShared: math.MaxUint64, Present: gauges}, not: true},
		{name: "volatile below zero", c: Counters{PagesVolatile: -1, Present: gauges}, not: true},
		{name: "all but cancelling", c: Counters{PagesSharing: 1 << 61, KSMZeroPages: -1<<61 + 5, Present: gauges | SetOf(KSMZeroPages)}, not: true},
		{name: "lowest", c: Counters{KSMZeroPages: math.MinInt64, GeneralProfit: math.MinInt64, Present: gauges | SetOf(KSMZeroPages, GeneralProfit)}, not: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.c.Savings(page)
			if got != tt.want || ok == tt.not {
				t.Errorf("Savings(%d) = %+v, %t, want %+v, %t", page, got, ok, tt.want, !tt.not)
			}
			for _, size := range []int64{0, -1} {
				if got, ok := tt.c.Savings(size); ok {
					t.Errorf("Savings(%d) = %+v, true, want false", size, got)
				}
			}
		})
	}
}

// hostile returns counters of which field is the number that bits spell.
func hostile(sharing, zero, shared, unshared, volatile, profit, present uint64) Counters {
	return Counters{
		PagesSharing: Pages(sharing), KSMZeroPages: SignedPages(zero), PagesShared: Pages(shared), PagesUnshared: Pages(unshared),
		PagesVolatile: SignedPages(volatile), GeneralProfit: int64(profit), Present: FieldSet(present),
	}
}

func FuzzSavings(f *testing.F) {
	all := uint64(gauges | SetOf(KSMZeroPages, GeneralProfit))
	const most = math.MaxUint64
	f.Add(uint64(40), uint64(7), uint64(10), uint64(5), uint64(3), uint64(47*4096-65*64), all, int64(4096))
	f.Add(uint64(most), uint64(most), uint64(most), uint64(most), uint64(most), uint64(most), all, int64(65536))
	f.Add(uint64(1<<62), uint64(1<<63), uint64(1<<63), uint64(0), uint64(1<<63), uint64(1<<63), all, int64(1))
	f.Fuzz(func(t *testing.T, sharing, zero, shared, unshared, volatile, profit, present uint64, page int64) {
		c := hostile(sharing, zero, shared, unshared, volatile, profit, present)
		s, ok := c.Savings(page)
		if !ok {
			if s != (Savings{}) {
				t.Fatalf("%+v.Savings(%d) = %+v, false", c, page, s)
			}
			return
		}
		saved := int64(c.PagesSharing)
		if c.Has(KSMZeroPages) {
			saved += int64(c.KSMZeroPages)
		}
		if s.SavedBytes != saved*page || s.MetadataBytes != int64(s.Items)*ItemBytes || s.NetBytes != s.SavedBytes-s.MetadataBytes || s.MetadataBytes < 0 {
			t.Fatalf("%+v.Savings(%d) = %+v", c, page, s)
		}
		sum := uint64(c.PagesShared) + uint64(c.PagesSharing) + uint64(c.PagesUnshared) + uint64(c.PagesVolatile)
		if !(c.Has(GeneralProfit) && s.NetBytes == c.GeneralProfit) && s.Items != sum {
			t.Fatalf("%+v.Savings(%d) = %+v: neither the kernel's profit nor the sum %d", c, page, s, sum)
		}
	})
}

func TestRatio(t *testing.T) {
	both := SetOf(PagesShared, PagesSharing)
	for _, tt := range []struct {
		c    Counters
		want float64
		ok   bool
	}{
		{c: Counters{PagesShared: 4, PagesSharing: 10, Present: both}, want: 2.5, ok: true},
		{c: Counters{PagesShared: 4, Present: both}, ok: true},
		{c: Counters{PagesSharing: 10, Present: both}},
		{c: Counters{PagesShared: 4, PagesSharing: 10, Present: SetOf(PagesShared)}},
		{c: Counters{PagesShared: 4, PagesSharing: 10, Present: SetOf(PagesSharing)}},
	} {
		if got, ok := tt.c.Ratio(); got != tt.want || ok != tt.ok {
			t.Errorf("%+v.Ratio() = %v, %t, want %v, %t", tt.c, got, ok, tt.want, tt.ok)
		}
	}
}

func TestRatesBetween(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	present := gauges | SetOf(FullScans, PagesScanned, PagesSkipped)
	earlier := Reading{
		Time: begin, PageSize: 4096,
		Counters: Counters{FullScans: 7, PagesScanned: 10000, PagesSkipped: 500, Present: present},
		Host:     Host{KSMD: time.Second, HasKSMD: true, CowKSM: 50, HasCowKSM: true},
	}
	later := Reading{
		Time: begin.Add(2 * time.Second), PageSize: 4096,
		Counters: Counters{FullScans: 7, PagesScanned: 18000, PagesSkipped: 2500, PagesUnshared: 20000, Present: present},
		Host:     Host{KSMD: 1500 * time.Millisecond, HasKSMD: true, CowKSM: 57, HasCowKSM: true},
	}
	full := Rates{
		KSMDPercent: 25, HasKSMDPercent: true, PagesPerSecond: 4000, HasPagesPerSecond: true,
		SkippedPerSecond: 1000, HasSkippedPerSecond: true, BrokenPerSecond: 3.5, HasBrokenPerSecond: true,
		FullScan: 4 * time.Second, HasFullScan: true,
	}
	tests := []struct {
		name   string
		change func(a, b *Reading)
		want   func(r *Rates)
	}{
		{name: "all known"},
		{name: "no time passed", change: func(a, b *Reading) { b.Time = a.Time }, want: func(r *Rates) { *r = Rates{} }},
		{name: "clock put back", change: func(a, b *Reading) { b.Time = a.Time.Add(-time.Hour) }, want: func(r *Rates) { *r = Rates{} }},
		{name: "ages apart", change: func(a, b *Reading) { a.Time, b.Time = time.Time{}, time.Time{}.AddDate(900, 0, 0) }, want: func(r *Rates) {
			seconds := time.Duration(math.MaxInt64).Seconds()
			r.PagesPerSecond, r.SkippedPerSecond, r.BrokenPerSecond, r.KSMDPercent = 8000/seconds, 2000/seconds, 7/seconds, 5e8/seconds/1e9*100
			r.HasFullScan, r.FullScan = false, 0
		}},
		{name: "run was set to 2", change: func(a, b *Reading) { b.Counters.FullScans = 0 },
			want: func(r *Rates) { r.FullScan, r.HasFullScan = 0, false }},
		{name: "counters went back", change: func(a, b *Reading) {
			b.Counters.PagesScanned, b.Counters.PagesSkipped, b.Host.CowKSM, b.Host.KSMD = 9999, 499, 49, 0
		}, want: func(r *Rates) { *r = Rates{} }},
		{name: "nothing happened", change: func(a, b *Reading) {
			b.Counters.PagesScanned, b.Counters.PagesSkipped, b.Host = a.Counters.PagesScanned, a.Counters.PagesSkipped, a.Host
		}, want: func(r *Rates) {
			*r = Rates{HasKSMDPercent: true, HasPagesPerSecond: true, HasSkippedPerSecond: true, HasBrokenPerSecond: true}
		}},
		{name: "nothing tracked", change: func(a, b *Reading) { b.Counters.PagesUnshared = 0 },
			want: func(r *Rates) { r.FullScan, r.HasFullScan = 0, false }},
		{name: "few passes: the speed tells more", change: func(a, b *Reading) { b.Counters.FullScans += 7 }},
		{name: "many passes", change: func(a, b *Reading) { b.Counters.FullScans += 8 },
			want: func(r *Rates) { r.FullScan = 250 * time.Millisecond }},
		{name: "nonsense of passes", change: func(a, b *Reading) { b.Counters.FullScans = math.MaxUint64 },
			want: func(r *Rates) { r.FullScan = 1 }},
		{name: "largest full_scans", change: func(a, b *Reading) { a.Counters.FullScans, b.Counters.FullScans = math.MaxUint64, math.MaxUint64 }},
		{name: "before 6.6: no pass ended", change: func(a, b *Reading) { b.Counters.Present = gauges | SetOf(FullScans); b.Counters.FullScans++ },
			want: func(r *Rates) {
				*r = Rates{KSMDPercent: 25, HasKSMDPercent: true, BrokenPerSecond: 3.5, HasBrokenPerSecond: true}
			}},
		{name: "before 6.6: two passes ended", change: func(a, b *Reading) { b.Counters.Present = gauges | SetOf(FullScans); b.Counters.FullScans += 2 },
			want: func(r *Rates) {
				*r = Rates{KSMDPercent: 25, HasKSMDPercent: true, BrokenPerSecond: 3.5, HasBrokenPerSecond: true, FullScan: time.Second, HasFullScan: true}
			}},
		{name: "one reading without", change: func(a, b *Reading) { a.Counters.Present, b.Host = 0, Host{} },
			want: func(r *Rates) { *r = Rates{} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b, want := earlier, later, full
			if tt.change != nil {
				tt.change(&a, &b)
			}
			if tt.want != nil {
				tt.want(&want)
			}
			if got := RatesBetween(&a, &b); got != want {
				t.Errorf("RatesBetween() = %+v\nwant %+v", got, want)
			}
		})
	}
}
