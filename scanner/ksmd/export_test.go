package ksmd

// Swept returns how many pages were visited the quick way.
func (d *Daemon) Swept() uint64 { return d.swept }
