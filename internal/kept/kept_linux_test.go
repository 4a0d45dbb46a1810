package kept

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProcessGone: a kept file belongs to its process, also after it.
func TestProcessGone(t *testing.T) {
	sleep := exec.Command("sleep", "600")
	if err := sleep.Start(); err != nil {
		t.Skip(err)
	}
	kill := func() {
		if sleep.ProcessState == nil {
			sleep.Process.Kill()
			sleep.Wait()
		}
	}
	t.Cleanup(kill)

	f := open(t, fmt.Sprintf("/proc/%d/stat", sleep.Process.Pid))
	buf := make([]byte, 1024)
	for call, read := range map[string]func([]byte) ([]byte, error){"Read": f.Read, "Once": f.Once} {
		text, err := read(buf)
		if err != nil || !strings.HasPrefix(string(text), fmt.Sprintf("%d (", sleep.Process.Pid)) || !strings.HasSuffix(string(text), "\n") {
			t.Errorf("%s = %q, %v, want the whole line of process %d", call, text, err, sleep.Process.Pid)
		}
	}
	kill()
	if _, err := f.Read(buf); err != unix.ESRCH {
		t.Errorf("Read after the process = %v, want a bare ESRCH", err)
	}
	if _, err := f.Once(buf); err != unix.ESRCH {
		t.Errorf("Once after the process = %v, want a bare ESRCH", err)
	}
	if _, err := Open(fmt.Sprintf("/proc/%d/stat", sleep.Process.Pid)); err != unix.ENOENT {
		t.Errorf("Open after the process = %v, want ENOENT", err)
	}
}

// TestReadAllLeavesNothingOpen also reads what cannot be read.
func TestReadAllLeavesNothingOpen(t *testing.T) {
	openFiles := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	buf := make([]byte, 64)
	before := openFiles()
	ReadAll("/proc/self/stat", buf)
	ReadAll(t.TempDir(), buf)
	if after := openFiles(); after != before {
		t.Errorf("%d descriptors are open after ReadAll, %d before", after, before)
	}
}
