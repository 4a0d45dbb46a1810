package view

import (
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/scanner"
)

// The view of what memory has in common:
//
//	─ Copies per content ────────────────── 3 processes, 7.42 GiB, 6.1 s ─
//	        COPIES     CONTENTS   SAVED
//	             1    1 797 400       .  ####################     sharingBuckets
//	 would save ...                                               sharingSums
//	 metadata ...
//	─ Groups by process ──────────────────────────────── v most copied ─
//	 LOOKED AT  WITHIN BETWEEN    COST     NET  GROUP
//	 rows
//	 what was not read                                            notReadLines
const (
	sharingSums  = 2
	sharingTitle = 4 // titles and headings
)

// sharingLayout returns how many rows of the histogram, of the list and of what
// was not read fit in h lines.
func sharingLayout(h int, a *model.ScanAnswer) (buckets, rows, notRead int) {
	notRead = min(notReadLines(a), max(1, h/8))
	buckets = min(filled(a), max(1, (h-sharingSums-sharingTitle-notRead)/2))
	return buckets, max(1, h-sharingSums-sharingTitle-notRead-buckets), notRead
}

// filled returns how many buckets of the histogram have something in them.
func filled(a *model.ScanAnswer) int {
	n := 0
	for i := range a.Histogram {
		if a.Histogram[i].Distinct > 0 {
			n++
		}
	}
	return n
}

func sharingRows(_, h int, s *model.State) int {
	if s.Sharing.Answer == nil {
		return 1
	}
	_, rows, _ := sharingLayout(h, s.Sharing.Answer)
	return rows
}

func drawSharing(c *Canvas, s *model.State) {
	w, h := c.Size()
	v := &s.Sharing
	a := v.Answer
	if a == nil {
		c.Title(0, 0, w, "Copies per content", "")
		drawUnasked(c, 1, v.Task, s)
		return
	}
	buckets, rows, notRead := sharingLayout(h, a)
	c.Title(0, 0, w, "Copies per content", answerNote(c, a))
	c.TextRight(1, 1, 15, Dim, "COPIES")
	c.TextRight(17, 1, 13, Dim, "CONTENTS")
	c.TextRight(31, 1, 7, Dim, "SAVED")
	drawHistogram(c, 2, buckets, a)
	y := 2 + buckets
	writeSaving(c.pen(1, y), a)
	writeCost(c.pen(1, y+1), a)
	y += sharingSums
	drawSharingTitle(c, y, v)
	drawSharingHeader(c, y+1, v.Contents)
	for i := v.Top; i < min(v.Top+rows, v.Len()); i++ {
		if v.Contents {
			drawContent(c, y+2+i-v.Top, &a.Top[i], s)
		} else {
			drawGroup(c, y+2+i-v.Top, &a.Groups[i], a.Groups[i].WouldSave(), a.PageSize)
		}
		drawCursor(c, y+2+i-v.Top, i, &v.List)
	}
	if v.Len() == 0 {
		p := c.pen(1, y+2)
		p.text(Dim, "nothing was found here")
	}
	drawNotRead(c, h-notRead, notRead, a)
}

// drawUnasked says what a scan would read, before there was one.
func drawUnasked(c *Canvas, y int, task *model.Task, s *model.State) {
	if s.Memory == nil {
		p := c.pen(1, y)
		p.text(Dim, "these are files: there is no process").part().text(Dim, " whose memory could be read")
		return
	}
	p := c.pen(1, y)
	p.text(Dim, "Targets  ")
	writeTargets(p.part(), s)
	p = c.pen(1, y+2)
	if task != nil {
		p.text(Normal, "reading...")
		return
	}
	p.text(Key, "r").text(Normal, " reads that memory and counts equal pages").part().text(Normal, "  ").text(Key, "t").text(Normal, " chooses other memory")
	p = c.pen(1, y+3)
	p.text(Dim, "Nothing is changed by it").part().text(Dim, ", and it needs no KSM.").part().text(Dim, " Own processes need no root.")
}

// writeTargets names the memory that would be read.
func writeTargets(p *pen, s *model.State) {
	targets := s.ScanTargets()
	switch len(targets) {
	case 0:
		if s.Targets.Kind == model.TargetTagged && s.TagsEnded() {
			p.part().text(Warn, "none").part().text(Dim, ": the tagged processes have ended")
			return
		}
		p.part().text(Normal, "all processes").part().text(Dim, " that may be read")
		if s.Targets.Kind == model.TargetTagged {
			p.part().text(Dim, ", since none is tagged")
		}
		return
	case 1:
	default:
		p.part().number(Normal, len(targets)).text(Normal, " processes")
	}
	for i := range targets {
		p.part()
		switch {
		case i > 0:
			p.text(Normal, ", ")
		case len(targets) > 1:
			p.text(Normal, ": ")
		}
		p.number(Normal, targets[i].PID)
		if targets[i].Name != "" {
			p.text(Normal, " ").text(Normal, targets[i].Name)
		}
	}
}

// answerNote says what was read, and whether that is all.
func answerNote(c *Canvas, a *model.ScanAnswer) string {
	line := c.g.line[:0]
	if !a.Complete {
		line = append(line, "partial, not all was read: "...)
	}
	line = format.Bytes(line, int64(a.BytesRead))
	line = format.Duration(append(line, " in "...), a.Elapsed)
	line = a.At.AppendFormat(append(line, ", "...), "15:04:05")
	return c.interned(line)
}

// histogramRow is one row of the histogram, of one bucket or several.
type histogramRow struct {
	scanner.Bucket

	// above is how many of the contents have more copies than one KSM page may
	// have mappings, and unsure of how many that cannot be told.
	above, unsure uint64
}

// join adds a bucket of more copies to the row.
func (r *histogramRow) join(b *scanner.Bucket, a *model.ScanAnswer) {
	if r.Distinct == 0 {
		r.CopiesFrom = b.CopiesFrom
	}
	r.CopiesTo = b.CopiesTo
	r.Distinct += b.Distinct
	r.Saved += b.Saved
	limit, contents := a.Question.MaxPageSharing, b.Distinct
	if a.Question.UseZeroPages && a.ZeroPages >= b.CopiesFrom && a.ZeroPages <= b.CopiesTo && contents > 0 {
		contents-- // zeros become no KSM page
	}
	switch {
	case limit < 2: // there is none
	case b.CopiesFrom > limit:
		r.above += contents
	case b.CopiesTo > limit:
		r.unsure += contents
	}
}

// writeAbove says how many contents of the row take more than one KSM page.
func (r *histogramRow) writeAbove(p pen) {
	switch {
	case r.above == 0 && r.unsure == 0:
		return
	case r.above == r.Distinct:
		p.text(Dim, "above max_page_sharing")
	case r.above == 0:
		p.text(Dim, "some may be above max_page_sharing")
		return
	case r.unsure > 0:
		p.text(Dim, "at least ").count(Dim, r.above).text(Dim, " above max_page_sharing")
	default:
		p.count(Dim, r.above).text(Dim, " of them above max_page_sharing")
	}
	p.part().text(Dim, ": several KSM pages for each")
}

// drawHistogram draws contents by the number of their copies, in so many rows at
// most; the last has all that would be in further ones.
func drawHistogram(c *Canvas, y, rows int, a *model.ScanAnswer) {
	const bar = 41
	w, _ := c.Size()
	most := uint64(1)
	for i := range a.Histogram {
		most = max(most, a.Histogram[i].Distinct)
	}
	at, left := 0, filled(a)
	var r histogramRow
	for i := range a.Histogram {
		b := &a.Histogram[i]
		if b.Distinct == 0 {
			continue
		}
		r.join(b, a)
		if left--; at == rows-1 && left > 0 {
			continue
		}
		p := c.pen(1, y+at)
		line := format.Count(p.line(), r.CopiesFrom)
		if r.CopiesTo != r.CopiesFrom {
			line = format.Count(append(line, '-'), r.CopiesTo)
		}
		p.right(1, 15, Normal, line)
		p.right(17, 13, Normal, format.Count(p.line(), r.Distinct))
		p.right(31, 7, Normal, areaSize(p.line(), true, int64(r.Saved)*int64(a.PageSize)))
		cells := meterCells(float64(r.Distinct)/float64(max(most, r.Distinct)), max(0, w-bar))
		c.Fill(bar-1, y+at, cells, 1, Chart, "#")
		r.writeAbove(p.upTo(bar-1+cells+1, w))
		r = histogramRow{}
		at++
	}
}

// writeSaving writes what merging would save.
func writeSaving(p pen, a *model.ScanAnswer) {
	if a.Pages == 0 {
		p.text(Warn, nothingFound(a))
		return
	}
	p.text(Normal, "would save ").bytes(Good, a.WouldSaveBytes())
	p.part().text(Dim, ", ").percent(Normal, float64(a.WouldSave)/float64(a.Pages)).text(Dim, " of ").bytes(Normal, int64(a.Pages)*int64(a.PageSize))
	if len(a.Groups) > 1 {
		p.part().text(Dim, ": within groups ").bytes(Normal, int64(a.Within)*int64(a.PageSize))
		p.part().text(Dim, ", between them ").bytes(Normal, int64(a.Between)*int64(a.PageSize))
	}
}

// nothingFound says why an answer has no pages.
func nothingFound(a *model.ScanAnswer) string {
	if len(a.NotRead) > 0 {
		return "nothing could be read"
	}
	return "there is nothing that KSM could merge"
}

// drawNothingFound says that and why, in as many lines as it takes and there are.
func drawNothingFound(c *Canvas, y int, a *model.ScanAnswer) {
	y = paragraph(c, y, Warn, nothingFound(a))
	for i := range a.NotRead {
		if y < c.h {
			y = paragraph(c, y, Warn, "? "+string(format.Count(nil, uint64(a.NotRead[i].Count)))+" not read: "+a.NotRead[i].Why)
		}
	}
	if a.Gone > 0 && y < c.h {
		paragraph(c, y, Dim, string(format.Count(nil, uint64(a.Gone)))+" had ended before they were read")
	}
}

// writeCost writes what that would cost.
func writeCost(p pen, a *model.ScanAnswer) {
	if a.Pages == 0 {
		return
	}
	role := Good
	if a.NetBytes() < 0 {
		role = Bad
	}
	p.text(Normal, "metadata ").bytes(Normal, a.MetadataBytes())
	p.part().text(Dim, ", ").text(Normal, "net ").bytes(role, a.NetBytes())
	if a.NetBytes() < 0 {
		p.part().text(Bad, ": it costs more than it saves")
	}
	if a.AlreadySaved > 0 {
		p.part().text(Dim, "; saved now ").bytes(Normal, int64(a.AlreadySaved)*int64(a.PageSize))
	}
}

func drawSharingTitle(c *Canvas, y int, v *model.SharingView) {
	w, _ := c.Size()
	if v.Contents {
		c.Title(0, y, w, "Most copied", "v groups")
		return
	}
	title := c.interned(append(append(c.g.line[:0], "Groups by "...), v.Answer.Question.By...))
	c.Title(0, y, w, title, "b by, v most copied")
}

func drawSharingHeader(c *Canvas, y int, contents bool) {
	w, _ := c.Size()
	if !contents {
		drawGroupHeader(c, y)
		return
	}
	c.TextRight(1, y, 13, Dim, "COPIES")
	c.TextRight(15, y, 7, Dim, "SAVED")
	c.TextIn(24, y, 18, Dim, "CONTENT")
	c.TextIn(43, y, w-43, Dim, "IN")
}

func drawGroupHeader(c *Canvas, y int) {
	w, _ := c.Size()
	for i, heading := range [...]string{"LOOKED AT", "WITHIN", "BETWEEN", "COST", "NET"} {
		c.TextRight(1+10*i-min(1, i), y, 9, Dim, heading)
	}
	c.TextIn(52, y, w-52, Dim, "GROUP")
}

// drawGroup draws a group's part of an answer; it gains so many pages.
func drawGroup(c *Canvas, y int, g *scanner.Group, gain float64, pageSize int) {
	w, _ := c.Size()
	page := float64(pageSize)
	net := int64(gain*page) - g.MetadataBytes()
	p := c.pen(0, y)
	for i, n := range [...]int64{
		int64(g.Pages) * int64(pageSize), int64(g.Within) * int64(pageSize), int64((gain - float64(g.Within)) * page), g.MetadataBytes(), net,
	} {
		role := Normal
		if i == 4 && net < 0 {
			role = Bad
		}
		p.right(1+10*i-min(1, i), 9, role, areaSize(p.line(), true, n))
	}
	at := 52
	if net < 0 {
		at = c.Text(at, y, Bad, "! ")
	}
	c.TextIn(at, y, w-at, Normal, g.Name)
}

// drawContent draws one of the most copied contents.
func drawContent(c *Canvas, y int, content *scanner.Content, s *model.State) {
	w, _ := c.Size()
	a := s.Sharing.Answer
	p := c.pen(0, y)
	p.right(1, 13, Normal, format.Count(p.line(), content.Copies))
	p.right(15, 7, Normal, areaSize(p.line(), true, int64(a.Question.Saved(content))*int64(a.PageSize)))
	x := 24 + 18 + 1
	if s.ShowContent && len(content.Sample) > 0 && content.Class == scanner.ClassText {
		const room = 24
		line := strconv.AppendQuoteToASCII(c.g.line[:0], string(content.Sample[:min(room, len(content.Sample))]))
		c.BytesIn(24, y, room, Normal, line)
		c.g.line = line
		x = 24 + room + 1
	} else {
		c.TextIn(24, y, 18, Normal, model.ContentWord(content))
	}
	line := model.AppendOwners(c.g.line[:0], content, 3)
	c.BytesIn(x, y, w-x, Dim, line)
	c.g.line = line
}

// notReadLines returns how many lines it takes to say what was not read.
func notReadLines(a *model.ScanAnswer) int {
	n := len(a.NotRead)
	if a.Gone > 0 {
		n++
	}
	return n
}

// drawNotRead says what was not read, in so many lines at most.
func drawNotRead(c *Canvas, y, lines int, a *model.ScanAnswer) {
	w, _ := c.Size()
	for i := range a.NotRead {
		if i == lines {
			return
		}
		p := c.pen(1, y+i)
		p.text(Warn, "? ").count(Warn, uint64(a.NotRead[i].Count)).text(Warn, " not read: ")
		c.TextIn(p.x, p.y, w-p.x, Warn, a.NotRead[i].Why)
	}
	if a.Gone > 0 && len(a.NotRead) < lines {
		p := c.pen(1, y+len(a.NotRead))
		p.text(Dim, "  ").count(Dim, uint64(a.Gone)).text(Dim, " had ended before they were read")
	}
}

func smallSharingRows(_, h int, _ *model.State) int { return max(1, h-1) }

// drawSmallSharing draws it on screens too small for columns.
func drawSmallSharing(c *Canvas, s *model.State) {
	w, h := c.Size()
	v := &s.Sharing
	a := v.Answer
	if a == nil {
		drawSmallUnasked(c, v.Task, s)
		return
	}
	if a.Pages == 0 {
		drawNothingFound(c, 0, a)
		return
	}
	drawSmallAnswer(c, 0, a, a.WouldSaveBytes(), a.NetBytes())
	for i := v.Top; i < min(v.Top+smallSharingRows(w, h, s), v.Len()); i++ {
		y := 1 + i - v.Top
		p := c.pen(1, y)
		if v.Contents {
			p.right(1, 9, Normal, format.Count(p.line(), a.Top[i].Copies))
			c.TextIn(11, y, w-11, Normal, model.ContentWord(&a.Top[i]))
		} else {
			g := &a.Groups[i]
			net := g.NetBytes(a.PageSize)
			role := Normal
			if net < 0 {
				role = Bad
			}
			p.right(1, 7, role, areaSize(p.line(), true, net))
			c.TextIn(9, y, w-9, Normal, g.Name)
		}
		drawCursor(c, y, i, &v.List)
	}
}

func drawSmallUnasked(c *Canvas, task *model.Task, s *model.State) {
	p := c.pen(1, 0)
	switch {
	case s.Memory == nil:
		p.text(Dim, "no memory: these are files")
	case task != nil:
		p.text(Normal, "reading...")
	default:
		p.text(Key, "r").text(Normal, " reads").part().text(Normal, "  ").text(Key, "t").text(Normal, " chooses")
	}
}

// drawSmallAnswer draws the answer in one line.
func drawSmallAnswer(c *Canvas, y int, a *model.ScanAnswer, saved, net int64) {
	p := c.pen(1, y)
	if !a.Complete {
		p.text(Warn, "partial ").part()
	}
	role := Good
	if net < 0 {
		role = Bad
	}
	p.text(Normal, "saves ").short(Good, saved)
	p.part().text(Normal, " net ").short(role, net)
	p.part().text(Dim, " of ").short(Normal, int64(a.Pages)*int64(a.PageSize))
}
