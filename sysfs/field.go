package sysfs

import (
	"iter"
	"math/bits"
)

// Field is one file of /sys/kernel/mm/ksm. Its String is the file's name.
type Field uint8

// The knobs, which root may write.
const (
	Run Field = iota
	PagesToScan
	SleepMillisecs
	MergeAcrossNodes
	UseZeroPages
	MaxPageSharing
	StableNodeChainsPruneMillisecs
	SmartScan
	AdvisorMode
	AdvisorMaxCPU
	AdvisorMinPagesToScan
	AdvisorMaxPagesToScan
	AdvisorTargetScanTime
)

// The counters, which nobody may write. Those that are read one after another
// stand in the order in which Reader reads them: the terms of general_profit
// side by side, so that they are as close in time as can be.
const (
	PagesSharing Field = iota + AdvisorTargetScanTime + 1
	KSMZeroPages
	GeneralProfit
	PagesShared
	PagesUnshared
	PagesVolatile
	FullScans
	PagesScanned
	PagesSkipped
	StableNodeChains
	StableNodeDups

	numFields = iota + AdvisorTargetScanTime + 1
)

// Kind says how a field behaves over time.
type Kind uint8

const (
	Knob       Kind = iota // a setting
	Gauge                  // a present amount, which goes up and down
	Cumulative             // a count of events, which only grows until it is reset
)

// Info describes a field.
type Info struct {
	Name    string // the file's name
	Kind    Kind
	Unit    string // "pages", "bytes", "ms", "s", "%", or "" for a plain number or word
	Since   string // the first kernel release with this file
	Default string // the value at boot, as text; empty for counters
	Meaning string // one sentence
}

var fields = [numFields]Info{
	Run: {"run", Knob, "", "2.6.32", "0",
		"0 stops ksmd and keeps what is merged, 1 lets it scan, 2 stops it and unmerges everything."},
	PagesToScan: {"pages_to_scan", Knob, "pages", "2.6.32", "100",
		"How many pages ksmd visits each time it wakes."},
	SleepMillisecs: {"sleep_millisecs", Knob, "ms", "2.6.32", "20",
		"How long ksmd sleeps between two batches."},
	MergeAcrossNodes: {"merge_across_nodes", Knob, "", "3.9", "1",
		"1 merges pages of different NUMA nodes, 0 only pages of the same node."},
	UseZeroPages: {"use_zero_pages", Knob, "", "4.12", "0",
		"1 replaces pages full of zeros by the kernel's one zero page, 0 merges them like any others."},
	MaxPageSharing: {"max_page_sharing", Knob, "pages", "4.13", "256",
		"How many pages at most share one KSM page before a further copy is kept."},
	StableNodeChainsPruneMillisecs: {"stable_node_chains_prune_millisecs", Knob, "ms", "4.13", "2000",
		"How often the copies that max_page_sharing made necessary are checked for ones no longer needed."},
	SmartScan: {"smart_scan", Knob, "", "6.7", "1",
		"1 visits pages that have not merged for several passes less often."},
	AdvisorMode: {"advisor_mode", Knob, "", "6.8", "none",
		"scan-time lets the kernel choose pages_to_scan so that a full scan takes advisor_target_scan_time."},
	AdvisorMaxCPU: {"advisor_max_cpu", Knob, "%", "6.8", "70",
		"The share of one CPU that the advisor lets ksmd use."},
	AdvisorMinPagesToScan: {"advisor_min_pages_to_scan", Knob, "pages", "6.8", "500",
		"The pages_to_scan with which the advisor starts; it is no lower limit."},
	AdvisorMaxPagesToScan: {"advisor_max_pages_to_scan", Knob, "pages", "6.8", "30000",
		"The largest pages_to_scan that the advisor chooses."},
	AdvisorTargetScanTime: {"advisor_target_scan_time", Knob, "s", "6.8", "200",
		"The time in which the advisor wants one full scan to end."},

	PagesSharing: {"pages_sharing", Gauge, "pages", "2.6.32", "",
		"Further mappings of KSM pages: the pages that merging saves now."},
	KSMZeroPages: {"ksm_zero_pages", Gauge, "pages", "6.6", "",
		"Mappings of the kernel's zero page that KSM put in place of pages full of zeros, each a page saved."},
	GeneralProfit: {"general_profit", Gauge, "bytes", "6.4", "",
		"Memory saved less 64 bytes for every page tracked; negative while tracking costs more than merging saves."},
	PagesShared: {"pages_shared", Gauge, "pages", "2.6.32", "",
		"KSM pages in use, each standing for two or more equal pages (or for one that is left of them)."},
	PagesUnshared: {"pages_unshared", Gauge, "pages", "2.6.32", "",
		"Pages that did not change but had no equal when ksmd last looked."},
	PagesVolatile: {"pages_volatile", Gauge, "pages", "2.6.32", "",
		"Tracked pages in no tree: seen once, changed since, or skipped by smart scan."},
	FullScans: {"full_scans", Cumulative, "", "2.6.32", "",
		"Passes over all mergeable memory since boot or since run was last set to 2."},
	PagesScanned: {"pages_scanned", Cumulative, "pages", "6.6", "",
		"Pages ksmd has visited since boot, without those that smart scan skipped."},
	PagesSkipped: {"pages_skipped", Cumulative, "pages", "6.7", "",
		"Pages that smart scan has skipped since boot."},
	StableNodeChains: {"stable_node_chains", Gauge, "", "4.13", "",
		"Contents for which several KSM pages exist, or did until ksmd next passes, because max_page_sharing was reached."},
	StableNodeDups: {"stable_node_dups", Gauge, "pages", "4.13", "",
		"KSM pages that belong to such contents."},
}

// String returns the name of f's file.
func (f Field) String() string { return fields[f].Name }

// Info describes f.
func (f Field) Info() Info { return fields[f] }

// Fields yields every field: first the knobs, then the counters.
func Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for f := range numFields {
			if !yield(f) {
				return
			}
		}
	}
}

// FieldByName returns the field whose file has that name.
func FieldByName(name string) (Field, bool) {
	for f := range numFields {
		if fields[f].Name == name {
			return f, true
		}
	}
	return 0, false
}

// FieldSet is a set of fields. The zero value is empty.
type FieldSet uint32

// SetOf returns the set of the given fields.
func SetOf(fields ...Field) FieldSet {
	var s FieldSet
	for _, f := range fields {
		s |= 1 << f
	}
	return s
}

// Has reports whether f is in s.
func (s FieldSet) Has(f Field) bool { return s&(1<<f) != 0 }

// Len returns how many fields are in s.
func (s FieldSet) Len() int { return bits.OnesCount32(uint32(s)) }

// All yields the fields in s.
func (s FieldSet) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for f := range numFields {
			if s.Has(f) && !yield(f) {
				return
			}
		}
	}
}
