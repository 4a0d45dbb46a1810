package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

func newSet(c *common) *cobra.Command {
	var dryRun, yes, repair bool
	cmd := &cobra.Command{
		Use:   "set KNOB=VALUE...",
		Short: "Change KSM's settings",
		Long: `set writes KSM's knobs, which are the kernel's for the whole machine. Several
are one step: if the kernel refuses one, those before it are put back. Their
order does not matter, but run may be given twice: run=2 unmerges everything,
which max_page_sharing and merge_across_nodes need, and run=1 then goes on.

It needs root. run=2 needs the memory that merging saves now, all at once; set
says how much that is and asks, or takes --yes.`,
		Example: `  ksmtop set run=1 pages_to_scan=1000
  ksmtop set --dry-run run=2 max_page_sharing=512 run=1
  ksmtop set advisor_mode=scan-time advisor_target_scan_time=60`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(); err != nil {
				return err
			}
			if repair {
				if len(args) > 0 || c.fsys != (sysfs.FS{}) {
					return usage(errors.New("--repair takes no settings, and is for this machine only"))
				}
				return c.repair(cmd)
			}
			settings, err := parseSettings(args)
			if err != nil {
				return usage(err)
			}
			plan, err := c.fsys.Plan(settings...)
			if _, ok := errors.AsType[*sysfs.Error](err); err != nil && !ok {
				return usage(err) // settings that contradict each other
			}
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if needsConsent(plan) {
				if err := c.consent(cmd, dryRun, yes); err != nil {
					return err
				}
			}
			if dryRun {
				writeChanges(out, plan)
				_, err := fmt.Fprintln(out, "Nothing was written.")
				return err
			}
			changes, err := c.fsys.Set(settings...)
			if err != nil {
				return err
			}
			return writeChanges(out, changes)
		},
		ValidArgsFunction: completeKnobs,
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be written, and write nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "unmerge without asking")
	cmd.Flags().BoolVar(&repair, "repair", false, "put back the settings that a killed experiment left changed")
	return cmd
}

func parseSettings(args []string) ([]sysfs.Setting, error) {
	if len(args) == 0 {
		return nil, errors.New("set needs at least one KNOB=VALUE")
	}
	settings := make([]sysfs.Setting, 0, len(args))
	for _, arg := range args {
		s, err := sysfs.ParseSetting(arg)
		if err != nil {
			return nil, err
		}
		settings = append(settings, s)
	}
	return settings, nil
}

// needsConsent reports whether a step unmerges everything.
func needsConsent(plan []sysfs.Change) bool {
	for _, change := range plan {
		if change.Field == sysfs.Run && change.New == "2" && change.Old != "2" {
			return true
		}
	}
	return false
}

// consent states what unmerging needs and, unless it is only tried out, asks.
func (c *common) consent(cmd *cobra.Command, dryRun, yes bool) error {
	r, err := c.fsys.Read()
	if err != nil {
		return err
	}
	out := cmd.ErrOrStderr()
	needs := r.Counters.UnmergeBytes(c.fsys.PageBytes())
	if !r.Counters.Has(sysfs.PagesSharing) {
		fmt.Fprint(out, "run=2 unmerges everything; how much memory that needs cannot be told")
	} else {
		fmt.Fprintf(out, "run=2 unmerges everything, which needs %s at once", format.Bytes(nil, needs))
	}
	if r.Host.HasMemory {
		fmt.Fprintf(out, "; %s is available", format.Bytes(nil, int64(r.Host.MemAvailable)))
		if needs > int64(r.Host.MemAvailable) {
			fmt.Fprint(out, ": the kernel may kill processes")
		}
	}
	fmt.Fprint(out, ". run=0 stops ksmd and keeps what is merged.\n")
	if dryRun || yes {
		return nil
	}
	in := cmd.InOrStdin()
	if !isTerminal(in) {
		return hinted{errors.New("run=2 was not confirmed, nothing was written"), "add --yes, or call it from a terminal and answer"}
	}
	fmt.Fprint(out, "Unmerge everything? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed, nothing was written")
}

// writeChanges writes a line for each knob: what it was and what it is.
func writeChanges(w io.Writer, changes []sysfs.Change) error {
	var b strings.Builder
	for _, c := range changes {
		unit := c.Field.Info().Unit
		if unit != "" {
			unit = " " + unit
		}
		switch {
		case c.Old == c.New:
			fmt.Fprintf(&b, "%s: %s%s, as before\n", c.Field, c.New, unit)
		case c.Implied:
			fmt.Fprintf(&b, "%s: %s -> %s%s (the kernel's doing)\n", c.Field, c.Old, c.New, unit)
		default:
			fmt.Fprintf(&b, "%s: %s -> %s%s\n", c.Field, c.Old, c.New, unit)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *common) repair(cmd *cobra.Command) error {
	repaired, err := c.fsys.Repair(cmd.Context(), sysfs.GuardOptions{})
	if err != nil {
		return err
	}
	answer := "No experiment was killed: there is nothing to put back."
	if repaired {
		answer = "The settings from before the experiment are back."
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), answer)
	return err
}

// completeKnobs completes the names of knobs. Those that were given already are
// left out, except run, which may come twice.
func completeKnobs(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for f := range sysfs.Fields() {
		given := slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, f.String()+"=") })
		if f.Info().Kind != sysfs.Knob || given && f != sysfs.Run {
			continue
		}
		names = append(names, f.String()+"=\t"+f.Info().Meaning)
	}
	return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
