package sim

import (
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
)

// What made the samples is found again.
func TestFitFindsCosts(t *testing.T) {
	want := DefaultCosts()
	sample := func(w ksmd.Work) CostSample { return CostSample{w, want.CPU(w)} }
	searches := func(class int) ksmd.Work {
		w := ksmd.Work{Visits: 1000, Checksums: 1000}
		w.Unstable.Searches[class] = 1000
		return w
	}
	var small, large CostSample
	levels := []CostSample{sample(searches(16)), sample(searches(26)), sample(searches(32)), sample(searches(37))}
	small, large = levels[0], levels[3]

	got := want
	if off := got.Fit([]CostSample{sample(ksmd.Work{Visits: 5000})}, &got.Visit); got != want || off > 1e-9 {
		t.Errorf("Fit finds Visit %v, %v off, want %v", got.Visit, off, want.Visit)
	}
	off := got.Fit(levels, &got.UnstableLevel, &got.UnstableMiss)
	if got.UnstableLevel != want.UnstableLevel || got.UnstableMiss != want.UnstableMiss || off > 1e-4 {
		t.Errorf("Fit finds %v and %v, %v off, want %v and %v", got.UnstableLevel, got.UnstableMiss, off, want.UnstableLevel, want.UnstableMiss)
	}

	// A part that the samples do not have is 0, and so is one that would be less.
	got = want
	got.Fit([]CostSample{small}, &got.UnstableLevel, &got.UnstableMiss)
	if got.UnstableLevel != want.UnstableLevel || got.UnstableMiss != 0 {
		t.Errorf("without misses Fit finds %v and %v", got.UnstableLevel, got.UnstableMiss)
	}
	got = want
	cheap := want
	cheap.UnstableMiss = 0
	large.CPU = cheap.CPU(large.Work) * 3 / 4 // less than the levels alone
	got.Fit([]CostSample{small, large}, &got.UnstableLevel, &got.UnstableMiss)
	if got.UnstableMiss != 0 || got.UnstableLevel <= 0 || got.UnstableLevel >= want.UnstableLevel {
		t.Errorf("with too little time Fit finds %v and %v", got.UnstableLevel, got.UnstableMiss)
	}
	got = want
	if off := got.Fit([]CostSample{{ksmd.Work{Visits: 1000}, time.Microsecond}, {ksmd.Work{Visits: 1000}, 3 * time.Microsecond}}, &got.Visit); off < 0.3 {
		t.Errorf("samples that contradict each other are %v off", off)
	}
}

func TestCheckCosts(t *testing.T) {
	c := DefaultCosts()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Costs){
		"fault_ns: -1: must be from 0 to 999999999":         func(c *Costs) { c.Fault = -1 },
		"batch_ns: 1000000000: must be from 0 to 999999999": func(c *Costs) { c.Batch = time.Second },
		"cached_levels: 41: must be from 0 to 40":           func(c *Costs) { c.CachedLevels = 41 },
	} {
		bad := DefaultCosts()
		change(&bad)
		if err := bad.Check(); err == nil || err.Error() != want {
			t.Errorf("Check() = %v, want %s", err, want)
		}
	}
}
