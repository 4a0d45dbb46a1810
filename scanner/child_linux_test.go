package scanner

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A test that needs another process starts this binary again, as a child that
// does what childVar says, prints the areas that it made, and waits for the end
// of its standard input.

const childVar = "SCANNER_TEST_CHILD"

var children = map[string]func(c *child, args []string) error{
	"layout":    layoutChild,
	"kinds":     kindsChild,
	"still":     stillChild,
	"exec":      execChild,
	"restless":  restlessChild,
	"refused":   refusedChild,
	"forbidden": forbiddenChild,
	"distinct":  distinctChild,
	"measured":  measuredChild,
	"marked":    markedChild,
	"benchmark": benchmarkChild,
	"forked":    forkedChild,
	"merging":   mergingChild,
	"small":     smallChild,
}

func init() {
	args := strings.Fields(os.Getenv(childVar))
	if len(args) == 0 {
		return
	}
	debug.SetGCPercent(-1)
	err := children[args[0]](&child{}, args[1:])
	if err == nil {
		fmt.Println("ready")
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is the child, seen from within.
type child struct{}

// area maps pages that are an area of their own, and tells the parent.
func (c *child) area(name string, pages, prot, flags, fd int) []byte {
	mem, err := separate(pages, prot, flags, fd)
	if err != nil {
		fmt.Printf("no %s: %v\n", name, err)
		return nil
	}
	fmt.Println("area", name, address(mem), len(mem))
	return mem
}

const hugeSize = 2 << 20

// separate maps pages from a multiple of hugeSize. A shared page on either side
// keeps the kernel from making one area of them and what is mapped next.
func separate(pages, prot, flags, fd int) ([]byte, error) {
	size := uintptr(pages * testPage)
	room := (size+hugeSize-1)&^(hugeSize-1) + 2*hugeSize
	reserved, err := unix.MmapPtr(-1, 0, nil, room, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	start := unsafe.Add(reserved, (uintptr(reserved)+2*hugeSize-1)&^(hugeSize-1)-uintptr(reserved))
	for _, side := range []unsafe.Pointer{unsafe.Add(start, -testPage), unsafe.Add(start, size)} {
		if _, err := unix.MmapPtr(-1, 0, side, uintptr(testPage), unix.PROT_NONE, unix.MAP_SHARED|unix.MAP_ANON|unix.MAP_FIXED); err != nil {
			return nil, err
		}
	}
	at, err := unix.MmapPtr(fd, 0, start, size, prot, flags|unix.MAP_FIXED)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(at), size), nil
}

var testPage = os.Getpagesize()

const private = unix.MAP_PRIVATE | unix.MAP_ANON
const readWrite = unix.PROT_READ | unix.PROT_WRITE

// fill writes the page of the content, of which no two are alike; 0 is zeros.
func fill(page []byte, content uint64) {
	for i := 0; i < len(page); i += 8 {
		binary.NativeEndian.PutUint64(page[i:], content*uint64(2*i+1))
	}
}

func fillPages(mem []byte, first, pages int) {
	for i := first; i < first+pages; i++ {
		fill(mem[i*testPage:][:testPage], uint64(address(mem))+uint64(i))
	}
}

var sink byte

func readPages(mem []byte, first, pages int) {
	for i := first; i < first+pages; i++ {
		sink += mem[i*testPage]
	}
}

// extent is an area that a child made.
type extent struct{ start, end uint64 }

// process is a child, seen from the test.
type process struct {
	*exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Scanner
	areas map[string]extent
	notes []string // other lines that it printed
}

// startChild starts a child and waits until it is ready. It ends with the test.
func startChild(t testing.TB, attr *syscall.SysProcAttr, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("/proc/self/exe"), areas: map[string]extent{}}
	p.Env = append(os.Environ(), childVar+"="+strings.Join(args, " "))
	p.Stderr = os.Stderr
	p.SysProcAttr = attr
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	p.out = bufio.NewScanner(stdout)
	p.ready(t)
	return p
}

// ready reads what the child prints until it says that it is ready.
func (p *process) ready(t testing.TB) {
	t.Helper()
	for p.out.Scan() {
		words := strings.Fields(p.out.Text())
		switch {
		case len(words) == 4 && words[0] == "area":
			start, err := strconv.ParseUint(words[2], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			size, err := strconv.ParseUint(words[3], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			p.areas[words[1]] = extent{start, start + size}
		case slices.Equal(words, []string{"ready"}):
			return
		default:
			p.notes = append(p.notes, p.out.Text())
		}
	}
	t.Fatalf("child: %v: %s", p.Wait(), p.notes)
}

// end kills the child and waits for it.
func (p *process) end() {
	if p.ProcessState == nil {
		p.Process.Kill()
		p.Wait()
	}
}

// stop stops all threads of the child, so that it changes nothing by itself.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the child did not stop: %v, %v", status, err)
	}
}

// A layout is memory of pages, some there and some not, with content of which
// some is alike.
type layout []pageKind

// pageKind is the content of a page, or one of these.
type pageKind uint64

const (
	untouched  pageKind = 1<<64 - 1
	zeroMapped pageKind = 1<<64 - 2 // only read
)

// newLayout returns a layout by its name, the same each time.
func newLayout(name string) layout {
	random := rand.New(rand.NewPCG(1, 2))
	pages := layout(make([]pageKind, 10_000)) // more than a span
	if name == "every-other" {
		pages = pages[:5000]
	}
	for i := 0; i < len(pages); {
		run := 1 + random.IntN(1<<random.IntN(11))
		kind := random.IntN(4)
		if name == "every-other" {
			run, kind = 1, i%2
		}
		for ; run > 0 && i < len(pages); run-- {
			switch {
			case name == "nearly" && i == 700:
				pages[i] = zeroMapped
			case name == "nearly" && i%3000 == 2900:
				pages[i] = untouched
			case name == "dense" || name == "nearly" || kind > 1:
				pages[i] = pageKind(random.IntN(1000)) // 0 is a page of zeros
			case kind == 1 && name != "every-other":
				pages[i] = zeroMapped
			case kind == 1:
				pages[i] = pageKind(i)
			default:
				pages[i] = untouched
			}
			i++
		}
	}
	return pages
}

// write makes mem, which was not touched before, so.
func (l layout) write(mem []byte) error {
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		return err
	}
	for i, kind := range l {
		switch page := mem[i*testPage:][:testPage]; kind {
		case untouched:
		case zeroMapped:
			sink += page[0]
		default:
			page[1], page[1] = 1, 0 // so that zeros are written too
			fill(page, uint64(kind))
		}
	}
	return nil
}

func layoutChild(c *child, args []string) error {
	pages := newLayout(args[0])
	mem := c.area("layout", len(pages), readWrite, private, -1)
	if err := pages.write(mem); err != nil {
		return err
	}
	if args[1] == "none" {
		return unix.Mprotect(mem, unix.PROT_NONE)
	}
	return nil
}

// pointer, nativeUint64 and unsafeWords are memory as the kernel and the
// children see it.
func pointer(b *byte) unsafe.Pointer { return unsafe.Pointer(b) }

func nativeUint64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// unsafeWords returns memory that was just mapped, at an address of the test's
// choice, where Go has nothing.
func unsafeWords(at, size uintptr) []uint64 {
	return unsafe.Slice(*(**uint64)(unsafe.Pointer(&at)), size/8)
}
