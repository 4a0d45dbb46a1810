package scenario

import "fmt"

// Error says what is wrong with a scenario.
type Error struct {
	File   string // as given to Parse
	Line   int    // from 1
	Key    string // with its tables, as group.class.fraction; empty if it is not about one
	Reason string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Key, e.Reason)
}
