package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// An ordinary user scans everything: gets the answer for what is their own, and
// is told in a few lines what was refused, why, and what would permit it.
func TestNobodyScansAll(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to have what others may not read")
	}
	run := asNobody(t)
	own := run("8", "0", "0")
	own.Path, own.Args[0] = filepath.Join(filepath.Dir(own.Path), "ksm-workload"), "ksm-workload"
	pid := strconv.Itoa(launchCmd(t, own).Process.Pid)
	refused := make(map[string]bool)
	for range 12 {
		refused["pid "+strconv.Itoa(launch(t, "ksm-workload", "0", "1", "0").Process.Pid)] = true
	}
	secret := filepath.Join(filepath.Dir(own.Path), "secret")
	if err := os.WriteFile(secret, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}

	r := finish(t, run("scan", "--all", "--verify", secret)).want(t, 0)
	for _, want := range []string{
		`^Merging would save .* \(partial: not everything was read\)\.\n`,
		`\nVerified   [0-9][0-9 ]* pages compared byte by byte, all equal`,
		`\nRefused: [0-9]+ targets: permission denied \(needs CAP_SYS_PTRACE.*\): pid [0-9]+, pid .* and [0-9]+ more\n`,
		`\nRefused: ` + regexp.QuoteMeta(secret) + `: permission denied \(needs CAP_DAC_READ_SEARCH\)\n`,
	} {
		if !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("no %q in:\n%s", want, r.stdout)
		}
	}
	if n := strings.Count(r.stdout, "Refused: "); n > 5 || r.stderr != "" {
		t.Errorf("%d lines of what was refused; standard error %q", n, r.stderr)
	}

	var d struct {
		Complete bool   `json:"complete"`
		Pages    uint64 `json:"pages"`
		Refused  []struct {
			Target, Error, Capability string
		} `json:"refused"`
		Verify *struct {
			Complete bool   `json:"complete"`
			Compared uint64 `json:"compared_pages"`
			Unequal  uint64 `json:"unequal_contents"`
		} `json:"verify"`
	}
	out := finish(t, run("scan", "--all", "--verify", "--json", secret)).want(t, 0).stdout
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if d.Complete || d.Pages < 8<<20/uint64(os.Getpagesize()) {
		t.Errorf("complete %v, %d pages", d.Complete, d.Pages)
	}
	refused[secret] = true
	for _, r := range d.Refused {
		want := "CAP_SYS_PTRACE"
		if r.Target == secret {
			want = "CAP_DAC_READ_SEARCH"
		}
		if refused[r.Target] && (r.Capability != want || !strings.HasPrefix(r.Error, "permission denied (needs "+want)) {
			t.Errorf("refused: %+v, want that it needs %s", r, want)
		}
		delete(refused, r.Target)
	}
	if len(refused) > 0 {
		t.Errorf("not among what was refused: %v", refused)
	}
	if v := d.Verify; v == nil || !v.Complete || v.Compared < 8<<20/uint64(os.Getpagesize())-1 || v.Unequal != 0 {
		t.Errorf("verify: %+v", v)
	}

	// What is one's own is complete, and what is not is nothing.
	r = finish(t, run("scan", "-p", pid)).want(t, 0)
	if strings.Contains(r.stdout, "partial") || strings.Contains(r.stdout, "Refused") || strings.Contains(r.stdout, "Verified") {
		t.Errorf("its own process: %s", r.stdout)
	}
	r = finish(t, run("scan", "-p", fmt.Sprint(os.Getpid()), secret)).want(t, 1)
	if !strings.HasPrefix(r.stderr, "ksmtop: nothing could be read: ") || !strings.Contains(r.stderr, "CAP_SYS_PTRACE") || r.stdout != "" {
		t.Errorf("nothing that may be read: %+v", r)
	}
}
