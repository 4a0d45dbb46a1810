//go:build unix

// Package sysfs reads and writes the kernel's KSM interface: the knobs and
// counters under /sys/kernel/mm/ksm, each process's share of them under /proc,
// and what follows from these numbers. It also guards the settings of a machine
// on which somebody experiments.
//
// A value is one of three things, everywhere: present, absent (this kernel has
// no such file) or refused (the file is there and could not be read). None of
// them is ever shown as 0.
package sysfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/kept"
)

// FS says where the kernel's files are. The zero value reads /sys and /proc.
type FS struct {
	Root string // stands for /sys
	Proc string // stands for /proc

	// PageSize is the size of a base page in bytes. 0 is this machine's,
	// which is right unless Root is a copy from another machine.
	PageSize int
}

func (fsys FS) root() string {
	if fsys.Root == "" {
		return "/sys"
	}
	return fsys.Root
}

func (fsys FS) proc() string {
	if fsys.Proc == "" {
		return "/proc"
	}
	return fsys.Proc
}

// ProcPath returns the path of a file below the directory that stands for /proc.
func (fsys FS) ProcPath(elem ...string) string {
	return filepath.Join(append([]string{fsys.proc()}, elem...)...)
}

// PageBytes returns the size of a base page in bytes.
func (fsys FS) PageBytes() int64 {
	if fsys.PageSize > 0 {
		return int64(fsys.PageSize)
	}
	return int64(os.Getpagesize())
}

func (fsys FS) dir() string { return filepath.Join(fsys.root(), "kernel/mm/ksm") }

// Path returns the path of f's file.
func (fsys FS) Path(f Field) string { return filepath.Join(fsys.dir(), f.String()) }

// Check returns an error if one of the two roots is not a directory: a mistyped
// path, not a kernel that lacks KSM.
func (fsys FS) Check() error {
	for _, dir := range []string{fsys.root(), fsys.proc()} {
		info, err := os.Stat(dir)
		if err != nil {
			return &Error{Op: "open", Path: dir, Err: cause(err)}
		}
		if !info.IsDir() {
			return &Error{Op: "open", Path: dir, Err: errNotDirectory}
		}
	}
	return nil
}

var errNotDirectory = errors.New("not a directory")

// Supported returns nil if the kernel has KSM, ErrNotSupported if it has not,
// and another error if that could not be found out.
func (fsys FS) Supported() error {
	_, err := os.Stat(fsys.dir())
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Op: "open", Path: fsys.dir(), Err: ErrNotSupported}
	}
	if err != nil {
		return &Error{Op: "open", Path: fsys.dir(), Err: cause(err)}
	}
	return nil
}

// cause returns what an *os.PathError is about, without its path.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Counters reads the counters once. If some could not be read the others are
// returned together with an error that joins an *Error for each; if the kernel
// has no KSM the error is ErrNotSupported.
func (fsys FS) Counters() (Counters, error) {
	if err := fsys.Supported(); err != nil {
		return Counters{}, err
	}
	r := fsys.glance()
	return r.Counters, errors.Join(r.problemsOf(Gauge), r.problemsOf(Cumulative))
}

// Knobs reads the settings once. Its errors are like those of Counters.
func (fsys FS) Knobs() (Knobs, error) {
	if err := fsys.Supported(); err != nil {
		return Knobs{}, err
	}
	r := fsys.glance()
	return r.Knobs, r.problemsOf(Knob)
}

// glance reads the knobs and counters, and nothing of /proc.
func (fsys FS) glance() Reading {
	reader := Reader{fsys: fsys}
	defer reader.Close()
	var r Reading
	reader.Read(&r)
	return r
}

// Read reads everything once. The error is of the whole: single fields that
// could not be read are found with Reading.Problem.
func (fsys FS) Read() (Reading, error) {
	var r Reading
	reader, err := fsys.NewReader()
	if err != nil {
		return r, err
	}
	defer reader.Close()
	reader.Read(&r)
	return r, nil
}

// Reading is all that was read at one time.
type Reading struct {
	Time     time.Time // when reading began, with a monotonic part
	PageSize int64     // bytes of a base page
	Counters Counters
	Knobs    Knobs
	Host     Host

	problems [numFields]error
}

// Value returns the value of f, or false if it is absent or was refused.
func (r *Reading) Value(f Field) (Value, bool) {
	if fields[f].Kind == Knob {
		return r.Knobs.Value(f)
	}
	return r.Counters.Value(f)
}

// Problem returns why f could not be read, an *Error, or nil if it was read or
// this kernel does not have it.
func (r *Reading) Problem(f Field) error { return r.problems[f] }

// HasKSM reports whether any field was read or refused: whether there is KSM.
func (r *Reading) HasKSM() bool {
	if r.Counters.Present|r.Knobs.Present != 0 {
		return true
	}
	for _, err := range r.problems {
		if err != nil {
			return true
		}
	}
	return false
}

func (r *Reading) problemsOf(kind Kind) error {
	var all []error
	for f, err := range r.problems {
		if err != nil && fields[f].Kind == kind {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Reader reads everything again and again. It keeps its files open, and a
// reading without problems allocates nothing. It is not safe for concurrent use.
type Reader struct {
	fsys  FS
	files [numFields]kept.File
	lacks FieldSet // fields this kernel has no file for
	host  hostReader
	buf   [bufferSize]byte
}

// bufferSize is more than a number and the list of advisor modes need.
const bufferSize = 512

var errTooLong = errors.New("too long for a value")

// NewReader opens the kernel's files below fsys. Without KSM the error is
// ErrNotSupported. Close the Reader after use.
func (fsys FS) NewReader() (*Reader, error) {
	if err := fsys.Supported(); err != nil {
		return nil, err
	}
	r := &Reader{fsys: fsys}
	r.host.open(fsys.proc())
	return r, nil
}

// Close closes the files.
func (r *Reader) Close() {
	r.closeFiles()
	r.host.close()
}

func (r *Reader) closeFiles() {
	for f := range r.files {
		r.files[f].Close()
	}
}

// Read replaces *to by a new reading. What could not be read is a problem of
// its field and does not keep the others from being read.
func (r *Reader) Read(to *Reading) {
	to.Time, to.PageSize = time.Now(), r.fsys.PageBytes()
	to.Counters.Present, to.Knobs.Present = 0, 0
	for f := range numFields {
		to.problems[f] = r.read(f, to)
	}
	r.host.read(&to.Host)
}

func (r *Reader) read(f Field, to *Reading) error {
	if r.lacks.Has(f) {
		return nil
	}
	file := &r.files[f]
	if !file.IsOpen() {
		var err error
		*file, err = kept.Open(r.fsys.Path(f))
		if err == unix.EMFILE || err == unix.ENFILE {
			r.closeFiles() // the others are opened again when it is their turn
			*file, err = kept.Open(r.fsys.Path(f))
		}
		if err == unix.ENOENT && !r.listed(f) {
			r.lacks |= SetOf(f)
			return nil
		}
		if err != nil {
			return &Error{Op: "open", Path: r.fsys.Path(f), Err: err}
		}
	}
	text, err := file.Once(r.buf[:])
	if err != nil {
		return &Error{Op: "read", Path: r.fsys.Path(f), Err: err}
	}
	if len(text) == len(r.buf) { // there may be more: half a number is none
		return &Error{Op: "parse", Path: r.fsys.Path(f), Err: valueError(text, errTooLong)}
	}
	if fields[f].Kind == Knob {
		err = to.Knobs.parse(f, text)
	} else {
		err = to.Counters.parse(f, text)
	}
	if err != nil {
		return &Error{Op: "parse", Path: r.fsys.Path(f), Err: err}
	}
	return nil
}

// listed reports whether f's file is there, be it as a link that leads nowhere.
func (r *Reader) listed(f Field) bool {
	_, err := os.Lstat(r.fsys.Path(f))
	return err == nil
}
