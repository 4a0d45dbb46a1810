package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sim"
)

// print writes what came of a script, in the form that the flags ask for; brief
// is a line without the table.
func (f *labFlags) print(out io.Writer, r *labResult, brief bool) error {
	var b bytes.Buffer
	switch {
	case f.tsv != "":
		return f.writeTSV(out, r)
	case f.asJSON:
		if err := writeLabJSON(&b, r); err != nil {
			return err
		}
	case brief:
		fmt.Fprintf(&b, "%-7s %s, %s\n", r.verdict(), text.Clean(r.Name), plural(r.rows(), "row"))
		writeComparisons(&b, r, "        ")
	case len(r.outcomes) > 0:
		if f.events {
			b.WriteByte('\n')
		}
		writeTables(&b, r)
	}
	_, err := out.Write(b.Bytes())
	return err
}

func (r *labResult) verdict() string {
	switch {
	case r.err != nil || r.refused() != nil:
		return "failed"
	case r.differs() > 0:
		return "differs"
	case len(r.compared) > 0:
		return "equal"
	}
	return "done"
}

func (r *labResult) rows() int {
	if len(r.outcomes) == 0 {
		return 0
	}
	return len(r.outcomes[0].Table.Rows)
}

// writeTSV writes the table of a script also if it ended early.
func (f *labFlags) writeTSV(out io.Writer, r *labResult) error {
	if len(r.outcomes) == 0 {
		return nil
	}
	table := r.outcomes[0].Table
	if f.tsv == "-" {
		return table.WriteTSV(out)
	}
	var b bytes.Buffer
	if err := table.WriteTSV(&b); err != nil {
		return err
	}
	return os.WriteFile(f.tsv, b.Bytes(), 0o666)
}

// writeTables writes one table for people: that of the last side, which is the
// kernel if it ran, with what differs marked and listed below.
func writeTables(b *bytes.Buffer, r *labResult) {
	table := r.outcomes[len(r.outcomes)-1].Table
	marked := make(map[labCell]bool)
	for _, c := range r.compared {
		for _, d := range c.differences {
			marked[labCell{d.Row, d.Column}] = true
		}
	}
	writeLabTable(b, table, marked)
	for _, c := range r.compared {
		switch label := r.undecidedFrom(); {
		case len(c.differences) > 0:
		case label == "":
			fmt.Fprintf(b, "\n%s and %s agree in all %s.\n", c.got, c.want, plural(table.Cells(), "value"))
		default:
			fmt.Fprintf(b, "\n%s and %s agree before %s.\n", c.got, c.want, label)
		}
	}
	if r.differs() > 0 {
		b.WriteByte('\n')
	}
	writeComparisons(b, r, "")
	if label := r.undecidedFrom(); label != "" {
		fmt.Fprintf(b, "\nFrom %s on the kernel may count otherwise: that depends on its allocator.\n", label)
	}
}

// undecidedFrom returns the label of the first row that the model calls undecided,
// or "".
func (r *labResult) undecidedFrom() string {
	for _, o := range r.outcomes {
		if o.Undecided && o.Decided < len(o.Table.Rows) {
			return o.Table.Rows[o.Decided].Label
		}
	}
	return ""
}

// writeComparisons lists every cell that differs.
func writeComparisons(b *bytes.Buffer, r *labResult, indent string) {
	for _, c := range r.compared {
		if len(c.differences) == 0 {
			continue
		}
		rows := [][]string{{"label", "process", "column", c.got, c.want}}
		for _, d := range c.differences {
			rows = append(rows, []string{d.Label, d.Process, d.Column, noRow(d.Got), noRow(d.Want)})
		}
		fmt.Fprintf(b, "%s%s and %s differ in %s:\n", indent, c.got, c.want, plural(len(c.differences), "cell"))
		writeColumns(b, rows, indent+"  ", 2, 3)
	}
}

// noRow stands for a cell of a row that only the other table has.
func noRow(cell string) string {
	if cell == "" {
		return "(no row)"
	}
	return cell
}

// labCell is a cell of a table.
type labCell struct {
	row    int
	column string // the column's full name
}

// labColumns are the columns of the table for people. A process has its own
// number where ofProcess says so.
var labColumns = []struct {
	short, narrow     string // names
	column, ofProcess sim.Column
	unit              string // if it is not pages or a number
}{
	{"scans", "scans", sim.ColumnFullScans, sim.ColumnFullScans, ""},
	{"scanned", "scnd", sim.ColumnPagesScanned, sim.ColumnPagesScanned, ""},
	{"skipped", "skip", sim.ColumnPagesSkipped, sim.ColumnPagesSkipped, ""},
	{"shared", "shrd", sim.ColumnPagesShared, sim.ColumnPagesShared, ""},
	{"sharing", "shng", sim.ColumnPagesSharing, sim.ColumnPagesSharing, ""},
	{"unshared", "unsh", sim.ColumnPagesUnshared, sim.ColumnPagesUnshared, ""},
	{"volatile", "vola", sim.ColumnPagesVolatile, sim.ColumnPagesVolatile, ""},
	{"zero", "zero", sim.ColumnKSMZeroPages, sim.ColumnKSMZeroPages, ""},
	{"chains", "chns", sim.ColumnStableNodeChains, sim.ColumnStableNodeChains, ""},
	{"dups", "dups", sim.ColumnStableNodeDups, sim.ColumnStableNodeDups, ""},
	{"items", "item", sim.ColumnRmapItems, sim.ColumnRmapItems, ""},
	{"merging", "merg", sim.ColumnMergingPages, sim.ColumnMergingPages, ""},
	{"profit", "profit", sim.ColumnGeneralProfit, sim.ColumnProcessProfit, " in bytes"},
}

// writeLabTable writes a table in columns as narrow as can be: a line for the
// machine at each show, with the label, and those of the processes below it.
// Columns that are 0 in all rows are left out. What is below says the full names.
func writeLabTable(b *bytes.Buffer, t *sim.Table, marked map[labCell]bool) {
	if len(t.Rows) == 0 {
		b.WriteString("The script shows nothing.\n")
		return
	}
	rows := [][]string{{"label"}}
	for i := range t.Rows {
		name := t.Rows[i].Label
		if p := t.Rows[i].Process; p != sim.SystemProcess {
			name = "  " + p
		}
		if marked[labCell{i, "label"}] || marked[labCell{i, "process"}] {
			name += " *"
		}
		rows = append(rows, []string{name})
	}
	var shown []int // of labColumns
	var left []string
	for n := range labColumns {
		cells, any := labColumnOf(t, n, marked)
		if !any {
			left = append(left, labColumns[n].column.String())
			continue
		}
		shown = append(shown, n)
		rows[0] = append(rows[0], labColumns[n].short)
		for i, cell := range cells {
			rows[i+1] = append(rows[i+1], cell)
		}
	}
	const terminal = 80
	gap := 2
	if tableWidth(rows, gap) > terminal {
		gap = 1
	}
	if tableWidth(rows, gap) > terminal {
		for i, n := range shown {
			rows[0][i+1] = labColumns[n].narrow
		}
	}
	writeColumns(b, rows, "", gap, 1)
	b.WriteByte('\n')
	var names []string
	for i, n := range shown {
		spec := &labColumns[n]
		full := spec.column.String()
		if spec.ofProcess != spec.column {
			full += " or " + spec.ofProcess.String()
		}
		names = append(names, rows[0][i+1]+"="+full+spec.unit)
	}
	if len(names) > 0 {
		writeWrapped(b, strings.Join(names, ", ")+".")
	}
	if len(left) > 0 {
		writeWrapped(b, "0 throughout: "+strings.Join(left, ", ")+".")
	}
}

// labColumnOf returns the cells of column n of labColumns, and whether any is
// worth showing.
func labColumnOf(t *sim.Table, n int, marked map[labCell]bool) (cells []string, any bool) {
	for i := range t.Rows {
		column := labColumns[n].column
		if t.Rows[i].Process != sim.SystemProcess {
			column = labColumns[n].ofProcess
		}
		cell := ""
		value, ok := t.Rows[i].Value(column)
		if ok {
			cell = strconv.FormatInt(value, 10)
		}
		if marked[labCell{i, column.String()}] {
			cell, any = "*"+cell, true
		}
		any = any || value != 0
		cells = append(cells, cell)
	}
	return cells, any
}

func columnWidths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], text.Width(cell))
		}
	}
	return widths
}

func tableWidth(rows [][]string, gap int) int {
	total := -gap
	for _, w := range columnWidths(rows) {
		total += w + gap
	}
	return total
}

// writeColumns writes a table whose first columns, as many as left says, are
// aligned at the left, and the others at the right.
func writeColumns(b *bytes.Buffer, rows [][]string, indent string, gap, left int) {
	widths := columnWidths(rows)
	var line strings.Builder
	for _, row := range rows {
		line.Reset()
		line.WriteString(indent)
		for i, cell := range row {
			if i > 0 {
				line.WriteString(strings.Repeat(" ", gap))
			}
			pad := strings.Repeat(" ", widths[i]-text.Width(cell))
			if i < left {
				line.WriteString(cell + pad)
			} else {
				line.WriteString(pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
}

// writeWrapped writes words in lines of up to 80 characters.
func writeWrapped(b *bytes.Buffer, words string) {
	width := 0
	for word := range strings.FieldsSeq(words) {
		if width > 0 && width+1+len(word) > 80 {
			b.WriteByte('\n')
			width = 0
		}
		if width > 0 {
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	b.WriteByte('\n')
}

// The JSON of lab. A value that a row does not have is left out.
type (
	labJSON struct {
		Schema      int             `json:"schema"`
		Script      string          `json:"script"`
		Tables      []labTableJSON  `json:"tables"`
		Differences []labDifferJSON `json:"differences,omitempty"`
		Error       string          `json:"error,omitempty"`
	}
	labTableJSON struct {
		On      string           `json:"on"`
		Rows    []map[string]any `json:"rows"`
		Refused int              `json:"refused_line,omitempty"`
	}
	labDifferJSON struct {
		Label   string `json:"label"`
		Process string `json:"process"`
		Column  string `json:"column"`
		// Got and Want are the cells as in a .tsv, empty in a row that is missing.
		GotFrom  string `json:"got_from"`
		Got      string `json:"got"`
		WantFrom string `json:"want_from"`
		Want     string `json:"want"`
	}
)

func writeLabJSON(b *bytes.Buffer, r *labResult) error {
	object := labJSON{Schema: 1, Script: text.Clean(r.Name), Tables: []labTableJSON{}}
	for _, o := range r.outcomes {
		table := labTableJSON{On: o.side, Rows: []map[string]any{}}
		for i := range o.Table.Rows {
			row := &o.Table.Rows[i]
			values := map[string]any{"label": row.Label, "process": row.Process}
			for c := range sim.Column(sim.NumColumns) {
				if v, ok := row.Value(c); ok {
					values[c.String()] = v
				}
			}
			table.Rows = append(table.Rows, values)
		}
		if o.Refused != nil {
			table.Refused = o.Refused.Line
		}
		object.Tables = append(object.Tables, table)
	}
	for _, c := range r.compared {
		for _, d := range c.differences {
			object.Differences = append(object.Differences, labDifferJSON{d.Label, d.Process, d.Column, c.got, d.Got, c.want, d.Want})
		}
	}
	if r.err != nil {
		object.Error = text.Clean(r.err.Error())
	}
	return json.NewEncoder(b).Encode(object)
}
