package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/madvise"
	"github.com/ksmtop/ksmtop/sim/real"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

func TestMain(m *testing.M) {
	madvise.ExecShim()
	real.WorkerMain()
	// The programs started below need not wait a second for races to be
	// reported when they end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	if strings.HasSuffix(os.Args[0], ".test") { // not one of these programs
		heedSignals()
	}
	testscript.Main(m, map[string]func(){
		"ksmtop":       main,
		"ksmtop-panic": panicMain,
		"ksm-workload": workloadMain,
		"ksm-region":   regionMain,
		"ksm-signals":  signalsMain,
		"ksm-hostile":  hostileMain,
		"scans":        scansMain,
	})
}

// heedSignals makes the programs that tests start end by signals, which ksmtop leaves
// ignored where it finds them so: as in jobs that a shell has put in the background.
func heedSignals() {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// kernels is the directory with the fixture trees.
const kernels = "../../sysfs/testdata/kernels"

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			if name := filepath.Base(env.WorkDir); name == "script-run" || name == "script-nokernel" {
				shareKSM(env.T().(testing.TB))
			}
			// The scripts write into their trees, so each has its own.
			trees := filepath.Join(env.WorkDir, "kernels")
			if err := copyTrees(trees, kernels); err != nil {
				return err
			}
			env.Setenv("KERNELS", trees)
			golden, err := filepath.Abs("../../sim/testdata/golden")
			if err != nil {
				return err
			}
			env.Setenv("GOLDEN", golden)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("TERM", "xterm-256color")
			env.Setenv("ESCAPE", "no\x1b[2Jsuch\u202ething\xff")
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "page4k":
				return os.Getpagesize() == 4096, nil
			case "devfull":
				_, err := os.Stat("/dev/full")
				return err == nil, nil
			case "run": // ksmtop run works here
				survives, err := madvise.MemoryMergeSurvivesExec(context.Background())
				return err == nil && survives, nil
			}
			return false, fmt.Errorf("no such condition: %s", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":    scriptStatus,
			"redact":    scriptRedact,
			"checkjson": scriptCheckJSON,
			"clean":     scriptClean,
			"mklong":    scriptMkLong,
			"mkpages":   scriptMkPages,
		},
	})
}

// copyTrees copies a directory, files and directories only, so that the owner
// may write everything.
func copyTrees(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

// scriptStatus runs a program and compares its exit status, which exec cannot:
//
//	status N PROGRAM ARG...
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// scriptRedact replaces in a file what no two runs have in common: the time, and
// who owns the fixtures.
//
//	redact FROM TO
func scriptRedact(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: redact FROM TO")
	}
	uid := strconv.Itoa(os.Geteuid())
	name := uid
	if u, err := user.LookupId(uid); err == nil {
		name = text.Clean(u.Username)
	}
	out := timestamp.ReplaceAllString(ts.ReadFile(args[0]), "TIME")
	out = strings.ReplaceAll(out, `"uid":`+uid+",", `"uid":UID,`)
	owner := regexp.MustCompile(`(?m)^( +\d+ )` + regexp.QuoteMeta(fmt.Sprintf("%-8s", name)))
	out = owner.ReplaceAllString(out, "${1}USER    ")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out), 0o666))
}

// scriptCheckJSON checks that every line of a file is one JSON object that has
// these members, and not those with a ! before them. A path like ksm.run goes
// into objects, and =VALUE compares.
//
//	checkjson FILE PATH[=VALUE] !PATH ...
func scriptCheckJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: checkjson FILE [!]PATH[=VALUE]...")
	}
	content := ts.ReadFile(args[0])
	if !utf8.ValidString(content) {
		ts.Fatalf("not UTF-8: %q", content)
	}
	lines := 0
	for line := range strings.Lines(content) {
		lines++
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		var object map[string]any
		ts.Check(decoder.Decode(&object))
		if _, err := decoder.Token(); err != io.EOF {
			ts.Fatalf("more than one value in a line: %q", line)
		}
		for _, want := range args[1:] {
			absent := strings.HasPrefix(want, "!")
			path, value, compare := strings.Cut(strings.TrimPrefix(want, "!"), "=")
			got, ok := member(object, path)
			switch {
			case absent && ok:
				ts.Fatalf("%s is there: %v", path, got)
			case !absent && !ok:
				ts.Fatalf("%s is not there: %s", path, line)
			case compare && fmt.Sprint(got) != value:
				ts.Fatalf("%s is %v, want %s", path, got, value)
			}
		}
	}
	if lines == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

func member(value any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			var ok bool
			if value, ok = v[name]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

// scriptClean checks that files hold nothing that could harm a terminal or
// mislead a reader.
//
//	clean FILE...
func scriptClean(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: clean FILE...")
	}
	for _, name := range args {
		if bad := dirt([]byte(ts.ReadFile(name))); bad != "" {
			ts.Fatalf("%s: %s", name, bad)
		}
	}
}

// dirt returns what is wrong with the text of an output, or nothing.
func dirt(out []byte) string {
	for line := range bytes.Lines(out) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if clean := text.Clean(string(line)); clean != string(line) {
			return fmt.Sprintf("a line is not clean: %q", line)
		}
	}
	return ""
}

// scriptMkLong writes a file of N bytes of 1.
//
//	mklong FILE N
func scriptMkLong(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mklong FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), slices.Repeat([]byte{'1'}, n), 0o666))
}

// scriptMkPages writes a file with a page of BYTES for each letter: full of that
// letter, or of zeros for 0.
//
//	mkpages FILE BYTES LETTERS
func scriptMkPages(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mkpages FILE BYTES LETTERS")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	var content []byte
	for _, letter := range []byte(args[2]) {
		if letter == '0' {
			letter = 0
		}
		content = append(content, slices.Repeat([]byte{letter}, size)...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o666))
}
