package sysfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody calls do without the right to open what nobody may open. Linux keeps
// the user of file accesses for each thread, so root can do it here.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(65534); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := unix.SetfsuidRetUid(0); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}

// openTree returns a copy of a tree that others may read.
func openTree(t *testing.T) FS {
	t.Helper()
	fsys := treeCopy(t, "6.18")
	for dir := filepath.Dir(fsys.Root); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return fsys
}

func TestRefused(t *testing.T) {
	fsys := openTree(t)
	base, err := fsys.Read()
	if err != nil {
		t.Fatal(err)
	}
	for f := range Fields() {
		if err := os.Chmod(fsys.Path(f), 0); err != nil {
			t.Fatal(err)
		}
		var r Reading
		var own, other, readErr error
		asNobody(t, func() {
			_, own = fsys.Counters()
			_, other = fsys.Knobs()
			r, readErr = fsys.Read()
		})
		if readErr != nil {
			t.Fatal(readErr)
		}
		if knobFields.Has(f) {
			own, other = other, own
		}
		if other != nil {
			t.Errorf("%v refused: the other group's error = %v, want nil", f, other)
		}
		for _, err := range []error{own, r.Problem(f)} {
			e := theProblem(t, err, fsys.Path(f))
			if e.Op != "open" || !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrNotSupported) {
				t.Errorf("%v refused: error %v, want fs.ErrPermission", f, err)
			}
		}
		for g := range Fields() {
			got, ok := r.Value(g)
			want, _ := base.Value(g)
			if ok != (g != f) || ok && got != want {
				t.Errorf("%v refused: %v = %v, %t, want %v, %t", f, g, got, ok, want, g != f)
			}
		}
		if err := os.Chmod(fsys.Path(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAllRefused(t *testing.T) {
	fsys := openTree(t)
	reader := newReader(t, fsys)
	dir := filepath.Dir(fsys.Path(Run))
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	var r Reading
	asNobody(t, func() { reader.Read(&r) })
	if !r.HasKSM() {
		t.Error("HasKSM() = false, want true: it is there, behind a closed door")
	}
	for f := range Fields() {
		if v, ok := r.Value(f); ok || !errors.Is(r.Problem(f), fs.ErrPermission) {
			t.Errorf("%v = %v, %t, problem %v, want fs.ErrPermission", f, v, ok, r.Problem(f))
		}
	}

	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() { reader.Read(&r) })
	for f := range Fields() {
		if _, ok := r.Value(f); !ok {
			t.Errorf("%v once it may be read: problem %v, want a value", f, r.Problem(f))
		}
	}
}

func TestSupportedRefused(t *testing.T) {
	fsys := openTree(t)
	if err := os.Chmod(fsys.Root, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(fsys.Root, 0o755) })
	var err error
	asNobody(t, func() { err = fsys.Supported() })
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrNotSupported) {
		t.Errorf("Supported() = %v, want fs.ErrPermission", err)
	}
}

// openFiles returns how many descriptors this process has.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

func TestReadLeavesNothingOpen(t *testing.T) {
	before := openFiles(t)
	for _, name := range append([]string{"none", "6.18.44-recorded"}, kernelTrees...) {
		tree(t, name).Read() // of none the error is ErrNotSupported: nothing may stay open then either
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d descriptors are open after Read, %d before", name, after, before)
		}
	}
	reader, err := tree(t, "6.18").NewReader()
	if err != nil {
		t.Fatal(err)
	}
	var r Reading
	reader.Read(&r)
	reader.Close()
	reader.Close()
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors are open after Close, %d before", after, before)
	}
}

// realKSM returns the running kernel's files, or skips the test.
func realKSM(t *testing.T) FS {
	t.Helper()
	var fsys FS
	err := fsys.Supported()
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

func TestRealReaderAllocatesNothing(t *testing.T) {
	checkNoAllocs(t, realKSM(t))
}

// TestRealFiles reads each file that the running kernel has and that is known.
func TestRealFiles(t *testing.T) {
	fsys := realKSM(t)
	r, err := fsys.Read()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(fsys.dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		f, ok := FieldByName(e.Name())
		if !ok {
			t.Logf("%s: not known; from a later kernel?", e.Name())
			continue
		}
		if _, ok := r.Value(f); !ok {
			t.Errorf("%v was not read: %v", f, r.Problem(f))
		}
	}
	if !r.Host.HasMemory || r.Host.MemAvailable == 0 || r.Host.MemAvailable > r.Host.MemTotal {
		t.Errorf("MemTotal = %d, MemAvailable = %d, %t", r.Host.MemTotal, r.Host.MemAvailable, r.Host.HasMemory)
	}
}
