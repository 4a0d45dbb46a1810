package scenario

import (
	"strconv"
	"strings"
)

// The TOML package tells where a document has wrong syntax, but not where the
// keys of a good one stand. So a second look at the text of a good one finds them.

// locate returns the line of every key, by its path: "group.1.class.0.fraction"
// is a key of the first class of the second group.
func locate(text string) map[string]int {
	l := locator{text: text, line: 1, lines: map[string]int{}, tables: map[string]int{}}
	prefix := ""
	for l.skipSpace(); l.pos < len(l.text); l.skipSpace() {
		if l.text[l.pos] == '[' {
			prefix = l.header()
			continue
		}
		l.entry(prefix)
	}
	return l.lines
}

// lineOf returns the line of the key with a path, or of the innermost table that
// it would be in.
func lineOf(lines map[string]int, path string) int {
	for {
		if line, ok := lines[path]; ok {
			return line
		}
		dot := strings.LastIndexByte(path, '.')
		if dot < 0 {
			return 1
		}
		path = path[:dot]
	}
}

type locator struct {
	text   string
	pos    int
	line   int
	lines  map[string]int
	tables map[string]int // how many tables an array of tables has so far
}

// skip goes n bytes on.
func (l *locator) skip(n int) {
	end := min(l.pos+n, len(l.text))
	l.line += strings.Count(l.text[l.pos:end], "\n")
	l.pos = end
}

// at reports whether the text goes on with s.
func (l *locator) at(s string) bool { return strings.HasPrefix(l.text[l.pos:], s) }

// skipSpace skips white space, comments, and what separates elements.
func (l *locator) skipSpace() {
	for l.pos < len(l.text) {
		switch l.text[l.pos] {
		case ' ', '\t', '\r', '\n', ',', '=':
			l.skip(1)
		case '#':
			end := strings.IndexByte(l.text[l.pos:], '\n')
			if end < 0 {
				end = len(l.text)
			}
			l.skip(end)
		default:
			return
		}
	}
}

// header reads [a.b] or [[a.b]] and returns the path of its table.
func (l *locator) header() string {
	line := l.line
	isArray := l.at("[[")
	l.skip(1)
	if isArray {
		l.skip(1)
	}
	parts := l.key()
	path := ""
	for i, part := range parts {
		path = join(path, part)
		if isArray && i == len(parts)-1 {
			l.tables[path]++
		}
		if n := l.tables[path]; n > 0 {
			path = join(path, strconv.Itoa(n-1))
		}
	}
	l.lines[path] = line
	for l.at("]") {
		l.skip(1)
	}
	return path
}

// entry reads a key and its value.
func (l *locator) entry(prefix string) {
	path, start := prefix, l.pos
	line := l.line
	for _, part := range l.key() {
		path = join(path, part)
	}
	l.lines[path] = line
	l.skipSpace()
	l.value(path)
	if l.pos == start {
		l.skip(1) // not TOML, but no reason to stay here for ever
	}
}

// key reads a key with dots, up to what cannot belong to it.
func (l *locator) key() []string {
	var parts []string
	for l.pos < len(l.text) {
		start := l.pos
		switch c := l.text[l.pos]; {
		case c == '"' || c == '\'':
			l.quoted()
			parts = append(parts, l.text[start+1:max(start+1, l.pos-1)])
		case c == '.' || c == ' ' || c == '\t':
			l.skip(1)
		case strings.IndexByte("=]}#\r\n,", c) >= 0:
			return parts
		default:
			for l.pos < len(l.text) && strings.IndexByte(". \t=]}#\r\n,\"'", l.text[l.pos]) < 0 {
				l.skip(1)
			}
			parts = append(parts, l.text[start:l.pos])
		}
	}
	return parts
}

// value skips a value and notes the keys in it.
func (l *locator) value(path string) {
	if l.pos == len(l.text) {
		return
	}
	switch l.text[l.pos] {
	case '"', '\'':
		l.quoted()
	case '[':
		l.skip(1)
		i := 0
		for l.skipSpace(); l.pos < len(l.text) && !l.at("]"); l.skipSpace() {
			element, start := join(path, strconv.Itoa(i)), l.pos
			l.lines[element] = l.line
			l.value(element)
			if l.pos == start {
				l.skip(1)
			}
			i++
		}
		l.skip(1)
	case '{':
		l.skip(1)
		for l.skipSpace(); l.pos < len(l.text) && !l.at("}"); l.skipSpace() {
			l.entry(path)
		}
		l.skip(1)
	default:
		end := strings.IndexAny(l.text[l.pos:], ",]}#\n")
		if end < 0 {
			end = len(l.text)
		}
		l.skip(end)
	}
}

// quoted skips a string of any of the four kinds.
func (l *locator) quoted() {
	quote := l.text[l.pos : l.pos+1]
	escapes := quote == `"`
	if l.at(quote + quote + quote) {
		quote = quote + quote + quote
	}
	l.skip(len(quote))
	for l.pos < len(l.text) && !l.at(quote) {
		if escapes && l.at(`\`) {
			l.skip(1)
		}
		l.skip(1)
	}
	l.skip(len(quote))
	// Up to two quotes may stand before the three that end a string.
	for len(quote) == 3 && l.at(quote[:1]) {
		l.skip(1)
	}
}

func join(path, part string) string {
	if path == "" {
		return part
	}
	return path + "." + part
}
