package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simAt returns news of a simulated machine at a virtual time, with a sample, that
// obeyed all that was asked so far.
func simAt(s *State, seconds float64) *SimUpdate {
	sample := at(seconds)
	sample.Source, sample.Interval = "sim", time.Second
	sample.Time = sim.Epoch.Add(time.Duration(seconds * float64(time.Second)))
	sample.Reading.Time = sample.Time
	sample.Reading.Knobs.Run = sysfs.RunScan
	sample.Counts = Counts{Seen: 1, Readable: 1, Registered: 1}
	sample.Rows = []Row{registered(1, 0, "vm-1")}
	u := &SimUpdate{Sample: sample}
	u.Shot = SimShot{Name: "clones", Run: 1, Now: sample.Time.Sub(sim.Epoch), Running: true, Speed: ScenarioSpeed, Obeyed: s.Sim.asked}
	u.Shot.A = SimSide{Reading: sample.Reading, HasSavings: true, Percent: 3, HasPercent: true}
	return u
}

// simulating returns a state with a real machine and a simulated one.
func simulating() *State {
	s := NewState(time.Second)
	s.Theme = "dark"
	for i := range 3 {
		s.Take(at(float64(i)))
	}
	s.OpenSim("clones")
	s.TakeSim(simAt(s, 0))
	s.SimCommands()
	return s
}

// said returns what the last command was.
func said(s *State) string {
	commands := s.SimCommands()
	if len(commands) == 0 {
		return ""
	}
	c := commands[len(commands)-1]
	return strings.TrimSpace(fmt.Sprintf("%d %s %d %v %v %s", c.Kind, c.Name, c.By, c.Settings, c.Other, c.What))
}

// TestSimKeys presses keys and wants commands.
func TestSimKeys(t *testing.T) {
	command := func(kind SimCommandKind, name string, by int, settings ...sysfs.Setting) string {
		return strings.TrimSpace(fmt.Sprintf("%d %s %d %v %v", kind, name, by, settings, []sysfs.Setting(nil)))
	}
	set := func(f sysfs.Field, value string) string {
		return command(SimSet, "", 0, sysfs.Setting{Field: f, Value: value})
	}
	for _, tt := range []struct {
		keys    string
		want    string
		message string
	}{
		{"Space", command(SimToggle, "", 0), ""},
		{".", command(SimBatch, "", 0), ""},
		{"f", command(SimScan, "", 0), ""},
		{"+", command(SimFaster, "", 1), ""},
		{"-", command(SimFaster, "", -1), ""},
		{"Right", set(sysfs.PagesToScan, "200"), ""},
		{"Left", set(sysfs.PagesToScan, "50"), ""},
		{"Right Right Left", set(sysfs.PagesToScan, "200"), ""},
		{"Down Left", set(sysfs.SleepMillisecs, "10"), ""},
		{"Down Down Left", set(sysfs.SmartScan, "0"), ""},
		{"Down Down Right", "", "smart_scan: that is the end of the scale; Enter takes any value"},
		{"Down Down Down Down Right", set(sysfs.AdvisorMode, "scan-time"), ""},
		{"End Right", set(sysfs.Run, "2"), ""},
		{"Enter 4 2 Enter", set(sysfs.PagesToScan, "42"), ""},
		{"Enter x Enter", "", `pages_to_scan: "x": must be a decimal number`},
		{"Enter 1 0 0 Enter", "", ""}, // as it is
		{"Enter 7 Esc", "", ""},
		{"Right z", set(sysfs.PagesToScan, "100"), "pages_to_scan is 100 again"},
		{"Right Right z z", set(sysfs.PagesToScan, "100"), "pages_to_scan is 100 again"},
		{"z", "", "no knob was changed from here"},
		{"b Esc", "", ""},
		{"b End Enter", "", "there is no B"},
		{"o Home Enter a . t o m l Enter", command(SimOpen, "a.toml", 0), ""},
		{"o Enter", command(SimOpen, "same-os", 0), ""},
		{"c", command(SimClose, "", 0), ""},
		{"c Right", command(SimClose, "", 0), "nothing is simulated: o opens a machine"},
	} {
		s := simulating()
		for key := range strings.FieldsSeq(tt.keys) {
			s.Key(key)
		}
		if got := said(s); got != tt.want {
			t.Errorf("%s asks for %q, want %q", tt.keys, got, tt.want)
		}
		if s.Message != tt.message {
			t.Errorf("%s says %q, want %q", tt.keys, s.Message, tt.message)
		}
	}
}

// Restarting and comparing take the knobs along that A has now.
func TestSimRestart(t *testing.T) {
	for _, tt := range []struct {
		keys string
		kind SimCommandKind
		b    bool
	}{{"Right r", SimRestart, false}, {"Right b Enter", SimCompare, true}, {"Right b Down Enter", SimCompare, true}} {
		s := simulating()
		for key := range strings.FieldsSeq(tt.keys) {
			s.Key(key)
		}
		commands := s.SimCommands()
		c := commands[len(commands)-1]
		if c.Kind != tt.kind || !slices.Contains(c.Settings, sysfs.Setting{Field: sysfs.PagesToScan, Value: "200"}) {
			t.Errorf("%s: %+v", tt.keys, c)
		}
		want := ""
		switch tt.keys {
		case "Right b Enter":
			want = "200"
		case "Right b Down Enter":
			want = "100"
		}
		for _, set := range c.Other {
			if set.Field == sysfs.PagesToScan && set.Value != want || set.Field == sysfs.Run && set.Value != "1" {
				t.Errorf("%s: B has %v", tt.keys, set)
			}
		}
		if (len(c.Other) > 0) != tt.b {
			t.Errorf("%s: B has %d knobs", tt.keys, len(c.Other))
		}
	}
}

// The advisor chooses pages_to_scan. Undoing it brings back what that was.
func TestSimUndoAdvisor(t *testing.T) {
	s := simulating()
	s.setSimKnob(sysfs.Setting{Field: sysfs.PagesToScan, Value: "1234"})
	s.setSimKnob(sysfs.Setting{Field: sysfs.AdvisorMode, Value: sysfs.AdvisorScanTime})
	s.SimCommands()
	s.undoSimKnob()
	if want := "advisor_mode is none again, pages_to_scan is 1234 again"; s.Message != want {
		t.Errorf("message %q, want %q", s.Message, want)
	}
	want := []sysfs.Setting{{Field: sysfs.AdvisorMode, Value: "none"}, {Field: sysfs.PagesToScan, Value: "1234"}}
	if c := s.SimCommands(); len(c) != 1 || !slices.Equal(c[0].Settings, want) {
		t.Errorf("commands %+v, want %v", c, want)
	}
}

// A knob that cannot change now is kept for the next beginning, and no step to undo.
func TestSimRefused(t *testing.T) {
	s := simulating()
	for _, key := range []string{"End", "Up", "Up", "Up", "Right"} {
		s.Key(key)
	}
	if got, _ := s.Sim.Knobs.Value(sysfs.MaxPageSharing); got.String() != "512" {
		t.Fatalf("max_page_sharing is %s, want 512", got)
	}
	u := simAt(s, 1)
	u.Err, u.Refused = fmt.Errorf("x: %w", syscall.EBUSY), &sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "512"}
	s.TakeSim(u)
	if want := "max_page_sharing cannot change while pages are merged: r begins anew with 512"; s.Message != want {
		t.Errorf("message %q, want %q", s.Message, want)
	}
	if got, _ := s.Sim.Knobs.Value(sysfs.MaxPageSharing); got.String() != "256" || s.Sim.Later[sysfs.MaxPageSharing] != "512" || len(s.Sim.undo) != 0 {
		t.Errorf("knob %s, later %v, %d steps to undo", got, s.Sim.Later, len(s.Sim.undo))
	}
	s.Key("Right") // from there on
	if got := said(s); !strings.Contains(got, "1024") {
		t.Errorf("the next value: %s", got)
	}
	u = simAt(s, 2)
	u.Err, u.Refused = fmt.Errorf("x: %w", syscall.EBUSY), &sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "1024"}
	s.Key("Home")
	s.Key("Right") // of another knob, before the answer comes
	s.TakeSim(u)
	if n := len(s.Sim.undo); n != 1 || s.Sim.undo[0][0].Field != sysfs.PagesToScan {
		t.Errorf("steps to undo: %v", s.Sim.undo)
	}
	u = simAt(s, 2)
	u.Err, u.Refused = fmt.Errorf("x: %w", syscall.EINVAL), &sysfs.Setting{Field: sysfs.PagesToScan, Value: "7"}
	s.TakeSim(u)
	if _, kept := s.Sim.Later[sysfs.PagesToScan]; kept || s.Message != "x: invalid argument" {
		t.Errorf("%q, later %v", s.Message, s.Sim.Later)
	}
}

// Another machine has neither the knobs that were kept for a new beginning nor the
// steps to undo of the one before, though it may have the same name.
func TestSimOpensAnother(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other func(*State) *SimUpdate
		kept  bool
	}{
		{"the same scenario", func(s *State) *SimUpdate {
			s.OpenSim("clones")
			u := simAt(s, 0)
			u.Shot.Run = 2
			return u
		}, false},
		{"another one", func(s *State) *SimUpdate {
			s.OpenSim("other")
			u := simAt(s, 0)
			u.Shot.Name, u.Shot.Run = "other", 2
			return u
		}, false},
		{"none", func(s *State) *SimUpdate {
			s.Key("c")
			return &SimUpdate{Shot: SimShot{Run: 1, Obeyed: s.Sim.asked}}
		}, false},
		{"one that cannot be read", func(s *State) *SimUpdate {
			s.OpenSim("wrong")
			u := simAt(s, 2)
			u.Err = errors.New("no such thing")
			return u
		}, true},
	} {
		s := simulating()
		for _, key := range []string{"Right", "End", "Up", "Up", "Up", "Right"} {
			s.Key(key)
		}
		u := simAt(s, 1)
		u.Err, u.Refused = fmt.Errorf("x: %w", syscall.EBUSY), &sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "512"}
		s.TakeSim(u)
		if len(s.Sim.Later) != 1 || len(s.Sim.undo) != 1 {
			t.Fatalf("later %v, %d steps to undo", s.Sim.Later, len(s.Sim.undo))
		}
		s.TakeSim(tt.other(s))
		if kept := len(s.Sim.Later) == 1 && len(s.Sim.undo) == 1; kept != tt.kept || !kept && len(s.Sim.Later)+len(s.Sim.undo) > 0 {
			t.Errorf("%s: later %v, %d steps to undo", tt.name, s.Sim.Later, len(s.Sim.undo))
		}
	}
}

// What B saved stretches the charts only while there is a B.
func TestSimAlone(t *testing.T) {
	s := simulating()
	u := simAt(s, 1)
	u.Shot.A.Savings.NetBytes = 1000
	u.Shot.HasB, u.Shot.B = true, u.Shot.A
	u.Shot.B.Savings.NetBytes = 5000
	s.TakeSim(u)
	if got := s.Sim.Highest(); got != 5000 {
		t.Errorf("with B the highest saving is %v, want 5000", got)
	}
	u = simAt(s, 2)
	u.Shot.A.Savings.NetBytes = 1100
	s.TakeSim(u)
	if got := s.Sim.Highest(); got != 1100 {
		t.Errorf("without B the highest saving is %v, want 1100", got)
	}
}

// The views are of one machine or the other, and what is known of the one that is
// not in front goes on.
func TestSources(t *testing.T) {
	s := simulating()
	if !s.Simulated() || s.Sample.Source != "sim" || s.View != Simulator {
		t.Fatalf("an opened machine is not in front: %v, view %d", s.Source(), s.View)
	}
	before := s.other.latest
	if got := s.TakeFrom(LiveSource, at(3)); got != before || s.Sample.Source != "sim" {
		t.Errorf("a real sample gives %p back, want %p; %s is shown", got, before, s.Sample.Source)
	}
	if got := s.TakeSim(simAt(s, 1)); got == nil || got.Source != "sim" {
		t.Errorf("a simulated sample gives %v back", got)
	}
	s.Key("F2")
	if want := "these are the real machine's knobs: 6 changes those of the simulated one"; s.Message != want {
		t.Errorf("F2 says %q, want %q", s.Message, want)
	}
	s.Key("S")
	if s.Simulated() || s.Sample.Source != "test" || s.History.Len() != 4 {
		t.Errorf("S shows %s with a history of %d", s.Sample.Source, s.History.Len())
	}
	s.Key("1")
	s.Key("p")
	s.Key("S")
	s.Key("p")
	if !s.Paused || s.History.Len() != 2 {
		t.Errorf("paused %t, history %d", s.Paused, s.History.Len())
	}
	// It begins anew: what was is forgotten, how it is listed is not.
	s.Key("I")
	u := simAt(s, 0)
	u.Shot.Run = 2
	latest := s.latest
	if got := s.TakeSim(u); got != latest || s.History.Len() != 1 || s.Paused || !s.Inverted {
		t.Errorf("after a new beginning %p is free, want %p; history %d, paused %t, inverted %t", got, latest, s.History.Len(), s.Paused, s.Inverted)
	}
	s.Key("S")
	if !s.Paused || s.Sample.Source != "test" {
		t.Errorf("paused %t, %s", s.Paused, s.Sample.Source)
	}
	s.Key("6")
	s.Key("S")
	s.Key("c")
	if s.Simulated() || s.Sim.Open {
		t.Error("a closed machine is still there")
	}
	s.Key("S")
	if want := "nothing is simulated: o opens a simulated machine"; s.Message != want {
		t.Errorf("S says %q, want %q", s.Message, want)
	}
}

// A machine that is ready while the user answers a question about the real one does
// not come in front.
func TestOpenedBehindDialog(t *testing.T) {
	s := NewState(time.Second)
	s.Take(at(0))
	s.OpenSim("clones")
	s.Key("F2")
	s.TakeSim(simAt(s, 0))
	if s.Simulated() || s.Message != "the simulated machine is there: S shows it in all views" {
		t.Errorf("simulated %t, message %q", s.Simulated(), s.Message)
	}
	s.OpenSim("other")
	u := &SimUpdate{Shot: s.Sim.Shot, Err: errors.New("no such thing")}
	u.Shot.Obeyed = s.Sim.asked
	s.TakeSim(u)
	if s.Message != "no such thing" || s.Sim.Opening != "" || !s.Sim.Open {
		t.Errorf("message %q, opening %q, open %t", s.Message, s.Sim.Opening, s.Sim.Open)
	}
}

// With --sim there is no other machine.
func TestStartSimulated(t *testing.T) {
	s := NewState(time.Second)
	s.StartSimulated("clones")
	s.TakeSim(simAt(s, 0))
	for key, want := range map[string]string{
		"S": "ksmtop was started with --sim: there is no other machine",
		"c": "ksmtop was started with --sim: o opens another machine",
	} {
		if s.Key(key); s.Message != want {
			t.Errorf("%s says %q, want %q", key, s.Message, want)
		}
	}
	s.Key("Right")
	s.Key("P")
	if d := s.Dialog(); d == nil || !slices.Contains(d.Text, "ksmtop set pages_to_scan=200 run=1") || !slices.Contains(d.Text, "echo 200 > /sys/kernel/mm/ksm/pages_to_scan") {
		t.Errorf("P: %+v", d)
	}
}

// What A's knobs would change on the real machine is to be confirmed there, and
// nothing else is proposed.
func TestPropose(t *testing.T) {
	s := simulating()
	s.Root = true
	s.other.latest.Reading.Knobs.PagesToScan = 777
	s.other.latest.Reading.Knobs.Present &^= sysfs.SetOf(sysfs.AdvisorMaxCPU) // an older kernel
	k := &proposals{}
	s.Kernel = k
	s.Key("P")
	if s.Simulated() || s.View != Overview || s.Dialog() == nil {
		t.Fatalf("simulated %t, view %d, dialog %v", s.Simulated(), s.View, s.Dialog())
	}
	if got := fmt.Sprint(k.planned); got != "[pages_to_scan=100 run=1]" {
		t.Errorf("proposed %s", got)
	}
	s.Key("Esc")
	if len(s.Started()) > 0 {
		t.Error("Esc writes")
	}
	s.Key("Esc")
	if s.View != Simulator {
		t.Errorf("Esc leads to view %d", s.View)
	}
	s.ReadOnly = true
	if s.Key("P"); s.Dialog() != nil || !strings.Contains(s.Message, "--readonly") {
		t.Errorf("--readonly: %q", s.Message)
	}
	s.ReadOnly, s.latest.Reading.Knobs = false, s.Sim.Shot.A.Reading.Knobs
	if s.Key("P"); s.Message != "the real machine has these knobs already" {
		t.Errorf("equal knobs: %q", s.Message)
	}
}

type proposals struct{ planned []sysfs.Setting }

func (p *proposals) Plan(settings ...sysfs.Setting) ([]sysfs.Change, error) {
	p.planned = settings
	return []sysfs.Change{{Field: settings[0].Field, Old: "777", New: settings[0].Value}}, nil
}

func (p *proposals) Set(settings ...sysfs.Setting) ([]sysfs.Change, error) {
	return nil, errors.New("not wanted")
}
func (p *proposals) Path(f sysfs.Field) string { return sysfs.FS{}.Path(f) }

// Views without meaning for a simulated machine say so, and their own keys do not
// act on simulated processes.
func TestNotSimulated(t *testing.T) {
	for _, id := range []ViewID{Overview, Processes, Simulator, EventList} {
		if why := notSimulated(id); why != "" {
			t.Errorf("view %d: %s", id, why)
		}
	}
	for _, id := range []ViewID{VMAs, Sharing, WhatIf} {
		s := simulating()
		s.View = id
		own := s.Current().Keys.Own
		if len(own) == 0 {
			t.Errorf("view %d has no keys", id)
		}
		for _, b := range own {
			if command := s.Key(b.Keys[0]); command != Nothing || s.Message == "" || s.Message != s.Missing() {
				t.Errorf("view %d, %s: %v, %q", id, b.Keys[0], command, s.Message)
			}
		}
	}
}

// The number of a simulated process is not that of a real one: nothing reads the
// memory of the process that has it here.
func TestSimulatedProcessesAreNotRead(t *testing.T) {
	for _, id := range []ViewID{Overview, Processes} {
		s := simulating()
		s.Memory = forbiddenMemory{t}
		s.Show(id)
		if s.SelectedRow() == nil {
			t.Fatalf("view %d has no processes", id)
		}
		for _, key := range []string{"w", "F9", "Esc", "Enter", "Esc"} {
			s.Key(key)
		}
		if s.View != id || s.VMA.Process.PID != 0 {
			t.Errorf("from view %d to %d, process %v", id, s.View, s.VMA.Process)
		}
		s.Key("w")
		if want := "simulated processes have no memory that could be read"; s.Message != want {
			t.Errorf("view %d: w says %q, want %q", id, s.Message, want)
		}
		for _, to := range []ViewID{VMAs, Sharing, WhatIf} {
			s.Show(to)
			s.TakeSim(simAt(s, 1))
			if len(s.Started()) > 0 || s.VMA.Process.PID != 0 {
				t.Errorf("view %d reads process %v", to, s.VMA.Process)
			}
		}
	}
}

// forbiddenMemory must not be read.
type forbiddenMemory struct{ t *testing.T }

func (m forbiddenMemory) Areas(p Target) (Target, []scanner.Mapping, error) {
	m.t.Errorf("areas of %v", p)
	return p, nil, errors.New("forbidden")
}

func (m forbiddenMemory) Duplicates(_ context.Context, p Target, _ func(done, total int64)) (map[uint64]scanner.Group, error) {
	m.t.Errorf("duplicates of %v", p)
	return nil, errors.New("forbidden")
}

func (m forbiddenMemory) Scan(_ context.Context, q ScanQuestion, _ func(done, total int64)) (*ScanAnswer, error) {
	m.t.Errorf("scan of %+v", q)
	return nil, errors.New("forbidden")
}

// Steps of knobs go up and down the same ladder, from any value, and stay within.
func TestLadders(t *testing.T) {
	for _, f := range SimKnobs {
		r, ok := RangeOf(f)
		if !ok {
			continue
		}
		var room rungs
		ladder := r.ladder(&room)
		if ladder[0] != r.Least || !slices.IsSorted(ladder) || r.Place(ladder[0]) != 0 || r.Place(math.MaxUint64) != 1 {
			t.Errorf("%s: ladder %v", f, ladder)
		}
		for i, v := range ladder[1:] {
			if r.next(ladder[i], 1) != v || r.next(v, -1) != ladder[i] || v > ladder[i]+1 && (r.next(v-1, 1) != v || r.next(ladder[i]+1, -1) != ladder[i]) {
				t.Errorf("%s: steps around %d", f, v)
			}
		}
		last := ladder[len(ladder)-1]
		if r.next(last, 1) != last || r.next(last+5, 1) != last+5 || r.next(last+5, -1) != last || r.next(r.Least, -1) != r.Least {
			t.Errorf("%s: steps at the ends", f)
		}
	}
}

// A track keeps the whole run in bounded memory.
func TestSimTrack(t *testing.T) {
	var track SimTrack
	for i := range 100_000 {
		track.add(SimPoint{At: time.Duration(i) * time.Second, Net: float64(i)})
	}
	n := len(track.Points)
	if n < trackPoints/4 || n > trackPoints || track.Points[n-1].At < 99_000*time.Second {
		t.Fatalf("%d points, the last at %v", n, track.Points[n-1].At)
	}
	if first := track.Points[0].At; first > 2000*time.Second {
		t.Errorf("the first point is at %v", first)
	}
	for i := 1; i < n; i++ {
		if gap := track.Points[i].At - track.Points[i-1].At; gap <= 0 || gap > 1000*time.Second {
			t.Fatalf("points at %v and %v", track.Points[i-1].At, track.Points[i].At)
		}
	}
}
