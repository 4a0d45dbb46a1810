package scenario

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Limits of what a scenario can ask for.
const (
	maxTextBytes  = 1 << 20
	maxGuests     = 100_000
	maxGuestPages = 1 << 28 // 1 TiB
	maxPages      = 1 << 33 // 32 TiB: all guests that will ever be, and the host
	maxPoolPages  = 1 << 24 // 64 GiB
)

// Parse reads the text of a scenario. Name is that of its file: it is what errors
// begin with, and without directory and ".toml" that of the scenario. All errors
// are an *Error; a scenario without one can be carried out.
func Parse(name string, text []byte) (*Scenario, error) {
	if len(text) > maxTextBytes {
		return nil, &Error{name, 1, "", fmt.Sprintf("must be at most %d bytes", maxTextBytes)}
	}
	top, err := parseTOML(name, string(text))
	if err != nil {
		return nil, err
	}
	sp := &spec{name: strings.TrimSuffix(filepath.Base(name), ".toml"), title: "", seed: 1}
	length := time.Hour
	if t := top.sub("scenario"); t != nil {
		sp.title = t.text("title", "")
		sp.seed = uint64(t.integer("seed", 1, 0, 1<<63-1))
		sp.memoryPages = t.pages("memory", 1, maxPages)
		length = t.duration("length", time.Hour, time.Second)
		t.finish()
	}
	var knobs []sysfs.Setting
	if t := top.sub("knobs"); t != nil {
		knobs = readKnobs(t)
	}
	if !slices.ContainsFunc(knobs, func(k sysfs.Setting) bool { return k.Field == sysfs.Run }) {
		knobs = append(knobs, sysfs.Setting{Field: sysfs.Run, Value: "1"})
	}
	readGroups(top, sp)
	events := readEvents(top, sp)
	top.finish()
	checkKnobs(top.r, knobs, events)
	checkLimits(top.r, sp)
	if top.r.err != nil {
		return nil, top.r.err
	}
	s := build(sp, sp.seed, 1)
	s.Length = length
	s.Knobs = knobs
	for _, e := range events {
		s.Events = append(s.Events, e.Event)
	}
	return s, nil
}

// event is an Event and the path of its table.
type event struct {
	Event
	path string
}

// readEvents reads the events: those about knobs it returns by time, the others
// it puts into sp.
func readEvents(top *table, sp *spec) []event {
	var events []event
	for _, t := range top.subs("event") {
		t.require("at")
		at := t.duration("at", 0, 0)
		kinds := 0
		for _, key := range []string{"knobs", "add", "balloon"} {
			if t.has(key) {
				kinds++
			}
		}
		if kinds != 1 {
			t.r.fail(t.path, "must have one of knobs, add and balloon")
		}
		if knobs := t.sub("knobs"); knobs != nil {
			events = append(events, event{Event{at, readKnobs(knobs)}, t.path})
		}
		if t.has("add") {
			a := add{at: at, group: findGroup(t, "add", sp.groups)}
			a.count = int(t.integer("count", 1, 1, maxGuests))
			checkAdd(t, sp, a)
			sp.adds = append(sp.adds, a)
		}
		if t.has("balloon") {
			i := findGroup(t, "balloon", sp.groups)
			t.require("share")
			b := balloon{at, t.share("share", 0)}
			if i >= 0 {
				sp.groups[i].balloons = append(sp.groups[i].balloons, b)
			}
		}
		t.finish()
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.At, b.At) })
	for _, g := range sp.groups {
		slices.SortStableFunc(g.balloons, func(a, b balloon) int { return cmp.Compare(a.at, b.at) })
	}
	return events
}

// checkAdd notes an error where guests cannot be added.
func checkAdd(t *table, sp *spec, a add) {
	if a.group < 0 {
		return
	}
	if parent := sp.groups[a.group].parent; parent >= 0 {
		if p := sp.groups[parent]; a.at < p.start+p.boot {
			t.fail("at", "the template %q is not there before %v", p.name, p.start+p.boot)
		}
	}
	for _, g := range sp.groups {
		if g.parent == a.group {
			t.fail("add", "%q is a template, of which there is one", sp.groups[a.group].name)
		}
	}
}

// findGroup returns the index of the group that a key names, or -1.
func findGroup(t *table, key string, groups []groupSpec) int {
	name := t.text(key, "")
	i := slices.IndexFunc(groups, func(g groupSpec) bool { return g.name == name })
	if i < 0 {
		t.fail(key, "%q: no such group", name)
	}
	return i
}

// checkLimits notes an error if all guests together are too much.
func checkLimits(r *reader, sp *spec) {
	guests := make([]int, len(sp.groups)) // of each group
	for i, g := range sp.groups {
		guests[i] = g.count
	}
	for _, a := range sp.adds {
		if a.group >= 0 {
			guests[a.group] += a.count
		}
	}
	totalGuests, totalPages := 0, int64(0)
	for i, g := range sp.groups {
		path := join(join("group", strconv.Itoa(i)), "count")
		totalGuests += guests[i]
		totalPages += int64(guests[i]) * int64(g.pages) // of a text of 1 MiB: below 2^61
		if totalGuests > maxGuests {
			r.fail(path, "all groups together have more than %d guests", maxGuests)
		}
		if totalPages > maxPages {
			r.fail(path, "all guests together have more than %d GiB", int64(maxPages)*PageSize>>30)
		}
		if g.interval > 0 && time.Duration(guests[i]) > maxDuration/g.interval {
			r.fail(path, "starting them all takes longer than %v", maxDuration)
		}
	}
	if len(sp.groups) == 0 {
		r.fail("group", "there must be at least one")
	}
}
