//go:build unix

package sysfs

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/kept"
	"github.com/ksmtop/ksmtop/internal/procfs"
)

// Reading thousands of processes every second is the work of a monitor, and
// opening their files is most of its cost. So the descriptors stay open:
//
//	process      ksm_stat   stat   its directory
//	not KSM's    kept       -      -               one system call a reading
//	KSM's        kept       kept   kept            three
//
// (Linux 6.1 to 6.3 need a fourth, ksm_merging_pages. The directory tells the
// owner, which a process may change at any time.)
//
// A kept descriptor belongs to one process, not to a number: reading it gives
// ESRCH once that process has gone, also if the number is in use again.
//
// Descriptors are limited. When they run out, processes that have nothing to
// do with KSM give theirs back and are opened, read and closed at each reading
// from then on; in the end the others are, too. Nothing fails because of it.

// Processes is one reading of all processes.
//
// Seen is the sum of Readable, Denied, NoMemory, Malformed and of those that
// went while they were read or that this kernel has no KSM data of.
// Readable+Denied+Malformed is the number of processes that KSM could work on.
type Processes struct {
	// List has, in ascending order of PID, the processes that are registered
	// with KSM. If ProcessReader.All is set it has all that have memory: those
	// whose KSM data may not be read have an empty KSM.Present.
	List []Process

	Seen       int // processes that are visible in /proc
	Readable   int // those whose KSM data could be read
	Denied     int // those whose KSM data needs CAP_DAC_READ_SEARCH, or root
	NoMemory   int // threads of the kernel, and zombies: KSM has nothing to do with them
	Registered int // those that are known to be registered with KSM
	Malformed  int // those whose data made no sense or gave an unexpected error

	// Problem is the first such error, an *Error, or nil.
	Problem error
}

// ProcessReader reads all processes again and again. Reading through kept
// descriptors allocates nothing; opening does: of new processes, of those beyond
// the limit of descriptors and, once in about twelve readings, of those that may
// not be read. It is not safe for concurrent use.
//
// A process whose first thread has ended while others go on looks like a
// zombie in /proc, and is counted as one.
type ProcessReader struct {
	// All lists processes that have nothing to do with KSM, too.
	All bool

	// Only, if not nil, are the processes to be read, ascending. The others are
	// not so much as seen.
	Only []int

	fsys  FS
	dir   *procfs.Dir
	pids  []int
	known []tracked // ascending by pid, as is spare
	spare []tracked

	lacking bool // this kernel has no per-process data at all

	open    int       // descriptors held for processes
	limit   int       // how many may be, at present
	most    int       // how many RLIMIT_NOFILE allows
	refused int       // descriptors in this reading for which there was no room
	fixed   bool      // RLIMIT_NOFILE cannot be raised any more
	hand    int       // known[:hand] have no descriptors to take away in this reading
	reserve kept.File // given up to open a file when there are no more descriptors

	last     [256]byte // the last ksm_stat of a process without KSM: most are alike
	lastLen  int
	lastStat ProcessStat

	buf [4096]byte
}

// tracked is what is remembered of a process from one reading to the next.
type tracked struct {
	pid   int
	files [numProcessFiles]kept.File

	bare       bool // it has no ksm_stat, only ksm_merging_pages
	registered bool // as of the last reading
	noMemory   bool // its ksm_stat is denied, and it has no memory anyway
	wait       int  // readings until what was denied is tried again

	start uint64
	comm  string
}

// processFile is one of the files in /proc/PID that may be kept open.
type processFile uint8

const (
	ksmStatFile processFile = iota
	statFile
	homeFile // the directory itself
	mergingFile

	numProcessFiles
)

var processFileNames = [numProcessFiles]string{"ksm_stat", "stat", ".", "ksm_merging_pages"}

const (
	retryDenied = 8  // at least so many readings between two attempts to open what was denied
	spareFiles  = 64 // descriptors left to the rest of the program
)

// errNoMemory reports a thread of the kernel or a zombie.
var errNoMemory = errors.New("has no memory")

// NewProcessReader opens fsys's /proc. Close the reader after use. If there are
// more processes than descriptors it raises RLIMIT_NOFILE as far as it may, which
// programs started later inherit.
func (fsys FS) NewProcessReader() (*ProcessReader, error) {
	dir, err := procfs.OpenDir(fsys.proc())
	if err != nil {
		return nil, &Error{Op: "open", Path: fsys.proc(), Err: err}
	}
	r := &ProcessReader{fsys: fsys, dir: dir}
	r.setLimit()
	r.limit = r.most
	r.takeReserve()
	r.lacking = r.lacksProcessData()
	return r, nil
}

// lacksProcessData reports whether this kernel is known to have neither
// ksm_stat nor ksm_merging_pages. A copied /proc without self does not tell.
func (r *ProcessReader) lacksProcessData() bool {
	exists := func(name string) bool {
		var st unix.Stat_t
		return unix.Fstatat(r.dir.FD(), name, &st, 0) == nil
	}
	return exists("self/stat") && !exists("self/ksm_stat") && !exists("self/ksm_merging_pages")
}

// Close closes all descriptors.
func (r *ProcessReader) Close() {
	for i := range r.known {
		r.release(&r.known[i])
	}
	r.known = r.known[:0]
	r.reserve.Close()
	r.dir.Close()
}

// Read replaces *to by a new reading. The error is that /proc could not be
// listed; a process that cannot be read is only counted.
func (r *ProcessReader) Read(to *Processes) error {
	*to = Processes{List: to.List[:0]}
	var err error
	r.pids, err = r.dir.AppendPIDs(r.pids[:0])
	if err != nil {
		return &Error{Op: "read", Path: r.fsys.proc(), Err: err}
	}
	slices.Sort(r.pids)
	if r.Only != nil {
		r.pids = slices.DeleteFunc(r.pids, func(pid int) bool {
			_, wanted := slices.BinarySearch(r.Only, pid)
			return !wanted
		})
	}
	r.match()
	to.Seen = len(r.known)
	if r.lacking && !r.All {
		return nil
	}
	r.prepareFiles()
	for i := range r.known {
		r.readProcess(&r.known[i], to)
	}
	r.takeReserve()
	return nil
}

// match brings known in line with pids: both ascend, so one pass does it.
func (r *ProcessReader) match() {
	same := 0
	for same < len(r.known) && same < len(r.pids) && r.known[same].pid == r.pids[same] {
		same++
	}
	if same == len(r.known) {
		for _, pid := range r.pids[same:] {
			r.known = append(r.known, tracked{pid: pid})
		}
		return
	}
	next := append(r.spare[:0], r.known[:same]...)
	i := same
	for _, pid := range r.pids[same:] {
		for i < len(r.known) && r.known[i].pid < pid {
			r.release(&r.known[i])
			i++
		}
		if i < len(r.known) && r.known[i].pid == pid {
			next = append(next, r.known[i])
			i++
		} else {
			next = append(next, tracked{pid: pid})
		}
	}
	for ; i < len(r.known); i++ {
		r.release(&r.known[i])
	}
	r.known, r.spare = next, r.known[:0]
}

func (r *ProcessReader) readProcess(t *tracked, to *Processes) {
	p := Process{PID: t.pid}
	var nowhere int
	count := &nowhere // where this process belongs
	var problem error
	if !r.lacking {
		err := r.readKSM(t, &p.KSM)
		switch {
		case err == nil:
			count = &to.Readable
		case err == errNoMemory:
			to.NoMemory++
			return
		case isDenied(err):
			count = &to.Denied
		case !notThere(err):
			problem = err
		}
	}
	t.registered = p.KSM.Registered()
	if t.registered || r.All {
		err := r.readStat(t, &p)
		switch {
		case err == errNoMemory:
			to.NoMemory++
			return
		case notThere(err):
			return // it went in between
		case err != nil && !isDenied(err) && problem == nil:
			problem = err
		}
		if !isDenied(err) {
			to.List = append(to.List, p)
		}
		if t.registered {
			to.Registered++
		}
	} else if t.files[homeFile].IsOpen() || t.files[statFile].IsOpen() {
		r.close(&t.files[homeFile])
		r.close(&t.files[statFile])
	}
	if problem != nil {
		count = &to.Malformed
		if to.Problem == nil {
			to.Problem = problem
		}
	}
	*count++
}

func isDenied(err error) bool { return err == unix.EACCES || err == unix.EPERM }

// readKSM reads t's ksm_stat. The error is a bare errno if the process has gone
// or may not be read, errNoMemory, or else an *Error.
func (r *ProcessReader) readKSM(t *tracked, to *ProcessStat) error {
	which := t.ksmFile()
	if file := t.files[which]; file.IsOpen() {
		if text, err := file.Once(r.buf[:]); err == nil {
			return r.parse(t, text, to)
		}
		// The process has gone. If its number is still listed it is another's.
		r.release(t)
		*t = tracked{pid: t.pid}
	}
	if t.wait == 0 {
		err := r.openKSM(t, to)
		if !isDenied(err) {
			return err
		}
		t.wait = retryDenied + t.pid%retryDenied // not everybody in one reading
		t.noMemory = r.hasNoMemory(t)
	}
	t.wait--
	if t.noMemory {
		return errNoMemory
	}
	return unix.EACCES
}

// openKSM opens ksm_stat or, before Linux 6.1, ksm_merging_pages, and reads it.
func (r *ProcessReader) openKSM(t *tracked, to *ProcessStat) error {
	t.bare = false
	file, err := r.openFile(t, ksmStatFile)
	if err == unix.ENOENT {
		t.bare = true
		file, err = r.openFile(t, mergingFile)
	}
	if err != nil {
		return r.unexpected(t, t.ksmFile(), err)
	}
	text, err := file.Once(r.buf[:])
	if err != nil {
		file.Close()
		return r.unexpected(t, t.ksmFile(), err)
	}
	err = r.parse(t, text, to)
	t.registered = to.Registered()
	r.keep(t, t.ksmFile(), file)
	return err
}

// ksmFile returns the file with the KSM data of t.
func (t *tracked) ksmFile() processFile {
	if t.bare {
		return mergingFile
	}
	return ksmStatFile
}

// parse stores the content of t's KSM file.
func (r *ProcessReader) parse(t *tracked, text []byte, to *ProcessStat) error {
	if len(text) == 0 {
		return errNoMemory
	}
	if t.bare {
		return r.malformed(t, mergingFile, to.parseMerging(text))
	}
	if string(text) == string(r.last[:r.lastLen]) {
		*to = r.lastStat
	} else {
		if err := to.parse(text); err != nil {
			return r.malformed(t, ksmStatFile, err)
		}
		if !to.Registered() && len(text) <= len(r.last) {
			r.lastStat, r.lastLen = *to, copy(r.last[:], text)
		}
	}
	if to.Has(KSMRmapItems) && !to.Has(KSMMergingPages) {
		return r.readMerging(t, to)
	}
	return nil
}

// readMerging reads ksm_merging_pages for Linux 6.1 to 6.3, which have that
// number in its own file only.
func (r *ProcessReader) readMerging(t *tracked, to *ProcessStat) error {
	if to.RmapItems == 0 { // what is not tracked is not merged
		to.Present |= KSMMergingPages
		r.close(&t.files[mergingFile])
		return nil
	}
	t.registered = true
	text, err := r.read(t, mergingFile)
	if err != nil {
		return r.unexpected(t, mergingFile, err)
	}
	if len(text) == 0 {
		return errNoMemory
	}
	return r.malformed(t, mergingFile, to.parseMerging(text))
}

// readStat fills in what is not about KSM. Its errors are as those of readKSM.
func (r *ProcessReader) readStat(t *tracked, p *Process) error {
	var err error
	if p.UID, err = r.owner(t); err != nil {
		return err
	}
	text, err := r.read(t, statFile) // after owner: it shows that the process still was there
	if err != nil {
		return r.unexpected(t, statFile, err)
	}
	stat, err := procfs.ParseStat(text)
	if err != nil {
		return r.malformed(t, statFile, err)
	}
	if withoutMemory(&stat) {
		return errNoMemory
	}
	if t.start != stat.Start || t.comm != string(stat.Comm) {
		t.start, t.comm = stat.Start, string(stat.Comm)
	}
	p.PPID, p.Start, p.Comm, p.RSS = stat.PPID, t.start, t.comm, Pages(stat.RSS)
	return nil
}

// hasNoMemory reports whether t is known to have no memory.
func (r *ProcessReader) hasNoMemory(t *tracked) bool {
	file, err := r.openFile(t, statFile)
	if err != nil {
		return false
	}
	defer file.Close()
	text, err := file.Once(r.buf[:])
	if err != nil {
		return false
	}
	stat, err := procfs.ParseStat(text)
	return err == nil && withoutMemory(&stat)
}

// withoutMemory reports whether a process has no memory of its own: it is a
// thread of the kernel, or it has ended (PF_EXITING).
func withoutMemory(stat *procfs.Stat) bool {
	const exiting = 0x4
	return stat.KernelThread() || stat.Flags&exiting != 0
}

// owner returns the effective user of a process: the owner of its directory.
// Unlike the owner of the files in it that holds for every program.
func (r *ProcessReader) owner(t *tracked) (uint32, error) {
	home := t.files[homeFile]
	if !home.IsOpen() {
		var err error
		if home, err = r.openFile(t, homeFile); err != nil {
			return 0, r.unexpected(t, homeFile, err)
		}
		defer r.keep(t, homeFile, home)
	}
	var st unix.Stat_t
	err := unix.Fstat(home.FD(), &st)
	return st.Uid, err
}

// read returns the content of a file of t, through a kept descriptor if there
// is one. An error of that descriptor means that the process has gone.
func (r *ProcessReader) read(t *tracked, which processFile) ([]byte, error) {
	if file := t.files[which]; file.IsOpen() {
		text, err := file.Once(r.buf[:])
		if err != nil {
			r.release(t)
		}
		return text, err
	}
	file, err := r.openFile(t, which)
	if err != nil {
		return nil, err
	}
	text, err := file.Once(r.buf[:])
	if err != nil {
		file.Close()
		return nil, err
	}
	r.keep(t, which, file)
	return text, nil
}

// unexpected returns err as it is if it says that a process has gone or may
// not be read, and an *Error otherwise.
func (r *ProcessReader) unexpected(t *tracked, which processFile, err error) error {
	if notThere(err) || isDenied(err) {
		return err
	}
	return &Error{Op: "read", Path: r.path(t, which), Err: err}
}

func (r *ProcessReader) malformed(t *tracked, which processFile, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "parse", Path: r.path(t, which), Err: err}
}

func (r *ProcessReader) path(t *tracked, which processFile) string {
	return filepath.Join(r.fsys.proc(), strconv.Itoa(t.pid), processFileNames[which])
}

func (r *ProcessReader) openFile(t *tracked, which processFile) (kept.File, error) {
	path := strconv.Itoa(t.pid) + "/" + processFileNames[which]
	file, err := kept.OpenAt(r.dir.FD(), path)
	if err != unix.EMFILE && err != unix.ENFILE {
		return file, err
	}
	// Fewer descriptors are to be had than the limit says.
	const some = 8
	r.limit = max(0, r.open-some)
	for r.open > r.limit && r.recycle() {
	}
	r.reserve.Close()
	return kept.OpenAt(r.dir.FD(), path)
}

// prepareFiles makes ready for a reading what has to do with the number of
// descriptors.
func (r *ProcessReader) prepareFiles() {
	if r.refused > 0 && !r.fixed {
		want, before := 2*(r.open+r.refused), r.most
		raiseFileLimit(want + spareFiles)
		r.setLimit()
		r.fixed = r.most < want
		if r.most > before {
			r.limit = r.most
		}
	}
	if r.limit < r.most {
		r.limit++ // perhaps others have closed some
	}
	r.refused, r.hand = 0, 0
}

// takeReserve opens the reserve, if need be.
func (r *ProcessReader) takeReserve() {
	if !r.reserve.IsOpen() {
		r.reserve, _ = kept.OpenAt(r.dir.FD(), ".")
	}
}

// setLimit computes how many descriptors may be held.
func (r *ProcessReader) setLimit() {
	n := fileLimit()
	r.most = n - min(spareFiles, n/2)
}

// keep makes file one of t's kept ones if there is room for it or if it is
// worth another's, and closes it otherwise.
func (r *ProcessReader) keep(t *tracked, which processFile, file kept.File) {
	if r.open >= r.limit {
		r.refused++
		if !t.registered || !r.recycle() {
			file.Close()
			return
		}
	}
	t.files[which] = file
	r.open++
}

// recycle closes the descriptors of one process that has nothing to do with
// KSM. It is false if there is none. All calls in one reading together look at
// each process once.
func (r *ProcessReader) recycle() bool {
	for ; r.hand < len(r.known); r.hand++ {
		t := &r.known[r.hand]
		if !t.registered && r.release(t) {
			return true
		}
	}
	return false
}

// release closes t's descriptors and reports whether it had any.
func (r *ProcessReader) release(t *tracked) bool {
	before := r.open
	for i := range t.files {
		r.close(&t.files[i])
	}
	return r.open < before
}

func (r *ProcessReader) close(f *kept.File) {
	if f.IsOpen() {
		f.Close()
		r.open--
	}
}

// fileLimit returns how many descriptors this process may have.
func fileLimit() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 256
	}
	return int(min(l.Cur, 1<<20))
}

// raiseFileLimit tries to make want descriptors possible. Root may go above
// the hard limit.
func raiseFileLimit(want int) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || uint64(want) <= l.Cur {
		return
	}
	higher := l
	higher.Cur = max(uint64(want), l.Max)
	higher.Max = higher.Cur
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &higher) == nil || l.Cur == l.Max {
		return
	}
	higher.Cur, higher.Max = l.Max, l.Max
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &higher) // as before then
}
