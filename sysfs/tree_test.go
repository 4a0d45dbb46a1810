//go:build unix

package sysfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// kernelTrees are the trees below testdata/kernels that have KSM and hold both
// a sys and a proc.
var kernelTrees = []string{"5.4", "6.1", "6.4-instagram", "6.6", "6.18", "6.18-negative"}

// tree returns the FS of testdata/kernels/name, whose pages have 4 KiB.
func tree(t testing.TB, name string) FS {
	t.Helper()
	dir := filepath.Join("testdata/kernels", name)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	return FS{Root: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc"), PageSize: 4096}
}

// treeCopy returns the FS of a copy of testdata/kernels/name, which the test
// may change.
func treeCopy(t testing.TB, name string) FS {
	t.Helper()
	tree(t, name)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/kernels", name))); err != nil {
		t.Fatal(err)
	}
	return FS{Root: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc"), PageSize: 4096}
}

// writeFile writes a file and the directories above it.
func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// readFile returns the content of a file below one of fsys's roots.
func readFile(t testing.TB, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// release returns the kernel release of a tree.
func release(t testing.TB, fsys FS) string {
	t.Helper()
	return strings.TrimSpace(readFile(t, fsys.Proc, "sys/kernel/osrelease"))
}

// separate returns the errors that errors.Join put together, at any depth.
func separate(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, separate(err)...)
	}
	return all
}

// theProblem returns the one *Error in err, which must be about path.
func theProblem(t testing.TB, err error, path string) *Error {
	t.Helper()
	all := separate(err)
	if len(all) != 1 {
		t.Fatalf("%d errors: %v, want 1", len(all), err)
	}
	var e *Error
	if !errors.As(all[0], &e) {
		t.Fatalf("error %v is a %T, want an *Error", all[0], all[0])
	}
	if e.Path != path {
		t.Fatalf("error %v is about %s, want %s", e, e.Path, path)
	}
	return e
}

// since reports whether kernel release a is b or a later one.
func since(t *testing.T, a, b string) bool {
	t.Helper()
	numbers := func(release string) (n []int) {
		for part := range strings.SplitSeq(release, ".") {
			i, err := strconv.Atoi(part)
			if err != nil {
				t.Fatalf("release %q: %v", release, err)
			}
			n = append(n, i)
		}
		return n
	}
	return slices.Compare(numbers(a), numbers(b)) >= 0
}

// TestTreesHaveTheirFiles holds the fixtures against the table of fields: a
// kernel has exactly the files that it had got by its release.
func TestTreesHaveTheirFiles(t *testing.T) {
	for _, name := range append([]string{"6.18.44-recorded"}, kernelTrees...) {
		t.Run(name, func(t *testing.T) {
			fsys := tree(t, name)
			rel := "6.18.44"
			if name != "6.18.44-recorded" {
				rel = release(t, fsys)
			}
			r, err := fsys.Read()
			if err != nil {
				t.Fatal(err)
			}
			for f := range Fields() {
				_, got := r.Value(f)
				if want := since(t, rel, f.Info().Since); got != want || r.Problem(f) != nil {
					t.Errorf("%v of Linux %s: present %t, problem %v, want %t", f, rel, got, r.Problem(f), want)
				}
			}
			files, err := os.ReadDir(fsys.dir())
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Counters.Present.Len() + r.Knobs.Present.Len(); got != len(files) {
				t.Errorf("%d fields were read from %d files", got, len(files))
			}
		})
	}
}

// TestTreesAddUp holds the numbers of the fixtures against the identities of
// the kernel, so that tests may compute with them.
func TestTreesAddUp(t *testing.T) {
	const pageBytes, itemBytes = 4096, 64
	for _, name := range kernelTrees {
		t.Run(name, func(t *testing.T) {
			fsys := tree(t, name)
			c, err := fsys.Counters()
			if err != nil {
				t.Fatal(err)
			}
			items := int64(c.PagesShared) + int64(c.PagesSharing) + int64(c.PagesUnshared) + int64(c.PagesVolatile)
			profit := (int64(c.PagesSharing)+int64(c.KSMZeroPages))*pageBytes - items*itemBytes
			if name == "6.4-instagram" {
				// Published numbers, not read at one instant.
				if profit != 19830680704 || c.GeneralProfit != 20158298048 {
					t.Errorf("profit = %d, recomputed %d, want the published 20158298048 and 19830680704", c.GeneralProfit, profit)
				}
				return
			}
			if c.Has(GeneralProfit) && c.GeneralProfit != profit {
				t.Errorf("general_profit = %d, want %d", c.GeneralProfit, profit)
			}
			rel := release(t, fsys)
			if !since(t, rel, "6.1") {
				return
			}
			sum := map[string]int64{}
			stats, _ := filepath.Glob(filepath.Join(fsys.Proc, "[0-9]*", "ksm_stat"))
			for _, path := range stats {
				own := map[string]int64{}
				addKSMStat(t, own, readFile(t, path))
				addKSMStat(t, own, "ksm_merging_pages "+readFile(t, filepath.Dir(path), "ksm_merging_pages"))
				if p, ok := own["ksm_process_profit"]; ok {
					want := (own["ksm_merging_pages"]+own["ksm_zero_pages"])*pageBytes - own["ksm_rmap_items"]*itemBytes
					if p != want {
						t.Errorf("%s: ksm_process_profit = %d, want %d", path, p, want)
					}
				}
				for key, n := range own {
					sum[key] += n
				}
			}
			// A bit is always left for processes that nobody can read.
			left := map[string]int64{
				"ksm_rmap_items":    items - sum["ksm_rmap_items"],
				"ksm_merging_pages": int64(c.PagesShared) + int64(c.PagesSharing) - sum["ksm_merging_pages"],
			}
			if c.KSMZeroPages != 0 {
				left["ksm_zero_pages"] = int64(c.KSMZeroPages) - sum["ksm_zero_pages"]
			}
			for key, n := range left {
				if n <= 0 {
					t.Errorf("%s of no process = %d, want more than 0", key, n)
				}
			}
		})
	}
}

// addKSMStat stores the numbers of a ksm_stat. ksm_merging_pages may come twice
// and must be the same then; empty ones are those of kernel threads.
func addKSMStat(t *testing.T, to map[string]int64, text string) {
	t.Helper()
	procfs.Lines([]byte(text), func(key, value []byte) bool {
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			if old, ok := to[string(key)]; ok && old != n {
				t.Errorf("%s is %d and %d", key, old, n)
			}
			to[string(key)] = n
		}
		return true
	})
}

// TestTreeProcesses checks that the files of each process tell the same.
func TestTreeProcesses(t *testing.T) {
	lines := []struct{ key, since string }{ // of ksm_stat, in order
		{"ksm_rmap_items", "6.1"}, {"ksm_zero_pages", "6.6"}, {"ksm_merging_pages", "6.4"},
		{"ksm_process_profit", "6.4"}, {"ksm_merge_any:", "6.14"}, {"ksm_mergeable:", "6.14"},
	}
	for _, name := range append([]string{"none"}, kernelTrees...) {
		fsys := tree(t, name)
		rel := release(t, fsys)
		stats, _ := filepath.Glob(filepath.Join(fsys.Proc, "[0-9]*", "stat"))
		if len(stats) == 0 {
			t.Errorf("%s: no processes", name)
		}
		for _, path := range stats {
			dir := filepath.Dir(path)
			stat, err := procfs.ParseStat([]byte(readFile(t, path)))
			if err != nil || filepath.Base(dir) != strconv.Itoa(stat.PID) {
				t.Errorf("%s: PID %d, %v", path, stat.PID, err)
			}
			if comm := readFile(t, dir, "comm"); comm != string(stat.Comm)+"\n" || len(comm) > 16 {
				t.Errorf("%s: %q, but comm is %q", path, stat.Comm, comm)
			}
			status := readFile(t, dir, "status")
			if want := fmt.Sprintf("VmRSS:\t%8d kB\n", stat.RSS*4); !stat.KernelThread() && !strings.Contains(status, want) {
				t.Errorf("%s/status has no %q", dir, want)
			}
			var want strings.Builder
			for _, line := range lines {
				if name != "none" && since(t, rel, line.since) && !stat.KernelThread() {
					want.WriteString(line.key + " ")
				}
			}
			var got strings.Builder
			text, err := os.ReadFile(filepath.Join(dir, "ksm_stat"))
			for line := range strings.Lines(string(text)) {
				got.WriteString(strings.Fields(line)[0] + " ")
			}
			if got.String() != want.String() {
				t.Errorf("%s/ksm_stat has %s, want %s", dir, &got, &want)
			}
			if exists := err == nil; exists != (name != "none" && since(t, rel, "6.1")) {
				t.Errorf("%s/ksm_stat exists: %t in Linux %s", dir, exists, rel)
			}
		}
	}
}
