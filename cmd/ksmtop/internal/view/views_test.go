package view

import (
	"fmt"
	"testing"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// fixtureFamilies returns the fixture with parents that take no part in KSM, so
// that there is a tree, and with control groups.
func fixtureFamilies() *model.State {
	s := fixture()
	sample := fixtureSample(0)
	libvirtd := fixtureRow(1800, "root", "none", 0, 9000, 0, "/usr/sbin/libvirtd --timeout 120")
	php := fixtureRow(4400, "root", "vma", 1200, 4000, 900, "php-fpm: master process (/etc/php/fpm.conf)")
	helper := fixtureRow(2300, "qemu", "vma", 90, 4000, 900, "qemu-helper --fd 3")
	rows := append([]model.Row{libvirtd}, sample.Rows[:2]...)
	rows = append(append(append(rows, helper), php), sample.Rows[2:]...)
	for i := range rows {
		r := &rows[i]
		switch r.PID {
		case 2231, 2298:
			r.PPID, r.Cgroup, r.Guest = 1800, "/machine.slice/machine-qemu.scope", "web-03"
		case 2300:
			r.PPID = 2298
		case 4410, 4411:
			r.PPID, r.Cgroup = 4400, "/system.slice/php-fpm.service"
		}
	}
	sample.Rows = rows
	s.Take(sample)
	return s
}

// views are the states of the views that are drawn at all sizes.
var views = []struct {
	name  string
	keys  []string
	state func() *model.State
}{
	{"processes", []string{"2"}, fixture},
	{"tree", []string{"2", "t", "Home", "Space", "Space"}, fixtureFamilies},
	{"events", []string{"7", "Down"}, fixture},
	{"simulator", []string{"6", "Down"}, fixtureSim},
	{"simulator_b", []string{"6", "End"}, fixtureSimB},
	{"simulator_script", []string{"6"}, fixtureSimScript},
	{"simulator_none", []string{"6"}, fixture},
	{"simulated", []string{"1"}, fixtureSim},
}

// TestViews draws every view at all sizes, with both sets of glyphs.
func TestViews(t *testing.T) {
	for _, v := range views {
		s := v.state()
		Fit(80, 24, s)
		keys(s, v.keys...)
		for _, size := range [][2]int{{200, 60}, {120, 40}, {80, 24}, {40, 12}, {19, 4}} {
			for _, level := range []Level{LevelASCII, LevelBraille} {
				name := fmt.Sprintf("%s_%s_%dx%d", v.name, levelNames[level], size[0], size[1])
				t.Run(name, func(t *testing.T) { goldenScreen(t, name, screenOf(s, size[0], size[1], level)) })
			}
		}
	}
}

// TestViewStates draws the views in states that keys lead to.
func TestViewStates(t *testing.T) {
	for _, v := range []struct {
		name string
		keys []string
	}{
		{"tree_closed", []string{"2", "t", "Home", "-"}},
		{"groups_user", []string{"2", "b", "Down", "Enter"}},
		{"groups_cgroup", []string{"2", "b", "Down", "Down", "Down", "Enter", "-", "Space"}},
		{"columns", []string{"2", "Right", "Right", "Right", "s", "s"}},
		{"filter", []string{"2", "\\", "q", "e", "m", "u", "|", "p", "h", "p"}},
		{"filter_nothing", []string{"2", "\\", "x", "y", "z", "Enter"}},
		{"search", []string{"2", "/", "C", "h", "r", "o"}},
		{"user", []string{"2", "u", "Down", "Enter"}},
		{"users", []string{"2", "u"}},
		{"actions", []string{"2", "Space", "Space", "F9"}},
		{"process", []string{"2", "End", "Enter"}},
		{"commands", []string{"2", "Space", "Space", "F9", "Enter"}},
		{"problems", []string{"7", "!"}},
		{"panel_net", []string{"e"}},
		{"panel_cpu", []string{"e", "e", "e"}},
		{"panel_table", []string{"e", "e", "e", "e", "e"}},
		{"topics", []string{"2", "i"}},
		{"topic", []string{"i", "Down", "Enter"}},
		{"topic_field", []string{"i", "End", "Home", "PgDn", "Enter"}},
		{"topic_column", []string{"2", "i", "Enter"}},
		{"past", []string{"{", "{", "["}},
		{"past_events", []string{"7", "{"}},
	} {
		for _, size := range [][2]int{{80, 24}, {40, 12}} {
			name := fmt.Sprintf("view_%s_%dx%d", v.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				s := fixtureFamilies()
				Fit(size[0], size[1], s)
				keys(s, v.keys...)
				goldenScreen(t, name, screenOf(s, size[0], size[1], LevelBraille))
			})
		}
	}
}

// TestViewSituations draws the other views and the knobs where something is
// missing.
func TestViewSituations(t *testing.T) {
	user := func(s *model.Sample) {
		s.Rows = s.Rows[7:10]
		s.Counts = model.Counts{Seen: 320, Readable: 31, Denied: 183, Registered: 3}
		s.Unattributed = 3 << 30
	}
	restricted := func(s *model.Sample) {
		s.Rows = s.Rows[7:8]
		s.Counts = model.Counts{Seen: 3, Readable: 3, Registered: 1}
		s.Reading.Host.HasKSMD, s.Rates.HasKSMDPercent = false, false
	}
	for _, situation := range []struct {
		name   string
		change func(*model.Sample)
	}{
		{"noksm", func(s *model.Sample) { noKSM(s, sysfs.ErrNotSupported) }},
		{"user", user}, {"restricted", restricted}, {"linux5.4", linux54}, {"stopped", stopped},
	} {
		for _, view := range []struct{ name, key string }{{"processes", "2"}, {"events", "7"}, {"knobs", "F2"}, {"topics", "i"}} {
			name := fmt.Sprintf("situation_%s_%s", situation.name, view.name)
			t.Run(name, func(t *testing.T) {
				s := single(situation.change)
				if situation.name == "user" {
					s.User, s.Root = "ana", false
				}
				keys(s, view.key)
				goldenScreen(t, name, screenOf(s, 80, 24, LevelBraille))
			})
		}
	}
}
