package sim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// TestGolden runs the scripts of testdata/golden on a Machine. It must print what
// Linux 6.18.44 printed, byte for byte.
func TestGolden(t *testing.T) {
	for _, engine := range []struct {
		name string
		opts ksmd.Options
	}{
		{name: "table"},
		{name: "walk", opts: ksmd.Options{Trees: ksmd.TreesAlways}},
	} {
		for _, path := range goldenScripts(t) {
			name := strings.TrimSuffix(filepath.Base(path), ".script")
			t.Run(engine.name+"/"+name, func(t *testing.T) {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(strings.TrimSuffix(path, ".script") + ".tsv")
				if err != nil {
					t.Fatal(err)
				}
				script, err := Parse(path, text)
				if err != nil {
					t.Fatal(err)
				}
				m := NewMachine(engine.opts)
				table, err := Run(t.Context(), script, m)
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if err := table.WriteTSV(&got); err != nil {
					t.Fatal(err)
				}
				if bytes.Equal(got.Bytes(), want) {
					return
				}
				wantTable, err := ReadTSV(bytes.NewReader(want))
				if err != nil {
					t.Fatal(err)
				}
				all := Diff(table, wantTable)
				t.Errorf("the table is not the kernel's: %d cells differ", len(all))
				for _, d := range all[:min(len(all), 10)] {
					t.Error(d)
				}
			})
		}
	}
}

// TestUndecided runs the scripts of testdata/undecided, in which what the kernel
// does depends on its allocator. Up to there the table is the one that Linux
// 6.18.44 printed; then it differs, and the machine says so.
func TestUndecided(t *testing.T) {
	const path = "testdata/undecided/left-node.script"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	script, err := Parse(path, text)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("testdata/undecided/left-node.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	printed, err := ReadTSV(file)
	if err != nil {
		t.Fatal(err)
	}
	r := Runner{Backend: NewMachine(ksmd.Options{})}
	got, err := r.Outcome(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Undecided || got.Decided != 5 {
		t.Fatalf("undecided %v, from row %d on; want from row 5 on", got.Undecided, got.Decided)
	}
	kernel := Outcome{Table: printed}
	if diff := DiffOutcomes(got, kernel); len(diff) != 0 {
		t.Errorf("before it is undecided, %v", diff[0])
	}
	if diff := Diff(got.Table, printed); len(diff) == 0 {
		t.Error("nothing differs: then the rule is not needed")
	}
}

// TestDecided runs a script that differs from that of TestUndecided in what makes
// the kernel sure: the table is the one that Linux 6.18.44 printed, to the end.
func TestDecided(t *testing.T) {
	const path = "testdata/undecided/left-living-node.script"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	script, err := Parse(path, text)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := os.ReadFile("testdata/undecided/left-living-node.tsv")
	if err != nil {
		t.Fatal(err)
	}
	r := Runner{Backend: NewMachine(ksmd.Options{})}
	got, err := r.Outcome(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	if got.Undecided {
		t.Errorf("undecided from row %d on", got.Decided)
	}
	var table bytes.Buffer
	if err := got.Table.WriteTSV(&table); err != nil || table.String() != string(printed) {
		t.Errorf("the table is\n%swant\n%s", &table, printed)
	}
}
