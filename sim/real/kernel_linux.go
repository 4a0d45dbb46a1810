//go:build amd64 || arm64

package real

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/kept"
	"github.com/ksmtop/ksmtop/internal/zeropage"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Kernel is the running kernel as a sim.Backend. After an error that is not a
// refused knob it is good for Reset and Close only. It is not safe for
// concurrent use.
type Kernel struct {
	fsys sysfs.FS
	page uint64 // size in bytes

	knobs    map[sysfs.Field]int // descriptors for writing those that exist
	counters [len(progressFields)]kept.File
	reader   *sysfs.Reader
	listing  *sysfs.ProcessReader
	ksmd     *daemon
	drain    *drainer

	opened      bool    // ksmd was perhaps made to do something
	first       *handle // of which the others are forks, or nil
	base, limit uint64  // addresses for areas
	processes   map[string]*process

	settings map[sysfs.Field]uint64 // what the knobs should be now
	run      uint64                 // what the script believes that run is: it is 0 but while ksmd makes batches
	start    progress               // at the start of the script
	last     progress               // after the last batch
	touched  bool                   // something was done to pages since
	running  bool                   // ksmd sleeps between two batches; otherwise it is parked
	sleeps   uint64                 // how often ksmd had gone to sleep when it was last seen to

	fresh bool // nothing was done since now and all were read
	now   sysfs.Reading
	all   sysfs.Processes
}

var _ sim.Backend = (*Kernel)(nil)

// ReadsMakePages reports whether this kernel maps no zero page, so that a script's
// reads make pages: see sim.Machine.MapNoZeroPage. If it does not tell, it maps it as most do.
func (k *Kernel) ReadsMakePages() bool {
	mapped, err := zeropage.Mapped()
	return err == nil && !mapped
}

// startSettings are the knobs at the start of a script where they differ from
// the defaults: ksmd is to scan when told to, everything at once, and nothing is
// to depend on time.
var startSettings = map[sysfs.Field]uint64{
	sysfs.PagesToScan:                    1000000,
	sysfs.SmartScan:                      0,
	sysfs.StableNodeChainsPruneMillisecs: 1<<32 - 1,
}

// longSleep is a sleep_millisecs, a day, from which ksmd does not wake by
// itself; so is the next one.
const longSleep = 100_000_000

// scriptKnobs are those that a script may set, but for run.
var scriptKnobs = []sysfs.Field{
	sysfs.PagesToScan, sysfs.MergeAcrossNodes, sysfs.UseZeroPages,
	sysfs.MaxPageSharing, sysfs.StableNodeChainsPruneMillisecs, sysfs.SmartScan,
}

// Guard opens the kernel, calls fn and closes it, under fsys.Guard: the knobs
// are put back afterwards, and whatever can end this process, SIGKILL and a
// panic included, leaves no worker and no setting that the next guard would not
// put right. A signal cancels fn's context.
func Guard(ctx context.Context, fsys sysfs.FS, opts sysfs.GuardOptions, fn func(context.Context, *Kernel) error) error {
	if err := fsys.Supported(); err != nil {
		return err
	}
	if err := checkGenuine(fsys); err != nil { // before waiting for anybody
		return err
	}
	return fsys.Guard(ctx, opts, func(ctx context.Context) (err error) {
		k, err := Open(ctx, fsys)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, k.Close()) }()
		return fn(ctx, k)
	})
}

// Open unmerges everything and takes the kernel to the start of a script. The
// caller holds the machine's KSM, by sysfs.FS.Guard or Acquire, and gives it
// up, which puts the knobs back, after Close. [Guard] does all of this.
func Open(ctx context.Context, fsys sysfs.FS) (*Kernel, error) {
	if !workersReady.Load() {
		return nil, &Error{Op: "open kernel", Err: errors.New("the program did not call real.WorkerMain first in main")}
	}
	if err := fsys.Supported(); err != nil {
		return nil, err
	}
	if err := checkGenuine(fsys); err != nil {
		return nil, err
	}
	k := &Kernel{
		fsys: fsys, page: uint64(os.Getpagesize()),
		knobs: make(map[sysfs.Field]int), settings: make(map[sysfs.Field]uint64),
		processes: make(map[string]*process),
	}
	err := k.open()
	if err == nil {
		err = k.Reset(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Kernel) open() error {
	for _, f := range append([]sysfs.Field{sysfs.Run, sysfs.SleepMillisecs, sysfs.AdvisorMode}, scriptKnobs...) {
		fd, err := unix.Open(k.fsys.Path(f), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return openError(k.fsys.Path(f), err)
		}
		k.knobs[f] = fd
	}
	for i, f := range progressFields {
		var err error
		k.counters[i], err = kept.Open(k.fsys.Path(f))
		if err == unix.ENOENT && f == sysfs.PagesSkipped { // there is no smart scan
			continue
		}
		if err == unix.ENOENT {
			return &Error{Op: "read " + f.String(), Err: fmt.Errorf("%w: since Linux %s", sysfs.ErrNotSupported, f.Info().Since)}
		}
		if err != nil {
			return openError(k.fsys.Path(f), err)
		}
	}
	var err error
	if k.ksmd, err = findDaemon(k.fsys.ProcPath()); err != nil {
		return err
	}
	if k.reader, err = k.fsys.NewReader(); err != nil {
		return err
	}
	if k.listing, err = k.fsys.NewProcessReader(); err != nil {
		return err
	}
	k.drain, err = newDrainer()
	return err
}

// checkGenuine refuses copies of /sys and /proc, in which nothing would happen.
func checkGenuine(fsys sysfs.FS) error {
	for _, file := range []struct {
		path  string
		magic uint32
	}{
		{filepath.Dir(fsys.Path(sysfs.Run)), unix.SYSFS_MAGIC},
		{fsys.ProcPath(), unix.PROC_SUPER_MAGIC},
	} {
		var st unix.Statfs_t
		if err := unix.Statfs(file.path, &st); err != nil {
			return openError(file.path, err)
		}
		if uint32(st.Type) != file.magic {
			return &sysfs.Error{Op: "open", Path: file.path, Err: &Error{
				Op: "run a script", Err: errors.New("it is a copy, not the kernel's"), hint: "a script runs on this machine's kernel, or on the model",
			}}
		}
	}
	return nil
}

// openError adds advice to an error that a file gave.
func openError(path string, err error) error {
	e := &Error{Op: "open " + path, Err: err}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.hint = "running a script on the kernel needs root; the model needs nothing"
	case err == unix.EROFS:
		e.hint = "/sys is mounted read-only, as in containers: run the script on the host, or on the model"
	}
	return e
}

// Reset ends what is left of a script and takes the kernel to the start of
// another one: no process, nothing merged, full_scans 0, and the knobs as the
// language says. It is much cheaper than Close and Open.
func (k *Kernel) Reset(ctx context.Context) error {
	k.fresh = false
	if err := k.endProcesses(); err != nil {
		return err
	}
	if k.first != nil && k.first.alive() != nil {
		_ = end(k.first) // it has ended already
		k.first = nil
	}
	if k.first == nil {
		var err error
		if k.first, k.base, k.limit, err = startFirst(); err != nil {
			return err
		}
	}
	k.opened = true
	if err := k.park(ctx); err != nil {
		return err
	}
	if err := k.unmerge(); err != nil {
		return err
	}
	if _, ok := k.knobs[sysfs.AdvisorMode]; ok {
		if err := k.write(sysfs.AdvisorMode, sysfs.AdvisorNone); err != nil {
			return err
		}
	}
	for _, f := range scriptKnobs {
		value, ok := startSettings[f]
		if !ok {
			value, _ = strconv.ParseUint(f.Info().Default, 10, 64)
		}
		if _, exists := k.knobs[f]; !exists {
			continue
		}
		if err := k.put(f, value); err != nil {
			return err
		}
	}
	k.run = sysfs.RunScan
	k.start = k.last
	return k.checkEmpty()
}

// checkEmpty makes sure that a script begins with nothing.
func (k *Kernel) checkEmpty() error {
	if err := k.look(); err != nil {
		return err
	}
	c := &k.now.Counters
	if c.PagesShared != 0 || c.PagesSharing != 0 || c.PagesUnshared != 0 || c.PagesVolatile != 0 ||
		c.KSMZeroPages != 0 || c.GeneralProfit != 0 || c.StableNodeChains != 0 || c.StableNodeDups != 0 {
		return disturbed("after unmerging everything there are pages still")
	}
	return nil
}

// endProcesses ends all but the first worker.
func (k *Kernel) endProcesses() error {
	workers := make([]*handle, 0, len(k.processes))
	for _, p := range k.processes {
		workers = append(workers, p.handle)
	}
	clear(k.processes)
	return end(workers...)
}

// Close ends all processes and unmerges everything. ksmd is stopped then; the
// other knobs are the guard's to put back.
func (k *Kernel) Close() error {
	err := k.endProcesses()
	if k.first != nil {
		err = errors.Join(err, end(k.first))
		k.first = nil
	}
	if k.opened {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = errors.Join(err, k.park(ctx), k.unmerge())
		k.opened = false
	}
	for _, fd := range k.knobs {
		unix.Close(fd)
	}
	clear(k.knobs)
	for i := range k.counters {
		k.counters[i].Close()
	}
	if k.reader != nil {
		k.reader.Close()
		k.reader = nil
	}
	if k.listing != nil {
		k.listing.Close()
		k.listing = nil
	}
	if k.ksmd != nil {
		k.ksmd.close()
		k.ksmd = nil
	}
	if k.drain != nil {
		k.drain.close()
		k.drain = nil
	}
	return err
}

// Set implements sim.Backend. A knob that this kernel lacks is an error that is
// sysfs.ErrNotSupported, one that it refuses is its errno.
func (k *Kernel) Set(ctx context.Context, knob sysfs.Field, value uint64) error {
	k.fresh = false
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if knob != sysfs.Run {
		return k.put(knob, value)
	}
	// The kernel ignores a value that run has already.
	if value == sysfs.RunUnmerge && k.run != sysfs.RunUnmerge {
		if err := k.unmerge(); err != nil {
			return err
		}
	}
	k.run = value
	return nil
}

// unmerge writes run=2, and run=0 for ksmd to be parked as it was. A process
// that registers while run is 2 goes to the end of the list, as it does while
// run is 0 and the cursor is at the list's head, where this has put it.
func (k *Kernel) unmerge() error {
	k.touched = true
	for _, value := range []string{"2", "0"} {
		if err := k.write(sysfs.Run, value); err != nil {
			return err
		}
	}
	var err error
	k.last, err = k.readProgress()
	if err == nil && k.last.fullScans != 0 {
		err = disturbed("full_scans is not 0 after unmerging everything")
	}
	return err
}

// put gives a knob a value.
func (k *Kernel) put(knob sysfs.Field, value uint64) error {
	if err := k.write(knob, strconv.FormatUint(value, 10)); err != nil {
		return err
	}
	k.settings[knob] = value
	return nil
}

// write writes a knob's file.
func (k *Kernel) write(knob sysfs.Field, text string) error {
	fd, ok := k.knobs[knob]
	if !ok {
		return &sysfs.Error{Op: "write", Path: k.fsys.Path(knob), Err: sysfs.ErrNotSupported}
	}
	for {
		// The kernel takes each write for a value, wherever in the file.
		// A signal ends an unmerging with EINTR; it goes on from there.
		_, err := unix.Write(fd, []byte(text))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &sysfs.Error{Op: "write", Path: k.fsys.Path(knob), Err: err}
		}
	}
}

// Counters implements sim.Backend.
func (k *Kernel) Counters(ctx context.Context) (sysfs.Counters, error) {
	if ctx.Err() != nil {
		return sysfs.Counters{}, context.Cause(ctx)
	}
	k.fresh = false // but the processes of this reading serve ProcessStat
	if err := k.look(); err != nil {
		return sysfs.Counters{}, err
	}
	c := k.now.Counters
	c.PagesScanned -= sysfs.Pages(k.start.scanned)
	c.PagesSkipped -= sysfs.Pages(k.start.skipped)
	return c, nil
}

// ProcessStat implements sim.Backend.
func (k *Kernel) ProcessStat(ctx context.Context, process string) (sysfs.ProcessStat, error) {
	if ctx.Err() != nil {
		return sysfs.ProcessStat{}, context.Cause(ctx)
	}
	if err := k.look(); err != nil {
		return sysfs.ProcessStat{}, err
	}
	p := k.processes[process]
	for i := range k.all.List {
		if k.all.List[i].PID == p.pid {
			return k.all.List[i].KSM, nil
		}
	}
	// It is not registered, so that all is zero, or it has ended.
	if err := p.alive(); err != nil {
		return sysfs.ProcessStat{}, &Error{Op: "read ksm_stat", Err: err}
	}
	const all = sysfs.KSMRmapItems | sysfs.KSMZeroPagesOf | sysfs.KSMMergingPages | sysfs.KSMProcessProfit
	return sysfs.ProcessStat{Present: all}, nil
}

// look reads all that the kernel shows, and looks for traces of others.
func (k *Kernel) look() error {
	if k.fresh {
		return nil
	}
	k.reader.Read(&k.now)
	for f := range sysfs.Fields() {
		if err := k.now.Problem(f); err != nil {
			return err
		}
	}
	if err := k.listing.Read(&k.all); err != nil {
		return err
	}
	if err := k.checkStrangers(); err != nil {
		return err
	}
	c := &k.now.Counters
	if (progress{c.FullScans, uint64(c.PagesScanned), uint64(c.PagesSkipped)}) != k.last {
		return disturbed("ksmd has scanned without being told")
	}
	if k.now.Knobs.Run != sysfs.RunStop {
		return disturbed("run was changed")
	}
	for f, want := range k.settings {
		if got, _ := k.now.Knobs.Value(f); got.String() != strconv.FormatUint(want, 10) {
			return disturbed(f.String() + " was changed")
		}
	}
	k.fresh = true
	return nil
}

// checkStrangers looks for other processes in ksmd's list.
func (k *Kernel) checkStrangers() error {
	ours := make(map[int]bool, len(k.processes))
	for _, p := range k.processes {
		ours[p.pid] = true
	}
	for i := range k.all.List {
		if p := &k.all.List[i]; p.KSM.Registered() && !ours[p.PID] {
			return disturbed(fmt.Sprintf("memory of process %d (%q) is mergeable", p.PID, p.Comm))
		}
	}
	return nil
}

func disturbed(how string) error {
	return &Error{
		Op: "run a script", Err: fmt.Errorf("%w: %s", ErrDisturbed, how),
		hint: "run it again when nobody else uses KSM",
	}
}
