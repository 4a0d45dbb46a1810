package view

import (
	"math"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// drawOverview draws the first view: is KSM on, what does it save, what does it
// cost, who gains, what changed.
func drawOverview(c *Canvas, s *model.State) {
	if s.Panel != model.NoPanel {
		drawPanel(c, s)
		return
	}
	w, h := c.Size()
	l := layoutOf(w, h, s)
	top := c.Sub(0, 0, w, l.top)
	middle := c.Sub(0, l.top, w, l.middle)
	charts := c.Sub(0, l.top+l.middle, w, l.charts)
	table := c.Sub(0, l.top+l.middle+l.charts, w, l.table)
	events := c.Sub(0, h-l.events, w, l.events)
	if l.wide {
		drawMeters(&top, s)
		drawPages(&middle, s)
		drawCharts(&charts, s)
	} else {
		drawSavingsNarrow(&top, s, l.middle == 0)
		drawDaemonNarrow(&middle, s)
		drawSparks(&charts, s)
	}
	drawTable(&table, s, l.rows(), l.notes)
	drawEvents(&events, s)
}

// overviewRows returns how many processes the Overview shows in w times h cells.
func overviewRows(w, h int, s *model.State) int {
	if s.Panel != model.NoPanel {
		return processesRows(w, h, s)
	}
	return layoutOf(w, h, s).rows()
}

// drawMeters draws Savings and ksmd side by side.
func drawMeters(c *Canvas, s *model.State) {
	w, h := c.Size()
	middle := w / 2
	c.Title(0, 0, middle, "Savings", "")
	c.Title(middle, 0, w-middle, "ksmd", "")
	left := c.Sub(0, 1, middle-1, h-1)
	right := c.Sub(middle, 1, w-middle, h-1)
	drawSavings(&left, s)
	drawDaemon(&right, s)
}

func drawSavings(c *Canvas, s *model.State) {
	for y, name := range [...]string{"saved", "net", "ratio", "ksm_zero_pages", "copies on write"} {
		c.onNumber(0, y, c.w, name)
	}
	drawSaved(c, 0, s)
	writeNet(c.pen(1, 1), s)
	p := c.pen(1, 2)
	p.text(Normal, "Ratio  ")
	if ratio, ok := s.Sample.Reading.Counters.Ratio(); ok {
		p.fixed(Normal, ratio, 2).text(Normal, " copies saved per KSM page")
		p.part().text(Normal, "   (limit ").field(s, sysfs.MaxPageSharing).text(Normal, ")")
	} else {
		p.text(Dim, noRatio(s))
	}
	p = c.pen(1, 3)
	p.text(Normal, "Zero   ")
	writeZero(p, s)
	p = c.pen(1, 4)
	p.text(Normal, "Broken ")
	r := &s.Sample.Rates
	if !r.HasBrokenPerSecond {
		p.text(Dim, "-")
		return
	}
	p.rate(Normal, r.BrokenPerSecond).text(Normal, " copies on write /s")
	if r.BrokenPerSecond > 0 {
		p.part().text(Normal, " (").bytes(Normal, int64(r.BrokenPerSecond*float64(s.Sample.PageSize))).text(Normal, "/s given back)")
	}
}

// drawSaved draws the meter of saved memory against all memory.
func drawSaved(c *Canvas, y int, s *model.State) {
	w, _ := c.Size()
	p := c.pen(1, y)
	p.text(Normal, "Saved  ")
	if !s.Sample.HasSavings {
		p.text(Dim, noSavings(s))
		return
	}
	saved, host := s.Sample.Savings.SavedBytes, &s.Sample.Reading.Host
	fraction := math.NaN()
	if host.HasMemory && host.MemTotal > 0 {
		fraction = float64(saved) / float64(host.MemTotal)
	}
	bar := max(10, min(26, w-36))
	c.Meter(p.x, y, bar, Meter, fraction)
	p = c.pen(p.x+bar+2, y)
	p.bytes(Good, saved)
	if !math.IsNaN(fraction) {
		p.part().text(Normal, "  ").percent(Normal, fraction).text(Normal, " of RAM")
	}
}

// writeNet writes what is left after the cost, and how it comes about.
func writeNet(p pen, s *model.State) pen {
	p.text(Normal, "Net    ")
	if !s.Sample.HasSavings {
		p.text(Dim, noSavings(s))
		return p
	}
	sum := &s.Sample.Savings
	role := Good
	if sum.NetBytes < 0 {
		role = Bad
	}
	p.bytes(role, sum.NetBytes)
	p.part().text(Normal, " = saved ").bytes(Normal, sum.SavedBytes).text(Normal, " - metadata ").bytes(Normal, sum.MetadataBytes)
	return p
}

func writeZero(p pen, s *model.State) {
	c := &s.Sample.Reading.Counters
	switch {
	case !c.Has(sysfs.KSMZeroPages):
		p.text(Dim, absent(s, sysfs.KSMZeroPages))
		return
	case c.KSMZeroPages == 0:
		p.text(Normal, ".")
	default:
		p.bytes(Normal, int64(c.KSMZeroPages)*s.Sample.PageSize)
	}
	p.part().text(Normal, " (use_zero_pages is ").field(s, sysfs.UseZeroPages).text(Normal, ")")
}

// stateWord says what ksmd does, and as what to show it.
func stateWord(s *model.State) (string, Role) {
	k := &s.Sample.Reading.Knobs
	switch {
	case !k.Has(sysfs.Run):
		return absent(s, sysfs.Run), Dim
	case k.RunMode() == sysfs.RunScan && k.Has(sysfs.PagesToScan) && k.PagesToScan == 0:
		return "on, scans nothing", Warn
	case k.RunMode() == sysfs.RunScan:
		return "running", Good
	case k.RunMode() == sysfs.RunUnmerge:
		return "off, unmerged", Warn
	case s.Sample.HasSavings && s.Sample.Savings.SavedBytes > 0:
		return "stopped", Warn
	}
	return "off", Warn
}

func drawDaemon(c *Canvas, s *model.State) {
	const second = 36 // where the right part of a line begins
	w, _ := c.Size()
	word, role := stateWord(s)
	r := &s.Sample.Rates
	for y, names := range [...][2]string{{"run", "cpu"}, {"pages/s", "pass"}, {"last pass", "last pass"}, {"pages_to_scan", "advisor_mode"}, {"smart_scan", "pages_skipped"}} {
		c.onNumber(0, y, second, names[0])
		c.onNumber(second, y, w-second, names[1])
	}

	p := c.pen(0, 0).upTo(0, second-1)
	p.text(Normal, "state     ").text(role, word)
	writeCPU(c.pen(second, 0), r)

	p = c.pen(0, 1).upTo(0, second-1)
	p.text(Normal, "scanning  ")
	if r.HasPagesPerSecond {
		p.amount(Normal, r.PagesPerSecond).text(Normal, " pages/s")
	} else {
		p.text(Dim, "-")
	}
	writePass(c.pen(second, 1), s)

	p = c.pen(0, 2).upTo(0, second-1)
	switch {
	case s.Passes.HasLast:
		p.text(Normal, "last pass ~").duration(Normal, s.Passes.Last)
	case r.HasFullScan:
		p.text(Normal, "full scan ~").duration(Normal, r.FullScan)
	default:
		p.text(Normal, "last pass ").text(Dim, "-")
	}
	if s.Sample.HasSavings && (s.Passes.HasLast || r.HasFullScan) {
		p.part().text(Normal, "  ").count(Normal, s.Sample.Savings.Items).text(Normal, " pages")
	}
	if left, ok := s.Passes.Left(); ok {
		p = p.upTo(second, w)
		p.text(Normal, "next in ~").duration(Normal, left)
	}

	p = c.pen(0, 3)
	p.text(Normal, "setting   ").field(s, sysfs.PagesToScan).text(Normal, " pages/wake, sleep ").field(s, sysfs.SleepMillisecs).text(Normal, " ms")
	if s.Sample.Reading.Knobs.Has(sysfs.AdvisorMode) {
		p.part().text(Normal, ", advisor ").text(Normal, s.Sample.Reading.Knobs.AdvisorMode)
	}
	writeSmartScan(c.pen(0, 4), s)
}

func writeSmartScan(p pen, s *model.State) {
	k, r := &s.Sample.Reading.Knobs, &s.Sample.Rates
	p.text(Normal, "smart scan ")
	switch {
	case !k.Has(sysfs.SmartScan):
		p.text(Dim, absent(s, sysfs.SmartScan))
	case !k.SmartScan:
		p.text(Normal, "off")
	default:
		p.text(Normal, "on")
		if visits := r.PagesPerSecond + r.SkippedPerSecond; r.HasSkippedPerSecond && visits > 0 {
			p.part().text(Normal, ": ").show(Normal, appendPercent(p.line(), r.SkippedPerSecond/visits, 0)).text(Normal, " of visits skipped")
		}
	}
}

func writeCPU(p pen, r *sysfs.Rates) pen {
	p.part().text(Normal, "cpu ")
	if r.HasKSMDPercent {
		p.percent(Normal, r.KSMDPercent/100)
	} else {
		p.text(Dim, "-")
	}
	return p
}

// writePass writes the number of the pass and how much of it is done.
func writePass(p pen, s *model.State) pen {
	p.part().text(Normal, "pass ").field(s, sysfs.FullScans)
	if done, ok := s.Passes.Done(); ok {
		p.part().text(Normal, ", ~").fixed(Normal, 100*done, 0).text(Normal, "% done")
	}
	return p
}

// drawPages draws in which states the tracked pages are: a bar and its legend.
func drawPages(c *Canvas, s *model.State) {
	w, _ := c.Size()
	title := "Where the tracked pages are"
	if s.Sample.HasSavings {
		line := append(c.g.line[:0], "Where the "...)
		line = format.Count(line, s.Sample.Savings.Items)
		title = c.interned(append(line, " tracked pages are"...))
	}
	c.Title(0, 0, w, title, "")
	drawPagesBar(c, 1, 1, w-2, s)
	writeLegend(c.pen(2, 2), s, legendFull)
}

// states are the states of a tracked page.
var states = [...]struct {
	mark  byte
	role  Role
	field sysfs.Field
	word  string
}{
	{'#', Good, sysfs.PagesShared, " shared "},
	{'=', Meter, sysfs.PagesSharing, " sharing "},
	{'.', Dim, sysfs.PagesUnshared, " unshared "},
	{'~', Warn, sysfs.PagesVolatile, " volatile "},
}

func pagesIn(s *model.State, f sysfs.Field) uint64 {
	v, ok := s.Sample.Reading.Counters.Value(f)
	if !ok {
		return 0
	}
	return uint64(max(0, v.Float()))
}

// allStates reports whether it is known in which state every page is. If not
// there are no shares of the whole.
func allStates(s *model.State) bool {
	for _, st := range states {
		if !s.Sample.Reading.Counters.Has(st.field) {
			return false
		}
	}
	return true
}

func drawPagesBar(c *Canvas, x, y, w int, s *model.State) {
	if !allStates(s) {
		c.Meter(x, y, w, Meter, math.NaN())
		return
	}
	var parts [len(states)]Part
	for i, st := range states {
		parts[i] = Part{pagesIn(s, st.field), st.mark, st.role}
	}
	c.Stack(x, y, w, parts[:]...)
}

// legend is how much the legend of the pages bar says.
type legend uint8

const (
	legendFull    legend = iota // counts and shares
	legendShares                // shares
	legendCompact               // shares in whole percents, for 58 cells
)

func writeLegend(p pen, s *model.State, how legend) {
	total, known := 0.0, allStates(s)
	for _, st := range states {
		total += float64(pagesIn(s, st.field))
	}
	for i, st := range states {
		n := pagesIn(s, st.field)
		if i > 0 && how == legendCompact {
			p.text(Normal, "  ")
		} else if i > 0 {
			p.text(Normal, "   ")
		}
		p.part().show(st.role, append(p.line(), st.mark)).text(Normal, st.word)
		from := p.from
		switch {
		case !s.Sample.Reading.Counters.Has(st.field):
			p.text(Dim, absent(s, st.field))
		case n == 0:
			p.text(Normal, ".")
		case !known:
			p.count(Normal, n)
		case how == legendFull:
			p.count(Normal, n).text(Normal, " (").percent(Normal, float64(n)/total).text(Normal, ")")
		case how == legendShares:
			p.percent(Normal, float64(n)/total)
		default:
			p.show(Normal, appendPercent(p.line(), float64(n)/total, 0))
		}
		p.c.onNumber(from, p.y, p.x-from, st.field.String())
	}
}

// drawSavingsNarrow draws Savings and the pages bar for narrow screens, with
// the state of ksmd if it has no room of its own.
func drawSavingsNarrow(c *Canvas, s *model.State, withState bool) {
	w, _ := c.Size()
	state := ""
	if withState {
		word, _ := stateWord(s)
		state = c.interned(append(append(c.g.line[:0], "ksmd "...), word...))
	}
	c.Title(0, 0, w, "Savings", state)
	drawSaved(c, 1, s)
	c.onNumber(0, 1, w, "saved")
	c.onNumber(0, 2, w, "net")
	p := writeNet(c.pen(1, 2), s)
	at := p.x
	if ratio, ok := s.Sample.Reading.Counters.Ratio(); ok {
		p.part().text(Normal, "   Ratio ").fixed(Normal, ratio, 2)
		p.part().text(Normal, " (limit ").field(s, sysfs.MaxPageSharing).text(Normal, ")")
		c.onNumber(at, 2, w-at, "ratio")
	}
	c.Text(1, 3, Normal, "Pages  ")
	drawPagesBar(c, 8, 3, w-9, s)
	if w < 76 {
		writeLegend(c.pen(1, 4), s, legendCompact)
	} else {
		writeLegend(c.pen(8, 4), s, legendShares)
	}
}

// drawDaemonNarrow draws ksmd on one line.
func drawDaemonNarrow(c *Canvas, s *model.State) {
	w, _ := c.Size()
	c.Title(0, 0, w, "ksmd", "")
	word, role := stateWord(s)
	r := &s.Sample.Rates
	c.onNumber(0, 1, w, "pass")
	p := c.pen(1, 1)
	if role == Dim {
		p.text(Normal, "state ")
	}
	p.text(role, word).text(Normal, ", ")
	p = writeCPU(p, r)
	if r.HasPagesPerSecond {
		p.part().text(Normal, ", ").amount(Normal, r.PagesPerSecond).text(Normal, " pages/s")
	}
	p.part().text(Normal, ", ")
	p = writePass(p, s)
	switch {
	case s.Passes.HasLast:
		p.part().text(Normal, ", last ~").duration(Normal, s.Passes.Last)
	case r.HasFullScan:
		p.part().text(Normal, ", full scan ~").duration(Normal, r.FullScan)
	}
}

// absent returns "-" for what this kernel lacks and "?" for what was refused.
func absent(s *model.State, f sysfs.Field) string {
	if s.Sample.Reading.Problem(f) != nil {
		return "?"
	}
	return "-"
}

// noSavings returns "?" if one of the counters that savings are made of was
// refused, and "-" if there is none.
func noSavings(s *model.State) string {
	for _, f := range [...]sysfs.Field{sysfs.PagesSharing, sysfs.PagesShared, sysfs.PagesUnshared, sysfs.PagesVolatile, sysfs.KSMZeroPages} {
		if s.Sample.Reading.Problem(f) != nil {
			return "?"
		}
	}
	return "-"
}

// noRatio says why there is no ratio.
func noRatio(s *model.State) string {
	for _, f := range [...]sysfs.Field{sysfs.PagesShared, sysfs.PagesSharing} {
		if !s.Sample.Reading.Counters.Has(f) {
			return absent(s, f)
		}
	}
	return "- (nothing is merged)"
}

// field writes the value of f, "-" or "?".
func (p *pen) field(s *model.State, f sysfs.Field) *pen {
	if v, ok := s.Sample.Reading.Value(f); ok {
		return p.show(Normal, v.Append(p.line()))
	}
	return p.text(Dim, absent(s, f))
}

// rate writes a number of events in a second: "." for none.
func (p *pen) rate(role Role, f float64) *pen {
	if f == 0 {
		return p.text(role, ".")
	}
	return p.amount(role, f)
}
