package model

import (
	"errors"
	"unicode"
	"unicode/utf8"
)

// Prompt is a line being typed.
type Prompt struct {
	Label string
	Hint  []string // what may be typed, in clauses
	Text  string
	most  int // characters that can be typed; 0 is longestPrompt
	done  func(s *State, text string) (Command, error)

	// typed, if any, is told of each change; dropped, if any, of Esc.
	typed   func(s *State, text string)
	dropped func(s *State)

	// empty says that Enter on an empty line is an answer, too, and not the
	// same as Esc.
	empty bool
}

// errNotTyped is the answer to anything but the word that was asked for.
var errNotTyped = errors.New("that is not the word; Esc leaves everything as it is")

// longestPrompt is how many characters can be typed, usually.
const longestPrompt = 20

// ask begins a line to be typed.
func (s *State) ask(p *Prompt) Command {
	if p.most == 0 {
		p.most = longestPrompt
	}
	s.Prompt = p
	return Nothing
}

// promptKey edits the line being typed.
func (s *State) promptKey(key string) Command {
	p := s.Prompt
	text := p.Text
	switch key {
	case "Esc":
		s.Prompt = nil
		if p.dropped != nil {
			p.dropped(s)
		}
		return Nothing
	case "Enter":
		return s.endPrompt()
	case "Backspace":
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	case "Ctrl-U":
		text = ""
	default:
		text += typed(key)
	}
	if text == p.Text || utf8.RuneCountInString(text) > p.most {
		return Nothing
	}
	p.Text = text
	if p.typed != nil {
		p.typed(s, text)
	}
	return Nothing
}

// endPrompt takes the line as the answer.
func (s *State) endPrompt() Command {
	p := s.Prompt
	if p.Text == "" && !p.empty {
		s.Prompt = nil
		return Nothing
	}
	s.Prompt = nil // done may begin another
	command, err := p.done(s, p.Text)
	if err != nil {
		s.Prompt, s.Message = p, withAdvice(err)
		return Nothing
	}
	return command
}

// typed returns the character that a key types, or "".
func typed(key string) string {
	if key == "Space" {
		return " "
	}
	if r, size := utf8.DecodeRuneInString(key); size == len(key) && unicode.IsPrint(r) && r != utf8.RuneError {
		return key
	}
	return ""
}
