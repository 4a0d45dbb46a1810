//go:build linux

package sysfs_test

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/ksmtest"
	"github.com/ksmtop/ksmtop/sysfs"
)

// mergeable returns n equal pages of the test's that ksmd may merge.
func mergeable(t testing.TB, n int) []byte {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, n*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL { // EINVAL: a kernel without huge pages
		t.Fatal(err)
	}
	for i := range mem {
		mem[i] = 0xa5
	}
	if err := unix.Madvise(mem, unix.MADV_MERGEABLE); err != nil {
		t.Fatal(err)
	}
	return mem
}

// unlist has ksmd forget this process, which it lists since an earlier test. If it
// did so while a test sets run to 1, that would be a full scan, and with it the
// advisor would choose another pages_to_scan.
func unlist(t testing.TB) {
	t.Helper()
	// A process that is not listed would give no full scan to wait for.
	mem := mergeable(t, 1)
	if err := unix.Madvise(mem, unix.MADV_UNMERGEABLE); err != nil {
		t.Fatal(err)
	}
	ksmtest.Scan(t, 1)
}

// set sets knobs beforehand, one after another.
func set(t testing.TB, fsys sysfs.FS, settings string) {
	t.Helper()
	for _, s := range parse(t, settings) {
		if _, err := fsys.Set(s); err != nil {
			t.Fatal(err)
		}
	}
}

// The table of TestSet, as far as the kernel does these things unprovoked.
func TestSetOnKernel(t *testing.T) {
	for _, tt := range steps {
		if tt.refuse != "" || tt.unreachable {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			fsys := ksmtest.Guard(t)
			if !tt.merged {
				unlist(t)
			} else {
				mergeable(t, 4)
				ksmtest.Scan(t, 2)
			}
			set(t, fsys, "pages_to_scan=100 sleep_millisecs=20")
			if tt.merged {
				if c, err := fsys.Counters(); err != nil || c.PagesShared != 1 || c.PagesSharing != 3 {
					t.Fatalf("Counters() = %+v, %v, want 1 page shared and 3 sharing", c, err)
				}
			}
			set(t, fsys, tt.before)
			tt.run(t, fsys, fsys.Write)
		})
	}
}

// Knobs.Set takes a text if and only if the kernel does, and then holds what
// the kernel holds.
func TestKnobsSetAgreesWithKernel(t *testing.T) {
	fsys := ksmtest.Guard(t)
	texts := []string{
		"0", "1", "2", "3", "00", "007", "+5", "-0", "-1", "++5", "+", "-", "\n", " 5", "5 ", "\t5", "5\t", "5\n", "5\n\n", "\n5", "5\r\n", "5x",
		"0x5", "0b1", "0o7", "1_000", "1.0", "1e3", "٣", "5\v",
		"255", "256", "65536", "2147483646", "2147483647", "2147483648", "4294967295", "4294967296", "4294967366",
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "18446744073709551617",
		"184467440737095516150", "+18446744073709551615", "000000000000000000000000000000005",
		"y", "Y", "n", "N", "t", "T", "f", "F", "yes", "no", "nix", "true", "false", "o", "O", "on", "On", "oN", "off", "oFF", "of", "ox", "one", "1x", "0x",
		"none", "none\n", "none\n\n", "None", "none ", " none", "non", "nonesuch", "[none]", "scan-time", "scan-time\n", "scan_time", "scan-time ",
		"scan-time none", "scan",
	}
	for f := range sysfs.Fields() {
		if f.Info().Kind != sysfs.Knob {
			continue
		}
		t.Run(f.String(), func(t *testing.T) {
			if _, err := os.Stat(fsys.Path(f)); errors.Is(err, os.ErrNotExist) {
				t.Skip("this kernel does not have it")
			}
			for _, text := range texts {
				writeErr := rawWrite(fsys.Path(f), text)
				var k sysfs.Knobs
				setErr := k.Set(f, text)
				if (writeErr == nil) != (setErr == nil) {
					t.Errorf("Set(%s, %q): %v, but the kernel says %v", f, text, setErr, writeErr)
				}
				if writeErr != nil || setErr != nil {
					continue
				}
				have, err := fsys.Knobs()
				if err != nil {
					t.Fatal(err)
				}
				got, _ := k.Value(f)
				want, _ := have.Value(f)
				if got != want {
					t.Errorf("Set(%s, %q) gives %v, but the kernel has %v", f, text, got, want)
				}
				set(t, fsys, f.String()+"="+f.Info().Default)
			}
		})
	}
}

// rawWrite writes text as it is, in one call.
func rawWrite(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// The errno of each refusal that has more than one, and what Set makes of it.
func TestRefusalsOfKernel(t *testing.T) {
	fsys := ksmtest.Guard(t)
	tests := []struct {
		name, before, knob, value string
		merged                    bool
		want                      error
	}{
		{name: "range", knob: "max_page_sharing", value: "2147483648", want: unix.ERANGE},
		{name: "below the least", knob: "max_page_sharing", value: "1", want: unix.EINVAL},
		{name: "other numbers", knob: "sleep_millisecs", value: "4294967296", want: unix.EINVAL},
		{name: "advisor", before: "advisor_mode=scan-time", knob: "pages_to_scan", value: "100", want: unix.EINVAL},
		{name: "busy", merged: true, knob: "max_page_sharing", value: "3", want: unix.EBUSY},
		{name: "busy nodes", merged: true, knob: "merge_across_nodes", value: "0", want: unix.EBUSY},
		{name: "present value while busy", merged: true, knob: "max_page_sharing", value: "256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.merged {
				mergeable(t, 2)
				ksmtest.Scan(t, 2)
			}
			set(t, fsys, tt.before)
			f, _ := sysfs.FieldByName(tt.knob)
			if err := fsys.Write(f, tt.value); err != tt.want {
				t.Errorf("Write(%s, %s) error = %v, want %v", tt.knob, tt.value, err, tt.want)
			}
			set(t, fsys, "run=2 advisor_mode=none")
		})
	}
}

// Not being root is explained. The thread that gives up its capabilities ends
// with its goroutine.
func TestSetDenied(t *testing.T) {
	k := newFakeKernel(t, t.TempDir())
	if err := os.Chmod(k.Path(sysfs.Run), 0o444); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			t.Error(err)
		}
		_, err := k.Set(parse(t, "run=1 sleep_millisecs=20")...)
		done <- err
	}()
	err := <-done
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(sysfs.Hint(err), "root") {
		t.Errorf("Set() error = %v, hint %q, want permission denied and to be root", err, sysfs.Hint(err))
	}
}
