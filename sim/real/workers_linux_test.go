//go:build amd64 || arm64

package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/procfs"
	"github.com/ksmtop/ksmtop/sim"
)

// These tests need neither root nor KSM: no memory is mergeable.

// onlyProcesses returns a Kernel that can do what needs no ksmd.
func onlyProcesses(t testing.TB) *Kernel {
	t.Helper()
	first, base, limit, err := startFirst()
	if err != nil {
		t.Fatal(err)
	}
	k := &Kernel{
		page: uint64(os.Getpagesize()), first: first, base: base, limit: limit,
		processes: make(map[string]*process),
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// must ends the test at the first error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("operation %d: %v", i, err)
		}
	}
}

// memory reads a page of a process from outside. It returns nil where nothing
// is mapped.
func (k *Kernel) memory(t testing.TB, name, area string, page int) []byte {
	t.Helper()
	p := k.processes[name]
	file, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	buf := make([]byte, k.page)
	_, err = file.ReadAt(buf, int64(k.address(p, area, page)))
	if errors.Is(err, unix.EIO) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

// checkContent compares a page with what a script calls content.
func (k *Kernel) checkContent(t testing.TB, name, area string, page int, content uint64) {
	t.Helper()
	want := make([]byte, k.page)
	sim.Fill(want, content)
	if got := k.memory(t, name, area, page); !bytes.Equal(got, want) {
		t.Errorf("page %d of area %s of %s does not hold content %d: it begins with %x, want %x",
			page, area, name, content, got[:min(16, len(got))], want[:16])
	}
}

// smaps returns a value of an area from /proc/PID/smaps, such as "8 kB", or ""
// if the area has no such line or is not mapped.
func (k *Kernel) smaps(t testing.TB, name, area, key string) string {
	t.Helper()
	p := k.processes[name]
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), fmt.Sprintf("%x-", p.areas[area]))
	if !found {
		return ""
	}
	_, rest, found = strings.Cut(rest, "\n"+key+":")
	if !found {
		t.Fatalf("smaps has no %s", key)
	}
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

func TestContents(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	const large = math.MaxInt64 - 1
	must(t,
		k.Spawn(ctx, "p"), k.Map(ctx, "p", "a", 8),
		k.Write(ctx, "p", "a", 1, 3, 0, 1),
		k.Write(ctx, "p", "a", 4, 2, large, 1),
		k.Write(ctx, "p", "a", 6, 2, 7, 0),
	)
	for page, content := range []uint64{0, 0, 1, 2, large, large + 1, 7, 7} {
		k.checkContent(t, "p", "a", page, content)
	}
	must(t, k.Write(ctx, "p", "a", 6, 1, 0, 1)) // over other content
	k.checkContent(t, "p", "a", 6, 0)
	k.checkContent(t, "p", "a", 7, 7)
}

// A write and a read that are larger than a command carries on at the right
// page with the right content.
func TestChunks(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	const pages = 2*chunk + 10
	must(t, k.Spawn(ctx, "p"), k.Map(ctx, "p", "a", pages+1), k.Write(ctx, "p", "a", 0, pages, 100, 1))
	for _, page := range []int{0, chunk - 1, chunk, 2*chunk - 1, 2 * chunk, pages - 1} {
		k.checkContent(t, "p", "a", page, 100+uint64(page))
	}
	want := fmt.Sprintf("%d kB", pages*k.page/1024)
	if got := k.smaps(t, "p", "a", "Rss"); got != want {
		t.Errorf("Rss = %s, want %s", got, want)
	}
	must(t, k.DontNeed(ctx, "p", "a", 0, pages), k.Read(ctx, "p", "a", 0, pages+1))
	if got := k.present(t, "p", "a", pages+1); got != pages+1 {
		t.Errorf("reading %d pages made %d present", pages+1, got)
	}
}

// present counts the pages of an area that are present, from /proc/PID/pagemap.
func (k *Kernel) present(t testing.TB, name, area string, pages int) int {
	t.Helper()
	p := k.processes[name]
	file, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	entries := make([]byte, 8*pages)
	if _, err := file.ReadAt(entries, int64(p.areas[area]/k.page*8)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := 7; i < len(entries); i += 8 {
		n += int(entries[i] >> 7)
	}
	return n
}

// Zeros that are written make a page; reading makes none, where the zero page is
// mapped.
func TestTouching(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	must(t, k.Spawn(ctx, "p"), k.Map(ctx, "p", "a", 6))
	check := func(after string, present, anonymous int) {
		t.Helper()
		if got := k.present(t, "p", "a", 6); got != present {
			t.Errorf("after %s %d pages are present, want %d", after, got, present)
		}
		want := fmt.Sprintf("%d kB", uint64(anonymous)*k.page/1024)
		if got := k.smaps(t, "p", "a", "Anonymous"); got != want {
			t.Errorf("after %s Anonymous = %s, want %s", after, got, want)
		}
	}
	check("map", 0, 0)
	must(t, k.Read(ctx, "p", "a", 1, 2))
	read := 0
	if k.ReadsMakePages() {
		read = 1
	}
	check("read", 2, 2*read)
	must(t, k.Write(ctx, "p", "a", 2, 2, 0, 0)) // one that was read, one that was not
	check("write", 3, 2+read)
	must(t, k.DontNeed(ctx, "p", "a", 1, 2))
	check("dontneed", 1, 1)
	if flags := k.smaps(t, "p", "a", "VmFlags"); !slicesContain(flags, "nh") {
		t.Errorf("VmFlags = %s, want nh: no huge pages", flags)
	}
}

func slicesContain(words, word string) bool {
	return strings.Contains(" "+words+" ", " "+word+" ")
}

func TestAreas(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	must(t, k.Spawn(ctx, "p"), k.Map(ctx, "p", "z", 2), k.Map(ctx, "p", "a", 1), k.Fork(ctx, "p", "c"),
		k.Map(ctx, "c", "m", 1), k.Map(ctx, "p", "n", 1))
	p, c := k.processes["p"].areas, k.processes["c"].areas
	if p["z"]+2*k.page >= p["a"] || p["a"]+k.page >= p["n"] || c["a"]+k.page >= c["m"] {
		t.Errorf("areas of p at %x, of its child c at %x: want them to ascend, with a gap", p, c)
	}
	if c["z"] != p["z"] || c["a"] != p["a"] {
		t.Errorf("areas of p at %x, of its child c at %x: want those of p in c", p, c)
	}
	must(t, k.Write(ctx, "p", "z", 0, 2, 5, 1), k.Write(ctx, "p", "a", 0, 1, 9, 1), k.Write(ctx, "c", "m", 0, 1, 8, 1),
		k.Unmap(ctx, "p", "z", 0, 1))
	k.checkContent(t, "p", "z", 1, 6)
	k.checkContent(t, "p", "a", 0, 9)
	k.checkContent(t, "c", "m", 0, 8)
	k.checkContent(t, "c", "a", 0, 0) // untouched: forked before
	if got := k.memory(t, "p", "z", 0); got != nil {
		t.Error("a page that was unmapped can be read")
	}

	p0 := k.processes["p"]
	p0.next = k.limit - k.page
	if err := k.Map(ctx, "p", "last", 1); err != nil {
		t.Errorf("the last page: %v", err)
	}
	if err := k.Map(ctx, "p", "over", 1); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("one page too many: error = %v, want ENOMEM", err)
	}
}

// A fork shares the pages until they are written, whoever writes, and however
// busy the program is that has it done.
func TestForkUnderLoad(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	stop := make(chan struct{})
	var load sync.WaitGroup
	defer load.Wait()
	defer close(stop)
	for range 2 {
		load.Go(func() {
			var keep [][]byte
			for {
				select {
				case <-stop:
					return
				default:
				}
				if keep = append(keep, make([]byte, 64<<10)); len(keep) > 64 {
					keep = nil
					runtime.Gosched()
				}
			}
		})
	}

	must(t, k.Spawn(ctx, "p0"), k.Map(ctx, "p0", "a", 4), k.Write(ctx, "p0", "a", 0, 4, 1, 1))
	for i := range 300 {
		parent, child := "p"+strconv.Itoa(i), "p"+strconv.Itoa(i+1)
		must(t, k.Fork(ctx, parent, child),
			k.Write(ctx, child, "a", 1, 1, 1000+uint64(i), 0), k.Write(ctx, parent, "a", 2, 1, 2000+uint64(i), 0))
		for page, want := range []uint64{1, 1000 + uint64(i), 3, 4} {
			k.checkContent(t, child, "a", page, want)
		}
		k.checkContent(t, parent, "a", 1, 2)
		k.checkContent(t, parent, "a", 2, 2000+uint64(i))
		must(t, k.Exit(ctx, parent), k.Write(ctx, child, "a", 1, 2, 2, 1))
		if t.Failed() {
			t.Fatalf("fork %d of 300", i)
		}
	}
}

// The first worker comes from a program with a Go runtime.
func TestStartOften(t *testing.T) {
	for range 40 {
		first, _, _, err := startFirst()
		must(t, err)
		h, err := first.fork()
		must(t, err, end(h, first))
	}
}

// workerStat reads /proc/PID/stat of a process that may be gone.
func workerStat(pid int) (procfs.Stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procfs.Stat{}, err
	}
	return procfs.ParseStat(text)
}

// A worker is a child of this process with one thread, the one socket and no
// signal handlers that could run.
func TestWorkerIsBare(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	must(t, k.Spawn(ctx, "p"), k.Fork(ctx, "p", "c"))
	for name, h := range map[string]*handle{"first": k.first, "p": k.processes["p"].handle, "c": k.processes["c"].handle} {
		// When it answers it has closed its parent's socket.
		if pid, err := h.syscall("getpid", unix.SYS_GETPID); err != nil || int(pid) != h.pid {
			t.Errorf("%s: getpid = %d, %v, want %d", name, pid, err, h.pid)
		}
		home := fmt.Sprintf("/proc/%d/", h.pid)
		stat, err := workerStat(h.pid)
		must(t, err)
		if stat.PPID != os.Getpid() || string(stat.Comm) != workerName {
			t.Errorf("%s: parent %d, name %q, want %d, %q", name, stat.PPID, stat.Comm, os.Getpid(), workerName)
		}
		status, err := os.ReadFile(home + "status")
		must(t, err)
		for _, line := range []string{"Threads:\t1\n", "SigBlk:\tfffffffffffbfeff\n"} { // all but SIGKILL and SIGSTOP
			if !strings.Contains(string(status), line) {
				t.Errorf("%s: status lacks %q:\n%s", name, line, status)
			}
		}
		links, err := filepath.Glob(home + "fd/*")
		must(t, err)
		sockets := 0
		for _, link := range links {
			to, err := os.Readlink(link)
			must(t, err)
			if strings.HasPrefix(to, "socket:") {
				sockets++
			} else if to != os.DevNull {
				t.Errorf("%s: has %s open", name, to)
			}
		}
		if sockets != 1 {
			t.Errorf("%s: %d sockets, want 1", name, sockets)
		}
	}
}

func TestExit(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	must(t, k.Spawn(ctx, "p"), k.Fork(ctx, "p", "c"), k.Fork(ctx, "c", "g"))
	pids := map[string]int{}
	for name, p := range k.processes {
		pids[name] = p.pid
	}
	for _, name := range []string{"c", "p", "g"} { // a parent before its child, too
		must(t, k.Exit(ctx, name))
		if _, err := workerStat(pids[name]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after exit %s it is there still: %v", name, err)
		}
	}
	first := k.first.pid
	must(t, k.Close())
	if _, err := workerStat(first); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close the first worker is there still: %v", err)
	}
}

// A worker ends when the socket is closed, as it is when this program is killed.
func TestOrphan(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	must(t, k.Spawn(ctx, "p"), k.Fork(ctx, "p", "c"))
	p := k.processes["c"]
	delete(k.processes, "c")
	unix.Close(p.sock)
	must(t, wait(p.pid)) // returns when it has ended
}

func TestWorkerKilled(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	must(t, k.Spawn(ctx, "p"), k.Map(ctx, "p", "a", 1), k.Spawn(ctx, "q"))
	p := k.processes["p"]
	var info unix.Siginfo
	must(t, p.alive(), unix.Kill(p.pid, unix.SIGKILL), unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil))
	for range 2 {
		if err := k.Write(ctx, "p", "a", 0, 1, 1, 1); !errors.Is(err, unix.ESRCH) {
			t.Errorf("Write() error = %v, want ESRCH", err)
		}
		if err := p.alive(); !errors.Is(err, unix.ESRCH) {
			t.Errorf("alive() = %v, want ESRCH", err)
		}
	}
	must(t, k.Exit(ctx, "p"), k.Exit(ctx, "q"))
}

func TestCancelledProcesses(t *testing.T) {
	k, ctx := onlyProcesses(t), t.Context()
	must(t, k.Spawn(ctx, "p"), k.Map(ctx, "p", "a", 1))
	cause := errors.New("enough")
	done, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	for name, err := range map[string]error{
		"Spawn": k.Spawn(done, "q"), "Fork": k.Fork(done, "p", "c"), "Exit": k.Exit(done, "p"), "Map": k.Map(done, "p", "b", 1),
		"Unmap": k.Unmap(done, "p", "a", 0, 1), "Write": k.Write(done, "p", "a", 0, 1, 1, 1), "Read": k.Read(done, "p", "a", 0, 1),
		"DontNeed": k.DontNeed(done, "p", "a", 0, 1),
	} {
		if err != cause {
			t.Errorf("%s() error = %v, want the cause", name, err)
		}
	}
	if len(k.processes) != 1 {
		t.Errorf("%d processes, want 1", len(k.processes))
	}
}
