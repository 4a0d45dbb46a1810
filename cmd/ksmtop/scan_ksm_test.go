package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/madvise"
	"github.com/ksmtop/ksmtop/sysfs"
)

// regionMain is a program of which one region is mergeable, and stands still:
//
//	ksm-region PAGES CONTENTS SEED
//
// Each of its pages has one of that many contents, picked by the seed; content
// 0 is a page of zeros.
func regionMain() {
	var numbers [3]int
	for i, arg := range os.Args[1:] {
		var err error
		if numbers[i], err = strconv.Atoi(arg); err != nil {
			panic(err)
		}
	}
	page := os.Getpagesize()
	region, err := madvise.NewRegion(numbers[0] * page)
	if err != nil {
		panic(err)
	}
	mem := region.Bytes()
	_ = unix.Madvise(mem, noHugePages) // a kernel without huge pages refuses
	random := rand.New(rand.NewPCG(uint64(numbers[2]), 1))
	for i := range numbers[0] {
		mem[i*page] = 0 // present, also if it stays zero
		binary.NativeEndian.PutUint64(mem[i*page+page/2:], uint64(random.IntN(numbers[1])))
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := region.Free(); err != nil {
		panic(err)
	}
}

// scanSchema is what the tests need of scan's JSON.
type scanSchema struct {
	Complete  bool              `json:"complete"`
	Areas     string            `json:"areas"`
	Pages     uint64            `json:"pages"`
	Zero      uint64            `json:"zero_pages"`
	Distinct  uint64            `json:"distinct_pages"`
	WouldSave uint64            `json:"would_save_pages"`
	Already   uint64            `json:"already_saved_pages"`
	Metadata  int64             `json:"metadata_bytes"`
	Net       int64             `json:"net_bytes"`
	Interval  json.RawMessage   `json:"interval"`
	Skipped   map[string]uint64 `json:"skipped"`
	Groups    []struct {
		Name      string  `json:"name"`
		WouldSave float64 `json:"would_save_pages"`
	} `json:"groups"`
}

func scanJSON(t *testing.T, args ...string) scanSchema {
	t.Helper()
	var d scanSchema
	out := ksmtop(t, append([]string{"scan", "--json"}, args...)...).want(t, 0).stdout
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return d
}

// The prediction comes true: of memory that stands still, what scan says merging
// would save is what the kernel then counts, to the page, before and after; and
// what it says ksmd would track is what ksmd tracks.
func TestScanPredictsTheKernel(t *testing.T) {
	for _, processes := range []int{1, 2, 4} {
		for _, limit := range []int{2, 3, 256} {
			for _, useZero := range []int{0, 1} {
				name := fmt.Sprintf("processes=%d/max_page_sharing=%d/use_zero_pages=%d", processes, limit, useZero)
				t.Run(name, func(t *testing.T) {
					fsys := ksmtest.Guard(t)
					if _, err := fsys.Set(
						sysfs.Setting{Field: sysfs.MaxPageSharing, Value: strconv.Itoa(limit)},
						sysfs.Setting{Field: sysfs.UseZeroPages, Value: strconv.Itoa(useZero)},
						sysfs.Setting{Field: sysfs.SmartScan, Value: "0"},
					); err != nil {
						t.Fatal(err)
					}
					var pids []string
					for i := range processes {
						p := launch(t, "ksm-region", "2500", "300", strconv.Itoa(i))
						pids = append(pids, strconv.Itoa(p.Process.Pid))
					}
					list := strings.Join(pids, ",")
					before := scanJSON(t, "-p", list)
					ksmtest.Scan(t, 4)
					c, err := fsys.Counters()
					if err != nil {
						t.Fatal(err)
					}
					kernel := uint64(c.PagesSharing) + uint64(c.KSMZeroPages)
					if before.WouldSave != kernel || kernel == 0 || !before.Complete {
						t.Errorf("predicted %d pages (complete %v), the kernel saves %d", before.WouldSave, before.Complete, kernel)
					}
					s, _ := c.Savings(int64(os.Getpagesize()))
					if before.Metadata != s.MetadataBytes || before.Net != s.NetBytes {
						t.Errorf("predicted metadata %d, net %d; the kernel has %d, %d", before.Metadata, before.Net, s.MetadataBytes, s.NetBytes)
					}
					// Looking breaks no KSM mapping, and so changes no counter.
					broken := brokenMappings(t, fsys)
					after := scanJSON(t, "-p", list)
					if now := brokenMappings(t, fsys); now != broken {
						t.Errorf("scanning merged memory broke %d KSM mappings", now-broken)
					}
					if after.WouldSave != kernel || after.Already != kernel || after.Pages != before.Pages || after.Zero != before.Zero || after.Distinct != before.Distinct {
						t.Errorf("after merging %+v, before %+v, the kernel saves %d", after, before, kernel)
					}
					var sum float64
					for _, g := range before.Groups {
						sum += g.WouldSave
					}
					if sum != float64(before.WouldSave) || len(before.Groups) != processes {
						t.Errorf("%d groups sum to %v, want %d", len(before.Groups), sum, before.WouldSave)
					}
				})
			}
		}
	}
}

// brokenMappings returns how many KSM mappings were broken since boot.
func brokenMappings(t *testing.T, fsys sysfs.FS) uint64 {
	t.Helper()
	r, err := fsys.Read()
	if err != nil {
		t.Fatal(err)
	}
	if !r.Host.HasCowKSM {
		t.Fatal("this kernel has no cow_ksm in /proc/vmstat")
	}
	return r.Host.CowKSM
}

// Memory that processes share by fork stays shared when it is scanned: reading
// it gives nobody a copy.
func TestScanLeavesForkedMemoryShared(t *testing.T) {
	shell := launch(t, "sh", "-c", `x=$(head -c 20000000 /dev/zero | tr '\0' a)
		(sleep 5; :) & (sleep 5; :) & echo ready; read line; kill $(jobs -p)`)
	pid := strconv.Itoa(shell.Process.Pid)
	before := proportional(t, pid)
	if before > 15<<10 {
		t.Skipf("the shell shares too little with its children to tell: Pss is %d kB", before)
	}
	d := scanJSON(t, "--children", pid, "--areas", "eligible")
	if d.Pages == 0 {
		t.Fatal("nothing was scanned")
	}
	t.Logf("Pss %d kB, %d pages scanned", before, d.Pages)
	if after := proportional(t, pid); after > before+256 {
		t.Errorf("Pss was %d kB before the scan and is %d kB after it", before, after)
	}
}

// proportional returns a process's share of memory, each page divided by the
// number of those who have it, in kB.
func proportional(t *testing.T, pid string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nPss:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
