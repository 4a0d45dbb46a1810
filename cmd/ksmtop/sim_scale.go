package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sim/scenario"
)

// scenarioFlags change a scenario before anything runs.
type scenarioFlags struct {
	scale simScale
	seed  uint64
}

func (f *scenarioFlags) register(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "`SEED` instead of the scenario's")
	cmd.Flags().Var(&f.scale, "scale", "multiply all memory by a `FACTOR`, or so that all guests together have as much: 1GiB")
}

// scenario returns what the argument names, with the seed and scale of the flags.
func (f *scenarioFlags) scenario(cmd *cobra.Command, arg string) (*scenario.Scenario, error) {
	s, err := readScenario(cmd.InOrStdin(), arg)
	if _, ok := errors.AsType[*scenario.Error](err); ok {
		return nil, statusError{exitUsage, hinted{err, "docs/scenario.md describes scenarios; nothing has run"}}
	}
	if err != nil {
		return nil, err
	}
	if cmd.Flags().Changed("scale") {
		factor := f.scale.of(s)
		if err := s.CheckScale(factor); err != nil {
			return nil, usage(fmt.Errorf("--scale: %w", err))
		}
		s = s.Scale(factor)
	}
	if cmd.Flags().Changed("seed") {
		s = s.WithSeed(f.seed)
	}
	return s, nil
}

// simScale is a factor of all memory, or what the guests have together at most. The
// zero value is the factor 1.
type simScale struct {
	factor float64
	isSet  bool
	bytes  uint64 // if not 0, of finds the factor
}

func (s *simScale) Type() string   { return "factor" }
func (s *simScale) String() string { return strconv.FormatFloat(s.value(), 'g', -1, 64) }

// value returns the factor.
func (s *simScale) value() float64 {
	if !s.isSet {
		return 1
	}
	return s.factor
}

func (s *simScale) Set(value string) error {
	*s = simScale{isSet: true}
	var err error
	if s.factor, err = strconv.ParseFloat(value, 64); err == nil {
		return nil // CheckScale says whether it makes sense
	}
	if s.bytes, err = format.ParseBytes(strings.TrimSuffix(value, "iB")); err != nil {
		return errors.New("must be a factor like 0.25, or memory like 1GiB")
	}
	return nil
}

// of returns the factor for a scenario.
func (s *simScale) of(sc *scenario.Scenario) float64 {
	if s.bytes > 0 {
		s.factor = float64(s.bytes) / float64(scenario.PeakPages(sc.Plans(), true)*scenario.PageSize)
	}
	return s.value()
}
