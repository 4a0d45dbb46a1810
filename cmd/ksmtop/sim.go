package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/plot"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simFlags are the flags of sim.
type simFlags struct {
	list  bool
	print string

	until simUntil
	set   []string
	vs    []string
	scenarioFlags
	cost     string
	engine   string
	rules    string
	interval seconds

	asJSON, asCSV bool
	plot          string
}

// simRules is the default of --rules: the newest of which the model knows a difference.
const simRules = "6.12"

// simEngines are the values of --engine, and whether they walk ksmd's trees.
var simEngines = map[string]bool{"fast": false, "exact": true}

func newSim() *cobra.Command {
	f := &simFlags{interval: seconds(10 * time.Second)}
	cmd := &cobra.Command{
		Use:   "sim SCENARIO",
		Short: "Say what KSM would save and cost on a machine that does not exist",
		Long: `sim runs a scenario in virtual time on a model of ksmd: virtual machines and
programs that start, write to their memory and end. It says what merging saves
and costs, how soon, and how much CPU time ksmd takes. It needs neither root nor
KSM, and little memory: about 60 bytes for each page of the scenario.

SCENARIO is the name of a preset (--list), a TOML file, or - for standard input.
--print NAME prints a preset to start from; docs/scenario.md describes the format.
A file is checked before anything runs; if something is wrong the status is 2.

--until says when it ends:
  settled     when all guests have come and gone that will, and the saving has
              stopped changing, or else at the scenario's length (default)
  2h, 90s     after that virtual time; a plain number is seconds
  5scans      when ksmd has completed so many full scans

--set changes a knob of the scenario at the start. Each --vs runs the scenario
once more with some knobs set on top of that, and puts the results side by side.

Time and CPU are virtual: the same scenario with the same seed gives the same
output on every machine. Ctrl-C ends the run and prints the report of what was
simulated by then.`,
		Example: `  ksmtop sim --list
  ksmtop sim same-os
  ksmtop sim same-os --set pages_to_scan=1000 --plot saved.svg
  ksmtop sim kata20 --vs pages_to_scan=1000 --vs smart_scan=1,use_zero_pages=1
  ksmtop sim --print clones >my.toml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeScenario(args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.list, "list", false, "list the presets")
	flags.StringVar(&f.print, "print", "", "print the file of the preset `NAME`")
	flags.Var(&f.until, "until", "`WHEN` it ends: settled, a time, or Nscans")
	flags.StringArrayVar(&f.set, "set", nil, "`KNOB=VALUE` to set at the start, as often as needed")
	flags.StringArrayVar(&f.vs, "vs", nil, "compare with `KNOB=VALUE,...`; each --vs is a run of its own")
	f.scenarioFlags.register(cmd)
	flags.StringVar(&f.cost, "cost", "", "`FILE` with what ksmd's work costs, from ksmtop bench --calibrate --save")
	flags.StringVar(&f.engine, "engine", "fast", "`HOW` the model searches: fast, without trees; or exact, which walks them as the kernel does where that matters, and is about ten times slower")
	flags.StringVar(&f.rules, "rules", simRules, "the model is of Linux `VERSION`: 6.12 or later, 6.11, or 4.13 to 6.10")
	flags.Var(&f.interval, "interval", "virtual `TIME` between samples of --json, --csv and --plot")
	flags.BoolVar(&f.asJSON, "json", false, "print samples as JSON, one object a line, and a summary at the end")
	flags.BoolVar(&f.asCSV, "csv", false, "print samples as CSV")
	flags.StringVar(&f.plot, "plot", "", "draw saved, net and ksmd's CPU over time into `FILE.svg`")
	return cmd
}

// completeScenario completes the only argument, a scenario.
func completeScenario(args []string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completePresets()
}

// completePresets completes the names of presets, beside those of files.
func completePresets() ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, p := range scenario.Presets() {
		names = append(names, p.Name+"\t"+p.Title)
	}
	return names, cobra.ShellCompDirectiveDefault
}

// simUntil is when a simulation ends. The zero value is when it is settled.
type simUntil struct {
	length time.Duration
	scans  uint64
	isSet  bool
}

func (u *simUntil) Type() string { return "when" }

func (u *simUntil) String() string {
	switch {
	case u.scans > 0:
		return strconv.FormatUint(u.scans, 10) + "scans"
	case u.isSet:
		return u.length.String()
	}
	return "settled"
}

func (u *simUntil) Set(value string) error {
	*u = simUntil{}
	if value == "settled" {
		return nil
	}
	u.isSet = true
	if number, ok := strings.CutSuffix(strings.TrimSuffix(value, "s"), "scan"); ok {
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
		if err != nil || n == 0 {
			return errors.New("must be a number of scans from 1 on, like 5scans")
		}
		u.scans = n
		return nil
	}
	var err error
	u.length, err = parseLength(value, "must be settled, a time like 2h or 90s, or a number of scans like 5scans")
	return err
}

// parseLength returns how long a scenario is to go on. What is no time fails with the
// message given, which says what else there is.
func parseLength(value, message string) (time.Duration, error) {
	d, err := model.ParseDelay(value)
	switch {
	case err != nil || d == 0:
		return 0, errors.New(message)
	case d > longestSim:
		return 0, fmt.Errorf("must be at most %dh", longestSim/time.Hour)
	}
	return d, nil
}

// longestSim is the longest that a scenario may be, a leap year.
const longestSim = 8784 * time.Hour

// shortestInterval is the least time between two samples.
const shortestInterval = time.Millisecond

func (f *simFlags) run(cmd *cobra.Command, args []string) error {
	out := cmd.OutOrStdout()
	switch {
	case (f.list || f.print != "") && len(args) > 0 || f.list && f.print != "":
		return usage(errors.New("--list and --print take no scenario, and exclude each other"))
	case f.list:
		return listPresets(out)
	case f.print != "":
		content, err := scenario.PresetText(f.print)
		if err != nil {
			return unknownPreset(f.print, "no such preset")
		}
		_, err = out.Write(content)
		return err
	case len(args) == 0:
		return statusError{exitUsage, hinted{errors.New("sim needs a scenario"), "`ksmtop sim --list` lists those that there are"}}
	}
	if err := f.check(); err != nil {
		return usage(err)
	}
	s, err := f.scenario(cmd, args[0])
	if err != nil {
		return err
	}
	runs, err := f.runs(s)
	if err != nil {
		return err
	}
	if err := checkRoom(s, memAvailable()); err != nil {
		return err
	}
	var picture *os.File
	if f.plot != "" { // before minutes of work, not after
		if picture, err = os.Create(f.plot); err != nil {
			return pathError(err)
		}
		defer picture.Close() // once more than needed, unless something fails
	}
	ctx, stop := untilSignal(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	progress := newSimProgress(cmd.ErrOrStderr(), len(runs))
	if (f.asJSON || f.asCSV) && isTerminal(out) { // samples show how far it is
		progress = newSimProgress(io.Discard, len(runs))
	}
	failed := f.simulate(ctx, runs, f.stream(out), progress)
	if ended := finished(runs); len(ended) > 0 {
		if !f.asJSON && !f.asCSV {
			err = writeSimReport(out, f, ended)
		}
		if picture != nil {
			err = errors.Join(err, plot.Write(picture, simChart(ended)), picture.Close())
		}
	}
	return errors.Join(err, failed)
}

// simulate makes runs one after another, since each needs memory. A signal ends
// it, without an error: the run that it ends is not complete, and those after it
// have not begun.
func (f *simFlags) simulate(ctx context.Context, runs []*simRun, stream simStream, progress *simProgress) error {
	defer progress.clear()
	for _, r := range runs {
		progress.begin()
		err := r.run(ctx, stream.sample, progress.show)
		if r.result != nil {
			err = errors.Join(err, stream.summary(r))
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// finished returns the runs that have a result.
func finished(runs []*simRun) []*simRun {
	return slices.DeleteFunc(slices.Clone(runs), func(r *simRun) bool { return r.result == nil })
}

func (f *simFlags) check() error {
	_, knownEngine := simEngines[f.engine]
	_, validRules := searchFirst(f.rules)
	switch {
	case !knownEngine:
		return fmt.Errorf("--engine: %q: must be fast or exact", f.engine)
	case !validRules:
		return fmt.Errorf("--rules: %q: must be a version of Linux from 4.13 on, as 6.12", f.rules)
	case time.Duration(f.interval) < shortestInterval:
		return fmt.Errorf("--interval must be at least %v", shortestInterval)
	case f.asJSON && f.asCSV:
		return errors.New("--csv and --json exclude each other")
	}
	return nil
}

func listPresets(w io.Writer) error {
	presets := scenario.Presets()
	width := 0
	for _, p := range presets {
		width = max(width, len(p.Name))
	}
	var b strings.Builder
	for _, p := range presets {
		fmt.Fprintf(&b, "%-*s  %s\n", width, p.Name, p.Title)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func readScenario(stdin io.Reader, arg string) (*scenario.Scenario, error) {
	if s, err := scenario.Preset(arg); err == nil {
		return s, nil
	}
	name := arg
	var content []byte
	var err error
	if arg == "-" {
		name = "stdin"
		content, err = io.ReadAll(stdin)
	} else {
		content, err = os.ReadFile(arg)
	}
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(arg, "./") {
		return nil, unknownPreset(arg, "no such preset, and no such file")
	}
	if err != nil {
		return nil, pathError(err)
	}
	return scenario.Parse(name, content)
}

// unknownPreset is the error of a name that is not one.
func unknownPreset(name, reason string) error {
	hint := "`ksmtop sim --list` lists them"
	if near := nearestPreset(name); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return statusError{exitUsage, hinted{fmt.Errorf("%q: %s", name, reason), hint}}
}

// nearestPreset returns the preset whose name is up to three changes away from a
// name, or nothing.
func nearestPreset(name string) string {
	near, least := "", 4
	for _, p := range scenario.Presets() {
		if d := editDistance(name, p.Name); d < least {
			near, least = p.Name, d
		}
	}
	return near
}

// editDistance returns how many letters must be inserted, removed or replaced to
// make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // of the prefix of a so far and each prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// runs returns the runs to make: one, and one for each --vs.
func (f *simFlags) runs(s *scenario.Scenario) ([]*simRun, error) {
	base, err := simSettings("--set", f.set)
	if err != nil {
		return nil, usage(err)
	}
	variants := [][]sysfs.Setting{nil}
	for _, list := range f.vs {
		settings, err := simSettings("--vs", strings.Split(list, ","))
		if err != nil {
			return nil, usage(err)
		}
		variants = append(variants, settings)
	}
	old, _ := searchFirst(f.rules)
	costs, err := readCosts(f.cost)
	if err != nil {
		return nil, err
	}
	var runs []*simRun
	for i, variant := range variants {
		if err := checkSteps(s.Knobs, base, variant); err != nil {
			return nil, usage(err)
		}
		options := sim.HostOptions{Knobs: slices.Concat(base, variant), Exact: simEngines[f.engine], SearchFirst: old, KeepZeros: keepsZeros(f.rules)}
		costs.apply(&options)
		runs = append(runs, &simRun{
			name: runName(i), variant: variant, scenario: s, until: f.until, interval: time.Duration(f.interval),
			options: options,
		})
	}
	return runs, nil
}

// runName returns A for the first run, B for the next, and after Z A1, B1 and so on.
func runName(i int) string {
	name := string(rune('A' + i%26))
	if i >= 26 {
		name += strconv.Itoa(i / 26)
	}
	return name
}

// simSettings parses the knobs of one flag.
func simSettings(flag string, list []string) ([]sysfs.Setting, error) {
	var settings []sysfs.Setting
	for _, item := range list {
		s, err := sysfs.ParseSetting(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		if slices.ContainsFunc(settings, func(other sysfs.Setting) bool { return other.Field == s.Field }) {
			return nil, fmt.Errorf("%s: %s: given twice", flag, s.Field)
		}
		settings = append(settings, s)
	}
	return settings, nil
}

// checkSteps refuses what the kernel would refuse if the knobs were set step by
// step, and a model that begins with all of them would not notice.
func checkSteps(steps ...[]sysfs.Setting) error {
	mode := sysfs.AdvisorNone
	for _, step := range steps {
		setsPages := false
		for _, s := range step {
			switch s.Field {
			case sysfs.AdvisorMode:
				mode = s.Value
			case sysfs.PagesToScan:
				setsPages = true
			}
		}
		if setsPages && mode != sysfs.AdvisorNone {
			return hinted{
				fmt.Errorf("%s: %w: the advisor chooses this value while advisor_mode is not none", sysfs.PagesToScan, syscall.EINVAL),
				"set advisor_mode=none too, or give the advisor its starting value: advisor_min_pages_to_scan",
			}
		}
	}
	return nil
}
