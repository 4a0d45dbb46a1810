package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// colours are two settings, of which the second takes only red and blue.
type colours struct{ paint, ink string }

func (c *colours) settings() []Setting {
	return []Setting{
		{"paint", "any colour", func() string { return c.paint }, func(v string) error { c.paint = v; return nil }},
		{"ink", "red or blue", func() string { return c.ink }, func(v string) error {
			if v != "red" && v != "blue" {
				return errors.New("must be red or blue")
			}
			c.ink = v
			return nil
		}},
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLoadAndSave(t *testing.T) {
	tests := []struct {
		name          string
		before        string
		paint, ink    string // as loaded
		newPaint, new string // as changed
		after         string
	}{
		{"nothing changed", "paint=green", "green", "red", "green", "red", "paint=green"},
		{"one changed", "paint=green\n", "green", "red", "grey", "red", "paint = grey\n"},
		{"a new one", "# mine\n", "white", "red", "white", "blue", "# mine\n# red or blue\nink = blue\n"},
		{"into an empty file", "", "white", "red", "grey", "blue", "# any colour\npaint = grey\n# red or blue\nink = blue\n"},
		{"no end of line", "ink = red", "white", "red", "grey", "red", "ink = red\n# any colour\npaint = grey\n"},
		{"unknown lines", "what = ever\n\nsome words\n ink=blue \n#ink=red\nlater=1", "white", "blue", "white", "red",
			"what = ever\n\nsome words\nink = red\n#ink=red\nlater=1\n"},
		{"a value with equals", "paint = a=b\n", "a=b", "red", "c=d", "red", "paint = c=d\n"},
		{"the last of two counts, both change", "paint=1\npaint=2\n", "2", "red", "3", "red", "paint = 3\npaint = 3\n"},
		{"CR LF", "paint=green\r\nx=y\r\n", "green", "red", "grey", "red", "paint = grey\nx=y\r\n"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "config")
		write(t, path, tt.before)
		c := &colours{"white", "red"}
		f, err := Load(path, c.settings())
		if err != nil || c.paint != tt.paint || c.ink != tt.ink {
			t.Errorf("%s: Load gives %+v, %v, want %s, %s", tt.name, *c, err, tt.paint, tt.ink)
			continue
		}
		c.paint, c.ink = tt.newPaint, tt.new
		if err := f.Save(); err != nil {
			t.Errorf("%s: Save() = %v", tt.name, err)
		}
		if got := content(t, path); got != strings.TrimSuffix(tt.after, "~") {
			t.Errorf("%s: the file is %q, want %q", tt.name, got, tt.after)
		}
	}
}

func TestNoFileYet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a/b/config")
	c := &colours{"white", "red"}
	f, err := Load(path, c.settings())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made although nothing had changed")
	}
	c.ink = "blue"
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, path), "# red or blue\nink = blue\n"; got != want {
		t.Errorf("the file is %q, want %q", got, want)
	}
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(list) != 1 {
		t.Errorf("%d files (%v), want one", len(list), err)
	}
}

// TestStart does not save what the command line said.
func TestStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	c := &colours{"white", "red"}
	f, err := Load(path, c.settings())
	if err != nil {
		t.Fatal(err)
	}
	c.paint = "from the command line"
	f.Start()
	c.ink = "blue"
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, path), "# red or blue\nink = blue\n"; got != want {
		t.Errorf("the file is %q, want %q", got, want)
	}
}

// TestBroken reports a broken file in one line and leaves it as it is.
func TestBroken(t *testing.T) {
	for name, tt := range map[string]struct{ before, want, paint string }{
		"wrong value": {"x\nink = green\npaint = grey\n", `preferences, line 2: ink = "green": must be red or blue: /`, "grey"},
		"no text":     {"paint = \x00\n", "not a text", "white"},
		"not UTF-8":   {"paint = \xff\n", "not a text", "white"},
		"too long":    {strings.Repeat("#\n", 40000), "too long", "white"},
	} {
		path := filepath.Join(t.TempDir(), "config")
		write(t, path, tt.before)
		c := &colours{"white", "red"}
		f, err := Load(path, c.settings())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, tt.want)
		}
		if c.paint != tt.paint || c.ink != "red" {
			t.Errorf("%s: %+v was set", name, *c)
		}
		c.paint = "other"
		if err := f.Save(); err != nil {
			t.Errorf("%s: Save() = %v", name, err)
		}
		if got := content(t, path); got != tt.before {
			t.Errorf("%s: the file was changed to %q", name, got)
		}
	}
	dir := t.TempDir()
	if _, err := Load(dir, (&colours{}).settings()); err == nil {
		t.Error("a directory is read as a file")
	}
}

// TestLink keeps a symbolic link, as people have who keep their files elsewhere,
// and the file's mode.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mine"), "paint = 1\n")
	if err := os.Chmod(filepath.Join(dir, "mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config")
	if err := os.Symlink("mine", path); err != nil {
		t.Fatal(err)
	}
	c := &colours{"white", "red"}
	f, err := Load(path, c.settings())
	if err != nil {
		t.Fatal(err)
	}
	c.paint = "2"
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v (%v)", info, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file's mode is %v (%v), want what it was", info.Mode(), err)
	}
	if got := content(t, filepath.Join(dir, "mine")); got != "paint = 2\n" {
		t.Errorf("the file is %q", got)
	}
}

// What is no regular file is neither read nor replaced.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"a device": os.DevNull, "a FIFO": fifo, "nothing": filepath.Join(dir, "missing")} {
		path := filepath.Join(dir, "config")
		os.Remove(path)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Stat(path)
		c := colours{"white", "red"}
		f, err := Load(path, c.settings())
		if err == nil {
			t.Errorf("a link to %s: no error", name)
		}
		c.paint = "grey"
		if err := f.Save(); err != nil {
			t.Errorf("a link to %s: %v", name, err)
		}
		after, _ := os.Stat(path)
		if (before == nil) != (after == nil) || before != nil && before.Mode() != after.Mode() {
			t.Errorf("a link to %s: it was %v and is %v", name, before, after)
		}
	}
}

func TestPath(t *testing.T) {
	for _, tt := range []struct{ xdg, home, want string }{
		{"/x", "/h", "/x/ksmtop/config"},
		{"", "/h", "/h/.config/ksmtop/config"},
		{"relative", "/h", "/h/.config/ksmtop/config"},
		{"", "", ""},
	} {
		env := map[string]string{"XDG_CONFIG_HOME": tt.xdg, "HOME": tt.home}
		if got := Path(func(name string) string { return env[name] }); got != tt.want {
			t.Errorf("Path of %+v = %q", tt, got)
		}
	}
}

// FuzzMerge holds the file to its law: what is saved is what is loaded, and
// other lines stay.
func FuzzMerge(f *testing.F) {
	f.Add("paint=1\n#x\nink = red", "green")
	f.Fuzz(func(t *testing.T, before, paint string) {
		paint = strings.TrimSpace(paint)
		if strings.ContainsAny(paint, "\r\n") || strings.ContainsAny(before, "\r") {
			t.Skip("not one line")
		}
		c := &colours{}
		file := &File{settings: c.settings()}
		after := file.merge([]byte(before), map[string]string{"paint": paint})
		c.paint = "none"
		if err := file.each(after, func(s *Setting, v string) error {
			if s.Name == "paint" {
				return s.Set(v)
			}
			return nil
		}); err != nil || c.paint != paint {
			t.Errorf("%q saved into %q gives %q: paint is %q, %v", paint, before, after, c.paint, err)
		}
		for line := range strings.Lines(before) {
			if name, _, ok := parse(line); (!ok || name != "paint") && !strings.Contains(string(after), strings.TrimSuffix(line, "\n")) {
				t.Errorf("the line %q is lost in %q", line, after)
			}
		}
	})
}
