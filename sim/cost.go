package sim

import (
	"fmt"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// Costs says what CPU time the parts of ksmd's work take, on a machine with pages
// of 4096 bytes. It is a model with few parts, each of which stands for something
// that the daemon does:
//
//	a visit          finding the page, and its item            constant
//	a checksum       reading the page                          constant
//	a search         a level of the tree after the other       see below
//	a merge          changing page tables, comparing again     constant
//
// A search touches the item of each position on its way, the page tables of its
// process and the page itself: half a dozen cache misses, unless that position was
// visited not long ago. The upper levels are few positions, and stay in the cache;
// what is deeper than CachedLevels misses it. So a search in a tree of 2^n costs
//
//	n*Level + max(0, n-CachedLevels)*Miss
//
// and if the contents are equal up to their ends each of the levels that have such
// contents costs AlikeLevel more, in which two whole pages are read. If the same content
// was searched for shortly before (ksmd.Recent), all on the way is in the cache, and a
// level costs AgainLevel.
//
// # How well it fits
//
// DefaultCosts are fitted to what the ksmd of Linux 6.18 took on a machine with
// 2 CPUs (AMD EPYC, 1 MiB of L2 cache), smart_scan 0 and one batch a scan, for
// 131072 pages, in seconds; the model's are behind the arrows:
//
//	contents                   scan 1          scan 2          later
//	two of each                0.104 > 0.118   0.857 > 0.855   0.033 > 0.033
//	all equal                  0.118 > 0.118   0.341 > 0.334   0.033 > 0.033
//	all different              0.130 > 0.118   0.652 > 0.629   0.631 > 0.629
//	different at the end       0.136 > 0.118   1.326 > 1.302   1.308 > 1.302
//	zero, use_zero_pages       0.131 > 0.118   0.296 > 0.293   0.003 > 0.003
//	all different, 524288 p.   0.386 > 0.473   3.399 > 3.331   3.344 > 3.331
//
// Second scans and later ones are within 4 %. In first scans the daemon does the
// same for each page whatever is in it, and yet took from 0.74 to 1.04 us: the model
// has one value, which is off by up to 14 % for the smaller memory and by 23 % for
// the larger one. First scans are short.
//
// One batch a scan is ksmd without pauses. As it mostly works, in batches of 1000 pages
// with sleeps between them, it finds less in the cache, and takes more time for the same:
// DefaultCosts are then too low. On another machine (Linux 6.18.44, 2 vCPUs of an Intel
// Xeon) one batch took a fifth to a third less.
//
// On another machine the numbers are others, too. `ksmtop bench --calibrate` measures
// them, with memory of the same kinds and in such batches: real.Kernel.Calibrate.
type Costs struct {
	Batch    time.Duration `json:"batch_ns"`    // waking up, locking
	Visit    time.Duration `json:"visit_ns"`    // a page handed to the merge step, a KSM page or not
	Revisit  time.Duration `json:"revisit_ns"`  // instead, of a KSM page that is in the cache: see ksmd.Work.Revisits
	Skip     time.Duration `json:"skip_ns"`     // a page that smart scan passes over
	Empty    time.Duration `json:"empty_ns"`    // an address at which nothing is that can be merged
	Item     time.Duration `json:"item_ns"`     // making the item of a page seen for the first time
	Checksum time.Duration `json:"checksum_ns"` // of a page
	Join     time.Duration `json:"join_ns"`     // merging a page with a KSM page
	Rejoin   time.Duration `json:"rejoin_ns"`   // with one that still is in the cache: see ksmd.Work.Rejoins
	Pair     time.Duration `json:"pair_ns"`     // making two pages a KSM page, and inserting that
	Zero     time.Duration `json:"zero_ns"`     // replacing a page by the zero page

	// Searches, for each level of the tree.
	StableLevel   time.Duration `json:"stable_level_ns"`
	StableMiss    time.Duration `json:"stable_miss_ns"` // of the levels below CachedLevels, more
	UnstableLevel time.Duration `json:"unstable_level_ns"`
	UnstableMiss  time.Duration `json:"unstable_miss_ns"`
	AlikeLevel    time.Duration `json:"alike_level_ns"`
	AgainLevel    time.Duration `json:"again_level_ns"` // instead of all of these, see ksmd.Walks.Again
	CachedLevels  int           `json:"cached_levels"`

	// Fault is what it costs a guest to write to a KSM page, or to a zero page that
	// KSM placed: a fault, and a copy.
	Fault time.Duration `json:"fault_ns"`
}

// DefaultCosts returns those of the machine in the comment of Costs. Batch, Skip,
// AgainLevel and Fault are not in its table and were chosen: the time of a visit without
// what only a processed page needs, a few reads of the cache, and the time of unmerging
// a page. Nor is Join, which is that of Rejoin here: on other machines it was from half of
// it to twice as much.
func DefaultCosts() Costs {
	return Costs{
		Batch:         2 * time.Microsecond,
		Visit:         252,
		Revisit:       252,
		Skip:          200,
		Empty:         23,
		Item:          150,
		Checksum:      500,
		Join:          1800,
		Rejoin:        1800,
		Pair:          2900,
		Zero:          1480,
		StableLevel:   63,
		StableMiss:    435,
		UnstableLevel: 100,
		UnstableMiss:  690,
		AlikeLevel:    330,
		AgainLevel:    30,
		CachedLevels:  12,
		Fault:         2 * time.Microsecond,
	}
}

// Check returns an error for costs that no machine has: times below 0 or from a
// second on, or CachedLevels out of 0 to 40.
func (c *Costs) Check() error {
	for _, part := range []struct {
		name string
		cost time.Duration
	}{
		{"batch_ns", c.Batch}, {"visit_ns", c.Visit}, {"revisit_ns", c.Revisit}, {"skip_ns", c.Skip}, {"empty_ns", c.Empty}, {"item_ns", c.Item},
		{"checksum_ns", c.Checksum}, {"join_ns", c.Join}, {"rejoin_ns", c.Rejoin}, {"pair_ns", c.Pair}, {"zero_ns", c.Zero},
		{"stable_level_ns", c.StableLevel}, {"stable_miss_ns", c.StableMiss},
		{"unstable_level_ns", c.UnstableLevel}, {"unstable_miss_ns", c.UnstableMiss},
		{"alike_level_ns", c.AlikeLevel}, {"again_level_ns", c.AgainLevel}, {"fault_ns", c.Fault},
	} {
		if part.cost < 0 || part.cost >= time.Second {
			return fmt.Errorf("%s: %d: must be from 0 to 999999999", part.name, part.cost.Nanoseconds())
		}
	}
	if c.CachedLevels < 0 || c.CachedLevels > 40 {
		return fmt.Errorf("cached_levels: %d: must be from 0 to 40", c.CachedLevels)
	}
	return nil
}

// prices are Costs made ready: the costs of searches by class of ksmd.BySize.
type prices struct {
	Costs
	stable, unstable, alike, again [len(ksmd.BySize{})]time.Duration
}

func newPrices(c Costs) prices {
	p := prices{Costs: c}
	for class := range p.alike {
		n := time.Duration(ksmd.Levels(class))
		missed := max(n-time.Duration(16*c.CachedLevels), 0)
		p.stable[class] = (n*c.StableLevel + missed*c.StableMiss) / 16
		p.unstable[class] = (n*c.UnstableLevel + missed*c.UnstableMiss) / 16
		p.alike[class] = n * c.AlikeLevel / 16
		p.again[class] = n * c.AgainLevel / 16
	}
	return p
}

// CPU returns what work costs, without Batch and Empty, which the daemon does not
// count.
func (c *Costs) CPU(w ksmd.Work) time.Duration {
	p := newPrices(*c)
	return p.cpu(&w)
}

// cpu returns what work costs, without Batch and Empty, which the daemon does not
// count.
func (p *prices) cpu(w *ksmd.Work) time.Duration {
	sum := time.Duration(w.Visits-w.Revisits)*p.Visit +
		time.Duration(w.Revisits)*p.Revisit +
		time.Duration(w.Skips)*p.Skip +
		time.Duration(w.Items)*p.Item +
		time.Duration(w.Checksums)*p.Checksum +
		time.Duration(w.Joins-w.Rejoins)*p.Join +
		time.Duration(w.Rejoins)*p.Rejoin +
		time.Duration(w.Pairs)*p.Pair +
		time.Duration(w.Zeros)*p.Zero
	for class := range p.alike {
		again := [2]uint64{w.Stable.Again[class], w.Unstable.Again[class]}
		sum += time.Duration(w.Stable.Searches[class]-again[0])*p.stable[class] +
			time.Duration(w.Unstable.Searches[class]-again[1])*p.unstable[class] +
			time.Duration(again[0]+again[1])*p.again[class] +
			time.Duration(w.Stable.Alike[class]+w.Unstable.Alike[class])*p.alike[class]
	}
	return sum
}
