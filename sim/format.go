package sim

import (
	"strconv"
	"strings"
)

// Format returns the script's text: one blank between words, comments after an
// operation one below the other as far as lines may be that long, everything else
// as it was. Parse reads it back as the same script.
func (s *Script) Format() []byte {
	var text strings.Builder
	for i := 0; i < len(s.Ops); {
		// A block is operations with no line between them.
		end := i + 1
		for end < len(s.Ops) && s.Ops[end].Above == "" {
			end++
		}
		text.WriteString(s.Ops[i].Above)
		formatBlock(&text, s.Ops[i:end])
		i = end
	}
	text.WriteString(s.Tail)
	return []byte(text.String())
}

func formatBlock(text *strings.Builder, ops []Op) {
	lines, width := make([]string, len(ops)), 0
	for i := range ops {
		lines[i] = ops[i].String()
		if ops[i].Comment != "" {
			width = max(width, len(lines[i]))
		}
	}
	for i, line := range lines {
		text.WriteString(line)
		if comment := ops[i].Comment; comment != "" {
			// A line that was not too long is not made so.
			blanks := min(width+1, maxLine-len(comment)) - len(line)
			text.WriteString(strings.Repeat(" ", max(blanks, 0)))
			text.WriteString(comment)
		}
		text.WriteByte('\n')
	}
}

// String returns the operation as it is written, without comments.
func (op *Op) String() string {
	if int(op.Kind) >= len(opInfo) {
		return op.Kind.String()
	}
	text := []byte(op.Kind.String())
	for _, arg := range opInfo[op.Kind].args {
		if op.leavesOut(arg) {
			break
		}
		text = append(text, ' ')
		switch arg {
		case argKnob:
			text = append(text, op.Knob.String()...)
		case argValue:
			text = strconv.AppendUint(text, op.Value, 10)
		case argProcess:
			text = append(text, op.Process...)
		case argNewProcess:
			text = append(text, op.newProcess()...)
		case argArea, argNewArea:
			text = append(text, op.Area...)
		case argFirst:
			text = strconv.AppendInt(text, int64(op.First), 10)
		case argPages, argAreaPages:
			text = strconv.AppendInt(text, int64(op.Pages), 10)
		case argContent:
			text = strconv.AppendUint(text, op.Content, 10)
		case argCount:
			text = strconv.AppendInt(text, int64(op.Count), 10)
		case argLabel:
			text = append(text, op.Label...)
		}
	}
	return string(text)
}

// leavesOut reports whether arg and what follows it is not written.
func (op *Op) leavesOut(arg argument) bool {
	switch op.Kind {
	case OpUnmap:
		return arg == argFirst && op.First == 0 && op.Pages == 0
	case OpScan, OpBatch:
		return op.Count == 1
	}
	return false
}
