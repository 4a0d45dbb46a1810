package sysfs

import (
	"slices"
	"strings"
	"testing"
)

func TestFieldNames(t *testing.T) {
	// In the order of Fields: knobs, then counters in the order of reading.
	want := strings.Fields(`
		run pages_to_scan sleep_millisecs merge_across_nodes use_zero_pages max_page_sharing
		stable_node_chains_prune_millisecs smart_scan advisor_mode advisor_max_cpu
		advisor_min_pages_to_scan advisor_max_pages_to_scan advisor_target_scan_time
		pages_sharing ksm_zero_pages general_profit pages_shared pages_unshared pages_volatile
		full_scans pages_scanned pages_skipped stable_node_chains stable_node_dups`)
	var got []string
	for f := range Fields() {
		got = append(got, f.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("Fields() = %q, want %q", got, want)
	}
}

func TestFieldsStops(t *testing.T) {
	seen := 0
	for range Fields() {
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("Fields() yielded %d before the break, want 3", seen)
	}
}

func TestFieldByName(t *testing.T) {
	for f := range Fields() {
		if got, ok := FieldByName(f.Info().Name); got != f || !ok {
			t.Errorf("FieldByName(%q) = %d, %t, want %d, true", f.Info().Name, got, ok, f)
		}
	}
	for _, name := range []string{"", "Run", "run ", "pages", "max_kernel_pages"} {
		if got, ok := FieldByName(name); ok {
			t.Errorf("FieldByName(%q) = %v, true, want false", name, got)
		}
	}
}

func TestInfoIsComplete(t *testing.T) {
	units := []string{"", "pages", "bytes", "ms", "s", "%"}
	for f := range Fields() {
		info := f.Info()
		if isKnob := f <= AdvisorTargetScanTime; isKnob != (info.Kind == Knob) || isKnob != (info.Default != "") {
			t.Errorf("%v: Kind %d, Default %q: a knob has a default, a counter none", f, info.Kind, info.Default)
		}
		if !slices.Contains(units, info.Unit) {
			t.Errorf("%v: Unit = %q, want one of %q", f, info.Unit, units)
		}
		if info.Since == "" || !strings.HasSuffix(info.Meaning, ".") {
			t.Errorf("%v: Since %q, Meaning %q, want a release and a sentence", f, info.Since, info.Meaning)
		}
	}
	for f, want := range map[Field]Kind{FullScans: Cumulative, PagesScanned: Cumulative, PagesSkipped: Cumulative,
		GeneralProfit: Gauge, KSMZeroPages: Gauge, StableNodeDups: Gauge} {
		if got := f.Info().Kind; got != want {
			t.Errorf("%v: Kind = %d, want %d", f, got, want)
		}
	}
}

func TestFieldSet(t *testing.T) {
	tests := []struct {
		name   string
		fields []Field
	}{
		{name: "empty"},
		{name: "first", fields: []Field{Run}},
		{name: "last", fields: []Field{StableNodeDups}},
		{name: "first and last", fields: []Field{Run, StableNodeDups}},
		{name: "all", fields: slices.Collect(Fields())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := SetOf(tt.fields...)
			if got := slices.Collect(s.All()); !slices.Equal(got, tt.fields) {
				t.Errorf("All() = %v, want %v", got, tt.fields)
			}
			if got := s.Len(); got != len(tt.fields) {
				t.Errorf("Len() = %d, want %d", got, len(tt.fields))
			}
			for f := range Fields() {
				if got, want := s.Has(f), slices.Contains(tt.fields, f); got != want {
					t.Errorf("Has(%v) = %t, want %t", f, got, want)
				}
			}
		})
	}
	if got := SetOf(FullScans, Run, FullScans); got != SetOf(Run, FullScans) {
		t.Errorf("SetOf(FullScans, Run, FullScans) = %b, want order and repetition not to matter", got)
	}
	for f := range SetOf(Run, PagesShared).All() {
		if f != Run {
			t.Errorf("All() went on to %v after the break", f)
		}
		break
	}
}
