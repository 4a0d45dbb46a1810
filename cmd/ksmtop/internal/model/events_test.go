package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

// texts returns all events, the oldest first.
func (e *Events) texts() []string {
	var all []string
	for i := e.Len() - 1; i >= 0; i-- {
		all = append(all, e.Latest(i).Text)
	}
	return all
}

func TestEventsOfKnobs(t *testing.T) {
	var e Events
	var p Passes
	first := at(0)
	e.take(first, &p, 0)
	second := at(1)
	second.Reading.Knobs.PagesToScan = 4000
	second.Reading.Knobs.SmartScan = false
	e.take(second, &p, 0)
	third := at(2)
	third.Reading.Knobs = second.Reading.Knobs
	third.Reading.Knobs.AdvisorMode = sysfs.AdvisorScanTime
	third.Reading.Knobs.PagesToScan = 1234 // the advisor's choice
	e.take(third, &p, 0)
	fourth := at(3) // a knob that cannot be read has not changed
	fourth.Reading.Knobs = third.Reading.Knobs
	fourth.Reading.Knobs.MaxPageSharing = 0
	fourth.Reading.Knobs.Present &^= sysfs.SetOf(sysfs.MaxPageSharing)
	e.take(fourth, &p, 0)
	want := []string{
		"pages_to_scan changed outside ksmtop: 100 -> 4000",
		"smart_scan changed outside ksmtop: 1 -> 0",
		"advisor_mode changed outside ksmtop: none -> scan-time",
	}
	if got := e.texts(); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	if !e.Latest(0).Problem || !e.Latest(0).At.Equal(third.Time) {
		t.Errorf("the latest event is %+v", e.Latest(0))
	}
}

func TestEventsOfProcesses(t *testing.T) {
	var e Events
	var p Passes
	step := func(seen int, rows ...Row) {
		s := at(float64(e.Len()))
		s.Rows, s.Seen = rows, seen
		e.take(s, &p, 0)
	}
	idle := registered(99, 1, "idle")
	idle.KSM = sysfs.ProcessStat{Present: allFields}
	step(2, registered(1, 10, "old"), idle)
	step(3, registered(1, 10, "old"), registered(2, 20, "new"), idle)
	step(0)                                                       // /proc could not be listed
	step(2, registered(1, 10, "old"), registered(2, 30, "again")) // the number was used again
	step(1, idle)
	want := []string{
		"2 new takes part in KSM",
		"2 new takes no part in KSM any more", "2 again takes part in KSM",
		"1 old takes no part in KSM any more", "2 again takes no part in KSM any more",
	}
	if got := e.texts(); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}

	// Many at once are counted.
	before := e.Len()
	var many []Row
	for pid := range 10 {
		many = append(many, registered(pid+1, 1, "x"))
	}
	step(10, many...)
	want = []string{"1 x takes part in KSM", "2 x takes part in KSM", "3 x takes part in KSM", "7 more processes take part in KSM"}
	if got := e.texts()[before:]; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	before = e.Len()
	step(6, many[4:]...)
	want = []string{
		"1 x takes no part in KSM any more", "2 x takes no part in KSM any more", "3 x takes no part in KSM any more",
		"1 more process takes no part in KSM any more",
	}
	if got := e.texts()[before:]; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	before = e.Len()
	step(10, many...)
	want = []string{"1 x takes part in KSM", "2 x takes part in KSM", "3 x takes part in KSM", "1 more process takes part in KSM"}
	if got := e.texts()[before:]; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	before = e.Len()
	step(5, many[5:]...)
	if got, want := e.texts()[e.Len()-1], "2 more processes take no part in KSM any more"; got != want || e.Len() != before+4 {
		t.Errorf("events %q, want the last to be %q", e.texts()[before:], want)
	}
}

func TestEventsOfPasses(t *testing.T) {
	var e Events
	var p Passes
	step := func(s *Sample) { e.take(s, &p, p.take(s)) }
	step(scan(0, 0, 0, 0, 50))
	step(scan(1, 1, 1234, 0, 50))  // the first end: how long is not known
	step(scan(31, 2, 1000, 0, 50)) // a slow one
	step(scan(32, 3, 1001, 0, 50)) // quick ones take each other's place
	step(scan(33, 4, 1002, 0, 50))
	step(scan(34, 6, 1004, 0, 50))
	changed := scan(35, 6, 1004, 0, 50)
	changed.Reading.Knobs.SleepMillisecs = 0
	step(changed)
	again := scan(36, 7, 1004, 0, 50)
	again.Reading.Knobs.SleepMillisecs = 0
	step(again)
	want := []string{
		"pass 1 ended, 50 pages, +1 234 merged",
		"pass 2 ended: ~30.0 s, 50 pages, -234 merged",
		"2 passes ended, the last was 6: ~500 ms each, 50 pages, +1 merged",
		"sleep_millisecs changed outside ksmtop: 20 -> 0",
		"pass 7 ended: ~2.0 s, 50 pages, 0 merged",
	}
	if got := e.texts(); !slices.Equal(got, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEventsAreLimited(t *testing.T) {
	var e Events
	for i := range eventsKept + 5 {
		e.add(epoch, false, "%d", i)
	}
	if e.Len() != eventsKept || e.Latest(0).Text != fmt.Sprint(eventsKept+4) || e.Latest(eventsKept-1).Text != "5" {
		t.Errorf("%d events, from %q to %q", e.Len(), e.Latest(eventsKept-1).Text, e.Latest(0).Text)
	}
}

func TestEventsWithoutKSM(t *testing.T) {
	var e Events
	var p Passes
	for range 2 {
		s := &Sample{NoKSM: errors.New("none"), Rows: []Row{registered(1, 1, "x")}}
		e.take(s, &p, 0)
	}
	if e.Len() != 0 {
		t.Errorf("events %q, want none", e.texts())
	}
}
