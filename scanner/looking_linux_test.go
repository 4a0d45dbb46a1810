package scanner

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
)

func stillChild(c *child, args []string) error {
	huge := func(name string, bytes int) []byte {
		mem := c.area(name, bytes/testPage, readWrite, private, -1)
		if err := unix.Madvise(mem, unix.MADV_HUGEPAGE); err != nil && err != unix.EINVAL {
			fmt.Println(err)
		}
		return mem
	}
	c.area("untouched", 64<<20/testPage, readWrite, private, -1)
	huge("hugeuntouched", 64<<20)
	plain := c.area("plain", 2000, readWrite, private, -1)
	fillPages(plain, 0, 1000)
	zero := c.area("zero", 4000, readWrite, private, -1)
	readPages(zero, 1000, 2000)
	fillPages(huge("huge", 8<<20), 0, 8<<20/testPage)
	readPages(huge("hugezero", 8<<20), 0, 2<<20/testPage)
	none := c.area("none", 1000, readWrite, private, -1)
	fillPages(none, 100, 500)
	if err := unix.Mprotect(none, unix.PROT_NONE); err != nil {
		return err
	}
	if args[0] == "swap" {
		swap := c.area("swap", 1000, readWrite, private, -1)
		if err := unix.Madvise(swap, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
			return err
		}
		fillPages(swap, 0, 1000)
		if err := unix.Madvise(swap, unix.MADV_PAGEOUT); err != nil {
			return err
		}
	}
	return nil
}

// conditionOf returns what looking at a process could change.
func conditionOf(t *testing.T, pid int) []string {
	t.Helper()
	var b strings.Builder
	for name, keys := range map[string]string{
		"status":       "VmPeak VmSize VmLck VmPin VmHWM VmRSS RssAnon RssFile RssShmem VmData VmPTE VmSwap",
		"smaps_rollup": "Rss Anonymous AnonHugePages Swap",
	} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if key, value, _ := strings.Cut(line, ":"); slices.Contains(strings.Fields(keys), key) {
				fmt.Fprintf(&b, "%s/%s %s\n", name, key, strings.TrimSpace(value))
			}
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	fmt.Fprintf(&b, "minflt %s majflt %s rss %s", fields[8], fields[10], fields[22]) // fields 10, 12 and 24
	lines := strings.Split(b.String(), "\n")
	slices.Sort(lines)
	return lines
}

func testLooking(t *testing.T, kind string) (child *process) {
	child = startChild(t, nil, "still", kind)
	child.stop(t)
	pid := child.Process.Pid
	before := conditionOf(t, pid)
	for _, scan := range []bool{true, false} {
		p := openProcess(t, pid, AreasAuto)
		p.pagemap.scan = p.pagemap.scan && scan
		var total Tally
		b := NewBuffer()
		for range 2 {
			for _, s := range spansOf(t, p) {
				tally, err := p.Read(t.Context(), s, b, func([]byte, []Run) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				total.Add(tally)
			}
		}
		if want := uint64(2 * (1000 + 8<<20/testPage + 500)); total.Pages < want {
			t.Errorf("%d pages read, want at least %d", total.Pages, want)
		}
		if swapped := total.SwappedPages; kind == "swap" && swapped < 2*500 {
			t.Errorf("%d pages swapped, want most of %d", swapped, 2*1000)
		}
		scanVerified(t, pid, AreasAuto)
		for i, after := range conditionOf(t, pid) {
			if after != before[i] {
				t.Errorf("scan=%t: looking changed %q to %q", scan, before[i], after)
			}
		}
	}
	return child
}

// scanVerified scans a process with everything that a scan can do.
func scanVerified(t *testing.T, pid int, areas Areas) {
	t.Helper()
	r, err := Scan(t.Context(), []Target{ProcessTarget(pid, "", areas)}, Options{Verify: true, Top: 5})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Verification; !r.Complete || !v.Complete || v.Compared == 0 || v.Unequal != 0 || v.Changed != 0 {
		t.Errorf("complete %v, %+v, want pages compared, and all equal", r.Complete, v)
	}
}

// TestLookingChangesNothing compares all that the kernel says of a process
// that stands still.
func TestLookingChangesNothing(t *testing.T) {
	child := testLooking(t, "memory")
	// To prove the measure: this is what a reader does that does not ask first.
	pid := child.Process.Pid
	before := conditionOf(t, pid)
	e := child.areas["untouched"]
	mem := make([]byte, e.end-e.start)
	local := []unix.Iovec{{Base: &mem[0]}}
	local[0].SetLen(len(mem))
	if _, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(e.start), Len: len(mem)}}, 0); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(conditionOf(t, pid), before) {
		t.Error("reading untouched memory changed nothing that is measured here")
	}
}

// TestLookingSwapsNothingIn needs swap space, and makes some for its time.
func TestLookingSwapsNothingIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("swapon(2) needs root")
	}
	const size = 16 << 20
	header := make([]byte, testPage)
	header[1024] = 1 // version
	last := uint32(size/testPage - 1)
	header[1028], header[1029], header[1030], header[1031] = byte(last), byte(last>>8), byte(last>>16), byte(last>>24)
	copy(header[testPage-10:], "SWAPSPACE2")
	path := filepath.Join(t.TempDir(), "swap")
	// Swap files have no holes.
	if err := os.WriteFile(path, append(header, make([]byte, size-testPage)...), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(call uintptr) error {
		if _, _, errno := unix.Syscall(call, uintptr(pointer(name)), 0, 0); errno != 0 {
			return errno
		}
		return nil
	}
	if err := swap(unix.SYS_SWAPON); err != nil {
		t.Skipf("swapon %s: %v", path, err)
	}
	t.Cleanup(func() {
		if err := swap(unix.SYS_SWAPOFF); err != nil {
			t.Errorf("swapoff %s: %v", path, err)
		}
	})
	defer testLooking(t, "swap").end() // before swapoff
}

// forkedChild shares its memory with a child of its own, which does nothing, or
// writes to parts of each huge page first.
func forkedChild(c *child, args []string) error {
	fillPages(c.area("small", 1000, readWrite, private, -1), 0, 1000)
	huge := c.area("huge", 8<<20/testPage, readWrite, private, -1)
	if err := unix.Madvise(huge, unix.MADV_HUGEPAGE); err != nil && err != unix.EINVAL {
		return err
	}
	fillPages(huge, 0, 8<<20/testPage)
	written, err := separate(1, readWrite, unix.MAP_SHARED|unix.MAP_ANON, -1)
	if err != nil {
		return err
	}
	step := len(huge) + 1
	if args[0] == "partly" {
		step = 4 * testPage // the first page of each is among them
	}
	runtime.LockOSThread()
	self := uintptr(os.Getpid())
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
		for i := step; i <= len(huge); i += step {
			huge[i-step]++
		}
		written[0] = 1
		for {
			if parent, _, _ := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); parent != self {
				unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0) // it was killed before
			}
			unix.RawSyscall(unix.SYS_PPOLL, 0, 0, 0)
		}
	}
	for at := (*uint32)(unsafe.Pointer(&written[0])); atomic.LoadUint32(at) == 0; {
		time.Sleep(time.Millisecond)
	}
	if args[0] == "alone" { // what was shared, and is no more
		if err := unix.Kill(int(pid), unix.SIGKILL); err != nil {
			return err
		}
		if _, err := unix.Wait4(int(pid), nil, 0, nil); err != nil {
			return err
		}
	}
	return nil
}

// sharingOf returns how much of a process's anonymous areas it shares. Pages of
// files, its own program among them, are shared with whoever maps them next.
func sharingOf(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	var area string
	var lines []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "Rss:", "Shared_Dirty:", "Private_Dirty:", "Anonymous:", "AnonHugePages:", "KSM:":
			if area != "" {
				lines = append(lines, area+" "+strings.Join(fields, " "))
			}
		default:
			const inode = 4
			if strings.HasSuffix(fields[0], ":") {
				continue
			}
			area = ""
			if fields[inode] == "0" {
				area = fields[0]
			}
		}
	}
	return lines
}

// TestLookingUnsharesNothing looks at memory shared by fork, and at memory that
// was.
func TestLookingUnsharesNothing(t *testing.T) {
	for _, kind := range []string{"shared", "partly", "alone"} {
		t.Run(kind, func(t *testing.T) {
			child := startChild(t, nil, "forked", kind)
			child.stop(t)
			pid := child.Process.Pid
			before, beforeAll := sharingOf(t, pid), conditionOf(t, pid)
			p := openProcess(t, pid, AreasEligible)
			for range 2 {
				readAll(t, p, spansOf(t, p))
			}
			scanVerified(t, pid, AreasEligible)
			// Pages alone may be copied, which are then clean.
			if after := sharingOf(t, pid); kind != "alone" && !slices.Equal(after, before) {
				t.Errorf("looking changed %v to %v", before, after)
			}
			if after := conditionOf(t, pid); !slices.Equal(after, beforeAll) {
				t.Errorf("looking changed %v to %v", beforeAll, after)
			}
		})
	}
}

// TestLookingUnmergesNothing looks at KSM pages, of which one has only one mapping
// left.
func TestLookingUnmergesNothing(t *testing.T) {
	fsys := ksmtest.Guard(t)
	child := startChild(t, nil, "merging")
	defer child.end()
	ksmtest.Scan(t, 3)
	if _, err := child.stdin.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
	child.ready(t)
	child.stop(t)
	pid := child.Process.Pid
	before := sharingOf(t, pid)
	if c, err := fsys.Counters(); err != nil || c.PagesSharing < 99 {
		t.Fatalf("%d pages are merged, %v, want 100", c.PagesSharing, err)
	}
	cow := vmstat(t, "cow_ksm")
	for _, reading := range []Areas{AreasAuto, AreasEligible} {
		p := openProcess(t, pid, reading)
		readAll(t, p, spansOf(t, p))
		scanVerified(t, pid, reading)
	}
	if after := sharingOf(t, pid); !slices.Equal(after, before) {
		t.Errorf("looking changed %v to %v", before, after)
	}
	if n := vmstat(t, "cow_ksm"); n != cow {
		t.Errorf("looking unmerged: cow_ksm went from %d to %d", cow, n)
	}
}

func vmstat(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, name+" %d", &n); err == nil {
			return n
		}
	}
	if ksmtest.KernelSince(t, 5, 19) {
		t.Fatalf("/proc/vmstat has no %s", name)
	}
	t.Skipf("%s in /proc/vmstat needs Linux 5.19", name)
	return 0
}

// mergingChild marks 100 equal pages and 2 that are equal; told to, it writes to
// one of the two.
func mergingChild(c *child, args []string) error {
	mem := c.area("merging", 102, readWrite, private, -1)
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		return err
	}
	for i := range 102 {
		fill(mem[i*testPage:][:testPage], uint64(1+i/100))
	}
	if err := unix.Madvise(mem, unix.MADV_MERGEABLE); err != nil {
		return err
	}
	fmt.Println("ready")
	var line [1]byte
	if _, err := os.Stdin.Read(line[:]); err != nil {
		return err
	}
	mem[101*testPage] = 0xff // which leaves one
	return nil
}
