package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The README's console blocks below a line <!-- test --> are sessions: a line
// that begins with "$ " is a command, which must end with status 0, and the
// lines below it are its output. They are compared up to a line "...", which
// stands for what differs from machine to machine.
func TestReadme(t *testing.T) {
	content, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range consoleBlocks(string(content)) {
		for _, step := range block {
			cmd := exec.Command("sh", "-c", step.command)
			cmd.Dir = "../.." // examples name files of the repository
			if strings.Contains(step.command, "ksmtop run") {
				needRun(t)
			}
			r := finish(t, cmd)
			if r.status != 0 {
				t.Errorf("%s: status %d, %s", step.command, r.status, r.stderr)
			}
			want, _, open := strings.Cut(step.output, "...\n")
			if !strings.HasPrefix(r.stdout, want) || !open && r.stdout != want {
				t.Errorf("%s prints\n%s\nand the README says\n%s", step.command, r.stdout, step.output)
			}
		}
	}
}

// session is one command and its output, as the README shows it.
type session struct{ command, output string }

func consoleBlocks(markdown string) (blocks [][]session) {
	_, rest, found := strings.Cut(markdown, "<!-- test -->\n```console\n")
	for found {
		var block string
		block, rest, _ = strings.Cut(rest, "```\n")
		var steps []session
		for line := range strings.Lines(block) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				steps = append(steps, session{command: strings.TrimSuffix(command, "\n")})
			} else if n := len(steps); n > 0 {
				steps[n-1].output += line
			}
		}
		blocks = append(blocks, steps)
		_, rest, found = strings.Cut(rest, "<!-- test -->\n```console\n")
	}
	return blocks
}

func TestConsoleBlocks(t *testing.T) {
	const markdown = "text\n```console\n$ not this\n```\n<!-- test -->\n```console\n$ one\nout\nmore\n$ two\n```\ntext\n" +
		"<!-- test -->\n```console\n$ three\n...\n```\n"
	blocks := consoleBlocks(markdown)
	if len(blocks) != 2 || len(blocks[0]) != 2 || len(blocks[1]) != 1 ||
		blocks[0][0] != (session{"one", "out\nmore\n"}) || blocks[0][1] != (session{"two", ""}) || blocks[1][0] != (session{"three", "...\n"}) {
		t.Errorf("consoleBlocks = %q", blocks)
	}
}
