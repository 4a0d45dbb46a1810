package sim

import (
	"encoding/json"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// What the ksmd of Linux 6.18.44 took, see Costs: CPU seconds of the first, the
// second and a later scan of one process.
var measuredScans = []struct {
	name    string
	pages   int
	content func(i int) uint64
	zero    uint64 // use_zero_pages
	seconds [3]float64
}{
	{"two of each", 131072, func(i int) uint64 { return 1 + uint64(i%65536) }, 0, [3]float64{0.104, 0.857, 0.033}},
	{"all equal", 131072, func(int) uint64 { return 1 }, 0, [3]float64{0.118, 0.341, 0.033}},
	{"all different", 131072, func(i int) uint64 { return 1 + uint64(i) }, 0, [3]float64{0.130, 0.652, 0.631}},
	{"different at the end", 131072, func(i int) uint64 { return firstAlike + uint64(i) }, 0, [3]float64{0.136, 1.326, 1.308}},
	{"zero", 131072, func(int) uint64 { return 0 }, 1, [3]float64{0.131, 0.296, 0.003}},
	{"all different, more pages", 524288, func(i int) uint64 { return 1 + uint64(i) }, 0, [3]float64{0.386, 3.399, 3.344}},
}

func TestCostsFitTheTable(t *testing.T) {
	for _, tt := range measuredScans {
		t.Run(tt.name, func(t *testing.T) {
			h := &Host{memory: newHostMemory(0, MemoryOptions{}), prices: newPrices(DefaultCosts())}
			h.daemon = ksmd.New(&h.memory, ksmd.Options{Trees: ksmd.TreesNever, Alike: h.memory.contents.isAlike})
			for f, v := range map[sysfs.Field]uint64{
				sysfs.Run: 1, sysfs.SmartScan: 0, sysfs.UseZeroPages: tt.zero, sysfs.PagesToScan: 1 << 31,
			} {
				if err := h.daemon.SetValue(f, v); err != nil {
					t.Fatal(err)
				}
			}
			p := h.memory.Spawn()
			a := h.memory.Map(p, tt.pages)
			h.memory.MarkMergeable(p, a, 0, tt.pages)
			h.daemon.Register(p)
			for i := range tt.pages {
				h.memory.write(p, i, 1, tt.content(i), 0)
			}
			before := time.Duration(0)
			for scan, want := range tt.seconds {
				h.daemon.Scan()
				got := (h.cpu() - before).Seconds()
				before = h.cpu()
				t.Logf("scan %d: %.3f s, measured %.3f s", scan+1, got, want)
				allowed := 0.10
				if scan == 0 { // see Costs
					allowed = 0.25
				}
				if got < want*(1-allowed) || got > want*(1+allowed) {
					t.Errorf("scan %d takes %.4f s, measured %.4f s", scan+1, got, want)
				}
			}
		})
	}
}

func TestCostsAsJSON(t *testing.T) {
	want := DefaultCosts()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Costs
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s became %+v, want %+v", text, got, want)
	}
}

// Trees that are walked and tables that are looked into count the same work.
func TestWorkDoesNotDependOnTrees(t *testing.T) {
	scripts(t, 300, func(seed int, s *Script) {
		var work [2]ksmd.Work
		for i, trees := range []ksmd.Trees{ksmd.TreesWhenNeeded, ksmd.TreesAlways} {
			m := NewMachine(ksmd.Options{Trees: trees, Alike: func(c ksmd.Content) bool { return c%3 == 0 }})
			if _, err := Run(t.Context(), s, m); err != nil && !errors.Is(err, syscall.EBUSY) {
				t.Fatal(err)
			}
			work[i] = m.daemon.Work()
		}
		if work[0] != work[1] {
			t.Fatalf("seed %d: with tables %+v, with trees %+v\n%s", seed, work[0], work[1], s.Format())
		}
	})
}

// Of four equal pages and one far behind them three come soon after another.
func TestWorkTellsWhatIsRecent(t *testing.T) {
	h := fakeHost(t, HostOptions{Costs: noCosts}, []*fakeGuest{
		writes(4, 1, 0), writes(2*ksmd.Recent, 100, 1), writes(1, 1, 0),
	}, "pages_to_scan", "1000")
	advance(t, h, 24*time.Millisecond)
	if w := h.daemon.Work(); w.Pairs != 1 || w.Joins != 3 || w.Rejoins != 2 {
		t.Errorf("%d pairs, %d joins, %d of what was joined just before, want 1, 3, 2", w.Pairs, w.Joins, w.Rejoins)
	}
	// The next scan visits them again: three soon after another that is the same page.
	before := h.daemon.Work()
	advance(t, h, 48*time.Millisecond)
	if w := h.daemon.Work().Minus(before); w.Visits != 5+2*ksmd.Recent || w.Revisits != 3 {
		t.Errorf("%d visits, %d of what was visited just before, want %d and 3", w.Visits, w.Revisits, 5+2*ksmd.Recent)
	}
	sum := func(s ksmd.BySize) (n uint64) {
		for _, count := range s {
			n += count
		}
		return n
	}
	if w := before; sum(w.Stable.Again) != 3 || sum(w.Unstable.Again) != 1 {
		t.Errorf("%d and %d searches for what was searched for just before, want 3 and 1", sum(w.Stable.Again), sum(w.Unstable.Again))
	}
	class := ksmd.SizeClass(1 << 20)
	searches := ksmd.Work{}
	searches.Stable.Searches[class], searches.Stable.Again[class] = 3, 1
	deep := newPrices(Costs{StableLevel: 10, StableMiss: 100, CachedLevels: 15, AgainLevel: 1})
	levels := time.Duration(ksmd.Levels(class))
	if got, want := deep.cpu(&searches), levels*21/16+2*(levels-15*16)*100/16; got < want-3 || got > want+3 {
		t.Errorf("two searches and one again cost %d, want %d", got, want)
	}
	prices := newPrices(Costs{Join: 100, Rejoin: 10, Pair: 1, Visit: 10000, Revisit: 1000})
	if got := prices.cpu(&ksmd.Work{Pairs: 1, Joins: 3, Rejoins: 2, Visits: 5, Revisits: 2}); got != 32121 {
		t.Errorf("they cost %d, want 32121", got)
	}
}

// Six pairs, two more that are alike, and a page that has no equal.
func TestWork(t *testing.T) {
	h := fakeHost(t, HostOptions{Costs: noCosts}, []*fakeGuest{
		writes(6, 1, 1), writes(6, 1, 1), writes(1, 99, 0), writes(2, firstAlike, 1), writes(2, firstAlike, 1),
	}, "pages_to_scan", "100")
	advance(t, h, 0)
	if got, want := h.daemon.Work(), (ksmd.Work{Visits: 17, Items: 17, Checksums: 17}); got != want {
		t.Errorf("first scan: %+v, want %+v", got, want)
	}
	advance(t, h, 24*time.Millisecond)
	w := h.daemon.Work()
	sum := func(s ksmd.BySize) (n uint64) {
		for _, count := range s {
			n += count
		}
		return n
	}
	got := [8]uint64{w.Visits, w.Items, w.Checksums, w.Pairs, sum(w.Stable.Searches), sum(w.Unstable.Searches), sum(w.Stable.Alike), sum(w.Unstable.Alike)}
	// Of the alike ones the second of each pair is searched for shortly after the first.
	if want := [8]uint64{34, 17, 34, 8, 17, 17, 2, 2}; got != want {
		t.Errorf("visits, items, checksums, pairs, searches and alike ones after two scans: %d, want %d", got, want)
	}
	if w.Unstable.Searches[0] == 0 || w.Unstable.Alike[2] == 0 {
		t.Errorf("sizes of unstable trees: %v, alike %v", w.Unstable.Searches, w.Unstable.Alike)
	}
	advance(t, h, 48*time.Millisecond)
	if again := h.daemon.Work(); again.Checksums != 35 || again.Visits != 51 {
		t.Errorf("%d checksums of %d visits after three scans, want 35 of 51: KSM pages have none", again.Checksums, again.Visits)
	}
}
