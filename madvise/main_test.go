package madvise_test

import (
	"os"
	"testing"

	"github.com/ksmtop/ksmtop/madvise"
)

// helpers are the programs that this test binary becomes when helperVar names
// one of them: tests start them where a process of their own is needed.
var helpers = map[string]func() error{}

const helperVar = "MADVISE_TEST_HELPER"

// beforeShim, if not nil, runs in every process before ExecShim.
var beforeShim func()

func TestMain(m *testing.M) {
	if beforeShim != nil {
		beforeShim()
	}
	madvise.ExecShim()
	if helper := helpers[os.Getenv(helperVar)]; helper != nil {
		if err := helper(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
