package sim

import (
	"fmt"
	"strconv"

	"github.com/ksmtop/ksmtop/sysfs"
)

// Script is a page script: what processes do with their pages, and when ksmd
// scans. Parse, Generate and Shrink return scripts that are checked; Check says
// whether one made by hand can run.
type Script struct {
	// Name is the file's name, as it begins error messages.
	Name string

	Ops []Op

	// Tail is the comments and blank lines after the last operation: whole
	// lines, each with its newline.
	Tail string
}

// OpKind is what an operation does.
type OpKind uint8

// The kinds of operations, and the fields of Op that each uses.
const (
	OpSet         OpKind = iota // Knob Value
	OpSpawn                     // Process
	OpFork                      // Process Child
	OpExit                      // Process
	OpMap                       // Process Area Pages
	OpUnmap                     // Process Area First Pages, or Pages 0: what is left
	OpWrite                     // Process Area First Pages Content
	OpFill                      // Process Area First Pages Content
	OpRead                      // Process Area First Pages
	OpDontNeed                  // Process Area First Pages
	OpMergeable                 // Process Area First Pages
	OpUnmergeable               // Process Area First Pages
	OpScan                      // Count
	OpBatch                     // Count
	OpShow                      // Label
)

// The limits of the language.
const (
	MaxAreaPages = 262144    // pages of one area
	MaxCount     = 1000000   // of scan and batch
	MaxContent   = 1<<63 - 1 // a page's content
)

// Op is one operation. Fields that its kind does not use are zero.
type Op struct {
	Kind OpKind

	Process string
	Child   string // the new process of a fork
	Area    string

	// First is the first of Pages pages of the area, from 0. Those of OpMap are
	// the whole area.
	First, Pages int

	// Content is what the pages are filled with; with OpWrite each page has 1
	// more than the one before.
	Content uint64

	Knob  sysfs.Field
	Value uint64

	Count int // how many scans or batches
	Label string

	// Above is the comments and blank lines before the operation: whole lines,
	// each with its newline. Comment is what follows it on its line, from the #.
	Above, Comment string

	// Line is the operation's line in the file, from 1, or 0 if it never was in
	// one.
	Line int
}

// opInfo is the form of each operation: its word, and what follows it. Words in
// brackets may be left out, all of them together.
var opInfo = [...]struct {
	word     string
	args     []argument
	optional int // how many arguments at the end may be left out
}{
	OpSet:         {"set", []argument{argKnob, argValue}, 0},
	OpSpawn:       {"spawn", []argument{argNewProcess}, 0},
	OpFork:        {"fork", []argument{argProcess, argNewProcess}, 0},
	OpExit:        {"exit", []argument{argProcess}, 0},
	OpMap:         {"map", []argument{argProcess, argNewArea, argAreaPages}, 0},
	OpUnmap:       {"unmap", []argument{argProcess, argArea, argFirst, argPages}, 2},
	OpWrite:       {"write", []argument{argProcess, argArea, argFirst, argPages, argContent}, 0},
	OpFill:        {"fill", []argument{argProcess, argArea, argFirst, argPages, argContent}, 0},
	OpRead:        {"read", []argument{argProcess, argArea, argFirst, argPages}, 0},
	OpDontNeed:    {"dontneed", []argument{argProcess, argArea, argFirst, argPages}, 0},
	OpMergeable:   {"mergeable", []argument{argProcess, argArea, argFirst, argPages}, 0},
	OpUnmergeable: {"unmergeable", []argument{argProcess, argArea, argFirst, argPages}, 0},
	OpScan:        {"scan", []argument{argCount}, 1},
	OpBatch:       {"batch", []argument{argCount}, 1},
	OpShow:        {"show", []argument{argLabel}, 0},
}

// argument is what one word of an operation stands for.
type argument uint8

const (
	argKnob argument = iota
	argValue
	argProcess
	argNewProcess
	argArea
	argNewArea
	argFirst
	argPages
	argAreaPages
	argContent
	argCount
	argLabel
)

// argNames are the words by which the language's description names arguments.
var argNames = [...]string{
	argKnob: "KNOB", argValue: "VALUE", argProcess: "P", argNewProcess: "P", argArea: "A", argNewArea: "A",
	argFirst: "I", argPages: "N", argAreaPages: "N", argContent: "C", argCount: "N", argLabel: "LABEL",
}

// String returns the operation's word.
func (k OpKind) String() string {
	if int(k) >= len(opInfo) {
		return "OpKind(" + strconv.Itoa(int(k)) + ")"
	}
	return opInfo[k].word
}

// form describes how the operation is written, for error messages.
func (k OpKind) form() string {
	info := opInfo[k]
	text, needed := info.word, len(info.args)-info.optional
	for i, arg := range info.args {
		name := argNames[arg]
		if k == OpFork && arg == argNewProcess {
			name = "C"
		}
		switch {
		case i == needed && i == len(info.args)-1:
			name = "[" + name + "]"
		case i == needed:
			name = "[" + name
		case i > needed && i == len(info.args)-1:
			name += "]"
		}
		text += " " + name
	}
	return text
}

// ScriptError reports a line of a script that is wrong, or a knob that the
// kernel refused to change. It reads file:line:column: "word": reason.
type ScriptError struct {
	File string
	Line int // from 1

	// Column is where Word begins, in characters from 1, or 0 if that is not
	// known any more: when the script runs.
	Column int

	// Word is the word that is wrong. A missing word is reported with the
	// operation that lacks it.
	Word string

	Reason string

	// Err is the kernel's errno if the script ran, or nil.
	Err error
}

func (e *ScriptError) Error() string {
	text := fmt.Sprintf("%s:%d", e.File, e.Line)
	if e.Column > 0 {
		text += ":" + strconv.Itoa(e.Column)
	}
	return text + ": " + quote(e.Word) + ": " + e.Reason
}

func (e *ScriptError) Unwrap() error { return e.Err }

// quote quotes a word of a script, which may be anything, and cuts it where it
// is longer than makes sense.
func quote(word string) string {
	const longest = 64 // bytes
	if len(word) > longest {
		return strconv.Quote(word[:longest]) + "..."
	}
	return strconv.Quote(word)
}
