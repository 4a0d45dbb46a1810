package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Status writes s in plain words: the answer to "what does KSM do here?".
func Status(w io.Writer, s *model.Sample) error {
	var b strings.Builder
	if s.NoKSM != nil {
		fmt.Fprintf(&b, "%s\n", NoKSMLine(s))
		if isNotSupported(s.NoKSM) {
			b.WriteString("Nothing can be merged here. A copy of another machine's files can be looked at with --sysfs DIR --procfs DIR.\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "%s\n\n", stateLine(s))
	writeSavings(&b, s)
	writeDaemon(&b, s)
	writeSettings(&b, s)
	writeProcesses(&b, s)
	writeProblems(&b, s)
	_, err := io.WriteString(w, b.String())
	return err
}

// NoKSMLine says in one sentence why there are no counters.
func NoKSMLine(s *model.Sample) string {
	if isNotSupported(s.NoKSM) {
		return "This kernel has no KSM: there is no kernel/mm/ksm in /sys. It was built without CONFIG_KSM, or a container hides it."
	}
	return "KSM cannot be looked at: " + text.Clean(s.NoKSM.Error()) + "."
}

func stateLine(s *model.Sample) string {
	var about []string
	if s.Host != "" {
		about = append(about, s.Host)
	}
	if s.Kernel != "" {
		about = append(about, "Linux "+s.Kernel)
	}
	if len(about) == 0 {
		return stateOf(s)
	}
	return strings.Join(about, ", ") + ": " + stateOf(s)
}

func stateOf(s *model.Sample) string {
	k := &s.Reading.Knobs
	switch {
	case !k.Has(sysfs.Run):
		return "KSM is there, but whether it runs cannot be told: run is " + missing(s, sysfs.Run) + "."
	case k.RunMode() == sysfs.RunScan && k.Has(sysfs.PagesToScan) && k.PagesToScan == 0:
		return "KSM is on, but pages_to_scan is 0: ksmd looks at nothing."
	case k.RunMode() == sysfs.RunScan:
		return "KSM is on."
	case k.RunMode() == sysfs.RunUnmerge:
		return "KSM is off: run is 2, everything was unmerged."
	case s.HasSavings && s.Savings.SavedBytes > 0:
		return "KSM is stopped: run is 0, nothing new is merged. What is merged stays so."
	}
	return "KSM is off: run is 0. As root, `ksmtop set run=1` starts it."
}

// missing says why field f has no value.
func missing(s *model.Sample, f sysfs.Field) string {
	switch err := s.Reading.Problem(f); {
	case err == nil:
		return "absent, this kernel has no such file (Linux " + f.Info().Since + " has it)"
	case isPermission(err):
		return "not readable without " + Capability
	default:
		return "not readable (" + text.Clean(err.Error()) + ")"
	}
}

func writeSavings(b *strings.Builder, s *model.Sample) {
	c := &s.Reading.Counters
	if !s.HasSavings {
		line(b, "Saved", "unknown", whyNoSavings(s))
		return
	}
	line(b, "Saved", bytesOf(s.Savings.SavedBytes), savedBy(s))
	if c.Has(sysfs.KSMZeroPages) {
		use := "use_zero_pages is " + valueOr(s, sysfs.UseZeroPages)
		line(b, "  zero", bytesOf(int64(c.KSMZeroPages)*s.PageSize), fmt.Sprintf("%s of zeros (%s)", format.SignedThings(nil, int64(c.KSMZeroPages), "page"), use))
	}
	line(b, "Cost", bytesOf(s.Savings.MetadataBytes), things(s.Savings.Items, "tracked page")+", 64 bytes of metadata each")
	share := ""
	if h := &s.Reading.Host; h.HasMemory && h.MemTotal > 0 {
		tenths := math.Round(1000 * float64(s.Savings.NetBytes) / float64(h.MemTotal))
		share = fmt.Sprintf("%.1f %% of memory", (tenths+0)/10) // +0 makes -0 0
	}
	line(b, "Net", bytesOf(s.Savings.NetBytes), share)
}

// whyNoSavings says why what is saved is not known.
func whyNoSavings(s *model.Sample) string {
	for _, f := range needsItems {
		_, ok := s.Reading.Value(f)
		if !ok && (s.Reading.Problem(f) != nil || f != sysfs.KSMZeroPages && f != sysfs.GeneralProfit) {
			return f.String() + " is " + missing(s, f)
		}
	}
	return "the counters are beyond any memory"
}

// Copies says how many pages are copies of KSM pages, and saved for that.
func Copies(n uint64) string {
	if n == 1 {
		return "1 page is a copy"
	}
	return count(n) + " pages are copies"
}

func savedBy(s *model.Sample) string {
	c := &s.Reading.Counters
	by := Copies(uint64(c.PagesSharing))
	if c.Has(sysfs.PagesShared) {
		by += " of " + things(uint64(c.PagesShared), "KSM page")
	}
	if ratio, ok := c.Ratio(); ok {
		by += fmt.Sprintf(": %.2f saved for each (limit %s)", ratio, valueOr(s, sysfs.MaxPageSharing))
	}
	return by
}

func writeDaemon(b *strings.Builder, s *model.Sample) {
	var parts []string
	r := &s.Rates
	if r.HasKSMDPercent {
		parts = append(parts, fmt.Sprintf("%.1f %% of one CPU", r.KSMDPercent))
	}
	if r.HasPagesPerSecond {
		parts = append(parts, string(format.Amount(nil, r.PagesPerSecond))+" pages/s")
	}
	if r.HasFullScan {
		parts = append(parts, "a full scan takes about "+string(format.Duration(nil, r.FullScan)))
	}
	if s.Reading.Counters.Has(sysfs.FullScans) {
		parts = append(parts, things(s.Reading.Counters.FullScans, "full scan")+" so far")
	}
	if r.HasBrokenPerSecond && r.BrokenPerSecond > 0 {
		parts = append(parts, string(format.Amount(nil, r.BrokenPerSecond))+" merged pages/s copied back by writes")
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "%-10s %s\n", "ksmd", strings.Join(parts, ", "))
	}
}

func writeSettings(b *strings.Builder, s *model.Sample) {
	var changed []string
	for f := range sysfs.Fields() {
		value, ok := s.Reading.Knobs.Value(f)
		if f.Info().Kind != sysfs.Knob || f == sysfs.Run || !ok || value.String() == f.Info().Default {
			continue
		}
		changed = append(changed, fmt.Sprintf("  %-34s %s (default %s)\n", f, strings.TrimSpace(value.String()+" "+f.Info().Unit), f.Info().Default))
	}
	if len(changed) == 0 {
		b.WriteString("\nAll settings are the kernel's defaults.\n")
		return
	}
	b.WriteString("\nSettings that differ from the kernel's defaults:\n" + strings.Join(changed, ""))
}

const listed = 5 // processes in each list of Status

func writeProcesses(b *strings.Builder, s *model.Sample) {
	gain := slices.Clone(s.Rows)
	title := "Processes that gain:"
	gain = slices.DeleteFunc(gain, func(r model.Row) bool {
		if !r.HasProfit() && r.MergedPages() > 0 { // what it costs is not known
			title = "Processes with merged memory:"
			return false
		}
		return netOf(&r, s) <= 0
	})
	pay := slices.Clone(s.Rows)
	pay = slices.DeleteFunc(pay, func(r model.Row) bool { return !r.HasProfit() || netOf(&r, s) >= 0 })
	by := func(r, q model.Row) int {
		return cmp.Or(cmp.Compare(netOf(&q, s), netOf(&r, s)), cmp.Compare(r.PID, q.PID))
	}
	slices.SortFunc(gain, by)
	slices.SortFunc(pay, func(r, q model.Row) int { return by(q, r) })
	writeTable(b, title, gain, s)
	writeTable(b, "Processes that pay more for tracking than they save:", pay, s)
	b.WriteByte('\n')
	switch {
	case s.Seen == 0:
		b.WriteString("No process can be seen in /proc.\n")
		return
	case !s.HasProcesses():
		fmt.Fprintf(b, "None of %s shows its part in KSM. Linux before 5.19 does not tell.\n", things(uint64(s.Seen), "process"))
		return
	}
	if s.HasUnattributed && s.Unattributed != 0 {
		fmt.Fprintf(b, "%s of the saving belong to no process that could be read (exited since ksmd last looked, or another user's).\n", bytesOf(s.Unattributed))
	}
	take := "take"
	if s.Registered == 1 || s.Eligible() == 1 {
		take = "takes"
	}
	fmt.Fprintf(b, "%s of %s %s part in KSM", count(uint64(s.Registered)), things(uint64(s.Eligible()), "process"), take)
	if s.Denied > 0 {
		fmt.Fprintf(b, ", as far as can be seen: the KSM data of %s belong to other users (%s or root reads them)", count(uint64(s.Denied)), Capability)
	}
	b.WriteString(".\n")
}

// netOf returns what the line of a process says it gains: its amortised part of
// the saving less its metadata, or the kernel's profit where that is not known.
func netOf(r *model.Row, s *model.Sample) int64 {
	if r.HasNet(s) {
		return r.Net
	}
	return r.Profit
}

func writeTable(b *strings.Builder, title string, rows []model.Row, s *model.Sample) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for i := range rows[:min(listed, len(rows))] {
		r := &rows[i]
		saved, cost, tracked := "-", "-", "- pages"
		if r.HasSaved(s) {
			saved = bytesOf(r.Saved)
		}
		if r.KSM.Has(sysfs.KSMRmapItems) {
			cost, tracked = bytesOf(r.KSM.MetadataBytes()), things(r.KSM.RmapItems, "page")
		}
		fmt.Fprintf(b, "  %7d %-8s saves %10s, costs %10s, tracks %s  %s\n", r.PID, r.User, saved, cost, tracked, r.ShortCommand())
	}
	if more := len(rows) - listed; more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}

func writeProblems(b *strings.Builder, s *model.Sample) {
	for f := range sysfs.Fields() {
		if err := s.Reading.Problem(f); err != nil {
			fmt.Fprintf(b, "%s is %s.\n", f, missing(s, f))
		}
	}
	if s.ProcessProblem != nil {
		fmt.Fprintf(b, "A process could not be read: %s.\n", text.Clean(s.ProcessProblem.Error()))
	}
}

// Explain writes every field of the kernel in one sentence, with its value and
// unit.
func Explain(w io.Writer, s *model.Sample) error {
	var b strings.Builder
	for f := range sysfs.Fields() {
		info := f.Info()
		value := valueOr(s, f)
		if info.Unit != "" && value != "-" && value != "?" {
			value += " " + info.Unit
		}
		if f == sysfs.Run {
			b.WriteString("Knobs\n")
		} else if f == sysfs.PagesSharing {
			b.WriteString("\nCounters\n")
		}
		fmt.Fprintf(&b, "%s = %s\n    %s\n", f, value, info.Meaning)
		if _, ok := s.Reading.Value(f); !ok {
			fmt.Fprintf(&b, "    Here it is %s.\n", missing(s, f))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// valueOr returns the value of f as text, "-" if it is absent, "?" if refused.
func valueOr(s *model.Sample, f sysfs.Field) string {
	if v, ok := s.Reading.Value(f); ok {
		return v.String()
	}
	if s.Reading.Problem(f) != nil {
		return "?"
	}
	return "-"
}

func line(b *strings.Builder, name, amount, about string) {
	fmt.Fprintf(b, "%s\n", strings.TrimRight(fmt.Sprintf("%-10s %-11s %s", name, amount, about), " "))
}

func bytesOf(n int64) string { return string(format.Bytes(nil, n)) }
func count(n uint64) string  { return string(format.Count(nil, n)) }

func things(n uint64, thing string) string { return string(format.Things(nil, n, thing)) }
