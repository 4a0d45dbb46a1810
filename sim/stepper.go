package sim

import (
	"context"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Stepper carries out a script on a Machine a little at a time: an operation or,
// of those in which ksmd scans, one batch. In the end, and at every show on the
// way, the machine is as Run leaves it. Make it with NewStepper.
type Stepper struct {
	machine *Machine
	script  *Script
	runner  Runner
	names   *scope
	table   Table

	next int  // the operation that goes on or begins
	left int  // how many scans or batches of it are to come
	goes bool // it has begun
}

// Step is what Stepper.Next did.
type Step struct {
	Op    *Op  // the operation that it belongs to
	Done  bool // that operation is done
	Batch bool // ksmd worked through a batch
	Ended bool // with which a full scan ended
}

// NewStepper returns a Stepper at the beginning of a script, for a machine on
// which nothing ran before. The error is that of a script that cannot run.
func NewStepper(s *Script, m *Machine) (*Stepper, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &Stepper{machine: m, script: s, runner: Runner{Backend: m}, names: newScope()}, nil
}

// Op returns the operation that Next carries out, or goes on with, next: nil after
// the last.
func (s *Stepper) Op() *Op {
	if s.next == len(s.script.Ops) {
		return nil
	}
	return &s.script.Ops[s.next]
}

// Table returns what the script has shown so far.
func (s *Stepper) Table() *Table { return &s.table }

// Next does the next step, false if there is none. The error is that of Run, after
// which there are no more steps.
func (s *Stepper) Next(ctx context.Context) (Step, bool, error) {
	op := s.Op()
	if op == nil {
		return Step{}, false, nil
	}
	step := Step{Op: op}
	if op.Kind == OpScan || op.Kind == OpBatch {
		s.batch(op, &step)
	} else if err := s.runner.carryOut(ctx, op, s.names, &s.table); err != nil {
		s.next = len(s.script.Ops)
		return step, true, runError(s.script.Name, op, err)
	} else {
		step.Done = true
	}
	if step.Done {
		s.names.apply(op) // the script was checked: there is no fault
		s.next++
		s.goes = false
	}
	return step, true, nil
}

// batch does a batch of an operation that scans.
func (s *Stepper) batch(op *Op, step *Step) {
	if !s.goes {
		s.left, s.goes = op.Count, true
	}
	if s.left == 0 || s.machine.daemon.Idle() {
		step.Done = true
		return
	}
	step.Batch = true
	step.Ended = s.machine.daemon.Batch().Ended
	if op.Kind == OpBatch || step.Ended {
		s.left--
	}
	step.Done = s.left == 0
}

// MachineProcess is what there is to know of a process of a Machine.
type MachineProcess struct {
	Name     string
	Number   int         // from 1, in the order in which they began
	Parent   int         // the number of the one that it was forked from, or 0
	Resident sysfs.Pages // pages that are there, zero pages not counted
	Stat     sysfs.ProcessStat
}

// Processes returns the processes that live, in the order in which they began. It
// looks at all their pages.
func (m *Machine) Processes() []MachineProcess {
	var list []MachineProcess
	for number := 1; number < len(m.memory.processes); number++ {
		pr := &m.memory.processes[number]
		if !pr.alive {
			continue
		}
		name := m.names[ksmd.Process(number)]
		p := MachineProcess{
			Name: name, Number: number, Parent: m.processes[name].parent,
			Stat: m.daemon.ProcessStat(ksmd.Process(number)),
		}
		for i := range pr.areas {
			table := pr.areas[i].table
			p.Resident += sysfs.Pages(len(table) - appearing(table))
		}
		list = append(list, p)
	}
	return list
}

// Knobs returns the settings.
func (m *Machine) Knobs() sysfs.Knobs { return m.daemon.Knobs() }

// SetText changes a knob as the text that the kernel takes, with the errors of
// ksmd.Daemon.Set.
func (m *Machine) SetText(knob sysfs.Field, text string) error { return m.daemon.Set(knob, text) }

// Pages returns how many pages there are, each counted once however many
// processes have it.
func (m *Machine) Pages() int { return m.memory.Pages() }
