package view

import "fmt"

// Role says what the text in a cell means. A theme turns roles into colours,
// and no drawing code names a colour.
type Role uint8

// The roles. The letter is the one in golden files.
const (
	Normal   Role = iota // .
	Dim                  // d: unavailable, secondary, lines between panels
	Heading              // h: titles of panels and columns
	Selected             // s: the chosen tab, button or row; see Canvas.Select
	Tagged               // t: rows tagged by the user
	Good                 // g
	Warn                 // w
	Bad                  // b
	Meter                // m: bars
	Chart                // c: charts and sparklines
	Key                  // k: names of keys
	Status               // u: LIVE, SIM, REPLAY, paused
	numRoles
)

const roleLetters = ".dhstgwbmcku"

// letter returns the letter for golden files.
func (r Role) letter(selected bool) byte {
	l := roleLetters[r]
	switch {
	case !selected || r == Selected:
		return l
	case r == Normal:
		return roleLetters[Selected]
	default:
		return l - 'a' + 'A'
	}
}

// Color is a foreground colour. The zero value is the terminal's own.
type Color uint32

const (
	colorIndexed Color = 1 << 24
	colorRGB     Color = 2 << 24
)

func indexed(i uint8) Color { return colorIndexed | Color(i) }

func rgb(hex uint32) Color { return colorRGB | Color(hex) }

// Index returns the colour's number in the terminal's palette, 0 to 15 or 0 to
// 255; ok is false if it has none.
func (c Color) Index() (i int, ok bool) { return int(c & 0xff), c&colorIndexed != 0 }

// RGB returns the colour as 0xRRGGBB; ok is false if it is not a true colour.
func (c Color) RGB() (hex int32, ok bool) { return int32(c & 0xffffff), c&colorRGB != 0 }

// Style is the look of a cell. The background is always the terminal's own,
// unless reversed.
type Style struct {
	Color     Color
	Bold      bool
	Reverse   bool
	Underline bool
}

// Palette holds the style of each role in one theme on one kind of terminal.
type Palette [numRoles]Style

// Style returns the look of a cell. A selected cell keeps the colour and
// attributes of its role with Reverse turned round, so a warning in the
// selected row is still a warning; a selected normal cell has the role
// Selected.
func (p *Palette) Style(r Role, selected bool) Style {
	if selected && r == Normal {
		r = Selected
	}
	s := p[r]
	if selected && r != Selected {
		s.Reverse = !s.Reverse
	}
	return s
}

// Depth is how many colours a terminal shows.
type Depth uint8

// The depths.
const (
	DepthMono Depth = iota // bold, reverse and underline only
	Depth16
	Depth256
	DepthTrue // 24 bits
	numDepths
)

// NewPalette returns the styles of a theme: dark, light, mono, or cvd, whose
// colours are told apart with any colour vision. Dark and cvd are for dark
// backgrounds. Mono has the same look at every depth.
func NewPalette(theme string, depth Depth) (*Palette, error) {
	t, ok := themes[theme]
	if !ok {
		return nil, fmt.Errorf("theme %q: want dark, light, mono or cvd", theme)
	}
	p := monochrome
	if depth == DepthMono || t == nil {
		return &p, nil
	}
	for r := range p {
		e := t[r]
		s := Style{Bold: e.bold, Reverse: e.reverse, Underline: e.underline}
		switch {
		case !e.colored:
		case depth == Depth16:
			s.Color = indexed(e.c16)
		case depth == Depth256:
			s.Color = indexed(e.c256)
		default:
			s.Color = rgb(e.hex)
		}
		p[r] = s
	}
	return &p, nil
}

// monochrome is the look without colours.
var monochrome = Palette{
	Heading:  {Bold: true},
	Selected: {Reverse: true},
	Tagged:   {Bold: true, Underline: true},
	Warn:     {Underline: true},
	Bad:      {Bold: true, Reverse: true},
	Meter:    {Bold: true},
	Key:      {Bold: true},
	Status:   {Reverse: true},
}

// ink is the look of a role on terminals with colours.
type ink struct {
	colored   bool // the three colours count
	c16       uint8
	c256      uint8
	hex       uint32 // 0xRRGGBB
	bold      bool
	reverse   bool
	underline bool
}

type theme [numRoles]ink

// themes holds the themes by name; nil is the one without colours.
var themes = map[string]*theme{
	"mono": nil,
	"dark": {
		Dim:      {colored: true, c16: 8, c256: 245, hex: 0x8a8a8a},
		Heading:  {colored: true, c16: 12, c256: 111, hex: 0x87b7ff, bold: true},
		Selected: {reverse: true},
		Tagged:   {colored: true, c16: 11, c256: 221, hex: 0xffd75f, bold: true},
		Good:     {colored: true, c16: 2, c256: 113, hex: 0x87d75f},
		Warn:     {colored: true, c16: 3, c256: 214, hex: 0xffaf00},
		Bad:      {colored: true, c16: 9, c256: 203, hex: 0xff6060, bold: true},
		Meter:    {colored: true, c16: 2, c256: 78, hex: 0x5fd787},
		Chart:    {colored: true, c16: 6, c256: 75, hex: 0x5fafff},
		Key:      {colored: true, c16: 14, c256: 80, hex: 0x5fd7d7},
		Status:   {colored: true, c16: 13, c256: 177, hex: 0xd787ff, bold: true},
	},
	"light": {
		Dim:      {colored: true, c16: 8, c256: 242, hex: 0x6c6c6c},
		Heading:  {colored: true, c16: 4, c256: 25, hex: 0x005faf, bold: true},
		Selected: {reverse: true},
		Tagged:   {colored: true, c16: 5, c256: 90, hex: 0x870087, bold: true},
		Good:     {colored: true, c16: 2, c256: 22, hex: 0x006000},
		Warn:     {colored: true, c16: 1, c256: 130, hex: 0xa05000},
		Bad:      {colored: true, c16: 1, c256: 160, hex: 0xc00000, bold: true},
		Meter:    {colored: true, c16: 2, c256: 28, hex: 0x007000},
		Chart:    {colored: true, c16: 4, c256: 25, hex: 0x005faf},
		Key:      {colored: true, c16: 6, c256: 24, hex: 0x005f87},
		Status:   {colored: true, c16: 5, c256: 91, hex: 0x8700af, bold: true},
	},
	// Blue, yellow and vermilion differ for every kind of colour vision, also
	// in brightness; bad is underlined besides.
	"cvd": {
		Dim:      {colored: true, c16: 8, c256: 245, hex: 0x8a8a8a},
		Heading:  {bold: true},
		Selected: {reverse: true},
		Tagged:   {colored: true, c16: 11, c256: 227, hex: 0xf0e442, bold: true, underline: true},
		Good:     {colored: true, c16: 12, c256: 75, hex: 0x56b4e9},
		Warn:     {colored: true, c16: 11, c256: 227, hex: 0xf0e442},
		Bad:      {colored: true, c16: 9, c256: 202, hex: 0xe8702a, bold: true, underline: true},
		Meter:    {colored: true, c16: 12, c256: 75, hex: 0x56b4e9},
		Chart:    {colored: true, c16: 12, c256: 75, hex: 0x56b4e9},
		Key:      {bold: true},
		Status:   {colored: true, c16: 13, c256: 182, hex: 0xd7afd7, bold: true},
	},
}
