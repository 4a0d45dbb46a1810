//go:build race

package scanner

// raceDetector is on: memory and time are not what they are without it.
const raceDetector = true
