// Package plot draws lines over time as SVG, for reports and web pages. A picture
// needs no font, script or style of elsewhere, and is the same for the same data.
package plot

import (
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Chart is panels below one another, with the same time from left to right.
type Chart struct {
	Title  string
	Note   string        // behind the title
	End    time.Duration // the right end of the axis of time; the left one is 0
	Panels []Panel
}

// Panel is lines with the same axis of values.
type Panel struct {
	Title  string
	Unit   Unit
	Series []Series
}

// Series is a line.
type Series struct {
	Name   string
	Color  int // a number from 0: equal ones look the same
	Dashed bool
	Points []Point // by time
}

// Point is a value at a time.
type Point struct {
	At    time.Duration
	Value float64
}

// Unit is what values are.
type Unit uint8

// The units.
const (
	Bytes Unit = iota
	Percent
)

// Sizes in the picture's own unit, which is a pixel unless it is scaled.
const (
	width       = 800
	left        = 84 // of the panels: labels of values are before it
	right       = 40
	top         = 52
	panelHeight = 200
	legendLine  = 18
	gap         = 46 // below a panel, for labels of times
	charWidth   = 7  // of the text of legends, at most
)

// colors are told apart by people with any kind of colour vision (Okabe and Ito's
// set, some of them darker), the first of each pair on light ground.
var colors = [...][2]string{
	{"#0072b2", "#56b4e9"},
	{"#d55e00", "#ff9248"},
	{"#00795a", "#2fd0a5"},
	{"#a8487f", "#e79bc6"},
	{"#8a6d00", "#f0e442"},
	{"#444444", "#cccccc"},
}

// Write draws c.
func Write(w io.Writer, c *Chart) error {
	var b strings.Builder
	height := top
	var tops []int
	for i := range c.Panels {
		height += legendLine * legendLines(&c.Panels[i])
		tops = append(tops, height)
		height += panelHeight + gap
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, escape(c.Title))
	writeStyle(&b)
	fmt.Fprintf(&b, "<rect class=\"ground\" width=\"%d\" height=\"%d\"/>\n", width, height)
	fmt.Fprintf(&b, "<text class=\"title\" x=\"%d\" y=\"22\">%s</text>\n", left, escape(c.Title))
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"40\">%s</text>\n", left, escape(c.Note))
	for i := range c.Panels {
		c.writePanel(&b, &c.Panels[i], tops[i])
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeStyle writes colours for light and dark screens.
func writeStyle(b *strings.Builder) {
	b.WriteString("<style>\ntext { font: 12px sans-serif; fill: #222222 } .title { font-size: 15px; font-weight: bold }\n" +
		".value { text-anchor: end } .time { text-anchor: middle }\n" +
		".ground { fill: #ffffff } .grid { stroke: #dddddd } .axis { stroke: #666666 }\n" +
		"path { fill: none; stroke-width: 2; stroke-linejoin: round } .dashed { stroke-dasharray: 6 4 }\n")
	for i, c := range colors {
		fmt.Fprintf(b, ".c%d { stroke: %s }\n", i, c[0])
	}
	b.WriteString("@media (prefers-color-scheme: dark) {\n" +
		"text { fill: #dddddd } .ground { fill: #16181d } .grid { stroke: #3a3d44 } .axis { stroke: #999999 }\n")
	for i, c := range colors {
		fmt.Fprintf(b, ".c%d { stroke: %s }\n", i, c[1])
	}
	b.WriteString("}\n</style>\n")
}

func (c *Chart) writePanel(b *strings.Builder, p *Panel, top int) {
	bottom := top + panelHeight
	low, high, step := p.scale()
	y := func(v float64) float64 { return float64(bottom) - (v-low)/(high-low)*panelHeight }
	x := func(at time.Duration) float64 {
		if c.End <= 0 {
			return left
		}
		return left + float64(at)/float64(c.End)*(width-left-right)
	}
	p.writeLegend(b, top-legendLine*legendLines(p)-6)
	for n := 0; low+float64(n)*step <= high+step/2; n++ {
		v := low + float64(n)*step
		fmt.Fprintf(b, "<path class=\"grid\" style=\"stroke-width:1\" d=\"M%d %sH%d\"/>\n", left, number(y(v)), width-right)
		fmt.Fprintf(b, "<text class=\"value\" x=\"%d\" y=\"%s\">%s</text>\n", left-8, number(y(v)+4), p.label(v, step))
	}
	every := timeStep(c.End)
	for at := time.Duration(0); every > 0 && at <= c.End; at += every {
		fmt.Fprintf(b, "<path class=\"axis\" style=\"stroke-width:1\" d=\"M%s %dv5\"/>\n", number(x(at)), bottom)
		fmt.Fprintf(b, "<text class=\"time\" x=\"%s\" y=\"%d\">%s</text>\n", number(x(at)), bottom+19, timeLabel(at))
	}
	fmt.Fprintf(b, "<path class=\"axis\" style=\"stroke-width:1\" d=\"M%d %dV%dH%d\"/>\n", left, top, bottom, width-right)
	for _, s := range p.Series {
		if len(s.Points) == 0 {
			continue
		}
		fmt.Fprintf(b, "<path class=\"%s\" d=\"", s.class())
		for i, point := range s.Points {
			letter := byte('L')
			if i == 0 {
				letter = 'M'
			}
			b.WriteByte(letter)
			b.WriteString(number(x(point.At)) + " " + number(y(point.Value)))
		}
		b.WriteString("\"/>\n")
	}
}

// class returns the style of the line.
func (s *Series) class() string {
	class := "c" + strconv.Itoa(s.Color%len(colors))
	if s.Dashed {
		class += " dashed"
	}
	return class
}

const sampleWidth = 26 // of a line in a legend

// places returns where in its legend each name of a panel begins: the line, and
// how far from the left.
func (p *Panel) places() (lines, at []int) {
	line, x := 0, charWidth*(utf8.RuneCountInString(p.heading())+2)
	for _, s := range p.Series {
		needs := sampleWidth + 6 + charWidth*utf8.RuneCountInString(s.Name) + 16
		if x > 0 && left+x+needs > width {
			line, x = line+1, 0
		}
		lines, at = append(lines, line), append(at, x)
		x += needs
	}
	return lines, at
}

func legendLines(p *Panel) int {
	lines, _ := p.places()
	if len(lines) == 0 {
		return 1
	}
	return lines[len(lines)-1] + 1
}

func (p *Panel) heading() string {
	if p.Unit == Percent {
		return p.Title + ", % of one CPU"
	}
	return p.Title
}

func (p *Panel) writeLegend(b *strings.Builder, y int) {
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", left, y+legendLine, escape(p.heading()))
	lines, at := p.places()
	for i, s := range p.Series {
		baseline := y + legendLine*(lines[i]+1)
		fmt.Fprintf(b, "<path class=\"%s\" d=\"M%d %dh%d\"/>\n", s.class(), left+at[i], baseline-4, sampleWidth)
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", left+at[i]+sampleWidth+6, baseline, escape(s.Name))
	}
}

// escape makes text safe in SVG.
func escape(s string) string { return html.EscapeString(strings.ToValidUTF8(s, "\ufffd")) }

// number writes a coordinate.
func number(f float64) string {
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}
