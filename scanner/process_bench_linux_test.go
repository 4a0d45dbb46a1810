package scanner

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchmarkChild is an area of small or huge pages.
func benchmarkChild(c *child, args []string) error {
	size, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	mem := c.area("benchmark", size/testPage, readWrite, private, -1)
	advice := unix.MADV_NOHUGEPAGE
	if args[1] == "huge" {
		advice = unix.MADV_HUGEPAGE
	}
	if err := unix.Madvise(mem, advice); err != nil && err != unix.EINVAL {
		return err
	}
	fillPages(mem, 0, size/testPage)
	return nil
}

// BenchmarkProcess reads 1 GiB of another process, and says what part that is
// of the speed of process_vm_readv alone, which is measured in turns with it.
func BenchmarkProcess(b *testing.B) {
	const size = 1 << 30
	for _, pages := range []string{"small", "huge"} {
		b.Run("pages="+pages, func(b *testing.B) {
			child := startChild(b, nil, "benchmark", strconv.Itoa(size), pages)
			defer child.end()
			p := openProcess(b, child.Process.Pid, AreasEligible)
			spans := spansIn(b, p, child.areas["benchmark"])
			buffer := NewBuffer()
			nothing := func([]byte, []Run) error { return nil }
			var alone, ours time.Duration
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				start := time.Now()
				readvAlone(b, child.Process.Pid, child.areas["benchmark"], buffer.mem)
				alone += time.Since(start)
				b.StartTimer()
				start = time.Now()
				var total Tally
				for _, s := range spans {
					tally, err := p.Read(b.Context(), s, buffer, nothing)
					if err != nil {
						b.Fatal(err)
					}
					total.Add(tally)
				}
				ours += time.Since(start)
				if total.Pages != size/uint64(testPage) {
					b.Fatalf("%+v", total)
				}
			}
			b.ReportMetric(alone.Seconds()/ours.Seconds(), "of_readv")
		})
	}
}

func readvAlone(b *testing.B, pid int, e extent, mem []byte) {
	local := []unix.Iovec{{Base: &mem[0]}}
	local[0].SetLen(len(mem))
	remote := []unix.RemoteIovec{{Len: len(mem)}}
	for at := e.start; at < e.end; at += uint64(len(mem)) {
		remote[0].Base = uintptr(at)
		if n, err := unix.ProcessVMReadv(pid, local, remote, 0); err != nil || n != len(mem) {
			b.Fatal(n, err)
		}
	}
}
