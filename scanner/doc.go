// Package scanner finds equal pages of memory, and says what merging them
// would save and cost: before KSM is switched on, and on kernels without it.
//
// A caller names [Target]s, which are processes, images of memory or memory of
// its own, each with the name of a group, and gets a [Report]:
//
//	report, err := scanner.Scan(ctx, []scanner.Target{
//		scanner.ProcessTarget(1234, "web", scanner.AreasAuto),
//	}, scanner.Options{})
//
// Looking changes nothing: only pages that are present are read, none is faulted
// in or swapped in. That a page was read shows in its accessed bit alone.
//
// The way of the data:
//
//	target -> Source -> spans of 32 MiB -> workers: read 2 MiB, fingerprint, census -> Report
//
// A page is never kept: only what the census needs of its fingerprint is, about
// five bytes, or eight if there are groups. (Options.Verify reads again, and
// compares bytes.) Pages that change while they are
// read are counted as they were at that moment, like ksmd does it; pages torn by
// a write in between count as distinct.
package scanner
