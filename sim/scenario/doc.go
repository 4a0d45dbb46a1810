// Package scenario describes machines whose memory ksmd works on: guests, which
// are virtual machines or programs, what is equal in their memory, how it changes,
// and when they come and go.
//
// A scenario is a TOML file, which docs/scenario.md describes, or one of the
// [Presets]. [Parse] reads it and checks everything before anything runs. Then
// [Scenario.Plans] says which guests there will ever be, and [Scenario.Guest]
// how one of them behaves:
//
//	s, err := scenario.Preset("same-os")
//	...
//	for i, plan := range s.Plans() {
//		guest := s.Guest(i) // starts at plan.Start
//		for {
//			at, ok := guest.Next()
//			...
//			guest.Step(memory) // writes pages, and gives some back
//		}
//	}
//
// Everything is a pure function of the scenario and its seed, and the same on
// every machine: no clock, no files, and no floating-point operation that might
// round differently elsewhere.
//
// # Contents
//
// The content of a page is a number, as package sim has it: equal numbers are
// equal pages, and 0 is a page of zeros. Numbers are given out so that two pages
// are equal only where the scenario says so:
//
//	bit 63        62  61  60                44 43                             0
//	      prefix   0   1  [ guest             | its n-th own content           ]
//	           0   0   0  [ image or template           32 | page of it        ]
//
// Pages whose bit 63 is set differ from each other in their last 8 bytes only.
package scenario
