package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// docs/validation.md compares published figures with what scenarios come to. Its
// tables are made here: those between <!-- computed: NAME --> and <!-- end --> are
// what the commands in them give, and -update writes them anew.

const validation = "../../docs/validation.md"

// figure is a row of a table.
type figure struct {
	what, published, standing string
	commands                  []string // one or two
	compute                   func(runs []simOutput) string
}

// simOutput is what ksmtop sim --json prints.
type simOutput struct {
	samples []simOutputSample
	end     simEndValues
}

type simOutputSample struct {
	Time time.Time `json:"time"`
	KSM  struct {
		PagesToScan   int   `json:"pages_to_scan"`
		PagesShared   int   `json:"pages_shared"`
		PagesSharing  int   `json:"pages_sharing"`
		PagesUnshared int   `json:"pages_unshared"`
		PagesVolatile int   `json:"pages_volatile"`
		ZeroPages     int   `json:"ksm_zero_pages"`
		FullScans     int   `json:"full_scans"`
		GeneralProfit int64 `json:"general_profit"`
	} `json:"ksm"`
}

// last returns the counters at the end, and how many items there were.
func (o *simOutput) last() (s simOutputSample, items float64) {
	s = o.samples[len(o.samples)-1]
	return s, float64(s.KSM.PagesShared + s.KSM.PagesSharing + s.KSM.PagesUnshared + s.KSM.PagesVolatile)
}

// resident returns what the guests have written, in bytes, merged or not.
func (o *simOutput) resident() float64 {
	sum := int64(0)
	for _, g := range o.end.Groups {
		sum += g.Resident
	}
	s, _ := o.last()
	return float64(sum + int64(s.KSM.ZeroPages)*4096)
}

// skipped returns the share of pages that smart scan passed over.
func (o *simOutput) skipped() float64 {
	return float64(o.end.PagesSkipped) / float64(o.end.PagesScanned+o.end.PagesSkipped)
}

// kataSettled returns after how many seconds the script of Kata's test finds KSM
// settled: it looks each second whether a full scan has ended, and stops when
// pages_shared is at most 5 % from that at the end of the one before. It begins when
// the last of the containers runs, which is start seconds after the begin. Samples are
// a second apart.
func (o *simOutput) kataSettled(start int) string {
	scan, pages := o.samples[start].KSM.FullScans, -1
	for t, s := range o.samples[start:] {
		if s.KSM.FullScans == scan {
			continue
		}
		scan = s.KSM.FullScans
		if now := s.KSM.PagesShared; pages > 0 && max(now-pages, pages-now)*100 <= 5*pages {
			return fmt.Sprintf("%d s", t)
		}
		pages = s.KSM.PagesShared
	}
	return "never"
}

const (
	calibrated = "calibrated"
	predicted  = "predicted"
	not        = "not reproduced"
)

const (
	prefork  = "ksmtop sim prefork --until 10m"
	smart    = "ksmtop sim prefork --scale 0.1 --set pages_to_scan=40 --set smart_scan=1 --until 1h"
	restarts = "ksmtop sim prefork-restarts --scale 0.1 --set pages_to_scan=400 --until 5m"
	fewer    = "ksmtop sim prefork-restarts --scale 0.1 --set pages_to_scan=400 --set smart_scan=1 --until 5m"
	slower   = "ksmtop sim prefork-restarts --scale 0.1 --set pages_to_scan=300 --set smart_scan=1 --until 5m"
	fixed    = "ksmtop sim prefork-restarts --set smart_scan=1 --until 4m"
	advised  = "ksmtop sim prefork-restarts --set smart_scan=1 --set advisor_target_scan_time=20 --set advisor_mode=scan-time --until 4m"

	kata           = "ksmtop sim kata20 --rules 4.13"
	kataSmall      = "ksmtop sim kata20 --rules 4.13 --scale 0.67"
	kataAggressive = "ksmtop sim kata20 --set pages_to_scan=1000 --set sleep_millisecs=50"

	aslrOff = "ksmtop sim aslr-off --set smart_scan=0"
	aslrOn  = "ksmtop sim aslr-on --set smart_scan=0"

	selfAll = "ksmtop sim self-sharing --set use_zero_pages=1 --set smart_scan=0"
	selfOne = "ksmtop sim --print self-sharing | sed 's/^count = 4/count = 1/' | ksmtop sim - --set use_zero_pages=1 --set smart_scan=0"
)

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// change writes by how much a differs from b.
func change(a, b float64) string { return fmt.Sprintf("%+.1f %%", 100*(a/b-1)) }

// figures are the tables by name.
func figures() map[string][]figure {
	share := func(of func(s *simOutputSample) int) func([]simOutput) string {
		return func(runs []simOutput) string {
			s, items := runs[0].last()
			return percent(float64(of(&s)) / items)
		}
	}
	inUse := func(o *simOutput) float64 { return o.resident() - float64(o.end.Saved) }
	// Pages that are equal within a machine, and all that are, zeros apart.
	within := func(runs []simOutput) (self, all, pages float64) {
		one, _ := runs[1].last()
		four, _ := runs[0].last()
		return 4 * float64(one.KSM.PagesSharing), float64(four.KSM.PagesSharing),
			runs[0].resident()/4096 - float64(four.KSM.ZeroPages)
	}
	return map[string][]figure{
		"instagram": {
			{"pages tracked", "12 651 937", calibrated, []string{prefork}, func(runs []simOutput) string {
				_, items := runs[0].last()
				return countText(uint64(10 * items))
			}},
			{"of them in KSM pages", "41.5 %", calibrated, []string{prefork}, share(func(s *simOutputSample) int { return s.KSM.PagesShared + s.KSM.PagesSharing })},
			{"unshared", "13.9 %", calibrated, []string{prefork}, share(func(s *simOutputSample) int { return s.KSM.PagesUnshared })},
			{"volatile", "44.6 %", calibrated, []string{prefork}, share(func(s *simOutputSample) int { return s.KSM.PagesVolatile })},
			{"pages_sharing for each of pages_shared", "39.5", not, []string{prefork}, func(runs []simOutput) string {
				s, _ := runs[0].last()
				return fmt.Sprintf("%.1f", float64(s.KSM.PagesSharing)/float64(s.KSM.PagesShared))
			}},
			{"general_profit", "20 158 298 048 bytes", predicted, []string{prefork}, func(runs []simOutput) string {
				s, _ := runs[0].last()
				return fmt.Sprintf("%s bytes (%s)", countText(uint64(10*s.KSM.GeneralProfit)), change(float64(10*s.KSM.GeneralProfit), 20158298048))
			}},
			{"in KSM pages, for each process", "about 500 MB", not, []string{prefork}, func(runs []simOutput) string {
				s, _ := runs[0].last()
				return fmt.Sprintf("%.0f MB", 10*float64(s.KSM.PagesShared+s.KSM.PagesSharing)*4096/36/1e6)
			}},
			{"until nearly all is merged", "30 to 60 min", not, []string{prefork}, func(runs []simOutput) string {
				return fmt.Sprintf("90 %% after %s", durationText(time.Duration(*runs[0].end.To90*float64(time.Second))))
			}},
		},
		"smart-scan": {
			{"pages that smart scan spares", "over 25 %", calibrated, []string{fewer}, func(runs []simOutput) string { return percent(runs[0].skipped()) }},
			{"CPU time, when pages_to_scan is lowered as much", "-25 %", predicted, []string{slower, restarts}, func(runs []simOutput) string {
				return change(runs[0].end.CPU, runs[1].end.CPU)
			}},
			{"pages merged, with smart scan", "more", predicted, []string{fewer, restarts}, func(runs []simOutput) string {
				return change(float64(runs[0].end.Saved), float64(runs[1].end.Saved))
			}},
			{"pages that smart scan spares, where processes stay", "over 25 %", not, []string{smart}, func(runs []simOutput) string { return percent(runs[0].skipped()) }},
		},
		"advisor": {
			{"pages_to_scan in the end, of its maximum during start-up", "about 40 %", not, []string{advised}, func(runs []simOutput) string {
				most, end := 0, 0
				for _, s := range runs[0].samples {
					end = s.KSM.PagesToScan
					most = max(most, end)
				}
				return percent(float64(end) / float64(most))
			}},
			{"the same, of the 4000 that were set without", "about 40 %, if that was the maximum", predicted, []string{advised, fixed}, func(runs []simOutput) string {
				with, _ := runs[0].last()
				without, _ := runs[1].last()
				return percent(float64(with.KSM.PagesToScan) / float64(without.KSM.PagesToScan))
			}},
			{"CPU time", "-25 %", not, []string{advised, fixed}, func(runs []simOutput) string {
				return change(runs[0].end.CPU, runs[1].end.CPU)
			}},
		},
		"kata": {
			{"memory of a container", "118 601 KB", calibrated, []string{kata}, func(runs []simOutput) string {
				return countText(uint64(runs[0].resident()/20/1024)) + " KB"
			}},
			{"less with KSM", "54.5 %", calibrated, []string{kata}, func(runs []simOutput) string {
				return percent(float64(runs[0].end.Saved) / runs[0].resident())
			}},
			{"settled after, knobs at their defaults", "about 200 s", not, []string{kata}, func(runs []simOutput) string { return runs[0].kataSettled(22) }},
			{"the same, with 0.67 of the memory", "about 200 s", calibrated, []string{kataSmall}, func(runs []simOutput) string { return runs[0].kataSettled(22) }},
			{"the same, with the knobs of the test", "within 300 s", predicted, []string{kataAggressive}, func(runs []simOutput) string { return runs[0].kataSettled(22) }},
		},
		"aslr": {
			{"memory in use with randomization", "more than +18 %", calibrated, []string{aslrOn, aslrOff}, func(runs []simOutput) string {
				return change(inUse(&runs[0]), inUse(&runs[1]))
			}},
			{"saved of machines that are nearly equal", "more than 30 %", predicted, []string{aslrOn}, func(runs []simOutput) string {
				return percent(float64(runs[0].end.Saved) / runs[0].resident())
			}},
		},
		"self-sharing": {
			{"saved, zeros apart", "less than 15 %", calibrated, []string{selfAll, selfOne}, func(runs []simOutput) string {
				_, all, pages := within(runs)
				return percent(all / pages)
			}},
			{"of it within a machine", "more than 90 %", calibrated, []string{selfAll, selfOne}, func(runs []simOutput) string {
				self, all, _ := within(runs)
				return percent(self / all)
			}},
			{"saved between machines", "less than 5 %", predicted, []string{selfAll, selfOne}, func(runs []simOutput) string {
				self, all, pages := within(runs)
				return percent((all - self) / pages)
			}},
		},
	}
}

// runSim runs a command of docs/validation.md and returns all that it printed.
func runSim(t *testing.T, command string) simOutput {
	t.Helper()
	interval := "1m"
	if strings.Contains(command, "kata") || command == advised {
		interval = "1s" // where it matters when something happened
	}
	cmd := exec.Command("sh", "-c", command+" --json --interval "+interval)
	cmd.Dir = "../.."
	r := finish(t, cmd)
	if r.status != 0 {
		t.Fatalf("%s: status %d, %s", command, r.status, r.stderr)
	}
	var o simOutput
	for line := range strings.Lines(r.stdout) {
		var summary simSummary
		if strings.Contains(line, `"summary":`) {
			if err := json.Unmarshal([]byte(line), &summary); err != nil {
				t.Fatal(err)
			}
			o.end = summary.Summary
			continue
		}
		var s simOutputSample
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		o.samples = append(o.samples, s)
	}
	return o
}

// table makes a table of docs/validation.md.
func validationTable(t *testing.T, list []figure, run func(command string) simOutput) string {
	t.Helper()
	var b bytes.Buffer
	var commands []string
	letter := func(command string) string {
		for i, c := range commands {
			if c == command {
				return string(rune('a' + i))
			}
		}
		commands = append(commands, command)
		return string(rune('a' + len(commands) - 1))
	}
	b.WriteString("\n| | published | here | | run |\n|---|---|---|---|---|\n")
	for _, f := range list {
		var letters []string
		var runs []simOutput
		for _, c := range f.commands {
			letters = append(letters, letter(c))
			runs = append(runs, run(c))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.what, f.published, f.compute(runs), f.standing, strings.Join(letters, ", "))
	}
	b.WriteString("\n```console\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "$ %s   # %s\n", c, letter(c))
	}
	b.WriteString("```\n")
	return b.String()
}

// The tables of docs/validation.md are what the program computes.
func TestValidation(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates for some seconds")
	}
	text, err := os.ReadFile(validation)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]simOutput{}
	run := func(command string) simOutput {
		if _, ok := known[command]; !ok {
			start := time.Now()
			known[command] = runSim(t, command)
			t.Logf("%v %s", time.Since(start).Round(time.Millisecond), command)
		}
		return known[command]
	}
	const end = "<!-- end -->"
	tables := figures()
	var doc strings.Builder
	rest := string(text)
	for {
		before, after, found := strings.Cut(rest, "<!-- computed: ")
		doc.WriteString(before)
		if !found {
			break
		}
		name, after, _ := strings.Cut(after, " -->\n")
		got, after, found := strings.Cut(after, end)
		list, ok := tables[name]
		if !found || !ok {
			t.Fatalf("%s: no table %q, or it does not end", validation, name)
		}
		delete(tables, name)
		want := validationTable(t, list, run)
		if got != want && !*update {
			t.Errorf("%s: the table %s is\n%s\nand the program gives\n%s", validation, name, got, want)
		}
		fmt.Fprintf(&doc, "<!-- computed: %s -->\n%s%s", name, want, end)
		rest = after
	}
	for name := range tables {
		t.Errorf("%s lacks the table %s", validation, name)
	}
	if *update {
		if err := os.WriteFile(validation, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
