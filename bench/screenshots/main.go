//go:build linux

// Command screenshots makes the pictures of the README: ksmtop in a terminal, beside
// programs whose memory the real ksmd merges meanwhile.
//
//	go run ./bench/screenshots [-o docs/screens]
//
// It starts four python3 servers by `ksmtop run`, lets ksmd scan, presses keys as a
// user would, and writes what the terminal shows as SVG. It takes a minute and a half,
// and needs root, KSM that nobody else uses, tmux and python3. However it ends, KSM's
// settings are put back and the programs are killed.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
	"github.com/ksmtop/ksmtop/sysfs"
)

// server is what the programs do.
//
//go:embed server.py
var server []byte

const (
	columns, rows = 120, 36
	servers       = 4
)

func main() {
	dir := flag.String("o", "docs/screens", "the folder of the pictures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	scratch, err := measure.NewScratch(os.TempDir())
	if err != nil {
		return err
	}
	defer scratch.Close()
	ksmtop, err := scratch.Build(ctx)
	if err != nil {
		return err
	}
	script := filepath.Join(scratch.Dir, "server.py")
	if err := os.WriteFile(script, server, 0o666); err != nil {
		return err
	}
	return measure.Guard(ctx, func(ctx context.Context) error {
		knobs := []sysfs.Setting{{Field: sysfs.PagesToScan, Value: "4000"}, {Field: sysfs.SmartScan, Value: "1"}, {Field: sysfs.SleepMillisecs, Value: "20"}}
		if err := measure.Reset(knobs...); err != nil {
			return err
		}
		if _, err := (sysfs.FS{}).Set(sysfs.Setting{Field: sysfs.Run, Value: "1"}); err != nil {
			return err
		}
		t := &terminal{ctx: ctx, socket: filepath.Join(scratch.Dir, "tmux"), dir: dir}
		defer t.command("kill-server").Run()
		if err := t.start(string(ksmtop), "-d", "1s", "--no-config"); err != nil {
			return err
		}
		for i := range servers {
			cmd := exec.Command(string(ksmtop), "run", "--", "python3", script, strconv.Itoa(i))
			scratch.Join(cmd)
			if err := cmd.Start(); err != nil {
				return err
			}
			defer cmd.Wait()
			defer cmd.Process.Signal(syscall.SIGTERM)
			t.pause(6 * time.Second)
		}
		t.pause(25 * time.Second)
		t.tour()
		return t.err
	})
}

// tour goes through the views. Each picture waits for what it is to show.
func (t *terminal) tour() {
	t.picture("overview", "server.py")
	t.keys("2", "F5")
	t.picture("processes", "Processes", "python3")
	t.keys("F5", "Home", "Space", "Space", "Space", "Space")
	t.keys("5")
	t.waitFor("What if")
	t.keys("r")
	t.picture("what-if", "would save")
	t.keys("4")
	t.waitFor("Copies per content")
	t.keys("r")
	t.picture("sharing", "COPIES")
	t.keys("2", "Home", "Enter")
	t.waitFor("Areas of")
	t.keys("m")
	t.pause(3 * time.Second)
	t.picture("vmas", "Areas of", "heap")
	t.keys("7")
	t.picture("events", "takes part in KSM")
	t.keys("o")
	t.waitFor("same-os")
	t.choose("same-os")
	t.waitFor("ksmtop SIM")
	t.keys("Right", "Right", "Right", "b")
	t.waitFor("B has the kernel's defaults")
	t.choose("B has the kernel's defaults")
	t.keys("+", "+", "+")
	t.pause(15 * time.Second)
	t.picture("simulator", "ksmtop SIM", "B net")
}

// terminal is a tmux with ksmtop in it. After an error it does nothing more.
type terminal struct {
	ctx         context.Context
	socket, dir string
	err         error
}

func (t *terminal) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.ctx, "tmux", append([]string{"-S", t.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh", "LC_ALL=C.UTF-8")
	return cmd
}

func (t *terminal) start(command ...string) error {
	err := t.command("new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "COLORTERM=truecolor "+strings.Join(command, " ")).Run()
	if err != nil {
		return fmt.Errorf("tmux: %w", err)
	}
	t.waitFor("Overview")
	return t.err
}

func (t *terminal) pause(d time.Duration) {
	if t.err != nil {
		return
	}
	select {
	case <-t.ctx.Done():
		t.err = t.ctx.Err()
	case <-time.After(d):
	}
}

func (t *terminal) keys(keys ...string) {
	for _, key := range keys {
		if t.err == nil {
			t.err = t.command("send-keys", key).Run()
		}
		t.pause(100 * time.Millisecond)
	}
}

// shows returns what the terminal shows, with its colours if wanted.
func (t *terminal) shows(colours bool) string {
	args := []string{"capture-pane", "-p"}
	if colours {
		args = append(args, "-e")
	}
	out, err := t.command(args...).Output()
	if err != nil && t.err == nil {
		t.err = fmt.Errorf("tmux: %w", err)
	}
	return string(out)
}

// waitFor waits until the terminal shows all of these.
func (t *terminal) waitFor(texts ...string) {
	deadline := time.Now().Add(20 * time.Second)
	for t.err == nil {
		missing := ""
		screen := t.shows(false)
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.err = fmt.Errorf("the terminal does not show %q but\n%s", missing, screen)
			return
		}
		t.pause(100 * time.Millisecond)
	}
}

// choose moves the cursor of a list to the row with a text, and presses Enter.
func (t *terminal) choose(text string) {
	for range 50 {
		for line := range strings.Lines(t.shows(false)) {
			if strings.Contains(line, ">"+text) {
				t.keys("Enter")
				return
			}
		}
		t.keys("Down")
	}
	if t.err == nil {
		t.err = fmt.Errorf("there is no %q to choose", text)
	}
}

// picture writes what the terminal shows when it shows all of the texts.
func (t *terminal) picture(name string, texts ...string) {
	t.waitFor(texts...)
	t.pause(1200 * time.Millisecond) // a sample after the last key
	screen := t.shows(true)
	if t.err == nil {
		t.err = os.WriteFile(filepath.Join(t.dir, name+".svg"), drawSVG(parseScreen(screen, columns, rows)), 0o666)
		fmt.Println(filepath.Join(t.dir, name+".svg"))
	}
}
