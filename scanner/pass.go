package scanner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// pass is one reading of all targets by several workers.
type pass struct {
	targets []Target
	workers int
	limiter *limiter

	// admit is called for each source that was opened, by one goroutine. An
	// error ends the pass.
	admit func(Source) error

	// newTaker is called once by each worker that has something to read.
	newTaker func() taker

	// inPlace says that take does not read the memory again.
	inPlace bool

	// keepOne says that the source that is done with first is left open, to be
	// read again: it is in kept then, and the caller closes it.
	keepOne bool
	kept    *opened

	pages atomic.Uint64 // read so far
	known atomic.Uint64 // pages of the sources opened so far, about

	sources atomic.Int64  // open, and not kept
	closed  chan struct{} // has room for one: another source was closed

	mu  sync.Mutex // guards what follows, and kept, until run returns
	err error      // of admit
	outcome
}

// taker takes in pages, in two steps for each batch. It may keep neither mem nor
// runs.
type taker interface {
	// look reads the pages. It may be interrupted by a panic, and is called
	// again then.
	look(mem []byte)

	// take takes in what look has read last, of the target with that number.
	take(target int, mem []byte, runs []Run)

	// finish takes in what take has held back. It is called in the end.
	finish()
}

// outcome is what became of the targets.
type outcome struct {
	tally    Tally
	refused  []Refusal
	problems []error
	gone     int
	cut      bool // something was not read to the end
}

// opened is a source that workers read.
type opened struct {
	Source
	target  int
	pending atomic.Int64 // units not done yet, and one for the producer
	dead    atomic.Bool  // the process has gone: the other units are dropped
}

// unit is one piece of work: spans of at most SpanBytes together. Where areas are
// small, to hand them on one by one would take longer than to read them.
type unit struct {
	source *opened
	spans  []Span
}

// cut returns the spans that make the next unit, and the others.
func cut(spans []Span) (unit, rest []Span) {
	n, size := 0, uint64(0)
	for _, s := range spans {
		if size += s.End - s.Start; n > 0 && size > SpanBytes {
			break
		}
		n++
	}
	return spans[:n], spans[n:]
}

// run reads everything, or stops when ctx is done. Sources are opened one by one
// as workers get to them, so that thousands of processes need few descriptors.
func (p *pass) run(ctx context.Context) {
	units := make(chan unit, min(p.workers, 32))
	p.closed = make(chan struct{}, 1)
	var workers sync.WaitGroup
	go func() {
		defer close(units)
		for i := range p.targets {
			if !p.produce(ctx, i, units) {
				p.cutShort()
				return
			}
		}
	}()
	for range p.workers {
		workers.Go(func() { p.work(ctx, units) })
	}
	workers.Wait()
}

// produce opens a target and hands its spans to the workers. It returns false
// when ctx is done or the target is not admitted.
func (p *pass) produce(ctx context.Context, i int, units chan<- unit) bool {
	if ctx.Err() != nil {
		return false
	}
	began := time.Now()
	source, err := p.open(ctx, p.targets[i])
	if err != nil {
		p.refuse(p.targets[i].Name, err)
		return true
	}
	src := &opened{Source: source, target: i}
	src.pending.Store(1)
	defer p.done(src)
	if err := p.admit(src); err != nil {
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		return false
	}
	spans, err := allSpans(source)
	if err != nil {
		p.refuse(p.targets[i].Name, err)
		return true
	}
	p.limiter.pause(ctx, 0, time.Since(began))
	p.known.Add(src.Pages())
	for len(spans) > 0 {
		var next []Span
		next, spans = cut(spans)
		src.pending.Add(1)
		select {
		case units <- unit{src, next}:
		case <-ctx.Done():
			p.done(src)
			return false
		}
	}
	return true
}

// open opens a target. If there are no descriptors it waits until the workers are
// done with another source.
func (p *pass) open(ctx context.Context, t Target) (Source, error) {
	for {
		others := p.sources.Load()
		source, err := t.Open()
		if err == nil {
			p.sources.Add(1)
		}
		if others == 0 || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return source, err
		}
		select {
		case <-p.closed:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// allSpans returns the spans of a source, or those that may have something in them
// if that is found sooner.
func allSpans(source Source) ([]Span, error) {
	if process, ok := source.(*Process); ok {
		return process.likelySpans()
	}
	return source.Spans(nil)
}

// done counts a unit of a source as done, and closes or keeps it after the last.
func (p *pass) done(src *opened) {
	if src.pending.Add(-1) > 0 {
		return
	}
	p.mu.Lock()
	keep := p.keepOne && p.kept == nil
	if keep {
		p.kept = src
	}
	p.mu.Unlock()
	if !keep {
		_ = src.Close() // it was only read
	}
	p.sources.Add(-1)
	select {
	case p.closed <- struct{}{}:
	default:
	}
}

// refuse records why a target could not be read at all.
func (p *pass) refuse(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, ErrGone) || errors.Is(err, ErrNoProcess) {
		p.gone++
		return
	}
	p.refused = append(p.refused, Refusal{name, err})
	p.cut = true
}

func (p *pass) cutShort() {
	p.mu.Lock()
	p.cut = true
	p.mu.Unlock()
}

// work reads units until there are no more.
func (p *pass) work(ctx context.Context, units <-chan unit) {
	if p.workers <= runtime.GOMAXPROCS(0) {
		// Reading a batch takes so long that Go gives the worker's turn to another
		// thread. Where each has a processor, to change threads is all that comes of it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	w := worker{pass: p, ctx: ctx}
	for u := range units {
		w.read(u)
		p.done(u.source)
	}
	if w.taker != nil {
		w.taker.finish()
	}
	p.mu.Lock()
	p.tally.Add(w.tally)
	p.mu.Unlock()
}

// worker is what one goroutine keeps.
type worker struct {
	pass   *pass
	ctx    context.Context
	buffer *Buffer
	taker  taker
	tally  Tally

	target   int
	pageSize int
	began    time.Time // of the present batch
}

func (w *worker) read(u unit) {
	if u.source.dead.Load() {
		return
	}
	if w.ctx.Err() != nil {
		w.pass.cutShort()
		return
	}
	w.target, w.pageSize = u.source.target, u.source.PageSize()
	if w.taker == nil {
		w.buffer = newBuffer(bufferBytes(w.pass.workers, w.pageSize))
		w.taker = w.pass.newTaker()
	}
	w.began = time.Now()
	tally, err := w.readSpans(u)
	w.tally.Add(tally)
	if _, isImage := u.source.Source.(*Image); isImage && err == nil && tally.Skipped[ReasonVanished] > 0 && !u.source.dead.Swap(true) {
		err = fmt.Errorf("%s became shorter while it was read", u.source.Name())
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrGone):
		if !u.source.dead.Swap(true) {
			w.pass.mu.Lock()
			w.pass.gone++
			w.pass.mu.Unlock()
		}
	case w.ctx.Err() != nil:
		w.pass.cutShort()
	default:
		w.pass.mu.Lock()
		w.pass.problems = append(w.pass.problems, err)
		w.pass.cut = true
		w.pass.mu.Unlock()
	}
}

// readSpans reads the spans of a unit, up to an error.
func (w *worker) readSpans(u unit) (Tally, error) {
	switch source := u.source.Source.(type) {
	case *Process:
		return source.readSpans(w.ctx, u.spans, w.buffer, w.batch)
	case *Image:
		if w.pass.inPlace {
			return eachSpan(u.spans, func(s Span) (Tally, error) {
				return source.readInPlace(w.ctx, s, w.buffer, w.taker.look, w.take)
			})
		}
	}
	return eachSpan(u.spans, func(s Span) (Tally, error) { return u.source.Read(w.ctx, s, w.buffer, w.batch) })
}

func eachSpan(spans []Span, read func(Span) (Tally, error)) (sum Tally, err error) {
	for _, s := range spans {
		tally, err := read(s)
		if sum.Add(tally); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// batch hands pages on.
func (w *worker) batch(mem []byte, runs []Run) error {
	w.taker.look(mem)
	return w.take(mem, runs)
}

// take hands on pages that were looked at, and keeps to the limits.
func (w *worker) take(mem []byte, runs []Run) error {
	w.taker.take(w.target, mem, runs)
	w.pass.pages.Add(uint64(len(mem) / w.pageSize))
	w.pass.limiter.pause(w.ctx, len(mem), time.Since(w.began))
	w.began = time.Now()
	return nil
}
