//go:build amd64 || arm64

package real

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sysfs"
)

// progress is how far ksmd has come. A batch that changes none of it found no
// process registered.
type progress struct {
	fullScans        uint64 // since the last run=2
	scanned, skipped uint64 // pages since boot
}

// progressFields are the files of a progress.
var progressFields = [...]sysfs.Field{sysfs.FullScans, sysfs.PagesScanned, sysfs.PagesSkipped}

func (k *Kernel) readProgress() (progress, error) {
	var values [len(progressFields)]uint64
	for i, file := range k.counters {
		if !file.IsOpen() {
			continue
		}
		var buf [24]byte
		text, err := file.Once(buf[:])
		if err == nil {
			values[i], err = strconv.ParseUint(strings.TrimSuffix(string(text), "\n"), 10, 64)
		}
		if err != nil {
			return progress{}, &sysfs.Error{Op: "read", Path: k.fsys.Path(progressFields[i]), Err: err}
		}
	}
	return progress{values[0], values[1], values[2]}, nil
}

// Scan implements sim.Backend.
func (k *Kernel) Scan(ctx context.Context, n int) error {
	target := k.last.fullScans + uint64(n)
	return k.scan(ctx, func(int) bool { return k.last.fullScans >= target })
}

// Batch implements sim.Backend.
func (k *Kernel) Batch(ctx context.Context, n int) error {
	return k.scan(ctx, func(batches int) bool { return batches >= n })
}

// scan lets ksmd make batches until enough, given how many it made, says so or
// there is nothing to do.
func (k *Kernel) scan(ctx context.Context, enough func(batches int) bool) error {
	k.fresh = false
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if k.run != sysfs.RunScan || k.settings[sysfs.PagesToScan] == 0 {
		return nil
	}
	now, err := k.readProgress()
	if err != nil {
		return err
	}
	if now != k.last {
		return disturbed("ksmd has scanned without being told")
	}
	if k.touched {
		if err := k.drain.drain(); err != nil {
			return err
		}
		k.touched = false
	}
	for batches := 0; !enough(batches); batches++ {
		worked, err := k.batch(ctx)
		if err != nil {
			return err
		}
		if !worked {
			return nil
		}
	}
	return k.stop(ctx)
}

// batch lets ksmd make one batch, after which it sleeps between batches. If no
// process is registered it returns false, and ksmd is parked.
func (k *Kernel) batch(ctx context.Context) (worked bool, err error) {
	for idle := 0; idle < 2; {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		parked := !k.running
		woken, err := k.step(ctx)
		if err != nil {
			return false, err
		}
		if advanced, err := k.advance(); advanced || err != nil {
			return advanced, err
		}
		// After a batch that emptied the list ksmd is parked, and not woken by
		// another sleep_millisecs. If it was parked, woken and did nothing, no
		// process is registered.
		if err := k.stop(ctx); err != nil {
			return false, err
		}
		// On a busy machine it may only have been slow to begin.
		if advanced, err := k.advance(); advanced || err != nil {
			return advanced, err
		}
		if parked && woken {
			idle++
		}
	}
	return false, nil
}

// advance reports whether ksmd has done anything since it was last asked.
func (k *Kernel) advance() (bool, error) {
	now, err := k.readProgress()
	if err != nil || now == k.last {
		return false, err
	}
	scans, pages := now.fullScans-k.last.fullScans, now.scanned-k.last.scanned
	k.last = now
	if scans > 1 || pages > k.settings[sysfs.PagesToScan] {
		return false, disturbed(fmt.Sprintf("%d scans ended and %d pages were visited in one batch", scans, pages))
	}
	return true, nil
}

// step wakes ksmd for a batch and waits until it is asleep again. It returns
// false if ksmd was perhaps not woken. See daemon.
func (k *Kernel) step(ctx context.Context) (woken bool, err error) {
	if k.running {
		err = k.wake()
	} else {
		if k.sleeps, _, err = k.ksmd.await(ctx, 0); err != nil {
			return false, err
		}
		k.running = true
		err = k.write(sysfs.Run, "1")
	}
	if err != nil {
		return false, err
	}
	k.sleeps, woken, err = k.ksmd.await(ctx, k.sleeps+1)
	return woken, err
}

// stop parks ksmd, which is parked already or sleeps between two batches.
func (k *Kernel) stop(ctx context.Context) error {
	if err := k.write(sysfs.Run, "0"); err != nil {
		return err
	}
	if err := k.wake(); err != nil {
		return err
	}
	k.running = false
	_, _, err := k.ksmd.await(ctx, 0)
	return err
}

// park parks ksmd, whatever it does now: it may be about to begin a sleep
// between two batches, which only the second waking ends.
func (k *Kernel) park(ctx context.Context) error {
	if err := k.stop(ctx); err != nil {
		return err
	}
	return k.stop(ctx)
}

// wake ends ksmd's sleep between two batches.
func (k *Kernel) wake() error {
	value := uint64(longSleep)
	if k.settings[sysfs.SleepMillisecs] == value {
		value++
	}
	return k.put(sysfs.SleepMillisecs, value)
}

// drainer empties the LRU batches of all CPUs. These hold references to pages
// that were touched a moment ago, which keep them from being merged. ksmd empties
// them itself only at the start of a scan.
//
// What does it is move_pages(2), which asks for one page to be where it is: its
// first step is to empty the batches (mm/migrate.c: do_pages_move).
type drainer struct {
	page   []byte
	addr   uintptr
	node   int32
	status int32
}

func newDrainer() (*drainer, error) {
	page, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, &Error{Op: "mmap", Err: err}
	}
	page[0] = 1
	d := &drainer{page: page, addr: uintptr(unsafe.Pointer(&page[0]))} // not of the Go heap: it stays there
	if err = d.movePages(nil); err == nil {
		if d.node = d.status; d.node < 0 {
			err = unix.Errno(-d.node)
		} else {
			err = d.movePages(&d.node)
		}
	}
	if err != nil {
		d.close()
		if err == unix.ENOSYS {
			err = fmt.Errorf("%w: since Linux 2.6.18, with NUMA and page migration", sysfs.ErrNotSupported)
		}
		return nil, &Error{Op: "move_pages", Err: err}
	}
	return d, nil
}

func (d *drainer) close() { _ = unix.Munmap(d.page) }

func (d *drainer) drain() error {
	if err := d.movePages(&d.node); err != nil {
		return &Error{Op: "move_pages", Err: err}
	}
	return nil
}

// movePages asks for the page to be moved to a node or, without one, where it
// is, which is then in status.
func (d *drainer) movePages(node *int32) error {
	const self, count, moveOwn = 0, 1, 1 << 1 // MPOL_MF_MOVE
	_, _, errno := unix.Syscall6(unix.SYS_MOVE_PAGES, self, count,
		uintptr(unsafe.Pointer(&d.addr)), uintptr(unsafe.Pointer(node)), uintptr(unsafe.Pointer(&d.status)), moveOwn)
	if errno != 0 {
		return errno
	}
	return nil
}
