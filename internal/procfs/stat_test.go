//go:build unix

package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// rest is a line from behind the name to its end: fields 3 to 52.
const rest = " S 41 7 8 0 -1 4194560 100 200 3 4 91234 12345 5 -6 20 -19 1 0 20417 4294967296 489472 18446744073709551615" +
	" 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

func TestParseStat(t *testing.T) {
	full := func(pid int, comm string) Stat {
		return Stat{PID: pid, Comm: []byte(comm), PPID: 41, Flags: 4194560, User: 91234, Sys: 12345, Start: 20417, RSS: 489472}
	}
	tests := []struct {
		name string
		text string
		want Stat
		bad  bool
	}{
		{name: "empty", text: "", bad: true},
		{name: "newline", text: "\n", bad: true},
		{name: "plain", text: "1201 (qemu)" + rest, want: full(1201, "qemu")},
		{name: "no newline", text: "1201 (qemu)" + strings.TrimSuffix(rest, "\n"), want: full(1201, "qemu")},
		{name: "no name", text: "1 ()" + rest, want: full(1, "")},
		{name: "blanks in the name", text: "1 ( a b )" + rest, want: full(1, " a b ")},
		{name: "parentheses in the name", text: "1 (a) S (b))" + rest, want: full(1, "a) S (b)")},
		{name: "a whole line in the name", text: "1 (x) R 1 1" + rest, bad: true},
		{name: "looks like fields", text: "1 (x) R 1 (y)" + rest, want: full(1, "x) R 1 (y")},
		{name: "newline in the name", text: "1 (a\nb)" + rest, want: full(1, "a\nb")},
		{name: "escape sequence in the name", text: "1 (\x1b[2J)" + rest, want: full(1, "\x1b[2J")},
		{name: "no text in the name", text: "1 (\xff\x00\xfe)" + rest, want: full(1, "\xff\x00\xfe")},
		{name: "largest PID", text: "2147483647 (a)" + rest, want: full(math.MaxInt32, "a")},
		{name: "one past the largest PID", text: "2147483648 (a)" + rest, bad: true},
		{name: "PID 2^64+1", text: "18446744073709551617 (a)" + rest, bad: true},
		{name: "PID 0", text: "0 (a)" + rest, bad: true},
		{name: "negative PID", text: "-1 (a)" + rest, bad: true},
		{name: "no PID", text: " (a)" + rest, bad: true},
		{name: "name first", text: "(a)" + rest, bad: true},
		{name: "PID is a word", text: "self (a)" + rest, bad: true},
		{name: "no blank behind the PID", text: "1(a)" + rest, bad: true},
		{name: "newline behind the PID", text: "1\n(a)" + rest, bad: true},
		{name: "not closed", text: "1 (a" + strings.TrimSuffix(rest, "\n"), bad: true},
		{name: "not opened", text: "1 a)" + rest, bad: true},
		{name: "closed before it is opened", text: "1 )(" + rest, bad: true},
		{name: "ends behind the name", text: "1 (a)", bad: true},
		{name: "ends behind the state", text: "1 (a) S", bad: true},
		{name: "ends behind the blank", text: "1 (a) S ", bad: true},
		{name: "two letters of state", text: "1 (a) SS 41 7", bad: true},
		{name: "ends before the RSS", text: "1 (a)" + before(rest, " 489472"), bad: true},
		{name: "ends behind the RSS", text: "1 (a)" + before(rest, " 18446744073709551615"), want: full(1, "a")},
		{name: "two blanks", text: "1 (a)" + strings.Replace(rest, " 7 8 ", " 7  8 ", 1), bad: true},
		{name: "minus where the kernel has none", text: "1 (a)" + strings.Replace(rest, " 41 ", " -5 ", 1),
			want: Stat{PID: 1, Comm: []byte("a"), Flags: 4194560, User: 91234, Sys: 12345, Start: 20417, RSS: 489472}},
		{name: "a word for a number", text: "1 (a)" + strings.Replace(rest, " 91234 ", " many ", 1), bad: true},
		{name: "a sign alone", text: "1 (a)" + strings.Replace(rest, " -1 ", " - ", 1), bad: true},
		{name: "2^64", text: "1 (a)" + strings.Replace(rest, " 91234 ", " 18446744073709551616 ", 1), bad: true},
		{name: "2^64+41 as the parent", text: "1 (a)" + strings.Replace(rest, " 41 ", " 18446744073709551657 ", 1), bad: true},
		{name: "2^32 as the parent", text: "1 (a)" + strings.Replace(rest, " 41 ", " 4294967296 ", 1), bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseStat([]byte(tt.text))
			if tt.bad {
				if err == nil {
					t.Errorf("ParseStat(%q) = %+v, want an error", tt.text, got)
				}
				return
			}
			if err != nil || !sameStat(got, tt.want) {
				t.Errorf("ParseStat(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
			}
		})
	}
}

func before(s, sep string) string {
	s, _, _ = strings.Cut(s, sep)
	return s
}

func sameStat(a, b Stat) bool {
	return string(a.Comm) == string(b.Comm) && a.PID == b.PID && a.PPID == b.PPID && a.Flags == b.Flags &&
		a.User == b.User && a.Sys == b.Sys && a.Start == b.Start && a.RSS == b.RSS
}

// TestParseStatFields puts the largest number into one field after another.
func TestParseStatFields(t *testing.T) {
	for field := 5; field <= 24; field++ {
		words := strings.Fields("1 (a) S 1" + strings.Repeat(" 0", 48))
		words[field-1] = "18446744073709551615"
		got, err := ParseStat([]byte(strings.Join(words, " ") + "\n"))
		want := Stat{PID: 1, Comm: []byte("a"), PPID: 1}
		switch field {
		case 9:
			want.Flags = math.MaxUint64
		case 14:
			want.User = math.MaxUint64
		case 15:
			want.Sys = math.MaxUint64
		case 22:
			want.Start = math.MaxUint64
		case 24:
			want.RSS = math.MaxUint64
		}
		if err != nil || !sameStat(got, want) {
			t.Errorf("largest number in field %d = %+v, %v, want %+v", field, got, err, want)
		}
	}
}

func TestParseStatAllocatesNothing(t *testing.T) {
	good, bad := []byte("1201 (qemu)"+rest), []byte("1201 (qemu) S x")
	n := testing.AllocsPerRun(100, func() {
		ParseStat(good)
		ParseStat(bad)
	})
	if n != 0 {
		t.Errorf("ParseStat allocates %g times, want 0", n)
	}
}

func TestKernelThread(t *testing.T) {
	for flags, want := range map[uint64]bool{0: false, 4194560: false, 0x1fffff: false, 0x200000: true, 2097216: true} {
		s := Stat{Flags: flags}
		if got := s.KernelThread(); got != want {
			t.Errorf("KernelThread() with flags %#x = %t, want %t", flags, got, want)
		}
	}
}

// statLine matches a line of which every byte was made a rune: the number,
// the name up to the last parenthesis, and the fields that follow.
var statLine = regexp.MustCompile(`(?s)\A([1-9][0-9]*) \((.*)\) [^)]((?: -?[0-9]+){21})(?:[^0-9)][^)]*)?\z`)

// slowStat parses a line as its definition says.
func slowStat(text []byte) (Stat, bool) {
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	match := statLine.FindStringSubmatch(string(runes))
	if match == nil {
		return Stat{}, false
	}
	number := func(text string, most uint64) uint64 {
		n, _ := new(big.Int).SetString(strings.TrimPrefix(text, "-"), 10)
		if n.Cmp(new(big.Int).SetUint64(most)) > 0 {
			match = nil
			return 0
		}
		if text[0] == '-' {
			return 0
		}
		return n.Uint64()
	}
	var s Stat
	for _, r := range match[2] {
		s.Comm = append(s.Comm, byte(r))
	}
	words := append([]string{"", "", "", ""}, strings.Fields(match[3])...) // words[4] is field 4
	s.PID = int(number(match[1], math.MaxInt32))
	s.PPID = int(number(words[4], math.MaxInt32))
	for i := 5; i <= 24; i++ {
		n := number(words[i], math.MaxUint64)
		if to := map[int]*uint64{9: &s.Flags, 14: &s.User, 15: &s.Sys, 22: &s.Start, 24: &s.RSS}[i]; to != nil {
			*to = n
		}
	}
	return s, match != nil
}

func FuzzParseStat(f *testing.F) {
	for _, comm := range []string{"", "ksmd", "a) R 1 (\x1b[2J\nb", "))) (((", "\xff"} {
		f.Add([]byte("36 (" + comm + ")" + rest))
	}
	f.Add([]byte("1 (a)" + before(rest, " 18446744073709551615")))
	f.Add([]byte("18446744073709551617 (a)" + rest))
	f.Add([]byte("01x(a) S"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseStat(text)
		want, ok := slowStat(text)
		if ok != (err == nil) || ok && !sameStat(got, want) {
			t.Errorf("ParseStat(%q) = %+v, %v, want %+v, %t", text, got, err, want, ok)
		}
	})
}

func TestLines(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []string
	}{
		{name: "empty", text: ""},
		{name: "vmstat", text: "cow_ksm 5\nksm_swpin_copy 0\n", want: []string{"cow_ksm=5", "ksm_swpin_copy=0"}},
		{name: "meminfo", text: "MemTotal:       24684092 kB\n", want: []string{"MemTotal=24684092 kB"}},
		{name: "both in ksm_stat", text: "ksm_process_profit -64\nksm_merge_any: no\n", want: []string{"ksm_process_profit=-64", "ksm_merge_any=no"}},
		{name: "no newline at the end", text: "a 1\nb 2", want: []string{"a=1", "b=2"}},
		{name: "empty line", text: "a 1\n\nb 2\n", want: []string{"a=1", "=", "b=2"}},
		{name: "key without value", text: "a\nb:\n", want: []string{"a=", "b="}},
		{name: "one colon is taken off", text: "a:: 1\n", want: []string{"a:=1"}},
		{name: "carriage return stays", text: "a 1\r\n", want: []string{"a=1\r"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			Lines([]byte(tt.text), func(key, value []byte) bool {
				got = append(got, fmt.Sprintf("%s=%s", key, value))
				return true
			})
			if !slices.Equal(got, tt.want) {
				t.Errorf("Lines(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
	calls := 0
	Lines([]byte("a 1\nb 2\nc 3\n"), func(key, _ []byte) bool {
		calls++
		return string(key) != "b"
	})
	if calls != 2 {
		t.Errorf("Lines called each %d times, want 2: it returned false for b", calls)
	}
}

// A killed process whose parent has not noticed is exiting, and this one is not.
func TestExiting(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exiting := func(pid int) bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("there is no /proc")
		}
		if err != nil {
			t.Fatal(err)
		}
		stat, err := ParseStat(text)
		if err != nil {
			t.Fatal(err)
		}
		return stat.Exiting()
	}
	if exiting(os.Getpid()) {
		t.Error("this process is exiting")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !exiting(cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a killed process is not exiting")
		}
	}
	_ = cmd.Wait()
}
