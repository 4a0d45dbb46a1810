package plot

import (
	"math"
	"strconv"
	"time"
)

const gridLines = 5 // about as many

// scale returns the ends of the axis of values and the distance of its lines. Zero
// is on it always.
func (p *Panel) scale() (low, high, step float64) {
	for _, s := range p.Series {
		for _, point := range s.Points {
			low, high = min(low, point.Value), max(high, point.Value)
		}
	}
	if low == high {
		high = 1
	}
	base := 10.0
	if p.Unit == Bytes {
		base = 2
	}
	step = niceStep((high-low)/gridLines, base)
	if p.Unit == Bytes {
		step = max(step, 1)
	}
	return math.Floor(low/step) * step, math.Ceil(high/step) * step, step
}

// niceStep returns a round number of at least least: a power of two, or 1, 2 or
// 5 times a power of ten.
func niceStep(least, base float64) float64 {
	power := math.Pow(base, math.Floor(math.Log(least)/math.Log(base)))
	for _, times := range []float64{1, 2, 5} {
		if step := power * times; step >= least {
			return step
		}
	}
	return power * 10
}

var byteUnits = [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}

// label writes a value of the axis, whose lines are step apart.
func (p *Panel) label(v, step float64) string {
	if p.Unit == Percent {
		return strconv.FormatFloat(math.Round(v/step)*step, 'g', 6, 64) + " %"
	}
	unit := 0
	for size := math.Abs(v); size >= 1024 && unit < len(byteUnits)-1; size /= 1024 {
		v /= 1024
		unit++
	}
	return strconv.FormatFloat(v, 'g', 4, 64) + " " + byteUnits[unit]
}

// timeSteps are those at which times are written.
var timeSteps = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 30 * day, 90 * day,
}

const day = 24 * time.Hour

// timeStep returns the time between two labels.
func timeStep(end time.Duration) time.Duration {
	if end <= 0 {
		return 0
	}
	for _, step := range timeSteps {
		if end/step <= 8 {
			return step
		}
	}
	return end / 8
}

// timeLabel writes a time in the shortest way.
func timeLabel(at time.Duration) string {
	units := [...]struct {
		size time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}}
	text := ""
	for _, u := range units {
		if n := at / u.size; n > 0 {
			if text != "" {
				text += " "
			}
			text += strconv.FormatInt(int64(n), 10) + " " + u.name
			at %= u.size
		}
	}
	if text == "" {
		return "0"
	}
	return text
}
