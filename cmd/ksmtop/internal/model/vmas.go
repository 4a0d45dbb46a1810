package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner"
)

// VMAView is the view of the areas of one process. The kernel walks all page
// tables of a process to list them, so they are read beside the screen, only while
// the view is in front, and seldom.
type VMAView struct {
	List
	Process Target // zero if none was chosen
	Areas   []Area // as sorted
	Sum     AreaSum
	By      AreaOrder

	At      time.Time // when they were read, by the clock of the samples; zero if not yet
	Problem error     // why they could not be read the last time

	// MeasuredAt is when duplicates were counted; zero if never.
	MeasuredAt time.Time

	reading  bool
	due      time.Time // when they are to be read again
	measured map[uint64]scanner.Group
	task     *Task // that measures
}

// Area is one row of the view.
type Area struct {
	scanner.Mapping
	Label string // the name, cleaned

	// Pages is how many pages were looked at for duplicates and Duplicate the
	// part of them that merging would save, if Measured.
	Pages     uint64
	Duplicate float64
	Measured  bool
}

// AreaSum sums the areas up, in bytes but for what was measured.
type AreaSum struct {
	Size, RSS, Anonymous, KSM int64
	Marked                    int64   // resident in areas that are mergeable
	Pages                     uint64  // measured
	Duplicates                float64 // pages of these that merging would save
	HasSizes, HasKSM          bool
	Highest                   uint64 // the address of the last area
}

// AreaOrder is how the areas are sorted.
type AreaOrder uint8

// The orders.
const (
	AreasByAddress AreaOrder = iota
	AreasByRSS
	AreasByKSM
	AreasByDuplicates
	numAreaOrders
)

// String returns the name of the order.
func (o AreaOrder) String() string { return [...]string{"address", "rss", "ksm", "duplicates"}[o] }

// areasEvery is how long areas are kept before they are read again; where reading
// takes long, it is areasRests times as long as it took.
const (
	areasEvery = 10 * time.Second
	areasRests = 20
)

func vmasView() View {
	return View{
		ID: VMAs, Name: "VMAs", Short: "VMA", About: "the areas of one process, and why they merge or not",
		Keys: Keymap{Own: []Binding{
			{[]string{"Enter"}, "Enter", "", "why the area can be merged or not", (*State).explainArea, withoutAreas},
			{[]string{"m"}, "m", "Measure", "read the process and count duplicates in its areas", (*State).measure, withoutProcess},
			{[]string{"F6", "s", ">"}, "F6 s >", "Sort", "sort by address, RSS, KSM or duplicates", (*State).sortAreas, withoutAreas},
			{[]string{"r"}, "r", "", "read the areas now", (*State).readAreasNow, withoutProcess},
			{[]string{"o"}, "o", "Other", "show another process, by its number", (*State).askProcess, withoutMemory},
			{[]string{"v"}, "v", "", "numbers of the process, each with what it means", (*State).explainProcess, withoutProcessRow},
		}},
		list:    func(s *State) *List { return &s.VMA.List },
		matches: func(s *State, i int, text string) bool { return hasText(s.VMA.Areas[i].Label, text) },
		shown:   (*State).showVMAs,
	}
}

func withoutProcess(s *State) string {
	if why := withoutMemory(s); why != "" {
		return why
	}
	if s.VMA.Process.PID == 0 {
		return "no process was chosen: Enter on one does, or o"
	}
	return ""
}

func withoutAreas(s *State) string {
	if why := withoutProcess(s); why != "" {
		return why
	}
	if len(s.VMA.Areas) == 0 {
		return "there is no area to choose"
	}
	return ""
}

func withoutProcessRow(s *State) string {
	if s.VMARow() == nil {
		return "the table of processes does not have it"
	}
	return ""
}

// VMARow returns the row of the process that the view shows, or nil.
func (s *State) VMARow() *Row {
	if s.Sample == nil || s.VMA.Process.PID == 0 {
		return nil
	}
	return s.Sample.rowOf(process{s.VMA.Process.PID, s.VMA.Process.Start})
}

// ShowAreas shows the areas of a process in the view.
func (s *State) ShowAreas(p Target) Command {
	s.choose(p)
	return s.Enter(VMAs)
}

// choose makes p the process of the view.
func (s *State) choose(p Target) {
	v := &s.VMA
	if p == v.Process {
		return
	}
	if v.task != nil {
		v.task.stop()
	}
	*v = VMAView{Process: p, By: v.By}
}

// showVMAs is called when the view comes to the front: without a process it takes
// the selected one.
func (s *State) showVMAs() {
	if r := s.SelectedRow(); s.VMA.Process.PID == 0 && r != nil && !r.Place.Head && !s.Simulated() {
		s.choose(targetOf(r))
	}
	s.VMA.follow(s)
}

// follow reads the areas again if it is time to.
func (v *VMAView) follow(s *State) {
	if s.View != VMAs || s.Simulated() || s.latest == nil || v.reading || s.Memory == nil || v.Process.PID == 0 || s.latest.Time.Before(v.due) {
		return
	}
	v.reading = true
	p, memory, now := v.Process, s.Memory, s.latest.Time
	s.startAside("reading the areas of "+p.String(), func(context.Context, func(done, total int64)) (func(*State), error) {
		began := time.Now()
		whole, areas, err := memory.Areas(p)
		took := time.Since(began)
		return func(s *State) {
			v := &s.VMA
			if !v.shows(p) {
				return // another process was chosen meanwhile
			}
			v.reading, v.Problem = false, err
			v.due = now.Add(max(areasEvery, areasRests*took))
			if err == nil {
				v.At, v.Process = now, whole
				v.take(areas)
			}
		}, nil
	})
}

// shows reports whether the view still is about p, of which only the number may
// have been known.
func (v *VMAView) shows(p Target) bool {
	return v.Process.PID == p.PID && (p.Start == 0 || v.Process.Start == p.Start)
}

// take takes areas in. The selection stays at the same area.
func (v *VMAView) take(areas []scanner.Mapping) {
	selected := v.selectedStart()
	v.Areas = v.Areas[:0]
	for i := range areas {
		v.Areas = append(v.Areas, Area{Mapping: areas[i], Label: text.Clean(areas[i].Name)})
	}
	v.arrange(selected)
}

func (v *VMAView) selectedStart() uint64 {
	if v.Selected < len(v.Areas) {
		return v.Areas[v.Selected].Start
	}
	return 0
}

// arrange fills in what was measured, sums up, sorts, and selects the area that
// begins at selected, if the user has chosen one.
func (v *VMAView) arrange(selected uint64) {
	v.Sum = AreaSum{}
	for i := range v.Areas {
		a := &v.Areas[i]
		g, ok := v.measured[a.Start]
		a.Pages, a.Duplicate, a.Measured = g.Pages, g.WouldSave(), ok
		v.Sum.Size += a.Bytes()
		v.Sum.Highest = max(v.Sum.Highest, a.Start)
		v.Sum.RSS += a.RSS
		v.Sum.Anonymous += a.Anonymous
		v.Sum.KSM += a.KSM
		v.Sum.HasSizes, v.Sum.HasKSM = v.Sum.HasSizes || a.HasSizes, v.Sum.HasKSM || a.HasKSM
		v.Sum.Pages, v.Sum.Duplicates = v.Sum.Pages+a.Pages, v.Sum.Duplicates+a.Duplicate
		if a.Marked {
			v.Sum.Marked += a.RSS
		}
	}
	slices.SortStableFunc(v.Areas, func(a, b Area) int {
		switch v.By {
		case AreasByRSS:
			return cmp.Or(cmp.Compare(b.RSS, a.RSS), cmp.Compare(a.Start, b.Start))
		case AreasByKSM:
			return cmp.Or(cmp.Compare(b.KSM, a.KSM), cmp.Compare(a.Start, b.Start))
		case AreasByDuplicates:
			return cmp.Or(cmp.Compare(b.Duplicate, a.Duplicate), cmp.Compare(a.Start, b.Start))
		}
		return cmp.Compare(a.Start, b.Start)
	})
	v.SetLen(len(v.Areas))
	if !v.chosen {
		v.selectRow(0)
		return
	}
	for i := range v.Areas {
		if v.Areas[i].Start == selected {
			v.selectRow(i)
		}
	}
}

func (s *State) sortAreas() Command {
	v := &s.VMA
	selected := v.selectedStart()
	v.By = (v.By + 1) % numAreaOrders
	v.arrange(selected)
	s.Message = "sorted by " + v.By.String()
	return Nothing
}

func (s *State) readAreasNow() Command {
	s.VMA.due = time.Time{}
	s.VMA.follow(s)
	return Nothing
}

// measure counts duplicates in the areas of the process.
func (s *State) measure() Command {
	v := &s.VMA
	if v.task != nil {
		s.Message = "it is being read; Esc stops that"
		return Nothing
	}
	p, memory := v.Process, s.Memory
	var task *Task
	task = s.Start("reading "+targetWords([]Target{p}), func(ctx context.Context, progress func(done, total int64)) (func(*State), error) {
		groups, err := memory.Duplicates(ctx, p, progress)
		return func(s *State) {
			v := &s.VMA
			if v.task != task {
				return // another process was chosen meanwhile
			}
			v.task = nil
			if err == nil {
				v.measured, v.MeasuredAt = groups, s.latest.Time
				v.arrange(v.selectedStart())
				s.readAreasNow() // what was measured may not have been there at the last reading
			}
		}, err
	})
	v.task = task
	return Nothing
}

func (s *State) askProcess() Command {
	return s.ask(&Prompt{
		Label: "Process: ",
		Hint:  []string{"its number", "Enter shows its areas", "Esc leaves it"},
		done: func(s *State, text string) (Command, error) {
			pids, err := ParsePIDs(text)
			if err == nil && len(pids) > 1 {
				err = errors.New("one process only")
			}
			if err != nil {
				return Nothing, err
			}
			s.choose(s.targetNamed(pids[0]))
			s.VMA.follow(s)
			return Nothing, nil
		},
	})
}

func (s *State) explainProcess() Command { return s.showProcess(s.VMARow()) }

// areaWords say in words why KSM leaves an area alone.
var areaWords = map[scanner.Reason]string{
	scanner.ReasonShared:    "shared, or may be: KSM merges private memory only",
	scanner.ReasonFile:      "a file's, not written to: it is in the page cache, which all share already",
	scanner.ReasonHugetlb:   "hugetlb pages, which KSM leaves alone",
	scanner.ReasonSpecial:   "I/O memory, or what the kernel keeps as it is, such as the vdso",
	scanner.ReasonDroppable: "MAP_DROPPABLE: the kernel may drop its pages, KSM leaves them alone",
}

// FlagWord returns what the view says of an area in one word: mg for one that is
// mergeable, "-" for one that could be, or why it cannot be.
func (a *Area) FlagWord() string {
	switch {
	case a.Marked:
		return "mg"
	case a.Eligible():
		return "-"
	}
	return a.Reason.String()
}

// AreaNote says in a line what KSM does with an area, or could do.
func (v *VMAView) AreaNote(s *State, i int) string {
	a := &v.Areas[i]
	switch {
	case a.Marked:
		return "mergeable (mg): ksmd scans it, by MADV_MERGEABLE or PR_SET_MEMORY_MERGE"
	case a.Eligible() && a.Duplicate >= 1:
		return fmt.Sprintf("MADV_MERGEABLE here would save about ~%s, with all else mergeable too",
			format.Bytes(nil, int64(a.Duplicate)*s.Sample.PageSize))
	case a.Eligible():
		return "could be mergeable: by MADV_MERGEABLE, or all of it by `ksmtop run`"
	}
	return areaWords[a.Reason]
}

// explainArea says in words what is known of the selected area.
func (s *State) explainArea() Command {
	a := &s.VMA.Areas[s.VMA.Selected]
	d := &Dialog{Title: "Area " + strconv.FormatUint(a.Start, 16)}
	add := func(format string, args ...any) { d.Text = append(d.Text, fmt.Sprintf(format, args...)) }
	if a.Label != "" {
		add("%s", a.Label)
	}
	page := s.Sample.PageSize
	saves := format.Bytes(nil, int64(a.Duplicate)*page)
	add("%s", s.VMA.AreaNote(s, s.VMA.Selected))
	add("")
	size := func(known bool, n int64) string {
		if !known {
			return "-"
		}
		return string(format.Bytes(nil, n))
	}
	word := func(name, text string) { d.Words = append(d.Words, Word{name, text}) }
	word("ADDRESS", fmt.Sprintf("%x-%x", a.Start, a.End))
	word("PERM", a.Perm+": r read, w write, x execute; p private, s shared")
	word("SIZE", size(true, a.Bytes())+": of the area, touched or not")
	word("RSS", size(a.HasSizes, a.RSS)+": of it in memory")
	word("ANON", size(a.HasSizes, a.Anonymous)+": of that, no file's, or copied from one by a write: what KSM can merge")
	word("KSM", size(a.HasKSM, a.KSM)+": on KSM pages (Linux 6.8); what the zero page replaced is not in it")
	dup := "not measured; m does"
	if a.Measured {
		dup = fmt.Sprintf("~%s of %s looked at", saves, format.Bytes(nil, int64(a.Pages)*page))
	}
	word("DUP~", dup+": the area's part of what merging would save in this process alone")
	return s.Open(d)
}
