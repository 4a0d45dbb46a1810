package scenario

import "time"

// Guest is how one guest behaves from its start to its end, a pure function of the
// scenario and its seed. Whoever carries it out, a simulated machine or a real
// process, calls Next and Step in turn.
type Guest interface {
	// Pages is the size of its memory. Pages that nobody has written to are not
	// present.
	Pages() int

	// Next returns when it does something next, since the scenario began, or false
	// if it does nothing more.
	Next() (time.Duration, bool)

	// Step does what is due at Next.
	Step(w Writer)
}

// Writer is the memory of a guest.
type Writer interface {
	// Write gives page first+k the content content + k*step, ascending, for pages
	// pages. Contents are those of sim.Fill; step is 0 or 1.
	Write(first, pages int, content, step uint64)

	// Free gives pages back to the machine: they are not present until written.
	Free(first, pages int)
}
