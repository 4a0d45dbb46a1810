package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A simulated machine from its opening to its end, with all views.
func TestSimInTmux(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small.toml")
	if err := os.WriteFile(path, []byte(smallScenario), 0o666); err != nil {
		t.Fatal(err)
	}
	x := inTmux(t, "--sim", path)
	x.wait([]string{"ksmtop SIM", "small seed 3", "x60", "running", "[6 Sim", "2 guests", ">pages_to_scan", "A net |"})
	x.wait([]string{"t=00:01:"}) // a minute in a second
	x.keys("Space")
	x.wait([]string{"paused", "Space run"})
	x.keys("+", "+", "+", "+", "+", "+", "-", "-")
	x.wait([]string{"x1800"})
	x.keys("r")
	x.wait([]string{"t=00:00:00", "scan 0", "paused"})
	x.keys(".", ".")
	x.wait([]string{"scanned 400"})
	x.keys("f")
	x.wait([]string{"scan 1  shared 0"})
	x.keys("Right", "Down", "Left")
	x.wait([]string{"[        500]", "[         10]"})
	x.keys("z", "z")
	x.wait([]string{"pages_to_scan is 200 again", "[         20]"})
	x.keys("Up", "Enter", "7", "7", "Enter")
	x.wait([]string{"[         77]"})
	x.keys("b")
	x.wait([]string{"B has A's knobs", "B has the kernel's defaults"})
	x.keys("Down", "Enter")
	x.wait([]string{"A, and B: the kernel's defaults", "B net |", "t=00:00:00"})
	x.keys("Space")
	x.wait([]string{"t=00:0", "settled in"})

	x.keys("1")
	x.wait([]string{"ksmtop SIM", "[1 Over", "Savings", "vm-1", "sim"}, "A net |")
	x.keys("2")
	x.wait([]string{"ksmtop SIM", "[2 Proc", "vm-2"})
	x.keys("7")
	x.wait([]string{"ksmtop SIM", "[7 Events", "passes ended"})
	x.keys("6", "P")
	x.wait([]string{"ksmtop SIM", "ksmtop set pages_to_scan=77", "echo 77 > /sys/kernel/mm/ksm/pages_to_scan"})
	x.keys("q")
	x.wait([]string{"A net |"}, "echo 77")
	for _, size := range [][2]string{{"120", "40"}, {"40", "12"}, {"80", "24"}} {
		x.run("resize-window", "-x", size[0], "-y", size[1])
		x.wait([]string{"ksmtop SIM", "t=00:"})
	}

	// Another scenario, and one that is not there.
	x.keys("o", "Enter")
	x.wait([]string{"same-os seed 1", "16 guests"})
	x.keys("o", "Home", "Enter", "n", "o", "Enter")
	x.wait([]string{`"no": no such preset, and no such file`, "same-os"})
	x.keys("q")
	x.wait([]string{"status 0", "back"}, "A net")
}

// Where there is no KSM the card names the simulator, and a key opens it.
func TestSimWithoutKSMInTmux(t *testing.T) {
	x := inTmux(t, append(trees("none"), "-d", "100ms")...)
	x.wait([]string{"CONFIG_KSM", "o       opens a simulated machine"})
	x.keys("o")
	x.wait([]string{"Simulate", "clones"})
	x.keys("Enter")
	x.wait([]string{"ksmtop SIM", "[6 Sim", "16 guests"})
	x.keys("1")
	x.wait([]string{"ksmtop SIM", "Savings"}, "CONFIG_KSM")
	x.keys("S")
	x.wait([]string{"ksmtop LIVE", "CONFIG_KSM"}, "ksmtop SIM")
	x.keys("6", "P")
	x.wait([]string{"There is no real machine here"})
	x.keys("q", "c")
	x.wait([]string{"ksmtop LIVE", "o opens a scenario or a page script"})
	x.keys("q")
	x.wait([]string{"status 0"})
}

// A page script, step by step, and a scenario whose knobs are proposed for the real
// machine, which is a copied tree here.
func TestSimProposesInTmux(t *testing.T) {
	tree := t.TempDir()
	if err := copyTrees(tree, filepath.Join(kernels, "6.18")); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(tree, "some.script")
	if err := os.WriteFile(script, []byte("spawn a\nmap a x 4\nfill a x 0 4 7\nmergeable a x 0 4\nscan 2\nshow end\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	scenario := filepath.Join(tree, "small.toml")
	if err := os.WriteFile(scenario, []byte(smallScenario), 0o666); err != nil {
		t.Fatal(err)
	}
	x := inTmux(t, "-d", "100ms", "--sysfs", filepath.Join(tree, "sys"), "--procfs", filepath.Join(tree, "proc"))
	x.wait([]string{"[1 Over", "qemu-system-x86"})
	x.keys("o", "Home", "Enter")
	x.wait([]string{"File:"})
	x.run("send-keys", "-l", script)
	x.keys("Enter")
	x.wait([]string{"ksmtop SIM", "some.script", "next  line 1: spawn a", "paused"})
	x.keys(".", ".", ".", ".")
	x.wait([]string{"next  line 5: scan 2"})
	x.keys("f")
	x.wait([]string{"scan 1  shared 0  sharing 0  unshared 0  volatile 4"})
	x.keys("+", "+", "Space")
	x.wait([]string{"the script has ended", "scan 2  shared 1  sharing 3  unshared 0  volatile 0", "ended"})
	x.keys("b")
	x.wait([]string{"a page script sets its knobs itself"})

	x.keys("P")
	x.wait([]string{"the knobs of an experiment"})
	x.keys("o", "Home", "Enter")
	x.wait([]string{"File:"})
	x.run("send-keys", "-l", scenario)
	x.keys("Enter")
	x.wait([]string{"ksmtop SIM", "Scenario small", "[        200]"})
	x.keys("Space", "P")
	if os.Geteuid() != 0 {
		x.wait([]string{"Who may write there does it so:", "echo 200 >", "echo 0 >"})
		x.keys("q", "q")
		x.wait([]string{"status 0"})
		return
	}
	x.wait([]string{"ksmtop LIVE", "Write to the real machine?", "writes 200 pages", "[ Cancel ]"})
	x.keys("Right", "Enter", "7")
	x.wait([]string{"ksmtop LIVE", "pages_to_scan written by ksmtop:", "-> 200"}, "Write to the")
	got, err := os.ReadFile(filepath.Join(tree, "sys/kernel/mm/ksm/pages_to_scan"))
	if err != nil || strings.TrimSpace(string(got)) != "200" {
		t.Errorf("pages_to_scan is %q (%v), want 200", got, err)
	}
	x.keys("F2", "z")
	x.wait([]string{"Undo the last write?"})
	x.keys("q", "q", "q")
	x.wait([]string{"status 0"})
}
