package scenario

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// digest returns a hash of the first writes of a scenario, with their times.
func digest(s *Scenario, writes int) string {
	hash := sha256.New()
	m := newMachine(s)
	var word [48]byte
	now, left := time.Duration(0), writes
	m.started = func(guest int) {
		m.memories[guest].trace = func(first, pages int, content, step uint64) {
			for i, v := range []uint64{uint64(now), uint64(guest), uint64(first), uint64(pages), content, step} {
				binary.LittleEndian.PutUint64(word[8*i:], v)
			}
			if left--; left >= 0 {
				hash.Write(word[:])
			}
		}
	}
	for left > 0 && len(m.queue) > 0 {
		now = m.queue[0].at
		m.step(now)
	}
	return fmt.Sprintf("%d %x", writes-max(left, 0), hash.Sum(nil)[:16])
}

// TestGolden holds what the presets do to what they did, and on other machines.
func TestGolden(t *testing.T) {
	const file = "testdata/writes.golden"
	var got strings.Builder
	for _, name := range presetNames() {
		fmt.Fprintf(&got, "%s %s\n", name, digest(mustPreset(t, name), 100_000))
	}
	fmt.Fprintf(&got, "documented %s\n", digest(mustParse(t, documented(t)), 100_000))
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the first writes of the presets are\n%s, want\n%s", got.String(), want)
	}
}

func TestSeed(t *testing.T) {
	for _, name := range []string{"same-os", "serverless-burst"} {
		s := mustPreset(t, name).Scale(1.0 / 64)
		if a, b := digest(s, 10_000), digest(mustPreset(t, name).Scale(1.0/64), 10_000); a != b {
			t.Errorf("%s: two runs differ: %s, %s", name, a, b)
		}
		other := s.WithSeed(2)
		if digest(s, 10_000) == digest(other, 10_000) {
			t.Errorf("%s: another seed gives the same writes", name)
		}
		if digest(s, 10_000) != digest(other.WithSeed(s.Seed), 10_000) {
			t.Errorf("%s: the seed and back gives other writes", name)
		}
	}
}

// TestIndependent checks that a guest does the same whatever the others do.
func TestIndependent(t *testing.T) {
	s := mustPreset(t, "same-os").Scale(1.0 / 256)
	m := newMachine(s).run(5 * time.Minute)
	alone, memory := s.Guest(7), newMemory(s.Plans()[7].Pages)
	for at, ok := alone.Next(); ok && at <= 5*time.Minute; at, ok = alone.Next() {
		alone.Step(memory)
	}
	if !slices.Equal(memory.pages, m.memories[7].pages) {
		t.Errorf("guest 7 alone has other pages than with the others")
	}
}

func TestScale(t *testing.T) {
	s := mustPreset(t, "same-os")
	half := s.Scale(0.5)
	twice := half.Scale(2)
	if digest(s, 1000) != digest(twice, 1000) || s.MemoryBytes != twice.MemoryBytes {
		t.Errorf("half and twice is not what it was")
	}
	if got, want := half.Plans()[0].Pages, s.Plans()[0].Pages/2; got != want {
		t.Errorf("Scale(0.5): %d pages, want %d", got, want)
	}
	if got, want := half.MemoryBytes, s.MemoryBytes/2; got != want {
		t.Errorf("Scale(0.5): %d bytes, want %d", got, want)
	}
	share := func(s *Scenario) float64 {
		counts := newMachine(s).run(2 * time.Minute).contents(0)
		pages := 0
		for _, n := range counts {
			pages += n
		}
		return float64(len(counts)) / float64(pages)
	}
	if got, want := share(s.Scale(1.0/32)), share(s.Scale(1.0/8)); !near(got, want, 0.005) {
		t.Errorf("distinct share %.4f at 1/32, %.4f at 1/8", got, want)
	}
	tiny := s.Scale(1e-9)
	if got := tiny.Plans()[0].Pages; got != 1 {
		t.Errorf("Scale(1e-9): %d pages, want 1", got)
	}
	newMachine(tiny).run(time.Minute)

	for _, tt := range []struct {
		factor float64
		want   string
	}{
		{0, "scale 0: must be more than 0"},
		{math.NaN(), "scale NaN: must be more than 0"},
		{-1, "scale -1: must be more than 0"},
		{math.Inf(1), "scale +Inf: must be at most 2147483647"},
		{1e20, "scale 1e+20: must be at most 2147483647"},
		{200, "scale 200: an image has more than 64 GiB"},
		{2000, "scale 2000: a guest has more than 1024 GiB"},
	} {
		if err := s.CheckScale(tt.factor); err == nil || err.Error() != tt.want {
			t.Errorf("CheckScale(%v) = %v, want %s", tt.factor, err, tt.want)
		}
	}
	if err := mustPreset(t, "serverless-burst").CheckScale(500); err == nil || err.Error() != "scale 500: all guests have more than 32768 GiB" {
		t.Errorf("CheckScale(500) of serverless-burst = %v", err)
	}
	if err := s.CheckScale(4); err != nil {
		t.Errorf("CheckScale(4) = %v", err)
	}
}

// TestOwn checks that contents of a guest's own are never equal by accident: for
// all presets, private ones are there once.
func TestOwn(t *testing.T) {
	for _, name := range presetNames() {
		s := mustPreset(t, name).Scale(1.0 / 64)
		m := newMachine(s).run(3 * time.Minute)
		selves := map[uint64]bool{} // contents of self classes
		for i := range s.plans {
			g := &s.groups[s.owner[i]]
			for n := range g.ownPages {
				selves[ownBit|uint64(i)<<guestBit|n] = true
			}
		}
		holder := map[uint64]int{}
		for i, memory := range m.memories {
			if memory == nil {
				continue
			}
			for page, c := range memory.pages {
				switch {
				case c == absent || c == 0:
				case c&ownBit == 0:
					if c >= 1<<61 || c < 1<<32 {
						t.Fatalf("%s: guest %d page %d: content %#x of no range", name, i, page, c)
					}
				case !selves[c]:
					first, twice := holder[c]
					if twice && s.plans[i].Parent != first && s.plans[i].Parent != s.plans[first].Parent {
						t.Fatalf("%s: content %#x in guests %d and %d", name, c, first, i)
					}
					holder[c] = i
				}
			}
		}
	}
}

// TestClasses checks that pages of two classes of one kind have nothing in common.
func TestClasses(t *testing.T) {
	for _, kind := range []string{"self", "private", "prefix", "image\"\npool = \"1MiB\"\nimage = \"%s", "template\"\ntemplate = \"%s"} {
		text := "[[group]]\nname = \"a\"\nmemory = \"1MiB\"\n"
		for _, name := range []string{"x", "y"} {
			text += "[[group.class]]\nfraction = 0.5\nkind = \"" + strings.ReplaceAll(kind, "%s", name) + "\"\n"
		}
		m := newMachine(mustParse(t, text)).run(0)
		first := map[uint64]bool{}
		for i, c := range m.memories[0].pages {
			if i < 128 {
				first[c] = true
			} else if first[c] {
				t.Errorf("kind %q: page %d has content %#x, which is in both classes", kind, i, c)
			}
		}
	}
}

func TestHostMemory(t *testing.T) {
	for _, tt := range []struct {
		start string
		want  uint64
	}{{"9s", 2 << 30}, {"10s", 1 << 30}} {
		s := mustParse(t, `[[group]]
name = "b"
memory = "1GiB"
start = "`+tt.start+`"
[[group]]
name = "a"
memory = "1GiB"
lifetime = "10s"
`)
		if s.MemoryBytes != tt.want {
			t.Errorf("the second guest starts at %s, the first ends at 10s: MemoryBytes = %d, want %d", tt.start, s.MemoryBytes, tt.want)
		}
	}
}

func TestBoot(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
memory = "400KiB"
start = "1m"
boot = "10s"
`)
	guest, memory := s.Guest(0), newMemory(100)
	for at, ok := guest.Next(); ok; at, ok = guest.Next() {
		guest.Step(memory)
		booted := slices.Index(append(memory.pages, absent), absent)
		if want := int((at - time.Minute) * 100 / (10 * time.Second)); booted != want {
			t.Errorf("at %v: %d pages, want %d", at, booted, want)
		}
	}
	if slices.Contains(memory.pages, absent) || memory.calls != 100 {
		t.Errorf("booted with %d writes, want 100, and no page left", memory.calls)
	}
}

func TestBurst(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
memory = "40KiB"
boot = "1s"
[[group.class]]
kind = "private"
fraction = 1
burst = { every = "10s", share = 0.4 }
`)
	m := newMachine(s).run(5 * time.Second)
	for i, want := range [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}, {0, 1, 8, 9}} {
		before := slices.Clone(m.memories[0].pages)
		m.run(time.Duration(i+1)*10*time.Second + time.Second)
		var changed []int
		for page, c := range m.memories[0].pages {
			if c != before[page] {
				changed = append(changed, page)
			}
		}
		if !slices.Equal(changed, want) {
			t.Errorf("burst %d rewrites %v, want %v", i+1, changed, want)
		}
	}
}

func TestSweep(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
count = 2
interval = "15s"
memory = "40KiB"
boot = "1s"
[[group.class]]
kind = "image"
image = "i"
fraction = 0.6
pool = "40KiB"
sweep = { at = "10s", every = "10s" }
`)
	m := newMachine(s)
	base := s.groups[0].classes[0].base
	for _, tt := range []struct {
		at    time.Duration
		guest int
		want  []uint64 // pages of the image
	}{
		{9 * time.Second, 0, []uint64{0, 1, 2, 3, 4, 5}},
		{10 * time.Second, 0, []uint64{6, 7, 8, 9, 0, 1}},
		{16 * time.Second, 1, []uint64{0, 1, 2, 3, 4, 5}},
		{20 * time.Second, 0, []uint64{2, 3, 4, 5, 6, 7}},
		{20 * time.Second, 1, []uint64{2, 3, 4, 5, 6, 7}},
	} {
		got := slices.Clone(m.run(tt.at).memories[tt.guest].pages[:6])
		for i := range got {
			got[i] -= base
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("at %v guest %d has pages %d of the image, want %d", tt.at, tt.guest, got, tt.want)
		}
	}
	once := mustParse(t, `[[group]]
name = "a"
memory = "8KiB"
[[group.class]]
kind = "image"
image = "i"
fraction = 1
pool = "16KiB"
sweep = { at = "10s" }
`)
	guest := once.Guest(0)
	var times []time.Duration
	for at, ok := guest.Next(); ok; at, ok = guest.Next() {
		times = append(times, at)
		guest.Step(&counter{})
	}
	if want := []time.Duration{0, 10 * time.Second}; !slices.Equal(times, want) {
		t.Errorf("a sweep without every: steps at %v, want %v", times, want)
	}
}

func TestBalloon(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
count = 2
interval = "1m"
memory = "400KiB"
[[group.class]]
kind = "private"
fraction = 1
write = [{ share = 1, every = "1s" }]
[[event]]
at = "50s"
balloon = "a"
share = 0.1
[[event]]
at = "30s"
balloon = "a"
share = 0.3
`)
	m := newMachine(s)
	for _, tt := range []struct {
		at    time.Duration
		guest int
		want  int // pages present
	}{
		{29 * time.Second, 0, 100}, {30 * time.Second, 0, 70}, {49 * time.Second, 0, 70}, {70 * time.Second, 0, 90}, {70 * time.Second, 1, 100},
	} {
		m.run(tt.at)
		got := 0
		for _, c := range m.memories[tt.guest].pages {
			if c != absent {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("at %v guest %d has %d pages, want %d", tt.at, tt.guest, got, tt.want)
		}
	}
	if got := m.memories[0].freed; got != 30 {
		t.Errorf("%d pages were given back, want 30", got)
	}
}

func TestFork(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "zygote"
memory = "400KiB"
boot = "1s"
[[group]]
name = "child"
fork = "zygote"
count = 3
start = "2s"
[[group.class]]
kind = "template"
fraction = 0.6
write = [{ share = 0.5, every = "10s" }]
[[group.class]]
kind = "zero"
fraction = 0.1
`)
	m := newMachine(s).run(2 * time.Second)
	zygote := m.memories[0].pages
	for i := 1; i <= 3; i++ {
		child := m.memories[i].pages
		if !slices.Equal(child[:60], zygote[:60]) {
			t.Errorf("child %d does not have the pages of its template", i)
		}
		for page := 60; page < 100; page++ {
			if isZero := child[page] == 0; isZero != (page < 70) || child[page] == zygote[page] {
				t.Errorf("child %d page %d has content %#x", i, page, child[page])
			}
		}
	}
	m.run(time.Hour)
	if child := m.memories[1].pages; slices.Equal(child[:30], zygote[:30]) || !slices.Equal(child[30:60], zygote[30:60]) {
		t.Errorf("a child rewrites other pages than the first half of the template's")
	}
}

// TestHuge checks that guests with huge pages write what others do: what huge pages
// are good for is not in the contents.
func TestHuge(t *testing.T) {
	const text = `[[group]]
name = "a"
count = 3
memory = "64MiB"
huge = %v
boot = "10s"
[[group.class]]
kind = "image"
image = "i"
fraction = 0.4
relocated = 0.2
pool = "50MiB"
subset = "zipf"
write = [{ share = 1, every = "20s" }]
[[group.class]]
kind = "self"
fraction = 0.3
`
	with, without := mustParse(t, fmt.Sprintf(text, true)), mustParse(t, fmt.Sprintf(text, false))
	if !with.Plans()[0].Huge || without.Plans()[0].Huge {
		t.Error("plans do not tell who has huge pages")
	}
	a, b := newMachine(with), newMachine(without)
	for _, at := range []time.Duration{5 * time.Second, 10 * time.Second, time.Minute} {
		a.run(at)
		b.run(at)
		for i := range a.memories {
			if !slices.Equal(a.memories[i].pages, b.memories[i].pages) {
				t.Errorf("at %v the pages of guest %d differ", at, i)
			}
		}
	}
	if got := with.Scale(0.013).Plans()[0].Pages; got%hugePages != 0 {
		t.Errorf("%d pages when scaled, which is no multiple of %d", got, hugePages)
	}
}

// TestKinds checks what pages of each kind are, at first and when rewritten.
func TestKinds(t *testing.T) {
	isOwn := func(c uint64) bool { return c>>61 == 1 }
	tests := []struct {
		kind          string
		first, second func(c uint64) bool
	}{
		{`"private"`, isOwn, isOwn},
		{`"zero"`, func(c uint64) bool { return c == 0 }, isOwn},
		{`"template"`, func(c uint64) bool { return c>>32 == 1 }, isOwn},
		{`"image"` + "\nimage = \"i\"\npool = \"4MiB\"", func(c uint64) bool { return c>>32 == 1 }, func(c uint64) bool { return c>>32 == 1 }},
		{`"self"` + "\nmax_copies = 3", isOwn, isOwn},
		{`"prefix"`, func(c uint64) bool { return c>>61 == 5 }, func(c uint64) bool { return c>>61 == 5 }},
		{`"free"`, func(c uint64) bool { return c == absent }, isOwn},
	}
	for _, tt := range tests {
		for _, rule := range []string{`write = [{ share = 1, every = "1s" }]`, `burst = { every = "30s", share = 1 }`} {
			s := mustParse(t, "[[group]]\nname = \"a\"\nmemory = \"1MiB\"\n[[group.class]]\nfraction = 1\nkind = "+tt.kind+"\n"+rule+"\n")
			m := newMachine(s).run(0)
			before := slices.Clone(m.memories[0].pages)
			after := m.run(30 * time.Second).memories[0].pages
			same := 0
			for i := range after {
				if !tt.first(before[i]) || !tt.second(after[i]) {
					t.Errorf("kind %s, %s: page %d is %#x, then %#x", tt.kind, rule, i, before[i], after[i])
				}
				if before[i] == after[i] {
					same++
				}
			}
			if same > 16 { // by chance the same page of the image, or of the copies
				t.Errorf("kind %s, %s: %d pages are the same after 30 s", tt.kind, rule, same)
			}
		}
	}
}

func TestPresets(t *testing.T) {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
		if p.Title == "" {
			t.Errorf("%s has no title", p.Name)
		}
		s := mustPreset(t, p.Name)
		checkPlans(t, s)
		if s.Name != p.Name || s.MemoryBytes < 1<<30 || s.MemoryBytes > 16<<30 {
			t.Errorf("%s: name %q, host of %d bytes, want 1 to 16 GiB", p.Name, s.Name, s.MemoryBytes)
		}
	}
	want := []string{"adversarial-prefix", "aslr-off", "aslr-on", "clones", "huge", "jvm-fleet", "kata20", "prefork", "prefork-restarts", "same-os",
		"self-sharing", "serverless-burst", "zero-heavy"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("Presets() = %q, want %q", names, want)
	}
	for _, name := range []string{"", "x", "../presets/clones", "clones.toml"} {
		if _, err := Preset(name); err == nil || err.Error() != fmt.Sprintf("%q: no such preset", name) {
			t.Errorf("Preset(%q) error = %v", name, err)
		}
	}
}

func BenchmarkSteps(b *testing.B) {
	for _, name := range []string{"same-os", "prefork", "jvm-fleet"} {
		b.Run("preset="+name, func(b *testing.B) {
			s, err := Preset(name)
			if err != nil {
				b.Fatal(err)
			}
			var writes counter
			for b.Loop() {
				guest := s.Guest(0)
				for at, ok := guest.Next(); ok && at < 10*time.Minute; at, ok = guest.Next() {
					guest.Step(&writes)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(writes.calls), "ns/write")
		})
	}
}

func BenchmarkGuest(b *testing.B) {
	s, err := Preset("same-os")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Guest(3)
	}
}

// TestEnd checks that nothing happens at the end of a guest or later.
func TestEnd(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
memory = "4KiB"
start = "3s"
lifetime = "1s"
[[group.class]]
kind = "private"
fraction = 1
burst = { every = "500ms", share = 1 }
`)
	guest := s.Guest(0)
	var times []time.Duration
	for at, ok := guest.Next(); ok; at, ok = guest.Next() {
		times = append(times, at)
		guest.Step(&counter{})
	}
	if want := []time.Duration{3 * time.Second, 3500 * time.Millisecond}; !slices.Equal(times, want) {
		t.Errorf("steps at %v, want %v", times, want)
	}
}

func TestPeakPages(t *testing.T) {
	plans := []Plan{
		{Start: 0, End: 10, Pages: 5, Parent: -1}, {Start: 10, Pages: 7, Parent: -1}, {Start: 12, Pages: 100, Parent: 1},
		{Start: 11, End: 12, Pages: 1, Parent: -1}, {Start: 12, End: 13, Pages: 1, Parent: -1},
	}
	if got := PeakPages(plans, false); got != 8 {
		t.Errorf("PeakPages() = %d without forked guests, want 8", got)
	}
	if got := PeakPages(plans, true); got != 108 {
		t.Errorf("PeakPages() = %d with them, want 108", got)
	}
}
