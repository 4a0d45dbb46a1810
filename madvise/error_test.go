package madvise_test

import (
	"errors"
	"testing"

	"github.com/ksmtop/ksmtop/madvise"
)

func TestErrorText(t *testing.T) {
	shared := madvise.Area{Start: 0x1000, End: 0x3000, Reason: madvise.ReasonShared}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"sentinel", madvise.ErrNotSupported, "not supported by this kernel: unsupported operation"},
		{"operation", &madvise.Error{Op: "free region", Err: errors.New("cause")}, "free region: cause"},
		{"one area", &madvise.IneligibleError{Areas: []madvise.Area{shared}},
			"can not be merged: 0x1000-0x3000 (shared mapping)"},
		{"three areas", &madvise.IneligibleError{Areas: []madvise.Area{shared, shared, shared}},
			"can not be merged: 0x1000-0x3000 (shared mapping), 0x1000-0x3000 (shared mapping), 0x1000-0x3000 (shared mapping)"},
		{"five areas", &madvise.IneligibleError{Areas: []madvise.Area{shared, shared, shared, shared, shared}},
			"can not be merged: 0x1000-0x3000 (shared mapping), 0x1000-0x3000 (shared mapping), 0x1000-0x3000 (shared mapping), and 2 more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() = %q\nwant %q", got, tt.want)
			}
		})
	}
	if !errors.Is(&madvise.Error{Op: "x", Err: madvise.ErrNotSupported}, errors.ErrUnsupported) {
		t.Error("ErrNotSupported is not errors.ErrUnsupported")
	}
}
