package procfs

import (
	"os"
	"slices"
	"testing"
)

// TestRealPIDs compares with os.ReadDir until no process came or went between.
func TestRealPIDs(t *testing.T) {
	d := openDir(t, "/proc")
	var pids []int
	for range 100 {
		want := slowPIDs(t, "/proc")
		var err error
		pids, err = d.AppendPIDs(pids[:0])
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(pids, want) { // ascending as they are
			if !slices.Contains(pids, os.Getpid()) {
				t.Errorf("PIDs = %v, want this process, %d, among them", pids, os.Getpid())
			}
			return
		}
	}
	t.Errorf("in 100 attempts AppendPIDs never agreed with os.ReadDir: %v, %v", pids, slowPIDs(t, "/proc"))
}

func TestAppendPIDsAllocatesNothing(t *testing.T) {
	d := openDir(t, "/proc")
	pids := make([]int, 0, 1<<20)
	n := testing.AllocsPerRun(20, func() {
		if _, err := d.AppendPIDs(pids); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("AppendPIDs allocates %g times, want 0", n)
	}
}
