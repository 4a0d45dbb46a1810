package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
)

// labFlags are the flags of lab.
type labFlags struct {
	*common
	on     string
	engine string
	rules  string
	force  bool

	readsMakePages bool // as on the kernel beside the model

	check  bool
	tsv    string
	asJSON bool
	events bool
	format bool

	random  uint64
	ops     int
	profile string

	fuzz seconds
	seed uint64
	out  string
}

const (
	onSim, onKernel, onBoth = "sim", "kernel", "both"
	rulesNew, rulesOld      = "6.11", "4.13"
)

// labEngines are the values of --engine.
var labEngines = map[string]ksmd.Trees{
	engineFast: ksmd.TreesWhenNeeded, engineExact: ksmd.TreesAlways, "tables": ksmd.TreesNever,
}

const engineFast, engineExact = "fast", "exact"

// labProfiles are the values of --profile.
var labProfiles = map[string]sim.Profile{
	"any": sim.ProfileAny, "mixed": sim.ProfileMixed, "fork": sim.ProfileFork, "batch": sim.ProfileBatch,
	"chains": sim.ProfileChains, "zero": sim.ProfileZero, "smart": sim.ProfileSmart,
	"switch": sim.ProfileSwitch, "large": sim.ProfileLarge,
}

func newLab(c *common) *cobra.Command {
	f := &labFlags{common: c}
	cmd := &cobra.Command{
		Use:   "lab FILE|DIR...",
		Short: "Run page scripts: experiments with KSM on a model or on this kernel",
		Long: `lab runs page scripts. A script says which processes there are, what they write
to which pages, and when ksmd scans; it prints KSM's counters. It runs on a
model, which needs neither root nor KSM, or on this kernel; both print the same.

  spawn P                     a process begins
  fork P C                    C becomes a copy of P
  exit P                      P ends
  map P A N                   P gets an area A of N untouched pages
  unmap P A [I N]             the area goes, or N of its pages from page I
  write P A I N C             N pages get the contents C, C+1, C+2, ...
  fill P A I N C              N pages get the content C; 0 is a page of zeros
  read P A I N                a byte of each page is read
  dontneed P A I N            MADV_DONTNEED
  mergeable P A I N           MADV_MERGEABLE
  unmergeable P A I N         MADV_UNMERGEABLE
  set KNOB VALUE              a file of /sys/kernel/mm/ksm is written
  scan [N]                    ksmd completes N full scans
  batch [N]                   ksmd wakes N times, each for pages_to_scan pages
  show LABEL                  the counters are printed

At the start run is 1, smart_scan 0, pages_to_scan 1000000 and nothing is pruned
by time. docs/pagescript.md has the details.

FILE - is standard input. Of a DIR all *.script below it run, with a line for
each. --check compares with FILE.tsv, the table that was expected, which stands
beside FILE.script.

On the kernel processes and their memory are real, and ksmd is stepped. That
needs root and a KSM that nobody uses. The settings are put back in the end,
also after Ctrl-C; after a kill the next such run does that first.

--fuzz makes random scripts, runs each on the kernel and on the model, and stops
at the first that differs each time that it runs. It saves the shortest such
script, and both tables, in the directory of --out.

The exit status is 1 if something differs or failed, and 2 if a script is wrong,
of which then nothing has run.`,
		Example: `  ksmtop lab pair.script
  ksmtop lab --events pair.script
  ksmtop lab --on both pair.script
  ksmtop lab --check sim/testdata/golden
  ksmtop lab --random 7 | ksmtop lab --tsv - -
  ksmtop lab --fuzz 1m --out found`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.checkFlags(cmd, args); err != nil {
				return usage(err)
			}
			if err := f.common.check(); err != nil {
				return err
			}
			switch {
			case cmd.Flags().Changed("random"):
				_, err := cmd.OutOrStdout().Write(sim.RandomScript(f.random, f.ops, labProfiles[f.profile]).Format())
				return err
			case cmd.Flags().Changed("fuzz"):
				return f.runFuzz(cmd)
			}
			return f.runScripts(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.on, "on", onSim, "`WHERE` to run: sim (a model), kernel (this one), or both and compare")
	flags.BoolVar(&f.check, "check", false, "compare with the table in the .tsv beside the script")
	flags.StringVar(&f.tsv, "tsv", "", "write the table as `FILE`, - for standard output, and print nothing else")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object for each script")
	flags.BoolVar(&f.events, "events", false, "print what ksmd does, page by page")
	flags.BoolVar(&f.format, "fmt", false, "print the script itself, formatted")
	flags.StringVar(&f.engine, "engine", engineFast, "`HOW` the model searches: fast; exact, which walks the trees as the kernel does, and counts the same; or tables, without trees, which can differ in mid-scan and in chains")
	flags.StringVar(&f.rules, "rules", "", "the model is of Linux `VERSION`: 6.11 or later, or 4.13 to 6.10 (default 6.11, beside a kernel the kernel's)")
	flags.BoolVar(&f.force, "force", false, "run on the kernel even if KSM is in use, which may unmerge everything")
	flags.Uint64Var(&f.random, "random", 0, "print the random script of number `SEED`")
	flags.IntVar(&f.ops, "ops", 100, "a random script has `N` operations")
	flags.StringVar(&f.profile, "profile", "any", "`WHAT` random scripts do most: any, mixed, fork, batch, chains, zero, smart, switch or large")
	flags.Var(&f.fuzz, "fuzz", "compare kernel and model on random scripts for that `TIME`; with --on sim the model's engines")
	flags.Lookup("fuzz").DefValue = "" // there is none
	flags.Uint64Var(&f.seed, "seed", 0, "--fuzz begins with the random script of number `SEED` (default by the clock)")
	flags.StringVar(&f.out, "out", ".", "`DIR` in which --fuzz saves what it finds")
	return cmd
}

func (f *labFlags) checkFlags(cmd *cobra.Command, args []string) error {
	changed := cmd.Flags().Changed
	random, fuzz := changed("random"), changed("fuzz")
	if fuzz && !changed("on") {
		f.on = onBoth
	}
	var modes []string
	for _, name := range []string{"random", "fuzz", "fmt", "tsv", "json", "events"} {
		if changed(name) {
			modes = append(modes, "--"+name)
		}
	}
	_, knownEngine := labEngines[f.engine]
	_, knownProfile := labProfiles[f.profile]
	old, validRules := searchFirst(f.rules)
	switch {
	case len(modes) > 1:
		return fmt.Errorf("%s and %s exclude each other", modes[0], modes[1])
	case (random || fuzz) && len(args) > 0:
		return fmt.Errorf("%s makes its own scripts, and takes no %q", modes[0], args[0])
	case !random && !fuzz && len(args) == 0:
		return errors.New("lab needs a script: a file, a directory, or - for standard input")
	case f.on != onSim && f.on != onKernel && f.on != onBoth:
		return fmt.Errorf("--on: %q: must be sim, kernel or both", f.on)
	case !knownEngine:
		return fmt.Errorf("--engine: %q: must be fast, exact or tables", f.engine)
	case f.rules != "" && !validRules:
		return fmt.Errorf("--rules: %q: must be a version of Linux from 4.13 on, as 6.11", f.rules)
	case f.on == onKernel && (changed("engine") || changed("rules")):
		return errors.New("--engine and --rules are the model's, and it does not run with --on kernel")
	case f.on == onSim && changed("force"):
		return errors.New("--force is for --on kernel and --on both")
	case f.on == onKernel && fuzz:
		return errors.New("--fuzz compares: it takes --on both or --on sim")
	case !random && !fuzz && (changed("ops") || changed("profile")):
		return errors.New("--ops and --profile are for --random and --fuzz")
	case !fuzz && (changed("seed") || changed("out")):
		return errors.New("--seed and --out are for --fuzz")
	case fuzz && f.fuzz <= 0:
		return errors.New("--fuzz: must be longer than nothing")
	case f.ops < 1 || f.ops > maxRandomOps:
		return fmt.Errorf("--ops: %d: must be from 1 to %d", f.ops, maxRandomOps)
	case !knownProfile:
		return fmt.Errorf("--profile: %q: must be any, mixed, fork, batch, chains, zero, smart, switch or large", f.profile)
	case f.check && (random || fuzz || f.format || f.events || f.tsv != ""):
		return fmt.Errorf("--check and %s exclude each other", modes[0])
	case f.on != onSim && (random || f.format || f.events):
		return fmt.Errorf("%s needs no kernel: leave out --on", modes[0])
	case f.on == onBoth && changed("tsv"):
		return errors.New("--tsv prints one table: it takes --on sim or --on kernel")
	case changed("tsv") && f.tsv == "":
		return errors.New("--tsv needs the name of a file, or -")
	case (changed("tsv") || f.format) && len(args) > 1:
		return fmt.Errorf("%s takes one script", modes[0])
	case f.check && isStdin(args):
		return errors.New("--check needs a file, beside which there is a .tsv")
	}
	if f.rules == "" && f.on != onSim {
		old, _ = searchFirst(osRelease(f.fsys.Proc))
	}
	f.rules = rulesNew
	if old {
		f.rules = rulesOld
	}
	return nil
}

// maxRandomOps keeps a slip of the keyboard from filling the memory.
const maxRandomOps = 1_000_000

// model returns what runs scripts on the model.
func (f *labFlags) model(engine string, pageBytes int) sim.RunFunc {
	return func(ctx context.Context, s *sim.Script) (sim.Outcome, error) {
		m := sim.NewMachine(f.machineOptions(engine, pageBytes))
		defer m.Close()
		if f.readsMakePages {
			m.MapNoZeroPage()
		}
		r := sim.Runner{Backend: m, PageSize: pageBytes}
		return r.Outcome(ctx, s)
	}
}

func (f *labFlags) machineOptions(engine string, pageBytes int) ksmd.Options {
	return ksmd.Options{Trees: labEngines[engine], SearchFirst: f.rules == rulesOld, PageBytes: pageBytes}
}

// simPageBytes is the size of the model's pages where no kernel is beside it, so
// that a script prints the same everywhere.
const simPageBytes = 4096

func (f *labFlags) runScripts(cmd *cobra.Command, args []string) error {
	scripts, many, err := f.readScripts(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if many && (f.format || f.tsv != "") {
		return usage(errors.New("--fmt and --tsv take one script"))
	}
	if f.format {
		_, err := out.Write(scripts[0].Format())
		return err
	}
	var total labTotal
	if err := f.withSides(cmd, func(ctx context.Context, sides []labSide) error {
		if f.readsMakePages && slices.ContainsFunc(scripts, labScript.reads) {
			fmt.Fprintln(cmd.ErrOrStderr(), noteReadsMakePages)
		}
		return f.runAll(ctx, scripts, many, sides, out, &total)
	}); err != nil {
		return errors.Join(append(total.errs, err)...)
	}
	return total.err()
}

const noteReadsMakePages = "note: this kernel maps no zero page: where a script reads what was not written, it makes a page"

// runAll runs scripts one after another and prints what comes of each. many says
// that a line is enough for one.
func (f *labFlags) runAll(ctx context.Context, scripts []labScript, many bool, sides []labSide, out io.Writer, total *labTotal) error {
	brief := !f.asJSON && (f.check || many && !f.events)
	for i := range scripts {
		if len(scripts) > 1 && !brief && !f.asJSON {
			if _, err := fmt.Fprintf(out, "%s%s\n\n", strings.Repeat("\n", min(i, 1)), text.Clean(scripts[i].Name)); err != nil {
				return err
			}
		}
		r := f.runScript(ctx, &scripts[i], sides, out)
		if err := total.add(r); err != nil {
			return err
		}
		if err := f.print(out, r, brief); err != nil {
			return err
		}
	}
	if !brief {
		return nil
	}
	_, err := fmt.Fprintln(out, total.line(f.compared()))
	return err
}

// compared says with what the tables were compared, or nothing.
func (f *labFlags) compared() string {
	switch {
	case f.check:
		return "as expected"
	case f.on == onBoth:
		return "equal on sim and kernel"
	}
	return ""
}

// labResult is what came of one script.
type labResult struct {
	*labScript
	outcomes []labOutcome
	compared []labComparison
	err      error // why it failed, other than by a knob that was refused
}

type labOutcome struct {
	side string
	sim.Outcome
}

// labComparison is what differs between two tables.
type labComparison struct {
	got, want   string // their names
	differences []sim.Difference
}

func (f *labFlags) runScript(ctx context.Context, s *labScript, sides []labSide, out io.Writer) *labResult {
	r := &labResult{labScript: s}
	for _, side := range sides {
		run := side.run
		if f.events {
			run = f.narrator(out)
		}
		o, err := run(ctx, s.Script)
		if ctx.Err() != nil {
			err = errLabInterrupted
		}
		if err != nil {
			r.err = err
			return r
		}
		r.outcomes = append(r.outcomes, labOutcome{side.name, o})
	}
	switch {
	case f.check:
		for _, o := range r.outcomes {
			r.compared = append(r.compared, labComparison{o.side, "expected", sim.Diff(o.Table, s.want)})
		}
	case len(r.outcomes) == 2:
		differences := sim.DiffOutcomes(r.outcomes[0].Outcome, r.outcomes[1].Outcome)
		r.compared = append(r.compared, labComparison{onSim, onKernel, differences})
	}
	return r
}

// differs returns in how many cells tables differ.
func (r *labResult) differs() int {
	n := 0
	for _, c := range r.compared {
		n += len(c.differences)
	}
	return n
}

// refused is the knob that ended the script, or nil.
func (r *labResult) refused() *sim.ScriptError {
	for _, o := range r.outcomes {
		if o.Refused != nil {
			return o.Refused
		}
	}
	return nil
}

// labTotal counts scripts.
type labTotal struct {
	scripts, rows, differ, failed int
	errs                          []error
}

// add counts one more. The error ends the run.
func (t *labTotal) add(r *labResult) error {
	t.scripts++
	refused := r.refused()
	switch {
	case errors.Is(r.err, errLabInterrupted):
		return fmt.Errorf("%s: %w", r.Name, r.err)
	case r.err != nil:
		t.failed++
		t.errs = append(t.errs, r.err)
	case refused != nil:
		t.failed++
		t.errs = append(t.errs, hinted{refused, "`set run 2` before it unmerges everything"})
	case r.differs() > 0:
		t.differ++
	}
	if len(r.outcomes) > 0 {
		t.rows += len(r.outcomes[0].Table.Rows)
	}
	return nil
}

// line says it in words; how is what the others are, if they were compared.
func (t *labTotal) line(how string) string {
	text := plural(t.scripts, "script") + ", " + plural(t.rows, "row")
	if t.differ > 0 {
		text += fmt.Sprintf(": %d differ", t.differ)
	}
	if t.failed > 0 {
		text += fmt.Sprintf(": %d failed", t.failed)
	}
	if t.differ+t.failed == 0 && how != "" {
		text += ": all " + how
	}
	return text
}

// plural writes a number of things.
func plural(n int, thing string) string {
	return fmt.Sprintf("%d %s", n, format.Noun(uint64(n), thing))
}

func (t *labTotal) err() error {
	switch {
	case len(t.errs) > 0:
		return errors.Join(t.errs...)
	case t.differ > 0:
		return statusError{status: exitFailed} // the tables were printed
	}
	return nil
}
