//go:build linux

// Command presets carries out the presets of scenarios for real, and holds what the
// simulation predicts against what ksmd does.
//
//	go run ./bench/presets [-scale 1GiB] [-for 70s] [-cost FILE] [PRESET...]
//
// First `ksmtop bench --calibrate` measures what ksmd's work costs here, unless -cost
// names a file with that. Then each preset runs by `ksmtop bench`: those whose memory
// comes to rest with smart_scan 0 until the simulation has settled, the others for a
// fixed time, with pages_to_scan 1000, so that ksmd comes by several times. The result
// is a table in Markdown, with what the simulation says before what was measured.
//
// The exit status is 1 if a counter of a host at rest differs, or if elsewhere the
// saving is more than 5 % off on average, or if the time to 90 % of it is more than 10 %
// off, or ksmd's CPU time more than 20 %. Other programs that run meanwhile make that
// likely.
//
// It needs root, KSM that nobody else uses, and the memory.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
	"github.com/ksmtop/ksmtop/sim/scenario"
)

// Limits, in percent.
const (
	limitSaved = 5
	limitTo90  = 10
	limitCPU   = 20
)

// still are the presets whose memory comes to rest.
var still = map[string]bool{"clones": true, "aslr-off": true, "aslr-on": true, "self-sharing": true, "zero-heavy": true}

// summary is what is needed of that of bench --json.
type summary struct {
	Seconds   float64  `json:"seconds"`
	Sim       values   `json:"predicted_by_sim"`
	Measured  values   `json:"measured"`
	Deviation *float64 `json:"saved_over_time_deviation"`
	On        *writes  `json:"writes_ksm_on"`
	Off       *writes  `json:"writes_ksm_off"`
	Late      float64  `json:"late_seconds"`
}

type values struct {
	Shared   int64    `json:"pages_shared"`
	Sharing  int64    `json:"pages_sharing"`
	Zero     int64    `json:"ksm_zero_pages"`
	Unshared int64    `json:"pages_unshared"`
	Saved    int64    `json:"saved_bytes"`
	To90     *float64 `json:"seconds_to_90_percent"`
	CPU      *float64 `json:"ksmd_cpu_seconds"`
}

type writes struct {
	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
}

type options struct {
	scale, cost string
	length      time.Duration
	*measure.Scratch
	ksmtop measure.Ksmtop
}

func main() {
	var o options
	flag.StringVar(&o.scale, "scale", "1GiB", "memory of all guests together, or a factor")
	flag.StringVar(&o.cost, "cost", "", "file with what ksmd's work costs; it is measured without")
	flag.DurationVar(&o.length, "for", 70*time.Second, "how long presets run whose memory changes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	names := flag.Args()
	if len(names) == 0 {
		for _, p := range scenario.Presets() {
			names = append(names, p.Name)
		}
	}
	if err := o.run(ctx, names); err != nil {
		fmt.Fprintln(os.Stderr, "presets:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context, names []string) (err error) {
	if o.Scratch, err = measure.NewScratch(""); err != nil {
		return err
	}
	defer o.Close()
	if o.ksmtop, err = o.Build(ctx); err != nil {
		return err
	}
	if o.cost == "" {
		o.cost = filepath.Join(o.Dir, "costs.json")
		if _, err := measure.Output(ctx, string(o.ksmtop), "bench", "--calibrate", "--save", o.cost); err != nil {
			return err
		}
	}
	fmt.Printf("%s\n\n", measure.Conditions())
	fmt.Println("| preset | time | shared | sharing | zero pages | unshared | saved MiB | off over time | 90 % after | ksmd CPU | p99 of writes, KSM off > on |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	var wrong []error
	for _, name := range names {
		if err := o.try(ctx, name); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(wrong...)
}

// try runs a preset, prints its row and says what is beyond the limits.
func (o *options) try(ctx context.Context, name string) error {
	args := []string{"bench", name, "--json", "--interval", "1s", "--scale", o.scale, "--cost", o.cost}
	if still[name] {
		args = append(args, "--set", "smart_scan=0")
	} else {
		args = append(args, "--for", o.length.String(), "--set", "pages_to_scan=1000")
	}
	out, err := measure.Output(ctx, string(o.ksmtop), args...)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var last struct {
		Summary summary `json:"summary"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		return err
	}
	s := &last.Summary
	fmt.Println(row(name, s))
	return s.check(still[name])
}

func row(name string, s *summary) string {
	count := func(sim, measured int64) string {
		if sim == measured {
			return fmt.Sprint(measured)
		}
		return fmt.Sprintf("%d, %d", sim, measured)
	}
	both := func(sim, measured *float64) string {
		if sim == nil || measured == nil {
			return "-"
		}
		return fmt.Sprintf("%.1f, %.1f s (%+.1f %%)", *sim, *measured, percentOff(*sim, *measured))
	}
	deviation := "-"
	if s.Deviation != nil {
		deviation = fmt.Sprintf("%.2f %%", 100**s.Deviation)
	}
	latency := "-"
	if s.Off != nil && s.On != nil {
		latency = fmt.Sprintf("%.2f > %.2f us", s.Off.P99*1e6, s.On.P99*1e6)
	}
	a, b := &s.Sim, &s.Measured
	return fmt.Sprintf("| %s | %.0f s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", name, s.Seconds,
		count(a.Shared, b.Shared), count(a.Sharing, b.Sharing), count(a.Zero, b.Zero), count(a.Unshared, b.Unshared),
		count(a.Saved>>20, b.Saved>>20), deviation, both(a.To90, b.To90), both(a.CPU, b.CPU), latency)
}

func percentOff(predicted, measured float64) float64 { return 100 * (predicted - measured) / measured }

func (s *summary) check(still bool) error {
	a, b := &s.Sim, &s.Measured
	var wrong []error
	if still && (a.Shared != b.Shared || a.Sharing != b.Sharing || a.Zero != b.Zero || a.Unshared != b.Unshared) {
		wrong = append(wrong, errors.New("counters at rest differ"))
	}
	if s.Deviation != nil && 100**s.Deviation > limitSaved {
		wrong = append(wrong, fmt.Errorf("the saving is off by %.2f %% on average", 100**s.Deviation))
	}
	over := func(what string, sim, measured *float64, limit float64) {
		if sim != nil && measured != nil && math.Abs(percentOff(*sim, *measured)) > limit {
			wrong = append(wrong, fmt.Errorf("%s is off by %+.1f %%", what, percentOff(*sim, *measured)))
		}
	}
	over("the time to 90 % of the saving", a.To90, b.To90, limitTo90)
	over("ksmd's CPU time", a.CPU, b.CPU, limitCPU)
	if len(wrong) > 0 && s.Late > 0.1 {
		wrong = append(wrong, fmt.Errorf("the machine was busy: guests were %.1f s late", s.Late))
	}
	return errors.Join(wrong...)
}
