package model

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// knobMachine is a state over a tree of files that stands for /sys.
type knobMachine struct {
	*State
	t     *testing.T
	fs    sysfs.FS
	taken int
}

func newKnobMachine(t *testing.T) *knobMachine {
	t.Helper()
	m := &knobMachine{State: NewState(time.Second), t: t, fs: sysfs.FS{Root: t.TempDir(), Proc: t.TempDir(), PageSize: 4096}}
	m.Kernel, m.Root = m.fs, true
	dir := filepath.Join(m.fs.Root, "kernel/mm/ksm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"run": "1", "pages_to_scan": "100", "sleep_millisecs": "20", "max_page_sharing": "256",
		"pages_shared": "5", "pages_sharing": "262144", "pages_unshared": "1", "pages_volatile": "0", "full_scans": "3",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(m.fs.Proc, "meminfo"), []byte("MemTotal: 4096 kB\nMemAvailable: 2048 kB\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.look()
	return m
}

// look takes a sample.
func (m *knobMachine) look() {
	m.t.Helper()
	r, err := m.fs.Read()
	if err != nil {
		m.t.Fatal(err)
	}
	m.taken++
	s := &Sample{Time: testStart.Add(time.Duration(m.taken) * time.Second), PageSize: 4096, Reading: r}
	s.Savings, s.HasSavings = r.Counters.Savings(4096)
	m.Take(s)
}

// press presses keys with blanks between them, runs what they start, and takes a
// sample.
func (m *knobMachine) press(keys string) {
	m.t.Helper()
	for key := range strings.FieldsSeq(keys) {
		m.Key(key)
	}
	for _, task := range m.Started() {
		result, err := task.Run(m.t.Context(), func(int64, int64) {})
		m.End(task, result, err)
	}
	m.look()
}

// file returns the content of a knob's file.
func (m *knobMachine) file(f sysfs.Field) string {
	m.t.Helper()
	content, err := os.ReadFile(m.fs.Path(f))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// log returns the texts of all events, the oldest first.
func (m *knobMachine) log() string {
	var texts []string
	for i := m.Events.Len() - 1; i >= 0; i-- {
		texts = append(texts, m.Events.Latest(i).Text)
	}
	return strings.Join(texts, "\n")
}

func TestWriteAndUndo(t *testing.T) {
	m := newKnobMachine(t)
	m.press("F2 Down Enter 4 0 0 0 Enter")
	d := m.Dialog()
	if want := "writes 4000 pages to " + m.fs.Path(sysfs.PagesToScan) + " (now 100)"; d == nil || d.Text[0] != want {
		t.Fatalf("the question is %+v, want %q", d, want)
	}
	m.press("Enter") // Cancel
	if got := m.file(sysfs.PagesToScan); got != "100" {
		t.Fatalf("after Cancel pages_to_scan is %s, want 100", got)
	}
	m.press("Enter 4 0 0 0 Enter Right Enter")
	if got := m.file(sysfs.PagesToScan); got != "4000" {
		t.Errorf("pages_to_scan is %s, want 4000", got)
	}
	if want := "pages_to_scan: 100 -> 4000; z among the knobs undoes it"; m.Message != want {
		t.Errorf("message %q, want %q", m.Message, want)
	}
	if was, ok := m.Was(sysfs.PagesToScan); was != "100" || !ok {
		t.Errorf("Was() = %q, %t, want 100, true", was, ok)
	}
	m.press("z Right Enter")
	if got := m.file(sysfs.PagesToScan); got != "100" {
		t.Errorf("undone, pages_to_scan is %s, want 100", got)
	}
	m.press("z")
	if want := "nothing was written from here"; m.Message != want {
		t.Errorf("message %q, want %q", m.Message, want)
	}
	if want := "pages_to_scan written by ksmtop: 100 -> 4000\npages_to_scan written by ksmtop: 4000 -> 100"; m.log() != want {
		t.Errorf("events:\n%s\nwant\n%s", m.log(), want)
	}
}

// TestUndoAdvisor brings pages_to_scan back, which the kernel changes with the advisor.
func TestUndoAdvisor(t *testing.T) {
	m := newKnobMachine(t)
	m.wrote([]sysfs.Change{
		{Field: sysfs.AdvisorMode, Old: "none", New: "scan-time"},
		{Field: sysfs.PagesToScan, Old: "1234", New: "500", Implied: true},
	}, false, 0, 0)
	m.wrote([]sysfs.Change{
		{Field: sysfs.AdvisorMode, Old: "scan-time", New: "none"},
		{Field: sysfs.PagesToScan, Old: "777", New: "100", Implied: true},
	}, false, 0, 0)
	want := [][]sysfs.Setting{
		{{Field: sysfs.AdvisorMode, Value: "none"}, {Field: sysfs.PagesToScan, Value: "1234"}},
		{{Field: sysfs.AdvisorMode, Value: "scan-time"}},
	}
	if !slices.EqualFunc(m.writes.undo, want, slices.Equal) {
		t.Errorf("to undo: %v, want %v", m.writes.undo, want)
	}
}

// TestOthersWrite tells the user's own changes from those of others.
func TestOthersWrite(t *testing.T) {
	m := newKnobMachine(t)
	m.press("F2 Down Enter 2 0 0 Enter Right Enter")
	if _, err := m.fs.Set(sysfs.Setting{Field: sysfs.PagesToScan, Value: "300"}); err != nil {
		t.Fatal(err)
	}
	m.look()
	if want := "pages_to_scan written by ksmtop: 100 -> 200\npages_to_scan changed outside ksmtop: 200 -> 300"; m.log() != want {
		t.Errorf("events:\n%s\nwant\n%s", m.log(), want)
	}
}

func TestUnmerge(t *testing.T) {
	for _, tt := range []struct {
		name, keys, want string
	}{
		{"cancelled", "Enter", "1"},
		{"left", "Esc", "1"},
		{"stopped instead", "Right Enter", "0"},
		{"not typed", "Left Enter Enter", "1"},
		{"typed wrong", "Left Enter y e s Enter", "1"},
		{"typed", "Left Enter u n m e r g e Enter", "2"},
	} {
		m := newKnobMachine(t)
		m.press("F2 Enter 2 Enter")
		d := m.Dialog()
		want := "needs 1.00 GiB at once; 2.00 MiB is available: the kernel may kill processes."
		if d == nil || d.Title != "Unmerge everything?" || d.Text[1] != want {
			t.Fatalf("%s: the question is %+v, want %q", tt.name, d, want)
		}
		m.press(tt.keys)
		if got := m.file(sysfs.Run); got != tt.want {
			t.Errorf("%s: run is %s, want %s", tt.name, got, tt.want)
		}
		if tt.want == "2" && !strings.HasPrefix(m.log(), "run written by ksmtop: 1 -> 2, unmerged 1.00 GiB in ") {
			t.Errorf("events: %s", m.log())
		}
	}
}

// onTheMachine has the paths of this machine.
type onTheMachine struct{ Kernel }

func (onTheMachine) Path(f sysfs.Field) string { return sysfs.FS{}.Path(f) }

func TestKnobsThatCannotBeWritten(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*knobMachine)
		keys    string
		message string
		dialog  string // its text, in part
	}{
		{"wrong value", nil, "F2 Down Enter x Enter", `pages_to_scan: "x": must be a decimal number`, ""},
		{"refused", nil, "F2 End Enter 9 Enter", "max_page_sharing", ""},
		{"not root, a copy", func(m *knobMachine) { m.Root = false }, "F2 Down Enter 7 Enter", "", "Who may write there does it so:\n  echo 7 > "},
		{"not root", func(m *knobMachine) { m.Root, m.Kernel = false, onTheMachine{m.Kernel} }, "F2 Down Enter 7 Enter", "", "  ksmtop set pages_to_scan=7\n  echo 7 > /sys/kernel/mm/ksm/pages_to_scan"},
		{"read only", func(m *knobMachine) { m.ReadOnly = true }, "F2 Down Enter", "--readonly", ""},
		{"no kernel", func(m *knobMachine) { m.Kernel = nil }, "F2 Down Enter", "cannot be written", ""},
		{"no KSM", func(m *knobMachine) { m.Take(&Sample{Time: testStart, NoKSM: sysfs.ErrNotSupported}) }, "F2", "without KSM there are no knobs", ""},
		{"before the first sample", func(m *knobMachine) { m.latest, m.Sample = nil, nil }, "F2", "there is no sample yet", ""},
	}
	for _, tt := range tests {
		m := newKnobMachine(t)
		if tt.change != nil {
			tt.change(m)
		}
		for key := range strings.FieldsSeq(tt.keys) {
			m.Key(key)
		}
		if !strings.Contains(m.Message, tt.message) || tt.message == "" && m.Message != "" {
			t.Errorf("%s: message %q, want %q", tt.name, m.Message, tt.message)
		}
		if tt.dialog != "" && (m.Dialog() == nil || !strings.Contains(strings.Join(m.Dialog().Text, "\n"), tt.dialog)) {
			t.Errorf("%s: dialog %+v, want %q", tt.name, m.Dialog(), tt.dialog)
		}
		if len(m.Started()) > 0 || m.file(sysfs.PagesToScan) != "100" || m.file(sysfs.MaxPageSharing) != "256" {
			t.Errorf("%s: something was written", tt.name)
		}
	}
}

// refusing is a kernel that takes nothing.
type refusing struct{ sysfs.FS }

func (k refusing) Set(s ...sysfs.Setting) ([]sysfs.Change, error) {
	_, err := k.FS.Plan(sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "9"})
	return nil, err
}

// A refusal says why, and in a second line what can be done: before a write, and
// when the kernel itself refuses.
func TestRefusalHasAdvice(t *testing.T) {
	refused := func(m *knobMachine) string {
		return "write " + m.fs.Path(sysfs.MaxPageSharing) + ": device or resource busy: KSM pages exist\n" +
			"write run=2 first, which unmerges everything; run=1 may follow in the same step"
	}
	m := newKnobMachine(t)
	m.press("F2 End Enter 9 Enter")
	if want := refused(m); m.Message != want {
		t.Errorf("message %q, want %q", m.Message, want)
	}
	m = newKnobMachine(t)
	m.Kernel = refusing{m.fs}
	m.press("F2 Down Enter 9 Enter Right Enter")
	if want := "writing pages_to_scan=9: " + refused(m); m.Message != want {
		t.Errorf("message %q, want %q", m.Message, want)
	}
}
