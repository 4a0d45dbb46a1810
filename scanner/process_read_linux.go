package scanner

import (
	"context"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Read implements [Source].
func (p *Process) Read(ctx context.Context, s Span, b *Buffer, each func(mem []byte, runs []Run) error) (Tally, error) {
	return p.readSpans(ctx, []Span{s}, b, each)
}

// readSpans is Read of several spans, for which it asks the kernel less often than
// Read for each of them: what is there of small areas is read together.
func (p *Process) readSpans(ctx context.Context, spans []Span, b *Buffer, each func(mem []byte, runs []Run) error) (Tally, error) {
	q := batch{p: p, b: b, each: each, kin: kin.has(p.identity, &b.live)}
	b.live.want = b.live.wantMemory[:0]
	for len(spans) > 0 {
		n := q.together(spans)
		if err := q.take(ctx, spans[:n]); err != nil {
			return q.tally, err
		}
		spans = spans[n:]
	}
	// A process that has gone has no pages, which must not pass for none.
	if q.pages > 0 {
		return q.tally, q.flush()
	}
	if err := p.same(&b.live); err != nil {
		return q.tally, p.fail("read", err)
	}
	return q.tally, nil
}

// walk counts the pages of the spans, which ascend, and calls present for each
// stretch of pages of an area that are to be read.
func (p *Process) walk(ctx context.Context, spans []Span, b *liveBuffer, t *Tally, present func(a *area, start, end uint64) error) error {
	var also uint64
	for _, s := range spans {
		also |= p.areas[s.part].also()
	}
	for at, end := spans[0].Start, spans[len(spans)-1].End; at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, next, err := p.pagemap.next(at, end, also, b.regions[:], b)
		if err != nil {
			return p.fail("read", err)
		}
		at = next
		for _, r := range b.regions[:n] {
			for len(spans) > 0 && spans[0].End <= r.start {
				spans = spans[1:]
			}
			for _, s := range spans {
				if s.Start >= r.end {
					break
				}
				a := &p.areas[s.part]
				part := region{max(r.start, s.Start), min(r.end, s.End), r.state}
				if p.count(a, part, t) {
					if err := present(a, part.start, part.end); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// also returns what is to be asked of the pages of a.
func (a *area) also() uint64 {
	switch {
	case a.reason != eligible || !a.file:
		return 0
	case a.noFlags:
		return pageFile | pageHuge
	}
	return pageFile
}

// count counts the pages of r, in the area a, but those that are to be read: then it
// returns true.
func (p *Process) count(a *area, r region, t *Tally) bool {
	pages := (r.end - r.start) / uint64(p.pageSize)
	r.state &^= (pageFile | pageHuge) &^ a.also() // of a, nobody asked
	switch {
	case a.reason != eligible:
		if r.state&pagePresent != 0 && r.state&pageZero == 0 {
			t.Skipped[a.reason] += pages
		}
	case r.state&pageGuard != 0:
	case r.state&pagePresent == 0:
		t.SwappedPages += pages
	case r.state&pageZero != 0:
		t.ZeroPages += pages
	case r.state&pageFile != 0:
		t.Skipped[ReasonFile] += pages
	case r.state&pageHuge != 0:
		// Asked only where the kernel makes no huge pages of copied
		// ones: in mappings of files. So the file is in a hugetlbfs.
		t.Skipped[ReasonHugetlb] += pages
	default:
		return true
	}
	return false
}

// batch gathers pages, of areas that are read in the same way, and reads them
// together.
type batch struct {
	p    *Process
	b    *Buffer
	each func(mem []byte, runs []Run) error

	kin      bool // the process has kin: nothing is pinned
	readable bool // the areas are
	pages    int  // in b.live.want
	tally    Tally
}

// isLarge reports whether s may fill a batch.
func (q *batch) isLarge(s Span) bool { return s.End-s.Start >= uint64(len(q.b.mem)) }

// maxGap is the most between spans about which the kernel is asked together. It
// passes over what has no page tables quickly, but not for nothing.
const maxGap = 1 << 30

// together returns how many of the first spans the kernel is asked about together:
// one, or several that are small.
func (q *batch) together(spans []Span) int {
	n := 1
	for q.p.pagemap.scan && n < len(spans) && !q.isLarge(spans[n-1]) && !q.isLarge(spans[n]) && spans[n].Start-spans[n-1].End <= maxGap {
		n++
	}
	return n
}

// take adds the pages of spans that belong together, and reads whatever fills a
// batch.
func (q *batch) take(ctx context.Context, spans []Span) error {
	first := &q.p.areas[spans[0].part]
	if q.isLarge(spans[0]) && first.reason == eligible && !first.file {
		if err := q.enter(first); err != nil {
			return err
		}
		if err := q.flush(); err != nil {
			return err
		}
		s := spans[0] // which is alone
		if err := q.dense(ctx, &s); err != nil {
			return err
		}
		spans = []Span{s}
	}
	return q.p.walk(ctx, spans, &q.b.live, &q.tally, func(a *area, start, end uint64) error {
		if err := q.enter(a); err != nil {
			return err
		}
		return q.add(start, end)
	})
}

// enter prepares for pages of the area a.
func (q *batch) enter(a *area) error {
	if a.readable == q.readable {
		return nil
	}
	err := q.flush()
	q.readable = a.readable
	return err
}

// dense reads s as far as all pages are there and only this process maps them,
// and takes that off s. The entries of pagemap tell as much; they have to be read
// anyway, and walk need not ask for what such pages are.
func (q *batch) dense(ctx context.Context, s *Span) error {
	live := &q.b.live
	for s.Start < s.End && q.mayReadv() {
		if err := ctx.Err(); err != nil {
			return err
		}
		pages := int(min(s.End-s.Start, uint64(len(q.b.mem)))) / q.p.pageSize
		live.want = append(live.want, Run{s.Start, pages})
		err := q.findAlone()
		if err == nil {
			if slices.Contains(live.alone, false) {
				live.want = live.wantMemory[:0]
				return nil
			}
			err = q.fetch()
		}
		if err := q.handOut(err); err != nil {
			return err
		}
		s.Start += uint64(pages * q.p.pageSize)
	}
	return nil
}

// add puts the pages of start..end in the batch, and reads it whenever it is
// full.
func (q *batch) add(start, end uint64) error {
	pageSize := q.p.pageSize
	most := len(q.b.mem) / pageSize
	for start < end {
		pages := min(int((end-start)/uint64(pageSize)), most-q.pages)
		q.b.live.want = addRun(q.b.live.want, start, pages, pageSize)
		q.pages += pages
		start += uint64(pages * pageSize)
		if q.pages == most {
			if err := q.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush reads the pages of the batch and hands them out.
func (q *batch) flush() error {
	if q.pages == 0 {
		return nil
	}
	q.pages = 0
	return q.handOut(q.read())
}

// handOut hands out what was read.
func (q *batch) handOut(err error) error {
	b, p := q.b, q.p
	b.live.want = b.live.wantMemory[:0]
	if err == nil {
		err = p.same(&b.live)
	}
	if err != nil {
		return p.fail("read", err)
	}
	pages := countPages(b.runs)
	if pages == 0 {
		return nil
	}
	q.tally.Pages += uint64(pages)
	return q.each(b.mem[:pages*p.pageSize], b.runs)
}

func countPages(runs []Run) int {
	pages := 0
	for _, r := range runs {
		pages += r.Pages
	}
	return pages
}

// read reads what is wanted, in one of two ways.
//
// process_vm_readv takes half to two thirds of the time, but it pins pages, and
// since Linux 5.19 the kernel gives a process a copy of its own of an anonymous
// page that may be shared before that is pinned (mm/gup.c: gup_must_unshare):
// reading KSM pages so unmerges them, and reading what processes share since a
// fork copies it and splits its huge pages. /proc/PID/mem does not pin, and reads
// areas without read permission.
//
// So pages are read the fast way only if pagemap says that nobody else maps them,
// and only of a process without kin, of whose huge pages pagemap does not say so
// surely, and without KSM pages: one of those, too, can have no other mapping left.
// What remains are pages that were shared by a fork: the kernel lets the process
// keep those, or, if something else uses the page at the moment, copies it and frees
// it. (The child of a fork can have KSM pages that are not counted as its own before
// ksmd's next scan. Those that everybody else has given up are copied likewise.)
func (q *batch) read() error {
	if q.mayReadv() {
		if err := q.findAlone(); err != nil {
			return err
		}
		return q.fetch()
	}
	live := &q.b.live
	live.alone = live.aloneMemory[:countPages(live.want)]
	clear(live.alone)
	return q.fetch()
}

// mayReadv reports whether the pages of the areas may be read the fast way, if
// they are alone.
func (q *batch) mayReadv() bool {
	return q.readable && !q.kin && !q.p.noReadv.Load() && q.p.unmerged(&q.b.live)
}

// fetch reads what is wanted, the fast way what is alone.
func (q *batch) fetch() error {
	q.b.runs = q.b.runs[:0]
	live := &q.b.live
	failed := ReasonVanished
	if !q.readable {
		failed = ReasonUnreadable
	}
	for mem := q.b.mem; len(live.want) > 0; {
		alone, pages := live.alone[0], 1
		for pages < len(live.alone) && live.alone[pages] == alone {
			pages++
		}
		var n int
		var err error
		if alone {
			n, err = q.readv(mem[:pages*q.p.pageSize])
		} else {
			pages = min(pages, live.want[0].Pages)
			n, err = q.readMem(mem[:pages*q.p.pageSize])
		}
		switch {
		case err == nil, err == unix.EFAULT, err == unix.EIO:
		case alone && (err == unix.EPERM || err == unix.ENOSYS):
			// Seccomp forbids the call in many containers, and a kernel can be
			// without it. The other way has a file that is open.
			q.p.noReadv.Store(true)
			clear(live.alone)
			continue
		default:
			return err
		}
		done := max(n, 0) / q.p.pageSize
		q.move(done)
		mem = mem[done*q.p.pageSize:]
		if done < pages { // the page behind these can not be read
			q.tally.Skipped[failed]++
			live.drop(1, q.p.pageSize)
			done++
		}
		live.alone = live.alone[done:]
	}
	return nil
}

// findAlone stores which of the pages that are wanted are present and mapped by
// this process only.
func (q *batch) findAlone() error {
	live := &q.b.live
	live.alone = live.aloneMemory[:countPages(live.want)]
	alone := live.alone
	for _, r := range live.want {
		entries := live.entries[:r.Pages*entryBytes]
		n, err := unix.Pread(q.p.pagemap.fd, entries, int64(r.Start/uint64(q.p.pageSize)*entryBytes))
		if err != nil {
			return err
		}
		if n < len(entries) {
			return unix.ESRCH // the memory is gone
		}
		for i := range r.Pages {
			const both = entryPresent | entryAlone
			alone[i] = binary.NativeEndian.Uint64(entries[i*entryBytes:])&both == both
		}
		alone = alone[r.Pages:]
	}
	return nil
}

// readv reads the first pages that are wanted, in one call for several runs. It
// stops before the first that can not be read.
func (q *batch) readv(mem []byte) (int, error) {
	live := &q.b.live
	runs := 0
	for left := len(mem); left > 0; runs++ {
		r := live.want[runs]
		n := min(left, r.Pages*q.p.pageSize)
		live.remote[runs] = unix.RemoteIovec{Base: uintptr(r.Start), Len: n}
		left -= n
	}
	live.local[0].Base = &mem[0]
	live.local[0].SetLen(len(mem))
	return unix.ProcessVMReadv(q.p.pid, live.local[:], live.remote[:runs], 0)
}

// readMem reads pages of the first run that is wanted. It stops before the first
// that can not be read.
func (q *batch) readMem(mem []byte) (int, error) {
	n, err := unix.Pread(q.p.mem, mem, int64(q.b.live.want[0].Start))
	if err == nil && n == 0 {
		err = unix.ESRCH // the memory that the file belongs to is gone
	}
	return n, err
}

// move makes the first pages of what is wanted the last of what has been read.
func (q *batch) move(pages int) {
	for pages > 0 {
		r := q.b.live.want[0]
		n := min(pages, r.Pages)
		q.b.runs = addRun(q.b.runs, r.Start, n, q.p.pageSize)
		q.b.live.drop(n, q.p.pageSize)
		pages -= n
	}
}

// drop takes pages off the front of the first run that is wanted, which has as
// many.
func (b *liveBuffer) drop(pages, pageSize int) {
	r := &b.want[0]
	r.Start += uint64(pages * pageSize)
	if r.Pages -= pages; r.Pages == 0 {
		b.want = b.want[1:]
	}
}
