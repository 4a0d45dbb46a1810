package model

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Binding is one line of Help, one cell of the footer and what its keys do:
// all from here, so that they cannot disagree.
type Binding struct {
	Keys   []string // as package term names them
	Show   string   // how Help shows the keys
	Footer string   // word of the footer; empty for none
	Help   string
	do     func(*State) Command

	// unavailable returns why the keys do nothing now, or "". Nil means that
	// they always work.
	unavailable func(*State) string
}

// Unavailable returns why the keys do nothing now, or "".
func (b *Binding) Unavailable(s *State) string {
	if why := s.Missing(); why != "" && s.Dialog() == nil && s.isOwn(b) {
		return why
	}
	if b.unavailable == nil {
		return ""
	}
	return b.unavailable(s)
}

// Keymap is the keys that work in one situation: in a view, or while a dialog is
// open.
type Keymap struct {
	Own     []Binding // of this view or dialog alone; they go before the others
	General []Binding // of any view
	Footer  []*Binding
}

// newKeymap returns a keymap with its footer: keys F1 to F9 in this order, then
// the others that have a word there, and at the end the key that quits.
func newKeymap(own, general []Binding) Keymap {
	k := Keymap{Own: own, General: general}
	for _, list := range [][]Binding{own, general} {
		for i := range list {
			if list[i].Footer != "" {
				k.Footer = append(k.Footer, &list[i])
			}
		}
	}
	slices.SortStableFunc(k.Footer, func(a, b *Binding) int { return cmp.Compare(footerPlace(a), footerPlace(b)) })
	return k
}

// footerPlace returns the number of a function key, or where the key stands
// among these.
func footerPlace(b *Binding) int {
	const others, last = 9, 100 // after F9, and F10
	digits, ok := strings.CutPrefix(b.Keys[0], "F")
	n, err := strconv.Atoi(digits)
	switch {
	case !ok || err != nil:
		return others
	case n >= 10:
		return last
	}
	return n
}

// find returns the binding of a key, or nil.
func (k *Keymap) find(key string) *Binding {
	for _, list := range [...][]Binding{k.Own, k.General} {
		for i := range list {
			if slices.Contains(list[i].Keys, key) {
				return &list[i]
			}
		}
	}
	return nil
}

// All returns all bindings of the keymap.
func (k *Keymap) All() []*Binding {
	var all []*Binding
	for _, list := range [...][]Binding{k.Own, k.General} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}
