package sysfs

import (
	"encoding/json"
	"strconv"
)

// Pages is a count of base pages. Multiply by the page size for bytes.
type Pages uint64

// SignedPages is a count of base pages that the kernel prints with a sign.
type SignedPages int64

// Counters is one reading of what ksmd counts, from the kernel, a model or a
// recording. The kernel updates the counters independently, so two fields of
// one reading may be a few pages apart. A field that is not in Present has no
// value: the kernel lacks it, or it could not be read.
//
// PagesShared, PagesSharing, PagesUnshared, PagesVolatile, StableNodeChains,
// StableNodeDups, KSMZeroPages and GeneralProfit are gauges. FullScans,
// PagesScanned and PagesSkipped are cumulative.
type Counters struct {
	// PagesShared is the number of KSM pages in use. Since Linux 2.6.32.
	PagesShared Pages

	// PagesSharing is the number of further mappings of those pages, which is
	// the number of pages saved. Since Linux 2.6.32.
	PagesSharing Pages

	// PagesUnshared is the number of pages that had no equal when ksmd last
	// looked. Since Linux 2.6.32.
	PagesUnshared Pages

	// PagesVolatile is the number of tracked pages in no tree. The kernel
	// computes it from the others and never prints less than 0.
	// Since Linux 2.6.32.
	PagesVolatile SignedPages

	// FullScans is the number of passes since boot or since run was last set
	// to 2. Since Linux 2.6.32.
	FullScans uint64

	// PagesScanned is the number of pages visited since boot, without those
	// that smart scan skipped. Since Linux 6.6.
	PagesScanned Pages

	// PagesSkipped is the number of pages that smart scan skipped since boot.
	// Since Linux 6.7.
	PagesSkipped Pages

	// KSMZeroPages is the number of mappings of the zero page that KSM put
	// in place of zero-filled pages. It follows writes, unmaps, exits and forks
	// at once. Since Linux 6.6; before 6.10 unlocked updates could lose some.
	KSMZeroPages SignedPages

	// StableNodeChains is the number of contents kept in several KSM pages
	// since one may be mapped max_page_sharing times only. Since Linux 4.13.
	StableNodeChains uint64

	// StableNodeDups is the number of KSM pages in those chains.
	// Since Linux 4.13.
	StableNodeDups uint64

	// GeneralProfit is the memory saved less the memory spent on tracked
	// pages, in bytes. It is negative while ksmd tracks more than it merged.
	// Since Linux 6.4, with zero pages since 6.6.
	GeneralProfit int64

	// Present has the fields that hold a value.
	Present FieldSet
}

// Has reports whether c holds a value of f.
func (c *Counters) Has(f Field) bool { return c.Present.Has(f) }

// Value returns the value of f, or false if c has none.
func (c *Counters) Value(f Field) (Value, bool) {
	if !c.Has(f) {
		return Value{}, false
	}
	if p := c.unsigned(f); p != nil {
		return Unsigned(*p), true
	}
	return Signed(*c.signed(f)), true
}

// parse stores the content of f's file.
func (c *Counters) parse(f Field, text []byte) error {
	var err error
	if p := c.unsigned(f); p != nil {
		*p, err = parseUnsigned(text, 1<<64-1)
	} else {
		p := c.signed(f)
		*p, err = parseSigned(text)
	}
	if err == nil {
		c.Present |= SetOf(f)
	}
	return err
}

// unsigned returns where the value of f is kept, or nil if it has a sign.
func (c *Counters) unsigned(f Field) *uint64 {
	switch f {
	case PagesShared:
		return (*uint64)(&c.PagesShared)
	case PagesSharing:
		return (*uint64)(&c.PagesSharing)
	case PagesUnshared:
		return (*uint64)(&c.PagesUnshared)
	case FullScans:
		return &c.FullScans
	case PagesScanned:
		return (*uint64)(&c.PagesScanned)
	case PagesSkipped:
		return (*uint64)(&c.PagesSkipped)
	case StableNodeChains:
		return &c.StableNodeChains
	case StableNodeDups:
		return &c.StableNodeDups
	}
	return nil
}

// signed returns where the value of f is kept, or nil if it has no sign.
func (c *Counters) signed(f Field) *int64 {
	switch f {
	case PagesVolatile:
		return (*int64)(&c.PagesVolatile)
	case KSMZeroPages:
		return (*int64)(&c.KSMZeroPages)
	case GeneralProfit:
		return &c.GeneralProfit
	}
	return nil
}

// Value is the value of a field: a number or, for AdvisorMode, a word.
// The zero value is the number 0.
type Value struct {
	bits   uint64
	signed bool
	word   string
}

// Unsigned returns the value n.
func Unsigned(n uint64) Value { return Value{bits: n} }

// Signed returns the value n.
func Signed(n int64) Value { return Value{bits: uint64(n), signed: true} }

// Word returns the value s.
func Word(s string) Value { return Value{word: s} }

// Append appends v in decimal, or its word, to dst.
func (v Value) Append(dst []byte) []byte {
	switch {
	case v.word != "":
		return append(dst, v.word...)
	case v.signed:
		return strconv.AppendInt(dst, int64(v.bits), 10)
	}
	return strconv.AppendUint(dst, v.bits, 10)
}

func (v Value) String() string { return string(v.Append(nil)) }

// Float returns v as the nearest floating-point number; a word is 0.
func (v Value) Float() float64 {
	if v.signed {
		return float64(int64(v.bits))
	}
	return float64(v.bits)
}

// MarshalJSON writes a number in full, or a string for a word.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.word != "" {
		return json.Marshal(v.word)
	}
	return v.Append(nil), nil
}
