package main

import (
	"testing"

	"github.com/ksmtop/ksmtop/sysfs"
)

func TestSettling(t *testing.T) {
	type look struct {
		fullScans, sharing uint64
		zero               int64
	}
	for _, tt := range []struct {
		name    string
		percent float64
		scans   uint64
		looks   []look
		want    int // index of the look at which it has settled, -1 for never
	}{
		{"nothing to merge", 1, 2, []look{{0, 0, 0}, {1, 0, 0}, {2, 0, 0}}, 2},
		{"no scan ends", 1, 2, []look{{5, 10, 0}, {5, 20, 0}, {5, 30, 0}}, -1},
		{"the first scan gains nothing yet", 1, 2, []look{{0, 0, 0}, {1, 0, 0}, {2, 900, 0}, {3, 1000, 0}, {4, 1000, 0}, {5, 1000, 0}}, 5},
		{"one scan is enough", 1, 1, []look{{0, 0, 0}, {1, 0, 0}}, 1},
		{"many scans at one look", 1, 2, []look{{0, 100, 0}, {50, 100, 0}}, 1},
		{"a gain spread over many scans", 1, 2, []look{{0, 100, 0}, {50, 140, 0}}, 1},
		{"gains of more than a percent", 1, 2, []look{{0, 100, 0}, {1, 110, 0}, {2, 120, 0}, {3, 130, 0}}, -1},
		{"of just a percent", 1, 2, []look{{0, 9900, 0}, {1, 10000, 0}, {2, 10100, 0}}, 2},
		{"of no more than nothing", 0, 2, []look{{0, 100, 0}, {1, 101, 0}, {2, 101, 0}, {3, 101, 0}}, 3},
		{"losses count as well", 1, 2, []look{{0, 100, 0}, {1, 50, 0}, {2, 50, 0}, {3, 50, 0}}, 3},
		{"zero pages count", 1, 2, []look{{0, 0, 0}, {1, 0, 500}, {2, 0, 500}, {3, 0, 500}}, 3},
		{"zero pages below zero", 1, 1, []look{{0, 0, -5}, {1, 0, -7}}, 1},
		{"run=2 in between", 1, 2, []look{{9, 100, 0}, {10, 100, 0}, {0, 0, 0}, {1, 0, 0}, {2, 50, 0}, {3, 50, 0}, {4, 50, 0}}, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := settling{percent: tt.percent, scans: tt.scans}
			got := -1
			for i, l := range tt.looks {
				c := sysfs.Counters{FullScans: l.fullScans, PagesSharing: sysfs.Pages(l.sharing), KSMZeroPages: sysfs.SignedPages(l.zero)}
				if s.take(&c) {
					got = i
					break
				}
			}
			if got != tt.want {
				t.Errorf("settled at look %d of %v, want %d", got, tt.looks, tt.want)
			}
		})
	}
}
