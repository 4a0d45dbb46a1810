package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ksmtop/ksmtop/sim"
)

func isStdin(args []string) bool {
	for _, arg := range args {
		if arg == "-" {
			return true
		}
	}
	return false
}

// labScript is a script to run.
type labScript struct {
	*sim.Script
	want *sim.Table // with --check
}

// reads reports whether memory is read.
func (s labScript) reads() bool {
	return slices.ContainsFunc(s.Ops, func(op sim.Op) bool { return op.Kind == sim.OpRead })
}

// readScripts reads and checks all scripts that args name. many says that one is
// a directory. The error says all that is wrong with any of them.
func (f *labFlags) readScripts(stdin io.Reader, args []string) (scripts []labScript, many bool, err error) {
	var paths []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == "-":
			paths = append(paths, arg)
			continue
		case err != nil:
			return nil, false, pathError(err)
		case !info.IsDir():
			paths = append(paths, arg)
			continue
		}
		below, err := scriptsBelow(arg)
		if err != nil {
			return nil, false, err
		}
		paths, many = append(paths, below...), true
	}
	var wrong []error
	for _, path := range paths {
		name := path
		if path == "-" {
			name = "stdin"
		}
		content, err := readLimited(path, stdin)
		if err != nil {
			return nil, false, err
		}
		s, err := sim.Parse(name, content)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		scripts = append(scripts, labScript{Script: s})
	}
	if len(wrong) > 0 {
		return nil, false, statusError{exitUsage, hinted{errors.Join(wrong...), "`ksmtop lab --help` lists the operations; nothing has run"}}
	}
	if f.check {
		for i := range scripts {
			if scripts[i].want, err = readTSV(strings.TrimSuffix(scripts[i].Name, scriptSuffix) + ".tsv"); err != nil {
				return nil, false, err
			}
		}
	}
	return scripts, many, nil
}

const scriptSuffix = ".script"

// maxScriptBytes is far beyond what anybody writes: a million lines.
const maxScriptBytes = 64 << 20

// readLimited reads a script, - from stdin.
func readLimited(path string, stdin io.Reader) ([]byte, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, pathError(err)
		}
		defer file.Close()
		stdin = file
	}
	content, err := io.ReadAll(io.LimitReader(stdin, maxScriptBytes+1))
	if err != nil {
		return nil, pathError(err)
	}
	if len(content) > maxScriptBytes {
		return nil, fmt.Errorf("%s: larger than a script can be, %d MiB", path, maxScriptBytes>>20)
	}
	return content, nil
}

// scriptsBelow returns the scripts in and below a directory, by name.
func scriptsBelow(dir string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, scriptSuffix) && isFile(path) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, pathError(err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: no file below it is named *%s", dir, scriptSuffix)
	}
	return paths, nil
}

// isFile reports whether path is a file or a link to one, and so can be read to
// an end.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func readTSV(path string) (*sim.Table, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hinted{pathError(err), "--check compares with this table; `ksmtop lab --tsv " + path + " SCRIPT` makes it"}
	}
	if err != nil {
		return nil, pathError(err)
	}
	table, err := sim.ReadTSV(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return table, nil
}

// pathError says which file it was, as all messages do.
func pathError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}
