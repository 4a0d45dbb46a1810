// Package replace gives a file new content in one step: whoever opens it meanwhile,
// and whatever ends this program, finds all of the old content or all of the new.
package replace

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// File is content on its way to a file. Create makes it, and Commit or Discard ends it.
type File struct {
	file   *os.File
	target string // "": file is the target itself
}

// Create begins to replace the file of a path, or to make one with the permissions
// perm before umask. The new content grows in a file beside it, so that a directory
// that cannot be written to is an error here. A symbolic link to a
// file stays one, and the file keeps its permissions.
//
// What is no regular file, such as /dev/stdout, cannot be replaced: it is written to,
// neither truncated nor removed. Errors are *fs.PathError.
func Create(path string, perm fs.FileMode) (*File, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &File{file: file}, nil
	}
	file, createErr := createBeside(path, perm)
	if createErr != nil {
		return nil, createErr
	}
	f := &File{file, path}
	if err == nil {
		if err := file.Chmod(info.Mode().Perm()); err != nil {
			f.Discard()
			return nil, err
		}
	}
	return f, nil
}

// createBeside creates a file with a name of its own in the directory of path.
func createBeside(path string, perm fs.FileMode) (*os.File, error) {
	dir, base := filepath.Split(path)
	for {
		name := fmt.Sprintf("%s.%s-%08x", dir, base, rand.Uint32())
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			e.Path = filepath.Clean(dir) // the name says nothing to anybody
		}
		return file, err
	}
}

// Write adds to the new content.
func (f *File) Write(content []byte) (int, error) { return f.file.Write(content) }

// Commit puts the new content in place. After an error the old one is what it was.
func (f *File) Commit() error {
	if f.target == "" {
		return f.file.Close()
	}
	err := f.file.Sync()
	if closeErr := f.file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		if err = os.Rename(f.file.Name(), f.target); err == nil {
			return nil
		}
		if e, ok := errors.AsType[*os.LinkError](err); ok {
			err = &fs.PathError{Op: e.Op, Path: f.target, Err: e.Err}
		}
	}
	_ = os.Remove(f.file.Name())
	return err
}

// Discard leaves the file as it was. After Commit it does nothing.
func (f *File) Discard() {
	if f.file.Close() == nil && f.target != "" { // Commit has not closed it
		_ = os.Remove(f.file.Name())
	}
}
