package scanner

import (
	"bytes"
	"encoding/binary"
)

// Class says what a content looks like, without giving it away: memory may
// hold secrets.
type Class string

// The classes, in the order in which they are tried.
const (
	ClassZero  Class = "zero"  // zero bytes only
	ClassByte  Class = "byte"  // one other byte, repeated
	ClassWord  Class = "word"  // eight bytes, repeated
	ClassText  Class = "text"  // readable ASCII, perhaps with zero bytes behind it
	ClassOther Class = "other" // anything else
)

// ClassOf returns the class of a page. Its size is a multiple of 8 bytes.
func ClassOf(page []byte) Class {
	if len(page) < 8 {
		return ClassOther
	}
	word := binary.NativeEndian.Uint64(page)
	if bytes.Equal(page[8:], page[:len(page)-8]) { // the page is its own shift by a word
		switch {
		case word == 0:
			return ClassZero
		case word == 0x0101010101010101*(word&0xff):
			return ClassByte
		}
		return ClassWord
	}
	if isText(page) {
		return ClassText
	}
	return ClassOther
}

// isText reports whether at least a quarter of the page is text and nothing but
// zero bytes follows it.
func isText(page []byte) bool {
	text := bytes.TrimRight(page, "\x00")
	if len(text) < len(page)/4 {
		return false
	}
	for _, c := range text {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
