package ksmd

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// put inserts value in ascending order.
func (t *tree) put(value uint32) uint32 {
	at, parent, left := t.root, uint32(0), false
	for at != 0 {
		parent = at
		if left = value < t.at[at].value; left {
			at = t.at[at].left
		} else {
			at = t.at[at].right
		}
	}
	return t.insert(parent, left, value)
}

// values checks the laws of a red-black tree below n and returns its values and
// the number of black positions on every path.
func (t *tree) values(tt *testing.T, n, parent uint32) (list []uint32, black int) {
	if n == 0 {
		return nil, 1
	}
	p := t.at[n]
	if p.parent != parent {
		tt.Fatalf("%d is below %d, and says %d", n, parent, p.parent)
	}
	if p.red && (parent == 0 || t.at[parent].red) {
		tt.Fatalf("red %d below red %d", n, parent)
	}
	l, lb := t.values(tt, p.left, n)
	r, rb := t.values(tt, p.right, n)
	if lb != rb {
		tt.Fatalf("%d black positions on the left of %d, %d on the right", lb, n, rb)
	}
	if !p.red {
		lb++
	}
	return append(append(l, p.value), r...), lb
}

func TestTreeKeepsItsLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var tr tree
		at := map[uint32]uint32{}
		for range 300 {
			v := uint32(rng.IntN(64))
			if n, is := at[v]; is {
				tr.remove(n)
				delete(at, v)
			} else {
				at[v] = tr.put(v)
			}
			got, _ := tr.values(t, tr.root, 0)
			want := make([]uint32, 0, len(at))
			for v := range at {
				want = append(want, v)
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("values are %v, want %v", got, want)
			}
		}
	}
}

// The shape is that of the textbook, which shows in the order in which it is cleared
// from the root: worked out by hand for seven values inserted ascending.
func TestTreeClearedFromTheRoot(t *testing.T) {
	var tr tree
	for v := range uint32(7) {
		tr.put(v + 1)
	}
	var got []uint32
	for tr.root != 0 {
		got = append(got, tr.at[tr.root].value)
		tr.remove(tr.root)
	}
	if want := []uint32{2, 3, 4, 5, 6, 7, 1}; !slices.Equal(got, want) {
		t.Errorf("cleared in the order %v, want %v", got, want)
	}
}
