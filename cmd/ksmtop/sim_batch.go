package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// simSamples writes samples of a simulated machine, a delay of virtual time apart,
// the first after one delay. It ends after so many, when a script ends, or else at
// the length of the scenario.
func (t *top) simSamples(cmd *cobra.Command, write func(io.Writer, *model.Sample) error) error {
	spec, err := openSim(t.sim, screenRoom(memAvailable()))
	if err != nil {
		return err
	}
	if spec.scale > 1 {
		warn(cmd.ErrOrStderr(), fmt.Sprintf("all memory is 1/%d of what the scenario says, so that it fits here", spec.scale), "`ksmtop sim` simulates it in full size, if there is memory for it")
	}
	m, err := spec.machine(nil)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	delay := time.Duration(t.delay)
	progress := newSimProgress(cmd.ErrOrStderr(), 1)
	defer progress.clear()
	progress.begin()
	before := m.reading()
	var s model.Sample
	var trends model.Trends
	for i := 1; ; i++ {
		at := time.Duration(i) * delay
		if err := advanceInSteps(ctx, m, at, func() { progress.showMachine(m, max(at, t.lastSample(spec))) }); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		progress.clear()
		now := m.reading()
		fillSim(&s, spec.name(), &before, &now, m.processes())
		s.Scale = 1 / float64(spec.scale)
		trends.Fill(&s)
		before = now
		for _, pid := range t.filter.PIDs {
			if i == 1 && !slices.ContainsFunc(s.Rows, func(r model.Row) bool { return r.PID == pid }) {
				return hinted{fmt.Errorf("-p %d: no such process", pid), "guests are numbered from 1 as the scenario plans them, and this one does not run then"}
			}
		}
		s.Rows = t.filter.Keep(s.Rows)
		model.Sort(s.Rows, t.column, false)
		last := i == t.count || m.over() || t.count == 0 && spec.scenario != nil && m.now() >= spec.scenario.Length
		if err := write(cmd.OutOrStdout(), &s); err != nil || last {
			return err
		}
	}
}

// lastSample returns the virtual time of the last sample, or 0 if it is not known.
func (t *top) lastSample(spec *simSpec) time.Duration {
	delay := time.Duration(t.delay)
	switch {
	case t.count > 0 && time.Duration(t.count) <= math.MaxInt64/delay:
		return time.Duration(t.count) * delay
	case t.count == 0 && spec.scenario != nil:
		return nextMultiple(spec.scenario.Length-1, delay)
	}
	return 0
}

// advanceInSteps lets time pass on a machine until a time, and calls show all along.
func advanceInSteps(ctx context.Context, m simMachine, until time.Duration, show func()) error {
	step := max(growthStep, (until-m.now())/100_000)
	for m.now() < until {
		before := m.now()
		if err := m.advance(ctx, min(until, before+step)); err != nil {
			return err
		}
		if m.now() == before { // nothing comes any more
			return nil
		}
		show()
	}
	return nil
}
