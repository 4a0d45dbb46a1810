package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// notedMemory answers what it is told to, and notes down what it was asked.
type notedMemory struct {
	asked      []string
	question   ScanQuestion
	areas      []scanner.Mapping
	duplicates map[uint64]scanner.Group
	report     scanner.Report
	err        error
}

func (m *notedMemory) Areas(p Target) (Target, []scanner.Mapping, error) {
	m.asked = append(m.asked, fmt.Sprint("areas ", p.PID))
	if p.Start == 0 {
		p.Start, p.Name = 7, "looked-up"
	}
	return p, m.areas, m.err
}

func (m *notedMemory) Duplicates(_ context.Context, p Target, _ func(done, total int64)) (map[uint64]scanner.Group, error) {
	m.asked = append(m.asked, fmt.Sprint("duplicates ", p.PID))
	return m.duplicates, m.err
}

func (m *notedMemory) Scan(ctx context.Context, q ScanQuestion, _ func(done, total int64)) (*ScanAnswer, error) {
	m.asked, m.question = append(m.asked, "scan"), q
	if m.err != nil {
		return nil, m.err
	}
	r := m.report
	r.Complete = ctx.Err() == nil
	a := &ScanAnswer{Report: &r, Question: q, Members: make(map[string][]Target)}
	for _, g := range r.Groups {
		a.Members[g.Name] = []Target{{PID: len(g.Name), Name: g.Name}}
	}
	a.Digest()
	return a, nil
}

// withMemory returns a state with n processes whose memory can be read.
func withMemory(n int) (*State, *notedMemory) {
	s := stateWith(n)
	m := &notedMemory{
		areas: []scanner.Mapping{
			{Start: 0x1000, End: 0x3000, RSS: 4096, Anonymous: 4096, HasSizes: true, Reason: scanner.NumReasons},
			{Start: 0x4000, End: 0x9000, RSS: 8192, Anonymous: 8192, KSM: 4096, HasSizes: true, HasKSM: true, Marked: true, Reason: scanner.NumReasons},
			{Start: 0x9000, End: 0xa000, RSS: 4096, HasSizes: true, Reason: scanner.ReasonShared},
		},
		duplicates: map[uint64]scanner.Group{0x1000: {Pages: 10, Within: 4, Between: 0.5}, 0x4000: {Pages: 2, Within: 1}},
		report: scanner.Report{
			PageSize: 4096, Pages: 1100, WouldSave: 500, Within: 450, Between: 50, Items: 1100,
			Groups: []scanner.Group{{Name: "a", Pages: 1000, Within: 450, Between: 49, Items: 1000}, {Name: "bb", Pages: 100, Between: 1, Items: 100}},
			Top:    []scanner.Content{{Copies: 7, Class: scanner.ClassText, Sample: []byte("pa55word"), Owners: []scanner.Owner{{Group: "a", Copies: 7}}}},
		},
	}
	s.Memory = m
	return s, m
}

// runTasks does what was started.
func runTasks(t *testing.T, s *State) {
	t.Helper()
	for started := s.Started(); len(started) > 0; started = s.Started() {
		for _, task := range started {
			ctx, cancel := context.WithCancel(t.Context())
			task.Prepare(time.Time{}, cancel)
			result, err := task.Run(ctx, func(int64, int64) {})
			cancel()
			s.End(task, result, err)
		}
	}
}

func press(t *testing.T, s *State, keys ...string) {
	t.Helper()
	for _, key := range keys {
		s.Key(key)
		runTasks(t, s)
	}
}

// TestMemoryKeys is a table of keys and what comes of them.
func TestMemoryKeys(t *testing.T) {
	for _, tt := range []struct {
		keys  string // blanks between
		asked string // of the memory, with commas
		check func(*State) bool
	}{
		{"Down Enter", "areas 2", func(s *State) bool {
			return s.View == VMAs && s.VMA.Process == Target{2, 1002, "p2"} && len(s.VMA.Areas) == 3
		}},
		{"Down Enter Esc", "areas 2", func(s *State) bool { return s.View == Overview }},
		{"3", "areas 1", func(s *State) bool { return s.VMA.Process.PID == 1 }},
		{"3 o 9 9 Enter", "areas 1,areas 99", func(s *State) bool { return s.VMA.Process == Target{99, 7, "looked-up"} }},
		{"3 o 2 Enter", "areas 1,areas 2", func(s *State) bool { return s.VMA.Process.Name == "p2" }},
		{"3 o x Enter", "areas 1", func(s *State) bool { return s.Prompt != nil && s.Message != "" }},
		{"3 o 1 , 2 Enter", "areas 1", func(s *State) bool { return s.Message == "one process only" }},
		{"3 m", "areas 1,duplicates 1,areas 1", func(s *State) bool {
			return s.VMA.Sum.Duplicates == 5.5 && s.VMA.Areas[0].Measured && !s.VMA.Areas[2].Measured
		}},
		{"3 Down s", "areas 1", func(s *State) bool { return s.VMA.Areas[0].Start == 0x4000 && s.VMA.Selected == 0 }},
		{"3 m s s s", "areas 1,duplicates 1,areas 1", func(s *State) bool { return s.VMA.Areas[0].Start == 0x1000 }},
		{"3 r", "areas 1,areas 1", func(s *State) bool { return !s.VMA.At.IsZero() }},
		{"3 v", "areas 1", func(s *State) bool { return s.Dialog().Title == "Process 1 p1" }},
		{"3 Enter", "areas 1", func(s *State) bool { return strings.HasPrefix(s.Dialog().Title, "Area 1000") }},
		{"4 v", "", func(s *State) bool { return s.Message == "nothing was read yet: r does" }},
		{"4 r", "scan", func(s *State) bool { return s.Sharing.Answer != nil && s.Sharing.Len() == 2 }},
		{"4 r v", "scan", func(s *State) bool { return s.Sharing.Contents && s.Sharing.Len() == 1 }},
		{"4 b Down Enter", "scan", func(s *State) bool { return s.Sharing.Answer.Question.By == "user" }},
		{"4 t Enter r", "scan", func(s *State) bool { return s.Targets.Kind == TargetAll && len(s.Sharing.Answer.Question.Targets) == 0 }},
		{"Space 4 r", "scan", func(s *State) bool { return slices.Equal(s.Sharing.Answer.Question.Targets, []Target{{1, 1001, "p1"}}) }},
		{"4 t Down Enter 2 , 5 0 Enter r", "scan", func(s *State) bool {
			return slices.Equal(s.Sharing.Answer.Question.Targets, []Target{{2, 1002, "p2"}, {PID: 50}})
		}},
		{"4 t Down Down Enter r", "scan", func(s *State) bool { return slices.Equal(s.Sharing.Answer.Question.Targets, []Target{{1, 1001, "p1"}}) }},
		{"4 r w", "scan,scan", func(s *State) bool { return s.View == WhatIf && s.WhatIf.Answer != nil }},
		{"w", "scan", func(s *State) bool {
			return s.View == WhatIf && slices.Equal(s.WhatIf.Answer.Question.Targets, []Target{{1, 1001, "p1"}})
		}},
		{"Space Space F9 Down Down Down Enter", "scan", func(s *State) bool { return s.View == WhatIf && len(s.WhatIf.Answer.Question.Targets) == 2 }},
		{"F9 Down Down Down Down Enter", "scan", func(s *State) bool { return s.View == Sharing && len(s.Sharing.Answer.Question.Targets) == 1 }},
		{"5 r", "scan", func(s *State) bool {
			return s.WhatIf.Answer.Question.Areas == scanner.AreasAuto && s.WhatIf.Net() == 500*4096-1100*64
		}},
		{"5 Down Space r", "scan", func(s *State) bool { return s.WhatIf.Within && s.WhatIf.WouldSave() == 450 }},
		{"5 Down Down Right r", "scan", func(s *State) bool { return s.WhatIf.Answer.Question.Areas == scanner.AreasEligible }},
		{"5 Down Down Left r", "scan", func(s *State) bool { return s.WhatIf.Answer.Question.Areas == scanner.AreasMarked }},
		{"5 Down Down Down Enter 5 0 Enter r", "scan", func(s *State) bool { return s.WhatIf.Answer.Question.MaxCPU == 50 }},
		{"5 Down Down Down Enter x Enter", "", func(s *State) bool { return s.Prompt != nil && s.WhatIf.MaxCPU == 0 }},
		{"5 Down Down Down Down Right", "", func(s *State) bool { return s.WhatIf.Knobs.PagesToScan == 200 }},
		{"5 Down Down Down Down Right f", "", func(s *State) bool { return s.WhatIf.Knobs.PagesToScan == 100 }},
		{"5 Down Down Down Down Down Left Left Left Left Left Left Left", "", func(s *State) bool { return s.WhatIf.Knobs.SleepMillisecs == 0 }},
		{"5 End Up Up Enter 1 Enter", "", func(s *State) bool { return s.Message == "must be at least 2" }},
		{"5 End Up Up Enter 1 6 Enter r", "scan", func(s *State) bool { return s.WhatIf.Answer.Question.MaxPageSharing == 16 }},
		{"5 End Up Enter r", "scan", func(s *State) bool { return s.WhatIf.Answer.Question.UseZeroPages }},
		{"5 End Enter", "scan", func(s *State) bool { return s.WhatIf.Answer != nil && !s.WhatIf.Outdated(s) }},
		{"5 r End Up Enter", "scan", func(s *State) bool { return s.WhatIf.Outdated(s) }},
		{"5 r -", "scan,scan", func(s *State) bool {
			return s.WhatIf.LeftOut() == 1 && slices.Equal(s.WhatIf.Answer.Question.Targets, []Target{{PID: 1, Name: "a"}}) && !s.WhatIf.Outdated(s)
		}},
		{"5 r - +", "scan,scan,scan", func(s *State) bool { return s.WhatIf.LeftOut() == 0 && len(s.WhatIf.Answer.Question.Targets) == 0 }},
		{"5 -", "", func(s *State) bool { return s.Message == "nothing was read yet: r does" }},
		{"5 r +", "scan", func(s *State) bool { return s.Message == "nothing was left out" }},
	} {
		s, m := withMemory(3)
		press(t, s, strings.Fields(tt.keys)...)
		if got := strings.Join(m.asked, ","); got != tt.asked || !tt.check(s) {
			t.Errorf("%s: asked %q, want %q; view %d, message %q", tt.keys, got, tt.asked, s.View, s.Message)
		}
	}
}

// TestWithoutMemory wants a reason from every key of the views.
func TestWithoutMemory(t *testing.T) {
	const why = "memory can be read on the machine itself, not from copied files"
	for _, keys := range []string{"3 m", "3 o", "3 r", "4 r", "4 b", "4 t", "4 v", "5 r", "5 Enter", "5 Space", "5 -", "w"} {
		s := stateWith(3)
		press(t, s, strings.Fields(keys)...)
		if s.Message != why {
			t.Errorf("%s: message %q, want %q", keys, s.Message, why)
		}
	}
	s := stateWith(3)
	s.Key("Enter")
	if s.Dialog() == nil {
		t.Error("without memory Enter on a process shows nothing")
	}
}

// TestAreasAreReadSeldom reads areas while the view is in front only, and once in
// ten seconds.
func TestAreasAreReadSeldom(t *testing.T) {
	s, m := withMemory(3)
	n := 0
	samples := func(seconds int) {
		for range seconds / 2 {
			n++
			s.Take(sampleOf(n, rowsTo(3)...))
			runTasks(t, s)
		}
	}
	press(t, s, "3")
	samples(8)
	if len(m.asked) != 1 {
		t.Errorf("within 8 s the areas were read %d times, want once", len(m.asked))
	}
	samples(4)
	if len(m.asked) != 2 {
		t.Errorf("within 12 s the areas were read %d times, want twice", len(m.asked))
	}
	press(t, s, "1")
	samples(30)
	if len(m.asked) != 2 {
		t.Errorf("behind another view the areas were read: %q", m.asked)
	}
	if len(s.Tasks) != 0 {
		t.Errorf("reading areas shows %d tasks", len(s.Tasks))
	}
}

// TestAreasStayWhenReadingFails keeps what was read, and says why there is no more.
func TestAreasStayWhenReadingFails(t *testing.T) {
	s, m := withMemory(3)
	press(t, s, "3", "Down", "Down")
	m.err = scanner.ErrGone
	press(t, s, "r")
	if !errors.Is(s.VMA.Problem, scanner.ErrGone) || len(s.VMA.Areas) != 3 || s.VMA.Selected != 2 {
		t.Errorf("problem %v, %d areas, %d selected", s.VMA.Problem, len(s.VMA.Areas), s.VMA.Selected)
	}
	m.err = nil
	m.areas = append([]scanner.Mapping{{Start: 0x800, End: 0x1000, Reason: scanner.NumReasons}}, m.areas...)
	press(t, s, "r")
	if s.VMA.Problem != nil || s.VMA.Areas[s.VMA.Selected].Start != 0x9000 {
		t.Errorf("problem %v, area %x is selected, want 9000", s.VMA.Problem, s.VMA.Areas[s.VMA.Selected].Start)
	}
}

// TestScansAreStopped stops a scan with Esc, which leaves a partial answer, and by
// asking anew, which leaves the answer to that.
func TestScansAreStopped(t *testing.T) {
	begin := func(s *State) (*Task, context.Context) {
		started := s.Started()
		if len(started) != 1 {
			t.Fatalf("%d tasks were started, want 1", len(started))
		}
		ctx, cancel := context.WithCancel(t.Context())
		started[0].Prepare(time.Time{}, cancel)
		return started[0], ctx
	}
	end := func(s *State, task *Task, ctx context.Context) {
		result, err := task.Run(ctx, func(int64, int64) {})
		s.End(task, result, err)
	}
	s, _ := withMemory(3)
	press(t, s, "5")
	s.Key("r")
	task, ctx := begin(s)
	if task.Name != "reading all processes" || s.WhatIf.Task != task {
		t.Errorf("task %q", task.Name)
	}
	s.Key("Esc")
	if ctx.Err() == nil {
		t.Error("Esc does not stop the scan")
	}
	end(s, task, ctx)
	if a := s.WhatIf.Answer; a == nil || a.Complete || s.WhatIf.Task != nil {
		t.Errorf("after Esc the answer is %+v, want a partial one", a)
	}

	s.Key("r")
	first, firstCtx := begin(s)
	s.Key("r")
	second, secondCtx := begin(s)
	if firstCtx.Err() == nil {
		t.Error("asking anew does not stop the scan before")
	}
	end(s, second, secondCtx)
	end(s, first, firstCtx)
	if !s.WhatIf.Answer.Complete || s.WhatIf.Task != nil {
		t.Error("the answer of the scan that was stopped is taken for that of the next")
	}
}

// A measurement that was stopped does not end the one that follows it.
func TestMeasurementsAreStopped(t *testing.T) {
	s, _ := withMemory(3)
	press(t, s, "3")
	measure := func() (end func()) {
		s.Key("m")
		started := s.Started()
		if len(started) != 1 {
			t.Fatalf("%d tasks were started, want 1: %s", len(started), s.Message)
		}
		ctx, cancel := context.WithCancel(t.Context())
		started[0].Prepare(time.Time{}, cancel)
		return func() {
			result, _ := started[0].Run(ctx, func(int64, int64) {})
			s.End(started[0], result, ctx.Err())
			cancel()
		}
	}
	endFirst := measure()
	press(t, s, "o", "2", "Enter", "o", "1", "Enter") // away and back
	endSecond := measure()
	endFirst()
	if s.VMA.task == nil || !s.VMA.MeasuredAt.IsZero() {
		t.Error("the result of the measurement that was stopped is taken for that of the next")
	}
	endSecond()
	if s.VMA.task != nil || s.VMA.MeasuredAt.IsZero() {
		t.Error("the second measurement has no result")
	}
}

// Processes are left out of an answer when there is one without them.
func TestLeaveOutFails(t *testing.T) {
	s, m := withMemory(3)
	press(t, s, "5", "r")
	m.err = errors.New("out of pages")
	press(t, s, "-")
	if got := s.WhatIf.LeftOut(); got != 0 {
		t.Errorf("a scan that failed leaves %d processes out", got)
	}
	m.err = nil
	press(t, s, "-")
	if got := s.WhatIf.LeftOut(); got != 1 {
		t.Errorf("%d processes are left out, want 1", got)
	}
	m.err = errors.New("out of pages")
	press(t, s, "+")
	if got := s.WhatIf.LeftOut(); got != 1 {
		t.Errorf("after a scan with them that failed %d processes are left out, want 1", got)
	}
}

func TestScanFails(t *testing.T) {
	s, m := withMemory(3)
	m.err = errors.New("out of pages")
	press(t, s, "4", "r")
	if s.Message != "reading all processes: out of pages" || s.Sharing.Task != nil || s.Sharing.Answer != nil {
		t.Errorf("message %q, answer %v", s.Message, s.Sharing.Answer)
	}
	press(t, s, "3", "m")
	if s.VMA.task != nil || !s.VMA.MeasuredAt.IsZero() {
		t.Error("a measurement that failed goes on, or has a result")
	}
}

// TestTaggedThatHasGone does not turn a scan of one process that has just gone into
// one of all.
func TestTaggedThatHasGone(t *testing.T) {
	s, _ := withMemory(3)
	press(t, s, "Space")
	s.Take(sampleOf(1, rowsTo(3)[1:]...))
	if got, want := s.ScanTargets(), []Target{{PID: 1, Start: 1001}}; !slices.Equal(got, want) {
		t.Errorf("targets %v, want %v", got, want)
	}
}

// TestTagsEnded reads nothing when all that was tagged has ended, until something
// else is chosen; and with -p, all are those of -p.
func TestTagsEnded(t *testing.T) {
	s, _ := withMemory(3)
	press(t, s, "Space")
	for i := range 3 {
		s.Take(sampleOf(i+1, rowsTo(3)[1:]...))
	}
	if !s.TagsEnded() {
		t.Fatal("the tag is still there")
	}
	for _, view := range []string{"4", "5"} {
		press(t, s, view, "r")
		if len(s.Started()) > 0 || s.Sharing.Answer != nil || s.WhatIf.Answer != nil || !strings.HasPrefix(s.Message, "the tagged processes have ended") {
			t.Errorf("view %s reads something: %q", view, s.Message)
		}
	}
	press(t, s, "2", "Space")
	if s.TagsEnded() || len(s.ScanTargets()) != 1 {
		t.Errorf("after another tag: %v", s.ScanTargets())
	}
	press(t, s, "U")
	s.Filter.PIDs = []int{2, 99}
	if got := s.ScanTargets(); len(got) != 2 || got[0].PID != 2 || got[1].PID != 99 {
		t.Errorf("with -p 2,99: %v", got)
	}
}

// TestDigest takes the zero page out of what ksmd would compare.
func TestDigest(t *testing.T) {
	r := &scanner.Report{
		Pages: 20, ZeroPages: 6,
		Histogram: []scanner.Bucket{{CopiesFrom: 1, CopiesTo: 1, Distinct: 3, Pages: 3}, {CopiesFrom: 2, CopiesTo: 2}, {CopiesFrom: 5, CopiesTo: 8, Distinct: 2, Pages: 11}, {CopiesFrom: 9, CopiesTo: 16}},
		Refused: []scanner.Refusal{
			{Target: "pid 1", Err: &scanner.Error{Op: "open", Name: "pid 1", Err: &scanner.RefusedError{Capability: "CAP_SYS_PTRACE", Err: errors.New("no")}}},
			{Target: "pid 2", Err: &scanner.Error{Op: "open", Name: "pid 2", Err: &scanner.RefusedError{Capability: "CAP_SYS_PTRACE", Err: errors.New("no")}}},
		},
		Problems: []error{errors.New("other")},
	}
	a := &ScanAnswer{Report: r}
	a.Digest()
	if want := []sim.StillContents{{Copies: 1, Contents: 3}, {Copies: 5.5, Contents: 2}}; !slices.Equal(a.Still, want) || a.StillZero != 0 {
		t.Errorf("still %v and %d zero pages, want %v and none", a.Still, a.StillZero, want)
	}
	a.Question.UseZeroPages = true
	a.Digest()
	if want := []sim.StillContents{{Copies: 1, Contents: 3}, {Copies: 5, Contents: 1}}; !slices.Equal(a.Still, want) || a.StillZero != 6 {
		t.Errorf("still %v and %d zero pages, want %v and 6", a.Still, a.StillZero, want)
	}
	if want := []NotRead{{"needs CAP_SYS_PTRACE", 2}, {"other", 1}}; !slices.Equal(a.NotRead, want) {
		t.Errorf("not read: %v, want %v", a.NotRead, want)
	}
	if f := a.Forecast(&sysfs.Knobs{PagesToScan: 100, SleepMillisecs: 20}); f.First.Elapsed <= 0 || f.Second.CPU <= f.First.CPU {
		t.Errorf("forecast %+v", f)
	}
}

// TestSavedOfContents is what KSM saves of one content.
func TestSavedOfContents(t *testing.T) {
	for _, tt := range []struct {
		class   scanner.Class
		copies  uint64
		sharing uint64
		zero    bool
		want    uint64
	}{
		{scanner.ClassText, 2, 256, true, 1},
		{scanner.ClassText, 256, 256, false, 255},
		{scanner.ClassText, 257, 256, false, 255},
		{scanner.ClassText, 1000, 0, false, 999},
		{scanner.ClassZero, 1000, 256, true, 1000},
		{scanner.ClassZero, 4, 2, false, 2},
	} {
		q := ScanQuestion{MaxPageSharing: tt.sharing, UseZeroPages: tt.zero}
		if got := q.Saved(&scanner.Content{Class: tt.class, Copies: tt.copies}); got != tt.want {
			t.Errorf("%+v: %d pages, want %d", tt, got, tt.want)
		}
	}
}

// TestContentIsKept shows bytes of memory only where that was allowed.
func TestContentIsKept(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		s, _ := withMemory(3)
		s.ShowContent = allowed
		press(t, s, "4", "r", "v", "Enter")
		if got := strings.Contains(fmt.Sprint(s.Dialog().Words), "pa55word"); got != allowed {
			t.Errorf("with ShowContent %t bytes of the content are shown: %t", allowed, got)
		}
	}
}
