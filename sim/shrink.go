package sim

import (
	"context"
	"maps"
	"slices"

	"github.com/ksmtop/ksmtop/sysfs"
)

// maxTrials is how many scripts Shrink tries.
const maxTrials = 5000

// Shrink looks for the shortest script that still differs, beginning with s,
// which does: it removes operations, together with those that depend on them,
// and makes numbers smaller, until no single such step is left or ctx is done.
// differs is called with scripts that can run, at most 5000 times and never
// twice with the same one. The result is the last one for which it was true, or
// s.
func Shrink(ctx context.Context, s *Script, differs func(*Script) bool) *Script {
	h := shrinker{ctx: ctx, best: s, differs: differs, tried: make(map[string]struct{})}
	h.try(s.Ops) // without comments
	for h.more() {
		before := h.best
		h.removeOps()
		h.joinProcesses()
		h.mergeKnobs()
		h.mergeOps()
		h.simplifyOps()
		if h.best == before {
			break
		}
	}
	return h.best
}

type shrinker struct {
	ctx     context.Context
	best    *Script
	differs func(*Script) bool
	tried   map[string]struct{} // the scripts
}

func (h *shrinker) more() bool {
	return h.ctx.Err() == nil && len(h.tried) < maxTrials
}

// try repairs ops and takes them for the best script if they differ. It changes
// ops.
func (h *shrinker) try(ops []Op) bool {
	if !h.more() {
		return false
	}
	candidate, err := (&Script{Name: h.best.Name, Ops: repair(ops)}).reparse()
	if err != nil {
		panic("sim: a shrunk script is wrong: " + err.Error())
	}
	text := string(candidate.Format())
	if _, again := h.tried[text]; again {
		return false
	}
	h.tried[text] = struct{}{}
	if !h.differs(candidate) {
		return false
	}
	h.best = candidate
	return true
}

// repair returns the operations that are possible if what came before them is:
// without those that use a name that is gone, and with ranges cut off at the end
// of smaller areas.
func repair(ops []Op) []Op {
	names := newScope()
	var kept []Op
	for _, op := range ops {
		op.Above, op.Comment, op.Line = "", "", 0
		if p := names.processes[op.Process]; p != nil && op.Pages > 0 && op.Kind != OpMap {
			if a := p.areas[op.Area]; a != nil && op.First < a.pages {
				op.Pages = min(op.Pages, a.pages-op.First)
			}
		}
		if names.apply(&op) == nil {
			kept = append(kept, op)
		}
	}
	return kept
}

// removeOps removes runs of operations: half of all at first, single ones in the
// end, the last ones first.
func (h *shrinker) removeOps() {
	for size := max(len(h.best.Ops)/2, 1); ; size /= 2 {
		for end := len(h.best.Ops); end > 0 && h.more(); {
			end = min(end, len(h.best.Ops))
			start := max(end-size, 0)
			h.try(slices.Delete(slices.Clone(h.best.Ops), start, end))
			end = start
		}
		if size <= 1 {
			return
		}
	}
}

// joinProcesses lets a child's operations be done by its parent, and those of a
// spawned process by the first one.
func (h *shrinker) joinProcesses() {
	first := ""
	for i := 0; i < len(h.best.Ops) && h.more(); i++ {
		op := h.best.Ops[i]
		switch {
		case op.Kind == OpFork:
			h.try(h.joined(i, op.Child, op.Process, ""))
		case op.Kind == OpSpawn && first == "":
			first = op.Process
		case op.Kind == OpSpawn:
			h.try(h.joined(i, op.Process, first, op.Process))
		}
	}
}

// joined returns the best script without operation i, which makes the process
// old: another one does what old did, in areas with a prefix before their names.
func (h *shrinker) joined(i int, old, other, prefix string) []Op {
	ops := slices.Delete(slices.Clone(h.best.Ops), i, i+1)
	for j := range ops {
		if ops[j].Process == old {
			ops[j].Process = other
			if ops[j].Area != "" {
				ops[j].Area = prefix + ops[j].Area
			}
		}
	}
	return ops
}

// mergeKnobs lets a knob have at once the value that it gets later.
func (h *shrinker) mergeKnobs() {
	for i := 0; i < len(h.best.Ops) && h.more(); i++ {
		if h.best.Ops[i].Kind != OpSet {
			continue
		}
		for j := i + 1; j < len(h.best.Ops); j++ {
			if h.best.Ops[j].Kind != OpSet || h.best.Ops[j].Knob != h.best.Ops[i].Knob {
				continue
			}
			ops := slices.Clone(h.best.Ops)
			ops[i].Value = ops[j].Value
			h.try(slices.Delete(ops, j, j+1))
			break
		}
	}
}

// mergeOps makes one operation of two that follow each other.
func (h *shrinker) mergeOps() {
	for i := 0; i+1 < len(h.best.Ops) && h.more(); i++ {
		for i+1 < len(h.best.Ops) {
			merged, ok := merge(h.best.Ops[i], h.best.Ops[i+1])
			if !ok {
				break
			}
			ops := slices.Delete(slices.Clone(h.best.Ops), i+1, i+2)
			ops[i] = merged
			if !h.try(ops) {
				break
			}
		}
	}
}

// merge returns one operation that does what a and then b do.
func merge(a, b Op) (Op, bool) {
	if a.Kind != b.Kind {
		return Op{}, false
	}
	switch a.Kind {
	case OpScan, OpBatch:
		a.Count += b.Count
		return a, a.Count <= MaxCount
	case OpUnmap, OpWrite, OpFill, OpRead, OpDontNeed, OpMergeable, OpUnmergeable:
		if a.First > b.First {
			a, b = b, a
		}
		follows := a.Process == b.Process && a.Area == b.Area && a.Pages > 0 && a.First+a.Pages == b.First
		next := a.Content
		if a.Kind == OpWrite {
			next += uint64(a.Pages)
		}
		a.Pages += b.Pages
		return a, follows && next == b.Content && b.Pages > 0
	}
	return Op{}, false
}

// simplifyOps makes the numbers of operations smaller, one after another.
func (h *shrinker) simplifyOps() {
	for i := 0; i < len(h.best.Ops) && h.more(); i++ {
		for again := true; again && i < len(h.best.Ops); {
			again = false
			for _, simpler := range simplerOps(h.best.Ops[i]) {
				ops := slices.Clone(h.best.Ops)
				ops[i] = simpler
				if h.try(ops) {
					again = true
					break
				}
			}
		}
	}
	h.removePages()
	h.renumberContents()
}

// smallerNumbers returns what to try instead of n, which is at least least: the
// boldest first.
func smallerNumbers(n, least int) []int {
	var list []int
	for _, smaller := range []int{least, least + (n-least)/2, n - 1} {
		if smaller >= least && smaller < n && !slices.Contains(list, smaller) {
			list = append(list, smaller)
		}
	}
	return list
}

// simplerOps returns what to try instead of op.
func simplerOps(op Op) []Op {
	var list []Op
	change := func(edit func(*Op)) {
		simpler := op
		edit(&simpler)
		list = append(list, simpler)
	}
	if op.Count > 1 {
		for _, n := range smallerNumbers(op.Count, 1) {
			change(func(o *Op) { o.Count = n })
		}
	}
	if op.Pages > 1 {
		for _, n := range smallerNumbers(op.Pages, 1) {
			change(func(o *Op) { o.Pages = n }) // the first pages
			if op.Kind != OpMap {
				change(func(o *Op) { // the last ones
					o.First, o.Pages = op.First+op.Pages-n, n
					if op.Kind == OpWrite {
						o.Content += uint64(op.Pages - n)
					}
				})
			}
		}
	}
	if op.Kind == OpWrite && op.Pages == 1 {
		change(func(o *Op) { o.Kind = OpFill }) // the same
	}
	if op.Kind == OpSet && op.Knob == sysfs.PagesToScan {
		for _, n := range smallerNumbers(int(op.Value), 1) {
			change(func(o *Op) { o.Value = uint64(n) })
		}
	}
	return list
}

// renumberContents gives each content the lowest number that is free, in order
// of appearance; if that is too bold, one by one.
func (h *shrinker) renumberContents() {
	number := func(ops []Op, from, to uint64) []Op {
		ops = slices.Clone(ops)
		for i := range ops {
			if ops[i].Kind == OpFill && ops[i].Content == from {
				ops[i].Content = to
			}
		}
		return ops
	}
	used := func() map[uint64]bool {
		list := make(map[uint64]bool)
		for i := range h.best.Ops {
			op := &h.best.Ops[i]
			switch op.Kind {
			case OpFill:
				list[op.Content] = true
			case OpWrite:
				for k := range op.Pages {
					list[op.Content+uint64(k)] = true
				}
			}
		}
		return list
	}
	for _, content := range slices.Sorted(maps.Keys(used())) {
		taken := used()
		free := uint64(1)
		for taken[free] {
			free++
		}
		if content > free {
			h.try(number(h.best.Ops, content, free))
		}
	}
}

// removePages takes pages out of areas, in all operations: the pages above them
// move down.
func (h *shrinker) removePages() {
	for i := 0; i < len(h.best.Ops); i++ {
		for size := h.best.Ops[i].Pages / 2; size > 0 && i < len(h.best.Ops); size /= 2 {
			if h.best.Ops[i].Kind != OpMap {
				break
			}
			for end := h.best.Ops[i].Pages; end >= size && h.more(); end -= size {
				cut := pageRun{end - size, size}
				if ops := h.withoutPages(i, cut); ops[i].Kind == OpMap && ops[i].Pages > 0 {
					h.try(ops)
				}
				if i >= len(h.best.Ops) || h.best.Ops[i].Kind != OpMap {
					return // the area is gone; the next round goes on
				}
			}
		}
	}
}

// withoutPages returns the best script without some pages of the area that its
// operation number mapping maps, also in the processes that got the area by a
// fork.
func (h *shrinker) withoutPages(mapping int, cut pageRun) []Op {
	line, names := h.best.Ops[mapping].Line, newScope()
	var ops []Op
	for i, op := range h.best.Ops {
		a := (*scopeArea)(nil)
		if p := names.processes[op.Process]; p != nil {
			a = p.areas[op.Area]
		}
		names.apply(&op) // the best script can run: there is no fault
		switch {
		case i == mapping:
			op.Pages -= cut.pages
		case a != nil && a.line == line && op.Pages > 0:
			op = op.without(cut)
			if op.Pages == 0 {
				continue
			}
		}
		ops = append(ops, op)
	}
	return ops
}

// without returns op after pages of its area were taken out. A write to pages
// on both sides gets other contents above them.
func (op Op) without(cut pageRun) Op {
	if op.First >= cut.end() {
		op.First -= cut.pages
		return op
	}
	before := max(min(cut.first-op.First, op.Pages), 0)
	after := max(op.First+op.Pages-cut.end(), 0)
	if before == 0 {
		op.First = cut.first
		if op.Kind == OpWrite {
			op.Content += uint64(op.Pages - after)
		}
	}
	op.Pages = before + after
	return op
}
