package view

import (
	"reflect"
	"testing"

	"github.com/ksmtop/ksmtop/internal/text"
)

func env(m map[string]string) func(string) string { return func(name string) string { return m[name] } }

func TestDetectLevel(t *testing.T) {
	type vars = map[string]string
	tests := []struct {
		name  string
		ascii bool
		env   vars
		want  Level
	}{
		{"nothing set", false, vars{}, LevelASCII},
		{"utf-8", false, vars{"LANG": "en_US.UTF-8"}, LevelBraille},
		{"utf8", false, vars{"LANG": "de_DE.utf8@euro"}, LevelBraille},
		{"c.utf-8", false, vars{"LC_CTYPE": "C.UTF-8"}, LevelBraille},
		{"no language", false, vars{"LC_CTYPE": "UTF-8"}, LevelBraille},
		{"flag", true, vars{"LANG": "en_US.UTF-8"}, LevelASCII},
		{"latin 1", false, vars{"LANG": "de_DE.ISO-8859-1"}, LevelASCII},
		{"no charset", false, vars{"LANG": "de_DE"}, LevelASCII},
		{"lc_all wins", false, vars{"LC_ALL": "C", "LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"}, LevelASCII},
		{"lc_ctype wins", false, vars{"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"}, LevelBraille},
		{"console", false, vars{"LANG": "C.UTF-8", "TERM": "linux"}, LevelBlocks},
		{"console in C", false, vars{"LANG": "C", "TERM": "linux"}, LevelASCII},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := DetectLevel(tt.ascii, env(tt.env)); got != tt.want {
				t.Errorf("DetectLevel(%t, %v) = %d, want %d", tt.ascii, tt.env, got, tt.want)
			}
		})
	}
}

func TestDetectDepth(t *testing.T) {
	type vars = map[string]string
	tests := []struct {
		flag string
		env  vars
		want Depth
		bad  bool
	}{
		{"never", vars{"TERM": "xterm-256color"}, DepthMono, false},
		{"16", vars{"TERM": "xterm-256color"}, Depth16, false},
		{"256", vars{"NO_COLOR": "1"}, Depth256, false},
		{"true", vars{"TERM": "dumb"}, DepthTrue, false},
		{"yes", vars{}, DepthMono, true},
		{"", vars{"NO_COLOR": "1", "TERM": "xterm-256color"}, DepthMono, false},
		{"", vars{"NO_COLOR": "", "TERM": "xterm-256color"}, Depth256, false},
		{"", vars{}, DepthMono, false},
		{"", vars{"TERM": "dumb", "COLORTERM": "truecolor"}, DepthMono, false},
		{"", vars{"TERM": "vt220"}, DepthMono, false},
		{"", vars{"TERM": "xterm"}, Depth16, false},
		{"", vars{"TERM": "linux", "COLORTERM": "truecolor"}, Depth16, false},
		{"", vars{"TERM": "screen-256color"}, Depth256, false},
		{"", vars{"TERM": "xterm", "COLORTERM": "24bit"}, DepthTrue, false},
		{"", vars{"TERM": "xterm-kitty"}, DepthTrue, false},
		{"", vars{"TERM": "xterm-direct"}, DepthTrue, false},
	}
	for _, tt := range tests {
		got, err := DetectDepth(tt.flag, env(tt.env))
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("DetectDepth(%q, %v) = %d, %v, want %d, error %t", tt.flag, tt.env, got, err, tt.want, tt.bad)
		}
	}
}

func TestGlyphs(t *testing.T) {
	for level := range numLevels {
		v := reflect.ValueOf(glyphSets[level])
		if got := glyphSets[level].Level; got != level {
			t.Errorf("level %d says it is %d", level, got)
		}
		for i := 1; i < v.NumField(); i++ {
			name, s := v.Type().Field(i).Name, v.Field(i).String()
			want := 1
			switch {
			case level == LevelASCII && (name == "Full" || name == "LowerHalf" || name == "TopHalf"):
				want = 0
			case len(name) > 4 && name[:4] == "Tree":
				want = 2
			}
			if text.Width(s) != want || text.Clean(s) != s {
				t.Errorf("level %d: %s = %q, want %d cells", level, name, s, want)
			}
			if level == LevelASCII && text.ASCII(s) != s {
				t.Errorf("level ascii: %s = %q", name, s)
			}
		}
	}
}
