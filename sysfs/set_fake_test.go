//go:build unix

package sysfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/sysfs"
)

// fakeKernel is a tree of ordinary files that is written through the rules by
// which Linux takes or refuses a value. The files are all its state, so that
// another process can go on with it. TestSet runs on it and on the real kernel.
type fakeKernel struct {
	sysfs.FS

	// refuse has errors for "knob=value", in place of the rules.
	refuse map[string]error

	// unreachable is whether a KSM page lives in a mapping outside of KSM.
	unreachable bool
}

// newFakeKernel makes a tree below dir of a kernel that has just booted.
func newFakeKernel(t testing.TB, dir string) *fakeKernel {
	t.Helper()
	k := openFakeKernel(dir)
	for f := range sysfs.Fields() {
		text := f.Info().Default
		if f == sysfs.AdvisorMode {
			text = "[none] scan-time"
		} else if text == "" {
			text = "0"
		}
		writeTree(t, k.Path(f), text+"\n")
	}
	writeTree(t, filepath.Join(k.Proc, "sys/kernel/random/boot_id"), "11111111-1111-1111-1111-111111111111\n")
	return k
}

// openFakeKernel goes on with a tree that there is.
func openFakeKernel(dir string) *fakeKernel {
	return &fakeKernel{FS: sysfs.FS{Root: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc")}}
}

func writeTree(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (k *fakeKernel) read(f sysfs.Field) string {
	text, err := os.ReadFile(k.Path(f))
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

func (k *fakeKernel) store(f sysfs.Field, text string) {
	if err := os.WriteFile(k.Path(f), []byte(text+"\n"), 0o644); err != nil {
		panic(err)
	}
}

func (k *fakeKernel) write(f sysfs.Field, text string) error {
	if _, err := os.Stat(k.Path(f)); err != nil {
		return unix.ENOENT
	}
	if err := k.refuse[fmt.Sprintf("%s=%s", f, text)]; err != nil {
		if f == sysfs.Run && text == "2" {
			k.store(sysfs.Run, "0")
		}
		return err
	}
	var knobs sysfs.Knobs
	if knobs.Set(f, text) != nil {
		return unix.EINVAL
	}
	value, _ := knobs.Value(f)
	advised := k.read(sysfs.AdvisorMode) != "[none] scan-time"
	switch f {
	case sysfs.PagesToScan:
		if advised {
			return unix.EINVAL
		}
	case sysfs.MaxPageSharing, sysfs.MergeAcrossNodes:
		if k.read(f) != value.String() && (k.read(sysfs.PagesShared) != "0" || k.unreachable) {
			return unix.EBUSY
		}
	case sysfs.AdvisorMode:
		switch {
		case knobs.AdvisorMode == sysfs.AdvisorScanTime && !advised:
			k.store(f, "none [scan-time]")
			k.store(sysfs.PagesToScan, k.read(sysfs.AdvisorMinPagesToScan))
		case knobs.AdvisorMode == sysfs.AdvisorNone && advised:
			k.store(f, "[none] scan-time")
			k.store(sysfs.PagesToScan, "100")
		}
		return nil
	case sysfs.Run:
		if value.String() == "2" && k.read(f) != "2" {
			for _, counter := range []sysfs.Field{sysfs.PagesShared, sysfs.PagesSharing, sysfs.KSMZeroPages, sysfs.FullScans} {
				k.store(counter, "0")
			}
		}
	}
	k.store(f, value.String())
	return nil
}

// parse parses settings separated by blanks.
func parse(t testing.TB, text string) []sysfs.Setting {
	t.Helper()
	var out []sysfs.Setting
	for word := range strings.FieldsSeq(text) {
		s, err := sysfs.ParseSetting(word)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// differing returns the knobs that are not at their default, as settings.
func differing(t testing.TB, fsys sysfs.FS) string {
	t.Helper()
	k, err := fsys.Knobs()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for f := range k.Present.All() {
		if v, _ := k.Value(f); v.String() != f.Info().Default {
			out = append(out, f.String()+"="+v.String())
		}
	}
	return strings.Join(out, " ")
}

// recorder notes what is written.
type recorder struct {
	through func(sysfs.Field, string) error
	writes  []string
}

func (r *recorder) write(f sysfs.Field, text string) error {
	err := r.through(f, text)
	note := f.String() + "=" + text
	if errno, ok := err.(syscall.Errno); ok {
		note += ":" + unix.ErrnoName(errno)
	}
	r.writes = append(r.writes, note)
	return err
}
