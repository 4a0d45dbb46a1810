package main

import (
	"math"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/plot"
	"github.com/ksmtop/ksmtop/internal/text"
)

// plotPoints is how many points a line of a chart has at most: more would fall on
// one another.
const plotPoints = 1000

// simChart draws runs over virtual time. A run has a colour; what it saves net is
// dashed.
func simChart(runs []*simRun) *plot.Chart {
	s := runs[0].scenario
	c := &plot.Chart{Title: "SIM " + text.Clean(s.Name), Note: text.Clean(s.Title)}
	memory := plot.Panel{Title: "memory, SIM", Unit: plot.Bytes}
	cpu := plot.Panel{Title: "ksmd, SIM", Unit: plot.Percent}
	for i, r := range runs {
		c.End = max(c.End, r.result.elapsed)
		name := ""
		if len(runs) > 1 {
			name = r.name + " "
			if i > 0 {
				name += settingsText(r.variant) + " "
			}
		}
		saved := plot.Series{Name: name + "saved", Color: i}
		net := plot.Series{Name: name + "net", Color: i, Dashed: true}
		percent := plot.Series{Name: name + "CPU", Color: i}
		for _, p := range thinned(r.points) {
			saved.Points = append(saved.Points, plot.Point{At: p.at, Value: p.saved})
			net.Points = append(net.Points, plot.Point{At: p.at, Value: p.net})
			if p.hasPercent {
				percent.Points = append(percent.Points, plot.Point{At: p.at, Value: p.percent})
			}
		}
		memory.Series = append(memory.Series, saved, net)
		cpu.Series = append(cpu.Series, percent)
	}
	c.Panels = []plot.Panel{memory, cpu}
	return c
}

// thinned returns at most plotPoints points, the means of as many runs of them.
func thinned(points []simPoint) []simPoint {
	each := (len(points) + plotPoints - 1) / plotPoints
	if each <= 1 {
		return points
	}
	var out []simPoint
	for len(points) > 0 {
		some := points[:min(each, len(points))]
		points = points[len(some):]
		var mean simPoint
		percents := 0.0
		var at float64
		for _, p := range some {
			at += float64(p.at) / float64(len(some))
			mean.saved += p.saved / float64(len(some))
			mean.net += p.net / float64(len(some))
			if p.hasPercent {
				mean.percent += p.percent
				percents++
			}
		}
		mean.at, mean.hasPercent = time.Duration(math.Round(at)), percents > 0
		if mean.hasPercent {
			mean.percent /= percents
		}
		out = append(out, mean)
	}
	return out
}
