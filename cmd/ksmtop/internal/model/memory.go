package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Memory is the memory of processes, to be looked at beside the screen: its
// methods take time, and are called on other goroutines.
type Memory interface {
	// Areas returns the areas of a process as the kernel lists them, and the
	// process with its start and name, which p need not have.
	Areas(p Target) (Target, []scanner.Mapping, error)

	// Duplicates scans the areas of a process that could be merged, each as a
	// group of its own, and returns them by their start.
	Duplicates(ctx context.Context, p Target, progress func(done, total int64)) (map[uint64]scanner.Group, error)

	// Scan finds equal pages. When ctx is done it returns the answer for what was
	// read by then.
	Scan(ctx context.Context, q ScanQuestion, progress func(done, total int64)) (*ScanAnswer, error)
}

// Target is a process whose memory is looked at.
type Target struct {
	PID   int
	Start uint64 // in ticks since boot: with PID it names one process for ever
	Name  string // cleaned
}

func targetOf(r *Row) Target { return Target{r.PID, r.Start, r.Name} }

func (t Target) String() string {
	if t.Name == "" {
		return fmt.Sprintf("process %d", t.PID)
	}
	return fmt.Sprintf("%d %s", t.PID, t.Name)
}

// ScanGroupings are by what the processes of a scan form groups, as in
// `ksmtop scan --by`.
var ScanGroupings = []string{"process", "user", "comm", "cgroup", "vm"}

// ScanQuestion is what a scan is to find out.
type ScanQuestion struct {
	// Targets are the processes, or empty for all that may be read but the
	// program's own.
	Targets []Target

	By             string // one of ScanGroupings
	Areas          scanner.Areas
	MaxPageSharing uint64
	UseZeroPages   bool
	MaxCPU         float64 // percent of one CPU for reading; 0 is no limit
	Top            int
}

// ScanAnswer is what it has found.
type ScanAnswer struct {
	*scanner.Report
	Question ScanQuestion
	At       time.Time

	// AlreadySaved is the part of what merging saves now that belongs to the
	// processes, in pages.
	AlreadySaved uint64

	// Members are the processes of each group.
	Members map[string][]Target

	NotRead []NotRead

	// Still and StillZero are the contents that ksmd would meet, and the pages
	// that the zero page would replace.
	Still     []sim.StillContents
	StillZero uint64
}

// Digest derives NotRead, Still and StillZero from the report, which must not know
// yet of pages that the zero page has already replaced.
func (a *ScanAnswer) Digest() {
	a.NotRead, a.Still = nil, nil
	for _, r := range a.Refused {
		a.notRead(r.Err)
	}
	for _, err := range a.Problems {
		a.notRead(err)
	}
	zero := uint64(0)
	if a.Question.UseZeroPages {
		zero = a.ZeroPages
	}
	a.StillZero = zero
	for _, b := range a.Histogram {
		contents, pages := b.Distinct, b.Pages
		if zero >= b.CopiesFrom && zero <= b.CopiesTo && zero > 0 && contents > 0 {
			contents, pages = contents-1, pages-zero
		}
		if contents > 0 {
			a.Still = append(a.Still, sim.StillContents{Copies: float64(pages) / float64(contents), Contents: contents})
		}
	}
}

// Why says in few words why the memory of a process could not be read: if it was
// refused, only what would be needed.
func Why(err error) string {
	if failed, ok := errors.AsType[*scanner.Error](err); ok {
		err = failed.Err
	}
	why := err.Error()
	if refused, ok := errors.AsType[*scanner.RefusedError](err); ok {
		why = strings.TrimSuffix(strings.TrimPrefix(why, refused.Err.Error()+" ("), ")")
	}
	return text.Clean(why)
}

// notRead counts a process that was not read, or not to the end.
func (a *ScanAnswer) notRead(err error) {
	why := Why(err)
	for i := range a.NotRead {
		if a.NotRead[i].Why == why {
			a.NotRead[i].Count++
			return
		}
	}
	a.NotRead = append(a.NotRead, NotRead{why, 1})
}

// NotRead is a reason for which processes were not read, or not to the end.
type NotRead struct {
	Why   string
	Count int
}

// Forecast returns what ksmd's first scans of that memory would take with these
// knobs.
func (a *ScanAnswer) Forecast(k *sysfs.Knobs) sim.Forecast {
	return sim.DefaultCosts().Forecast(a.Still, a.StillZero, k)
}

// TargetKind says how the processes that the scans read were chosen.
type TargetKind uint8

// The kinds.
const (
	TargetTagged TargetKind = iota // the tagged ones or, if there are none, all
	TargetFixed                    // some that were chosen once
	TargetAll
)

// Targets are the processes that the scans read, the same in all views.
type Targets struct {
	Kind  TargetKind
	Fixed []Target
}

// ScanTargets returns what the next scan reads: some processes, or none for all.
// All are those of -p where there is that.
func (s *State) ScanTargets() []Target {
	var targets []Target
	switch {
	case s.Targets.Kind == TargetFixed:
		return s.Targets.Fixed
	case s.Targets.Kind == TargetAll || len(s.tagged) == 0:
		for _, pid := range s.Filter.PIDs {
			targets = append(targets, s.targetNamed(pid))
		}
		return targets
	}
	for p := range s.tagged {
		t := Target{PID: p.pid, Start: p.start}
		if s.Sample != nil { // which does not have it any more if it has just gone
			if r := s.Sample.rowOf(p); r != nil {
				t = targetOf(r)
			}
		}
		targets = append(targets, t)
	}
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Start, b.Start)) })
	return targets
}

// targetsEnded says why there is nothing to read any more, or nothing.
func (s *State) targetsEnded() string {
	if s.Targets.Kind == TargetTagged && s.TagsEnded() {
		return "the tagged processes have ended: tag others, or t chooses what is read"
	}
	return ""
}

// withoutMemory says why no memory can be read.
func withoutMemory(s *State) string {
	switch {
	case s.Simulated():
		return "simulated processes have no memory that could be read"
	case s.Memory == nil:
		return "memory can be read on the machine itself, not from copied files"
	case s.Sample == nil:
		return "the first sample is being taken"
	}
	return ""
}

// withoutScan says why the processes of the table cannot be scanned.
func withoutScan(s *State) string {
	if why := withoutRows(s); why != "" {
		return why
	}
	return withoutMemory(s)
}

// whatIfTagged asks what merging the tagged processes would save.
func (s *State) whatIfTagged() Command {
	rows := s.TaggedRows()
	if len(rows) == 0 {
		s.Message = "this row is no process that is there"
		return Nothing
	}
	return s.scanRows(rows, WhatIf)
}

// scanRows scans processes for a view.
func (s *State) scanRows(rows []Row, view ViewID) Command {
	s.fix(rows)
	s.Enter(view)
	if view == WhatIf {
		return s.askWhatIf()
	}
	return s.askSharing()
}

// fix makes processes the ones that scans read.
func (s *State) fix(rows []Row) {
	s.Targets = Targets{Kind: TargetFixed}
	for i := range rows {
		s.Targets.Fixed = append(s.Targets.Fixed, targetOf(&rows[i]))
	}
}

// chooseTargets asks what scans shall read.
func (s *State) chooseTargets() Command {
	use := func(kind TargetKind) func(*State) Command {
		return func(s *State) Command { s.Targets = Targets{Kind: kind}; return Nothing }
	}
	d := &Dialog{Title: "Which memory to read", Items: []Item{
		{Text: fmt.Sprintf("the tagged processes (%d)", s.Tags()), Why: withoutTags(s), do: use(TargetTagged)},
		{Text: "all processes that may be read", do: use(TargetAll)},
		{Text: "processes by their numbers", do: (*State).askTargets},
	}}
	if r := s.SelectedRow(); r != nil && !r.Place.Head && !r.Gone {
		row := *r
		d.Items = append(d.Items, Item{Text: "the selected process: " + targetOf(r).String(), do: func(s *State) Command {
			s.fix([]Row{row})
			return Nothing
		}})
	}
	s.Open(d)
	if s.Tags() == 0 {
		d.Choose(1)
	}
	return Nothing
}

// askTargets asks for the numbers of processes. Which process has a number is
// found out when it is read.
func (s *State) askTargets() Command {
	return s.ask(&Prompt{
		Label: "Processes: ", most: longestText,
		Hint: []string{"numbers, with commas between them", "Enter takes them", "Esc leaves it"},
		done: func(s *State, text string) (Command, error) {
			pids, err := ParsePIDs(text)
			if err != nil {
				return Nothing, err
			}
			s.Targets = Targets{Kind: TargetFixed}
			for _, pid := range pids {
				s.Targets.Fixed = append(s.Targets.Fixed, s.targetNamed(pid))
			}
			return Nothing, nil
		},
	})
}

// targetNamed returns the process of that number, without a start if the sample
// does not have it.
func (s *State) targetNamed(pid int) Target {
	if s.Sample != nil {
		for i := range s.Sample.Rows {
			if r := &s.Sample.Rows[i]; r.PID == pid {
				return targetOf(r)
			}
		}
	}
	return Target{PID: pid}
}

// Scanning is a scan for one view: the one under way, and what the last one found.
type Scanning struct {
	Task   *Task // or nil
	Answer *ScanAnswer
}

// ask starts a scan, in place of the one under way. Taken is called with the
// answer, which may be partial.
func (sc *Scanning) ask(s *State, q ScanQuestion, taken func(*State)) Command {
	if sc.Task != nil {
		sc.Task.stop()
	}
	memory := s.Memory
	var task *Task
	task = s.Start("reading "+targetWords(q.Targets), func(ctx context.Context, progress func(done, total int64)) (func(*State), error) {
		answer, err := memory.Scan(ctx, q, progress)
		return func(s *State) {
			if sc.Task != task {
				return // another was asked for meanwhile
			}
			sc.Task = nil
			if err == nil {
				sc.Answer = answer
				taken(s)
			}
		}, err
	})
	sc.Task = task
	return Nothing
}

// targetWords says in a word what is read.
func targetWords(targets []Target) string {
	switch len(targets) {
	case 0:
		return "all processes"
	case 1:
		return targets[0].String()
	}
	return fmt.Sprintf("%d processes", len(targets))
}
