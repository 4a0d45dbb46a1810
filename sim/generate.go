package sim

import (
	"math/rand/v2"
	"strconv"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Random scripts find differences if pages often meet: few contents, small
// areas, few processes, and a look at the counters after nearly every step. A
// script follows one profile, which says how often it does what; so that each
// script goes deep somewhere, and many of them reach everything.

// Profile says what a random script does most.
type Profile uint8

// The profiles.
const (
	ProfileAny    Profile = iota // one of the others
	ProfileMixed                 // everything, on small areas
	ProfileFork                  // forks, forks of forks and exits
	ProfileBatch                 // steps inside a scan, with changes and registrations between them
	ProfileChains                // many equal pages and a low max_page_sharing
	ProfileZero                  // pages of zeros, use_zero_pages on and off
	ProfileSmart                 // smart scan and many scans
	ProfileSwitch                // run and all other knobs
	ProfileLarge                 // areas of some hundred pages
	numProfiles   = iota
)

// GenerateOptions are the options of Generate. The zero value is useful.
type GenerateOptions struct {
	// Ops is the number of operations; 0 is 100.
	Ops int

	Profile Profile

	// Refusals allows, now and then, to change a knob where the kernel may
	// refuse that and end the script.
	Refusals bool
}

const defaultOps = 100

// action is a step of a random script: one or more operations.
type action uint8

const (
	actSpawn action = iota
	actMap
	actFork
	actExit
	actWrite
	actFill
	actRewrite
	actRead
	actDontNeed
	actUnmap
	actMergeable
	actUnmergeable
	actKnob
	actRun
	actShow
	actScan
	actBatch
	numActions
)

// profile is what a Profile stands for.
type profile struct {
	weights  [numActions]int
	pages    int // of the largest area
	total    int // pages of all processes, above which no more are made
	contents int // how many contents are common
	zeros    int // percent of pages with content 0
	scans    int // the largest N of scan
	sharing  []uint64
	batches  bool // begin with a small pages_to_scan
}

// mixed is where most profiles begin.
var mixed = profile{
	weights: [numActions]int{
		actSpawn: 4, actMap: 3, actFork: 5, actExit: 3, actWrite: 8, actFill: 8, actRewrite: 6, actRead: 3,
		actDontNeed: 4, actUnmap: 3, actMergeable: 5, actUnmergeable: 4, actKnob: 6, actRun: 2, actShow: 2,
		actScan: 18, actBatch: 18,
	},
	pages: 24, total: 300, contents: 8, zeros: 8, scans: 3, sharing: []uint64{2, 2, 3, 4, 256},
}

func (p Profile) settings() profile {
	s := mixed
	w := &s.weights
	switch p {
	case ProfileFork:
		w[actFork], w[actExit], w[actSpawn] = 12, 8, 3
		s.pages = 10
	case ProfileBatch:
		w[actBatch], w[actScan], w[actSpawn], w[actMergeable] = 36, 4, 8, 8
		s.batches = true
	case ProfileChains:
		w[actFork], w[actFill] = 2, 16
		s.contents, s.pages, s.sharing = 3, 40, []uint64{2, 2, 3, 4}
	case ProfileZero:
		s.zeros, s.contents = 45, 4
	case ProfileSmart:
		w[actBatch], w[actScan], w[actRewrite] = 4, 36, 12
		s.scans, s.contents = 12, 20
	case ProfileSwitch:
		w[actKnob], w[actRun] = 20, 12
		s.pages = 14
	case ProfileLarge:
		w[actBatch] = 6
		s.pages, s.total, s.contents = 400, 2000, 60
	}
	return s
}

// Generate returns a random script, which can run. The same sequence of random
// numbers gives the same script.
func Generate(rng *rand.Rand, opts GenerateOptions) *Script {
	count := opts.Ops
	if count <= 0 {
		count = defaultOps
	}
	chosen := opts.Profile
	if chosen == ProfileAny || chosen >= numProfiles {
		chosen = 1 + Profile(rng.IntN(numProfiles-1))
	}
	g := generator{
		rng: rng, profile: chosen.settings(), refusals: opts.Refusals, scope: newScope(),
		contents: make(map[*scopeArea][]uint64), run: sysfs.RunScan, sharing: 256, acrossNodes: 1, clean: true,
	}
	g.begin()
	for len(g.ops) < count {
		g.step()
	}
	// Any beginning of a script is a script, and so it is with these two at its end.
	end := []Op{{Kind: OpScan, Count: 2}, {Kind: OpShow, Label: "end"}}
	keep := max(count-len(end), 0)
	ops := append(g.ops[:keep], end[max(len(end)-count, 0):]...)

	s, err := (&Script{Name: "random", Ops: ops}).reparse()
	if err != nil {
		panic("sim: a random script is wrong: " + err.Error())
	}
	return s
}

// unwritten is the content of a page to which nothing was written.
const unwritten = ^uint64(0)

type generator struct {
	rng      *rand.Rand
	profile  profile
	refusals bool

	ops      []Op
	scope    *scope
	contents map[*scopeArea][]uint64 // of each page
	unique   uint64                  // how many contents were used only once
	spawned  int
	shown    [3]int // how many shows after scans, batches and other operations

	run, sharing, acrossNodes uint64 // knobs

	// clean means that there are no KSM pages for certain, so that the kernel
	// refuses no knob.
	clean  bool
	forked bool // any process ever
}

// emit appends an operation, which must be possible.
func (g *generator) emit(op Op) {
	if f := g.scope.apply(&op); f != nil {
		panic("sim: a random operation is wrong: " + op.String() + ": " + f.reason)
	}
	g.ops = append(g.ops, op)
}

// chance is true in percent of cases.
func (g *generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

// between returns a number from least to most.
func (g *generator) between(least, most int) int { return least + g.rng.IntN(most-least+1) }

func (g *generator) begin() {
	if g.chance(50) {
		g.setSharing()
	}
	for _, knob := range []sysfs.Field{sysfs.SmartScan, sysfs.UseZeroPages, sysfs.StableNodeChainsPruneMillisecs} {
		if g.chance(40) {
			g.setKnob(knob)
		}
	}
	if g.profile.batches || g.chance(30) {
		g.setKnob(sysfs.PagesToScan)
	}
	if g.chance(15) {
		g.setKnob(sysfs.MergeAcrossNodes)
	}
	for range g.between(1, 3) {
		g.spawn()
	}
}

func (g *generator) step() {
	if g.run != sysfs.RunScan && g.chance(30) {
		g.setRun(sysfs.RunScan)
		return
	}
	total := 0
	for _, weight := range g.profile.weights {
		total += weight
	}
	n, act := g.rng.IntN(total), action(0)
	for n >= g.profile.weights[act] {
		n -= g.profile.weights[act]
		act++
	}
	g.act(act)
}

// act carries out an action, or nothing if there is nothing to do it on.
func (g *generator) act(act action) {
	switch act {
	case actSpawn:
		g.spawn()
	case actMap:
		if p := g.anyProcess(); p != nil && g.pages() < g.profile.total {
			g.mapArea(p)
		}
	case actFork:
		if p := g.anyProcess(); p != nil && g.pages() < g.profile.total {
			g.fork(p)
		}
	case actExit:
		if p := g.anyProcess(); p != nil {
			g.emit(Op{Kind: OpExit, Process: p.name})
			g.maybeShow()
		}
	case actKnob:
		g.knob()
	case actRun:
		g.setRun(uint64(g.rng.IntN(3)))
	case actShow:
		g.show(2)
	case actScan, actBatch:
		g.scan(act)
	default:
		g.touch(act)
	}
}

// anyProcess returns a live process, or nil.
func (g *generator) anyProcess() *scopeProcess {
	var live []*scopeProcess
	for p := range g.scope.live {
		live = append(live, p)
	}
	if len(live) == 0 {
		return nil
	}
	return live[g.rng.IntN(len(live))]
}

// anyRun returns a run of mapped pages, or a nil area.
func (g *generator) anyRun() (*scopeProcess, *scopeArea, pageRun) {
	p := g.anyProcess()
	if p == nil || len(p.order) == 0 {
		return nil, nil, pageRun{}
	}
	a := p.order[g.rng.IntN(len(p.order))]
	if len(a.left) == 0 {
		return nil, nil, pageRun{}
	}
	return p, a, a.left[g.rng.IntN(len(a.left))]
}

// part returns some of the pages of r, mostly few.
func (g *generator) part(r pageRun) pageRun {
	if g.chance(10) {
		return r
	}
	most := r.pages
	if g.chance(80) {
		most = min(most, 6)
	}
	pages := g.between(1, most)
	return pageRun{r.first + g.rng.IntN(r.pages-pages+1), pages}
}

// pages returns how many pages all processes have.
func (g *generator) pages() int {
	total := 0
	for p := range g.scope.live {
		for _, a := range p.order {
			for _, run := range a.left {
				total += run.pages
			}
		}
	}
	return total
}

func (g *generator) newName() string {
	g.spawned++
	return "p" + strconv.Itoa(g.spawned)
}

func (g *generator) spawn() {
	if g.pages() >= g.profile.total {
		return
	}
	name := g.newName()
	g.emit(Op{Kind: OpSpawn, Process: name})
	p := g.scope.processes[name]
	for range g.between(1, 2) {
		g.mapArea(p)
	}
}

func (g *generator) fork(p *scopeProcess) {
	name := g.newName()
	g.emit(Op{Kind: OpFork, Process: p.name, Child: name})
	g.forked = true
	for i, a := range g.scope.processes[name].order {
		g.contents[a] = append([]uint64(nil), g.contents[p.order[i]]...)
	}
	g.maybeShow()
}

// mapArea maps an area, writes to its pages and makes it mergeable, in either
// order and not always whole.
func (g *generator) mapArea(p *scopeProcess) {
	name := string(rune('a' + len(p.order)%26))
	if len(p.order) >= 26 {
		name += strconv.Itoa(len(p.order) / 26)
	}
	g.emit(Op{Kind: OpMap, Process: p.name, Area: name, Pages: g.between(1, g.profile.pages)})
	a := p.areas[name]
	g.contents[a] = make([]uint64, a.pages)
	for i := range g.contents[a] {
		g.contents[a][i] = unwritten
	}
	mergeableFirst := g.chance(30)
	if mergeableFirst {
		g.makeMergeable(p, a)
	}
	for first := 0; first < a.pages; {
		r := pageRun{first, min(g.between(1, max(a.pages/2, 6)), a.pages-first)}
		if !g.chance(12) { // a hole
			g.write(p, a, r, g.chance(40))
		}
		first = r.end()
	}
	if !mergeableFirst {
		g.makeMergeable(p, a)
	}
}

func (g *generator) makeMergeable(p *scopeProcess, a *scopeArea) {
	whole := pageRun{0, a.pages}
	switch n := g.rng.IntN(10); {
	case n < 6:
		g.pagesOp(OpMergeable, p, a, whole)
	case n < 9:
		for range g.between(1, 3) {
			first := g.rng.IntN(a.pages)
			g.pagesOp(OpMergeable, p, a, pageRun{first, g.between(1, a.pages-first)})
		}
	}
}

func (g *generator) pagesOp(kind OpKind, p *scopeProcess, a *scopeArea, r pageRun) {
	g.emit(Op{Kind: kind, Process: p.name, Area: a.name, First: r.first, Pages: r.pages})
}

// write fills pages with contents that follow each other or, with same, that
// are equal.
func (g *generator) write(p *scopeProcess, a *scopeArea, r pageRun, same bool) {
	op := Op{Kind: OpWrite, Process: p.name, Area: a.name, First: r.first, Pages: r.pages, Content: g.content()}
	step := uint64(1)
	if same {
		op.Kind, step = OpFill, 0
	} else {
		op.Content = min(op.Content, MaxContent-uint64(r.pages-1))
	}
	g.emit(op)
	for k := range r.pages {
		g.contents[a][r.first+k] = op.Content + step*uint64(k)
	}
}

// content returns a content: a common one, the lower the more common, 0, one of
// its own, or one of the largest.
func (g *generator) content() uint64 {
	if g.chance(g.profile.zeros) {
		return 0
	}
	switch n := g.rng.IntN(100); {
	case n < 12:
		g.unique++
		return 100000 + g.unique*1000
	case n < 13:
		return MaxContent - uint64(g.rng.IntN(3))
	}
	return uint64(1 + min(g.rng.IntN(g.profile.contents), g.rng.IntN(g.profile.contents)))
}

// rewrite writes the bytes that a page has already.
func (g *generator) rewrite(p *scopeProcess, a *scopeArea, r pageRun) {
	content := g.contents[a][r.first]
	if content == unwritten {
		content = 0
	}
	pages := 1
	for pages < r.pages && g.contents[a][r.first+pages] == content {
		pages++
	}
	g.emit(Op{Kind: OpFill, Process: p.name, Area: a.name, First: r.first, Pages: pages, Content: content})
	for k := range pages {
		g.contents[a][r.first+k] = content
	}
}

// touch does something to a few pages, one to three times.
func (g *generator) touch(act action) {
	for range g.between(1, 3) {
		p, a, run := g.anyRun()
		if a == nil {
			continue
		}
		r := g.part(run)
		switch act {
		case actWrite:
			g.write(p, a, r, false)
		case actFill:
			g.write(p, a, r, true)
		case actRewrite:
			g.rewrite(p, a, r)
		case actRead:
			g.pagesOp(OpRead, p, a, r)
		case actDontNeed:
			g.pagesOp(OpDontNeed, p, a, r)
			for k := range r.pages {
				g.contents[a][r.first+k] = unwritten
			}
		case actUnmap:
			if g.chance(15) {
				r = pageRun{} // what is left
			}
			g.pagesOp(OpUnmap, p, a, r)
		case actMergeable:
			g.pagesOp(OpMergeable, p, a, r)
		case actUnmergeable:
			g.pagesOp(OpUnmergeable, p, a, r)
		}
	}
	g.maybeShow()
}

// The index in generator.shown, and the letter of the labels.
const showLetters = "sbo"

func (g *generator) show(kind int) {
	g.shown[kind]++
	g.emit(Op{Kind: OpShow, Label: showLetters[kind:kind+1] + strconv.Itoa(g.shown[kind])})
}

// maybeShow looks at counters that move at once.
func (g *generator) maybeShow() {
	if g.chance(35) {
		g.show(2)
	}
}

func (g *generator) scan(act action) {
	count, kind, show := 1, OpScan, 0
	if act == actBatch {
		kind, show = OpBatch, 1
	}
	if g.chance(30) {
		count = g.between(1, g.profile.scans)
	}
	g.emit(Op{Kind: kind, Count: count})
	if g.run == sysfs.RunScan {
		g.clean = false
	}
	if g.chance(93) {
		g.show(show)
	}
}

func (g *generator) knob() {
	knobs := []sysfs.Field{sysfs.PagesToScan, sysfs.PagesToScan, sysfs.SmartScan, sysfs.UseZeroPages,
		sysfs.StableNodeChainsPruneMillisecs, sysfs.MaxPageSharing, sysfs.MergeAcrossNodes}
	g.setKnob(knobs[g.rng.IntN(len(knobs))])
}

func (g *generator) set(knob sysfs.Field, value uint64) {
	g.emit(Op{Kind: OpSet, Knob: knob, Value: value})
}

func (g *generator) setKnob(knob sysfs.Field) {
	switch knob {
	case sysfs.PagesToScan:
		g.setPagesToScan()
	case sysfs.MaxPageSharing:
		g.setSharing()
	case sysfs.MergeAcrossNodes:
		if g.mayRefuse() {
			g.acrossNodes = uint64(g.rng.IntN(2))
		}
		g.set(knob, g.acrossNodes)
	case sysfs.StableNodeChainsPruneMillisecs:
		values := [...]uint64{pruneAlways, pruneNever}
		g.set(knob, values[g.rng.IntN(len(values))])
	default:
		g.set(knob, uint64(g.rng.IntN(2)))
	}
}

// mayRefuse reports whether a knob may be changed that the kernel refuses to
// change while there are KSM pages.
func (g *generator) mayRefuse() bool {
	return g.clean || g.refusals && g.chance(25)
}

func (g *generator) setSharing() {
	if g.mayRefuse() {
		g.sharing = g.profile.sharing[g.rng.IntN(len(g.profile.sharing))]
	}
	g.set(sysfs.MaxPageSharing, g.sharing)
}

func (g *generator) setPagesToScan() {
	pages := 1000000
	switch n := g.rng.IntN(20); {
	case n == 0:
		pages = 0
	case n < 15:
		pages = g.between(1, max(g.pages()/3, 4))
	}
	g.set(sysfs.PagesToScan, uint64(pages))
}

func (g *generator) setRun(run uint64) {
	g.set(sysfs.Run, run)
	g.run = run
	// A page that a fork shares can be a KSM page in a process where it is not
	// mergeable; it is not unmerged then.
	if run == sysfs.RunUnmerge && !g.forked {
		g.clean = true
	}
	if run != sysfs.RunScan {
		g.maybeShow()
	}
}
