package sim

import "time"

// settling follows what the ends of full scans show. While nothing much changes it
// keeps the numbers with which that began, so that small changes add up.
type settling struct {
	saved, present int           // pages, when it became calm
	since          time.Duration // when that was
	calm           int           // scans on end since then
}

func (h *Host) disturbed() { h.settling.calm, h.settling.since = 0, h.now }

// hardlyDiffers reports whether two numbers of pages differ by less than 0.1 %.
func hardlyDiffers(a, b int) bool {
	return a == b || max(a-b, b-a)*1000 < max(a, b)
}

// smartScanCycle is how many scans it takes until smart scan has looked at every
// page again.
const smartScanCycle = 9

// calmTime is long for guests, which act each tenth of a second or so while they
// boot: scans of a small host are shorter.
const calmTime = 2 * time.Second

func (h *Host) scanHasEnded() {
	c := h.daemon.Counters()
	saved := int(c.PagesSharing) + int(c.KSMZeroPages)
	s := &h.settling
	if hardlyDiffers(saved, s.saved) && hardlyDiffers(h.present, s.present) {
		s.calm++
		return
	}
	h.disturbed()
	s.saved, s.present = saved, h.present
}

// Settled reports whether nothing much happens any more: for two full scans, and two
// seconds, the saved pages, pages_sharing and ksm_zero_pages, changed by less than
// 0.1 %, and so did the pages that guests have, so that none of them is booting; no
// guest started or ended and no knob was set meanwhile; and no guest is still to
// start. With smart_scan it is nine scans, since pages that did not merge are looked
// at in each ninth only.
//
// Where memory changes so much that the saving is always another one, a host never
// settles. Neither does it if ksmd does not run.
func (h *Host) Settled() bool {
	need := 2
	if h.daemon.Knobs().SmartScan {
		need = smartScanCycle
	}
	return h.waiting == 0 && h.settling.calm >= need && h.now-h.settling.since >= calmTime
}

// CalmSince returns since when nothing much changes, or false if that is not so, or
// not yet for as long as Settled needs.
func (h *Host) CalmSince() (time.Duration, bool) { return h.settling.since, h.Settled() }
