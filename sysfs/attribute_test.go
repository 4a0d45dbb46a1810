//go:build unix

package sysfs

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func holder(merging Pages, zero SignedPages) Process {
	return Process{KSM: ProcessStat{MergingPages: merging, ZeroPages: zero}}
}

func TestAttribute(t *testing.T) {
	present := SetOf(PagesShared, PagesSharing)
	withZero := present | SetOf(KSMZeroPages)
	tests := []struct {
		name string
		c    Counters
		list []Process
		page int64
		want []int64
		rest int64
		not  bool
	}{
		{name: "nobody", c: Counters{PagesShared: 1, PagesSharing: 2, Present: present}, page: 4096, rest: 8192},
		{name: "nothing", c: Counters{Present: present}, list: []Process{holder(0, 0)}, page: 4096, want: []int64{0}},
		// Three holders of one page save two of three pages: two thirds each.
		{name: "thirds", c: Counters{PagesShared: 1, PagesSharing: 2, Present: present},
			list: []Process{holder(1, 0), holder(1, 0), holder(1, 0)}, page: 4096, want: []int64{2730, 2731, 2731}},
		{name: "one of three has gone", c: Counters{PagesShared: 1, PagesSharing: 2, Present: present},
			list: []Process{holder(1, 0), holder(1, 0)}, page: 4096, want: []int64{2730, 2731}, rest: 2731},
		{name: "zero pages as they are", c: Counters{KSMZeroPages: 10, Present: withZero},
			list: []Process{holder(0, 3), holder(0, 0), holder(0, 5)}, page: 4096, want: []int64{3 * 4096, 0, 5 * 4096}, rest: 2 * 4096},
		{name: "zero pages of a kernel without the sum", c: Counters{KSMZeroPages: 10, Present: present},
			list: []Process{holder(0, 3)}, page: 4096, want: []int64{0}},
		{name: "negative zero pages", c: Counters{PagesShared: 1, PagesSharing: 1, KSMZeroPages: -1, Present: withZero},
			list: []Process{holder(2, -1)}, page: 4096, want: []int64{4096}, rest: -4096},
		{name: "claims above the total", c: Counters{PagesShared: 1, PagesSharing: 3, KSMZeroPages: 2, Present: withZero},
			list: []Process{holder(6, 3), holder(2, 1)}, page: 4096, want: []int64{9216 + 6144, 3072 + 2048}},
		{name: "claim, but nothing is merged any more", c: Counters{Present: withZero}, list: []Process{holder(6, 3)}, page: 4096, want: []int64{0}},
		{name: "claims beyond any memory", c: Counters{PagesShared: 1, PagesSharing: 1, Present: present},
			list: []Process{holder(math.MaxUint64, math.MaxInt64), holder(math.MaxUint64, math.MinInt64)}, page: 4096, want: []int64{2048, 2048}},
		{name: "shared refused", c: Counters{PagesSharing: 2, Present: SetOf(PagesSharing)}, list: []Process{holder(1, 0)}, page: 4096, not: true},
		{name: "sharing refused", c: Counters{PagesShared: 2, Present: SetOf(PagesShared)}, list: []Process{holder(1, 0)}, page: 4096, not: true},
		{name: "shared beyond any memory", c: Counters{PagesShared: math.MaxUint64, PagesSharing: 1, Present: present}, page: 4096, not: true},
		{name: "no page size", c: Counters{PagesShared: 1, PagesSharing: 1, Present: present}, not: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, rest, ok := tt.c.Attribute(tt.list, tt.page, nil)
			if !slices.Equal(got, tt.want) || rest != tt.rest || ok == tt.not {
				t.Errorf("Attribute() = %d, %d, %t, want %d, %d, %t", got, rest, ok, tt.want, tt.rest, !tt.not)
			}
		})
	}
}

func TestAttributeAppends(t *testing.T) {
	c := Counters{PagesShared: 1, PagesSharing: 2, Present: SetOf(PagesShared, PagesSharing)}
	list := []Process{holder(1, 0), holder(2, 0)}
	buf := append(make([]int64, 0, 8), 77)
	got, _, _ := c.Attribute(list, 4096, buf)
	if want := []int64{77, 2730, 5462}; !slices.Equal(got, want) {
		t.Errorf("Attribute() = %d, want %d", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { c.Attribute(list, 4096, buf) }); n != 0 {
		t.Errorf("Attribute allocates %v times", n)
	}
}

// exactParts is Attribute in rational numbers, which need no rounding.
func exactParts(c *Counters, list []Process, page int64) []*big.Rat {
	sum := func(of func(*ProcessStat) int64, atLeast *big.Int) *big.Int {
		n := new(big.Int)
		for i := range list {
			n.Add(n, big.NewInt(of(&list[i].KSM)))
		}
		if n.Cmp(atLeast) < 0 {
			return atLeast
		}
		return n
	}
	merging := func(s *ProcessStat) int64 { return int64(min(s.MergingPages, 1<<40)) }
	zero := func(s *ProcessStat) int64 { return int64(min(max(0, s.ZeroPages), 1<<40)) }
	zeroPages := int64(0)
	if c.Has(KSMZeroPages) {
		zeroPages = max(0, int64(c.KSMZeroPages))
	}
	mergers := sum(merging, new(big.Int).Add(big.NewInt(int64(c.PagesShared)), big.NewInt(int64(c.PagesSharing))))
	zeros := sum(zero, big.NewInt(zeroPages))
	share := func(part int64, of *big.Int, pages int64) *big.Rat {
		if of.Sign() == 0 {
			return new(big.Rat)
		}
		r := new(big.Rat).SetFrac(big.NewInt(part), of)
		r.Mul(r, new(big.Rat).SetInt64(pages))
		return r.Mul(r, new(big.Rat).SetInt64(page))
	}
	var parts []*big.Rat
	for i := range list {
		s := &list[i].KSM
		r := share(merging(s), mergers, int64(c.PagesSharing))
		parts = append(parts, r.Add(r, share(zero(s), zeros, zeroPages)))
	}
	return parts
}

// holders makes a list of processes of 16 bytes each: merging, zero. Numbers
// are as they are or, if small is set, of at most 16 bits.
func holders(data []byte, small bool) []Process {
	var list []Process
	for ; len(data) >= 16; data = data[16:] {
		m, z := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
		if small {
			m, z = m&0xffff, z&0xffff
		}
		list = append(list, holder(Pages(m), SignedPages(z)))
	}
	return list
}

func FuzzAttribute(f *testing.F) {
	bytesOf := func(n ...uint64) []byte {
		var b []byte
		for _, n := range n {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		return b
	}
	const most = math.MaxUint64
	all := uint64(SetOf(PagesShared, PagesSharing, KSMZeroPages))
	f.Add(uint64(2), uint64(10), uint64(1), all, int64(4096), true, bytesOf(1, 3, 1, 0, 1, 7))
	f.Add(uint64(1000), uint64(2), uint64(300), all, int64(4096), true, bytesOf(1, 3, 699, 0, 600, 1))
	f.Add(uint64(most), uint64(most), uint64(most), all, int64(4096), false, bytesOf(most, most, most, most))
	f.Add(uint64(1<<48), uint64(1<<47), uint64(1<<59), all, int64(4096), false, bytesOf(most, 1<<63-1, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, sharing, zero, shared, present uint64, page int64, small bool, data []byte) {
		if small { // else most are refused
			sharing, zero, shared, present, page = sharing&0xfffff, zero&0xffff, shared&0xfff, all, max(1, page&0xffff)
		}
		c := hostile(sharing, zero, shared, 0, 0, 0, present)
		list := holders(data, small)
		parts, rest, ok := c.Attribute(list, page, nil)
		if !ok {
			if len(parts) != 0 || rest != 0 {
				t.Fatalf("%+v.Attribute() = %d, %d, false", c, parts, rest)
			}
			return
		}
		if len(parts) != len(list) {
			t.Fatalf("%d parts for %d processes", len(parts), len(list))
		}
		zeroPages := int64(0)
		if c.Has(KSMZeroPages) {
			zeroPages = int64(c.KSMZeroPages)
		}
		saved := (int64(c.PagesSharing) + zeroPages) * page
		sum, claimed, claimedZero := rest, Pages(0), SignedPages(0)
		for i, part := range parts {
			if part < 0 {
				t.Fatalf("part %d is %d", i, part)
			}
			sum += part
			claimed += min(list[i].KSM.MergingPages, 1<<40)
			claimedZero += min(max(0, list[i].KSM.ZeroPages), 1<<40)
		}
		if sum != saved {
			t.Fatalf("parts %d and rest %d sum to %d, want %d", parts, rest, sum, saved)
		}
		if s, ok := c.Savings(page); ok && s.SavedBytes != sum {
			t.Fatalf("parts and rest sum to %d, Savings says %d", sum, s.SavedBytes)
		}
		if zeroPages >= 0 && rest < 0 {
			t.Fatalf("rest %d is negative", rest)
		}
		if zeroPages >= 0 && len(list) > 0 && claimed >= c.PagesShared+c.PagesSharing && int64(claimedZero) >= zeroPages && rest != 0 {
			t.Fatalf("everything is held, and %d bytes are left over", rest)
		}

		// Rounding happens once for what merging saves and, if more zero pages
		// are claimed than there are, once for these.
		off := big.NewRat(1, 1)
		if int64(claimedZero) > zeroPages {
			off.SetInt64(2)
		}
		exact := exactParts(&c, list, page)
		near := func(got int64, want *big.Rat) bool {
			d := new(big.Rat).SetInt64(got)
			return d.Abs(d.Sub(d, want)).Cmp(off) < 0
		}
		for i, part := range parts {
			if !near(part, exact[i]) {
				t.Fatalf("part %d is %d, exactly %s", i, part, exact[i].FloatString(3))
			}
		}
		order := rand.New(rand.NewPCG(sharing, zero)).Perm(len(list))
		var mixed []Process
		for _, i := range order {
			mixed = append(mixed, list[i])
		}
		again, restAgain, _ := c.Attribute(mixed, page, nil)
		if restAgain != rest {
			t.Fatalf("the rest is %d in one order and %d in another", rest, restAgain)
		}
		for at, i := range order {
			if !near(again[at], exact[i]) {
				t.Fatalf("in another order, part %d is %d, exactly %s", i, again[at], exact[i].FloatString(3))
			}
		}
	})
}
