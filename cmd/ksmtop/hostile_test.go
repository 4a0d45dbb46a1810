package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
)

// hostile is text that a terminal should not get: it clears the screen, sets the
// title, breaks the line, turns the writing round, and is not UTF-8.
const hostile = "\x1b[2J\x1b]0;x\a\r\n\u202e\u200b\xff\x9b\x7f"

// hostileMain is ksm-workload with such a name.
func hostileMain() {
	// The same as prctl(PR_SET_NAME) in the process's first thread.
	if err := os.WriteFile("/proc/self/comm", []byte("e\x1b[2J\n\u202e\xff\x9b\x7f"), 0); err != nil {
		panic(err)
	}
	workloadMain()
}

// A real process with hostile name and arguments does no harm in any output.
func TestHostileProcess(t *testing.T) {
	path, err := exec.LookPath("ksm-hostile")
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command(path, "0", "0", "0", "0", hostile)
	program.Args[0] = "ksm-hostile"
	p := launchCmd(t, program)
	pid := strconv.Itoa(p.Process.Pid)
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%s/comm", pid))
	if err != nil || !strings.HasPrefix(string(comm), "e\x1b[2J\n") {
		t.Fatalf("the process is called %q, %v", comm, err)
	}
	const shown = "e\ufffd[2J\ufffd\ufffd\ufffd\ufffd\ufffd"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-b", "-n", "1", "-p", pid}, "\ufffd[2J\ufffd]0;x\ufffd"},
		{[]string{"-o", "pid,comm,command", "-p", pid}, " " + shown + " "},
		{[]string{"--json", "-n", "1", "-p", pid}, `"comm":"` + shown + `"`},
	} {
		r := ksmtop(t, tt.args...).want(t, 0)
		if bad := dirt([]byte(r.stdout)); bad != "" || !utf8.ValidString(r.stdout) {
			t.Errorf("ksmtop %v: %s", tt.args, bad)
		}
		if !strings.Contains(r.stdout, tt.want) {
			t.Errorf("ksmtop %v: no %q in %q", tt.args, tt.want, r.stdout)
		}
		if r.stderr != "" {
			t.Errorf("ksmtop %v: standard error %q", tt.args, r.stderr)
		}
	}
}

// Hostile arguments come back clean in errors.
func TestHostileArguments(t *testing.T) {
	for _, args := range [][]string{
		{hostile}, {"--" + hostile}, {"-" + hostile}, {"-o", hostile}, {"-s", hostile}, {"-p", hostile}, {"-u", hostile}, {"-d", hostile},
		{"-n", hostile}, {"--theme", hostile}, {"--color", hostile}, {"--sysfs", hostile, "-b"}, {"--procfs", hostile, "status"},
		{"set", hostile}, {"set", hostile + "=1"}, {"set", "run=" + hostile}, {"run", hostile}, {"run", "/" + hostile},
		{"status", hostile}, {"man", "/dev/null/" + hostile}, {"help", hostile}, {"completion", hostile}, {"wait", "--timeout", hostile},
	} {
		r := ksmtop(t, args...)
		if r.status == 0 || r.stderr == "" || r.stdout != "" {
			t.Errorf("ksmtop %q: status %d, standard output %q, standard error %q", args, r.status, r.stdout, r.stderr)
		}
		if bad := dirt([]byte(r.stderr)); bad != "" {
			t.Errorf("ksmtop %q: %s", args, bad)
		}
	}
}

// The same in status, which shows only those that take part in KSM.
func TestHostileProcessInStatus(t *testing.T) {
	ksmtest.Guard(t)
	launch(t, "ksmtop", "run", "--", "ksm-hostile", "1", "0", "0", "0", hostile)
	ksmtest.Scan(t, 2)
	for _, args := range [][]string{{"status", "--interval", "0"}, {"status", "--interval", "0", "--json"}, {"-b", "-n", "1"}} {
		r := ksmtop(t, args...).want(t, 0)
		if bad := dirt([]byte(r.stdout)); bad != "" || !utf8.ValidString(r.stdout) {
			t.Errorf("ksmtop %v: %s", args, bad)
		}
		if !strings.Contains(r.stdout, "\ufffd[2J\ufffd") {
			t.Errorf("ksmtop %v: the process is not there: %s", args, r.stdout)
		}
	}
}
