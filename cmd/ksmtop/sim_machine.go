package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simMachine is a machine that exists nowhere, in virtual time. It is not for
// concurrent use.
type simMachine interface {
	// now is the virtual time since it began.
	now() time.Duration

	// advance lets time pass until a time. With an error of ctx it got only so
	// far, and can go on; any other error is of something that was to happen.
	advance(ctx context.Context, until time.Duration) error

	// step lets time pass until ksmd has worked through one more batch, and of
	// a script until one more operation is done. It is false if ksmd did nothing
	// for long.
	step(ctx context.Context) (bool, error)

	set(sysfs.Setting) error
	reading() sysfs.Reading
	processes() []sysfs.Process

	// calm returns since when nothing much changes, or false.
	calm() (time.Duration, bool)

	// next says what comes next and is known, or nothing. over says that
	// nothing comes any more.
	next() string
	over() bool
}

// hostMachine is the host of a scenario.
type hostMachine struct {
	host     *sim.Host
	scenario *scenario.Scenario
}

// idleLimit is how long a step waits for ksmd.
const idleLimit = time.Minute

func (m *hostMachine) now() time.Duration { return m.host.Now() }

func (m *hostMachine) advance(ctx context.Context, until time.Duration) error {
	return m.host.Advance(ctx, until)
}

func (m *hostMachine) step(ctx context.Context) (bool, error) {
	return m.host.AdvanceToBatch(ctx, m.host.Now()+idleLimit)
}

func (m *hostMachine) set(s sysfs.Setting) error   { return m.host.Set(s.Field, s.Value) }
func (m *hostMachine) reading() sysfs.Reading      { return m.host.Reading() }
func (m *hostMachine) processes() []sysfs.Process  { return hostProcesses(m.host, m.scenario) }
func (m *hostMachine) calm() (time.Duration, bool) { return m.host.CalmSince() }
func (m *hostMachine) next() string                { return "" }
func (m *hostMachine) over() bool                  { return m.host.Now() >= longestSim }

// scriptMachine carries out a page script. A script has no time of its own: here a
// batch takes as long as ksmd then sleeps, and all else takes none.
type scriptMachine struct {
	machine *sim.Machine
	stepper *sim.Stepper
	at      time.Duration
	began   map[int]time.Duration // processes, by number
}

func newScriptMachine(s *sim.Script, knobs []sysfs.Setting) (*scriptMachine, error) {
	m := &scriptMachine{
		machine: sim.NewMachine(ksmd.Options{Trees: labEngines[engineFast], PageBytes: simPageBytes}),
		began:   make(map[int]time.Duration),
	}
	var err error
	if m.stepper, err = sim.NewStepper(s, m.machine); err != nil {
		return nil, err
	}
	for _, k := range knobs {
		if err := m.set(k); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *scriptMachine) now() time.Duration { return m.at }

func (m *scriptMachine) advance(ctx context.Context, until time.Duration) error {
	for m.at < until && !m.over() {
		if _, err := m.step(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// leastBatch is how long a batch takes where ksmd does not sleep.
const leastBatch = time.Millisecond

func (m *scriptMachine) step(ctx context.Context) (bool, error) {
	step, ok, err := m.stepper.Next(ctx)
	if step.Batch {
		knobs := m.machine.Knobs()
		m.at += max(leastBatch, time.Duration(knobs.SleepMillisecs)*time.Millisecond)
	}
	return ok, err
}

func (m *scriptMachine) set(s sysfs.Setting) error { return m.machine.SetText(s.Field, s.Value) }

func (m *scriptMachine) reading() sysfs.Reading {
	counters, _ := m.machine.Counters(context.Background()) // which never fails
	return sysfs.Reading{Time: sim.Epoch.Add(m.at), PageSize: simPageBytes, Counters: counters, Knobs: m.machine.Knobs()}
}

func (m *scriptMachine) processes() []sysfs.Process {
	var list []sysfs.Process
	for _, p := range m.machine.Processes() {
		if _, known := m.began[p.Number]; !known {
			m.began[p.Number] = m.at
		}
		list = append(list, sysfs.Process{
			PID: p.Number, PPID: p.Parent, Comm: p.Name, RSS: p.Resident, KSM: p.Stat,
			Start: uint64(m.began[p.Number] / (10 * time.Millisecond)),
		})
	}
	return list
}

func (m *scriptMachine) calm() (time.Duration, bool) { return 0, false }

func (m *scriptMachine) next() string {
	op := m.stepper.Op()
	if op == nil {
		return "the script has ended"
	}
	return text.Clean(fmt.Sprintf("line %d: %s", op.Line, op))
}

func (m *scriptMachine) over() bool { return m.stepper.Op() == nil }

// isPause reports whether an error only says that somebody else is to have a turn.
func isPause(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
