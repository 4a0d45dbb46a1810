package scanner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/procfs"
)

// Process is the memory of a live process, as it was divided when it was
// opened: areas that come later are not seen.
//
// Reading it leaves no trace in it but the accessed bit of the pages read, and
// that a few pages that were shared by a fork, and are no more, may be replaced
// by copies, which take no more memory. It needs the right to attach to the
// process, that is CAP_SYS_PTRACE for those of other users, but does not stop
// it: pages may change while they are read.
//
// A page is never of another process or another program: after each batch has
// been read, and before it is handed out, /proc/PID/stat, which was opened at
// the start and so belongs to one process for ever, tells whether that still is
// there and has the memory it had.
type Process struct {
	pid      int
	name     string
	pageSize int
	areas    []area
	mode     Areas
	guesses  bool
	pages    uint64
	identity identity
	start    uint64

	stat    int // descriptors, of /proc/PID/stat
	pagemap pagemap
	merging int // of /proc/PID/ksm_merging_pages, or -1
	noKSM   bool
	mem     int         // of /proc/PID/mem
	noReadv atomic.Bool // process_vm_readv is forbidden or missing
}

// OpenProcess returns the memory of a process, or those areas of it. It holds
// up to four file descriptors.
//
// Errors are an *[Error] with [ErrNoProcess], [ErrGone], a *[RefusedError] or
// [ErrNotSupported]. A kernel thread has no memory, which is no error.
func OpenProcess(pid int, areas Areas) (*Process, error) {
	p := &Process{pid: pid, name: "pid " + strconv.Itoa(pid), pageSize: os.Getpagesize(), stat: -1, mem: -1, merging: -1}
	p.pagemap = pagemap{fd: -1, pageSize: uint64(p.pageSize)}
	if err := p.open(areas); err != nil {
		p.Close()
		return nil, newError("open", p.name, err)
	}
	return p, nil
}

func (p *Process) open(areas Areas) error {
	// The number is one of the caller's PID namespace, and /proc must be, too.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("no /proc of this PID namespace: %w", ErrNotSupported)
	}
	dir, err := unix.Open("/proc/"+strconv.Itoa(p.pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return ErrNoProcess
	}
	if err != nil {
		return p.explain(err)
	}
	defer unix.Close(dir)

	if p.stat, err = p.openFile(dir, "stat"); err != nil {
		return err
	}
	b := borrow()
	defer giveBack(b)
	stat, err := p.readStat(b)
	if err != nil {
		return err
	}
	process, err := procfs.ParseStat(stat)
	if err != nil {
		return err
	}
	p.start, p.pages = process.Start, process.RSS
	if p.identity = identify(stat); process.KernelThread() {
		p.mode = AreasEligible
		return nil
	}
	if p.pagemap.fd, err = p.openFile(dir, "pagemap"); err != nil {
		return err
	}
	p.pagemap.probe(b)
	if p.mem, err = p.openFile(dir, "mem"); err != nil {
		return err
	}
	p.merging, err = unix.Openat(dir, "ksm_merging_pages", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	// Without the file there are no KSM pages, or the kernel is older than 5.19
	// and unmerges nothing that is read.
	p.noKSM = err == unix.ENOENT
	if err := p.readAreas(dir, areas); err != nil {
		return err
	}
	if err := p.same(b); err != nil {
		return err
	}

	var size uint64
	for i := range p.areas {
		if a := &p.areas[i]; a.reason == eligible {
			size += (a.end - a.start) / uint64(p.pageSize)
		}
	}
	p.pages = min(p.pages, size)
	return nil
}

// openFile opens a file of the process's directory.
func (p *Process) openFile(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && p.stat >= 0 && p.exists() {
		return -1, fmt.Errorf("no /proc/%d/%s: %w", p.pid, name, ErrNotSupported)
	}
	if err != nil {
		return -1, p.explain(err)
	}
	return fd, nil
}

// readAreas stores the areas of the process. smaps says which are marked, and
// costs the kernel a look at all pages; it is read only for a process that may
// have marks.
func (p *Process) readAreas(dir int, mode Areas) error {
	name := "maps"
	if mode != AreasEligible && p.mayHaveMarks(dir) {
		name = "smaps"
	}
	fd, err := p.openFile(dir, name)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	areas, flags, err := parseAreas(file)
	if err != nil {
		if errno, ok := errors.AsType[unix.Errno](err); ok {
			return p.explain(errno)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	p.areas, p.guesses = areas, !flags
	p.mode = choose(areas, mode)
	return nil
}

// mayHaveMarks asks ksm_stat, which tells since Linux 6.14.
func (p *Process) mayHaveMarks(dir int) bool {
	fd, err := unix.Openat(dir, "ksm_stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	var text [1024]byte
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return true
	}
	noes := 0
	procfs.Lines(text[:n], func(key, value []byte) bool {
		switch string(key) {
		case "ksm_merge_any", "ksm_mergeable":
			if string(value) == "no" {
				noes++
			}
		}
		return true
	})
	return noes < 2
}

// explain gives an error of the kernel its meaning.
func (p *Process) explain(err error) error {
	switch err {
	case unix.ESRCH, unix.ENOENT:
		return ErrGone
	case unix.EPERM, unix.EACCES:
		if p.exiting() {
			return ErrGone
		}
		return p.refused(err)
	}
	return err
}

// exiting reports whether the process is about to end or has ended: then what
// belonged to its user belongs to root.
func (p *Process) exiting() bool {
	var text [1024]byte
	n, err := unix.Pread(p.stat, text[:], 0)
	if err != nil {
		return err == unix.ESRCH
	}
	stat, err := procfs.ParseStat(text[:n])
	return err == nil && stat.Exiting()
}

// fail is an error of a file that is open.
func (p *Process) fail(op string, err error) error { return newError(op, p.name, p.explain(err)) }

// refused says what is missing for the right to read the process.
func (p *Process) refused(err error) error {
	refused := &RefusedError{Err: err}
	if !haveCapability(unix.CAP_SYS_PTRACE) {
		refused.Capability = "CAP_SYS_PTRACE"
	}
	text, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope") // without Yama there is none, and no restriction
	refused.Yama, _ = strconv.Atoi(string(bytes.TrimSpace(text)))
	return refused
}

// haveCapability reports whether the calling thread has an effective
// capability; if it can not tell, that it has not.
func haveCapability(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}

// identity tells one memory from the memory of the next program in the same
// process: fields of /proc/PID/stat, numbered as in proc_pid_stat(5).
type identity struct {
	startCode  uint64 // field 26
	startStack uint64 // field 28
}

// identify returns the identity in the text of a stat, which has been parsed
// before or is the text of a dead process.
func identify(stat []byte) identity {
	var id identity
	stat = stat[bytes.LastIndexByte(stat, ')')+1:]
	field := 2
	for word := range bytes.FieldsSeq(stat) {
		field++
		switch field {
		case 26:
			id.startCode = decimal(word)
		case 28:
			id.startStack = decimal(word)
			return id
		}
	}
	return id
}

func decimal(word []byte) uint64 {
	var n uint64
	for _, c := range word {
		n = n*10 + uint64(c-'0')
	}
	return n
}

func (p *Process) readStat(b *liveBuffer) ([]byte, error) {
	n, err := unix.Pread(p.stat, b.stat[:], 0)
	if err != nil {
		return nil, p.explain(err)
	}
	return b.stat[:n], nil
}

// same returns ErrGone if the process is no more, or runs another program. The
// number of a process is not given to another before this notices.
func (p *Process) same(b *liveBuffer) error {
	stat, err := p.readStat(b)
	if err == nil && identify(stat) != p.identity {
		err = ErrGone
	}
	return err
}

// exists is same for who has no buffer.
func (p *Process) exists() bool {
	b := borrow()
	defer giveBack(b)
	return p.same(b) == nil
}

// unmerged reports whether the process surely has no KSM pages.
func (p *Process) unmerged(b *liveBuffer) bool {
	if p.noKSM {
		return true
	}
	n, err := unix.Pread(p.merging, b.stat[:], 0)
	return err == nil && string(b.stat[:n]) == "0\n"
}

// Name returns "pid " and the number.
func (p *Process) Name() string { return p.name }

// PageSize is the machine's.
func (p *Process) PageSize() int { return p.pageSize }

// PID is the number of the process.
func (p *Process) PID() int { return p.pid }

// Start says when the process began, in ticks of 1/100 s since boot. With PID
// it names one process for ever: it tells whether this is the process that was
// meant.
func (p *Process) Start() uint64 { return p.start }

// Areas says which areas are read: AreasEligible or AreasMarked, also after
// AreasAuto.
func (p *Process) Areas() Areas { return p.mode }

// Guesses reports whether the areas were told from /proc/PID/maps alone.
// ReasonHugetlb and ReasonSpecial are then told from the names of areas, and
// those of MAP_DROPPABLE are taken for memory that can be merged.
func (p *Process) Guesses() bool { return p.guesses }

// ZeroPagesKnown reports whether the kernel tells which pages are mappings of
// the zero page, since Linux 6.7. Before, they are read like others, and
// the content says only that they are zero. From 6.7 on kernels without the
// repair of 6.18 do not tell it of the huge zero page.
func (p *Process) ZeroPagesKnown() bool { return p.pagemap.scan }

// Pages estimates the pages by the resident set of the process when it was
// opened, if the areas are as large.
func (p *Process) Pages() uint64 { return p.pages }

// Close closes the files.
func (p *Process) Close() error {
	for _, fd := range []*int{&p.stat, &p.pagemap.fd, &p.mem, &p.merging} {
		if *fd >= 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
	return nil
}

// Spans implements [Source].
func (p *Process) Spans(dst []Span) ([]Span, error) { return p.listSpans(dst, 0) }

// likelySpans returns spans that together have all that is there. An area that is
// smaller than a batch is among them unseen: to look is as much work as to read it
// together with others.
func (p *Process) likelySpans() ([]Span, error) { return p.listSpans(nil, BatchBytes) }

// listSpans appends the spans of areas that have something in them, or are smaller
// than small.
func (p *Process) listSpans(dst []Span, small uint64) ([]Span, error) {
	b := borrow()
	defer giveBack(b)
	for i := range p.areas {
		a := &p.areas[i]
		if a.end-a.start < small {
			dst = append(dst, Span{a.start, a.end, i})
			continue
		}
		var err error
		if dst, err = p.spans(dst, a.start, a.end, i, b); err != nil {
			return dst, p.fail("list", err)
		}
	}
	if err := p.same(b); err != nil {
		return dst, p.fail("list", err)
	}
	return dst, nil
}

// spans appends the spans of start..end, each from where there is something.
func (p *Process) spans(dst []Span, start, end uint64, part int, b *liveBuffer) ([]Span, error) {
	for start < end {
		at, err := p.pagemap.find(start, end, b)
		if err != nil {
			return dst, err
		}
		if at >= end {
			break
		}
		// It ends on a multiple, so that huge pages are not torn.
		start = min((at+SpanBytes)&^(BatchBytes-1), end)
		dst = append(dst, Span{at, start, part})
	}
	return dst, nil
}
