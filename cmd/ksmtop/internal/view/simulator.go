package view

import (
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simLayout says how many rows each panel of the simulator has, titles included:
//
//	top      what is simulated, and the counters
//	knobs    the list
//	charts   net savings over time, where there is room for all else
//	sides    A and B: a line for what each saves, and one for ksmd's CPU
type simLayout struct{ top, knobs, charts, sides int }

const leastKnobs = 3 // rows of the list that stay

func simLayoutOf(h int, s *model.State) simLayout {
	l := simLayout{top: 3, sides: 3}
	if s.Sim.Shot.HasB {
		l.sides = 5
	}
	if s.Sim.Shot.Script {
		l.top = 4
	}
	l.knobs = min(h-l.top-l.sides, 1+len(model.SimKnobs))
	if short := 1 + leastKnobs - l.knobs; short > 0 {
		l.sides = max(0, l.sides-short)
		l.knobs = h - l.top - l.sides
	}
	if l.charts = h - l.top - l.sides - l.knobs; l.charts < 5 {
		l.charts = 0
		l.knobs = h - l.top - l.sides
	}
	return l
}

// simulatorRows returns how many knobs the view shows in h lines.
func simulatorRows(_, h int, s *model.State) int {
	if !s.Sim.Open {
		return 1
	}
	return max(1, simLayoutOf(h, s).knobs-1)
}

// drawSimulator draws the view of the simulator.
func drawSimulator(c *Canvas, s *model.State) {
	w, h := c.Size()
	if !s.Sim.Open {
		drawNoSim(c, s)
		return
	}
	l := simLayoutOf(h, s)
	top := c.Sub(0, 0, w, l.top)
	drawSimTop(&top, s)
	knobs := c.Sub(0, l.top, w, l.knobs)
	drawSimKnobs(&knobs, s)
	if l.charts > 0 {
		charts := c.Sub(0, l.top+l.knobs, w, l.charts)
		drawSimCharts(&charts, s)
	}
	sides := c.Sub(0, l.top+l.knobs+l.charts, w, l.sides)
	drawSimSides(&sides, s)
}

// drawNoSim says how a machine is opened.
func drawNoSim(c *Canvas, s *model.State) {
	w, h := c.Size()
	c.Title(0, 0, w, "Simulator", "")
	if s.Sim.Opening != "" {
		p := c.pen(1, 1)
		p.text(Dim, "reading ").text(Dim, s.Sim.Opening)
		return
	}
	const about = "Guests, ksmd and time can be simulated, to see what knobs would save and cost, and how soon. " +
		"It needs neither root nor KSM, and changes nothing on this machine."
	text := c.Sub(0, 0, min(w, 59), h)
	y := paragraph(&text, 1, Normal, about)
	y = min(y+1, h-1) // behind an empty line, if there is room
	p := c.pen(1, y)
	p.text(Key, "o").text(Normal, " opens a scenario or a page script")
	c.onKey(1, y, 30, "o")
}

// drawSimTop draws what is simulated, and A's counters.
func drawSimTop(c *Canvas, s *model.State) {
	w, _ := c.Size()
	shot := &s.Sim.Shot
	title := append(c.g.line[:0], "Scenario "...)
	if shot.Script {
		title = append(c.g.line[:0], "Script "...)
	}
	title = append(title, shot.Name...)
	c.Title(0, 0, w, c.interned(title), "o other, r restart")
	p := c.pen(1, 1)
	switch {
	case shot.Script:
		p.text(Normal, shot.Title).part().text(Normal, "; a batch takes as long as ksmd then sleeps")
	default:
		p.number(Normal, shot.Guests).text(Normal, " guests, ").bytes(Normal, int64(shot.MemoryBytes)).text(Normal, " on the host")
		if shot.Scale > 1 {
			p.part().text(Normal, ", ").text(Warn, "memory 1/").number(Warn, shot.Scale).text(Warn, " to fit here")
			p.part().text(Warn, ": scans are as much shorter")
		}
		p.part().text(Normal, "  ").text(Dim, shot.Title)
	}
	y := 2
	if shot.Script {
		p = c.pen(1, 2)
		p.text(Normal, "next  ")
		c.TextIn(p.x, 2, w-p.x-1, Normal, shot.Next)
		y++
	}
	writeSimCounters(c.pen(1, y), &shot.A.Reading.Counters)
}

// writeSimCounters writes the counters in full, as ksmtop lab prints them.
func writeSimCounters(p pen, k *sysfs.Counters) {
	p.text(Normal, "scan ").count(Normal, k.FullScans)
	p.part().text(Normal, "  shared ").count(Normal, uint64(k.PagesShared))
	p.part().text(Normal, "  sharing ").count(Normal, uint64(k.PagesSharing))
	p.part().text(Normal, "  unshared ").count(Normal, uint64(k.PagesUnshared))
	p.part().text(Normal, "  volatile ").show(Normal, format.SignedCount(p.line(), int64(k.PagesVolatile)))
	p.part().text(Normal, "  zero ").show(Normal, format.SignedCount(p.line(), int64(k.KSMZeroPages)))
	p.part().text(Normal, "  scanned ").count(Normal, uint64(k.PagesScanned))
	p.part().text(Normal, "  skipped ").count(Normal, uint64(k.PagesSkipped))
	p.part().text(Normal, "  chains ").count(Normal, k.StableNodeChains)
}

// Columns of the list of knobs.
const (
	knobValueAt   = 37
	knobValueCell = 11
	knobScaleAt   = knobValueAt + knobValueCell + 2
	knobScaleCell = 14
)

// drawSimKnobs draws A's knobs:
//
//	>pages_to_scan                      [       4000]  10 ........|..... 1000000
func drawSimKnobs(c *Canvas, s *model.State) {
	w, h := c.Size()
	c.Title(0, 0, w, "Knobs of A", "left/right change, Enter types, z undo")
	l := &s.Sim.List
	for i := l.Top; i < min(l.Top+h-1, l.Len()); i++ {
		y := 1 + i - l.Top
		drawSimKnob(c, y, s, model.SimKnobs[i])
		drawCursor(c, y, i, l)
	}
}

func drawSimKnob(c *Canvas, y int, s *model.State, f sysfs.Field) {
	w, _ := c.Size()
	c.TextIn(1, y, min(knobValueAt-2, w-2), Normal, f.String())
	p := c.pen(knobValueAt, y)
	v, ok := s.Sim.Knobs.Value(f)
	if !ok {
		p.text(Dim, "-")
		return
	}
	c.Text(knobValueAt-1, y, Dim, "[")
	p.right(knobValueAt, knobValueCell, Normal, v.Append(p.line()))
	c.Text(knobValueAt+knobValueCell, y, Dim, "]")
	if later, ok := s.Sim.Later[f]; ok {
		p = c.pen(knobScaleAt, y)
		p.text(Warn, later).part().text(Warn, " when it begins anew (r)")
		return
	}
	r, isNumber := model.RangeOf(f)
	if !isNumber {
		p = c.pen(knobScaleAt, y)
		drawSimWords(&p, s, f)
		return
	}
	least := strconv.AppendUint(p.line(), r.Least, 10)
	p.right(knobScaleAt, 3, Dim, least)
	if knobScaleAt+4+knobScaleCell+8 > w {
		return
	}
	value, err := strconv.ParseUint(string(v.Append(p.line())), 10, 64)
	if err != nil {
		return
	}
	at := knobScaleAt + 4
	c.Fill(at, y, knobScaleCell, 1, Dim, ".")
	c.Text(at+int(r.Place(value)*(knobScaleCell-1)+0.5), y, Meter, "|")
	p = c.pen(at+knobScaleCell+1, y)
	p.show(Dim, strconv.AppendUint(p.line(), r.Most, 10))
}

// drawSimWords says what the value of a knob that is no number stands for.
func drawSimWords(p *pen, s *model.State, f sysfs.Field) {
	k := &s.Sim.Knobs
	on := func(is bool) {
		if is {
			p.text(Dim, "on")
		} else {
			p.text(Dim, "off")
		}
	}
	switch f {
	case sysfs.SmartScan:
		on(k.SmartScan)
	case sysfs.UseZeroPages:
		on(k.UseZeroPages)
	case sysfs.MergeAcrossNodes:
		on(k.MergeAcrossNodes)
	case sysfs.Run:
		p.text(Dim, [...]string{"ksmd is stopped", "ksmd scans", "unmerged"}[min(k.RunMode(), 2)])
	}
}

// drawSimSides draws what A and B save and cost:
//
//	A net |::----=======++++****####|  3.47G  settled after 4 min
//	  cpu |..........................|  38.2%
func drawSimSides(c *Canvas, s *model.State) {
	w, h := c.Size()
	if h < 2 {
		return
	}
	m := &s.Sim
	note := format.Duration(append(c.g.line[:0], "last "...), m.Span())
	note = format.Short(append(note, ", net to "...), int64(m.Highest()))
	noteText := c.interned(append(note, ", cpu to 100%"...))
	title := append(c.g.line[:0], 'A')
	if m.Shot.HasB {
		title = append(append(title, ", and B: "...), m.Shot.B.What...)
	}
	c.Title(0, 0, w, c.interned(title), noteText)
	drawSimSide(c, 1, "A", s, &m.Shot.A, &m.A)
	if m.Shot.HasB {
		drawSimSide(c, 3, "B", s, &m.Shot.B, &m.B)
	}
}

// Where the two lines of a side end: a value, and when it has settled.
const (
	sideValue   = 8
	sideSettled = 24
)

func drawSimSide(c *Canvas, y int, name string, s *model.State, side *model.SimSide, track *model.SimTrack) {
	w, _ := c.Size()
	const at = 7
	room := w - at - 2 - sideValue - sideSettled - 1
	c.Text(1, y, Heading, name)
	c.Text(3, y, Normal, "net")
	c.Text(3, y+1, Normal, "cpu")
	for i, value := range [...]func(model.SimPoint) float64{netOfPoint, percentOfPoint} {
		hi := 100.0
		if i == 0 {
			hi = s.Sim.Highest()
		}
		c.Text(at, y+i, Dim, "|")
		c.Spark(at+1, y+i, room, Chart, trackValues(c, room, s, track, value), hi)
		c.Text(at+1+room, y+i, Dim, "|")
	}
	end := at + 2 + room
	p := c.pen(end, y)
	switch {
	case !side.HasSavings:
		p.right(end, sideValue, Dim, append(p.line(), '-'))
	case side.Savings.NetBytes < 0:
		p.right(end, sideValue, Bad, format.Short(p.line(), side.Savings.NetBytes))
	default:
		p.right(end, sideValue, Good, format.Short(p.line(), side.Savings.NetBytes))
	}
	p = c.pen(end+sideValue+2, y)
	switch {
	case s.Sim.Shot.Script:
	case side.HasSettled:
		p.text(Normal, "settled in ").duration(Normal, side.Settled.Round(time.Second))
	default:
		p.text(Dim, "not settled")
	}
	p = c.pen(end, y+1)
	if side.HasPercent {
		p.right(end, sideValue, Normal, append(format.Fixed(p.line(), side.Percent, 1), '%'))
	} else {
		p.right(end, sideValue, Dim, append(p.line(), '-'))
	}
}

func netOfPoint(p model.SimPoint) float64     { return p.Net }
func percentOfPoint(p model.SimPoint) float64 { return p.Percent }

// trackValues spreads a run over n columns. The values are valid until the next
// call.
func trackValues(c *Canvas, n int, s *model.State, track *model.SimTrack, value func(model.SimPoint) float64) []float64 {
	if n <= 0 {
		return nil
	}
	if cap(c.g.values) < n {
		c.g.values = make([]float64, n)
	}
	values := c.g.values[:n]
	columns := NewColumns(values, sim.Epoch.Add(s.Sim.Shot.Now), s.Sim.Span())
	from := sim.Epoch.Add(-time.Millisecond)
	for i := range track.Points {
		p := &track.Points[i]
		at := sim.Epoch.Add(p.At)
		columns.Add(from, at, value(*p))
		from = at
	}
	return values
}

// drawSimCharts draws net savings: A's, and beside them B's or ksmd's CPU.
func drawSimCharts(c *Canvas, s *model.State) {
	w, h := c.Size()
	m := &s.Sim
	half := w / 2
	highest := m.Highest()
	note := c.interned(format.Short(c.g.line[:0], int64(highest)))
	drawSimChart(c, 0, half, h, "A: net savings", s, &m.A, netOfPoint, highest, note)
	if m.Shot.HasB {
		drawSimChart(c, half, w-half, h, "B: net savings", s, &m.B, netOfPoint, highest, note)
	} else {
		drawSimChart(c, half, w-half, h, "A: CPU of ksmd", s, &m.A, percentOfPoint, 100, "100%")
	}
}

func drawSimChart(c *Canvas, x, w, h int, title string, s *model.State, track *model.SimTrack, value func(model.SimPoint) float64, hi float64, note string) {
	c.Title(x, 0, w, title, note)
	plot := c.Sub(x+1, 1, w-3, h-2)
	plot.Chart(Chart, trackValues(c, plot.ChartColumns(w-3), s, track, value), 0, hi)
	p := c.pen(x+1, h-1)
	p.text(Dim, "-").duration(Dim, s.Sim.Span())
	p.right(x+w-6, 4, Dim, append(p.line(), "now"...))
}

// drawSimHint draws the keys of the view that are needed most, in the line above
// the others.
func drawSimHint(c *Canvas, y int, s *model.State) {
	p := c.pen(1, y)
	key := func(key, what string) {
		p.part().text(Key, key).text(Normal, " ").text(Normal, what).text(Normal, "  ")
	}
	if !s.Sim.Open {
		return
	}
	if s.Sim.Opening != "" {
		p.text(Status, "reading ").text(Status, s.Sim.Opening)
		return
	}
	if s.Sim.Shot.Running {
		key("Space", "pause")
	} else {
		key("Space", "run")
	}
	key(".", "step")
	key("+ -", "speed")
	key("b", "compare with B")
	key("P", "propose for the real machine")
	key("1", "all views")
}

// drawSmallSimulator draws the view on screens too small for panels: what A and B
// save, and the knobs.
func drawSmallSimulator(c *Canvas, s *model.State) {
	w, h := c.Size()
	if !s.Sim.Open {
		drawNoSim(c, s)
		return
	}
	lines := smallSimLines(h, s)
	shot := &s.Sim.Shot
	for i, side := range [...]*model.SimSide{&shot.A, &shot.B} {
		if i < lines && (i == 0 || shot.HasB) {
			writeSmallSide(c.pen(1, i), [...]string{"A", "B"}[i], s, side)
		}
	}
	if next := lines - 1; shot.Script && next > 0 {
		c.TextIn(1, next, w-2, Normal, shot.Next)
	}
	l := &s.Sim.List
	for i := l.Top; i < min(l.Top+h-lines, l.Len()); i++ {
		y := lines + i - l.Top
		f := model.SimKnobs[i]
		p := c.pen(0, y)
		value := append(p.line(), '-')
		if v, ok := s.Sim.Knobs.Value(f); ok {
			value = v.Append(p.line())
		}
		n := len(value)
		p.right(w-1-n, n, Normal, value)
		c.TextIn(1, y, max(1, w-3-n), Normal, f.String())
		drawCursor(c, y, i, l)
	}
}

// smallSimLines returns how many lines the small form has above the knobs.
func smallSimLines(h int, s *model.State) int {
	lines := 1
	if s.Sim.Shot.HasB || s.Sim.Shot.Script {
		lines++
	}
	return max(0, min(lines, h-1))
}

// smallSimulatorRows returns how many knobs the small form shows.
func smallSimulatorRows(_, h int, s *model.State) int {
	if !s.Sim.Open {
		return 1
	}
	return max(1, h-smallSimLines(h, s))
}

func writeSmallSide(p pen, name string, s *model.State, side *model.SimSide) {
	p.text(Heading, name).text(Normal, " net ")
	if !side.HasSavings {
		p.text(Dim, "-")
		return
	}
	role := Good
	if side.Savings.NetBytes < 0 {
		role = Bad
	}
	p.short(role, side.Savings.NetBytes)
	if side.HasPercent {
		p.part().text(Normal, "  cpu ").fixed(Normal, side.Percent, 1).text(Normal, "%")
	}
	if side.HasSettled {
		p.part().text(Normal, "  settled ").duration(Normal, side.Settled.Round(time.Second))
	}
	p.part().text(Normal, "  scan ").count(Normal, side.Reading.Counters.FullScans)
}
