package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sysfs"
)

// target has the views of memory read processes, as typed.
func (x tmux) target(pids ...string) {
	x.t.Helper()
	x.keys("t", "Home", "Down", "Down")
	x.wait([]string{">processes by their numbers"})
	x.keys("Enter")
	x.wait([]string{"numbers, with commas between them"})
	x.keys(strings.Join(pids, ","), "Enter")
	x.wait([]string{"Targets", pids[0]}, "numbers, with commas")
}

// number returns the number that the screen shows before a word, in groups of
// three digits.
func number(t *testing.T, shown, word string) uint64 {
	t.Helper()
	m := regexp.MustCompile(`([0-9][0-9 ]*) ` + word).FindStringSubmatch(shown)
	if m == nil {
		t.Fatalf("no number of %s in\n%s", word, shown)
	}
	n, err := strconv.ParseUint(strings.ReplaceAll(m[1], " ", ""), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What-if comes true: what the screen says of still processes, before anything is
// switched on, is what the real ksmd then saves and tracks, to the page; and then
// there is nothing left to gain.
func TestWhatIfComesTrue(t *testing.T) {
	for _, useZero := range []string{"0", "1"} {
		t.Run("use_zero_pages="+useZero, func(t *testing.T) {
			fsys := ksmtest.Guard(t)
			if _, err := fsys.Set(
				sysfs.Setting{Field: sysfs.MaxPageSharing, Value: "16"},
				sysfs.Setting{Field: sysfs.UseZeroPages, Value: useZero},
				sysfs.Setting{Field: sysfs.SmartScan, Value: "0"},
			); err != nil {
				t.Fatal(err)
			}
			// Shells that wait for a line: all their memory stands still, pages of their
			// own and pages of one letter. And a program that marks only a region, in
			// which there are pages of zeros.
			region := launch(t, "ksm-region", "2500", "300", "1")
			pids := []string{strconv.Itoa(region.Process.Pid)}
			for i := range 3 {
				p := launch(t, "ksmtop", "run", "--", "sh", "-c", fmt.Sprintf(
					`own=$(seq %d0000 %d9999 | tr '\n' ' '); same=$(head -c 3000000 /dev/zero | tr '\0' a); echo ready; read line`, i+1, i+1))
				pids = append(pids, strconv.Itoa(p.Process.Pid))
			}
			x := inTmux(t, "-d", "100ms", "--no-config")
			x.wait([]string{"[1 Over", "ksmd"})
			x.keys("5")
			x.wait([]string{"[5 What-if", "[16] pages on a KSM page at most", "nothing is changed by asking"})
			x.target(pids...)
			x.keys("r")
			shown := x.wait([]string{"would save", "rmap items", "already saved .", "first pass    ~", "merged after  ~"}, "reading", "partial")
			saved, items := number(t, shown, "pages  "), number(t, shown, "rmap items")

			ksmtest.Scan(t, 4)
			c, err := fsys.Counters()
			if err != nil {
				t.Fatal(err)
			}
			kernel := uint64(c.PagesSharing) + uint64(c.KSMZeroPages)
			tracked := uint64(c.PagesShared + c.PagesSharing + c.PagesUnshared)
			tracked += uint64(max(0, c.PagesVolatile))
			if saved != kernel || items != tracked || kernel < 1000 {
				t.Errorf("What-if says %d pages saved, %d tracked; the kernel has %d and %d:\n%s", saved, items, kernel, tracked, shown)
			}
			t.Logf("What-if: %d pages saved, %d tracked; the kernel: %d, %d", saved, items, kernel, tracked)

			x.keys("r")
			shown = x.wait([]string{"still to gain 0 B"}, "reading")
			if again := number(t, shown, "pages  "); again != kernel {
				t.Errorf("after merging What-if says %d pages, want %d as before", again, kernel)
			}
			x.keys("q")
			x.wait([]string{"status 0"})
		})
	}
}

// needReading skips the test where a process may not read one that it did not
// start.
func needReading(t *testing.T) {
	t.Helper()
	yama, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err == nil && string(yama) != "0\n" && (os.Geteuid() != 0 || string(yama) == "3\n") {
		t.Skipf("kernel.yama.ptrace_scope is %s", yama)
	}
}

// The three views read a real process, where there is no KSM as well.
func TestMemoryViewsInTmux(t *testing.T) {
	needReading(t)
	p := launch(t, "ksm-workload", "20", "0", "1")
	pid := strconv.Itoa(p.Process.Pid)
	x := inTmux(t, "-d", "100ms", "--no-config", "--sysfs", t.TempDir())
	x.wait([]string{"5  What-if"})

	x.keys("3")
	x.wait([]string{"[3 VMA"})
	x.keys("o", pid, "Enter")
	shown := x.wait([]string{"Areas of " + pid + " ksm-workload by address", "ADDRESS", " areas  rss "}, "reading")
	if !strings.Contains(shown, " file ") {
		t.Errorf("no area is a file's:\n%s", shown)
	}
	x.keys("m")
	x.wait([]string{"duplicates ~"}, "Esc stops it")
	x.keys("s", "s", "s")
	shown = x.wait([]string{"by duplicates"})
	if line := areaSelected(shown); !regexp.MustCompile(`21\.0M +21\.0M .* (99|100)%`).MatchString(line) {
		t.Errorf("the area with most duplicates is %q, want that of 21 MiB:\n%s", line, shown)
	}
	x.keys("Enter")
	x.wait([]string{"DUP~", "looked at"})
	x.keys("q", "4")
	x.wait([]string{"[4 Shar", "all processes that may be read"})
	x.target(pid)
	x.keys("r")
	x.wait([]string{"would save", "Groups by process", pid + " ksm-workload"}, "reading")
	x.keys("v")
	x.wait([]string{"Most copied", "other"})
	x.keys("/", "zero", "Enter")
	x.wait([]string{"all zero"}, "Search:")
	x.keys("b", "Home", "Down", "Enter")
	x.wait([]string{"Most copied", "[4 Shar"}, "reading", "Groups\n")
	x.keys("v")
	x.wait([]string{"Groups by user"})
	x.keys("w")
	x.wait([]string{"[5 What-if", "would save", "already saved .", "first pass    ~"}, "reading")
	x.keys("Escape")
	x.wait([]string{"[4 Shar"})
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	p.end(t)
	x.keys("r")
	x.wait([]string{"1 had ended before"})
	x.keys("3", "r")
	x.wait([]string{"the process has exited"})
	x.keys("q")
	x.wait([]string{"status 0"})
}

// areaSelected returns the line of the selected row.
func areaSelected(shown string) string {
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, ">") {
			return line
		}
	}
	return ""
}

// A scan of everything is stopped with Esc, and what was read by then is marked as
// a part.
func TestScanIsStoppedInTmux(t *testing.T) {
	needReading(t)
	p := launch(t, "ksm-workload", "200", "0", "0")
	x := inTmux(t, "-d", "100ms", "--no-config")
	x.wait([]string{"[1 Over"})
	x.keys("5", "Down", "Down", "Down", "Enter", "1", "Enter") // percent of a CPU, so that it takes long
	x.wait([]string{"[1]% of one CPU at most"})
	x.target(strconv.Itoa(p.Process.Pid))
	x.keys("r")
	x.wait([]string{"Esc stops it"})
	x.keys("Escape")
	x.wait([]string{"partial, not all was read"}, "Esc stops it")
	x.keys("q")
	x.wait([]string{"status 0"})
}

// An ordinary user sees their own process, and is told what reading others needs.
func TestNobodySeesMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to have what others may not read")
	}
	run := asNobody(t)
	own := run("8", "0", "0")
	own.Path, own.Args[0] = filepath.Join(filepath.Dir(own.Path), "ksm-workload"), "ksm-workload"
	pid := strconv.Itoa(launchCmd(t, own).Process.Pid)
	other := strconv.Itoa(launch(t, "ksm-workload", "8", "0", "0").Process.Pid)

	c := on(t, run("-d", "100ms", "--no-config"))
	c.wait("1 Over")
	c.send("3o" + other + "\r")
	c.see("it may not be read: needs CAP_SYS_PTRACE")
	c.send("o" + pid + "\r")
	c.see(pid + " ksm-workload by address")
	c.send("m")
	if yama, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && string(yama) != "0\n" {
		c.see("kernel.yama.ptrace_scope is " + strings.TrimSpace(string(yama)))
		c.send("q")
		c.end(0)
		return
	}
	c.see("duplicates ")
	c.send("5t")
	c.see("processes by their numbers")
	c.send("\x1b[B\r")
	c.see("Processes: ")
	c.send(pid + "," + other + "\rr")
	c.see("would save", "not read: ", "needs CAP_SYS_PTRACE")
	c.send("q")
	c.end(0)
}

// see has everything drawn anew until all of want is on the screen: usually only
// what has changed is.
func (c *console) see(want ...string) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		c.forget()
		c.send("\x0c") // Ctrl-L
		c.wait("[?2026l")
		text := c.text()
		if !slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(text, s) }) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not all of %q is drawn: %q", want, text)
		}
	}
}
