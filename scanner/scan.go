package scanner

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ksmtop/ksmtop/scanner/internal/census"
	"github.com/ksmtop/ksmtop/scanner/internal/fingerprint"
)

// Scan reads the targets and reports what merging their pages would save. If
// ctx is done it stops and reports what it has read by then, with Complete
// false. All targets must have the same page size.
//
// A target that cannot be opened is reported in Refused or counted in Gone, and
// the others are read. The error says that the options make no sense, or that
// page sizes differ.
func Scan(ctx context.Context, targets []Target, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	// With the first file that package os opens, Go sets up its poller, and ends the
	// program if no descriptor is left for that. So it is done before there are few.
	if f, err := os.Open(os.DevNull); err == nil {
		_ = f.Close() // nothing was written
	}
	return newScan(targets, o).do(ctx)
}

// scan is one scan under way.
type scan struct {
	targets []Target
	o       Options
	groups  []string
	groupOf []uint32 // by target
	began   time.Time
	hash    hash
	keep    int // verifyBytes

	pageSize atomic.Int64   // of the first source; 0 until that is opened
	census   *census.Census // made with it

	mu     sync.Mutex
	adders []*adder
	lent   int // adders handed out, each perhaps several times
}

// hash stores the fingerprints of the pages of mem in dst. It is
// fingerprint.Pages but in tests.
type hash func(dst []uint64, mem []byte, pageSize int)

// of returns the fingerprint of one page.
func (h hash) of(page []byte) uint64 {
	var print [1]uint64
	h(print[:], page, len(page))
	return print[0]
}

// adder is a worker of the census that several workers of the scan use in turn.
type adder struct {
	sync.Mutex
	*census.Worker
}

func newScan(targets []Target, o Options) *scan {
	s := &scan{targets: targets, o: o, began: time.Now(), groupOf: make([]uint32, len(targets)), hash: fingerprint.Pages, keep: verifyBytes}
	numbers := make(map[string]uint32)
	for i, t := range targets {
		n, ok := numbers[t.Group]
		if !ok {
			n = uint32(len(s.groups))
			numbers[t.Group] = n
			s.groups = append(s.groups, t.Group)
		}
		s.groupOf[i] = n
	}
	return s
}

// do reads, counts and verifies.
func (s *scan) do(ctx context.Context) (*Report, error) {
	p := s.newPass(s.newAdding)
	p.inPlace, p.keepOne = true, true
	stopProgress := s.reportProgress(p, false)
	p.run(ctx)
	stopProgress()
	again := newRereader(p.kept)
	defer again.close()
	if p.err != nil {
		return nil, p.err
	}
	r, err := s.report(ctx, &p.outcome, again)
	if err != nil || !s.o.Verify {
		return r, err
	}
	r.Verification, err = s.verify(ctx, r.ZeroPages)
	return r, err
}

// newPass returns a pass over all targets.
func (s *scan) newPass(newTaker func() taker) *pass {
	n := s.o.workers()
	return &pass{targets: s.targets, workers: n, limiter: newLimiter(&s.o, n), admit: s.admit, newTaker: newTaker}
}

// admit checks that a source has the page size of the others; the first one
// sets it.
func (s *scan) admit(src Source) error {
	switch size := int(s.pageSize.Load()); size {
	case src.PageSize():
		return nil
	case 0:
	default:
		return fmt.Errorf("scanner: %s has pages of %d bytes, the others have %d", src.Name(), src.PageSize(), size)
	}
	s.census = census.New(census.Options{
		Pages: max(s.o.ExpectedPages, src.Pages()), Groups: len(s.groups), Workers: s.o.workers(),
		Zero: s.hash.of(make([]byte, src.PageSize())), Seed: rand.Uint64(),
	})
	s.pageSize.Store(int64(src.PageSize()))
	return nil
}

// adding is a taker that puts pages into the census, those of many batches at
// once: reading a batch drives from the caches what the census keeps there, and
// where the next page of each partition goes is as much as half of such a cache.
type adding struct {
	scan  *scan
	size  int
	batch int // most pages in a batch
	adder *adder

	prints []uint64 // of the pages of runs, and room for another batch
	held   int      // how many pages that are
	runs   []heldRun
}

// With pages of 4 KiB, the fingerprints and runs that are held back take a fifth of
// the memory of a batch, and of one or two workers more than half of it.
const (
	heldBatches    = 64  // at most
	heldBatchesFew = 256 // of one or two workers
	heldRuns       = 8   // for each page of a batch; then it is enough
)

// heldRun is where pages are that lie side by side.
type heldRun struct {
	location uint64
	pages    int
	group    uint32
}

func (s *scan) newAdding() taker {
	size := int(s.pageSize.Load())
	batch := bufferBytes(s.o.workers(), size) / size
	held := heldBatches
	if s.o.workers() <= 2 {
		held = heldBatchesFew
	}
	return &adding{
		scan: s, size: size, batch: batch, adder: s.adder(),
		prints: make([]uint64, held*batch), runs: make([]heldRun, 0, (heldRuns+1)*batch),
	}
}

func (a *adding) look(mem []byte) { a.scan.hash(a.prints[a.held:][:len(mem)/a.size], mem, a.size) }

func (a *adding) take(target int, _ []byte, runs []Run) {
	group := a.scan.groupOf[target]
	for _, run := range runs {
		a.hold(heldRun{location(target, run.Start/uint64(a.size)), run.Pages, group})
	}
	if len(a.prints)-a.held < a.batch || len(a.runs) > heldRuns*a.batch {
		a.finish()
	}
}

// hold adds a run whose fingerprints are there already.
func (a *adding) hold(run heldRun) {
	a.held += run.pages
	if n := len(a.runs); n > 0 {
		if last := &a.runs[n-1]; last.group == run.group && last.location+uint64(last.pages) == run.location {
			last.pages += run.pages
			return
		}
	}
	a.runs = append(a.runs, run)
}

func (a *adding) finish() {
	a.adder.Lock()
	defer a.adder.Unlock()
	prints := a.prints
	for _, run := range a.runs {
		a.adder.Add(prints[:run.pages], run.group, run.location)
		prints = prints[run.pages:]
	}
	a.runs, a.held = a.runs[:0], 0
}

// adder returns an adder for one more worker. There are only as many as keep the
// census's memory in bounds: to add pages takes a thirtieth of the time that it
// takes to read them, so that workers wait little for each other.
func (s *scan) adder() *adder {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.lent
	s.lent++
	if most := s.census.Workers(); n >= most {
		return s.adders[n%most]
	}
	s.adders = append(s.adders, &adder{Worker: s.census.Worker()})
	return s.adders[n]
}

// A location is the number of a target and of a page in it.
const pageBits = 40

func location(target int, page uint64) uint64 { return uint64(target)<<pageBits | page&(1<<pageBits-1) }

// reportProgress calls Options.Progress until the function that it returns is
// called.
func (s *scan) reportProgress(p *pass, verifying bool) (stop func()) {
	if s.o.Progress == nil {
		return func() {}
	}
	began := time.Now()
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				pages := p.pages.Load()
				s.o.Progress(Progress{
					PagesRead: pages, ExpectedPages: max(s.o.ExpectedPages, p.known.Load(), pages),
					BytesRead: pages * uint64(s.pageSize.Load()), Elapsed: time.Since(began), Verifying: verifying,
				})
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// report counts what was read. Being interrupted ends reading, not counting.
func (s *scan) report(ctx context.Context, o *outcome, again *rereader) (*Report, error) {
	r := &Report{
		PageSize: int(s.pageSize.Load()), Complete: !o.cut, Refused: o.refused, Gone: o.gone, Problems: o.problems,
		MappedZeroPages: o.tally.ZeroPages, SwappedPages: o.tally.SwappedPages, HolePages: o.tally.HolePages,
		Skipped: make(map[Reason]uint64),
	}
	for reason, pages := range o.tally.Skipped {
		if pages > 0 {
			r.Skipped[Reason(reason)] = pages
		}
	}
	if s.census == nil { // nothing could be opened
		r.Elapsed = time.Since(s.began)
		return r, nil
	}
	counted, err := s.census.Count(context.WithoutCancel(ctx), s.counters(), census.Query{
		MaxPageSharing: s.o.MaxPageSharing, UseZeroPages: s.o.UseZeroPages, Top: s.o.Top,
	})
	if err != nil {
		return nil, err
	}
	r.Pages, r.ZeroPages, r.Distinct = counted.Pages, counted.ZeroPages, counted.Distinct
	r.WouldSave, r.ByZeroPages = counted.Saved, counted.ZeroSaved
	r.Shared, r.Unshared = counted.Shared, counted.Unshared
	r.Items = s.items(counted.Pages, counted.ZeroPages)
	r.BytesRead = counted.Pages * uint64(r.PageSize)
	for _, b := range counted.Histogram {
		r.Histogram = append(r.Histogram, Bucket(b))
	}
	for i, g := range counted.Groups {
		r.Within += g.Within
		r.Groups = append(r.Groups, Group{
			Name: s.groups[i], Pages: g.Pages, ZeroPages: g.ZeroPages, Distinct: g.Distinct,
			Within: g.Within, Between: g.Between.Pages(), Items: s.items(g.Pages, g.ZeroPages),
		})
	}
	r.Between = r.WouldSave - r.Within
	slices.SortStableFunc(r.Groups, func(a, b Group) int { return cmp.Compare(b.WouldSave(), a.WouldSave()) })
	r.Top = s.contents(ctx, counted.Top, again)
	r.Elapsed = time.Since(s.began)
	return r, nil
}

// counters returns how many goroutines count. Each has tables of its own, which
// grow with the number of groups.
func (s *scan) counters() int {
	const most, groups = 16, 1 << 18 // groups of all together
	return min(s.o.workers(), most, max(1, groups/len(s.groups)))
}

// items returns how many of the pages ksmd would track in the long run.
func (s *scan) items(pages, zero uint64) uint64 {
	if s.o.UseZeroPages {
		return pages - zero
	}
	return pages
}
