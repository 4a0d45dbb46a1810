package view

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simSample returns a sample of a simulated machine at a virtual time.
func simSample(at time.Duration) *model.Sample {
	s := &model.Sample{
		Source: "sim", Host: "same-os", Time: sim.Epoch.Add(at), PageSize: fixturePage,
		Reading: simReading(at, 1000), HasUnattributed: true, Interval: 6 * time.Second,
		Rates:  sysfs.Rates{KSMDPercent: 12.5, HasKSMDPercent: true, PagesPerSecond: 40000, HasPagesPerSecond: true, HasSkippedPerSecond: true, HasBrokenPerSecond: true},
		Counts: model.Counts{Seen: 3, Readable: 3, Registered: 3},
	}
	s.Savings, s.HasSavings = s.Reading.Counters.Savings(s.PageSize)
	for i := range 3 {
		r := fixtureRow(i+1, "sim", "vma", uint64(min(40000, at/time.Millisecond))*uint64(3-i)/3, 131072, 120000, fmt.Sprintf("vm-%d", i+1))
		r.PPID, r.Start = 0, uint64(1000*i)
		s.Rows = append(s.Rows, r)
	}
	return s
}

// simReading returns a reading of it that depends on how many pages ksmd scans.
func simReading(at time.Duration, pages uint32) sysfs.Reading {
	k := sysfs.DefaultKnobs()
	k.Run, k.PagesToScan = sysfs.RunScan, pages
	merged := sysfs.Pages(min(90000, uint64(at/time.Millisecond)*uint64(pages)/1000))
	c := sysfs.Counters{
		PagesShared: merged / 20, PagesSharing: merged, PagesUnshared: 300000 - merged, PagesVolatile: 9000,
		FullScans: uint64(at / (20 * time.Second)), PagesScanned: sysfs.Pages(at / time.Microsecond / 25), PagesSkipped: 77,
	}
	for f := range sysfs.Fields() {
		if f.Info().Kind != sysfs.Knob {
			c.Present |= sysfs.SetOf(f)
		}
	}
	c.GeneralProfit = int64(merged)*fixturePage - 309000*sysfs.ItemBytes
	return sysfs.Reading{Time: sim.Epoch.Add(at), PageSize: fixturePage, Counters: c, Knobs: k,
		Host: sysfs.Host{MemTotal: 4 << 30, MemAvailable: 1 << 30, HasMemory: true, HasCowKSM: true, HasKSMD: true}}
}

func simSide(at time.Duration, pages uint32, what string) model.SimSide {
	side := model.SimSide{What: what, Reading: simReading(at, pages), Percent: float64(pages) / 80, HasPercent: at > 0}
	side.Savings, side.HasSavings = side.Reading.Counters.Savings(fixturePage)
	return side
}

// simUpdate returns news of a scenario at a virtual time, with B if that is wanted.
func simUpdate(at time.Duration, hasB bool) *model.SimUpdate {
	u := &model.SimUpdate{Sample: simSample(at)}
	u.Shot = model.SimShot{
		Name: "same-os", Title: "eight clones of one image, started one after another", Seed: 7, Guests: 8, MemoryBytes: 4 << 30, Scale: 4,
		Run: 1, Now: at, Running: true, Speed: model.ScenarioSpeed, Reached: 60, Obeyed: 1, A: simSide(at, 1000, ""), HasB: hasB,
	}
	if at > 95*time.Second {
		u.Shot.A.Settled, u.Shot.A.HasSettled = 94*time.Second, true
	}
	if hasB {
		u.Shot.B = simSide(at, 100, "the kernel's defaults")
	}
	return u
}

// fixtureSim returns the fixture with a scenario that has run for two minutes.
func fixtureSim() *model.State {
	s := fixture()
	s.OpenSim("same-os")
	for at := time.Duration(0); at <= 120*time.Second; at += 6 * time.Second {
		s.TakeSim(simUpdate(at, false))
	}
	s.SimCommands()
	s.Message = ""
	return s
}

// fixtureSimB returns it with a machine B beside A.
func fixtureSimB() *model.State {
	s := fixtureSim()
	for at := time.Duration(0); at <= 120*time.Second; at += 6 * time.Second {
		u := simUpdate(at, true)
		u.Shot.Run, u.Shot.Running = 2, false
		s.TakeSim(u)
	}
	return s
}

// fixtureSimScript returns it with a page script instead.
func fixtureSimScript() *model.State {
	s := fixture()
	s.OpenSim("pair.script")
	for at := time.Duration(0); at <= 120*time.Millisecond; at += 20 * time.Millisecond {
		u := simUpdate(at, false)
		u.Shot.Name, u.Shot.Title, u.Shot.Script, u.Shot.Scale, u.Shot.Speed = "pair.script", "a page script of 12 operations", true, 1, model.ScriptSpeed
		u.Shot.Running, u.Shot.Next = false, "line 9: scan 2"
		u.Shot.A.HasPercent, u.Shot.A.HasSettled = false, false
		s.TakeSim(u)
	}
	s.Message = ""
	return s
}

// TestSimStates draws the simulator in states that keys lead to, and other views of
// a simulated machine.
func TestSimStates(t *testing.T) {
	refused := func() *model.State {
		s := fixtureSim()
		keys(s, "End", "Up", "Up", "Up", "Right")
		u := simUpdate(126*time.Second, false)
		u.Shot.Obeyed = 2
		u.Err = fmt.Errorf("max_page_sharing: %w", syscall.EBUSY)
		u.Refused = &sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "512"}
		s.TakeSim(u)
		return s
	}
	bad := func() *model.State {
		s := fixture()
		s.OpenSim("nothing")
		s.TakeSim(&model.SimUpdate{Shot: model.SimShot{Obeyed: 1}, Err: errors.New(`"nothing": no such preset, and no such file`)})
		return s
	}
	reading := func() *model.State { s := fixture(); s.OpenSim("big.toml"); return s }
	only := func() *model.State {
		s := model.NewState(2 * time.Second)
		s.User, s.Theme = "ana", "dark"
		s.StartSimulated("same-os")
		s.TakeSim(simUpdate(66*time.Second, false))
		return s
	}
	fastest := func() *model.State {
		s := fixtureSimB()
		u := simUpdate(3*time.Hour, true)
		u.Shot.Run, u.Shot.Speed, u.Shot.Reached = 2, len(model.Speeds)-1, 812
		s.TakeSim(u)
		return s
	}
	for _, tt := range []struct {
		name  string
		state func() *model.State
		keys  []string
	}{
		{"menu", fixtureSim, []string{"o"}},
		{"file", fixtureSim, []string{"o", "Home", "Enter", "x"}},
		{"reading", reading, nil},
		{"bad", bad, nil},
		{"type", fixtureSim, []string{"Enter", "5"}},
		{"refused", refused, nil},
		{"compare", fixtureSim, []string{"b"}},
		{"propose", fixtureSim, []string{"P"}},
		{"propose_only", only, []string{"P"}},
		{"fastest", fastest, nil},
		{"help", fixtureSim, []string{"?"}},
		{"real_again", fixtureSim, []string{"S", "1"}},
		{"events", fixtureSim, []string{"7"}},
		{"frozen", fixtureSim, []string{"1", "F7", "["}},
	} {
		for _, size := range [][2]int{{80, 24}, {40, 12}} {
			name := fmt.Sprintf("sim_%s_%dx%d", tt.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				s := tt.state()
				s.Kernel = stillKernel{s}
				Fit(size[0], size[1], s)
				keys(s, tt.keys...)
				c := screenOf(s, size[0], size[1], LevelBraille)
				goldenScreen(t, name, c)
				word := "SIM"
				if tt.name == "real_again" || tt.name == "propose" || tt.name == "bad" || tt.name == "reading" {
					word = "LIVE"
				}
				if got := strings.Split(c.String(), "\n")[0]; !strings.HasPrefix(got, " ksmtop "+word) && !(word == "LIVE" && size[0] == 40) {
					t.Errorf("%s begins with %q, want the word %s", name, got, word)
				}
			})
		}
	}
}

// stillKernel plans writes and does none.
type stillKernel struct{ s *model.State }

func (k stillKernel) Plan(settings ...sysfs.Setting) ([]sysfs.Change, error) {
	var list []sysfs.Change
	for _, set := range settings {
		now, _ := k.s.Knobs().Value(set.Field)
		list = append(list, sysfs.Change{Field: set.Field, Old: now.String(), New: set.Value})
	}
	return list, nil
}

func (k stillKernel) Set(settings ...sysfs.Setting) ([]sysfs.Change, error) {
	return k.Plan(settings...)
}
func (stillKernel) Path(f sysfs.Field) string { return sysfs.FS{}.Path(f) }

// Views that have nothing to show of a simulated machine say why, also where room
// is short.
func TestMissing(t *testing.T) {
	for _, w := range []int{80, 40, 20} {
		c := NewCanvas(w, 9)
		drawMissing(c, &model.View{Name: "VMAs"}, "It has none, and that is because there are none.")
		checkCanvas(t, c)
		if got := strings.Join(strings.Fields(c.String()), " "); !strings.HasSuffix(got, "It has none, and that is because there are none.") {
			t.Errorf("width %d: %q", w, got)
		}
	}
}

// Drawing the simulator again allocates nothing.
func TestDrawSimulatorAllocatesNothing(t *testing.T) {
	for _, state := range []func() *model.State{fixtureSim, fixtureSimB, fixtureSimScript} {
		s := state()
		for _, size := range [][2]int{{200, 60}, {80, 24}, {40, 12}} {
			c := NewCanvas(size[0], size[1])
			draw := func() {
				c.Clear()
				Fit(size[0], size[1], s)
				Draw(c, s)
			}
			draw()
			if n := leastAllocs(draw); n != 0 {
				t.Errorf("%v: drawing %s again allocates %v times", size, s.Sim.Shot.Name, n)
			}
		}
	}
}

// randomSim returns random news of simulated machines.
func randomSim(random *rand.Rand, s *model.State) *model.SimUpdate {
	u := simUpdate(time.Duration(random.Int64N(int64(time.Hour)>>random.IntN(30)+1)), random.IntN(2) == 0)
	u.Shot.Run = random.IntN(4)
	u.Shot.Obeyed = s.Sim.Shot.Obeyed + random.IntN(3)
	u.Shot.Speed = random.IntN(len(model.Speeds))
	u.Shot.Running, u.Shot.Over = random.IntN(2) == 0, random.IntN(8) == 0
	u.Shot.Script = random.IntN(3) == 0
	u.Shot.Next = strings.Repeat("next ", random.IntN(30))
	switch random.IntN(8) {
	case 0:
		u.Shot.Name, u.Sample = "", nil
	case 1:
		u.Sample = nil
	case 2:
		u.Err = errors.New("wrong")
	case 3:
		u.Err = fmt.Errorf("busy: %w", syscall.EBUSY)
		u.Refused = &sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "512"}
	case 4:
		u.Shot.A.HasSavings, u.Shot.A.HasPercent = false, false
		u.Shot.A.Reading.Knobs.Present = 0
	}
	return u
}
