package sim

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ksmtop/ksmtop/sysfs"
)

// maxErrors is how many errors of one script are reported.
const maxErrors = 10

// maxLine is the length of the longest line, in bytes. Names and labels are as
// long as fits.
const maxLine = 4096

var errMore = errors.New("more errors follow")

// Parse reads a page script and checks all of it. name is the file's name in
// error messages. The error joins the first ten *ScriptErrors, in the order of
// the lines, one a line.
func Parse(name string, text []byte) (*Script, error) {
	p := parser{script: &Script{Name: name}, scope: newScope()}
	var errs []error
	for number := 1; len(text) > 0; number++ {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		text = rest
		if err := p.line(number, line); err != nil {
			if len(errs) == maxErrors {
				errs = append(errs, errMore)
				break
			}
			err.File, err.Line = name, number
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p.script.Tail = trimBlankLines(p.above.String())
	return p.script, nil
}

// trimBlankLines removes the blank lines at the end of some lines.
func trimBlankLines(lines string) string {
	trimmed := strings.TrimRight(lines, "\n")
	if trimmed == "" {
		return ""
	}
	return trimmed + "\n"
}

type parser struct {
	script *Script
	scope  *scope
	above  strings.Builder // lines since the last operation
}

// token is a word of a line and where it begins.
type token struct {
	text   string
	column int // in characters, from 1
}

func (w token) wrong(reason string) *ScriptError {
	return &ScriptError{Column: w.column, Word: w.text, Reason: reason}
}

// line takes in one line, without its newline. The error has no file and line.
func (p *parser) line(number int, line []byte) *ScriptError {
	if err := checkText(line); err != nil {
		return err
	}
	code, comment := string(line), ""
	if i := strings.IndexByte(code, '#'); i >= 0 {
		code, comment = code[:i], strings.TrimRight(code[i:], blanks)
	}
	words := splitWords(code)
	if len(words) == 0 {
		p.above.WriteString(comment)
		p.above.WriteByte('\n')
		return nil
	}
	op, err := parseOp(words)
	if op == nil {
		return err
	}
	op.Line = number
	if err == nil {
		if f := p.scope.apply(op); f != nil {
			err = words[1+f.arg].wrong(f.reason)
		}
	}
	if err != nil {
		p.scope.doubt(op)
		return err
	}
	op.Above, op.Comment = p.above.String(), comment
	p.above.Reset()
	p.script.Ops = append(p.script.Ops, *op)
	return nil
}

// blanks are what separates words.
const blanks = " \t"

// checkText returns an error if the line is not text, or too long.
func checkText(line []byte) *ScriptError {
	if len(line) > maxLine {
		return token{string(line), 1}.wrong("the line is longer than " + strconv.Itoa(maxLine) + " bytes")
	}
	column := 1
	for i := 0; i < len(line); column++ {
		r, size := utf8.DecodeRune(line[i:])
		w := token{string(line[i : i+size]), column}
		switch {
		case r == utf8.RuneError && size == 1:
			return w.wrong("not UTF-8")
		case r == '\r':
			return w.wrong("a carriage return: lines end with a newline only")
		case r != '\t' && unicode.IsControl(r):
			return w.wrong("a control character")
		}
		i += size
	}
	return nil
}

func splitWords(line string) []token {
	var words []token
	column, start, startColumn := 1, -1, 0
	for i, r := range line {
		blank := strings.ContainsRune(blanks, r)
		if blank && start >= 0 {
			words = append(words, token{line[start:i], startColumn})
			start = -1
		} else if !blank && start < 0 {
			start, startColumn = i, column
		}
		column++
	}
	if start >= 0 {
		words = append(words, token{line[start:], startColumn})
	}
	return words
}

// parseOp reads one operation. If there is an error the Op has what was read
// before it; it is nil if the operation is not known.
func parseOp(words []token) (*Op, *ScriptError) {
	kind, ok := opKind(words[0].text)
	if !ok {
		return nil, words[0].wrong("no such operation")
	}
	op, info := &Op{Kind: kind}, opInfo[kind]
	if kind == OpScan || kind == OpBatch {
		op.Count = 1
	}
	args := words[1:]
	for i, w := range args {
		if i == len(info.args) {
			return op, w.wrong("a word too many: " + kind.form())
		}
		if reason := op.parse(info.args[i], w.text); reason != "" {
			return op, w.wrong(reason)
		}
	}
	if missing := len(info.args) - len(args); missing != 0 && missing != info.optional {
		return op, words[0].wrong("a word is missing: " + kind.form())
	}
	return op, nil
}

func opKind(text string) (OpKind, bool) {
	for kind := range opInfo {
		if opInfo[kind].word == text {
			return OpKind(kind), true
		}
	}
	return 0, false
}

// parse stores the argument that text is, or returns what is wrong with it.
// Arguments come in the order of their operation.
func (op *Op) parse(arg argument, text string) (reason string) {
	switch arg {
	case argKnob:
		op.Knob, reason = parseKnob(text)
	case argValue:
		op.Value, reason = parseNumber(text, 0, math.MaxUint64)
		if reason == "" {
			reason = checkKnob(op.Knob, op.Value)
		}
	case argProcess:
		op.Process, reason = parseName(text)
	case argNewProcess:
		if op.Kind == OpFork {
			op.Child, reason = parseName(text)
		} else {
			op.Process, reason = parseName(text)
		}
	case argArea, argNewArea:
		op.Area, reason = parseName(text)
	case argFirst:
		op.First, reason = parseInt(text, 0, MaxAreaPages-1)
	case argPages, argAreaPages:
		op.Pages, reason = parseInt(text, 1, MaxAreaPages)
	case argContent:
		op.Content, reason = parseNumber(text, 0, MaxContent)
		if reason == "" && op.Kind == OpWrite && op.Content > MaxContent-uint64(op.Pages-1) {
			reason = "the last page's content would be more than " + strconv.FormatUint(MaxContent, 10)
		}
	case argCount:
		op.Count, reason = parseInt(text, 1, MaxCount)
	case argLabel:
		if op.Label = text; !isLabel(text) {
			reason = "a label has letters, digits and . _ + = - only"
		}
	}
	return reason
}

// parseNumber reads decimal digits. The reason is "" if text is a number from
// least to most.
func parseNumber(text string, least, most uint64) (n uint64, reason string) {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, "must be decimal digits"
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err == nil && n < least:
		return 0, "must be at least " + strconv.FormatUint(least, 10)
	case err != nil && most == math.MaxUint64:
		return most, "" // what the number is for has a limit of its own
	case err != nil || n > most:
		return 0, "must be at most " + strconv.FormatUint(most, 10)
	}
	return n, ""
}

func parseInt(text string, least, most uint64) (int, string) {
	n, reason := parseNumber(text, least, most)
	return int(n), reason
}

func parseName(text string) (name, reason string) {
	if !isName(text) {
		return "", "a name is a letter a to z, then letters a to z and digits"
	}
	return text, ""
}

func isName(text string) bool {
	for i, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}

func isLabel(text string) bool {
	for _, c := range []byte(text) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("._+=-", c) < 0 {
			return false
		}
	}
	return text != ""
}

// The values of stable_node_chains_prune_millisecs in a script.
const (
	pruneAlways = 0
	pruneNever  = math.MaxUint32
)

// scriptKnobs are the knobs that a script may set.
var scriptKnobs = sysfs.SetOf(sysfs.Run, sysfs.PagesToScan, sysfs.SmartScan, sysfs.UseZeroPages,
	sysfs.MaxPageSharing, sysfs.MergeAcrossNodes, sysfs.StableNodeChainsPruneMillisecs)

func parseKnob(text string) (knob sysfs.Field, reason string) {
	knob, ok := sysfs.FieldByName(text)
	switch {
	case !ok:
		return 0, "no such knob"
	case knob.Info().Kind != sysfs.Knob:
		return 0, "a counter cannot be set"
	case !scriptKnobs.Has(knob):
		return 0, "depends on time, and so is not for scripts"
	}
	return knob, ""
}

// checkKnob returns why the kernel, or a script, refuses the value.
func checkKnob(knob sysfs.Field, value uint64) (reason string) {
	switch knob {
	case sysfs.StableNodeChainsPruneMillisecs:
		if value != pruneAlways && value != pruneNever {
			return "must be 0 (always) or 4294967295 (never): all else depends on time"
		}
	case sysfs.SmartScan, sysfs.UseZeroPages:
		// The kernel looks at the first character only.
		if value > 1 {
			return "must be 0 or 1"
		}
	}
	var knobs sysfs.Knobs
	err := knobs.Set(knob, strconv.FormatUint(value, 10))
	if invalid := new(sysfs.ValueError); errors.As(err, &invalid) {
		return invalid.Err.Error()
	}
	return ""
}
