//go:build amd64 || arm64

package real

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sim"
)

// The processes of a script
//
// A process of a script must be able to fork as programs do, copy on write and
// with the same addresses. The Go runtime has several threads, of which a fork
// copies only one, so that no Go code that needs the runtime can go on in the
// copy. Therefore a worker is a process of one thread that never leaves the loop
// below: code that needs no runtime, in functions that neither grow the stack
// nor allocate nor panic, with raw system calls.
//
//	ksmtop ── fork, exec itself ──> starter (Go)
//	   │                               │ clone(CLONE_PARENT), then it exits
//	   │  commands and answers         v
//	   ├── socket ──────────────────> first worker, without areas
//	   │                               │ clone(CLONE_PARENT) for each spawn
//	   │                               v
//	   ├── socket ──────────────────> worker
//	   │                               │ clone(CLONE_PARENT) for each fork
//	   │                               v
//	   └── socket ──────────────────> worker
//
// CLONE_PARENT makes all of them children of ksmtop, which ends them by SIGKILL
// and waits for them. If ksmtop ends without doing so its ends of the sockets
// are closed, and each worker ends too, at the latest when its present command
// is done. All signals are blocked from before the first clone on, so that no
// handler of the Go runtime ever runs in a worker.

// opcode is what a worker is asked to do.
type opcode uint64

const (
	opFork    opcode = iota // the socket of the child comes along; answers the child's pid
	opFill                  // write pages
	opWrites                // write many pages; answers how long each took
	opRead                  // read one byte of each page
	opSyscall               // any system call; answers its result
)

// command is what a worker receives. arg are opcode's arguments:
//
//	opFill     address, pages, content of the first page, difference to the next
//	opWrites   number of pageWrites, which follow
//	opRead     address, pages
//	opSyscall  number, arguments
type command struct {
	op  opcode
	arg [7]uint64
}

// pageWrite is one of opWrites, as the arguments of opFill.
type pageWrite struct{ at, pages, content, step uint64 }

// answer is what a worker sends when a command is done.
type answer struct {
	value uint64
	errno uint64
}

// maxWrites is how many writes a command has at most: they must fit into what a
// socket takes at once.
const maxWrites = 1024

// request and reply are the longest messages. Their ends are left out where they
// are not needed.
type request struct {
	command
	writes [maxWrites]pageWrite
}

type reply struct {
	answer
	took [maxWrites]uint32 // nanoseconds until the first byte of each write was written
}

// hello is what the starter sends before it exits.
type hello struct {
	errno       uint64
	pid         uint64 // of the first worker
	base, limit uint64 // addresses that are free in it, and in all that come from it
}

const (
	workerName = "ksmtop-worker" // argv[0] of the starter, and the workers' name in ps
	workerFD   = 3               // the socket of the first worker
)

// workersReady says that main has called WorkerMain. Without that, a starter
// would run the program's main.
var workersReady atomic.Bool

// WorkerMain makes [Open] and [Guard] work. A program that uses them must call
// it first in main, and first in TestMain of its tests. It returns at once,
// unless the process was started by Open; then it does not return.
func WorkerMain() {
	if len(os.Args) == 0 || os.Args[0] != workerName {
		workersReady.Store(true)
		return
	}
	greeting := startWorker()
	buf := (*[unsafe.Sizeof(greeting)]byte)(unsafe.Pointer(&greeting)) // all of a struct without pointers or padding
	_, err := unix.Write(workerFD, buf[:])
	status := 0
	if err != nil || greeting.errno != 0 {
		status = 1
	}
	// os.Exit would first wait for the race detector, for a second.
	syscall.Exit(status)
}

// startWorker makes the first worker.
func startWorker() hello {
	runtime.LockOSThread()
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return hello{errno: errnoOf(err)}
	}
	// Only what a script says is mergeable, whatever this program is started
	// with. A kernel that lacks the switch refuses, and nothing is lost.
	_ = unix.Prctl(unix.PR_SET_MEMORY_MERGE, 0, 0, 0, 0)
	name := append([]byte(workerName), 0)
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
		return hello{errno: errnoOf(err)}
	}
	base, size, err := freeAddresses()
	if err != nil {
		return hello{errno: errnoOf(err)}
	}
	w := newWorker()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, cloneFlags, 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 {
		syscall.RawSyscall(unix.SYS_CLOSE_RANGE, workerFD+1, 1<<32-1, 0) // of descriptors inherited by accident
		syscall.RawSyscall(unix.SYS_MUNMAP, base, size, 0)
		w.serve(workerFD)
	}
	return hello{errno: uint64(errno), pid: uint64(pid), base: uint64(base), limit: uint64(base + size)}
}

const cloneFlags = unix.CLONE_PARENT | uintptr(unix.SIGCHLD)

func errnoOf(err error) uint64 {
	if errno, ok := err.(syscall.Errno); ok {
		return uint64(errno)
	}
	return uint64(unix.EINVAL)
}

// freeAddresses reserves a large range of addresses: it stays free in the
// workers, who map nothing but where they are told to.
func freeAddresses() (base, size uintptr, err error) {
	for size = 1 << 44; ; size >>= 1 { // 39 bits are the smallest address space of arm64
		p, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		if err == nil {
			return uintptr(p), size, nil
		}
		if size < 1<<34 {
			return 0, 0, err
		}
	}
}

// worker is what the loop works with. All of it, with the pointers, is made
// before the first clone, since the loop can not allocate and must not store
// pointers: the write barrier belongs to the runtime.
type worker struct {
	request
	reply
	iov     unix.Iovec
	message unix.Msghdr
	control [3]uint64 // struct cmsghdr and a descriptor
	clock   unix.Timespec
	page    uint64 // size in bytes
}

func newWorker() *worker {
	w := &worker{page: uint64(os.Getpagesize())}
	w.iov.Base = (*byte)(unsafe.Pointer(&w.request))
	w.iov.SetLen(int(unsafe.Sizeof(w.request)))
	w.message.Iov = &w.iov
	w.message.SetIovlen(1)
	w.message.Control = (*byte)(unsafe.Pointer(&w.control))
	return w
}

// serve carries out commands until the other end of the socket is closed, then
// the process ends. See above for what the code may not do; norace and
// nocheckptr keep tools from adding what it may not do.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) serve(fd uintptr) {
	for {
		w.message.Controllen = uint64(unsafe.Sizeof(w.control))
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&w.message)), 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || n < unsafe.Sizeof(w.command) {
			break
		}
		length := unsafe.Sizeof(w.answer)
		w.value, w.errno = 0, 0
		switch w.op {
		case opFork:
			child := uintptr(uint32(w.control[2]))
			pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, cloneFlags, 0, 0, 0, 0, 0)
			if pid == 0 && errno == 0 {
				syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
				fd = child
				continue
			}
			syscall.RawSyscall(unix.SYS_CLOSE, child, 0, 0)
			w.value, w.errno = uint64(pid), uint64(errno)
		case opFill:
			fill(pointer(&w.arg[0]), w.arg[1], w.arg[2], w.arg[3], w.page/8)
		case opWrites:
			// The number is the sender's, and below maxWrites.
			w.carryOut()
			length += uintptr(w.arg[0]) * unsafe.Sizeof(w.took[0])
		case opRead:
			w.read()
		case opSyscall:
			a := &w.arg
			r, _, errno := syscall.RawSyscall6(uintptr(a[0]),
				uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5]), uintptr(a[6]))
			w.value, w.errno = uint64(r), uint64(errno)
		}
		_, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd,
			uintptr(unsafe.Pointer(&w.reply)), length, unix.MSG_NOSIGNAL, 0, 0)
		if errno != 0 {
			break
		}
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// carryOut does the writes of opWrites. What is timed is one store to each, which
// is where a page is copied or made; the time includes that of looking at the clock.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) carryOut() {
	at, took := unsafe.Pointer(&w.writes), unsafe.Pointer(&w.took)
	for n := w.arg[0]; n > 0; n-- {
		p := (*pageWrite)(at)
		before := w.now()
		*(*byte)(pointer(&p.at)) = 1 // fill writes it again
		*(*uint32)(took) = uint32(min(w.now()-before, 1<<32-1))
		fill(pointer(&p.at), p.pages, p.content, p.step, w.page/8)
		at, took = unsafe.Add(at, unsafe.Sizeof(*p)), unsafe.Add(took, unsafe.Sizeof(uint32(0)))
	}
}

// now returns the time in nanoseconds since some moment.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) now() uint64 {
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&w.clock)), 0)
	return uint64(w.clock.Sec)*1e9 + uint64(w.clock.Nsec)
}

// fill writes every byte of pages. The words are those of sim.Fill, which
// little-endian machines, and there are no others here, store as they are. sim.Fill
// itself cannot be called: see above.
//
//go:nosplit
//go:norace
//go:nocheckptr
func fill(at unsafe.Pointer, pages, content, step, words uint64) {
	for ; pages > 0; pages-- {
		mask, base := ^uint64(0), content
		if content == 0 {
			mask = 0
		}
		if content > sim.MaxContent {
			base = sim.MaxContent + 1
		}
		for i := uint64(0); i < words; i++ {
			*(*uint64)(at) = mix(base*1000003+i) & mask
			at = unsafe.Add(at, 8)
		}
		if content > sim.MaxContent {
			*(*uint64)(unsafe.Add(at, -8)) = content
		}
		content += step
	}
}

// mix is the output function of SplitMix64.
//
//go:nosplit
//go:norace
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// read reads a byte of each page. Answering the sum keeps the compiler from
// leaving the reading out.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) read() {
	at := pointer(&w.arg[0])
	for pages := w.arg[1]; pages > 0; pages-- {
		w.value += uint64(*(*byte)(at))
		at = unsafe.Add(at, w.page)
	}
}

// pointer returns the address in *at. It points to memory that the worker has
// mapped by a system call, where nothing of the Go heap ever is.
//
//go:nosplit
//go:norace
//go:nocheckptr
func pointer(at *uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(at)) }
