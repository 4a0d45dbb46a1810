package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Topic is a number that the screens show, and what it means.
type Topic struct {
	Name    string
	Meaning string // sentences
	value   func(s *State) string
	fields  []sysfs.Field // of which it is made, as the kernel defines them
}

// topics are the numbers that follow from others. Those of the kernel are
// explained by sysfs, as `ksmtop status --explain` does, and the columns of the
// table by what `-o help` says of them.
var topics = append([]Topic{
	{"saved", "What merging saves now, in bytes: the pages that share another one, and the pages of zeros that KSM replaced by the kernel's own, times the page size.",
		savingOf(func(v *sysfs.Savings) int64 { return v.SavedBytes }), []sysfs.Field{sysfs.PagesSharing, sysfs.KSMZeroPages}},
	{"net", "What is left of what is saved when the memory for KSM's own records is taken off. Negative means that KSM costs memory.",
		savingOf(func(v *sysfs.Savings) int64 { return v.NetBytes }), []sysfs.Field{sysfs.GeneralProfit}},
	{"metadata", "The memory for KSM's own records: 64 bytes (struct ksm_rmap_item in mm/ksm.c) for every page that ksmd tracks, merged or not.",
		savingOf(func(v *sysfs.Savings) int64 { return v.MetadataBytes }),
		[]sysfs.Field{sysfs.PagesShared, sysfs.PagesSharing, sysfs.PagesUnshared, sysfs.PagesVolatile}},
	{"ratio", "How many pages are saved for each KSM page: pages_sharing / pages_shared. High means few contents with many copies. One KSM page is mapped max_page_sharing times at most.",
		ratioNow, []sysfs.Field{sysfs.PagesSharing, sysfs.PagesShared, sysfs.MaxPageSharing}},
	{"copies on write", "Merged pages that the kernel copies back in a second, since somebody wrote to them or they were unmerged: cow_ksm of /proc/vmstat. Each takes a page of what was saved, and time of whoever wrote.",
		brokenNow, nil},
	{"cpu", "The share of one CPU that the thread ksmd uses, from its CPU time in /proc.", cpuNow, nil},
	{"pages/s", "How many pages ksmd looks at in a second: what pages_scanned grew by between two samples.",
		scanningNow, []sysfs.Field{sysfs.PagesScanned, sysfs.PagesToScan, sysfs.SleepMillisecs}},
	{"pass", "A pass is one look at all mergeable memory. Equal pages merge in the second pass that finds them unchanged at the earliest. How much of a pass is done is an estimate: pages visited and skipped since it began, of the pages tracked.",
		nil, []sysfs.Field{sysfs.FullScans}},
	{"last pass", "How long the last pass took, to within a sample, and how many pages were tracked at its end.", nil, []sysfs.Field{sysfs.FullScans}},
}, whatIfTopics...)

// savingOf returns the function that shows one number of the savings.
func savingOf(value func(*sysfs.Savings) int64) func(*State) string {
	return func(s *State) string {
		if !s.Sample.HasSavings {
			return "-"
		}
		return bytesOf(value(&s.Sample.Savings))
	}
}

func ratioNow(s *State) string {
	if r, ok := s.Sample.Reading.Counters.Ratio(); ok {
		return string(format.Fixed(nil, r, 2))
	}
	return "-"
}

func brokenNow(s *State) string {
	if r := &s.Sample.Rates; r.HasBrokenPerSecond {
		return string(format.Amount(nil, r.BrokenPerSecond)) + "/s"
	}
	return "-"
}

func cpuNow(s *State) string {
	if r := &s.Sample.Rates; r.HasKSMDPercent {
		return string(format.Fixed(nil, r.KSMDPercent, 1)) + "%"
	}
	return "-"
}

func scanningNow(s *State) string {
	if r := &s.Sample.Rates; r.HasPagesPerSecond {
		return string(format.Amount(nil, r.PagesPerSecond))
	}
	return "-"
}

// withoutNumbers says why there is nothing to explain.
func withoutNumbers(s *State) string {
	switch {
	case s.Sample == nil:
		return "there is no sample yet"
	case s.NoKSM() && s.View != WhatIf:
		return "without KSM there are no numbers"
	}
	return ""
}

// openTopics lists all numbers, to be explained. In the table of processes the
// column that sorts is chosen first.
func (s *State) openTopics() Command {
	d := &Dialog{Title: "What is this number?"}
	add := func(name, value string) {
		d.Items = append(d.Items, Item{Text: strings.TrimRight(fmt.Sprintf("%-22s  %s", name, value), " "), stays: true,
			do: func(s *State) Command { return s.Explain(name) }})
	}
	chosen := 0
	columns := func() {
		r := s.SelectedRow()
		for _, name := range s.ColumnNames() {
			c := ColumnByName(name)
			value := ""
			if r != nil && name != "command" {
				value = string(c.Cell(nil, r, s.Sample))
			}
			if c == s.Column && s.View == Processes {
				chosen = len(d.Items)
			}
			add(c.Heading, value)
		}
	}
	if s.View == Processes {
		columns()
	}
	for i := range topics {
		value := ""
		if topics[i].value != nil {
			value = topics[i].value(s)
		}
		if topics[i].Name == whatIfTopics[0].Name && s.View == WhatIf {
			chosen = len(d.Items)
		}
		add(topics[i].Name, value)
	}
	for f := range sysfs.Fields() {
		add(f.String(), s.valueOf(f))
	}
	if s.View != Processes {
		columns()
	}
	s.Open(d)
	d.Choose(chosen)
	return Nothing
}

// valueOf returns the value of a field with its unit, "-" if there is none or
// "?" if it was refused.
func (s *State) valueOf(f sysfs.Field) string {
	v, ok := s.Sample.Reading.Value(f)
	switch {
	case ok && f.Info().Unit != "":
		return v.String() + " " + f.Info().Unit
	case ok:
		return v.String()
	case s.Sample.Reading.Problem(f) != nil:
		return "?"
	}
	return "-"
}

// Explain says what a number means: a topic, a field of the kernel or, by its
// heading, a column of the table.
func (s *State) Explain(name string) Command {
	if s.Sample == nil {
		return Nothing
	}
	d := &Dialog{Title: name}
	if i := slices.IndexFunc(topics, func(t Topic) bool { return t.Name == name }); i >= 0 {
		t := &topics[i]
		d.Text = append(d.Text, t.Meaning)
		if t.value != nil {
			d.Text = append(d.Text, "", "Now: "+t.value(s))
		}
		if len(t.fields) > 0 {
			d.Text = append(d.Text, "", "The kernel's own numbers behind it:", "")
		}
		for _, f := range t.fields {
			d.Words = append(d.Words, Word{"", fmt.Sprintf("%s = %s", f, s.valueOf(f))}, Word{"", f.Info().Meaning})
		}
		return s.Open(d)
	}
	if f, ok := sysfs.FieldByName(name); ok {
		d.Text = s.explainField(f)
		return s.Open(d)
	}
	for i := range Columns {
		if c := &Columns[i]; c.Heading == name {
			d.Text = s.explainColumn(c)
			return s.Open(d)
		}
	}
	return Nothing
}

func (s *State) explainField(f sysfs.Field) []string {
	info := f.Info()
	text := []string{info.Meaning, "", "Now: " + s.valueOf(f)}
	if info.Kind == sysfs.Knob {
		text = append(text, "At boot: "+info.Default)
	}
	text = append(text, "Since Linux "+info.Since+", in /sys/kernel/mm/ksm/"+info.Name)
	if err := s.Sample.Reading.Problem(f); err != nil {
		text = append(text, "Not readable: "+err.Error())
	}
	return text
}

func (s *State) explainColumn(c *Column) []string {
	text := []string{"Of a process: " + c.Meaning + "."}
	if r := s.SelectedRow(); r != nil {
		name := fmt.Sprintf("%d %s", r.PID, r.Name)
		if r.Place.Head {
			name = r.Name
		}
		value := string(c.Cell(nil, r, s.Sample))
		if c.Short == nil && c.Unit != "" {
			value += " " + c.Unit
		}
		text = append(text, "", name+": "+value)
	}
	return append(text, "", "In -o and -s it is called "+c.Name+".")
}
