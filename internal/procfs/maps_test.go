package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// area is a Mapping that can be kept.
type area struct {
	Mapping
	name string
}

func mappings(text string) ([]area, error) {
	var areas []area
	err := Mappings(strings.NewReader(text), func(m *Mapping) error {
		a := area{Mapping: *m, name: string(m.Name)}
		a.Name = nil
		areas = append(areas, a)
		return nil
	})
	return areas, err
}

func TestMappings(t *testing.T) {
	const maps = `55ed26800000-55ed26801000 r--p 00000000 fe:00 3276842                    /usr/bin/a b
55ed26801000-55ed26802000 --xs 00001000 fe:00 3276842                    /x\012y (deleted)
7f0000000000-7f0000021000 rw-p 00000000 00:00 0 
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`
	want := []area{
		{Mapping: Mapping{Start: 0x55ed26800000, End: 0x55ed26801000, Perm: [4]byte{'r', '-', '-', 'p'}, Readable: true, Inode: 3276842}, name: "/usr/bin/a b"},
		{Mapping: Mapping{Start: 0x55ed26801000, End: 0x55ed26802000, Perm: [4]byte{'-', '-', 'x', 's'}, Shared: true, Inode: 3276842}, name: `/x\012y (deleted)`},
		{Mapping: Mapping{Start: 0x7f0000000000, End: 0x7f0000021000, Perm: [4]byte{'r', 'w', '-', 'p'}, Readable: true}},
		{Mapping: Mapping{Start: 0xffffffffff600000, End: 0xffffffffff601000, Perm: [4]byte{'-', '-', 'x', 'p'}}, name: "[vsyscall]"},
	}
	got, err := mappings(maps)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("maps = %+v, %v, want %+v", got, err, want)
	}

	// The same as smaps; an area without VmFlags, and one with unknown ones.
	lines := strings.SplitAfter(maps, "\n")
	smaps := lines[0] + "Size:   4 kB\nRss:   36 kB\nPss:    4 kB\nAnonymous:   12 kB\nAnonHugePages:  2 kB\nKSM:    8 kB\nVmFlags: rd mr mw me sd mg \n" +
		lines[1] + "Size:   4 kB\nRss:   0 kB\nKSM: many\nAnonymous:   99999999999999999999 kB\nTHPeligible:           0\n" +
		lines[2] + "VmFlags: rd sh ms ht dp io pf mm de zz \nLater:   1 kB\n" + lines[3]
	want[0].Flags, want[0].HasFlags = VMMergeable, true
	want[0].RSS, want[0].HasRSS, want[0].Anonymous, want[0].KSM, want[0].HasKSM = 36<<10, true, 12<<10, 8<<10, true
	want[1].HasRSS = true
	want[2].Flags, want[2].HasFlags = VMMergeable-1, true
	got, err = mappings(smaps)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("smaps = %+v, %v, want %+v", got, err, want)
	}
}

func TestMappingsErrors(t *testing.T) {
	const good = "1000-2000 rw-p 00000000 00:00 0 "
	for _, tt := range []struct{ name, text string }{
		{"blank line", good + "\n\n"},
		{"flags of no area", "VmFlags: rd\n"},
		{"flags twice", good + "\nVmFlags: rd\nVmFlags: rd\n"},
		{"empty area", "1000-1000 rw-p 00000000 00:00 0 \n"},
		{"backwards", "2000-1000 rw-p 00000000 00:00 0 \n"},
		{"address too large", "1000-10000000000000000 rw-p 00000000 00:00 0 \n"},
		{"upper case", "A000-B000 rw-p 00000000 00:00 0 \n" + "1000-A000 rw-p 00000000 00:00 0 \n"},
		{"no permissions", "1000-2000 00000000 00:00 0 \n"},
		{"cut off", "1000-2000 rw-p 00000000 00:0"},
		{"long line", good + strings.Repeat("x", 64<<10)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if areas, err := mappings(tt.text); err == nil {
				t.Errorf("got %+v and no error", areas)
			}
		})
	}
	stop := errors.New("stop")
	visits := 0
	err := Mappings(strings.NewReader(good+"\n"+good+"\n"+good+"\n"), func(*Mapping) error { visits++; return stop })
	if err != stop || visits != 1 {
		t.Errorf("after %d visits error = %v, want 1 and the visit's", visits, err)
	}
}

// TestMappingsReadsNoFurther stops at an area that has its flags.
func TestMappingsReadsNoFurther(t *testing.T) {
	text := "1000-2000 rw-p 00000000 00:00 0 \nSize:   4 kB\nVmFlags: rd mg \n"
	r := iotest.OneByteReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("read too far"))))
	stop := errors.New("stop")
	if err := Mappings(r, func(m *Mapping) error { return stop }); err != stop {
		t.Errorf("error = %v, want the visit's", err)
	}
}

var (
	areaLine = regexp.MustCompile(`^([0-9a-f]+)-([0-9a-f]+) (...)(.) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) ([0-9]+)(| .*)$`)
	sizeLine = regexp.MustCompile(`^(Rss|Anonymous|KSM): *([0-9]+) kB$`)
	codes    = strings.Fields("sh ms ht dp io pf mm de mg")
)

// mappingsSlow says with a regular expression what Mappings does.
func mappingsSlow(text string) ([]area, error) {
	var areas []area
	open := false // the last of areas has no VmFlags yet
	lines := strings.Split(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for _, line := range lines {
		switch {
		case len(line) >= 64<<10:
			return nil, errors.New("long line")
		case strings.HasPrefix(line, "VmFlags:"):
			if !open {
				return nil, errors.New("no area")
			}
			open = false
			a := &areas[len(areas)-1]
			a.HasFlags, a.Flags = true, 0
			for _, word := range strings.Fields(line[len("VmFlags:"):]) {
				for i, code := range codes {
					if word == code {
						a.Flags |= 1 << i
					}
				}
			}
		case line != "" && strings.Contains("ABCDEFGHIJKLMNOPQRSTUVWXYZ", line[:1]):
			m := sizeLine.FindStringSubmatch(line)
			if m == nil || !open {
				continue
			}
			kib, err := strconv.ParseInt(m[2], 10, 64)
			if err != nil || kib > math.MaxInt64/1024 {
				continue
			}
			a := &areas[len(areas)-1]
			switch m[1] {
			case "Rss":
				a.RSS, a.HasRSS = kib*1024, true
			case "Anonymous":
				a.Anonymous = kib * 1024
			case "KSM":
				a.KSM, a.HasKSM = kib*1024, true
			}
		default:
			m := areaLine.FindStringSubmatch(line)
			if m == nil {
				return nil, fmt.Errorf("malformed %q", line)
			}
			var n [9]uint64
			for _, i := range []int{1, 2, 5, 6, 7, 8} {
				base := 16
				if i == 8 {
					base = 10
				}
				var err error
				if n[i], err = strconv.ParseUint(m[i], base, 64); err != nil {
					return nil, err
				}
			}
			if n[2] <= n[1] {
				return nil, errors.New("empty")
			}
			open = true
			areas = append(areas, area{
				Mapping: Mapping{Start: n[1], End: n[2], Perm: [4]byte([]byte(m[3] + m[4])), Readable: m[3][0] == 'r', Shared: m[4] == "s", Inode: n[8]},
				name:    strings.TrimLeft(m[9], " "),
			})
		}
	}
	return areas, nil
}

func FuzzMappings(f *testing.F) {
	f.Add([]byte("55ed26800000-55ed26801000 r--p 00000000 fe:00 3276842      /usr/bin/a b\nSize: 4 kB\nVmFlags: rd mg \n"))
	f.Add([]byte("1-2 rw-p 0 0:0 0\nRss: 12 kB\nAnonymous:8 kB\nKSM: 4 kB\nKSM: 9007199254740992 kB\nVmFlags: \nRss: 1 kB\n"))
	f.Add([]byte("7f0000000000-7f0000021000 rw-s 00000000 00:00 0 \nffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]"))
	f.Add([]byte("0000000000000000000001-2 rw-p 0 0:0 18446744073709551616\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
			t.Skip("a regular expression counts characters, the kernel bytes")
		}
		got, err := mappings(string(text))
		want, wantErr := mappingsSlow(string(text))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Mappings(%q) error = %v, slow %v", text, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("Mappings(%q) = %+v, slow %+v", text, got, want)
		}
	})
}
