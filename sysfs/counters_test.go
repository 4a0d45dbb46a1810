package sysfs

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"testing"
)

var (
	signedFields = SetOf(PagesVolatile, KSMZeroPages, GeneralProfit)
	knobFields   = SetOf(Run, PagesToScan, SleepMillisecs, MergeAcrossNodes, UseZeroPages, MaxPageSharing,
		StableNodeChainsPruneMillisecs, SmartScan, AdvisorMode, AdvisorMaxCPU, AdvisorMinPagesToScan,
		AdvisorMaxPagesToScan, AdvisorTargetScanTime)
)

// TestCountersParse stores a number of its own in every counter, so that two
// which are mixed up are found.
func TestCountersParse(t *testing.T) {
	var c Counters
	for f := range Fields() {
		if knobFields.Has(f) {
			continue
		}
		if v, ok := c.Value(f); ok || c.Has(f) {
			t.Errorf("Value(%v) = %v before it was read, want none", f, v)
		}
		if err := c.parse(f, []byte(strconv.Itoa(1000+int(f))+"\n")); err != nil {
			t.Errorf("parse(%v): %v", f, err)
		}
	}
	got := []uint64{uint64(c.PagesSharing), uint64(c.KSMZeroPages), uint64(c.GeneralProfit), uint64(c.PagesShared),
		uint64(c.PagesUnshared), uint64(c.PagesVolatile), c.FullScans, uint64(c.PagesScanned), uint64(c.PagesSkipped),
		c.StableNodeChains, c.StableNodeDups}
	for i, n := range got {
		f := PagesSharing + Field(i)
		if want := 1000 + uint64(f); n != want {
			t.Errorf("field of %v = %d, want %d", f, n, want)
		}
		if v, ok := c.Value(f); v.String() != strconv.Itoa(1000+int(f)) || !ok {
			t.Errorf("Value(%v) = %v, %t, want %d, true", f, v, ok, 1000+int(f))
		}
	}
	for f := range knobFields.All() {
		if v, ok := c.Value(f); ok {
			t.Errorf("Value(%v) = %v, want none: it is a knob", f, v)
		}
	}
}

func TestCountersExtremes(t *testing.T) {
	for f := range Fields() {
		if knobFields.Has(f) {
			continue
		}
		tests := []struct {
			text    string
			wantErr error
		}{
			{"-1", strconv.ErrSyntax},
			{"-9223372036854775808", strconv.ErrSyntax},
			{"9223372036854775807", nil},
			{"18446744073709551615", nil},
			{"18446744073709551616", strconv.ErrRange},
		}
		if signedFields.Has(f) {
			tests[0].wantErr, tests[1].wantErr, tests[3].wantErr = nil, nil, strconv.ErrRange
		}
		for _, tt := range tests {
			var c Counters
			err := c.parse(f, []byte(tt.text+"\n"))
			if !errors.Is(err, tt.wantErr) {
				t.Errorf("parse(%v, %q) = %v, want %v", f, tt.text, err, tt.wantErr)
			}
			v, ok := c.Value(f)
			if ok != (tt.wantErr == nil) || ok && v.String() != tt.text {
				t.Errorf("Value(%v) of %q = %v, %t", f, tt.text, v, ok)
			}
		}
	}
}

func TestValue(t *testing.T) {
	tests := []struct {
		name  string
		value Value
		text  string
		json  string
		float float64
	}{
		{"zero value", Value{}, "0", "0", 0},
		{"zero", Unsigned(0), "0", "0", 0},
		{"signed zero", Signed(0), "0", "0", 0},
		{"largest", Unsigned(math.MaxUint64), "18446744073709551615", "18446744073709551615", 1 << 64},
		{"minus one", Signed(-1), "-1", "-1", -1},
		{"smallest", Signed(math.MinInt64), "-9223372036854775808", "-9223372036854775808", -1 << 63},
		{"beyond a float's digits", Unsigned(1<<53 + 1), "9007199254740993", "9007199254740993", 1 << 53},
		{"word", Word("scan-time"), "scan-time", `"scan-time"`, 0},
		{"hostile word", Word("\x1b\""), "\x1b\"", `"\u001b\""`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.value.String(); got != tt.text {
				t.Errorf("String() = %q, want %q", got, tt.text)
			}
			if got := string(tt.value.Append([]byte("x="))); got != "x="+tt.text {
				t.Errorf("Append(x=) = %q, want %q", got, "x="+tt.text)
			}
			if got, err := json.Marshal(tt.value); string(got) != tt.json || err != nil {
				t.Errorf("json.Marshal = %s, %v, want %s", got, err, tt.json)
			}
			if got := tt.value.Float(); got != tt.float {
				t.Errorf("Float() = %g, want %g", got, tt.float)
			}
		})
	}
}
