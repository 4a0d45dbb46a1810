package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// writeSimReport writes what came of runs in words: of one in full, of several
// side by side.
func writeSimReport(w io.Writer, f *simFlags, runs []*simRun) error {
	var b strings.Builder
	writeSimHead(&b, f, runs)
	if len(f.vs) == 0 {
		runs[0].writeResult(&b)
	} else {
		writeComparison(&b, runs)
		if missing := 1 + len(f.vs) - len(runs); missing > 0 {
			fmt.Fprintf(&b, "SIM partial: %s not run.\n", pluralWere(missing))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeSimHead says what was simulated.
func writeSimHead(b *strings.Builder, f *simFlags, runs []*simRun) {
	s := runs[0].scenario
	fmt.Fprintf(b, "SIM %s", text.Clean(s.Name))
	if s.Title != "" {
		fmt.Fprintf(b, ": %s", text.Clean(s.Title))
	}
	fmt.Fprintf(b, "\nSIM %s on a host with %s; seed %d", plural(len(s.Plans()), "guest"), bytesText(int64(s.MemoryBytes)), s.Seed)
	if factor := f.scale.value(); factor != 1 {
		fmt.Fprintf(b, ", scaled by %v", factor)
	}
	if f.cost != "" {
		fmt.Fprintf(b, ", costs of %s", text.Clean(f.cost))
	}
	if f.engine != engineFast {
		fmt.Fprintf(b, ", engine %s", f.engine)
	}
	if f.rules != simRules {
		fmt.Fprintf(b, ", rules of Linux %s", text.Clean(f.rules))
	}
	b.WriteString("\n")
}

// ending says in a few words how a run ended.
func (r *simRun) ending() string {
	res := r.result
	switch {
	case res.partial:
		return "partial: it was ended early"
	case res.scans > 0:
		return "partial: ksmd does not scan"
	case res.settled:
		return "settled"
	}
	return "not settled"
}

func (r *simRun) writeResult(b *strings.Builder) {
	res := r.result
	saved, c, host := res.savings(), &res.sample.Reading.Counters, &res.sample.Reading.Host
	resident := int64(0)
	for i := range res.groups {
		resident += res.groups[i].resident
	}
	resident += int64(c.KSMZeroPages)*res.sample.PageSize + res.freed()
	fmt.Fprintf(b, "\nSIM After %s (%s) merging ", durationText(res.elapsed), r.ending())
	if saved.SavedBytes == 0 {
		b.WriteString("saves nothing")
	} else {
		fmt.Fprintf(b, "saves %s", bytesText(saved.SavedBytes))
	}
	if resident > 0 {
		fmt.Fprintf(b, " of %s (%.1f %%)", bytesText(resident), 100*float64(saved.SavedBytes)/float64(resident))
	}
	if saved.NetBytes < 0 {
		b.WriteString(", and costs more than it saves")
	}
	fmt.Fprintf(b, ": net %s.\n\n", bytesText(saved.NetBytes))

	by := report.Copies(uint64(c.PagesSharing)) + " of " + things(uint64(c.PagesShared), "KSM page")
	if ratio, ok := c.Ratio(); ok {
		by += fmt.Sprintf(": %.2f saved for each", ratio)
	}
	simLine(b, "Saved", bytesText(saved.SavedBytes), by)
	if c.KSMZeroPages != 0 {
		simLine(b, "  zero", bytesText(int64(c.KSMZeroPages)*res.sample.PageSize), things(uint64(c.KSMZeroPages), "page")+" of zeros")
	}
	if freed := res.freed(); freed != 0 {
		simLine(b, "Freed", bytesText(freed), "zeros in huge pages that were split; saved too, but in no counter of KSM")
	}
	simLine(b, "Cost", bytesText(saved.MetadataBytes), things(saved.Items, "tracked page")+", 64 bytes of metadata each")
	simLine(b, "Net", bytesText(saved.NetBytes), fmt.Sprintf("%.1f %% of the host's memory", 100*float64(saved.NetBytes)/float64(host.MemTotal)))
	if res.hasTo90 {
		simLine(b, "90 %", durationText(res.to90), "until 90 % of this saving was reached")
	}
	simLine(b, "ksmd CPU", res.cpuText(), fmt.Sprintf("%s of one CPU; %s saved for each CPU second", percentText(res.cpuPercent()), res.perCPUText()))
	simLine(b, "Scans", countText(c.FullScans), fmt.Sprintf("%s; %s visited, %s skipped by smart scan",
		format.Noun(c.FullScans, "full scan"), things(uint64(c.PagesScanned), "page"), countText(uint64(c.PagesSkipped))))
	copies := "merged pages copied since a guest wrote to them, or since they were unmerged"
	if host.CowKSM == 1 {
		copies = "merged page copied since a guest wrote to it, or since it was unmerged"
	}
	simLine(b, "Copies", countText(host.CowKSM), copies)
	if faults, cost := res.faults(); faults > 0 {
		simLine(b, "Faults", countText(faults), fmt.Sprintf("of the guests that run now, by such writes, zero pages included; they took %s", durationText(cost)))
	}
	r.writeChanged(b)
	r.writeGroups(b)
}

// simLine writes one line of a report: every number in it is simulated.
func simLine(b *strings.Builder, name, amount, about string) {
	fmt.Fprintf(b, "SIM %-9s %-11s %s\n", name, amount, about)
}

// writeChanged lists the knobs at the end that are not the kernel's defaults.
func (r *simRun) writeChanged(b *strings.Builder) {
	knobs := &r.result.sample.Reading.Knobs
	var changed []string
	for f := range sysfs.Fields() {
		value, ok := knobs.Value(f)
		standard := f.Info().Default
		if f == sysfs.Run {
			standard = "1" // or nothing would happen
		}
		if f.Info().Kind == sysfs.Knob && ok && value.String() != standard {
			changed = append(changed, fmt.Sprintf("%s=%s", f, value))
		}
	}
	if len(changed) == 0 {
		b.WriteString("SIM Knobs     the kernel's defaults\n")
		return
	}
	fmt.Fprintf(b, "SIM Knobs     %s; the others are the kernel's defaults\n", strings.Join(changed, " "))
}

const listedSimGroups = 30

func (r *simRun) writeGroups(b *strings.Builder) {
	res := r.result
	fmt.Fprintf(b, "\n%-7s %11s %11s %11s %11s %11s %9s  %s\n", "SIM", "RESIDENT", "SAVED", "COST", "NET", "FAULTS", "RUNNING", "GROUP")
	for i := range res.groups[:min(listedSimGroups, len(res.groups))] {
		g := &res.groups[i]
		fmt.Fprintf(b, "%-7s %11s %11s %11s %11s %11s %9s  %s\n", "SIM", bytesText(g.resident), bytesText(g.saved), bytesText(g.cost),
			bytesText(g.net()), countText(g.faults), fmt.Sprintf("%d of %d", g.guests-g.ended, g.guests), text.Clean(g.name))
	}
	if more := len(res.groups) - listedSimGroups; more > 0 {
		fmt.Fprintf(b, "and %d more (--json has all)\n", more)
	}
	if rest := res.sample.Unattributed; rest != 0 {
		fmt.Fprintf(b, "SIM %s of the saving belong to guests that have ended since ksmd last looked.\n", bytesText(rest))
	}
}

// writeComparison writes runs as columns, and what changes in words.
func writeComparison(b *strings.Builder, runs []*simRun) {
	b.WriteByte('\n')
	for i, r := range runs {
		what := "as it is"
		if i > 0 {
			what = settingsText(r.variant)
		} else if len(r.options.Knobs) > 0 {
			what = settingsText(r.options.Knobs)
		}
		fmt.Fprintf(b, "SIM %-3s %s\n", r.name, what)
	}
	const width = 14
	row := func(name string, cell func(*simRun) string) {
		line := fmt.Sprintf("%-26s", "SIM "+name)
		for _, r := range runs {
			line += fmt.Sprintf(" %*s", width, cell(r))
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
	b.WriteByte('\n')
	row("", func(r *simRun) string { return r.name })
	row("ended at", func(r *simRun) string { return durationText(r.result.elapsed) })
	row("", func(r *simRun) string {
		if r.result.partial || r.result.scans > 0 {
			return "partial"
		}
		return r.ending()
	})
	row("saved", func(r *simRun) string { return bytesText(r.result.savings().SavedBytes) })
	row("cost", func(r *simRun) string { return bytesText(r.result.savings().MetadataBytes) })
	row("net", func(r *simRun) string { return bytesText(r.result.savings().NetBytes) })
	row("90 % of it after", func(r *simRun) string { return r.result.to90Text() })
	row("ksmd CPU", func(r *simRun) string { return r.result.cpuText() })
	row("of one CPU", func(r *simRun) string { return percentText(r.result.cpuPercent()) })
	row("saved a CPU second", func(r *simRun) string { return r.result.perCPUText() })
	row("copies on write", func(r *simRun) string { return countText(r.result.sample.Reading.Host.CowKSM) })
	row("full scans", func(r *simRun) string { return countText(r.result.sample.Reading.Counters.FullScans) })
	row("pages visited", func(r *simRun) string { return countText(uint64(r.result.sample.Reading.Counters.PagesScanned)) })
	b.WriteByte('\n')
	for _, r := range runs[1:] {
		fmt.Fprintf(b, "SIM %s against %s: %s.\n", r.name, runs[0].name, strings.Join(differences(r.result, runs[0].result), "; "))
	}
}

// differences says in words how the results a and b differ.
func differences(a, b *simResult) []string {
	x, y := a.savings(), b.savings()
	list := []string{
		"saves " + differenceText(x.SavedBytes, y.SavedBytes),
		"net " + differenceText(x.NetBytes, y.NetBytes),
	}
	if a.hasTo90 && b.hasTo90 {
		list = append(list, "90 % of its saving "+timesText(b.to90.Seconds()/a.to90.Seconds(), "sooner", "later"))
	}
	list = append(list, "ksmd's part of a CPU "+timesText(a.cpuPercent()/b.cpuPercent(), "higher", "lower"))
	if p, q := a.bytesPerCPUSecond(), b.bytesPerCPUSecond(); p > 0 && q > 0 {
		list = append(list, "saved a CPU second "+timesText(p/q, "more", "less"))
	}
	return list
}

// differenceText says by how much a is more than b.
func differenceText(a, b int64) string {
	words := "the same"
	switch {
	case a > b:
		words = bytesText(a-b) + " more"
	case a < b:
		words = bytesText(b-a) + " less"
	}
	if a != b && b > 0 {
		words += fmt.Sprintf(" (%+.1f %%)", 100*float64(a-b)/float64(b))
	}
	return words
}

// timesText writes a factor as how many times more something is, or less.
func timesText(factor float64, more, less string) string {
	switch {
	case math.IsNaN(factor) || math.IsInf(factor, 0) || factor == 0:
		return "not comparable"
	case math.Abs(factor-1) < 0.005:
		return "the same"
	case factor < 1:
		return fmt.Sprintf("%.2f times %s", 1/factor, less)
	}
	return fmt.Sprintf("%.2f times %s", factor, more)
}

func (res *simResult) to90Text() string {
	if !res.hasTo90 {
		return "-"
	}
	return durationText(res.to90)
}

func (res *simResult) cpuText() string { return durationText(res.cpu()) }

func (res *simResult) perCPUText() string {
	per := res.bytesPerCPUSecond()
	if math.IsNaN(per) {
		return "-"
	}
	return bytesText(int64(per))
}

// pluralWere writes of how many columns something is said.
func pluralWere(n int) string {
	if n == 1 {
		return "1 further column was"
	}
	return fmt.Sprintf("%d further columns were", n)
}

// settingsText writes settings as they are given.
func settingsText(settings []sysfs.Setting) string {
	var parts []string
	for _, s := range settings {
		parts = append(parts, text.Clean(s.String()))
	}
	return strings.Join(parts, ", ")
}

func percentText(p float64) string         { return fmt.Sprintf("%.2f %%", p) }
func bytesText(n int64) string             { return string(format.Bytes(nil, n)) }
func countText(n uint64) string            { return string(format.Count(nil, n)) }
func things(n uint64, thing string) string { return string(format.Things(nil, n, thing)) }
func durationText(d time.Duration) string  { return string(format.Duration(nil, d)) }
