//go:build unix

package sysfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/internal/kept"
	"github.com/ksmtop/ksmtop/internal/procfs"
)

// saved is what a guard remembers in its state file.
type saved struct {
	Root  string            `json:"root"`                 // FS.Root: whose settings these are
	Boot  string            `json:"boot_id"`              // of the boot in which they hold
	PID   int               `json:"pid"`                  // the guard's process
	Start uint64            `json:"start_time,omitempty"` // and when it began, in ticks since boot
	Clean bool              `json:"clean"`                // ksmd was stopped and nothing was merged
	Knobs map[string]string `json:"knobs"`

	knobs Knobs
}

// StateError reports a state file that holds nothing to go by.
type StateError struct {
	Path string
	Err  error
}

func (e *StateError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *StateError) Unwrap() error { return e.Err }

// Hint returns advice in one line.
func (e *StateError) Hint() string {
	return "it held the settings before an experiment that was killed: look at the knobs, set them by hand, then remove this file"
}

func statePath(dir string) string { return filepath.Join(dir, "state.json") }

// loadSaved reads the state file. It returns nil if there is none, or one from
// before a reboot.
func (fsys FS) loadSaved(opts GuardOptions) (*saved, error) {
	path := statePath(opts.dir())
	text, err := os.ReadFile(path)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Op: "read", Path: path, Err: cause(err)}
	}
	var s saved
	if err := s.parse(text); err != nil {
		return nil, &StateError{path, err}
	}
	boot, err := fsys.bootID()
	if err != nil {
		return nil, err
	}
	if s.Boot != boot {
		return nil, nil
	}
	if s.Root != fsys.root() {
		return nil, &StateError{path, fmt.Errorf("is of the settings below %q, not %q", s.Root, fsys.root())}
	}
	return &s, nil
}

func (s *saved) parse(text []byte) error {
	if err := json.Unmarshal(text, s); err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	for name, value := range s.Knobs {
		f, known := FieldByName(name)
		if !known || f.Info().Kind != Knob {
			return fmt.Errorf("damaged: %q is no knob", name)
		}
		if f == AdvisorMode {
			value = "[" + value + "]" // a word, of which later kernels may know more
		}
		if err := s.knobs.parse(f, []byte(value)); err != nil {
			return fmt.Errorf("damaged: %s: %w", f, err)
		}
	}
	if s.Boot == "" || !s.knobs.Has(Run) {
		return errors.New("damaged: incomplete")
	}
	return nil
}

// store writes the state file: after a crash at any point there is the whole
// file or none.
func (s *saved) store(opts GuardOptions) error {
	s.Knobs = make(map[string]string)
	for f := range s.knobs.Present.All() {
		v, _ := s.knobs.Value(f)
		s.Knobs[f.String()] = v.String()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := statePath(opts.dir())
	temp := path + ".new"
	opts.tick()
	if err := writeSynced(temp, append(text, '\n')); err != nil {
		return &Error{Op: "write", Path: temp, Err: cause(err)}
	}
	opts.tick()
	if err := os.Rename(temp, path); err != nil {
		return &Error{Op: "write", Path: path, Err: errors.Unwrap(err)}
	}
	opts.tick()
	return syncDir(opts.dir())
}

// remove removes the state file.
func (s *saved) remove(opts GuardOptions) error {
	opts.tick()
	if err := os.Remove(statePath(opts.dir())); err != nil {
		return &Error{Op: "write", Path: statePath(opts.dir()), Err: cause(err)}
	}
	opts.tick()
	return syncDir(opts.dir())
}

func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncDir makes a rename or removal in dir last.
func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil {
		return &Error{Op: "write", Path: dir, Err: cause(err)}
	}
	return nil
}

// bootID returns what tells one boot from another.
func (fsys FS) bootID() (string, error) {
	path := filepath.Join(fsys.proc(), "sys/kernel/random/boot_id")
	text, err := kept.ReadAll(path, make([]byte, 64))
	if err != nil {
		return "", &Error{Op: "read", Path: path, Err: err}
	}
	id := strings.TrimSuffix(string(text), "\n")
	if id == "" {
		return "", &Error{Op: "parse", Path: path, Err: errEmpty}
	}
	return id, nil
}

// startTime returns when a process began, in ticks since boot, or 0 if there
// is no such process. It tells a process from a later one with the same number.
func (fsys FS) startTime(pid int) uint64 {
	text, err := kept.ReadAll(filepath.Join(fsys.proc(), strconv.Itoa(pid), "stat"), make([]byte, 1024))
	if err != nil {
		return 0
	}
	stat, err := procfs.ParseStat(text)
	if err != nil || stat.Exiting() {
		return 0
	}
	return stat.Start
}
