package view

import (
	"errors"
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/scanner"
)

// The view of one process's areas:
//
//	─ Areas of 7003 jupyter-kernel by address ────────────── read 14:02:31 ─
//	 merged 85.6M  profit 67.2M  RMAP/PG 13.8  mode vma      the process
//	 size 1.61G  rss 1.52G  anon 1.51G  ksm 85.6M            the sums
//	 ADDRESS      PERM   SIZE    RSS   ANON    KSM FLAG      DUP~ NAME
//	 rows
//	 why there is something to say of the reading
const vmasTop = 4 // lines above the rows

// areaColumn is a column of that table, which screens narrower than least leave
// out.
type areaColumn struct {
	heading string
	width   int
	left    bool
	least   int
	cell    func(dst []byte, a *model.Area, page int64) []byte
}

var areaColumns = [...]areaColumn{
	{"PERM", 4, true, 76, func(dst []byte, a *model.Area, _ int64) []byte { return append(dst, a.Perm...) }},
	{"SIZE", 6, false, 70, func(dst []byte, a *model.Area, _ int64) []byte { return format.Short(dst, a.Bytes()) }},
	{"RSS", 6, false, 0, func(dst []byte, a *model.Area, _ int64) []byte { return areaSize(dst, a.HasSizes, a.RSS) }},
	{"ANON", 6, false, 64, func(dst []byte, a *model.Area, _ int64) []byte { return areaSize(dst, a.HasSizes, a.Anonymous) }},
	{"KSM", 6, false, 0, func(dst []byte, a *model.Area, _ int64) []byte { return areaSize(dst, a.HasKSM, a.KSM) }},
	{"FLAG", 9, true, 0, func(dst []byte, a *model.Area, _ int64) []byte { return append(dst, a.FlagWord()...) }},
	{"DUP~", 4, false, 0, appendDuplicates},
}

// appendDuplicates appends which share of what was looked at merging would save.
func appendDuplicates(dst []byte, a *model.Area, _ int64) []byte {
	switch {
	case !a.Measured:
		return append(dst, ' ')
	case a.Duplicate <= 0 || a.Pages == 0:
		return append(dst, '.')
	}
	return appendPercent(dst, a.Duplicate/float64(a.Pages), 0)
}

// areaSize appends a size, "-" if the kernel does not tell it, "." if it is 0.
func areaSize(dst []byte, known bool, n int64) []byte {
	switch {
	case !known:
		return append(dst, '-')
	case n == 0:
		return append(dst, '.')
	}
	return format.Short(dst, n)
}

func vmasRows(_, h int, _ *model.State) int { return max(1, h-vmasTop-1) }

func drawVMAs(c *Canvas, s *model.State) {
	w, h := c.Size()
	v := &s.VMA
	drawVMAsTitle(c, s)
	if len(v.Areas) == 0 {
		drawNoAreas(c, 1, s)
		return
	}
	writeVMAProcess(c.pen(1, 1), s)
	writeVMASums(c.pen(1, 2), s)
	digits := addressDigits(v)
	drawAreaHeader(c, vmasTop-1, digits)
	y := vmasTop
	for i := v.Top; i < min(v.Top+vmasRows(w, h, s), len(v.Areas)); i++ {
		drawArea(c, y, i, digits, s)
		y++
	}
	if v.Problem != nil {
		c.TextIn(1, h-1, w-1, Warn, areaProblem(v.Problem))
	} else {
		c.TextIn(1, h-1, w-1, Dim, v.AreaNote(s, v.Selected))
	}
}

func drawVMAsTitle(c *Canvas, s *model.State) {
	w, _ := c.Size()
	v := &s.VMA
	if v.Process.PID == 0 {
		c.Title(0, 0, w, "Areas of a process", "")
		return
	}
	line := strconv.AppendInt(append(c.g.line[:0], "Areas of "...), int64(v.Process.PID), 10)
	if v.Process.Name != "" {
		line = append(append(line, ' '), v.Process.Name...)
	}
	line = append(append(line, " by "...), v.By.String()...)
	title := c.interned(line)
	note := ""
	if !v.At.IsZero() {
		note = c.interned(v.At.AppendFormat(append(c.g.line[:0], "read "...), "15:04:05"))
	}
	c.Title(0, 0, w, title, note)
}

// drawNoAreas says why there are no areas.
func drawNoAreas(c *Canvas, y int, s *model.State) {
	v := &s.VMA
	role, why := Dim, "it has no memory: it is a thread of the kernel, or has ended"
	switch {
	case s.Memory == nil:
		why = "these are files: there is no process whose memory could be read"
	case v.Process.PID == 0:
		why = "no process was chosen: Enter on one in view 1 or 2, or o and its number"
	case v.Problem != nil:
		role, why = Warn, areaProblem(v.Problem)
	case v.At.IsZero():
		why = "reading..."
	}
	paragraph(c, y, role, why)
}

// areaProblem says why the areas could not be read.
func areaProblem(why error) string {
	if _, ok := errors.AsType[*scanner.RefusedError](why); ok {
		return "? it may not be read: " + model.Why(why)
	}
	return model.Why(why)
}

// writeVMAProcess writes what KSM does for the process.
func writeVMAProcess(p pen, s *model.State) {
	r := s.VMARow()
	if r == nil {
		p.text(Dim, "it takes no part in KSM, or has ended")
		return
	}
	for i, name := range [...]string{"merged", "profit", "rmap_pg", "mode", "zero"} {
		if i > 0 {
			p.part().text(Normal, "  ")
		}
		col := model.ColumnByName(name)
		role := Normal
		if name == "profit" && r.Pays() {
			role = Bad
		}
		p.text(Dim, [...]string{"merged ", "profit ", "RMAP/PG ", "mode ", "zero "}[i]).show(role, col.Cell(p.line(), r, s.Sample))
	}
	if r.Pays() {
		p.part().text(Bad, "  ! ").text(Key, "v").text(Bad, " says why")
	}
}

// writeVMASums writes the sums of the areas.
func writeVMASums(p pen, s *model.State) {
	v := &s.VMA
	sum := &v.Sum
	p.number(Normal, len(v.Areas)).text(Dim, " areas")
	for i, n := range [...]int64{sum.RSS, sum.Anonymous, sum.KSM, sum.Marked} {
		known := sum.HasSizes
		if i == 2 {
			known = sum.HasKSM
		}
		p.part().text(Normal, "  ").text(Dim, [...]string{"rss ", "anon ", "ksm ", "mergeable "}[i])
		p.show(Normal, areaSize(p.line(), known, n))
	}
	if !v.MeasuredAt.IsZero() {
		p.part().text(Normal, "  ").text(Dim, "duplicates ").text(Good, "~").short(Good, int64(sum.Duplicates)*s.Sample.PageSize)
		p.part().text(Dim, " of ").short(Normal, int64(sum.Pages)*s.Sample.PageSize)
	}
}

// addressDigits returns how many digits the largest address has.
func addressDigits(v *model.VMAView) int {
	digits := len("ADDRESS")
	for n := v.Sum.Highest >> (4 * digits); n > 0; n >>= 4 {
		digits++
	}
	return digits
}

func drawAreaHeader(c *Canvas, y, digits int) {
	w, _ := c.Size()
	c.TextIn(1, y, digits, Dim, "ADDRESS")
	x := 1 + digits + 1
	for i := range areaColumns {
		col := &areaColumns[i]
		if w < col.least {
			continue
		}
		if col.left {
			c.TextIn(x, y, col.width, Dim, col.heading)
		} else {
			c.TextRight(x, y, col.width, Dim, col.heading)
		}
		x += col.width + 1
	}
	c.TextIn(x+1, y, w-x-1, Dim, "NAME")
}

func drawArea(c *Canvas, y, i, digits int, s *model.State) {
	w, _ := c.Size()
	a := &s.VMA.Areas[i]
	base := areaRole(a)
	line := strconv.AppendUint(c.g.line[:0], a.Start, 16)
	c.BytesIn(1, y, digits, base, line)
	x := 1 + digits + 1
	for j := range areaColumns {
		col := &areaColumns[j]
		if w < col.least {
			continue
		}
		role := base
		if col.heading == "DUP~" && a.Duplicate > 0 && !a.Marked {
			role = Good // what could still be gained
		}
		line = col.cell(line[:0], a, s.Sample.PageSize)
		if col.left {
			c.BytesIn(x, y, col.width, role, line)
		} else {
			c.BytesRight(x, y, col.width, role, line)
		}
		x += col.width + 1
	}
	c.g.line = line
	c.TextIn(x+1, y, w-x-1, base, a.Label)
	drawCursor(c, y, i, &s.VMA.List)
}

// areaRole dims areas with which KSM has nothing to do.
func areaRole(a *model.Area) Role {
	if !a.Eligible() {
		return Dim
	}
	return Normal
}

func smallVMAsRows(_, h int, _ *model.State) int { return max(1, h-1) }

// drawSmallVMAs draws it on screens too small for columns.
func drawSmallVMAs(c *Canvas, s *model.State) {
	w, h := c.Size()
	v := &s.VMA
	if len(v.Areas) == 0 {
		drawNoAreas(c, 0, s)
		return
	}
	p := c.pen(1, 0)
	p.number(Heading, v.Process.PID)
	switch { // the numbers are those of the last reading
	case errors.Is(v.Problem, scanner.ErrGone), errors.Is(v.Problem, scanner.ErrNoProcess):
		p.text(Warn, " has ended")
	case v.Problem != nil:
		p.text(Warn, " ? not read")
	}
	p.part().text(Dim, " rss ").show(Normal, areaSize(p.line(), v.Sum.HasSizes, v.Sum.RSS))
	p.part().text(Dim, " ksm ").show(Normal, areaSize(p.line(), v.Sum.HasKSM, v.Sum.KSM))
	if !v.MeasuredAt.IsZero() {
		p.part().text(Dim, " dup ").text(Good, "~").short(Good, int64(v.Sum.Duplicates)*s.Sample.PageSize)
	}
	for i := v.Top; i < min(v.Top+smallVMAsRows(w, h, s), len(v.Areas)); i++ {
		a := &v.Areas[i]
		p := c.pen(1, 1+i-v.Top)
		role := areaRole(a)
		p.right(1, 6, role, areaSize(p.line(), a.HasSizes, a.RSS))
		p.right(8, 6, role, areaSize(p.line(), a.HasKSM, a.KSM))
		c.TextIn(15, p.y, 9, role, a.FlagWord())
		c.TextIn(25, p.y, w-25, role, a.Label)
		drawCursor(c, p.y, i, &v.List)
	}
}
