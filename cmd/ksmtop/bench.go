package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	*common
	scenarioFlags
	length   benchFor
	set      []string
	cost     string
	interval seconds
	asJSON   bool
	force    bool

	calibrate bool
	save      string
	qemu      qemuFlags
	memory    string
}

// benchFor is how long a bench goes on: a time, or until its simulation is settled. A
// number of scans is none, since the real ksmd makes as many as it comes to.
type benchFor struct{ simUntil }

func (b *benchFor) Set(value string) error {
	b.simUntil = simUntil{}
	if value == "settled" {
		return nil
	}
	length, err := parseLength(value, "must be settled, a time like 2m or 90s, or a number of seconds")
	b.simUntil = simUntil{length: length, isSet: true}
	return err
}

// benchShare is how much of the memory that is available a bench takes at most, in
// percent.
const benchShare = 75

func newBench(c *common) *cobra.Command {
	f := &benchFlags{common: c, interval: seconds(time.Second)}
	cmd := &cobra.Command{
		Use:   "bench SCENARIO",
		Short: "Run a scenario for real, beside what was predicted",
		Long: fmt.Sprintf(`bench carries out a scenario with real processes under this kernel's ksmd: one
process for each guest, with real memory that holds what the scenario says and is
rewritten when the scenario says so. It takes as long as the scenario does. In the
end it prints one table: what scanning the memory predicted, what the simulation
predicted, and what was measured; after Ctrl-C what was measured up to then.

SCENARIO is as for sim: a preset (`+"`ksmtop sim --list`"+`), a TOML file, or -. --scale 1GiB
makes it fit.

Three things happen, one after another:
  1. The simulation runs. Without --for the bench ends when that was settled, or at
     the scenario's length.
  2. A rehearsal, with ksmd off: the guests do all that they will, without waiting.
     The memory that they have in the end is scanned, and then they go on for up to
     %d seconds in real time, so that writing without KSM is timed.
  3. New guests do the same again in real time, with ksmd on.

It needs root, and a KSM that nobody uses. It takes at most %d %% of the memory that
is available. The knobs are put back in the end, also after Ctrl-C; after a kill
the next such run does that first.

--calibrate measures instead what ksmd's work costs on this machine, in about three
minutes: the simulation's CPU times are fitted to another one. --save keeps that in a
file, which --cost of sim and bench reads.

--qemu N starts instead N real guests under QEMU, which emulates them, stops them when
they have booted, and compares what scanning them predicts with what ksmd then
merges, at full speed.`, int(quietWrites.Seconds()), benchShare),
		Example: `  ksmtop bench clones --scale 1GiB
  ksmtop bench same-os --scale 1GiB --for 5m --set pages_to_scan=1000
  ksmtop bench --json my.toml
  ksmtop bench --calibrate --save here.json
  ksmtop bench --qemu 3 --kernel vmlinuz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeScenario(args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.scenarioFlags.register(cmd)
	flags.Var(&f.length, "for", "how long: settled, or a `TIME` like 2m or 90s, or a number of seconds")
	flags.StringArrayVar(&f.set, "set", nil, "`KNOB=VALUE` to set at the start, as often as needed")
	flags.StringVar(&f.cost, "cost", "", "`FILE` with what ksmd's work costs, from ksmtop bench --calibrate --save")
	flags.Var(&f.interval, "interval", "`TIME` between samples")
	flags.BoolVar(&f.asJSON, "json", false, "print samples as JSON, one object a line, and a summary at the end")
	flags.BoolVar(&f.calibrate, "calibrate", false, "measure what ksmd's work costs on this machine")
	flags.StringVar(&f.save, "save", "", "write what --calibrate measures to `FILE`")
	flags.IntVar(&f.qemu.guests, "qemu", 0, "run `N` guests under QEMU")
	flags.StringVar(&f.qemu.kernel, "kernel", "", "`FILE` that --qemu boots (default the last in /boot)")
	flags.StringVar(&f.qemu.initrd, "initrd", "", "`FILE` with their initial file system (default busybox and 20 MiB of data)")
	flags.StringVar(&f.memory, "memory", "", "`BYTES` of memory of each guest of --qemu (default 256M), or that --calibrate uses (default 1G)")
	flags.BoolVar(&f.force, "force", false, "run even if KSM is in use, which unmerges everything")
	return cmd
}

// shortestBench is the least time between two samples of a real machine.
const shortestBench = 10 * time.Millisecond

func (f *benchFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.checkFlags(cmd, args); err != nil {
		return usage(err)
	}
	if f.calibrate {
		if err := f.common.check(); err != nil {
			return err
		}
		return f.runCalibrate(cmd)
	}
	if cmd.Flags().Changed("qemu") {
		return f.runQEMU(cmd)
	}
	b, err := f.newBenchRun(cmd, args[0])
	if err != nil {
		return err
	}
	if err := f.common.check(); err != nil {
		return err
	}
	err = f.guarded(cmd, b.interrupted, func(ctx context.Context, k *real.Kernel) error {
		// Behind the guard, since what else runs is then known.
		if err := checkBenchRoom(b.scenario, memAvailable()); err != nil {
			return err
		}
		return b.run(ctx, k)
	})
	if b.measured { // the knobs are back, and nothing is lost if one of them is not
		if printErr := b.print(); err == nil {
			err = printErr
		}
	}
	return err
}

func (f *benchFlags) checkFlags(cmd *cobra.Command, args []string) error {
	changed := cmd.Flags().Changed
	if f.calibrate {
		if len(args) > 0 {
			return fmt.Errorf("--calibrate takes no scenario, and no %q", args[0])
		}
		for _, name := range []string{"scale", "seed", "for", "set", "cost", "interval", "qemu", "kernel", "initrd"} {
			if changed(name) {
				return fmt.Errorf("--calibrate and --%s exclude each other", name)
			}
		}
		return nil
	}
	if changed("save") {
		return errors.New("--save is for --calibrate")
	}
	if changed("qemu") {
		return f.checkQEMU(cmd, args)
	}
	for _, name := range []string{"kernel", "initrd"} {
		if changed(name) {
			return fmt.Errorf("--%s is for --qemu", name)
		}
	}
	if changed("memory") {
		return errors.New("--memory is for --qemu and --calibrate")
	}
	switch {
	case len(args) == 0:
		return hinted{errors.New("bench needs a scenario"), "`ksmtop sim --list` lists those that there are"}
	case time.Duration(f.interval) < shortestBench:
		return fmt.Errorf("--interval must be at least %v", shortestBench)
	}
	return nil
}

// memoryBytes returns the value of --memory, which is at least so many bytes.
func (f *benchFlags) memoryBytes(least uint64) (uint64, error) {
	memory, err := format.ParseBytes(strings.TrimSuffix(f.memory, "iB"))
	if err != nil || memory < least || memory > 1<<40 {
		return 0, usage(fmt.Errorf("--memory: %q: must be from %dM to 1T", f.memory, least>>20))
	}
	return memory, nil
}

// guarded lends the machine's KSM to fn, which may have to wait for others that have
// it: what memory is available is known in fn. What a signal ends fails with the error
// of interrupted.
func (f *benchFlags) guarded(cmd *cobra.Command, interrupted func() error, fn func(context.Context, *real.Kernel) error) error {
	began := false
	err := real.Guard(cmd.Context(), f.fsys, guardOptions(cmd, f.force), func(ctx context.Context, k *real.Kernel) error {
		began = true
		return fn(ctx, k)
	})
	if _, ok := errors.AsType[*sysfs.SignalError](err); ok {
		if rest := withoutSignal(err); rest != nil && began {
			return rest
		}
		return interrupted()
	}
	switch {
	case err == nil || sysfs.Hint(err) != "":
	case errors.Is(err, fs.ErrPermission):
		return hinted{err, "bench needs root" + f.otherwise("`ksmtop sim` needs nothing")}
	case errors.Is(err, sysfs.ErrNotSupported):
		return hinted{err, "the kernel here cannot do it" + f.otherwise("`ksmtop sim` needs no KSM")}
	}
	return err
}

// otherwise is what advice adds on how to do without this kernel. Only a scenario can.
func (f *benchFlags) otherwise(advice string) string {
	if f.calibrate || f.qemu.guests > 0 {
		return ""
	}
	return "; " + advice
}

// checkBenchRoom returns an error for a scenario whose guests need more than a share
// of the memory that is available, in bytes.
func checkBenchRoom(s *scenario.Scenario, available uint64) error {
	needs := uint64(scenario.PeakPages(s.Plans(), true)) * (scenario.PageSize + simPageCost)
	return checkShare("the guests need up to", needs, available, "--scale 1GiB makes all memory smaller and keeps the shares of it")
}

// checkShare returns an error if what needs so many bytes takes more than a bench may
// of those that are available.
func checkShare(what string, needs, available uint64, hint string) error {
	if needs <= available/100*benchShare {
		return nil
	}
	return hinted{
		fmt.Errorf("%s %s, and bench takes at most %d %% of the %s that is available",
			what, bytesText(int64(needs)), benchShare, bytesText(int64(available))),
		hint,
	}
}

// machineText names this machine for a report: kernel and CPUs.
func machineText(fsys sysfs.FS) string {
	kernel := strings.TrimSpace(osRelease(fsys.Proc))
	return fmt.Sprintf("Linux %s, %d x %s", text.Clean(kernel), runtime.NumCPU(), cpuModel(fsys))
}

// cpuModel returns the name of the CPU, or "CPU" where nobody says.
func cpuModel(fsys sysfs.FS) string {
	content, err := os.ReadFile(fsys.ProcPath("cpuinfo"))
	if err != nil {
		return "CPU"
	}
	for line := range strings.Lines(string(content)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return text.Clean(strings.TrimSpace(value))
		}
	}
	return "CPU"
}
