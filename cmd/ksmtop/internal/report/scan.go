package report

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/ksmtop/ksmtop/internal/format"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/scanner"
)

// ScanAnswer is what a scan found and under which knobs.
type ScanAnswer struct {
	*scanner.Report
	Areas          string // as --areas
	MaxPageSharing uint64
	UseZeroPages   bool
	ShowContent    bool

	// AlreadySaved is the processes' part of what merging saves now, in pages.
	AlreadySaved uint64
}

func (a *ScanAnswer) bytes(pages uint64) string { return bytesOf(int64(pages) * int64(a.PageSize)) }

// Scan writes the answer for people: first in one sentence.
func Scan(w io.Writer, a *ScanAnswer) error {
	var b strings.Builder
	writeScanSentence(&b, a)
	writeScanSums(&b, a)
	writeVerification(&b, a)
	writeScanGroups(&b, a)
	writeHistogram(&b, a)
	writeContents(&b, a)
	writeNotRead(&b, a)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeScanSentence(b *strings.Builder, a *ScanAnswer) {
	partial := ""
	if !a.Complete {
		partial = " (partial: not everything was read)"
	}
	if a.Pages == 0 {
		fmt.Fprintf(b, "There is nothing that KSM could merge%s.\n\n", partial)
		return
	}
	net := "net " + bytesOf(a.NetBytes())
	if a.NetBytes() < 0 {
		net = "which costs more than it saves: net " + bytesOf(a.NetBytes())
	}
	fmt.Fprintf(b, "Merging would save %s of %s (%.1f %%), %s%s.\n\n", bytesOf(a.WouldSaveBytes()), a.bytes(a.Pages),
		100*float64(a.WouldSave)/float64(a.Pages), net, partial)
}

func writeScanSums(b *strings.Builder, a *ScanAnswer) {
	zero := "0"
	if a.UseZeroPages {
		zero = "1"
	}
	line(b, "Looked at", a.bytes(a.Pages), fmt.Sprintf("%s, %s, %s of zeros", things(a.Pages, "page"), things(a.Distinct, "different content"), things(a.ZeroPages, "page")))
	line(b, "Saved", bytesOf(a.WouldSaveBytes()), fmt.Sprintf("%s, with max_page_sharing %d and use_zero_pages %s", things(a.WouldSave, "page"), a.MaxPageSharing, zero))
	line(b, "  zero", a.bytes(a.ByZeroPages), "pages of zeros")
	if len(a.Groups) > 1 {
		line(b, "  within", a.bytes(a.Within), "each group alone")
		line(b, "  between", a.bytes(a.Between), "more, since groups have contents in common")
	}
	line(b, "Cost", bytesOf(a.MetadataBytes()), things(a.Items, "tracked page")+", 64 bytes of metadata each")
	line(b, "Net", bytesOf(a.NetBytes()), "")
	if a.AlreadySaved > 0 {
		line(b, "Already", a.bytes(a.AlreadySaved), "saved now")
		line(b, "To gain", bytesOf((int64(a.WouldSave)-int64(a.AlreadySaved))*int64(a.PageSize)), "")
	}
	seconds := a.Elapsed.Seconds()
	if seconds > 0 {
		fmt.Fprintf(b, "%-10s %s in %s, %s/s\n", "Read", bytesOf(int64(a.BytesRead)), format.Duration(nil, a.Elapsed), bytesOf(int64(float64(a.BytesRead)/seconds)))
	}
}

func writeVerification(b *strings.Builder, a *ScanAnswer) {
	v := a.Verification
	if v == nil {
		return
	}
	said := things(v.Compared, "page") + " compared byte by byte, "
	switch v.Unequal {
	case 0:
		said += "all equal"
	case 1:
		said += "1 content was taken for another"
	default:
		said += count(v.Unequal) + " contents were taken for others"
	}
	if v.Changed > 0 {
		said += "; " + count(v.Changed) + " had changed or were gone"
	}
	if !v.Complete {
		said += " (interrupted)"
	}
	fmt.Fprintf(b, "%-10s %s\n", "Verified", said)
}

const listedGroups = 20

func writeScanGroups(b *strings.Builder, a *ScanAnswer) {
	if len(a.Groups) < 2 {
		return
	}
	fmt.Fprintf(b, "\n%11s %11s %11s %11s %11s  %s\n", "LOOKED AT", "WITHIN", "BETWEEN", "COST", "NET", "GROUP")
	for i := range a.Groups[:min(listedGroups, len(a.Groups))] {
		g := &a.Groups[i]
		pays := ""
		if g.NetBytes(a.PageSize) < 0 {
			pays = "   costs more than it gains"
		}
		fmt.Fprintf(b, "%11s %11s %11s %11s %11s  %s%s\n", a.bytes(g.Pages), a.bytes(g.Within), bytesOf(int64(g.Between*float64(a.PageSize))),
			bytesOf(g.MetadataBytes()), bytesOf(g.NetBytes(a.PageSize)), g.Name, pays)
	}
	if more := len(a.Groups) - listedGroups; more > 0 {
		fmt.Fprintf(b, "and %d more (--csv groups lists all)\n", more)
	}
}

func writeHistogram(b *strings.Builder, a *ScanAnswer) {
	if a.Pages == 0 {
		return
	}
	fmt.Fprintf(b, "\n%-15s %15s %15s %11s\n", "COPIES", "CONTENTS", "PAGES", "SAVED")
	for _, h := range a.Histogram {
		if h.Distinct > 0 {
			fmt.Fprintf(b, "%-15s %15s %15s %11s\n", copiesRange(h), count(h.Distinct), count(h.Pages), a.bytes(h.Saved))
		}
	}
}

func copiesRange(h scanner.Bucket) string {
	if h.CopiesFrom == h.CopiesTo {
		return count(h.CopiesFrom)
	}
	return count(h.CopiesFrom) + "-" + count(h.CopiesTo)
}

func writeContents(b *strings.Builder, a *ScanAnswer) {
	if len(a.Top) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%15s %-8s %s\n", "MOST COPIED", "CONTENT", "IN")
	for i := range a.Top {
		c := &a.Top[i]
		fmt.Fprintf(b, "%15s %-8s %s\n", count(c.Copies), classOf(c), owners(c))
		if a.ShowContent && len(c.Sample) > 0 {
			fmt.Fprintf(b, "%15s %q\n", "", c.Sample[:min(48, len(c.Sample))])
		}
	}
}

func classOf(c *scanner.Content) string {
	if c.Class == "" {
		return "?"
	}
	return string(c.Class)
}

func owners(c *scanner.Content) string {
	var parts []string
	for _, o := range c.Owners[:min(3, len(c.Owners))] {
		parts = append(parts, o.Group)
	}
	if more := len(c.Owners) - len(parts) + c.More; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// skippedWords say in words why pages that are there do not count.
var skippedWords = map[scanner.Reason]string{
	scanner.ReasonShared: "shared mappings", scanner.ReasonFile: "of files, not written to", scanner.ReasonHugetlb: "hugetlb pages",
	scanner.ReasonSpecial: "special mappings (I/O, vdso)", scanner.ReasonDroppable: "droppable mappings",
	scanner.ReasonNotMarked: "not marked mergeable (--areas eligible counts them)",
	scanner.ReasonVanished:  "went while they were read", scanner.ReasonUnreadable: "could not be read",
}

func writeNotRead(b *strings.Builder, a *ScanAnswer) {
	var lines []string
	for reason := range scanner.NumReasons {
		if n := a.Skipped[scanner.Reason(reason)]; n > 0 {
			lines = append(lines, fmt.Sprintf("  %11s  %s", a.bytes(n), skippedWords[scanner.Reason(reason)]))
		}
	}
	for _, other := range []struct {
		pages uint64
		words string
	}{{a.SwappedPages, "swapped out"}, {a.HolePages, "holes of images"}} {
		if other.pages > 0 {
			lines = append(lines, fmt.Sprintf("  %11s  %s", a.bytes(other.pages), other.words))
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(b, "\nNot looked at:\n%s\n", strings.Join(lines, "\n"))
	}
	writeRefused(b, a.Refused)
	for _, err := range a.Problems {
		fmt.Fprintf(b, "Cut short: %s\n", text.Clean(err.Error()))
	}
	switch {
	case a.Gone == 1:
		b.WriteString("1 process ended before it was read.\n")
	case a.Gone > 1:
		fmt.Fprintf(b, "%d processes ended before they were read.\n", a.Gone)
	}
}

const listedRefusals = 8 // targets for each reason

// writeRefused writes one line for each reason.
func writeRefused(b *strings.Builder, refused []scanner.Refusal) {
	var reasons []string
	targets := make(map[string][]string)
	for _, r := range refused {
		reason, _ := refusal(r.Err)
		if targets[reason] == nil {
			reasons = append(reasons, reason)
		}
		targets[reason] = append(targets[reason], text.Clean(r.Target))
	}
	for _, reason := range reasons {
		names := targets[reason]
		if len(names) == 1 {
			fmt.Fprintf(b, "Refused: %s: %s\n", names[0], reason)
			continue
		}
		some := strings.Join(names[:min(listedRefusals, len(names))], ", ")
		if more := len(names) - listedRefusals; more > 0 {
			some += fmt.Sprintf(" and %d more", more)
		}
		fmt.Fprintf(b, "Refused: %d targets: %s: %s\n", len(names), reason, some)
	}
}

// refusal says why a target was refused, without its name, and which capability
// would permit it, or nothing.
func refusal(err error) (reason, capability string) {
	if failed, ok := errors.AsType[*scanner.Error](err); ok {
		err = failed.Err
	}
	reason = text.Clean(err.Error())
	if refused, ok := errors.AsType[*scanner.RefusedError](err); ok {
		return reason, refused.Capability // which the reason says
	}
	if errors.Is(err, fs.ErrPermission) { // of a file
		capability = "CAP_DAC_READ_SEARCH"
		reason += " (needs " + capability + ")"
	}
	return reason, capability
}

// scanDocument is the answer as JSON.
type scanDocument struct {
	Schema       int               `json:"schema"`
	PageSize     int               `json:"page_size"`
	Complete     bool              `json:"complete"`
	Areas        string            `json:"areas"`
	Sharing      uint64            `json:"max_page_sharing"`
	UseZeroPages bool              `json:"use_zero_pages"`
	Pages        uint64            `json:"pages"`
	ZeroPages    uint64            `json:"zero_pages"`
	Distinct     uint64            `json:"distinct_pages"`
	WouldSave    uint64            `json:"would_save_pages"`
	SaveBytes    int64             `json:"would_save_bytes"`
	ByZero       uint64            `json:"by_zero_pages"`
	Within       uint64            `json:"within_pages"`
	Between      uint64            `json:"between_pages"`
	Already      uint64            `json:"already_saved_pages"`
	Metadata     int64             `json:"metadata_bytes"`
	Net          int64             `json:"net_bytes"`
	Interval     *struct{}         `json:"interval"` // null: the count is exact
	Verify       *scanVerify       `json:"verify"`   // null: not asked for
	BytesRead    uint64            `json:"bytes_read"`
	Seconds      float64           `json:"seconds"`
	Skipped      map[string]uint64 `json:"skipped"`
	Refused      []scanRefusal     `json:"refused"`
	Gone         int               `json:"gone"`
	Errors       []string          `json:"errors,omitempty"`
	Groups       []scanGroup       `json:"groups"`
	Histogram    []scanBucket      `json:"histogram"`
	Contents     []scanContent     `json:"contents"`
}

type scanVerify struct {
	Complete  bool    `json:"complete"`
	Compared  uint64  `json:"compared_pages"`
	Unequal   uint64  `json:"unequal_contents"`
	Changed   uint64  `json:"changed_pages"`
	BytesRead uint64  `json:"bytes_read"`
	Seconds   float64 `json:"seconds"`
}

type scanRefusal struct {
	Target     string `json:"target"`
	Error      string `json:"error"`
	Capability string `json:"capability,omitempty"`
}

type scanGroup struct {
	Name      string  `json:"name"`
	Pages     uint64  `json:"pages"`
	Within    uint64  `json:"within_pages"`
	Between   float64 `json:"between_pages"`
	WouldSave float64 `json:"would_save_pages"`
	Metadata  int64   `json:"metadata_bytes"`
	Net       int64   `json:"net_bytes"`
}

type scanBucket struct {
	From     uint64 `json:"copies_from"`
	To       uint64 `json:"copies_to"`
	Distinct uint64 `json:"distinct"`
	Pages    uint64 `json:"pages"`
	Saved    uint64 `json:"saved_pages"`
}

type scanContent struct {
	Copies uint64      `json:"copies"`
	Class  string      `json:"class,omitempty"`
	Sample string      `json:"sample,omitempty"`
	Owners []scanOwner `json:"owners"`
	More   int         `json:"more_owners"`
}

type scanOwner struct {
	Group  string `json:"group"`
	Copies uint64 `json:"copies"`
}

// ScanJSON writes the answer as one object on one line.
func ScanJSON(w io.Writer, a *ScanAnswer) error {
	d := scanDocument{
		Schema: Schema, PageSize: a.PageSize, Complete: a.Complete, Areas: a.Areas, Sharing: a.MaxPageSharing,
		UseZeroPages: a.UseZeroPages, Pages: a.Pages, ZeroPages: a.ZeroPages, Distinct: a.Distinct,
		WouldSave: a.WouldSave, SaveBytes: a.WouldSaveBytes(), ByZero: a.ByZeroPages, Within: a.Within, Between: a.Between,
		Already: a.AlreadySaved, Metadata: a.MetadataBytes(), Net: a.NetBytes(), BytesRead: a.BytesRead, Seconds: a.Elapsed.Seconds(),
		Skipped: map[string]uint64{}, Refused: []scanRefusal{}, Gone: a.Gone, Groups: []scanGroup{}, Histogram: []scanBucket{}, Contents: []scanContent{},
	}
	for reason, pages := range a.Skipped {
		d.Skipped[reason.String()] = pages
	}
	for key, pages := range map[string]uint64{"swapped": a.SwappedPages, "hole": a.HolePages, "mapped_zero": a.MappedZeroPages} {
		if pages > 0 {
			d.Skipped[key] = pages
		}
	}
	for _, r := range a.Refused {
		reason, capability := refusal(r.Err)
		d.Refused = append(d.Refused, scanRefusal{text.Clean(r.Target), reason, capability})
	}
	if v := a.Verification; v != nil {
		d.Verify = &scanVerify{v.Complete, v.Compared, v.Unequal, v.Changed, v.BytesRead, v.Elapsed.Seconds()}
	}
	for _, err := range a.Problems {
		d.Errors = append(d.Errors, text.Clean(err.Error()))
	}
	for i := range a.Groups {
		g := &a.Groups[i]
		d.Groups = append(d.Groups, scanGroup{g.Name, g.Pages, g.Within, g.Between, g.WouldSave(), g.MetadataBytes(), g.NetBytes(a.PageSize)})
	}
	for _, h := range a.Histogram {
		d.Histogram = append(d.Histogram, scanBucket{h.CopiesFrom, h.CopiesTo, h.Distinct, h.Pages, h.Saved})
	}
	for i := range a.Top {
		c := &a.Top[i]
		content := scanContent{Copies: c.Copies, Class: string(c.Class), Owners: []scanOwner{}, More: c.More}
		if a.ShowContent && len(c.Sample) > 0 {
			content.Sample = strconv.QuoteToASCII(string(c.Sample[:min(48, len(c.Sample))]))
		}
		for _, o := range c.Owners {
			content.Owners = append(content.Owners, scanOwner{o.Group, o.Copies})
		}
		d.Contents = append(d.Contents, content)
	}
	out, err := json.Marshal(&d)
	if err != nil {
		return err
	}
	_, err = w.Write(append(out, '\n'))
	return err
}

var scanTables = []string{"groups", "histogram", "contents"}

// IsScanTable reports whether ScanCSV knows a table of that name.
func IsScanTable(name string) bool { return slices.Contains(scanTables, name) }

// ScanCSV writes one table of the answer with a header.
func ScanCSV(w io.Writer, a *ScanAnswer, table string) error {
	out := csv.NewWriter(w)
	row := func(cells ...any) {
		record := make([]string, len(cells))
		for i, cell := range cells {
			record[i] = fmt.Sprint(cell)
		}
		_ = out.Write(record) // out.Error has it
	}
	switch table {
	case "groups":
		row("name", "pages", "within_pages", "between_pages", "would_save_pages", "metadata_bytes", "net_bytes")
		for i := range a.Groups {
			g := &a.Groups[i]
			row(g.Name, g.Pages, g.Within, g.Between, g.WouldSave(), g.MetadataBytes(), g.NetBytes(a.PageSize))
		}
	case "histogram":
		row("copies_from", "copies_to", "distinct", "pages", "saved_pages")
		for _, h := range a.Histogram {
			row(h.CopiesFrom, h.CopiesTo, h.Distinct, h.Pages, h.Saved)
		}
	case "contents":
		row("copies", "class", "owners")
		for i := range a.Top {
			c := &a.Top[i]
			row(c.Copies, string(c.Class), owners(c))
		}
	}
	out.Flush()
	return out.Error()
}
