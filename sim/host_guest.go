package sim

import (
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim/scenario"
)

// hostGuest is a guest of a Host. Its memory is one area, all of it mergeable.
type hostGuest struct {
	behaviour scenario.Guest // nil while it does not run
	process   ksmd.Process
	present   int    // pages that it has written and not freed
	faults    uint64 // writes to pages that KSM had put there, or freed
}

func (h *Host) startGuest(i int) {
	p, g := &h.plan.guests[i], &h.guests[i]
	h.waiting--
	if p.Parent >= 0 {
		parent := &h.guests[p.Parent]
		g.process, g.present = h.memory.Fork(parent.process), parent.present
		h.present += g.present
	} else {
		g.process = h.memory.Spawn()
		h.memory.Map(g.process, p.Pages)
		if p.Huge {
			h.memory.MarkHuge(g.process, 0)
		}
		h.memory.MarkMergeable(g.process, 0, 0, p.Pages)
	}
	h.daemon.Register(g.process)
	g.behaviour = h.plan.behaviour(i)
	h.disturbed()
	h.expect(i)
	if p.End > 0 {
		h.agenda.Add(scenario.Appointment{At: p.End, Kind: scenario.EndGuest, Index: i})
	}
}

func (h *Host) endGuest(i int) {
	g := &h.guests[i]
	h.memory.Exit(g.process)
	h.daemon.Exit(g.process)
	h.present -= g.present
	g.behaviour = nil
	h.disturbed()
}

// stepGuest lets a guest do something, unless it has ended.
func (h *Host) stepGuest(i int) {
	if g := &h.guests[i]; g.behaviour != nil {
		w := guestWriter{h, g}
		g.behaviour.Step(w)
		w.flush()
		h.expect(i)
	}
}

// expect notes down when a guest does something next.
func (h *Host) expect(i int) {
	if at, ok := h.guests[i].behaviour.Next(); ok {
		h.agenda.Add(scenario.Appointment{At: max(at, h.now), Kind: scenario.StepGuest, Index: i})
	}
}

// guestWriter is the memory of a guest, to which it writes.
type guestWriter struct {
	h *Host
	g *hostGuest
}

// Write implements scenario.Writer. Writes of one page are collected.
func (w guestWriter) Write(first, pages int, content, step uint64) {
	m := &w.h.memory
	if pages == 1 {
		m.later = append(m.later, laterWrite{page: uint32(first), number: content})
		if len(m.later) == cap(m.later) {
			w.flush()
		}
		return
	}
	w.flush()
	w.count(m.write(w.g.process, first, pages, content, step))
}

// flush does the writes that were collected.
func (w guestWriter) flush() {
	if len(w.h.memory.later) > 0 {
		w.count(w.h.memory.writeLater(w.g.process))
	}
}

// count takes account of writes to KSM pages, zero pages and pages not there.
func (w guestWriter) count(ksm, zero, absent int) {
	w.h.cowKSM += uint64(ksm)
	w.g.faults += uint64(ksm + zero)
	w.g.present += absent
	w.h.present += absent
}

// Free implements scenario.Writer.
func (w guestWriter) Free(first, pages int) {
	w.flush()
	freed := w.h.memory.free(w.g.process, first, pages)
	w.g.present -= freed
	w.h.present -= freed
}

// faultTime returns what a guest's copy-on-write faults have cost it.
func (h *Host) faultTime(g *hostGuest) time.Duration {
	return time.Duration(g.faults) * h.prices.Fault
}
