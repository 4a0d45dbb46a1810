package model

import (
	"math"
	"time"
)

// Point is what a sample leaves behind for the charts. A value that was
// unknown is NaN: a gap, not zero.
type Point struct {
	From   time.Time // what the values hold for begins here, and
	At     time.Time // ends here, when the sample was taken
	Net    float64   // bytes
	Broken float64   // merged pages copied back in a second
	CPU    float64   // share of one CPU that ksmd uses, in percent
	Visits float64   // pages that ksmd looks at in a second
}

// historyPoints is how many samples the history holds: an hour and more at
// the usual delay.
const historyPoints = 2048

// History holds the latest samples' points. The zero value is empty.
type History struct {
	ring  []Point
	next  int           // where the next point goes, once the ring is full
	delay time.Duration // of the last point
}

// Add appends the point of a sample, one of those that are taken every delay.
// It holds for the time since the point before, unless samples are missing in
// between: then they leave a gap.
func (h *History) Add(s *Sample, delay time.Duration) {
	p := Point{From: s.Time.Add(-delay), At: s.Time, Net: math.NaN(), Broken: math.NaN(), CPU: math.NaN(), Visits: math.NaN()}
	if n := len(h.ring); n > 0 {
		before := h.At(n - 1).At
		if since := s.Time.Sub(before); since >= 0 && since <= 2*max(delay, h.delay) {
			p.From = before
		}
	}
	h.delay = delay
	if s.HasSavings {
		p.Net = float64(s.Savings.NetBytes)
	}
	if s.Rates.HasBrokenPerSecond {
		p.Broken = s.Rates.BrokenPerSecond
	}
	if s.Rates.HasKSMDPercent {
		p.CPU = s.Rates.KSMDPercent
	}
	if s.Rates.HasPagesPerSecond {
		p.Visits = s.Rates.PagesPerSecond
	}
	if n := len(h.ring); n > 0 && s.Source == "sim" && h.At(n-1).At.Equal(p.At) { // a simulation that stands still
		last := &h.ring[(h.next+n-1)%n]
		last.Net = p.Net
		return
	}
	if len(h.ring) < historyPoints {
		h.ring = append(h.ring, p)
		return
	}
	h.ring[h.next] = p
	h.next = (h.next + 1) % historyPoints
}

// Len returns how many points there are.
func (h *History) Len() int { return len(h.ring) }

// At returns a point: 0 is the oldest.
func (h *History) At(i int) Point { return h.ring[(h.next+i)%len(h.ring)] }

// Span returns the time from the oldest point to the latest.
func (h *History) Span() time.Duration {
	if len(h.ring) == 0 {
		return 0
	}
	return h.At(len(h.ring) - 1).At.Sub(h.At(0).At)
}

// Range returns the smallest and the largest value among the points that are
// not older than span, or two NaN if there is none.
func (h *History) Range(span time.Duration, value func(Point) float64) (smallest, largest float64) {
	smallest, largest = math.NaN(), math.NaN()
	for i := len(h.ring) - 1; i >= 0; i-- {
		p := h.At(i)
		if h.At(len(h.ring)-1).At.Sub(p.At) > span {
			break
		}
		if v := value(p); !math.IsNaN(v) {
			if !(smallest <= v) {
				smallest = v
			}
			if !(largest >= v) {
				largest = v
			}
		}
	}
	return smallest, largest
}

// NetOf and the others are the values of a Point that are charted.
func NetOf(p Point) float64    { return p.Net }
func BrokenOf(p Point) float64 { return p.Broken }
func CPUOf(p Point) float64    { return p.CPU }
func VisitsOf(p Point) float64 { return p.Visits }

// Since returns the time of the oldest point, or zero.
func (h *History) Since() time.Time {
	if len(h.ring) == 0 {
		return time.Time{}
	}
	return h.At(0).At
}
