package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// smallScenario has little memory and lasts long enough.
const smallScenario = `
[scenario]
title = "two small guests"
seed = 3
length = "1h"
[knobs]
pages_to_scan = 200
smart_scan = 0
[[group]]
name = "vm"
count = 2
memory = "4MiB"
[[group.class]]
kind = "image"
image = "an-image"
pool = "4MiB"
fraction = 0.5
[[group.class]]
kind = "private"
fraction = 0.25
write = [ { share = 0.5, every = "20s" } ]
`

// handSim is an engine that works on the goroutine of the test, and the state to
// which it shows things.
type handSim struct {
	t      *testing.T
	engine *simEngine
	state  *model.State
	last   *model.SimUpdate
}

func newHandSim(t *testing.T) *handSim {
	h := &handSim{t: t, state: model.NewState(time.Second)}
	h.engine = newSimEngine(time.Second, func(u *model.SimUpdate) {
		h.last = u
		if before := h.state.TakeSim(u); before != nil {
			h.engine.giveBack(before)
		}
	})
	h.engine.room = func() int64 { return 1 << 20 }
	return h
}

// file writes a file to simulate, and returns its path.
func (h *handSim) file(name, content string) string {
	path := filepath.Join(h.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// ask asks for something, and waits until it is done.
func (h *handSim) ask(c model.SimCommand) *model.SimUpdate {
	h.t.Helper()
	if c.Kind == model.SimOpen { // as the user does
		h.state.OpenSim(c.Name)
		c = h.state.SimCommands()[0]
	}
	h.engine.send(c)
	h.engine.obeyAll(h.t.Context())
	for h.engine.doing != doingNothing {
		h.engine.work(h.t.Context())
	}
	return h.last
}

// until works until the shot is as wanted.
func (h *handSim) until(what string, ok func(*model.SimShot) bool) *model.SimUpdate {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok(&h.last.Shot) {
		if wait := h.engine.work(h.t.Context()); wait > 0 && wait < time.Minute {
			time.Sleep(min(wait, simFrame))
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("it never happens that %s: %+v", what, h.last.Shot)
		}
	}
	return h.last
}

// A simulated machine on the screen shows the counters that ksmtop lab prints for
// the same script at the same place, of the machine and of each process: for all
// scripts that a kernel has carried out.
func TestSimulatorShowsWhatLabPrints(t *testing.T) {
	paths, err := filepath.Glob("../../sim/testdata/golden/*.script")
	if err != nil || len(paths) < 50 {
		t.Fatal(paths, err)
	}
	shown := 0
	for _, path := range paths {
		printed, err := sim.ReadTSV(strings.NewReader(ksmtop(t, "lab", "--tsv", "-", path).want(t, 0).stdout))
		if err != nil {
			t.Fatal(err)
		}
		rows := printed.Rows
		h := newHandSim(t)
		h.ask(model.SimCommand{Kind: model.SimOpen, Name: path})
		for !h.last.Shot.Over {
			next := h.last.Shot.Next
			u := h.ask(model.SimCommand{Kind: model.SimBatch})
			if u.Err != nil {
				t.Fatalf("%s: %s: %v", path, next, u.Err)
			}
			_, operation, _ := strings.Cut(next, ": ")
			if !strings.HasPrefix(operation, "show ") {
				continue
			}
			shown++
			rows = compareShown(t, path+" "+next, h, rows)
		}
		if len(rows) > 0 {
			t.Errorf("%s: %d rows are not shown", path, len(rows))
		}
	}
	if shown < 100 {
		t.Errorf("only %d shows were compared", shown)
	}
}

// compareShown compares what the screen shows with the next rows of a table, and
// returns the rest.
func compareShown(t *testing.T, where string, h *handSim, rows []sim.Row) []sim.Row {
	t.Helper()
	c := &h.last.Shot.A.Reading.Counters
	columns := map[sim.Column]sysfs.Field{
		sim.ColumnFullScans: sysfs.FullScans, sim.ColumnPagesScanned: sysfs.PagesScanned, sim.ColumnPagesSkipped: sysfs.PagesSkipped,
		sim.ColumnPagesShared: sysfs.PagesShared, sim.ColumnPagesSharing: sysfs.PagesSharing, sim.ColumnPagesUnshared: sysfs.PagesUnshared,
		sim.ColumnPagesVolatile: sysfs.PagesVolatile, sim.ColumnKSMZeroPages: sysfs.KSMZeroPages, sim.ColumnStableNodeChains: sysfs.StableNodeChains,
		sim.ColumnStableNodeDups: sysfs.StableNodeDups, sim.ColumnGeneralProfit: sysfs.GeneralProfit,
	}
	for column, field := range columns {
		want, ok := rows[0].Value(column)
		got, has := c.Value(field)
		if !ok || !has || got.String() != fmt.Sprint(want) {
			t.Errorf("%s: %s is %s, lab prints %d", where, field, got, want)
		}
	}
	canvas := view.NewCanvas(200, 60)
	h.state.Message = ""
	view.Fit(200, 60, h.state)
	view.Draw(canvas, h.state)
	line := fmt.Sprintf(" scan %d  shared %d  sharing %d  unshared %d  volatile %d  zero %d ",
		c.FullScans, c.PagesShared, c.PagesSharing, c.PagesUnshared, c.PagesVolatile, c.KSMZeroPages)
	if text := canvas.String(); len(line) < 80 && !strings.Contains(strings.ReplaceAll(text, "\u00a0", " "), line) && c.PagesUnshared < 1000 && c.PagesSharing < 1000 && c.PagesShared < 1000 {
		t.Errorf("%s: the screen has no %q:\n%s", where, line, text)
	}
	rows = rows[1:]
	for i := range h.state.Sample.Rows {
		p := &h.state.Sample.Rows[i]
		r := &rows[i]
		items, _ := r.Value(sim.ColumnRmapItems)
		merging, _ := r.Value(sim.ColumnMergingPages)
		zero, _ := r.Value(sim.ColumnKSMZeroPages)
		profit, _ := r.Value(sim.ColumnProcessProfit)
		if p.Name != r.Process || int64(p.KSM.RmapItems) != items || int64(p.KSM.MergingPages) != merging || int64(p.KSM.ZeroPages) != zero || p.KSM.Profit != profit {
			t.Errorf("%s: process %+v, lab prints %+v", where, p.Process, r)
		}
	}
	return rows[len(h.state.Sample.Rows):]
}

// A scenario on the screen is at each moment where the same scenario is without.
func TestSimulatorIsTheHost(t *testing.T) {
	h := newHandSim(t)
	path := h.file("small.toml", smallScenario)
	h.ask(model.SimCommand{Kind: model.SimOpen, Name: path})
	h.ask(model.SimCommand{Kind: model.SimFaster, By: 99})
	h.until("a minute passes", func(s *model.SimShot) bool { return s.Now > time.Minute })
	u := h.ask(model.SimCommand{Kind: model.SimToggle})
	spec, err := openSim(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m, err := spec.machine(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.advance(t.Context(), u.Shot.Now); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", u.Shot.A.Reading), fmt.Sprintf("%+v", m.reading()); got != want {
		t.Errorf("at %v\n%s, want\n%s", u.Shot.Now, got, want)
	}
	if u.Shot.Running || u.Shot.A.Savings.SavedBytes == 0 || len(h.state.Sample.Rows) != 2 || h.state.Sample.Reading.Counters != u.Shot.A.Reading.Counters {
		t.Errorf("running %t, saved %d, %d rows", u.Shot.Running, u.Shot.A.Savings.SavedBytes, len(h.state.Sample.Rows))
	}
}

// Steps, knobs, new beginnings and comparisons.
func TestSimulatorObeys(t *testing.T) {
	h := newHandSim(t)
	path := h.file("small.toml", smallScenario)
	u := h.ask(model.SimCommand{Kind: model.SimOpen, Name: path})
	if !u.Shot.Running || u.Shot.Speed != model.ScenarioSpeed || u.Shot.Seed != 3 || u.Shot.Guests != 2 || u.Shot.Scale != 1 {
		t.Errorf("an opened scenario: %+v", u.Shot)
	}
	u = h.ask(model.SimCommand{Kind: model.SimBatch})
	at := u.Shot.Now
	if u.Shot.Running || u.Shot.A.Reading.Counters.PagesScanned != 200 {
		t.Errorf("after a batch: %d pages, running %t", u.Shot.A.Reading.Counters.PagesScanned, u.Shot.Running)
	}
	for range 3 {
		if h.engine.work(t.Context()); h.last.Shot.Now != at {
			t.Errorf("time goes on while it is paused")
		}
	}
	for scan := range uint64(4) {
		u = h.ask(model.SimCommand{Kind: model.SimScan})
		if u.Shot.A.Reading.Counters.FullScans != scan+1 {
			t.Errorf("after scan %d there are %d", scan+1, u.Shot.A.Reading.Counters.FullScans)
		}
	}
	if u.Shot.A.Reading.Counters.PagesSharing == 0 {
		t.Error("nothing is merged after four scans")
	}

	u = h.ask(model.SimCommand{Kind: model.SimSet, Settings: []sysfs.Setting{{Field: sysfs.PagesToScan, Value: "77"}}})
	if u.Err != nil || u.Shot.A.Reading.Knobs.PagesToScan != 77 || h.state.Sample.Reading.Knobs.PagesToScan != 77 {
		t.Errorf("pages_to_scan: %v, %d", u.Err, u.Shot.A.Reading.Knobs.PagesToScan)
	}
	u = h.ask(model.SimCommand{Kind: model.SimSet, Settings: []sysfs.Setting{{Field: sysfs.MaxPageSharing, Value: "512"}}})
	if !errors.Is(u.Err, syscall.EBUSY) || u.Refused == nil || u.Err.Error() != "max_page_sharing: device or resource busy" {
		t.Errorf("max_page_sharing: %v, refused %v", u.Err, u.Refused)
	}

	u = h.ask(model.SimCommand{Kind: model.SimRestart, Settings: []sysfs.Setting{{Field: sysfs.MaxPageSharing, Value: "512"}}})
	if u.Err != nil || u.Shot.Now != 0 || u.Shot.Run != 2 || u.Shot.A.Reading.Knobs.MaxPageSharing != 512 || u.Shot.A.Reading.Knobs.PagesToScan != 200 {
		t.Errorf("after a new beginning: %v, %+v", u.Err, u.Shot)
	}

	u = h.ask(model.SimCommand{Kind: model.SimCompare, What: "slow",
		Settings: []sysfs.Setting{{Field: sysfs.PagesToScan, Value: "2000"}}, Other: []sysfs.Setting{{Field: sysfs.PagesToScan, Value: "20"}}})
	if !u.Shot.HasB || u.Shot.B.What != "slow" || u.Shot.B.Reading.Knobs.PagesToScan != 20 {
		t.Errorf("B: %+v", u.Shot.B)
	}
	h.ask(model.SimCommand{Kind: model.SimToggle})
	h.ask(model.SimCommand{Kind: model.SimFaster, By: 99})
	u = h.until("A settles", func(s *model.SimShot) bool { return s.A.HasSettled })
	a, b := &u.Shot.A, &u.Shot.B
	if a.Reading.Counters.FullScans <= b.Reading.Counters.FullScans || b.HasSettled && b.Settled <= a.Settled {
		t.Errorf("A %+v, B %+v", a, b)
	}
	h.ask(model.SimCommand{Kind: model.SimToggle})
	for h.engine.work(t.Context()) == 0 { // B comes to where A is
	}
	u = h.ask(model.SimCommand{Kind: model.SimSet, Settings: []sysfs.Setting{{Field: sysfs.SmartScan, Value: "0"}}})
	if u.Shot.A.Reading.Time != u.Shot.B.Reading.Time {
		t.Errorf("A is at %v and B at %v", u.Shot.A.Reading.Time, u.Shot.B.Reading.Time)
	}
	u = h.ask(model.SimCommand{Kind: model.SimRestart})
	if !u.Shot.HasB || u.Shot.B.What != "slow" || u.Shot.B.Reading.Knobs.PagesToScan != 20 || u.Shot.B.Reading.Counters.PagesScanned != 0 {
		t.Errorf("B after a new beginning: %+v", u.Shot.B)
	}
	if u = h.ask(model.SimCommand{Kind: model.SimAlone}); u.Shot.HasB {
		t.Error("B is still there")
	}

	for name, want := range map[string]string{
		"no-such": `"no-such": no such preset, and no such file`, "/no/such.toml": "/no/such.toml: no such file or directory",
		h.file("wrong.toml", "[scenario]\nwrong = 1\n"):  "wrong",
		h.file("wrong.script", "spawn a\nexit nobody\n"): "nobody",
	} {
		u = h.ask(model.SimCommand{Kind: model.SimOpen, Name: name})
		if u.Err == nil || !strings.Contains(u.Err.Error(), want) || u.Shot.Name != "small" {
			t.Errorf("opening %s: %v; there is %q", name, u.Err, u.Shot.Name)
		}
	}
	if u = h.ask(model.SimCommand{Kind: model.SimClose}); u.Shot.Name != "" || h.state.Sim.Open || h.engine.work(t.Context()) == 0 {
		t.Errorf("closed: %+v", u.Shot)
	}
	h.ask(model.SimCommand{Kind: model.SimToggle}) // of nothing
}

// A step goes on to its end, though another speed is chosen meanwhile.
func TestSimulatorSpeedsUpStep(t *testing.T) {
	h := newHandSim(t)
	h.ask(model.SimCommand{Kind: model.SimOpen, Name: h.file("small.toml", smallScenario)})
	h.engine.send(model.SimCommand{Kind: model.SimScan}, model.SimCommand{Kind: model.SimFaster, By: 1})
	h.engine.obeyAll(t.Context())
	if h.last.Shot.Doing == "" || h.last.Shot.Speed != model.ScenarioSpeed+1 {
		t.Errorf("it does %q at speed %d, want the scan at %d", h.last.Shot.Doing, h.last.Shot.Speed, model.ScenarioSpeed+1)
	}
	h.until("the scan ends", func(s *model.SimShot) bool { return s.Doing == "" })
	if got := h.last.Shot.A.Reading.Counters.FullScans; got != 1 {
		t.Errorf("after the step there are %d full scans, want 1", got)
	}
}

// A step that can be undone stays so where another one cannot, since pages have been
// merged meanwhile.
func TestSimulatorRefusesUndo(t *testing.T) {
	h := newHandSim(t)
	press := func(keys ...string) {
		for _, key := range keys {
			h.state.Key(key)
			for _, c := range h.state.SimCommands() {
				h.ask(c)
			}
		}
	}
	h.ask(model.SimCommand{Kind: model.SimOpen, Name: h.file("small.toml", smallScenario)})
	press("Right", "End", "Up", "Up", "Up", "Right", "f", "f", "f")
	k := &h.last.Shot.A.Reading.Knobs
	if k.PagesToScan != 500 || k.MaxPageSharing != 512 || h.last.Shot.A.Reading.Counters.PagesShared == 0 {
		t.Fatalf("pages_to_scan %d, max_page_sharing %d, %d pages shared", k.PagesToScan, k.MaxPageSharing, h.last.Shot.A.Reading.Counters.PagesShared)
	}
	press("z")
	if want := "max_page_sharing cannot change while pages are merged: r begins anew with 256"; h.state.Message != want {
		t.Errorf("the first z says %q, want %q", h.state.Message, want)
	}
	press("z")
	if want := "pages_to_scan is 200 again"; h.state.Message != want || h.last.Shot.A.Reading.Knobs.PagesToScan != 200 {
		t.Errorf("the second z says %q, want %q; it is %d", h.state.Message, want, h.last.Shot.A.Reading.Knobs.PagesToScan)
	}
}

// A script without a name that says so is one nonetheless; what it does wrong while
// it runs is said, and it stays there.
func TestSimulatorScript(t *testing.T) {
	h := newHandSim(t)
	script := "spawn a\nmap a x 4\nfill a x 0 4 7\nmergeable a x 0 4\nscan 2\nset max_page_sharing 8\nshow end\n"
	u := h.ask(model.SimCommand{Kind: model.SimOpen, Name: h.file("some text", script)})
	if u.Err != nil || !u.Shot.Script || u.Shot.Running || u.Shot.Next != "line 1: spawn a" || u.Shot.Speed != model.ScriptSpeed {
		t.Fatalf("an opened script: %v, %+v", u.Err, u.Shot)
	}
	h.ask(model.SimCommand{Kind: model.SimFaster, By: 99})
	h.ask(model.SimCommand{Kind: model.SimToggle})
	u = h.until("the script ends", func(s *model.SimShot) bool { return s.Over })
	if u.Shot.Running || u.Shot.A.Reading.Counters.PagesSharing != 3 {
		t.Errorf("at the end: %+v", u.Shot)
	}
	if !strings.Contains(h.state.Message, "cannot change while there are KSM pages") {
		t.Errorf("message %q", h.state.Message)
	}
	if h.engine.work(t.Context()) == 0 {
		t.Error("it goes on after the end")
	}
	u = h.ask(model.SimCommand{Kind: model.SimRestart})
	if u.Shot.Over || u.Shot.Next != "line 1: spawn a" {
		t.Errorf("after a new beginning: %+v", u.Shot)
	}
	// Without anything to do a step comes to an end, too.
	h.ask(model.SimCommand{Kind: model.SimOpen, Name: h.file("off.toml", strings.Replace(smallScenario, "smart_scan = 0", "run = 0", 1))})
	u = h.ask(model.SimCommand{Kind: model.SimScan})
	if u.Err == nil || u.Err.Error() != "ksmd has nothing to do" {
		t.Errorf("a scan without ksmd: %v", u.Err)
	}
}

// What does not fit is made smaller until it does.
func TestSimulatorFits(t *testing.T) {
	whole, err := openSim("same-os", 1<<40)
	if err != nil || whole.scale != 1 {
		t.Fatalf("scale %d, %v", whole.scale, err)
	}
	for _, room := range []int64{1 << 20, 1 << 12} {
		spec, err := openSim("same-os", room)
		if err != nil {
			t.Fatal(err)
		}
		if got := peakPages(spec.scenario); got > room || got < room/4 || spec.scale < 2 {
			t.Errorf("room %d: 1/%d of %d pages are %d", room, spec.scale, peakPages(whole.scenario), got)
		}
	}
	if _, err := openSim("same-os", 1); err == nil || !strings.Contains(err.Error(), "too little memory") {
		t.Errorf("no room at all: %v", err)
	}
	if got := screenRoom(8 * simPageCost * 1000); got != 1000 {
		t.Errorf("room %d, want 1000", got)
	}
	if got := screenRoom(1 << 60); got != maxScreenPages {
		t.Errorf("room %d", got)
	}
}

// What would take for ever, or all memory, is not opened.
func TestSimulatorRefuses(t *testing.T) {
	h := newHandSim(t)
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.toml")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	sparse := h.file("sparse.toml", "")
	if err := os.Truncate(sparse, maxScriptBytes+1); err != nil {
		t.Fatal(err)
	}
	large := "spawn a\nmap a x 200000\nspawn b\nmap b x 100000\nexit b\nfork a c\nshow end\n" // 400000 at the end
	for name, want := range map[string]string{
		dir: "not a regular file", pipe: "not a regular file", "/dev/zero": "not a regular file", sparse: "larger than",
		h.file("large.script", large): "its processes have 400000 pages at one time, and there is room for 399999",
	} {
		if _, err := openSim(name, 399_999); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := openSim(h.file("large.script", large), 400_000); err != nil {
		t.Errorf("just enough room: %v", err)
	}
}

// The goroutine takes commands while it simulates, and ends with its context.
func TestSimulatorRuns(t *testing.T) {
	shots := make(chan model.SimShot, 1000)
	var e *simEngine
	e = newSimEngine(time.Second, func(u *model.SimUpdate) {
		shots <- u.Shot
		if u.Sample != nil {
			e.giveBack(u.Sample)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { e.run(ctx); close(ended) }()
	h := &handSim{t: t}
	e.send(model.SimCommand{Kind: model.SimOpen, Name: h.file("small.toml", smallScenario)}, model.SimCommand{Kind: model.SimFaster, By: 99})
	wait := func(what string, ok func(*model.SimShot) bool) {
		t.Helper()
		deadline := time.After(patience)
		for {
			select {
			case shot := <-shots:
				if ok(&shot) {
					return
				}
			case <-deadline:
				t.Fatal("it never happens that", what)
			}
		}
	}
	wait("time passes", func(s *model.SimShot) bool { return s.Now > 10*time.Minute })
	e.send(model.SimCommand{Kind: model.SimToggle})
	wait("it pauses", func(s *model.SimShot) bool { return !s.Running })
	e.setDelay(time.Minute)
	e.send(model.SimCommand{Kind: model.SimRestart}, model.SimCommand{Kind: model.SimScan})
	wait("a scan ends", func(s *model.SimShot) bool { return s.Run == 2 && s.A.Reading.Counters.FullScans == 1 })
	cancel()
	<-ended
}
