//go:build amd64 || arm64

package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// everything has all that guests do: every kind of class, rewriting, bursts,
// sweeps, zeroing, balloons, forks, ends, huge pages and guests that come later.
const everything = `
[knobs]
pages_to_scan = 100000
sleep_millisecs = 1
use_zero_pages = 1

[[group]]
name = "vm"
count = 3
memory = "2MiB"
boot = "500ms"
interval = "100ms"
class = [
	{ kind = "image", fraction = 0.25, image = "os", pool = "1MiB", subset = "zipf", relocated = 0.2, sweep = { at = "1s", every = "700ms" } },
	{ kind = "self", fraction = 0.2, write = [{ share = 0.5, every = "1s" }] },
	{ kind = "zero", fraction = 0.1, write = [{ share = 0.5, every = "1s" }] },
	{ kind = "prefix", fraction = 0.1, write = [{ share = 1, every = "1s" }] },
	{ kind = "private", fraction = 0.2, zeroed = 0.5, burst = { every = "300ms", share = 0.4 } },
	{ kind = "free", fraction = 0.1, write = [{ share = 0.3, every = "2s" }] },
]

[[group]]
name = "zygote"
memory = "1MiB"
class = [{ kind = "image", fraction = 0.8, image = "os" }]

[[group]]
name = "child"
fork = "zygote"
count = 6
start = "200ms"
interval = "300ms"
lifetime = ["400ms", "2s"]
class = [
	{ kind = "template", fraction = 0.5, write = [{ share = 0.5, every = "500ms" }] },
	{ kind = "private", fraction = 0.5 },
]

[[group]]
name = "huge"
memory = "4MiB"
huge = true
count = 2
class = [
	{ kind = "template", fraction = 0.5 },
	{ kind = "private", fraction = 0.5, write = [{ share = 0.1, every = "1s" }] },
]

[[event]]
at = "800ms"
balloon = "vm"
share = 0.3

[[event]]
at = "1200ms"
add = "vm"

[[event]]
at = "1600ms"
balloon = "vm"
share = 0.1

[[event]]
at = "1s"
knobs = { pages_to_scan = 50000 }
`

func parseScenario(t testing.TB, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("test.toml", []byte(text))
	must(t, err)
	return s
}

// checkContents compares the memory of all guests with that of the model, page for
// page, and returns how many pages there are.
func checkContents(t *testing.T, h *Host, model *sim.Host) int {
	t.Helper()
	must(t, model.Advance(t.Context(), h.now))
	var want, got []int
	for _, g := range model.Processes() {
		want = append(want, g.Plan)
	}
	guests := h.Guests()
	for _, g := range guests {
		got = append(got, g.Plan)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("at %v the guests %v run, want %v", h.now, got, want)
	}
	pages, wrong := 0, 0
	page, filled := make([]byte, scenario.PageSize), make([]byte, scenario.PageSize)
	for _, g := range guests {
		mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", g.PID))
		must(t, err)
		present := pagesPresent(t, h, g, h.plans[g.Plan].Pages)
		for i := range h.plans[g.Plan].Pages {
			content, there := model.Content(g.Plan, i)
			// A huge page is there as a whole, but not every kernel has them.
			if there != present[i] && !h.plans[g.Plan].Huge {
				t.Errorf("at %v page %d of %s: present %t, want %t", h.now, i, h.plans[g.Plan].Name, present[i], there)
				wrong++
			}
			if there {
				pages++
				_, err := mem.ReadAt(page, int64(h.base)+int64(i)*scenario.PageSize)
				must(t, err)
				if sim.Fill(filled, content); !bytes.Equal(page, filled) {
					t.Errorf("at %v page %d of %s begins with %x, want content %#x", h.now, i, h.plans[g.Plan].Name, page[:16], content)
					wrong++
				}
			}
			if wrong > 10 {
				t.FailNow()
			}
		}
		must(t, mem.Close())
	}
	return pages
}

// pagesPresent says which pages of a guest are: also the zero page, in place of one
// that was written.
func pagesPresent(t testing.TB, h *Host, g GuestProcess, pages int) []bool {
	t.Helper()
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", g.PID))
	must(t, err)
	defer pagemap.Close()
	entries := make([]byte, 8*pages)
	_, err = pagemap.ReadAt(entries, int64(h.base/scenario.PageSize)*8)
	must(t, err)
	present := make([]bool, pages)
	for i := range present {
		const isPresent, isSwapped = 1 << 7, 1 << 6 // of the last byte
		present[i] = entries[8*i+7]&(isPresent|isSwapped) != 0
	}
	return present
}

// Contents are those of the model, page for page, at any time. It needs no KSM.
func TestHostContents(t *testing.T) {
	seeds := []uint64{1, 2}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		s := parseScenario(t, everything).WithSeed(seed)
		model, err := sim.NewHost(s, sim.HostOptions{})
		must(t, err)
		h, err := NewHost(s, nil)
		must(t, err)
		t.Cleanup(func() { must(t, h.Close()) })
		for at := time.Duration(0); at <= 3*time.Second; at += 100 * time.Millisecond {
			must(t, h.Rehearse(t.Context(), at))
			if pages := checkContents(t, h, model); pages < 2000 && at > time.Second {
				t.Errorf("at %v there are %d pages only", at, pages)
			}
		}
		if h.Latency().Writes() == 0 {
			t.Error("no write to a page that is present was timed")
		}
		h.ForgetLatency()
		if h.Latency().Writes() != 0 {
			t.Error("ForgetLatency forgets nothing")
		}
	}
}

// So are those of all presets.
func TestPresetContents(t *testing.T) {
	for _, p := range scenario.Presets() {
		t.Run(p.Name, func(t *testing.T) {
			s, err := scenario.Preset(p.Name)
			must(t, err)
			factor := 1.0 / 256
			if testing.Short() {
				factor = 1.0 / 2048
			}
			s = s.Scale(factor)
			model, err := sim.NewHost(s, sim.HostOptions{})
			must(t, err)
			h, err := NewHost(s, nil)
			must(t, err)
			t.Cleanup(func() { must(t, h.Close()) })
			pages := 0
			for _, at := range []time.Duration{5 * time.Second, 100 * time.Second} {
				must(t, h.Rehearse(t.Context(), at))
				pages = checkContents(t, h, model)
			}
			t.Logf("%d pages compared", pages)
		})
	}
}

// In real time nothing is early, and it ends when it is told to.
func TestHostAdvance(t *testing.T) {
	s := parseScenario(t, everything)
	model, err := sim.NewHost(s, sim.HostOptions{})
	must(t, err)
	h, err := NewHost(s, nil)
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	must(t, h.Rehearse(t.Context(), time.Second))
	begin := time.Now()
	must(t, h.Advance(t.Context(), 1300*time.Millisecond))
	if took := time.Since(begin); took < 300*time.Millisecond || time.Since(h.began) < 1300*time.Millisecond {
		t.Errorf("300 ms of the scenario took %v", took)
	}
	checkContents(t, h, model)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := h.Advance(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Advance() = %v behind the deadline", err)
	}
}

// A guest that is killed from outside ends the scenario, and Close leaves nobody.
// TestKeepHugePages keeps khugepaged away where huge pages have appeared, and lets them
// appear elsewhere.
func TestKeepHugePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no huge pages:", err)
	}
	s := parseScenario(t, `
[[group]]
name = "vm"
memory = "8MiB"
huge = true
class = [{ kind = "private", fraction = 0.5 }, { kind = "free", fraction = 0.5 }]

[[event]]
at = "1s"
balloon = "vm"
share = 0.75
`)
	h, err := NewHost(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, tt := range []struct {
		until       time.Duration
		kept, other uint64 // kB of the areas
	}{
		{500 * time.Millisecond, 4096, 4096},
		{2 * time.Second, 2048, 6144},
	} {
		if err := h.Rehearse(t.Context(), tt.until); err != nil {
			t.Fatal(err)
		}
		kept, other := hugeAreas(t, h, h.Guests()[0].PID)
		if kept != tt.kept || other != tt.other {
			t.Errorf("after %v: %d kB are left to themselves and %d kB may be huge, want %d and %d", tt.until, kept, other, tt.kept, tt.other)
		}
	}
}

// hugeAreas returns the sizes of the areas of a guest of 8 MiB that are marked
// MADV_NOHUGEPAGE and MADV_HUGEPAGE, in kB.
func hugeAreas(t *testing.T, h *Host, pid int) (no, yes uint64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	var start, end uint64
	for line := range strings.Lines(string(text)) {
		var from, to uint64
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			start, end = from, to
			continue
		}
		flags, ok := strings.CutPrefix(line, "VmFlags:")
		if !ok || start < h.base || start >= h.base+8<<20 {
			continue
		}
		switch words := strings.Fields(flags); {
		case slices.Contains(words, "nh"):
			no += (end - start) >> 10
		case slices.Contains(words, "hg"):
			yes += (end - start) >> 10
		}
	}
	return no, yes
}

func TestHostGuestKilled(t *testing.T) {
	h, err := NewHost(parseScenario(t, everything), nil)
	must(t, err)
	must(t, h.Rehearse(t.Context(), time.Second))
	guests := h.Guests()
	must(t, unix.Kill(guests[0].PID, unix.SIGKILL))
	if err := h.Rehearse(t.Context(), time.Minute); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Rehearse() = %v, want ESRCH", err)
	}
	must(t, h.Close())
	for _, g := range guests {
		if err := unix.Kill(g.PID, 0); err != unix.ESRCH {
			t.Errorf("guest %d is still there: %v", g.PID, err)
		}
	}
}

// Under ksmd, who merges and replaces pages meanwhile, contents stay what they are,
// and the knobs of the scenario are set.
func TestHostUnderKSMD(t *testing.T) {
	k := openKernel(t)
	s := parseScenario(t, everything)
	model, err := sim.NewHost(s, sim.HostOptions{})
	must(t, err)
	must(t, k.Start(t.Context(), append(s.Knobs, sysfs.Setting{Field: sysfs.SmartScan, Value: "0"})))
	h, err := NewHost(s, k)
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	must(t, h.Advance(t.Context(), 1500*time.Millisecond))
	checkContents(t, h, model)
	var now sysfs.Counters
	for deadline := time.Now().Add(30 * time.Second); now.PagesSharing == 0 || now.KSMZeroPages == 0; {
		now, err = k.fsys.Counters()
		must(t, err)
		if time.Now().After(deadline) {
			t.Fatalf("ksmd merges nothing: %+v", now)
		}
		must(t, h.Advance(t.Context(), h.now+100*time.Millisecond))
	}
	checkContents(t, h, model)
	knobs, err := k.fsys.Knobs()
	must(t, err)
	if knobs.PagesToScan != 50000 || knobs.SmartScan || knobs.Run != sysfs.RunScan || knobs.MaxPageSharing != 256 {
		t.Errorf("knobs are %+v", knobs)
	}
	must(t, h.Close())
	checkPair(t, k) // and the kernel is good for scripts again
}
