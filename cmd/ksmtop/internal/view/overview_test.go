package view

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

const fixturePage = 4096 // bytes

// fixtureEnd is the time of the last sample of the fixtures.
var fixtureEnd = time.Date(2025, 11, 20, 14, 2, 31, 0, time.UTC)

// fixtureRow returns a process with numbers that fit together.
func fixtureRow(pid int, user, mode string, merged, rss, items uint64, command string) model.Row {
	program, _, _ := strings.Cut(command, " ")
	r := model.Row{User: user, Name: filepath.Base(program), Command: command}
	r.PID, r.PPID, r.Start, r.RSS = pid, 1, uint64(100*pid), sysfs.Pages(rss)
	r.UID = uint32(len(user)) * 100
	r.KSM = sysfs.ProcessStat{
		MergingPages: sysfs.Pages(merged), RmapItems: items, MergeAny: mode == "all", Mergeable: mode != "none",
		Profit: int64(merged*fixturePage) - int64(items*sysfs.ItemBytes),
		Present: sysfs.KSMRmapItems | sysfs.KSMZeroPagesOf | sysfs.KSMMergingPages | sysfs.KSMProcessProfit |
			sysfs.KSMMergeAny | sysfs.KSMMergeable,
	}
	r.Profit = r.KSM.Profit
	return r
}

// fixtureSample returns a sample of a Linux 6.18 that is like that of the
// mockups, taken so long before fixtureEnd.
func fixtureSample(before time.Duration) *model.Sample {
	k := sysfs.Knobs{
		Run: sysfs.RunScan, PagesToScan: 4000, SleepMillisecs: 20, MaxPageSharing: 256, SmartScan: true, AdvisorMode: sysfs.AdvisorNone,
		AdvisorMaxCPU: 70, AdvisorMinPagesToScan: 500, AdvisorMaxPagesToScan: 30000, AdvisorTargetScanTime: 200, StableNodeChainsPruneMillisecs: 2000,
	}
	for f := range sysfs.Fields() {
		if f.Info().Kind == sysfs.Knob {
			k.Present |= sysfs.SetOf(f)
		}
	}
	age := before.Seconds()
	c := sysfs.Counters{
		PagesShared: 114284, PagesSharing: 948551 - sysfs.Pages(1200*age), PagesUnshared: 1402117, PagesVolatile: 88020,
		FullScans: uint64(1832 - math.Ceil((age-10)/22)), PagesScanned: sysfs.Pages(4e9 - 118000*age), PagesSkipped: 1 << 20,
	}
	for f := range sysfs.Fields() {
		if f.Info().Kind != sysfs.Knob {
			c.Present |= sysfs.SetOf(f)
		}
	}
	c.GeneralProfit = int64(c.PagesSharing)*fixturePage -
		int64(uint64(c.PagesShared+c.PagesSharing+c.PagesUnshared)+uint64(c.PagesVolatile))*sysfs.ItemBytes
	s := &model.Sample{Source: "live", Time: fixtureEnd.Add(-before), Host: "db1", Kernel: "6.18.4", PageSize: fixturePage}
	s.Reading = sysfs.Reading{Time: s.Time, PageSize: fixturePage, Counters: c, Knobs: k}
	s.Reading.Host = sysfs.Host{MemTotal: 33500000000, MemAvailable: 2 << 30, HasMemory: true, HasCowKSM: true, HasKSMD: true}
	s.Rates = sysfs.Rates{
		KSMDPercent: 38.2, HasKSMDPercent: true, PagesPerSecond: 118000, HasPagesPerSecond: true,
		SkippedPerSecond: 72000, HasSkippedPerSecond: true, HasBrokenPerSecond: true,
		BrokenPerSecond: math.Floor(214 + 900*max(0, math.Sin(age/60))),
	}
	s.Savings, s.HasSavings = c.Savings(fixturePage)
	s.Rows = []model.Row{
		fixtureRow(2231, "qemu", "all", 726000, 1578000, 798600, "/usr/bin/qemu-system-x86_64 -name web-03 -m 6144"),
		fixtureRow(2298, "qemu", "all", 202000, 1063000, 646400, "/usr/bin/qemu-system-x86_64 -name db-01 -m 4096"),
		fixtureRow(4410, "www", "vma", 61184, 305920, 140723, "php-fpm: pool www"),
		fixtureRow(4411, "www", "vma", 40192, 309169, 140672, "php-fpm: pool www"),
		fixtureRow(5561, "build", "vma", 167, 200000, 15247, "clang++ -O2 -c lower.cc"),
		fixtureRow(6000, "evil", "all", 100000, 500000, 180000, "bad\x1b[31m\nname\x1b]0;owned\a \u202egpj.exe\u2066 \xff\xfe"),
		fixtureRow(6001, "データベース", "vma", 90000, 500000, 180000, "データベース --名前=世界 --長い引数がここに続きます --もっと長い引数 --そして最後まで読めないほど長い 👩‍👩‍👧 e\u0301nd"),
		fixtureRow(7003, "ana", "vma", 21913, 700000, 302400, "jupyter-kernel --mode=live"),
		fixtureRow(9120, "ana", "all", 8320, 800000, 401856, "chrome --type=renderer"),
		fixtureRow(9177, "ana", "all", 2893, 300000, 95758, "chrome --type=renderer"),
	}
	for i := range 24 {
		s.Rows = append(s.Rows, fixtureRow(10000+i, "www", "vma", uint64(60+i), 4000, 900, "worker --slot="+fmt.Sprint(i)))
	}
	for i := range s.Rows {
		r := &s.Rows[i]
		r.HasTrend, r.Trend = before == 0, float64((r.PID%7-3)*4<<20)
	}
	s.Counts = model.Counts{Seen: 320, Readable: 214, Registered: len(s.Rows)}
	s.HasUnattributed, s.Unattributed = true, 12<<20
	return s
}

// fixture returns a state after ten minutes of samples every two seconds, with a
// gap of a minute: pages_to_scan was changed, a process came, one has just gone.
func fixture() *model.State {
	s := model.NewState(2 * time.Second)
	s.User, s.Root, s.Theme = "root", true, "dark"
	for age := 620 * time.Second; age >= 0; age -= s.Delay {
		if age > 300*time.Second && age < 360*time.Second {
			continue
		}
		sample := fixtureSample(age)
		if age > 33*time.Second {
			sample.Reading.Knobs.PagesToScan = 100
		}
		if age > 200*time.Second { // 9177 is not there yet
			sample.Rows = append(sample.Rows[:9:9], sample.Rows[10:]...)
		}
		if age > 0 { // and this one is about to go
			sample.Rows = append(sample.Rows, fixtureRow(20000, "ana", "vma", 30000, 60000, 60000, "gone --soon"))
		}
		s.Take(sample)
	}
	return s
}

// single returns a state with one sample after the fixture's was changed.
func single(change func(*model.Sample)) *model.State {
	s := model.NewState(2 * time.Second)
	s.User, s.Root, s.Theme = "root", true, "dark"
	for _, age := range []time.Duration{2 * time.Second, 0} {
		sample := fixtureSample(age)
		sample.Rates.BrokenPerSecond = 0
		change(sample)
		sample.Savings, sample.HasSavings = sample.Reading.Counters.Savings(fixturePage)
		s.Take(sample)
	}
	return s
}

// onlyFields makes a sample that of a kernel without the later fields.
func onlyFields(s *model.Sample, since func(sysfs.Field) bool) {
	for f := range sysfs.Fields() {
		if !since(f) {
			s.Reading.Counters.Present &^= sysfs.SetOf(f)
			s.Reading.Knobs.Present &^= sysfs.SetOf(f)
		}
	}
}

// linux54 makes a sample that of a Linux 5.4.
func linux54(s *model.Sample) {
	onlyFields(s, func(f sysfs.Field) bool {
		switch f.Info().Since {
		case "2.6.32", "3.9", "4.12", "4.13":
			return true
		}
		return false
	})
	s.Kernel = "5.4.278"
	s.Reading.Host.HasCowKSM = false
	s.Rates = sysfs.Rates{KSMDPercent: 3, HasKSMDPercent: true}
	s.Rows, s.Counts = nil, model.Counts{Seen: 320}
}

// merged sets how many pages are merged and tracked.
func merged(s *model.Sample, shared, sharing, unshared uint64) {
	c := &s.Reading.Counters
	c.PagesShared, c.PagesSharing, c.PagesUnshared, c.PagesVolatile = sysfs.Pages(shared), sysfs.Pages(sharing), sysfs.Pages(unshared), 0
	c.GeneralProfit = int64(sharing)*fixturePage - int64(shared+sharing+unshared)*sysfs.ItemBytes
}

// stopped makes a sample that of a machine whose KSM is off, at a standstill.
func stopped(s *model.Sample) {
	s.Reading.Knobs.Run = sysfs.RunStop
	s.Reading.Counters.FullScans, s.Reading.Counters.PagesScanned = 12, 4e6
	s.Rates = sysfs.Rates{HasKSMDPercent: true, HasPagesPerSecond: true, HasSkippedPerSecond: true, HasBrokenPerSecond: true}
}

// unreadable returns a reading of which pages_sharing and run are refused. Only
// reading real files makes one.
func unreadable(t *testing.T) sysfs.Reading {
	root := t.TempDir()
	dir := filepath.Join(root, "kernel/mm/ksm")
	for _, name := range []string{"run", "pages_sharing"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"pages_shared": "1\n", "pages_to_scan": "100\n", "sleep_millisecs": "20\n", "full_scans": "7\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := sysfs.FS{Root: root, Proc: t.TempDir()}.Read()
	if err != nil || r.Problem(sysfs.Run) == nil || r.Problem(sysfs.PagesSharing) == nil {
		t.Fatalf("Read() error = %v, want problems with run and pages_sharing only", err)
	}
	r.Host.HasKSMD = true
	return r
}

// keys presses keys on a screen of 80x24.
func keys(s *model.State, names ...string) {
	for _, name := range names {
		s.Key(name)
		Fit(80, 24, s)
	}
}

// screenOf draws s and returns the canvas.
func screenOf(s *model.State, w, h int, level Level) *Canvas {
	c := NewCanvas(w, h)
	c.SetLevel(level)
	Fit(w, h, s)
	Draw(c, s)
	return c
}

// goldenScreen compares text and roles of the screen with a golden file.
func goldenScreen(t *testing.T, name string, c *Canvas) {
	t.Helper()
	checkCanvas(t, c)
	golden(t, name, c.String()+"roles\n"+c.Roles())
}

func TestOverview(t *testing.T) {
	s := fixture()
	for _, size := range [][2]int{{200, 60}, {120, 40}, {80, 24}, {60, 16}, {40, 12}, {19, 4}} {
		for _, level := range []Level{LevelASCII, LevelBraille} {
			name := fmt.Sprintf("overview_%s_%dx%d", levelNames[level], size[0], size[1])
			t.Run(name, func(t *testing.T) {
				goldenScreen(t, name, screenOf(s, size[0], size[1], level))
			})
		}
	}
}

// TestSpecialStates draws what is not everyday: the situations table of the
// design.
func TestSpecialStates(t *testing.T) {
	tests := []struct {
		name  string
		state func(t *testing.T) *model.State
		w, h  int // 80x24 if zero
	}{
		{name: "reading", state: func(*testing.T) *model.State { return model.NewState(2 * time.Second) }},
		{name: "noksm", state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) { noKSM(s, sysfs.ErrNotSupported) })
		}},
		{name: "noksm_small", w: 40, h: 12, state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) { noKSM(s, sysfs.ErrNotSupported) })
		}},
		{name: "refused", state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) {
				noKSM(s, &sysfs.Error{Op: "open", Path: "/sys/kernel/mm/ksm", Err: errors.New("permission denied")})
			})
		}},
		{name: "unreadable", state: func(t *testing.T) *model.State {
			r := unreadable(t)
			return single(func(s *model.Sample) { s.Reading, s.HasUnattributed = r, false })
		}},
		{name: "stopped", state: func(*testing.T) *model.State { return single(stopped) }},
		{name: "off", state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) {
				stopped(s)
				merged(s, 0, 0, 0)
				s.Rows, s.Registered, s.Unattributed = nil, 0, 0
			})
		}},
		{name: "linux5.4", state: func(*testing.T) *model.State { return single(linux54) }},
		{name: "linux5.4_wide", w: 120, h: 40, state: func(*testing.T) *model.State { return single(linux54) }},
		{name: "user", state: func(*testing.T) *model.State {
			s := single(func(s *model.Sample) {
				s.Rows = s.Rows[7:10]
				s.Counts = model.Counts{Seen: 320, Readable: 31, Denied: 183, Registered: 3}
				s.Unattributed = 3 << 30
			})
			s.User, s.Root = "ana", false
			return s
		}},
		{name: "user_all", state: func(*testing.T) *model.State {
			s := single(func(s *model.Sample) {
				for i := range s.Rows[:7] {
					s.Rows[i].KSM, s.Rows[i].Profit = sysfs.ProcessStat{}, 0
				}
				s.Counts = model.Counts{Seen: 320, Readable: 31, Denied: 183, Registered: 3}
			})
			s.User, s.Root = "ana", false
			keys(s, "a", "s", "s", "s") // by PID
			return s
		}},
		{name: "user_none", w: 40, h: 12, state: func(*testing.T) *model.State {
			s := single(func(s *model.Sample) {
				s.Rows, s.Counts = nil, model.Counts{Seen: 320, Readable: 31, Denied: 183}
			})
			s.User, s.Root = "ana", false
			return s
		}},
		{name: "restricted", state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) {
				s.Rows = s.Rows[7:8]
				s.Counts = model.Counts{Seen: 3, Readable: 3, Registered: 1}
				s.Reading.Host.HasKSMD, s.Rates.HasKSMDPercent = false, false
			})
		}},
		{name: "negative", state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) { merged(s, 150, 420, 400000) })
		}},
		{name: "negative_wide", w: 120, h: 40, state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) { merged(s, 150, 420, 400000) })
		}},
		{name: "paused", state: func(*testing.T) *model.State {
			s := fixture()
			keys(s, "p", "End")
			return s
		}},
		{name: "help", state: func(*testing.T) *model.State { s := fixture(); keys(s, "?"); return s }},
		{name: "help_small", w: 40, h: 12, state: func(*testing.T) *model.State { s := fixture(); keys(s, "?"); return s }},
		{name: "help_end", state: func(*testing.T) *model.State {
			s := single(linux54)
			keys(s, "?")
			Fit(80, 24, s)
			keys(s, "End")
			return s
		}},
		{name: "delay", state: func(*testing.T) *model.State { s := fixture(); keys(s, "d", "5"); return s }},
		{name: "delay_error", w: 60, h: 16, state: func(*testing.T) *model.State {
			s := fixture()
			keys(s, "d", "x", "Enter")
			return s
		}},
		{name: "problem", state: func(*testing.T) *model.State {
			return single(func(s *model.Sample) {
				s.ProcessProblem = &sysfs.Error{Op: "parse", Path: "/proc/2231/ksm_stat", Err: errors.New(`"x": invalid syntax`)}
				s.Malformed = 1
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, h := tt.w, tt.h
			if w == 0 {
				w, h = 80, 24
			}
			goldenScreen(t, "state_"+tt.name, screenOf(tt.state(t), w, h, LevelBraille))
		})
	}
}

// noKSM makes a sample that of a machine without KSM, or where it is hidden.
func noKSM(s *model.Sample, why error) {
	s.Reading, s.Rates, s.HasUnattributed = sysfs.Reading{}, sysfs.Rates{}, false
	s.NoKSM, s.Rows, s.Counts = why, nil, model.Counts{Seen: 320}
}
