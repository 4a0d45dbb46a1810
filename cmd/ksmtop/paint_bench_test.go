package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
)

// BenchmarkFirstPaint measures the time from the start of the program to the
// first table of processes on a terminal, beside sleeping processes. The goal is
// 100 ms with 1000 of them.
func BenchmarkFirstPaint(b *testing.B) {
	program := filepath.Join(b.TempDir(), "ksmtop")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	for _, sleepers := range []int{0, 1000} {
		b.Run(fmt.Sprintf("sleepers=%d", sleepers), func(b *testing.B) {
			startSleepers(b, sleepers)
			var total time.Duration
			for b.Loop() {
				total += firstPaint(b, program)
			}
			b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "ms/paint")
		})
	}
}

func startSleepers(b *testing.B, n int) {
	b.Helper()
	for range n {
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// firstPaint starts the program on a terminal of its own and returns how long
// it took to show the title of the table.
func firstPaint(b *testing.B, program string) time.Duration {
	b.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	began := time.Now()
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		b.Fatal(err)
	}
	defer terminal.Close()
	var seen []byte
	buf := make([]byte, 64<<10)
	for !bytes.Contains(seen, []byte("Processes by")) {
		n, err := terminal.Read(buf)
		if err != nil {
			b.Fatalf("the program ended without a table: %v\n%q", err, seen)
		}
		seen = append(seen, buf[:n]...)
	}
	took := time.Since(began)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return took
}
