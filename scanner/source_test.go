package scanner

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
)

func TestTally(t *testing.T) {
	one := Tally{Pages: 1, ZeroPages: 2, SwappedPages: 3, HolePages: 4}
	for r := range one.Skipped {
		one.Skipped[r] = uint64(10 + r)
	}
	two := Tally{Pages: 2, ZeroPages: 4, SwappedPages: 6, HolePages: 8}
	for r := range two.Skipped {
		two.Skipped[r] = uint64(20 + 2*r)
	}
	sum := one
	sum.Add(one)
	if sum != two {
		t.Errorf("%+v twice = %+v, want %+v", one, sum, two)
	}
	seen := map[string]bool{}
	for r := range NumReasons {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d has the name %q", r, name)
		} else {
			seen[name] = true
		}
	}
	for a, want := range map[Areas]string{AreasAuto: "auto", AreasEligible: "eligible", AreasMarked: "marked"} {
		if a.String() != want {
			t.Errorf("%d has the name %q, want %q", a, a, want)
		}
	}
}

func TestRefusedError(t *testing.T) {
	for _, tt := range []struct {
		err  RefusedError
		want string
	}{
		{RefusedError{Capability: "CAP_SYS_PTRACE"}, "permission denied (needs CAP_SYS_PTRACE)"},
		{RefusedError{Capability: "CAP_SYS_PTRACE", Yama: 1}, "permission denied (needs CAP_SYS_PTRACE, since kernel.yama.ptrace_scope is 1)"},
		{RefusedError{Yama: 2}, "permission denied (despite CAP_SYS_PTRACE: a security module or another user namespace protects the process)"},
		{RefusedError{Capability: "CAP_SYS_PTRACE", Yama: 3}, "permission denied (kernel.yama.ptrace_scope is 3: nobody may, until the next boot)"},
	} {
		tt.err.Err = syscall.EACCES
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.err, got, tt.want)
		}
		if !errors.Is(&tt.err, fs.ErrPermission) {
			t.Errorf("%+v is not fs.ErrPermission", tt.err)
		}
	}
}
