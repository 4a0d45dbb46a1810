package ksmd

// slab holds values under numbers from 1, in pieces, so that growing copies
// nothing and pointers stay good.
type slab[T any] struct {
	pieces [][]T
	used   uint32 // numbers handed out, with the unused 0
	free   []uint32
}

const slabPiece = 256

func (s *slab[T]) at(n uint32) *T { return &s.pieces[n/slabPiece][n%slabPiece] }

// take returns a number whose value is the zero value or what it was when it was
// given back.
func (s *slab[T]) take() uint32 {
	if k := len(s.free); k > 0 {
		n := s.free[k-1]
		s.free = s.free[:k-1]
		return n
	}
	s.used = max(s.used, 1)
	if int(s.used/slabPiece) == len(s.pieces) {
		s.pieces = append(s.pieces, make([]T, slabPiece))
	}
	s.used++
	return s.used - 1
}

func (s *slab[T]) give(n uint32) { s.free = append(s.free, n) }

// all calls fn with every value that was ever handed out.
func (s *slab[T]) all(fn func(*T)) {
	for n := uint32(1); n < s.used; n++ {
		fn(s.at(n))
	}
}
