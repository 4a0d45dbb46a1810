package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// console is a program on a pseudoterminal.
type console struct {
	t             *testing.T
	master, slave *os.File
	cmd           *exec.Cmd
	before        *term.State

	mu      sync.Mutex
	output  bytes.Buffer
	arrived chan struct{}
}

// on starts cmd on a terminal of 80x24, in a session of its own.
func on(t *testing.T, cmd *exec.Cmd, env ...string) *console {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudoterminals here:", err)
	}
	c := &console{t: t, master: master, slave: slave, cmd: cmd, arrived: make(chan struct{}, 1)}
	t.Cleanup(func() {
		_ = slave.Close()
		_ = master.Close()
	})
	if err := pty.Setsize(master, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	if c.before, err = term.GetState(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Credential != nil { // or it may not open its terminal
		if err := slave.Chown(int(cmd.SysProcAttr.Credential.Uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	if cmd.SysProcAttr.Credential == nil { // whose HOME is another
		cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+t.TempDir())
	}
	cmd.Env = append(cmd.Env, append([]string{"TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR="}, env...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has usually ended
		_ = cmd.Wait()
	})
	go c.read()
	return c
}

func (c *console) read() {
	buf := make([]byte, 4096)
	for {
		n, err := c.master.Read(buf)
		c.mu.Lock()
		c.output.Write(buf[:n])
		c.mu.Unlock()
		select {
		case c.arrived <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

// wait waits until the output has all of want.
func (c *console) wait(want ...string) {
	c.t.Helper()
	deadline := time.After(patience)
	for _, s := range want {
		for !strings.Contains(c.text(), s) {
			select {
			case <-c.arrived:
			case <-deadline:
				c.t.Fatalf("no %q in output %q", s, c.text())
			}
		}
	}
}

// forget drops what was printed so far.
func (c *console) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.output.Reset()
}

func (c *console) send(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, keys); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the program's end and for all that it printed, and checks its
// status.
func (c *console) end(status int) {
	c.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	err := c.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		c.t.Fatal(err)
	}
	if got := c.cmd.ProcessState.ExitCode(); got != status {
		c.t.Errorf("exit status %d, want %d; output %q", got, status, c.text())
	}
	const mark = "(that is all)"
	if _, err := io.WriteString(c.slave, mark); err != nil {
		c.t.Fatal(err)
	}
	c.wait(mark)
}

// restored checks that the terminal is as it was before the program started, and
// returns what was printed on it after that.
func (c *console) restored() (after string) {
	c.t.Helper()
	now, err := term.GetState(int(c.slave.Fd()))
	if err != nil {
		c.t.Fatal(err)
	}
	if !reflect.DeepEqual(now, c.before) {
		c.t.Errorf("terminal state before %+v, after %+v", c.before, now)
	}
	const leave = "\x1b[?1049l"
	out := c.text()
	if !strings.Contains(out, leave) {
		c.t.Fatalf("the screen was not left: %q", out)
	}
	end := strings.LastIndex(out, leave)
	for _, mode := range []string{"?1049", "?2004", "?1000", "?1006", "?1"} {
		if set, reset := strings.LastIndex(out, "\x1b["+mode+"h"), strings.LastIndex(out, "\x1b["+mode+"l"); set > reset {
			c.t.Errorf("mode %s stays set", mode)
		}
	}
	if hide, show := strings.LastIndex(out, "\x1b[?25l"), strings.LastIndex(out, "\x1b[?25h"); show < hide {
		c.t.Errorf("the cursor stays hidden")
	}
	return out[end+len(leave):]
}

// trees are flags for a fixture, so that what the screen shows is known.
func trees(name string) []string {
	return []string{"--sysfs", filepath.Join(kernels, name, "sys"), "--procfs", filepath.Join(kernels, name, "proc")}
}

func TestScreenEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		end    func(c *console)
		status int
	}{
		{"q", func(c *console) { c.send("q") }, 0},
		{"Ctrl-C", func(c *console) { c.send("\x03") }, 0},
		{"F10", func(c *console) { c.send("\x1b[21~") }, 0},
		{"SIGTERM", func(c *console) { c.signal(unix.SIGTERM) }, 128 + 15},
		{"SIGHUP", func(c *console) { c.signal(unix.SIGHUP) }, 128 + 1},
		{"SIGINT", func(c *console) { c.signal(unix.SIGINT) }, 128 + 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := on(t, exec.Command("ksmtop", trees("6.18")...))
			c.wait("qemu-system-x86")
			tt.end(c)
			c.end(tt.status)
			if after := c.restored(); strings.Contains(after, "ksmtop") {
				t.Errorf("after the screen: %q", after)
			}
		})
	}
}

// Nothing of what processes call themselves reaches the terminal as it is.
func TestScreenIsClean(t *testing.T) {
	c := on(t, exec.Command("ksmtop", trees("6.18")...))
	c.wait("qemu-system-x86")
	c.send("a\x0c")
	c.wait("init splash")
	c.send("q")
	c.end(0)
	c.restored()
	for _, bad := range []string{"\x1b[2J\nb", "\x1b]0;owned", "\u202e", "\xff"} {
		if strings.Contains(c.text(), bad) {
			t.Errorf("%q of a process is in the output", bad)
		}
	}
}

func TestScreenKeysAndSizes(t *testing.T) {
	c := on(t, exec.Command("ksmtop", append(trees("6.18"), "-d", "100ms")...))
	c.wait("Savings", "qemu-system-x86")
	for _, size := range []pty.Winsize{{Cols: 120, Rows: 40}, {Cols: 19, Rows: 4}, {Cols: 1, Rows: 1}, {Cols: 300, Rows: 100}, {Cols: 80, Rows: 24}} {
		c.forget()
		if err := pty.Setsize(c.master, &size); err != nil {
			t.Fatal(err)
		}
		switch {
		case size.Cols >= 80:
			c.wait("Savings")
		case size.Cols == 19:
			c.wait("need 20x5", "have 19x4")
		}
	}
	const anew = "\x0c" // Ctrl-L: draw everything, not only what differs
	c.forget()
	c.send("?" + anew)
	c.wait("sort the other way round")
	c.send("\r") // closes the list; Esc and the next key together would be Alt and that key
	c.forget()
	c.send("sd0.5\r" + anew)
	c.wait("500ms")
	c.send("q")
	c.end(0)
	c.restored()
}

// -n is the number of samples on the screen, too.
func TestScreenEndsByItself(t *testing.T) {
	c := on(t, exec.Command("ksmtop", append(trees("6.18"), "-n", "2", "-d", "50ms")...))
	c.wait("qemu-system-x86")
	c.end(0)
	c.restored()
}

// The mouse chooses views and rows, sorts, and presses keys and buttons.
func TestScreenMouse(t *testing.T) {
	c := on(t, exec.Command("ksmtop", append(trees("6.18"), "-d", "100ms")...))
	c.wait("qemu-system-x86")
	click := func(x, y int) { c.send(fmt.Sprintf("\x1b[<0;%d;%dM\x1b[<0;%d;%dm", x, y, x, y)) }
	const anew = "\x0c"
	click(16, 2)
	c.wait("[2 Proc")
	c.forget()
	click(12, 4) // USER
	c.send(anew)
	c.wait("Processes by user")
	c.forget()
	click(30, 6)
	click(30, 6)
	c.send(anew)
	c.wait("Process 1")
	c.forget()
	click(2, 24) // Esc Close
	c.send(anew)
	c.wait("[2 Proc")
	c.send("\x1b[<65;30;6M") // the wheel
	c.forget()
	click(2, 24) // F1 Help
	c.send(anew)
	c.wait("sort the other way round")
	c.send("qq")
	c.end(0)
	c.restored()
}

// What is chosen with keys is there the next time, and what the command line
// says is not kept.
func TestPreferencesAreKept(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, "ksmtop/config")
	run := func(keys string, want []string, flags ...string) {
		t.Helper()
		c := on(t, exec.Command("ksmtop", append(trees("6.18"), flags...)...), "XDG_CONFIG_HOME="+home)
		c.wait(append([]string{"qemu-system-x86"}, want...)...)
		c.send(keys + "q")
		c.end(0)
		c.restored()
	}
	run("I", nil, "-s", "pid", "-d", "3")
	got, err := os.ReadFile(path)
	if want := "# sort the other way round: yes or no\ninvert = yes\n"; err != nil || string(got) != want {
		t.Errorf("the file is %q (%v), want %q", got, err, want)
	}
	run("Td0.5\r", nil)
	got, err = os.ReadFile(path)
	for _, want := range []string{"invert = yes\n", "theme = light\n", "delay = 500ms\n"} {
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("the file is %q (%v), want %q in it", got, err, want)
		}
	}
	run("", []string{"500ms"})
	run("s", nil, "--no-config")
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(got, again) {
		t.Errorf("with --no-config the file became %q (%v)", again, err)
	}

	broken := "sort = sideways\nmine\n"
	if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	run("s", []string{`sort = "sideways": no such column`})
	if got, err := os.ReadFile(path); err != nil || string(got) != broken {
		t.Errorf("a broken file became %q (%v)", got, err)
	}
}

// A place where nothing can be written is no reason to fail.
func TestPreferencesThatCannotBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := on(t, exec.Command("ksmtop", trees("6.18")...), "XDG_CONFIG_HOME="+file)
	c.wait("qemu-system-x86", "not a directory")
	c.send("sq")
	c.end(0)
	c.restored()
}

func TestScreenWithoutKSM(t *testing.T) {
	c := on(t, exec.Command("ksmtop", trees("none")...))
	c.wait("CONFIG_KSM")
	c.send("q")
	c.end(0)
	c.restored()
}

func TestScreenOfNobody(t *testing.T) {
	c := on(t, asNobody(t)())
	c.wait("Overview", "ksmtop")
	if os.Geteuid() == 0 { // then there are others' processes
		c.wait("may not be read: that needs root or CAP_DAC_READ_SEARCH")
	}
	c.send("aq")
	c.end(0)
	c.restored()
}

// A panic while the screen is open leaves a terminal that works and a message
// that can be read.
func TestScreenPanic(t *testing.T) {
	c := on(t, exec.Command("ksmtop-panic"), "GOTRACEBACK=single")
	c.end(1)
	const hint = "\r\nksmtop: hint: this is a mistake in ksmtop; the lines above say where\r\n"
	after := c.restored()
	for _, want := range []string{
		"ksmtop: panic: runtime error: invalid memory address or nil pointer dereference\r\n", "model.Sort(", hint,
	} {
		if !strings.Contains(after, want) {
			t.Errorf("no %q after the screen in %q", want, after)
		}
	}
}

// A terminal that cannot show a screen is an error with advice.
func TestScreenTerminals(t *testing.T) {
	for _, tt := range []struct{ env, want string }{
		{"TERM=dumb", `TERM="dumb": the terminal cannot position text`},
		{"TERM=", `TERM="": the terminal cannot position text`},
		{"TERM=no-such-terminal", `TERM="no-such-terminal": unknown type of terminal`},
		{"TERM=evil\x1b[2J", `unknown type of terminal`},
	} {
		c := on(t, exec.Command("ksmtop"), tt.env)
		c.end(1)
		c.wait("ksmtop: TERM=", tt.want, "\r\nksmtop: hint: ksmtop -b prints text and needs no terminal\r\n")
		if strings.Contains(c.text(), "\x1b") {
			t.Errorf("%s: escape sequences in %q", tt.env, c.text())
		}
	}
	// Batch output needs no terminal, and takes any.
	c := on(t, exec.Command("ksmtop", append(trees("6.18"), "-b", "-n", "1")...), "TERM=dumb")
	c.end(0)
	c.wait("qemu-system-x86")
	if strings.Contains(c.text(), "\x1b") {
		t.Errorf("escape sequences in %q", c.text())
	}
}

// A line of cause and one of advice, and a question that is answered with no.
func TestSetAsksAtTheTerminal(t *testing.T) {
	for _, tt := range []struct {
		answer string
		status int
		want   string // content of run afterwards
	}{
		{"n\r", 1, "1\n"}, {"\r", 1, "1\n"}, {"\x04", 1, "1\n"}, {"yes\r", 0, "2\n"}, {"Y\r", 0, "2\n"},
	} {
		tree := t.TempDir()
		if err := copyTrees(tree, filepath.Join(kernels, "6.18/sys")); err != nil {
			t.Fatal(err)
		}
		c := on(t, exec.Command("ksmtop", "set", "run=2", "--sysfs", tree))
		c.wait("Unmerge everything? [y/N] ")
		c.send(tt.answer)
		c.end(tt.status)
		if tt.status == 1 {
			c.wait("ksmtop: not confirmed, nothing was written\r\n")
		}
		got, err := os.ReadFile(filepath.Join(tree, "kernel/mm/ksm/run"))
		if err != nil || string(got) != tt.want {
			t.Errorf("after the answer %q run is %q (%v), want %q", tt.answer, got, err, tt.want)
		}
	}
}

// Ctrl-C at a terminal reaches the program of run --report from there, once.
func TestRunAtTheTerminal(t *testing.T) {
	needRun(t)
	c := on(t, exec.Command("ksmtop", "run", "--report", "ksm-signals"))
	c.wait("ready\r\n")
	c.send("\x03")
	c.wait("SIGINT\r\n")
	c.send("\x1c")
	c.wait("SIGQUIT\r\n")
	c.signal(unix.SIGHUP)
	c.wait("SIGHUP\r\n")
	c.signal(unix.SIGTERM)
	c.end(3)
	if n := strings.Count(c.text(), "SIGINT"); n != 1 {
		t.Errorf("the program got SIGINT %d times: %q", n, c.text())
	}
	if n := strings.Count(c.text(), "SIGQUIT"); n != 1 {
		t.Errorf("the program got SIGQUIT %d times: %q", n, c.text())
	}
}
