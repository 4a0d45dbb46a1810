package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// fuzzOn returns what runs scripts on a new machine, which wrap may make wrong.
func fuzzOn(opts ksmd.Options, wrap func(*Machine) Backend) RunFunc {
	return func(ctx context.Context, s *Script) (Outcome, error) {
		r := Runner{Backend: wrap(NewMachine(opts))}
		return r.Outcome(ctx, s)
	}
}

func right(m *Machine) Backend { return m }

// untilScripts returns a More for n scripts.
func untilScripts(n int) func() bool {
	return func() bool {
		n--
		return n >= 0
	}
}

// Backends that have one fault each.
type (
	keepsPages  struct{ *Machine } // MADV_DONTNEED is forgotten
	oneOff      struct{ *Machine } // fill leaves out the last of four or more pages
	staysMarked struct{ *Machine } // MADV_UNMERGEABLE is forgotten
	neverBusy   struct{ *Machine } // max_page_sharing is not refused
	miscounts   struct{ *Machine } // a process with KSM zero pages is said to have an item more
)

func (keepsPages) DontNeed(context.Context, string, string, int, int) error { return nil }

func (b oneOff) Write(ctx context.Context, p, a string, first, pages int, content, step uint64) error {
	if step == 0 && pages >= 4 {
		pages--
	}
	return b.Machine.Write(ctx, p, a, first, pages, content, step)
}

func (staysMarked) Unmergeable(context.Context, string, string, int, int) error { return nil }

func (b neverBusy) Set(ctx context.Context, knob sysfs.Field, value uint64) error {
	if err := b.Machine.Set(ctx, knob, value); knob != sysfs.MaxPageSharing {
		return err
	}
	return nil
}

func (b miscounts) ProcessStat(ctx context.Context, process string) (sysfs.ProcessStat, error) {
	stat, err := b.Machine.ProcessStat(ctx, process)
	if stat.ZeroPages > 0 {
		stat.RmapItems++
	}
	return stat, err
}

// Every fault is found, and the script that shows it is short: the fault itself,
// and what makes it visible.
func TestFuzzFindsFaults(t *testing.T) {
	tests := []struct {
		name    string
		wrap    func(*Machine) Backend
		scripts int // enough to find it
		longest int // operations after shrinking
		with    OpKind
	}{
		{"dontneed", func(m *Machine) Backend { return keepsPages{m} }, 50, 8, OpDontNeed},
		{"fill", func(m *Machine) Backend { return oneOff{m} }, 50, 6, OpFill},
		{"unmergeable", func(m *Machine) Backend { return staysMarked{m} }, 50, 7, OpUnmergeable},
		{"refusal", func(m *Machine) Backend { return neverBusy{m} }, 1000, 7, OpSet},
		{"counter of a process", func(m *Machine) Backend { return miscounts{m} }, 100, 8, OpShow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var announced uint64
			f := Fuzz{
				Kernel: fuzzOn(ksmd.Options{}, right), Model: fuzzOn(ksmd.Options{}, tt.wrap),
				Seed: 1, More: untilScripts(tt.scripts), Found: func(seed uint64) { announced = seed },
			}
			stats, found, err := f.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if found == nil {
				t.Fatalf("nothing found in %d scripts", stats.Scripts)
			}
			text := found.Script.Format()
			has := func(op Op) bool { return op.Kind == tt.with }
			if len(found.Script.Ops) > tt.longest || !slices.ContainsFunc(found.Script.Ops, has) {
				t.Errorf("shrunk to\n%swant up to %d operations, one of them %s", text, tt.longest, tt.with)
			}
			if announced != found.Seed || found.Seed != uint64(stats.Scripts) {
				t.Errorf("Found was told %d, the finding is of seed %d, and %d scripts ran from seed 1", announced, found.Seed, stats.Scripts)
			}
			again, err := f.compare(t.Context(), found.Script)
			if err != nil || !slices.Equal(again.Differences, found.Differences) || len(found.Differences) == 0 {
				t.Errorf("the finding lists %v, and its script differs in %v, %v", found.Differences, again.Differences, err)
			}
		})
	}
}

// Engines that count the same: nothing is found, and everything is counted.
func TestFuzzAgrees(t *testing.T) {
	var last FuzzStats
	var ops, rows, cells, refused int
	f := Fuzz{
		Kernel: fuzzOn(ksmd.Options{Trees: ksmd.TreesAlways}, right), Model: fuzzOn(ksmd.Options{}, right),
		Seed: 3, Ops: 60, More: untilScripts(200), Progress: func(s FuzzStats) { last = s },
	}
	stats, found, err := f.Run(t.Context())
	if err != nil || found != nil {
		t.Fatalf("Run() = %+v, %v", found, err)
	}
	for seed := uint64(3); seed < 203; seed++ {
		s := RandomScript(seed, 60, ProfileAny)
		o, err := f.Kernel(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		done := len(s.Ops)
		if o.Refused != nil {
			refused++
			done = slices.IndexFunc(s.Ops, func(op Op) bool { return op.Line == o.Refused.Line })
		}
		ops += done
		rows += len(o.Table.Rows)
		cells += o.Table.Cells()
	}
	want := FuzzStats{Scripts: 200, Ops: ops, Rows: rows, Cells: cells, Refused: refused}
	if stats.Scripts != want.Scripts || stats.Ops != want.Ops || stats.Rows != want.Rows || stats.Cells != want.Cells ||
		stats.Refused != want.Refused || len(stats.Unstable) != 0 || refused == 0 {
		t.Errorf("Run() counted %+v, want %+v with refusals", stats, want)
	}
	if last.Scripts != stats.Scripts {
		t.Errorf("Progress was last told of %d scripts, want %d", last.Scripts, stats.Scripts)
	}
}

// A difference that is there once only is counted, and the search goes on.
func TestFuzzUnstable(t *testing.T) {
	for _, times := range []int{1, 2} {
		runs := make(map[string]int)
		run := fuzzOn(ksmd.Options{}, right)
		f := Fuzz{
			Model: run,
			Kernel: func(ctx context.Context, s *Script) (Outcome, error) {
				o, err := run(ctx, s)
				text := string(s.Format())
				if runs[text]++; runs[text] <= times && strings.Contains(text, "unmap") {
					o.Table.Rows[0].Set(ColumnPagesShared, 999)
				}
				return o, err
			},
			Seed: 1, More: untilScripts(10),
		}
		stats, found, err := f.Run(t.Context())
		if err != nil || found != nil || stats.Scripts != 10 || len(stats.Unstable) == 0 {
			t.Errorf("%d of 3 runs differ: Run() = %+v, %v, %v, want unstable seeds", times, stats, found, err)
		}
	}
}

// A backend that fails ends it; a context that is done does so without an error.
func TestFuzzEnds(t *testing.T) {
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	f := Fuzz{
		Model: fuzzOn(ksmd.Options{}, right),
		Kernel: func(context.Context, *Script) (Outcome, error) {
			return Outcome{}, broken
		},
		Seed: 5,
	}
	if _, found, err := f.Run(ctx); !errors.Is(err, broken) || found != nil || !strings.Contains(err.Error(), "seed 5") {
		t.Errorf("Run() = %v, %v, want the backend's error and the seed", found, err)
	}
	f.Kernel = f.Model
	f.Progress = func(s FuzzStats) {
		if s.Scripts == 3 {
			cancel()
		}
	}
	if stats, found, err := f.Run(ctx); err != nil || found != nil || stats.Scripts != 3 {
		t.Errorf("Run() = %+v, %v, %v, want 3 scripts and no error", stats, found, err)
	}
}

func TestDiffOutcomes(t *testing.T) {
	outcome := func(refused int, columns ...Column) Outcome {
		row := Row{Label: "end", Process: SystemProcess}
		for _, c := range columns {
			row.Set(c, int64(c)+1)
		}
		o := Outcome{Table: &Table{Rows: []Row{row}}}
		if refused > 0 {
			o.Refused = &ScriptError{Line: refused, Err: syscall.EBUSY}
		}
		return o
	}
	tests := []struct {
		name      string
		got, want Outcome
		list      []Difference
	}{
		{"equal", outcome(0, ColumnPagesShared), outcome(0, ColumnPagesShared), nil},
		{"a column that the kernel lacks", outcome(0, ColumnPagesShared, ColumnPagesSkipped), outcome(0, ColumnPagesShared), nil},
		{"a column that the model lacks", outcome(0), outcome(0, ColumnPagesShared), []Difference{{0, "end", "-", "pages_shared", ".", "4"}}},
		{"refused here only", outcome(3), outcome(0), []Difference{{1, "(end)", "-", "refused in line", "3", "."}}},
		{"refused elsewhere", outcome(3), outcome(4), []Difference{{1, "(end)", "-", "refused in line", "3", "4"}}},
		{"refused alike", outcome(4), outcome(4), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if list := DiffOutcomes(tt.got, tt.want); !slices.Equal(list, tt.list) {
				t.Errorf("DiffOutcomes() = %v, want %v", list, tt.list)
			}
		})
	}
}

func TestRandomScript(t *testing.T) {
	a, b := RandomScript(7, 50, ProfileZero), RandomScript(7, 50, ProfileZero)
	if string(a.Format()) != string(b.Format()) || len(a.Ops) != 50 {
		t.Errorf("seed 7 gives %d and %d operations that differ, want 50 that do not", len(a.Ops), len(b.Ops))
	}
	if c := RandomScript(8, 50, ProfileZero); string(a.Format()) == string(c.Format()) {
		t.Error("seeds 7 and 8 give the same script")
	}
}

func TestMachineNames(t *testing.T) {
	ctx := t.Context()
	m := NewMachine(ksmd.Options{})
	s, err := Parse("t", []byte("spawn p\nmap p a 3\nmap p b 2\nwrite p a 0 3 7\nmergeable p a 0 2\nunmap p b\nfork p c\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(ctx, s, m); err != nil {
		t.Fatal(err)
	}
	for _, process := range []string{"p", "c"} {
		list := m.Areas(process)
		if len(list) != 1 || list[0].Area != "a" || list[0].Pages != 3 {
			t.Fatalf("Areas(%q) = %v, want area a of 3 pages alone", process, list)
		}
		number := m.processes[process].number
		if got, ok := m.Content(number, list[0].First+1); got != 8 || !ok {
			t.Errorf("Content() of %s = %d, %v, want 8", process, got, ok)
		}
		if _, ok := m.Content(number, list[0].First+2); ok {
			t.Error("Content() knows a page that is not mergeable")
		}
	}
	if err := m.Exit(ctx, "p"); err != nil {
		t.Fatal(err)
	}
	if list := m.Areas("p"); list != nil {
		t.Errorf("Areas() of a process that exited = %v, want none", list)
	}
}
