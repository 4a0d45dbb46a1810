package sim

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// Random scripts are valid, of the size asked for, and the same for the same
// seed.
func TestGenerate(t *testing.T) {
	for seed := range uint64(500) {
		opts := GenerateOptions{Profile: Profile(seed % uint64(numProfiles)), Refusals: seed%2 == 0}
		want := defaultOps
		if seed%3 == 0 {
			opts.Ops = int(seed)
			want = max(opts.Ops, 1)
			if seed == 0 {
				want = defaultOps
			}
		}
		s := Generate(random(seed), opts)
		if len(s.Ops) != want {
			t.Errorf("seed %d: %d operations, want %d", seed, len(s.Ops), want)
		}
		if last := s.Ops[len(s.Ops)-1]; last.Kind != OpShow {
			t.Errorf("seed %d: the last operation is %s, want show", seed, &last)
		}
		text := s.Format()
		if checkRoundTrip(t, "random", text) == nil {
			t.Fatalf("seed %d: not a script:\n%s", seed, text)
		}
		if again := Generate(random(seed), opts).Format(); !bytes.Equal(again, text) {
			t.Errorf("seed %d: two scripts:\n%s\n%s", seed, text, again)
		}
	}
	for _, ops := range []int{1, 2, 3} {
		if s := Generate(random(1), GenerateOptions{Ops: ops}); len(s.Ops) != ops {
			t.Errorf("Ops %d: %d operations", ops, len(s.Ops))
		}
	}
}

// situations are what random scripts must reach often enough, each in percent of
// scripts.
var situations = []struct {
	name string
	in   func(s *Script) bool
	want int
}{
	{name: "three processes", want: 50, in: func(s *Script) bool { return count(s, OpSpawn)+count(s, OpFork) >= 3 }},
	{name: "fork", want: 40, in: func(s *Script) bool { return count(s, OpFork) > 0 }},
	{name: "fork of a fork", want: 10, in: func(s *Script) bool {
		children := map[string]bool{}
		return slices.ContainsFunc(s.Ops, func(op Op) bool {
			again := op.Kind == OpFork && children[op.Process]
			children[op.Child] = op.Kind == OpFork
			return again
		})
	}},
	{name: "exit after a fork", want: 15, in: after(OpFork, OpExit)},
	{name: "registration in mid-scan", want: 25, in: inOrder(
		func(op Op) bool { return op.Kind == OpBatch },
		func(op Op) bool { return op.Kind == OpSpawn },
		func(op Op) bool { return op.Kind == OpMergeable },
		func(op Op) bool { return op.Kind == OpBatch })},
	{name: "write between batches", want: 40, in: inOrder(
		func(op Op) bool { return op.Kind == OpBatch },
		func(op Op) bool { return op.Kind == OpWrite || op.Kind == OpFill },
		func(op Op) bool { return op.Kind == OpBatch })},
	{name: "run 2, then a scan", want: 10, in: inOrder(
		func(op Op) bool { return op.Knob == sysfs.Run && op.Value == sysfs.RunUnmerge },
		func(op Op) bool { return op.Kind == OpSet && op.Knob == sysfs.Run && op.Value == sysfs.RunScan },
		func(op Op) bool { return op.Kind == OpScan })},
	{name: "smart scan on", want: 25, in: sets(sysfs.SmartScan, 1, 1)},
	{name: "zero pages on", want: 25, in: sets(sysfs.UseZeroPages, 1, 1)},
	{name: "pruning always", want: 20, in: sets(sysfs.StableNodeChainsPruneMillisecs, 0, 0)},
	{name: "max_page_sharing 2 to 4", want: 30, in: sets(sysfs.MaxPageSharing, 2, 4)},
	{name: "max_page_sharing 256", want: 5, in: sets(sysfs.MaxPageSharing, 256, 256)},
	{name: "merge_across_nodes 0", want: 5, in: sets(sysfs.MergeAcrossNodes, 0, 0)},
	{name: "small batches", want: 30, in: sets(sysfs.PagesToScan, 1, 20)},
	{name: "batches of no pages", want: 1, in: sets(sysfs.PagesToScan, 0, 0)},
	{name: "large area", want: 5, in: func(s *Script) bool {
		return slices.ContainsFunc(s.Ops, func(op Op) bool { return op.Kind == OpMap && op.Pages > 100 })
	}},
	{name: "part of an area mergeable", want: 30, in: inOrder(func(op Op) bool { return op.Kind == OpMergeable && op.First > 0 })},
	{name: "rest of an area unmapped", want: 5, in: inOrder(func(op Op) bool { return op.Kind == OpUnmap && op.Pages == 0 })},
	{name: "largest content", want: 3, in: inOrder(func(op Op) bool { return op.Content > MaxContent-1000 })},
}

func count(s *Script, kind OpKind) int {
	n := 0
	for i := range s.Ops {
		if s.Ops[i].Kind == kind {
			n++
		}
	}
	return n
}

// inOrder reports whether the script has operations as each of is, in this order.
func inOrder(is ...func(Op) bool) func(*Script) bool {
	return func(s *Script) bool {
		next := 0
		for i := range s.Ops {
			if next < len(is) && is[next](s.Ops[i]) {
				next++
			}
		}
		return next == len(is)
	}
}

func after(first, then OpKind) func(*Script) bool {
	return inOrder(func(op Op) bool { return op.Kind == first }, func(op Op) bool { return op.Kind == then })
}

func sets(knob sysfs.Field, least, most uint64) func(*Script) bool {
	return inOrder(func(op Op) bool {
		return op.Kind == OpSet && op.Knob == knob && op.Value >= least && op.Value <= most
	})
}

func TestGenerateReaches(t *testing.T) {
	const scripts = 500
	kinds := make(map[OpKind]int)
	reached := make(map[string]int)
	for seed := range uint64(scripts) {
		s := Generate(random(seed), GenerateOptions{})
		for i := range s.Ops {
			kinds[s.Ops[i].Kind]++
		}
		for _, situation := range situations {
			if situation.in(s) {
				reached[situation.name]++
			}
		}
	}
	for kind := range opInfo {
		t.Logf("%d %s", kinds[OpKind(kind)], OpKind(kind))
		if kinds[OpKind(kind)] < scripts/4 {
			t.Errorf("only %d operations %s in %d scripts", kinds[OpKind(kind)], OpKind(kind), scripts)
		}
	}
	for _, situation := range situations {
		percent := reached[situation.name] * 100 / scripts
		t.Logf("%s: %d %%", situation.name, percent)
		if percent < situation.want {
			t.Errorf("%s: in %d %% of scripts, want at least %d %%", situation.name, percent, situation.want)
		}
	}
}

// Without Refusals a knob that the kernel may refuse changes only where it
// cannot: before the first scan, or after unmerging without any fork before.
func TestGenerateRefusals(t *testing.T) {
	refusable := func(s *Script) bool {
		values := map[sysfs.Field]uint64{sysfs.MaxPageSharing: 256, sysfs.MergeAcrossNodes: 1, sysfs.Run: sysfs.RunScan}
		forked, merged := false, false
		for i := range s.Ops {
			op := &s.Ops[i]
			switch op.Kind {
			case OpFork:
				forked = true
			case OpScan, OpBatch:
				merged = merged || values[sysfs.Run] == sysfs.RunScan
			case OpSet:
				limited := op.Knob == sysfs.MaxPageSharing || op.Knob == sysfs.MergeAcrossNodes
				if limited && merged && values[op.Knob] != op.Value {
					return true
				}
				values[op.Knob] = op.Value
				if op.Knob == sysfs.Run && op.Value == sysfs.RunUnmerge && !forked {
					merged = false
				}
			}
		}
		return false
	}
	withRefusals := 0
	for seed := range uint64(500) {
		if s := Generate(random(seed), GenerateOptions{}); refusable(s) {
			t.Errorf("seed %d: the kernel may refuse a knob:\n%s", seed, s.Format())
		}
		if refusable(Generate(random(seed), GenerateOptions{Refusals: true})) {
			withRefusals++
		}
	}
	t.Logf("with Refusals: %d of 500 scripts", withRefusals)
	if withRefusals < 20 || withRefusals > 150 {
		t.Errorf("with Refusals %d of 500 scripts change such a knob, want some but few", withRefusals)
	}
}

// Nearly every scan and batch is followed by a look at the counters.
func TestGenerateShows(t *testing.T) {
	scans, shown := 0, 0
	for seed := range uint64(100) {
		text := string(Generate(random(seed), GenerateOptions{}).Format())
		lines := strings.Split(text, "\n")
		for i, line := range lines[:len(lines)-1] {
			if strings.HasPrefix(line, "scan") || strings.HasPrefix(line, "batch") {
				scans++
				if strings.HasPrefix(lines[i+1], "show") {
					shown++
				}
			}
		}
	}
	if shown*10 < scans*9 {
		t.Errorf("%d of %d scans and batches are followed by a show, want 90 %%", shown, scans)
	}
}
