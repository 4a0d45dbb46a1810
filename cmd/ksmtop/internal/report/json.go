// Package report writes samples for programs and for pipes: JSON documents,
// blocks of text and the answer of `ksmtop status`.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Schema is the version of the JSON documents. Within one version members are
// only added.
const Schema = 1

// document is one sample as JSON. What is absent is left out; what was refused
// stands in Denied; what made no sense in Errors.
type document struct {
	Schema       int             `json:"schema"`
	Time         string          `json:"time"`
	PageSize     int64           `json:"page_size"`
	Kernel       string          `json:"kernel,omitempty"`
	Source       string          `json:"source"`
	Scale        float64         `json:"scale,omitzero"`
	KSM          *ksmValues      `json:"ksm,omitempty"`
	Derived      derivedValues   `json:"derived"`
	Processes    []processValues `json:"processes"`
	Unattributed *int64          `json:"unattributed_bytes,omitempty"`
	Denied       []denial        `json:"denied"`
	Errors       []string        `json:"errors,omitempty"`
}

type derivedValues struct {
	SavedBytes     *int64   `json:"saved_bytes,omitempty"`
	MetadataBytes  *int64   `json:"metadata_bytes,omitempty"`
	NetBytes       *int64   `json:"net_bytes,omitempty"`
	Ratio          *float64 `json:"ratio,omitempty"`
	Items          *uint64  `json:"items,omitempty"`
	KSMDPercent    *float64 `json:"ksmd_cpu_percent,omitempty"`
	PagesPerSecond *float64 `json:"pages_per_second,omitempty"`
	FullScan       *float64 `json:"full_scan_seconds,omitempty"`
}

type processValues struct {
	PID          int     `json:"pid"`
	StartTime    uint64  `json:"start_time"` // ticks of 1/100 s since boot, as /proc/PID/stat has it
	UID          uint32  `json:"uid"`
	Comm         string  `json:"comm"`
	Mode         string  `json:"mode,omitempty"`
	RmapItems    *uint64 `json:"ksm_rmap_items,omitempty"`
	ZeroPages    *int64  `json:"ksm_zero_pages,omitempty"`
	MergingPages *uint64 `json:"ksm_merging_pages,omitempty"`
	Profit       *int64  `json:"ksm_process_profit,omitempty"`
	SavedBytes   *int64  `json:"saved_bytes,omitempty"`
	NetBytes     *int64  `json:"net_bytes,omitempty"`
}

// denial says what was refused, to how many, and what would permit it.
type denial struct {
	What       string `json:"what"`
	Count      int    `json:"count"`
	Capability string `json:"capability"`
}

// Capability is what reads every process's KSM data and every file of sysfs.
const Capability = "CAP_DAC_READ_SEARCH"

// ksmValues is a reading under the kernel's own names, in the order of
// sysfs.Fields. 0/1 knobs are numbers, advisor_mode is the word chosen.
type ksmValues struct{ reading *sysfs.Reading }

func (v *ksmValues) MarshalJSON() ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for f := range sysfs.Fields() {
		value, ok := v.reading.Value(f)
		if !ok {
			continue
		}
		number, err := value.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if buf.Len() > 1 {
			buf.WriteByte(',')
		}
		fmt.Fprintf(&buf, "%q:%s", f, number)
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}

// JSON writes s as one object on one line.
func JSON(w io.Writer, s *model.Sample) error {
	d := document{
		Schema: Schema, Time: s.Time.UTC().Format(time.RFC3339Nano), PageSize: s.PageSize,
		Kernel: s.Kernel, Source: s.Source, Processes: make([]processValues, 0, len(s.Rows)),
		Denied: []denial{},
	}
	if s.Scale != 1 {
		d.Scale = s.Scale
	}
	if s.NoKSM == nil {
		d.KSM = &ksmValues{&s.Reading}
		d.Derived = derived(s)
	} else if !isNotSupported(s.NoKSM) {
		d.Errors = append(d.Errors, text.Clean(s.NoKSM.Error()))
	}
	for i := range s.Rows {
		d.Processes = append(d.Processes, processJSON(&s.Rows[i], s))
	}
	if s.HasUnattributed {
		d.Unattributed = &s.Unattributed
	}
	if s.Denied > 0 {
		d.Denied = append(d.Denied, denial{"processes", s.Denied, Capability})
	}
	for f := range sysfs.Fields() {
		switch err := s.Reading.Problem(f); {
		case err == nil:
		case isPermission(err):
			d.Denied = append(d.Denied, denial{f.String(), 1, Capability})
		default:
			d.Errors = append(d.Errors, text.Clean(err.Error()))
		}
	}
	if s.ProcessProblem != nil {
		d.Errors = append(d.Errors, text.Clean(s.ProcessProblem.Error()))
	}
	line, err := json.Marshal(&d)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

func derived(s *model.Sample) derivedValues {
	var d derivedValues
	if s.HasSavings {
		d.SavedBytes, d.MetadataBytes = &s.Savings.SavedBytes, &s.Savings.MetadataBytes
		d.NetBytes, d.Items = &s.Savings.NetBytes, &s.Savings.Items
	}
	if ratio, ok := s.Reading.Counters.Ratio(); ok {
		d.Ratio = &ratio
	}
	r := &s.Rates
	d.KSMDPercent = known(r.KSMDPercent, r.HasKSMDPercent)
	d.PagesPerSecond = known(r.PagesPerSecond, r.HasPagesPerSecond)
	d.FullScan = known(r.FullScan.Seconds(), r.HasFullScan)
	return d
}

func processJSON(r *model.Row, s *model.Sample) processValues {
	k := &r.KSM
	v := processValues{PID: r.PID, StartTime: r.Start, UID: r.UID, Comm: r.Name}
	v.Mode, _ = k.Mode()
	v.RmapItems = known(k.RmapItems, k.Has(sysfs.KSMRmapItems))
	v.ZeroPages = known(int64(k.ZeroPages), k.Has(sysfs.KSMZeroPagesOf))
	v.MergingPages = known(uint64(k.MergingPages), k.Has(sysfs.KSMMergingPages))
	v.Profit = known(k.Profit, k.Has(sysfs.KSMProcessProfit))
	v.SavedBytes = known(r.Saved, r.HasSaved(s))
	v.NetBytes = known(r.Net, r.HasNet(s))
	return v
}

// known returns a pointer to v, or nil for a value that is to be left out.
func known[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}
