package format

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	tests := []struct {
		n           int64
		long, short string
	}{
		{0, "0 B", "0"},
		{1, "1 B", "1"},
		{1023, "1023 B", "1023"},
		{1024, "1.00 KiB", "1.00K"},
		{-1024, "-1.00 KiB", "-1.00K"},
		{10 << 10, "10.0 KiB", "10.0K"},
		{100<<10 - 1, "100 KiB", "100K"},
		{1023 << 10, "1023 KiB", "1023K"},
		{1<<20 - 1, "1.00 MiB", "1.00M"},
		{3887000000, "3.62 GiB", "3.62G"},
		{-285 << 10, "-285 KiB", "-285K"},
		{math.MaxInt64, "8.00 EiB", "8.00E"},
		{math.MinInt64, "-8.00 EiB", "-8.00E"},
	}
	for _, tt := range tests {
		if got := string(Bytes(nil, tt.n)); got != tt.long {
			t.Errorf("Bytes(%d) = %q, want %q", tt.n, got, tt.long)
		}
		if got := string(Short(nil, tt.n)); got != tt.short {
			t.Errorf("Short(%d) = %q, want %q", tt.n, got, tt.short)
		}
	}
}

func TestThings(t *testing.T) {
	for _, tt := range []struct {
		n     int64
		thing string
		want  string
	}{
		{0, "page", "0 pages"},
		{1, "full scan", "1 full scan"},
		{2, "full scan", "2 full scans"},
		{-1, "page", "-1 page"},
		{-1234, "page", "-1 234 pages"},
		{1, "process", "1 process"},
		{1000, "process", "1 000 processes"},
		{math.MinInt64, "page", "-9 223 372 036 854 775 808 pages"},
	} {
		if got := string(SignedThings(nil, tt.n, tt.thing)); got != tt.want {
			t.Errorf("SignedThings(%d, %q) = %q, want %q", tt.n, tt.thing, got, tt.want)
		}
	}
	if got, want := string(Things([]byte("of "), math.MaxUint64, "page")), "of 18 446 744 073 709 551 615 pages"; got != want {
		t.Errorf("Things() = %q, want %q", got, want)
	}
}

func TestDuration(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0.00 ms"},
		{1500 * time.Microsecond, "1.50 ms"},
		{time.Second, "1.0 s"},
		{21600 * time.Millisecond, "21.6 s"},
		{time.Minute - 1, "59.9 s"},
		{time.Minute, "1 min"},
		{4*time.Minute + 10*time.Second, "4 min 10 s"},
		{time.Hour - 1, "59 min 59 s"},
		{3*time.Hour + 5*time.Minute + time.Second, "3 h 5 min"},
		{50 * time.Hour, "2 d 2 h"},
		{-time.Second, "-1.0 s"},
	}
	for _, tt := range tests {
		if got := string(Duration(nil, tt.d)); got != tt.want {
			t.Errorf("Duration(%v) = %q, want %q", tt.d, got, tt.want)
		}
	}
}

func TestAmount(t *testing.T) {
	tests := []struct {
		f    float64
		want string
	}{
		{0, "0"}, {7, "7"}, {0.5, "0.50"}, {999, "999"}, {999.9, "1.00 k"}, {118000, "118 k"},
		{4180, "4.18 k"}, {2.5e9, "2.50 G"}, {-1500, "-1.50 k"}, {math.Inf(1), "?"}, {math.NaN(), "?"},
	}
	for _, tt := range tests {
		if got := string(Amount(nil, tt.f)); got != tt.want {
			t.Errorf("Amount(%v) = %q, want %q", tt.f, got, tt.want)
		}
	}
}

// A number keeps its digits when it is grouped, and its size when it is scaled.
func FuzzNumbers(f *testing.F) {
	for _, n := range []int64{0, -1, 999, 1000, 1 << 20, math.MaxInt64, math.MinInt64} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		count := string(SignedCount(nil, n))
		if got := strings.ReplaceAll(count, " ", ""); got != strconv.FormatInt(n, 10) {
			t.Errorf("SignedCount(%d) = %q", n, count)
		}
		for i, group := range strings.Split(strings.TrimPrefix(count, "-"), " ") {
			if len(group) > 3 || i > 0 && len(group) != 3 {
				t.Errorf("SignedCount(%d) = %q: a group of %d", n, count, len(group))
			}
		}
		short := string(Short(nil, n))
		limit := 5
		if n < 0 {
			limit = 6
		}
		if len(short) > limit {
			t.Errorf("Short(%d) = %q: longer than %d", n, short, limit)
		}
		value, unit := short, 1.0
		if i := strings.IndexByte("KMGTPE", short[len(short)-1]); i >= 0 {
			value, unit = short[:len(short)-1], math.Pow(1024, float64(i+1))
		}
		back, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("Short(%d) = %q: %v", n, short, err)
		}
		if back *= unit; math.Abs(back-float64(n)) > math.Abs(float64(n))*0.0051 {
			t.Errorf("Short(%d) = %q, which is %v", n, short, back)
		}
	})
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]uint64{"1": 1, "4096": 4096, "200M": 200 << 20, "1.5g": 3 << 29, "2k": 2048, "1T": 1 << 40} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "0", "-1", "1X", "NaN", "Inf", "1e300", "1MM"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}
