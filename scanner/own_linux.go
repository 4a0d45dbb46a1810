package scanner

import (
	"context"
	"os"
)

// Own is memory of the calling process; see [OpenOwn].
type Own struct {
	mem      [][]byte
	pageSize int
	pages    uint64

	self  *Process
	parts []ownPart
}

// ownPart is where a piece of memory and an area of the process meet.
type ownPart struct {
	start, end uint64
	mem        []byte
	area       int // of the process
}

func (o *Own) open() error {
	var err error
	if o.self, err = OpenProcess(os.Getpid(), AreasEligible); err != nil {
		return err
	}
	for _, mem := range o.mem {
		first := address(mem)
		for i := range o.self.areas {
			a := &o.self.areas[i]
			start, end := max(a.start, first), min(a.end, first+uint64(len(mem)))
			if start < end {
				o.parts = append(o.parts, ownPart{start, end, mem[start-first : end-first], i})
			}
		}
	}
	return nil
}

// Close closes the files that say which pages there are.
func (o *Own) Close() error { return o.self.Close() }

// Spans implements [Source].
func (o *Own) Spans(dst []Span) ([]Span, error) {
	b := borrow()
	defer giveBack(b)
	for i, part := range o.parts {
		var err error
		if dst, err = o.self.spans(dst, part.start, part.end, i, b); err != nil {
			return dst, newError("list", o.Name(), err)
		}
	}
	return dst, nil
}

// Read implements [Source].
func (o *Own) Read(ctx context.Context, s Span, b *Buffer, each func(mem []byte, runs []Run) error) (t Tally, err error) {
	part := &o.parts[s.part]
	s.part = part.area
	if !o.self.areas[part.area].readable {
		return o.self.Read(ctx, s, b, each)
	}
	err = o.self.walk(ctx, []Span{s}, &b.live, &t, func(_ *area, start, end uint64) error {
		return inPlace(part.mem[start-part.start:end-part.start], start, o.pageSize, b, &t, each)
	})
	return t, err
}
