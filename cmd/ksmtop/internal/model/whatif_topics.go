package model

import "github.com/ksmtop/ksmtop/internal/format"

// whatIfTopics are the numbers of What-if.
var whatIfTopics = []Topic{
	{"would save", "What merging this memory would save once ksmd has settled, if nothing changes: of K equal pages all but K/max_page_sharing, rounded up; with use_zero_pages all pages of zeros. It is counted, not estimated.",
		whatIfBytes(func(v *WhatIfView) int64 { return int64(v.WouldSave()) * int64(v.Answer.PageSize) }), nil},
	{"already saved", "The part of what KSM saves now that belongs to these processes, each page divided by those who share it.",
		whatIfBytes(func(v *WhatIfView) int64 { return int64(v.Answer.AlreadySaved) * int64(v.Answer.PageSize) }), nil},
	{"still to gain", "What merging would save beyond what is saved already. Negative means that KSM has merged what has changed since, or what was not read.",
		whatIfBytes((*WhatIfView).StillToGain), nil},
	{"first pass", "How long ksmd's first look at this memory would take with these knobs, and how much of a CPU. It merges nothing yet: a page has to be found unchanged. An estimate, by what the steps of ksmd cost on one machine that was measured (package sim).",
		whatIfText(func(v *WhatIfView) string { return "~" + string(format.Duration(nil, v.Forecast.First.Elapsed)) }), nil},
	{"merged after", "When the second pass would end, after which memory that stands still is merged, and how much of a CPU ksmd would use in that pass. An estimate, as for the first pass.",
		whatIfText(func(v *WhatIfView) string { return "~" + string(format.Duration(nil, v.MergedAfter())) }), nil},
}

func whatIfBytes(value func(*WhatIfView) int64) func(*State) string {
	return whatIfText(func(v *WhatIfView) string { return bytesOf(value(v)) })
}

// whatIfText returns the function that shows a number, or that there is no answer
// to take it from.
func whatIfText(value func(*WhatIfView) string) func(*State) string {
	return func(s *State) string {
		if s.WhatIf.Answer == nil {
			return "-"
		}
		return value(&s.WhatIf)
	}
}
