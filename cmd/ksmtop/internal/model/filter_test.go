package model

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParsePIDs(t *testing.T) {
	for _, tt := range []struct {
		list string
		want []int // nil for an error
	}{
		{"1", []int{1}},
		{"1,22,333", []int{1, 22, 333}},
		{"7,7", []int{7, 7}},
		{"1073741824", []int{1 << 30}},
		{"", nil}, {",", nil}, {"1,", nil}, {"0", nil}, {"-1", nil}, {"1073741825", nil}, {"99999999999999999999", nil},
		{"x", nil}, {"1 ,2", nil}, {"0x10", nil},
	} {
		got, err := ParsePIDs(tt.list)
		if (err != nil) != (tt.want == nil) || !slices.Equal(got, tt.want) {
			t.Errorf("ParsePIDs(%q) = %v, %v, want %v", tt.list, got, err, tt.want)
		}
	}
}

func FuzzParsePIDs(f *testing.F) {
	for _, list := range []string{"", "1,2", "1,,2", "+1", "-0", "1_0", "٣"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		pids, err := ParsePIDs(list)
		if err != nil {
			if pids != nil {
				t.Errorf("ParsePIDs(%q) = %v with error %v", list, pids, err)
			}
			return
		}
		var words []string
		for _, pid := range pids {
			if pid <= 0 || pid > 1<<30 {
				t.Errorf("ParsePIDs(%q) has pid %d", list, pid)
			}
			words = append(words, strconv.Itoa(pid))
		}
		again, err := ParsePIDs(strings.Join(words, ","))
		if err != nil || !slices.Equal(again, pids) {
			t.Errorf("ParsePIDs(%q) = %v, but of that %v, %v", list, pids, again, err)
		}
	})
}

func TestParseUser(t *testing.T) {
	if got, err := ParseUser("4294967295"); err != nil || got != 4294967295 {
		t.Errorf("ParseUser(4294967295) = %d, %v", got, err)
	}
	for _, name := range []string{"", "4294967296", "-1", "no such user", "no\x1b[2Jsuch"} {
		if got, err := ParseUser(name); err == nil {
			t.Errorf("ParseUser(%q) = %d, want an error", name, got)
		} else if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("ParseUser(%q): the error shows it as it is: %q", name, err)
		}
	}
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		t.Skip("this user has no name:", err)
	}
	if got, err := ParseUser(u.Username); err != nil || got != uint32(os.Geteuid()) {
		t.Errorf("ParseUser(%q) = %d, %v, want %d", u.Username, got, err, os.Geteuid())
	}
}

func TestFilterKeep(t *testing.T) {
	all := func() []Row {
		var rows []Row
		for pid := 1; pid <= 4; pid++ {
			row := registered(pid, 1, "x")
			row.UID = uint32(pid % 2)
			rows = append(rows, row)
		}
		return rows
	}
	for _, tt := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "[1 2 3 4]"},
		{Filter{PIDs: []int{4, 2, 9}}, "[2 4]"},
		{Filter{HasUID: true}, "[2 4]"}, // root
		{Filter{HasUID: true, UID: 1}, "[1 3]"},
		{Filter{HasUID: true, UID: 1, PIDs: []int{2, 3}}, "[3]"},
		{Filter{UID: 1}, "[1 2 3 4]"},
	} {
		var got []int
		for _, row := range tt.filter.Keep(all()) {
			got = append(got, row.PID)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%+v keeps %v, want %s", tt.filter, got, tt.want)
		}
	}
}
