package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
)

func ExampleParse() {
	_, err := sim.Parse("demo.script", []byte("spawn p\nmap p a 4\nfill p a 3 2 7\nscann\n"))
	fmt.Println(err)
	// Output:
	// demo.script:3:12: "2": not in the area: only 1 page follows from page 3
	// demo.script:4:1: "scann": no such operation
}

func ExampleScript_Format() {
	s, err := sim.Parse("demo.script", []byte("spawn  p # a process\nmap p\ta 0004# with an area\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	os.Stdout.Write(s.Format())
	// Output:
	// spawn p   # a process
	// map p a 4 # with an area
}

func ExampleScript_Check() {
	s := sim.Script{Name: "made", Ops: []sim.Op{
		{Kind: sim.OpSpawn, Process: "p"},
		{Kind: sim.OpFork, Process: "q", Child: "c"},
	}}
	fmt.Println(s.Check())
	// Output: made:2:6: "q": no such process
}

func ExampleDiff() {
	table := func(shared int64) *sim.Table {
		row := sim.Row{Label: "end", Process: sim.SystemProcess}
		row.Set(sim.ColumnPagesShared, shared)
		return &sim.Table{Rows: []sim.Row{row}}
	}
	for _, d := range sim.Diff(table(3), table(4)) {
		fmt.Println(d)
	}
	// Output: end - pages_shared: got 3, want 4
}

func ExampleReadTSV() {
	var out strings.Builder
	empty := sim.Table{}
	if err := empty.WriteTSV(&out); err != nil {
		fmt.Println(err)
		return
	}
	table, err := sim.ReadTSV(strings.NewReader(out.String()))
	fmt.Println(len(table.Rows), err)
	// Output: 0 <nil>
}

func ExampleGenerate() {
	rng := rand.New(rand.NewPCG(7, 0))
	s := sim.Generate(rng, sim.GenerateOptions{Ops: 200, Profile: sim.ProfileFork})
	fmt.Println(len(s.Ops), s.Check())
	// Output: 200 <nil>
}

func ExampleShrink() {
	s := sim.Generate(rand.New(rand.NewPCG(7, 0)), sim.GenerateOptions{Profile: sim.ProfileFork})
	forks := func(s *sim.Script) bool {
		return slices.ContainsFunc(s.Ops, func(op sim.Op) bool { return op.Kind == sim.OpFork })
	}
	short := sim.Shrink(context.Background(), s, forks)
	os.Stdout.Write(short.Format())
	// Output:
	// spawn p2
	// fork p2 p3
}

// The rules before Linux 6.11 are not those of today. This is the shortest script
// that shows it, made from the first random one that does.
func ExampleFuzz() {
	machine := func(opts ksmd.Options) sim.RunFunc {
		return func(ctx context.Context, s *sim.Script) (sim.Outcome, error) {
			r := sim.Runner{Backend: sim.NewMachine(opts)}
			return r.Outcome(ctx, s)
		}
	}
	f := sim.Fuzz{
		Kernel: machine(ksmd.Options{SearchFirst: true}),
		Model:  machine(ksmd.Options{}),
		Seed:   1,
	}
	_, found, err := f.Run(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	os.Stdout.Write(found.Script.Format())
	fmt.Println(found.Differences[0])
	// Output:
	// spawn p2
	// map p2 a 2
	// fill p2 a 0 2 1
	// mergeable p2 a 0 2
	// scan
	// fork p2 p4
	// batch
	// show b1
	// b1 - pages_sharing: got 2, want 3
}
