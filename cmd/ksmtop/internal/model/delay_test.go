package model

import (
	"testing"
	"time"
)

func TestParseDelay(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration // -1 for an error
	}{
		{"0", 0}, {"2", 2 * time.Second}, {"0.5", 500 * time.Millisecond}, {"500ms", 500 * time.Millisecond}, {"1m30s", 90 * time.Second},
		{".25", 250 * time.Millisecond}, {"1e3", 1000 * time.Second}, {"999999999", 999999999 * time.Second},
		{"", -1}, {"-1", -1}, {"-1s", -1}, {"1e9", -1}, {"NaN", -1}, {"Inf", -1}, {"x", -1}, {"1 s", -1}, {"2w", -1},
	} {
		got, err := ParseDelay(tt.text)
		if err != nil {
			got = -1
		}
		if got != tt.want {
			t.Errorf("ParseDelay(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

func FuzzParseDelay(f *testing.F) {
	for _, text := range []string{"", "1", "1s", "-0", "0x1p3", "1e308", "9223372036854775807ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDelay(text)
		if d < 0 || err != nil && d != 0 {
			t.Errorf("ParseDelay(%q) = %v, %v", text, d, err)
		}
		if err != nil {
			return
		}
		if again, err := ParseDelay(d.String()); err != nil || again != d {
			t.Errorf("ParseDelay(%q) = %v, but of that %v, %v", text, d, again, err)
		}
	})
}
