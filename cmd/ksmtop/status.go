package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/sysfs"
)

func newStatus(c *common) *cobra.Command {
	interval := seconds(time.Second)
	var explain, asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say in words what KSM does here",
		Long: `status says whether KSM is on, what it saves and costs, what ksmd does, which
settings were changed, and which processes gain or pay.

ksmd's speed comes from two readings, --interval apart. A kernel without KSM is
an answer, too: the exit status is 0.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if explain && asJSON {
				return usage(errors.New("--explain and --json exclude each other"))
			}
			live, err := c.live()
			if err != nil {
				return err
			}
			defer live.Close()
			var s model.Sample
			live.Read(&s)
			if interval > 0 && s.NoKSM == nil && !explain {
				select {
				case <-time.After(time.Duration(interval)):
					live.Read(&s)
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				}
			}
			out := cmd.OutOrStdout()
			switch {
			case asJSON:
				return report.JSON(out, &s)
			case explain:
				if s.NoKSM != nil {
					fmt.Fprintln(out, report.NoKSMLine(&s))
				}
				return report.Explain(out, &s)
			}
			if err := report.Status(out, &s); err != nil {
				return err
			}
			if killed, err := c.fsys.Interrupted(sysfs.GuardOptions{}); err == nil && killed && c.fsys.Root == "" {
				fmt.Fprintln(out, "An experiment was killed and left KSM's settings changed: as root, `ksmtop set --repair` puts them back.")
			}
			return nil
		},
	}
	cmd.Flags().Var(&interval, "interval", "`TIME` between the two readings; 0 is one reading, without rates")
	cmd.Flags().BoolVar(&explain, "explain", false, "say what each counter and knob means")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
