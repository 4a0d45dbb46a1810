//go:build unix

package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCounters(t *testing.T) {
	got, err := tree(t, "6.18").Counters()
	want := Counters{
		PagesShared: 22020, PagesSharing: 285056, PagesUnshared: 280000, PagesVolatile: 42564,
		FullScans: 17, PagesScanned: 8604120, PagesSkipped: 2099760, KSMZeroPages: 41000,
		StableNodeChains: 3, StableNodeDups: 40, GeneralProfit: 1295228416,
		Present: SetOf(PagesShared, PagesSharing, PagesUnshared, PagesVolatile, FullScans, PagesScanned, PagesSkipped,
			KSMZeroPages, StableNodeChains, StableNodeDups, GeneralProfit),
	}
	if got != want || err != nil {
		t.Errorf("Counters() = %+v, %v, want %+v", got, err, want)
	}

	got, err = tree(t, "6.18-negative").Counters()
	if want := int64(-29676160); got.GeneralProfit != want || err != nil {
		t.Errorf("general_profit = %d, %v, want %d", got.GeneralProfit, err, want)
	}
}

func TestKnobs(t *testing.T) {
	got, err := tree(t, "6.18-negative").Knobs()
	want := DefaultKnobs()
	want.Run, want.PagesToScan, want.AdvisorMode = RunScan, 2453, AdvisorScanTime
	if got != want || err != nil {
		t.Errorf("Knobs() = %+v, %v, want %+v", got, err, want)
	}
}

// TestDefaultKnobs compares with the settings of a kernel that has just booted.
func TestDefaultKnobs(t *testing.T) {
	booted, err := tree(t, "6.18.44-recorded").Knobs()
	if err != nil {
		t.Fatal(err)
	}
	if got := DefaultKnobs(); got != booted {
		t.Errorf("DefaultKnobs() = %+v, want %+v", got, booted)
	}
}

func TestNoKSM(t *testing.T) {
	fsys := tree(t, "none")
	if err := fsys.Check(); err != nil {
		t.Errorf("Check() = %v, want nil: the roots are right", err)
	}
	_, counters := fsys.Counters()
	_, knobs := fsys.Knobs()
	r, read := fsys.Read()
	_, reader := fsys.NewReader()
	for call, err := range map[string]error{"Supported": fsys.Supported(), "Counters": counters, "Knobs": knobs, "Read": read, "NewReader": reader} {
		e := theProblem(t, err, filepath.Join(fsys.Root, "kernel/mm/ksm"))
		if !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) || e.Op != "open" {
			t.Errorf("%s() = %v, want ErrNotSupported", call, err)
		}
	}
	if r.HasKSM() {
		t.Error("HasKSM() = true, want false")
	}
}

func TestSupportedCannotTell(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "kernel"), "a file where a directory belongs\n")
	err := FS{Root: dir}.Supported()
	if !errors.Is(err, unix.ENOTDIR) || errors.Is(err, ErrNotSupported) {
		t.Errorf("Supported() = %v, want ENOTDIR", err)
	}
	theProblem(t, err, filepath.Join(dir, "kernel/mm/ksm"))
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	writeFile(t, file, "")
	missing := filepath.Join(dir, "missing")
	tests := []struct {
		name string
		fsys FS
		want string
	}{
		{"both there", FS{Root: dir, Proc: dir}, ""},
		{"sys missing", FS{Root: missing, Proc: dir}, "open " + missing + ": no such file or directory"},
		{"proc missing", FS{Root: dir, Proc: missing}, "open " + missing + ": no such file or directory"},
		{"sys a file", FS{Root: file, Proc: dir}, "open " + file + ": not a directory"},
		{"proc a file", FS{Root: dir, Proc: file}, "open " + file + ": not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.fsys.Check()
			if got := fmt.Sprint(err); got != tt.want && (tt.want != "" || err != nil) {
				t.Errorf("Check() = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	if got, want := (FS{}).Path(PagesShared), "/sys/kernel/mm/ksm/pages_shared"; got != want {
		t.Errorf("Path(PagesShared) = %q, want %q", got, want)
	}
	if got, want := (FS{Root: "copy/sys"}).Path(Run), "copy/sys/kernel/mm/ksm/run"; got != want {
		t.Errorf("Path(Run) = %q, want %q", got, want)
	}
	if got, want := (FS{}).PageBytes(), int64(os.Getpagesize()); got != want {
		t.Errorf("PageBytes() = %d, want %d", got, want)
	}
	if got := (FS{PageSize: 65536}).PageBytes(); got != 65536 {
		t.Errorf("PageBytes() = %d, want 65536", got)
	}
}

// largestOf is the largest value of a field that is not a word; signed fields
// go down to -2^63.
func largestOf(f Field) uint64 {
	switch {
	case signedFields.Has(f):
		return math.MaxInt64
	case SetOf(MergeAcrossNodes, UseZeroPages, SmartScan).Has(f):
		return 1
	case f == MaxPageSharing:
		return math.MaxInt32
	case SetOf(Run, PagesToScan, SleepMillisecs, StableNodeChainsPruneMillisecs, AdvisorMaxCPU).Has(f):
		return math.MaxUint32
	}
	return math.MaxUint64
}

// expect returns what reading content must give for f: a value or an error.
func expect(f Field, content string) (string, error) {
	if f == AdvisorMode {
		if content == "" || content == "\n" {
			return "", errEmpty
		}
		match := oneChosen.FindStringSubmatch(content)
		if match == nil {
			return "", strconv.ErrSyntax
		}
		return match[1], nil
	}
	least := new(big.Int)
	if signedFields.Has(f) {
		least.SetInt64(math.MinInt64)
	}
	n, err := slowNumber([]byte(content), least, new(big.Int).SetUint64(largestOf(f)))
	if err != nil {
		return "", err
	}
	return n.String(), nil
}

// TestHostileFiles spoils each file in each way: that field, and no other, must
// be refused with an error that says so.
func TestHostileFiles(t *testing.T) {
	content := func(change func(good string) string) func(*testing.T, Field, string) (string, string, error) {
		return func(t *testing.T, f Field, path string) (op, value string, err error) {
			text := change(readFile(t, path))
			writeFile(t, path, text)
			if len(text) >= bufferSize {
				return "parse", "", errTooLong
			}
			value, err = expect(f, text)
			return "parse", value, err
		}
	}
	text := func(s string) func(*testing.T, Field, string) (string, string, error) {
		return content(func(string) string { return s })
	}
	instead := func(make func(path string) error, op string, want error) func(*testing.T, Field, string) (string, string, error) {
		return func(t *testing.T, f Field, path string) (string, string, error) {
			if err := errors.Join(os.Remove(path), make(path)); err != nil {
				t.Fatal(err)
			}
			return op, "", want
		}
	}
	link := func(to string) func(string) error {
		return func(path string) error { return os.Symlink(to, path) }
	}
	tests := []struct {
		name string
		// spoil returns what must come of it: a value or, from op, an error.
		spoil func(t *testing.T, f Field, path string) (op, value string, err error)
	}{
		{"empty", text("")},
		{"newline only", text("\n")},
		{"text", text("many\n")},
		{"escape sequence", text("\x1b[31m5\x1b[0m\n")},
		{"title sequence in brackets", text("[\x1b]0;owned\x07] none\n")},
		{"2^64", text("18446744073709551616\n")},
		{"2^63", text("9223372036854775808\n")},
		{"-1", text("-1\n")},
		{"-2^63-1", text("-9223372036854775809\n")},
		{"no newline", content(func(good string) string { return strings.TrimSuffix(good, "\n") })},
		{"two newlines", content(func(good string) string { return good + "\n" })},
		{"CRLF", content(func(good string) string { return strings.TrimSuffix(good, "\n") + "\r\n" })},
		{"zero byte", content(func(good string) string { return strings.TrimSuffix(good, "\n") + "\x00\n" })},
		{"1 MiB of zeros", text(strings.Repeat("0", 1<<20))},
		{"1 MiB of junk", text(strings.Repeat("\x1b", 1<<20))},
		{"1 MiB behind the value", content(func(good string) string { return good + strings.Repeat(" ", 1<<20) })},
		{"directory", instead(func(path string) error { return os.Mkdir(path, 0o777) }, "read", unix.EISDIR)},
		{"FIFO", instead(func(path string) error { return unix.Mkfifo(path, 0o666) }, "read", unix.ESPIPE)},
		{"dangling link", instead(link("nowhere"), "open", fs.ErrNotExist)},
		{"link to itself", instead(func(path string) error { return os.Symlink(filepath.Base(path), path) }, "open", unix.ELOOP)},
	}
	fsys := treeCopy(t, "6.18")
	base, err := fsys.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for f := range Fields() {
				good := readFile(t, fsys.Path(f))
				op, value, want := tt.spoil(t, f, fsys.Path(f))
				checkOneSpoiled(t, fsys, &base, f, op, value, want)
				if err := os.Remove(fsys.Path(f)); err != nil {
					t.Fatal(err)
				}
				writeFile(t, fsys.Path(f), good)
			}
		})
	}
}

// checkOneSpoiled reads fsys in every way. f must have that value, or else have
// none for the reason want; all the others must be as they were in base.
func checkOneSpoiled(t *testing.T, fsys FS, base *Reading, f Field, op, value string, want error) {
	t.Helper()
	var r Reading
	var c Counters
	var k Knobs
	var readErr, countersErr, knobsErr error
	soon(t, func() {
		r, readErr = fsys.Read()
		c, countersErr = fsys.Counters()
		k, knobsErr = fsys.Knobs()
	})
	if readErr != nil || !r.HasKSM() {
		t.Fatalf("%v: Read() = %v, HasKSM %t, want nil, true", f, readErr, r.HasKSM())
	}
	ownErr, otherErr := countersErr, knobsErr
	if knobFields.Has(f) {
		ownErr, otherErr = knobsErr, countersErr
	}
	if otherErr != nil {
		t.Errorf("%v: the other group's error = %v, want nil", f, otherErr)
	}
	for g := range Fields() {
		one, has := c.Value(g)
		if knobFields.Has(g) {
			one, has = k.Value(g)
		}
		got, ok := r.Value(g)
		if got != one || ok != has {
			t.Errorf("%v: Read() has %v, %t, and alone it is %v, %t", g, got, ok, one, has)
		}
		if g == f {
			if ok != (want == nil) || ok && got.String() != value {
				t.Errorf("%v = %v, %t, want %s, %v", g, got, ok, value, want)
			}
			continue
		}
		if good, _ := base.Value(g); got != good || !ok || r.Problem(g) != nil {
			t.Errorf("%v = %v, %t, problem %v while %v is spoiled, want %v", g, got, ok, r.Problem(g), f, good)
		}
	}
	if want == nil {
		if ownErr != nil || r.Problem(f) != nil {
			t.Errorf("%v: errors %v and %v, want none", f, ownErr, r.Problem(f))
		}
		return
	}
	for _, err := range []error{ownErr, r.Problem(f)} {
		e := theProblem(t, err, fsys.Path(f))
		if e.Op != op || !errors.Is(err, want) {
			t.Errorf("%v: error %v, want one of %s: %v", f, err, op, want)
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return !strconv.IsPrint(r) }) || len(err.Error()) > len(fsys.Path(f))+300 {
			t.Errorf("%v: error %q is not fit to print", f, err)
		}
		var v *ValueError
		if (op == "parse") != errors.As(err, &v) {
			t.Errorf("%v: error %v is a *ValueError: %t", f, err, v != nil)
		}
	}
}

// soon fails the test if do blocks.
func soon(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("still blocked after 30 s")
	}
}

func TestAbsentIsNotZero(t *testing.T) {
	fsys := treeCopy(t, "6.18")
	for f := range Fields() {
		good := readFile(t, fsys.Path(f))
		if err := os.Remove(fsys.Path(f)); err != nil {
			t.Fatal(err)
		}
		r, err := fsys.Read()
		if v, ok := r.Value(f); ok || err != nil || r.Problem(f) != nil {
			t.Errorf("%v = %v, %t, problem %v, %v, want none and no problem", f, v, ok, r.Problem(f), err)
		}
		if got := r.Counters.Present.Len() + r.Knobs.Present.Len(); got != int(numFields)-1 {
			t.Errorf("%d fields are present without %v, want %d", got, f, numFields-1)
		}
		writeFile(t, fsys.Path(f), good)
	}
}

func TestNothingReadable(t *testing.T) {
	fsys := treeCopy(t, "6.18")
	for f := range Fields() {
		writeFile(t, fsys.Path(f), "")
	}
	r, err := fsys.Read()
	if err != nil || !r.HasKSM() || r.Counters.Present|r.Knobs.Present != 0 {
		t.Errorf("Read() = %v, HasKSM %t, want nil, true and nothing present", err, r.HasKSM())
	}
	_, err = fsys.Counters()
	if got, want := len(separate(err)), int(numFields)-knobFields.Len(); got != want {
		t.Errorf("Counters() gives %d errors, want %d", got, want)
	}
	_, err = fsys.Knobs()
	if got, want := len(separate(err)), knobFields.Len(); got != want {
		t.Errorf("Knobs() gives %d errors, want %d", got, want)
	}

	for f := range Fields() {
		if err := os.Remove(fsys.Path(f)); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := fsys.Read(); err != nil || r.HasKSM() {
		t.Errorf("Read() of an empty directory = %v, HasKSM %t, want nil, false", err, r.HasKSM())
	}
}

func newReader(t testing.TB, fsys FS) *Reader {
	t.Helper()
	r, err := fsys.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestReaderAllocatesNothing(t *testing.T) {
	for _, name := range []string{"5.4", "6.18", "6.18-negative"} {
		t.Run(name, func(t *testing.T) {
			checkNoAllocs(t, tree(t, name))
		})
	}
}

func checkNoAllocs(t *testing.T, fsys FS) {
	t.Helper()
	reader := newReader(t, fsys)
	var r Reading
	reader.Read(&r)
	if n := testing.AllocsPerRun(100, func() { reader.Read(&r) }); n != 0 {
		t.Errorf("Read allocates %g times, want 0", n)
	}
	for f := range Fields() {
		if err := r.Problem(f); err != nil {
			t.Errorf("Problem(%v) = %v", f, err)
		}
	}
}

func TestReaderFollowsChanges(t *testing.T) {
	fsys := treeCopy(t, "6.18")
	reader := newReader(t, fsys)
	tests := []struct {
		f       Field
		content string
		wantErr error
	}{
		{PagesShared, "22020\n", nil},
		{PagesShared, "7\n", nil}, // shorter than before
		{PagesShared, "123456789\n", nil},
		{PagesShared, "junk\n", strconv.ErrSyntax},
		{PagesShared, "", errEmpty},
		{PagesShared, "8\n", nil},
		{GeneralProfit, "-4096\n", nil},
		{SmartScan, "0\n", nil},
		{MaxPageSharing, "2\n", nil},
	}
	var r Reading
	for _, tt := range tests {
		writeFile(t, fsys.Path(tt.f), tt.content)
		before := time.Now()
		reader.Read(&r)
		v, ok := r.Value(tt.f)
		if !errors.Is(r.Problem(tt.f), tt.wantErr) || ok != (tt.wantErr == nil) || ok && v.String()+"\n" != tt.content {
			t.Errorf("%v of %q = %v, %t, problem %v", tt.f, tt.content, v, ok, r.Problem(tt.f))
		}
		if r.Time.Before(before) || r.Time.After(time.Now()) {
			t.Errorf("Time = %v, want when it was read", r.Time)
		}
	}
	for _, mode := range []string{"none [scan-time]\n", "[none] scan-time\n"} {
		writeFile(t, fsys.Path(AdvisorMode), mode)
		reader.Read(&r)
		if want := "[" + r.Knobs.AdvisorMode + "]"; !r.Knobs.Has(AdvisorMode) || !strings.Contains(mode, want) {
			t.Errorf("AdvisorMode of %q = %q", mode, r.Knobs.AdvisorMode)
		}
	}
}

// TestReaderAbsentAndBack: that a kernel has no such file is asked once, that a
// file could not be opened each time.
func TestReaderAbsentAndBack(t *testing.T) {
	fsys := treeCopy(t, "6.18")
	remove := func(f Field) {
		t.Helper()
		if err := os.Remove(fsys.Path(f)); err != nil {
			t.Fatal(err)
		}
	}
	remove(SmartScan)
	remove(PagesSharing)
	if err := os.Symlink("later", fsys.Path(PagesSharing)); err != nil {
		t.Fatal(err)
	}
	reader := newReader(t, fsys)
	var r Reading
	reader.Read(&r)
	if r.Knobs.Has(SmartScan) || r.Problem(SmartScan) != nil {
		t.Errorf("removed: smart_scan present %t, problem %v, want absent", r.Knobs.Has(SmartScan), r.Problem(SmartScan))
	}
	if r.Counters.Has(PagesSharing) || r.Problem(PagesSharing) == nil {
		t.Errorf("dangling: pages_sharing present %t, want a problem", r.Counters.Has(PagesSharing))
	}

	writeFile(t, fsys.Path(SmartScan), "1\n")
	writeFile(t, filepath.Join(filepath.Dir(fsys.Path(PagesSharing)), "later"), "5\n")
	remove(PagesShared) // which is open
	reader.Read(&r)
	if r.Knobs.Has(SmartScan) {
		t.Error("smart_scan is there although this kernel was found to lack it")
	}
	if r.Counters.PagesSharing != 5 || !r.Counters.Has(PagesSharing) {
		t.Errorf("pages_sharing = %d, problem %v, want 5", r.Counters.PagesSharing, r.Problem(PagesSharing))
	}
	if r.Counters.PagesShared != 22020 || !r.Counters.Has(PagesShared) {
		t.Errorf("pages_shared = %d, problem %v, want 22020: its file is open", r.Counters.PagesShared, r.Problem(PagesShared))
	}

	again, err := fsys.Read()
	if err != nil || !again.Knobs.Has(SmartScan) || again.Counters.Has(PagesShared) {
		t.Errorf("a new reader: %v, smart_scan %t, pages_shared %t, want nil, true, false",
			err, again.Knobs.Has(SmartScan), again.Counters.Has(PagesShared))
	}
}

// TestReadingIsReplaced reads an old kernel into the reading of a new one.
func TestReadingIsReplaced(t *testing.T) {
	fsys := treeCopy(t, "6.18")
	writeFile(t, fsys.Path(SmartScan), "junk")
	r, err := fsys.Read()
	if err != nil || r.Problem(SmartScan) == nil {
		t.Fatalf("Read() = %v, problem %v", err, r.Problem(SmartScan))
	}
	newReader(t, tree(t, "5.4")).Read(&r)
	for f := range Fields() {
		_, got := r.Value(f)
		if want := since(t, "5.4", f.Info().Since); got != want || r.Problem(f) != nil {
			t.Errorf("%v: present %t, problem %v, want %t", f, got, r.Problem(f), want)
		}
	}
	if r.PageSize != 4096 {
		t.Errorf("PageSize = %d, want that of the FS, 4096", r.PageSize)
	}
	if r.Host.HasCowKSM || r.Host.CowKSM != 0 {
		t.Errorf("CowKSM = %d, %t, want none", r.Host.CowKSM, r.Host.HasCowKSM)
	}
}

func TestReadIsConcurrent(t *testing.T) {
	fsys := tree(t, "6.18")
	want, err := fsys.Read()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				got, err := fsys.Read()
				if err != nil || got.Counters != want.Counters || got.Knobs != want.Knobs || got.Host != want.Host {
					t.Errorf("Read() = %+v, %v, want %+v", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}
