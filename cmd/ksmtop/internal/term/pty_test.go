package term

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"
)

// The tests below run this test binary again as a program on a pseudoterminal,
// since the state of a real terminal is what they are about.

const helperEnv = "KSMTOP_TERM_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper())
	}
	os.Exit(m.Run())
}

// helper is the program: q quits, p panics, g panics on another goroutine.
func helper() int {
	fmt.Fprintln(os.Stderr, "before")
	depth, err := view.DetectDepth("", os.Getenv)
	if err != nil {
		panic(err)
	}
	palette, err := view.NewPalette("dark", depth)
	if err != nil {
		panic(err)
	}
	l, err := Open(Options{Palette: palette, Depth: depth, Level: view.DetectLevel(false, os.Getenv), Mouse: true})
	status := 0
	if err == nil {
		err = l.Run(context.Background(), helperApp{l})
	}
	var sig *SignalError
	switch {
	case err == nil:
	case errors.As(err, &sig):
		status = 128 + int(sig.Signal)
	default:
		status = 1
	}
	fmt.Fprintln(os.Stderr, "after:", err)
	return status
}

type helperApp struct{ l *Loop }

func (a helperApp) Handle(ev Event) bool {
	switch ev {
	case Key("p"):
		panic("boom in Handle")
	case Key("g"):
		a.l.Go(func() { panic("boom in Go") })
	}
	return ev == Key("q")
}

func (a helperApp) Draw(c *view.Canvas) {
	c.Text(0, 0, view.Status, "ready 世")
	// In another row for another height, and without blanks, so that it is sent
	// as a whole: the first drawing after a resize may still have the old size.
	w, h := c.Size()
	c.Text(0, h-2, view.Normal, fmt.Sprintf("size=%dx%d.", w, h))
}

// terminal is a program on a pseudoterminal.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd
	before *term.State

	mu      sync.Mutex
	output  bytes.Buffer
	arrived chan struct{}
}

func startHelper(t *testing.T, env ...string) *terminal {
	t.Helper()
	return start(t, exec.Command(os.Args[0]), env...)
}

func start(t *testing.T, cmd *exec.Cmd, env ...string) *terminal {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudoterminals here:", err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 50, Rows: 12}); err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, master: master, slave: slave, cmd: cmd, before: before, arrived: make(chan struct{}, 1)}
	x.cmd.Env = append([]string{
		helperEnv + "=1", "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0",
	}, env...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = slave, slave, slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // has usually ended
		_, _ = x.cmd.Process.Wait()
		_ = slave.Close()
		_ = master.Close()
	})
	go x.read()
	return x
}

func (x *terminal) read() {
	buf := make([]byte, 4096)
	for {
		n, err := x.master.Read(buf)
		x.mu.Lock()
		x.output.Write(buf[:n])
		x.mu.Unlock()
		select {
		case x.arrived <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// text returns all output so far.
func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.output.String()
}

// wait waits until the output contains s.
func (x *terminal) wait(s string) {
	x.t.Helper()
	deadline := time.After(10 * time.Second)
	for !strings.Contains(x.text(), s) {
		select {
		case <-x.arrived:
		case <-deadline:
			x.t.Fatalf("no %q in output %q", s, x.text())
		}
	}
}

func (x *terminal) send(s string) {
	x.t.Helper()
	if _, err := io.WriteString(x.master, s); err != nil {
		x.t.Fatal(err)
	}
}

// checkRestored waits for the end of the program and checks that it left the
// terminal as it was, before it wrote anything more.
func (x *terminal) checkRestored(status int, last string) {
	x.t.Helper()
	x.wait("after:")
	x.wait(last)
	var exit *exec.ExitError
	if err := x.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		x.t.Fatal(err)
	}
	if got := x.cmd.ProcessState.ExitCode(); got != status {
		x.t.Errorf("exit status %d, want %d", got, status)
	}
	after, err := term.GetState(int(x.slave.Fd()))
	if err != nil {
		x.t.Fatal(err)
	}
	if !reflect.DeepEqual(after, x.before) {
		x.t.Errorf("terminal state before %+v, after %+v", x.before, after)
	}
	// Every mode that was set is reset, and all this before the last words.
	out, _, _ := strings.Cut(x.text(), "after:")
	for _, mode := range []string{"?1049", "?2004", "?1000", "?1006", "?1"} {
		set, reset := strings.LastIndex(out, "\x1b["+mode+"h"), strings.LastIndex(out, "\x1b["+mode+"l")
		if set < 0 || reset < set {
			x.t.Errorf("mode %s: set at %d, reset at %d of %q", mode, set, reset, out)
		}
	}
	if hide, show := strings.LastIndex(out, "\x1b[?25l"), strings.LastIndex(out, "\x1b[?25h"); show < hide {
		x.t.Errorf("the cursor stays hidden: %q", out)
	}
}

func TestTerminalIsRestored(t *testing.T) {
	signal := func(s syscall.Signal) func(*terminal) {
		return func(x *terminal) {
			if err := x.cmd.Process.Signal(s); err != nil {
				x.t.Fatal(err)
			}
		}
	}
	key := func(s string) func(*terminal) { return func(x *terminal) { x.send(s) } }
	tests := []struct {
		name   string
		cause  func(*terminal)
		status int
		last   string
	}{
		{"quit", key("q"), 0, "after: <nil>"},
		{"panic", key("p"), 1, "after: panic: boom in Handle\r\n\r\ngoroutine "},
		{"panic in a goroutine", key("g"), 1, "after: panic: boom in Go\r\n\r\ngoroutine "},
		{"SIGTERM", signal(syscall.SIGTERM), 128 + 15, "after: ended by signal: terminated"},
		{"SIGHUP", signal(syscall.SIGHUP), 128 + 1, "after: ended by signal: hangup"},
		{"SIGQUIT", signal(syscall.SIGQUIT), 128 + 3, "after: ended by signal: quit"},
		{"SIGINT", signal(syscall.SIGINT), 128 + 2, "after: ended by signal: interrupt"},
		// More input than tcell's queues hold when it is asked to stop.
		{"flood", func(x *terminal) { go x.flood() }, 0, "after: <nil>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := startHelper(t)
			x.wait("世")
			x.wait("size=50x12.")
			tt.cause(x)
			x.checkRestored(tt.status, tt.last)
		})
	}
}

// flood types q until nobody reads any more.
func (x *terminal) flood() {
	for range 64 {
		if _, err := io.WriteString(x.master, strings.Repeat("q", 1024)); err != nil {
			return
		}
	}
}

func TestResize(t *testing.T) {
	x := startHelper(t)
	x.wait("size=50x12.")
	if err := pty.Setsize(x.master, &pty.Winsize{Cols: 33, Rows: 7}); err != nil {
		t.Fatal(err)
	}
	if err := x.cmd.Process.Signal(syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	x.wait("size=33x7.")
	x.send("q")
	x.checkRestored(0, "after: <nil>")
}

// Stopped with SIGSTOP, the program cannot give the terminal back; continued,
// it must take it again, whatever the shell did to it meanwhile.
func TestContinueAfterStop(t *testing.T) {
	x := startHelper(t)
	x.wait("size=50x12.")
	if err := x.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := x.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for strings.Count(x.text(), "\x1b[?1049h") < 2 {
		if time.Now().After(deadline) {
			t.Fatalf("the screen was not opened again: %q", x.text())
		}
		<-x.arrived
	}
	x.send("q")
	x.checkRestored(0, "after: <nil>")
}

// A shell with job control is needed to continue what Ctrl-Z has stopped.
func TestSuspendInShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell:", err)
	}
	x := start(t, exec.Command(sh, "-m", "-c", `"$0"; echo stopped with $?; fg`, os.Args[0]))
	x.wait("size=50x12.")
	x.send("\x1a")
	x.wait("stopped with ")
	out, _, _ := strings.Cut(x.text(), "stopped with ")
	if !strings.Contains(out, "\x1b[?1049l") {
		t.Errorf("stopped on its own screen: %q", out)
	}
	deadline := time.Now().Add(10 * time.Second)
	for strings.Count(x.text(), "size=50x12.") < 2 {
		if time.Now().After(deadline) {
			t.Fatalf("not drawn again: %q", x.text())
		}
		<-x.arrived
	}
	x.send("q")
	x.checkRestored(0, "after: <nil>")
}

func TestUnusableTerminals(t *testing.T) {
	for env, want := range map[string]string{
		"TERM=dumb":             `after: TERM="dumb": the terminal cannot position text`,
		"TERM=":                 `after: TERM="": the terminal cannot position text`,
		"TERM=no-such-terminal": `after: TERM="no-such-terminal": unknown type of terminal`,
	} {
		t.Run(env, func(t *testing.T) {
			x := startHelper(t, env)
			x.wait(want)
			if strings.Contains(x.text(), "\x1b") {
				t.Errorf("escape sequences on an unusable terminal: %q", x.text())
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{helperEnv + "=1", "TERM=xterm"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no controlling terminal
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "after: no terminal: open /dev/tty: ") {
			t.Errorf("%v, output %q", err, out)
		}
	})
}

func TestColours(t *testing.T) {
	for env, want := range map[string]string{
		"TERM=xterm-256color":    "\x1b[38;5;177m",
		"TERM=xterm":             "\x1b[95m",
		"TERM=tmux-256color":     "\x1b[38;5;177m",
		"COLORTERM=truecolor":    "\x1b[38;2;215;135;255m",
		"NO_COLOR=1":             "\x1b[7m", // reverse, and no colour
		"LC_ALL=en_US.KOI8-R":    "ready ?",
		"LC_ALL=de_DE.ISO8859-1": "ready ?",
	} {
		t.Run(env, func(t *testing.T) {
			x := startHelper(t, env)
			x.wait("ready ")
			x.wait("size=50x12.")
			if !strings.Contains(x.text(), want) {
				t.Errorf("no %q in %q", want, x.text())
			}
			if env == "NO_COLOR=1" && regexp.MustCompile(`\x1b\[[39][0-9;]*m`).MatchString(x.text()) {
				t.Errorf("colours in %q", x.text())
			}
			x.send("q")
			x.wait("after: <nil>")
		})
	}
}
