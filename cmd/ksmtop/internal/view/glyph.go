package view

import (
	"fmt"
	"strings"
)

// Level is which characters a terminal can show.
type Level uint8

// The levels.
const (
	LevelASCII   Level = iota // printable ASCII
	LevelBlocks               // lines and half blocks, as in the font of a PC's text mode
	LevelBraille              // any Unicode
	numLevels
)

// Glyphs are the characters to draw with at one level. Each string is one
// character of one cell, except the tree's, which are two cells.
type Glyphs struct {
	Level Level

	HLine, VLine                                string
	TopLeft, TopRight, BottomLeft, BottomRight  string
	TreeChild, TreeLast, TreeThrough, TreeBlank string // before the name of a process in a tree

	Open, Closed             string // a branch of the tree whose children show, or do not
	Cursor, Tag              string // left of the selected row, of a tagged one
	Ascending, Descending    string // at the column that sorts
	More                     string // the text goes on
	Full, LowerHalf, TopHalf string // blocks of charts; unused in ASCII
}

var glyphSets = [numLevels]Glyphs{
	LevelASCII: {
		Level: LevelASCII,
		HLine: "-", VLine: "|", TopLeft: "+", TopRight: "+", BottomLeft: "+", BottomRight: "+",
		TreeChild: "|-", TreeLast: "`-", TreeThrough: "| ", TreeBlank: "  ",
		Open: "-", Closed: "+", Cursor: ">", Tag: "*", Ascending: "^", Descending: "v", More: ">",
	},
	LevelBlocks: {
		Level: LevelBlocks,
		HLine: "─", VLine: "│", TopLeft: "┌", TopRight: "┐", BottomLeft: "└", BottomRight: "┘",
		TreeChild: "├─", TreeLast: "└─", TreeThrough: "│ ", TreeBlank: "  ",
		Open: "-", Closed: "+", Cursor: ">", Tag: "*", Ascending: "▲", Descending: "▼", More: ">",
		Full: "█", LowerHalf: "▄", TopHalf: "▀",
	},
	LevelBraille: {
		Level: LevelBraille,
		HLine: "─", VLine: "│", TopLeft: "┌", TopRight: "┐", BottomLeft: "└", BottomRight: "┘",
		TreeChild: "├─", TreeLast: "└─", TreeThrough: "│ ", TreeBlank: "  ",
		Open: "-", Closed: "+", Cursor: ">", Tag: "*", Ascending: "▲", Descending: "▼", More: "…",
		Full: "█", LowerHalf: "▄", TopHalf: "▀",
	},
}

// DetectLevel chooses the level: ASCII if asked for or if the locale in
// LC_ALL, LC_CTYPE or LANG (the first that is not empty) is not UTF-8, blocks
// on the Linux console, else braille. Env is usually os.Getenv.
func DetectLevel(ascii bool, env func(string) string) Level {
	locale := env("LC_ALL")
	if locale == "" {
		locale = env("LC_CTYPE")
	}
	if locale == "" {
		locale = env("LANG")
	}
	locale, _, _ = strings.Cut(strings.ToLower(locale), "@")
	_, charset, found := strings.Cut(locale, ".")
	if !found {
		charset = locale // LC_CTYPE=UTF-8 is usual on macOS
	}
	switch {
	case ascii || charset != "utf-8" && charset != "utf8":
		return LevelASCII
	case env("TERM") == "linux":
		return LevelBlocks
	default:
		return LevelBraille
	}
}

// DetectDepth chooses the number of colours. Flag is the value of --color:
// never, 16, 256 or true; if empty, a NO_COLOR that is not empty means never,
// and otherwise TERM and COLORTERM decide. Env is usually os.Getenv.
func DetectDepth(flag string, env func(string) string) (Depth, error) {
	switch flag {
	case "never":
		return DepthMono, nil
	case "16":
		return Depth16, nil
	case "256":
		return Depth256, nil
	case "true":
		return DepthTrue, nil
	case "":
	default:
		return DepthMono, fmt.Errorf("--color %q: want never, 16, 256 or true", flag)
	}

	term := env("TERM")
	switch {
	case env("NO_COLOR") != "" || term == "" || term == "dumb" || hasPrefix(term, "vt", "wy", "adm"):
		return DepthMono, nil
	case term == "linux":
		return Depth16, nil // approximates all others by these
	}
	switch env("COLORTERM") {
	case "truecolor", "24bit", "24-bit":
		return DepthTrue, nil
	}
	switch {
	case hasPrefix(term, "alacritty", "contour", "foot", "wezterm", "xterm-ghostty", "xterm-kitty"),
		strings.HasSuffix(term, "-direct"), strings.HasSuffix(term, "-truecolor"):
		return DepthTrue, nil
	case strings.Contains(term, "256color"):
		return Depth256, nil
	default:
		return Depth16, nil
	}
}

func hasPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
