package sim

import (
	"context"
	"slices"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

// A predicate on scripts, and the shortest script for which it is true.
var shrinkTests = []struct {
	name    string
	differs func(*Script) bool
	want    string
}{
	{"always", func(*Script) bool { return true }, ""},
	{"a fork, then an exit of the parent", forkThenExit(false), "spawn P\nfork P C\nexit P\n"},
	{"a fork, then an exit of the child", forkThenExit(true), "spawn P\nfork P C\nexit C\n"},
	{"a write, then a scan", inOrder(
		func(op Op) bool { return op.Kind == OpWrite || op.Kind == OpFill },
		func(op Op) bool { return op.Kind == OpScan },
	), "spawn P\nmap P A 1\nfill P A 0 1 1\nscan\n"},
	{"many scans", func(s *Script) bool {
		n := 0
		for i := range s.Ops {
			if s.Ops[i].Kind == OpScan {
				n += s.Ops[i].Count
			}
		}
		return n >= 3
	}, "scan 3\n"},
	{"five pages filled at once", inOrder(func(op Op) bool { return op.Kind == OpFill && op.Pages >= 5 }),
		"spawn P\nmap P A 5\nfill P A 0 5 1\n"},
	{"pages_to_scan, then a batch", inOrder(
		func(op Op) bool { return op.Knob == sysfs.PagesToScan && op.Value > 3 },
		func(op Op) bool { return op.Kind == OpBatch },
	), "set pages_to_scan 4\nbatch\n"},
	{"two equal pages of an area", func(s *Script) bool {
		type content struct {
			process, area string
			number        uint64
		}
		pages := make(map[content]map[int]bool)
		for i := range s.Ops {
			op := &s.Ops[i]
			if op.Kind != OpFill || op.Content == 0 {
				continue
			}
			c := content{op.Process, op.Area, op.Content}
			if pages[c] == nil {
				pages[c] = make(map[int]bool)
			}
			for k := range op.Pages {
				pages[c][op.First+k] = true
			}
			if len(pages[c]) > 1 {
				return true
			}
		}
		return false
	}, "spawn P\nmap P A 2\nfill P A 0 2 1\n"},
	{"a scan while the last value of smart_scan is 1", func(s *Script) bool {
		var smart uint64
		for i := range s.Ops {
			op := &s.Ops[i]
			if op.Kind == OpSet && op.Knob == sysfs.SmartScan {
				smart = op.Value
			}
			if op.Kind == OpScan && smart == 1 {
				return true
			}
		}
		return false
	}, "set smart_scan 1\nscan\n"},
}

// forkThenExit returns the predicate: a fork, and then the exit of the child or
// the parent.
func forkThenExit(ofChild bool) func(*Script) bool {
	return func(s *Script) bool {
		forked := make(map[string]bool)
		for i := range s.Ops {
			op := &s.Ops[i]
			if op.Kind == OpExit && forked[op.Process] {
				return true
			}
			if op.Kind == OpFork && ofChild {
				forked[op.Child] = true
			} else if op.Kind == OpFork {
				forked[op.Process] = true
			}
		}
		return false
	}
}

// TestShrink shrinks random scripts. What is left is the shortest script there
// is, apart from names, and 0 instead of content 1.
func TestShrink(t *testing.T) {
	for _, tt := range shrinkTests {
		t.Run(tt.name, func(t *testing.T) {
			shrunk, trials := 0, 0
			for seed := range uint64(40) {
				s := Generate(random(seed), GenerateOptions{})
				if !tt.differs(s) {
					continue
				}
				shrunk++
				got := Shrink(t.Context(), s, func(c *Script) bool {
					trials++
					if err := c.Check(); err != nil {
						t.Fatalf("seed %d: a script that cannot run was tried: %v", seed, err)
					}
					return tt.differs(c)
				})
				if !tt.differs(got) {
					t.Fatalf("seed %d: the result does not differ:\n%s", seed, got.Format())
				}
				if text := canonical(got); text != tt.want {
					t.Errorf("seed %d: Shrink:\n%swant:\n%s", seed, text, tt.want)
				}
			}
			if shrunk == 0 {
				t.Fatal("no random script fits")
			}
			t.Logf("%d scripts, %d trials each", shrunk, trials/shrunk)
		})
	}
}

// canonical returns the script's text with the names P, C and A, and with
// content 1 instead of 0.
func canonical(s *Script) string {
	text := ""
	for _, op := range s.Ops {
		root := s.Ops[slices.IndexFunc(s.Ops, func(o Op) bool { return o.Kind != OpSet })].Process
		rename := func(name string) string {
			switch name {
			case "":
				return ""
			case root:
				return "P"
			}
			return "C"
		}
		op.Process, op.Child = rename(op.Process), rename(op.Child)
		if op.Area != "" {
			op.Area = "A"
		}
		if op.Kind == OpFill {
			op.Content = max(op.Content, 1)
		}
		text += op.String() + "\n"
	}
	return text
}

// Shrinking takes pages out of the middle of an area, also of one that a fork
// copied, and keeps what later operations mean.
func TestShrinkPages(t *testing.T) {
	s := parse(t, "spawn p\nmap p a 100\nwrite p a 0 100 1\nfork p c\nset run 2\nset run 0\nunmap c a 90 2\nread c a 97 1\nunmap c a\nscan 100\n")
	// The page that c reads has the content 98.
	got := Shrink(t.Context(), s, func(c *Script) bool {
		contents, read := make(map[int]uint64), false
		for i := range c.Ops {
			op := &c.Ops[i]
			for k := range op.Pages {
				switch op.Kind {
				case OpWrite:
					contents[op.First+k] = op.Content + uint64(k)
				case OpFill:
					contents[op.First+k] = op.Content
				case OpRead:
					read = read || op.Process == "c" && contents[op.First+k] == 98
				}
			}
		}
		return read
	})
	const want = "spawn p\nmap p a 1\nfill p a 0 1 98\nfork p c\nread c a 0 1\n"
	if text := string(got.Format()); text != want {
		t.Errorf("Shrink:\n%swant:\n%s", text, want)
	}
}

// A knob gets at once the value that matters, also if it is changed later only.
func TestShrinkMergesKnobs(t *testing.T) {
	s := parse(t, "set max_page_sharing 2\nscan\nset max_page_sharing 3\nscan\n")
	got := Shrink(t.Context(), s, func(c *Script) bool {
		return c.Ops != nil && c.Ops[0].Kind == OpSet && slices.ContainsFunc(c.Ops, func(op Op) bool { return op.Value == 3 }) &&
			count(c, OpScan) == 2
	})
	if text, want := string(got.Format()), "set max_page_sharing 3\nscan\nscan\n"; text != want {
		t.Errorf("Shrink:\n%swant:\n%s", text, want)
	}
}

func TestShrinkEnds(t *testing.T) {
	s := Generate(random(1), GenerateOptions{Ops: 400, Profile: ProfileFork})
	trials := 0
	if got := Shrink(t.Context(), s, func(*Script) bool { trials++; return false }); got != s {
		t.Errorf("nothing shorter differs: Shrink = %s", got.Format())
	}
	if trials > maxTrials {
		t.Errorf("%d trials, want at most %d", trials, maxTrials)
	}

	ctx, cancel := context.WithCancel(t.Context())
	trials = 0
	Shrink(ctx, s, func(*Script) bool {
		if trials++; trials == 7 {
			cancel()
		}
		return false
	})
	if trials != 7 {
		t.Errorf("%d trials after the context was done, want none", trials-7)
	}
}
