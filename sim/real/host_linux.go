//go:build amd64 || arm64

package real

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// A Host carries out a scenario with real processes: each guest is a worker, a
// forked guest a real fork, and pages hold the bytes of their contents. What is due
// is done in the order of scenario.Agenda, as sim.Host does it.
//
//	now      agenda: what is due            worker of guest 0   of guest 1
//	100 ms   guests 0 and 1 write    ─────> writes pages        writes pages
//	         wait for both           <───── how long each took
//	110 ms   guest 2 starts          ─────> fork of the first worker, mmap, madvise
//	...
//
// In Rehearse one moment follows the other as fast as that goes; in Advance each
// waits for its time.
//
// This process decides what is written, and sends the list to the workers, who do
// it at the same time. Each of them has one list at a time, so that neither side
// waits with a full socket.

// Host is a scenario carried out for real. It is not safe for concurrent use. Make
// it with NewHost, and Close it.
type Host struct {
	plans    []scenario.Plan
	events   []scenario.Event
	scenario *scenario.Scenario
	kernel   *Kernel // nil: no memory is mergeable
	first    *handle
	base     uint64
	page     uint64 // size in bytes

	agenda  *scenario.Agenda
	guests  []hostGuest // by plan
	writing []int       // guests with writes that wait
	answer  reply

	now      time.Duration
	began    time.Time     // when time 0 was, in Advance; zero while time does not pass
	late     time.Duration // the most that something was late
	rehearse bool          // knobs of the scenario are left alone
	latency  Latency
}

type hostGuest struct {
	behaviour scenario.Guest // nil while it does not run
	worker    *handle
	written   []uint64 // a bit for each page that is present
	writes    []pageWrite

	length    uint64 // of its memory, in bytes
	untouched []bool // huge pages that have not appeared, if it has them
	appeared  []int  // those that have, and are not marked yet
}

// NewHost makes a host on which nothing has happened yet. With k, which is for
// this host alone until it is closed, the guests' memory is mergeable and the
// scenario's knobs are set on the kernel: those of the start by [Kernel.Start].
// Without, KSM is left alone, which needs neither root nor KSM.
func NewHost(s *scenario.Scenario, k *Kernel) (*Host, error) {
	h := &Host{
		scenario: s, plans: s.Plans(), events: s.Events, kernel: k, page: uint64(os.Getpagesize()),
		agenda: scenario.NewAgenda(s.Events, s.Plans()), guests: make([]hostGuest, len(s.Plans())),
	}
	if h.page != scenario.PageSize {
		return nil, &Error{Op: "run a scenario", Err: sysfs.ErrNotSupported, hint: "scenarios have pages of 4096 bytes, and this kernel has others"}
	}
	if k != nil {
		h.first, h.base = k.first, k.base
	} else {
		var err error
		if h.first, h.base, _, err = startFirst(); err != nil {
			return nil, err
		}
	}
	h.base = (h.base + hugeBytes - 1) &^ (hugeBytes - 1) // where a huge page can begin
	return h, nil
}

// Close ends all guests.
func (h *Host) Close() error {
	var workers []*handle
	for i := range h.guests {
		if g := &h.guests[i]; g.worker != nil {
			workers = append(workers, g.worker)
			g.worker, g.behaviour = nil, nil
		}
	}
	if h.kernel == nil && h.first != nil {
		workers = append(workers, h.first)
	}
	h.first = nil
	return end(workers...)
}

// Late returns the most by which something came later than the scenario has it, in
// Advance: since the machine was busy, or the guests write more than they can.
func (h *Host) Late() time.Duration { return h.late }

// Latency returns how long single writes to pages that were present took, since
// the last call of ForgetLatency.
func (h *Host) Latency() Latency { return h.latency }

// ForgetLatency begins anew with Latency.
func (h *Host) ForgetLatency() { h.latency = Latency{} }

// Next returns when something happens next, or scenario.Never.
func (h *Host) Next() time.Duration { return h.agenda.Next() }

// Rehearse does all that the guests do until a time, without waiting, and leaves
// the knobs alone from now on.
func (h *Host) Rehearse(ctx context.Context, until time.Duration) error {
	h.rehearse, h.began = true, time.Time{}
	return h.advance(ctx, until)
}

// Advance does all that is due until a time, each when its time comes, and returns
// at that time. The scenario's time 0 is at the first call; behind Rehearse it goes
// on from there. The error is that of ctx, of a knob that the kernel refuses, or an
// *Error; after it the host is good for Close only.
func (h *Host) Advance(ctx context.Context, until time.Duration) error {
	if h.began.IsZero() {
		h.began = time.Now().Add(-h.now)
	}
	return h.advance(ctx, until)
}

func (h *Host) advance(ctx context.Context, until time.Duration) error {
	for h.agenda.Next() <= until {
		at := h.agenda.Next()
		if err := h.wait(ctx, at); err != nil {
			return err
		}
		h.now = max(h.now, at)
		for h.agenda.Next() == at {
			if err := h.keep(ctx, h.agenda.Take()); err != nil {
				return err
			}
		}
		if err := h.flush(ctx); err != nil {
			return err
		}
	}
	if err := h.wait(ctx, until); err != nil {
		return err
	}
	h.now = max(h.now, until)
	return nil
}

// wait waits for a time of the scenario, if time passes.
func (h *Host) wait(ctx context.Context, at time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if h.began.IsZero() {
		return nil
	}
	left := time.Until(h.began.Add(at))
	if left <= 0 {
		h.late = max(h.late, -left)
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// keep does what an appointment is for. Writes wait for flush.
func (h *Host) keep(ctx context.Context, a scenario.Appointment) error {
	switch a.Kind {
	case scenario.SetKnobs:
		if h.kernel == nil || h.rehearse {
			return nil
		}
		_, err := h.kernel.fsys.Set(h.events[a.Index].Settings...)
		return err
	case scenario.StepGuest:
		return h.step(ctx, a.Index)
	case scenario.StartGuest:
		return h.start(ctx, a.Index)
	case scenario.EndGuest:
		return h.end(ctx, a.Index)
	}
	panic("real: an appointment of no kind")
}

func (h *Host) start(ctx context.Context, i int) (err error) {
	p, g := &h.plans[i], &h.guests[i]
	length := uint64(p.Pages) * h.page
	g.length = length
	if p.Parent >= 0 {
		parent := &h.guests[p.Parent]
		if err := h.flush(ctx); err != nil {
			return err
		}
		g.worker, err = parent.worker.fork()
		g.written = append(g.written, parent.written...)
		g.untouched = append(g.untouched, parent.untouched...)
	} else {
		if g.worker, err = h.first.fork(); err == nil {
			err = g.worker.mapArea(h.base, length, p.Huge)
		}
		if p.Huge {
			g.untouched = slices.Repeat([]bool{true}, (p.Pages+hugePages-1)/hugePages)
		}
		if err == nil && h.kernel != nil {
			err = g.worker.madvise(h.base, length, unix.MADV_MERGEABLE)
		}
		g.written = make([]uint64, (p.Pages+63)/64)
	}
	if err != nil {
		return err
	}
	g.behaviour = h.scenario.Guest(i)
	h.expect(i)
	if p.End > 0 {
		h.agenda.Add(scenario.Appointment{At: p.End, Kind: scenario.EndGuest, Index: i})
	}
	return nil
}

func (h *Host) end(ctx context.Context, i int) error {
	if err := h.flush(ctx); err != nil {
		return err
	}
	g := &h.guests[i]
	worker := g.worker
	*g = hostGuest{}
	return end(worker)
}

// step lets a guest decide what to write, unless it has ended.
func (h *Host) step(ctx context.Context, i int) error {
	g := &h.guests[i]
	if g.behaviour == nil {
		return nil
	}
	w := hostWriter{h: h, ctx: ctx, guest: i}
	g.behaviour.Step(&w)
	h.expect(i)
	return w.err
}

// expect notes down when a guest does something next.
func (h *Host) expect(i int) {
	if at, ok := h.guests[i].behaviour.Next(); ok {
		h.agenda.Add(scenario.Appointment{At: max(at, h.now), Kind: scenario.StepGuest, Index: i})
	}
}

// hostWriter is the memory of a guest, to which it writes.
type hostWriter struct {
	h     *Host
	ctx   context.Context
	guest int
	err   error
}

// Write implements scenario.Writer. Pages that are present are written one by one,
// since each may have to be copied.
func (w *hostWriter) Write(first, pages int, content, step uint64) {
	h, g := w.h, &w.h.guests[w.guest]
	if len(g.writes) == 0 {
		h.writing = append(h.writing, w.guest)
	}
	for end := first + pages; first < end; {
		n := uint64(1)
		if g.isPresent(first) {
			n |= timed
		} else {
			g.touch(first)
			for g.makePresent(first); n < chunk && first+int(n) < end && !g.isPresent(first+int(n)); n++ {
				g.touch(first + int(n))
				g.makePresent(first + int(n))
			}
		}
		g.writes = append(g.writes, pageWrite{h.base + uint64(first)*h.page, n, content, step})
		n &^= timed
		first += int(n)
		content += n * step
	}
}

// timed marks, in the number of pages, a write that counts for the latency.
const timed = 1 << 63

func (g *hostGuest) isPresent(page int) bool { return g.written[page/64]>>(page%64)&1 != 0 }
func (g *hostGuest) makePresent(page int)    { g.written[page/64] |= 1 << (page % 64) }

// Free implements scenario.Writer.
func (w *hostWriter) Free(first, pages int) {
	h, g := w.h, &w.h.guests[w.guest]
	err := h.flush(w.ctx)
	if err == nil {
		err = g.worker.madvise(h.base+uint64(first)*h.page, uint64(pages)*h.page, unix.MADV_DONTNEED)
	}
	if err == nil {
		err = h.release(g, first, pages)
	}
	w.err = errors.Join(w.err, err)
	for page := first; page < first+pages; page++ {
		g.written[page/64] &^= 1 << (page % 64)
	}
}

// flush has all writes carried out that wait.
func (h *Host) flush(ctx context.Context) error {
	for len(h.writing) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := h.writeSome(); err != nil {
			return err
		}
		still := h.writing[:0]
		for _, i := range h.writing {
			if len(h.guests[i].writes) > 0 {
				still = append(still, i)
			} else if err := h.keepHugePages(i); err != nil {
				return err
			}
		}
		h.writing = still
	}
	return nil
}

// writeSome has each guest carry out a message of writes.
func (h *Host) writeSome() error {
	sizes := make([]int, len(h.writing))
	for k, i := range h.writing {
		g := &h.guests[i]
		sizes[k] = portion(g.writes)
		list := make([]pageWrite, sizes[k])
		for j, w := range g.writes[:sizes[k]] {
			w.pages &^= timed
			list[j] = w
		}
		if err := g.worker.begin(list); err != nil {
			return err
		}
	}
	for k, i := range h.writing {
		g := &h.guests[i]
		took, err := g.worker.finish(sizes[k], &h.answer)
		if err != nil {
			return err
		}
		for j, w := range g.writes[:sizes[k]] {
			if w.pages&timed != 0 {
				h.latency.add(took[j])
			}
		}
		if g.writes = g.writes[sizes[k]:]; len(g.writes) == 0 {
			g.writes = nil
		}
	}
	return nil
}

// portion returns how many of the writes are a message: not more than fit, and not
// many more than chunk pages.
func portion(writes []pageWrite) int {
	pages := uint64(0)
	for i, w := range writes {
		if i == maxWrites || pages >= chunk {
			return i
		}
		pages += w.pages &^ timed
	}
	return len(writes)
}

// Guests returns the guests that run, in the order of the scenario's plans.
func (h *Host) Guests() []GuestProcess {
	var list []GuestProcess
	for i := range h.guests {
		if g := &h.guests[i]; g.behaviour != nil {
			list = append(list, GuestProcess{i, g.worker.pid})
		}
	}
	return list
}
