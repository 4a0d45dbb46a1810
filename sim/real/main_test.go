package real_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/ksmtop/ksmtop/sim/real"
)

// helpers are the programs that this test binary becomes when helperVar names
// one of them.
var helpers = map[string]func() error{}

const helperVar = "REAL_TEST_HELPER"

func TestMain(m *testing.M) {
	real.WorkerMain()
	if helper := helpers[os.Getenv(helperVar)]; helper != nil {
		if err := helper(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
