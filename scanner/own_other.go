//go:build !linux

package scanner

import "context"

// Own is memory of the calling process; see [OpenOwn].
type Own struct {
	mem      [][]byte
	pageSize int
	pages    uint64
}

func (o *Own) open() error { return nil }

// Close does nothing.
func (o *Own) Close() error { return nil }

// Spans implements [Source].
func (o *Own) Spans(dst []Span) ([]Span, error) {
	for i, mem := range o.mem {
		first, size := address(mem), uint64(len(mem))
		for at := uint64(0); at < size; at += SpanBytes {
			dst = append(dst, Span{first + at, first + min(at+SpanBytes, size), i})
		}
	}
	return dst, nil
}

// Read implements [Source].
func (o *Own) Read(ctx context.Context, s Span, b *Buffer, each func(mem []byte, runs []Run) error) (t Tally, err error) {
	mem := o.mem[s.part]
	first := address(mem)
	if err := ctx.Err(); err != nil {
		return t, err
	}
	err = inPlace(mem[s.Start-first:s.End-first], s.Start, o.pageSize, b, &t, each)
	return t, err
}
