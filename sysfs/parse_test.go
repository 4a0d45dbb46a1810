package sysfs

import (
	"errors"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestParseUnsigned(t *testing.T) {
	tests := []struct {
		name    string
		text    string
		max     uint64
		want    uint64
		wantErr error
	}{
		{name: "empty", text: "", max: math.MaxUint64, wantErr: errEmpty},
		{name: "newline only", text: "\n", max: math.MaxUint64, wantErr: errEmpty},
		{name: "zero", text: "0\n", max: math.MaxUint64},
		{name: "zero where only zero may be", text: "0\n", max: 0},
		{name: "one past zero", text: "1\n", max: 0, wantErr: strconv.ErrRange},
		{name: "no newline", text: "42", max: math.MaxUint64, want: 42},
		{name: "leading zeros", text: "0000000000000000000000042\n", max: math.MaxUint64, want: 42},
		{name: "largest", text: "18446744073709551615\n", max: math.MaxUint64, want: math.MaxUint64},
		{name: "one past the largest", text: "18446744073709551616\n", max: math.MaxUint64, wantErr: strconv.ErrRange},
		{name: "wraps to a small number", text: "184467440737095516160\n", max: math.MaxUint64, wantErr: strconv.ErrRange},
		{name: "largest of 32 bits", text: "4294967295\n", max: math.MaxUint32, want: math.MaxUint32},
		{name: "one past 32 bits", text: "4294967296\n", max: math.MaxUint32, wantErr: strconv.ErrRange},
		{name: "minus", text: "-1\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "minus zero", text: "-0\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "plus", text: "+1\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "leading blank", text: " 1\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "trailing blank", text: "1 \n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "two newlines", text: "1\n\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "carriage return", text: "1\r\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "hexadecimal", text: "0x10\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "underscore", text: "1_000\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "fraction", text: "1.0\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "letter behind too many digits", text: "99999999999999999999x\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "zero byte", text: "1\x00\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
		{name: "digits of another script", text: "١\n", max: math.MaxUint64, wantErr: strconv.ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseUnsigned([]byte(tt.text), tt.max)
			if !errors.Is(err, tt.wantErr) || got != tt.want {
				t.Errorf("parseUnsigned(%q, %d) = %d, %v, want %d, %v", tt.text, tt.max, got, err, tt.want, tt.wantErr)
			}
			checkValueError(t, tt.text, err)
		})
	}
}

func TestParseSigned(t *testing.T) {
	tests := []struct {
		name    string
		text    string
		want    int64
		wantErr error
	}{
		{name: "empty", text: "", wantErr: errEmpty},
		{name: "newline only", text: "\n", wantErr: errEmpty},
		{name: "zero", text: "0\n"},
		{name: "minus zero", text: "-0\n"},
		{name: "negative", text: "-29676160\n", want: -29676160},
		{name: "no newline", text: "-1", want: -1},
		{name: "largest", text: "9223372036854775807\n", want: math.MaxInt64},
		{name: "one past the largest", text: "9223372036854775808\n", wantErr: strconv.ErrRange},
		{name: "smallest", text: "-9223372036854775808\n", want: math.MinInt64},
		{name: "one past the smallest", text: "-9223372036854775809\n", wantErr: strconv.ErrRange},
		{name: "2^64", text: "18446744073709551616\n", wantErr: strconv.ErrRange},
		{name: "-2^64", text: "-18446744073709551616\n", wantErr: strconv.ErrRange},
		{name: "minus only", text: "-\n", wantErr: strconv.ErrSyntax},
		{name: "two minus signs", text: "--1\n", wantErr: strconv.ErrSyntax},
		{name: "minus behind", text: "1-\n", wantErr: strconv.ErrSyntax},
		{name: "plus", text: "+1\n", wantErr: strconv.ErrSyntax},
		{name: "blank behind the sign", text: "- 1\n", wantErr: strconv.ErrSyntax},
		{name: "newline behind the sign", text: "-\n1", wantErr: strconv.ErrSyntax},
		{name: "two newlines", text: "-1\n\n", wantErr: strconv.ErrSyntax},
		{name: "carriage return", text: "-1\r\n", wantErr: strconv.ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSigned([]byte(tt.text))
			if !errors.Is(err, tt.wantErr) || got != tt.want {
				t.Errorf("parseSigned(%q) = %d, %v, want %d, %v", tt.text, got, err, tt.want, tt.wantErr)
			}
			checkValueError(t, tt.text, err)
		})
	}
}

func TestParseChosen(t *testing.T) {
	tests := []struct {
		name    string
		text    string
		want    string
		wantErr error
	}{
		{name: "empty", text: "", wantErr: errEmpty},
		{name: "newline only", text: "\n", wantErr: errEmpty},
		{name: "first", text: "[none] scan-time\n", want: "none"},
		{name: "last", text: "none [scan-time]\n", want: "scan-time"},
		{name: "middle", text: "none [scan-time] later\n", want: "scan-time"},
		{name: "only one", text: "[none]\n", want: "none"},
		{name: "no newline", text: "[none] scan-time", want: "none"},
		{name: "one letter", text: "[a]\n", want: "a"},
		{name: "no word", text: "[] none\n", wantErr: strconv.ErrSyntax},
		{name: "nothing chosen", text: "none scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "two chosen", text: "[none] [scan-time]\n", wantErr: strconv.ErrSyntax},
		{name: "not closed", text: "[none scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "not opened", text: "none] scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "closed before it is opened", text: "no] [ne] scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "nested", text: "[[none]] scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "opened again in the word", text: "[no[ne] scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "opened again behind it", text: "[none] [scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "closed again behind it", text: "[none] scan-time]\n", wantErr: strconv.ErrSyntax},
		{name: "blank in the word", text: "[no ne] scan-time\n", wantErr: strconv.ErrSyntax},
		{name: "two newlines", text: "[none] scan-time\n\n", wantErr: strconv.ErrSyntax},
		{name: "two lines", text: "none\n[scan-time]\n", wantErr: strconv.ErrSyntax},
		{name: "newline in the word", text: "[no\nne]\n", wantErr: strconv.ErrSyntax},
		{name: "carriage return", text: "[none] scan-time\r\n", wantErr: strconv.ErrSyntax},
		{name: "escape sequence", text: "[\x1b]0;owned\x07] none\n", wantErr: strconv.ErrSyntax},
		{name: "escape byte in the word", text: "[\x1b(0] none\n", wantErr: strconv.ErrSyntax},
		{name: "C1 control", text: "[\x9b2J] none\n", wantErr: strconv.ErrSyntax},
		{name: "right to left", text: "[\u202eenon] none\n", wantErr: strconv.ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseChosen([]byte(tt.text))
			if !errors.Is(err, tt.wantErr) || string(got) != tt.want {
				t.Errorf("parseChosen(%q) = %q, %v, want %q, %v", tt.text, got, err, tt.want, tt.wantErr)
			}
			checkValueError(t, tt.text, err)
		})
	}
}

func TestValueErrorIsShort(t *testing.T) {
	_, err := parseUnsigned([]byte(strings.Repeat("\x1b", 1<<20)), math.MaxUint64)
	want := `"` + strings.Repeat(`\x1b`, 64) + `": invalid syntax`
	if err == nil || err.Error() != want {
		t.Errorf("parseUnsigned(1 MiB of ESC) = %v, want %s", err, want)
	}
}

// checkValueError checks that err, if there is one, is a *ValueError with the
// beginning of text, and that its message is safe to print.
func checkValueError(t *testing.T, text string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var e *ValueError
	if !errors.As(err, &e) {
		t.Fatalf("error of %q is a %T, want a *ValueError", text, err)
	}
	if !strings.HasPrefix(text, e.Text) || len(e.Text) > 64 {
		t.Errorf("ValueError.Text = %q, want at most 64 bytes of the beginning of %q", e.Text, text)
	}
	for _, r := range e.Error() {
		if !strconv.IsPrint(r) {
			t.Errorf("message %q holds %q", e.Error(), r)
		}
	}
}

// oneNumber matches what the kernel prints for a number, and what is left of it
// without the newline.
var oneNumber = regexp.MustCompile(`\A(-?[0-9]+)\n?\z`)

// slowNumber is the obvious way to parse a number: any number of digits, and
// then a comparison.
func slowNumber(text []byte, least, most *big.Int) (*big.Int, error) {
	if len(text) == 0 || string(text) == "\n" {
		return nil, errEmpty
	}
	match := oneNumber.FindSubmatch(text)
	if match == nil || (match[1][0] == '-' && least.Sign() == 0) {
		return nil, strconv.ErrSyntax
	}
	n, _ := new(big.Int).SetString(string(match[1]), 10)
	if n.Cmp(least) < 0 || n.Cmp(most) > 0 {
		return nil, strconv.ErrRange
	}
	return n, nil
}

func FuzzParseUnsigned(f *testing.F) {
	for _, text := range []string{"", "\n", "0", "7\n", "18446744073709551615\n", "18446744073709551616", "-1", "1\n\n", "٣"} {
		f.Add([]byte(text), uint64(math.MaxUint64))
		f.Add([]byte(text), uint64(6))
	}
	f.Fuzz(func(t *testing.T, text []byte, most uint64) {
		got, err := parseUnsigned(text, most)
		want, wantErr := slowNumber(text, new(big.Int), new(big.Int).SetUint64(most))
		if !errors.Is(err, wantErr) || wantErr == nil && got != want.Uint64() {
			t.Errorf("parseUnsigned(%q, %d) = %d, %v, want %v, %v", text, most, got, err, want, wantErr)
		}
	})
}

func FuzzParseSigned(f *testing.F) {
	for _, text := range []string{"", "-", "-0\n", "-9223372036854775808\n", "-9223372036854775809", "9223372036854775807", "--1", "-\n1"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseSigned(text)
		want, wantErr := slowNumber(text, big.NewInt(math.MinInt64), big.NewInt(math.MaxInt64))
		if !errors.Is(err, wantErr) || wantErr == nil && got != want.Int64() {
			t.Errorf("parseSigned(%q) = %d, %v, want %v, %v", text, got, err, want, wantErr)
		}
	})
}

// oneChosen matches a line of printable ASCII with exactly one pair of
// brackets, around a word.
var oneChosen = regexp.MustCompile(`\A[ -Z\\^-~]*\[([!-Z\\^-~]+)\][ -Z\\^-~]*\n?\z`)

func FuzzParseChosen(f *testing.F) {
	for _, text := range []string{"", "[none] scan-time\n", "none [scan-time]\n", "[a][b]", "]\n[a]", "[\x1b]", "[]", "\\[^]\n\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseChosen(text)
		match := oneChosen.FindSubmatch(text)
		if match == nil {
			if err == nil {
				t.Errorf("parseChosen(%q) = %q, want an error", text, got)
			}
			return
		}
		if err != nil || string(got) != string(match[1]) {
			t.Errorf("parseChosen(%q) = %q, %v, want %q", text, got, err, match[1])
		}
	})
}
