package real

import "github.com/ksmtop/ksmtop/sim"

// Calibration is what was measured of a machine.
type Calibration struct {
	Costs sim.Costs

	// HZ is the number of ticks a second by which ksmd's sleep is rounded, and
	// Wakes how often it woke in a second with sleep_millisecs 20.
	HZ    int
	Wakes float64

	// Fits are the parts of the costs that were fitted to more than one
	// measurement, with the root of the mean square of the relative errors of these,
	// from 0.
	Fits map[string]float64
}
