//go:build unix

package sysfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestHost(t *testing.T) {
	const ksmd618 = 48211345678 * time.Nanosecond
	tests := []struct {
		name   string
		tree   string
		change func(t *testing.T, proc string)
		want   Host
	}{
		{name: "new kernel", tree: "6.18", want: Host{
			MemTotal: 8 << 30, MemAvailable: 4 << 30, HasMemory: true,
			CowKSM: 65536, HasCowKSM: true, SwapinCopy: 11, HasSwapinCopy: true,
			KSMD: ksmd618, HasKSMD: true}},
		{name: "old kernel without schedstat", tree: "5.4", want: Host{
			MemTotal: 8 << 30, MemAvailable: 7 << 30, HasMemory: true,
			KSMD: 48210 * time.Millisecond, HasKSMD: true}},
		{name: "schedstat that does not count", tree: "6.18", change: func(t *testing.T, proc string) {
			writeFile(t, filepath.Join(proc, "41/schedstat"), "0 0 0\n")
		}, want: Host{
			MemTotal: 8 << 30, MemAvailable: 4 << 30, HasMemory: true,
			CowKSM: 65536, HasCowKSM: true, SwapinCopy: 11, HasSwapinCopy: true,
			KSMD: 48210 * time.Millisecond, HasKSMD: true}},
		{name: "zero is a value", tree: "6.4-instagram", want: Host{
			MemTotal: 64 << 30, MemAvailable: 8 << 30, HasMemory: true,
			CowKSM: 912345, HasCowKSM: true, HasSwapinCopy: true,
			KSMD: 812340119345 * time.Nanosecond, HasKSMD: true}},
		{name: "nothing there", tree: "6.18", change: func(t *testing.T, proc string) {
			if err := os.RemoveAll(proc); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "malformed", tree: "6.18", change: func(t *testing.T, proc string) {
			writeFile(t, filepath.Join(proc, "meminfo"), "MemTotal: many kB\nMemAvailable: 1 kB\n")
			writeFile(t, filepath.Join(proc, "vmstat"), "cow_ksm -1\nksm_swpin_copy 18446744073709551616\n")
			writeFile(t, filepath.Join(proc, "41/schedstat"), "\x1b[2J\n")
		}, want: Host{MemAvailable: 1 << 10}},
		{name: "empty", tree: "6.18", change: func(t *testing.T, proc string) {
			for _, name := range []string{"meminfo", "vmstat", "41/schedstat"} {
				writeFile(t, filepath.Join(proc, name), "")
			}
		}},
		{name: "half of it", tree: "6.18", change: func(t *testing.T, proc string) {
			writeFile(t, filepath.Join(proc, "meminfo"), "MemTotal: 8 kB\nMemFree: 4 kB\n")
			writeFile(t, filepath.Join(proc, "vmstat"), "nr_free_pages 5\ncow_ksm 6\n")
			writeFile(t, filepath.Join(proc, "41/schedstat"), "7")
		}, want: Host{MemTotal: 8 << 10, CowKSM: 6, HasCowKSM: true}},
		{name: "memory beyond any machine", tree: "none", change: func(t *testing.T, proc string) {
			writeFile(t, filepath.Join(proc, "meminfo"), "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n")
		}, want: Host{MemAvailable: 1 << 10}},
		{name: "impostors", tree: "none", change: func(t *testing.T, proc string) {
			// A program may take the name, but not the flag; a thread of the
			// kernel may have the flag, but has another name.
			writeFile(t, filepath.Join(proc, "meminfo"), "")
			writeFile(t, filepath.Join(proc, "20/stat"), "20 (ksmd) S 1 20 20 0 -1 4194560 0 0 0 0 5 5 0 0 20 0 1 0 9 0 0 1\n")
			writeFile(t, filepath.Join(proc, "20/schedstat"), "1000 0 1\n")
			writeFile(t, filepath.Join(proc, "21/stat"), "21 (ksmd) S 2 0 0 0 -1 2097216 0 0 (ksmd2) S 2 0 0 0 -1 2097216 0 0 0 0 5 5 0 0 20 0 1 0 9 0 0 1\n")
			writeFile(t, filepath.Join(proc, "21/schedstat"), "2000 0 1\n")
			writeFile(t, filepath.Join(proc, "22/stat"), "junk\n")
			writeFile(t, filepath.Join(proc, "099/stat"), "99 (ksmd) S 2 0 0 0 -1 2097216 0 0 0 0 5 5 0 0 20 0 1 0 9 0 0 1\n")
		}},
		{name: "the real one behind an impostor", tree: "none", change: func(t *testing.T, proc string) {
			writeFile(t, filepath.Join(proc, "meminfo"), "")
			writeFile(t, filepath.Join(proc, "9/stat"), "9 (ksmd) S 1 9 9 0 -1 4194560 0 0 0 0 5 5 0 0 20 0 1 0 9 0 0 1\n")
			writeFile(t, filepath.Join(proc, "41/stat"), "41 (ksmd) S 2 0 0 0 -1 2097216 0 0 0 0 3 4 0 0 25 5 1 0 34 0 0 1\n")
		}, want: Host{KSMD: 70 * time.Millisecond, HasKSMD: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := treeCopy(t, tt.tree)
			if tt.change != nil {
				tt.change(t, fsys.Proc)
			}
			var h hostReader
			h.open(fsys.Proc)
			defer h.close()
			var got Host
			for range 2 { // the second time through files that are open
				h.read(&got)
				if got != tt.want {
					t.Errorf("read = %+v, want %+v", got, tt.want)
				}
			}
		})
	}
}
