//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// cell is one character of a screen, with its colours as #rrggbb.
type cell struct {
	r     rune
	style style
}

type style struct {
	ink, paper      string
	bold, underline bool
	dim, reverse    bool
}

// The colours of the terminal in the picture.
const defaultInk, defaultPaper = "#d8dee9", "#11151c"

// ansi are the sixteen colours.
var ansi = [16]string{
	"#20262e", "#e0606c", "#8fc379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
	"#5c6370", "#ef8088", "#a5d68e", "#f0d399", "#84c4f7", "#d79ce8", "#7fd0d8", "#ffffff",
}

// parseScreen reads lines of text with the escape sequences of colours (SGR), as
// tmux capture-pane -e prints them.
func parseScreen(text string, columns, rows int) [][]cell {
	var screen [][]cell
	now := style{ink: defaultInk, paper: defaultPaper}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		var cells []cell
		for len(line) > 0 {
			if codes, rest, ok := cutSGR(line); ok {
				now.apply(codes)
				line = rest
				continue
			}
			r, n := utf8.DecodeRuneInString(line)
			cells = append(cells, cell{r: r, style: now})
			line = line[n:]
		}
		for len(cells) < columns {
			cells = append(cells, cell{r: ' ', style: style{ink: defaultInk, paper: defaultPaper}})
		}
		screen = append(screen, cells[:columns])
	}
	return screen[:min(len(screen), rows)]
}

// cutSGR takes an escape sequence off the front of a line.
func cutSGR(line string) (codes []int, rest string, ok bool) {
	if !strings.HasPrefix(line, "\x1b[") {
		return nil, line, false
	}
	body, rest, found := strings.Cut(line[2:], "m")
	if !found {
		return nil, line, false
	}
	for field := range strings.SplitSeq(body, ";") {
		n, _ := strconv.Atoi(field) // nothing is 0
		codes = append(codes, n)
	}
	return codes, rest, true
}

func (s *style) apply(codes []int) {
	for len(codes) > 0 {
		code := codes[0]
		codes = codes[1:]
		switch {
		case code == 0:
			*s = style{ink: defaultInk, paper: defaultPaper}
		case code == 1:
			s.bold = true
		case code == 2:
			s.dim = true
		case code == 4:
			s.underline = true
		case code == 7:
			s.reverse = true
		case code == 22:
			s.bold, s.dim = false, false
		case code == 24:
			s.underline = false
		case code == 27:
			s.reverse = false
		case code == 38:
			s.ink, codes = colour(codes)
		case code == 48:
			s.paper, codes = colour(codes)
		case code == 39:
			s.ink = defaultInk
		case code == 49:
			s.paper = defaultPaper
		case code >= 30 && code < 38:
			s.ink = ansi[code-30]
		case code >= 40 && code < 48:
			s.paper = ansi[code-40]
		case code >= 90 && code < 98:
			s.ink = ansi[code-90+8]
		case code >= 100 && code < 108:
			s.paper = ansi[code-100+8]
		}
	}
}

// colour reads what follows 38 or 48: 5 and a number, or 2 and three.
func colour(codes []int) (string, []int) {
	switch {
	case len(codes) >= 4 && codes[0] == 2:
		return fmt.Sprintf("#%02x%02x%02x", codes[1], codes[2], codes[3]), codes[4:]
	case len(codes) >= 2 && codes[0] == 5:
		return indexed(codes[1]), codes[2:]
	}
	return defaultInk, nil
}

// indexed returns one of the 256 colours.
func indexed(n int) string {
	level := func(i int) int {
		if i == 0 {
			return 0
		}
		return 55 + 40*i
	}
	switch {
	case n < 16:
		return ansi[max(0, n)]
	case n < 232:
		n -= 16
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	grey := 8 + 10*(min(n, 255)-232)
	return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
}

// The size of a cell, in the units of the picture.
const cellWidth, cellHeight = 8.0, 17.0

// drawSVG draws a screen, run by run of characters of one style. Each run has the
// width of its cells, whatever font there is; where a font may lack characters, each
// of them has its place.
func drawSVG(screen [][]cell) []byte {
	var b bytes.Buffer
	width, height := cellWidth*float64(len(screen[0]))+16, cellHeight*float64(len(screen))+16
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="6" fill="%s"/>`+"\n", defaultPaper)
	b.WriteString(`<g font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="13">` + "\n")
	for y, line := range screen {
		for x := 0; x < len(line); {
			n := 1
			for x+n < len(line) && line[x+n].style == line[x].style {
				n++
			}
			drawRun(&b, line[x:x+n], 8+cellWidth*float64(x), 8+cellHeight*float64(y))
			x += n
		}
	}
	b.WriteString("</g>\n</svg>\n")
	return b.Bytes()
}

// drawRun draws characters of one style at a place.
func drawRun(b *bytes.Buffer, run []cell, x, y float64) {
	s := run[0].style
	ink, paper := s.ink, s.paper
	if s.reverse {
		ink, paper = paper, ink
	}
	width := cellWidth * float64(len(run))
	if paper != defaultPaper {
		fmt.Fprintf(b, `<rect x="%g" y="%g" width="%g" height="%g" fill="%s"/>`+"\n", x, y, width, cellHeight, paper)
	}
	text := make([]rune, len(run))
	ascii := true
	for i, c := range run {
		text[i] = c.r
		ascii = ascii && c.r < 0x7f
	}
	for len(text) > 0 && text[len(text)-1] == ' ' && !s.underline {
		text = text[:len(text)-1]
	}
	if len(text) == 0 {
		return
	}
	for i, r := range text {
		if r == ' ' {
			text[i] = '\u00a0' // of several blanks a browser shows one
		}
	}
	places := fmt.Sprintf(`%g" textLength="%g" lengthAdjust="spacingAndGlyphs`, x, cellWidth*float64(len(text)))
	if !ascii {
		var each strings.Builder
		for i := range text {
			fmt.Fprintf(&each, "%g ", x+cellWidth*float64(i))
		}
		places = strings.TrimSuffix(each.String(), " ")
	}
	fmt.Fprintf(b, `<text x="%s" y="%g" fill="%s"`, places, y+13, ink)
	if s.bold {
		b.WriteString(` font-weight="bold"`)
	}
	if s.underline {
		b.WriteString(` text-decoration="underline"`)
	}
	if s.dim {
		b.WriteString(` opacity="0.65"`)
	}
	b.WriteString(">")
	_ = xml.EscapeText(b, []byte(string(text))) // a bytes.Buffer has no errors
	b.WriteString("</text>\n")
}
