//go:build !linux

package madvise_test

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/ksmtop/ksmtop/madvise"
)

func TestNotLinux(t *testing.T) {
	_, regionErr := madvise.NewRegion(1)
	_, getErr := madvise.MemoryMerge()
	_, probeErr := madvise.MemoryMergeSurvivesExec(t.Context())
	for name, err := range map[string]error{
		"Mergeable":               madvise.Mergeable(nil),
		"Unmergeable":             madvise.Unmergeable(nil),
		"NewRegion":               regionErr,
		"SetMemoryMerge":          madvise.SetMemoryMerge(true),
		"MemoryMerge":             getErr,
		"WrapCommand":             madvise.WrapCommand(exec.Command("true")),
		"MemoryMergeSurvivesExec": probeErr,
	} {
		if !errors.Is(err, madvise.ErrNotSupported) {
			t.Errorf("%s error = %v, want ErrNotSupported", name, err)
		}
	}
}
