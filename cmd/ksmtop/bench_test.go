package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

func TestBenchFor(t *testing.T) {
	for _, tt := range []struct {
		text, want string // want is empty for an error
	}{
		{"settled", "settled"}, {"2m", "2m0s"}, {"90", "1m30s"}, {"8784h", "8784h0m0s"},
		{"", ""}, {"0", ""}, {"5scans", ""}, {"1scan", ""}, {"8785h", ""}, {"soon", ""},
	} {
		var f benchFor
		if err := f.Set(tt.text); (err == nil) != (tt.want != "") || err == nil && f.String() != tt.want {
			t.Errorf("--for %q: %v, error %v; want %q", tt.text, &f, err, tt.want)
		}
	}
}

// finishedBench returns a bench that was measured without a kernel: everything is as
// the simulation predicts, but for what change does to it.
func finishedBench(t *testing.T, change func(*benchRun)) *benchRun {
	t.Helper()
	s, err := scenario.Preset("clones")
	if err != nil {
		t.Fatal(err)
	}
	f := &benchFlags{common: &common{}, interval: seconds(time.Second)}
	b := &benchRun{flags: f, scenario: s.Scale(0.01), out: io.Discard}
	b.predict = &simRun{
		name: "A", scenario: b.scenario, interval: time.Second, watch: benchWatch,
		until: simUntil{length: 20 * time.Second, isSet: true},
	}
	if err := b.predict.run(t.Context(), func(*simRun) error { return nil }, func(*simRun) {}); err != nil {
		t.Fatal(err)
	}
	b.points, b.growth = b.predict.points, b.predict.growth
	b.first, b.last = sysfs.Reading{Host: sysfs.Host{HasKSMD: true}}, b.predict.now
	b.scan = &scanner.Report{PageSize: scenario.PageSize}
	c := &b.last.Counters
	b.scan.Shared, b.scan.WouldSave, b.scan.Unshared = uint64(c.PagesShared), uint64(c.PagesSharing), uint64(c.PagesUnshared)
	b.scan.Items = uint64(c.PagesShared + c.PagesSharing + c.PagesUnshared)
	if change != nil {
		change(b)
	}
	b.hasFreed = b.hasHuge()
	return b
}

// cells returns what the table has behind the name of a row.
func cells(t *testing.T, report, row string) []string {
	t.Helper()
	for line := range strings.Lines(report) {
		if rest, ok := strings.CutPrefix(line, row+"  "); ok {
			var out []string
			for _, cell := range strings.Split(strings.TrimSpace(rest), "  ") {
				if cell = strings.TrimSpace(cell); cell != "" {
					out = append(out, cell)
				}
			}
			return out
		}
	}
	t.Fatalf("no row %q in\n%s", row, report)
	return nil
}

func TestBenchTable(t *testing.T) {
	report := finishedBench(t, nil).report()
	for _, row := range []string{"pages_shared", "pages_sharing", "pages_unshared", "ksm_zero_pages", "saved", "net"} {
		got := cells(t, report, row)
		if len(got) != 5 || got[0] != got[2] || got[1] != got[2] || got[3] != "." || got[4] != "." {
			t.Errorf("%s: %q, want three that are equal and no differences", row, got)
		}
	}
	for _, row := range []string{"90 % of it after", "ksmd CPU"} {
		if got := cells(t, report, row); len(got) != 5 || got[0] != "-" || got[1] != got[2] || got[3] != "-" || got[4] != "." {
			t.Errorf("%s: %q", row, got)
		}
	}
	if got := cells(t, report, "saved over time"); got[len(got)-1] != "0.00 %" {
		t.Errorf("saved over time: %q", got)
	}
	if !strings.Contains(report, "\nGuests wrote to no page a second time") || strings.Contains(report, "late") || strings.Contains(report, "Meanwhile") || strings.Contains(report, "ksmd made") {
		t.Errorf("report:\n%s", report)
	}
}

func TestBenchDiffers(t *testing.T) {
	b := finishedBench(t, func(b *benchRun) {
		b.last.Counters.PagesSharing = b.last.Counters.PagesSharing / 2
		b.last.Host.KSMD *= 4
		b.points = append([]simPoint(nil), b.points...)
		for i := range b.points {
			b.points[i].saved *= 2
		}
		b.scan.Shared = 0
		b.late, b.strangers = time.Second, 1
		b.last.Counters.FullScans /= 2
	})
	report := b.report()
	if got := cells(t, report, "pages_sharing"); got[3] != "+100.00 %" && !strings.HasPrefix(got[4], "+100.0") {
		t.Errorf("pages_sharing: %q", got)
	}
	if got := cells(t, report, "ksmd CPU"); got[4] != "-75.00 %" {
		t.Errorf("ksmd CPU: %q", got)
	}
	if got := cells(t, report, "pages_shared"); got[3] != "-100.00 %" || got[4] != "." {
		t.Errorf("pages_shared: %q", got)
	}
	sum := 0.0
	for _, p := range b.predict.points {
		sum += p.saved
	}
	want := sum / float64(len(b.points)) / b.points[len(b.points)-1].saved
	if got := b.deviation(); math.Abs(got-want) > 1e-9 || got < 0.1 {
		t.Errorf("deviation() = %v, want %v", got, want)
	}
	for _, doubt := range []string{"Guests were up to 1.0 s late", "Meanwhile 1 process not of the scenario", "ksmd made "} {
		if !strings.Contains(report, doubt) {
			t.Errorf("it lacks %q:\n%s", doubt, report)
		}
	}
	b.strangers = 2
	if want := "Meanwhile 2 processes not of the scenario"; !strings.Contains(b.report(), want) {
		t.Errorf("it lacks %q:\n%s", want, b.report())
	}
	for _, tt := range []struct {
		predicted, measured float64
		want                string
	}{{5, 5, "."}, {0, 0, "."}, {1, 0, "all of it"}, {math.NaN(), 1, "-"}, {1, math.NaN(), "-"}, {-1, -2, "+50.00 %"}, {99, 100, "-1.00 %"}} {
		if got := offText(tt.predicted, tt.measured); got != tt.want {
			t.Errorf("offText(%v, %v) = %q, want %q", tt.predicted, tt.measured, got, tt.want)
		}
	}
}

func TestBenchSummary(t *testing.T) {
	b := finishedBench(t, func(b *benchRun) { b.predict.options.Knobs = []sysfs.Setting{{Field: sysfs.SmartScan, Value: "0"}} })
	var out bytes.Buffer
	if err := b.writeSummary(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != strings.TrimSpace(out.String())+"\n" || !strings.HasPrefix(out.String(), `{"schema":1,"source":"bench","summary":{"scenario":"clones",`) {
		t.Errorf("it prints %s", &out)
	}
	for _, want := range []string{`"set":{"smart_scan":"0"}`, `"complete":true,"seconds":20,`, `"saved_over_time_deviation":0,`, `"predicted_by_scan":{"pages_shared":`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %s: %s", want, &out)
		}
	}
	if strings.Contains(out.String(), "writes_ksm") {
		t.Errorf("there were no writes: %s", &out)
	}
}

// Of a bench that a signal ended there is what was measured until then, not compared
// with what was predicted for the end.
func TestBenchPartial(t *testing.T) {
	b := finishedBench(t, func(b *benchRun) {
		b.partial, b.elapsed = true, 5*time.Second
		b.points = append([]simPoint(nil), b.points[:6]...)
		b.points[3].saved *= 2
		b.last.Counters.FullScans = 1
	})
	report := b.report()
	if want := "; partial: interrupted after 5.0 s of 20.0 s of real time, for the simulation "; !strings.Contains(report, want) {
		t.Errorf("it lacks %q:\n%s", want, report)
	}
	if !strings.Contains(report, "\nThe predictions are of the end, ") || strings.Contains(report, "ksmd made ") {
		t.Errorf("report:\n%s", report)
	}
	for _, row := range []string{"pages_shared", "pages_sharing", "saved", "net", "ksmd CPU", "full scans"} {
		if got := cells(t, report, row); len(got) != 5 || got[2] == "-" || got[3] != "-" || got[4] != "-" {
			t.Errorf("%s: %q, want what was measured, and no differences", row, got)
		}
	}
	if got := cells(t, report, "90 % of it after"); got[2] != "-" {
		t.Errorf("90 %%: %q, want none of what was measured", got)
	}
	if got := cells(t, report, "saved over time"); got[len(got)-1] == "-" || got[len(got)-1] == "0.00 %" {
		t.Errorf("saved over time: %q", got)
	}
	var out bytes.Buffer
	if err := b.writeSummary(&out); err != nil {
		t.Fatal(err)
	}
	if want := `"complete":false,"seconds":5,`; !strings.Contains(out.String(), want) || strings.Count(out.String(), "seconds_to_90_percent") != 1 {
		t.Errorf("it lacks %s: %s", want, &out)
	}
}

// Of guests whose merging a signal ended there is what was merged until then, not
// compared with what the scan predicts for the end.
func TestBenchQEMUPartial(t *testing.T) {
	f := &benchFlags{common: &common{}, memory: "128M", qemu: qemuFlags{guests: 2}}
	q := &qemuBench{
		flags: f, kernel: "vmlinuz", scan: &scanner.Report{PageSize: 4096, Shared: 100, WouldSave: 200},
		to90: time.Second, hasTo90: true, took: 2 * time.Second, cpu: time.Second, hasCPU: true, elapsed: 3 * time.Second,
	}
	q.merged.PageSize = 4096
	q.merged.Counters.PagesShared, q.merged.Counters.PagesSharing = 50, 150
	whole := q.report()
	for _, want := range []string{"+100.00 %", "\n90 % of it after ", "\nall of it after "} {
		if !strings.Contains(whole, want) {
			t.Errorf("it lacks %q:\n%s", want, whole)
		}
	}
	if strings.Contains(whole, "partial") || strings.Contains(whole, "The prediction is of the end") {
		t.Errorf("it is whole:\n%s", whole)
	}
	if err := q.interrupted(); err.Error() != "interrupted before ksmd began" {
		t.Error(err)
	}
	q.partial = true
	part := q.report()
	if want := "; partial: interrupted after 3.0 s of merging\n\n"; !strings.Contains(part, want) {
		t.Errorf("it lacks %q:\n%s", want, part)
	}
	if got := cells(t, part, "pages_sharing"); len(got) != 3 || got[0] != "200" || got[1] != "150" || got[2] != "-" {
		t.Errorf("pages_sharing: %q", got)
	}
	if strings.Contains(part, "of it after") || !strings.Contains(part, "\nThe prediction is of the end, ") || !strings.Contains(part, "\nksmd CPU ") {
		t.Errorf("report:\n%s", part)
	}
	if err := q.interrupted(); err.Error() != "interrupted after 3.0 s of merging" {
		t.Error(err)
	}
	var out bytes.Buffer
	if err := q.print(&out); err != nil || out.String() != part {
		t.Errorf("print() prints %q (%v)", &out, err)
	}
	f.asJSON = true
	out.Reset()
	if err := q.print(&out); err != nil || !strings.Contains(out.String(), `"complete":false,"seconds":3,`) || strings.Contains(out.String(), "freed_bytes") || strings.Contains(out.String(), "seconds_to_90") {
		t.Errorf("print() prints %s (%v)", &out, err)
	}
	q.partial = false
	out.Reset()
	if err := q.print(&out); err != nil || !strings.Contains(out.String(), `"complete":true,"seconds":2,`) || !strings.Contains(out.String(), `"freed_bytes":0`) {
		t.Errorf("print() prints %s (%v)", &out, err)
	}
}

// What guests' huge pages freed is counted at the end: before that it is not 0.
func TestBenchPartialHuge(t *testing.T) {
	huge, err := scenario.Preset("huge")
	if err != nil {
		t.Fatal(err)
	}
	b := finishedBench(t, func(b *benchRun) { b.scenario, b.partial, b.elapsed = huge, true, 5*time.Second })
	b.hasFreed = false
	for _, row := range []string{"freed", "saved and freed"} {
		if got := cells(t, b.report(), row); len(got) != 5 || got[1] == "-" || got[2] != "-" {
			t.Errorf("%s: %q, want none of what was measured", row, got)
		}
	}
}

// What is not known is left out, and never 0 instead.
func TestBenchSummaryKnown(t *testing.T) {
	huge, err := scenario.Preset("huge")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		change        func(*benchRun)
		sim, measured string // members that may be left out
	}{
		{name: "all small pages", sim: "full_scans ksmd_cpu_seconds seconds_to_90_percent", measured: "full_scans ksmd_cpu_seconds seconds_to_90_percent"},
		{
			name: "no CPU time", change: func(b *benchRun) { b.last.Host.HasKSMD = false },
			sim: "full_scans ksmd_cpu_seconds seconds_to_90_percent", measured: "full_scans seconds_to_90_percent",
		},
		{
			name: "huge pages", change: func(b *benchRun) { b.scenario = huge },
			sim:      "freed_bytes full_scans ksmd_cpu_seconds seconds_to_90_percent",
			measured: "freed_bytes full_scans ksmd_cpu_seconds seconds_to_90_percent",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := finishedBench(t, tt.change).writeSummary(&out); err != nil {
				t.Fatal(err)
			}
			var line struct{ Summary map[string]json.RawMessage }
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			for column, want := range map[string]string{"predicted_by_scan": "", "predicted_by_sim": tt.sim, "measured": tt.measured} {
				var members map[string]any
				if err := json.Unmarshal(line.Summary[column], &members); err != nil {
					t.Fatal(err)
				}
				for _, always := range []string{"pages_shared", "pages_sharing", "ksm_zero_pages", "pages_unshared", "saved_bytes", "net_bytes"} {
					if _, ok := members[always]; !ok {
						t.Errorf("%s lacks %s", column, always)
					}
					delete(members, always)
				}
				if got := strings.Join(slices.Sorted(maps.Keys(members)), " "); got != want {
					t.Errorf("%s has %q, want %q", column, got, want)
				}
			}
		})
	}
}

func TestBenchRoom(t *testing.T) {
	s, err := scenario.Preset("clones") // 8 GiB
	if err != nil {
		t.Fatal(err)
	}
	if err := checkBenchRoom(s, 12<<30); err != nil {
		t.Error(err)
	}
	if err := checkBenchRoom(s, 10<<30); err == nil || sysfs.Hint(err) == "" {
		t.Errorf("checkBenchRoom() = %v, want an error with advice", err)
	}
	for available, want := range map[uint64]int{1 << 40: calibrationPages, 1 << 30: calibrationPages / 2, 100 << 20: leastCalibration, 80 << 20: 0} {
		if got, err := calibrationRoom(available, 1<<40); got != want || (err == nil) != (want > 0) {
			t.Errorf("calibrationRoom(%d) = %d, %v, want %d", available, got, err, want)
		}
	}
}

func TestCalibrationMemory(t *testing.T) {
	for most, want := range map[uint64]int{1 << 18: 1 << 18, 1<<18 - 1: 1 << 17, 1 << 14: 1 << 14} {
		if got, err := calibrationRoom(1<<40, most); got != want || err != nil {
			t.Errorf("calibrationRoom(1 TiB, %d) = %d, %v, want %d", most, got, err, want)
		}
	}
}

func TestCalibrationText(t *testing.T) {
	c := real.Calibration{Costs: sim.DefaultCosts(), HZ: 250, Wakes: 41.67, Fits: map[string]float64{"unstable searches": 0.034}}
	text := calibrationText("Linux 6.18, 2 x CPU", &c, "here.json")
	for _, want := range []string{
		"Linux 6.18, 2 x CPU, ", "\n252 ns     252 ns      a visit of a page that is merged\n", "\n1.48 us    1.48 us     replacing a page by the zero page\n",
		"\nThose here were measured with batches of 1000 pages and sleeps ", "the defaults on another machine and with one batch a scan",
		"ksmd woke 41.67 times a second: 250 ticks a second.\n", "The costs of unstable searches fit the measurements with an error of 3.4 %.\n",
		"Saved in here.json: `ksmtop sim --cost here.json` and ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
}

// What --save writes is what --cost reads.
func TestCostFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "costs.json")
	want := newCostFile("6.18", "CPU", 1000, sim.DefaultCosts())
	want.Costs.Zero = 12345
	text, err := want.text()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := readCosts(name); err != nil || got != want {
		t.Errorf("readCosts() = %+v, %v, want %+v", got, err, want)
	}
	var o sim.HostOptions
	want.apply(&o)
	if o.Costs != want.Costs || o.HZ != 1000 {
		t.Errorf("options %+v", o)
	}
	if err := os.WriteFile(name, []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	var status statusError
	if _, err := readCosts(name); !errors.As(err, &status) || status.status != exitUsage {
		t.Errorf("readCosts() = %v for an empty object, want a mistake of usage", err)
	}
}

// The archive is one that cpio reads.
func TestInitrd(t *testing.T) {
	dir := t.TempDir()
	busybox, initrd := filepath.Join(dir, "busybox"), filepath.Join(dir, "initrd")
	if err := os.WriteFile(busybox, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeInitrd(initrd, busybox, "here-i-am"); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("cpio"); err != nil {
		ksmtest.Skip(t, "there is no cpio to read it with")
	}
	cmd := exec.Command("sh", "-c", "zcat ../initrd | cpio -i --quiet && ls -l bin dev init && cat bin/busybox init")
	cmd.Dir = filepath.Join(dir, "out")
	if err := os.Mkdir(cmd.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("-rwxr-xr-x")) || !bytes.Contains(out, []byte("program#!/bin/busybox sh\n")) || !bytes.Contains(out, []byte("echo here-i-am\n")) {
		t.Errorf("%v: %s", err, out)
	}
}
