package sim

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"
)

// Differential fuzzing runs random scripts on two backends that should agree,
// here called the kernel and the model, and stops at the first that they do not
// agree on:
//
//	seed ──> RandomScript ──> kernel ──┐
//	              │                    ├─ the same? ──> the next seed
//	              └─────────> model ───┘
//	                                   └─ no: run again; if it stands, Shrink
//
// The kernel is a real machine, on which other things happen. A difference counts
// only if it is there each time the script runs.

// Outcome is how a script ended that was carried out as far as it goes.
type Outcome struct {
	Table *Table

	// Refused is the operation that ended the script since the kernel refused
	// to change a knob, or nil.
	Refused *ScriptError

	// Undecided says that from row Decided of the table on the kernel may count
	// otherwise, since what it did depended on its allocator: see
	// ksmd.Daemon.Undecided.
	Undecided bool
	Decided   int
}

// RunFunc runs a script on a backend on which nothing ran before.
type RunFunc func(ctx context.Context, s *Script) (Outcome, error)

// Outcome is Run for comparisons: that a knob was refused is a result there, and
// no error.
func (r *Runner) Outcome(ctx context.Context, s *Script) (Outcome, error) {
	table, err := r.Run(ctx, s)
	o := Outcome{Table: table, Undecided: r.undecided, Decided: r.decided}
	if refused, ok := errors.AsType[*ScriptError](err); ok && refused.Err != nil {
		o.Refused, err = refused, nil
	}
	return o, err
}

// columnRefused is the Column of a Difference in where a script was refused.
const columnRefused = "refused in line"

// DiffOutcomes returns in what two outcomes of a script differ: cells, and the
// line of the operation that was refused. Columns without any value in want are
// not compared: an older kernel lacks them. Nor are rows that one of them calls
// undecided, and what follows.
func DiffOutcomes(got, want Outcome) []Difference {
	if got.Undecided || want.Undecided {
		n := decided(got, want)
		return Diff(got.Table.first(n), want.Table.first(n), want.Table.missing()...)
	}
	list := Diff(got.Table, want.Table, want.Table.missing()...)
	if g, w := got.refusedIn(), want.refusedIn(); g != w {
		list = append(list, Difference{max(len(got.Table.Rows), len(want.Table.Rows)), "(end)", SystemProcess, columnRefused, g, w})
	}
	return list
}

// decided returns how many rows both outcomes have that neither calls undecided.
func decided(a, b Outcome) int {
	n := min(len(a.Table.Rows), len(b.Table.Rows))
	for _, o := range []Outcome{a, b} {
		if o.Undecided {
			n = min(n, o.Decided)
		}
	}
	return n
}

// first returns the first n rows of t.
func (t *Table) first(n int) *Table { return &Table{Rows: t.Rows[:n]} }

func (o *Outcome) refusedIn() string {
	if o.Refused == nil {
		return noValue
	}
	return strconv.Itoa(o.Refused.Line)
}

// missing returns the columns that have no value in any row.
func (t *Table) missing() []Column {
	var present uint16
	for i := range t.Rows {
		present |= t.Rows[i].Present
	}
	var list []Column
	for c := range Column(NumColumns) {
		if present&(1<<c) == 0 {
			list = append(list, c)
		}
	}
	return list
}

// Cells returns how many values the table has.
func (t *Table) Cells() int {
	n := 0
	for i := range t.Rows {
		n += bits.OnesCount16(t.Rows[i].Present)
	}
	return n
}

// RandomScript returns the random script of a seed, of ops operations; 0 is 100.
// One in eight may try to change a knob that the kernel refuses to change.
func RandomScript(seed uint64, ops int, profile Profile) *Script {
	rng := rand.New(rand.NewPCG(seed, 0))
	return Generate(rng, GenerateOptions{Ops: ops, Profile: profile, Refusals: seed%8 == 7})
}

// Fuzz compares two backends on random scripts.
type Fuzz struct {
	// Kernel is what is right and may vary between runs, Model what is tested.
	Kernel, Model RunFunc

	// Seed is that of the first RandomScript; those after it have the next ones.
	Seed    uint64
	Ops     int
	Profile Profile

	// More, if not nil, is asked before each script whether to go on.
	More func() bool

	// Progress, if not nil, is called after each script.
	Progress func(FuzzStats)

	// Found, if not nil, is called with the seed of a script that differs,
	// before it runs again and is shrunk, which may take minutes.
	Found func(seed uint64)
}

// FuzzStats says how much was compared so far.
type FuzzStats struct {
	Scripts int
	Ops     int // carried out
	Rows    int // of tables
	Cells   int // values in them
	Refused int // scripts that ended early, for a knob that was refused

	// Undecided counts scripts that were compared in part only, up to where what
	// the kernel does depends on its allocator.
	Undecided int

	// Unstable are the seeds of scripts that differed, but not when they ran
	// again.
	Unstable []uint64
}

// Finding is a script on which kernel and model disagree.
type Finding struct {
	Seed          uint64
	Script        *Script // the shortest one
	Kernel, Model Outcome // of it
	Differences   []Difference
}

// repeats is how often a script that differs runs again. It must differ each
// time.
const repeats = 2

// Run compares until More is false, ctx is done, or a difference stands: then the
// Finding is not nil. An error of a backend, other than that ctx is done, ends it
// too.
func (f *Fuzz) Run(ctx context.Context) (FuzzStats, *Finding, error) {
	var stats FuzzStats
	for seed := f.Seed; f.More == nil || f.More(); seed++ {
		s := RandomScript(seed, f.Ops, f.Profile)
		found, err := f.compare(ctx, s)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return stats, nil, fmt.Errorf("the script of seed %d: %w", seed, err)
		}
		stats.add(s, found)
		if len(found.Differences) > 0 {
			if f.Found != nil {
				f.Found(seed)
			}
			stands, err := f.stands(ctx, s, repeats)
			if err != nil {
				return stats, nil, fmt.Errorf("the script of seed %d, again: %w", seed, err)
			}
			if stands {
				found = f.shrink(ctx, found)
				found.Seed = seed
				return stats, found, nil
			}
			if ctx.Err() != nil {
				break
			}
			stats.Unstable = append(stats.Unstable, seed)
		}
		if f.Progress != nil {
			f.Progress(stats)
		}
	}
	return stats, nil, nil
}

func (s *FuzzStats) add(script *Script, found *Finding) {
	kernel := &found.Kernel
	s.Scripts++
	s.Ops += len(script.Ops)
	if kernel.Refused != nil {
		s.Refused++
		s.Ops -= len(script.Ops) - kernel.Refused.Line + 1 // an operation a line
	}
	table := kernel.Table
	if found.Model.Undecided {
		s.Undecided++
		table = table.first(decided(found.Kernel, found.Model))
	}
	s.Rows += len(table.Rows)
	s.Cells += table.Cells()
}

// compare runs s on both.
func (f *Fuzz) compare(ctx context.Context, s *Script) (*Finding, error) {
	model, err := f.Model(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	kernel, err := f.Kernel(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	return &Finding{Script: s, Kernel: kernel, Model: model, Differences: DiffOutcomes(model, kernel)}, nil
}

// stands reports whether s differs each of n times more.
func (f *Fuzz) stands(ctx context.Context, s *Script, n int) (bool, error) {
	for range n {
		found, err := f.compare(ctx, s)
		if ctx.Err() != nil {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if len(found.Differences) == 0 {
			return false, nil
		}
	}
	return true, nil
}

// shrink returns the shortest script that differs, each of two times.
func (f *Fuzz) shrink(ctx context.Context, found *Finding) *Finding {
	Shrink(ctx, found.Script, func(s *Script) bool {
		shorter, err := f.compare(ctx, s)
		if err != nil || len(shorter.Differences) == 0 {
			return false
		}
		if again, err := f.stands(ctx, s, 1); err != nil || !again {
			return false
		}
		found = shorter
		return true
	})
	return found
}
