package sim

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

// recorder is a backend that notes what it is asked to do.
type recorder struct {
	calls []string
	fail  string // the beginning of the call that fails
	err   error  // how
	stop  func() // if not nil, called by Scan

	counters sysfs.Counters
	stat     sysfs.ProcessStat
}

func (r *recorder) call(format string, args ...any) error {
	call := fmt.Sprintf(format, args...)
	r.calls = append(r.calls, call)
	if r.fail != "" && strings.HasPrefix(call, r.fail) {
		return r.err
	}
	return nil
}

func (r *recorder) Set(_ context.Context, knob sysfs.Field, value uint64) error {
	return r.call("set %s %d", knob, value)
}
func (r *recorder) Spawn(_ context.Context, p string) error   { return r.call("spawn %s", p) }
func (r *recorder) Fork(_ context.Context, p, c string) error { return r.call("fork %s %s", p, c) }
func (r *recorder) Exit(_ context.Context, p string) error    { return r.call("exit %s", p) }
func (r *recorder) Map(_ context.Context, p, a string, n int) error {
	return r.call("map %s %s %d", p, a, n)
}
func (r *recorder) Unmap(_ context.Context, p, a string, i, n int) error {
	return r.call("unmap %s %s %d %d", p, a, i, n)
}
func (r *recorder) Write(_ context.Context, p, a string, i, n int, c, step uint64) error {
	return r.call("write %s %s %d %d %d step %d", p, a, i, n, c, step)
}
func (r *recorder) Read(_ context.Context, p, a string, i, n int) error {
	return r.call("read %s %s %d %d", p, a, i, n)
}
func (r *recorder) DontNeed(_ context.Context, p, a string, i, n int) error {
	return r.call("dontneed %s %s %d %d", p, a, i, n)
}
func (r *recorder) Mergeable(_ context.Context, p, a string, i, n int) error {
	return r.call("mergeable %s %s %d %d", p, a, i, n)
}
func (r *recorder) Unmergeable(_ context.Context, p, a string, i, n int) error {
	return r.call("unmergeable %s %s %d %d", p, a, i, n)
}
func (r *recorder) Scan(_ context.Context, n int) error {
	if r.stop != nil {
		r.stop()
	}
	return r.call("scan %d", n)
}
func (r *recorder) Batch(_ context.Context, n int) error { return r.call("batch %d", n) }
func (r *recorder) Counters(context.Context) (sysfs.Counters, error) {
	return r.counters, r.call("counters")
}
func (r *recorder) ProcessStat(_ context.Context, p string) (sysfs.ProcessStat, error) {
	return r.stat, r.call("stat %s", p)
}
func (r *recorder) Close() error { return r.call("close") }

func parse(t *testing.T, text string) *Script {
	t.Helper()
	s, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRunCalls(t *testing.T) {
	s := parse(t, `set run 0
spawn p
map p a 9
write p a 0 3 7
fill p a 3 3 8
read p a 0 1
dontneed p a 1 2
mergeable p a 0 9
unmergeable p a 4 5
unmap p a 2 1
unmap p a 5 2
fork p c
unmap c a
exit p
fork c d
scan
batch 3
show x
`)
	r := &recorder{}
	var around []string
	runner := Runner{Backend: r,
		Before: func(op *Op) { around = append(around, "before "+op.String()) },
		After:  func(op *Op) { around = append(around, "after "+op.String()) }}
	if _, err := runner.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	want := strings.Split(`set run 0
spawn p
map p a 9
write p a 0 3 7 step 1
write p a 3 3 8 step 0
read p a 0 1
dontneed p a 1 2
mergeable p a 0 9
unmergeable p a 4 5
unmap p a 2 1
unmap p a 5 2
fork p c
unmap c a 0 2
unmap c a 3 2
unmap c a 7 2
exit p
fork c d
scan 1
batch 3
counters
stat c
stat d`, "\n")
	if !reflect.DeepEqual(r.calls, want) {
		t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(r.calls, "\n"), strings.Join(want, "\n"))
	}
	if len(around) != 2*len(s.Ops) || around[0] != "before set run 0" || around[1] != "after set run 0" {
		t.Errorf("hooks: %q", around)
	}
}

func TestRunTable(t *testing.T) {
	var all sysfs.FieldSet
	for f := range sysfs.Fields() {
		all |= sysfs.SetOf(f)
	}
	r := &recorder{
		counters: sysfs.Counters{FullScans: 1, PagesScanned: 2, PagesSkipped: 3, PagesShared: 4, PagesSharing: 5,
			PagesUnshared: 6, PagesVolatile: 7, KSMZeroPages: 8, StableNodeChains: 9, StableNodeDups: 10,
			GeneralProfit: (5+8)*4096 - 30*64, Present: all},
		stat: sysfs.ProcessStat{RmapItems: 11, ZeroPages: 12, MergingPages: 13, Profit: -14,
			Present: sysfs.KSMRmapItems | sysfs.KSMZeroPagesOf | sysfs.KSMMergingPages | sysfs.KSMProcessProfit},
	}
	s := parse(t, "spawn b\nspawn a\nshow x\nexit b\nshow y\n")
	table, err := Run(t.Context(), s, r)
	if err != nil {
		t.Fatal(err)
	}
	const machine = "\t-\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t51328\t30\t.\t.\n"
	const process = "\t.\t.\t.\t.\t.\t.\t.\t12\t.\t.\t.\t11\t13\t-14\n"
	want := header + "x" + machine + "x\tb" + process + "x\ta" + process + "y" + machine + "y\ta" + process
	var out strings.Builder
	if err := table.WriteTSV(&out); err != nil || out.String() != want {
		t.Errorf("table: %v\n%s\nwant\n%s", err, out.String(), want)
	}

	// Pages of another size; and a kernel that lacks what the number of items follows from.
	r.counters.GeneralProfit = (5+8)*65536 - 31*64
	runner := Runner{Backend: r, PageSize: 65536}
	if table, err = runner.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if items, ok := table.Rows[0].Value(ColumnRmapItems); !ok || items != 31 {
		t.Errorf("items with large pages = %d, %t, want 31", items, ok)
	}
	r.counters.Present &^= sysfs.SetOf(sysfs.KSMZeroPages)
	r.stat.Present = 0
	if table, err = runner.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Column{ColumnRmapItems, ColumnKSMZeroPages} {
		if v, ok := table.Rows[0].Value(c); ok {
			t.Errorf("%s = %d on a kernel without ksm_zero_pages, want none", c, v)
		}
	}
	if table.Rows[1].Present != 0 {
		t.Errorf("a process without ksm_stat has values: %v", table.Rows[1])
	}
}

func TestRunErrors(t *testing.T) {
	const text = "\nspawn p\nshow a\n  set max_page_sharing 2\nshow b\n" +
		"spawn q\nmap p a 3\nunmap p a 1 1\nunmap p a\nexit p\n"
	broken := errors.New("broken")
	tests := []struct {
		name, fail string
		err        error
		want       string
		rows       int
		refused    bool
	}{
		{"refused", "set", syscall.EBUSY, `f:4: "max_page_sharing": cannot change while there are KSM pages`, 2, true},
		{"wrapped", "set", fmt.Errorf("x: %w", syscall.EBUSY), `f:4: "max_page_sharing": cannot change while there are KSM pages`, 2, true},
		{"other error of a knob", "set", broken, "f:4: set max_page_sharing 2: broken", 2, false},
		{"other busy operation", "exit", syscall.EBUSY, "f:10: exit p: " + syscall.EBUSY.Error(), 4, false},
		{"counters", "counters", broken, "f:3: show a: broken", 0, false},
		{"process", "stat", broken, "f:3: show a: broken", 0, false},
		{"piece of an unmap", "unmap p a 2", broken, "f:9: unmap p a: broken", 4, false},
	}
	for _, tt := range tests {
		table, err := Run(t.Context(), parse(t, text), &recorder{fail: tt.fail, err: tt.err})
		if err == nil || err.Error() != tt.want || table == nil || len(table.Rows) != tt.rows {
			t.Errorf("%s: Run = %v, %v, want %d rows and %s", tt.name, table, err, tt.rows, tt.want)
			continue
		}
		refused := new(ScriptError)
		if errors.As(err, &refused) != tt.refused || tt.refused && !errors.Is(err, syscall.EBUSY) {
			t.Errorf("%s: the error is %#v", tt.name, err)
		}
	}
}

func TestRunChecksFirst(t *testing.T) {
	r := &recorder{}
	s := &Script{Name: "f", Ops: []Op{{Kind: OpSpawn, Process: "p"}, {Kind: OpExit, Process: "q"}}}
	table, err := Run(t.Context(), s, r)
	if want := `f:2:6: "q": no such process`; table != nil || err == nil || err.Error() != want {
		t.Errorf("Run = %v, %v, want %s", table, err, want)
	}
	if r.calls != nil {
		t.Errorf("a wrong script did %q", r.calls)
	}
}

func TestRunCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{stop: cancel}
	table, err := Run(ctx, parse(t, "show a\nscan\nshow b\n"), r)
	if !errors.Is(err, context.Canceled) || len(table.Rows) != 1 {
		t.Errorf("Run = %v, %v, want one row and %v", table, err, context.Canceled)
	}
}
