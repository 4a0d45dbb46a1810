package model

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/scanner"
	"github.com/ksmtop/ksmtop/sysfs"
)

// SharingView is the view of what the memory of processes has in common.
type SharingView struct {
	List     // of the groups or, with Contents, of the most copied contents
	Contents bool
	By       string // one of ScanGroupings; empty is the first

	Scanning
}

// topContents is how many of the most copied contents are listed.
const topContents = 100

func sharingView() View {
	return View{
		ID: Sharing, Name: "Sharing", Short: "Share", About: "equal pages: who has them, how many copies, of what",
		Keys: Keymap{Own: []Binding{
			{[]string{"r"}, "r", "Read", "read the memory and count", (*State).askSharing, withoutMemory},
			{[]string{"t"}, "t", "Targets", "choose which memory to read", (*State).chooseTargets, withoutMemory},
			{[]string{"b"}, "b", "By", "form groups by process, user, command, cgroup or virtual machine", (*State).groupSharing, withoutMemory},
			{[]string{"v"}, "v", "Copies", "list the most copied contents, or the groups again", (*State).toggleContents, withoutAnswer},
			{[]string{"w"}, "w", "", "what if this memory were merged", (*State).whatIfHere, withoutMemory},
			{[]string{"Enter"}, "Enter", "", "all that is known of the row", (*State).explainSharing, withoutSharingRow},
		}},
		list:    func(s *State) *List { return &s.Sharing.List },
		matches: func(s *State, i int, text string) bool { return hasText(s.Sharing.rowText(i), text) },
	}
}

func withoutAnswer(s *State) string {
	if why := withoutMemory(s); why != "" {
		return why
	}
	if s.Sharing.Answer == nil {
		return "nothing was read yet: r does"
	}
	return ""
}

func withoutSharingRow(s *State) string {
	if why := withoutAnswer(s); why != "" {
		return why
	}
	if s.Sharing.Len() == 0 {
		return "there is no row to choose"
	}
	return ""
}

// Grouping returns by what the processes form groups.
func (v *SharingView) Grouping() string {
	if v.By == "" {
		return ScanGroupings[0]
	}
	return v.By
}

// askSharing reads the targets.
func (s *State) askSharing() Command {
	if s.Message = s.targetsEnded(); s.Message != "" {
		return Nothing
	}
	k := s.knobsNow()
	return s.Sharing.ask(s, ScanQuestion{
		Targets: slices.Clone(s.ScanTargets()), By: s.Sharing.Grouping(), Areas: scanner.AreasAuto,
		MaxPageSharing: uint64(k.MaxPageSharing), UseZeroPages: k.UseZeroPages, Top: topContents,
	}, func(s *State) { s.Sharing.arrange() })
}

// arrange counts the rows of the list.
func (v *SharingView) arrange() {
	v.SetLen(len(v.Answer.Groups))
	if v.Contents {
		v.SetLen(len(v.Answer.Top))
	}
}

func (s *State) toggleContents() Command {
	v := &s.Sharing
	v.Contents = !v.Contents
	v.List = List{page: v.page}
	v.arrange()
	return Nothing
}

// groupSharing asks by what to form groups, and then reads the memory again: who
// shares with whom is counted while it is read.
func (s *State) groupSharing() Command {
	d := &Dialog{Title: "Groups", Text: []string{"What each row stands for; the memory is read again:"}}
	for _, name := range ScanGroupings {
		d.Items = append(d.Items, Item{Text: name, do: func(s *State) Command {
			s.Sharing.By = name
			return s.askSharing()
		}})
	}
	s.Open(d)
	d.Choose(slices.Index(ScanGroupings, s.Sharing.Grouping()))
	return Nothing
}

func (s *State) whatIfHere() Command {
	s.Enter(WhatIf)
	return s.askWhatIf()
}

// rowText returns what a search looks at.
func (v *SharingView) rowText(i int) string {
	if !v.Contents {
		return v.Answer.Groups[i].Name
	}
	c := &v.Answer.Top[i]
	return string(AppendOwners([]byte(ContentWord(c)+" "), c, len(c.Owners)))
}

// ContentWord says what a content looks like.
func ContentWord(c *scanner.Content) string {
	switch c.Class {
	case scanner.ClassZero:
		return "all zero"
	case scanner.ClassByte:
		return "one byte repeated"
	case scanner.ClassWord:
		return "one word repeated"
	case scanner.ClassText:
		return "text"
	case scanner.ClassOther:
		return "other"
	}
	return "changed since"
}

// AppendOwners appends the names of the groups that hold a content, so many at most.
func AppendOwners(dst []byte, c *scanner.Content, most int) []byte {
	most = min(most, len(c.Owners))
	for i := range c.Owners[:most] {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, c.Owners[i].Group...)
	}
	if more := len(c.Owners) - most + c.More; more > 0 {
		dst = append(strconv.AppendInt(append(dst, " and "...), int64(more), 10), " more"...)
	}
	return dst
}

// Saved returns how many pages KSM saves of a content with so many copies.
func (q *ScanQuestion) Saved(c *scanner.Content) uint64 {
	switch {
	case c.Class == scanner.ClassZero && q.UseZeroPages:
		return c.Copies
	case q.MaxPageSharing < 2:
		return c.Copies - 1
	}
	return c.Copies - (c.Copies+q.MaxPageSharing-1)/q.MaxPageSharing
}

// shownBytes is how much of a content is shown, where that is allowed.
const shownBytes = 48

// explainSharing says what is known of the selected row.
func (s *State) explainSharing() Command {
	v := &s.Sharing
	a := v.Answer
	d := &Dialog{}
	page := int64(a.PageSize)
	bytes := func(pages float64) string { return string(format.Bytes(nil, int64(pages*float64(page)))) }
	word := func(name, format string, args ...any) {
		d.Words = append(d.Words, Word{name, fmt.Sprintf(format, args...)})
	}
	if v.Contents {
		c := &a.Top[v.Selected]
		d.Title = "Content: " + ContentWord(c)
		word("COPIES", "%d pages have it", c.Copies)
		word("SAVED", "%s", bytes(float64(a.Question.Saved(c))))
		switch {
		case c.Class == "":
			word("BYTES", "no copy could be read again: it has changed or is gone")
		case s.ShowContent && len(c.Sample) > 0:
			word("BYTES", "%q", c.Sample[:min(shownBytes, len(c.Sample))])
		default:
			word("BYTES", "not shown, since memory may hold secrets; ksmtop --show-content does")
		}
		for _, o := range c.Owners {
			word(strconv.FormatUint(o.Copies, 10), "%s", o.Group)
		}
		if c.More > 0 {
			word("", "and %d more", c.More)
		}
		return s.Open(d)
	}
	g := &a.Groups[v.Selected]
	d.Title = g.Name
	word("LOOKED", "%s at, that KSM could merge and that is there", bytes(float64(g.Pages)))
	word("ZERO", "%s of it are pages of zeros", bytes(float64(g.ZeroPages)))
	word("WITHIN", "%s it would save alone", bytes(float64(g.Within)))
	word("BETWEEN", "%s more, its part of what groups have in common", bytes(g.Between))
	word("COST", "%s of metadata, %d tracked pages", format.Bytes(nil, g.MetadataBytes()), g.Items)
	word("NET", "%s", format.Bytes(nil, g.NetBytes(a.PageSize)))
	for _, p := range a.Members[g.Name] {
		word("PROCESS", "%s", p)
	}
	return s.Open(d)
}

// knobsNow returns the knobs in force, and the kernel's defaults for those that it
// does not have.
func (s *State) knobsNow() sysfs.Knobs {
	k := sysfs.DefaultKnobs()
	if s.Sample == nil {
		return k
	}
	now := &s.Sample.Reading.Knobs
	if now.Has(sysfs.MaxPageSharing) {
		k.MaxPageSharing = now.MaxPageSharing
	}
	if now.Has(sysfs.UseZeroPages) {
		k.UseZeroPages = now.UseZeroPages
	}
	if now.Has(sysfs.PagesToScan) {
		k.PagesToScan = now.PagesToScan
	}
	if now.Has(sysfs.SleepMillisecs) {
		k.SleepMillisecs = now.SleepMillisecs
	}
	return k
}
