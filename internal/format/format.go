// Package format writes quantities for people. Every function appends to a
// buffer, so that a table is drawn without allocating.
package format

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes appends n bytes with three digits and a binary unit, as "3.62 GiB".
func Bytes(dst []byte, n int64) []byte {
	return scaled(dst, n, bytesLong[:])
}

// Short appends n bytes in at most five characters, or six if it is negative,
// as "3.62G".
func Short(dst []byte, n int64) []byte {
	return scaled(dst, n, bytesShort[:])
}

var (
	bytesLong  = [...]string{" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"}
	bytesShort = [...]string{"", "K", "M", "G", "T", "P", "E"}
)

// scaled writes n in the largest unit in which it is at least 1.
func scaled(dst []byte, n int64, units []string) []byte {
	magnitude := uint64(n)
	if n < 0 {
		dst = append(dst, '-')
		magnitude = -magnitude
	}
	if magnitude < 1024 {
		dst = strconv.AppendUint(dst, magnitude, 10)
		return append(dst, units[0]...)
	}
	f, unit := float64(magnitude), 0
	for f >= 1023.5 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return append(threeDigits(dst, f), units[unit]...)
}

// threeDigits writes f >= 0 with three significant digits, or all digits
// before the point if they are more.
func threeDigits(dst []byte, f float64) []byte {
	digits := 0
	switch {
	case f < 9.995:
		digits = 2
	case f < 99.95:
		digits = 1
	}
	return strconv.AppendFloat(dst, f, 'f', digits, 64)
}

// Count appends n in groups of three digits, as "2 552 972".
func Count(dst []byte, n uint64) []byte {
	start := len(dst)
	dst = strconv.AppendUint(dst, n, 10)
	digits := len(dst) - start
	for i := 3; i < digits; i += 3 {
		at := start + digits - i
		dst = append(dst, 0)
		copy(dst[at+1:], dst[at:])
		dst[at] = ' '
	}
	return dst
}

// Things appends a number of things, as "1 full scan" or "2 552 972 pages".
func Things(dst []byte, n uint64, thing string) []byte {
	return append(append(Count(dst, n), ' '), Noun(n, thing)...)
}

// SignedThings is Things for numbers below zero, too.
func SignedThings(dst []byte, n int64, thing string) []byte {
	if n < 0 {
		return Things(append(dst, '-'), -uint64(n), thing)
	}
	return Things(dst, uint64(n), thing)
}

// Noun returns the word for n things, which for one is that given.
func Noun(n uint64, thing string) string {
	switch {
	case n == 1:
		return thing
	case strings.HasSuffix(thing, "s"):
		return thing + "es"
	}
	return thing + "s"
}

// SignedCount is Count for numbers below zero, too.
func SignedCount(dst []byte, n int64) []byte {
	if n < 0 {
		return Count(append(dst, '-'), -uint64(n))
	}
	return Count(dst, uint64(n))
}

// Amount appends a rate or another large number with three digits, as "118 k".
func Amount(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, '?')
	}
	if f < 0 {
		dst, f = append(dst, '-'), -f
	}
	units := [...]string{"", " k", " M", " G", " T"}
	unit := 0
	for f >= 999.5 && unit < len(units)-1 {
		f /= 1000
		unit++
	}
	if unit == 0 && f == math.Trunc(f) {
		return strconv.AppendFloat(dst, f, 'f', 0, 64)
	}
	return append(threeDigits(dst, f), units[unit]...)
}

// Fixed appends f with that many digits after the point.
func Fixed(dst []byte, f float64, digits int) []byte {
	return strconv.AppendFloat(dst, f, 'f', digits, 64)
}

// Duration appends d in the unit that people would choose, as "21.6 s",
// "4 min 10 s" or "3 h 5 min".
func Duration(dst []byte, d time.Duration) []byte {
	if d < 0 {
		dst, d = append(dst, '-'), -max(d, -math.MaxInt64)
	}
	switch {
	case d < time.Second:
		return append(threeDigits(dst, float64(d)/float64(time.Millisecond)), " ms"...)
	case d < time.Minute:
		// 59.96 s would round to "60.0 s".
		return append(strconv.AppendFloat(dst, math.Floor(d.Seconds()*10)/10, 'f', 1, 64), " s"...)
	case d < time.Hour:
		return pair(dst, d, time.Minute, " min", time.Second, " s")
	case d < 48*time.Hour:
		return pair(dst, d, time.Hour, " h", time.Minute, " min")
	}
	return pair(dst, d, 24*time.Hour, " d", time.Hour, " h")
}

func pair(dst []byte, d, big time.Duration, bigName string, small time.Duration, smallName string) []byte {
	dst = append(strconv.AppendInt(dst, int64(d/big), 10), bigName...)
	if rest := d % big / small; rest > 0 {
		dst = append(dst, ' ')
		dst = append(strconv.AppendInt(dst, int64(rest), 10), smallName...)
	}
	return dst
}

// ParseBytes parses a number of bytes with an optional binary unit, as 4096, 200M
// or 1.5G.
func ParseBytes(s string) (uint64, error) {
	number, shift := s, 0
	if n := len(s); n > 0 {
		if i := strings.IndexByte("KMGT", s[n-1]&^0x20); i >= 0 {
			number, shift = s[:n-1], 10*(i+1)
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if f *= float64(uint64(1) << shift); err != nil || !(f >= 1 && f < 1<<62) {
		return 0, fmt.Errorf("%q: must be a number of bytes like 4096, 200M or 1.5G", s)
	}
	return uint64(f), nil
}
