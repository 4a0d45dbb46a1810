package scenario

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ksmtop/ksmtop/sysfs"
)

// readKnobs reads a table of knobs, and returns them in the order in which the
// kernel takes them.
func readKnobs(t *table) []sysfs.Setting {
	var settings []sysfs.Setting
	for f := range sysfs.Fields() {
		v := t.take(f.String())
		if v == nil {
			continue
		}
		var text string
		switch v := v.(type) {
		case string:
			text = v
		case int64:
			text = strconv.FormatInt(v, 10)
		case bool:
			text = "0"
			if v {
				text = "1"
			}
		default:
			t.fail(f.String(), "must be a whole number, a text in quotes, true or false")
			continue
		}
		var k sysfs.Knobs
		if err := k.Set(f, text); err != nil {
			reason := err.Error()
			if cause := errors.Unwrap(err); cause != nil {
				reason = cause.Error()
			}
			t.fail(f.String(), "%q: %s", text, reason)
		}
		settings = append(settings, sysfs.Setting{Field: f, Value: text})
	}
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		t.fail(key, "no such knob")
	}
	slices.SortStableFunc(settings, func(a, b sysfs.Setting) int { return rank(a) - rank(b) })
	return settings
}

// rank is the place of a setting among those of one time. pages_to_scan is refused
// while the advisor is on, which looks at its own settings when it is switched
// on; and ksmd starts when all is in place.
func rank(k sysfs.Setting) int {
	switch {
	case k.Field == sysfs.AdvisorMode && !isScanTime(k), k.Field == sysfs.Run && !isScan(k):
		return 0
	case k.Field == sysfs.AdvisorMode:
		return 2
	case k.Field == sysfs.Run:
		return 3
	}
	return 1
}

// isScan reports whether a setting starts ksmd.
func isScan(k sysfs.Setting) bool {
	var knobs sysfs.Knobs
	return k.Field == sysfs.Run && knobs.Set(sysfs.Run, k.Value) == nil && knobs.Run == sysfs.RunScan
}

// isScanTime reports whether a setting switches the advisor on.
func isScanTime(k sysfs.Setting) bool {
	return k.Field == sysfs.AdvisorMode && strings.TrimSuffix(k.Value, "\n") == sysfs.AdvisorScanTime
}

// checkKnobs notes an error where the kernel would refuse a knob for what the
// others are.
func checkKnobs(r *reader, knobs []sysfs.Setting, events []event) {
	hasAdvisor := false
	check := func(settings []sysfs.Setting, path string, isStart bool) {
		for _, k := range settings {
			if k.Field == sysfs.AdvisorMode {
				hasAdvisor = isScanTime(k)
			}
		}
		for _, k := range settings {
			switch k.Field {
			case sysfs.PagesToScan:
				if hasAdvisor {
					r.fail(join(path, k.Field.String()), "the kernel refuses it while advisor_mode is scan-time")
				}
			case sysfs.MaxPageSharing, sysfs.MergeAcrossNodes:
				if !isStart {
					r.fail(join(path, k.Field.String()),
						"the kernel refuses to change it while pages are merged; set it in [knobs]")
				}
			}
		}
	}
	check(knobs, "knobs", true)
	for _, e := range events {
		check(e.Settings, join(e.path, "knobs"), false)
	}
}
