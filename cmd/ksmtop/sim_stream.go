package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simStream is what is printed while runs go on.
type simStream struct {
	sample  func(*simRun) error // for each sample
	summary func(*simRun) error // when the run has ended
}

// stream returns what the flags ask for.
func (f *simFlags) stream(out io.Writer) simStream {
	nothing := func(*simRun) error { return nil }
	switch {
	case f.asJSON:
		var s model.Sample
		return simStream{
			func(r *simRun) error {
				r.fill(&s)
				s.Scale = f.scale.value()
				return report.JSON(out, &s)
			},
			func(r *simRun) error { return f.writeSummary(out, r) },
		}
	case f.asCSV:
		headed := false
		return simStream{func(r *simRun) error {
			var b bytes.Buffer
			if !headed {
				headed = true
				writeCSV(&b, csvHeader())
			}
			writeCSV(&b, r.csvRow())
			_, err := out.Write(b.Bytes())
			return err
		}, nothing}
	}
	return simStream{nothing, nothing}
}

func writeCSV(b *bytes.Buffer, record []string) {
	w := csv.NewWriter(b)
	_ = w.Write(record) // a buffer takes everything
	w.Flush()
}

func csvHeader() []string {
	header := []string{"source", "variant", "seconds", "saved_bytes", "metadata_bytes", "net_bytes"}
	for f := range sysfs.Fields() {
		header = append(header, f.String())
	}
	return append(header, "cow_ksm", "ksmd_cpu_seconds")
}

func (r *simRun) csvRow() []string {
	var saved sysfs.Savings
	saved, _ = r.now.Counters.Savings(r.now.PageSize)
	row := []string{"sim", r.name, seconds3(r.host.Now().Seconds())}
	for _, n := range []int64{saved.SavedBytes, saved.MetadataBytes, saved.NetBytes} {
		row = append(row, strconv.FormatInt(n, 10))
	}
	for f := range sysfs.Fields() {
		value := "" // absent
		if v, ok := r.now.Value(f); ok {
			value = v.String()
		}
		row = append(row, value)
	}
	return append(row, strconv.FormatUint(r.now.Host.CowKSM, 10), seconds3(r.now.Host.KSMD.Seconds()))
}

// seconds3 writes seconds to the millisecond.
func seconds3(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

// simSummary is the last line of a run in JSON.
type simSummary struct {
	Schema  int          `json:"schema"`
	Source  string       `json:"source"`
	Summary simEndValues `json:"summary"`
}

type simEndValues struct {
	Variant      string            `json:"variant"`
	Scenario     string            `json:"scenario"`
	Title        string            `json:"title"`
	Seed         uint64            `json:"seed"`
	Scale        float64           `json:"scale"`
	Engine       string            `json:"engine"`
	Rules        string            `json:"rules"`
	Until        string            `json:"until"`
	Set          map[string]string `json:"set"`
	Complete     bool              `json:"complete"`
	Settled      bool              `json:"settled"`
	Seconds      float64           `json:"seconds"`
	Saved        int64             `json:"saved_bytes"`
	Metadata     int64             `json:"metadata_bytes"`
	Net          int64             `json:"net_bytes"`
	To90         *float64          `json:"seconds_to_90_percent,omitempty"`
	CPU          float64           `json:"ksmd_cpu_seconds"`
	CPUPercent   float64           `json:"ksmd_cpu_percent"`
	PerCPU       *float64          `json:"saved_bytes_per_cpu_second,omitempty"`
	CowKSM       uint64            `json:"cow_ksm"`
	FullScans    uint64            `json:"full_scans"`
	PagesScanned uint64            `json:"pages_scanned"`
	PagesSkipped uint64            `json:"pages_skipped"`
	Groups       []simGroupValues  `json:"groups"`
}

type simGroupValues struct {
	Name     string  `json:"name"`
	Guests   int     `json:"guests"`
	Running  int     `json:"running"`
	Resident int64   `json:"resident_bytes"`
	Freed    int64   `json:"freed_bytes"`
	Saved    int64   `json:"saved_bytes"`
	Metadata int64   `json:"metadata_bytes"`
	Net      int64   `json:"net_bytes"`
	Faults   uint64  `json:"faults"`
	FaultSec float64 `json:"fault_seconds"`
}

func (f *simFlags) writeSummary(w io.Writer, r *simRun) error {
	res, saved := r.result, r.result.savings()
	c := &res.sample.Reading.Counters
	v := simEndValues{
		Variant: r.name, Scenario: text.Clean(r.scenario.Name), Title: text.Clean(r.scenario.Title), Seed: r.scenario.Seed,
		Scale: f.scale.value(), Engine: f.engine, Rules: f.rules, Until: f.until.String(), Set: map[string]string{},
		Complete: !res.partial && res.scans == 0, Settled: res.settled, Seconds: res.elapsed.Seconds(),
		Saved: saved.SavedBytes, Metadata: saved.MetadataBytes, Net: saved.NetBytes,
		CPU: res.cpu().Seconds(), CPUPercent: res.cpuPercent(), CowKSM: res.sample.Reading.Host.CowKSM,
		FullScans: c.FullScans, PagesScanned: uint64(c.PagesScanned), PagesSkipped: uint64(c.PagesSkipped),
		Groups: []simGroupValues{},
	}
	for _, s := range r.options.Knobs {
		v.Set[s.Field.String()] = s.Value
	}
	if res.hasTo90 {
		at := res.to90.Seconds()
		v.To90 = &at
	}
	if per := res.bytesPerCPUSecond(); !math.IsNaN(per) {
		v.PerCPU = &per
	}
	for i := range res.groups {
		g := &res.groups[i]
		v.Groups = append(v.Groups, simGroupValues{
			g.name, g.guests, g.guests - g.ended, g.resident, g.freed, g.saved, g.cost, g.net(), g.faults, g.faultTime.Seconds(),
		})
	}
	line, err := json.Marshal(&simSummary{report.Schema, "sim", v})
	if err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
