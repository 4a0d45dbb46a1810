//go:build unix

package sysfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sysfs"
)

func TestParseSetting(t *testing.T) {
	tests := []struct {
		text    string
		want    sysfs.Setting
		wantErr string
	}{
		{text: "run=2", want: sysfs.Setting{Field: sysfs.Run, Value: "2"}},
		{text: "advisor_mode=scan-time", want: sysfs.Setting{Field: sysfs.AdvisorMode, Value: "scan-time"}},
		{text: "smart_scan=on", want: sysfs.Setting{Field: sysfs.SmartScan, Value: "on"}},
		{text: "", wantErr: `"": must be KNOB=VALUE`},
		{text: "run", wantErr: `"run": must be KNOB=VALUE`},
		{text: "=1", wantErr: `"": no such knob`},
		{text: "\x1b[2J=1", wantErr: `"\x1b[2J": no such knob`},
		{text: "run=", wantErr: `run: "": must be a decimal number`},
		{text: "run=3", wantErr: `run: "3": must be 0 (stop), 1 (scan) or 2 (unmerge everything)`},
		{text: "sleep_millisecs=5=6", wantErr: `sleep_millisecs: "5=6": must be a decimal number`},
		{text: "pages_shared=1", wantErr: `pages_shared: "1": a counter cannot be set`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := sysfs.ParseSetting(tt.text)
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Fatalf("ParseSetting(%q) error = %v, want %s", tt.text, err, tt.wantErr)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("ParseSetting(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
			}
		})
	}
}

// step is one call of Set on a kernel with default knobs.
type step struct {
	name   string
	before string // set beforehand, in this order
	merged bool   // some pages are merged
	set    string

	writes  string // what is written, in order
	changes string // what Set returns
	after   string // the knobs that differ from the default

	// For the fake kernel only:
	refuse      string // "knob=value": answered with errno
	errno       syscall.Errno
	unreachable bool

	wantErr []string // parts of the error
	is      error    // what it is
	hint    string   // part of the hint
}

var steps = []step{
	{name: "nothing"},
	{
		name: "order", set: "run=1 advisor_mode=scan-time advisor_min_pages_to_scan=600 sleep_millisecs=7 advisor_target_scan_time=9",
		writes: "advisor_min_pages_to_scan=600 sleep_millisecs=7 advisor_target_scan_time=9 advisor_mode=scan-time run=1",
		changes: "advisor_min_pages_to_scan:500>600 sleep_millisecs:20>7 advisor_target_scan_time:200>9 advisor_mode:none>scan-time " +
			"(pages_to_scan:100>600) run:0>1",
		after: "run=1 pages_to_scan=600 sleep_millisecs=7 advisor_mode=scan-time advisor_min_pages_to_scan=600 advisor_target_scan_time=9",
	},
	{
		name: "stop first", before: "run=1", set: "max_page_sharing=3 run=0",
		writes: "run=0 max_page_sharing=3", changes: "run:1>0 max_page_sharing:256>3", after: "max_page_sharing=3",
	},
	{
		name: "unmerge, change, go on", before: "run=1", merged: true, set: "merge_across_nodes=0 max_page_sharing=3 run=2 run=1",
		writes:  "run=2 merge_across_nodes=0 max_page_sharing=3 run=1",
		changes: "run:1>2 merge_across_nodes:1>0 max_page_sharing:256>3 run:2>1",
		after:   "run=1 merge_across_nodes=0 max_page_sharing=3",
	},
	{
		name: "unmerge and stop", before: "run=1", merged: true, set: "run=2 run=0",
		writes: "run=2 run=0", changes: "run:1>2 run:2>0",
	},
	{
		name: "advisor off before pages", before: "advisor_mode=scan-time", set: "pages_to_scan=40 advisor_mode=none",
		writes: "advisor_mode=none pages_to_scan=40", changes: "advisor_mode:scan-time>none pages_to_scan:500>40",
		after: "pages_to_scan=40",
	},
	{
		name: "advisor off takes pages along", before: "advisor_mode=scan-time", set: "advisor_mode=none",
		writes: "advisor_mode=none", changes: "advisor_mode:scan-time>none (pages_to_scan:500>100)",
	},
	{
		name: "values that stay are written", merged: true, set: "max_page_sharing=256 merge_across_nodes=1 sleep_millisecs=20 advisor_mode=none",
		writes:  "advisor_mode=none max_page_sharing=256 merge_across_nodes=1 sleep_millisecs=20",
		changes: "advisor_mode:none>none max_page_sharing:256>256 merge_across_nodes:1>1 sleep_millisecs:20>20",
	},
	{
		name: "what the kernel makes of values", set: "advisor_max_cpu=4294967397 smart_scan=No sleep_millisecs=+007",
		writes:  "advisor_max_cpu=4294967397 smart_scan=No sleep_millisecs=+007",
		changes: "advisor_max_cpu:70>101 smart_scan:1>0 sleep_millisecs:20>7",
		after:   "sleep_millisecs=7 smart_scan=0 advisor_max_cpu=101",
	},
	{
		name: "pages with the advisor", set: "sleep_millisecs=7 pages_to_scan=40 advisor_mode=scan-time",
		wantErr: []string{"pages_to_scan: invalid argument: the advisor chooses this value"}, is: unix.EINVAL, hint: "advisor_min_pages_to_scan",
	},
	{
		name: "pages under the advisor", before: "advisor_mode=scan-time", set: "sleep_millisecs=7 pages_to_scan=40",
		after:   "pages_to_scan=500 advisor_mode=scan-time",
		wantErr: []string{"pages_to_scan: invalid argument: the advisor"}, is: unix.EINVAL, hint: "advisor_mode=none",
	},
	{
		name: "busy is foreseen", merged: true, set: "sleep_millisecs=7 max_page_sharing=3",
		wantErr: []string{"max_page_sharing: device or resource busy: KSM pages exist"}, is: unix.EBUSY, hint: "run=2",
	},
	{
		name: "busy on nodes is foreseen", merged: true, set: "merge_across_nodes=0",
		wantErr: []string{"merge_across_nodes: device or resource busy: KSM pages exist"}, is: unix.EBUSY, hint: "run=2",
	},
	{
		name: "twice", set: "sleep_millisecs=7 sleep_millisecs=8",
		wantErr: []string{"sleep_millisecs: given twice"},
	},
	{name: "run thrice", set: "run=2 run=1 run=0", wantErr: []string{"run: may be given twice only as 2 and then 0 or 1"}},
	{name: "unmerge last", set: "run=1 run=2", wantErr: []string{"run: may be given twice only as"}},
	{name: "unmerge twice", set: "run=2 run=2", wantErr: []string{"run: may be given twice only as"}},

	// What follows is refused in its middle.
	{
		name: "busy without pages shared", unreachable: true, set: "sleep_millisecs=7 max_page_sharing=3",
		writes:  "sleep_millisecs=7 max_page_sharing=3:EBUSY sleep_millisecs=20",
		wantErr: []string{"max_page_sharing: device or resource busy: KSM pages exist; put back: sleep_millisecs"},
		is:      unix.EBUSY, hint: "run=2",
	},
	{
		name: "busy after unmerging", before: "run=1", unreachable: true, set: "run=2 max_page_sharing=3 run=1",
		writes:  "run=2 max_page_sharing=3:EBUSY run=1",
		after:   "run=1",
		wantErr: []string{"busy: KSM pages exist that unmerging does not reach", "; put back: run; what run=2 unmerged stays unmerged"},
		is:      unix.EBUSY, hint: "when those processes end",
	},
	{
		name: "first of the step", refuse: "sleep_millisecs=7", errno: unix.EACCES, set: "sleep_millisecs=7 run=1",
		writes:  "sleep_millisecs=7:EACCES",
		wantErr: []string{"sleep_millisecs: permission denied"}, is: fs.ErrPermission, hint: "root",
	},
	{
		name: "read-only", refuse: "run=1", errno: unix.EROFS, set: "run=1",
		writes:  "run=1:EROFS",
		wantErr: []string{"run: read-only file system"}, is: unix.EROFS, hint: "container",
	},
	{
		name: "not permitted", refuse: "run=1", errno: unix.EPERM, set: "run=1",
		writes:  "run=1:EPERM",
		wantErr: []string{"run: operation not permitted"}, is: fs.ErrPermission, hint: "root",
	},
	{
		name: "unknown to this kernel", refuse: "max_page_sharing=2147483647", errno: unix.ERANGE, set: "max_page_sharing=2147483647",
		writes:  "max_page_sharing=2147483647:ERANGE",
		wantErr: []string{"max_page_sharing: numerical result out of range"}, is: unix.ERANGE,
	},
	{
		name: "other text rules", refuse: "smart_scan=on", errno: unix.EINVAL, set: "smart_scan=on",
		writes:  "smart_scan=on:EINVAL",
		wantErr: []string{`smart_scan: invalid argument: this kernel does not take "on"`}, is: unix.EINVAL,
	},
	{
		name: "no memory to unmerge", before: "run=1", refuse: "run=2", errno: unix.ENOMEM, set: "run=2",
		writes: "run=2:ENOMEM run=1", after: "run=1",
		wantErr: []string{"run: cannot allocate memory: too little memory to unmerge everything; put back: run"},
		is:      unix.ENOMEM, hint: "free memory",
	},
	{
		name:   "advisor switched on and off again",
		before: "pages_to_scan=350", refuse: "run=1", errno: unix.EACCES,
		set:     "advisor_min_pages_to_scan=600 advisor_mode=scan-time run=1",
		writes:  "advisor_min_pages_to_scan=600 advisor_mode=scan-time run=1:EACCES advisor_mode=none pages_to_scan=350 advisor_min_pages_to_scan=500",
		after:   "pages_to_scan=350",
		wantErr: []string{"run: permission denied; put back: pages_to_scan advisor_mode advisor_min_pages_to_scan"},
		is:      fs.ErrPermission, hint: "root",
	},
	{
		name:   "advisor switched off and on again",
		before: "advisor_min_pages_to_scan=1234 advisor_mode=scan-time advisor_min_pages_to_scan=500", refuse: "run=1", errno: unix.EACCES,
		set: "advisor_mode=none pages_to_scan=40 run=1",
		writes: "advisor_mode=none pages_to_scan=40 run=1:EACCES " +
			"advisor_min_pages_to_scan=1234 advisor_mode=scan-time advisor_min_pages_to_scan=500",
		after:   "pages_to_scan=1234 advisor_mode=scan-time",
		wantErr: []string{"run: permission denied; put back: pages_to_scan advisor_mode"},
		is:      fs.ErrPermission, hint: "root",
	},
	{
		name:   "refused both ways",
		refuse: "sleep_millisecs=20", errno: unix.EPERM, unreachable: true,
		set:     "sleep_millisecs=7 smart_scan=0 max_page_sharing=3",
		writes:  "sleep_millisecs=7 smart_scan=0 max_page_sharing=3:EBUSY sleep_millisecs=20:EPERM smart_scan=1",
		after:   "sleep_millisecs=7",
		wantErr: []string{"busy: KSM pages exist; putting back: write ", "sleep_millisecs: operation not permitted"},
		is:      fs.ErrPermission, hint: "run=2",
	},
}

func (tt *step) run(t *testing.T, fsys sysfs.FS, write func(sysfs.Field, string) error) {
	t.Helper()
	var planned string
	if tt.refuse == "" && !tt.unreachable {
		changes, err := fsys.Plan(parse(t, tt.set)...)
		if (err != nil) != (tt.wantErr != nil) {
			t.Errorf("Plan(%s) error = %v, want like Set: %v", tt.set, err, tt.wantErr)
		}
		planned = show(changes)
	}
	r := recorder{through: write}
	changes, err := fsys.SetThrough(r.write, parse(t, tt.set)...)
	if got := strings.Join(r.writes, " "); got != tt.writes {
		t.Errorf("Set(%s) writes\n     %s\nwant %s", tt.set, got, tt.writes)
	}
	if got := show(changes); got != tt.changes {
		t.Errorf("Set(%s) =\n     %s\nwant %s", tt.set, got, tt.changes)
	}
	if err == nil && planned != tt.changes {
		t.Errorf("Plan(%s) =\n     %s\nwant %s", tt.set, planned, tt.changes)
	}
	if got := differing(t, fsys); got != tt.after {
		t.Errorf("after Set(%s):\n     %s\nwant %s", tt.set, got, tt.after)
	}
	if (err != nil) != (tt.wantErr != nil) {
		t.Fatalf("Set(%s) error = %v, want %v", tt.set, err, tt.wantErr)
	}
	for _, part := range tt.wantErr {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("Set(%s) error = %q, want %q in it", tt.set, err, part)
		}
	}
	if tt.is != nil && !errors.Is(err, tt.is) {
		t.Errorf("Set(%s) error = %v is not %v", tt.set, err, tt.is)
	}
	if got := sysfs.Hint(err); !strings.Contains(got, tt.hint) || tt.hint == "" && got != "" {
		t.Errorf("Hint(%v) = %q, want %q in it", err, got, tt.hint)
	}
}

// show writes changes in short: those implied in parentheses.
func show(changes []sysfs.Change) string {
	var out []string
	for _, c := range changes {
		text := fmt.Sprintf("%s:%s>%s", c.Field, c.Old, c.New)
		if c.Implied {
			text = "(" + text + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestSet(t *testing.T) {
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			k := newFakeKernel(t, t.TempDir())
			for _, s := range parse(t, tt.before) {
				if err := k.write(s.Field, s.Value); err != nil {
					t.Fatal(err)
				}
			}
			if tt.merged {
				k.store(sysfs.PagesShared, "1")
				k.store(sysfs.PagesSharing, "3")
			}
			k.unreachable = tt.unreachable
			if tt.refuse != "" {
				k.refuse = map[string]error{tt.refuse: tt.errno}
			}
			tt.run(t, k.FS, k.write)
		})
	}
}

// An older kernel lacks knobs: the error says since when there is one.
func TestSetLacking(t *testing.T) {
	k := newFakeKernel(t, t.TempDir())
	for f, want := range map[sysfs.Field]string{
		sysfs.SmartScan:        "smart_scan: not supported by this kernel: since Linux 6.7",
		sysfs.MergeAcrossNodes: "merge_across_nodes: not supported by this kernel: since Linux 3.9, with NUMA",
	} {
		if err := os.Remove(k.Path(f)); err != nil {
			t.Fatal(err)
		}
		_, err := k.Set(parse(t, "sleep_millisecs=7 "+f.String()+"=0")...)
		if !errors.Is(err, sysfs.ErrNotSupported) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Set(%s) error = %v, want ErrNotSupported and %q", f, err, want)
		}
	}
	if got := differing(t, k.FS); got != "" {
		t.Errorf("Set wrote %s", got)
	}
	_, err := sysfs.FS{Root: t.TempDir()}.Set(parse(t, "run=0")...)
	if !errors.Is(err, sysfs.ErrNotSupported) {
		t.Errorf("Set without KSM: error = %v, want ErrNotSupported", err)
	}
}

// A value that cannot be read now could not be put back: nothing is written.
func TestSetUnreadable(t *testing.T) {
	k := newFakeKernel(t, t.TempDir())
	k.store(sysfs.UseZeroPages, "maybe")
	_, err := k.Set(parse(t, "sleep_millisecs=7 use_zero_pages=1")...)
	if e, ok := errors.AsType[*sysfs.Error](err); !ok || e.Op != "parse" || e.Path != k.Path(sysfs.UseZeroPages) {
		t.Errorf("Set() error = %v, want one about parsing use_zero_pages", err)
	}
	if got := k.read(sysfs.SleepMillisecs); got != "20" {
		t.Errorf("Set() wrote sleep_millisecs=%s", got)
	}
}

// Set writes text and one newline, nothing that was there before.
func TestWrite(t *testing.T) {
	k := newFakeKernel(t, t.TempDir())
	k.store(sysfs.SleepMillisecs, "4000000000")
	for _, value := range []string{"7", "8\n"} {
		if err := k.Write(sysfs.SleepMillisecs, value); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(k.Path(sysfs.SleepMillisecs))
		if want := strings.TrimSpace(value) + "\n"; err != nil || string(got) != want {
			t.Errorf("after Write(%q): %q, %v, want %q", value, got, err, want)
		}
	}
	if err := os.Remove(k.Path(sysfs.SmartScan)); err != nil {
		t.Fatal(err)
	}
	if err := k.Write(sysfs.SmartScan, "0"); err != unix.ENOENT {
		t.Errorf("Write() to no file: %v, want ENOENT: it makes none", err)
	}
}

func TestUnmergeBytes(t *testing.T) {
	tests := []struct {
		name string
		c    sysfs.Counters
		want int64
	}{
		{name: "nothing merged"},
		{name: "both kinds", c: sysfs.Counters{PagesShared: 10, PagesSharing: 3, KSMZeroPages: 4}, want: 7 * 4096},
		{name: "lost updates before 6.10", c: sysfs.Counters{PagesSharing: 3, KSMZeroPages: -4}, want: 3 * 4096},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.UnmergeBytes(4096); got != tt.want {
				t.Errorf("UnmergeBytes(4096) = %d, want %d", got, tt.want)
			}
		})
	}
}
