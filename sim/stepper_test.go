package sim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sim/scenario"
)

// Step by step a script shows what it shows in one run, and as the kernel did.
func TestStepper(t *testing.T) {
	paths, err := filepath.Glob("testdata/golden/*.script")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(path, content)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Run(t.Context(), s, NewMachine(ksmd.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		m := NewMachine(ksmd.Options{})
		st, err := NewStepper(s, m)
		if err != nil {
			t.Fatal(err)
		}
		done, batches := 0, 0
		for st.Op() != nil {
			next := st.Op()
			step, ok, err := st.Next(t.Context())
			if !ok || err != nil || step.Op != next {
				t.Fatalf("%s: Next() = %+v, %v, %v at %s", path, step, ok, err, next)
			}
			if step.Done {
				done++
			}
			if step.Batch {
				batches++
			}
			if step.Batch && next.Kind != OpScan && next.Kind != OpBatch {
				t.Errorf("%s: ksmd works in %s", path, next)
			}
		}
		if _, ok, err := st.Next(t.Context()); ok || err != nil {
			t.Errorf("%s: a step after the last: %v", path, err)
		}
		if done != len(s.Ops) {
			t.Errorf("%s: %d of %d operations done", path, done, len(s.Ops))
		}
		if d := Diff(st.Table(), want); len(d) > 0 {
			t.Errorf("%s: %v", path, d)
		}
		checkProcesses(t, path, m)
	}
}

// checkProcesses compares the list of processes with what else is known of them.
func checkProcesses(t *testing.T, path string, m *Machine) {
	t.Helper()
	resident := 0
	for _, p := range m.Processes() {
		stat, err := m.ProcessStat(t.Context(), p.Name)
		if err != nil || stat != p.Stat {
			t.Errorf("%s: %s has %+v, want %+v (%v)", path, p.Name, p.Stat, stat, err)
		}
		if p.Parent < 0 || p.Parent >= p.Number {
			t.Errorf("%s: %s is number %d, its parent %d", path, p.Name, p.Number, p.Parent)
		}
		resident += int(p.Resident)
	}
	if resident < m.Pages() {
		t.Errorf("%s: processes have %d pages of %d", path, resident, m.Pages())
	}
}

// A knob that is refused ends the script where Run ends it.
func TestStepperRefused(t *testing.T) {
	s, err := Parse("x", []byte("spawn p\nmap p a 2\nfill p a 0 2 7\nmergeable p a 0 2\nscan 3\nset max_page_sharing 8\nshow end\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, want := Run(t.Context(), s, NewMachine(ksmd.Options{}))
	st, err := NewStepper(s, NewMachine(ksmd.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var got error
	for got == nil && st.Op() != nil {
		_, _, got = st.Next(t.Context())
	}
	if got == nil || fmt.Sprint(got) != fmt.Sprint(want) || st.Op() != nil {
		t.Errorf("error %v, want %v; next is %v", got, want, st.Op())
	}
	if _, err := NewStepper(&Script{Ops: []Op{{Kind: OpExit, Process: "p", Line: 1}}}, NewMachine(ksmd.Options{})); err == nil || !strings.Contains(err.Error(), "p") {
		t.Errorf("a script that cannot run: %v", err)
	}
}

// Batch by batch a host comes where it comes in one go.
func TestAdvanceToBatch(t *testing.T) {
	s, err := scenario.Preset("kata20")
	if err != nil {
		t.Fatal(err)
	}
	s = s.Scale(0.02)
	h, err := NewHost(s, HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const end = 20 * time.Second
	batches := 0
	for h.Now() < end {
		before, now := h.batches, h.Now()
		ok, err := h.AdvanceToBatch(t.Context(), end)
		if err != nil {
			t.Fatal(err)
		}
		if ok != (h.batches == before+1) || h.batches > before+1 || h.Now() < now {
			t.Fatalf("at %v: %t, %d batches after %d", h.Now(), ok, h.batches, before)
		}
		batches++
	}
	want, err := NewHost(s, HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := want.Advance(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", h.Reading()), fmt.Sprintf("%+v", want.Reading()); got != want || batches < 100 {
		t.Errorf("after %d batches\n%s, want\n%s", batches, got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.AdvanceToBatch(ctx, 2*end); err == nil {
		t.Error("a context that is over ends nothing")
	}
}
