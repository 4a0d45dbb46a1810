package model

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

func TestColumnNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Columns {
		if c.Name == "" || c.Heading == "" || c.Meaning == "" || c.Plain == nil || c.Compare == nil {
			t.Errorf("column %q is incomplete", c.Name)
		}
		if seen[c.Name] {
			t.Errorf("two columns are named %q", c.Name)
		}
		seen[c.Name] = true
		if got := ColumnByName(c.Name); got == nil || got.Name != c.Name {
			t.Errorf("ColumnByName(%q) = %v", c.Name, got)
		}
	}
	if got := ColumnByName(""); got != nil {
		t.Errorf(`ColumnByName("") = %v, want nil`, got)
	}
	for _, name := range TableColumns {
		if !seen[name] {
			t.Errorf("the screen shows a column %q that is none", name)
		}
	}
}

// hostileRows are rows that nobody should see.
func hostileRows() map[string]Row {
	huge := registered(math.MaxInt, math.MaxUint64, "huge")
	huge.UID, huge.RSS, huge.Trend, huge.HasTrend = math.MaxUint32, math.MaxUint64, math.Inf(1), true
	huge.Saved, huge.Net, huge.Profit = math.MaxInt64, math.MaxInt64, math.MaxInt64
	huge.KSM.RmapItems, huge.KSM.ZeroPages, huge.KSM.MergingPages = math.MaxUint64, math.MaxInt64, math.MaxUint64
	tiny := registered(-1, 0, "tiny")
	tiny.Saved, tiny.Net, tiny.Profit, tiny.Trend, tiny.HasTrend = math.MinInt64, math.MinInt64, math.MinInt64, math.NaN(), true
	tiny.KSM.ZeroPages = math.MinInt64
	return map[string]Row{"zero": {}, "huge": huge, "tiny": tiny, "usual": registered(1, 2, "a b")}
}

func TestColumnsRenderEverything(t *testing.T) {
	samples := map[string]*Sample{"zero": {}, "usual": at(0)}
	for rowName, row := range hostileRows() {
		for sampleName, s := range samples {
			for i := range Columns {
				c := &Columns[i]
				for kind, cell := range map[string]string{
					"Plain": string(c.Plain([]byte("|"), &row, s)),
					"Cell":  string(c.Cell([]byte("|"), &row, s)),
				} {
					text, found := strings.CutPrefix(cell, "|")
					if !found {
						t.Errorf("%s of %s for row %s, sample %s overwrites what was there: %q", kind, c.Name, rowName, sampleName, cell)
					}
					if kind == "Plain" && c.Name != "command" && (text == "" || strings.Contains(text, " ")) {
						t.Errorf("Plain of %s for row %s, sample %s = %q, want one word", c.Name, rowName, sampleName, text)
					}
				}
			}
		}
	}
}

// What is absent, what was refused and what is zero are three things.
func TestColumnsOfUnknownValues(t *testing.T) {
	values := []string{"merged", "zero", "ofrss", "items", "profit", "saved", "net", "mode"}
	refused := at(0)
	refused.Counts = Counts{Seen: 2, Readable: 1, Denied: 1}
	malformed := at(0)
	malformed.ProcessProblem = errors.New("nonsense")
	lacking := at(0)
	lacking.Counts = Counts{Seen: 2}
	for _, tt := range []struct {
		name   string
		sample *Sample
		row    Row
		plain  string
		short  string
	}{
		{"refused", refused, Row{}, "?", "?"},
		{"malformed", malformed, Row{}, "?", "?"},
		{"lacking", lacking, Row{}, "-", "-"},
		{"zero", refused, registered(1, 1, "x"), "0", "."},
	} {
		for _, name := range values {
			plain, short := tt.plain, tt.short
			switch {
			case tt.name == "zero" && name == "mode":
				plain, short = "all", "all"
			case tt.name == "zero" && name == "items":
				short = "0"
			case tt.name == "zero" && name == "ofrss":
				short = "0%"
			}
			c := ColumnByName(name)
			if got := string(c.Plain(nil, &tt.row, tt.sample)); got != plain {
				t.Errorf("%s: Plain of %s = %q, want %q", tt.name, name, got, plain)
			}
			if got := string(c.Cell(nil, &tt.row, tt.sample)); got != short {
				t.Errorf("%s: Cell of %s = %q, want %q", tt.name, name, got, short)
			}
		}
	}
}

// Linux 5.19 to 6.0 tells merged pages and not how many are tracked.
func TestColumnsWithoutItems(t *testing.T) {
	row := registered(1, 1, "x")
	row.KSM = sysfs.ProcessStat{MergingPages: 256, Present: sysfs.KSMMergingPages}
	row.Saved, row.Net, row.Profit = 1<<20, 1<<20, 1<<20
	s := at(0)
	s.Counts = Counts{Seen: 1, Readable: 1, Registered: 1}
	for name, want := range map[string]string{
		"merged": "1024", "zero": "-", "items": "-", "rmap_pg": "-", "profit": "-", "saved": "1024", "net": "-", "mode": "-",
	} {
		if got := string(ColumnByName(name).Plain(nil, &row, s)); got != want {
			t.Errorf("Plain of %s = %q, want %q", name, got, want)
		}
	}
}

func TestColumnsOfUsualValues(t *testing.T) {
	row := registered(2231, 5, "qemu")
	row.PPID, row.UID, row.RSS = 1800, 107, 200
	row.KSM.MergingPages, row.KSM.ZeroPages, row.KSM.RmapItems, row.KSM.Profit = 60, 40, 6400, -300
	row.KSM.MergeAny, row.KSM.Mergeable = false, true
	row.Saved, row.Net, row.Profit, row.Trend, row.HasTrend = 3<<20, -(5 << 20), -307200, -2<<20, true
	row.Command = "/usr/bin/qemu -m 1"
	s := at(0)
	for name, want := range map[string][2]string{
		"pid": {"2231", "2231"}, "ppid": {"1800", "1800"}, "uid": {"107", "107"}, "user": {"ana", "ana"}, "mode": {"vma", "vma"},
		"merged": {"400", "400K"}, "zero": {"160", "160K"}, "rss": {"800", "800K"}, "ofrss": {"42", "42%"},
		"items": {"6400", "6400"}, "rmap_pg": {"64.0", "64.0"}, "profit": {"-300", "-300K"}, "saved": {"3072", "3.00M"},
		"net": {"-5120", "-5.00M"}, "trend": {"-2048", "-2"}, "comm": {"qemu", "qemu"},
		"command": {"/usr/bin/qemu -m 1", "qemu -m 1"},
	} {
		c := ColumnByName(name)
		if got := string(c.Plain(nil, &row, s)); got != want[0] {
			t.Errorf("Plain of %s = %q, want %q", name, got, want[0])
		}
		if got := string(c.Cell(nil, &row, s)); got != want[1] {
			t.Errorf("Cell of %s = %q, want %q", name, got, want[1])
		}
	}
}

func TestSort(t *testing.T) {
	rows := func() []Row {
		var all []Row
		for _, r := range []struct {
			pid    int
			profit int64
			name   string
		}{{30, 5, "b"}, {10, 7, "a"}, {20, 5, "a"}, {40, -1, "c"}, {5, 5, "b"}} {
			row := registered(r.pid, 1, r.name)
			row.Profit = r.profit
			all = append(all, row)
		}
		return all
	}
	for _, tt := range []struct {
		column   string
		inverted bool
		want     []int
	}{
		{"profit", false, []int{10, 5, 20, 30, 40}},
		{"profit", true, []int{40, 5, 20, 30, 10}},
		{"comm", false, []int{10, 20, 5, 30, 40}},
		{"comm", true, []int{40, 5, 30, 10, 20}},
		{"pid", false, []int{5, 10, 20, 30, 40}},
		{"pid", true, []int{40, 30, 20, 10, 5}},
		{"merged", false, []int{5, 10, 20, 30, 40}}, // all are equal
	} {
		all := rows()
		Sort(all, ColumnByName(tt.column), tt.inverted)
		for i := range all {
			if all[i].PID != tt.want[i] {
				t.Errorf("Sort by %s, inverted %t: place %d has pid %d, want the order %v", tt.column, tt.inverted, i, all[i].PID, tt.want)
				break
			}
		}
	}
	// Every column orders hostile rows without a panic, and the same each time.
	for i := range Columns {
		var a, b []Row
		for _, row := range hostileRows() { // in random order
			a = append(a, row)
		}
		for _, row := range hostileRows() {
			b = append(b, row)
		}
		Sort(a, &Columns[i], false)
		Sort(b, &Columns[i], false)
		for j := range a {
			if a[j].PID != b[j].PID {
				t.Errorf("Sort by %s depends on the order before", Columns[i].Name)
			}
		}
	}
}
