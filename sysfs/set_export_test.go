//go:build unix

package sysfs

// Write writes one knob as Set does, and returns the kernel's bare answer.
func (fsys FS) Write(f Field, text string) error { return fsys.write(f, text) }

// SetThrough is Set with another way to write a knob.
func (fsys FS) SetThrough(write func(Field, string) error, settings ...Setting) ([]Change, error) {
	return control{fsys, write}.set(settings)
}

// Hooked returns o with a function that is called at each step of the guard
// and another way to write a knob; each may be nil.
func (o GuardOptions) Hooked(step func(), write func(Field, string) error) GuardOptions {
	o.step, o.write = step, write
	return o
}

// StatePath returns where a guard keeps the settings.
func (o GuardOptions) StatePath() string { return statePath(o.dir()) }
