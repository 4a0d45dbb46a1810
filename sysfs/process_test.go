//go:build unix

package sysfs

import (
	"bufio"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"
)

const allProcessFields = KSMRmapItems | KSMZeroPagesOf | KSMMergingPages | KSMProcessProfit | KSMMergeAny | KSMMergeable

func TestProcessStatParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       ProcessStat
		wantErr    error
	}{
		{name: "6.1", text: "ksm_rmap_items 7\n", want: ProcessStat{RmapItems: 7, Present: KSMRmapItems}},
		{name: "6.4", text: "ksm_rmap_items 3\nksm_merging_pages 2\nksm_process_profit 8000\n",
			want: ProcessStat{RmapItems: 3, MergingPages: 2, Profit: 8000, Present: KSMRmapItems | KSMMergingPages | KSMProcessProfit}},
		{name: "6.14", text: "ksm_rmap_items 500\nksm_zero_pages 1\nksm_merging_pages 2\nksm_process_profit -19712\nksm_merge_any: yes\nksm_mergeable: yes\n",
			want: ProcessStat{RmapItems: 500, ZeroPages: 1, MergingPages: 2, Profit: -19712, MergeAny: true, Mergeable: true, Present: allProcessFields}},
		{name: "no final newline", text: "ksm_rmap_items 7", want: ProcessStat{RmapItems: 7, Present: KSMRmapItems}},
		{name: "line of a later kernel", text: "ksm_later 5 kB\nksm_rmap_items 1\n", want: ProcessStat{RmapItems: 1, Present: KSMRmapItems}},
		{name: "largest", text: "ksm_rmap_items 18446744073709551615\nksm_zero_pages -9223372036854775808\n",
			want: ProcessStat{RmapItems: 1<<64 - 1, ZeroPages: -1 << 63, Present: KSMRmapItems | KSMZeroPagesOf}},
		{name: "one bad line", text: "ksm_rmap_items 18446744073709551616\nksm_merging_pages 4\n",
			want: ProcessStat{MergingPages: 4, Present: KSMMergingPages}, wantErr: strconv.ErrRange},
		{name: "neither yes nor no", text: "ksm_merge_any: maybe\nksm_mergeable: no\n", want: ProcessStat{Present: KSMMergeable}, wantErr: errWord},
		{name: "without value", text: "ksm_rmap_items\n", wantErr: errEmpty},
		{name: "words", text: "Permission denied\n", wantErr: errNoFields},
		{name: "empty", wantErr: errNoFields},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ProcessStat{Profit: 99, MergeAny: true, Present: allProcessFields} // of another process
			err := got.parse([]byte(tt.text))
			if !errors.Is(err, tt.wantErr) {
				t.Errorf("parse(%q) = %v, want %v", tt.text, err, tt.wantErr)
			}
			if got != tt.want {
				t.Errorf("parse(%q) stored %+v, want %+v", tt.text, got, tt.want)
			}
		})
	}
}

func TestProcessStatMode(t *testing.T) {
	words := KSMMergeAny | KSMMergeable
	tests := []struct {
		stat       ProcessStat
		mode       string
		known      bool
		registered bool
	}{
		{stat: ProcessStat{}},
		{stat: ProcessStat{RmapItems: 1, Present: KSMRmapItems}, registered: true},
		{stat: ProcessStat{ZeroPages: 1}, registered: true},
		{stat: ProcessStat{MergingPages: 1}, registered: true},
		{stat: ProcessStat{Present: words}, mode: "none", known: true},
		{stat: ProcessStat{Present: words, RmapItems: 1}, mode: "none", known: true, registered: true},
		{stat: ProcessStat{Present: words, Mergeable: true}, mode: "vma", known: true, registered: true},
		{stat: ProcessStat{Present: words, MergeAny: true}, mode: "all", known: true, registered: true},
		{stat: ProcessStat{Present: words, MergeAny: true, Mergeable: true}, mode: "all", known: true, registered: true},
		{stat: ProcessStat{Present: KSMMergeable, Mergeable: true}, registered: true},
	}
	for _, tt := range tests {
		if mode, known := tt.stat.Mode(); mode != tt.mode || known != tt.known {
			t.Errorf("%+v.Mode() = %q, %t, want %q, %t", tt.stat, mode, known, tt.mode, tt.known)
		}
		if got := tt.stat.Registered(); got != tt.registered {
			t.Errorf("%+v.Registered() = %t, want %t", tt.stat, got, tt.registered)
		}
	}
}

// slowProcessStat is ProcessStat.parse with maps and big numbers. Its second
// result is whether all lines that are known were well-formed.
func slowProcessStat(text string) (ProcessStat, bool) {
	var s ProcessStat
	good := true
	number := func(value string, min, max string) (*big.Int, bool) {
		n, ok := new(big.Int).SetString(value, 10)
		if !ok || strings.ContainsAny(value, "+_") {
			return new(big.Int), false
		}
		low, _ := new(big.Int).SetString(min, 10)
		high, _ := new(big.Int).SetString(max, 10)
		if n.Cmp(low) < 0 || n.Cmp(high) > 0 || min == "0" && value[0] == '-' {
			return new(big.Int), false
		}
		return n, true
	}
	unsigned := func(value string) (uint64, bool) {
		n, ok := number(value, "0", "18446744073709551615")
		return n.Uint64(), ok
	}
	signed := func(value string) (int64, bool) {
		n, ok := number(value, "-9223372036854775808", "9223372036854775807")
		return n.Int64(), ok
	}
	word := func(value string) (bool, bool) { return value == "yes", value == "yes" || value == "no" }

	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) { // ScanLines would drop a \r
		if i := strings.IndexByte(string(data), '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		value = strings.TrimLeft(value, " ")
		var field ProcessFields
		ok := true
		switch strings.TrimSuffix(key, ":") {
		case "ksm_rmap_items":
			field = KSMRmapItems
			s.RmapItems, ok = unsigned(value)
		case "ksm_zero_pages":
			field = KSMZeroPagesOf
			var n int64
			n, ok = signed(value)
			s.ZeroPages = SignedPages(n)
		case "ksm_merging_pages":
			field = KSMMergingPages
			var n uint64
			if n, ok = unsigned(value); ok {
				s.MergingPages = Pages(n)
			}
		case "ksm_process_profit":
			field = KSMProcessProfit
			s.Profit, ok = signed(value)
		case "ksm_merge_any":
			field = KSMMergeAny
			s.MergeAny, ok = word(value)
		case "ksm_mergeable":
			field = KSMMergeable
			s.Mergeable, ok = word(value)
		}
		if ok {
			s.Present |= field
		} else {
			good = false
		}
	}
	return s, good && s.Present != 0
}

func FuzzProcessStat(f *testing.F) {
	f.Add("ksm_rmap_items 500\nksm_zero_pages 1\nksm_merging_pages 2\nksm_process_profit -19712\nksm_merge_any: yes\nksm_mergeable: no\n")
	f.Add("ksm_rmap_items 0\n")
	f.Add("ksm_rmap_items -0\nksm_zero_pages --1\nksm_process_profit -\n")
	f.Add("ksm_merging_pages 18446744073709551616\nksm_merging_pages: 007")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			t.Skip("longer than the buffer")
		}
		var got ProcessStat
		err := got.parse([]byte(text))
		want, good := slowProcessStat(text)
		if (err == nil) != good {
			t.Fatalf("parse(%q) = %v, want an error: %t", text, err, !good)
		}
		if got != want {
			t.Fatalf("parse(%q) stored %+v, want %+v", text, got, want)
		}
	})
}
