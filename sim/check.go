package sim

import (
	"fmt"
	"slices"
	"sort"
)

// Check returns nil if the script can run, and else what Parse would return for
// its text. Scripts from Parse, Generate and Shrink can run.
func (s *Script) Check() error {
	_, err := s.reparse()
	return err
}

// reparse returns s as it is read after it was written: checked, and with the
// lines of its own text.
func (s *Script) reparse() (*Script, error) {
	parsed, err := Parse(s.Name, s.Format())
	if err != nil {
		return nil, err
	}
	same := func(a, b Op) bool {
		a.Line, b.Line = 0, 0
		return a == b
	}
	if parsed.Tail != s.Tail || !slices.EqualFunc(parsed.Ops, s.Ops, same) {
		return nil, fmt.Errorf("%s: the script cannot be written: a word, a comment or an unused field "+
			"of an operation makes it another one", s.Name)
	}
	return parsed, nil
}

// fault is what is wrong with an operation: its argument number arg, from 0.
type fault struct {
	arg    int
	reason string
}

func faultf(arg int, format string, args ...any) *fault {
	return &fault{arg, fmt.Sprintf(format, args...)}
}

// scope is what exists at one point of a script.
type scope struct {
	processes map[string]*scopeProcess
	order     []*scopeProcess // as they were created
}

type scopeProcess struct {
	name  string
	line  int // that created it
	ended int // the line of its exit, or 0
	areas map[string]*scopeArea
	order []*scopeArea // as they were mapped

	// unsure marks a process made by a line that is wrong. Nothing is said
	// about operations on it.
	unsure bool
}

type scopeArea struct {
	name  string
	line  int
	pages int
	left  []pageRun // that are not unmapped, ascending
	// unsure is as that of a process.
	unsure bool
}

// pageRun is a run of pages of one area.
type pageRun struct{ first, pages int }

func (r pageRun) end() int { return r.first + r.pages }

func newScope() *scope {
	return &scope{processes: make(map[string]*scopeProcess)}
}

// live calls for each process that has not exited, in order of creation.
func (s *scope) live(yield func(*scopeProcess) bool) {
	for _, p := range s.order {
		if p.ended == 0 && !yield(p) {
			return
		}
	}
}

// apply checks op, whose words are valid each by itself, and carries it out.
// If there is a fault nothing has changed.
func (s *scope) apply(op *Op) *fault {
	var p *scopeProcess
	var a *scopeArea
	for i, arg := range opInfo[op.Kind].args {
		switch arg {
		case argProcess:
			p = s.processes[op.Process]
			if p == nil {
				return faultf(i, "no such process")
			}
			if p.ended != 0 {
				return faultf(i, "this process exited in line %d", p.ended)
			}
		case argNewProcess:
			name := op.newProcess()
			if old := s.processes[name]; old != nil {
				return faultf(i, "there was a process of this name in line %d", old.line)
			}
		case argArea:
			a = p.areas[op.Area]
			if a == nil && !p.unsure {
				return faultf(i, "process %s has no such area", p.name)
			}
		case argNewArea:
			if old := p.areas[op.Area]; old != nil {
				return faultf(i, "process %s had an area of this name in line %d", p.name, old.line)
			}
		}
	}
	if a != nil && !a.unsure {
		if f := a.check(op); f != nil {
			return f
		}
	}
	s.carryOut(op, p, a)
	return nil
}

// newProcess returns the name of the process that op creates.
func (op *Op) newProcess() string {
	if op.Kind == OpFork {
		return op.Child
	}
	return op.Process
}

// check returns what is wrong with op's pages: its arguments 2 and 3.
func (a *scopeArea) check(op *Op) *fault {
	if op.Kind == OpUnmap && op.Pages == 0 {
		if len(a.left) == 0 {
			return faultf(1, "nothing is left of this area")
		}
		return nil
	}
	if op.First >= a.pages {
		return faultf(2, "not in the area, whose last page is %d", a.pages-1)
	}
	if op.Pages > a.pages-op.First {
		left, follow := a.pages-op.First, "pages follow"
		if left == 1 {
			follow = "page follows"
		}
		return faultf(3, "not in the area: only %d %s from page %d", left, follow, op.First)
	}
	page, ok := a.unmapped(pageRun{op.First, op.Pages})
	switch {
	case ok && page == op.First:
		return faultf(2, "page %d is unmapped", page)
	case ok:
		return faultf(3, "page %d is unmapped", page)
	}
	return nil
}

// unmapped returns the first page of r that is unmapped.
func (a *scopeArea) unmapped(r pageRun) (int, bool) {
	i := a.firstRun(r.first)
	if i == len(a.left) || a.left[i].first > r.first {
		return r.first, true
	}
	end := a.left[i].end() // runs do not touch
	return end, end < r.end()
}

// firstRun returns the number of the first run of what is left that ends behind
// page.
func (a *scopeArea) firstRun(page int) int {
	return sort.Search(len(a.left), func(i int) bool { return a.left[i].end() > page })
}

// unmap takes r, of which nothing is unmapped yet, out of what is left.
func (a *scopeArea) unmap(r pageRun) {
	i := a.firstRun(r.first)
	run := a.left[i]
	var rest []pageRun
	if run.first < r.first {
		rest = append(rest, pageRun{run.first, r.first - run.first})
	}
	if r.end() < run.end() {
		rest = append(rest, pageRun{r.end(), run.end() - r.end()})
	}
	a.left = slices.Replace(a.left, i, i+1, rest...)
}

func (s *scope) carryOut(op *Op, p *scopeProcess, a *scopeArea) {
	switch op.Kind {
	case OpSpawn:
		s.add(&scopeProcess{name: op.Process, line: op.Line, areas: make(map[string]*scopeArea)})
	case OpFork:
		s.add(p.fork(op.Child, op.Line))
	case OpExit:
		p.ended = max(op.Line, 1)
		p.areas, p.order = nil, nil
	case OpMap:
		p.add(&scopeArea{name: op.Area, line: op.Line, pages: op.Pages, left: []pageRun{{0, op.Pages}}})
	case OpUnmap:
		switch {
		case a == nil || a.unsure:
		case op.Pages == 0:
			a.left = nil
		default:
			a.unmap(pageRun{op.First, op.Pages})
		}
	}
}

func (s *scope) add(p *scopeProcess) {
	s.processes[p.name] = p
	s.order = append(s.order, p)
}

func (p *scopeProcess) add(a *scopeArea) {
	p.areas[a.name] = a
	p.order = append(p.order, a)
}

// fork returns a child with all of p's areas.
func (p *scopeProcess) fork(name string, line int) *scopeProcess {
	child := &scopeProcess{name: name, line: line, areas: make(map[string]*scopeArea, len(p.areas)), unsure: p.unsure}
	for _, area := range p.order {
		same := *area
		same.left = slices.Clone(area.left)
		child.add(&same)
	}
	return child
}

// doubt makes what op would have created if it were right, so that the lines
// that use it are not blamed for it.
func (s *scope) doubt(op *Op) {
	switch op.Kind {
	case OpSpawn, OpFork:
		if name := op.newProcess(); isName(name) && s.processes[name] == nil {
			s.add(&scopeProcess{name: name, line: op.Line, areas: make(map[string]*scopeArea), unsure: true})
		}
	case OpMap:
		p := s.processes[op.Process]
		if p != nil && p.ended == 0 && isName(op.Area) && p.areas[op.Area] == nil {
			p.add(&scopeArea{name: op.Area, line: op.Line, unsure: true})
		}
	}
}
