package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// sample reads a fixture of sysfs/testdata.
func sample(t *testing.T, name string) *model.Sample {
	t.Helper()
	dir := "../../../../sysfs/testdata/kernels/" + name
	live, err := model.NewLive(sysfs.FS{Root: dir + "/sys", Proc: dir + "/proc", PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	var s model.Sample
	live.Read(&s)
	return &s
}

func toJSON(t *testing.T, s *model.Sample) map[string]any {
	t.Helper()
	var out bytes.Buffer
	if err := JSON(&out, s); err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(out.Bytes()) || bytes.Count(out.Bytes(), []byte("\n")) != 1 || !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		t.Errorf("not one line of UTF-8: %q", out.Bytes())
	}
	if line := strings.TrimSuffix(out.String(), "\n"); text.Clean(line) != line {
		t.Errorf("not clean: %q", line)
	}
	var members map[string]any
	if err := json.Unmarshal(out.Bytes(), &members); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	return members
}

// documented are the members that docs/json.md describes.
func documented(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile("../../../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	samples, _, _ := strings.Cut(string(content), "\n## ksmtop scan")
	for line := range strings.Lines(samples) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), " | ")
		for _, match := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(cell, -1) {
			names = append(names, match[1])
		}
	}
	return names
}

// Every member is documented, and every documented member exists.
func TestJSONIsDocumented(t *testing.T) {
	s := sample(t, "6.18")
	s.Denied = 1
	s.Scale = 0.5
	s.ProcessProblem = errors.New("x")
	s.Rates = sysfs.Rates{HasKSMDPercent: true, HasPagesPerSecond: true, HasFullScan: true}
	d := toJSON(t, s)
	var got []string
	for name, value := range d {
		got = append(got, name)
		switch value := value.(type) {
		case map[string]any:
			if name != "derived" {
				continue
			}
			got = slices.DeleteFunc(got, func(n string) bool { return n == name })
			for inner := range value {
				got = append(got, name+"."+inner)
			}
		case []any:
			if name == "processes" {
				for inner := range value[0].(map[string]any) {
					got = append(got, inner)
				}
			}
		}
	}
	want := documented(t)
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s is not in docs/json.md", name)
		}
	}
	for _, name := range want {
		inDenial := name == "what" || name == "count" || name == "capability"
		if !slices.Contains(got, name) && !inDenial {
			if _, isFile := sysfs.FieldByName(name); !isFile {
				t.Errorf("docs/json.md describes %s, which is not there", name)
			}
		}
	}
	denied := d["denied"].([]any)[0].(map[string]any)
	if denied["what"] != "processes" || denied["count"] != 1.0 || denied["capability"] != Capability {
		t.Errorf("denied: %v", denied)
	}
}

// scale is there only where memory is not what the scenario says.
func TestJSONScale(t *testing.T) {
	for scale, want := range map[float64]any{0: nil, 1: nil, 0.125: 0.125, 2: 2.0} {
		s := sample(t, "6.18")
		s.Scale = scale
		if got := toJSON(t, s)["scale"]; got != want {
			t.Errorf("with a scale of %v it is %v, want %v", scale, got, want)
		}
	}
}

// ksm has the kernel's files: all of them, under their names.
func TestJSONHasEveryField(t *testing.T) {
	ksm := toJSON(t, sample(t, "6.18"))["ksm"].(map[string]any)
	n := 0
	for f := range sysfs.Fields() {
		n++
		if _, ok := ksm[f.String()]; !ok {
			t.Errorf("ksm.%s is missing", f)
		}
	}
	if len(ksm) != n {
		t.Errorf("ksm has %d members, want %d", len(ksm), n)
	}
}

// Errors and names come clean, whatever is in them.
func TestOutputsAreClean(t *testing.T) {
	hostile := "\x1b[2J\u202e\xff\n"
	usual := sample(t, "6.18")
	usual.Host, usual.Kernel = text.Clean(hostile), text.Clean(hostile)
	usual.ProcessProblem = errors.New("parse /x" + hostile + "/stat: nonsense")
	refused := &model.Sample{NoKSM: errors.New("open /x" + hostile + ": permission denied"), PageSize: 4096}
	for name, s := range map[string]*model.Sample{"usual": usual, "refused": refused} {
		toJSON(t, s)
		batch, err := NewBatch(nil)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, err := range []error{Status(&out, s), batch.Write(&out, s)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if text.Clean(line) != line {
				t.Errorf("%s: a line is not clean: %q", name, line)
			}
		}
	}
}

// A name stands for one thing.
func TestFieldNamesAreUnique(t *testing.T) {
	seen := map[string]bool{"help": true}
	for _, v := range Values() {
		if seen[v.Name] || model.ColumnByName(v.Name) != nil {
			t.Errorf("%s is more than one value or column", v.Name)
		}
		seen[v.Name] = true
	}
	var list bytes.Buffer
	if err := FieldList(&list); err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		if name != "help" && !strings.Contains(list.String(), "\n  "+name+" ") {
			t.Errorf("%s is not in the list of fields", name)
		}
	}
}

// Every value and column can be asked for alone, of every fixture.
func TestBatchShowsEverything(t *testing.T) {
	var names []string
	for _, v := range Values() {
		names = append(names, v.Name)
	}
	for i := range model.Columns {
		names = append(names, model.Columns[i].Name)
	}
	for _, fixture := range []string{"none", "5.4", "6.1", "6.6", "6.18", "6.18-negative"} {
		s := sample(t, fixture)
		for _, name := range names {
			batch, err := NewBatch([]string{name})
			if err != nil {
				t.Fatalf("NewBatch(%s): %v", name, err)
			}
			var out bytes.Buffer
			if err := batch.Write(&out, s); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if model.ColumnByName(name) != nil {
				if len(lines) != 1+len(s.Rows) {
					t.Errorf("%s of %s has %d lines, want %d", name, fixture, len(lines), 1+len(s.Rows))
				}
			} else if fields := strings.Fields(out.String()); len(lines) != 1 || len(fields) != 2 || fields[0] != name {
				t.Errorf("%s of %s: %q", name, fixture, out.String())
			}
		}
	}
}

// Columns of numbers end, and those of words begin, in the same place in all
// lines.
func TestBatchColumnsLineUp(t *testing.T) {
	s := sample(t, "6.18")
	s.Rows[1].Name, s.Rows[2].Name = "日本語", "a\ufffd"
	batch, err := NewBatch([]string{"comm", "pid", "profit", "user"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := batch.Write(&out, s); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	ends := func(line string) (at []int) {
		for _, match := range regexp.MustCompile(`[^ ]+`).FindAllStringIndex(line, -1) {
			at = append(at, text.Width(line[:match[1]]))
		}
		return at
	}
	want := ends(lines[0])
	for _, line := range lines[1:] {
		if got := ends(line); got[1] != want[1] || got[2] != want[2] {
			t.Errorf("columns end at %v, the heading's at %v:\n%s", got, want, out.String())
		}
	}
}

func TestBatchUnknownNames(t *testing.T) {
	for _, name := range []string{"", "PID", "nosuch", " pid", "\x1b[2J"} {
		if _, err := NewBatch([]string{"pid", name}); err == nil || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("NewBatch(%q): error %v", name, err)
		}
	}
}

// A block is written at once, so that a signal or a full pipe cannot cut it.
func TestWritesOnce(t *testing.T) {
	s := sample(t, "6.18")
	batch, err := NewBatch(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(w *counter) error{
		"JSON":   func(w *counter) error { return JSON(w, s) },
		"batch":  func(w *counter) error { return batch.Write(w, s) },
		"status": func(w *counter) error { return Status(w, s) },
		"run":    func(w *counter) error { return Run(w, &RunResult{}) },
	} {
		w := &counter{}
		if err := write(w); err != nil || w.writes != 1 {
			t.Errorf("%s: %d writes, error %v", name, w.writes, err)
		}
		if err := write(&counter{err: syscall.ENOSPC}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: error %v of a full disk", name, err)
		}
	}
}

type counter struct {
	writes int
	err    error
}

func (c *counter) Write(p []byte) (int, error) {
	c.writes++
	return len(p), c.err
}

func TestStatusSentences(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *model.Sample)
		want   []string
		not    []string
	}{
		{"ksmd works", func(s *model.Sample) {
			s.Rates = sysfs.Rates{
				KSMDPercent: 38.24, HasKSMDPercent: true, PagesPerSecond: 118000, HasPagesPerSecond: true,
				FullScan: 21600 * time.Millisecond, HasFullScan: true, BrokenPerSecond: 214, HasBrokenPerSecond: true,
			}
		}, []string{"ksmd       38.2 % of one CPU, 118 k pages/s, a full scan takes about 21.6 s, 17 full scans so far, 214 merged pages/s copied back by writes\n"}, nil},
		{"one full scan", func(s *model.Sample) { s.Reading.Counters.FullScans = 1 }, []string{"ksmd       1 full scan so far\n"}, nil},
		{"almost no loss", func(s *model.Sample) { s.Savings.NetBytes = -4096 }, []string{" 0.0 % of memory\n"}, []string{"-0.0"}},
		{"a loss", func(s *model.Sample) { s.Savings.NetBytes = -int64(s.Reading.Host.MemTotal) / 1000 }, []string{" -0.1 % of memory\n"}, nil},
		{"denied", func(s *model.Sample) { s.Denied, s.Seen = 183, 1186 }, []string{
			"3 of 187 processes take part in KSM, as far as can be seen: the KSM data of 183 belong to other users (CAP_DAC_READ_SEARCH or root reads them).\n",
		}, nil},
		{"many processes", func(s *model.Sample) {
			for len(s.Rows) < 20 {
				s.Rows = append(s.Rows, s.Rows[0])
			}
		}, []string{"  and 14 more\n"}, nil},
		{"nothing is unattributed", func(s *model.Sample) { s.Unattributed = 0 }, nil, []string{"belong to no process"}},
		{"run=2", func(s *model.Sample) { s.Reading.Knobs.Run = 2 }, []string{"KSM is off: run is 2, everything was unmerged."}, nil},
		{"no items", func(s *model.Sample) {
			for i := range s.Rows {
				s.Rows[i].KSM.Present = sysfs.KSMMergingPages
			}
		}, []string{", costs          -, tracks - pages"}, []string{"costs        0 B"}},
		{"no memory known", func(s *model.Sample) { s.Reading.Host.HasMemory = false }, []string{"\nNet        1.21 GiB\n"}, []string{"of memory"}},
		{"more than any memory", func(s *model.Sample) { s.HasSavings = false }, []string{"\nSaved      unknown     the counters are beyond any memory\n"}, []string{"Net "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sample(t, "6.18")
			tt.change(s)
			var out bytes.Buffer
			if err := Status(&out, s); err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
			for _, not := range tt.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("there is %q in\n%s", not, out.String())
				}
			}
		})
	}
}

func TestRun(t *testing.T) {
	var r RunResult
	report := func() string {
		t.Helper()
		var out bytes.Buffer
		if err := Run(&out, &r); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got, want := report(), "ksmtop: the program ended before its KSM data could be read, or this kernel has none\n"; got != want {
		t.Errorf("report %q, want %q", got, want)
	}
	r.TakeKSMD(time.Hour)
	r.Take(RunSaving{Processes: 1, SavedBytes: -5 << 10, MetadataBytes: 1 << 10}) // zero pages may be fewer than none
	r.Take(RunSaving{Processes: 3, SavedBytes: 64 << 20, MetadataBytes: 1 << 20})
	r.Take(RunSaving{Processes: 2, SavedBytes: 1 << 20, MetadataBytes: 3 << 20})
	r.TakeKSMD(time.Hour + 2300*time.Millisecond)
	want := "ksmtop: at its highest merging saved 64.0 MiB and cost 1.00 MiB of metadata, net 63.0 MiB (3 processes)\n" +
		"ksmtop: at the end     merging saved 1.00 MiB and cost 3.00 MiB of metadata, net -2.00 MiB (2 processes)\n" +
		"ksmtop: ksmd used 2.3 s of CPU meanwhile, for all processes of the machine\n"
	if got := report(); got != want {
		t.Errorf("report:\n%swant:\n%s", got, want)
	}
	r = RunResult{}
	r.Take(RunSaving{Processes: 1, SavedBytes: math.MinInt64 / 2})
	if got := report(); !strings.Contains(got, "(1 process)") || strings.Contains(got, "ksmd") {
		t.Errorf("report %q", got)
	}
}

// Nothing is allocated for each row of a block.
func TestBatchAllocations(t *testing.T) {
	s := sample(t, "6.18")
	row := s.Rows[0]
	measure := func(rows int) float64 {
		s.Rows = slices.Repeat([]model.Row{row}, rows)
		batch, err := NewBatch(nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &counter{}
		_ = batch.Write(w, s) // the buffer grows
		return testing.AllocsPerRun(10, func() { _ = batch.Write(w, s) })
	}
	if few, many := measure(10), measure(1000); many > few {
		t.Errorf("%v allocations for 10 rows, %v for 1000", few, many)
	}
}

func ExampleRun() {
	var r RunResult
	r.Take(RunSaving{Processes: 2, SavedBytes: 3 << 20, MetadataBytes: 64 << 10})
	var out strings.Builder
	_ = Run(&out, &r)
	fmt.Print(out.String())
	// Output:
	// ksmtop: at its highest merging saved 3.00 MiB and cost 64.0 KiB of metadata, net 2.94 MiB (2 processes)
	// ksmtop: at the end     merging saved 3.00 MiB and cost 64.0 KiB of metadata, net 2.94 MiB (2 processes)
}
