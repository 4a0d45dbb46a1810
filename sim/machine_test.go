package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// must fails the test if an operation did.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestMachineErrors has what Run never asks for, since it checks a script before.
func TestMachineErrors(t *testing.T) {
	ctx := t.Context()
	m := NewMachine(ksmd.Options{})
	must(t, m.Spawn(ctx, "p"), m.Map(ctx, "p", "a", 4), m.Unmap(ctx, "p", "a", 1, 1),
		m.Spawn(ctx, "q"), m.Exit(ctx, "q"), m.Fork(ctx, "p", "c"), m.Map(ctx, "c", "child", 1))
	stat := func(process string) error {
		_, err := m.ProcessStat(ctx, process)
		return err
	}
	tests := []struct {
		err  error
		want string
	}{
		{m.Spawn(ctx, "p"), `process "p" exists or did`},
		{m.Spawn(ctx, "q"), `process "q" exists or did`},
		{m.Fork(ctx, "p", "q"), `process "q" exists or did`},
		{m.Fork(ctx, "q", "r"), `no process "q"`},
		{m.Exit(ctx, "r"), `no process "r"`},
		{m.Map(ctx, "q", "b", 1), `no process "q"`},
		{m.Read(ctx, "q", "a", 0, 1), `no process "q"`},
		{m.Map(ctx, "p", "a", 1), `area "a" of process "p" exists or did`},
		{m.Write(ctx, "p", "b", 0, 1, 1, 1), `no area "b" of process "p"`},
		{m.Write(ctx, "p", "child", 0, 1, 1, 1), `no area "child" of process "p"`},
		{m.Write(ctx, "p", "a", 0, 5, 1, 1), `area "a" of process "p" has no 5 pages from page 0 on`},
		{m.Read(ctx, "p", "a", 0, 2), `area "a" of process "p" has no 2 pages from page 0 on`},
		{m.DontNeed(ctx, "p", "a", -1, 1), `area "a" of process "p" has no 1 page from page -1 on`},
		{m.Mergeable(ctx, "p", "a", 5, 0), `area "a" of process "p" has no 0 pages from page 5 on`},
		{m.Unmergeable(ctx, "p", "a", 1, 1), `area "a" of process "p" has no 1 page from page 1 on`},
		{m.Unmap(ctx, "p", "a", 0, -1), `area "a" of process "p" has no -1 pages from page 0 on`},
		{stat("q"), `no process "q"`},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(tt.err); got != tt.want {
			t.Errorf("error %q, want %q", got, tt.want)
		}
	}
}

func TestMachineBusy(t *testing.T) {
	ctx := t.Context()
	m := NewMachine(ksmd.Options{})
	must(t, m.Spawn(ctx, "p"), m.Map(ctx, "p", "a", 2), m.Write(ctx, "p", "a", 0, 2, 7, 0),
		m.Mergeable(ctx, "p", "a", 0, 2), m.Scan(ctx, 2))
	if err := m.Set(ctx, sysfs.MaxPageSharing, 2); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("Set(max_page_sharing) = %v, want EBUSY", err)
	}
}

// TestMachineStops cancels what would go on for long.
func TestMachineStops(t *testing.T) {
	m := NewMachine(ksmd.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	must(t, m.Spawn(ctx, "p"), m.Map(ctx, "p", "a", 1), m.Mergeable(ctx, "p", "a", 0, 1))
	cancel()
	if err := m.Scan(ctx, 1e6); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan = %v, want context.Canceled", err)
	}
	if err := m.Batch(ctx, 1e6); !errors.Is(err, context.Canceled) {
		t.Errorf("Batch = %v, want context.Canceled", err)
	}
	c, err := m.Counters(ctx)
	must(t, err, m.Close())
	if c.FullScans != 2 {
		t.Errorf("%d full scans, want 2", c.FullScans)
	}
}

// TestMachineRegisters follows who takes part in KSM, by the events.
func TestMachineRegisters(t *testing.T) {
	ctx := t.Context()
	var m *Machine
	var got []string
	m = NewMachine(ksmd.Options{Observer: func(e ksmd.Event) {
		if e.Kind == ksmd.Registered || e.Kind == ksmd.Unregistered {
			got = append(got, fmt.Sprint(m.Name(e.Process), " ", e.Kind))
		}
	}})
	must(t,
		m.Spawn(ctx, "p"), m.Map(ctx, "p", "a", 2), m.Fork(ctx, "p", "early"),
		m.Mergeable(ctx, "p", "a", 0, 1), m.Mergeable(ctx, "p", "a", 1, 1),
		m.Fork(ctx, "p", "late"), m.Unmergeable(ctx, "p", "a", 0, 2),
		m.Fork(ctx, "p", "unnoticed"), // p still takes part: no pass was without a mergeable area
		m.Scan(ctx, 1),
		m.Fork(ctx, "p", "after"),
		m.Exit(ctx, "late"),
	)
	want := []string{
		"p registered", "late registered", "unnoticed registered",
		"p unregistered", "unnoticed unregistered", "late unregistered",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// A page in the unstable tree of one NUMA node that is found on another, since
// merge_across_nodes was 1 when it came there or since the process moved, merges
// in a later scan only, if with any.
func TestMachineNUMA(t *testing.T) {
	for _, trees := range []ksmd.Trees{ksmd.TreesWhenNeeded, ksmd.TreesAlways, ksmd.TreesNever} {
		m := NewMachine(ksmd.Options{Trees: trees, NUMANodes: 2})
		set := func(f sysfs.Field, v uint64) {
			t.Helper()
			if err := m.daemon.SetValue(f, v); err != nil {
				t.Fatal(err)
			}
		}
		var process [3]ksmd.Process
		for i, node := range []uint8{1, 0, 1} {
			p := m.memory.Spawn()
			m.memory.SetNUMANode(p, node)
			m.memory.Map(p, 1)
			m.memory.Write(p, 0, 0, 1, 7, 0)
			m.memory.MarkMergeable(p, 0, 0, 1)
			m.daemon.Register(p)
			process[i] = p
		}
		check := func(when string, shared, sharing, unshared, volatile int) {
			t.Helper()
			c := m.daemon.Counters()
			got := [4]int{int(c.PagesShared), int(c.PagesSharing), int(c.PagesUnshared), int(c.PagesVolatile)}
			if want := [4]int{shared, sharing, unshared, volatile}; got != want {
				t.Errorf("trees %d: %s shared, sharing, unshared, volatile are %v, want %v", trees, when, got, want)
			}
		}
		m.daemon.Scan()

		// The first one is in the tree of node 0, since there is one tree only.
		set(sysfs.PagesToScan, 1)
		m.daemon.Batch()
		set(sysfs.MergeAcrossNodes, 0)
		m.daemon.Scan()
		check("merge_across_nodes 0 in mid-scan:", 0, 0, 2, 1)
		m.daemon.Scan()
		check("with a tree each:", 1, 1, 1, 0)

		set(sysfs.Run, sysfs.RunUnmerge)
		set(sysfs.Run, sysfs.RunScan)
		m.daemon.Scan()
		m.daemon.Batch()
		m.memory.SetNUMANode(process[0], 0)
		m.memory.DontNeed(process[0], 0, 0, 1)
		m.memory.Write(process[0], 0, 0, 1, 7, 0)
		m.daemon.Scan()
		check("after the first moved in mid-scan:", 0, 0, 2, 1)
		m.daemon.Scan()
		check("where it is now:", 1, 1, 1, 0)
	}
}
