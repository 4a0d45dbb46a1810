package scanner

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestReadMappings(t *testing.T) {
	// The areas of a process on Linux 6.18, shortened; the sizes were changed.
	const smaps = `1000-5000 r-xp 00000000 fe:00 12                    /lib/libc.so.6
Rss:                  12 kB
Anonymous:             0 kB
KSM:                   0 kB
VmFlags: rd ex mr mw me sd
5000-9000 rw-p 00004000 fe:00 12                    /lib/libc.so.6
Rss:                  16 kB
Anonymous:             8 kB
KSM:                   4 kB
VmFlags: rd wr mr mw me ac sd mg
9000-a000 rw-s 00000000 00:01 77                    /dev/shm/x
Rss:                   4 kB
Anonymous:             0 kB
KSM:                   0 kB
VmFlags: rd wr sh mr mw me ms sd
a000-b000 rw-p 00000000 00:00 0                     [heap]
Rss:                   4 kB
Anonymous:             4 kB
VmFlags: rd wr mr mw me ac sd
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`
	want := []Mapping{
		{Start: 0x1000, End: 0x5000, Perm: "r-xp", Name: "/lib/libc.so.6", RSS: 12 << 10, HasSizes: true, HasKSM: true, Reason: ReasonFile},
		{Start: 0x5000, End: 0x9000, Perm: "rw-p", Name: "/lib/libc.so.6", RSS: 16 << 10, Anonymous: 8 << 10, KSM: 4 << 10, HasSizes: true, HasKSM: true, Marked: true, Reason: NumReasons},
		{Start: 0x9000, End: 0xa000, Perm: "rw-s", Name: "/dev/shm/x", RSS: 4 << 10, HasSizes: true, HasKSM: true, Reason: ReasonShared},
		{Start: 0xa000, End: 0xb000, Perm: "rw-p", Name: "[heap]", RSS: 4 << 10, Anonymous: 4 << 10, HasSizes: true, Reason: NumReasons},
	}
	got, err := ReadMappings(strings.NewReader(smaps))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("ReadMappings() = %+v, %v, want %+v", got, err, want)
	}
	if got[1].Bytes() != 0x4000 || !got[1].Eligible() || got[0].Eligible() {
		t.Errorf("size %d, eligible %t and %t", got[1].Bytes(), got[1].Eligible(), got[0].Eligible())
	}
	got, err = ReadMappings(strings.NewReader("1000-2000 r--p 00000000 fe:00 12 /lib/x\n"))
	if err != nil || len(got) != 1 || got[0].HasSizes || got[0].Reason != NumReasons {
		t.Errorf("maps = %+v, %v, want no sizes, and nobody knows that it is a file's", got, err)
	}
	if _, err := ReadMappings(strings.NewReader("what\n")); err == nil {
		t.Error("no error for an area that is none")
	}
}

// The areas of this process, as its kernel lists them: what is resident fits in,
// and the parts of it fit into that.
func TestReadMappingsOfThisProcess(t *testing.T) {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("no smaps here:", err)
	}
	defer file.Close()
	all, err := ReadMappings(file)
	if err != nil || len(all) < 10 {
		t.Fatalf("%d areas, %v", len(all), err)
	}
	for i := range all {
		m := &all[i]
		if !m.HasSizes || m.RSS > m.Bytes() || m.Anonymous > m.RSS || m.KSM > m.RSS {
			t.Errorf("%+v does not fit together", *m)
		}
		if m.Name == "[vdso]" && m.Reason != ReasonSpecial || m.Name == "[heap]" && !m.Eligible() {
			t.Errorf("%s has the reason %d", m.Name, m.Reason)
		}
	}
}
