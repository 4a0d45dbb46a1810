package view

import (
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
)

// chart is one chart of the history.
type chart struct {
	title  string
	number string // what a click on the title explains
	value  func(model.Point) float64
	write  func(dst []byte, bound int64) []byte // one end of the scale
	scale  func(*model.State) *model.Scale
}

func appendAmount(dst []byte, n int64) []byte { return format.Amount(dst, float64(n)) }

var (
	netChart = chart{"Net savings", "net", model.NetOf, format.Short,
		func(s *model.State) *model.Scale { return &s.NetScale }}
	brokenChart = chart{"Copies on write /s", "copies on write", model.BrokenOf, appendAmount,
		func(s *model.State) *model.Scale { return &s.BrokenScale }}
	cpuChart = chart{"CPU of ksmd, %", "cpu", model.CPUOf, appendAmount,
		func(s *model.State) *model.Scale { return &s.CPUScale }}
	visitsChart = chart{"Pages that ksmd looks at /s", "pages/s", model.VisitsOf, appendAmount,
		func(s *model.State) *model.Scale { return &s.VisitsScale }}
)

// drawCharts draws the two charts of the wide form side by side, with their
// scale in the title and a time axis below.
func drawCharts(c *Canvas, s *model.State) {
	w, h := c.Size()
	half := w / 2
	drawChart(c, 0, half, h, &netChart, s)
	drawChart(c, half, w-half, h, &brokenChart, s)
}

// drawPanel draws the panel of the Overview that has the whole screen.
func drawPanel(c *Canvas, s *model.State) {
	w, h := c.Size()
	switch s.Panel {
	case model.NetPanel:
		drawChart(c, 0, w, h, &netChart, s)
	case model.BrokenPanel:
		drawChart(c, 0, w, h, &brokenChart, s)
	case model.CPUPanel:
		drawChart(c, 0, w, h, &cpuChart, s)
	case model.VisitsPanel:
		drawChart(c, 0, w, h, &visitsChart, s)
	case model.TablePanel:
		drawProcesses(c, s)
	}
}

func drawChart(c *Canvas, x, w, h int, what *chart, s *model.State) {
	lo, hi := what.scale(s).Bounds()
	note := c.g.line[:0]
	if lo < 0 {
		note = append(what.write(note, int64(lo)), " to "...)
	}
	noteText := c.interned(what.write(note, int64(hi)))
	span := s.ChartSpan()
	title := append(append(c.g.line[:0], what.title...), ", last "...)
	c.Title(x, 0, w, c.interned(appendSpan(title, span)), noteText)
	c.onNumber(x, 0, w, what.number)
	plot := c.Sub(x+1, 1, w-3, h-2)
	plot.Chart(Chart, chartValues(c, plot.ChartColumns(w-3), s, what.value), lo, hi)
	p := c.pen(x+1, h-1)
	p.show(Dim, appendAgo(p.line(), span))
	p.right(x+w/2-2, 4, Dim, appendAgo(p.line(), span/2))
	p.right(x+w-6, 4, Dim, append(p.line(), "now"...))
}

// chartValues spreads the history over n columns. The values are valid until
// the next call.
func chartValues(c *Canvas, n int, s *model.State, value func(model.Point) float64) []float64 {
	if cap(c.g.values) < n {
		c.g.values = make([]float64, n)
	}
	values := c.g.values[:n]
	columns := NewColumns(values, s.Sample.Time, s.ChartSpan())
	for i := range s.History.Len() {
		p := s.History.At(i)
		columns.Add(p.From, p.At, value(p))
	}
	return values
}

// drawSparks draws the two histories of the narrow form, a line each.
func drawSparks(c *Canvas, s *model.State) {
	net := c.g.line[:0]
	if s.Sample.HasSavings {
		net = format.Bytes(net, s.Sample.Savings.NetBytes)
	} else {
		net = append(net, noSavings(s)...)
	}
	c.onNumber(0, 0, c.w, netChart.number)
	c.onNumber(0, 1, c.w, brokenChart.number)
	drawSpark(c, 0, "net", s, model.NetOf, &s.NetScale, net)

	broken := c.g.line[:0]
	switch r := &s.Sample.Rates; {
	case !r.HasBrokenPerSecond:
		broken = append(broken, '-')
	case r.BrokenPerSecond == 0:
		broken = append(broken, '.')
	default:
		broken = format.Amount(broken, r.BrokenPerSecond)
	}
	drawSpark(c, 1, "cow/s", s, model.BrokenOf, &s.BrokenScale, broken)
}

// drawSpark draws a line with a name, a sparkline, the value now if it is not
// nil, and the time that the sparkline spans.
func drawSpark(c *Canvas, y int, name string, s *model.State, value func(model.Point) float64, scale *model.Scale, now []byte) {
	w, _ := c.Size()
	room := w - 26
	if now == nil {
		room = w - 14
	}
	if room < 4 {
		return
	}
	p := c.pen(1, y)
	if now != nil { // first, since it is in the buffer of lines
		p.right(9+room, w-9-room-5, Normal, now)
	}
	p.right(w-4, 3, Dim, appendSpan(p.line(), s.ChartSpan()))
	c.Text(1, y, Normal, name)
	c.Text(7, y, Dim, "|")
	_, hi := scale.Bounds()
	c.Spark(8, y, room, Chart, chartValues(c, room, s, value), hi)
	c.Text(8+room, y, Dim, "|")
}

// appendAgo appends how long before now a point of the time axis is, as "-5m".
func appendAgo(dst []byte, d time.Duration) []byte {
	if d%time.Minute == 0 {
		return append(strconv.AppendInt(append(dst, '-'), int64(d/time.Minute), 10), 'm')
	}
	return append(strconv.AppendInt(append(dst, '-'), int64(d/time.Second), 10), 's')
}
