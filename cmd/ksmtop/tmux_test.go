package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sysfs"
)

// tmux is a server of its own with one window.
type tmux struct {
	t      *testing.T
	socket string
}

func (x tmux) run(args ...string) string {
	x.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", x.socket, "-f", "/dev/null"}, args...)...)
	// Without SHELL tmux takes the account's own shell, which for nobody is nologin.
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh", "TERM=xterm-256color", "LC_ALL=C.UTF-8", "TMUX=", "XDG_CONFIG_HOME="+filepath.Dir(x.socket))
	out, err := cmd.CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

// wait waits until the window shows all of want, and none of the rest.
func (x tmux) wait(want []string, not ...string) string {
	x.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		shown := x.run("capture-pane", "-p")
		missing := ""
		for _, s := range want {
			if !strings.Contains(shown, s) {
				missing = fmt.Sprintf("no %q", s)
			}
		}
		for _, s := range not {
			if strings.Contains(shown, s) {
				missing = fmt.Sprintf("there is %q", s)
			}
		}
		if missing == "" {
			return shown
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("%s in\n%s", missing, shown)
		}
	}
}

// match waits until the window shows what the expression matches.
func (x tmux) match(expression string) {
	x.t.Helper()
	re := regexp.MustCompile(expression)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		shown := x.run("capture-pane", "-p")
		if re.MatchString(shown) {
			return
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("nothing matches %s in\n%s", expression, shown)
		}
	}
}

// inTmux starts ksmtop with these arguments in a window of 80x24. When it ends
// the window says so, with the status.
func inTmux(t *testing.T, args ...string) tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("no tmux here")
	}
	dir, err := os.MkdirTemp("", "ksm") // short: a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	x := tmux{t, filepath.Join(dir, "s")}
	program, err := exec.LookPath("ksmtop")
	if err != nil {
		t.Fatal(err)
	}
	x.run("new-session", "-d", "-x", "80", "-y", "24", "sh")
	t.Cleanup(func() { x.run("kill-server") })
	x.run("set-option", "-g", "window-size", "manual")
	command := "PS1='back '; clear; '" + program + "'"
	for _, arg := range args {
		command += " '" + arg + "'"
	}
	x.run("send-keys", command+"; echo status $?", "Enter")
	return x
}

// keys sends keys, as tmux names them, one after the other.
func (x tmux) keys(names ...string) {
	x.t.Helper()
	x.run(append([]string{"send-keys"}, names...)...)
}

// What a terminal really shows, at several sizes.
func TestInTmux(t *testing.T) {
	x := inTmux(t, append(trees("6.18"), "-d", "100ms")...)

	shown := x.wait([]string{"ksmtop", "Savings", "1.24 GiB", "PROFIT", "qemu-system-x86"}, "init splash")
	lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
	if len(lines) > 24 {
		t.Errorf("%d lines on a screen of 24", len(lines))
	}
	order := strings.Index(shown, "qemu-system")
	if redis := strings.Index(shown, "redis-server"); redis < order {
		t.Errorf("sorted by profit redis comes before qemu:\n%s", shown)
	}
	x.run("send-keys", "a")
	x.wait([]string{"init splash"})
	x.run("send-keys", "a")
	x.wait([]string{"qemu-system"}, "init splash")
	x.run("send-keys", "I")
	for deadline := time.Now().Add(patience); ; {
		shown = x.wait([]string{"qemu-system", "redis-server"})
		if strings.Index(shown, "redis-server") < strings.Index(shown, "qemu-system") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("I does not turn the order round:\n%s", shown)
		}
	}
	x.run("send-keys", "I")

	x.run("send-keys", "d")
	x.wait([]string{"Delay (now 100ms)"})
	x.run("send-keys", "x", "Enter")
	x.wait([]string{"must be a time like"})
	x.run("send-keys", "BSpace", "0.2", "Enter")
	x.wait([]string{" 200ms "}, "Delay (now")

	x.run("send-keys", "?")
	x.wait([]string{"sort the other way round"})
	x.run("send-keys", "Escape")
	x.wait([]string{"Savings"}, "sort the other way round")

	x.run("resize-window", "-x", "120", "-y", "40")
	x.wait([]string{"Savings", "Where the 629 640 tracked pages are", "qemu-system-x86", "Quit"})
	x.run("resize-window", "-x", "19", "-y", "4")
	x.wait([]string{"need 20x5", "have 19x4"}, "Savings")
	x.run("resize-window", "-x", "80", "-y", "24")
	x.wait([]string{"Savings", "qemu-system-x86"}, "need 20x5")

	x.run("send-keys", "q")
	x.wait([]string{"status 0", "back"}, "Savings")
}

// Every view and what leads through it, on copied files.
func TestViewsInTmux(t *testing.T) {
	tree := t.TempDir()
	if err := copyTrees(tree, filepath.Join(kernels, "6.18")); err != nil {
		t.Fatal(err)
	}
	x := inTmux(t, "-d", "100ms", "--sysfs", filepath.Join(tree, "sys"), "--procfs", filepath.Join(tree, "proc"))
	x.wait([]string{"[1 Over", "qemu-system-x86"})

	x.keys("2")
	x.wait([]string{"[2 Proc", "redis-server"}, "Savings")
	x.keys("Right", "Right", "Right")
	x.wait([]string{"SAVED", "NET"}, "USER")
	x.keys("Left", "Left", "Left")
	x.wait([]string{"USER"}, "SAVED")
	x.keys("\\", "r", "e", "d", "i", "s")
	x.wait([]string{"filter redis: 1 of 3", "redis-server"}, "qemu-system")
	x.keys("Enter", "Escape")
	x.wait([]string{"qemu-system-x86", "s sort"})
	x.keys("/", "r", "e", "d", "i", "s", "Enter")
	x.wait([]string{">   1350"})
	x.keys("t")
	x.wait([]string{"Processes, tree by profit"})
	x.keys("t", "b", "Down", "Enter")
	x.wait([]string{"Processes of each user", "- (3) "})
	x.keys("b", "Home", "Enter")
	x.wait([]string{"Processes by profit"})
	x.keys("Home", "Space", "Space")
	x.wait([]string{"2 tagged"})
	x.keys("F9")
	x.wait([]string{"With 2 tagged processes"})
	x.keys("Escape")
	x.wait([]string{"2 tagged"}, "With 2 tagged")
	x.keys("U", "i")
	x.wait([]string{"What is this number?", ">PROFIT"})
	x.keys("Enter")
	x.wait([]string{"ksm_process_profit"})
	x.keys("q", "q", "1", "e")
	x.wait([]string{"Net savings, last"}, "Processes by")
	x.keys("Escape")
	x.wait([]string{"Savings", "Processes by profit"})

	// A process goes, a knob is changed by somebody else: events, and back to
	// the moment before.
	if err := os.RemoveAll(filepath.Join(tree, "proc/1350")); err != nil {
		t.Fatal(err)
	}
	x.wait([]string{"1350 redis-server takes no part"})
	pages := filepath.Join(tree, "sys/kernel/mm/ksm/pages_to_scan")
	if err := os.WriteFile(pages, []byte("77\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	x.wait([]string{"pages_to_scan changed outside ksmtop"})
	x.keys("7")
	x.wait([]string{"[7 Events", "pages_to_scan changed outside ksmtop", "1350 redis-server takes no part"})
	x.keys("!")
	x.wait([]string{"problems only", "pages_to_scan"}, "redis-server")
	x.keys("!", "/", "r", "e", "d", "i", "s", "Enter", "Enter")
	x.wait([]string{"LIVE paused", "[1 Over", " ago"}, "pages_to_scan changed")
	x.keys("[", "[")
	x.wait([]string{"LIVE paused", "redis-server 127"}, "takes no part")
	x.keys("L")
	x.wait([]string{"pages_to_scan changed"}, "paused", "redis-server 127")

	// A knob is written and put back.
	x.keys("F2")
	x.wait([]string{"pages_to_scan", "77 pages"})
	x.keys("Down", "Enter", "5", "5", "Enter")
	if os.Geteuid() != 0 {
		x.wait([]string{"This needs root", "Who may write there does it so:", "echo 55 >"})
		x.keys("q", "q", "q")
		x.wait([]string{"status 0"})
		return
	}
	x.wait([]string{"[ Cancel ]  [ Write ]", "writes 55 pages"})
	x.keys("Right", "Enter")
	x.wait([]string{"pages_to_scan: 77 -> 55", "55 pages  was"})
	if got, err := os.ReadFile(pages); err != nil || string(got) != "55\n" && string(got) != "55" {
		t.Errorf("pages_to_scan is %q (%v), want 55", got, err)
	}
	x.keys("z")
	x.wait([]string{"Undo the last write?", "writes 77"})
	x.keys("Right", "Enter")
	x.wait([]string{"pages_to_scan: 55 -> 77"})
	x.keys("q", "7")
	x.wait([]string{"x pages_to_scan written by ksmtop: 77 -> 55", "x pages_to_scan written by ksmtop: 55 -> 77"})
	x.keys("q")
	x.wait([]string{"status 0"})
}

// A program that ksmtop run starts is merged by the real ksmd before the eyes of
// the user, who changes a knob meanwhile.
func TestRealKSMInTmux(t *testing.T) {
	fsys := ksmtest.Guard(t)
	x := inTmux(t, "-d", "100ms")
	x.wait([]string{"[1 Over", "ksmd"})
	p := launch(t, "ksmtop", "run", "--", "ksm-workload", "32", "4", "0")
	pid := strconv.Itoa(p.Process.Pid)
	x.wait([]string{pid + " ksm-workload takes part in KSM"})

	x.keys("F2", "Enter", "1", "Enter")
	x.wait([]string{"writes 1 to /sys/kernel/mm/ksm/run (now 0)"})
	x.keys("Right", "Enter")
	x.wait([]string{"run: 0 -> 1"})
	x.keys("Down", "Enter", "1", "0", "0", "0", "0", "Enter")
	x.wait([]string{"writes 10000 pages to /sys/kernel/mm/ksm/pages_to_scan"})
	x.keys("Right", "Enter")
	x.wait([]string{"pages_to_scan: 100 -> 10000"})
	x.keys("q", "2")
	// 32 MiB less a page, and more in a program with the race detector.
	x.match(pid + ` root +(all|-) +(3[1-9]|[4-9][0-9])\.[0-9]M .*ksm-workload`)
	if k, err := fsys.Knobs(); err != nil || k.Run != sysfs.RunScan || k.PagesToScan != 10000 {
		t.Errorf("run is %d, pages_to_scan %d (%v), want 1 and 10000", k.Run, k.PagesToScan, err)
	}

	x.keys("F2", "z")
	x.wait([]string{"writes 100 pages to /sys/kernel/mm/ksm/pages_to_scan (now 10000)"})
	x.keys("Right", "Enter")
	x.wait([]string{"pages_to_scan: 10000 -> 100"})
	x.keys("Home", "Enter", "2", "Enter")
	x.wait([]string{"Unmerge everything?", "[ Cancel ]", "[ Stop, write 0 ]", "[ type unmerge ]"})
	x.keys("Left", "Enter", "u", "n", "m", "e", "r", "g", "e", "Enter")
	x.wait([]string{"run: 1 -> 2"})
	x.keys("q", "7")
	x.wait([]string{"x run written by ksmtop: 1 -> 2, unmerged "})
	if c, err := fsys.Counters(); err != nil || c.PagesShared != 0 {
		t.Errorf("%d KSM pages after unmerging (%v)", c.PagesShared, err)
	}
	x.keys("q")
	x.wait([]string{"status 0"})
}
