package real

// GuestProcess is a guest of a Host that runs.
type GuestProcess struct {
	Plan int // its index in scenario.Scenario.Plans
	PID  int
}
