package view

import (
	"errors"
	"fmt"
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
