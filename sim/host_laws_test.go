package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sim/scenario"
)

// What follows from the rules of ksmd for memory in which chance decides, in closed
// form, and what comes out of a host of a million pages: within 1 %. CPU time is
// next to nothing in these, so that a scan takes the same time every time.
var noCosts = Costs{Batch: 1}

func lawPages() int {
	if testing.Short() {
		return 1e5
	}
	return 1e6
}

// lawContents is few of the pages, so that hardly anything but the others is scanned.
func lawContents() int { return lawPages() / 1000 }

func within(got, want, fraction float64) bool { return math.Abs(got-want) <= want*fraction }

// With default knobs the kernel scanned 4180 pages a second, where a tick was 4 ms.
func TestPagesPerSecond(t *testing.T) {
	h := fakeHost(t, HostOptions{}, []*fakeGuest{writes(lawPages(), 1, 1)}, "smart_scan", "0")
	advance(t, h, 200*time.Second)
	got := float64(h.Reading().Counters.PagesScanned) / 200
	if !within(got, 4180, 0.01) {
		t.Errorf("%.0f pages a second, measured 4180", got)
	}
}

// lawHost has a guest with pages pages that takes part in the laws, and before it
// one that has two pages of each of lawContents contents, which are KSM pages
// from the second scan on. It returns the time of a scan too, in which there are
// about 1000 batches, one each 24 ms.
func lawHost(t *testing.T, searchFirst bool, g *fakeGuest) (h *Host, scan time.Duration) {
	t.Helper()
	contents := lawContents()
	known := writes(2*contents, 1, 1)
	known.do = func(_ time.Duration, w scenario.Writer) {
		w.Write(0, contents, 1, 1)
		w.Write(contents, contents, 1, 1)
	}
	batch := g.plan.Pages / 1000
	h = fakeHost(t, HostOptions{Costs: noCosts, SearchFirst: searchFirst}, []*fakeGuest{known, g},
		"smart_scan", "0", "pages_to_scan", fmt.Sprint(batch), "max_page_sharing", "1000000000")
	batches := (g.plan.Pages+2*contents)/batch + 1 // the last one ends the scan
	return h, time.Duration(batches) * batchTime
}

const batchTime = 24 * time.Millisecond

// A new pair of equal pages merges after one to two scans, each time equally
// likely, as the pages must be seen unchanged. So does a new page that equals a KSM
// page, since Linux 6.11; before, after none to one.
func TestDetectionLatency(t *testing.T) {
	tests := []struct {
		name        string
		searchFirst bool
		content     func(i int) uint64
		after       float64 // scans until the first merge
	}{
		{"pair", false, func(i int) uint64 { return 1<<40 + uint64(i/2) }, 1},
		{"KSM page", false, func(i int) uint64 { return 1 + uint64(i%lawContents()) }, 1},
		{"KSM page before 6.11", true, func(i int) uint64 { return 1 + uint64(i%lawContents()) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pages := lawPages()
			looked := writes(pages, 1<<50, 1)
			h, scan := lawHost(t, tt.searchFirst, looked)
			written := (8 * scan / 3).Truncate(batchTime) + batchTime/2 // in the third scan
			looked.at = append(looked.at, written)
			looked.do = func(at time.Duration, w scenario.Writer) {
				if at == 0 {
					w.Write(0, pages, 1<<50, 1)
					return
				}
				for i := range pages {
					w.Write(i, 1, tt.content(i), 0)
				}
			}
			for i := range 21 {
				scans := float64(i) / 10
				advance(t, h, written+time.Duration(float64(scan)*scans))
				got := float64(h.daemon.ProcessStat(h.guests[1].process).MergingPages) / float64(pages)
				want := min(max(scans-tt.after, 0), 1)
				if math.Abs(got-want) > 0.01 {
					t.Errorf("after %.1f scans %.3f of the pages have merged, want %.3f", scans, got, want)
				}
			}
		})
	}
}

// Pages that each equal some KSM page, and are rewritten with the content of
// another one at random times, x times a scan. Before 6.11 a page is merged if it
// was not written to since the last visit; since then, if neither between the last
// two. The counters do not know what happened since the last visit.
func TestChangingPages(t *testing.T) {
	for _, x := range []float64{0.1, 1, 3} {
		for _, searchFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("x=%g/search first=%v", x, searchFirst), func(t *testing.T) {
				t.Parallel()
				mapped, counted := math.Exp(-x)*-math.Expm1(-x)/x, math.Exp(-x)
				if searchFirst {
					mapped, counted = -math.Expm1(-x)/x, 1
				}
				pages := lawPages()
				rng := rand.New(rand.NewPCG(5, math.Float64bits(x)))
				number := make([]uint16, pages) // of the content
				looked := writes(pages, 0, 0)
				h, scan := lawHost(t, searchFirst, looked)
				// Half of the writes between two batches come before the moment that is
				// looked at, in the middle.
				each := x * float64(pages) * float64(batchTime) / 2 / float64(scan)
				due := 0.0
				looked.at = []time.Duration{0, batchTime / 4}
				looked.every = batchTime / 2
				looked.do = func(at time.Duration, w scenario.Writer) {
					if at == 0 {
						for i := range number {
							number[i] = uint16(rng.IntN(lawContents()))
							w.Write(i, 1, 1+uint64(number[i]), 0)
						}
						return
					}
					for due += each; due >= 1; due-- {
						i := rng.IntN(pages)
						number[i] = (number[i] + 1) % uint16(lawContents())
						w.Write(i, 1, 1+uint64(number[i]), 0)
					}
				}
				sumMapped, sumCounted, samples := 0.0, 0.0, 0.0
				for n := range 12 {
					at := (4*scan + time.Duration(n)*scan/3).Truncate(batchTime) + batchTime/2
					advance(t, h, at)
					g := h.guests[1].process
					sumMapped += float64(h.memory.ksmIn(h.memory.live(g).areas[0].table)) / float64(pages)
					sumCounted += float64(h.daemon.ProcessStat(g).MergingPages) / float64(pages)
					samples++
				}
				if got := sumMapped / samples; !within(got, mapped, 0.01) {
					t.Errorf("%.5f of the pages are merged, want %.5f", got, mapped)
				}
				if got := sumCounted / samples; !within(got, counted, 0.01) {
					t.Errorf("%.5f of the pages count as merged, want %.5f", got, counted)
				}
			})
		}
	}
}

// What is merged in the end is what is not distinct. Of a million pages zeros are one,
// copies within a guest follow from their multiplicities, and what several guests
// have of an image is a union: of uniform subsets that are a share q of it,
// B(1-(1-q)^k); of Zipf ones the sum of 1-(1-p)^k over its pages.
func TestSavingIsWhatIsNotDistinct(t *testing.T) {
	const guests, uniform, zipf, zero, self, private, exponent = 5, 0.15, 0.25, 0.1, 0.2, 0.3, 0.8
	each := lawPages() / guests
	pool := each // of each image
	s, err := scenario.Parse("law.toml", fmt.Appendf(nil, `
[scenario]
memory = "64GiB"
[knobs]
smart_scan = 0
pages_to_scan = 100000000
max_page_sharing = 1000000000
[[group]]
name = "a"
count = %[1]d
memory = "%[2]dKiB"
[[group.class]]
kind = "image"
image = "uniform"
pool = "%[2]dKiB"
subset = "uniform"
fraction = %[3]v
[[group.class]]
kind = "image"
image = "zipf"
pool = "%[2]dKiB"
subset = "zipf"
exponent = %[4]v
fraction = %[5]v
[[group.class]]
kind = "zero"
fraction = %[6]v
[[group.class]]
kind = "self"
max_copies = 2
fraction = %[7]v
[[group.class]]
kind = "private"
fraction = %[8]v
`, guests, each*4, uniform, exponent, zipf, zero, self, private))
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHost(s, HostOptions{Costs: noCosts})
	if err != nil {
		t.Fatal(err)
	}
	for h.daemon.Counters().FullScans < 2 {
		advance(t, h, h.Now()+20*time.Millisecond)
	}

	n := float64(each)
	// The probabilities of the Zipf subset, min(1, c/i^s), have the sum that is wanted.
	zipfUnion := func(c float64) (wanted, union float64) {
		for i := range pool {
			p := min(1, c*math.Pow(float64(i+1), -exponent))
			wanted += p
			union += 1 - math.Pow(1-p, guests)
		}
		return wanted, union
	}
	low, high := 0.0, n
	for high-low > 1e-9*high {
		if wanted, _ := zipfUnion((low + high) / 2); wanted < zipf*n {
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	_, union := zipfUnion(low)
	want := 1 + float64(pool)*(1-math.Pow(1-uniform, guests)) + union + guests*n*(self/2+private)
	c := h.Reading().Counters
	distinct := float64(c.PagesShared + c.PagesUnshared)
	if pages := float64(h.memory.Pages()); pages != distinct {
		t.Errorf("%.0f pages are in use, and %.0f are shared or unshared", pages, distinct)
	}
	if all := distinct + float64(c.PagesSharing); all != guests*n {
		t.Errorf("%.0f pages are accounted for, want %.0f", all, guests*n)
	}
	if !within(distinct, want, 0.01) {
		t.Errorf("%.0f distinct pages, want %.0f", distinct, want)
	}
}
