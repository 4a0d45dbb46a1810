package sysfs

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// The values of Knobs.Run.
const (
	RunStop    = 0 // ksmd stops; what is merged stays merged
	RunScan    = 1 // ksmd scans
	RunUnmerge = 2 // ksmd stops, and everything was unmerged
)

// The values of Knobs.AdvisorMode that are known.
const (
	AdvisorNone     = "none"
	AdvisorScanTime = "scan-time"
)

// Knobs is one set of KSM's settings: what the kernel has, or what a model is
// configured with. A field that is not in Present has no value.
type Knobs struct {
	// Run is RunStop, RunScan or RunUnmerge, and 4 more while memory is taken
	// offline: RunMode is without that. Since Linux 2.6.32.
	Run uint32

	// PagesToScan is the number of pages in one batch; 0 means batches that
	// do nothing. Since Linux 2.6.32.
	PagesToScan uint32

	// SleepMillisecs is the time between two batches. Since Linux 2.6.32.
	SleepMillisecs uint32

	// MergeAcrossNodes allows pages of different NUMA nodes to be merged.
	// Since Linux 3.9, with CONFIG_NUMA only.
	MergeAcrossNodes bool

	// UseZeroPages replaces zero-filled pages by the zero page.
	// Since Linux 4.12.
	UseZeroPages bool

	// MaxPageSharing is the number of mappings one KSM page may have, at
	// least 2. Since Linux 4.13.
	MaxPageSharing int32

	// StableNodeChainsPruneMillisecs is the time between two looks at the
	// pages of one chain: 0 is at each look-up, from 1<<31 on never.
	// Since Linux 4.13.
	StableNodeChainsPruneMillisecs uint32

	// SmartScan skips pages that did not merge for some passes.
	// Since Linux 6.7, where it is on by default.
	SmartScan bool

	// AdvisorMode is AdvisorNone, AdvisorScanTime or a word that a later
	// kernel knows. Since Linux 6.8.
	AdvisorMode string

	// AdvisorMaxCPU is the share of a CPU in percent. Since Linux 6.8.
	AdvisorMaxCPU uint32

	// AdvisorMinPagesToScan is the PagesToScan with which the advisor starts.
	// Since Linux 6.8.
	AdvisorMinPagesToScan uint64

	// AdvisorMaxPagesToScan is the largest that it chooses. Since Linux 6.8.
	AdvisorMaxPagesToScan uint64

	// AdvisorTargetScanTime is how long a full scan shall take, in seconds, at
	// least 1. Since Linux 6.8.
	AdvisorTargetScanTime uint64

	// Present has the fields that hold a value.
	Present FieldSet
}

// DefaultKnobs returns the settings of a kernel that has just booted, with
// every knob of Linux 6.18 present.
func DefaultKnobs() Knobs {
	var k Knobs
	for f := range Fields() {
		if f.Info().Kind != Knob {
			continue
		}
		if err := k.Set(f, f.Info().Default); err != nil {
			panic("sysfs: the table has a default that its own check refuses: " + err.Error())
		}
	}
	return k
}

// runOffline is added to Knobs.Run while memory is taken offline.
const runOffline = 4

// RunMode returns Run without the mark of memory being taken offline.
func (k *Knobs) RunMode() uint32 { return k.Run &^ runOffline }

// Has reports whether k holds a value of f.
func (k *Knobs) Has(f Field) bool { return k.Present.Has(f) }

// Value returns the value of f as the kernel shows it, booleans as 0 or 1, or
// false if k has none.
func (k *Knobs) Value(f Field) (Value, bool) {
	if !k.Has(f) {
		return Value{}, false
	}
	switch f {
	case AdvisorMode:
		return Word(k.AdvisorMode), true
	case MaxPageSharing:
		return Signed(int64(k.MaxPageSharing)), true
	}
	if p := k.boolean(f); p != nil {
		if *p {
			return Unsigned(1), true
		}
		return Unsigned(0), true
	}
	if p := k.word32(f); p != nil {
		return Unsigned(uint64(*p)), true
	}
	return Unsigned(*k.word64(f)), true
}

// parse stores the content of f's file.
func (k *Knobs) parse(f Field, text []byte) error {
	if f == AdvisorMode {
		word, err := parseChosen(text)
		if err != nil {
			return err
		}
		// Comparing first keeps repeated reading from allocating.
		if k.AdvisorMode != string(word) {
			k.AdvisorMode = string(word)
		}
		k.Present |= SetOf(f)
		return nil
	}
	n, err := parseUnsigned(text, maxValue(f))
	if err == nil {
		k.store(f, n)
	}
	return err
}

// store sets a numeric field to n, which is in its range.
func (k *Knobs) store(f Field, n uint64) {
	k.Present |= SetOf(f)
	if f == MaxPageSharing {
		k.MaxPageSharing = int32(n)
	} else if p := k.boolean(f); p != nil {
		*p = n != 0
	} else if p := k.word32(f); p != nil {
		*p = uint32(n)
	} else {
		*k.word64(f) = n
	}
}

func (k *Knobs) boolean(f Field) *bool {
	switch f {
	case MergeAcrossNodes:
		return &k.MergeAcrossNodes
	case UseZeroPages:
		return &k.UseZeroPages
	case SmartScan:
		return &k.SmartScan
	}
	return nil
}

func (k *Knobs) word32(f Field) *uint32 {
	switch f {
	case Run:
		return &k.Run
	case PagesToScan:
		return &k.PagesToScan
	case SleepMillisecs:
		return &k.SleepMillisecs
	case StableNodeChainsPruneMillisecs:
		return &k.StableNodeChainsPruneMillisecs
	case AdvisorMaxCPU:
		return &k.AdvisorMaxCPU
	}
	return nil
}

func (k *Knobs) word64(f Field) *uint64 {
	switch f {
	case AdvisorMinPagesToScan:
		return &k.AdvisorMinPagesToScan
	case AdvisorMaxPagesToScan:
		return &k.AdvisorMaxPagesToScan
	case AdvisorTargetScanTime:
		return &k.AdvisorTargetScanTime
	}
	return nil
}

// maxValue returns the largest number that the kernel prints for f.
func maxValue(f Field) uint64 {
	switch f {
	case MergeAcrossNodes, UseZeroPages, SmartScan:
		return 1
	case MaxPageSharing:
		return math.MaxInt32
	case AdvisorMinPagesToScan, AdvisorMaxPagesToScan, AdvisorTargetScanTime:
		return math.MaxUint64
	}
	return math.MaxUint32
}

// Set gives f the value that the kernel would have after text was written to
// its file, or returns a *ValueError that says why the kernel would refuse it.
// What depends on more than the text is not looked at: see FS.Set.
func (k *Knobs) Set(f Field, text string) error {
	if f.Info().Kind != Knob {
		return valueError([]byte(text), errors.New("a counter cannot be set"))
	}
	if f == AdvisorMode {
		return k.setAdvisorMode(text)
	}
	n, err := knobNumber(f, text)
	if err != nil {
		return valueError([]byte(text), err)
	}
	if f == AdvisorMaxCPU {
		n &= math.MaxUint32 // the kernel keeps 32 bits of it without a word
	}
	k.store(f, n)
	return nil
}

func (k *Knobs) setAdvisorMode(text string) error {
	switch word := strings.TrimSuffix(text, "\n"); word {
	case AdvisorNone, AdvisorScanTime:
		k.AdvisorMode = word
		k.Present |= SetOf(AdvisorMode)
		return nil
	}
	return valueError([]byte(text), errors.New("must be none or scan-time"))
}

// knobNumber parses text as the kernel does when f's file is written.
func knobNumber(f Field, text string) (uint64, error) {
	if f == UseZeroPages || f == SmartScan {
		return knobBool(text)
	}
	digits := strings.TrimPrefix(strings.TrimSuffix(text, "\n"), "+")
	n, err := decimal([]byte(digits))
	switch {
	case err == strconv.ErrSyntax || err == errEmpty:
		return 0, errors.New("must be a decimal number")
	case f == Run && (err != nil || n > RunUnmerge):
		return 0, errors.New("must be 0 (stop), 1 (scan) or 2 (unmerge everything)")
	case f == MergeAcrossNodes && (err != nil || n > 1):
		return 0, errors.New("must be 0 or 1")
	case f == MaxPageSharing && err == nil && n < 2:
		return 0, errors.New("must be at least 2: a KSM page is one that is shared")
	case f == MaxPageSharing && (err != nil || n > math.MaxInt32):
		return 0, rangeError(math.MaxInt32)
	case f == AdvisorTargetScanTime && err == nil && n == 0:
		return 0, errors.New("must be at least 1 second")
	}
	limit := maxValue(f)
	if f == AdvisorMaxCPU {
		limit = math.MaxUint64
	}
	if err != nil || n > limit {
		return 0, rangeError(limit)
	}
	return n, nil
}

// knobBool decides as the kernel's boolean parser: by the first character, or
// the second of "on" and "off".
func knobBool(text string) (uint64, error) {
	if text != "" {
		switch text[0] {
		case '1', 'y', 'Y', 't', 'T':
			return 1, nil
		case '0', 'n', 'N', 'f', 'F':
			return 0, nil
		case 'o', 'O':
			if len(text) > 1 && (text[1] == 'n' || text[1] == 'N') {
				return 1, nil
			}
			if len(text) > 1 && (text[1] == 'f' || text[1] == 'F') {
				return 0, nil
			}
		}
	}
	return 0, errors.New("must be 0 or 1")
}

// rangeError says that a value is above limit. It is strconv.ErrRange too.
func rangeError(limit uint64) error {
	return &limitError{limit}
}

type limitError struct{ limit uint64 }

func (e *limitError) Error() string { return "must be at most " + strconv.FormatUint(e.limit, 10) }
func (e *limitError) Unwrap() error { return strconv.ErrRange }
