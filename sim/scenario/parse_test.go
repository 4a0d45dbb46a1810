package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/ksmtop/ksmtop/sysfs"
)

// documented returns the example of docs/scenario.md.
func documented(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/scenario.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```toml\n")
	example, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("docs/scenario.md has no example")
	}
	return example
}

func TestParseDocumented(t *testing.T) {
	s := mustParse(t, documented(t))
	if s.Title != "a small host" || s.Seed != 7 || s.MemoryBytes != 8<<30 || s.Length != time.Hour {
		t.Errorf("Parse(...) = %q, seed %d, %d bytes, %v, want a small host, 7, 8 GiB, 1h",
			s.Title, s.Seed, s.MemoryBytes, s.Length)
	}
	wantKnobs := []sysfs.Setting{
		{Field: sysfs.PagesToScan, Value: "500"}, {Field: sysfs.SmartScan, Value: "1"}, {Field: sysfs.Run, Value: "1"},
	}
	if !reflect.DeepEqual(s.Knobs, wantKnobs) {
		t.Errorf("Knobs = %v, want %v", s.Knobs, wantKnobs)
	}
	wantEvents := []Event{{10 * time.Minute, []sysfs.Setting{
		{Field: sysfs.AdvisorTargetScanTime, Value: "100"}, {Field: sysfs.AdvisorMode, Value: "scan-time"},
	}}}
	if !reflect.DeepEqual(s.Events, wantEvents) {
		t.Errorf("Events = %v, want %v", s.Events, wantEvents)
	}
	if got := len(s.Plans()); got != 31 {
		t.Fatalf("%d plans, want 31: 10 machines, 1 zygote, 20 functions", got)
	}
	if p := s.Plans()[9]; p.Name != "vm-10" || p.Start != 20*time.Minute+10*time.Second || p.End != 0 || p.Parent != -1 {
		t.Errorf("Plans()[9] = %+v, want vm-10, added at 20m with the one before it, 10 s later", p)
	}
	if p := s.Plans()[30]; p.Name != "function-20" || p.Parent != 10 || p.Pages != 128<<20/PageSize {
		t.Errorf("Plans()[30] = %+v, want function-20, forked from plan 10, of 128 MiB", p)
	}
}

// TestErrors has at least one scenario for each thing that can be wrong.
func TestErrors(t *testing.T) {
	const group = "[[group]]\nname = \"a\"\nmemory = \"1MiB\"\n" // 3 lines
	const class = group + "[[group.class]]\nkind = \"private\"\nfraction = 0.5\n"
	const image = group + "[[group.class]]\nkind = \"image\"\nfraction = 0.5\nimage = \"i\"\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", `1: group: there must be at least one`},
		{"no table", "group = 3", `1: group: must be an array of tables`},
		{"no TOML", "[scenario]\ntitle = \n", `2: scenario.title: expected value but found '\n' instead`},
		{"key twice", "[scenario]\nseed = 1\nseed = 2\n", `3: scenario.seed: Key 'scenario.seed' has already been defined.`},
		{"unknown table", group + "[knob]\n", `4: knob: no such key here; there are event, group, knobs, scenario`},
		{"unknown key", "[scenario]\nseeds = 1\n" + group, `2: scenario.seeds: no such key here; there are length, memory, seed, title`},
		{"unknown keys", "[scenario]\nz = 1\na = 1\n" + group, `2: scenario.z: no such key here; there are length, memory, seed, title`},
		{"strange key", "[scenario]\n\"\\u001b[2J\" = 1\n" + group, `1: scenario."\x1b[2J": no such key here; there are length, memory, seed, title`},
		{"scenario no table", "scenario = 1\n" + group, `1: scenario: must be a table`},
		{"title", "[scenario]\ntitle = 1\n" + group, `2: scenario.title: must be a text in quotes`},
		{"seed", "[scenario]\nseed = -1\n" + group, `2: scenario.seed: -1: must be 0 to 9223372036854775807`},
		{"seed of 65 bits", "[scenario]\nseed = 18446744073709551616\n" + group, `2: scenario.seed: 18446744073709551616: must be from -9223372036854775808 to 9223372036854775807`},
		{"seed cut off", "[scenario]\nseed = 0x\n" + group, `2: scenario.seed: not a hexadecimal number: '0x '`},
		{"seed text", "[scenario]\nseed = \"1\"\n" + group, `2: scenario.seed: must be a whole number`},
		{"length", "[scenario]\nlength = \"0s\"\n" + group, `2: scenario.length: "0s": must be at least 1s`},
		{"length too long", "[scenario]\nlength = \"9000h\"\n" + group, `2: scenario.length: "9000h": must be at most 8784h0m0s`},
		{"length number", "[scenario]\nlength = 3\n" + group, `2: scenario.length: must be a time in quotes, as "1m30s"`},
		{"length text", "[scenario]\nlength = \"3 days\"\n" + group, `2: scenario.length: "3 days": must be a time, as "1m30s"`},
		{"memory", "[scenario]\nmemory = \"33TiB\"\n" + group, `2: scenario.memory: "33TiB": must be at most 32768 GiB`},

		{"knob", "[knobs]\npages_to_skan = 1\n" + group, `2: knobs.pages_to_skan: no such knob`},
		{"counter", "[knobs]\npages_shared = 1\n" + group, `2: knobs.pages_shared: "1": a counter cannot be set`},
		{"knob value", "[knobs]\nrun = 3\n" + group, `2: knobs.run: "3": must be 0 (stop), 1 (scan) or 2 (unmerge everything)`},
		{"knob negative", "[knobs]\npages_to_scan = -1\n" + group, `2: knobs.pages_to_scan: "-1": must be a decimal number`},
		{"knob kind", "[knobs]\npages_to_scan = 1.5\n" + group, `2: knobs.pages_to_scan: must be a whole number, a text in quotes, true or false`},
		{"advisor", "[knobs]\nadvisor_mode = \"scan-time\"\npages_to_scan = 5\n" + group, `3: knobs.pages_to_scan: the kernel refuses it while advisor_mode is scan-time`},
		{"event advisor", group + "[[event]]\nat = \"2s\"\nknobs = { pages_to_scan = 5 }\n[[event]]\nat = \"1s\"\nknobs = { advisor_mode = \"scan-time\" }\n", `6: event.knobs.pages_to_scan: the kernel refuses it while advisor_mode is scan-time`},
		{"event busy", group + "[[event]]\nat = \"2s\"\n[event.knobs]\nmax_page_sharing = 5\n", `7: event.knobs.max_page_sharing: the kernel refuses to change it while pages are merged; set it in [knobs]`},

		{"no name", "[[group]]\nmemory = \"1MiB\"\n", `1: group.name: is missing`},
		{"bad name", "[[group]]\nname = \"A b\"\nmemory = \"1MiB\"\n", `2: group.name: "A b": must be 1 to 64 small letters, digits, '-', '.' and '_'`},
		{"name twice", group + group, `5: group.name: "a": there is a group of that name already`},
		{"no memory", "[[group]]\nname = \"a\"\n", `1: group.memory: is missing`},
		{"memory zero", "[[group]]\nname = \"a\"\nmemory = \"0MiB\"\n", `3: group.memory: "0MiB": must be a multiple of 4 KiB, and not 0`},
		{"memory number", "[[group]]\nname = \"a\"\nmemory = 4096\n", `3: group.memory: must be a size in quotes, as "2GiB"`},
		{"memory text", "[[group]]\nname = \"a\"\nmemory = \"1.2.3GiB\"\n", `3: group.memory: "1.2.3GiB": must be a size, as "512MiB" or "2GiB"`},
		{"memory infinite", "[[group]]\nname = \"a\"\nmemory = \"InfGiB\"\n", `3: group.memory: "InfGiB": must be a size, as "512MiB" or "2GiB"`},
		{"memory unit", "[[group]]\nname = \"a\"\nmemory = \"1MB\"\n", `3: group.memory: "1MB": must be a size, as "512MiB" or "2GiB"`},
		{"memory odd", "[[group]]\nname = \"a\"\nmemory = \"3KiB\"\n", `3: group.memory: "3KiB": must be a multiple of 4 KiB, and not 0`},
		{"memory huge", "[[group]]\nname = \"a\"\nhuge = true\nmemory = \"3MiB\"\n", `4: group.memory: "3MiB": must be a multiple of 2048 KiB, and not 0`},
		{"memory much", "[[group]]\nname = \"a\"\nmemory = \"1.1TiB\"\n", `3: group.memory: "1.1TiB": must be at most 1024 GiB`},
		{"count", group + "count = 1000000000000\n", `4: group.count: 1000000000000: must be 1 to 100000`},
		{"no guests", group + "count = 0\n", `4: group.count: 0: must be 1 to 100000`},
		{"guests of groups", group + "count = 60000\n[[group]]\nname = \"b\"\nmemory = \"4KiB\"\ncount = 60000\n", `8: group.count: all groups together have more than 100000 guests`},
		{"memory of guests", "[[group]]\nname = \"a\"\nmemory = \"1TiB\"\ncount = 33\n", `4: group.count: all guests together have more than 32768 GiB`},
		{"interval", group + "count = 10\ninterval = \"8784h\"\n", `4: group.count: starting them all takes longer than 8784h0m0s`},
		{"start", group + "start = \"-1s\"\n", `4: group.start: "-1s": must be at least 0s`},
		{"arrivals", group + "arrivals = \"poisson\"\n", `4: group.arrivals: "poisson": must be regular, random`},
		{"lifetime", group + "lifetime = \"1ms\"\n", `4: group.lifetime: "1ms": must be at least 100ms`},
		{"lifetime order", group + "lifetime = [\"2s\", \"1s\"]\n", `4: group.lifetime: the first time is longer than the second`},
		{"lifetimes", group + "lifetime = [\"2s\"]\n", `4: group.lifetime: must be one time or two, as ["10s", "1m"]`},
		{"huge", group + "huge = 1\n", `4: group.huge: must be true or false`},
		{"fork from nothing", "[[group]]\nname = \"b\"\nfork = \"b\"\n", `3: group.fork: "b": no such group`},
		{"fork memory", group + "[[group]]\nname = \"b\"\nfork = \"a\"\nmemory = \"1MiB\"\n", `7: group.memory: forked guests have that of their template`},
		{"fork huge", group + "[[group]]\nname = \"b\"\nfork = \"a\"\nhuge = true\n", `7: group.huge: forked guests have the pages of their template`},
		{"fork from many", group + "count = 2\n[[group]]\nname = \"b\"\nfork = \"a\"\n", `7: group.fork: "a" has 2 guests: a template is one`},
		{"fork from mortal", group + "lifetime = \"1h\"\n[[group]]\nname = \"b\"\nfork = \"a\"\n", `7: group.fork: "a" has a lifetime: a template stays`},
		{"fork early", group + "boot = \"1m\"\n[[group]]\nname = \"b\"\nfork = \"a\"\nstart = \"1s\"\n", `8: group.start: the template "a" is not there before 1m0s`},

		{"no kind", group + "[[group.class]]\nfraction = 1\n", `4: group.class.kind: is missing`},
		{"kind", group + "[[group.class]]\nkind = \"shared\"\nfraction = 1\n", `5: group.class.kind: "shared": must be private, zero, image, template, self, prefix, free`},
		{"no fraction", group + "[[group.class]]\nkind = \"zero\"\n", `4: group.class.fraction: is missing`},
		{"misspelt", group + "[[group.class]]\nkind = \"zero\"\nfracton = 1\n", `6: group.class.fracton: no such key here; there are burst, fraction, kind, survival, write, zeroed`},
		{"misspelt in a group", "[[group]]\nname = \"a\"\nmemroy = \"1GiB\"\n", `3: group.memroy: no such key here; there are arrivals, boot, class, count, fork, huge, interval, lifetime, memory, name, start`},
		{"negative rate", class + "write = [{ share = 1, every = \"-30s\" }]\n", `7: group.class.write.every: "-30s": must be at least 100ms`},
		{"negative fraction", group + "[[group.class]]\nkind = \"zero\"\nfraction = -0.1\n", `6: group.class.fraction: -0.1: must be 0 to 1`},
		{"guests added", group + "[[event]]\nat = \"1s\"\nadd = \"a\"\ncount = 1000000000000\n", `7: event.count: 1000000000000: must be 1 to 100000`},
		{"fraction", group + "[[group.class]]\nkind = \"zero\"\nfraction = 1.5\n", `6: group.class.fraction: 1.5: must be 0 to 1`},
		{"fraction not a number", group + "[[group.class]]\nkind = \"zero\"\nfraction = nan\n", `6: group.class.fraction: NaN: must be 0 to 1`},
		{"fraction text", group + "[[group.class]]\nkind = \"zero\"\nfraction = \"half\"\n", `6: group.class.fraction: must be a number`},
		{"fractions", class + "[[group.class]]\nkind = \"zero\"\nfraction = 0.6\n", `9: group.class.fraction: the fractions of the group's classes add up to 1.1, more than 1`},
		{"key of another kind", class + "pool = \"1MiB\"\n", `7: group.class.pool: no such key here; there are burst, fraction, kind, survival, write, zeroed`},
		{"no image", group + "[[group.class]]\nkind = \"image\"\nfraction = 0.5\n", `4: group.class.image: is missing`},
		{"no pool", image, `4: group.class.pool: is missing: no earlier class has this image`},
		{"small pool", image + "pool = \"256KiB\"\n", `8: group.class.pool: the class has 512 KiB, more than its image`},
		{"large pool", image + "pool = \"65GiB\"\n", `8: group.class.pool: "65GiB": must be at most 64 GiB`},
		{"two pools", image + "pool = \"1MiB\"\n[[group.class]]\nkind = \"image\"\nfraction = 0.5\nimage = \"i\"\npool = \"2MiB\"\n", `13: group.class.pool: the image has 1024 KiB in an earlier class`},
		{"subset", image + "pool = \"1MiB\"\nsubset = \"some\"\n", `9: group.class.subset: "some": must be all, uniform, zipf`},
		{"exponent", image + "pool = \"1MiB\"\nsubset = \"zipf\"\nexponent = -1\n", `10: group.class.exponent: -1: must be 0 to 4`},
		{"relocated", image + "pool = \"1MiB\"\nrelocated = 2\n", `9: group.class.relocated: 2: must be 0 to 1`},
		{"sweep", image + "pool = \"1MiB\"\nsweep = { every = \"1h\" }\n", `9: group.class.sweep.at: is missing`},
		{"copies", group + "[[group.class]]\nkind = \"self\"\nfraction = 1\nmax_copies = 1\n", `7: group.class.max_copies: 1: must be 2 to 4096`},
		{"write", class + "write = [{ share = 1, every = \"-5s\" }]\n", `7: group.class.write.every: "-5s": must be at least 100ms`},
		{"write fast", class + "write = [\n\t{ share = 1, every = \"1ns\" },\n]\n", `8: group.class.write.every: "1ns": must be at least 100ms`},
		{"write shares", class + "write = [\n\t{ share = 0.7, every = \"1s\" },\n\t{ share = 0.7, every = \"1s\" },\n]\n", `9: group.class.write.share: the shares of the class add up to 1.4, more than 1`},
		{"write no table", class + "write = [\"1s\"]\n", `7: group.class.write: must be a table`},
		{"write no share", class + "write = [{ every = \"1s\" }]\n", `7: group.class.write.share: is missing`},
		{"write unknown", class + "write = [{ share = 1, every = \"1s\", rate = 3 }]\n", `7: group.class.write.rate: no such key here; there are every, share`},
		{"both laws", class + "write = [{ share = 1, every = \"1s\" }]\nsurvival = { tau = \"1h\", beta = 0.5 }\n", `8: group.class.survival: a class has either write or survival`},
		{"beta", class + "survival = { tau = \"1h\", beta = 1.5 }\n", `7: group.class.survival.beta: 1.5: must be 0.1 to 1`},
		{"beta near 1", class + "survival = { tau = \"1h\", beta = 0.99 }\n", `7: group.class.survival.beta: 0.99: must be 0.1 to 0.9, or 1`},
		{"no tau", class + "survival = { beta = 0.5 }\n", `7: group.class.survival.tau: is missing`},
		{"burst", class + "burst = { every = \"1s\" }\n", `7: group.class.burst.share: is missing`},
		{"zeroed", class + "zeroed = -0.1\n", `7: group.class.zeroed: -0.1: must be 0 to 1`},

		{"no at", group + "[[event]]\nadd = \"a\"\n", `4: event.at: is missing`},
		{"nothing happens", group + "[[event]]\nat = \"1s\"\n", `4: event: must have one of knobs, add and balloon`},
		{"two things happen", group + "[[event]]\nat = \"1s\"\nadd = \"a\"\nballoon = \"a\"\n", `4: event: must have one of knobs, add and balloon`},
		{"add unknown", group + "[[event]]\nat = \"1s\"\nadd = \"b\"\n", `6: event.add: "b": no such group`},
		{"add too many", group + "[[event]]\nat = \"1s\"\nadd = \"a\"\ncount = 1000000\n", `7: event.count: 1000000: must be 1 to 100000`},
		{"add template", group + "[[group]]\nname = \"b\"\nfork = \"a\"\n[[event]]\nat = \"1s\"\nadd = \"a\"\n", `9: event.add: "a" is a template, of which there is one`},
		{"add early", group + "boot = \"1m\"\n[[group]]\nname = \"b\"\nfork = \"a\"\nstart = \"1m\"\n[[event]]\nat = \"1s\"\nadd = \"b\"\n", `10: event.at: the template "a" is not there before 1m0s`},
		{"balloon unknown", group + "[[event]]\nat = \"1s\"\nballoon = \"b\"\nshare = 0.5\n", `6: event.balloon: "b": no such group`},
		{"balloon share", group + "[[event]]\nat = \"1s\"\nballoon = \"a\"\n", `4: event.share: is missing`},
		{"event unknown", group + "[[event]]\nat = \"1s\"\nballoon = \"a\"\nshare = 1\ncount = 1\n", `8: event.count: no such key here; there are add, at, balloon, knobs, share`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse("dir/x.toml", []byte(tt.text))
			if err == nil {
				t.Fatalf("Parse(%q) has no error, want %s", tt.text, tt.want)
			}
			if s != nil {
				t.Errorf("Parse(%q) returns a scenario with the error", tt.text)
			}
			if got, want := err.Error(), "dir/x.toml:"+tt.want; got != want {
				t.Errorf("Parse(%q) error =\n%s, want\n%s", tt.text, got, want)
			}
			var structured *Error
			if !errors.As(err, &structured) || structured.File != "dir/x.toml" {
				t.Errorf("Parse(%q) error is a %T, want an *Error of the file", tt.text, err)
			}
		})
	}
	t.Run("too long", func(t *testing.T) {
		_, err := Parse("x", bytes.Repeat([]byte("#"), maxTextBytes+1))
		if want := "x:1: must be at most 1048576 bytes"; err == nil || err.Error() != want {
			t.Errorf("Parse(1 MiB and 1 byte) error = %v, want %s", err, want)
		}
	})
}

// TestSettings checks the order of settings that come at one time.
func TestSettings(t *testing.T) {
	tests := []struct{ knobs, want string }{
		{"", "[run=1]"},
		{"run = 0\npages_to_scan = 5", "[run=0 pages_to_scan=5]"},
		{"run = \"+01\"\npages_to_scan = 5", "[pages_to_scan=5 run=+01]"},
		{"pages_to_scan = 5\nadvisor_mode = \"none\"", "[advisor_mode=none pages_to_scan=5 run=1]"},
		{"advisor_mode = \"scan-time\"\nadvisor_min_pages_to_scan = 5", "[advisor_min_pages_to_scan=5 advisor_mode=scan-time run=1]"},
		{"use_zero_pages = true\nsmart_scan = false", "[use_zero_pages=1 smart_scan=0 run=1]"},
	}
	for _, tt := range tests {
		s := mustParse(t, "[[group]]\nname = \"a\"\nmemory = \"1MiB\"\n[knobs]\n"+tt.knobs)
		if got := fmt.Sprint(s.Knobs); got != tt.want {
			t.Errorf("knobs %q: %s, want %s", tt.knobs, got, tt.want)
		}
	}
}

func TestLocate(t *testing.T) {
	text := `top = 1 # a = 2
[a]
x = """
y = 3
"quoted\"""" # z
'y' = [ 1, # one
  { u = [2], v = 'b = 1' }]
"z w" = 1
[[t]]
a.b = '''
c'''
[[t.u]]
k = "\"" 
[[t.u]]
[t.u.deep]
k = 1
[[t]]
[[t.u]]
k = {
 l = 1 }
last = -1.5e3`
	got := locate(text)
	want := map[string]int{
		"top": 1, "a": 2, "a.x": 3, "a.y": 6, "a.y.0": 6, "a.y.1": 7, "a.y.1.u": 7, "a.y.1.u.0": 7, "a.y.1.v": 7, "a.z w": 8,
		"t.0": 9, "t.0.a.b": 10, "t.0.u.0": 12, "t.0.u.0.k": 13, "t.0.u.1": 14, "t.0.u.1.deep": 15, "t.0.u.1.deep.k": 16,
		"t.1": 17, "t.1.u.0": 18, "t.1.u.0.k": 19, "t.1.u.0.k.l": 20, "t.1.u.0.last": 21,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("locate(...) = %v, want %v", got, want)
	}
	if err := toml.Unmarshal([]byte(text), &map[string]any{}); err != nil {
		t.Errorf("the text is no TOML: %v", err)
	}
}

// FuzzParse checks that whatever is accepted can be planned, scaled and begun,
// and means the same when written in another way.
func FuzzParse(f *testing.F) {
	f.Add([]byte(documented(f)))
	for _, name := range presetNames() {
		text, err := PresetText(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("fuzz.toml", text)
		if err != nil {
			var structured *Error
			if !errors.As(err, &structured) || structured.Line < 1 || structured.Line > bytes.Count(text, []byte("\n"))+1 {
				t.Fatalf("Parse(%q) error = %v: no *Error, or no such line", text, err)
			}
			return
		}
		checkPlans(t, s)
		if len(s.Plans()) > 100 || s.Plans()[0].Pages > 1<<16 {
			return
		}
		for i := range s.Plans() {
			guest := s.Guest(i)
			memory := newMemory(s.Plans()[i].Pages)
			for range 20 {
				if _, ok := guest.Next(); ok {
					guest.Step(memory)
				}
			}
		}
		var values map[string]any
		var again bytes.Buffer
		if err := toml.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		if err := toml.NewEncoder(&again).Encode(values); err != nil {
			t.Skip("the encoder does not take it")
		}
		s2, err := Parse("fuzz.toml", again.Bytes())
		if err != nil {
			t.Fatalf("Parse(%q) error = %v, but for %q there is none", again.Bytes(), err, text)
		}
		if !reflect.DeepEqual(s.Plans(), s2.Plans()) || !reflect.DeepEqual(s.Knobs, s2.Knobs) ||
			!reflect.DeepEqual(s.Events, s2.Events) || s.MemoryBytes != s2.MemoryBytes || !reflect.DeepEqual(s.spec, s2.spec) {
			t.Errorf("%q means something else than %q", again.Bytes(), text)
		}
	})
}

// checkPlans checks what holds for the plans of any scenario.
func checkPlans(t *testing.T, s *Scenario) {
	t.Helper()
	if len(s.Plans()) == 0 || len(s.Plans()) > maxGuests {
		t.Fatalf("%d plans", len(s.Plans()))
	}
	total := 0.0
	names := map[string]bool{}
	for i, p := range s.Plans() {
		total += float64(p.Pages)
		if names[p.Name] || p.Start < 0 || p.End != 0 && p.End <= p.Start || p.Pages < 1 || p.Pages > maxGuestPages ||
			p.Parent < -1 || p.Parent >= i || p.Huge && p.Pages%hugePages != 0 {
			t.Fatalf("Plans()[%d] = %+v", i, p)
		}
		names[p.Name] = true
		if p.Parent >= 0 {
			if parent := s.Plans()[p.Parent]; parent.Pages != p.Pages || parent.Start > p.Start || parent.End != 0 {
				t.Fatalf("Plans()[%d] = %+v, forked from %+v", i, p, parent)
			}
		}
	}
	if total > maxPages {
		t.Fatalf("all guests have %v pages", total)
	}
}
