//go:build linux

package sysfs_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sysfs"
)

const sharerEnv = "SYSFS_TEST_SHARER"

// TestSharer is no test: it is a process with mergeable memory. It maps a page
// for each number in the environment, filled with that number, and ends with its
// input.
func TestSharer(t *testing.T) {
	pages := os.Getenv(sharerEnv)
	if pages == "" {
		t.Skip("is a part of another test")
	}
	if err := share(strings.Fields(pages)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func share(contents []string) error {
	size := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, len(contents)*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		return err
	}
	for page, content := range contents {
		n, err := strconv.ParseUint(content, 10, 64)
		if err != nil {
			return err
		}
		for at := 0; at < size; at += 8 {
			binary.LittleEndian.PutUint64(mem[page*size+at:], n)
		}
	}
	return unix.Madvise(mem, unix.MADV_MERGEABLE)
}

// sharer is a running TestSharer.
type sharer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func startSharer(t *testing.T, contents string) *sharer {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSharer$")
	cmd.Env = append(os.Environ(), sharerEnv+"="+contents, "GORACE=atexit_sleep_ms=0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sharer{cmd: cmd, in: in}
	t.Cleanup(s.stop)
	answer, err := bufio.NewReader(out).ReadString('\n')
	if answer != "ready\n" {
		t.Fatalf("the sharer of %s says %q, %v", contents, answer, err)
	}
	return s
}

// stop ends the process and waits until it has gone.
func (s *sharer) stop() {
	s.in.Close()
	s.cmd.Wait()
}

// Three processes share pages, and then the second exits:
//
//	a  1 2     0 0 0 0  11
//	b  1 2 3 3 0 0 0 0  12
//	c  1 2              13
//
// The pages 11 to 13 have no equal. Merged, 16 pages are 4 (sharing 12), or 8 are
// 3 (sharing 5) if the zeros become zero pages. Without b, 8 pages are 3 (5), or
// 4 are 2 (2). So all parts are whole bytes: 3/4, 5/8, 5/8 and 1/2 of a page each.
func TestAttributeRealSharing(t *testing.T) {
	if stat, err := os.ReadFile("/proc/self/ksm_stat"); err != nil || !strings.Contains(string(stat), "ksm_mergeable:") {
		t.Skipf("needs Linux 6.14, to see who is registered before any scan: ksm_stat is %q, %v", stat, err)
	}
	page := int64(os.Getpagesize())
	eighths := func(n int64) int64 { return n * page / 8 }
	type division struct{ a, b, c, rest, saved int64 }
	tests := []struct {
		zero                      string
		merged, exited, rescanned division
	}{
		{zero: "0",
			merged:    division{a: eighths(6 * 6), b: eighths(8 * 6), c: eighths(2 * 6), saved: 12 * page},
			exited:    division{a: eighths(6 * 6), c: eighths(2 * 6), rest: eighths(8 * 6), saved: 12 * page},
			rescanned: division{a: eighths(6 * 5), c: eighths(2 * 5), saved: 5 * page}},
		{zero: "1",
			merged:    division{a: eighths(2*5) + 4*page, b: eighths(4*5) + 4*page, c: eighths(2 * 5), saved: 13 * page},
			exited:    division{a: eighths(2*5) + 4*page, c: eighths(2 * 5), rest: eighths(4 * 5), saved: 9 * page},
			rescanned: division{a: eighths(2*4) + 4*page, c: eighths(2 * 4), saved: 6 * page}},
	}
	for _, tt := range tests {
		t.Run("use_zero_pages="+tt.zero, func(t *testing.T) {
			fsys := ksmtest.Guard(t)
			if _, err := fsys.Set(sysfs.Setting{Field: sysfs.UseZeroPages, Value: tt.zero}); err != nil {
				t.Fatal(err)
			}
			processes, err := fsys.NewProcessReader()
			if err != nil {
				t.Fatal(err)
			}
			defer processes.Close()
			var list sysfs.Processes

			a := startSharer(t, "1 2 0 0 0 0 11")
			b := startSharer(t, "1 2 3 3 0 0 0 0 12")
			c := startSharer(t, "1 2 13")

			divide := func(when string, want division, registered int) {
				t.Helper()
				counters, err := fsys.Counters()
				if err != nil {
					t.Fatal(err)
				}
				if err := processes.Read(&list); err != nil {
					t.Fatal(err)
				}
				if list.Registered != registered || len(list.List) != registered || list.Malformed != 0 {
					t.Errorf("%s: %d processes are registered, %d listed, %d malformed, want %d, %d, 0",
						when, list.Registered, len(list.List), list.Malformed, registered, registered)
				}
				parts, rest, ok := counters.Attribute(list.List, page, nil)
				if !ok {
					t.Fatalf("%s: Attribute cannot tell", when)
				}
				savings, ok := counters.Savings(page)
				if !ok {
					t.Fatalf("%s: Savings cannot tell", when)
				}
				got := division{rest: rest, saved: savings.SavedBytes}
				sum, items := rest, uint64(0)
				for i, p := range list.List {
					sum += parts[i]
					items += p.KSM.RmapItems
					switch p.PID {
					case a.cmd.Process.Pid:
						got.a = parts[i]
					case b.cmd.Process.Pid:
						got.b = parts[i]
					case c.cmd.Process.Pid:
						got.c = parts[i]
					}
					if mode, ok := p.KSM.Mode(); ok && mode != "vma" {
						t.Errorf("%s: process %d has mode %q, want vma", when, p.PID, mode)
					}
				}
				if got != want {
					t.Errorf("%s: %+v, want %+v", when, got, want)
				}
				if sum != savings.SavedBytes {
					t.Errorf("%s: the parts and the rest are %d bytes, all savings %d", when, sum, savings.SavedBytes)
				}
				if items > savings.Items {
					t.Errorf("%s: the processes have %d items, the machine %d", when, items, savings.Items)
				}
				if counters.Has(sysfs.GeneralProfit) && savings.NetBytes != counters.GeneralProfit {
					t.Errorf("%s: net %d, general_profit %d", when, savings.NetBytes, counters.GeneralProfit)
				}
			}
			divide("before the first scan", division{}, 3)
			ksmtest.Scan(t, 3)
			divide("merged", tt.merged, 3)
			b.stop()
			divide("the second has exited", tt.exited, 2)
			ksmtest.Scan(t, 1)
			divide("scanned again", tt.rescanned, 2)
			if _, err := fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: "2"}); err != nil {
				t.Fatal(err)
			}
			divide("unmerged", division{}, 2)
		})
	}
}

// Rates from two real readings: none is negative, and unmerging is no scan.
func TestRatesBetweenRealReadings(t *testing.T) {
	fsys := ksmtest.Guard(t)
	reader, err := fsys.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	startSharer(t, "1 1 2 2 3")
	var before, scanned, unmerged sysfs.Reading
	ksmtest.Scan(t, 1)
	reader.Read(&before)
	ksmtest.Scan(t, 10)
	reader.Read(&scanned)
	if _, err := fsys.Set(sysfs.Setting{Field: sysfs.Run, Value: "2"}); err != nil {
		t.Fatal(err)
	}
	reader.Read(&unmerged)

	elapsed := scanned.Time.Sub(before.Time)
	r := sysfs.RatesBetween(&before, &scanned)
	if !r.HasFullScan || r.FullScan != elapsed/10 {
		t.Errorf("ten scans in %v: FullScan = %v, %t", elapsed, r.FullScan, r.HasFullScan)
	}
	if scanned.Counters.Has(sysfs.PagesScanned) && (!r.HasPagesPerSecond || r.PagesPerSecond <= 0) {
		t.Errorf("ten scans: PagesPerSecond = %v, %t", r.PagesPerSecond, r.HasPagesPerSecond)
	}
	if r.HasKSMDPercent && (r.KSMDPercent <= 0 || r.KSMDPercent > 100) {
		t.Errorf("ten scans: KSMDPercent = %v", r.KSMDPercent)
	}
	r = sysfs.RatesBetween(&scanned, &unmerged)
	if r.HasFullScan || r.HasPagesPerSecond && r.PagesPerSecond != 0 {
		t.Errorf("unmerged: %+v, want no FullScan and no pages visited", r)
	}
	// The pages in two pairs are mapped as KSM pages no more.
	if r.HasBrokenPerSecond && r.BrokenPerSecond <= 0 {
		t.Errorf("unmerged: BrokenPerSecond = %v, want more than 0", r.BrokenPerSecond)
	}
}
