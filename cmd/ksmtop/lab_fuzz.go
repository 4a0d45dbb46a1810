package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sim"
)

// runFuzz compares kernel and model on random scripts, or the engines of the
// model if no kernel shall be used.
func (f *labFlags) runFuzz(cmd *cobra.Command) error {
	if err := os.MkdirAll(f.out, 0o777); err != nil { // before hours of work, not after
		return pathError(err)
	}
	return f.withSides(cmd, func(ctx context.Context, sides []labSide) error {
		if f.on == onSim {
			sides = []labSide{{engineFast, f.model(engineFast, simPageBytes)}, {engineExact, f.model(engineExact, simPageBytes)}}
		}
		return f.fuzzSides(ctx, cmd, sides[0], sides[1])
	})
}

func (f *labFlags) fuzzSides(ctx context.Context, cmd *cobra.Command, model, kernel labSide) error {
	begin := time.Now()
	z := sim.Fuzz{
		Model: model.run, Kernel: kernel.run,
		Seed: f.seed, Ops: f.ops, Profile: labProfiles[f.profile],
		More: func() bool { return time.Since(begin) < time.Duration(f.fuzz) },
	}
	if !cmd.Flags().Changed("seed") {
		z.Seed = uint64(begin.UnixMilli())
	}
	stderr, progress := cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr())
	if progress {
		z.Progress = labProgress(stderr, begin)
		z.Found = func(seed uint64) { fmt.Fprintf(stderr, "\rseed %d differs: run again, and shrunk\x1b[K", seed) }
	}
	stats, found, err := z.Run(ctx)
	if progress {
		fmt.Fprint(stderr, "\r\x1b[K")
	}
	var b bytes.Buffer
	writeFuzzStats(&b, &stats, z.Seed, time.Since(begin))
	if found != nil {
		err = saveFinding(&b, f.out, found, [2]string{kernel.name, model.name})
		if err == nil {
			err = statusError{status: exitFailed}
		}
	}
	if _, err := cmd.OutOrStdout().Write(b.Bytes()); err != nil {
		return err
	}
	return err
}

// writeFuzzStats says how much was compared, and what came of it.
func writeFuzzStats(b *bytes.Buffer, s *sim.FuzzStats, seed uint64, took time.Duration) {
	fmt.Fprintf(b, "%s in %s", plural(s.Scripts, "script"), format.Duration(nil, took))
	if s.Scripts > 0 {
		fmt.Fprintf(b, ", of seeds %d to %d", seed, seed+uint64(s.Scripts)-1)
	}
	fmt.Fprintf(b, ": %s, %s, %s compared\n",
		format.Things(nil, uint64(s.Ops), "operation"), format.Things(nil, uint64(s.Rows), "row"), format.Things(nil, uint64(s.Cells), "value"))
	if s.Refused > 0 {
		fmt.Fprintf(b, "%s ended early, since the kernel refused to change a knob\n", plural(s.Refused, "script"))
	}
	if s.Undecided > 0 {
		fmt.Fprintf(b, "%s compared in part: what the kernel does next depends on its allocator\n", plural(s.Undecided, "script"))
	}
	if len(s.Unstable) > 0 {
		fmt.Fprintf(b, "%s did not come again: seeds %s\n", plural(len(s.Unstable), "difference"),
			strings.Trim(fmt.Sprint(s.Unstable), "[]"))
	}
}

// saveFinding writes a script that differs and both tables into dir, and says so.
func saveFinding(b *bytes.Buffer, dir string, found *sim.Finding, names [2]string) error {
	base := filepath.Join(dir, fmt.Sprintf("seed-%d", found.Seed))
	script := base + scriptSuffix
	content := fmt.Sprintf("# %s and %s print different tables: shrunk from the random script of seed %d.\n%s",
		names[0], names[1], found.Seed, found.Script.Format())
	if err := os.WriteFile(script, []byte(content), 0o666); err != nil {
		return pathError(err)
	}
	for i, outcome := range []sim.Outcome{found.Kernel, found.Model} {
		var table bytes.Buffer
		if err := outcome.Table.WriteTSV(&table); err != nil {
			return err
		}
		if err := os.WriteFile(base+"."+names[i]+".tsv", table.Bytes(), 0o666); err != nil {
			return pathError(err)
		}
	}
	fmt.Fprintf(b, "\nThe script of seed %d differs each time. The shortest that does is saved as\n%s, and the tables beside it:\n\n", found.Seed, script)
	for line := range strings.Lines(string(found.Script.Format())) {
		b.WriteString("  " + line)
	}
	b.WriteByte('\n')
	writeComparisons(b, &labResult{compared: []labComparison{{names[1], names[0], found.Differences}}}, "")
	return nil
}

// labProgress returns a function that keeps a line of a terminal up to date.
func labProgress(w io.Writer, begin time.Time) func(sim.FuzzStats) {
	var last time.Time
	return func(s sim.FuzzStats) {
		now := time.Now()
		if now.Sub(last) < 100*time.Millisecond {
			return
		}
		last = now
		fmt.Fprintf(w, "\r%s, %s: %s, %s\x1b[K", format.Duration(nil, now.Sub(begin)),
			plural(s.Scripts, "script"), format.Things(nil, uint64(s.Ops), "operation"), format.Things(nil, uint64(s.Rows), "row"))
	}
}
