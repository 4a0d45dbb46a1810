package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sysfs"
)

// scanFlags are the flags of scan.
type scanFlags struct {
	*common
	targets targetFlags
	areas   string
	by      string
	asJSON  bool
	csv     string
	content bool

	pageSize int
	sharing  uint64
	zero     bool
	o        scanner.Options
	rate     string
}

func newScan(c *common) *cobra.Command {
	f := &scanFlags{common: c}
	cmd := &cobra.Command{
		Use:   "scan [FILE...]",
		Short: "Say what merging memory would save, before KSM is switched on",
		Long: `scan reads the memory of processes, or raw images of memory in files, finds
equal pages, and says what merging them would save and cost and who would gain.
It needs no KSM in the kernel, and no root for one's own processes.

Only memory that KSM could merge is read, and only pages that are present:
nothing is faulted in or swapped in, and the target's memory use stays as it
is. The one trace is the accessed bit of the pages read. Knobs that are not
given are those in force, or the kernel's defaults where there is no KSM.

Ctrl-C ends reading and prints the answer for what was read by then. What may not
be read is listed, and the rest is read. The status is 1 if nothing could be
read.

Pages are taken for equal if at least 52 bits of their hashes are. --verify reads
all memory again, once for each 64 MiB of contents that have copies, and compares
bytes.`,
		Example: `  ksmtop scan -p 1234,1235
  ksmtop scan --all --by user
  ksmtop scan --vm web-03 --use-zero-pages
  ksmtop scan --json guest.raw`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error { return f.run(cmd, files) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.targets.register(flags)
	flags.StringVar(&f.areas, "areas", "auto", "`WHICH` areas of processes: marked (mergeable now), eligible (all that could be), or auto: marked where a process has marks")
	flags.StringVar(&f.by, "by", "process", "`WHAT` makes a group: process, user, comm, cgroup or vm")
	flags.Uint64Var(&f.sharing, "max-page-sharing", 0, "the knob of that name, `N` of at least 2")
	flags.BoolVar(&f.zero, "use-zero-pages", false, "the knob of that name")
	flags.IntVar(&f.pageSize, "page-size", os.Getpagesize(), "`BYTES` of a page in FILE")
	flags.IntVar(&f.o.Top, "top", 5, "list the `N` most copied contents")
	flags.BoolVar(&f.content, "show-content", false, "show the first bytes of contents; they may hold secrets")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	flags.StringVar(&f.csv, "csv", "", "print `TABLE` as CSV: groups, histogram or contents")
	flags.IntVar(&f.o.Workers, "workers", 0, "read with `N` workers; 0 is one for each CPU")
	flags.Float64Var(&f.o.MaxCPU, "max-cpu", 0, "use at most `PERCENT` of one CPU")
	flags.StringVar(&f.rate, "max-rate", "", "read at most `BYTES` a second, as 200M")
	flags.BoolVar(&f.o.Verify, "verify", false, "read everything again, and compare the bytes of pages that were counted as equal")
	return cmd
}

// areasByName are the values of --areas.
var areasByName = map[string]scanner.Areas{
	"auto": scanner.AreasAuto, "eligible": scanner.AreasEligible, "marked": scanner.AreasMarked,
}

func (f *scanFlags) run(cmd *cobra.Command, files []string) error {
	areas, err := f.check(cmd, files)
	if err != nil {
		return usage(err)
	}
	if err := f.common.check(); err != nil {
		return err
	}
	f.knobs(cmd)
	var candidates []candidate
	if f.targets.any() {
		if candidates, err = f.targets.choose(f.fsys); err != nil {
			return err
		}
	}
	targets := f.targetsOf(candidates, files, areas)
	ctx, stop := untilSignal(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if errOut := cmd.ErrOrStderr(); isTerminal(errOut) {
		f.o.Progress = progressLine(errOut)
	}
	r, err := scanner.Scan(ctx, targets, f.o)
	if f.o.Progress != nil {
		fmt.Fprint(cmd.ErrOrStderr(), "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if len(r.Refused) > 0 && len(r.Refused)+r.Gone == len(targets) {
		return nothingRead(r)
	}
	answer := f.answer(r, candidates)
	out := cmd.OutOrStdout()
	switch {
	case f.asJSON:
		return report.ScanJSON(out, answer)
	case f.csv != "":
		return report.ScanCSV(out, answer, f.csv)
	}
	return report.Scan(out, answer)
}

// mostWorkers keeps a slip of the keyboard from filling the memory.
const mostWorkers = 4096

func (f *scanFlags) check(cmd *cobra.Command, files []string) (scanner.Areas, error) {
	areas, ok := areasByName[f.areas]
	switch {
	case !ok:
		return 0, fmt.Errorf("--areas: %q: must be auto, eligible or marked", f.areas)
	case !f.targets.any() && len(files) == 0:
		return 0, errors.New("scan needs to be told what to read: -p, --children, -u, --cgroup, --vm, --all or files")
	case f.pageSize < scanner.MinPageSize || f.pageSize > scanner.MaxPageSize || f.pageSize&(f.pageSize-1) != 0:
		return 0, fmt.Errorf("--page-size: %d: must be a power of two from %d to %d", f.pageSize, scanner.MinPageSize, scanner.MaxPageSize)
	case f.targets.any() && len(files) > 0 && f.pageSize != os.Getpagesize():
		return 0, fmt.Errorf("--page-size: %d: processes have pages of %d bytes, so files beside them must too", f.pageSize, os.Getpagesize())
	case cmd.Flags().Changed("children") && f.targets.children <= 0:
		return 0, fmt.Errorf("--children: %d: not a process id", f.targets.children)
	case twice(files) != "":
		return 0, fmt.Errorf("%s: the same file twice", twice(files))
	case cmd.Flags().Changed("max-page-sharing") && f.sharing < 2:
		return 0, fmt.Errorf("--max-page-sharing: %d: must be at least 2", f.sharing)
	case f.o.Workers < 0 || f.o.Top < 0 || !(f.o.MaxCPU >= 0):
		return 0, errors.New("--workers, --top and --max-cpu must not be negative")
	case f.o.Workers > mostWorkers:
		return 0, fmt.Errorf("--workers: %d: must be at most %d", f.o.Workers, mostWorkers)
	case f.csv != "" && f.asJSON:
		return 0, errors.New("--csv and --json exclude each other")
	case f.csv != "" && !report.IsScanTable(f.csv):
		return 0, fmt.Errorf("--csv: %q: must be groups, histogram or contents", f.csv)
	}
	if _, ok := groupings[f.by]; !ok {
		return 0, fmt.Errorf("--by: %q: must be process, user, comm, cgroup or vm", f.by)
	}
	if f.rate != "" {
		rate, err := format.ParseBytes(f.rate)
		if err != nil {
			return 0, fmt.Errorf("--max-rate: %w", err)
		}
		f.o.MaxRate = rate
	}
	return areas, nil
}

// twice returns the name of a file that is among files under another or the
// same name before, or nothing.
func twice(files []string) string {
	var seen []os.FileInfo
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			continue // which Scan reports
		}
		if slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			return file
		}
		seen = append(seen, info)
	}
	return ""
}

// knobs takes those in force for what the flags do not say.
func (f *scanFlags) knobs(cmd *cobra.Command) {
	defaults := sysfs.DefaultKnobs()
	inForce, _ := f.fsys.Knobs() // what could not be read is absent
	if inForce.Has(sysfs.MaxPageSharing) {
		defaults.MaxPageSharing = inForce.MaxPageSharing
	}
	if inForce.Has(sysfs.UseZeroPages) {
		defaults.UseZeroPages = inForce.UseZeroPages
	}
	f.o.MaxPageSharing, f.o.UseZeroPages = uint64(defaults.MaxPageSharing), defaults.UseZeroPages
	if cmd.Flags().Changed("max-page-sharing") {
		f.o.MaxPageSharing = f.sharing
	}
	if cmd.Flags().Changed("use-zero-pages") {
		f.o.UseZeroPages = f.zero
	}
}

// groupings name the group of a process.
var groupings = map[string]func(*candidate) string{
	"process": func(m *candidate) string { return strconv.Itoa(m.PID) + " " + text.Clean(m.Comm) },
	"comm":    func(m *candidate) string { return text.Clean(m.Comm) },
	"cgroup":  func(m *candidate) string { return orNone(text.Clean(m.cgroup()), "no cgroup") },
	"vm":      func(m *candidate) string { return orNone(text.Clean(m.vm()), "no virtual machine") },
	"user": func(m *candidate) string {
		number := strconv.FormatUint(uint64(m.UID), 10)
		if u, err := user.LookupId(number); err == nil {
			return text.Clean(u.Username)
		}
		return number
	},
}

func orNone(name, none string) string {
	if name == "" {
		return "(" + none + ")"
	}
	return name
}

func (f *scanFlags) targetsOf(candidates []candidate, files []string, areas scanner.Areas) []scanner.Target {
	var targets []scanner.Target
	for i := range candidates {
		m := &candidates[i]
		targets = append(targets, m.target(groupings[f.by](m), areas))
		f.o.ExpectedPages += uint64(m.RSS)
	}
	for _, file := range files {
		targets = append(targets, scanner.ImageTarget(file, text.Clean(file), f.pageSize))
	}
	return targets
}

// target is the memory of the candidate, and not that of a process which was
// given its number since it was chosen.
func (m *candidate) target(group string, areas scanner.Areas) scanner.Target {
	t := scanner.ProcessTarget(m.PID, group, areas)
	open := t.Open
	t.Open = func() (scanner.Source, error) {
		source, err := open()
		if p, ok := source.(*scanner.Process); ok && p.Start() != m.Start {
			_ = p.Close() // it was only opened
			return nil, scanner.ErrGone
		}
		return source, err
	}
	return t
}

// answer adds what the kernel knows of the processes to what was scanned.
func (f *scanFlags) answer(r *scanner.Report, candidates []candidate) *report.ScanAnswer {
	return &report.ScanAnswer{
		Report: r, Areas: f.areas, MaxPageSharing: f.o.MaxPageSharing, UseZeroPages: f.o.UseZeroPages, ShowContent: f.content,
		AlreadySaved: addMerged(f.fsys, r, candidates, groupings[f.by]),
	}
}

// addMerged adds the pages that KSM has replaced by the zero page to what was
// scanned, and returns the processes' part of what merging saves now, in pages. It
// reads the processes anew: ksmd may have gone on meanwhile.
func addMerged(fsys sysfs.FS, r *scanner.Report, candidates []candidate, group func(*candidate) string) uint64 {
	if len(candidates) == 0 || r.PageSize == 0 {
		return 0
	}
	counters, err := fsys.Counters()
	if err != nil || counters.PagesSharing == 0 && counters.KSMZeroPages == 0 {
		return 0
	}
	reader, err := fsys.NewProcessReader()
	if err != nil {
		return 0
	}
	defer reader.Close()
	var now sysfs.Processes
	if reader.Read(&now) != nil {
		return 0
	}
	groupOf := make(map[int]string, len(candidates))
	for i := range candidates {
		groupOf[candidates[i].PID] = group(&candidates[i])
	}
	parts, _, ok := counters.Attribute(now.List, int64(r.PageSize), nil)
	var saved int64
	for i := range now.List {
		group, scanned := groupOf[now.List[i].PID]
		if !scanned {
			continue
		}
		if ok {
			saved += parts[i]
		}
		r.AddReplaced(group, uint64(max(0, now.List[i].KSM.ZeroPages)))
	}
	return uint64(max(0, saved)) / uint64(r.PageSize)
}

// nothingRead is the error of a scan whose targets were all refused.
func nothingRead(r *scanner.Report) error {
	first := r.Refused[0]
	err := fmt.Errorf("nothing could be read: %w", first.Err)
	if _, ok := errors.AsType[*scanner.RefusedError](first.Err); ok {
		return hinted{err, "root, or the capability CAP_SYS_PTRACE, reads other users' processes"}
	}
	return hinted{err, "ksmtop scan --help says what can be read"}
}

// progressLine returns a function that keeps one line of w up to date.
func progressLine(w io.Writer) func(scanner.Progress) {
	return func(p scanner.Progress) {
		line := append([]byte{'\r'}, "read "...)
		if p.Verifying {
			line = append(line, "again "...)
		}
		line = format.Bytes(line, int64(p.BytesRead))
		if seconds := p.Elapsed.Seconds(); seconds > 0 {
			rate := float64(p.BytesRead) / seconds
			line = append(format.Bytes(append(line, ", "...), int64(rate)), "/s"...)
			if left := p.ExpectedPages - p.PagesRead; left > 0 && p.PagesRead > 0 {
				line = append(line, ", about "...)
				line = format.Duration(line, time.Duration(seconds*float64(left)/float64(p.PagesRead)*float64(time.Second)))
				line = append(line, " left"...)
			}
		}
		_, _ = w.Write(append(line, "\x1b[K"...)) // the answer matters, not this
	}
}
