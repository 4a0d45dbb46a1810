package view

import (
	"math"
	"strings"
	"testing"
)

func TestThemesAreComplete(t *testing.T) {
	for name := range themes {
		var seen [numDepths]Palette
		for depth := range numDepths {
			p, err := NewPalette(name, depth)
			if err != nil {
				t.Fatalf("NewPalette(%q, %d): %v", name, depth, err)
			}
			seen[depth] = *p
			for r := range numRoles {
				s := p[r]
				if r != Normal && r != Dim && r != Good && r != Chart && s == (Style{}) {
					t.Errorf("%s, depth %d: role %c looks like normal text", name, depth, roleLetters[r])
				}
				i, isIndex := s.Color.Index()
				_, isRGB := s.Color.RGB()
				switch {
				case s.Color == 0:
				case depth == DepthMono || name == "mono":
					t.Errorf("%s, depth %d: role %c has a colour", name, depth, roleLetters[r])
				case depth == DepthTrue && !isRGB, depth == Depth256 && !isIndex, depth == Depth16 && (!isIndex || i > 15):
					t.Errorf("%s, depth %d: role %c has colour %#x", name, depth, roleLetters[r], s.Color)
				}
			}
			if p[Normal] != (Style{}) {
				t.Errorf("%s, depth %d: normal text is %+v", name, depth, p[Normal])
			}
			if !p[Selected].Reverse {
				t.Errorf("%s, depth %d: selected is not reversed", name, depth)
			}
			if p[Warn] == p[Bad] || p[Good] == p[Bad] || p[Good] == p[Warn] {
				t.Errorf("%s, depth %d: good, warn and bad look alike", name, depth)
			}
		}
		if name != "mono" && (seen[Depth16] == seen[Depth256] || seen[Depth256] == seen[DepthTrue] || seen[Depth16] == seen[DepthMono]) {
			t.Errorf("%s: two depths look the same", name)
		}
	}
	if _, err := NewPalette("nope", DepthTrue); err == nil || !strings.Contains(err.Error(), `"nope"`) {
		t.Errorf("NewPalette(nope) error = %v", err)
	}
}

// luminance returns the relative luminance of WCAG 2.1 of 0xRRGGBB.
func luminance(hex uint32) float64 {
	channel := func(shift int) float64 {
		v := float64(hex>>shift&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}

// xterm256 returns a colour of the 6x6x6 cube or the greys as 0xRRGGBB.
func xterm256(i uint8) uint32 {
	if i >= 232 {
		v := uint32(i-232)*10 + 8
		return v<<16 | v<<8 | v
	}
	level := [6]uint32{0, 0x5f, 0x87, 0xaf, 0xd7, 0xff}
	i -= 16
	return level[i/36]<<16 | level[i/6%6]<<8 | level[i%6]
}

func TestContrast(t *testing.T) {
	background := map[string]uint32{"dark": 0x1e1e1e, "cvd": 0x1e1e1e, "light": 0xffffff}
	for name, theme := range themes {
		if theme == nil {
			continue
		}
		for r, e := range theme {
			if !e.colored {
				continue
			}
			for _, hex := range []uint32{e.hex, xterm256(e.c256)} {
				a, b := luminance(hex), luminance(background[name])
				if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
					t.Errorf("%s: role %c, %06x has contrast %.2f, want 4.5", name, roleLetters[r], hex, ratio)
				}
			}
		}
	}
}

func TestSelectedStyle(t *testing.T) {
	p, err := NewPalette("mono", DepthMono)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		role     Role
		selected bool
		want     Style
	}{
		{Normal, false, Style{}},
		{Normal, true, Style{Reverse: true}},
		{Selected, false, Style{Reverse: true}},
		{Selected, true, Style{Reverse: true}},
		{Warn, true, Style{Underline: true, Reverse: true}},
		{Bad, false, Style{Bold: true, Reverse: true}},
		{Bad, true, Style{Bold: true}},
	}
	for _, tt := range tests {
		if got := p.Style(tt.role, tt.selected); got != tt.want {
			t.Errorf("Style(%c, %t) = %+v, want %+v", roleLetters[tt.role], tt.selected, got, tt.want)
		}
	}
}

func TestLetters(t *testing.T) {
	if len(roleLetters) != int(numRoles) {
		t.Fatalf("%d letters for %d roles", len(roleLetters), numRoles)
	}
	seen := map[byte]Role{}
	for r := range numRoles {
		for _, selected := range []bool{false, true} {
			l := r.letter(selected)
			if old, ok := seen[l]; ok && l != 's' {
				t.Errorf("letter %c stands for roles %d and %d", l, old, r)
			}
			seen[l] = r
		}
	}
}
