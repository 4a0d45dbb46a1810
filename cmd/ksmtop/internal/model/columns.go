package model

import (
	"cmp"
	"sort"
	"strconv"
	"strings"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Column is one column of the table of processes. The same columns serve the
// screen, batch output and sorting.
type Column struct {
	Name    string // as in -o and -s
	Heading string // on the screen
	Unit    string // of Plain; empty for words and plain numbers
	Width   int    // cells on the screen, 0 for the rest of the line
	Left    bool   // aligned left
	Meaning string

	// Ascending is the order in which people want to see it first.
	Ascending bool

	// Plain appends the cell for programs to read: one word, in Unit, "-" if
	// absent.
	Plain func(dst []byte, r *Row, s *Sample) []byte

	// Short appends the cell for people, or is nil if that is Plain.
	Short func(dst []byte, r *Row, s *Sample) []byte

	// Compare orders rows ascending.
	Compare func(a, b *Row) int
}

// Cell appends the cell for people.
func (c *Column) Cell(dst []byte, r *Row, s *Sample) []byte {
	if c.Short != nil {
		return c.Short(dst, r, s)
	}
	return c.Plain(dst, r, s)
}

// Columns are all columns, in the order in which they are listed.
var Columns = []Column{
	{Name: "pid", Heading: "PID", Width: 7, Ascending: true, Meaning: "process id",
		Plain:   func(dst []byte, r *Row, _ *Sample) []byte { return strconv.AppendInt(dst, int64(r.PID), 10) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.PID, b.PID) }},
	{Name: "ppid", Heading: "PPID", Width: 7, Ascending: true, Meaning: "process id of the parent",
		Plain:   func(dst []byte, r *Row, _ *Sample) []byte { return strconv.AppendInt(dst, int64(r.PPID), 10) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.PPID, b.PPID) }},
	{Name: "uid", Heading: "UID", Width: 6, Ascending: true, Meaning: "number of the effective user",
		Plain:   func(dst []byte, r *Row, _ *Sample) []byte { return strconv.AppendUint(dst, uint64(r.UID), 10) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.UID, b.UID) }},
	{Name: "user", Heading: "USER", Width: 8, Left: true, Ascending: true, Meaning: "name of the effective user",
		Plain:   func(dst []byte, r *Row, _ *Sample) []byte { return oneWord(dst, r.User) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.User, b.User) }},
	{Name: "mode", Heading: "MODE", Width: 4, Left: true, Ascending: true,
		Meaning: "how memory became mergeable: all by prctl, vma by madvise, none (Linux 6.14)",
		Plain: func(dst []byte, r *Row, s *Sample) []byte {
			if mode, ok := r.KSM.Mode(); ok {
				return append(dst, mode...)
			}
			return unknown(dst, r, s)
		},
		Compare: func(a, b *Row) int { return cmp.Compare(modeOf(a), modeOf(b)) }},
	{Name: "merged", Heading: "MERGED", Unit: "KiB", Width: 6,
		Meaning: "memory that shares a KSM page or the zero page",
		Plain: func(dst []byte, r *Row, s *Sample) []byte {
			return kib(dst, r, s, r.KSM.Has(sysfs.KSMMergingPages), r.MergedPages()*s.PageSize)
		},
		Short: func(dst []byte, r *Row, s *Sample) []byte {
			return short(dst, r, s, r.KSM.Has(sysfs.KSMMergingPages), r.MergedPages()*s.PageSize)
		},
		Compare: func(a, b *Row) int { return cmp.Compare(a.MergedPages(), b.MergedPages()) }},
	{Name: "zero", Heading: "ZERO", Unit: "KiB", Width: 6, Meaning: "memory that KSM replaced by the zero page (Linux 6.6)",
		Plain: func(dst []byte, r *Row, s *Sample) []byte {
			return kib(dst, r, s, r.KSM.Has(sysfs.KSMZeroPagesOf), int64(r.KSM.ZeroPages)*s.PageSize)
		},
		Short: func(dst []byte, r *Row, s *Sample) []byte {
			return short(dst, r, s, r.KSM.Has(sysfs.KSMZeroPagesOf), int64(r.KSM.ZeroPages)*s.PageSize)
		},
		Compare: func(a, b *Row) int { return cmp.Compare(a.KSM.ZeroPages, b.KSM.ZeroPages) }},
	{Name: "rss", Heading: "RSS", Unit: "KiB", Width: 6, Meaning: "resident memory; pages replaced by the zero page are not in it",
		Plain: func(dst []byte, r *Row, s *Sample) []byte {
			return strconv.AppendInt(dst, int64(r.RSS)*s.PageSize>>10, 10)
		},
		Short:   func(dst []byte, r *Row, s *Sample) []byte { return format.Short(dst, int64(r.RSS)*s.PageSize) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.RSS, b.RSS) }},
	{Name: "ofrss", Heading: "OFRSS", Unit: "%", Width: 5, Meaning: "merged memory as a share of resident memory",
		Plain:   func(dst []byte, r *Row, s *Sample) []byte { return appendShare(dst, r, s, "") },
		Short:   func(dst []byte, r *Row, s *Sample) []byte { return appendShare(dst, r, s, "%") },
		Compare: func(a, b *Row) int { return cmp.Compare(shareOf(a), shareOf(b)) }},
	{Name: "items", Heading: "ITEMS", Width: 8, Meaning: "pages that ksmd tracks, 64 bytes of metadata each (Linux 6.1)",
		Plain: func(dst []byte, r *Row, s *Sample) []byte {
			if !r.KSM.Has(sysfs.KSMRmapItems) {
				return unknown(dst, r, s)
			}
			return strconv.AppendUint(dst, r.KSM.RmapItems, 10)
		},
		Compare: func(a, b *Row) int { return cmp.Compare(a.KSM.RmapItems, b.KSM.RmapItems) }},
	{Name: "rmap_pg", Heading: "RMAP/PG", Width: 7,
		Meaning: "pages tracked for each page merged; from page size / 64 on tracking costs more than merging saves",
		Plain: func(dst []byte, r *Row, s *Sample) []byte {
			ratio, ok := r.ItemsPerPage()
			if !ok {
				return unknown(dst, r, s)
			}
			return format.Fixed(dst, ratio, 1)
		},
		Compare: func(a, b *Row) int { return cmp.Compare(itemsPerPage(a), itemsPerPage(b)) }},
	{Name: "profit", Heading: "PROFIT", Unit: "KiB", Width: 7,
		Meaning: "the kernel's ksm_process_profit: every sharer counts its pages in full, so the column sums to more than the net saving",
		Plain:   func(dst []byte, r *Row, s *Sample) []byte { return kib(dst, r, s, r.HasProfit(), r.Profit) },
		Short:   func(dst []byte, r *Row, s *Sample) []byte { return short(dst, r, s, r.HasProfit(), r.Profit) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.Profit, b.Profit) }},
	{Name: "saved", Heading: "SAVED", Unit: "KiB", Width: 7,
		Meaning: "the process's part of the machine's saving, amortised: the column and the unattributed rest add up to it",
		Plain:   func(dst []byte, r *Row, s *Sample) []byte { return attributed(dst, r, s, r.HasSaved(s), r.Saved, kib) },
		Short: func(dst []byte, r *Row, s *Sample) []byte {
			return attributed(dst, r, s, r.HasSaved(s), r.Saved, short)
		},
		Compare: func(a, b *Row) int { return cmp.Compare(a.Saved, b.Saved) }},
	{Name: "net", Heading: "NET", Unit: "KiB", Width: 7, Meaning: "saved less the metadata of the pages tracked",
		Plain:   func(dst []byte, r *Row, s *Sample) []byte { return attributed(dst, r, s, r.HasNet(s), r.Net, kib) },
		Short:   func(dst []byte, r *Row, s *Sample) []byte { return attributed(dst, r, s, r.HasNet(s), r.Net, short) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.Net, b.Net) }},
	{Name: "trend", Heading: "MB/mn", Unit: "KiB/min", Width: 5, Meaning: "change of profit in a minute, over the last 30 to 60 s",
		Plain: func(dst []byte, r *Row, s *Sample) []byte {
			if !r.HasTrend {
				return unknown(dst, r, s)
			}
			return format.Fixed(dst, r.Trend/1024, 0)
		},
		Short:   func(dst []byte, r *Row, s *Sample) []byte { return appendTrend(dst, r, s) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.Trend, b.Trend) }},
	{Name: "comm", Heading: "COMM", Width: 16, Left: true, Ascending: true, Meaning: "short name of the program",
		Plain:   func(dst []byte, r *Row, _ *Sample) []byte { return oneWord(dst, r.Name) },
		Short:   func(dst []byte, r *Row, _ *Sample) []byte { return append(dst, r.Name...) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.Name, b.Name) }},
	{Name: "command", Heading: "COMMAND", Left: true, Ascending: true, Meaning: "the command line, in full",
		Plain:   func(dst []byte, r *Row, _ *Sample) []byte { return append(dst, r.Command...) },
		Short:   func(dst []byte, r *Row, _ *Sample) []byte { return append(dst, r.ShortCommand()...) },
		Compare: func(a, b *Row) int { return cmp.Compare(a.Command, b.Command) }},
}

// ColumnByName returns the column of that name, or nil.
func ColumnByName(name string) *Column {
	for i := range Columns {
		if Columns[i].Name == name {
			return &Columns[i]
		}
	}
	return nil
}

// Sort orders rows by column in its own order, or the other way round if
// inverted. Equal rows stand in order of PID.
func Sort(rows []Row, column *Column, inverted bool) {
	o := order{rows, column, -1}
	if column.Ascending != inverted {
		o.sign = 1
	}
	sort.Sort(&o)
}

// order sorts rows where they are: slices.SortFunc would copy two of them to the
// heap for every comparison.
type order struct {
	rows   []Row
	column *Column
	sign   int
}

func (o *order) Len() int      { return len(o.rows) }
func (o *order) Swap(i, j int) { o.rows[i], o.rows[j] = o.rows[j], o.rows[i] }

func (o *order) Less(i, j int) bool {
	a, b := &o.rows[i], &o.rows[j]
	if c := o.sign * o.column.Compare(a, b); c != 0 {
		return c < 0
	}
	if a.PID != b.PID {
		return a.PID < b.PID
	}
	return a.Start < b.Start // one of them has gone
}

// oneWord appends a cell that holds no blank, so that columns can be counted.
func oneWord(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	return append(dst, strings.ReplaceAll(s, " ", "_")...)
}

func modeOf(r *Row) string {
	if mode, ok := r.KSM.Mode(); ok {
		return mode
	}
	return "-"
}

// unknown appends what stands for a value that is not known: "?" if the
// process's KSM data could not be read, "-" if this kernel has no such value.
func unknown(dst []byte, r *Row, s *Sample) []byte {
	if r.KSM.Present == 0 && (s.HasProcesses() || s.ProcessProblem != nil) {
		return append(dst, '?')
	}
	return append(dst, '-')
}

func kib(dst []byte, r *Row, s *Sample, known bool, bytes int64) []byte {
	if !known {
		return unknown(dst, r, s)
	}
	return kibibytes(dst, bytes)
}

func short(dst []byte, r *Row, s *Sample, known bool, bytes int64) []byte {
	if !known {
		return unknown(dst, r, s)
	}
	return shortBytes(dst, bytes)
}

// attributed is write for a part of what the machine saves.
func attributed(dst []byte, r *Row, s *Sample, known bool, bytes int64, write func([]byte, *Row, *Sample, bool, int64) []byte) []byte {
	if !known && s.unreadable() {
		return append(dst, '?')
	}
	return write(dst, r, s, known, bytes)
}

func kibibytes(dst []byte, bytes int64) []byte { return strconv.AppendInt(dst, bytes/1024, 10) }

func shortBytes(dst []byte, bytes int64) []byte {
	if bytes == 0 {
		return append(dst, '.')
	}
	return format.Short(dst, bytes)
}

// shareOf returns merged memory in percent of resident memory. Pages replaced
// by the zero page are not resident, so they count on both sides.
func shareOf(r *Row) float64 {
	zero := max(0, float64(r.KSM.ZeroPages))
	if float64(r.RSS)+zero == 0 {
		return 0
	}
	return min(100, 100*float64(r.MergedPages())/(float64(r.RSS)+zero))
}

func appendShare(dst []byte, r *Row, s *Sample, unit string) []byte {
	if !r.KSM.Has(sysfs.KSMMergingPages) {
		return unknown(dst, r, s)
	}
	return append(format.Fixed(dst, shareOf(r), 0), unit...)
}

func itemsPerPage(r *Row) float64 {
	ratio, _ := r.ItemsPerPage()
	return ratio
}

func appendTrend(dst []byte, r *Row, s *Sample) []byte {
	mib := r.Trend / (1 << 20)
	switch {
	case !r.HasTrend:
		return unknown(dst, r, s)
	case mib > -0.5 && mib < 0.5:
		return append(dst, '.')
	case mib > 0:
		dst = append(dst, '+')
	}
	return format.Fixed(dst, mib, 0)
}
