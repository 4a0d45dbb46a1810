package scenario

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// A guest acts at ticks: at its start, and every tenth of a second from then on
// at which something is due. It first boots, which is to write its memory once, in
// the order of its addresses, and then rewrites pages:
//
//   - Streams. Each range of pages with a rate has a Poisson process: the time to
//     the next rewriting is exponential, of mean every/pages, and which page it is
//     is drawn. So each page of the range for itself has a Poisson process with
//     one rewriting in the time every, and is unchanged after t with probability
//     exp(-t/every); nothing needs to be known of a page.
//   - Bursts rewrite a run of the class at once, the next one each time.
//   - Sweeps put the next run of the image into the class, at times of the
//     scenario: all guests read the same then.
//   - A balloon takes pages from the end of the memory; what would write to
//     them does nothing.
//
// A rewritten page gets a content of the guest's own that was never used before,
// but that of a self class the content of another page of the class, that of
// an image another page of the image. A step costs what it writes and a few
// nanoseconds a stream.

// tick is the time between two steps.
const tick = 100 * time.Millisecond

// Bits of contents, see the package comment.
const (
	prefixBit = 1 << 63
	ownBit    = 1 << 61
	guestBit  = 44 // the lowest of the guest's number
	maxOwn    = 1 << guestBit
)

type guest struct {
	seed     uint64
	index    int
	group    *group
	plan     *Plan
	contents uint64 // the guest's own contents begin here
	random   rand.PCG

	own     uint64 // the next of them
	present int    // pages behind are given back
	booted  int    // pages behind were not written yet
	subset  subset // of the class that is being written first

	next     int64 // tick of the next step
	bootTick int64 // of the next boot step; never when booted
	streams  []streamState
	bursts   []burstState
	sweeps   []sweepState
	balloons []balloon // those to come
}

// never is a tick that does not come.
const never = 1<<63 - 1

type streamState struct {
	tick int64  // of the next rewriting
	due  uint64 // the time of it since the end of booting, in nanoseconds
	rest uint64 // fraction of a nanosecond, times pages*2^32
}

type burstState struct {
	class int
	tick  int64
	done  int // bursts so far
	at    int // page of the class with which the next begins
	pages int
}

type sweepState struct {
	class  int
	tick   int64
	number int // of the next, from 1
}

// Guest returns the behaviour of Plans()[i] from its start on. Each call returns
// one at its start; they have nothing to do with each other.
func (s *Scenario) Guest(i int) Guest {
	plan := &s.plans[i]
	g := &guest{
		seed:     s.Seed,
		index:    i,
		group:    &s.groups[s.owner[i]],
		plan:     plan,
		contents: ownBit | uint64(i)<<guestBit,
		random:   newRandom(s.Seed, forRewrites, i, 0),
		present:  plan.Pages,
	}
	g.own = g.group.ownPages
	g.bootTick = g.nextBoot()
	g.streams = make([]streamState, len(g.group.streams))
	for i := range g.streams {
		g.advance(i)
	}
	for class := range g.group.classes {
		c := &g.group.classes[class]
		if n := portion(c.burst.share, c.pages, 1); c.burst.every > 0 && n > 0 {
			g.bursts = append(g.bursts, burstState{class: class, tick: ticks(g.group.boot + c.burst.every), pages: n})
		}
		if c.sweep.isSet && c.pooled > 0 {
			g.sweeps = append(g.sweeps, g.firstSweep(class))
		}
	}
	for _, b := range g.group.balloons {
		if b.at >= plan.Start {
			g.balloons = append(g.balloons, b)
		}
	}
	g.schedule()
	return g
}

// ticks returns the first tick at or after a time since the guest's start.
func ticks(d time.Duration) int64 { return int64((d + tick - 1) / tick) }

func (g *guest) Pages() int { return g.plan.Pages }

func (g *guest) Next() (time.Duration, bool) {
	if g.next == never {
		return 0, false
	}
	at := g.plan.Start + time.Duration(g.next)*tick
	if g.plan.End != 0 && at >= g.plan.End {
		return 0, false
	}
	return at, true
}

// schedule finds the next tick.
func (g *guest) schedule() {
	g.next = g.bootTick
	for i := range g.streams {
		g.next = min(g.next, g.streams[i].tick)
	}
	for i := range g.bursts {
		g.next = min(g.next, g.bursts[i].tick)
	}
	for i := range g.sweeps {
		g.next = min(g.next, g.sweeps[i].tick)
	}
	if len(g.balloons) > 0 {
		g.next = min(g.next, g.balloonTick())
	}
}

func (g *guest) Step(w Writer) {
	now := g.next
	if g.bootTick == now {
		g.bootUntil(g.bootTarget(now), w)
		g.bootTick = g.nextBoot()
	}
	for len(g.balloons) > 0 && g.balloonTick() == now {
		g.setBalloon(g.balloons[0].share, w)
		g.balloons = g.balloons[1:]
	}
	for i := range g.sweeps {
		if s := &g.sweeps[i]; s.tick == now {
			g.sweep(s, w)
		}
	}
	for i := range g.bursts {
		if b := &g.bursts[i]; b.tick == now {
			g.burst(b, w)
		}
	}
	for i := range g.streams {
		for g.streams[i].tick == now {
			s := &g.group.streams[i]
			g.rewrite(&g.group.classes[s.class], s.first+below(&g.random, s.pages), w)
			g.advance(i)
		}
	}
	g.schedule()
}

// advance draws when a stream rewrites next.
func (g *guest) advance(i int) {
	s, stream := &g.streams[i], &g.group.streams[i]
	// Times are below 2^55 and pages below 2^29: the quotient is below 2^61.
	hi, lo := bits.Mul64(exponential(&g.random), uint64(stream.every))
	lo, carry := bits.Add64(lo, s.rest, 0)
	gap, rest := bits.Div64(hi+carry, lo, uint64(stream.pages)<<32)
	s.due += gap
	s.rest = rest
	s.tick = ticks(g.group.boot + time.Duration(s.due))
}

// bootTarget returns how many pages are booted at a tick.
func (g *guest) bootTarget(now int64) int {
	pages, boot := g.plan.Pages, g.group.boot
	since := time.Duration(now) * tick
	if since >= boot {
		return pages
	}
	return int(mulDiv(uint64(pages), uint64(since), uint64(boot)))
}

// nextBoot returns the next tick at which there is something to boot.
func (g *guest) nextBoot() int64 {
	if g.booted == g.plan.Pages {
		return never
	}
	if g.group.boot == 0 {
		return 0
	}
	return ticks(time.Duration(mulDivUp(uint64(g.booted+1), uint64(g.group.boot), uint64(g.plan.Pages))))
}

// bootUntil writes the pages before target for the first time.
func (g *guest) bootUntil(target int, w Writer) {
	for class := range g.group.classes {
		c := &g.group.classes[class]
		if g.booted < c.first || g.booted >= c.first+c.pages || g.booted >= target {
			continue
		}
		if g.booted == c.first && c.kind == kindImage {
			g.subset = newSubset(c, newRandom(g.seed, forSubset, g.index, class))
		}
		to := min(target, c.first+c.pages)
		g.fill(c, g.booted, to-g.booted, w)
		g.booted = to
	}
}

// fill writes pages of a class for the first time.
func (g *guest) fill(c *class, first, pages int, w Writer) {
	switch c.kind {
	case kindZero:
		g.write(w, first, pages, 0, 0)
	case kindImage:
		fromPool := max(0, min(pages, c.first+c.pooled-first))
		g.fillImage(c, first, fromPool, w)
		g.writeOwn(w, first+fromPool, pages-fromPool, 0)
	case kindTemplate:
		if !c.isForked {
			g.write(w, first, pages, c.base+uint64(first-c.first), 1)
		}
	case kindSelf:
		g.fillSelf(c, first, pages, w)
	case kindPrivate:
		g.writeOwn(w, first, pages, 0)
	case kindPrefix:
		g.writeOwn(w, first, pages, prefixBit)
	case kindFree:
	}
}

// fillImage writes pages from the pool, neighbours in the pool with one call.
func (g *guest) fillImage(c *class, first, pages int, w Writer) {
	runAt, of, run := first, 0, 0 // run pages of the image from page of on
	flush := func() {
		g.write(w, runAt, run, c.base+uint64(of), 1)
		runAt += run
	}
	for range pages {
		page, ok := g.subset.take()
		if !ok {
			break
		}
		if page != of+run {
			flush()
			of, run = page, 0
		}
		run++
	}
	flush()
	g.writeOwn(w, runAt, first+pages-runAt, 0) // what the pool had no page for
}

// fillSelf writes pages of a self class, equal ones with one call.
func (g *guest) fillSelf(c *class, first, pages int, w Writer) {
	for end := first + pages; first < end; {
		content, n := g.selfContent(c, first), 1
		for first+n < end && g.selfContent(c, first+n) == content {
			n++
		}
		g.write(w, first, n, content, 0)
		first += n
	}
}

// selfContent returns the content that a page of a self class had at first.
func (g *guest) selfContent(c *class, page int) uint64 {
	return g.contents + c.ownFirst + uint64(c.copies.at(page-c.first))
}

// rewrite writes one page of a class again.
func (g *guest) rewrite(c *class, page int, w Writer) {
	if c.zeroed > 0 && uniform(&g.random) < c.zeroed {
		g.write(w, page, 1, 0, 0)
		return
	}
	switch {
	case c.kind == kindImage && page < c.first+c.pooled:
		g.write(w, page, 1, c.base+uint64(c.draw(&g.random)), 0)
	case c.kind == kindSelf:
		g.write(w, page, 1, g.selfContent(c, c.first+below(&g.random, c.pages)), 0)
	case c.kind == kindPrefix:
		g.writeOwn(w, page, 1, prefixBit)
	default:
		g.writeOwn(w, page, 1, 0)
	}
}

// burst rewrites the next pages of a class.
func (g *guest) burst(b *burstState, w Writer) {
	c := &g.group.classes[b.class]
	for left := b.pages; left > 0; {
		n := min(left, c.pages-b.at)
		if c.kind == kindImage || c.kind == kindSelf || c.kind == kindPrefix || c.zeroed > 0 {
			n = 1
			g.rewrite(c, c.first+b.at, w)
		} else {
			g.writeOwn(w, c.first+b.at, n, 0)
		}
		b.at = (b.at + n) % c.pages
		left -= n
	}
	b.done++
	b.tick = ticks(g.group.boot + time.Duration(b.done+1)*c.burst.every)
}

// firstSweep returns the first sweep of a class after the guest has booted.
func (g *guest) firstSweep(class int) sweepState {
	s := sweepState{class: class, number: 1}
	sweep := &g.group.classes[class].classSpec.sweep
	if late := g.plan.Start + g.group.boot - sweep.at; late > 0 && sweep.every > 0 {
		s.number += int((late + sweep.every - 1) / sweep.every)
	} else if late > 0 {
		s.number++
	}
	g.scheduleSweep(&s)
	return s
}

func (g *guest) scheduleSweep(s *sweepState) {
	sweep := &g.group.classes[s.class].classSpec.sweep
	s.tick = never
	if s.number == 1 || sweep.every > 0 {
		s.tick = ticks(sweep.at + time.Duration(s.number-1)*sweep.every - g.plan.Start)
	}
}

// sweep puts the next run of the image into the class.
func (g *guest) sweep(s *sweepState, w Writer) {
	c := &g.group.classes[s.class]
	hi, lo := bits.Mul64(uint64(s.number), uint64(c.pooled))
	at := int(bits.Rem64(hi, lo, uint64(c.pool))) // page of the image
	for done := 0; done < c.pooled; {
		n := min(c.pooled-done, c.pool-at)
		g.write(w, c.first+done, n, c.base+uint64(at), 1)
		at = 0
		done += n
	}
	s.number++
	g.scheduleSweep(s)
}

func (g *guest) balloonTick() int64 { return ticks(g.balloons[0].at - g.plan.Start) }

// setBalloon gives back a share of the memory, or allows to use it again.
func (g *guest) setBalloon(share float64, w Writer) {
	present := g.plan.Pages - portion(share, g.plan.Pages, g.group.sizeUnit())
	if present < g.present {
		w.Free(present, g.present-present)
	}
	g.present = present
}

// writeOwn writes contents that were never used before. After 2^44 of them, which
// is weeks at ten million a second, they come again.
func (g *guest) writeOwn(w Writer, first, pages int, prefix uint64) {
	if g.own+uint64(pages) > maxOwn {
		g.own = g.group.ownPages
	}
	g.write(w, first, pages, (g.contents|prefix)+g.own, 1)
	g.own += uint64(pages)
}

// write writes what of the pages is not given back.
func (g *guest) write(w Writer, first, pages int, content, step uint64) {
	if pages = min(pages, g.present-first); pages > 0 {
		w.Write(first, pages, content, step)
	}
}
