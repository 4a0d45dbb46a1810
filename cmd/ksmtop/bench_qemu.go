package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sim/real"
	"github.com/ksmtop/ksmtop/sysfs"
)

// qemuFlags are the flags of bench --qemu.
type qemuFlags struct {
	guests int
	kernel string
	initrd string
}

const (
	qemuProgram = "qemu-system-x86_64"

	// mostQEMU keeps a slip of the keyboard from starting thousands.
	mostQEMU = 1000

	// qemuOverhead is about what a QEMU needs beside the guest's memory, in bytes.
	qemuOverhead = 64 << 20
)

// qemuKnobs let ksmd go at full speed and visit all, so that it is soon known what
// merging saves.
var qemuKnobs = []sysfs.Setting{
	{Field: sysfs.PagesToScan, Value: "1000000"}, {Field: sysfs.SleepMillisecs, Value: "0"}, {Field: sysfs.SmartScan, Value: "0"},
}

// qemuBench is what a bench of real guests has found.
type qemuBench struct {
	flags    *benchFlags
	set      []sysfs.Setting
	knobs    sysfs.Knobs // while ksmd ran
	kernel   string
	progress *benchProgress

	scan    *scanner.Report
	merged  sysfs.Reading
	freed   int64 // bytes of zeros in huge pages that were split
	to90    time.Duration
	hasTo90 bool
	took    time.Duration // until nothing changed any more
	cpu     time.Duration
	hasCPU  bool
	elapsed time.Duration // for which ksmd ran
	partial bool          // a signal ended it: ksmd had more to do, or freed is not known
}

func (f *benchFlags) checkQEMU(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("--qemu takes no scenario, and no %q", args[0])
	}
	for _, name := range []string{"scale", "seed", "for", "cost", "interval"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--qemu and --%s exclude each other", name)
		}
	}
	if f.qemu.guests < 1 || f.qemu.guests > mostQEMU {
		return fmt.Errorf("--qemu: %d: must be from 1 to %d", f.qemu.guests, mostQEMU)
	}
	return nil
}

// runQEMU starts guests, predicts by scanning them, and has ksmd merge.
func (f *benchFlags) runQEMU(cmd *cobra.Command) error {
	set, err := simSettings("--set", f.set)
	if err != nil {
		return usage(err)
	}
	if f.memory == "" {
		f.memory = "256M"
	}
	memory, err := f.memoryBytes(32 << 20)
	if err != nil {
		return err
	}
	if err := f.common.check(); err != nil {
		return err
	}
	q := &qemuBench{flags: f, set: set, progress: newBenchProgress(cmd.ErrOrStderr())}
	dir, err := os.MkdirTemp("", "ksmtop-bench-")
	if err != nil {
		return pathError(err)
	}
	defer os.RemoveAll(dir)
	boot, err := f.qemu.prepare(dir, memory)
	if err != nil {
		return err
	}
	q.kernel = boot.kernel
	err = f.guarded(cmd, q.interrupted, func(ctx context.Context, k *real.Kernel) error {
		needs := uint64(f.qemu.guests) * (memory + qemuOverhead)
		if err := checkShare("the guests need up to", needs, memAvailable(), "--memory 128M gives each of them less"); err != nil {
			return err
		}
		return q.run(ctx, k, boot)
	})
	q.progress.clear()
	if err == nil || q.partial { // the knobs are back, and nothing is lost if one of them is not
		if printErr := q.print(cmd.OutOrStdout()); err == nil {
			err = printErr
		}
	}
	return err
}

// interrupted is the error of a bench of guests that a signal ended.
func (q *qemuBench) interrupted() error {
	if !q.partial {
		return errors.New("interrupted before ksmd began")
	}
	return fmt.Errorf("interrupted after %s of merging", durationText(q.elapsed))
}

// print prints the result.
func (q *qemuBench) print(w io.Writer) error {
	if q.flags.asJSON {
		return q.writeJSON(w)
	}
	_, err := io.WriteString(w, q.report())
	return err
}

// qemuBoot is how a guest is started.
type qemuBoot struct {
	program, kernel, initrd string
	memory                  uint64 // bytes
	ready                   string // what it says when it has booted, or nothing
}

// prepare finds what guests boot, and makes their initial file system in dir.
func (f *qemuFlags) prepare(dir string, memory uint64) (*qemuBoot, error) {
	boot := &qemuBoot{kernel: f.kernel, initrd: f.initrd, memory: memory}
	var err error
	if boot.program, err = exec.LookPath(qemuProgram); err != nil {
		return nil, hinted{fmt.Errorf("%s: not found", qemuProgram), "Debian has it in the package qemu-system-x86"}
	}
	if boot.kernel == "" {
		found, _ := filepath.Glob("/boot/vmlinuz-*")
		if len(found) == 0 {
			return nil, hinted{errors.New("there is no kernel in /boot for the guests"),
				"--kernel FILE takes any, such as boot/vmlinuz-* of Debian's linux-image-cloud-amd64: apt-get download, dpkg -x"}
		}
		boot.kernel = found[len(found)-1]
	}
	if _, err := os.Stat(boot.kernel); err != nil {
		return nil, pathError(err)
	}
	if boot.initrd != "" {
		if _, err := os.Stat(boot.initrd); err != nil {
			return nil, pathError(err)
		}
		return boot, nil
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, hinted{errors.New("busybox: not found"), "Debian has it in the package busybox-static; or give the guests an --initrd"}
	}
	boot.initrd, boot.ready = filepath.Join(dir, "initrd"), "ksmtop-guest-ready"
	return boot, writeInitrd(boot.initrd, busybox, boot.ready)
}

func (q *qemuBench) run(ctx context.Context, k *real.Kernel, boot *qemuBoot) (err error) {
	knobs := slices.Concat(qemuKnobs, q.set, []sysfs.Setting{{Field: sysfs.Run, Value: "0"}})
	if err := k.Start(ctx, knobs); err != nil {
		return err
	}
	fsys := q.flags.fsys
	if q.knobs, err = fsys.Knobs(); err != nil {
		return err
	}
	guests := newQEMUGuests()
	defer guests.kill()
	q.progress.show("guests boot")
	if err := guests.start(boot, q.flags.qemu.guests); err != nil {
		return err
	}
	if err := guests.settle(ctx, fsys, boot.ready); err != nil {
		return err
	}
	q.progress.show("scanning")
	if q.scan, err = q.scanGuests(ctx, guests); err != nil {
		return err
	}
	if err := q.merge(ctx); err != nil {
		return err
	}
	after, err := q.scanGuests(ctx, guests)
	if err != nil {
		return q.cutShort(ctx, err)
	}
	// To merge a page of a huge page ksmd has it split, and since Linux 6.12 each
	// split maps the zero page in place of all pages of zeros in it. ksmd does not
	// count these.
	q.freed = (int64(after.MappedZeroPages) - int64(q.scan.MappedZeroPages) - int64(q.merged.Counters.KSMZeroPages)) * q.merged.PageSize
	return nil
}

// cutShort marks what was measured before err as a part of it, if a signal ended it.
func (q *qemuBench) cutShort(ctx context.Context, err error) error {
	_, q.partial = errors.AsType[*sysfs.SignalError](context.Cause(ctx))
	return err
}

func (q *qemuBench) scanGuests(ctx context.Context, guests *qemuGuests) (*scanner.Report, error) {
	var targets []scanner.Target
	for i, g := range guests.list {
		targets = append(targets, scanner.ProcessTarget(g.cmd.Process.Pid, strconv.Itoa(i), scanner.AreasMarked))
	}
	r, err := scanAll(ctx, targets, &q.knobs)
	if err == nil && r.Pages == 0 {
		err = errors.New("the guests have no mergeable memory: this QEMU does not mark it, or it is built without that")
	}
	return r, err
}

// quietScans is after how many full scans that merged nothing more ksmd has come to an
// end. In the first one it merges nothing.
const quietScans = 4

// merge lets ksmd run until nothing changes any more, or a signal ends it.
func (q *qemuBench) merge(ctx context.Context) error {
	fsys := q.flags.fsys
	reader, err := fsys.NewReader()
	if err != nil {
		return err
	}
	defer reader.Close()
	reader.Read(&q.merged)
	before := q.merged.Host
	if _, err := fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: "1"}); err != nil {
		return err
	}
	began := time.Now()
	var g growth
	var saved int64
	since := uint64(0) // full scan in which it last changed
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for c := &q.merged.Counters; c.FullScans <= since+quietScans && ctx.Err() == nil; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
		reader.Read(&q.merged)
		now, _ := c.Savings(q.merged.PageSize)
		if now.SavedBytes != saved {
			saved, since, q.took = now.SavedBytes, c.FullScans, time.Since(began)
		}
		g.take(time.Since(began), saved)
		q.progress.show("merging: saved " + bytesText(saved))
	}
	q.to90, q.hasTo90 = g.reached(saved - saved/10)
	if _, err := fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: "0"}); err != nil {
		return err
	}
	q.elapsed = time.Since(began)
	reader.Read(&q.merged)
	q.cpu, q.hasCPU = q.merged.Host.KSMD-before.KSMD, q.merged.Host.HasKSMD && before.HasKSMD
	if ctx.Err() != nil {
		return q.cutShort(ctx, context.Cause(ctx))
	}
	return nil
}

func (q *qemuBench) report() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s of %s under QEMU, which boot %s and then stand still\n", plural(q.flags.qemu.guests, "guest"), q.flags.memory, text.Clean(q.kernel))
	fmt.Fprintf(&w, "%s; %s", machineText(q.flags.fsys), settingsText(slices.Concat(qemuKnobs, q.set)))
	if q.partial {
		fmt.Fprintf(&w, "; partial: interrupted after %s of merging", durationText(q.elapsed))
	}
	w.WriteString("\n\n")
	line := func(cells ...any) {
		fmt.Fprintln(&w, strings.TrimRight(fmt.Sprintf("%-16s %12s %12s %13s", cells...), " "))
	}
	line("", "by scan", "measured", "scan differs")
	scan, measured := scanResult(q.scan, q.knobs.UseZeroPages), endResult(&q.merged)
	row := func(name string, predicted, measured int64, text func(int64) string) {
		off := "-"
		if !q.partial { // which it does not predict
			off = offText(float64(predicted), float64(measured))
		}
		line(name, text(predicted), text(measured), off)
	}
	pages := func(n int64) string { return countText(uint64(max(0, n))) }
	row("pages_shared", scan.shared, measured.shared, pages)
	row("pages_sharing", scan.sharing, measured.sharing, pages)
	row("ksm_zero_pages", scan.zero, measured.zero, pages)
	row("pages_unshared", scan.unshared, measured.unshared, pages)
	row("saved", scan.saved, measured.saved, bytesText)
	row("net", scan.net, measured.net, bytesText)
	if q.freed > 0 {
		line("freed", "-", bytesText(q.freed), "-")
		row("saved and freed", scan.saved, measured.saved+q.freed, bytesText)
	}
	if q.hasTo90 && !q.partial { // or it may not be 90 % of it
		line("90 % of it after", "-", durationText(q.to90), "-")
	}
	if !q.partial {
		line("all of it after", "-", durationText(q.took), "-")
	}
	if q.hasCPU {
		line("ksmd CPU", "-", durationText(q.cpu), "-")
	}
	if q.freed > 0 {
		w.WriteString(freedLegend)
	}
	if q.partial {
		w.WriteString("\nThe prediction is of the end, so that nothing is compared with it. Zeros that huge pages\nfree as they are split were not counted.\n")
	}
	return w.String()
}

func (q *qemuBench) writeJSON(w io.Writer) error {
	measured := endResult(&q.merged)
	measured.freed, measured.hasFreed = q.freed, !q.partial
	measured.to90, measured.hasTo90, measured.cpu, measured.hasCPU = q.to90, q.hasTo90 && !q.partial, q.cpu, q.hasCPU
	took := q.took
	if q.partial {
		took = q.elapsed
	}
	type values struct {
		Guests   int               `json:"guests"`
		Memory   string            `json:"memory"`
		Kernel   string            `json:"kernel"`
		Machine  string            `json:"machine"`
		Set      map[string]string `json:"set"`
		Complete bool              `json:"complete"`
		Seconds  float64           `json:"seconds"`
		Scan     benchValues       `json:"predicted_by_scan"`
		Measured benchValues       `json:"measured"`
	}
	set := make(map[string]string)
	for _, s := range slices.Concat(qemuKnobs, q.set) {
		set[s.Field.String()] = s.Value
	}
	line, err := json.Marshal(&struct {
		Schema  int    `json:"schema"`
		Source  string `json:"source"`
		Summary values `json:"summary"`
	}{report.Schema, "bench", values{
		q.flags.qemu.guests, q.flags.memory, text.Clean(q.kernel), machineText(q.flags.fsys), set,
		!q.partial, took.Seconds(), scanResult(q.scan, q.knobs.UseZeroPages).values(), measured.values(),
	}})
	if err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
