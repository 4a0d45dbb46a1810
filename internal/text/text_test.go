package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := []struct {
		name, in, want, ascii string
	}{
		{name: "empty"},
		{name: "plain", in: "qemu -name x ~", want: "qemu -name x ~", ascii: "qemu -name x ~"},
		{name: "escape", in: "a\x1b[31mb", want: "a\ufffd[31mb", ascii: "a?[31mb"},
		{name: "c0", in: "\x00a\tb\r\nc\x7f", want: "\ufffda\ufffdb\ufffd\ufffdc\ufffd", ascii: "?a?b??c?"},
		{name: "c1", in: "a\u009b31m\u0085", want: "a\ufffd31m\ufffd", ascii: "a?31m?"},
		{name: "raw c1 byte", in: "a\x9b31m", want: "a\ufffd31m", ascii: "a?31m"},
		{name: "truncated rune", in: "a\xe4\xb8", want: "a\ufffd\ufffd", ascii: "a??"},
		{name: "surrogate", in: "\xed\xa0\x80", want: "\ufffd\ufffd\ufffd", ascii: "???"},
		{name: "overlong", in: "\xc0\xaf", want: "\ufffd\ufffd", ascii: "??"},
		{name: "bidi", in: "\u202ea\u2066b\u200fc\u061c", want: "\ufffda\ufffdb\ufffdc\ufffd", ascii: "?a?b?c?"},
		{name: "zero width", in: "a\u200bb\u200dc\ufeffd\u00ade", want: "a\ufffdb\ufffdc\ufffdd\ufffde", ascii: "a?b?c?d?e"},
		{name: "no picture", in: "a\u3164b\u115fc\u034fd\ufe0fe", want: "a\ufffdb\ufffdc\ufffdd\ufffde", ascii: "a?b?c?d?e"},
		{name: "tags", in: "a\U000e0041\U000e0101", want: "a\ufffd\ufffd", ascii: "a??"},
		{name: "separators", in: "a\u2028b\u2029", want: "a\ufffdb\ufffd", ascii: "a?b?"},
		{name: "spaces", in: "a\u00a0b\u3000c\u2003", want: "a\ufffdb\ufffdc\ufffd", ascii: "a?b?c?"},
		{name: "private, unassigned", in: "\ue000\U0010fffd\ufdd0\uffff\u0378", want: strings.Repeat("\ufffd", 5), ascii: "?????"},
		{name: "replacement", in: "\ufffd", want: "\ufffd", ascii: "?"},
		{name: "mark at start", in: "\u0301a", want: "\ufffda", ascii: "?a"},
		{name: "marks at start", in: "\u0301\u0302a", want: "\ufffd\u0302a", ascii: "?a"},
		{name: "accent", in: "ae\u0301o", want: "ae\u0301o", ascii: "a?o"},
		{name: "wide", in: "世界a", want: "世界a", ascii: "??a"},
		{name: "emoji", in: "👍🏽🇩🇪", want: "👍🏽🇩🇪", ascii: "??"},
		{name: "lone skin tone", in: "🏽a", want: "\ufffda", ascii: "?a"},
		{name: "stack of accents", in: "a" + strings.Repeat("\u0301", 8) + "b", want: "\ufffdb", ascii: "?b"},
		{name: "highest allowed stack", in: "a" + strings.Repeat("\u0301", 7), want: "a" + strings.Repeat("\u0301", 7), ascii: "?"},
		{name: "three cells", in: "a\u2e3ab", want: "a\ufffdb", ascii: "a?b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Clean(tt.in); got != tt.want {
				t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.want)
			}
			if got := ASCII(tt.in); got != tt.ascii {
				t.Errorf("ASCII(%q) = %q, want %q", tt.in, got, tt.ascii)
			}
			if got := string(Append([]byte("<"), []byte(tt.in))); got != "<"+tt.want {
				t.Errorf("Append(%q) = %q, want %q", tt.in, got, "<"+tt.want)
			}
			if got := string(AppendASCII([]byte("<"), tt.in)); got != "<"+tt.ascii {
				t.Errorf("AppendASCII(%q) = %q, want %q", tt.in, got, "<"+tt.ascii)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	tests := []struct {
		in    string
		cells int
		want  string
	}{
		{"", 3, ""}, {"abc", -1, ""}, {"abc", 0, ""}, {"abc", 2, "ab"}, {"abc", 3, "abc"}, {"abc", 9, "abc"},
		{"世界", 1, ""}, {"世界", 2, "世"}, {"世界", 3, "世"}, {"a世", 2, "a"},
		{"ae\u0301o", 2, "ae\u0301"}, {"🇩🇪x", 2, "🇩🇪"},
	}
	for _, tt := range tests {
		if got := Truncate(tt.in, tt.cells); got != tt.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", tt.in, tt.cells, got, tt.want)
		}
	}
}

func TestWidth(t *testing.T) {
	for in, want := range map[string]int{"": 0, "abc": 3, "世界": 4, "e\u0301": 1, "🇩🇪": 2, "\ufffd": 1, "⣿": 1} {
		if got := Width(in); got != want {
			t.Errorf("Width(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	buf := make([]byte, 0, 256)
	for _, s := range []string{"qemu-system-x86_64 -name web", "名前 e\u0301 🇩🇪"} {
		if n := testing.AllocsPerRun(100, func() { Clean(s) }); n != 0 {
			t.Errorf("Clean(%q) allocates %v times", s, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { buf = Append(buf[:0], "a\x1b世") }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a\x1b[2J", "\u0301\u0302", "世\u200d界", "e\u0301", "🏽", "\u1100\u1161\u11a8", "\u0600a", "\u0915\u093e\u093e", "a\ufe0f", "\xff"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, cells int) {
		c := Clean(s)
		if !utf8.ValidString(c) {
			t.Fatalf("Clean(%q) = %q is not UTF-8", s, c)
		}
		for _, r := range c {
			if !unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Bidi_Control, unicode.Zl, unicode.Zp, unicode.Co) {
				t.Fatalf("Clean(%q) = %q holds %U", s, c, r)
			}
		}
		if again := Clean(c); again != c {
			t.Fatalf("Clean(%q) = %q, and again %q", s, c, again)
		}
		if got := string(Append(nil, s)); got != c {
			t.Fatalf("Append(%q) = %q, Clean says %q", s, got, c)
		}
		if got := string(Append(nil, []byte(s))); got != c {
			t.Fatalf("Append of bytes %q = %q, Clean says %q", s, got, c)
		}

		width := 0
		clusters := 0
		for rest := []byte(c); len(rest) > 0; clusters++ {
			n, w := Next(rest)
			if w < 1 || w > 2 || n < 1 || n > MaxClusterBytes {
				t.Fatalf("Next(%q) = %d bytes, %d cells", rest, n, w)
			}
			width += w
			rest = rest[n:]
		}
		if got := Width(c); got != width {
			t.Fatalf("Width(%q) = %d, its clusters %d", c, got, width)
		}

		short := Truncate(c, cells)
		if w := Width(short); w > max(cells, 0) || !strings.HasPrefix(c, short) {
			t.Fatalf("Truncate(%q, %d) = %q, %d cells", c, cells, short, w)
		}
		if len(short) < len(c) && cells >= 0 && cells-Width(short) > 1 {
			t.Fatalf("Truncate(%q, %d) = %q leaves room unused", c, cells, short)
		}

		a := ASCII(s)
		if len(a) != clusters {
			t.Fatalf("ASCII(%q) = %q, want one byte for each of %d clusters", s, a, clusters)
		}
		for i := range len(a) {
			if a[i] < ' ' || a[i] > '~' {
				t.Fatalf("ASCII(%q) = %q", s, a)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for name, s := range map[string]string{
		"text=ascii": strings.Repeat("qemu -name web ", 16),
		"text=cjk":   strings.Repeat("名前 ", 34),
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 1024)
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], s)
			}
		})
	}
}
