package model

import (
	"errors"
	"strconv"
	"time"
)

// ParseDelay parses a time as flags and prompts take it: a Go duration, or a
// plain number of seconds.
func ParseDelay(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		f, numberErr := strconv.ParseFloat(text, 64)
		if numberErr != nil || !(f >= 0 && f < 1e9) {
			return 0, errors.New("must be a time like 500ms or 2s, or a number of seconds")
		}
		d = time.Duration(f * float64(time.Second))
	}
	if d < 0 {
		return 0, errors.New("must not be negative")
	}
	return d, nil
}
