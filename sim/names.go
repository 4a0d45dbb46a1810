package sim

import "github.com/ksmtop/ksmtop/scanner/ksmd"

// AreaRange says where an area of a Machine's process lies, in the page numbers
// of ksmd.Event.Index.
type AreaRange struct {
	Area  string
	First uint64
	Pages int
}

// Areas returns the areas of a process that lives, in no order, without those
// that are unmapped altogether.
func (m *Machine) Areas(process string) []AreaRange {
	p, err := m.process(process)
	if err != nil {
		return nil
	}
	var list []AreaRange
	for name, number := range p.areas {
		if a := &m.memory.live(p.number).areas[number]; len(a.table) > 0 {
			list = append(list, AreaRange{name, a.first, len(a.table)})
		}
	}
	return list
}

// Content returns the content of a page as the script numbers it, or false if
// ksmd would not look at such a page now. Unlike other methods it may be called
// by the daemon's observer.
func (m *Machine) Content(p ksmd.Process, index uint64) (uint64, bool) {
	mapping, ok := m.memory.Lookup(p, index)
	if !ok {
		return 0, false
	}
	return m.memory.contents.entries[mapping.Content].number(), true
}
