package view

import (
	"testing"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// TestLayout holds the panels to their laws on all sizes: they fill the screen
// exactly, the table keeps its rows, and nothing grows when the screen shrinks.
func TestLayout(t *testing.T) {
	states := map[string]*model.State{
		"many": fixture(),
		"user": single(func(s *model.Sample) {
			s.Rows = s.Rows[7:8]
			s.Counts = model.Counts{Seen: 320, Readable: 31, Denied: 183, Registered: 1}
		}),
		"none": single(func(s *model.Sample) { s.Rows = nil }),
	}
	for name, s := range states {
		for _, w := range []int{60, 79, 80, 119, 120, 300} {
			for h := smallHeight - 4; h <= 100; h++ {
				l := layoutOf(w, h, s)
				if sum := l.top + l.middle + l.charts + l.table + l.events; sum != h {
					t.Fatalf("%s: layoutOf(%d, %d) = %+v sums to %d", name, w, h, l, sum)
				}
				if l.top == 0 {
					t.Errorf("%s: layoutOf(%d, %d) = %+v has no meters", name, w, h, l)
				}
				if l.rows() < leastRows || l.table < tableTop+l.rows()+l.notes {
					t.Errorf("%s: layoutOf(%d, %d) = %+v has %d rows", name, w, h, l, l.rows())
				}
				if bigger := layoutOf(w, h+1, s); l.charts > bigger.charts || l.middle > bigger.middle || l.top > bigger.top {
					t.Errorf("%s: layoutOf(%d, %d) = %+v, with one row more %+v", name, w, h, l, bigger)
				}
			}
		}
	}
}

func TestLayoutGivesWay(t *testing.T) {
	s := fixture()
	tests := []struct{ w, h, charts, events, middle, rows int }{
		{120, 36, 8, 6, 4, 8}, // 120x40
		{120, 33, 5, 6, 4, 8}, // charts first
		{120, 29, 4, 3, 4, 8}, // then events
		{120, 24, 4, 2, 4, 4}, // then the processes beyond three
		{120, 18, 0, 0, 4, 4}, // then charts and events as a whole
		{120, 12, 0, 0, 0, 3}, // then the pages bar
		{80, 20, 2, 3, 2, 4},  // 80x24
		{60, 12, 0, 0, 0, 4},  // 60x16
	}
	for _, tt := range tests {
		l := layoutOf(tt.w, tt.h, s)
		if l.charts != tt.charts || l.events != tt.events || l.middle != tt.middle || l.rows() != tt.rows {
			t.Errorf("layoutOf(%d, %d) = %+v with %d rows, want %+v", tt.w, tt.h, l, l.rows(), tt)
		}
	}
}
