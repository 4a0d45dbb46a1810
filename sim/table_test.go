package sim

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestGoldenTables(t *testing.T) {
	for _, path := range goldenScripts(t) {
		path = strings.TrimSuffix(path, ".script") + ".tsv"
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		table, err := ReadTSV(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if lines := bytes.Count(text, []byte("\n")); len(table.Rows) != lines-1 {
			t.Errorf("%s: %d rows, want %d", path, len(table.Rows), lines-1)
		}
		var out bytes.Buffer
		if err := table.WriteTSV(&out); err != nil || !bytes.Equal(out.Bytes(), text) {
			t.Errorf("%s: WriteTSV: %v\ngot\n%s\nwant\n%s", path, err, out.Bytes(), text)
		}
		if d := Diff(table, table); d != nil {
			t.Errorf("%s: differs from itself: %v", path, d)
		}
	}
}

func TestReadTSVValues(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("testdata/golden/pair.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := ReadTSV(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	system := Row{Label: "scan2", Process: SystemProcess}
	for c, v := range []int64{2, 4, 0, 1, 1, 0, 0, 0, 0, 0, 3968, 2} {
		system.Set(Column(c), v)
	}
	process := Row{Label: "scan2", Process: "p"}
	process.Set(ColumnKSMZeroPages, 0)
	process.Set(ColumnRmapItems, 2)
	process.Set(ColumnMergingPages, 2)
	process.Set(ColumnProcessProfit, 8064)
	if got, want := table.Rows[4:6], []Row{system, process}; !reflect.DeepEqual(got, want) {
		t.Errorf("rows of scan2:\ngot  %+v\nwant %+v", got, want)
	}
	if _, ok := table.Rows[4].Value(ColumnProcessProfit); ok {
		t.Error("the machine has a process's profit")
	}
}

func TestReadTSVErrors(t *testing.T) {
	line := func(label, process, cell string) string {
		return header + label + "\t" + process + strings.Repeat("\t"+cell, NumColumns) + "\n"
	}
	if _, err := ReadTSV(strings.NewReader(line("x", "p", "-1"))); err != nil {
		t.Fatalf("a right table: %v", err)
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", "line 1: not the columns of such a table"},
		{"other columns", "label\n", "line 1: not the columns of such a table"},
		{"cells", header + "x\tp\t1\n", "line 2: 3 cells instead of 16"},
		{"carriage return", strings.ReplaceAll(line("x", "p", "1"), "1\n", "1\r\n"), `line 2: ksm_process_profit: "1\r": not a number`},
		{"no end", strings.TrimSuffix(line("x", "p", "1"), "\n"), "line 2: has no end"},
		{"label", line("x y", "p", "1"), `line 2: label: "x y": not a label`},
		{"process", line("x", "P", "1"), `line 2: process: "P": not a process`},
		{"plus", line("x", "p", "+1"), `line 2: full_scans: "+1": not a number`},
		{"leading zero", line("x", "p", "01"), `line 2: full_scans: "01": not a number`},
		{"minus zero", line("x", "p", "-0"), `line 2: full_scans: "-0": not a number`},
		{"no cell", line("x", "p", ""), `line 2: full_scans: "": not a number`},
		{"overflow", line("x", "p", "9223372036854775808"), `line 2: full_scans: "9223372036854775808": not a number`},
	}
	for _, tt := range tests {
		if table, err := ReadTSV(strings.NewReader(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("%s: ReadTSV = %v, %v, want %s", tt.name, table, err, tt.want)
		}
	}
	broken := errors.New("broken")
	if _, err := ReadTSV(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("ReadTSV of a broken file: %v", err)
	}
}

func TestDiff(t *testing.T) {
	row := func(label, process string, shared, chains int64) Row {
		r := Row{Label: label, Process: process}
		r.Set(ColumnPagesShared, shared)
		r.Set(ColumnStableNodeChains, chains)
		return r
	}
	absent := row("a", "-", 1, 2)
	absent.Present &^= 1 << ColumnPagesShared
	a := []Row{row("a", "-", 1, 2), row("a", "p", 3, 4)}
	tests := []struct {
		name      string
		got, want []Row
		ignore    []Column
		diff      []Difference
	}{
		{"equal", a, a, nil, nil},
		{"cells", []Row{a[0], row("a", "p", 5, 6)}, a, nil, []Difference{
			{1, "a", "p", "pages_shared", "5", "3"}, {1, "a", "p", "stable_node_chains", "6", "4"}}},
		{"ignored", []Row{a[0], row("a", "p", 5, 6)}, a, []Column{ColumnStableNodeChains}, []Difference{
			{1, "a", "p", "pages_shared", "5", "3"}}},
		{"absent is not zero", []Row{absent}, []Row{row("a", "-", 0, 2)}, nil, []Difference{
			{0, "a", "-", "pages_shared", ".", "0"}}},
		{"label", []Row{row("b", "-", 9, 9)}, a[:1], nil, []Difference{{0, "a", "-", "label", "b", "a"}}},
		{"process", []Row{row("a", "q", 9, 9)}, a[:1], nil, []Difference{{0, "a", "-", "process", "q", "-"}}},
		{"fewer", a[:1], a, nil, []Difference{{1, "a", "p", "label", "", "a"}}},
		{"more", a, nil, nil, []Difference{{0, "a", "-", "label", "a", ""}, {1, "a", "p", "label", "a", ""}}},
	}
	for _, tt := range tests {
		got := Diff(&Table{tt.got}, &Table{tt.want}, tt.ignore...)
		if !reflect.DeepEqual(got, tt.diff) {
			t.Errorf("%s: Diff = %v, want %v", tt.name, got, tt.diff)
		}
	}
	missing := Difference{1, "a", "p", "label", "", "a"}
	if got, want := missing.String(), "a p label: got no such row, want a"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
