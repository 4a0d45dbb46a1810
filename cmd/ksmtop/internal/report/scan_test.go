package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner"
)

// scanAnswer is one with something of everything in it.
func scanAnswer() *ScanAnswer {
	return &ScanAnswer{
		Areas: "auto", MaxPageSharing: 256, ShowContent: true, AlreadySaved: 100,
		Report: &scanner.Report{
			PageSize: 4096, Pages: 3000, ZeroPages: 500, Distinct: 1000, WouldSave: 1990, ByZeroPages: 498, Within: 1900, Between: 90,
			Items: 3000, SwappedPages: 7, HolePages: 8, MappedZeroPages: 9, Gone: 2,
			Skipped: map[scanner.Reason]uint64{scanner.ReasonShared: 11, scanner.ReasonFile: 12},
			Refused: []scanner.Refusal{{Target: "pid 5", Err: errors.New("permission \x1b[2J denied")}}, Problems: []error{errors.New("short")},
			Groups: []scanner.Group{
				{Name: "a", Pages: 2800, Within: 1900, Between: 45.5, Items: 2800},
				{Name: "b", Pages: 200, Between: 0.5, Items: 200},
			},
			Histogram: []scanner.Bucket{{CopiesFrom: 1, CopiesTo: 1, Distinct: 900, Pages: 900}, {CopiesFrom: 2, CopiesTo: 2}, {CopiesFrom: 3, CopiesTo: 4, Distinct: 100, Pages: 350, Saved: 250}},
			Top:       []scanner.Content{{Copies: 500, Class: scanner.ClassZero}, {Copies: 4, Class: scanner.ClassOther, Sample: []byte("\x1b[31msecret"), Owners: []scanner.Owner{{Group: "a", Copies: 4}}, More: 1}},
			BytesRead: 3000 * 4096, Elapsed: time.Second,
			Verification: &scanner.Verification{Complete: true, Compared: 2090, Unequal: 3, Changed: 10, BytesRead: 5000, Elapsed: time.Second},
		},
	}
}

func TestScanText(t *testing.T) {
	var out bytes.Buffer
	if err := Scan(&out, scanAnswer()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Merging would save 7.77 MiB of 11.7 MiB (66.3 %), net 7.59 MiB (partial: not everything was read).\n",
		"Already    400 KiB     saved now\n",
		"b   costs more than it gains\n",
		"3-4                         100             350    1000 KiB\n",
		"              4 other    a, and 1 more\n",
		`"\x1b[31msecret"`,
		"Refused: pid 5: permission \ufffd[2J denied\n",
		"2 processes ended before they were read.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Errorf("an escape sequence in %q", out.String())
	}
}

// One of a thing is named in the singular.
func TestScanOfOne(t *testing.T) {
	a := &ScanAnswer{MaxPageSharing: 256, Report: &scanner.Report{
		PageSize: 4096, Pages: 1, ZeroPages: 1, Distinct: 1, WouldSave: 1, Items: 1, Gone: 1,
		Verification: &scanner.Verification{Complete: true, Compared: 1},
	}}
	var out bytes.Buffer
	if err := Scan(&out, a); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		" 1 page, 1 different content, 1 page of zeros\n", " 1 page, with max_page_sharing ", " 1 tracked page, 64 bytes",
		" 1 page compared byte by byte, ", "\n1 process ended before it was read.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestScanVerification(t *testing.T) {
	for _, tt := range []struct {
		v    scanner.Verification
		want string
	}{
		{scanner.Verification{Complete: true, Compared: 2090}, "Verified   2 090 pages compared byte by byte, all equal\n"},
		{scanner.Verification{Complete: true, Compared: 2, Unequal: 1}, "Verified   2 pages compared byte by byte, 1 content was taken for another\n"},
		{scanner.Verification{Compared: 9, Unequal: 3, Changed: 10}, "Verified   9 pages compared byte by byte, 3 contents were taken for others; 10 had changed or were gone (interrupted)\n"},
	} {
		a := scanAnswer()
		a.Verification = &tt.v
		var out bytes.Buffer
		if err := Scan(&out, a); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "\n"+tt.want) {
			t.Errorf("%+v: no %q in\n%s", tt.v, tt.want, out.String())
		}
	}
}

// What was refused takes a line for each reason, however many targets there are.
func TestScanRefused(t *testing.T) {
	needs := &scanner.RefusedError{Capability: "CAP_SYS_PTRACE", Err: syscall.EACCES}
	a := scanAnswer()
	a.Refused = []scanner.Refusal{{Target: "dump", Err: &scanner.Error{Op: "open", Name: "file dump", Err: syscall.EACCES}}}
	for pid := 1; pid <= 2000; pid++ {
		name := fmt.Sprint("pid ", pid)
		a.Refused = append(a.Refused, scanner.Refusal{Target: name, Err: &scanner.Error{Op: "open", Name: name, Err: needs}})
	}
	var out bytes.Buffer
	if err := Scan(&out, a); err != nil {
		t.Fatal(err)
	}
	want := "Refused: dump: permission denied (needs CAP_DAC_READ_SEARCH)\n" +
		"Refused: 2000 targets: permission denied (needs CAP_SYS_PTRACE): pid 1, pid 2, pid 3, pid 4, pid 5, pid 6, pid 7, pid 8 and 1992 more\n"
	if _, got, _ := strings.Cut(out.String(), "Refused: "); !strings.HasPrefix("Refused: "+got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	out.Reset()
	if err := ScanJSON(&out, a); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"target":"dump","error":"permission denied (needs CAP_DAC_READ_SEARCH)","capability":"CAP_DAC_READ_SEARCH"}`,
		`{"target":"pid 2000","error":"permission denied (needs CAP_SYS_PTRACE)","capability":"CAP_SYS_PTRACE"}`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in the JSON", want)
		}
	}
}

// Every member of the JSON is in the documentation.
func TestScanJSONIsDocumented(t *testing.T) {
	content, err := os.ReadFile("../../../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n## ksmtop scan")
	var out bytes.Buffer
	if err := ScanJSON(&out, scanAnswer()); err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	var check func(value any)
	check = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, inner := range value {
				if !strings.Contains(section, "`"+name+"`") {
					t.Errorf("%s is not in docs/json.md", name)
				}
				check(inner)
			}
		case []any:
			for _, inner := range value {
				check(inner)
			}
		}
	}
	check(d)
	if interval, ok := d["interval"]; !ok || interval != nil {
		t.Errorf("interval is %v, want null", interval)
	}
}

func TestScanCSV(t *testing.T) {
	for _, table := range scanTables {
		var out bytes.Buffer
		if err := ScanCSV(&out, scanAnswer(), table); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) < 3 {
			t.Errorf("%s: %d rows, %v", table, len(rows), err)
		}
		if slices.Contains(rows[0], "") {
			t.Errorf("%s: header %q", table, rows[0])
		}
	}
}
