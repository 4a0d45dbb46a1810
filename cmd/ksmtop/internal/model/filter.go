package model

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// Filter says which processes are shown. The zero Filter shows all.
type Filter struct {
	PIDs []int // only these, also if they have nothing to do with KSM

	UID    uint32 // only this user's, if HasUID
	HasUID bool

	Text string // only rows with one of these words, between which there are bars
}

// ParsePIDs parses a list like "1,22,333".
func ParsePIDs(list string) ([]int, error) {
	var pids []int
	for _, word := range strings.Split(list, ",") {
		pid, err := strconv.Atoi(word)
		if err != nil || pid <= 0 || pid > 1<<30 {
			return nil, fmt.Errorf("%q: not a process id", word)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// ParseUser returns the number of a user given by name or number.
func ParseUser(name string) (uint32, error) {
	if uid, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(uid), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("%q: no such user", name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q: no such user", name)
	}
	return uint32(uid), nil
}

// shows reports whether f shows a row.
func (f *Filter) shows(r *Row) bool {
	return (!f.HasUID || r.UID == f.UID) && (len(f.PIDs) == 0 || slices.Contains(f.PIDs, r.PID)) && r.has(f.Text)
}

// Keep returns the rows that f shows, in the memory of rows.
func (f *Filter) Keep(rows []Row) []Row {
	return slices.DeleteFunc(rows, func(r Row) bool { return !f.shows(&r) })
}

// has reports whether one of the words, between which there are bars, is in
// what the row shows of a process: its number, user, name or command. There is
// no difference between small and capital letters of ASCII.
func (r *Row) has(words string) bool {
	if words == "" {
		return true
	}
	var number [20]byte
	pid := strconv.AppendInt(number[:0], int64(r.PID), 10)
	for len(words) > 0 {
		word, rest, _ := strings.Cut(words, "|")
		words = rest
		if word != "" && (containsFold(r.Command, word) || containsFold(r.Name, word) || containsFold(r.User, word) || containsFold(pid, word)) {
			return true
		}
	}
	return false
}

// containsFold reports whether word is in text, whatever the case of ASCII
// letters. It allocates nothing.
func containsFold[T ~string | ~[]byte](text T, word string) bool {
next:
	for i := 0; i+len(word) <= len(text); i++ {
		for j := range len(word) {
			if lower(text[i+j]) != lower(word[j]) {
				continue next
			}
		}
		return true
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
