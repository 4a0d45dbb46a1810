package sysfs

import (
	"errors"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	notDecimal = "must be a decimal number"
	notBool    = "must be 0 or 1"
	notRun     = "must be 0 (stop), 1 (scan) or 2 (unmerge everything)"
	notShared  = "must be at least 2: a KSM page is one that is shared"
	notMode    = "must be none or scan-time"
	notSecond  = "must be at least 1 second"
	above31    = "must be at most 2147483647"
	above32    = "must be at most 4294967295"
	above64    = "must be at most 18446744073709551615"
)

func TestKnobsSet(t *testing.T) {
	type test struct {
		text   string
		want   string // what the file reads then; empty if it is refused
		reason string
	}
	// What is the same for all numbers, whatever their range.
	numbers := []test{
		{text: "", reason: notDecimal},
		{text: "\n", reason: notDecimal},
		{text: "+", reason: notDecimal},
		{text: "-", reason: notDecimal},
		{text: "-0", reason: notDecimal},
		{text: "-1", reason: notDecimal},
		{text: "++2", reason: notDecimal},
		{text: "+-2", reason: notDecimal},
		{text: " 2", reason: notDecimal},
		{text: "2 ", reason: notDecimal},
		{text: "2\n\n", reason: notDecimal},
		{text: "\n2", reason: notDecimal},
		{text: "2\r\n", reason: notDecimal},
		{text: "0x2", reason: notDecimal},
		{text: "2.0", reason: notDecimal},
		{text: "1_0", reason: notDecimal},
		{text: "5x", reason: notDecimal},
		{text: "99999999999999999999x", reason: notDecimal},
		{text: "\x1b[2J", reason: notDecimal},
	}
	word32 := append([]test{
		{text: "0", want: "0"},
		{text: "100\n", want: "100"},
		{text: "+7", want: "7"},
		{text: "+7\n", want: "7"},
		{text: "0000000000000000000000000000012", want: "12"},
		{text: "4294967295", want: "4294967295"},
		{text: "4294967296", reason: above32},
		{text: "18446744073709551616", reason: above32},
		{text: "184467440737095516160", reason: above32},
	}, numbers...)
	word64 := append([]test{
		{text: "0", want: "0"},
		{text: "+7\n", want: "7"},
		{text: "18446744073709551615", want: "18446744073709551615"},
		{text: "18446744073709551616", reason: above64},
	}, numbers...)
	boolean := []test{
		{text: "", reason: notBool},
		{text: "\n", reason: notBool},
		{text: " 1", reason: notBool},
		{text: "+1", reason: notBool},
		{text: "-1", reason: notBool},
		{text: "2", reason: notBool},
		{text: "x", reason: notBool},
		{text: "o", reason: notBool},
		{text: "ox", reason: notBool},
		{text: "o\n", reason: notBool},
		{text: "0", want: "0"},
		{text: "1\n", want: "1"},
		{text: "1\n\n", want: "1"}, // the first character decides
		{text: "10", want: "1"},
		{text: "01", want: "0"},
		{text: "yes", want: "1"},
		{text: "Y", want: "1"},
		{text: "true", want: "1"},
		{text: "T", want: "1"},
		{text: "no", want: "0"},
		{text: "N", want: "0"},
		{text: "false", want: "0"},
		{text: "F", want: "0"},
		{text: "on", want: "1"},
		{text: "ON\n", want: "1"},
		{text: "of", want: "0"},
		{text: "OFF", want: "0"},
		{text: "once", want: "1"},
	}
	tests := map[Field][]test{
		Run: append([]test{
			{text: "0", want: "0"},
			{text: "1\n", want: "1"},
			{text: "+2", want: "2"},
			{text: "002", want: "2"},
			{text: "3", reason: notRun},
			{text: "4", reason: notRun},
			{text: "4294967297", reason: notRun},
			{text: "18446744073709551617", reason: notRun},
		}, numbers...),
		PagesToScan:                    word32,
		SleepMillisecs:                 word32,
		StableNodeChainsPruneMillisecs: word32,
		MergeAcrossNodes: append([]test{
			{text: "0", want: "0"},
			{text: "1", want: "1"},
			{text: "+01\n", want: "1"},
			{text: "2", reason: notBool},
			{text: "18446744073709551617", reason: notBool},
			{text: "y", reason: notDecimal},
		}, numbers...),
		UseZeroPages: boolean,
		SmartScan:    boolean,
		MaxPageSharing: append([]test{
			{text: "0", reason: notShared},
			{text: "1", reason: notShared},
			{text: "2", want: "2"},
			{text: "+256\n", want: "256"},
			{text: "2147483647", want: "2147483647"},
			{text: "2147483648", reason: above31},
			{text: "4294967298", reason: above31},
			{text: "18446744073709551618", reason: above31},
		}, numbers...),
		AdvisorMode: {
			{text: "none", want: "[none] scan-time"},
			{text: "none\n", want: "[none] scan-time"},
			{text: "scan-time", want: "none [scan-time]"},
			{text: "scan-time\n", want: "none [scan-time]"},
			{text: "", reason: notMode},
			{text: "\n", reason: notMode},
			{text: "none\n\n", reason: notMode},
			{text: "none ", reason: notMode},
			{text: " none", reason: notMode},
			{text: "None", reason: notMode},
			{text: "[none]", reason: notMode},
			{text: "scan_time", reason: notMode},
			{text: "0", reason: notMode},
		},
		AdvisorMaxCPU: append([]test{
			{text: "0", want: "0"},
			{text: "70", want: "70"},
			{text: "101", want: "101"}, // the kernel does not mind
			{text: "4294967295", want: "4294967295"},
			{text: "4294967296", want: "0"},
			{text: "4294967366", want: "70"},
			{text: "18446744073709551615", want: "4294967295"},
			{text: "18446744073709551616", reason: above64},
		}, numbers...),
		AdvisorMinPagesToScan: word64,
		AdvisorMaxPagesToScan: word64,
		AdvisorTargetScanTime: append([]test{
			{text: "0", reason: notSecond},
			{text: "+000", reason: notSecond},
			{text: "1", want: "1"},
			{text: "18446744073709551615", want: "18446744073709551615"},
			{text: "18446744073709551616", reason: above64},
		}, numbers...),
	}
	for f := range knobFields.All() {
		t.Run(f.String(), func(t *testing.T) {
			if len(tests[f]) == 0 {
				t.Fatal("no cases")
			}
			for _, tt := range tests[f] {
				var k Knobs
				err := k.Set(f, tt.text)
				if tt.reason != "" {
					checkRefused(t, k, f, tt.text, err, tt.reason)
					continue
				}
				if err != nil {
					t.Errorf("Set(%v, %q) = %v, want %s", f, tt.text, err, tt.want)
					continue
				}
				checkReadsBack(t, k, f, tt.text, tt.want)
			}
		})
	}
}

// checkRefused checks that Set refused text for that reason and changed nothing.
func checkRefused(t *testing.T, k Knobs, f Field, text string, err error, reason string) {
	t.Helper()
	var e *ValueError
	if !errors.As(err, &e) || e.Err.Error() != reason || !strings.HasPrefix(text, e.Text) || len(e.Text) > 64 {
		t.Errorf("Set(%v, %q) = %v, want a *ValueError: %s", f, text, err, reason)
	}
	if tooLarge := strings.HasPrefix(reason, "must be at most"); tooLarge != errors.Is(err, strconv.ErrRange) {
		t.Errorf("Set(%v, %q): errors.Is(err, ErrRange) = %t, want %t", f, text, !tooLarge, tooLarge)
	}
	if !reflect.DeepEqual(k, Knobs{}) {
		t.Errorf("Set(%v, %q) was refused but left %+v", f, text, k)
	}
}

// checkReadsBack checks that k holds f alone and that parsing what the kernel
// would print gives k again.
func checkReadsBack(t *testing.T, k Knobs, f Field, text, printed string) {
	t.Helper()
	if k.Present != SetOf(f) {
		t.Errorf("Set(%v, %q): Present = %b, want %b", f, text, k.Present, SetOf(f))
	}
	var back Knobs
	if err := back.parse(f, []byte(printed+"\n")); err != nil || !reflect.DeepEqual(back, k) {
		t.Errorf("Set(%v, %q) = %+v, but reading %q = %+v, %v", f, text, k, printed, back, err)
	}
	v, ok := k.Value(f)
	if f != AdvisorMode && v.String() != printed || !ok {
		t.Errorf("Set(%v, %q): Value = %v, %t, want %s", f, text, v, ok, printed)
	}
	if f == AdvisorMode && !strings.Contains(printed, "["+v.String()+"]") {
		t.Errorf("Set(%v, %q): Value = %v, want the one chosen in %q", f, text, v, printed)
	}
}

func TestKnobsSetCounter(t *testing.T) {
	for f := range Fields() {
		if knobFields.Has(f) {
			continue
		}
		var k Knobs
		checkRefused(t, k, f, "1", k.Set(f, "1"), "a counter cannot be set")
	}
}

func TestKnobsSetKeepsErrorsShort(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for f := range Fields() {
		var k Knobs
		err := k.Set(f, long)
		if err == nil || len(err.Error()) > 200 {
			t.Errorf("Set(%v, 1 MiB) = %.300v, want a short error", f, err)
		}
	}
}

// TestKnobsFields stores a number of its own in every knob, so that two which
// are mixed up are found.
func TestKnobsFields(t *testing.T) {
	set := map[Field]string{Run: "2", PagesToScan: "101", SleepMillisecs: "102", MergeAcrossNodes: "0", UseZeroPages: "1",
		MaxPageSharing: "103", StableNodeChainsPruneMillisecs: "104", SmartScan: "0", AdvisorMode: "scan-time",
		AdvisorMaxCPU: "105", AdvisorMinPagesToScan: "106", AdvisorMaxPagesToScan: "107", AdvisorTargetScanTime: "108"}
	got := DefaultKnobs()
	for f, text := range set {
		if err := got.Set(f, text); err != nil {
			t.Errorf("Set(%v, %q) = %v", f, text, err)
		}
	}
	want := Knobs{Run: RunUnmerge, PagesToScan: 101, SleepMillisecs: 102, UseZeroPages: true, MaxPageSharing: 103,
		StableNodeChainsPruneMillisecs: 104, AdvisorMode: AdvisorScanTime, AdvisorMaxCPU: 105,
		AdvisorMinPagesToScan: 106, AdvisorMaxPagesToScan: 107, AdvisorTargetScanTime: 108, Present: knobFields}
	if got != want {
		t.Errorf("Knobs = %+v, want %+v", got, want)
	}
	for f, text := range set {
		if v, ok := got.Value(f); v.String() != text || !ok {
			t.Errorf("Value(%v) = %v, %t, want %s, true", f, v, ok, text)
		}
	}
	if v, ok := got.Value(PagesShared); ok {
		t.Errorf("Value(PagesShared) = %v, want none: it is a counter", v)
	}
	var none Knobs
	for f := range Fields() {
		if v, ok := none.Value(f); ok {
			t.Errorf("Knobs{}.Value(%v) = %v, want none", f, v)
		}
	}
}

func TestKnobsParse(t *testing.T) {
	tests := []struct {
		f       Field
		text    string
		wantErr error
	}{
		{Run, "5\n", nil}, // bit 4: memory is being taken offline
		{Run, "4294967296\n", strconv.ErrRange},
		{SmartScan, "1\n", nil},
		{SmartScan, "2\n", strconv.ErrRange},
		{SmartScan, "y\n", strconv.ErrSyntax}, // written so, never read so
		{PagesToScan, "+1\n", strconv.ErrSyntax},
		{MaxPageSharing, "2147483648\n", strconv.ErrRange},
		{MaxPageSharing, "-2\n", strconv.ErrSyntax},
		{AdvisorMaxCPU, "4294967296\n", strconv.ErrRange},
		{AdvisorTargetScanTime, "18446744073709551615\n", nil},
		{AdvisorMode, "none scan-time [later]\n", nil},
		{AdvisorMode, "none\n", strconv.ErrSyntax},
		{AdvisorMode, "", errEmpty},
	}
	for _, tt := range tests {
		k := Knobs{}
		err := k.parse(tt.f, []byte(tt.text))
		if !errors.Is(err, tt.wantErr) || k.Has(tt.f) != (tt.wantErr == nil) {
			t.Errorf("parse(%v, %q) = %v, present %t, want %v", tt.f, tt.text, err, k.Has(tt.f), tt.wantErr)
		}
	}
}

var (
	decimalText = regexp.MustCompile(`\A\+?([0-9]+)\n?\z`)
	trueText    = regexp.MustCompile(`\A(?:[1yYtT]|[oO][nN])`)
	falseText   = regexp.MustCompile(`\A(?:[0nNfF]|[oO][fF])`)
	modeText    = regexp.MustCompile(`\A(none|scan-time)\n?\z`)
)

// printedAfter returns what the kernel prints for f after text was written, as
// a table of ranges; false if it refuses text.
func printedAfter(f Field, text string) (string, bool) {
	least, most := int64(0), uint64(math.MaxUint32)
	switch f {
	case AdvisorMode:
		if match := modeText.FindStringSubmatch(text); match != nil {
			return match[1], true
		}
		return "", false
	case UseZeroPages, SmartScan:
		if trueText.MatchString(text) {
			return "1", true
		}
		return "0", falseText.MatchString(text)
	case Run:
		most = 2
	case MergeAcrossNodes:
		most = 1
	case MaxPageSharing:
		least, most = 2, math.MaxInt32
	case AdvisorTargetScanTime:
		least, most = 1, math.MaxUint64
	case AdvisorMaxCPU, AdvisorMinPagesToScan, AdvisorMaxPagesToScan:
		most = math.MaxUint64
	}
	match := decimalText.FindStringSubmatch(text)
	if match == nil {
		return "", false
	}
	n, _ := new(big.Int).SetString(match[1], 10)
	if n.Cmp(big.NewInt(least)) < 0 || n.Cmp(new(big.Int).SetUint64(most)) > 0 {
		return "", false
	}
	if f == AdvisorMaxCPU {
		n.Mod(n, big.NewInt(1<<32))
	}
	return n.String(), true
}

func FuzzKnobsSet(f *testing.F) {
	for _, text := range []string{"", "0", "1\n", "2", "+3\n", "on", "off", "yes", "none\n", "scan-time", "2147483648",
		"4294967295", "4294967366", "18446744073709551615", "18446744073709551616", "1\n\n", "-1", "٣"} {
		for field := range knobFields.All() {
			f.Add(uint8(field), text)
		}
	}
	f.Fuzz(func(t *testing.T, field uint8, text string) {
		f := Field(field % uint8(knobFields.Len()))
		var k Knobs
		err := k.Set(f, text)
		want, accepted := printedAfter(f, text)
		if accepted != (err == nil) {
			t.Fatalf("Set(%v, %q) = %v, want accepted %t", f, text, err, accepted)
		}
		if accepted {
			if f == AdvisorMode {
				want = strings.Replace("none scan-time", want, "["+want+"]", 1)
			}
			checkReadsBack(t, k, f, text, want)
		}
	})
}
