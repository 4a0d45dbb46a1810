package scenario

import "time"

// spec is a scenario as its file has it: sizes in pages before scaling.
type spec struct {
	name, title string
	seed        uint64
	memoryPages int64 // 0 if not given
	groups      []groupSpec
	adds        []add
}

type groupSpec struct {
	name        string
	count       int
	pages       int
	start       time.Duration
	interval    time.Duration
	isRandom    bool // arrivals
	minLifetime time.Duration
	maxLifetime time.Duration // 0: they stay
	boot        time.Duration
	parent      int // index of the group that they are forked from, or -1
	huge        bool
	classes     []classSpec
	balloons    []balloon // by time
}

// sizeUnit is the number of pages of which the memory is a multiple.
func (g *groupSpec) sizeUnit() int {
	if g.huge {
		return hugePages
	}
	return 1
}

type classKind uint8

const (
	kindPrivate classKind = iota
	kindZero
	kindImage
	kindTemplate
	kindSelf
	kindPrefix
	kindFree
)

var kindNames = []string{"private", "zero", "image", "template", "self", "prefix", "free"}

type classSpec struct {
	kind      classKind
	fraction  float64
	base      uint64 // content of page 0 of an image or template
	poolPages int    // of an image
	subset    subsetKind
	exponent  float64 // of a Zipf subset
	relocated float64 // share of an image that is private
	maxCopies int     // of a self class
	writes    []write
	zeroed    float64 // share of the rewrites
	burst     burst
	sweep     sweep
}

// write is a share of a class whose pages are rewritten, each on average once
// in a time.
type write struct {
	share float64
	every time.Duration
}

// burst rewrites a share of a class at once, then the share behind it and so on.
type burst struct {
	every time.Duration // 0: never
	share float64
}

// sweep puts the next run of the pool into the class.
type sweep struct {
	at    time.Duration // since the scenario began
	every time.Duration // 0: once
	isSet bool
}

// balloon sets the share of a guest's memory that is given back.
type balloon struct {
	at    time.Duration
	share float64
}

// add is guests of a group that come later.
type add struct {
	at    time.Duration
	group int
	count int
}
