package scenario

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// The tests here compare what guests do with closed forms.

// TestDistinct compares the number of distinct contents of scenarios at rest with
// what follows from their fractions.
func TestDistinct(t *testing.T) {
	const gib = 1 << 30 / PageSize
	part := func(share float64) int { return portion(share, gib, 1) }
	selfRuns := func(s *Scenario) int {
		n := 0
		for i := range s.groups[0].classes {
			if c := &s.groups[0].classes[i]; c.kind == kindSelf {
				n += c.copies.distinct(c.pages)
			}
		}
		return n
	}
	tests := []struct {
		name     string
		present  int
		distinct func(s *Scenario) int
	}{
		{"clones", 8 * gib, func(*Scenario) int { return 1 + part(0.75) }},
		{"zero-heavy", 2 * (2*gib - portion(0.0261, 2*gib, 1)), func(*Scenario) int {
			image, private := portion(0.1161, 2*gib, 1), portion(0.1191, 2*gib, 1)
			return 1 + image + 2*private
		}},
		{"aslr-off", 4 * gib, func(*Scenario) int { return 1 + part(0.45) + 4*(gib-part(0.55)) }},
		{"aslr-on", 4 * gib, func(*Scenario) int {
			relocated := portion(0.3, part(0.45), 1)
			return 1 + part(0.45) - relocated + 4*(relocated+gib-part(0.55))
		}},
		{"self-sharing", 4 * gib, func(s *Scenario) int {
			const pool = gib / 2
			union := pool * (1 - math.Pow(1-float64(part(0.05))/pool, 4))
			return 1 + 4*selfRuns(s) + int(union) + 4*part(0.75)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mustPreset(t, tt.name)
			counts := newMachine(s).run(s.Length).contents(s.Length)
			present := 0
			for _, n := range counts {
				present += n
			}
			if !near(float64(present), float64(tt.present), 1e-5) { // fractions are rounded
				t.Errorf("%d pages, want %d", present, tt.present)
			}
			exact := tt.name != "self-sharing"
			got, want := len(counts), tt.distinct(s)
			if exact && got != want && !near(float64(got), float64(want), 1e-5) || !near(float64(got), float64(want), 0.001) {
				t.Errorf("%d distinct contents, want %d", got, want)
			}
		})
	}
}

// TestPublished compares presets at rest with the figures that they are fitted
// to.
func TestPublished(t *testing.T) {
	saved := func(name string) (present, saved int) {
		s := mustPreset(t, name)
		for _, n := range newMachine(s).run(time.Minute).contents(time.Minute) {
			present += n
			saved += n - 1
		}
		return present, saved
	}
	t.Run("kata20", func(t *testing.T) {
		s := mustPreset(t, "kata20")
		present, distinct := 0, 0
		for _, n := range newMachine(s).run(24 * time.Second).contents(24 * time.Second) {
			present += n
			distinct++
		}
		if perGuest := float64(present) / 20 * PageSize / 1024; !near(perGuest, 118601, 0.01) {
			t.Errorf("%.0f KiB a guest, want 118601", perGuest)
		}
		if got := 1 - float64(distinct)/float64(present); !near(got, 0.545, 0.01) {
			t.Errorf("can save %.4f, want 0.545", got)
		}
	})
	t.Run("zero-heavy", func(t *testing.T) {
		present, saved := saved("zero-heavy")
		if !near(float64(present), 1_021_216, 0.001) || !near(float64(saved), 835_511, 0.001) {
			t.Errorf("%d pages, %d saved, want 1021216 and 835511", present, saved)
		}
	})
	t.Run("aslr", func(t *testing.T) {
		presentOff, savedOff := saved("aslr-off")
		presentOn, savedOn := saved("aslr-on")
		if got := float64(presentOn-savedOn) / float64(presentOff-savedOff); !near(got, 1.18, 0.001) {
			t.Errorf("with randomization %.4f of the memory without, want 1.18", got)
		}
	})
	t.Run("self-sharing", func(t *testing.T) {
		s := mustPreset(t, "self-sharing")
		m := newMachine(s).run(time.Minute)
		total, distinct, within := 0, map[uint64]bool{}, 0
		for _, memory := range m.memories {
			own := map[uint64]bool{}
			for _, c := range memory.pages {
				if c == 0 {
					continue
				}
				total++
				if own[c] {
					within++
				}
				own[c], distinct[c] = true, true
			}
		}
		all := total - len(distinct)
		if share := float64(all) / float64(total); share > 0.15 || share < 0.13 {
			t.Errorf("can save %.3f without zeros, want a little less than 0.15", share)
		}
		if share := float64(within) / float64(all); share < 0.9 {
			t.Errorf("%.3f of it within a machine, want more than 0.9", share)
		}
	})
	t.Run("prefork", func(t *testing.T) {
		s := mustPreset(t, "prefork")
		if got, want := len(s.Plans())*s.Plans()[0].Pages*10, 12_651_937; !near(float64(got), float64(want), 0.005) {
			t.Errorf("%d pages at ten times the size, want %d", got, want)
		}
	})
}

// TestUnion compares the union of subsets of an image with its mean.
func TestUnion(t *testing.T) {
	const pool = 1 << 20
	tests := []struct {
		name     string
		guests   int
		fraction float64 // of 4 GiB, as large as the image
		exponent float64 // 0: uniform
	}{
		{"uniform", 5, 0.1, 0},
		{"uniform half", 3, 0.5, 0},
		{"uniform all", 2, 1, 0},
		{"zipf", 5, 0.1, 1},
		{"zipf flat", 4, 0.3, 0.5},
		{"zipf steep", 6, 0.2, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			subset := `subset = "uniform"`
			if tt.exponent > 0 {
				subset = fmt.Sprintf("subset = \"zipf\"\nexponent = %v", tt.exponent)
			}
			s := mustParse(t, fmt.Sprintf(`
[[group]]
name = "a"
count = %d
memory = "4GiB"
[[group.class]]
kind = "image"
image = "i"
fraction = %v
pool = "4GiB"
%s
[[group.class]]
kind = "free"
fraction = %v
`, tt.guests, tt.fraction, subset, 1-tt.fraction))
			held := make([]uint8, pool)
			base := s.groups[0].classes[0].base
			want := int(math.Floor(tt.fraction*pool + 0.5))
			for i := range tt.guests {
				memory := newMemory(pool)
				s.Guest(i).Step(memory)
				last, own := uint64(0), 0
				for _, c := range memory.pages[:want] {
					if c&ownBit != 0 {
						own++
						continue
					}
					if c < base || c >= base+pool || c <= last {
						t.Fatalf("content %#x behind %#x is not of the image, or not ascending", c, last)
					}
					held[c-base]++
					last = c
				}
				if own > 2 {
					t.Errorf("%d pages are not from the image", own)
				}
			}
			union, mean := 0, 0.0
			for _, n := range held {
				if n > 0 {
					union++
				}
			}
			for _, p := range directInclusion(pool, want, tt.exponent) {
				mean += 1 - math.Pow(1-p, float64(tt.guests))
			}
			if tt.exponent == 0 {
				if form := pool * (1 - math.Pow(1-tt.fraction, float64(tt.guests))); !near(mean, form, 1e-3) {
					t.Errorf("sum %v, closed form %v", mean, form)
				}
			}
			if !near(float64(union), mean, 0.003) {
				t.Errorf("union of %d pages, want %.0f", union, mean)
			}
		})
	}
}

// directInclusion finds the probabilities of a subset by bisection: min(1, c/i^s)
// with the c for which they add up to want.
func directInclusion(pool, want int, exponent float64) []float64 {
	weights, p := make([]float64, pool), make([]float64, pool)
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -exponent)
	}
	low, high := 0.0, math.Pow(float64(pool), exponent)+1
	for high-low > 1e-6*high {
		c, sum := (low+high)/2, 0.0
		for i, w := range weights {
			p[i] = min(1, c*w)
			sum += p[i]
		}
		if sum < float64(want) {
			low = c
		} else {
			high = c
		}
	}
	return p
}

// TestUnchanged compares the share of pages that are as they were with the law of
// each rule, at a million pages.
func TestUnchanged(t *testing.T) {
	const pages = 1 << 20
	tests := []struct {
		name      string
		rule      string
		unchanged func(after time.Duration) float64
	}{
		{"exponential", `write = [{ share = 1, every = "1h" }]`,
			func(t time.Duration) float64 { return math.Exp(-t.Hours()) }},
		{"three rates", `write = [{ share = 0.15, every = "10m" }, { share = 0.35, every = "2h" }, { share = 0.5, every = "48h" }]`,
			func(t time.Duration) float64 {
				return 0.15*math.Exp(-6*t.Hours()) + 0.35*math.Exp(-t.Hours()/2) + 0.5*math.Exp(-t.Hours()/48)
			}},
		{"rest", `write = [{ share = 0.5, every = "30m" }]`,
			func(t time.Duration) float64 { return 0.5 + 0.5*math.Exp(-2*t.Hours()) }},
		{"stretched", `survival = { tau = "20h", beta = 0.29, fastest = "1m" }`,
			func(t time.Duration) float64 { return math.Exp(-math.Pow(t.Hours()/20, 0.29)) }},
		{"stretched half", `survival = { tau = "1h", beta = 0.5 }`,
			func(t time.Duration) float64 { return math.Exp(-math.Sqrt(t.Hours())) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(t *testing.T, now, before []uint64, after time.Duration) {
				t.Helper()
				same := 0
				for i, c := range now {
					if c == before[i] {
						same++
					}
				}
				if got, want := float64(same)/pages, tt.unchanged(after); !near(got, want, 0.01) {
					t.Errorf("unchanged after %v: %.4f, want %.4f", after, got, want)
				}
			}
			s := mustParse(t, `[[group]]
name = "a"
memory = "4GiB"
boot = "1s"
[[group.class]]
kind = "private"
fraction = 1
`+tt.rule)
			m := newMachine(s)
			// The law holds from whatever time one looks on.
			for _, from := range []time.Duration{time.Second, 10 * time.Minute} {
				before := slices.Clone(m.run(from).memories[0].pages)
				for _, after := range []time.Duration{4 * time.Minute, 9 * time.Minute} {
					check(t, m.run(from + after).memories[0].pages, before, after)
				}
			}
			before := slices.Clone(m.memories[0].pages)
			check(t, m.run(49 * time.Minute).memories[0].pages, before, 30*time.Minute)
		})
	}
}

// TestUnchangedSmall checks the law where a range has very few pages.
func TestUnchangedSmall(t *testing.T) {
	const guests = 20_000
	for _, kib := range []int{4, 12} {
		s := mustParse(t, fmt.Sprintf("[[group]]\nname = \"a\"\ncount = %d\nmemory = \"%dKiB\"\n[[group.class]]\nkind = \"private\"\n"+
			"fraction = 1\nwrite = [{ share = 1, every = \"10s\" }]\n", guests, kib))
		m := newMachine(s).run(0)
		m.run(10 * time.Second)
		same := 0
		for i, memory := range m.memories {
			first := newMemory(kib / 4)
			s.Guest(i).Step(first)
			for k, c := range memory.pages {
				if c == first.pages[k] {
					same++
				}
			}
		}
		if got, want := float64(same)/float64(guests*kib/4), math.Exp(-1); !near(got, want, 0.02) {
			t.Errorf("%d KiB: unchanged after 10 s: %.4f, want %.4f", kib, got, want)
		}
	}
}

// TestZeroed checks the share of zeros that rewriting settles at.
func TestZeroed(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
memory = "1GiB"
[[group.class]]
kind = "private"
fraction = 1
zeroed = 0.3
write = [{ share = 1, every = "1m" }]
`)
	m := newMachine(s)
	for _, at := range []time.Duration{time.Minute, 20 * time.Minute} {
		zeros := float64(m.run(at).contents(at)[0]) / (1 << 18)
		if want := 0.3 * (1 - math.Exp(-at.Minutes())); !near(zeros, want, 0.01) {
			t.Errorf("after %v: %.4f zeros, want %.4f", at, zeros, want)
		}
	}
}

// TestSelf checks how many pages have a content, and that rewriting keeps it so.
func TestSelf(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
memory = "1GiB"
[[group.class]]
kind = "self"
fraction = 1
max_copies = 100
write = [{ share = 1, every = "1m" }]
`)
	m := newMachine(s).run(0)
	weights, mean := 0.0, 0.0
	for n := 2; n <= 100; n++ {
		weights += 1 / float64(n*n)
		mean += 1 / float64(n)
	}
	mean /= weights
	first := m.contents(0)
	for c, n := range first {
		if n < 2 || n > 101 {
			t.Errorf("content %#x has %d copies, want 2 to 101", c, n)
		}
	}
	// A block has 600 random lengths, so that the mean is not exact.
	if got := float64(1<<18) / float64(len(first)); !near(got, mean, 0.3) {
		t.Errorf("%.2f copies on average, want %.2f", got, mean)
	}
	later := m.run(20 * time.Minute).contents(0)
	for c := range later {
		if first[c] == 0 {
			t.Fatalf("content %#x is new", c)
		}
	}
	// The number of copies of a content is now random, with the same mean.
	lost := 0.0
	for _, n := range first {
		lost += math.Exp(-float64(n))
	}
	if want := float64(len(first)) - lost; !near(float64(len(later)), want, 0.01) {
		t.Errorf("%d contents are left, want %.0f", len(later), want)
	}
}

// TestArrivals compares starts and lifetimes with their laws.
func TestArrivals(t *testing.T) {
	s := mustParse(t, `[[group]]
name = "a"
count = 20000
memory = "4KiB"
start = "5s"
interval = "2s"
arrivals = "random"
lifetime = ["10s", "30s"]
`)
	longer, lifetimes := 0, 0.0
	plans := s.Plans()
	for i, p := range plans {
		life := p.End - p.Start
		lifetimes += life.Seconds()
		if life < 10*time.Second || life > 30*time.Second {
			t.Errorf("%s lives %v", p.Name, life)
		}
		if i > 0 && p.Start-plans[i-1].Start > 2*time.Second {
			longer++
		}
	}
	if plans[0].Start != 5*time.Second {
		t.Errorf("the first starts at %v, want 5s", plans[0].Start)
	}
	if got := plans[len(plans)-1].Start.Seconds() / float64(len(plans)); !near(got, 2, 0.03) {
		t.Errorf("mean interval %.3f s, want 2", got)
	}
	if got := float64(longer) / float64(len(plans)); !near(got, math.Exp(-1), 0.03) {
		t.Errorf("%.4f of the intervals are longer than the mean, want %.4f", got, math.Exp(-1))
	}
	if got := lifetimes / float64(len(plans)); !near(got, 20, 0.01) {
		t.Errorf("mean lifetime %.2f s, want 20", got)
	}
}

// TestRewrittenImage checks what pages of an image become: others of the image,
// as popular as in a subset, but private where they were relocated.
func TestRewrittenImage(t *testing.T) {
	const pages, pooled, pool = 1 << 17, 1 << 16, 1 << 18
	s := mustParse(t, `[[group]]
name = "a"
memory = "512MiB"
[[group.class]]
kind = "image"
image = "i"
fraction = 1
relocated = 0.5
pool = "1GiB"
subset = "zipf"
exponent = 0.9
write = [{ share = 1, every = "10s" }]
`)
	m := newMachine(s).run(0)
	for _, at := range []time.Duration{0, 5 * time.Minute} {
		base := s.groups[0].classes[0].base
		popular := 0
		for i, c := range m.run(at).memories[0].pages {
			if isOwn := c&ownBit != 0; isOwn != (i >= pooled) || !isOwn && (c < base || c >= base+pool) {
				t.Fatalf("at %v page %d of %d has content %#x", at, i, pages, c)
			}
			if c >= base && c < base+pool/100 {
				popular++
			}
		}
		want := 0.0
		for _, p := range directInclusion(pool, pooled, 0.9)[:pool/100] {
			want += p
		}
		if !near(float64(popular), want, 0.06) {
			t.Errorf("at %v %d pages are of the most popular hundredth, want %.0f", at, popular, want)
		}
	}
}
