package view

import (
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
)

// pen writes one line from left to right, in parts. A part that does not fit is
// left out as a whole, and so is all that would follow it: a number that is
// cut would be another number. Writing allocates nothing.
type pen struct {
	c    *Canvas
	x, y int
	end  int // the column after the last that may be written
	from int // where the part began
	full bool
}

// pen returns a pen at column x of line y, which may write to the edge.
func (c *Canvas) pen(x, y int) pen { return pen{c: c, x: x, y: y, end: c.w, from: x} }

// upTo returns a pen that writes from column x of the same line up to column
// end.
func (p pen) upTo(x, end int) pen { return pen{c: p.c, x: x, y: p.y, end: min(end, p.c.w), from: x} }

// part begins a part.
func (p *pen) part() *pen {
	p.from = p.x
	return p
}

// fits reports whether n more cells fit. If not it takes the part back.
func (p *pen) fits(n int) bool {
	if !p.full && p.x+n > p.end {
		p.full = true
		p.c.Fill(p.from, p.y, p.x-p.from, 1, Normal, " ")
		p.x = p.from
	}
	return !p.full
}

// text writes s.
func (p *pen) text(role Role, s string) *pen {
	if p.fits(p.c.Width(s)) {
		p.x = p.c.Text(p.x, p.y, role, s)
	}
	return p
}

// line returns a buffer for text to be written; show gives it back.
func (p *pen) line() []byte { return p.c.g.line[:0] }

// show writes ASCII text that was appended to line.
func (p *pen) show(role Role, s []byte) *pen {
	p.c.g.line = s
	if p.fits(len(s)) {
		p.x = p.c.Bytes(p.x, p.y, role, s)
	}
	return p
}

// bytes writes a size like "3.62 GiB".
func (p *pen) bytes(role Role, n int64) *pen { return p.show(role, format.Bytes(p.line(), n)) }

// short writes a size like "3.62G".
func (p *pen) short(role Role, n int64) *pen { return p.show(role, format.Short(p.line(), n)) }

// count writes a number like "2 552 972".
func (p *pen) count(role Role, n uint64) *pen { return p.show(role, format.Count(p.line(), n)) }

// number writes a number like "2552972".
func (p *pen) number(role Role, n int) *pen {
	return p.show(role, strconv.AppendInt(p.line(), int64(n), 10))
}

// amount writes a rate like "118 k".
func (p *pen) amount(role Role, f float64) *pen { return p.show(role, format.Amount(p.line(), f)) }

// fixed writes a number with that many digits after the point.
func (p *pen) fixed(role Role, f float64, digits int) *pen {
	return p.show(role, format.Fixed(p.line(), f, digits))
}

// percent writes a share of 1 like "37.2%".
func (p *pen) percent(role Role, share float64) *pen {
	return p.show(role, appendPercent(p.line(), share, 1))
}

// duration writes a time like "21.6 s".
func (p *pen) duration(role Role, d time.Duration) *pen {
	return p.show(role, format.Duration(p.line(), d))
}

// clock writes a time of day.
func (p *pen) clock(role Role, t time.Time) *pen {
	return p.show(role, t.AppendFormat(p.line(), "15:04:05"))
}

// right writes ASCII text that was appended to line so that it ends before
// column x+w.
func (p *pen) right(x, w int, role Role, s []byte) *pen {
	p.c.g.line = s
	p.c.BytesRight(x, p.y, w, role, s)
	p.x = x + w
	return p.part()
}

// appendPercent appends a share of 1 in percent. What is more than nothing does
// not look like nothing.
func appendPercent(dst []byte, share float64, digits int) []byte {
	switch least := [...]float64{0.005, 0.0005}[digits]; {
	case share > 0 && share < least && digits == 0:
		return append(dst, "<1%"...)
	case share > 0 && share < least:
		return append(dst, "<0.1%"...)
	}
	return append(format.Fixed(dst, 100*share, digits), '%')
}

// interned returns s as a string that is allocated once, for texts that stay
// the same from one drawing to the next.
func (c *Canvas) interned(s []byte) string {
	c.g.line = s
	if len(s) == 0 {
		return ""
	}
	return c.g.intern(s)
}
