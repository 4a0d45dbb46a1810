//go:build linux

package madvise_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/ksmtop/ksmtop/madvise"
)

// Examples that make memory mergeable have no Output comment: go test would
// run them beside tests that look at the KSM of the whole machine. They run
// from here, guarded.
func TestExamples(t *testing.T) {
	guardSwitch(t)
	for _, tt := range []struct {
		name    string
		example func()
		want    string
	}{
		{"Mergeable", ExampleMergeable, "marked\n"},
		{"Mergeable_shared", ExampleMergeable_shared, "shared mapping\n"},
		{"Unmergeable", ExampleUnmergeable, "private again\n"},
		{"NewRegion", ExampleNewRegion, "64 KiB\n"},
		{"SetMemoryMerge", ExampleSetMemoryMerge, "merging: true\n"},
		{"WrapCommand", ExampleWrapCommand, "hello\n"},
		{"MemoryMergeSurvivesExec", ExampleMemoryMergeSurvivesExec, "known\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := printed(t, tt.example); got != tt.want {
				t.Errorf("printed %q, want %q", got, tt.want)
			}
		})
	}
}

// printed returns what f prints on standard output, at most a few lines.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stdout := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = stdout }()
	f()
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ExampleMergeable() {
	mem, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer syscall.Munmap(mem)

	switch err := madvise.Mergeable(mem); {
	case err == nil:
		fmt.Println("marked")
	case errors.Is(err, madvise.ErrNotSupported):
		fmt.Println("going on without merging:", err)
	default:
		fmt.Println(err)
	}
	// Prints: marked
}

func ExampleMergeable_shared() {
	mem, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANONYMOUS)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer syscall.Munmap(mem)

	err = madvise.Mergeable(mem)
	if ineligible, ok := errors.AsType[*madvise.IneligibleError](err); ok {
		for _, area := range ineligible.Areas {
			fmt.Println(area.Reason)
		}
	}
	// Prints: shared mapping
}

func ExampleUnmergeable() {
	region, err := madvise.NewRegion(1 << 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer region.Free()

	secrets := region.Bytes()[:64<<10]
	if err := madvise.Unmergeable(secrets); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("private again")
	// Prints: private again
}

func ExampleNewRegion() {
	region, err := madvise.NewRegion(64 << 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer region.Free()

	fmt.Println(len(region.Bytes())>>10, "KiB")
	// Prints: 64 KiB
}

func ExampleSetMemoryMerge() {
	if err := madvise.SetMemoryMerge(true); err != nil {
		fmt.Println(err)
		return
	}
	defer madvise.SetMemoryMerge(false)

	on, err := madvise.MemoryMerge()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("merging:", on)
	// Prints: merging: true
}

func ExampleMemoryMerge() {
	on, err := madvise.MemoryMerge()
	if err != nil && !errors.Is(err, madvise.ErrNotSupported) {
		fmt.Println(err)
		return
	}
	fmt.Println("merging:", on)
	// Output: merging: false
}

func ExampleExecShim() {
	// func main() {
	madvise.ExecShim() // before flags, files, goroutines
	fmt.Println("the program itself")
	// Output: the program itself
}

func ExampleWrapCommand() {
	// The program calls madvise.ExecShim first in main.
	cmd := exec.Command("echo", "hello")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	switch err := madvise.WrapCommand(cmd); {
	case errors.Is(err, madvise.ErrNotSupported):
		fmt.Println("starting it without merging:", err)
	case err != nil:
		fmt.Println(err)
		return
	}
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
	}
	// Prints: hello
}

func ExampleMemoryMergeSurvivesExec() {
	// The program calls madvise.ExecShim first in main.
	survives, err := madvise.MemoryMergeSurvivesExec(context.Background())
	if err != nil {
		fmt.Println("not known:", err)
		return
	}
	if !survives {
		fmt.Fprintln(os.Stderr, "programs will start without merging")
	}
	fmt.Println("known")
	// Prints: known
}
