//go:build amd64 || arm64

package real

import (
	"context"
	"maps"

	"golang.org/x/sys/unix"
)

// process is a process of the script.
type process struct {
	*handle
	areas map[string]uint64 // addresses
	next  uint64            // address of the next area
}

// chunk is how many pages a worker fills or reads at most before it listens
// again: the time, some milliseconds, in which it cannot be cancelled, nor
// notice that this program was killed.
const chunk = 4096

// act is called before anything is done to processes.
func (k *Kernel) act(ctx context.Context) error {
	k.fresh, k.touched = false, true
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Spawn implements sim.Backend.
func (k *Kernel) Spawn(ctx context.Context, name string) error {
	if err := k.act(ctx); err != nil {
		return err
	}
	h, err := k.first.fork()
	if err == nil {
		k.processes[name] = &process{h, make(map[string]uint64), k.base}
	}
	return err
}

// Fork implements sim.Backend.
func (k *Kernel) Fork(ctx context.Context, parent, child string) error {
	if err := k.act(ctx); err != nil {
		return err
	}
	p := k.processes[parent]
	h, err := p.fork()
	if err == nil {
		k.processes[child] = &process{h, maps.Clone(p.areas), p.next}
	}
	return err
}

// Exit implements sim.Backend.
func (k *Kernel) Exit(ctx context.Context, name string) error {
	if err := k.act(ctx); err != nil {
		return err
	}
	h := k.processes[name].handle
	delete(k.processes, name)
	return end(h)
}

// Map implements sim.Backend.
func (k *Kernel) Map(ctx context.Context, process, area string, pages int) error {
	if err := k.act(ctx); err != nil {
		return err
	}
	p := k.processes[process]
	at, length := p.next, uint64(pages)*k.page
	if at+length > k.limit {
		return &Error{Op: "mmap", Err: unix.ENOMEM}
	}
	if err := p.mapArea(at, length, false); err != nil {
		return err
	}
	p.areas[area] = at
	p.next = at + length + k.page // a page between two areas is not mapped
	return nil
}

// Unmap implements sim.Backend.
func (k *Kernel) Unmap(ctx context.Context, process, area string, first, pages int) error {
	if err := k.act(ctx); err != nil {
		return err
	}
	p := k.processes[process]
	_, err := p.syscall("munmap", unix.SYS_MUNMAP, k.address(p, area, first), uint64(pages)*k.page)
	return err
}

// Write implements sim.Backend.
func (k *Kernel) Write(ctx context.Context, process, area string, first, pages int, content, step uint64) error {
	return k.touch(ctx, process, area, first, pages, func(at, done, n uint64) (string, command) {
		return "write", command{op: opFill, arg: [...]uint64{at, n, content + done*step, step, 6: 0}}
	})
}

// Read implements sim.Backend.
func (k *Kernel) Read(ctx context.Context, process, area string, first, pages int) error {
	return k.touch(ctx, process, area, first, pages, func(at, _, n uint64) (string, command) {
		return "read", command{op: opRead, arg: [...]uint64{at, n, 6: 0}}
	})
}

// touch has commands carried out that each work on a part of the pages: on n
// pages from address at, after done others.
func (k *Kernel) touch(ctx context.Context, process, area string, first, pages int,
	part func(at, done, n uint64) (op string, cmd command)) error {
	p := k.processes[process]
	at := k.address(p, area, first)
	for done := 0; done < pages; done += chunk {
		if err := k.act(ctx); err != nil {
			return err
		}
		op, cmd := part(at+uint64(done)*k.page, uint64(done), uint64(min(chunk, pages-done)))
		if _, err := p.do(op, &cmd, nil); err != nil {
			return err
		}
	}
	return nil
}

// DontNeed implements sim.Backend.
func (k *Kernel) DontNeed(ctx context.Context, process, area string, first, pages int) error {
	return k.advise(ctx, process, area, first, pages, unix.MADV_DONTNEED)
}

// Mergeable implements sim.Backend.
func (k *Kernel) Mergeable(ctx context.Context, process, area string, first, pages int) error {
	return k.advise(ctx, process, area, first, pages, unix.MADV_MERGEABLE)
}

// Unmergeable implements sim.Backend.
func (k *Kernel) Unmergeable(ctx context.Context, process, area string, first, pages int) error {
	return k.advise(ctx, process, area, first, pages, unix.MADV_UNMERGEABLE)
}

func (k *Kernel) advise(ctx context.Context, process, area string, first, pages int, advice uint64) error {
	if err := k.act(ctx); err != nil {
		return err
	}
	p := k.processes[process]
	return p.madvise(k.address(p, area, first), uint64(pages)*k.page, advice)
}

// address returns the address of a page of an area.
func (k *Kernel) address(p *process, area string, page int) uint64 {
	return p.areas[area] + uint64(page)*k.page
}
