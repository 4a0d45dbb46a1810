//go:build unix

package procfs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// slowPIDs lists a directory as its definition says: names which are the
// decimal form of a positive int32.
func slowPIDs(t *testing.T, path string) []int {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.ParseInt(e.Name(), 10, 32)
		if err == nil && pid > 0 && strconv.FormatInt(pid, 10) == e.Name() {
			pids = append(pids, int(pid))
		}
	}
	slices.Sort(pids)
	return pids
}

func openDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func sortedPIDs(t *testing.T, d *Dir) []int {
	t.Helper()
	pids, err := d.AppendPIDs(nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(pids)
	return pids
}

func TestAppendPIDs(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	if got := sortedPIDs(t, d); len(got) != 0 {
		t.Errorf("PIDs of an empty directory = %v, want none", got)
	}
	names := []string{"1", "9", "10", "36", "2147483647", // these are
		"0", "00", "01", "1a", "a1", "-1", "+1", " 1", "1 ", "1\n", "1.0", "0x1", "1_0", "2147483648", "4294967297", "99999999999",
		"18446744073709551617", "99999999999999999999", "100000000000000000000001", "self", "thread-self", "meminfo", "٣", "\xff", "1\x1b[2J"}
	for _, name := range names {
		if err := os.Mkdir(filepath.Join(path, name), 0o777); err != nil {
			t.Logf("%q: %v", name, err) // not every file system takes every name
		}
	}
	want := []int{1, 9, 10, 36, 2147483647}
	if got := slowPIDs(t, path); !slices.Equal(got, want) {
		t.Fatalf("the slow way gives %v, want %v", got, want)
	}
	for range 2 { // from the beginning each time
		if got := sortedPIDs(t, d); !slices.Equal(got, want) {
			t.Errorf("PIDs = %v, want %v", got, want)
		}
	}
	if err := os.Remove(filepath.Join(path, "9")); err != nil {
		t.Fatal(err)
	}
	if got, want := sortedPIDs(t, d), []int{1, 10, 36, 2147483647}; !slices.Equal(got, want) {
		t.Errorf("PIDs after 9 has gone = %v, want %v", got, want)
	}
	got, err := d.AppendPIDs([]int{5})
	if len(got) != 5 || got[0] != 5 || err != nil {
		t.Errorf("AppendPIDs([5]) = %v, %v, want 5 and four more", got, err)
	}
}

// TestAppendManyPIDs needs several buffers of entries.
func TestAppendManyPIDs(t *testing.T) {
	path := t.TempDir()
	var want []int
	for pid := 100000; pid < 103000; pid++ {
		want = append(want, pid)
		if err := os.Mkdir(filepath.Join(path, strconv.Itoa(pid)), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if got := sortedPIDs(t, openDir(t, path)); !slices.Equal(got, want) {
		t.Errorf("%d PIDs, want the %d that were made", len(got), len(want))
	}
}

func TestOpenDirErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenDir(filepath.Join(dir, "missing")); err != unix.ENOENT {
		t.Errorf("OpenDir(missing) = %v, want a bare ENOENT", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(file); err != unix.ENOTDIR {
		t.Errorf("OpenDir(file) = %v, want a bare ENOTDIR", err)
	}
}
