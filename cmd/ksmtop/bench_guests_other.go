//go:build !linux

package main

import (
	"context"
	"os/exec"

	"github.com/ksmtop/ksmtop/sysfs"
)

// qemuGuests cannot be had here: ksmtop bench fails before it comes to them.
type qemuGuests struct{ list []*qemuGuest }

type qemuGuest struct{ cmd *exec.Cmd }

func newQEMUGuests() *qemuGuests { return new(qemuGuests) }

func (*qemuGuests) start(*qemuBoot, int) error                     { return sysfs.ErrNotSupported }
func (*qemuGuests) settle(context.Context, sysfs.FS, string) error { return sysfs.ErrNotSupported }
func (*qemuGuests) kill()                                          {}
