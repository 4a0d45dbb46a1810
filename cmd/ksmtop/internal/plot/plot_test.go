package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/*.svg")

// example is a chart with all that there is: two panels, values below zero, a
// legend of several lines, dashes and a line of one point.
func example() *Chart {
	line := func(name string, color int, dashed bool, value func(i int) float64) Series {
		s := Series{Name: name, Color: color, Dashed: dashed}
		for i := range 13 {
			s.Points = append(s.Points, Point{time.Duration(i) * 10 * time.Minute, value(i)})
		}
		return s
	}
	grow := func(most float64) func(int) float64 {
		return func(i int) float64 { return most * (1 - math.Exp2(-float64(i)/3)) }
	}
	net := func(i int) float64 { return grow(3<<30)(i) - 600<<20 }
	return &Chart{
		Title: "SIM same-os", Note: "sixteen machines <with> the same system & different work", End: 2 * time.Hour,
		Panels: []Panel{
			{"memory, SIM", Bytes, []Series{
				line("A saved", 0, false, grow(3<<30)), line("A net", 0, true, net),
				line("B pages_to_scan=1000, use_zero_pages=1 saved", 1, false, grow(3.5*(1<<30))),
				line("B pages_to_scan=1000, use_zero_pages=1 net", 1, true, grow(3.2*(1<<30))),
			}},
			{"ksmd, SIM", Percent, []Series{
				line("A CPU", 0, false, func(i int) float64 { return 2 + float64(i%3) }),
				{Name: "B CPU", Color: 1, Points: []Point{{time.Minute, 12.5}}},
			}},
		},
	}
}

func draw(t *testing.T, c *Chart) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	const file = "testdata/example.svg"
	got := draw(t, example())
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the chart is not that of %s:\n%s", file, got)
	}
	checkPicture(t, got)
}

var coordinates = regexp.MustCompile(`[-0-9.]+`)

// checkPicture checks that a picture is XML, needs nothing from elsewhere, and
// that everything is inside of it and no label on another one.
func checkPicture(t *testing.T, picture string) {
	t.Helper()
	if strings.Contains(strings.Replace(picture, `xmlns="http://www.w3.org/2000/svg"`, "", 1), "//") {
		t.Error("the picture refers to something elsewhere")
	}
	height := 0.0
	type span struct{ from, to float64 }
	labels := make(map[string][]span) // by line
	var attributes map[string]string
	inside := func(what string, x, y float64) {
		if !(x >= 0 && x <= width && y >= 0 && y <= height) {
			t.Errorf("%s is at %g %g, outside of %d x %g", what, x, y, width, height)
		}
	}
	f := func(s string) float64 {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			attributes = map[string]string{}
			for _, a := range e.Attr {
				attributes[a.Name.Local] = a.Value
			}
			switch e.Name.Local {
			case "svg":
				height = f(attributes["height"])
			case "path":
				if d := attributes["d"]; !strings.ContainsAny(d, "HVvh") {
					n := coordinates.FindAllString(d, -1)
					for i := 0; i+1 < len(n); i += 2 {
						inside(d, f(n[i]), f(n[i+1]))
					}
				}
			}
		case xml.CharData:
			words := strings.TrimSpace(string(e))
			if words == "" || attributes["x"] == "" {
				continue
			}
			x, size := f(attributes["x"]), 6.5*float64(len([]rune(words)))
			switch attributes["class"] {
			case "value":
				x -= size
			case "time":
				x -= size / 2
			}
			inside(words, x, f(attributes["y"]))
			inside(words, x+size, f(attributes["y"]))
			for _, other := range labels[attributes["y"]] {
				if x < other.to && x+size > other.from {
					t.Errorf("%q is on another label", words)
				}
			}
			labels[attributes["y"]] = append(labels[attributes["y"]], span{x, x + size})
		}
	}
}

// Whatever the length and the values are, the picture is good.
func TestScales(t *testing.T) {
	for _, unit := range []Unit{Bytes, Percent} {
		for _, value := range []float64{0, 0.003, 1, 99, 1000, 1023, 1 << 20, 3e9, 1 << 44} {
			if unit == Percent && value > 1000 {
				continue
			}
			for end := 4 * time.Millisecond; end < 10000*time.Hour; end = end * 13 / 9 {
				p := Panel{"panel", unit, []Series{{Name: "line", Points: []Point{{0, -value / 7}, {end, value}}}}}
				if unit == Percent {
					p.Series[0].Points[0].Value = 0
				}
				picture := draw(t, &Chart{Title: "title", End: end, Panels: []Panel{p}})
				checkPicture(t, picture)
				grid, times := strings.Count(picture, `class="grid"`), strings.Count(picture, `class="time"`)
				if grid < 2 || grid > 9 || times < 3 || times > 9 {
					t.Errorf("value %g, end %v: %d lines and %d times", value, end, grid, times)
				}
				if t.Failed() {
					t.Fatalf("value %g, end %v", value, end)
				}
			}
		}
	}
}

// An empty chart is a picture too, and names can do no harm.
func TestEmptyAndHostile(t *testing.T) {
	checkPicture(t, draw(t, &Chart{}))
	checkPicture(t, draw(t, &Chart{Title: "x", Panels: []Panel{{Title: "y"}}}))
	hostile := "</text><script>a\"'&\xff"
	picture := draw(t, &Chart{Title: hostile, Note: hostile, Panels: []Panel{{Title: hostile, Series: []Series{{Name: hostile}}}}})
	checkPicture(t, picture)
	if strings.Contains(picture, "<script") {
		t.Errorf("a name is not escaped: %s", picture)
	}
}

func TestLabels(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{timeLabel(0), "0"},
		{timeLabel(90 * time.Minute), "1 h 30 min"},
		{timeLabel(1500 * time.Millisecond), "1 s 500 ms"},
		{timeLabel(50 * time.Hour), "2 d 2 h"},
		{(&Panel{}).label(0, 1), "0 B"},
		{(&Panel{}).label(-512<<20, 512<<20), "-512 MiB"},
		{(&Panel{}).label(1.5*(1<<30), 512<<20), "1.5 GiB"},
		{(&Panel{Unit: Percent}).label(3*0.2, 0.2), "0.6 %"},
		{fmt.Sprint(niceStep(7, 10), niceStep(7, 2), niceStep(8, 2), niceStep(0.03, 10)), "10 8 8 0.05"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("full")

func TestWriteError(t *testing.T) {
	if err := Write(failing{}, example()); !errors.Is(err, errFull) {
		t.Errorf("Write() = %v, want %v", err, errFull)
	}
}

func ExampleWrite() {
	c := Chart{Title: "saved", End: time.Minute, Panels: []Panel{{Title: "memory", Unit: Bytes, Series: []Series{
		{Name: "saved", Points: []Point{{0, 0}, {time.Minute, 1 << 20}}},
	}}}}
	var b strings.Builder
	if err := Write(&b, &c); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(b.String(), `<path class="c0" d="M84 270L760 70"/>`))
	// Output: true
}
