package model

import (
	"bytes"
	"errors"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/internal/guest"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Live takes samples of this machine, or of copied trees of /sys and /proc.
// It is not safe for concurrent use.
type Live struct {
	fsys   sysfs.FS
	ksm    *sysfs.Reader // nil without KSM
	noKSM  error
	procs  *sysfs.ProcessReader
	list   sysfs.Processes
	parts  []int64
	before sysfs.Reading // of the sample before
	known  map[int]*identity
	users  map[uint32]string
	round  uint64
	units  bool // look up control groups and virtual machines

	host, kernel string
}

// identity is what is remembered of a process between samples.
type identity struct {
	start   uint64
	comm    string
	uid     uint32
	name    string // cleaned
	command string // cleaned
	user    string
	guest   string // cleaned; of the arguments, or of the control group too if hasUnit
	cgroup  string // cleaned; empty unless hasUnit
	hasUnit bool
	trend   trend
	round   uint64 // of the last sample that had it
}

// NewLive opens the files below fsys. That there is no KSM is not an error:
// the samples say so. Close it after use.
func NewLive(fsys sysfs.FS) (*Live, error) {
	l := &Live{fsys: fsys, known: make(map[int]*identity), users: make(map[uint32]string)}
	var err error
	if l.procs, err = fsys.NewProcessReader(); err != nil {
		return nil, err
	}
	l.host = l.oneLine("sys/kernel/hostname")
	l.kernel = l.oneLine("sys/kernel/osrelease")
	l.openKSM()
	return l, nil
}

// Want says what samples shall have.
func (l *Live) Want(w Wants) { l.procs.All, l.units = w.All, w.Units }

// Close closes the files.
func (l *Live) Close() {
	if l.ksm != nil {
		l.ksm.Close()
	}
	l.procs.Close()
}

func (l *Live) openKSM() {
	l.ksm, l.noKSM = l.fsys.NewReader()
}

// oneLine returns the cleaned content of a file of /proc, or nothing.
func (l *Live) oneLine(name string) string {
	content, err := os.ReadFile(l.fsys.ProcPath(name))
	if err != nil {
		return ""
	}
	return text.Clean(string(bytes.TrimSuffix(content, []byte{'\n'})))
}

// Read replaces *to by a new sample, using its memory again.
func (l *Live) Read(to *Sample) {
	l.round++
	*to = Sample{
		Source: "live", Time: time.Now(), Host: l.host, Kernel: l.kernel,
		PageSize: l.fsys.PageBytes(), Rows: to.Rows[:0],
	}
	if l.ksm == nil && !errors.Is(l.noKSM, sysfs.ErrNotSupported) {
		l.openKSM() // what kept it away may have passed
	}
	to.NoKSM = l.noKSM
	if l.ksm != nil {
		l.ksm.Read(&to.Reading)
		to.Time = to.Reading.Time
		to.Savings, to.HasSavings = to.Reading.Counters.Savings(to.PageSize)
		// Zero pages that could not be counted are not none.
		to.HasSavings = to.HasSavings && to.Reading.Problem(sysfs.KSMZeroPages) == nil
		if !l.before.Time.IsZero() {
			to.Rates = sysfs.RatesBetween(&l.before, &to.Reading)
		}
		l.before = to.Reading
	}
	l.readProcesses(to)
}

func (l *Live) readProcesses(to *Sample) {
	if err := l.procs.Read(&l.list); err != nil {
		to.ProcessProblem = err
		return
	}
	to.Counts = Counts{l.list.Seen, l.list.Readable, l.list.Denied, l.list.Registered, l.list.Malformed}
	to.ProcessProblem = l.list.Problem
	l.parts, to.Unattributed, to.HasUnattributed = to.Reading.Counters.Attribute(l.list.List, to.PageSize, l.parts[:0])
	to.HasUnattributed = to.HasUnattributed && to.HasSavings
	for i := range l.list.List {
		p := &l.list.List[i]
		id := l.identify(p)
		row := Row{Process: *p, User: id.user, Name: id.name, Command: id.command, Cgroup: id.cgroup, Guest: id.guest}
		cost := p.KSM.MetadataBytes()
		if to.HasUnattributed {
			row.Saved = l.parts[i]
			row.Net = row.Saved - cost
		}
		row.Profit = row.MergedPages()*to.PageSize - cost
		if p.KSM.Has(sysfs.KSMProcessProfit) {
			row.Profit = p.KSM.Profit
		}
		if row.HasProfit() {
			row.Trend, row.HasTrend = id.trend.next(to.Time, row.Profit)
		}
		to.Rows = append(to.Rows, row)
	}
	l.forget()
}

// identify returns what is remembered of p, or looks it up.
func (l *Live) identify(p *sysfs.Process) *identity {
	id := l.known[p.PID]
	if id == nil || id.start != p.Start || id.comm != p.Comm || id.uid != p.UID {
		id = &identity{start: p.Start, comm: p.Comm, uid: p.UID, name: text.Clean(p.Comm), user: l.userName(p.UID)}
		id.command, id.guest = l.commandLine(p.PID, id.name)
		l.known[p.PID] = id
	}
	if l.units && !id.hasUnit {
		l.lookUpUnit(p.PID, id)
	}
	id.round = l.round
	return id
}

// forget drops processes that the last sample did not have.
func (l *Live) forget() {
	if len(l.known) == len(l.list.List) {
		return
	}
	for pid, id := range l.known {
		if id.round != l.round {
			delete(l.known, pid)
		}
	}
}

// commandLine returns the arguments of a process with blanks between them, and
// the name of the virtual machine that it runs, if it runs one.
func (l *Live) commandLine(pid int, name string) (line, vm string) {
	content, err := os.ReadFile(l.fsys.ProcPath(strconv.Itoa(pid), "cmdline"))
	if err != nil || len(content) == 0 {
		return "[" + name + "]", ""
	}
	args := strings.TrimRight(string(content), "\x00")
	vm, _ = guest.FromArgs(strings.Split(args, "\x00"))
	return text.Clean(strings.ReplaceAll(args, "\x00", " ")), text.Clean(vm)
}

// lookUpUnit finds out to which control group a process belongs and, unless its
// arguments have told, to which virtual machine or container.
func (l *Live) lookUpUnit(pid int, id *identity) {
	id.hasUnit = true
	cgroup := guest.Cgroup(l.fsys.ProcPath(strconv.Itoa(pid)))
	id.cgroup = text.Clean(cgroup)
	if id.guest == "" {
		name, _ := guest.FromCgroup(cgroup)
		id.guest = text.Clean(name)
	}
}

func (l *Live) userName(uid uint32) string {
	if name, ok := l.users[uid]; ok {
		return name
	}
	number := strconv.FormatUint(uint64(uid), 10)
	name := number
	if u, err := user.LookupId(number); err == nil && u.Username != "" {
		name = text.Clean(u.Username)
	}
	l.users[uid] = name
	return name
}

// trend estimates how fast a value changes, from its value 30 to 60 seconds
// ago.
type trend struct {
	older, newer struct {
		at    time.Time
		value int64
	}
}

const trendStep = 30 * time.Second

// next takes a value in and returns the change per minute.
func (t *trend) next(now time.Time, value int64) (perMinute float64, ok bool) {
	if t.older.at.IsZero() {
		t.older.at, t.older.value = now, value
		t.newer = t.older
		return 0, false
	}
	if now.Sub(t.newer.at) >= trendStep {
		t.older = t.newer
		t.newer.at, t.newer.value = now, value
	}
	elapsed := now.Sub(t.older.at)
	if elapsed <= 0 {
		return 0, false
	}
	return float64(value-t.older.value) / elapsed.Minutes(), true
}
