package view

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// paperKernel is a kernel whose knobs have the values of the fixture, and where
// nothing is ever written.
type paperKernel struct{ *model.State }

func (k paperKernel) Plan(settings ...sysfs.Setting) ([]sysfs.Change, error) {
	var changes []sysfs.Change
	for _, s := range settings {
		if s.Field == sysfs.MaxPageSharing {
			return nil, k.refusal(s)
		}
		now, _ := k.Knobs().Value(s.Field)
		changes = append(changes, sysfs.Change{Field: s.Field, Old: now.String(), New: s.Value})
		if s.Field == sysfs.AdvisorMode {
			changes = append(changes, sysfs.Change{Field: sysfs.PagesToScan, Old: "4000", New: "500", Implied: true})
		}
	}
	return changes, nil
}

// refusal returns why a kernel does not take a setting.
func (k paperKernel) refusal(s sysfs.Setting) error {
	const fixture = "../../../../sysfs/testdata/kernels/6.18/"
	_, err := sysfs.FS{Root: fixture + "sys", Proc: fixture + "proc"}.Plan(s)
	if e, ok := errors.AsType[*sysfs.Error](err); ok {
		e.Path = k.Path(s.Field)
	}
	return err
}

func (k paperKernel) Set(settings ...sysfs.Setting) ([]sysfs.Change, error) {
	return k.Plan(settings...)
}

func (k paperKernel) Path(f sysfs.Field) string { return "/sys/kernel/mm/ksm/" + f.String() }

// TestKnobDialogs draws what leads to a write.
func TestKnobDialogs(t *testing.T) {
	for _, tt := range []struct {
		name string
		root bool
		keys []string
	}{
		{"unmerge", true, []string{"F2", "Enter", "2", "Enter"}},
		{"unmerge_word", true, []string{"F2", "Enter", "2", "Enter", "Left", "Enter", "u", "n"}},
		{"write", true, []string{"F2", "Down", "Enter", "1", "0", "0", "Enter"}},
		{"implied", true, []string{"F2", "j", "j", "j", "j", "j", "j", "j", "j", "Enter", "s", "c", "a", "n", "-", "t", "i", "m", "e", "Enter"}},
		{"prompt", true, []string{"F2", "Down", "Enter", "4"}},
		{"refused", true, []string{"F2", "Down", "Down", "Down", "Down", "Down", "Enter", "3", "0", "0", "Enter"}},
		{"not_root", false, []string{"F2", "Down", "Enter", "1", "0", "0", "Enter"}},
	} {
		for _, size := range [][2]int{{80, 24}, {40, 12}} {
			name := fmt.Sprintf("knobs_%s_%dx%d", tt.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				s := fixture()
				s.Kernel, s.Root = paperKernel{s}, tt.root
				keys(s, tt.keys...)
				goldenScreen(t, name, screenOf(s, size[0], size[1], LevelBraille))
			})
		}
	}
}

// A message that is longer than a line is not cut, and does not cover the first line.
func TestLongMessage(t *testing.T) {
	const end = "the end"
	s := fixture()
	keys(s, "F2")
	for _, tt := range []struct {
		message string
		w, h    int
		lines   int // besides the rule
	}{
		{"12345678901 " + end, 20, 5, 1},
		{"123456789012 " + end, 20, 5, 2},
		{"one\n" + end, 80, 24, 2},
		{strings.Repeat("word ", 30) + end, 40, 12, 5},
		{"write /sys/kernel/mm/ksm/stable_node_chains_prune_millisecs: " + end, 40, 12, 3},
		{strings.Repeat("9", 50) + " " + end, 40, 12, 2},
		{strings.Repeat("データ", 10) + " " + end, 40, 12, 3},
	} {
		s.Message = tt.message
		got := screenOf(s, tt.w, tt.h, LevelBraille)
		before := *s
		before.Message = ""
		plain := strings.Split(screenOf(&before, tt.w, tt.h, LevelBraille).String(), "\n")
		lines := strings.Split(got.String(), "\n")
		message := strings.Join(lines[tt.h-1-tt.lines:tt.h-1], "")
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if squeeze(message) != squeeze(tt.message) || lines[0] != plain[0] {
			t.Errorf("%q in %dx%d looks like\n%s", tt.message, tt.w, tt.h, got)
		}
		if rule := tt.h - 2 - tt.lines; tt.lines > 1 && rule > 0 && strings.Trim(lines[rule], "─") != "" {
			t.Errorf("%q in %dx%d: above it is %q, want a rule", tt.message, tt.w, tt.h, lines[rule])
		}
	}
	s.Message = strings.Repeat("word ", 1000)
	if got := screenOf(s, 40, 12, LevelBraille).String(); !strings.HasPrefix(got, "┌─ Knobs ") {
		t.Errorf("a message of 1000 words covers everything:\n%s", got)
	}
}
