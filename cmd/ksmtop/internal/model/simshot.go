package model

import (
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// SimShot is what there is to know of the simulated machines at one moment, apart
// from A's processes, which are in a Sample.
type SimShot struct {
	Name, Title string // cleaned
	Script      bool   // it is a page script, not a scenario
	Seed        uint64
	Guests      int    // that there will ever be
	MemoryBytes uint64 // of the host
	Scale       int    // memory was divided by that, so that it fits

	Run     int           // the number of the present run: each begins at 0
	Now     time.Duration // virtual time
	Running bool
	Doing   string // what it does while it does not run, until that is done
	Speed   int    // an index of Speeds

	// Reached is the speed that is reached here, as times real time, or 0 while
	// that is not known.
	Reached float64

	Next string // what a script does next
	Over bool   // nothing happens any more

	A, B SimSide
	HasB bool

	Obeyed int // how many commands were obeyed so far
}

// SimSide is one of two machines that are compared.
type SimSide struct {
	What       string // which knobs it has: "the kernel's defaults"
	Reading    sysfs.Reading
	Savings    sysfs.Savings
	HasSavings bool

	// Percent is the share of one CPU that ksmd used since the sample before.
	Percent    float64
	HasPercent bool

	// Settled is since when nothing much changes.
	Settled    time.Duration
	HasSettled bool
}

// SimUpdate is news of the simulated machines.
type SimUpdate struct {
	Shot   SimShot
	Sample *Sample // a new one of A, or nil

	// Err is why a command could not be obeyed, or what ended the run. Refused is
	// the setting that the machine does not take while it runs, if that was it, and
	// Undo whether it was to put a knob back.
	Err     error
	Refused *sysfs.Setting
	Undo    bool
}

// Speeds are how fast a simulated machine runs, as times real time; 0 is as fast as
// possible.
var Speeds = [...]int{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 0}

// Usual speeds, as indexes of Speeds.
const (
	ScenarioSpeed = 5 // a minute in a second
	ScriptSpeed   = 0
)

// SimCommandKind is what is asked of the simulated machines.
type SimCommandKind uint8

// The commands.
const (
	SimOpen    SimCommandKind = iota // Name
	SimClose                         // forget them
	SimToggle                        // run or pause
	SimBatch                         // go on for a batch of ksmd, or an operation of a script
	SimScan                          // go on to the end of a full scan
	SimFaster                        // By steps in Speeds
	SimSet                           // Settings, on A
	SimRestart                       // from the beginning, A with Settings
	SimCompare                       // both from the beginning, A with Settings and B with Other
	SimAlone                         // without B
)

// SimCommand is asked of the simulated machines.
type SimCommand struct {
	Kind     SimCommandKind
	Name     string
	By       int
	Settings []sysfs.Setting
	Undo     bool // Settings put a knob back
	Other    []sysfs.Setting
	What     string // what B is called
}

// SimTrack is what is charted of a simulated machine, from the beginning of the run
// on. When it is full every other point goes.
type SimTrack struct {
	Points []SimPoint
	every  time.Duration // the least time between two points
}

// SimPoint is one point of it. What was unknown is NaN.
type SimPoint struct {
	At      time.Duration
	Net     float64 // bytes
	Percent float64 // of one CPU
}

// trackPoints is more than a screen has columns.
const trackPoints = 1024

// add appends a point, unless it is too close to the last one.
func (t *SimTrack) add(p SimPoint) {
	if n := len(t.Points); n > 0 && p.At < t.Points[n-1].At+max(t.every, 1) {
		return
	}
	if len(t.Points) == trackPoints {
		for i := range trackPoints / 2 {
			t.Points[i] = t.Points[2*i+1]
		}
		t.Points = t.Points[:trackPoints/2]
		t.every = 2 * max(t.every, p.At/trackPoints)
	}
	t.Points = append(t.Points, p)
}

func (t *SimTrack) reset() { *t = SimTrack{Points: t.Points[:0]} }

// Span returns how much virtual time the charts of a run show: all of it so far,
// rounded up.
func (m *Sim) Span() time.Duration {
	for _, round := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if m.Shot.Now <= round {
			return round
		}
	}
	for _, minutes := range []time.Duration{6, 8, 10, 15, 20, 30, 45, 60, 90, 120} {
		if m.Shot.Now <= minutes*time.Minute {
			return minutes * time.Minute
		}
	}
	return wholeSpan(m.Shot.Now)
}

// Highest returns the highest net saving that the charts of a run have.
func (m *Sim) Highest() float64 {
	highest := 0.0
	for _, t := range []*SimTrack{&m.A, &m.B} {
		for _, p := range t.Points {
			if p.Net > highest { // not for NaN
				highest = p.Net
			}
		}
	}
	return highest
}
