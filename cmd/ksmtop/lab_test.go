package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
)

const goldenScripts = "../../sim/testdata/golden"

func TestSearchFirst(t *testing.T) {
	tests := []struct {
		release string
		old, ok bool
	}{
		{"4.12.14-lts", true, false},
		{"4.13", true, true},
		{"5.4.0-200-generic", true, true},
		{"6.10.14\n", true, true},
		{"6.11", false, true},
		{"6.18.44-cloud\n", false, true},
		{"7.0", false, true},
		{"", false, false},
		{"6", false, false},
		{"-6.11", false, false},
		{"new", false, false},
	}
	for _, tt := range tests {
		if old, ok := searchFirst(tt.release); old != tt.old && tt.ok || ok != tt.ok {
			t.Errorf("searchFirst(%q) = %v, %v, want %v, %v", tt.release, old, ok, tt.old, tt.ok)
		}
	}
}

// What can be said of a page, with the page in the words of the script.
var labPageLine = regexp.MustCompile(`^ +([a-z][a-z0-9]* [a-z][a-z0-9]* \d+(-\d+)?) +(content \d+(-\d+)? +)?` +
	`(smart scan skips it|has changed: .*|first visit: .*|all zeros: .*|no equal so far: .*|met by a search, .*|` +
	`tracked no more|leaves KSM page [1-9]\d*|joins KSM page [1-9]\d*|equal to [a-z].* \d+, which waited: both are KSM page [1-9]\d*)` +
	`(; .*)?$`)

// And of everything else.
var labOtherLine = regexp.MustCompile(`^ *(\d+  [a-z].*|(full scan|KSM page) [1-9].*|[a-z][a-z0-9]* takes part .*|a chain without .*|nothing to do|\d+ pages? visited.*|shared \d.*)$`)

// On every golden script, each line that tells of events is one of those known,
// nothing is without a name, and the script shows what it shows without them.
func TestLabEventsOfGoldenScripts(t *testing.T) {
	paths, err := filepath.Glob(goldenScripts + "/*.script")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden scripts: %v", err)
	}
	kinds := make(map[string]int)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sim.Parse(path, text)
		if err != nil {
			t.Fatal(err)
		}
		f := &labFlags{engine: engineFast, rules: rulesNew}
		var story bytes.Buffer
		got, err := f.narrator(&story)(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		want, err := f.model(engineFast, simPageBytes)(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if d := sim.Diff(got.Table, want.Table); len(d) > 0 {
			t.Errorf("%s: with events %v", path, d[0])
		}
		for line := range strings.Lines(story.String()) {
			line = strings.TrimSuffix(line, "\n")
			if m := labPageLine.FindStringSubmatch(line); m != nil {
				kinds[strings.Join(strings.Fields(m[5])[:2], " ")]++
			} else if labOtherLine.MatchString(line) {
				kinds[strings.Trim(regexp.MustCompile(`^ *\S+|\d+`).ReplaceAllString(line, ""), " ")]++
			} else {
				t.Fatalf("%s: %q", path, line)
			}
		}
	}
	for _, kind := range []string{"smart scan", "has changed:", "first visit:", "all zeros:", "no equal", "met by",
		"tracked no", "leaves KSM", "joins KSM", "equal to", "page  is the last of its chain, which ends", "chain without KSM pages is removed"} {
		if kinds[kind] == 0 {
			t.Errorf("no golden script has %q", kind)
		}
	}
}

// keepsPages is a model in which MADV_DONTNEED does nothing.
type keepsPages struct{ *sim.Machine }

func (keepsPages) DontNeed(context.Context, string, string, int, int) error { return nil }

// A wrong model is caught: the shortest script and both tables are saved, and said
// to be so, and the status is 1.
func TestLabFuzzSavesWhatItFinds(t *testing.T) {
	dir := t.TempDir()
	f := &labFlags{common: &common{}, engine: engineFast, rules: rulesNew, ops: 100, profile: "any", seed: 1, out: dir, fuzz: seconds(patience)}
	wrong := func(ctx context.Context, s *sim.Script) (sim.Outcome, error) {
		r := sim.Runner{Backend: keepsPages{sim.NewMachine(ksmd.Options{})}}
		return r.Outcome(ctx, s)
	}
	var out, stderr bytes.Buffer
	cmd := &cobra.Command{}
	cmd.Flags().Uint64("seed", 0, "")
	if err := cmd.Flags().Set("seed", "1"); err != nil {
		t.Fatal(err)
	}
	cmd.SetOut(&out)
	cmd.SetErr(&stderr)
	err := f.fuzzSides(t.Context(), cmd, labSide{onSim, wrong}, labSide{onKernel, f.model(engineFast, simPageBytes)})
	if status := end(err, &stderr); status != exitFailed || stderr.Len() > 0 {
		t.Fatalf("status %d, %q on standard error, want 1 and nothing", status, stderr.String())
	}
	saved, err := filepath.Glob(dir + "/seed-*.script")
	if err != nil || len(saved) != 1 {
		t.Fatalf("saved %v, %v, want one script", saved, err)
	}
	base := strings.TrimSuffix(saved[0], scriptSuffix)
	text, err := os.ReadFile(saved[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := sim.Parse(saved[0], text)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Ops) > 8 || !strings.Contains(string(text), "\ndontneed ") {
		t.Errorf("saved\n%swant a script of a few operations with dontneed", text)
	}
	// The kernel's table is what this script prints; the model's is not.
	for side, same := range map[string]bool{onKernel: true, onSim: false} {
		table, err := readTSV(base + "." + side + ".tsv")
		if err != nil {
			t.Fatal(err)
		}
		want, err := f.model(engineFast, simPageBytes)(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if d := sim.Diff(table, want.Table); (len(d) == 0) != same {
			t.Errorf("the table of %s differs from the right one in %v", side, d)
		}
	}
	for _, want := range []string{saved[0], "\n  dontneed ", "sim and kernel differ in ", "of seeds 1 to "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// What differs between two sides is marked in the table and listed below.
func TestLabMarksDifferences(t *testing.T) {
	table := func(shared, merging int64) sim.Outcome {
		system, process := sim.Row{Label: "end", Process: sim.SystemProcess}, sim.Row{Label: "end", Process: "p"}
		system.Set(sim.ColumnPagesShared, shared)
		process.Set(sim.ColumnMergingPages, merging)
		return sim.Outcome{Table: &sim.Table{Rows: []sim.Row{system, process}}}
	}
	kernel, model := table(3, 7), table(4, 0)
	r := &labResult{
		outcomes: []labOutcome{{onSim, model}, {onKernel, kernel}},
		compared: []labComparison{{onSim, onKernel, sim.DiffOutcomes(model, kernel)}},
	}
	var b bytes.Buffer
	writeTables(&b, r)
	const want = `label  shared  merging
end        *3
  p                 *7

shared=pages_shared, merging=ksm_merging_pages.
0 throughout: full_scans, pages_scanned, pages_skipped, pages_sharing,
pages_unshared, pages_volatile, ksm_zero_pages, stable_node_chains,
stable_node_dups, ksm_rmap_items, general_profit.

sim and kernel differ in 2 cells:
  label  process  column             sim  kernel
  end    -        pages_shared         4       3
  end    p        ksm_merging_pages    0       7
`
	if b.String() != want {
		t.Errorf("writeTables writes\n%s\nwant\n%s", b.String(), want)
	}
}

func TestFuzzStatsOfOne(t *testing.T) {
	var b bytes.Buffer
	writeFuzzStats(&b, &sim.FuzzStats{Scripts: 1, Ops: 1, Rows: 1, Cells: 1}, 7, time.Second)
	if want := "1 script in 1.0 s, of seeds 7 to 7: 1 operation, 1 row, 1 value compared\n"; b.String() != want {
		t.Errorf("it says %q, want %q", &b, want)
	}
}
