package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Table is what a script printed.
type Table struct {
	Rows []Row
}

// SystemProcess is the Process of a Row of the whole machine.
const SystemProcess = "-"

// Row is one line of a Table: the counters of the machine or of one process at
// one show.
type Row struct {
	Label   string
	Process string // or SystemProcess

	// Values are by Column. Those that are not in Present are 0.
	Values [NumColumns]int64

	// Present has bit 1<<c for each Column c that has a value.
	Present uint16
}

// Column is a column of a Table after those of label and process.
type Column uint8

// The columns, named like the kernel's files.
const (
	ColumnFullScans Column = iota
	ColumnPagesScanned
	ColumnPagesSkipped
	ColumnPagesShared
	ColumnPagesSharing
	ColumnPagesUnshared
	ColumnPagesVolatile
	ColumnKSMZeroPages
	ColumnStableNodeChains
	ColumnStableNodeDups
	ColumnGeneralProfit
	ColumnRmapItems
	ColumnMergingPages
	ColumnProcessProfit

	NumColumns = iota
)

const columnLabel, columnProcess = "label", "process"

var columnNames = [NumColumns]string{
	"full_scans", "pages_scanned", "pages_skipped", "pages_shared", "pages_sharing", "pages_unshared",
	"pages_volatile", "ksm_zero_pages", "stable_node_chains", "stable_node_dups", "general_profit",
	"ksm_rmap_items", "ksm_merging_pages", "ksm_process_profit",
}

// String returns the column's name.
func (c Column) String() string { return columnNames[c] }

// Set gives r a value in column c.
func (r *Row) Set(c Column, value int64) {
	r.Values[c] = value
	r.Present |= 1 << c
}

// Value returns the value in column c, or false if there is none.
func (r *Row) Value(c Column) (int64, bool) {
	return r.Values[c], r.Present&(1<<c) != 0
}

// noValue is printed where a row has no value.
const noValue = "."

// cell returns what is printed in column c.
func (r *Row) cell(c Column) string {
	value, ok := r.Value(c)
	if !ok {
		return noValue
	}
	return strconv.FormatInt(value, 10)
}

// WriteTSV writes the table: tab-separated, the names of the columns first, one
// line a row.
func (t *Table) WriteTSV(w io.Writer) error {
	text := []byte(header)
	for i := range t.Rows {
		r := &t.Rows[i]
		text = append(text, r.Label...)
		text = append(text, '\t')
		text = append(text, r.Process...)
		for c := range Column(NumColumns) {
			text = append(text, '\t')
			text = append(text, r.cell(c)...)
		}
		text = append(text, '\n')
	}
	_, err := w.Write(text)
	return err
}

var header = columnLabel + "\t" + columnProcess + "\t" + strings.Join(columnNames[:], "\t") + "\n"

// ReadTSV reads what WriteTSV wrote, and nothing else: a table that it accepts
// is written back byte for byte. Its errors name the line.
func ReadTSV(r io.Reader) (*Table, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(text, []byte(header))
	if !ok {
		return nil, errors.New("line 1: not the columns of such a table")
	}
	t := &Table{}
	for number := 2; len(rest) > 0; number++ {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if !ended {
			return nil, fmt.Errorf("line %d: has no end", number)
		}
		row, err := parseRow(strings.Split(string(line), "\t"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		t.Rows = append(t.Rows, row)
		rest = after
	}
	return t, nil
}

func parseRow(cells []string) (Row, error) {
	if len(cells) != 2+NumColumns {
		return Row{}, fmt.Errorf("%d cells instead of %d", len(cells), 2+NumColumns)
	}
	r := Row{Label: cells[0], Process: cells[1]}
	if !isLabel(r.Label) {
		return Row{}, fmt.Errorf("%s: %s: not a label", columnLabel, quote(r.Label))
	}
	if r.Process != SystemProcess && !isName(r.Process) {
		return Row{}, fmt.Errorf("%s: %s: not a process", columnProcess, quote(r.Process))
	}
	for c := range Column(NumColumns) {
		text := cells[2+c]
		if text == noValue {
			continue
		}
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(value, 10) != text {
			return Row{}, fmt.Errorf("%s: %s: not a number", c, quote(text))
		}
		r.Set(c, value)
	}
	return r, nil
}

// Difference is a cell in which two tables differ.
type Difference struct {
	Row            int // from 0
	Label, Process string
	Column         string // the column's name

	// Got and Want are the cells as they are printed. If only one of the
	// tables has the row, Column is "label" and the other one's cell is "".
	Got, Want string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s %s %s: got %s, want %s", d.Label, d.Process, d.Column, orNone(d.Got), orNone(d.Want))
}

func orNone(cell string) string {
	if cell == "" {
		return "no such row"
	}
	return cell
}

// Diff returns the cells in which got differs from want, in the order of the
// rows. Rows of different labels or processes are not compared further.
// Columns in ignore are not compared.
func Diff(got, want *Table, ignore ...Column) []Difference {
	var list []Difference
	for i := range max(len(got.Rows), len(want.Rows)) {
		switch {
		case i >= len(got.Rows):
			r := &want.Rows[i]
			list = append(list, Difference{i, r.Label, r.Process, columnLabel, "", r.Label})
		case i >= len(want.Rows):
			r := &got.Rows[i]
			list = append(list, Difference{i, r.Label, r.Process, columnLabel, r.Label, ""})
		default:
			list = diffRow(list, i, &got.Rows[i], &want.Rows[i], ignore)
		}
	}
	return list
}

func diffRow(list []Difference, i int, got, want *Row, ignore []Column) []Difference {
	if got.Label != want.Label {
		return append(list, Difference{i, want.Label, want.Process, columnLabel, got.Label, want.Label})
	}
	if got.Process != want.Process {
		return append(list, Difference{i, want.Label, want.Process, columnProcess, got.Process, want.Process})
	}
	for c := range Column(NumColumns) {
		if g, w := got.cell(c), want.cell(c); g != w && !slices.Contains(ignore, c) {
			list = append(list, Difference{i, want.Label, want.Process, c.String(), g, w})
		}
	}
	return list
}
