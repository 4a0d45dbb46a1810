package sim

import (
	"context"
	"fmt"
	"maps"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Machine is the Backend that exists nowhere: a Memory, and ksmd.Daemon at work
// on it. Checksums are those of the bytes. It is deterministic, and not for
// concurrent use. Make it with NewMachine.
type Machine struct {
	memory    *Memory
	daemon    *ksmd.Daemon
	processes map[string]*machineProcess // also those that exited: names are used once
	names     map[ksmd.Process]string
}

type machineProcess struct {
	number ksmd.Process
	parent int // the number of the process that it was forked from, or 0
	areas  map[string]int
	exited bool
}

var _ Backend = (*Machine)(nil)

// NewMachine returns a machine as a script finds it: nothing runs on it, and the
// knobs are at the kernel's defaults but for run 1, smart_scan 0, pages_to_scan
// 1000000 and stable_node_chains_prune_millisecs 4294967295, which is never.
func NewMachine(opts ksmd.Options) *Machine {
	memory := NewMemory(MemoryOptions{ExactChecksums: true})
	if opts.Alike == nil {
		opts.Alike = memory.contents.isAlike
	}
	m := &Machine{
		memory:    memory,
		daemon:    ksmd.New(memory, opts),
		processes: map[string]*machineProcess{},
		names:     map[ksmd.Process]string{},
	}
	for _, knob := range []struct {
		field sysfs.Field
		value uint64
	}{
		{sysfs.Run, sysfs.RunScan},
		{sysfs.SmartScan, 0},
		{sysfs.PagesToScan, 1e6},
		{sysfs.StableNodeChainsPruneMillisecs, 1<<32 - 1},
	} {
		if err := m.daemon.SetValue(knob.field, knob.value); err != nil {
			panic("sim: a new daemon refuses a setting: " + err.Error())
		}
	}
	return m
}

// MapNoZeroPage makes the machine's kernel one that does not map its zero page: a read
// of what is not there makes a page of zeros. It is called before memory is read.
func (m *Machine) MapNoZeroPage() { m.memory.noZero = true }

// Name returns the name of a process of which an observer of the daemon was told.
func (m *Machine) Name(p ksmd.Process) string { return m.names[p] }

// Undecided returns ksmd.Daemon.Undecided: from the moment where it is not 0 the
// kernel may count otherwise.
func (m *Machine) Undecided() int { return m.daemon.Undecided() }

// Work returns what the daemon did since the machine was made, for Costs.CPU.
func (m *Machine) Work() ksmd.Work { return m.daemon.Work() }

// Set implements Backend.
func (m *Machine) Set(_ context.Context, knob sysfs.Field, value uint64) error {
	return m.daemon.SetValue(knob, value)
}

// Spawn implements Backend.
func (m *Machine) Spawn(_ context.Context, process string) error {
	if err := m.isNew(process); err != nil {
		return err
	}
	m.add(process, m.memory.Spawn(), map[string]int{})
	return nil
}

// Fork implements Backend. The child of a process that takes part in KSM does so
// from the start.
func (m *Machine) Fork(_ context.Context, parent, child string) error {
	p, err := m.process(parent)
	if err != nil {
		return err
	}
	if err := m.isNew(child); err != nil {
		return err
	}
	number := m.memory.Fork(p.number)
	m.add(child, number, maps.Clone(p.areas))
	m.processes[child].parent = int(p.number)
	if m.daemon.Registered(p.number) {
		m.daemon.Register(number)
	}
	return nil
}

// Exit implements Backend.
func (m *Machine) Exit(_ context.Context, process string) error {
	p, err := m.process(process)
	if err != nil {
		return err
	}
	m.memory.Exit(p.number)
	m.daemon.Exit(p.number)
	p.exited = true
	return nil
}

// Map implements Backend.
func (m *Machine) Map(_ context.Context, process, area string, pages int) error {
	p, err := m.process(process)
	if err != nil {
		return err
	}
	if _, ok := p.areas[area]; ok {
		return fmt.Errorf("area %q of process %q exists or did", area, process)
	}
	p.areas[area] = m.memory.Map(p.number, pages)
	return nil
}

// Unmap implements Backend.
func (m *Machine) Unmap(_ context.Context, process, area string, first, pages int) error {
	p, a, err := m.pages(process, area, first, pages)
	if err != nil {
		return err
	}
	m.memory.Unmap(p, a, first, pages)
	return nil
}

// Write implements Backend.
func (m *Machine) Write(_ context.Context, process, area string, first, pages int, content, step uint64) error {
	p, a, err := m.pages(process, area, first, pages)
	if err != nil {
		return err
	}
	m.memory.Write(p, a, first, pages, content, step)
	return nil
}

// Read implements Backend.
func (m *Machine) Read(_ context.Context, process, area string, first, pages int) error {
	p, a, err := m.pages(process, area, first, pages)
	if err != nil {
		return err
	}
	m.memory.Read(p, a, first, pages)
	return nil
}

// DontNeed implements Backend.
func (m *Machine) DontNeed(_ context.Context, process, area string, first, pages int) error {
	p, a, err := m.pages(process, area, first, pages)
	if err != nil {
		return err
	}
	m.memory.DontNeed(p, a, first, pages)
	return nil
}

// Mergeable implements Backend. A process that has a mergeable area takes part in
// KSM.
func (m *Machine) Mergeable(_ context.Context, process, area string, first, pages int) error {
	p, a, err := m.pages(process, area, first, pages)
	if err != nil {
		return err
	}
	m.memory.MarkMergeable(p, a, first, pages)
	m.daemon.Register(p)
	return nil
}

// Unmergeable implements Backend.
func (m *Machine) Unmergeable(_ context.Context, process, area string, first, pages int) error {
	p, a, err := m.pages(process, area, first, pages)
	if err != nil {
		return err
	}
	m.memory.UnmarkMergeable(p, a, first, pages)
	return nil
}

// Scan implements Backend. It looks at ctx after each batch.
func (m *Machine) Scan(ctx context.Context, n int) error {
	for n > 0 && !m.daemon.Idle() {
		if m.daemon.Batch().Ended {
			n--
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Batch implements Backend. It looks at ctx after each batch.
func (m *Machine) Batch(ctx context.Context, n int) error {
	for ; n > 0 && !m.daemon.Idle(); n-- {
		m.daemon.Batch()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Counters implements Backend.
func (m *Machine) Counters(context.Context) (sysfs.Counters, error) {
	return m.daemon.Counters(), nil
}

// ProcessStat implements Backend.
func (m *Machine) ProcessStat(_ context.Context, process string) (sysfs.ProcessStat, error) {
	p, err := m.process(process)
	if err != nil {
		return sysfs.ProcessStat{}, err
	}
	return m.daemon.ProcessStat(p.number), nil
}

// Close implements Backend. There is nothing to put back.
func (m *Machine) Close() error { return nil }

func (m *Machine) isNew(process string) error {
	if _, ok := m.processes[process]; ok {
		return fmt.Errorf("process %q exists or did", process)
	}
	return nil
}

func (m *Machine) add(process string, number ksmd.Process, areas map[string]int) {
	m.processes[process] = &machineProcess{number: number, areas: areas}
	m.names[number] = process
}

// process returns a process that lives.
func (m *Machine) process(name string) (*machineProcess, error) {
	p := m.processes[name]
	if p == nil || p.exited {
		return nil, fmt.Errorf("no process %q", name)
	}
	return p, nil
}

// pages returns where Memory has a range, none of which is unmapped.
func (m *Machine) pages(process, area string, first, pages int) (ksmd.Process, int, error) {
	p, err := m.process(process)
	if err != nil {
		return 0, 0, err
	}
	a, ok := p.areas[area]
	if !ok {
		return 0, 0, fmt.Errorf("no area %q of process %q", area, process)
	}
	if !m.memory.Mapped(p.number, a, first, pages) {
		return 0, 0, fmt.Errorf("area %q of process %q has no %d %s from page %d on", area, process, pages, format.Noun(uint64(pages), "page"), first)
	}
	return p.number, a, nil
}
