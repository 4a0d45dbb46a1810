package scanner

import (
	"bytes"
	"strings"
	"testing"
)

func TestClassOf(t *testing.T) {
	page := func(s string) []byte {
		p := make([]byte, 4096)
		copy(p, s)
		return p
	}
	tests := []struct {
		name string
		page []byte
		want Class
	}{
		{"zero", page(""), ClassZero},
		{"byte", bytes.Repeat([]byte{0xff}, 4096), ClassByte},
		{"word", bytes.Repeat([]byte("\x01\x02\x03\x04\x05\x06\x07\x08"), 512), ClassWord},
		{"half a word twice is a word", bytes.Repeat([]byte("\xde\xad\xbe\xef"), 1024), ClassWord},
		{"text", page(strings.Repeat("a line of text\n", 200)), ClassText},
		{"full page of text", []byte(strings.Repeat("text and more, ", 300)[:4096]), ClassText},
		{"little text", page("hello"), ClassOther},
		{"text with a control byte", page(strings.Repeat("escape \x1b", 200)), ClassOther},
		{"zero but for the last byte", append(make([]byte, 4095), 1), ClassOther},
		{"zero but for the first", append([]byte{1}, make([]byte, 4095)...), ClassOther},
		{"too small", []byte("abc"), ClassOther},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ClassOf(tt.page); got != tt.want {
				t.Errorf("ClassOf = %q, want %q", got, tt.want)
			}
		})
	}
}
