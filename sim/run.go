package sim

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Run carries out a script on b, whose pages are of 4096 bytes. See Runner.
func Run(ctx context.Context, s *Script, b Backend) (*Table, error) {
	r := Runner{Backend: b}
	return r.Run(ctx, s)
}

// Runner carries out scripts.
type Runner struct {
	Backend Backend

	// PageSize is the size of the backend's pages in bytes; 0 is 4096.
	PageSize int

	// Before and After, if not nil, are called around each operation that is
	// carried out. After is not called for one that fails.
	Before, After func(*Op)

	// Of the last run, see Outcome.
	undecided bool
	decided   int
}

// undecider is a Backend that knows when it may not do what the kernel does.
type undecider interface{ Undecided() int }

// Run checks all of s, carries it out on a backend on which nothing ran before,
// and returns what it shows. If it fails on the way the rows before are returned
// with the error: a *ScriptError if the kernel refused to change a knob now.
// Run does not close the backend.
func (r *Runner) Run(ctx context.Context, s *Script) (*Table, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	table, names := &Table{}, newScope()
	r.undecided = false
	knows, _ := r.Backend.(undecider)
	for i := range s.Ops {
		op := &s.Ops[i]
		if err := ctx.Err(); err != nil {
			return table, err
		}
		if r.Before != nil {
			r.Before(op)
		}
		err := r.carryOut(ctx, op, names, table)
		if err != nil {
			return table, runError(s.Name, op, err)
		}
		if knows != nil && !r.undecided && knows.Undecided() > 0 {
			r.undecided, r.decided = true, len(table.Rows)
		}
		names.apply(op) // the script was checked: there is no fault
		if r.After != nil {
			r.After(op)
		}
	}
	return table, nil
}

// runError says where a script failed.
func runError(file string, op *Op, err error) error {
	if op.Kind == OpSet && errors.Is(err, syscall.EBUSY) {
		return &ScriptError{File: file, Line: op.Line, Word: op.Knob.String(),
			Reason: "cannot change while there are KSM pages", Err: syscall.EBUSY}
	}
	return fmt.Errorf("%s:%d: %s: %w", file, op.Line, op, err)
}

// carryOut carries out one operation; names is what exists before it.
func (r *Runner) carryOut(ctx context.Context, op *Op, names *scope, table *Table) error {
	b := r.Backend
	switch op.Kind {
	case OpSet:
		return b.Set(ctx, op.Knob, op.Value)
	case OpSpawn:
		return b.Spawn(ctx, op.Process)
	case OpFork:
		return b.Fork(ctx, op.Process, op.Child)
	case OpExit:
		return b.Exit(ctx, op.Process)
	case OpMap:
		return b.Map(ctx, op.Process, op.Area, op.Pages)
	case OpUnmap:
		return r.unmap(ctx, op, names)
	case OpWrite:
		return b.Write(ctx, op.Process, op.Area, op.First, op.Pages, op.Content, 1)
	case OpFill:
		return b.Write(ctx, op.Process, op.Area, op.First, op.Pages, op.Content, 0)
	case OpRead:
		return b.Read(ctx, op.Process, op.Area, op.First, op.Pages)
	case OpDontNeed:
		return b.DontNeed(ctx, op.Process, op.Area, op.First, op.Pages)
	case OpMergeable:
		return b.Mergeable(ctx, op.Process, op.Area, op.First, op.Pages)
	case OpUnmergeable:
		return b.Unmergeable(ctx, op.Process, op.Area, op.First, op.Pages)
	case OpScan:
		return b.Scan(ctx, op.Count)
	case OpBatch:
		return b.Batch(ctx, op.Count)
	case OpShow:
		return r.show(ctx, op.Label, names, table)
	}
	panic("sim: a checked script has an unknown operation")
}

func (r *Runner) unmap(ctx context.Context, op *Op, names *scope) error {
	runs := []pageRun{{op.First, op.Pages}}
	if op.Pages == 0 {
		runs = names.processes[op.Process].areas[op.Area].left
	}
	for _, run := range runs {
		if err := r.Backend.Unmap(ctx, op.Process, op.Area, run.first, run.pages); err != nil {
			return err
		}
	}
	return nil
}

// show appends the rows of one show, all or none of them.
func (r *Runner) show(ctx context.Context, label string, names *scope, table *Table) error {
	counters, err := r.Backend.Counters(ctx)
	if err != nil {
		return err
	}
	rows := []Row{r.systemRow(label, &counters)}
	for p := range names.live {
		stat, err := r.Backend.ProcessStat(ctx, p.name)
		if err != nil {
			return err
		}
		rows = append(rows, processRow(label, p.name, &stat))
	}
	table.Rows = append(table.Rows, rows...)
	return nil
}

func (r *Runner) systemRow(label string, c *sysfs.Counters) Row {
	row := Row{Label: label, Process: SystemProcess}
	set := func(column Column, field sysfs.Field, value int64) {
		if c.Has(field) {
			row.Set(column, value)
		}
	}
	set(ColumnFullScans, sysfs.FullScans, int64(c.FullScans))
	set(ColumnPagesScanned, sysfs.PagesScanned, int64(c.PagesScanned))
	set(ColumnPagesSkipped, sysfs.PagesSkipped, int64(c.PagesSkipped))
	set(ColumnPagesShared, sysfs.PagesShared, int64(c.PagesShared))
	set(ColumnPagesSharing, sysfs.PagesSharing, int64(c.PagesSharing))
	set(ColumnPagesUnshared, sysfs.PagesUnshared, int64(c.PagesUnshared))
	set(ColumnPagesVolatile, sysfs.PagesVolatile, int64(c.PagesVolatile))
	set(ColumnKSMZeroPages, sysfs.KSMZeroPages, int64(c.KSMZeroPages))
	set(ColumnStableNodeChains, sysfs.StableNodeChains, int64(c.StableNodeChains))
	set(ColumnStableNodeDups, sysfs.StableNodeDups, int64(c.StableNodeDups))
	set(ColumnGeneralProfit, sysfs.GeneralProfit, c.GeneralProfit)

	// The kernel does not export how many items there are, but general_profit
	// charges 64 bytes for each.
	if c.Has(sysfs.GeneralProfit) && c.Has(sysfs.PagesSharing) && c.Has(sysfs.KSMZeroPages) {
		saved := int64(c.PagesSharing) + int64(c.KSMZeroPages)
		row.Set(ColumnRmapItems, (saved*int64(r.pageSize())-c.GeneralProfit)/sysfs.ItemBytes)
	}
	return row
}

func (r *Runner) pageSize() int {
	if r.PageSize == 0 {
		return 4096
	}
	return r.PageSize
}

func processRow(label, name string, s *sysfs.ProcessStat) Row {
	row := Row{Label: label, Process: name}
	if s.Has(sysfs.KSMZeroPagesOf) {
		row.Set(ColumnKSMZeroPages, int64(s.ZeroPages))
	}
	if s.Has(sysfs.KSMRmapItems) {
		row.Set(ColumnRmapItems, int64(s.RmapItems))
	}
	if s.Has(sysfs.KSMMergingPages) {
		row.Set(ColumnMergingPages, int64(s.MergingPages))
	}
	if s.Has(sysfs.KSMProcessProfit) {
		row.Set(ColumnProcessProfit, s.Profit)
	}
	return row
}
