package scenario

import (
	"slices"
	"time"
)

// readGroups reads the groups and their classes into sp.
func readGroups(top *table, sp *spec) {
	shared := sharedContents{}
	for _, t := range top.subs("group") {
		sp.groups = append(sp.groups, readGroup(t, sp.groups, &shared))
	}
}

func readGroup(t *table, before []groupSpec, shared *sharedContents) groupSpec {
	t.require("name")
	hasHuge := t.has("huge")
	g := groupSpec{
		name:     t.name("name", "x"),
		count:    int(t.integer("count", 1, 1, maxGuests)),
		start:    t.duration("start", 0, 0),
		interval: t.duration("interval", 0, 0),
		isRandom: t.oneOf("arrivals", "regular", "random") == "random",
		boot:     t.duration("boot", 0, 0),
		parent:   -1,
		huge:     t.boolean("huge"),
	}
	g.minLifetime, g.maxLifetime = t.durations("lifetime", tick)
	if slices.ContainsFunc(before, func(b groupSpec) bool { return b.name == g.name }) {
		t.fail("name", "%q: there is a group of that name already", g.name)
	}
	if t.has("fork") {
		g.parent = findGroup(t, "fork", before)
		if g.parent >= 0 {
			checkFork(t, &g, &before[g.parent], hasHuge)
		}
	} else {
		t.require("memory")
		g.pages = int(t.pages("memory", g.sizeUnit(), maxGuestPages))
	}
	sum := 0.0
	for _, c := range t.subs("class") {
		class := readClass(c, &g, shared)
		sum += class.fraction
		if sum > 1+1e-9 {
			c.fail("fraction", "the fractions of the group's classes add up to %.6g, more than 1", sum)
		}
		g.classes = append(g.classes, class)
	}
	t.finish()
	return g
}

// checkFork gives a forked group the memory of its template, and notes an error
// where it cannot be forked.
func checkFork(t *table, g, parent *groupSpec, hasHuge bool) {
	g.pages = parent.pages
	switch {
	case t.has("memory"):
		t.fail("memory", "forked guests have that of their template")
	case hasHuge:
		t.fail("huge", "forked guests have the pages of their template")
	case parent.count != 1:
		t.fail("fork", "%q has %d guests: a template is one", parent.name, parent.count)
	case parent.maxLifetime != 0:
		t.fail("fork", "%q has a lifetime: a template stays", parent.name)
	case parent.start+parent.boot > g.start:
		t.fail("start", "the template %q is not there before %v", parent.name, parent.start+parent.boot)
	}
	g.huge = parent.huge
}

// sharedContents gives out the contents of images and templates: 1<<32 for each.
type sharedContents struct {
	names []string // of images and templates, with a prefix to tell them apart
	pools []int    // sizes of the images, in pages
}

// base returns the content of page 0.
func (s *sharedContents) base(name string, pool int) uint64 {
	i := slices.Index(s.names, name)
	if i < 0 {
		i = len(s.names)
		s.names = append(s.names, name)
		s.pools = append(s.pools, pool)
	}
	return uint64(i+1) << 32
}

// pool returns the size that was given for an image before, or 0.
func (s *sharedContents) pool(name string) int {
	if i := slices.Index(s.names, name); i >= 0 {
		return s.pools[i]
	}
	return 0
}

func readClass(t *table, g *groupSpec, shared *sharedContents) classSpec {
	t.require("kind")
	t.require("fraction")
	kind := slices.Index(kindNames, t.oneOf("kind", kindNames...))
	c := classSpec{
		kind:     classKind(max(0, kind)),
		fraction: t.share("fraction", 0),
		zeroed:   t.share("zeroed", 0),
	}
	switch c.kind {
	case kindImage:
		readImage(t, g, &c, shared)
	case kindTemplate:
		if g.parent < 0 {
			c.base = shared.base("template "+t.name("template", g.name), 0)
		}
	case kindSelf:
		c.maxCopies = int(t.integer("max_copies", 200, 2, selfBlock))
	}
	readWrites(t, &c)
	if b := t.sub("burst"); b != nil {
		b.require("every")
		b.require("share")
		c.burst = burst{b.duration("every", tick, tick), b.share("share", 0)}
		b.finish()
	}
	t.finish()
	return c
}

func readImage(t *table, g *groupSpec, c *classSpec, shared *sharedContents) {
	t.require("image")
	image := "image " + t.name("image", "x")
	subset := t.oneOf("subset", subsetNames...)
	c.subset = subsetKind(max(0, slices.Index(subsetNames, subset)))
	c.relocated = t.share("relocated", 0)
	if c.subset == subsetZipf {
		c.exponent = t.number("exponent", 1, 0, 4)
	}
	pages := portion(c.fraction, g.pages, 1)
	pages -= portion(c.relocated, pages, 1)
	given := t.has("pool")
	c.poolPages = int(t.pages("pool", 1, maxPoolPages))
	before := shared.pool(image)
	switch {
	case before != 0 && !given:
		c.poolPages = before
	case before != 0 && c.poolPages != before:
		t.fail("pool", "the image has %d KiB in an earlier class", before*PageSize>>10)
	case before == 0 && !given && t.r.err == nil:
		t.fail("pool", "is missing: no earlier class has this image")
	}
	if pages > c.poolPages && c.poolPages > 0 {
		t.fail("pool", "the class has %d KiB, more than its image", pages*PageSize>>10)
	}
	c.base = shared.base(image, c.poolPages)
	if s := t.sub("sweep"); s != nil {
		s.require("at")
		c.sweep = sweep{at: s.duration("at", 0, 0), every: s.duration("every", 0, tick), isSet: true}
		s.finish()
	}
}

// readWrites reads how the pages of a class are rewritten one by one.
func readWrites(t *table, c *classSpec) {
	if s := t.sub("survival"); s != nil {
		if t.has("write") {
			t.fail("survival", "a class has either write or survival")
		}
		s.require("tau")
		s.require("beta")
		tau := s.duration("tau", time.Hour, tick)
		beta := s.number("beta", 1, 0.1, 1)
		if beta > 0.9 && beta < 1 {
			s.fail("beta", "%v: must be 0.1 to 0.9, or 1", beta)
		}
		fastest := s.duration("fastest", time.Minute, tick)
		s.finish()
		if t.r.err == nil {
			c.writes = survival(tau, fastest, beta)
		}
	}
	sum := 0.0
	for _, w := range t.subs("write") {
		w.require("share")
		w.require("every")
		c.writes = append(c.writes, write{w.share("share", 0), w.duration("every", tick, tick)})
		sum += c.writes[len(c.writes)-1].share
		if sum > 1+1e-9 {
			w.fail("share", "the shares of the class add up to %.6g, more than 1", sum)
		}
		w.finish()
	}
}
