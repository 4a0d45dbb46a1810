package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// A forecast is what a host with the same memory then takes.
func TestForecast(t *testing.T) {
	tests := []struct {
		name    string
		still   []StillContents
		zero    uint64
		sleep   uint32
		batch   uint32
		nothing bool
	}{
		{name: "nothing", batch: 100, sleep: 20},
		{name: "one page", still: []StillContents{{1, 1}}, batch: 100, sleep: 20},
		{name: "all different", still: []StillContents{{1, 60000}}, batch: 4000, sleep: 20},
		{name: "all equal", still: []StillContents{{50000, 1}}, batch: 4000, sleep: 20},
		{name: "pairs", still: []StillContents{{2, 30000}}, batch: 4000, sleep: 20},
		{name: "zero pages", zero: 20000, batch: 4000, sleep: 20},
		{name: "some of all", still: []StillContents{{1, 30000}, {2, 4000}, {3.5, 2000}, {40, 300}, {3000, 3}}, zero: 5000, batch: 1000, sleep: 20},
		{name: "no sleep", still: []StillContents{{1, 30000}, {2, 4000}}, batch: 1000},
		{name: "small batches", still: []StillContents{{1, 20000}, {8, 1000}}, batch: 100, sleep: 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := sysfs.Knobs{PagesToScan: tt.batch, SleepMillisecs: tt.sleep}
			f := DefaultCosts().Forecast(tt.still, tt.zero, &k)
			first, second := firstScans(t, tt.still, tt.zero, &k)
			for _, scan := range []struct {
				name      string
				got, want ForecastScan
			}{{"first", f.First, first}, {"second", f.Second, second}} {
				near := func(what string, got, want time.Duration) {
					// Batches and ticks are whole; a scan of nothing is one batch.
					if d := math.Abs(float64(got - want)); d > 0.05*float64(want)+float64(30*time.Millisecond) {
						t.Errorf("%s scan: %s %v, the host takes %v", scan.name, what, got, want)
					}
				}
				near("CPU", scan.got.CPU, scan.want.CPU)
				near("elapsed", scan.got.Elapsed, scan.want.Elapsed)
				if share := scan.got.Share(); share < 0 || share > 1 {
					t.Errorf("%s scan: share %v", scan.name, share)
				}
			}
		})
	}
}

// firstScans has a host make two scans of such memory, in random order.
func firstScans(t *testing.T, still []StillContents, zero uint64, k *sysfs.Knobs) (first, second ForecastScan) {
	var contents []uint64
	next := uint64(1)
	for _, s := range still {
		for i := range s.Contents {
			copies := int(s.Copies)
			if float64(copies) < s.Copies && i%2 == 0 { // a half stands for every other one
				copies++
			}
			for range copies {
				contents = append(contents, next)
			}
			next++
		}
	}
	contents = append(contents, make([]uint64, zero)...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(contents), func(i, j int) { contents[i], contents[j] = contents[j], contents[i] })
	guest := &fakeGuest{plan: scenario.Plan{Pages: max(1, len(contents))}, at: []time.Duration{0}, do: func(_ time.Duration, w scenario.Writer) {
		for i, c := range contents {
			w.Write(i, 1, c, 0)
		}
	}}
	h := fakeHost(t, HostOptions{}, []*fakeGuest{guest}, "smart_scan", "0", "use_zero_pages", "1", "max_page_sharing", "100000000")
	for f, v := range map[sysfs.Field]uint64{sysfs.PagesToScan: uint64(k.PagesToScan), sysfs.SleepMillisecs: uint64(k.SleepMillisecs)} {
		if err := h.daemon.SetValue(f, v); err != nil {
			t.Fatal(err)
		}
	}
	var scans [2]ForecastScan
	for i := range scans {
		began, cpu := h.now, h.cpu()
		for step := h.now; h.daemon.Counters().FullScans == uint64(i); {
			step += time.Millisecond
			advance(t, h, step)
		}
		scans[i] = ForecastScan{CPU: h.cpu() - cpu, Elapsed: h.now - began}
	}
	return scans[0], scans[1]
}

// More pages than there can be are no trap.
func TestForecastOfTooMuch(t *testing.T) {
	k := sysfs.DefaultKnobs()
	f := DefaultCosts().Forecast([]StillContents{{1, math.MaxUint64}, {math.MaxUint64, 1}}, math.MaxUint64, &k)
	k.SleepMillisecs, k.PagesToScan = math.MaxUint32, 0
	never := DefaultCosts().Forecast([]StillContents{{1, 1}}, 0, &k)
	for _, scan := range []ForecastScan{f.First, f.Second, never.First} {
		if scan.CPU < 0 || scan.Elapsed <= 0 || scan.Share() < 0 {
			t.Errorf("scan %+v", scan)
		}
	}
	if ksmd.SizeClass(math.MaxInt32) != 63 {
		t.Error("the largest tree has another class")
	}
}
