package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// A terminal sees how far a long simulation is; Ctrl-C ends it with the report of
// what was simulated by then.
func TestSimInterrupted(t *testing.T) {
	path, err := exec.LookPath("ksmtop")
	if err != nil {
		t.Fatal(err)
	}
	c := on(t, exec.Command(path, "sim", "jvm-fleet", "--until", "2000h"))
	c.wait("times real time, saved ", " left\x1b[K")
	c.signal(syscall.SIGINT)
	c.wait("\r\x1b[KSIM jvm-fleet: ", "(partial: it was ended early) merging saves ")
	c.end(0)
}

// So it does between two samples of a simulated machine.
func TestSimSamplesInterrupted(t *testing.T) {
	path, err := exec.LookPath("ksmtop")
	if err != nil {
		t.Fatal(err)
	}
	c := on(t, exec.Command(path, "--sim", "jvm-fleet", "-b", "-d", "2000h", "-n", "1"))
	c.wait("\rSIM at ", " of 83 d 8 h, ", " times real time, saved ", ", about ", " left\x1b[K")
	c.signal(syscall.SIGINT)
	c.wait("\r\x1b[K")
	c.end(0)
}

// A machine is where it would be without steps.
func TestAdvanceInSteps(t *testing.T) {
	spec, err := openSim("same-os", 1<<14)
	if err != nil {
		t.Fatal(err)
	}
	ends := make(map[bool]sysfs.Reading)
	for _, inSteps := range []bool{true, false} {
		m, err := spec.machine(nil)
		if err != nil {
			t.Fatal(err)
		}
		const until = 30*time.Second + 7*time.Millisecond
		steps := 0
		if inSteps {
			err = advanceInSteps(t.Context(), m, until, func() { steps++ })
		} else {
			err = m.advance(t.Context(), until)
		}
		if err != nil || m.now() != until || inSteps && steps != 31 {
			t.Errorf("in steps: %t: at %v after %d steps: %v", inSteps, m.now(), steps, err)
		}
		ends[inSteps] = m.reading()
	}
	if ends[true].Counters != ends[false].Counters || ends[true].Counters.PagesScanned == 0 {
		t.Errorf("in steps it has %+v, without %+v", ends[true].Counters, ends[false].Counters)
	}
}

// An ordinary user gets what root gets, byte for byte.
func TestNobodySimulates(t *testing.T) {
	run := asNobody(t)
	for _, args := range [][]string{
		{"sim", "kata20", "--scale", "0.02"},
		{"sim", "kata20", "--scale", "0.02", "--until", "1m", "--json"},
	} {
		r := finish(t, run(args...)).want(t, 0)
		if want := ksmtop(t, args...).want(t, 0).stdout; r.stdout != want || r.stderr != "" {
			t.Errorf("ksmtop %v as nobody prints\n%s%s\nand here\n%s", args, r.stdout, r.stderr, want)
		}
	}
}

// A run ends with its result however it ends: also when it is over before it
// began.
func TestSimCancelled(t *testing.T) {
	s, err := scenario.Preset("clones")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nothing := func(*simRun) error { return nil }
	r := &simRun{scenario: s.Scale(0.01), interval: time.Second}
	if err := r.run(ctx, nothing, func(*simRun) {}); err != nil {
		t.Fatal(err)
	}
	if r.result == nil || !r.result.partial || r.host != nil {
		t.Errorf("result %+v", r.result)
	}

	// Of several runs the others have not begun, and the report says so.
	f := &simFlags{vs: []string{"run=0", "run=1"}, engine: engineFast, rules: simRules, interval: seconds(time.Second)}
	runs, err := f.runs(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.simulate(ctx, runs, f.stream(io.Discard), newSimProgress(io.Discard, 3)); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := writeSimReport(&b, f, finished(runs)); err != nil {
		t.Fatal(err)
	}
	if want := "SIM partial: 2 further columns were not run.\n"; !strings.HasSuffix(b.String(), want) || strings.Contains(b.String(), "SIM B") {
		t.Errorf("report\n%s\nwant that it ends with %s", b.String(), want)
	}

	// A sample that cannot be written ends it too.
	r = &simRun{scenario: s.Scale(0.01), interval: time.Second, options: sim.HostOptions{}}
	samples := 0
	full := func(*simRun) error {
		if samples++; samples == 3 {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := r.run(t.Context(), full, func(*simRun) {}); err != syscall.ENOSPC || samples != 3 {
		t.Errorf("error %v after %d samples", err, samples)
	}
}

// Samples are where they should be, and one more at the end, whatever the
// intervals; what is between them changes nothing.
func TestSimSamples(t *testing.T) {
	s, err := scenario.Preset("kata20")
	if err != nil {
		t.Fatal(err)
	}
	final := ""
	for _, interval := range []time.Duration{7 * time.Second, 700 * time.Millisecond, time.Hour} {
		r := &simRun{scenario: s.Scale(0.02), interval: interval, until: simUntil{length: 30 * time.Second, isSet: true}}
		var at []time.Duration
		sample := func(r *simRun) error {
			at = append(at, r.host.Now())
			return nil
		}
		if err := r.run(t.Context(), sample, func(*simRun) {}); err != nil {
			t.Fatal(err)
		}
		want := int((30*time.Second-1)/interval) + 2
		if len(at) != want || at[0] != 0 || at[len(at)-1] != 30*time.Second || want > 2 && at[1] != interval {
			t.Errorf("interval %v: samples at %v, want %d", interval, at, want)
		}
		got := fmt.Sprintf("%+v %v", r.result.sample.Reading, r.result.to90)
		if final == "" {
			final = got
		} else if interval != 700*time.Millisecond && got != final {
			t.Errorf("interval %v: ends with\n%s\nwant\n%s", interval, got, final)
		}
	}
}

// The groups' part of the saving, and that of nobody, is all of it.
func TestSimGroupsAddUp(t *testing.T) {
	for _, name := range []string{"prefork", "serverless-burst", "zero-heavy"} {
		s, err := scenario.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		r := &simRun{scenario: s.Scale(1.0 / 64), interval: time.Minute, until: simUntil{length: 30 * time.Second, isSet: true}}
		nothing := func(*simRun) error { return nil }
		if err := r.run(t.Context(), nothing, func(*simRun) {}); err != nil {
			t.Fatal(err)
		}
		saved, cost, running := r.result.sample.Unattributed, int64(0), 0
		for _, g := range r.result.groups {
			saved += g.saved
			cost += g.cost
			running += g.guests - g.ended
		}
		if want := r.result.savings(); saved != want.SavedBytes || cost > want.MetadataBytes {
			t.Errorf("%s: groups save %d and cost %d, all %+v", name, saved, cost, want)
		}
		if want := len(r.result.sample.Rows); running != want {
			t.Errorf("%s: %d guests run, the sample has %d", name, running, want)
		}
	}
}

// Every member of a summary is documented, and the other way round.
func TestSimJSONIsDocumented(t *testing.T) {
	content, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n## ksmtop sim --json\n")
	section, _, _ = strings.Cut(section, "\n## ")
	out := ksmtop(t, "sim", "clones", "--scale", "0.01", "--json").want(t, 0).stdout
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var d struct{ Summary map[string]any }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &d); err != nil {
		t.Fatal(err)
	}
	for name, value := range d.Summary {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("summary.%s is not in docs/json.md", name)
		}
		if groups, ok := value.([]any); ok {
			for inner := range groups[0].(map[string]any) {
				if !strings.Contains(section, "`"+inner+"`") {
					t.Errorf("groups.%s is not in docs/json.md", inner)
				}
			}
		}
	}
	_, table, _ := strings.Cut(section, "|---|---|\n")
	for line := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), " | ")
		for _, match := range regexp.MustCompile("`([a-z_0-9]+)`").FindAllStringSubmatch(cell, -1) {
			if _, ok := d.Summary[match[1]]; !ok {
				t.Errorf("docs/json.md describes summary.%s, which is not there", match[1])
			}
		}
	}
}

func TestSimUntil(t *testing.T) {
	for _, tt := range []struct {
		text, want string // want is empty for an error
	}{
		{"settled", "settled"}, {"2h", "2h0m0s"}, {"90s", "1m30s"}, {"90", "1m30s"}, {"0.5", "500ms"},
		{"5scans", "5scans"}, {"1scan", "1scans"}, {"5 scans", "5scans"}, {"8784h", "8784h0m0s"},
		{"", ""}, {"0", ""}, {"-1s", ""}, {"scans", ""}, {"0scans", ""}, {"-1scans", ""}, {"1.5scans", ""},
		{"99999999999scans", ""}, {"8785h", ""}, {"soon", ""}, {"NaN", ""},
	} {
		var u simUntil
		if err := u.Set(tt.text); (err == nil) != (tt.want != "") || err == nil && u.String() != tt.want {
			t.Errorf("--until %q: %v, error %v; want %q", tt.text, &u, err, tt.want)
		}
	}
}

func TestNearestPreset(t *testing.T) {
	for name, want := range map[string]string{
		"sameos": "same-os", "clone": "clones", "Kata20": "kata20", "prefrok": "prefork", "x": "", "something": "",
	} {
		if got := nearestPreset(name); got != want {
			t.Errorf("nearestPreset(%q) = %q, want %q", name, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"ab", "ba", 2}} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestGrowth(t *testing.T) {
	var g growth
	if _, ok := g.reached(1); ok {
		t.Error("nothing was saved, and that reached 1")
	}
	for i, saved := range []int64{0, 100, 50, 1000, 1000, 2000, 10} {
		g.take(time.Duration(i), saved)
	}
	for saved, want := range map[int64]time.Duration{1: 1, 100: 1, 101: 3, 1000: 3, 1001: 5, 2000: 5} {
		if at, ok := g.reached(saved); !ok || at != want {
			t.Errorf("%d was reached at %d, %v; want %d", saved, at, ok, want)
		}
	}
	if _, ok := g.reached(2001); ok {
		t.Error("2001 was reached")
	}
	g = growth{}
	for i := range int64(1_000_000) {
		g.take(time.Duration(i), i)
	}
	if len(g.at) > 10_000 {
		t.Errorf("%d moments are kept of a slow growth", len(g.at))
	}
}

// Few points stay; of many the means do.
func TestThinned(t *testing.T) {
	var points []simPoint
	for i := range 10*plotPoints + 1 {
		points = append(points, simPoint{time.Duration(i) * time.Second, float64(i), 1, 5, i > 0})
	}
	if got := thinned(points[:plotPoints]); len(got) != plotPoints || got[1] != points[1] {
		t.Errorf("%d points of %d, the second %+v", len(got), plotPoints, got[1])
	}
	got := thinned(points)
	if len(got) > plotPoints || len(got) < plotPoints/2 {
		t.Fatalf("%d points of %d", len(got), len(points))
	}
	last := simPoint{-1, 0, 0, 0, false}
	for _, p := range got {
		if p.at <= last.at || math.Abs(p.saved-p.at.Seconds()) > 1e-6 || math.Abs(p.net-1) > 1e-9 || math.Abs(p.percent-5) > 1e-9 {
			t.Fatalf("point %+v after %+v", p, last)
		}
		last = p
	}
}

func TestTexts(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{timesText(2, "more", "less"), "2.00 times more"},
		{timesText(0.5, "more", "less"), "2.00 times less"},
		{timesText(1.004, "more", "less"), "the same"},
		{timesText(math.NaN(), "more", "less"), "not comparable"},
		{timesText(math.Inf(1), "more", "less"), "not comparable"},
		{timesText(0, "more", "less"), "not comparable"},
		{differenceText(5, 5), "the same"},
		{differenceText(3072, 2048), "1.00 KiB more (+50.0 %)"},
		{differenceText(-2048, -1024), "1.00 KiB less"},
		{differenceText(0, 1024), "1.00 KiB less (-100.0 %)"},
		{runName(0) + runName(25) + runName(26), "AZA1"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

// One of a thing is named in the singular.
func TestSimResultOfOne(t *testing.T) {
	b := finishedBench(t, nil)
	r := &b.predict.result.sample.Reading
	r.Counters.PagesSharing, r.Counters.PagesShared, r.Counters.FullScans, r.Counters.PagesScanned = 1, 1, 1, 1
	r.Counters.KSMZeroPages, r.Host.CowKSM = 1, 1
	var text strings.Builder
	b.predict.writeResult(&text)
	for _, want := range []string{
		" 1 page is a copy of 1 KSM page: 1.00 saved for each\n", " 1 page of zeros\n",
		"SIM Scans     1           full scan; 1 page visited, ", "SIM Copies    1           merged page copied since a guest wrote to it, ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, &text)
		}
	}
}

// What is too large is refused before it is tried.
func TestRoom(t *testing.T) {
	s, err := scenario.Preset("same-os") // 16 GiB
	if err != nil {
		t.Fatal(err)
	}
	const pages = 16 << 30 / scenario.PageSize
	if err := checkRoom(s, pages*simPageCost); err != nil {
		t.Errorf("just enough memory: %v", err)
	}
	if err := checkRoom(s, pages*simPageCost-1); err == nil || !strings.Contains(err.Error(), "takes about 256 MiB") {
		t.Errorf("just too little memory: %v", err)
	}
	large, err := scenario.Parse("large", []byte("[[group]]\nname = \"vm\"\ncount = 8\nmemory = \"1TiB\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkRoom(large, math.MaxUint64); err == nil || !strings.Contains(err.Error(), "room for 8 TiB") {
		t.Errorf("8 TiB: %v", err)
	}
}

func BenchmarkSim(b *testing.B) {
	s, err := scenario.Preset("same-os")
	if err != nil {
		b.Fatal(err)
	}
	s = s.Scale(1.0 / 64)
	for b.Loop() {
		r := &simRun{scenario: s, interval: 10 * time.Second}
		if err := r.run(b.Context(), func(*simRun) error { return nil }, func(*simRun) {}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(r.result.elapsed.Seconds()*float64(b.N)/b.Elapsed().Seconds(), "virtual-s/s")
	}
}
