package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// hugeMachine is a process on a model with huge pages of some contents.
type hugeMachine struct {
	memory  *Memory
	daemon  *ksmd.Daemon
	process ksmd.Process
}

// newHugeMachine returns one with a content for each page, 512 of them a huge page,
// and smart_scan 0.
func newHugeMachine(t testing.TB, opts ksmd.Options, contents []uint64, settings ...string) hugeMachine {
	t.Helper()
	m := NewMemory(MemoryOptions{})
	h := hugeMachine{m, ksmd.New(m, opts), m.Spawn()}
	settings = append([]string{"run", "1", "pages_to_scan", "100000000", "smart_scan", "0"}, settings...)
	for _, s := range knobs(t, settings...) {
		if err := h.daemon.Set(s.Field, s.Value); err != nil {
			t.Fatal(err)
		}
	}
	m.Map(h.process, len(contents))
	m.MarkHuge(h.process, 0)
	for i, c := range contents {
		m.Write(h.process, 0, i, 1, c, 0)
	}
	m.MarkMergeable(h.process, 0, 0, len(contents))
	h.daemon.Register(h.process)
	return h
}

// row is what is compared after a scan: counters, and what only the memory shows.
type hugeRow struct {
	fullScans                                 uint64
	scanned, shared, sharing, unshared, zeros sysfs.Pages
	volatile                                  sysfs.SignedPages
	profit                                    int64
	resident, huge                            int // pages
}

func (r hugeRow) String() string {
	return fmt.Sprintf("fs %d scan %d shr %d shg %d uns %d vol %d zero %d profit %d rss %d huge %d",
		r.fullScans, r.scanned, r.shared, r.sharing, r.unshared, r.volatile, r.zeros, r.profit, r.resident, r.huge)
}

// hugeRowOf takes from counters what is compared; scanned is pages_scanned at the
// begin.
func hugeRowOf(c *sysfs.Counters, scanned sysfs.Pages) hugeRow {
	return hugeRow{
		fullScans: c.FullScans, scanned: c.PagesScanned - scanned,
		shared: c.PagesShared, sharing: c.PagesSharing, unshared: c.PagesUnshared,
		volatile: c.PagesVolatile, zeros: sysfs.Pages(c.KSMZeroPages), profit: c.GeneralProfit,
	}
}

// row returns what there is now.
func (h hugeMachine) row() hugeRow {
	c := h.daemon.Counters()
	r := hugeRowOf(&c, 0)
	for _, e := range h.memory.processes[h.process].areas[0].table {
		n := e & lowMask
		if n >= firstPage {
			r.resident++
		}
		if h.memory.huge.at(n) != 0 {
			r.huge++
		}
	}
	return r
}

// thpContents is a huge page of 256 contents once and 64 contents four times.
func thpContents() []uint64 {
	var list []uint64
	for i := range uint64(512) {
		if i < 256 {
			list = append(list, 1+i)
		} else {
			list = append(list, 1000+(i-256)%64)
		}
	}
	return list
}

// Two tables that Linux 6.18.44 printed. In the first all copies are in the same huge
// page, and one of them is late by a scan; in the second the copies of the pages of a
// huge page are in another one.
func TestHugeGolden(t *testing.T) {
	var twice []uint64
	for i := range uint64(1024) {
		twice = append(twice, 1+i%512)
	}
	tests := []struct {
		name     string
		contents []uint64
		want     []hugeRow // by scan, without what /sys does not show
	}{
		{"one huge page", thpContents(), []hugeRow{
			{1, 512, 0, 0, 0, 0, 512, -32768, 0, 0},
			{2, 1024, 64, 191, 256, 0, 1, 749568, 0, 0},
			{3, 1536, 64, 192, 256, 0, 0, 753664, 0, 0},
			{4, 2048, 64, 192, 256, 0, 0, 753664, 0, 0},
			{5, 2560, 64, 192, 256, 0, 0, 753664, 0, 0},
		}},
		{"two huge pages", twice, []hugeRow{
			{1, 1024, 0, 0, 0, 0, 1024, -65536, 0, 0},
			{2, 2048, 512, 512, 0, 0, 0, 2031616, 0, 0},
			{3, 3072, 512, 512, 0, 0, 0, 2031616, 0, 0},
			{4, 4096, 512, 512, 0, 0, 0, 2031616, 0, 0},
		}},
	}
	for _, tt := range tests {
		for trees := ksmd.TreesWhenNeeded; trees <= ksmd.TreesNever; trees++ {
			t.Run(fmt.Sprintf("%s/trees=%d", tt.name, trees), func(t *testing.T) {
				h := newHugeMachine(t, ksmd.Options{Trees: trees}, tt.contents)
				for i, want := range tt.want {
					h.daemon.Scan()
					got := h.row()
					got.resident, got.huge = 0, 0
					if got != want {
						t.Errorf("scan %d: %v, Linux printed %v", i+1, got, want)
					}
				}
			})
		}
	}
}

// What is not merged stays a huge page; what is split frees its zeros, which no
// counter tells, unless the kernel is older than 6.12.
func TestHugeZeros(t *testing.T) {
	var contents []uint64
	for i := range uint64(3 * 512) {
		switch {
		case i < 512 && i%8 == 0, i >= 1024 && i%16 == 0:
			contents = append(contents, 0)
		case i == 1, i == 513:
			contents = append(contents, 7) // the only equal pages that are not zeros
		default:
			contents = append(contents, 100+i)
		}
	}
	h := newHugeMachine(t, ksmd.Options{}, contents)
	h.daemon.Scan()
	if got := h.row(); got.huge != 3*512 || got.resident != 3*512 {
		t.Errorf("after the first scan %v, want that nothing was split", got)
	}
	for range 3 {
		h.daemon.Scan()
	}
	// All have been split: two for the pair, and the third as its zeros are equal.
	zeros := 64 + 32
	got := h.row()
	want := hugeRow{
		fullScans: 4, scanned: got.scanned, shared: 1, sharing: 1, unshared: sysfs.Pages(3*512 - zeros - 2),
		profit: 4096 - 64*int64(3*512-zeros), resident: 3*512 - zeros,
	}
	if got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if freed := h.memory.FreedZeros(h.process); freed != zeros {
		t.Errorf("%d zeros were freed, want %d", freed, zeros)
	}

	old := newHugeMachine(t, ksmd.Options{}, contents)
	old.memory.huge.keepZeros = true
	for range 4 {
		old.daemon.Scan()
	}
	if got := old.row(); got.resident != 3*512 || old.memory.FreedZeros(old.process) != 0 || got.sharing != sysfs.Pages(1+zeros-1) {
		t.Errorf("before 6.12: %v, want all resident and the zeros merged", got)
	}
}

// Of huge pages that are full of zeros each scan splits one: the first of its pages is
// gone then, but keeps its place in the unstable tree, where searches for other zeros
// give up. With use_zero_pages the second scan splits all.
func TestHugePagesOfZeros(t *testing.T) {
	const units = 4
	for trees := ksmd.TreesWhenNeeded; trees <= ksmd.TreesNever; trees++ {
		for _, useZero := range []string{"0", "1"} {
			h := newHugeMachine(t, ksmd.Options{Trees: trees}, make([]uint64, units*hugeUnit), "use_zero_pages", useZero)
			for scan := range 2 + units {
				h.daemon.Scan()
				split := min(scan, units)
				if useZero == "1" {
					split = min(scan, 1) * units
				}
				if got := h.row(); got.huge != (units-split)*hugeUnit || got.resident != got.huge {
					t.Errorf("trees %d, use_zero_pages %s: after scan %d %v, want that %d of %d are split", trees, useZero, 1+scan, got, split, units)
				}
			}
		}
	}
}

// A forked child shares huge pages until it writes; splitting one splits it for both.
func TestHugeFork(t *testing.T) {
	contents := make([]uint64, 2*512)
	for i := range contents {
		contents[i] = uint64(i % 512) // one page of zeros in each
	}
	h := newHugeMachine(t, ksmd.Options{}, contents)
	child := h.memory.Fork(h.process)
	h.daemon.Register(child)
	h.memory.Write(child, 0, 3, 1, 1<<50, 0)
	h.daemon.Scan()
	h.daemon.Scan()
	if freed, ofChild := h.memory.FreedZeros(h.process), h.memory.FreedZeros(child); freed != 2 || ofChild != 2 {
		t.Errorf("%d zeros of the parent were freed and %d of the child, want 2 and 2", freed, ofChild)
	}
	if got := h.row(); got.huge != 0 {
		t.Errorf("%v, want nothing left of huge pages", got)
	}
	h.memory.Write(child, 0, 0, 1, 5, 0)
	if freed := h.memory.FreedZeros(child); freed != 1 {
		t.Errorf("%d freed zeros after a write to one, want 1", freed)
	}
	h.memory.Exit(child)
	h.memory.Exit(h.process)
	if n := h.memory.Pages(); n != 0 {
		t.Errorf("%d pages are left", n)
	}
}

// A host's guests with huge pages: what was freed is neither resident nor in use, and
// comes back when it is written to, as a fault.
func TestHugeHost(t *testing.T) {
	g := writes(3*512, 0, 0)
	g.plan.Huge = true
	g.at = append(g.at, 10*time.Second)
	g.do = func(at time.Duration, w scenario.Writer) {
		if at == 0 {
			w.Write(0, 512, 100, 1)   // a huge page of its own
			w.Write(600, 100, 1, 0)   // copies in the next, where the others are zeros
			w.Write(1030, 100, 1, 0)  // and in the last
			w.Write(1300, 1, 5000, 0) // brings nothing more
			return
		}
		w.Write(1024, 6, 7000, 1) // zeros
	}
	h := fakeHost(t, HostOptions{}, []*fakeGuest{g}, "smart_scan", "0", "pages_to_scan", "100000")
	advance(t, h, time.Millisecond)
	if p := h.Processes()[0]; p.Resident != 3*512 || p.Freed != 0 || h.memory.Pages() != 3*512 {
		t.Errorf("at first %d pages are resident, %d freed and %d in use, want 1536, 0 and 1536", p.Resident, p.Freed, h.memory.Pages())
	}
	advance(t, h, 9*time.Second)
	const zeros = 2*512 - 100 - 100 - 1
	p := h.Processes()[0]
	if p.Freed != zeros || p.Resident != 3*512-zeros || h.memory.Pages() != 512+1+1 {
		t.Errorf("%d pages are resident, %d freed and %d in use, want %d, %d and 514", p.Resident, p.Freed, h.memory.Pages(), 3*512-zeros, zeros)
	}
	if c := h.Reading().Counters; c.PagesShared != 1 || c.PagesSharing != 199 || c.KSMZeroPages != 0 {
		t.Errorf("%+v, want 1 page shared by 200", c)
	}
	advance(t, h, 11*time.Second)
	if p := h.Processes()[0]; p.Freed != zeros-6 || p.Resident != 3*512-zeros+6 || p.Faults != 6 {
		t.Errorf("after a write to 6 of them %d are resident, %d freed, %d faults", p.Resident, p.Freed, p.Faults)
	}
}
