package scenario

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// maxDuration is the longest time that a scenario can name. It keeps times that
// are sums of a few of them far from the largest time.Duration.
const maxDuration = 366 * 24 * time.Hour

// reader turns a document into values, and keeps the first error.
type reader struct {
	file  string
	lines map[string]int // see locate
	err   error
}

// fail notes an error about the key with a path, unless there is one already.
func (r *reader) fail(path, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{r.file, lineOf(r.lines, path), keyName(path), fmt.Sprintf(format, args...)}
	}
}

// keyName returns the key with a path without the numbers of its tables.
func keyName(path string) string {
	var names []string
	for part := range strings.SplitSeq(path, ".") {
		if _, err := strconv.Atoi(part); err == nil && len(names) > 0 {
			continue
		}
		if strings.ContainsFunc(part, func(c rune) bool { return c <= ' ' || c > '~' }) {
			part = strconv.Quote(part)
		}
		names = append(names, part)
	}
	return strings.Join(names, ".")
}

// parseTOML returns the top table of a document.
func parseTOML(file, text string) (*table, error) {
	values := map[string]any{}
	if _, err := toml.Decode(text, &values); err != nil {
		var syntax toml.ParseError
		if !errors.As(err, &syntax) {
			return nil, &Error{file, 1, "", strings.TrimPrefix(err.Error(), "toml: ")}
		}
		reason := strings.Join(strings.Fields(syntax.Message), " ") // one line, also if it quotes the end of one
		if number, ok := strings.CutSuffix(reason, " is out of range for int64"); ok {
			reason = fmt.Sprintf("%s: must be from %d to %d", number, math.MinInt64, math.MaxInt64)
		}
		return nil, &Error{file, max(1, syntax.Position.Line), syntax.LastKey, reason}
	}
	return &table{r: &reader{file: file, lines: locate(text)}, values: values}, nil
}

// table is a table of the document. Its methods take what a key has out of it;
// what is left in the end is unknown.
type table struct {
	r      *reader
	path   string
	values map[string]any
	asked  []string // the keys that were looked for
	lacks  error    // what require noted
}

func (t *table) fail(key, format string, args ...any) {
	t.r.fail(join(t.path, key), format, args...)
}

// take removes a key and returns its value, nil if it has none.
func (t *table) take(key string) any {
	t.asked = append(t.asked, key)
	v := t.values[key]
	delete(t.values, key)
	return v
}

func (t *table) has(key string) bool {
	t.asked = append(t.asked, key)
	return t.values[key] != nil
}

// require notes an error if a key is missing.
func (t *table) require(key string) {
	if !t.has(key) && t.r.err == nil {
		t.fail(key, "is missing")
		t.lacks = t.r.err
	}
}

// finish notes an error if there are keys that nobody asked for. Where another is
// missing the one that is there is more to the point: it may be a misspelt one.
func (t *table) finish() {
	if len(t.values) == 0 {
		return
	}
	if t.lacks != nil && t.r.err == t.lacks {
		t.r.err = nil
	}
	unknown := slices.MinFunc(slices.Sorted(maps.Keys(t.values)), func(a, b string) int {
		return lineOf(t.r.lines, join(t.path, a)) - lineOf(t.r.lines, join(t.path, b))
	})
	slices.Sort(t.asked)
	t.fail(unknown, "no such key here; there are %s", strings.Join(slices.Compact(t.asked), ", "))
}

func (t *table) text(key, otherwise string) string {
	switch v := t.take(key).(type) {
	case nil:
		return otherwise
	case string:
		return v
	}
	t.fail(key, "must be a text in quotes")
	return otherwise
}

// oneOf returns a text that must be one of some words, the first if it is missing.
func (t *table) oneOf(key string, words ...string) string {
	v := t.text(key, words[0])
	if !slices.Contains(words, v) {
		t.fail(key, "%q: must be %s", v, strings.Join(words, ", "))
	}
	return v
}

// name returns a name, otherwise if it is missing.
func (t *table) name(key, otherwise string) string {
	v := t.text(key, otherwise)
	isStrange := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
	}
	if v == "" || len(v) > 64 || strings.ContainsFunc(v, isStrange) {
		t.fail(key, "%q: must be 1 to 64 small letters, digits, '-', '.' and '_'", v)
	}
	return v
}

func (t *table) boolean(key string) bool {
	switch v := t.take(key).(type) {
	case nil:
		return false
	case bool:
		return v
	}
	t.fail(key, "must be true or false")
	return false
}

func (t *table) integer(key string, otherwise, least, most int64) int64 {
	switch v := t.take(key).(type) {
	case nil:
		return otherwise
	case int64:
		if v < least || v > most {
			t.fail(key, "%d: must be %d to %d", v, least, most)
			return otherwise
		}
		return v
	}
	t.fail(key, "must be a whole number")
	return otherwise
}

func (t *table) number(key string, otherwise, least, most float64) float64 {
	v := t.take(key)
	if v == nil {
		return otherwise
	}
	n, ok := v.(float64)
	if i, isInteger := v.(int64); isInteger {
		n, ok = float64(i), true
	}
	switch {
	case !ok:
		t.fail(key, "must be a number")
	case !(n >= least && n <= most): // NaN is not
		t.fail(key, "%v: must be %v to %v", n, least, most)
	default:
		return n
	}
	return otherwise
}

// share returns a number of 0 to 1.
func (t *table) share(key string, otherwise float64) float64 {
	return t.number(key, otherwise, 0, 1)
}

func (t *table) duration(key string, otherwise, least time.Duration) time.Duration {
	v := t.take(key)
	if v == nil {
		return otherwise
	}
	return t.toDuration(key, v, least)
}

func (t *table) toDuration(key string, v any, least time.Duration) time.Duration {
	text, ok := v.(string)
	if !ok {
		t.fail(key, `must be a time in quotes, as "1m30s"`)
		return least
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		t.fail(key, `%q: must be a time, as "1m30s"`, text)
	case d < least:
		t.fail(key, "%q: must be at least %v", text, least)
	case d > maxDuration:
		t.fail(key, "%q: must be at most %v", text, maxDuration)
	default:
		return d
	}
	return least
}

// durations returns one time twice, or the two of a range.
func (t *table) durations(key string, least time.Duration) (from, to time.Duration) {
	v := t.take(key)
	if v == nil {
		return 0, 0
	}
	list, ok := v.([]any)
	if !ok {
		d := t.toDuration(key, v, least)
		return d, d
	}
	if len(list) != 2 {
		t.fail(key, `must be one time or two, as ["10s", "1m"]`)
		return 0, 0
	}
	from, to = t.toDuration(key, list[0], least), t.toDuration(key, list[1], least)
	if from > to {
		t.fail(key, "the first time is longer than the second")
	}
	return from, to
}

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// pages returns a size as a number of pages, which is a multiple of unit.
func (t *table) pages(key string, unit int, most int64) int64 {
	v := t.take(key)
	if v == nil {
		return 0
	}
	text, ok := v.(string)
	if !ok {
		t.fail(key, `must be a size in quotes, as "2GiB"`)
		return 0
	}
	for _, u := range sizeUnits {
		digits, isUnit := strings.CutSuffix(text, u.suffix)
		if !isUnit || strings.TrimLeft(digits, "0123456789.") != "" {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			break
		}
		n = float64(n*u.bytes) / PageSize
		switch {
		case n > float64(most):
			t.fail(key, "%q: must be at most %d GiB", text, most*PageSize>>30)
		case n <= 0 || n != math.Floor(n) || int64(n)%int64(unit) != 0:
			t.fail(key, "%q: must be a multiple of %d KiB, and not 0", text, unit*PageSize>>10)
		default:
			return int64(n)
		}
		return 0
	}
	t.fail(key, `%q: must be a size, as "512MiB" or "2GiB"`, text)
	return 0
}

// sub returns a table that a key has, or nil.
func (t *table) sub(key string) *table {
	switch v := t.take(key).(type) {
	case nil:
	case map[string]any:
		return &table{r: t.r, path: join(t.path, key), values: v}
	default:
		t.fail(key, "must be a table")
	}
	return nil
}

// subs returns the tables of an array of them.
func (t *table) subs(key string) []*table {
	var tables []*table
	add := func(v any) {
		path := join(join(t.path, key), strconv.Itoa(len(tables)))
		values, ok := v.(map[string]any)
		if !ok {
			t.r.fail(path, "must be a table")
		}
		tables = append(tables, &table{r: t.r, path: path, values: values})
	}
	switch v := t.take(key).(type) {
	case nil:
	case []map[string]any:
		for _, values := range v {
			add(values)
		}
	case []any:
		for _, element := range v {
			add(element)
		}
	default:
		t.fail(key, "must be an array of tables")
	}
	return tables
}
