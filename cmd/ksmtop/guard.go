package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/sysfs"
)

// guardOptions are those of a command that takes the machine's KSM for itself.
func guardOptions(cmd *cobra.Command, force bool) sysfs.GuardOptions {
	return sysfs.GuardOptions{Force: force, Waiting: func() {
		_, _ = io.WriteString(cmd.ErrOrStderr(), waitsText(cmd.Name())) // the answer matters, not this
	}}
}

// waitsText is what a command says before it waits.
func waitsText(command string) string {
	return command + ": waiting for another ksmtop that has this machine's KSM\n"
}
