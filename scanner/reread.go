package scanner

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/ksmtop/ksmtop/scanner/internal/census"
)

// contents describes the most copied contents, each from a copy that is read again
// and still has the fingerprint.
func (s *scan) contents(ctx context.Context, top []census.Content, again *rereader) []Content {
	out := make([]Content, len(top))
	var byTarget []int // numbers of those that are to be read again
	for i, c := range top {
		out[i] = Content{Copies: c.Copies, More: c.MoreGroups}
		for _, h := range c.Holders {
			out[i].Owners = append(out[i].Owners, Owner{s.groups[h.Group], h.Copies})
		}
		switch {
		case c.Zero:
			out[i].Class = ClassZero
		case c.HasLocation:
			byTarget = append(byTarget, i)
		}
	}
	slices.SortStableFunc(byTarget, func(a, b int) int { return cmp.Compare(top[a].Location, top[b].Location) })
	dropped := 64 - s.census.FingerprintBits()
	for _, i := range byTarget {
		page, err := again.read(ctx, s, top[i].Location)
		if err == nil && s.hash.of(page)>>dropped == top[i].Fingerprint>>dropped {
			out[i].Class, out[i].Sample = ClassOf(page), page
		}
	}
	return out
}

var errNoPage = errors.New("the page is not there any more")

// rereader reads single pages. It keeps the source that it read last open, since
// to open one can take as long as reading much of it.
type rereader struct {
	source Source // nil before the first
	target uint64
	spans  []Span
	listed bool // spans are those of source, or err is why not
	err    error
}

// newRereader returns one that begins with a source that is open, if there is one.
func newRereader(src *opened) *rereader {
	if src == nil {
		return new(rereader)
	}
	return &rereader{source: src.Source, target: uint64(src.target)}
}

// turn opens a target unless it is open already.
func (r *rereader) turn(s *scan, target uint64) error {
	if r.source == nil || r.target != target {
		r.close()
		source, err := s.targets[target].Open()
		if err != nil {
			return err
		}
		r.source, r.target, r.listed = source, target, false
	}
	if !r.listed {
		r.spans, r.err = r.source.Spans(r.spans[:0])
		r.listed = true
	}
	return r.err
}

// read reads the page at a location.
func (r *rereader) read(ctx context.Context, s *scan, location uint64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.turn(s, location>>pageBits); err != nil {
		return nil, err
	}
	size := uint64(s.pageSize.Load())
	start := location & (1<<pageBits - 1) * size
	i := slices.IndexFunc(r.spans, func(span Span) bool { return start >= span.Start && start < span.End })
	if i < 0 {
		return nil, errNoPage
	}
	span := r.spans[i]
	span.Start, span.End = start, start+size
	var page []byte
	_, err := r.source.Read(ctx, span, newBuffer(int(size)), func(mem []byte, _ []Run) error {
		page = slices.Clone(mem)
		return nil
	})
	if err == nil && uint64(len(page)) != size {
		err = errNoPage
	}
	return page, err
}

func (r *rereader) close() {
	if r.source != nil {
		_ = r.source.Close() // it was only read
	}
	r.source = nil
}
