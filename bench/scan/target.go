//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
)

// readBytes is the size of the buffers for reading. It divides the target's size.
const readBytes = 2 << 20

// target is the child process.
type target struct {
	cmd     *exec.Cmd
	in      io.Writer
	out     io.Reader
	address uintptr
	size    int64
}

// startTarget returns when the child has filled its memory.
func startTarget(scratch *measure.Scratch, size int64) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &target{cmd: exec.Command(self, "target", strconv.FormatInt(size, 10)), size: size}
	t.cmd.Stderr = os.Stderr
	scratch.Join(t.cmd)
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if t.out, err = t.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fscanln(t.out, &t.address); err != nil {
		t.kill()
		return nil, fmt.Errorf("the target: %w", err)
	}
	return t, nil
}

func (t *target) pid() string { return strconv.Itoa(t.cmd.Process.Pid) }

// mark has the child make its memory mergeable.
func (t *target) mark() error {
	if _, err := fmt.Fprintln(t.in); err != nil {
		return err
	}
	var said string
	if _, err := fmt.Fscanln(t.out, &said); err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	return nil
}

// kill ends the child and waits for its end.
func (t *target) kill() {
	_ = t.cmd.Process.Kill() // it may have ended
	_ = t.cmd.Wait()         // which reports the kill
}

// read reads all of the child's memory and returns how long it took.
func (t *target) read(threads int) (time.Duration, error) {
	buffers, err := unix.Mmap(-1, 0, threads*readBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(buffers)
	var next atomic.Int64
	errs := make([]error, threads)
	var group sync.WaitGroup
	began := time.Now()
	for i := range threads {
		group.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			buffer := buffers[i*readBytes:][:readBytes]
			for errs[i] == nil {
				at := next.Add(readBytes) - readBytes
				if at >= t.size {
					return
				}
				errs[i] = t.readAt(buffer, at)
			}
		})
	}
	group.Wait()
	return time.Since(began), errors.Join(errs...)
}

// readAt fills the buffer from an offset in the child's memory.
func (t *target) readAt(buffer []byte, at int64) error {
	local := []unix.Iovec{{Base: &buffer[0]}}
	local[0].SetLen(len(buffer))
	remote := []unix.RemoteIovec{{Base: t.address + uintptr(at), Len: len(buffer)}}
	n, err := unix.ProcessVMReadv(t.cmd.Process.Pid, local, remote, 0)
	if err == nil && n != len(buffer) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// dump writes the child's memory to a file, which then is on the disk and in the
// page cache.
func (t *target) dump(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffer := make([]byte, readBytes)
	for at := int64(0); at < t.size; at += readBytes {
		if err := t.readAt(buffer, at); err != nil {
			return err
		}
		if _, err := f.Write(buffer); err != nil {
			return err
		}
	}
	return f.Sync()
}

// hold is the child: it fills memory of that size, says where that is, makes it
// mergeable when told to, says so, and waits to be killed.
func hold(size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // a kernel without huge pages refuses
	fill(mem, os.Getpagesize())
	fmt.Printf("%#x\n", uintptr(unsafe.Pointer(&mem[0]))) // the kernel's memory, which Go does not move
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	if err := unix.Madvise(mem, unix.MADV_MERGEABLE); err != nil {
		return err
	}
	fmt.Println("marked")
	return unix.Pause()
}

// fill gives each page one of these: a content of its own (70 %), one of a pool of
// a twentieth as many, the low numbers more often (25 %), or zeros (5 %).
func fill(mem []byte, pageSize int) {
	random := rand.New(rand.NewPCG(1, 1))
	pages := len(mem) / pageSize
	for i := range pages {
		page := mem[i*pageSize:][:pageSize]
		content := uint64(pages + i)
		switch kind := random.Float64(); {
		case kind < 0.05:
			clear(page)
			page[0] = 0 // present
			continue
		case kind < 0.30:
			x := random.Float64()
			content = uint64(x * x * x * float64(pages/20))
		}
		words := rand.NewPCG(content, 2)
		for at := 0; at < pageSize; at += 8 {
			binary.NativeEndian.PutUint64(page[at:], words.Uint64())
		}
	}
}
