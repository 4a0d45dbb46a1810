//go:build amd64 || arm64

package real

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim"
)

// openKernel gives the test the kernel.
func openKernel(t testing.TB) *Kernel {
	t.Helper()
	fsys := ksmtest.Guard(t)
	k, err := Open(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// TestGolden runs every script whose table Linux 6.18.44 printed. A kernel that maps
// no zero page prints another where a script reads: what the model does without.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("../testdata/golden/*.script")
	if err != nil || len(names) == 0 {
		t.Fatal("no scripts:", err)
	}
	k := openKernel(t)
	begin, ops := time.Now(), 0
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".script"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(name, ".script") + ".tsv")
			if err != nil {
				t.Fatal(err)
			}
			script, err := sim.Parse(filepath.Base(name), text)
			if err != nil {
				t.Fatal(err)
			}
			ops += len(script.Ops)
			if k.ReadsMakePages() && slices.ContainsFunc(script.Ops, func(op sim.Op) bool { return op.Kind == sim.OpRead }) {
				want = withoutZeroPage(t, script)
			}
			if err := k.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			table, err := sim.Run(t.Context(), script, k)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := table.WriteTSV(&got); err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("table differs:\n%s", difference(got.String(), string(want)))
			}
		})
	}
	t.Logf("%d scripts, %d operations, %v", len(names), ops, time.Since(begin))
}

// withoutZeroPage returns the table that the model prints where reads make pages.
func withoutZeroPage(t *testing.T, script *sim.Script) []byte {
	t.Helper()
	m := sim.NewMachine(ksmd.Options{})
	m.MapNoZeroPage()
	table, err := sim.Run(t.Context(), script, m)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := table.WriteTSV(&text); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// difference returns the lines that differ.
func difference(got, want string) string {
	var out strings.Builder
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			out.WriteString("got  " + a + "\nwant " + b + "\n")
		}
	}
	return out.String()
}
