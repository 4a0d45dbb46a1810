package madvise

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// area returns the text of one area with the given flags, with some of the
// lines in between.
func area(span, flags string) string {
	return span + " rw-p 00000000 00:00 0    [anon: x]\nSize:    4 kB\nRss:     0 kB\nVmFlags: " + flags + " \n"
}

func TestUnmarkedIn(t *testing.T) {
	// Flags as Linux 6.18 prints them for such areas.
	text := area("1000-3000", "rd wr mr mw me ac") + // below the range: no matter
		area("3000-5000", "rd wr mr mw me ac mg") +
		area("5000-6000", "rd mr me ms") + // read-only shared file
		area("6000-7000", "rd wr sh mr mw me ms") +
		area("7000-8000", "rd wr mr mw me de ht") +
		area("9000-a000", "rd wr mr mw me nr wf dp") +
		area("a000-b000", "rd mr pf de dd") +
		area("b000-c000", "rd mr pf io de dd") + // vvar
		area("c000-d000", "rd mr mm") +
		area("d000-e000", "rd ex mr mw me de") + // vdso
		area("e000-20000", "rd wr") +
		"garbage that must not be read: f"

	want := []Area{
		{0x5000, 0x6000, ReasonShared},
		{0x6000, 0x7000, ReasonShared},
		{0x7000, 0x8000, ReasonHugetlb},
		{0x9000, 0xa000, ReasonDroppable},
		{0xa000, 0xb000, ReasonPFN},
		{0xb000, 0xc000, ReasonIO},
		{0xc000, 0xd000, ReasonMixed},
		{0xd000, 0xe000, ReasonFixedSize},
		{0xe000, 0xf000, ReasonUnknown}, // clipped
	}
	// One byte at a time, so that what comes after the range would be an error.
	r := iotest.OneByteReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("read too far"))))
	got, err := unmarkedIn(r, 0x4000, 0xf000)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("unmarkedIn = %x\nwant %x", got, want)
	}

	if got, err := unmarkedIn(strings.NewReader(text), 0x3000, 0x5000); err != nil || got != nil {
		t.Errorf("unmarkedIn of a marked range = %v, %v, want none", got, err)
	}
	if got, err := unmarkedIn(strings.NewReader(text), 0x2000, 0x4000); err != nil || !reflect.DeepEqual(got, []Area{{0x2000, 0x3000, ReasonUnknown}}) {
		t.Errorf("unmarkedIn = %x, %v, want the first page only", got, err)
	}
}

func TestUnmarkedInMalformed(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"no flags at the end", "1000-2000 rw-p 0 00:00 0\nSize: 4 kB\n", "smaps: no VmFlags of area 1000-2000"},
		{"no flags between", "1000-2000 rw-p 0 00:00 0\n2000-3000 rw-p 0 00:00 0\n", "smaps: no VmFlags of area 1000-2000"},
		{"no area", "1000 rw-p\n", `smaps: malformed area "1000 rw-p"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if areas, err := unmarkedIn(strings.NewReader(tt.text), 0x1000, 0x9000); err == nil || err.Error() != tt.want || areas != nil {
				t.Errorf("unmarkedIn = %v, %v, want the error %s", areas, err, tt.want)
			}
		})
	}
}
