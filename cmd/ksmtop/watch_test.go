package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

// The family of a program: those it started, those these started, also when
// parents have gone, and nobody who got a number of theirs.
func TestWatchFamily(t *testing.T) {
	w := &watch{root: 100, family: map[int]uint64{}}
	for i, step := range []struct {
		processes []string // PID PPID START
		want      []int
	}{
		{[]string{"1 0 1", "50 1 2"}, nil},
		{[]string{"1 0 1", "100 50 10", "50 1 2"}, []int{100}},
		{[]string{"1 0 1", "100 50 10", "101 100 11", "102 101 12", "200 1 13"}, []int{100, 101, 102}},
		// Numbers wrapped: children have smaller ones, and theirs smaller yet.
		{[]string{"3 7 20", "7 102 19", "100 50 10", "101 100 11", "102 101 12"}, []int{3, 7, 100, 101, 102}},
		// 101 ended; its child stays, under another parent.
		{[]string{"1 0 1", "3 7 20", "7 102 19", "100 50 10", "102 1 12"}, []int{3, 7, 100, 102}},
		// The number 101 is a stranger's now, who has a child.
		{[]string{"7 102 19", "100 50 10", "101 1 30", "102 1 12", "103 101 31"}, []int{7, 100, 102}},
		// And so is 102, whose child 7 stays all the same.
		{[]string{"7 1 19", "100 50 10", "102 1 40", "104 102 41"}, []int{7, 100}},
	} {
		w.list.List = w.list.List[:0]
		for _, text := range step.processes {
			var p sysfs.Process
			if _, err := fmt.Sscan(text, &p.PID, &p.PPID, &p.Start); err != nil {
				t.Fatal(err)
			}
			w.list.List = append(w.list.List, p)
		}
		w.adopt()
		var got []int
		for i := range w.list.List {
			if _, ok := w.family[w.list.List[i].PID]; ok {
				got = append(got, w.list.List[i].PID)
			}
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d: family %v, want %v", i, got, step.want)
		}
	}
}
