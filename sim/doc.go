// Package sim runs KSM experiments that are written down as page scripts: which
// processes exist, what they write to which pages, and when ksmd scans. A script
// runs on a [Backend], which is a simulated [Machine] or, in package sim/real, real
// processes under the real ksmd, and on each it prints the same [Table] of counters.
//
// Nothing here reads files, clocks or random numbers of its own: the same script
// and the same seed give the same result.
//
// # Page scripts
//
// A script has one operation a line; # begins a comment. This one shows that two
// equal pages are merged when ksmd sees them the second time:
//
//	spawn p               # a process
//	map p a 2             # its area a has 2 pages
//	fill p a 0 2 5        # from page 0, 2 pages get content 5
//	mergeable p a 0 2
//	scan
//	show first
//	scan
//	show second
//
// Contents are numbers: pages with the same number have the same bytes, and 0 is
// a page of zeros. There are operations for what processes do (spawn, fork, exit,
// map, unmap, write, fill, read, dontneed, mergeable, unmergeable), for the knobs
// (set), for ksmd (scan, batch) and for the counters (show). docs/pagescript.md
// describes them all.
//
// [Parse] reads and checks a script, [Run] carries it out, [Script.Format] writes
// it, [Diff] compares two tables. [Fuzz] compares two backends on random scripts,
// which [Generate] makes, and [Shrink] makes one for which they differ as short as
// can be.
//
// testdata/golden has scripts with the tables that Linux printed, each about one
// rule of ksmd; package scanner/ksmd names them where it explains the rule.
// testdata/undecided has those in which it is a matter of luck what Linux prints.
//
// # Memory
//
// A Machine is a ksmd.Daemon at work on a [Memory]: processes and pages of which
// only the contents' numbers exist. [Fill] makes the bytes of a number.
package sim
