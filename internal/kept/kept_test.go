//go:build unix

package kept

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "")
	f := open(t, path)
	for _, size := range []int{0, 1, 7, 8, 9, 4096} {
		content := strings.Repeat("x", size)
		write(t, path, content) // each time as long as the test says, not as before
		want := content[:min(size, 8)]
		for call, read := range map[string]func([]byte) ([]byte, error){"Read": f.Read, "Once": f.Once} {
			for range 2 { // from the beginning each time
				if got, err := read(make([]byte, 8)); string(got) != want || err != nil {
					t.Errorf("%s of %d bytes into 8 = %q, %v, want %q", call, size, got, err, want)
				}
			}
		}
		if got, err := ReadAll(path, make([]byte, 8)); string(got) != want || err != nil {
			t.Errorf("ReadAll of %d bytes into 8 = %q, %v, want %q", size, got, err, want)
		}
	}
}

func TestReadUsesTheBuffer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "content")
	f := open(t, path)
	buf := make([]byte, 64)
	for call, read := range map[string]func([]byte) ([]byte, error){"Read": f.Read, "Once": f.Once} {
		clear(buf)
		got, err := read(buf)
		if err != nil || !bytes.HasPrefix(buf, []byte("content")) || &got[0] != &buf[0] {
			t.Errorf("%s = %q, %v, want a part of the buffer", call, got, err)
		}
		if n := testing.AllocsPerRun(100, func() { read(buf) }); n != 0 {
			t.Errorf("%s allocates %g times, want 0", call, n)
		}
		if got, err := read(nil); len(got) != 0 || err != nil {
			t.Errorf("%s into nothing = %q, %v, want nothing", call, got, err)
		}
	}
}

func TestOpenAt(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	d := open(t, dir)
	f, err := OpenAt(d.FD(), "file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := f.Read(make([]byte, 64)); string(got) != "content" || err != nil {
		t.Errorf("Read = %q, %v, want content", got, err)
	}
	if _, err := OpenAt(d.FD(), "missing"); err != unix.ENOENT {
		t.Errorf("OpenAt(missing) = %v, want a bare ENOENT", err)
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(filepath.Join(dir, "missing"))
	if err != unix.ENOENT || !errors.Is(err, fs.ErrNotExist) || f.IsOpen() {
		t.Errorf("Open(missing) = open %t, %v, want a bare ENOENT", f.IsOpen(), err)
	}
	if _, err := ReadAll(filepath.Join(dir, "missing"), nil); err != unix.ENOENT {
		t.Errorf("ReadAll(missing) = %v, want a bare ENOENT", err)
	}
	d := open(t, dir)
	if _, err := d.Read(make([]byte, 1)); err != unix.EISDIR {
		t.Errorf("Read of a directory = %v, want EISDIR", err)
	}
	if _, err := d.Once(make([]byte, 1)); err != unix.EISDIR {
		t.Errorf("Once of a directory = %v, want EISDIR", err)
	}
}

// TestFIFO: neither opening nor reading waits for a writer.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, err := Open(path)
		if err != nil {
			t.Errorf("Open(fifo) = %v, want nil", err)
			return
		}
		defer f.Close()
		if _, err := f.Read(make([]byte, 1)); err != unix.ESPIPE {
			t.Errorf("Read of a FIFO = %v, want ESPIPE", err)
		}
		if _, err := f.Once(make([]byte, 1)); err != unix.ESPIPE {
			t.Errorf("Once of a FIFO = %v, want ESPIPE", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("still blocked after 30 s")
	}
}

func TestClose(t *testing.T) {
	var zero File
	if zero.IsOpen() {
		t.Error("the zero File is open")
	}
	zero.Close() // must not close descriptor 0
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err != nil {
		t.Errorf("descriptor 0 after closing the zero File: %v", err)
	}

	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "")
	f, err := Open(path)
	if err != nil || !f.IsOpen() {
		t.Fatalf("Open = %v, open %t", err, f.IsOpen())
	}
	fd := f.FD()
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags = %#x, %v, want FD_CLOEXEC: programs that are run must not inherit it", flags, err)
	}
	f.Close()
	if f != (File{}) {
		t.Errorf("File after Close = %+v, want the zero File", f)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("descriptor after Close: %v, want EBADF", err)
	}
	f.Close()
}

// A file that is not open is not descriptor 0.
func TestNotOpen(t *testing.T) {
	var f File
	var buf [8]byte
	if _, err := f.Read(buf[:]); err != unix.EBADF {
		t.Errorf("Read of a File that is not open: error %v, want EBADF", err)
	}
	if _, err := f.Once(buf[:]); err != unix.EBADF {
		t.Errorf("Once of a File that is not open: error %v, want EBADF", err)
	}
}
