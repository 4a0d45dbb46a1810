// Package text makes text from other processes harmless before it is shown,
// and measures it in terminal cells.
//
// Names of processes and mappings, command lines and file contents are chosen
// by whoever runs the process: they may hold escape sequences, line breaks,
// characters that reverse the direction of the line, and invisible characters
// that make two names look alike. Clean text holds none of them. It consists
// of clusters (what a reader takes for one character: a base and its accents)
// that each occupy one or two cells.
//
// Replaced are: control characters, line and paragraph separators, format
// characters (among them the bidirectional controls and zero-width joiners),
// variation selectors and other characters without a picture, spaces other
// than U+0020, unassigned and private-use characters, noncharacters, bytes
// that are not UTF-8, marks that have nothing to stand on, and clusters wider
// than two cells or longer than eight characters. Each is replaced by one
// U+FFFD, or by one question mark in ASCII.
package text

import (
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

const (
	replacement = "\ufffd"

	// clusterRunes is the largest number of characters in one cluster. Real
	// writing needs three or four; stacks of accents overflow into other lines.
	clusterRunes = 8
)

// MaxClusterBytes is the largest size of one cluster of clean text, in bytes.
const MaxClusterBytes = clusterRunes * utf8.UTFMax

// Clean returns s with everything replaced that could harm a terminal or
// mislead a reader. It returns s itself, without allocating, if s is clean.
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	return string(Append(nil, s))
}

// ASCII is Clean for terminals that show ASCII only: whatever is not
// printable ASCII becomes a question mark, one a cluster.
func ASCII(s string) string {
	if len(s) == asciiPrefix(s) {
		return s
	}
	return string(AppendASCII(nil, s))
}

// Append appends the clean form of s to dst.
func Append[T ~string | ~[]byte](dst []byte, s T) []byte {
	start := len(dst)
	n := asciiPrefix(s)
	dst = append(dst, s[:n]...)
	if n == len(s) {
		return dst
	}
	dst = appendRunes(dst, s, n)

	// The second pass works in place: no replaced cluster is shorter than the
	// three bytes of U+FFFD, since marks at the start are gone already.
	out := start
	for rest := dst[start:]; len(rest) > 0; {
		var cluster []byte
		var width int
		cluster, rest, width, _ = uniseg.FirstGraphemeCluster(rest, -1)
		if drawable(utf8.RuneCount(cluster), width) {
			out += copy(dst[out:], cluster)
		} else {
			out += copy(dst[out:], replacement)
		}
	}
	return dst[:out]
}

// appendRunes appends s from index i on, with every bad character replaced.
func appendRunes[T ~string | ~[]byte](dst []byte, s T, i int) []byte {
	for first := i == 0; i < len(s); first = false {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c > '~' {
				dst = append(dst, replacement...)
			} else {
				dst = append(dst, c)
			}
			i++
			continue
		}
		var buf [utf8.UTFMax]byte
		n := copy(buf[:], s[i:])
		r, size := utf8.DecodeRune(buf[:n])
		if size == 1 || !printable(r) || first && unicode.Is(unicode.M, r) {
			dst = append(dst, replacement...)
		} else {
			dst = append(dst, buf[:size]...)
		}
		i += size
	}
	return dst
}

// AppendASCII appends the ASCII form of s to dst: see ASCII.
func AppendASCII[T ~string | ~[]byte](dst []byte, s T) []byte {
	start := len(dst)
	dst = Append(dst, s)
	out := start
	for rest := dst[start:]; len(rest) > 0; {
		n, _ := Next(rest)
		c := rest[0]
		if n > 1 || c >= utf8.RuneSelf {
			c = '?'
		}
		dst[out] = c
		out++
		rest = rest[n:]
	}
	return dst[:out]
}

// Next returns the size in bytes and the width in cells, one or two, of the
// first cluster of clean text. Both are zero if s is empty.
func Next(s []byte) (size, width int) {
	if len(s) == 1 || len(s) > 1 && s[0] < utf8.RuneSelf && s[1] < utf8.RuneSelf {
		return 1, 1
	}
	cluster, _, width, _ := uniseg.FirstGraphemeCluster(s, -1)
	return len(cluster), width
}

// next is Next for strings.
func next(s string) (size, width int) {
	if len(s) == 1 || len(s) > 1 && s[0] < utf8.RuneSelf && s[1] < utf8.RuneSelf {
		return 1, 1
	}
	cluster, _, width, _ := uniseg.FirstGraphemeClusterInString(s, -1)
	return len(cluster), width
}

// Width returns the number of cells that clean text occupies.
func Width(s string) int {
	cells := 0
	for len(s) > 0 {
		n, w := next(s)
		s = s[n:]
		cells += w
	}
	return cells
}

// Truncate returns the longest beginning of clean text that fits into the
// given number of cells. A cluster is never cut in two, so the result may be
// one cell narrower.
func Truncate(s string, cells int) string {
	end := 0
	for end < len(s) {
		n, w := next(s[end:])
		if w > cells {
			break
		}
		cells -= w
		end += n
	}
	return s[:end]
}

// asciiPrefix returns the length of the beginning of s that is clean whatever
// follows: printable ASCII, less a last character that may carry a mark.
func asciiPrefix[T ~string | ~[]byte](s T) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' {
			return max(i-1, 0)
		}
	}
	return len(s)
}

func isClean(s string) bool {
	s = s[asciiPrefix(s):]
	if !utf8.ValidString(s) {
		return false
	}
	for first := true; len(s) > 0; first = false {
		cluster, rest, width, _ := uniseg.FirstGraphemeClusterInString(s, -1)
		runes := 0
		for i, r := range cluster {
			if !printable(r) {
				return false
			}
			if first && i == 0 && unicode.Is(unicode.M, r) {
				return false
			}
			runes++
		}
		if !drawable(runes, width) {
			return false
		}
		s = rest
	}
	return true
}

// drawable reports whether a cluster of so many characters and cells can be
// one thing on a screen. U+2E3B is four cells wide; a lone skin tone has none.
func drawable(runes, width int) bool {
	return runes <= clusterRunes && (width == 1 || width == 2)
}

// printable reports whether r has a picture of its own, or is a mark, or a
// plain space.
func printable(r rune) bool {
	return unicode.IsPrint(r) &&
		!unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
