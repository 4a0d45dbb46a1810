//go:build amd64 || arm64

package real

import (
	"context"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Start takes the kernel to the start of a scenario: nothing is tracked or merged,
// ksmd is at the head of its list, and the knobs have the kernel's defaults but for
// those given, of which the last of each counts, and run, which is 1 unless it is
// given. Until Reset, ksmd goes its own ways. The error is that of a knob which this
// kernel lacks or refuses.
func (k *Kernel) Start(ctx context.Context, knobs []sysfs.Setting) error {
	if err := k.Reset(ctx); err != nil {
		return err
	}
	now, err := k.fsys.Knobs()
	if err != nil {
		return err
	}
	// Parked, it stays so with run 0.
	defaults := []sysfs.Setting{{Field: sysfs.Run, Value: "0"}}
	for f := range now.Present.All() {
		if f != sysfs.Run {
			defaults = append(defaults, sysfs.Setting{Field: f, Value: f.Info().Default})
		}
	}
	k.fresh = false
	if _, err := k.fsys.Set(defaults...); err != nil {
		return err
	}
	_, err = k.fsys.Set(startKnobs(knobs)...)
	return err
}

// startKnobs returns the last setting of each knob. An advisor that is switched on
// chooses pages_to_scan itself.
func startKnobs(knobs []sysfs.Setting) []sysfs.Setting {
	last := map[sysfs.Field]string{sysfs.Run: "1"}
	for _, s := range knobs {
		last[s.Field] = s.Value
	}
	if mode, ok := last[sysfs.AdvisorMode]; ok && mode != sysfs.AdvisorNone {
		delete(last, sysfs.PagesToScan)
	}
	var list []sysfs.Setting
	for f := range sysfs.Fields() {
		if value, ok := last[f]; ok {
			list = append(list, sysfs.Setting{Field: f, Value: value})
		}
	}
	return list
}
