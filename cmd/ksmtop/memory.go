package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sort"
	"strconv"
	"syscall"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/procfs"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sysfs"
)

// memory is the memory of this machine's processes, for the screen.
type memory struct{ fsys sysfs.FS }

// Areas reads smaps or, where the kernel has none, maps.
func (m *memory) Areas(p model.Target) (model.Target, []scanner.Mapping, error) {
	dir := strconv.Itoa(p.PID)
	file, err := os.Open(m.fsys.ProcPath(dir, "smaps"))
	if errors.Is(err, fs.ErrNotExist) {
		file, err = os.Open(m.fsys.ProcPath(dir, "maps"))
	}
	if err != nil {
		return p, nil, explain(err)
	}
	defer file.Close()
	// It is a file of p if p is there now.
	whole, err := m.whole(p)
	if err != nil {
		return p, nil, err
	}
	areas, err := scanner.ReadMappings(file)
	return whole, areas, explain(err)
}

// whole returns a process with its start and name, or scanner.ErrGone if it is no
// more.
func (m *memory) whole(p model.Target) (model.Target, error) {
	content, err := os.ReadFile(m.fsys.ProcPath(strconv.Itoa(p.PID), "stat"))
	if err != nil {
		return p, explain(err)
	}
	stat, err := procfs.ParseStat(content)
	if err == nil && p.Start != 0 && stat.Start != p.Start {
		err = scanner.ErrGone
	}
	return model.Target{PID: p.PID, Start: stat.Start, Name: text.Clean(string(stat.Comm))}, err
}

// explain gives the errors of a process's files their meaning, without the path.
func explain(err error) error {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case !ok:
		return err
	case errno == syscall.ENOENT || errno == syscall.ESRCH:
		return scanner.ErrGone
	case errno == syscall.EACCES || errno == syscall.EPERM:
		refused := &scanner.RefusedError{Err: errno}
		if os.Geteuid() != 0 {
			refused.Capability = "CAP_SYS_PTRACE"
		}
		return refused
	}
	return errno
}

// progressOf tells progress how many pages were read.
func progressOf(progress func(done, total int64)) func(scanner.Progress) {
	return func(p scanner.Progress) { progress(int64(p.PagesRead), int64(p.ExpectedPages)) }
}

// Duplicates makes each area a target of one scan. They share the process, which
// is opened once.
func (m *memory) Duplicates(ctx context.Context, p model.Target, progress func(done, total int64)) (map[uint64]scanner.Group, error) {
	process, err := scanner.OpenProcess(p.PID, scanner.AreasEligible)
	if err != nil {
		return nil, bare(err)
	}
	defer process.Close()
	if p.Start != 0 && process.Start() != p.Start {
		return nil, scanner.ErrGone
	}
	_, areas, err := m.Areas(p)
	if err != nil {
		return nil, err
	}
	targets, err := areaTargets(process, areas)
	if err != nil {
		return nil, bare(err)
	}
	r, err := scanner.Scan(ctx, targets, scanner.Options{ExpectedPages: process.Pages(), Progress: progressOf(progress)})
	if err != nil {
		return nil, err
	}
	switch {
	case ctx.Err() != nil: // a part of the areas says nothing of the others
		return nil, ctx.Err()
	case r.Gone > 0:
		return nil, scanner.ErrGone
	case len(r.Problems) > 0:
		return nil, bare(r.Problems[0])
	}
	groups := make(map[uint64]scanner.Group, len(r.Groups))
	for _, g := range r.Groups {
		start, err := strconv.ParseUint(g.Name, 16, 64)
		if err != nil {
			panic("memory: a group has another name than its area's address: " + err.Error())
		}
		groups[start] = g
	}
	return groups, nil
}

// bare takes the name of the process off an error: the screen says it anyway.
func bare(err error) error {
	if failed, ok := errors.AsType[*scanner.Error](err); ok {
		return failed.Err
	}
	return err
}

// areaTargets returns a target for each area that could be merged and that has
// something in it.
func areaTargets(process *scanner.Process, areas []scanner.Mapping) ([]scanner.Target, error) {
	spans, err := process.Spans(nil)
	if err != nil {
		return nil, err
	}
	of := make([][]scanner.Span, len(areas))
	for _, s := range spans {
		i := sort.Search(len(areas), func(i int) bool { return areas[i].End > s.Start })
		if i < len(areas) && areas[i].Start <= s.Start && areas[i].Eligible() {
			of[i] = append(of[i], s)
		}
	}
	var targets []scanner.Target
	for i := range areas {
		if len(of[i]) == 0 {
			continue
		}
		source := &areaSource{Process: process, spans: of[i], pages: uint64(max(0, areas[i].Anonymous)) / uint64(process.PageSize())}
		targets = append(targets, scanner.Target{
			Name: process.Name(), Group: strconv.FormatUint(areas[i].Start, 16),
			Open: func() (scanner.Source, error) { return source, nil },
		})
	}
	return targets, nil
}

// areaSource is one area of a process, which outlives it.
type areaSource struct {
	*scanner.Process
	spans []scanner.Span
	pages uint64
}

func (a *areaSource) Pages() uint64 { return a.pages }
func (a *areaSource) Spans(dst []scanner.Span) ([]scanner.Span, error) {
	return append(dst, a.spans...), nil
}
func (a *areaSource) Close() error { return nil }

// Scan implements model.Memory.
func (m *memory) Scan(ctx context.Context, q model.ScanQuestion, progress func(done, total int64)) (*model.ScanAnswer, error) {
	candidates, missing, err := m.candidates(q.Targets)
	if err != nil {
		return nil, err
	}
	group := groupings[q.By]
	answer := &model.ScanAnswer{Question: q, Members: make(map[string][]model.Target)}
	o := scanner.Options{
		MaxPageSharing: q.MaxPageSharing, UseZeroPages: q.UseZeroPages, Top: q.Top, MaxCPU: q.MaxCPU, Progress: progressOf(progress),
	}
	var targets []scanner.Target
	for i := range candidates {
		c := &candidates[i]
		name := group(c)
		targets = append(targets, c.target(name, q.Areas))
		answer.Members[name] = append(answer.Members[name], model.Target{PID: c.PID, Start: c.Start, Name: text.Clean(c.Comm)})
		o.ExpectedPages += uint64(c.RSS)
	}
	if answer.Report, err = scanner.Scan(ctx, targets, o); err != nil {
		return nil, err
	}
	answer.Gone += missing
	if answer.PageSize == 0 { // nothing could be read
		answer.PageSize = os.Getpagesize()
	}
	answer.Digest()
	answer.AlreadySaved = addMerged(m.fsys, answer.Report, candidates, group)
	answer.At = time.Now()
	return answer, nil
}

// candidates returns the processes of targets that are there, all but this one if
// there are no targets, and how many are missing.
func (m *memory) candidates(targets []model.Target) ([]candidate, int, error) {
	wanted := make(map[int]uint64, len(targets))
	for _, t := range targets {
		wanted[t.PID] = t.Start
	}
	var only []int
	if len(targets) > 0 {
		only = slices.Collect(maps.Keys(wanted))
	}
	all, err := listProcesses(m.fsys, only)
	if err != nil {
		return nil, 0, err
	}
	self := os.Getpid()
	all = slices.DeleteFunc(all, func(c candidate) bool {
		if len(targets) == 0 {
			return c.PID == self
		}
		start := wanted[c.PID]
		return start != 0 && start != c.Start
	})
	if len(targets) == 0 {
		return all, 0, nil
	}
	return all, len(wanted) - len(all), nil
}
