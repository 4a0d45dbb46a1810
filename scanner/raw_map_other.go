//go:build !unix

package scanner

// mapped maps nothing here.
func (r *imageReader) mapped(at, _ int64) (reached int64, err error) { return at, nil }
