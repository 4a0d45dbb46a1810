package scanner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestVanished reads an area of which pages, and then all, are taken away
// between the question and the reading.
func TestVanished(t *testing.T) {
	for _, prot := range []int{unix.PROT_READ, unix.PROT_NONE} {
		mem, err := separate(16, readWrite, private, -1)
		if err != nil {
			t.Fatal(err)
		}
		fillPages(mem, 0, 16)
		if err := unix.Mprotect(mem, prot); err != nil {
			t.Fatal(err)
		}
		p := openProcess(t, os.Getpid(), AreasEligible)
		e := extent{address(mem), address(mem) + uint64(len(mem))}
		s := spansIn(t, p, e)[0]
		b := NewBuffer()
		var got []Run
		q := batch{p: p, readable: p.areas[s.part].readable, b: b, each: func(mem []byte, runs []Run) error {
			for _, r := range runs {
				for i := range r.Pages {
					want := make([]byte, testPage)
					fill(want, e.start+(r.Start-e.start)/uint64(testPage)+uint64(i))
					if !bytes.Equal(mem[:testPage], want) {
						t.Errorf("page at %#x has the content of another", r.Start+uint64(i*testPage))
					}
					mem = mem[testPage:]
				}
			}
			got = append(got, runs...)
			return nil
		}}
		want := func() {
			b.live.want = b.live.wantMemory[:0]
			for _, r := range [][2]uint64{{0, 5}, {6, 8}, {9, 16}} {
				if err := q.add(e.start+r[0]*uint64(testPage), e.start+r[1]*uint64(testPage)); err != nil {
					t.Fatal(err)
				}
			}
		}
		reason := ReasonVanished
		if prot == unix.PROT_NONE {
			reason = ReasonUnreadable
		}
		at := func(page int) uint64 { return e.start + uint64(page*testPage) }

		want()
		for _, page := range []int{0, 3, 6, 7, 12, 15} {
			if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, uintptr(at(page)), uintptr(testPage), 0); errno != 0 {
				t.Fatal(errno)
			}
		}
		if err := q.flush(); err != nil {
			t.Fatal(err)
		}
		wantRuns := []Run{{at(1), 2}, {at(4), 1}, {at(9), 3}, {at(13), 2}}
		if tally := q.tally; !slices.Equal(got, wantRuns) || tally.Pages != 8 || tally.Skipped[reason] != 6 {
			t.Errorf("runs %x, tally %+v, want runs %x, 8 pages, 6 %v", got, tally, wantRuns, reason)
		}

		got, q.tally = nil, Tally{}
		want()
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, uintptr(e.start), uintptr(len(mem)), 0); errno != 0 {
			t.Fatal(errno)
		}
		if err := q.flush(); err != nil || got != nil || q.tally.Pages != 0 || q.tally.Skipped[reason] != 14 {
			t.Errorf("runs %x, tally %+v, error %v, want 14 %v", got, q.tally, err, reason)
		}
	}
}

// TestVanishedWhileAlone reads pages that go after pagemap has told that nobody
// else maps them.
func TestVanishedWhileAlone(t *testing.T) {
	mem, err := separate(16, readWrite, private, -1)
	if err != nil {
		t.Fatal(err)
	}
	fillPages(mem, 0, 16)
	p := openProcess(t, os.Getpid(), AreasEligible)
	start := address(mem)
	s := spansIn(t, p, extent{start, start + uint64(len(mem))})[0]
	b := NewBuffer()
	q := batch{p: p, readable: p.areas[s.part].readable, b: b}
	at := func(page int) uint64 { return start + uint64(page*testPage) }
	b.live.want = append(b.live.wantMemory[:0], Run{at(0), 6}, Run{at(7), 9})
	b.live.alone = b.live.aloneMemory[:15]
	for i := range b.live.alone {
		b.live.alone[i] = i != 8 // one in the middle is read the other way
	}
	for _, page := range []int{0, 5, 12} {
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, uintptr(at(page)), uintptr(testPage), 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	if err := q.fetch(); err != nil {
		t.Fatal(err)
	}
	want := []Run{{at(1), 4}, {at(7), 5}, {at(13), 3}}
	if !slices.Equal(b.runs, want) || q.tally.Skipped[ReasonVanished] != 3 {
		t.Errorf("runs %x, %d vanished, want %x and 3", b.runs, q.tally.Skipped[ReasonVanished], want)
	}
	for i, page := range []int{1, 2, 3, 4, 7, 8, 9, 10, 11, 13, 14, 15} {
		if !bytes.Equal(b.mem[i*testPage:][:testPage], mem[page*testPage:][:testPage]) {
			t.Errorf("page %d read is not page %d", i, page)
		}
	}
}

func TestErrors(t *testing.T) {
	child := startChild(t, nil, "layout", "mixed", "readable")
	pid := child.Process.Pid
	p := openProcess(t, pid, AreasEligible)
	spans := spansOf(t, p)
	nothing := func([]byte, []Run) error { return nil }

	stop := errors.New("stop")
	if _, err := p.Read(t.Context(), spansIn(t, p, child.areas["layout"])[0], NewBuffer(), func([]byte, []Run) error { return stop }); err != stop {
		t.Errorf("error = %v, want that of each", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if tally, err := p.Read(ctx, spans[0], NewBuffer(), nothing); err != context.Canceled || tally != (Tally{}) {
		t.Errorf("Read = %+v, %v, want nothing and that it was cancelled", tally, err)
	}

	gone := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrGone) || !errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: error = %v, want ErrGone", what, err)
		}
	}
	atEnd := func(what string) {
		t.Helper()
		for _, p.pagemap.scan = range []bool{p.ZeroPagesKnown(), false} {
			for _, s := range spans {
				tally, err := p.Read(t.Context(), s, NewBuffer(), nothing)
				gone(what, err)
				if tally.Pages != 0 {
					t.Errorf("%s: %d pages of a dead process", what, tally.Pages)
				}
			}
			_, err := p.Spans(nil)
			gone(what, err)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	atEnd("zombie")
	_, err := OpenProcess(pid, AreasAuto)
	gone("zombie", err)
	child.end()
	atEnd("dead")
	_, err = OpenProcess(pid, AreasAuto)
	if !errors.Is(err, ErrNoProcess) || !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrGone) {
		t.Errorf("error = %v, want ErrNoProcess", err)
	}
	if want := fmt.Sprintf("open pid %d: no such process", pid); err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if _, err := OpenProcess(pid, AreasAuto); !errors.Is(err, ErrNoProcess) {
			t.Errorf("OpenProcess(%d) error = %v, want ErrNoProcess", pid, err)
		}
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited 20 seconds in vain")
		}
	}
}

// TestReusedPID gives a dead process's number to a living one, as the kernel
// may: what is read then must not come out.
func TestReusedPID(t *testing.T) {
	dead := startChild(t, nil, "layout", "dense", "readable")
	p := openProcess(t, dead.Process.Pid, AreasEligible)
	s := spansIn(t, p, dead.areas["layout"])[0]
	dead.end()

	alive, err := separate(16, readWrite, private, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(alive)
	fillPages(alive, 0, 16)
	p.pid = os.Getpid()
	b := NewBuffer()
	q := batch{p: p, readable: p.areas[s.part].readable, b: b, each: func([]byte, []Run) error {
		t.Error("pages of another process were handed out")
		return nil
	}}
	b.live.want = b.live.wantMemory[:0]
	if err := q.add(address(alive), address(alive)+uint64(len(alive))); err != nil {
		t.Fatal(err)
	}
	if err := q.flush(); !errors.Is(err, ErrGone) || q.tally.Pages != 0 {
		t.Errorf("flush = %v, %d pages, want ErrGone", err, q.tally.Pages)
	}
}

// execChild makes a layout and, at a line on its input, another program of itself.
func execChild(c *child, args []string) error {
	if err := layoutChild(c, args); err != nil {
		return err
	}
	fmt.Println("ready")
	var line [1]byte
	if _, err := os.Stdin.Read(line[:]); err != nil {
		return err
	}
	env := append(os.Environ(), childVar+"=layout dense readable")
	return syscall.Exec("/proc/self/exe", os.Args, env)
}

func TestExec(t *testing.T) {
	child := startChild(t, nil, "exec", "dense", "readable")
	p := openProcess(t, child.Process.Pid, AreasEligible)
	spans := spansIn(t, p, child.areas["layout"])
	before := startOf(t, child.Process.Pid)
	if _, err := child.stdin.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
	child.ready(t)
	if after := startOf(t, child.Process.Pid); after != before || after != p.Start() {
		t.Errorf("the process began at %d and then at %d, Start is %d", before, after, p.Start())
	}
	for _, s := range spans {
		tally, err := p.Read(t.Context(), s, NewBuffer(), func([]byte, []Run) error { return nil })
		if !errors.Is(err, ErrGone) || tally.Pages != 0 {
			t.Errorf("Read = %+v, %v, want ErrGone", tally, err)
		}
	}
	if p := openProcess(t, child.Process.Pid, AreasEligible); len(spansIn(t, p, child.areas["layout"])) == 0 {
		t.Error("opened again, the process has no memory")
	}
}

func startOf(t *testing.T, pid int) uint64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	start, err := strconv.ParseUint(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))[20], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

func TestKernelThread(t *testing.T) {
	stat, err := os.ReadFile("/proc/2/stat")
	if err != nil || !strings.HasPrefix(string(stat), "2 (kthreadd)") {
		t.Skip("no kthreadd here")
	}
	p := openProcess(t, 2, AreasAuto)
	if spans := spansOf(t, p); len(spans) != 0 || p.Pages() != 0 {
		t.Errorf("a kernel thread has %d spans and %d pages", len(spans), p.Pages())
	}
}

// restlessChild maps, writes and unmaps that many times and exits, or is killed.
// Every 512 bytes it writes the address where they lie; before, there is 0.
func restlessChild(c *child, args []string) error {
	seed, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	fmt.Println("area", "restless", uint64(restlessStart), restlessSize)
	fmt.Println("ready")
	for range times {
		at := restlessStart + uintptr(random.IntN(restlessSize/testPage/2)*testPage)
		size := uintptr(1+random.IntN(200)) * uintptr(testPage)
		switch random.IntN(3) {
		case 0:
			unix.RawSyscall(unix.SYS_MUNMAP, at, size, 0)
		default:
			mem, _, errno := unix.RawSyscall6(unix.SYS_MMAP, at, size, readWrite, private|unix.MAP_FIXED, ^uintptr(0), 0)
			if errno != 0 {
				return errno
			}
			words := unsafeWords(mem, size)
			for i := range words {
				words[i] = uint64(mem) + uint64(i)*8
			}
		}
	}
	unix.Exit(0) // os.Exit waits a second under the race detector
	return nil
}

const (
	restlessStart = 0x10_0000_0000
	restlessSize  = 8 << 20
)

// TestRestless scans processes that map, unmap and exit meanwhile.
func TestRestless(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 20
	}
	b := NewBuffer()
	var total Tally
	gone, scans := 0, 0
	for round := range rounds {
		child := startChild(t, nil, "restless", strconv.Itoa(round), strconv.Itoa(round%60))
		if round%3 == 0 {
			timer := time.AfterFunc(time.Duration(round%50)*100*time.Microsecond, func() { child.Process.Kill() })
			defer timer.Stop()
		}
		reaped := make(chan struct{})
		go func() { child.Wait(); close(reaped) }() // so that its number is free at once
		for {
			tally, err := scanRestless(t, child.Process.Pid, b)
			total.Add(tally)
			scans++
			if errors.Is(err, ErrGone) || errors.Is(err, ErrNoProcess) {
				gone++
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		<-reaped
	}
	t.Logf("%d rounds, %d scans: %+v", rounds, scans, total)
	if gone != rounds || total.Pages == 0 {
		t.Errorf("%d of %d processes seen to go, %d pages read", gone, rounds, total.Pages)
	}
}

// TestScanRestless scans such processes as a whole, and verifies. Every other one
// goes on until it has been scanned.
func TestScanRestless(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	pages, gone, compared := uint64(0), 0, uint64(0)
	for round := range rounds {
		times := round % 60
		if round%2 == 0 {
			times = math.MaxInt
		}
		child := startChild(t, nil, "restless", strconv.Itoa(round), strconv.Itoa(times))
		reaped := make(chan struct{})
		go func() { child.Wait(); close(reaped) }()
		r, err := Scan(t.Context(), []Target{ProcessTarget(child.Process.Pid, "", AreasAuto)}, Options{Workers: 2, Verify: true, Top: 3})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Problems)+len(r.Refused) > 0 || r.Verification.Unequal != 0 || !r.Verification.Complete {
			t.Errorf("problems %v, refused %v, %+v", r.Problems, r.Refused, r.Verification)
		}
		if times == math.MaxInt && r.Gone > 0 {
			t.Error("a process that goes on has gone")
		}
		pages, gone, compared = pages+r.Pages, gone+r.Gone, compared+r.Verification.Compared
		child.Process.Kill()
		<-reaped
	}
	t.Logf("%d pages, %d gone, %d compared", pages, gone, compared)
	if pages == 0 || compared == 0 {
		t.Errorf("%d pages read, %d compared", pages, compared)
	}
}

// TestTargetOfReusedPID opens a target again when another process has its number.
func TestTargetOfReusedPID(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to choose the next process number needs root")
	}
	first := startChild(t, nil, "layout", "dense", "readable")
	pid := first.Process.Pid
	target := ProcessTarget(pid, "", AreasEligible)
	for range 2 {
		source, err := target.Open()
		if err != nil {
			t.Fatal(err)
		}
		source.Close()
	}
	first.end()
	_, err := target.Open()
	if !errors.Is(err, ErrNoProcess) {
		t.Fatalf("Open = %v, want ErrNoProcess", err)
	}
	for try := 0; ; try++ {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skip(err)
		}
		next := startChild(t, nil, "layout", "dense", "readable")
		if next.Process.Pid == pid {
			break
		}
		next.end()
		if try == 20 {
			t.Skip("the number was never given out again")
		}
	}
	if source, err := target.Open(); !errors.Is(err, ErrGone) || source != nil {
		t.Errorf("Open = %v, %v, want ErrGone", source, err)
	}
}

func scanRestless(t *testing.T, pid int, b *Buffer) (total Tally, err error) {
	p, err := OpenProcess(pid, AreasEligible)
	if err != nil {
		return total, err
	}
	defer p.Close()
	spans, err := p.Spans(nil)
	if err != nil {
		return total, err
	}
	for _, s := range spans {
		pages := 0
		tally, err := p.Read(t.Context(), s, b, func(mem []byte, runs []Run) error {
			for _, r := range runs {
				pages += r.Pages
				part := mem[:r.Pages*testPage]
				mem = mem[len(part):]
				if r.Start < restlessStart || r.Start >= restlessStart+restlessSize {
					continue
				}
				for i := 0; i < len(part); i += 512 {
					got, want := nativeUint64(part[i:]), r.Start+uint64(i)
					if got != 0 && got != want {
						return fmt.Errorf("%#x at %#x", got, want)
					}
				}
			}
			if len(mem) != 0 {
				return fmt.Errorf("%d bytes in no run", len(mem))
			}
			return nil
		})
		total.Add(tally)
		if tally.Pages != uint64(pages) {
			return total, fmt.Errorf("tally says %d pages, %d were handed out", tally.Pages, pages)
		}
		if most := (s.End - s.Start) / uint64(testPage); tally.Pages+tally.ZeroPages+tally.SwappedPages+tally.Skipped[ReasonVanished] > most {
			return total, fmt.Errorf("%+v of %d pages", tally, most)
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
