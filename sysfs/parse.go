package sysfs

import (
	"bytes"
	"math"
	"strconv"
)

// The kernel prints a number as decimal digits and one newline. The newline
// may be missing in copied trees; anything else is malformed. These parsers
// allocate only when they fail.

// parseUnsigned reads a value of at most max.
func parseUnsigned(text []byte, max uint64) (uint64, error) {
	digits := bytes.TrimSuffix(text, newline)
	n, err := decimal(digits)
	if err == nil && n > max {
		err = strconv.ErrRange
	}
	if err != nil {
		return 0, valueError(digits, err)
	}
	return n, nil
}

// parseSigned reads a value that may have a minus sign.
func parseSigned(text []byte) (int64, error) {
	digits := bytes.TrimSuffix(text, newline)
	magnitude, limit := digits, uint64(math.MaxInt64)
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		magnitude, limit = digits[1:], uint64(math.MaxInt64)+1
		if len(magnitude) == 0 {
			return 0, valueError(digits, strconv.ErrSyntax)
		}
	}
	n, err := decimal(magnitude)
	if err == nil && n > limit {
		err = strconv.ErrRange
	}
	if err != nil {
		return 0, valueError(digits, err)
	}
	if negative {
		return int64(-n), nil // two's complement: right for 2^63 too
	}
	return int64(n), nil
}

// decimal reads digits only: no sign, no blank, no underscore.
func decimal(digits []byte) (uint64, error) {
	if len(digits) == 0 {
		return 0, errEmpty
	}
	var n uint64
	tooLarge := false
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, strconv.ErrSyntax
		}
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			tooLarge = true
		}
		n = n*10 + d
	}
	if tooLarge {
		return 0, strconv.ErrRange
	}
	return n, nil
}

// parseChosen returns the word in brackets of a list like "[none] scan-time".
func parseChosen(text []byte) ([]byte, error) {
	line := bytes.TrimSuffix(text, newline)
	if len(line) == 0 {
		return nil, valueError(line, errEmpty)
	}
	for _, c := range line {
		if c < ' ' || c > '~' { // a word is shown to people: no escape sequences
			return nil, valueError(line, strconv.ErrSyntax)
		}
	}
	before, rest, found := bytes.Cut(line, []byte{'['})
	word, after, closed := bytes.Cut(rest, []byte{']'})
	if !found || !closed || len(word) == 0 || bytes.ContainsAny(word, "[ ") ||
		bytes.ContainsAny(before, "]") || bytes.ContainsAny(after, "[]") {
		return nil, valueError(line, strconv.ErrSyntax)
	}
	return word, nil
}

var newline = []byte{'\n'}
