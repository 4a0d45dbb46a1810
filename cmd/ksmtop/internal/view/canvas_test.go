package view

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/internal/text"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// golden compares got with testdata/name.golden, or writes it under -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", file, got, want)
	}
}

var levelNames = [numLevels]string{"ascii", "blocks", "braille"}

// drawPrimitives draws one of everything, at the size of the canvas.
func drawPrimitives(c *Canvas) {
	w, h := c.Size()
	nan := math.NaN()
	c.Title(0, 0, w/2, "Savings", "3.5G")
	c.Title(w/2, 0, w-w/2, "ksmd", "")
	x := c.Text(1, 1, Status, "LIVE")
	x = c.Bytes(x+1, 1, Normal, []byte("db1"))
	c.Text(x+1, 1, Bad, "esc\x1b[31m 世界 e\u0301 \u202e")
	c.TextIn(1, 2, 12, Dim, "cut in 世界 the middle")
	c.TextIn(14, 2, 12, Tagged, "padded")
	c.TextRight(27, 2, 8, Good, "1234")
	c.BytesRight(36, 2, 4, Warn, []byte("12345"))
	c.Meter(1, 3, 18, Meter, 0.3)
	c.Meter(20, 3, 10, Meter, nan)
	c.Stack(31, 3, w-32,
		Part{114284, '#', Good}, Part{948551, '=', Meter}, Part{1402117, '.', Dim}, Part{88020, '~', Warn})
	values := []float64{0, 1, 2, 3, nan, 5, 8, 13, -2, -8, 0, nan, 21, 13, 8, 5, 3, 2, 1, 0}
	c.Spark(1, 4, 24, Chart, values, 21)
	p := c.Sub(1, 5, 12, 4)
	p.Chart(Chart, values, -10, 21)
	q := c.Sub(14, 5, 12, 4)
	q.Chart(Chart, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 0, 12)
	g := c.Glyphs()
	c.Text(28, 5, Normal, g.Open+" "+g.Cursor+g.Tag+" "+g.Ascending+g.Descending)
	c.Text(28, 6, Normal, g.TreeChild+"a")
	c.Text(28, 7, Normal, g.TreeThrough+g.TreeLast+"b")
	c.VLine(27, 5, 4, Dim)
	c.TextIn(1, 9, w-2, Normal, "selected row")
	c.Text(20, 9, Warn, "warning 世界")
	c.Text(40, 9, Key, "F1")
	c.Select(1, 9, w-2)
	in := c.Box(w/2, h-4, w/2-2, 4, "Unmerge?", "")
	in.TextIn(1, 0, 40, Normal, "writes 2 to /sys/kernel/mm/ksm/run (now 1)")
	in.Fill(1, 1, 40, 9, Heading, "#")
}

func TestPrimitives(t *testing.T) {
	for level := range numLevels {
		t.Run(levelNames[level], func(t *testing.T) {
			c := NewCanvas(60, 16)
			c.SetLevel(level)
			drawPrimitives(c)
			golden(t, "primitives_"+levelNames[level], c.String())
			golden(t, "primitives_"+levelNames[level]+"_roles", c.Roles())
		})
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		name  string
		level Level
		x     int
		s     string
		want  string // the row of 6 cells
		next  int
	}{
		{name: "empty", level: LevelBraille, x: 2, want: "", next: 2},
		{name: "exact", level: LevelBraille, s: "abcdef", want: "abcdef", next: 6},
		{name: "clipped right", level: LevelBraille, x: 4, s: "abcdef", want: "    ab", next: 6},
		{name: "clipped left", level: LevelBraille, x: -2, s: "abcdef", want: "cdef", next: 4},
		{name: "left of everything", level: LevelBraille, x: -9, s: "abc", want: "", next: -6},
		{name: "right of everything", level: LevelBraille, x: 9, s: "abc", want: "", next: 9},
		{name: "wide", level: LevelBraille, x: 1, s: "世a", want: " 世a", next: 4},
		{name: "wide cut right", level: LevelBraille, x: 3, s: "a世b", want: "   a世", next: 6},
		{name: "wide cut right by half", level: LevelBraille, x: 4, s: "a世b", want: "    a", next: 6},
		{name: "wide cut left by half", level: LevelBraille, x: -1, s: "世b", want: " b", next: 2},
		{name: "accent", level: LevelBraille, s: "ae\u0301b", want: "ae\u0301b", next: 3},
		{name: "lone accent", level: LevelBraille, s: "\u0301b", want: "\ufffdb", next: 2},
		{name: "hostile", level: LevelBraille, s: "\x1b[2J\n", want: "\ufffd[2J\ufffd", next: 5},
		{name: "ascii", level: LevelASCII, s: "a世e\u0301\n…", want: "a????", next: 5},
		{name: "blocks", level: LevelBlocks, s: "a世", want: "a世", next: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewCanvas(6, 1)
			c.SetLevel(tt.level)
			if got := c.Text(tt.x, 0, Normal, tt.s); got != tt.next {
				t.Errorf("Text(%d, %q) = %d, want %d", tt.x, tt.s, got, tt.next)
			}
			if got := c.String(); got != tt.want+"\n" {
				t.Errorf("Text(%d, %q) drew %q, want %q", tt.x, tt.s, got, tt.want+"\n")
			}
			b := NewCanvas(6, 1)
			b.SetLevel(tt.level)
			b.Bytes(tt.x, 0, Normal, []byte(tt.s))
			if b.String() != c.String() {
				t.Errorf("Bytes(%d, %q) drew %q, Text %q", tt.x, tt.s, b, c)
			}
		})
	}
}

func TestTextIn(t *testing.T) {
	tests := []struct {
		w    int
		s    string
		want string
	}{
		{0, "abc", "xxxxxx"}, {-1, "abc", "xxxxxx"}, {1, "abc", "…xxxxx"}, {2, "abc", "a…xxxx"}, {3, "abc", "abcxxx"},
		{5, "abc", "abc  x"}, {5, "", "     x"}, {3, "世界", "世…xxx"}, {4, "世界", "世界xx"}, {4, "a世界", "a世…xx"},
		{3, "a世界", "a… xxx"}, {2, "世界", "… xxxx"}, {9, "abcdefgh", "abcdef"},
		{3, "a" + strings.Repeat("\u0301", 999) + "bcd", "\ufffd… xxx"},
	}
	for _, tt := range tests {
		c := NewCanvas(6, 1)
		c.Fill(0, 0, 6, 1, Normal, "x")
		c.TextIn(0, 0, tt.w, Normal, tt.s)
		if got := strings.TrimSuffix(c.String(), "\n"); got != tt.want {
			t.Errorf("TextIn(w=%d, %q) drew %q, want %q", tt.w, tt.s, got, tt.want)
		}
	}
}

func TestTextRight(t *testing.T) {
	tests := []struct {
		w    int
		s    string
		want string
	}{
		{0, "1", "xxxxxx"}, {1, "12", "#xxxxx"}, {2, "12", "12xxxx"}, {4, "12", "  12xx"}, {3, "", "   xxx"}, {4, "世", "  世xx"},
	}
	for _, tt := range tests {
		c := NewCanvas(6, 1)
		c.Fill(0, 0, 6, 1, Normal, "x")
		c.TextRight(0, 0, tt.w, Normal, tt.s)
		if got := strings.TrimSuffix(c.String(), "\n"); got != tt.want {
			t.Errorf("TextRight(w=%d, %q) drew %q, want %q", tt.w, tt.s, got, tt.want)
		}
	}
}

func TestOverwriteWide(t *testing.T) {
	for x, want := range []string{"a 世\n", " a世\n", "世a\n", "世 a\n"} {
		c := NewCanvas(4, 1)
		c.Text(0, 0, Normal, "世世")
		c.Text(x, 0, Normal, "a")
		if got := c.String(); got != want {
			t.Errorf("a at %d over two wide characters = %q, want %q", x, got, want)
		}
	}
	c := NewCanvas(4, 1)
	c.Text(0, 0, Normal, "世世")
	c.Text(1, 0, Normal, "界")
	if got, want := c.String(), " 界\n"; got != want {
		t.Errorf("wide over two halves = %q, want %q", got, want)
	}
}

func TestSub(t *testing.T) {
	tests := []struct {
		x, y, w, h int
		want       string
	}{
		{1, 1, 2, 1, "....\n.##.\n....\n"},
		{-1, -1, 3, 3, "##..\n##..\n....\n"},
		{3, 2, 9, 9, "....\n....\n...#\n"},
		{0, 0, 9, 9, "####\n####\n####\n"},
		{4, 0, 1, 1, "....\n....\n....\n"},
		{1, 1, -1, 2, "....\n....\n....\n"},
	}
	for _, tt := range tests {
		c := NewCanvas(4, 3)
		c.Fill(0, 0, 4, 3, Normal, ".")
		p := c.Sub(tt.x, tt.y, tt.w, tt.h)
		p.Fill(-9, -9, 99, 99, Normal, "#")
		if got := c.String(); got != tt.want {
			t.Errorf("Sub(%d, %d, %d, %d) filled:\n%swant\n%s", tt.x, tt.y, tt.w, tt.h, got, tt.want)
		}
		p.Clear()
		if got := c.String(); strings.Contains(got, "#") || strings.Count(got, ".") != strings.Count(tt.want, ".") {
			t.Errorf("Sub(%d, %d, %d, %d) cleared:\n%s", tt.x, tt.y, tt.w, tt.h, got)
		}
	}
}

func TestCursor(t *testing.T) {
	c := NewCanvas(10, 4)
	p := c.Sub(2, 1, 3, 2)
	p.SetCursor(1, 1)
	if x, y, ok := c.Cursor(); x != 3 || y != 2 || !ok {
		t.Errorf("Cursor() = %d, %d, %t, want 3, 2, true", x, y, ok)
	}
	p.SetCursor(3, 0)
	if _, _, ok := c.Cursor(); ok {
		t.Error("a cursor outside its part shows")
	}
	c.SetCursor(0, 0)
	c.Clear()
	if _, _, ok := c.Cursor(); ok {
		t.Error("Clear leaves the cursor")
	}
}

func TestSelect(t *testing.T) {
	c := NewCanvas(12, 2)
	x := c.Text(1, 0, Normal, "ab")
	x = c.Text(x, 0, Warn, "世")
	x = c.Text(x, 0, Selected, "s")
	c.Text(x, 0, Status, "u")
	c.Select(-3, 0, 14)
	c.Select(0, 2, 9)
	if got, want := c.Roles(), "sssWWsUssss.\n............\n"; got != want {
		t.Errorf("Roles() = %q, want %q", got, want)
	}
	c.Clear()
	if got, want := c.Roles(), strings.Repeat("............\n", 2); got != want {
		t.Errorf("Roles() after Clear = %q, want %q", got, want)
	}
}

func TestTitle(t *testing.T) {
	tests := []struct {
		w           int
		title, note string
		want        string
	}{
		{20, "Savings", "3.5G", "─ Savings ─── 3.5G ─"},
		{18, "Savings", "3.5G", "─ Savings ─ 3.5G ─"},
		{17, "Savings", "3.5G", "─ Savings ───────"},
		{11, "Savings", "", "─ Savings ─"},
		{9, "Savings", "", "─ Savi… ─"},
		{4, "Savings", "x", "────"},
		{12, "", "note", "───── note ─"},
		{0, "Savings", "x", ""},
	}
	for _, tt := range tests {
		c := NewCanvas(30, 1)
		c.Title(0, 0, tt.w, tt.title, tt.note)
		if got := strings.TrimSuffix(c.String(), "\n"); got != tt.want {
			t.Errorf("Title(w=%d, %q, %q) = %q, want %q", tt.w, tt.title, tt.note, got, tt.want)
		}
	}
}

func TestInternIsBounded(t *testing.T) {
	c := NewCanvas(4, 1)
	for i := range 3 * maxInterned {
		c.Text(0, 0, Normal, string(rune(0x4e00+i)))
	}
	if n := len(c.g.interned); n > maxInterned {
		t.Errorf("%d strings kept, want at most %d", n, maxInterned)
	}
}

func TestNoAllocation(t *testing.T) {
	c := NewCanvas(120, 40)
	for level := range numLevels {
		c.SetLevel(level)
		drawPrimitives(c)
		row := []byte("名前 row")
		n := testing.AllocsPerRun(20, func() {
			c.Clear()
			c.Resize(120, 40)
			drawRow(c, row)
		})
		if n != 0 {
			t.Errorf("%s: drawing again allocates %v times", levelNames[level], n)
		}
	}
}

var rowValues = []float64{1, 2, 3, math.NaN(), -4}

// drawRow draws on every path that a refresh takes.
func drawRow(c *Canvas, row []byte) {
	c.Bytes(1, 1, Normal, row)
	c.Text(1, 2, Bad, "esc\x1b世")
	c.TextIn(1, 3, 5, Normal, "名前名前")
	c.BytesRight(1, 4, 20, Normal, row)
	c.Title(0, 0, 120, "世", "note")
	c.Meter(0, 5, 20, Meter, 0.5)
	c.Stack(0, 6, 20, Part{1, '#', Good}, Part{2, '=', Meter})
	c.Spark(0, 7, 20, Chart, rowValues, 3)
	p := c.Sub(0, 8, 20, 4)
	p.Chart(Chart, rowValues, -4, 3)
	q := c.Box(30, 8, 20, 4, "Box", "")
	q.Text(0, 0, Normal, "in")
	c.Select(0, 9, 120)
}

// checkCanvas fails the test unless the canvas obeys its laws: every cell holds
// one clean cluster, and wide characters are whole.
func checkCanvas(t *testing.T, c *Canvas) {
	t.Helper()
	w, h := c.Size()
	for y := range h {
		for x := range w {
			s, width, role, _ := c.Cell(x, y)
			if role >= numRoles {
				t.Fatalf("cell %d,%d has role %d", x, y, role)
			}
			switch width {
			case 0:
				if _, left, _, _ := c.Cell(x-1, y); x == 0 || left != 2 || s != "" {
					t.Fatalf("cell %d,%d is the right half of nothing: %q", x, y, s)
				}
			case 2:
				if _, right, _, _ := c.Cell(x+1, y); x+1 >= w || right != 0 {
					t.Fatalf("cell %d,%d %q has no right half", x, y, s)
				}
				fallthrough
			case 1:
				if n, cells := text.Next([]byte(s)); n != len(s) || cells != width || text.Clean(s) != s {
					t.Fatalf("cell %d,%d holds %q, %d cells", x, y, s, width)
				}
				for _, r := range s {
					if !unicode.IsPrint(r) || c.g.glyphs.Level == LevelASCII && r >= utf8.RuneSelf {
						t.Fatalf("cell %d,%d holds %U at level %d", x, y, r, c.g.glyphs.Level)
					}
				}
			default:
				t.Fatalf("cell %d,%d is %d wide", x, y, width)
			}
		}
	}
	if n := strings.Count(c.String(), "\n"); n != h {
		t.Fatalf("String() has %d lines, want %d", n, h)
	}
	if n := len(c.Roles()); n != (w+1)*h {
		t.Fatalf("Roles() has %d bytes, want %d", n, (w+1)*h)
	}
}

func FuzzCanvas(f *testing.F) {
	f.Add(uint16(0), uint16(0), 0, 0, 0, "", 0.5, uint64(1))
	f.Add(uint16(80), uint16(24), -1, 3, 5, "世界\x1b[2J", -1.0, uint64(1<<63))
	f.Add(uint16(300), uint16(3), 299, 0, 2, "e\u0301", math.Inf(1), uint64(0))
	f.Fuzz(func(t *testing.T, w, h uint16, x, y, n int, s string, v float64, part uint64) {
		c := NewCanvas(1, 1)
		c.Resize(int(w%301), int(h%301))
		x, y, n = x%1000, y%1000, n%1000 // screens are smaller; beyond, x+w overflows
		for level := range numLevels {
			c.SetLevel(level)
			c.Clear()
			// A frame of '#' around the part shows what is drawn outside it.
			c.Fill(0, 0, int(w), int(h), Normal, "#")
			p := c.Sub(2, 2, int(w%301)-4, int(h%301)-4)
			p.Clear()
			drawPrimitives(&p)
			next := p.Text(x, y, Bad, s)
			if pw, _ := p.Size(); next > max(x, pw) {
				t.Fatalf("Text(%d, %q) = %d on %d cells", x, s, next, pw)
			}
			p.Bytes(y, x, Warn, []byte(s))
			p.TextIn(x, y, n, Good, s)
			p.TextRight(x, n, y, Good, s)
			p.Fill(x, y, n, n, Dim, s)
			p.Meter(x, y, n, Meter, v)
			p.Stack(x, y, n, Part{part, '#', Good}, Part{1 << 62, '\n', Bad}, Part{0, '=', Dim})
			p.Spark(x, y, n, Chart, []float64{v, -v, 1, math.NaN()}, v)
			p.Title(x, y, n, s, s)
			q := p.Box(x, y, n, n, s, s)
			q.Chart(Chart, []float64{v, -v, 1, math.NaN(), v / 2}, -v, v)
			p.Select(x, y, n)
			checkCanvas(t, c)
			for i := range c.g.cells {
				cx, cy := i%c.g.w, i/c.g.w
				outside := cx < 2 || cy < 2 || cx >= c.g.w-2 || cy >= c.g.h-2
				if outside && c.g.cells[i] != (cell{s: "#", width: 1}) {
					t.Fatalf("cell %d,%d outside the part was drawn: %q", cx, cy, c.g.cells[i].s)
				}
			}
		}
	})
}

// FuzzText holds a row drawn at 0 equal to the simple way: clean, cut, print.
func FuzzText(f *testing.F) {
	f.Add("abc世e\u0301", uint8(4))
	f.Add("\u0301\x00🇩🇪", uint8(9))
	f.Fuzz(func(t *testing.T, s string, w uint8) {
		c := NewCanvas(int(w), 1)
		c.Text(0, 0, Normal, s)
		if len(s) > text.MaxClusterBytes {
			return // a cluster longer than that may end early: see drawClusters
		}
		want := strings.TrimRight(text.Truncate(text.Clean(s), int(w)), " ")
		if got := strings.TrimSuffix(c.String(), "\n"); got != want {
			t.Errorf("%q on %d cells = %q, want %q", s, w, got, want)
		}
	})
}

func BenchmarkDraw(b *testing.B) {
	for name, s := range map[string]string{"text=ascii": strings.Repeat("qemu ", 40), "text=cjk": strings.Repeat("名前", 50)} {
		b.Run(name, func(b *testing.B) {
			c := NewCanvas(200, 60)
			b.ReportAllocs()
			for b.Loop() {
				c.Clear()
				for y := range 60 {
					c.Text(0, y, Normal, s)
				}
			}
		})
	}
}
