// Package madvise makes memory mergeable, so that the Linux kernel's ksmd may
// find equal pages in it and keep one copy of them (KSM). It does so for
//
//   - regions of the caller's own memory: [Mergeable], [Unmergeable], [Region];
//   - the whole calling process: [SetMemoryMerge], [MemoryMerge];
//   - a program about to be started: [WrapCommand], with [ExecShim].
//
// None of this needs a privilege. It permits merging and starts nothing: ksmd
// merges only while /sys/kernel/mm/ksm/run is 1, which takes root to write.
//
// Merging is visible from outside: a write to a merged page is slower than to
// another one, and by that a process can learn whether some other process
// holds a page it can guess. Do not make secrets mergeable.
//
// What the running kernel cannot do is reported as [ErrNotSupported], on other
// systems than Linux everything is.
package madvise
