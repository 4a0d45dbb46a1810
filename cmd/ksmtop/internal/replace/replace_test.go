package replace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// want checks what a directory holds: names and contents in turn.
func want(t *testing.T, dir string, files ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(files)/2 {
		t.Errorf("the directory holds %v, want %q", list, files)
	}
	for i := 0; i < len(files); i += 2 {
		if got, err := os.ReadFile(filepath.Join(dir, files[i])); err != nil || string(got) != files[i+1] {
			t.Errorf("%s holds %q (%v), want %q", files[i], got, err, files[i+1])
		}
	}
}

func create(t *testing.T, path, content string) *File {
	t.Helper()
	f, err := Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	create(t, path, "nothing").Discard()
	want(t, dir)
	f := create(t, path, "one")
	if err := f.Commit(); err != nil {
		t.Error(err)
	}
	f.Discard()
	want(t, dir, "a", "one")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	f = create(t, path, "two")
	if got, err := os.ReadFile(path); err != nil || string(got) != "one" {
		t.Errorf("before Commit it holds %q (%v)", got, err)
	}
	f.Discard()
	want(t, dir, "a", "one")
	if err := create(t, path, "two").Commit(); err != nil {
		t.Error(err)
	}
	want(t, dir, "a", "two")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("its mode is %v (%v), want what it was", info.Mode(), err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := create(t, filepath.Join(dir, "link"), "three").Commit(); err != nil {
		t.Error(err)
	}
	want(t, dir, "a", "three", "link", "three")
	if info, err := os.Lstat(filepath.Join(dir, "link")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is %v (%v)", info, err)
	}
}

// What is no regular file stays.
func TestReplaceDevice(t *testing.T) {
	for _, end := range []func(*File) error{(*File).Commit, func(f *File) error { f.Discard(); return nil }} {
		if err := end(create(t, os.DevNull, "x")); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&fs.ModeDevice == 0 {
			t.Fatalf("%s is %v (%v)", os.DevNull, info, err)
		}
	}
}

func TestReplaceErrors(t *testing.T) {
	dir := t.TempDir()
	if f, err := Create(dir, 0o600); err == nil {
		f.Discard()
		t.Error("Create() of a directory succeeds")
	}
	missing := filepath.Join(dir, "missing")
	_, err := Create(filepath.Join(missing, "a"), 0o600)
	if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != missing || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create() error = %v, want one about %s", err, missing)
	}
	f := create(t, filepath.Join(dir, "a"), "x")
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	err = f.Commit()
	if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != filepath.Join(dir, "a") {
		t.Errorf("Commit() error = %v, want one about the file", err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("it leaves %v", list)
	}
}
