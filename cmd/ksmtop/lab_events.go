package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// narrator returns what runs a script on the model and tells on out what ksmd
// does meanwhile.
func (f *labFlags) narrator(out io.Writer) sim.RunFunc {
	return func(ctx context.Context, s *sim.Script) (sim.Outcome, error) {
		n := &labNarrator{
			out:   out,
			areas: map[string][]sim.AreaRange{},
			known: map[labPage]bool{}, nodes: map[ksmd.Node]labNode{},
		}
		for i := range s.Ops {
			n.digits = len(strconv.Itoa(s.Ops[i].Line))
		}
		opts := f.machineOptions(f.engine, simPageBytes)
		opts.Observer = n.event
		n.machine = sim.NewMachine(opts)
		defer n.machine.Close()
		r := sim.Runner{Backend: n.machine, PageSize: simPageBytes, Before: n.before, After: n.after}
		outcome, err := r.Outcome(ctx, s)
		n.flush()
		if err == nil {
			err = n.err
		}
		return outcome, err
	}
}

// labNarrator tells what ksmd does, in the names of the script. What happens to
// several pages in a row is told in one line.
type labNarrator struct {
	out     io.Writer
	err     error // of writing
	machine *sim.Machine
	digits  int // of the largest line number

	counters sysfs.Counters // before the operation
	scan     uint64         // full scans ended since the last unmerging

	areas map[string][]sim.AreaRange // by process
	known map[labPage]bool           // tracked pages
	nodes map[ksmd.Node]labNode
	made  int // KSM pages so far

	// page is told of when something else happens: more may happen to it. run is
	// the pages before it, of which the same is told.
	page, run labSentence
	pageOf    labPage

	// partner is the page that became a KSM page with the one told of next, or
	// empty.
	partner     string
	partnerNode ksmd.Node
}

// labPage is a page of a process.
type labPage struct {
	process ksmd.Process
	index   uint64
}

// labNode is a KSM page.
type labNode struct {
	number  int // in order of appearance, since ksmd uses its own ones again
	content uint64
}

func (n labNode) String() string { return "KSM page " + strconv.Itoa(n.number) }

// labSentence says what happened to pages in a row.
type labSentence struct {
	process, area string
	first, pages  int    // none: there is no sentence
	content       uint64 // of the first page
	step          uint64 // what each further page has more
	hasContent    bool
	what          string
}

// before is told of an operation that begins.
func (n *labNarrator) before(op *sim.Op) {
	n.flush()
	n.counters, _ = n.machine.Counters(context.Background()) // which never fails
	n.print("%*d  %s\n", n.digits, op.Line, op)
}

// after is told of an operation that is done.
func (n *labNarrator) after(op *sim.Op) {
	n.flush()
	switch op.Kind {
	case sim.OpMap:
		n.learnAreas(op.Process, op.Area)
	case sim.OpFork:
		n.learnAreas(op.Child, "")
	case sim.OpSet:
		if op.Knob == sysfs.Run && op.Value == sysfs.RunUnmerge {
			n.scan = 0
		}
	case sim.OpScan, sim.OpBatch:
		now, _ := n.machine.Counters(context.Background())
		scanned, skipped := now.PagesScanned-n.counters.PagesScanned, now.PagesSkipped-n.counters.PagesSkipped
		switch {
		case scanned == 0 && skipped == 0 && now.FullScans == n.counters.FullScans:
			n.say("nothing to do")
		case skipped > 0:
			n.say("%s visited, %d skipped", plural(int(scanned), "page"), skipped)
		default:
			n.say("%s visited", plural(int(scanned), "page"))
		}
	case sim.OpShow:
		c := &n.counters
		n.say("shared %d, sharing %d, unshared %d, volatile %d, zero pages %d",
			c.PagesShared, c.PagesSharing, c.PagesUnshared, c.PagesVolatile, c.KSMZeroPages)
	}
}

// learnAreas remembers where an area of a process is, or with no name where all of
// a new process are. What is unmapped later is not forgotten: ksmd notices it only
// then.
func (n *labNarrator) learnAreas(process, area string) {
	for _, a := range n.machine.Areas(process) {
		if area == "" || a.Area == area {
			n.areas[process] = append(n.areas[process], a)
		}
	}
}

// where returns the area of a page, and its number there.
func (n *labNarrator) where(process string, index uint64) (area string, page int, ok bool) {
	for _, a := range n.areas[process] {
		if index >= a.First && index-a.First < uint64(a.Pages) {
			return a.Area, int(index - a.First), true
		}
	}
	return "", 0, false
}

// event is the daemon's observer.
func (n *labNarrator) event(e ksmd.Event) {
	page := labPage{e.Process, e.Index}
	switch e.Kind {
	case ksmd.ScanBegan:
		n.say("full scan %d begins, %s tracked", n.scan+1, plural(e.Count, "page"))
	case ksmd.ScanEnded:
		n.scan++
		n.say("full scan %d ends, %s tracked", n.scan, plural(e.Count, "page"))
	case ksmd.Registered:
		n.say("%s takes part in KSM", n.machine.Name(e.Process))
	case ksmd.Unregistered:
		n.say("%s takes part no more", n.machine.Name(e.Process))

	case ksmd.Skipped:
		n.tell(page, "smart scan skips it")
	case ksmd.Changed:
		if n.known[page] {
			n.tell(page, "has changed: new checksum noted")
		} else {
			n.tell(page, "first visit: checksum noted")
		}
	case ksmd.Zeroed:
		n.tell(page, "all zeros: the zero page takes its place")
	case ksmd.Unshared:
		n.tell(page, "no equal so far: waits in the unstable tree")
	case ksmd.GaveUp:
		n.tell(page, "met by a search, which gives up: it has vanished, or it is the same page")
	case ksmd.Failed:
		n.tell(page, "cannot be merged now")
	case ksmd.Undecided:
		n.tell(page, "the kernel may overlook it from now on: that depends on its allocator")
	case ksmd.Dropped:
		n.tell(page, "tracked no more")
		delete(n.known, page)
	case ksmd.Attached:
		n.attached(page, e.Node)
	case ksmd.Detached:
		n.tell(page, "leaves "+n.nodes[e.Node].String())

	case ksmd.NodeGone:
		gone := n.nodes[e.Node]
		delete(n.nodes, e.Node)
		n.say("%s (content %d) is gone, since nobody maps it: %s let go", gone, gone.content, plural(e.Count, "page"))
	case ksmd.ChainMade:
		full := n.nodes[e.Node]
		n.say("%s (content %d) has no room: a chain begins", full, full.content)
	case ksmd.ChainGone:
		if e.Node == 0 {
			n.say("a chain without KSM pages is removed")
		} else {
			n.say("%s is the last of its chain, which ends", n.nodes[e.Node])
		}
	}
}

// attached tells of a mapping that now belongs to a KSM page. A new one begins
// with two, the partner that waited in the tree first.
func (n *labNarrator) attached(page labPage, node ksmd.Node) {
	ksm, old := n.nodes[node]
	switch {
	case !old:
		n.made++
		content, _ := n.machine.Content(page.process, page.index)
		n.nodes[node] = labNode{n.made, content}
		process := n.machine.Name(page.process)
		area, number, _ := n.where(process, page.index)
		n.partner = fmt.Sprintf("%s %s %d", process, area, number)
		n.partnerNode = node
		n.known[page] = true
	case n.partner != "" && n.partnerNode == node:
		n.tell(page, "equal to "+n.partner+", which waited: both are "+ksm.String())
		n.partner = ""
	default:
		n.tell(page, "joins "+ksm.String())
	}
}

// tell says what happens to a page, at once or together with what follows.
func (n *labNarrator) tell(p labPage, what string) {
	n.known[p] = true
	if n.page.pages > 0 && n.pageOf == p {
		n.page.what += "; " + what
		return
	}
	n.endPage()
	process := n.machine.Name(p.process)
	area, number, _ := n.where(process, p.index)
	content, ok := n.machine.Content(p.process, p.index)
	n.pageOf = p
	n.page = labSentence{process: process, area: area, first: number, pages: 1, content: content, hasContent: ok, what: what}
}

// endPage adds the page to the run, or tells the run and begins one with it.
func (n *labNarrator) endPage() {
	p, r := n.page, &n.run
	n.page = labSentence{}
	if p.pages == 0 {
		return
	}
	follows := r.pages > 0 && p.process == r.process && p.area == r.area && p.first == r.first+r.pages &&
		p.what == r.what && p.hasContent == r.hasContent
	if follows && r.pages == 1 {
		r.step = p.content - r.content
		follows = r.step <= 1
	}
	if follows && p.content == r.content+uint64(r.pages)*r.step {
		r.pages++
		return
	}
	n.endRun()
	n.run = p
}

func (n *labNarrator) endRun() {
	r := n.run
	n.run = labSentence{}
	if r.pages == 0 {
		return
	}
	pages, content := strconv.Itoa(r.first), ""
	if r.pages > 1 {
		pages += "-" + strconv.Itoa(r.first+r.pages-1)
	}
	if r.hasContent {
		content = "content " + strconv.FormatUint(r.content, 10)
		if r.pages > 1 && r.step > 0 {
			content += "-" + strconv.FormatUint(r.content+uint64(r.pages-1)*r.step, 10)
		}
	}
	line := fmt.Sprintf("%-10s %-13s %s", r.process+" "+r.area+" "+pages, content, r.what)
	n.print("%*s    %s\n", n.digits, "", line)
}

// flush tells all that is left to be told.
func (n *labNarrator) flush() {
	n.endPage()
	n.endRun()
}

// say says something that is not about a page.
func (n *labNarrator) say(form string, args ...any) {
	n.flush()
	n.print("%*s    %s\n", n.digits, "", fmt.Sprintf(form, args...))
}

func (n *labNarrator) print(form string, args ...any) {
	var b bytes.Buffer
	fmt.Fprintf(&b, form, args...)
	if n.err == nil {
		_, n.err = io.WriteString(n.out, strings.TrimRight(b.String(), " \n")+"\n")
	}
}
