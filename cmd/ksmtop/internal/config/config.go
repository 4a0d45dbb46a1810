// Package config keeps preferences in a file of lines "name = value" that people
// may edit, too: comments, order and lines that it does not know stay as they
// are.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/replace"
)

// Setting is one preference.
type Setting struct {
	Name    string
	Comment string // one line, written above it
	Get     func() string
	Set     func(value string) error
}

// File is a file of preferences. Load makes one.
type File struct {
	path     string
	settings []Setting
	start    []string // the values that need not be saved
	broken   bool
}

// largest is more than any such file has, in bytes.
const largest = 1 << 16

// Path returns where the file is: ksmtop/config in $XDG_CONFIG_HOME, or else in
// .config of $HOME; it is empty if neither is known. Env is usually os.Getenv.
func Path(env func(string) string) string {
	dir := env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // as its specification says
		home := env("HOME")
		if !filepath.IsAbs(home) {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "ksmtop", "config")
}

// Load reads a file and sets what it says. No file is an empty one, and so is
// the empty path, to which nothing is ever saved. A file that
// cannot be read, or a line of it that a setting does not take, is an error in
// one line; the other lines count, and Save will leave the file alone.
func Load(path string, settings []Setting) (*File, error) {
	f := &File{path: path, settings: settings}
	content, err := read(path)
	if err == nil {
		err = f.each(content, func(s *Setting, value string) error { return s.Set(value) })
	}
	f.broken = err != nil
	f.Start()
	return f, err
}

// Start says that the values as they are now need not be saved.
func (f *File) Start() {
	f.start = f.start[:0]
	for i := range f.settings {
		f.start = append(f.start, f.settings[i].Get())
	}
}

// read returns the content of a file, nothing if there is no file.
func read(path string) ([]byte, error) {
	if err := checkRegular(path); err != nil {
		return nil, wrong(path, err)
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, wrong(path, err)
	case len(content) > largest:
		return nil, wrong(path, errors.New("too long"))
	case !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0:
		return nil, wrong(path, errors.New("not a text"))
	}
	return content, nil
}

// checkRegular refuses what is there but is no file: to open a FIFO would block, and
// a device must not be replaced by a file; nor must a link that leads nowhere.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case err == nil:
		return nil
	}
	if _, linkErr := os.Lstat(path); linkErr == nil && errors.Is(err, fs.ErrNotExist) {
		return errors.New("a link that leads nowhere")
	}
	return nil // there is none, or reading says what is wrong
}

// wrong returns an error about a file as a whole, with its path at the end: on
// the screen there may be no room for it.
func wrong(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("preferences: %w: %s", err, path)
}

// each calls do for every line that is about a setting, and returns the first
// error with its place.
func (f *File) each(content []byte, do func(*Setting, string) error) error {
	var first error
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		name, value, ok := parse(line)
		if !ok {
			continue
		}
		for i := range f.settings {
			if f.settings[i].Name != name {
				continue
			}
			if err := do(&f.settings[i], value); err != nil && first == nil {
				first = fmt.Errorf("preferences, line %d: %s = %q: %w: %s", number, name, value, err, f.path)
			}
		}
	}
	return first
}

// parse returns what a line sets. Comments and everything that has no "=" set
// nothing.
func parse(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", "", false
	}
	name, value, ok = strings.Cut(line, "=")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

// Save writes the settings whose values have changed, if there are any, and
// leaves all other lines as they are. The file changes as a whole or not at
// all. A broken file stays as it is.
func (f *File) Save() error {
	changed := make(map[string]string)
	for i := range f.settings {
		if value := f.settings[i].Get(); value != f.start[i] {
			changed[f.settings[i].Name] = value
		}
	}
	if len(changed) == 0 || f.broken || f.path == "" {
		return nil
	}
	content, err := read(f.path) // another ksmtop may have saved meanwhile
	if err != nil {
		return err
	}
	return store(f.path, f.merge(content, changed))
}

// merge returns content with other values for some settings. Those that it does
// not have come last, each below a comment.
func (f *File) merge(content []byte, changed map[string]string) []byte {
	var b bytes.Buffer
	written := make(map[string]bool)
	for line := range strings.Lines(string(content)) {
		name, _, ok := parse(line)
		value, isChanged := changed[name]
		if ok && isChanged {
			line = name + " = " + value + "\n"
			written[name] = true
		}
		b.WriteString(line)
	}
	if n := b.Len(); n > 0 && b.Bytes()[n-1] != '\n' {
		b.WriteByte('\n')
	}
	for i := range f.settings {
		s := &f.settings[i]
		if value, ok := changed[s.Name]; ok && !written[s.Name] {
			fmt.Fprintf(&b, "# %s\n%s = %s\n", s.Comment, s.Name, value)
		}
	}
	return b.Bytes()
}

// store gives a file new content in one step, and makes its directory.
func store(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return wrong(dir, err)
	}
	file, err := replace.Create(path, 0o600)
	if err != nil {
		return wrong(dir, err)
	}
	defer file.Discard() // unless it is in place
	if _, err := file.Write(content); err != nil {
		return wrong(path, err)
	}
	if err := file.Commit(); err != nil {
		return wrong(path, err)
	}
	return nil
}
