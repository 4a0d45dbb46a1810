package ksmd

// tree is a red-black tree whose shape after any sequence of insertions and
// removals is that of the kernel's: the textbook rules, where a removed position
// with two children is taken by its successor. Positions are numbers from 1 into
// one slice; 0 is none. What order the values are in is the caller's business: it
// walks with root, left and right, and says where a new one goes.
type tree struct {
	at   []position
	free uint32 // the first of the unused positions, linked by left
	root uint32
}

type position struct {
	left, right, parent uint32
	value               uint32
	red                 bool
}

func (t *tree) reset() {
	t.at = t.at[:0]
	t.free, t.root = 0, 0
}

// insert puts value below parent, on the left or the right, where nothing is yet.
// A parent of 0 is for an empty tree.
func (t *tree) insert(parent uint32, left bool, value uint32) uint32 {
	if len(t.at) == 0 {
		t.at = append(t.at, position{})
	}
	n := t.free
	if n != 0 {
		t.free = t.at[n].left
	} else {
		n = uint32(len(t.at))
		t.at = append(t.at, position{})
	}
	t.at[n] = position{parent: parent, value: value, red: true}
	switch {
	case parent == 0:
		t.root = n
	case left:
		t.at[parent].left = n
	default:
		t.at[parent].right = n
	}
	t.afterInsert(n)
	return n
}

func (t *tree) afterInsert(n uint32) {
	at := t.at
	for {
		p := at[n].parent
		if p == 0 {
			at[n].red = false
			return
		}
		if !at[p].red {
			return
		}
		g := at[p].parent // there is one: a red position is not the root
		onLeft := at[g].left == p
		uncle := at[g].left
		if onLeft {
			uncle = at[g].right
		}
		if uncle != 0 && at[uncle].red {
			at[p].red, at[uncle].red, at[g].red = false, false, true
			n = g
			continue
		}
		if inner := at[p].right == n; inner == onLeft {
			t.rotate(p, onLeft)
			p = n
		}
		at[p].red, at[g].red = false, true
		t.rotate(g, !onLeft)
		return
	}
}

// rotate turns the edge between n and one of its children: to the left the right
// child comes up, to the right the left one.
func (t *tree) rotate(n uint32, toLeft bool) {
	at := t.at
	var up, moved uint32
	if toLeft {
		up = at[n].right
		moved = at[up].left
		at[n].right, at[up].left = moved, n
	} else {
		up = at[n].left
		moved = at[up].right
		at[n].left, at[up].right = moved, n
	}
	if moved != 0 {
		at[moved].parent = n
	}
	t.replace(n, up)
	at[n].parent = up
}

// replace makes what is above old point to by instead.
func (t *tree) replace(old, by uint32) {
	p := t.at[old].parent
	switch {
	case p == 0:
		t.root = by
	case t.at[p].left == old:
		t.at[p].left = by
	default:
		t.at[p].right = by
	}
	if by != 0 {
		t.at[by].parent = p
	}
}

func (t *tree) remove(n uint32) {
	at := t.at
	l, r := at[n].left, at[n].right
	var child, parent uint32 // who takes the place that is lost, and below whom
	black := !at[n].red
	switch {
	case l == 0:
		child, parent = r, at[n].parent
		t.replace(n, r)
	case r == 0:
		child, parent = l, at[n].parent
		t.replace(n, l)
	default:
		s := r // the successor
		for at[s].left != 0 {
			s = at[s].left
		}
		black = !at[s].red
		child, parent = at[s].right, at[s].parent
		if parent == n {
			parent = s
		} else {
			t.replace(s, child)
			at[s].right = r
			at[r].parent = s
		}
		t.replace(n, s)
		at[s].left = l
		at[l].parent = s
		at[s].red = at[n].red
	}
	if black {
		t.afterRemove(child, parent)
	}
	at[n] = position{left: t.free}
	t.free = n
}

// afterRemove puts right that paths through n, which may be none, below p lack a
// black position.
func (t *tree) afterRemove(n, p uint32) {
	at := t.at
	for p != 0 && (n == 0 || !at[n].red) {
		onLeft := at[p].left == n
		sibling := func() uint32 {
			if onLeft {
				return at[p].right
			}
			return at[p].left
		}
		s := sibling()
		if at[s].red {
			at[s].red, at[p].red = false, true
			t.rotate(p, onLeft)
			s = sibling()
		}
		near, far := at[s].left, at[s].right
		if !onLeft {
			near, far = far, near
		}
		redNear, redFar := near != 0 && at[near].red, far != 0 && at[far].red
		if !redNear && !redFar {
			at[s].red = true
			n, p = p, at[p].parent
			continue
		}
		if !redFar {
			at[near].red, at[s].red = false, true
			t.rotate(s, !onLeft)
			far, s = s, near
		}
		at[s].red = at[p].red
		at[p].red, at[far].red = false, false
		t.rotate(p, onLeft)
		return
	}
	if n != 0 {
		at[n].red = false
	}
}
