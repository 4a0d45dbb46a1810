//go:build unix

package sysfs

import (
	"fmt"
	"slices"
	"strings"
)

// Setting is a value that a knob shall get, as text that the kernel takes.
type Setting struct {
	Field Field
	Value string
}

func (s Setting) String() string { return s.Field.String() + "=" + s.Value }

// ParseSetting parses "knob=value", with the kernel's name of the knob and a
// value that the kernel would take.
func ParseSetting(text string) (Setting, error) {
	name, value, found := strings.Cut(text, "=")
	f, known := FieldByName(name)
	switch {
	case !found:
		return Setting{}, fmt.Errorf("%q: must be KNOB=VALUE", text)
	case !known:
		return Setting{}, fmt.Errorf("%q: no such knob", name)
	}
	s := Setting{f, value}
	return s, s.check()
}

// check tells what the kernel would say to the text alone.
func (s Setting) check() error {
	var k Knobs
	if err := k.Set(s.Field, s.Value); err != nil {
		return fmt.Errorf("%s: %w", s.Field, err)
	}
	return nil
}

// Change is what became of one knob, or would.
type Change struct {
	Field Field
	Old   string // the value before
	New   string // the value that the kernel has, or would have, afterwards

	// Implied marks a change that nobody asked for: the kernel makes it along
	// with the change before it. Switching advisor_mode changes pages_to_scan.
	Implied bool
}

// Plan returns what Set would do, in the order in which it would, and writes
// nothing. It fails where Set is certain to fail.
func (fsys FS) Plan(settings ...Setting) ([]Change, error) {
	p, err := fsys.plan(settings)
	return p.changes, err
}

// Set gives knobs their values as one step: if one is refused, those that were
// already written are put back, and the error is a *StepError that says how
// that went. Only what run=2 unmerged stays unmerged.
//
// The order of the settings does not matter, except that run may be given
// twice: 2 (unmerge, so that all other knobs can be changed) and then 0 or 1.
// pages_to_scan cannot be set while the advisor chooses it.
//
// A refusal that can be foreseen comes before anything is written. Errors are
// an *Error with a *RefusedError or ErrNotSupported in it, or a *ValueError;
// Hint has advice for most.
func (fsys FS) Set(settings ...Setting) ([]Change, error) {
	return control{fsys, fsys.write}.set(settings)
}

// UnmergeBytes returns how much more memory is in use after unmerging
// everything, in bytes: every mapping of a KSM page but one gets a page of its
// own, and so does every zero page.
func (c *Counters) UnmergeBytes(pageSize int64) int64 {
	return (int64(c.PagesSharing) + max(0, int64(c.KSMZeroPages))) * pageSize
}

// plan is a step that was checked but not begun.
type plan struct {
	before   Knobs
	settings []Setting // in the order of writing
	changes  []Change  // one for each setting, and behind it what it implies
	unmerges bool
}

func (fsys FS) plan(settings []Setting) (plan, error) {
	if err := fsys.Supported(); err != nil {
		return plan{}, err
	}
	settings, err := ordered(settings)
	if err != nil {
		return plan{}, err
	}
	now := fsys.glance()
	p := plan{before: now.Knobs, settings: settings, unmerges: len(settings) > 0 && isRun(settings[0], "2")}
	if err := p.check(fsys, &now); err != nil {
		return plan{}, err
	}
	p.foresee()
	return p, nil
}

// ordered returns the settings in the order in which the kernel takes them.
func ordered(settings []Setting) ([]Setting, error) {
	var seen FieldSet
	var runs []Setting
	for _, s := range settings {
		if err := s.check(); err != nil {
			return nil, err
		}
		if s.Field == Run {
			runs = append(runs, s)
		} else if seen.Has(s.Field) {
			return nil, fmt.Errorf("%s: given twice", s.Field)
		}
		seen |= SetOf(s.Field)
	}
	if len(runs) > 2 || len(runs) == 2 && (!isRun(runs[0], "2") || isRun(runs[1], "2")) {
		return nil, fmt.Errorf("%s: may be given twice only as 2 and then 0 or 1", Run)
	}
	out := slices.Clone(settings)
	slices.SortStableFunc(out, func(a, b Setting) int { return rank(a, len(runs)) - rank(b, len(runs)) })
	return out, nil
}

// rank is the place of a setting in its step. Stopping and unmerging come
// first, since they make the rest possible; the advisor is switched off before
// pages_to_scan and on after its own settings; ksmd starts with all in place.
func rank(s Setting, runs int) int {
	const first, advisorOff, middle, advisorOn, last = 0, 1, 2, 3, 4
	switch {
	case s.Field == Run && isRun(s, "2"):
		return first
	case s.Field == Run && (runs == 2 || isRun(s, "1")):
		return last
	case s.Field == Run:
		return first
	case s.Field == AdvisorMode && normal(s) == AdvisorNone:
		return advisorOff
	case s.Field == AdvisorMode:
		return advisorOn
	}
	return middle
}

// normal returns the value of s as the kernel shows it.
func normal(s Setting) string {
	var k Knobs
	if k.Set(s.Field, s.Value) != nil {
		panic("sysfs: a setting was not checked: " + s.String())
	}
	v, _ := k.Value(s.Field)
	return v.String()
}

func isRun(s Setting, value string) bool { return s.Field == Run && normal(s) == value }

// check returns the refusals that are certain now.
func (p *plan) check(fsys FS, now *Reading) error {
	mode := now.Knobs.AdvisorMode
	for _, s := range p.settings {
		if err := now.Problem(s.Field); err != nil {
			return err
		}
		if !now.Knobs.Has(s.Field) {
			return fsys.lacks(s.Field)
		}
		if s.Field == AdvisorMode {
			mode = normal(s)
		}
	}
	for _, s := range p.settings {
		old, _ := now.Knobs.Value(s.Field)
		var refused error
		switch s.Field {
		case PagesToScan:
			if now.Knobs.Has(AdvisorMode) && mode != AdvisorNone {
				refused = errAdvisorOn
			}
		case MaxPageSharing, MergeAcrossNodes:
			if normal(s) != old.String() && now.Counters.PagesShared > 0 && !p.unmerges {
				refused = errBusy
			}
		}
		if refused != nil {
			return &Error{Op: "write", Path: fsys.Path(s.Field), Err: refused}
		}
	}
	return nil
}

// foresee fills in the changes.
func (p *plan) foresee() {
	k := p.before
	setsPages := slices.ContainsFunc(p.settings, func(s Setting) bool { return s.Field == PagesToScan })
	for _, s := range p.settings {
		old, _ := k.Value(s.Field)
		p.changes = append(p.changes, Change{Field: s.Field, Old: old.String(), New: normal(s)})
		if s.Field == AdvisorMode && normal(s) != k.AdvisorMode && !setsPages {
			// mm/ksm.c: advisor_mode_store
			pages := uint64(100)
			if normal(s) != AdvisorNone {
				pages = uint64(uint32(k.AdvisorMinPagesToScan))
			}
			p.changes = append(p.changes, Change{
				Field: PagesToScan, Old: Unsigned(uint64(k.PagesToScan)).String(), New: Unsigned(pages).String(), Implied: true,
			})
		}
		if k.Set(s.Field, s.Value) != nil {
			panic("sysfs: a setting was not checked: " + s.String())
		}
	}
}

// StepError reports that a step was given up in its middle.
type StepError struct {
	Err      error    // why
	PutBack  FieldSet // the knobs that had been written before and were put back
	Unmerged bool     // run=2 had been written, and what it unmerged stays unmerged
	Left     error    // what could not be put back, or nil
}

func (e *StepError) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	if e.PutBack != 0 && e.Left == nil {
		b.WriteString("; put back:")
		for f := range e.PutBack.All() {
			b.WriteString(" " + f.String())
		}
	}
	if e.Left != nil {
		b.WriteString("; putting back: " + strings.ReplaceAll(e.Left.Error(), "\n", "; "))
	}
	if e.Unmerged {
		b.WriteString("; what run=2 unmerged stays unmerged")
	}
	return b.String()
}

func (e *StepError) Unwrap() []error {
	if e.Left == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Left}
}

// set carries out a step.
func (c control) set(settings []Setting) ([]Change, error) {
	p, err := c.fsys.plan(settings)
	if err != nil {
		return nil, err
	}
	var written FieldSet
	at := 0
	for _, s := range p.settings {
		written |= SetOf(s.Field)
		if s.Field == AdvisorMode {
			written |= SetOf(PagesToScan)
		}
		if err := c.write(s.Field, s.Value); err != nil {
			err = c.fsys.refused(s, err, p.unmerges)
			return nil, c.undo(&p, written, err)
		}
		now := c.fsys.glance()
		for more := true; more; more = at < len(p.changes) && p.changes[at].Implied {
			v, _ := now.Value(p.changes[at].Field)
			p.changes[at].New = v.String()
			at++
		}
	}
	return p.changes, nil
}

// undo puts back what was written of p before err ended it. The knob that was
// refused is looked at too: a run=2 that fails leaves run at 0.
func (c control) undo(p *plan, written FieldSet, err error) error {
	step := &StepError{Err: err}
	now := c.fsys.glance()
	for f := range written.All() {
		if !same(f, &now.Knobs, &p.before) {
			step.PutBack |= SetOf(f)
		}
	}
	step.Unmerged = p.unmerges && p.before.Run != RunUnmerge
	if step.PutBack == 0 && !step.Unmerged {
		return err
	}
	step.Left = c.bring(p.before, written, neverUnmerge)
	return step
}
