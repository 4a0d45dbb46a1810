package scanner

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAreas(t *testing.T) {
	// The kernel has merged areas between two pieces of the list, so that one is
	// listed that begins before the end of the one before, and one within it.
	const maps = `1000-3000 rw-p 00000000 00:00 0 
2000-5000 rw-p 00000000 00:00 0 
4000-5000 r--p 00000000 00:00 0 
5000-6000 -w-p 00000000 fe:00 12 /lib/x
6000-7000 rw-s 00000000 fe:00 12 /lib/x
7000-8000 rw-p 00000000 00:0f 14 /anon_hugepage (deleted)
8000-9000 rw-s 00000000 00:0f 14 /anon_hugepage (deleted)
9000-a000 rw-p 00000000 00:05 4 /dev/zero
a000-b000 r--p 00000000 00:00 0 [vvar]
b000-c000 r--p 00000000 00:00 0 [vvar_vclock]
c000-d000 r-xp 00000000 00:00 0 [vdso]
d000-e000 rw-p 00000000 00:00 0 [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
`
	want := []area{
		{start: 0x1000, end: 0x3000, readable: true, reason: eligible},
		{start: 0x3000, end: 0x5000, readable: true, reason: eligible},
		{start: 0x5000, end: 0x6000, file: true, reason: eligible},
		{start: 0x6000, end: 0x7000, readable: true, file: true, reason: ReasonShared},
		{start: 0x7000, end: 0x8000, readable: true, file: true, reason: ReasonHugetlb},
		{start: 0x8000, end: 0x9000, readable: true, file: true, reason: ReasonHugetlb},
		{start: 0x9000, end: 0xa000, readable: true, reason: eligible},
		{start: 0xa000, end: 0xb000, readable: true, reason: ReasonSpecial},
		{start: 0xb000, end: 0xc000, readable: true, reason: ReasonSpecial},
		{start: 0xc000, end: 0xd000, readable: true, reason: ReasonSpecial},
		{start: 0xd000, end: 0xe000, readable: true, reason: eligible},
	}
	for i := range want {
		want[i].noFlags = true
	}
	got, flags, err := parseAreas(strings.NewReader(maps))
	if err != nil || flags || !slices.Equal(got, want) {
		t.Errorf("areas = %+v, flags %t, %v, want %+v without", got, flags, err, want)
	}
}

func TestReasonsByFlags(t *testing.T) {
	tests := []struct {
		perms, flags string
		want         Reason
	}{
		{"rw-p", "rd wr mr mw me ac sd", eligible},
		{"rw-p", "rd wr mr mw me ac sd mg", eligible},
		{"---p", "mr mw me gd lo nr hg nh", eligible},
		{"rw-s", "rd wr sh mr mw me ms sd", ReasonShared},
		{"r--s", "rd mr me ms sd", ReasonShared}, // without write access
		{"rw-p", "rd wr mr mw me de ht sd", ReasonHugetlb},
		{"rw-s", "rd wr sh mr mw me ms de ht sd", ReasonHugetlb},
		{"rw-p", "rd wr mr mw me wf dp sd", ReasonDroppable},
		{"r--p", "rd mr io de dd sd", ReasonSpecial},
		{"r--p", "rd mr pf", ReasonSpecial},
		{"r--p", "rd mr mm", ReasonSpecial},
		{"r-xp", "rd ex mr mw me de sd", ReasonSpecial},
	}
	for i, tt := range tests {
		text := "1000-2000 " + tt.perms + " 00000000 00:00 0 \nSize: 4 kB\nVmFlags: " + tt.flags + " \n"
		areas, flags, err := parseAreas(strings.NewReader(text))
		if err != nil || !flags || len(areas) != 1 || areas[0].reason != tt.want || areas[0].marked != strings.Contains(tt.flags, "mg") {
			t.Errorf("%d: %s %q = %+v, %t, %v, want the reason %d", i, tt.perms, tt.flags, areas, flags, err, tt.want)
		}
	}
}

func TestChoose(t *testing.T) {
	none := []area{{reason: eligible}, {reason: ReasonShared}}
	some := []area{{reason: eligible}, {reason: ReasonShared}, {reason: eligible, marked: true}}
	for _, tt := range []struct {
		areas []area
		mode  Areas
		want  Areas
		first Reason
	}{
		{none, AreasAuto, AreasEligible, eligible},
		{none, AreasEligible, AreasEligible, eligible},
		{none, AreasMarked, AreasMarked, ReasonNotMarked},
		{some, AreasAuto, AreasMarked, ReasonNotMarked},
		{some, AreasEligible, AreasEligible, eligible},
		{some, AreasMarked, AreasMarked, ReasonNotMarked},
	} {
		areas := slices.Clone(tt.areas)
		got := choose(areas, tt.mode)
		if got != tt.want || areas[0].reason != tt.first || areas[1].reason != ReasonShared || len(areas) > 2 && areas[2].reason != eligible {
			t.Errorf("choose(%+v, %v) = %v, %+v, want %v", tt.areas, tt.mode, got, areas, tt.want)
		}
	}
}
