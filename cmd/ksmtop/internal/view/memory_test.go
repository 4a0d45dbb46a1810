package view

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sysfs"
)

// fakeMemory has what the mockups of the views of memory show.
type fakeMemory struct {
	areas      []scanner.Mapping
	areasErr   error
	duplicates map[uint64]scanner.Group
	report     scanner.Report
	already    uint64
	err        error
}

func (m *fakeMemory) Areas(p model.Target) (model.Target, []scanner.Mapping, error) {
	return p, m.areas, m.areasErr
}

func (m *fakeMemory) Duplicates(context.Context, model.Target, func(done, total int64)) (map[uint64]scanner.Group, error) {
	return m.duplicates, m.err
}

func (m *fakeMemory) Scan(ctx context.Context, q model.ScanQuestion, _ func(done, total int64)) (*model.ScanAnswer, error) {
	if m.err != nil {
		return nil, m.err
	}
	r := m.report
	r.Complete = r.Complete && ctx.Err() == nil
	r.Groups = append([]scanner.Group(nil), r.Groups...)
	a := &model.ScanAnswer{Report: &r, Question: q, At: fixtureEnd, AlreadySaved: m.already, Members: make(map[string][]model.Target)}
	for _, g := range r.Groups {
		var p model.Target
		if _, err := fmt.Sscan(g.Name, &p.PID, &p.Name); err == nil {
			a.Members[g.Name] = []model.Target{p}
		}
	}
	a.Digest()
	return a, nil
}

func fixtureArea(start, size uint64, perm, name string, rss, anonymous, ksm int64, marked bool, reason scanner.Reason) scanner.Mapping {
	return scanner.Mapping{
		Start: start, End: start + size, Perm: perm, Name: name, RSS: rss, Anonymous: anonymous, KSM: ksm,
		HasSizes: true, HasKSM: true, Marked: marked, Reason: reason,
	}
}

func fixtureMemory() *fakeMemory {
	const k, m, g = 1 << 10, 1 << 20, 1 << 30
	fine := scanner.NumReasons
	memory := &fakeMemory{
		areas: []scanner.Mapping{
			fixtureArea(0x5581aa000000, 38200*k, "r-xp", "/usr/bin/python3.13", 12*m, 0, 0, false, scanner.ReasonFile),
			fixtureArea(0x5581ac000000, 320*k, "rw-p", "/usr/bin/python3.13", 320*k, 300*k, 0, false, fine),
			fixtureArea(0x7f2c3e210000, 64*m, "rw-p", "[heap]", 61*m, 61*m, 4500*k, true, fine),
			fixtureArea(0x7f2c40000000, g, "rw-p", "[anon:arena]", 980*m, 980*m, 81*m, true, fine),
			fixtureArea(0x7f2c7c000000, 512*m, "rw-p", "[anon:arrow]", 499*m, 499*m, 0, false, fine),
			fixtureArea(0x7f2c9a000000, 2*m, "rw-s", "/dev/shm/名前\\012\x1b[31m \u202egpj", 2*m, 0, 0, false, scanner.ReasonShared),
			fixtureArea(0x7f2ca0000000, 4*m, "rw-p", "/anon_hugepage (deleted)", 0, 0, 0, false, scanner.ReasonHugetlb),
			fixtureArea(0x7f2cb0000000, 64*k, "rw-p", "", 0, 0, 0, false, scanner.ReasonDroppable),
			fixtureArea(0x7ffd10000000, 132*k, "rw-p", "[stack]", 40*k, 40*k, 0, false, fine),
			fixtureArea(0x7ffd10100000, 8*k, "r-xp", "[vdso]", 4*k, 0, 0, false, scanner.ReasonSpecial),
		},
		duplicates: map[uint64]scanner.Group{
			0x7f2c3e210000: {Pages: 15616, Within: 1700},
			0x7f2c40000000: {Pages: 250880, Within: 30000, Between: 5123.2},
			0x7f2c7c000000: {Pages: 127744, Within: 39680},
			0x5581ac000000: {Pages: 75},
			0x7ffd10000000: {Pages: 10, Between: 0.5},
		},
		report: scanner.Report{
			PageSize: fixturePage, Complete: true, Pages: 1945000, ZeroPages: 18104, Distinct: 1840377, WouldSave: 103680,
			Within: 90000, Between: 13680, Shared: 42976, Unshared: 1797400, Items: 1945000, BytesRead: 1945000 * fixturePage, Elapsed: 6100 * time.Millisecond,
			Histogram: []scanner.Bucket{
				{CopiesFrom: 1, CopiesTo: 1, Distinct: 1797400, Pages: 1797400},
				{CopiesFrom: 2, CopiesTo: 2, Distinct: 30112, Pages: 60224, Saved: 30112},
				{CopiesFrom: 3, CopiesTo: 4, Distinct: 9870, Pages: 36900, Saved: 27030},
				{CopiesFrom: 5, CopiesTo: 8, Distinct: 2101, Pages: 13390, Saved: 11289},
				{CopiesFrom: 9, CopiesTo: 16, Distinct: 0},
				{CopiesFrom: 17, CopiesTo: 32, Distinct: 880, Pages: 16880, Saved: 16000},
				{CopiesFrom: 129, CopiesTo: 256, Distinct: 12, Pages: 2102, Saved: 1217},
				{CopiesFrom: 16385, CopiesTo: 32768, Distinct: 1, Pages: 18104, Saved: 18033},
			},
			Groups: []scanner.Group{
				{Name: "7003 jupyter-kernel", Pages: 900000, Distinct: 850000, Within: 70000, Between: 9000, Items: 900000},
				{Name: "9177 chrome", Pages: 45000, Distinct: 30000, Within: 17000, Between: 3608, Items: 45000},
				{Name: "9120 chrome", Pages: 1000000, Distinct: 997000, Within: 3000, Between: 1072, Items: 1000000},
			},
			Top: []scanner.Content{
				{Copies: 18104, Class: scanner.ClassZero, Owners: []scanner.Owner{{Group: "7003 jupyter-kernel", Copies: 18000}, {Group: "9120 chrome", Copies: 80}, {Group: "9177 chrome", Copies: 24}}},
				{Copies: 211, Class: scanner.ClassByte, Owners: []scanner.Owner{{Group: "9120 chrome", Copies: 111}, {Group: "9177 chrome", Copies: 100}}, More: 3},
				{Copies: 187, Class: scanner.ClassText, Sample: []byte("<!DOCTYPE html>\x1b[31m<html lang=\"en\">"), Owners: []scanner.Owner{{Group: "7003 jupyter-kernel", Copies: 187}}},
				{Copies: 12},
			},
			Refused: []scanner.Refusal{
				{Target: "pid 1", Err: &scanner.Error{Op: "open", Name: "pid 1", Err: &scanner.RefusedError{Capability: "CAP_SYS_PTRACE", Yama: 1, Err: errors.New("permission denied")}}},
				{Target: "pid 2", Err: &scanner.Error{Op: "open", Name: "pid 2", Err: &scanner.RefusedError{Capability: "CAP_SYS_PTRACE", Yama: 1, Err: errors.New("permission denied")}}},
			},
			Gone: 1,
		},
		already: 33024,
	}
	return memory
}

// change makes the memory another one, such as there may be.
func (m *fakeMemory) change(random *rand.Rand) {
	*m = *fixtureMemory()
	switch random.IntN(10) {
	case 0:
		m.areasErr, m.err = scanner.ErrGone, scanner.ErrGone
	case 1:
		m.areasErr = &scanner.RefusedError{Capability: "CAP_SYS_PTRACE", Err: errors.New("permission denied")}
		m.err = context.Canceled
	case 2:
		m.areas, m.duplicates = nil, nil
		m.report = scanner.Report{PageSize: fixturePage}
	case 3:
		m.areas = m.areas[:random.IntN(len(m.areas))]
		m.report.Groups = m.report.Groups[:random.IntN(3)]
		m.report.Top = m.report.Top[:random.IntN(4)]
	case 4:
		for i := range 300 {
			m.areas = append(m.areas, fixtureArea(0x7fff00000000+uint64(i)<<20, 1<<20, "rw-p", fmt.Sprint("名", i), random.Int64N(1<<20), 0, 0, random.IntN(2) == 0, scanner.Reason(random.IntN(int(scanner.NumReasons)+1))))
			m.report.Groups = append(m.report.Groups, scanner.Group{Name: fmt.Sprint(i, " p"), Pages: random.Uint64N(1 << 30), Within: random.Uint64N(1 << 20), Items: random.Uint64N(1 << 30)})
		}
	}
}

// runTasks does what the state has started, and what comes of that.
func runTasks(t testing.TB, s *model.State) {
	for range 10 {
		started := s.Started()
		if len(started) == 0 {
			return
		}
		for _, task := range started {
			ctx, cancel := context.WithCancel(t.Context())
			task.Prepare(fixtureEnd, cancel)
			result, err := task.Run(ctx, func(int64, int64) {})
			cancel()
			s.End(task, result, err)
		}
	}
	t.Error("tasks start others for ever")
}

// withMemory returns the fixture on a machine with memory, and three processes
// chosen.
func withMemory() *model.State {
	s := fixture()
	s.Memory = fixtureMemory()
	s.Targets = model.Targets{Kind: model.TargetFixed, Fixed: []model.Target{
		{PID: 7003, Start: 700300, Name: "jupyter-kernel"}, {PID: 9120, Start: 912000, Name: "chrome"}, {PID: 9177, Start: 917700, Name: "chrome"},
	}}
	return s
}

// answered returns a state after keys, with all that they start done after each.
func answered(t testing.TB, s *model.State, names ...string) *model.State {
	for _, name := range names {
		s.Key(name)
		runTasks(t, s)
	}
	return s
}

// memoryViews are the views of memory that are drawn at all sizes.
var memoryViews = []struct {
	name string
	keys []string
}{
	{"vmas", []string{"/", "j", "u", "p", "y", "Enter", "Enter", "m", "Down", "Down", "Down", "Down"}},
	{"sharing", []string{"4", "r", "Down"}},
	{"whatif", []string{"5", "r", "Down"}},
}

func TestMemoryViews(t *testing.T) {
	for _, v := range memoryViews {
		s := withMemory()
		Fit(80, 24, s)
		answered(t, s, v.keys...)
		for _, size := range [][2]int{{200, 60}, {120, 40}, {80, 24}, {40, 12}, {19, 4}} {
			for _, level := range []Level{LevelASCII, LevelBraille} {
				name := fmt.Sprintf("%s_%s_%dx%d", v.name, levelNames[level], size[0], size[1])
				t.Run(name, func(t *testing.T) { goldenScreen(t, name, screenOf(s, size[0], size[1], level)) })
			}
		}
	}
}

// TestMemoryViewStates draws what is not everyday.
func TestMemoryViewStates(t *testing.T) {
	refused := &scanner.RefusedError{Capability: "CAP_SYS_PTRACE", Err: errors.New("permission denied")}
	problems := map[string]error{"gone": scanner.ErrGone, "no process": scanner.ErrNoProcess, "refused": refused}
	for _, tt := range []struct {
		name   string
		change func(*model.State, *fakeMemory)
		keys   []string
	}{
		{"vmas_none", nil, []string{"End", "3"}},
		{"vmas_unchosen", func(s *model.State, _ *fakeMemory) { s.Take(without(s)); s.Take(without(s)) }, []string{"3"}},
		{"vmas_refused", func(_ *model.State, m *fakeMemory) { m.areasErr = refused }, []string{"Enter"}},
		{"vmas_old", func(_ *model.State, m *fakeMemory) {
			for i := range m.areas {
				m.areas[i].HasSizes, m.areas[i].HasKSM, m.areas[i].RSS, m.areas[i].Anonymous, m.areas[i].KSM = false, false, 0, 0, 0
			}
		}, []string{"Enter"}},
		{"vmas_shared", nil, []string{"Enter", "End", "k", "k", "k", "k"}},
		{"vmas_by_duplicates", nil, []string{"Enter", "m", "s", "s", "s"}},
		{"vmas_area", nil, []string{"Enter", "m", "Down", "Down", "Down", "Down", "Enter"}},
		{"vmas_gone", nil, []string{"Enter", "gone", "r"}},
		{"vmas_no_process", nil, []string{"Enter", "no process", "r"}},
		{"vmas_refused_later", nil, []string{"Enter", "refused", "r"}},
		{"vmas_files", func(s *model.State, _ *fakeMemory) { s.Memory = nil }, []string{"3"}},
		{"sharing_unasked", nil, []string{"4"}},
		{"sharing_all", func(s *model.State, _ *fakeMemory) { s.Targets = model.Targets{} }, []string{"4"}},
		{"sharing_contents", nil, []string{"4", "r", "v", "Down"}},
		{"sharing_content_shown", func(s *model.State, _ *fakeMemory) { s.ShowContent = true }, []string{"4", "r", "v", "Down", "Down", "Enter"}},
		{"sharing_content_hidden", nil, []string{"4", "r", "v", "Down", "Down", "Enter"}},
		{"sharing_group", nil, []string{"4", "r", "Enter"}},
		{"sharing_by", nil, []string{"4", "b"}},
		{"sharing_nothing", func(_ *model.State, m *fakeMemory) { m.report = scanner.Report{PageSize: fixturePage, Complete: true} }, []string{"4", "r"}},
		{"sharing_partial", func(_ *model.State, m *fakeMemory) { m.report.Complete = false }, []string{"4", "r"}},
		{"sharing_files", func(s *model.State, _ *fakeMemory) { s.Memory = nil }, []string{"4", "r"}},
		{"whatif_unasked", nil, []string{"5"}},
		{"whatif_outdated", nil, []string{"5", "r", "End", "k", "Space"}},
		{"whatif_within", nil, []string{"5", "r", "Down", "Space"}},
		{"whatif_left_out", nil, []string{"5", "r", "-"}},
		{"whatif_loss", func(_ *model.State, m *fakeMemory) {
			m.report.WouldSave, m.report.Within, m.report.Between = 100, 100, 0
			m.report.Groups = []scanner.Group{{Name: "9120 chrome", Pages: 1945000, Within: 100, Items: 1945000}}
		}, []string{"5", "r"}},
		{"whatif_nothing", func(_ *model.State, m *fakeMemory) {
			m.report = scanner.Report{PageSize: fixturePage, Refused: m.report.Refused}
		}, []string{"5", "r"}},
		{"whatif_targets", nil, []string{"5", "Enter"}},
		{"whatif_typing", nil, []string{"5", "Down", "Down", "Down", "Down", "Enter", "4", "0", "0"}},
		{"whatif_noksm", func(s *model.State, _ *fakeMemory) { s.Take(without(s)) }, []string{"5", "r"}},
	} {
		for _, size := range [][2]int{{80, 24}, {40, 12}} {
			name := fmt.Sprintf("memory_%s_%dx%d", tt.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				s := withMemory()
				memory := s.Memory.(*fakeMemory)
				if tt.change != nil {
					tt.change(s, memory)
				}
				Fit(size[0], size[1], s)
				for _, key := range tt.keys {
					if err := problems[key]; err != nil {
						memory.areasErr = err
						continue
					}
					answered(t, s, key)
				}
				c := screenOf(s, size[0], size[1], LevelBraille)
				checkScreen(t, c, s)
				goldenScreen(t, name, c)
			})
		}
	}
}

// without returns a sample of a machine without KSM.
func without(*model.State) *model.Sample {
	sample := fixtureSample(0)
	noKSM(sample, sysfs.ErrNotSupported)
	return sample
}

// leastAllocs returns how often f allocates: the least of several looks, since what
// other goroutines allocate meanwhile counts too.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(10, f)
	for range 4 {
		least = min(least, testing.AllocsPerRun(10, f))
	}
	return least
}

// TestMemoryViewsAllocateNothing draws long lists again and again.
func TestMemoryViewsAllocateNothing(t *testing.T) {
	for _, v := range memoryViews {
		var before float64
		for i, rows := range []int{10, 300} {
			s := withMemory()
			memory := s.Memory.(*fakeMemory)
			for n := range rows {
				memory.areas = append(memory.areas, fixtureArea(0x7fff00000000+uint64(n)<<20, 1<<20, "rw-p", "名前", 1<<20, 1<<20, 0, true, scanner.NumReasons))
				memory.report.Groups = append(memory.report.Groups, scanner.Group{Name: "1 名前", Pages: 100, Within: 50, Items: 100})
			}
			answered(t, s, v.keys...)
			c := NewCanvas(120, 360)
			draw := func() {
				c.Clear()
				Fit(120, 360, s)
				Draw(c, s)
			}
			draw()
			n := leastAllocs(draw)
			if i > 0 && n > before {
				t.Errorf("%s: drawing %d more rows allocates %v times more", v.name, 290, n-before)
			}
			before = n
		}
	}
}

// whereIs returns where a text stands on a screen without wide characters.
func whereIs(t *testing.T, c *Canvas, text string) (x, y int) {
	t.Helper()
	for y, line := range strings.Split(c.String(), "\n") {
		if x := strings.Index(line, text); x >= 0 {
			return x, y
		}
	}
	t.Fatalf("%q is not on the screen:\n%s", text, c)
	return 0, 0
}

// TestRunIsClicked clicks on the button of the form, and on numbers of the answer.
func TestRunIsClicked(t *testing.T) {
	s := answered(t, withMemory(), "5")
	c := screenOf(s, 80, 24, LevelASCII)
	Click(c, 20, 11, false, s)
	runTasks(t, s)
	if s.WhatIf.Answer == nil {
		t.Errorf("a click on Run asks nothing:\n%s", c)
	}
	c = screenOf(s, 80, 24, LevelASCII)
	for text, want := range map[string]string{"still to gain": "still to gain", "first pass": "first pass", "would save": "would save", "rmap items": "metadata"} {
		x, y := whereIs(t, c, text)
		Click(c, x, y, false, s)
		if d := s.Dialog(); d == nil || d.Title != want {
			t.Errorf("a click on %q explains %v, want %q", text, d, want)
		}
		s.CloseDialog()
	}
}

// A row of the histogram says how many of its contents have more copies than a KSM
// page may have mappings, as far as that is known.
func TestHistogramAboveLimit(t *testing.T) {
	buckets := []scanner.Bucket{
		{CopiesFrom: 2, CopiesTo: 2, Distinct: 1000}, {CopiesFrom: 129, CopiesTo: 256, Distinct: 12},
		{CopiesFrom: 257, CopiesTo: 512, Distinct: 3}, {CopiesFrom: 513, CopiesTo: 1024, Distinct: 1},
	}
	for _, tt := range []struct {
		name  string
		limit uint64
		zeros uint64 // copies of a page of zeros, which the zero page replaces
		rows  int
		want  []string // what stands in the rows behind the bar
	}{
		{"each bucket", 256, 0, 4, []string{"", "", "above max_page_sharing: several KSM pages for each", "above max_page_sharing: several KSM pages for each"}},
		{"all joined are above", 256, 0, 3, []string{"", "", "above max_page_sharing: several KSM pages for each"}},
		{"some joined are above", 256, 0, 2, []string{"", "4 of them above max_page_sharing: several KSM pages for each"}},
		{"inside a bucket", 200, 0, 4, []string{"", "some may be above max_page_sharing", "above max_page_sharing: several KSM pages for each", "above max_page_sharing: several KSM pages for each"}},
		{"inside a bucket of a joined row", 200, 0, 2, []string{"", "at least 4 above max_page_sharing: several KSM pages for each"}},
		{"inside the last", 600, 0, 4, []string{"", "", "", "some may be above max_page_sharing"}},
		{"zeros", 256, 1000, 4, []string{"", "", "above max_page_sharing: several KSM pages for each", ""}},
		{"zeros joined", 256, 1000, 3, []string{"", "", "3 of them above max_page_sharing: several KSM pages for each"}},
		{"no limit", 0, 0, 2, []string{"", ""}},
		{"above all", 1024, 0, 2, []string{"", ""}},
	} {
		a := &model.ScanAnswer{
			Report:   &scanner.Report{PageSize: fixturePage, Histogram: buckets, ZeroPages: tt.zeros},
			Question: model.ScanQuestion{MaxPageSharing: tt.limit, UseZeroPages: tt.zeros > 0},
		}
		c := NewCanvas(140, tt.rows)
		c.SetLevel(LevelASCII)
		drawHistogram(c, 0, tt.rows, a)
		for i, line := range strings.Split(strings.TrimSuffix(c.String(), "\n"), "\n") {
			if got := strings.TrimLeft(line[min(len(line), 40):], "# "); got != tt.want[i] {
				t.Errorf("%s: row %d says %q, want %q", tt.name, i, got, tt.want[i])
			}
		}
	}
}

// What is chosen in the form of view 5 is seen where there is no room for all choices.
func TestNarrowForm(t *testing.T) {
	s := answered(t, withMemory(), "5", "Down")
	for _, field := range []struct {
		label   string
		choices []string
	}{
		{"Merge", []string{"across processes", "within each"}},
		{"Memory", []string{"marked, or else all", "all", "marked"}},
	} {
		for _, choice := range append(field.choices, field.choices[0]) {
			want := fmt.Sprintf(">%-18s[%s]\n", field.label, choice)
			if c := screenOf(s, 40, 12, LevelASCII); !strings.Contains(c.String(), want) {
				t.Errorf("it lacks %q:\n%s", want, c)
			}
			s.Key("Space")
		}
		s.Key("Left") // one too many
		s.Key("Down")
	}
	for _, want := range []string{">Reading           [0]% CPU: no limit\n", " sleep_millisecs   [20] ms\n"} {
		if c := screenOf(s, 40, 12, LevelASCII); !strings.Contains(c.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, c)
		}
	}
}
