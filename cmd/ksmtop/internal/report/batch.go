package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Value is one number of the whole machine that batch output can show.
type Value struct {
	Name    string
	Unit    string
	Meaning string
	needs   []sysfs.Field // what it is computed from
	get     func(dst []byte, s *model.Sample) ([]byte, bool)
}

// append appends the value, "-" if there is none, or "?" if that is because a
// file could not be read.
func (v *Value) append(dst []byte, s *model.Sample) []byte {
	start := len(dst)
	dst, ok := v.get(dst, s)
	if ok {
		return dst
	}
	for _, f := range v.needs {
		if s.Reading.Problem(f) != nil {
			return append(dst[:start], '?')
		}
	}
	return append(dst[:start], '-')
}

// Values returns all of them: the kernel's files, then what follows from them.
func Values() []Value {
	var all []Value
	for f := range sysfs.Fields() {
		info := f.Info()
		all = append(all, Value{info.Name, info.Unit, info.Meaning, []sysfs.Field{f}, func(dst []byte, s *model.Sample) ([]byte, bool) {
			v, ok := s.Reading.Value(f)
			return v.Append(dst), ok
		}})
	}
	return append(all, derivedList...)
}

// What derived values need.
var (
	needsSaved = []sysfs.Field{sysfs.PagesSharing, sysfs.KSMZeroPages}
	needsRatio = []sysfs.Field{sysfs.PagesSharing, sysfs.PagesShared}
	needsItems = model.SavingsFields
	needsSpeed = []sysfs.Field{sysfs.PagesScanned}
)

var derivedList = []Value{
	{"saved_bytes", "bytes", "what merging saves: (pages_sharing + ksm_zero_pages) * page size", needsSaved,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendInt(dst, s.Savings.SavedBytes, 10), s.HasSavings
		}},
	{"metadata_bytes", "bytes", "what tracking costs: 64 bytes for each page tracked", needsItems,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendInt(dst, s.Savings.MetadataBytes, 10), s.HasSavings
		}},
	{"net_bytes", "bytes", "saved_bytes - metadata_bytes", needsItems,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendInt(dst, s.Savings.NetBytes, 10), s.HasSavings
		}},
	{"unattributed_bytes", "bytes", "the part of saved_bytes that no readable process holds", needsItems,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendInt(dst, s.Unattributed, 10), s.HasUnattributed
		}},
	{"ratio", "", "pages_sharing / pages_shared", needsRatio,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			ratio, ok := s.Reading.Counters.Ratio()
			return format.Fixed(dst, ratio, 2), ok
		}},
	{"total_items", "pages", "pages that ksmd tracks", needsItems,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendUint(dst, s.Savings.Items, 10), s.HasSavings
		}},
	{"ksmd_cpu_percent", "%", "ksmd's share of one CPU since the sample before", nil,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return format.Fixed(dst, s.Rates.KSMDPercent, 1), s.Rates.HasKSMDPercent
		}},
	{"pages_per_second", "pages/s", "pages that ksmd visited since the sample before", needsSpeed,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return format.Fixed(dst, s.Rates.PagesPerSecond, 0), s.Rates.HasPagesPerSecond
		}},
	{"full_scan_seconds", "s", "how long a full scan takes at that speed", needsSpeed,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return format.Fixed(dst, s.Rates.FullScan.Seconds(), 1), s.Rates.HasFullScan
		}},
	{"broken_per_second", "pages/s", "merged pages copied back, by writes or by unmerging", nil,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return format.Fixed(dst, s.Rates.BrokenPerSecond, 0), s.Rates.HasBrokenPerSecond
		}},
	{"processes_seen", "", "processes visible in /proc", nil,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendInt(dst, int64(s.Seen), 10), true
		}},
	{"processes_denied", "", "processes whose KSM data needs " + Capability, nil,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendInt(dst, int64(s.Denied), 10), s.HasProcesses()
		}},
	{"processes_registered", "", "readable processes that take part in KSM", nil,
		func(dst []byte, s *model.Sample) ([]byte, bool) {
			return strconv.AppendInt(dst, int64(s.Registered), 10), s.HasProcesses()
		}},
}

// Batch writes samples as blocks of text: no escape sequences, commands in
// full, "-" for what this kernel lacks and "?" for what could not be read.
type Batch struct {
	values  []Value
	columns []*model.Column
	title   bool
	blocks  int
	buf     []byte
}

var defaultBatch = struct{ values, columns []string }{
	[]string{"run", "saved_bytes", "metadata_bytes", "net_bytes", "unattributed_bytes", "ratio", "pages_shared", "pages_sharing",
		"ksm_zero_pages", "pages_unshared", "pages_volatile", "full_scans", "ksmd_cpu_percent", "pages_per_second",
		"full_scan_seconds", "processes_seen", "processes_denied", "processes_registered"},
	[]string{"pid", "user", "mode", "merged", "zero", "items", "profit", "saved", "net", "command"},
}

// NewBatch returns a Batch that shows the named values and columns, or a usual
// choice of both if there are none. An unknown name is an error.
func NewBatch(names []string) (*Batch, error) {
	b := &Batch{}
	if len(names) == 0 {
		b.title = true
		names = append(append(names, defaultBatch.values...), defaultBatch.columns...)
	}
	all := Values()
	for _, name := range names {
		if column := model.ColumnByName(name); column != nil {
			b.columns = append(b.columns, column)
			continue
		}
		found := false
		for _, v := range all {
			if v.Name == name {
				b.values, found = append(b.values, v), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-o: %q: no such field; -o help lists them", name)
		}
	}
	return b, nil
}

// Write writes one block. Blocks are parted by an empty line.
func (b *Batch) Write(w io.Writer, s *model.Sample) error {
	out := b.buf[:0]
	if b.blocks > 0 {
		out = append(out, '\n')
	}
	b.blocks++
	if b.title {
		out = b.appendTitle(out, s)
	}
	if s.NoKSM == nil || !b.title {
		out = b.appendValues(out, s)
	}
	if len(b.columns) > 0 {
		out = b.appendTable(out, s)
	}
	b.buf = out
	_, err := w.Write(out)
	return err
}

func (b *Batch) appendTitle(out []byte, s *model.Sample) []byte {
	out = append(out, "ksmtop "...)
	words := []string{s.Host, "Linux", s.Kernel}
	if s.Source == "sim" { // virtual time, and no kernel
		out = append(out, "SIM "...)
		words = words[:1]
	}
	out = s.Time.UTC().AppendFormat(out, time.RFC3339)
	for _, word := range words {
		if word != "" {
			out = append(append(out, ' '), word...)
		}
	}
	out = append(out, '\n')
	if s.NoKSM != nil {
		out = append(append(out, NoKSMLine(s)...), '\n')
	} else if s.Denied > 0 {
		out = strconv.AppendInt(append(out, "Not readable without "+Capability+": the KSM data of "...), int64(s.Denied), 10)
		out = append(format.Things(append(out, " of "...), uint64(s.Seen), "process"), '\n')
	}
	return out
}

// appendValues writes a line for each value: its name, the value, its unit.
func (b *Batch) appendValues(out []byte, s *model.Sample) []byte {
	width := 0
	for _, v := range b.values {
		width = max(width, len(v.Name))
	}
	for i := range b.values {
		v := &b.values[i]
		out = append(out, v.Name...)
		if b.title {
			out = pad(out, width-len(v.Name))
		}
		out = v.append(append(out, ' '), s)
		if b.title && v.Unit != "" {
			out = append(append(out, ' '), v.Unit...)
		}
		out = append(out, '\n')
	}
	return out
}

func (b *Batch) appendTable(out []byte, s *model.Sample) []byte {
	for i, c := range b.columns {
		out = b.appendCell(out, i, func(dst []byte) []byte { return appendHeading(dst, c) })
	}
	out = append(out, '\n')
	for i := range s.Rows {
		row := &s.Rows[i]
		for j, c := range b.columns {
			out = b.appendCell(out, j, func(dst []byte) []byte { return c.Plain(dst, row, s) })
		}
		out = append(out, '\n')
	}
	return out
}

func appendHeading(dst []byte, c *model.Column) []byte {
	heading := c.Heading
	if c.Name == "trend" {
		heading = "TREND" // its unit is another one here
	}
	dst = append(dst, heading...)
	if c.Unit != "" {
		dst = append(append(dst, '/'), c.Unit...)
	}
	return dst
}

// appendCell writes a cell of column i as wide as its heading needs, and the
// last one as it comes.
func (b *Batch) appendCell(out []byte, i int, write func([]byte) []byte) []byte {
	c := b.columns[i]
	if i > 0 {
		out = append(out, ' ')
	}
	start := len(out)
	out = write(out)
	var heading [32]byte
	width := max(c.Width, len(appendHeading(heading[:0], c)))
	missing := width - cells(out[start:])
	if missing <= 0 || i == len(b.columns)-1 && c.Left {
		return out
	}
	out = pad(out, missing)
	if !c.Left {
		copy(out[start+missing:], out[start:len(out)-missing])
		for j := range missing {
			out[start+j] = ' '
		}
	}
	return out
}

// cells returns how wide clean text is on a screen.
func cells(b []byte) int {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return text.Width(string(b))
		}
	}
	return len(b)
}

func pad(out []byte, n int) []byte {
	for range n {
		out = append(out, ' ')
	}
	return out
}

// FieldList writes the names that -o and -s know.
func FieldList(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Columns of the table of processes (-o, and -s to sort by):\n")
	for i := range model.Columns {
		c := &model.Columns[i]
		writeField(&b, c.Name, c.Unit, c.Meaning)
	}
	b.WriteString("Values of the machine (-o):\n")
	for _, v := range Values() {
		writeField(&b, v.Name, v.Unit, v.Meaning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeField(b *strings.Builder, name, unit, meaning string) {
	if unit != "" {
		meaning += " (" + unit + ")"
	}
	fmt.Fprintf(b, "  %-36s %s\n", name, meaning)
}

func isPermission(err error) bool   { return errors.Is(err, fs.ErrPermission) }
func isNotSupported(err error) bool { return errors.Is(err, sysfs.ErrNotSupported) }
