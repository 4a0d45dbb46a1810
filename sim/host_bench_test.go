package sim

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sim/scenario"
)

var (
	benchPreset = flag.String("host.preset", "same-os", "the scenario of BenchmarkHost, a preset")
	benchGiB    = flag.Float64("host.gib", 1, "the memory of the guests of BenchmarkHost")
	benchTime   = flag.Duration("host.time", 2*time.Hour, "the virtual time of BenchmarkHost")
)

// BenchmarkHost runs a scenario. For 64 GiB:
//
//	go test ./sim -run '^$' -bench Host -benchtime 1x -host.gib 64
func BenchmarkHost(b *testing.B) {
	s, err := scenario.Preset(*benchPreset)
	if err != nil {
		b.Fatal(err)
	}
	pages := 0
	for _, p := range s.Plans() {
		pages += p.Pages
	}
	s = s.Scale(*benchGiB * (1 << 30) / pageBytes / float64(pages))
	b.Run(fmt.Sprintf("%s/GiB=%g", s.Name, *benchGiB), func(b *testing.B) {
		virtual, visits, bytes := 0.0, 0.0, 0.0
		for b.Loop() {
			before := heap()
			h, err := NewHost(s, HostOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if err := h.Advance(b.Context(), *benchTime); err != nil {
				b.Fatal(err)
			}
			virtual += h.Now().Seconds()
			w := h.daemon.Work()
			visits += float64(w.Visits + w.Skips)
			b.StopTimer()
			bytes = float64(int64(heap())-int64(before)) / float64(h.present)
			b.Logf("%d guests, %d pages, %+v", len(h.guests), h.present, h.daemon.Counters())
			b.StartTimer()
		}
		b.ReportMetric(virtual/b.Elapsed().Seconds(), "virtual-s/s")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/visits, "ns/visit")
		b.ReportMetric(bytes, "B/page")
		b.ReportMetric(float64(peakRSS())/(1<<20), "peak-MiB")
	})
}

// peakRSS returns the most memory that the test has had, in bytes, or 0 where that
// is not known.
func peakRSS() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	kib := 0
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			break
		}
	}
	return kib << 10
}
