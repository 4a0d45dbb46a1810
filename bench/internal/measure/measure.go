// Package measure has what the benchmark programs share: ksmtop built from this
// checkout, ksmd made to merge at full speed, and medians.
package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Ksmtop is the path of the program.
type Ksmtop string

// Answer is what the benchmarks need of the answer of ksmtop scan, in its words.
type Answer struct {
	Complete  bool             `json:"complete"`
	Pages     int64            `json:"pages"`
	WouldSave int64            `json:"would_save_pages"`
	NetBytes  int64            `json:"net_bytes"`
	Skipped   map[string]int64 `json:"skipped"`

	// Wall is the time of the whole command, from its start to its end.
	Wall time.Duration `json:"-"`
}

// Scan runs ksmtop scan. Not to have read everything is an error.
func (k Ksmtop) Scan(ctx context.Context, args ...string) (Answer, error) {
	var a Answer
	began := time.Now()
	out, err := Output(ctx, string(k), append([]string{"scan", "--json"}, args...)...)
	a.Wall = time.Since(began)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(out, &a); err != nil {
		return a, fmt.Errorf("ksmtop scan --json: %w", err)
	}
	if !a.Complete {
		return a, errors.New("ksmtop scan: not everything was read")
	}
	return a, nil
}

// Output runs a command and returns its standard output. The error holds its
// standard error.
func Output(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := Run(ctx, &out, name, args...)
	return out.Bytes(), err
}

// Run is Output with standard output to stdout, or to nowhere if that is nil.
func Run(ctx context.Context, stdout io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout = stdout
	return run(cmd)
}

func run(cmd *exec.Cmd) error {
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(complaint.Bytes()))
	}
	return nil
}

// Median returns the middle one of an odd number of durations.
func Median(list []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// Conditions says on which machine and when, and how busy it was.
func Conditions() string {
	cpu := valueOf("/proc/cpuinfo", "model name")
	kernel := fileText("/proc/sys/kernel/osrelease")
	load, _, _ := strings.Cut(fileText("/proc/loadavg"), " ")
	return fmt.Sprintf("%s, Linux %s, %d x %s, %s, load %s",
		time.Now().Format(time.DateOnly), kernel, runtime.NumCPU(), cpu, runtime.Version(), load)
}

// valueOf returns what stands behind key and a colon in a file of such lines.
func valueOf(file, key string) string {
	for line := range strings.Lines(fileText(file)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func fileText(file string) string {
	text, _ := os.ReadFile(file) // a missing one is empty
	return strings.TrimSpace(string(text))
}

// AvailableBytes returns how much memory programs can still get, or 0 if the
// kernel does not tell.
func AvailableBytes() int64 {
	var kilobytes int64
	if _, err := fmt.Sscan(valueOf("/proc/meminfo", "MemAvailable"), &kilobytes); err != nil {
		return 0
	}
	return kilobytes << 10
}
