package scanner

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
)

// kindsChild has an area of every kind, each with some pages.
func kindsChild(c *child, args []string) error {
	file, err := os.CreateTemp(args[0], "private")
	if err != nil {
		return err
	}
	if err := file.Truncate(int64(16 * testPage)); err != nil {
		return err
	}
	memfd, err := unix.MemfdCreate("private", 0)
	if err != nil {
		return err
	}
	if err := unix.Ftruncate(memfd, int64(16*testPage)); err != nil {
		return err
	}
	devZero, err := os.OpenFile("/dev/zero", os.O_RDWR, 0)
	if err != nil {
		return err
	}

	anon := c.area("anon", 32, readWrite, private, -1)
	fillPages(anon, 4, 8)
	readPages(anon, 20, 2)
	anon = c.area("guard", 32, readWrite, private, -1)
	fillPages(anon, 4, 8)
	if err := unix.Madvise(anon[:3*testPage], madvGuardInstall); err != nil {
		fmt.Println("no guards:", err)
	}

	huge := c.area("huge", 2*hugeSize/testPage, readWrite, private, -1)
	if err := unix.Madvise(huge, unix.MADV_HUGEPAGE); err != nil && err != unix.EINVAL {
		return err
	}
	fillPages(huge, 0, len(huge)/testPage)
	huge = c.area("hugezero", hugeSize/testPage, readWrite, private, -1)
	if err := unix.Madvise(huge, unix.MADV_HUGEPAGE); err != nil && err != unix.EINVAL {
		return err
	}
	readPages(huge, 0, len(huge)/testPage)

	private := c.area("file", 16, readWrite, unix.MAP_PRIVATE, int(file.Fd()))
	readPages(private, 0, 16)
	fillPages(private, 3, 5)
	private = c.area("memfd", 16, readWrite, unix.MAP_PRIVATE, memfd)
	fillPages(private, 1, 4)
	fillPages(c.area("devzero", 16, readWrite, unix.MAP_PRIVATE, int(devZero.Fd())), 0, 6)
	fillPages(c.area("shared", 16, readWrite, unix.MAP_SHARED|unix.MAP_ANON, -1), 0, 7)
	readPages(c.area("sharedfile", 16, unix.PROT_READ, unix.MAP_SHARED, memfd), 0, 16)
	if mem := c.area("droppable", 16, readWrite, mapDroppable|unix.MAP_ANON, -1); mem != nil {
		fillPages(mem, 0, 5)
	}
	// Two areas of hugetlb pages, where there are such pages.
	if mem := c.area("hugetlb", hugeSize/testPage, readWrite, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_HUGETLB, -1); mem != nil {
		fillPages(mem, 0, 1)
	}
	if fd, err := unix.MemfdCreate("hugetlb", unix.MFD_HUGETLB); err == nil && unix.Ftruncate(fd, hugeSize) == nil {
		if mem := c.area("hugetlbfile", hugeSize/testPage, readWrite, unix.MAP_PRIVATE, fd); mem != nil {
			fillPages(mem, 0, 1)
		}
	}

	locked := c.area("locked", 3, readWrite, unix.MAP_PRIVATE|unix.MAP_ANON, -1)
	if err := unix.Mlock(locked); err != nil {
		return err
	}
	fillPages(locked, 0, 3)
	for name, prot := range map[string]int{"none": unix.PROT_NONE, "readonly": unix.PROT_READ, "writeonly": unix.PROT_WRITE} {
		mem := c.area(name, 16, readWrite, unix.MAP_PRIVATE|unix.MAP_ANON, -1)
		fillPages(mem, 2, 7)
		if err := unix.Mprotect(mem, prot); err != nil {
			return err
		}
	}
	return nil
}

const (
	mapDroppable     = 0x08 // since Linux 6.11
	madvGuardInstall = 102  // since Linux 6.13
)

// TestKinds holds what is read and what is left out of every kind of area.
func TestKinds(t *testing.T) {
	child := startChild(t, nil, "kinds", t.TempDir())
	child.stop(t) // no area comes while it is looked at
	t.Log(child.notes)
	skipped := func(r Reason, pages uint64) (t Tally) { t.Skipped[r] = pages; return t }
	file := skipped(ReasonFile, 11)
	file.Pages = 5
	hugePages := uint64(hugeSize / testPage)
	want := map[string]Tally{
		"anon":        {Pages: 8, ZeroPages: 2},
		"guard":       {Pages: 8},
		"huge":        {Pages: 2 * hugePages},
		"hugezero":    {ZeroPages: hugePages},
		"file":        file,
		"memfd":       {Pages: 4},
		"devzero":     {Pages: 6},
		"shared":      skipped(ReasonShared, 7),
		"sharedfile":  skipped(ReasonShared, 16),
		"droppable":   {Pages: 5}, // not told by maps
		"hugetlb":     skipped(ReasonHugetlb, hugePages),
		"hugetlbfile": skipped(ReasonHugetlb, hugePages),
		"locked":      {Pages: 3},
		"none":        {Pages: 7},
		"readonly":    {Pages: 7},
		"writeonly":   {Pages: 7},
	}
	if !zerosMapped(t) { // what is read is written
		want["anon"], want["hugezero"] = Tally{Pages: 10}, Tally{Pages: hugePages}
	}
	p := openProcess(t, child.Process.Pid, AreasEligible)
	needPagemapScan(t, p)
	if !p.Guesses() || p.Areas() != AreasEligible {
		t.Errorf("areas %v, guesses %t, want eligible and true: it needs no flags", p.Areas(), p.Guesses())
	}
	check := func(t *testing.T) {
		for name, e := range child.areas {
			t.Run(name, func(t *testing.T) {
				got, tally := readAll(t, p, spansIn(t, p, e))
				if tally != want[name] {
					t.Errorf("tally = %+v, want %+v", tally, want[name])
				}
				for _, page := range got {
					content := make([]byte, testPage)
					if (!p.ZeroPagesKnown() || !zerosMapped(t)) && page.content == string(content) {
						continue
					}
					fill(content, e.start+(page.at-e.start)/uint64(testPage))
					if page.content != string(content) {
						t.Fatalf("page at %#x has not the content that it should have", page.at)
					}
				}
			})
		}
	}
	t.Run("maps", check)

	// The same with flags: the reasons must be the same, or surer.
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", child.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	areas, flags, err := parseAreas(bytes.NewReader(smaps))
	if err != nil || !flags || len(areas) != len(p.areas) {
		t.Fatalf("smaps: %d areas, flags %t, %v, want %d areas with flags", len(areas), flags, err, len(p.areas))
	}
	p.areas = areas
	want["droppable"] = skipped(ReasonDroppable, 5)
	t.Run("smaps", check)

	// And as before Linux 6.7, where zero pages are like others.
	p.pagemap.scan = false
	want["anon"] = Tally{Pages: 10}
	want["hugezero"] = Tally{Pages: hugePages}
	t.Run("pagemap", check)
}

// TestStackAndHeap looks for areas that are not of the test's making.
func TestStackAndHeap(t *testing.T) {
	// Go has no heap of this name; this one is empty but for what is written.
	brk, _, _ := unix.RawSyscall(unix.SYS_BRK, 0, 0, 0)
	if top, _, _ := unix.RawSyscall(unix.SYS_BRK, brk+uintptr(64*testPage), 0, 0); top <= brk {
		t.Fatal("no heap")
	}
	defer unix.RawSyscall(unix.SYS_BRK, brk, 0, 0)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	p := openProcess(t, os.Getpid(), AreasEligible)
	for _, tt := range []struct {
		name   string
		reason Reason
	}{{"[heap]", eligible}, {"[stack]", eligible}, {"[vdso]", ReasonSpecial}, {"[vvar]", ReasonSpecial}} {
		var e extent
		for line := range strings.Lines(string(maps)) {
			if strings.HasSuffix(line, tt.name+"\n") {
				fmt.Sscanf(line, "%x-%x", &e.start, &e.end)
			}
		}
		i := slices.IndexFunc(p.areas, func(a area) bool { return a.start == e.start })
		if i < 0 || p.areas[i].reason != tt.reason {
			t.Errorf("%s: area %d of %d, or not for the reason %d", tt.name, i, len(p.areas), tt.reason)
		}
	}
	if slices.ContainsFunc(p.areas, func(a area) bool { return a.start>>63 != 0 }) {
		t.Error("vsyscall is among the areas")
	}
}

// markedChild marks a part of an area, and nothing else.
func markedChild(c *child, args []string) error {
	mem := c.area("marked", 64, readWrite, private, -1)
	fillPages(mem, 0, 64)
	fillPages(c.area("other", 64, readWrite, private, -1), 0, 32)
	if args[0] == "none" {
		return nil
	}
	return unix.Madvise(mem[16*testPage:][:32*testPage], unix.MADV_MERGEABLE)
}

func TestMarked(t *testing.T) {
	ksmtest.Guard(t)
	marked, unmarked := startChild(t, nil, "marked", "some"), startChild(t, nil, "marked", "none")
	defer marked.end()
	for _, tt := range []struct {
		name        string
		child       *process
		areas, want Areas
		pages       uint64 // of both areas together
		notMarked   uint64
		guesses     bool
	}{
		{"auto", marked, AreasAuto, AreasMarked, 32, 64, false},
		{"marked", marked, AreasMarked, AreasMarked, 32, 64, false},
		{"eligible", marked, AreasEligible, AreasEligible, 96, 0, true},
		{"auto, no marks", unmarked, AreasAuto, AreasEligible, 96, 0, true},
		{"marked, no marks", unmarked, AreasMarked, AreasMarked, 0, 96, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := openProcess(t, tt.child.Process.Pid, tt.areas)
			var total Tally
			for _, e := range tt.child.areas {
				_, tally := readAll(t, p, spansIn(t, p, e))
				total.Add(tally)
			}
			if p.Areas() != tt.want || total.Pages != tt.pages || total.Skipped[ReasonNotMarked] != tt.notMarked {
				t.Errorf("%v: %+v, want %v with %d pages and %d not marked", p.Areas(), total, tt.want, tt.pages, tt.notMarked)
			}
			// Before Linux 6.14 smaps is needed to see that there are no marks.
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/ksm_stat", tt.child.Process.Pid))
			if tells := err == nil && bytes.Contains(stat, []byte("ksm_mergeable:")); p.Guesses() != tt.guesses && (p.Guesses() || tells) {
				t.Errorf("guesses %t, want %t", p.Guesses(), tt.guesses)
			}
		})
	}
}
