package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

func TestParse(t *testing.T) {
	const text = "# a test\n" +
		"\n" +
		"  spawn\tp1 # one\n" +
		"map p1 a 262144\n" +
		"\t# two\n" +
		"write p1 a 262143 1 9223372036854775807#three\n" +
		"fill p1 a 0 00000000000000000000000000000003 0\n" +
		"read p1 a 1 2\n" +
		"dontneed p1 a 1 2\n" +
		"mergeable p1 a 0 1\n" +
		"unmergeable p1 a 0 1\n" +
		"unmap p1 a 5 6\n" +
		"fork p1 c\n" +
		"unmap c a\n" +
		"exit p1\n" +
		"set max_page_sharing 2147483647\n" +
		"scan\n" +
		"scan 1000000\n" +
		"batch 2\n" +
		"show A-z.0_+=\n" +
		"# end\n\n"
	s, err := Parse("test.script", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &Script{Name: "test.script", Tail: "# end\n", Ops: []Op{
		{Kind: OpSpawn, Process: "p1", Above: "# a test\n\n", Comment: "# one"},
		{Kind: OpMap, Process: "p1", Area: "a", Pages: 262144},
		{Kind: OpWrite, Process: "p1", Area: "a", First: 262143, Pages: 1, Content: MaxContent,
			Above: "# two\n", Comment: "#three"},
		{Kind: OpFill, Process: "p1", Area: "a", Pages: 3},
		{Kind: OpRead, Process: "p1", Area: "a", First: 1, Pages: 2},
		{Kind: OpDontNeed, Process: "p1", Area: "a", First: 1, Pages: 2},
		{Kind: OpMergeable, Process: "p1", Area: "a", Pages: 1},
		{Kind: OpUnmergeable, Process: "p1", Area: "a", Pages: 1},
		{Kind: OpUnmap, Process: "p1", Area: "a", First: 5, Pages: 6},
		{Kind: OpFork, Process: "p1", Child: "c"},
		{Kind: OpUnmap, Process: "c", Area: "a"},
		{Kind: OpExit, Process: "p1"},
		{Kind: OpSet, Knob: sysfs.MaxPageSharing, Value: 1<<31 - 1},
		{Kind: OpScan, Count: 1},
		{Kind: OpScan, Count: 1000000},
		{Kind: OpBatch, Count: 2},
		{Kind: OpShow, Label: "A-z.0_+="},
	}}
	for i, line := range []int{3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20} {
		want.Ops[i].Line = line
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("Parse:\ngot  %+v\nwant %+v", s, want)
	}
	const formatted = "# a test\n\nspawn p1 # one\nmap p1 a 262144\n# two\n" +
		"write p1 a 262143 1 9223372036854775807 #three\nfill p1 a 0 3 0\nread p1 a 1 2\ndontneed p1 a 1 2\n" +
		"mergeable p1 a 0 1\nunmergeable p1 a 0 1\nunmap p1 a 5 6\nfork p1 c\nunmap c a\nexit p1\n" +
		"set max_page_sharing 2147483647\nscan\nscan 1000000\nbatch 2\nshow A-z.0_+=\n# end\n"
	if got := string(s.Format()); got != formatted {
		t.Errorf("Format:\ngot  %q\nwant %q", got, formatted)
	}
}

func TestParseNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "\n\n  \n", "\t"} {
		s, err := Parse("x", []byte(text))
		if err != nil || len(s.Ops) != 0 || len(s.Format()) != 0 {
			t.Errorf("Parse(%q) = %+v, %v, want an empty script", text, s, err)
		}
	}
}

// start is the beginning of most scripts with an error, which then is in line 3.
const start = "spawn p\nmap p a 10\n"

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		// Text.
		{"carriage return", "spawn p\r\n", `1:8: "\r": a carriage return: lines end with a newline only`},
		{"nul", "spawn\x00 p", `1:6: "\x00": a control character`},
		{"escape in a comment", "# \x1b[2J", `1:3: "\x1b": a control character`},
		{"control character above 127", "# é\u0085", `1:4: "\u0085": a control character`},
		{"not UTF-8", "# é\xff", `1:4: "\xff": not UTF-8`},
		{"cut UTF-8", "spawn \xc3", `1:7: "\xc3": not UTF-8`},
		{"long line", "#" + strings.Repeat("x", maxLine),
			`1:1: "#` + strings.Repeat("x", 63) + `"...: the line is longer than 4096 bytes`},
		{"byte order mark", "\ufeffspawn p", `1:1: "\ufeffspawn": no such operation`},
		{"other blank", "spawn\u00a0p", `1:1: "spawn\u00a0p": no such operation`},

		// Words.
		{"unknown operation", "  swap p", `1:3: "swap": no such operation`},
		{"upper case", "Spawn p", `1:1: "Spawn": no such operation`},
		{"letter not of a name", "map é", `1:5: "é": a name is a letter a to z, then letters a to z and digits`},
		{"no word", "spawn", `1:1: "spawn": a word is missing: spawn P`},
		{"missing word", start + "write p a 0 1 # 5", `3:1: "write": a word is missing: write P A I N C`},
		{"half of what may be left out", start + "unmap p a 0", `3:1: "unmap": a word is missing: unmap P A [I N]`},
		{"nothing to fork to", start + "fork p", `3:1: "fork": a word is missing: fork P C`},
		{"extra word", start + "exit p now", `3:8: "now": a word too many: exit P`},
		{"extra word after what may be left out", "scan 1 2", `1:8: "2": a word too many: scan [N]`},
		{"first of two errors in a line", start + "read q a -1 5 x", `3:10: "-1": must be decimal digits`},

		// Names.
		{"name with an upper case letter", "spawn pP", `1:7: "pP": a name is a letter a to z, then letters a to z and digits`},
		{"name that begins with a digit", "spawn 1p", `1:7: "1p": a name is a letter a to z, then letters a to z and digits`},
		{"name of an area", "spawn p\nmap p a_b 1", `2:7: "a_b": a name is a letter a to z, then letters a to z and digits`},
		{"name of a child", start + "fork p C", `3:8: "C": a name is a letter a to z, then letters a to z and digits`},
		{"label", "show a/b", `1:6: "a/b": a label has letters, digits and . _ + = - only`},
		{"process twice", start + "spawn p", `3:7: "p": there was a process of this name in line 1`},
		{"process twice after exit", start + "exit p\nspawn p", `4:7: "p": there was a process of this name in line 1`},
		{"child twice", start + "fork p c\nfork p c", `4:8: "c": there was a process of this name in line 3`},
		{"own child", start + "fork p p", `3:8: "p": there was a process of this name in line 1`},
		{"area twice", start + "map p a 10", `3:7: "a": process p had an area of this name in line 2`},
		{"area twice after unmap", start + "unmap p a\nmap p a 10", `4:7: "a": process p had an area of this name in line 2`},
		{"area twice in a child", start + "fork p c\nmap c a 10", `4:7: "a": process c had an area of this name in line 2`},
		{"unknown process", "exit p", `1:6: "p": no such process`},
		{"unknown process to fork", "fork p c", `1:6: "p": no such process`},
		{"unknown area", start + "read p b 0 1", `3:8: "b": process p has no such area`},
		{"parent's area after the fork", start + "fork p c\nmap p b 1\nread c b 0 1", `5:8: "b": process c has no such area`},
		{"exited process", start + "exit p\nread p a 0 1", `4:6: "p": this process exited in line 3`},
		{"exit twice", start + "exit p\nexit p", `4:6: "p": this process exited in line 3`},
		{"fork of an exited process", start + "exit p\nfork p c", `4:6: "p": this process exited in line 3`},

		// Numbers.
		{"plus sign", "scan +1", `1:6: "+1": must be decimal digits`},
		{"minus sign", start + "read p a -1 1", `3:10: "-1": must be decimal digits`},
		{"hexadecimal", start + "fill p a 0 1 0x5", `3:14: "0x5": must be decimal digits`},
		{"underscore", "scan 1_0", `1:6: "1_0": must be decimal digits`},
		{"other digits", "scan ٣", `1:6: "٣": must be decimal digits`},
		{"map nothing", "spawn p\nmap p a 0", `2:9: "0": must be at least 1`},
		{"map too much", "spawn p\nmap p a 262145", `2:9: "262145": must be at most 262144`},
		{"overflow", "spawn p\nmap p a 18446744073709551617", `2:9: "18446744073709551617": must be at most 262144`},
		{"no pages", start + "read p a 0 0", `3:12: "0": must be at least 1`},
		{"unmap no pages", start + "unmap p a 0 0", `3:13: "0": must be at least 1`},
		{"first page", start + "read p a 262144 1", `3:10: "262144": must be at most 262143`},
		{"no scan", "scan 0", `1:6: "0": must be at least 1`},
		{"too many scans", "scan 1000001", `1:6: "1000001": must be at most 1000000`},
		{"too many batches", "batch 1000001", `1:7: "1000001": must be at most 1000000`},
		{"content", start + "fill p a 0 2 9223372036854775808", `3:14: "9223372036854775808": must be at most 9223372036854775807`},
		{"content of the last page", start + "write p a 0 2 9223372036854775807",
			`3:15: "9223372036854775807": the last page's content would be more than 9223372036854775807`},

		// Pages.
		{"first page outside", start + "read p a 10 1", `3:10: "10": not in the area, whose last page is 9`},
		{"last page outside", start + "write p a 9 2 0", `3:13: "2": not in the area: only 1 page follows from page 9`},
		{"first page unmapped", start + "unmap p a 3 2\nread p a 4 1", `4:10: "4": page 4 is unmapped`},
		{"later page unmapped", start + "unmap p a 3 2\nread p a 0 10", `4:12: "10": page 3 is unmapped`},
		{"unmapped twice", start + "unmap p a 0 1\nunmap p a 0 1", `4:11: "0": page 0 is unmapped`},
		{"last page unmapped", start + "unmap p a 9 1\nfill p a 8 2 0", `4:12: "2": page 9 is unmapped`},
		{"all unmapped", start + "unmap p a\nread p a 0 1", `4:10: "0": page 0 is unmapped`},
		{"nothing left", start + "unmap p a\nunmap p a", `4:9: "a": nothing is left of this area`},
		{"nothing left, piece by piece", start + "unmap p a 5 5\nunmap p a 0 5\nunmap p a", `5:9: "a": nothing is left of this area`},
		{"unmapped before the fork", start + "unmap p a 3 2\nfork p c\nread c a 3 1", `5:10: "3": page 3 is unmapped`},

		// Knobs.
		{"unknown knob", "set walk 1", `1:5: "walk": no such knob`},
		{"counter", "set full_scans 1", `1:5: "full_scans": a counter cannot be set`},
		{"depends on time", "set sleep_millisecs 1", `1:5: "sleep_millisecs": depends on time, and so is not for scripts`},
		{"advisor", "set advisor_mode none", `1:5: "advisor_mode": depends on time, and so is not for scripts`},
		{"run", "set run 3", `1:9: "3": must be 0 (stop), 1 (scan) or 2 (unmerge everything)`},
		{"run out of any range", "set run 99999999999999999999", `1:9: "99999999999999999999": must be 0 (stop), 1 (scan) or 2 (unmerge everything)`},
		{"pages_to_scan", "set pages_to_scan 4294967296", `1:19: "4294967296": must be at most 4294967295`},
		{"pages_to_scan sign", "set pages_to_scan +1", `1:19: "+1": must be decimal digits`},
		{"max_page_sharing low", "set max_page_sharing 1", `1:22: "1": must be at least 2: a KSM page is one that is shared`},
		{"max_page_sharing high", "set max_page_sharing 2147483648", `1:22: "2147483648": must be at most 2147483647`},
		{"merge_across_nodes", "set merge_across_nodes 2", `1:24: "2": must be 0 or 1`},
		{"smart_scan", "set smart_scan 10", `1:16: "10": must be 0 or 1`},
		{"smart_scan word", "set smart_scan y", `1:16: "y": must be decimal digits`},
		{"use_zero_pages", "set use_zero_pages 2", `1:20: "2": must be 0 or 1`},
		{"prune time", "set stable_node_chains_prune_millisecs 2000",
			`1:40: "2000": must be 0 (always) or 4294967295 (never): all else depends on time`},

		// Lines after one that is wrong.
		{"process of a wrong line", "spawn p q\nmap p a 3\nread p b 0 1\nunmap p b\nfork p c\nread c b 0 1\nexit p\n",
			`1:9: "q": a word too many: spawn P`},
		{"area of a wrong line", "spawn p\nmap p a\nfill p a 300 1 5\nunmap p a\nunmap p a\n",
			`2:1: "map": a word is missing: map P A N`},
		{"child of an unknown process", "fork q c\nread c a 0 1\nmap c b 5\n", `1:6: "q": no such process`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse("dir/f", []byte(tt.text))
			if s != nil || err == nil {
				t.Fatalf("Parse(%q) = %v, %v, want an error", tt.text, s, err)
			}
			if got, want := err.Error(), "dir/f:"+tt.want; got != want {
				t.Errorf("Parse(%q):\ngot  %s\nwant %s", tt.text, got, want)
			}
			if script := new(ScriptError); !errors.As(err, &script) || script.Err != nil {
				t.Errorf("Parse(%q): the error is %#v, want a *ScriptError without a cause", tt.text, err)
			}
		})
	}
}

// All errors are reported, up to a limit.
func TestParseManyErrors(t *testing.T) {
	_, err := Parse("f", []byte("x\nspawn p\n\ny\n"))
	if want := "f:1:1: \"x\": no such operation\nf:4:1: \"y\": no such operation"; err == nil || err.Error() != want {
		t.Errorf("two errors:\ngot  %v\nwant %s", err, want)
	}
	for _, n := range []int{maxErrors, maxErrors + 1, 1000} {
		_, err := Parse("f", bytes.Repeat([]byte("x\n"), n))
		list := strings.Split(err.Error(), "\n")
		if n == maxErrors && (len(list) != maxErrors || errors.Is(err, errMore)) {
			t.Errorf("%d errors: %d lines, want %d", n, len(list), maxErrors)
		}
		if n > maxErrors && (len(list) != maxErrors+1 || list[maxErrors] != "more errors follow") {
			t.Errorf("%d errors: %d lines, the last is %q", n, len(list), list[len(list)-1])
		}
	}
}

// goldenScripts returns the scripts whose tables a kernel printed.
func goldenScripts(t testing.TB) []string {
	paths, err := filepath.Glob("testdata/golden/*.script")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden scripts: %v", err)
	}
	return paths
}

func TestGoldenScriptsFormat(t *testing.T) {
	for _, path := range goldenScripts(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := checkRoundTrip(t, path, text)
		if s == nil || len(s.Ops) < 3 {
			t.Fatalf("%s: did not parse", path)
		}
		// Only blanks may change.
		blank := strings.NewReplacer(" ", "", "\t", "")
		if got, want := blank.Replace(string(s.Format())), blank.Replace(string(text)); got != want {
			t.Errorf("%s: the formatter changed more than blanks:\n%s", path, s.Format())
		}
	}
}

// checkRoundTrip checks parse(format(x)) = x and format(format(x)) = format(x).
// It returns nil if text is not a script.
func checkRoundTrip(t *testing.T, name string, text []byte) *Script {
	t.Helper()
	s, err := Parse(name, text)
	if err != nil {
		return nil
	}
	formatted := s.Format()
	again, err := Parse(name, formatted)
	if err != nil {
		t.Fatalf("%s: Parse(Format()): %v\n%s", name, err, formatted)
	}
	if !reflect.DeepEqual(again, s) {
		t.Errorf("%s: Parse(Format()):\ngot  %+v\nwant %+v", name, again, s)
	}
	if twice := again.Format(); !bytes.Equal(twice, formatted) {
		t.Errorf("%s: Format is not idempotent:\n%s\n%s", name, formatted, twice)
	}
	if err := s.Check(); err != nil {
		t.Errorf("%s: Check: %v", name, err)
	}
	return s
}

func FuzzParse(f *testing.F) {
	for _, path := range goldenScripts(f) {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(text) < 500 { // the fuzzer takes minutes to cut down longer ones
			f.Add(text)
		}
	}
	f.Add([]byte(" # c\n\nspawn p#x \nmap p a 3 # y\nunmap p a 1 1\nset run 2\n\n# \t\n\n"))
	f.Add([]byte("spawn p\xff\r\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if checkRoundTrip(t, "f", text) != nil {
			return
		}
		_, err := Parse("f", text)
		var first *ScriptError
		if !errors.As(err, &first) {
			t.Fatalf("Parse(%q): the error is %v, want a *ScriptError", text, err)
		}
		// The error is where it says.
		lines := bytes.Split(text, []byte("\n"))
		if first.Line < 1 || first.Line > len(lines) {
			t.Fatalf("Parse(%q): line %d", text, first.Line)
		}
		rest := string(lines[first.Line-1])
		for range first.Column - 1 {
			_, rest = cutRune(rest)
		}
		if first.Word == "" || !strings.HasPrefix(rest, first.Word) {
			t.Errorf("Parse(%q): %v: the word is not there", text, err)
		}
	})
}

// cutRune cuts off the first character of s, or the first byte if it is none.
func cutRune(s string) (first, rest string) {
	for i := range s {
		if i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// Scripts that are made by a program are checked as those that are read.
func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		s    Script
		want string
	}{
		{"empty", Script{}, ""},
		{"right", Script{Ops: []Op{{Kind: OpSpawn, Process: "p"}, {Kind: OpExit, Process: "p"}}}, ""},
		{"unknown process", Script{Name: "s", Ops: []Op{{Kind: OpExit, Process: "p"}}}, `s:1:6: "p": no such process`},
		{"no name", Script{Name: "s", Ops: []Op{{Kind: OpSpawn}}}, `s:1:1: "spawn": a word is missing: spawn P`},
		{"negative", Script{Name: "s", Ops: []Op{{Kind: OpScan, Count: -1}}}, `s:1:6: "-1": must be decimal digits`},
		{"no count", Script{Name: "s", Ops: []Op{{Kind: OpScan}}}, `s:1:6: "0": must be at least 1`},
		{"kind", Script{Name: "s", Ops: []Op{{Kind: 99}}}, `s:1:1: "OpKind(99)": no such operation`},
		{"operation in a label", Script{Name: "s", Ops: []Op{{Kind: OpShow, Label: "x\nscan"}}}, "s: the script cannot be written"},
		{"operation in a comment", Script{Name: "s", Tail: "scan\n"}, "s: the script cannot be written"},
		{"unused field", Script{Name: "s", Ops: []Op{{Kind: OpShow, Label: "x", Count: 1}}}, "s: the script cannot be written"},
	}
	for _, tt := range tests {
		err := tt.s.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: Check() = %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Comments of operations that follow each other stand below each other.
func TestFormatComments(t *testing.T) {
	const text = "scan# a\nbatch 10\nbatch 100    # b\n\nscan     # c\n"
	const want = "scan      # a\nbatch 10\nbatch 100 # b\n\nscan # c\n"
	s, err := Parse("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(s.Format()); got != want {
		t.Errorf("Format() = %q, want %q", got, want)
	}
}

// Lines that are as long as can be are not made longer by what they stand below.
func TestFormatLongLines(t *testing.T) {
	name, comment := strings.Repeat("a", 4000), "#"+strings.Repeat("x", maxLine-len("scan#"))
	for _, text := range []string{
		"scan" + comment + "\n",
		"spawn " + name + " # long\nscan # " + comment[:100] + "\n",
		"spawn p # a\nscan" + comment + "\nexit p # b\n",
	} {
		if checkRoundTrip(t, "x", []byte(text)) == nil {
			t.Errorf("%.20q... is no script", text)
		}
	}
	tooLong := Script{Name: "s", Ops: []Op{{Kind: OpScan, Count: 1, Comment: comment + "x"}}}
	if err := tooLong.Check(); err == nil || !strings.Contains(err.Error(), "longer than 4096 bytes") {
		t.Errorf("Check() with a comment too long = %v", err)
	}
}

// What is unmapped is known page by page, and a script that unmaps every second
// page of a large area is checked in the time that its lines need.
func TestParseUnmap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 50 {
		const pages = 24
		var gone [pages]bool
		text := "spawn p\nmap p a 24\n"
		for range 40 {
			first := rng.IntN(pages)
			n := 1 + rng.IntN(min(4, pages-first))
			line := fmt.Sprintf("unmap p a %d %d\n", first, n)
			_, err := Parse("x", []byte(text+line))
			at := slices.Index(gone[first:first+n], true)
			if (err != nil) != (at >= 0) || err != nil && !strings.Contains(err.Error(), fmt.Sprintf(": page %d is unmapped", first+at)) {
				t.Fatalf("Parse() = %v after page %d of it was unmapped:\n%s%s", err, at, text, line)
			}
			if err != nil {
				continue
			}
			text += line
			for k := range n {
				gone[first+k] = true
			}
		}
		_, err := Parse("x", []byte(text+"unmap p a\n"))
		if left := slices.Contains(gone[:], false); (err == nil) != left {
			t.Errorf("what is left can be unmapped: %v, want %v:\n%s", err == nil, left, text)
		}
	}

	const lines = 20000
	text := []byte(fmt.Sprintf("spawn p\nmap p a %d\n", 2*lines))
	for i := range lines {
		text = fmt.Appendf(text, "unmap p a %d 1\n", 2*i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Parse("x", text); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if perLine := (after.TotalAlloc - before.TotalAlloc) / lines; perLine > 10000 {
		t.Errorf("checking a line took %d bytes of memory", perLine)
	}
}
