package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sim/real"
)

// report is the table, and what stands around it.
func (b *benchRun) report() string {
	var w strings.Builder
	s := b.scenario
	fmt.Fprintf(&w, "%s", text.Clean(s.Name))
	if s.Title != "" {
		fmt.Fprintf(&w, ": %s", text.Clean(s.Title))
	}
	fmt.Fprintf(&w, "\n%s; seed %d", plural(len(s.Plans()), "guest"), s.Seed)
	if factor := b.flags.scale.value(); factor != 1 {
		fmt.Fprintf(&w, ", scaled by %v", factor)
	}
	if len(b.predict.options.Knobs) > 0 {
		fmt.Fprintf(&w, "; %s", settingsText(b.predict.options.Knobs))
	}
	if b.flags.cost != "" {
		fmt.Fprintf(&w, "; costs of %s", text.Clean(b.flags.cost))
	}
	settled := "not settled"
	if b.predict.result.settled {
		settled = "settled"
	}
	took := durationText(b.length())
	if b.partial {
		took = fmt.Sprintf("partial: interrupted after %s of %s", durationText(b.elapsed), took)
	}
	fmt.Fprintf(&w, "\n%s; %s of real time, for the simulation %s\n\n", machineText(b.flags.fsys), took, settled)
	b.writeTable(&w)
	b.writeLegend(&w)
	b.writeLatency(&w)
	b.writeDoubts(&w)
	return w.String()
}

// benchRow is one row of the table. What a column does not know is NaN.
type benchRow struct {
	name                string
	scan, sim, measured float64
	format              func(float64) string
}

func (b *benchRun) rows() []benchRow {
	scan, sim, measured := b.byScan(), b.bySim(), b.byKernel()
	pages := func(name string, of func(*benchResult) int64) benchRow {
		return benchRow{name, float64(of(&scan)), float64(of(&sim)), float64(of(&measured)), func(n float64) string { return countText(uint64(n)) }}
	}
	memory := func(name string, of func(*benchResult) int64) benchRow {
		return benchRow{name, float64(of(&scan)), float64(of(&sim)), float64(of(&measured)), func(n float64) string { return bytesText(int64(n)) }}
	}
	times := func(name string, of func(*benchResult) (time.Duration, bool)) benchRow {
		cell := func(r *benchResult) float64 {
			if d, ok := of(r); ok {
				return float64(d)
			}
			return math.NaN()
		}
		return benchRow{name, math.NaN(), cell(&sim), cell(&measured), func(n float64) string { return durationText(time.Duration(n)) }}
	}
	scans := pages("full scans", func(r *benchResult) int64 { return r.scans })
	scans.scan = math.NaN()
	var huge []benchRow
	if b.hasHuge() {
		freed := memory("freed", func(r *benchResult) int64 { return r.freed })
		sum := memory("saved and freed", func(r *benchResult) int64 { return r.saved + r.freed })
		freed.scan = math.NaN()
		if !measured.hasFreed {
			freed.measured, sum.measured = math.NaN(), math.NaN()
		}
		huge = []benchRow{freed, sum}
	}
	rows := []benchRow{
		pages("pages_shared", func(r *benchResult) int64 { return r.shared }),
		pages("pages_sharing", func(r *benchResult) int64 { return r.sharing }),
		pages("ksm_zero_pages", func(r *benchResult) int64 { return r.zero }),
		pages("pages_unshared", func(r *benchResult) int64 { return r.unshared }),
		memory("saved", func(r *benchResult) int64 { return r.saved }),
		memory("net", func(r *benchResult) int64 { return r.net }),
	}
	return append(append(rows, huge...),
		times("90 % of it after", func(r *benchResult) (time.Duration, bool) { return r.to90, r.hasTo90 }),
		times("ksmd CPU", func(r *benchResult) (time.Duration, bool) { return r.cpu, r.hasCPU }),
		scans,
	)
}

func (b *benchRun) writeTable(w *strings.Builder) {
	line := func(cells ...any) {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-16s %12s %12s %12s %13s %13s", cells...), " "))
	}
	line("", "by scan", "by SIM", "measured", "scan differs", "SIM differs")
	for _, r := range b.rows() {
		cell := func(v float64) string {
			if math.IsNaN(v) {
				return "-"
			}
			return r.format(v)
		}
		scanOff, simOff := "-", "-"
		if !b.partial { // which they do not predict
			scanOff, simOff = offText(r.scan, r.measured), offText(r.sim, r.measured)
		}
		line(r.name, cell(r.scan), cell(r.sim), cell(r.measured), scanOff, simOff)
	}
	off := "-"
	if d := b.deviation(); !math.IsNaN(d) {
		off = fmt.Sprintf("%.2f %%", 100*d)
	}
	line("saved over time", "-", "", "", "-", off)
}

// offText says by how much a prediction differs from what was measured.
func offText(predicted, measured float64) string {
	switch {
	case math.IsNaN(predicted) || math.IsNaN(measured):
		return "-"
	case predicted == measured:
		return "."
	case measured == 0:
		return "all of it"
	}
	return fmt.Sprintf("%+.2f %%", 100*(predicted-measured)/math.Abs(measured))
}

// freedLegend says what the row of freed memory is.
const freedLegend = "\nFreed are zeros in huge pages that were split: they are saved too, but in no counter of KSM.\n"

// writeLegend says what the table means.
func (b *benchRun) writeLegend(w *strings.Builder) {
	if b.hasHuge() {
		w.WriteString(freedLegend)
	}
	if b.partial {
		w.WriteString("\nThe predictions are of the end, so that nothing is compared with them but the saving over\ntime: that is the mean of how far it was off, at all samples until then, in parts of the last.\n\n")
		return
	}
	w.WriteString("\nA difference is in parts of what was measured, and . is none. Over time it is the mean\nof how far the saving was off, at all samples, in parts of that at the end.\n\n")
}

// writeLatency says what the writes of guests took, without KSM and with it.
func (b *benchRun) writeLatency(w *strings.Builder) {
	if b.busy.Writes() == 0 {
		w.WriteString("Guests wrote to no page a second time, so that merging cost them nothing.\n")
		return
	}
	line := func(name string, l real.Latency) {
		if l.Writes() == 0 {
			fmt.Fprintf(w, "  %-8s none\n", name)
			return
		}
		fmt.Fprintf(w, "  %-8s %10s %10s  of %s\n", name, latencyText(l.Quantile(0.5)), latencyText(l.Quantile(0.99)), countText(l.Writes()))
	}
	fmt.Fprintf(w, "Writes of guests to pages that they have written before, until the first byte is written:\n  %-8s %10s %10s\n", "", "p50", "p99")
	line("KSM off", b.quiet)
	line("KSM on", b.busy)
}

// latencyText writes a time of some microseconds.
func latencyText(d time.Duration) string {
	return fmt.Sprintf("%.2f us", float64(d)/float64(time.Microsecond))
}

// writeDoubts says what may have spoilt the measurement.
func (b *benchRun) writeDoubts(w *strings.Builder) {
	if b.late > 100*time.Millisecond {
		fmt.Fprintf(w, "Guests were up to %s late: the machine was busy, or they write more than it can.\n", durationText(b.late))
	}
	if sim, real := b.bySim().scans, b.byKernel().scans; real < sim-sim/10 && !b.partial {
		fmt.Fprintf(w, "ksmd made %s of the %s that it had time for: others took the CPU, and it may not have got to the end.\n",
			countText(uint64(real)), things(uint64(sim), "full scan"))
	}
	if b.strangers > 0 {
		fmt.Fprintf(w, "Meanwhile %s not of the scenario had mergeable memory too, and are in what was measured.\n", plural(b.strangers, "process"))
	}
}

// benchSummary is the last line of a bench in JSON.
type benchSummary struct {
	Schema  int            `json:"schema"`
	Source  string         `json:"source"`
	Summary benchEndValues `json:"summary"`
}

type benchEndValues struct {
	Scenario  string            `json:"scenario"`
	Title     string            `json:"title"`
	Seed      uint64            `json:"seed"`
	Scale     float64           `json:"scale"`
	Set       map[string]string `json:"set"`
	Cost      string            `json:"cost,omitempty"`
	Machine   string            `json:"machine"`
	Complete  bool              `json:"complete"`
	Seconds   float64           `json:"seconds"`
	Settled   bool              `json:"settled"`
	Scan      benchValues       `json:"predicted_by_scan"`
	Sim       benchValues       `json:"predicted_by_sim"`
	Measured  benchValues       `json:"measured"`
	Deviation *float64          `json:"saved_over_time_deviation,omitempty"`
	Off       *benchWrites      `json:"writes_ksm_off,omitempty"`
	On        *benchWrites      `json:"writes_ksm_on,omitempty"`
	Late      float64           `json:"late_seconds"`
	Strangers int               `json:"other_processes"`
}

type benchValues struct {
	Shared   int64    `json:"pages_shared"`
	Sharing  int64    `json:"pages_sharing"`
	Zero     int64    `json:"ksm_zero_pages"`
	Unshared int64    `json:"pages_unshared"`
	Saved    int64    `json:"saved_bytes"`
	Net      int64    `json:"net_bytes"`
	Freed    *int64   `json:"freed_bytes,omitempty"`
	To90     *float64 `json:"seconds_to_90_percent,omitempty"`
	CPU      *float64 `json:"ksmd_cpu_seconds,omitempty"`
	Scans    *int64   `json:"full_scans,omitempty"`
}

type benchWrites struct {
	Writes uint64  `json:"writes"`
	P50    float64 `json:"p50_seconds"`
	P99    float64 `json:"p99_seconds"`
}

func (r benchResult) values() benchValues {
	v := benchValues{
		Shared: r.shared, Sharing: r.sharing, Zero: r.zero, Unshared: r.unshared,
		Saved: r.saved, Net: r.net,
	}
	if r.hasFreed {
		v.Freed = &r.freed
	}
	if r.hasTo90 {
		at := r.to90.Seconds()
		v.To90 = &at
	}
	if r.hasCPU {
		cpu := r.cpu.Seconds()
		v.CPU = &cpu
	}
	if r.hasScans {
		v.Scans = &r.scans
	}
	return v
}

func writeValues(l real.Latency) *benchWrites {
	if l.Writes() == 0 {
		return nil
	}
	return &benchWrites{l.Writes(), l.Quantile(0.5).Seconds(), l.Quantile(0.99).Seconds()}
}

func (b *benchRun) writeSummary(w io.Writer) error {
	seconds := b.length().Seconds()
	if b.partial {
		seconds = b.elapsed.Seconds()
	}
	v := benchEndValues{
		Scenario: text.Clean(b.scenario.Name), Title: text.Clean(b.scenario.Title), Seed: b.scenario.Seed,
		Scale: b.flags.scale.value(), Set: map[string]string{}, Cost: text.Clean(b.flags.cost),
		Machine: machineText(b.flags.fsys), Complete: !b.partial, Seconds: seconds, Settled: b.predict.result.settled,
		Scan: b.byScan().values(), Sim: b.bySim().values(), Measured: b.byKernel().values(),
		Off: writeValues(b.quiet), On: writeValues(b.busy), Late: b.late.Seconds(), Strangers: b.strangers,
	}
	for _, s := range b.predict.options.Knobs {
		v.Set[s.Field.String()] = s.Value
	}
	if d := b.deviation(); !math.IsNaN(d) {
		v.Deviation = &d
	}
	line, err := json.Marshal(&benchSummary{report.Schema, "bench", v})
	if err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
