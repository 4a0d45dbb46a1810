package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/sysfs"
)

// busySample returns a sample of a machine where ksmd scans, in which nothing is
// wrong: it has saved 1 GiB, and 5 of its processes take part.
func busySample(second int) *Sample {
	s := at(float64(second))
	s.Reading.Knobs.Run = sysfs.RunScan
	s.Reading.Counters.PagesScanned = sysfs.Pages(1000 * second)
	s.Savings, s.HasSavings = sysfs.Savings{SavedBytes: 1 << 30, NetBytes: 1 << 29}, true
	s.Rates = sysfs.Rates{HasBrokenPerSecond: true, BrokenPerSecond: 10, HasKSMDPercent: true, KSMDPercent: 40}
	s.Reading.Host.HasSwapinCopy = true
	for pid := 1; pid <= 5; pid++ {
		s.Rows = append(s.Rows, registeredRow(pid, 1000))
	}
	s.Counts = Counts{Seen: 100, Readable: 90, Registered: 5}
	return s
}

func TestAnomalies(t *testing.T) {
	between := func(from, to int, change func(*Sample)) func(int, *Sample) {
		return func(second int, s *Sample) {
			if second >= from && second < to {
				change(s)
			}
		}
	}
	tests := []struct {
		name   string
		change func(second int, s *Sample)
		want   []string
	}{
		{"nothing", func(int, *Sample) {}, nil},
		{"a burst", between(11, 21, func(s *Sample) { s.Rates.BrokenPerSecond = 1000 }),
			[]string{"! copies on write gave back 39.1 MiB in 10 s"}},
		{"a burst of 30 s", between(11, 41, func(s *Sample) { s.Rates.BrokenPerSecond = 1000 }),
			[]string{"! copies on write gave back 117 MiB in 30 s"}},
		{"two bursts", func(second int, s *Sample) {
			if second%20 > 10 {
				s.Rates.BrokenPerSecond = 1000
			}
		}, []string{"! copies on write gave back 35.2 MiB in 10 s", "! copies on write gave back 35.2 MiB in 10 s", "! copies on write gave back 35.2 MiB in 10 s"}},
		{"a burst of one process", func(second int, s *Sample) {
			if second > 12 {
				s.Rows[2].KSM.MergingPages = 100
			}
			if second > 10 && second <= 20 {
				s.Rates.BrokenPerSecond = 500
			}
		}, []string{"! copies on write gave back 19.5 MiB in 10 s"}},
		{"a burst that one process suffered", func(second int, s *Sample) {
			if second > 12 {
				s.Rows[2].KSM.MergingPages = 100
			} else {
				s.Rows[2].KSM.MergingPages = 5000
			}
			if second > 10 && second <= 20 {
				s.Rates.BrokenPerSecond = 500
			}
		}, []string{"! copies on write gave back 19.5 MiB in 10 s: 3 p3 lost 19.1 MiB"}},
		{"little of much", between(11, 41, func(s *Sample) { s.Rates.BrokenPerSecond, s.Savings.SavedBytes = 1000, 1<<40 }), nil},
		{"unmerged", func(second int, s *Sample) {
			if s.Reading.Knobs.Run = sysfs.RunUnmerge; second > 10 {
				s.Rates.BrokenPerSecond = 1e6
			}
		}, nil},
		{"swapped", func(second int, s *Sample) { s.Reading.Host.SwapinCopy = uint64(max(0, min(second, 25)-10) * 100) },
			[]string{"! merged memory is swapped: 5.86 MiB copied on its way back in 20 s"}},
		{"stuck", func(second int, s *Sample) { s.Reading.Counters.PagesScanned = sysfs.Pages(min(second, 10)) },
			[]string{"! run is 1, but ksmd has not looked at a page for 50 s"}},
		{"stopped", func(_ int, s *Sample) { s.Reading.Knobs.Run, s.Reading.Counters.PagesScanned = sysfs.RunStop, 7 }, nil},
		{"long sleeps", func(second int, s *Sample) {
			s.Reading.Knobs.SleepMillisecs, s.Reading.Counters.PagesScanned = 60000, sysfs.Pages(second/60)
		}, nil},
		{"busy", between(11, 31, func(s *Sample) { s.Rates.KSMDPercent = 97 }),
			[]string{"! ksmd uses 97% of a CPU", "  ksmd uses 40% of a CPU again"}},
		{"less busy is busy still", func(second int, s *Sample) {
			if s.Rates.KSMDPercent = 95; second > 20 {
				s.Rates.KSMDPercent = 75
			}
		}, []string{"! ksmd uses 95% of a CPU"}},
		{"negative", between(20, 30, func(s *Sample) { s.Savings.NetBytes = -5 << 20 }),
			[]string{"! metadata costs more than merging saves: -5.00 MiB net", "  merging saves more than its metadata costs again: 512 MiB net"}},
		{"hidden", between(20, 30, func(s *Sample) { s.NoKSM = errors.New("permission denied") }),
			[]string{"! KSM cannot be looked at any more: permission denied", "  KSM can be looked at again"}},
		{"the clock goes back", func(second int, s *Sample) {
			if second > 30 {
				s.Time = s.Time.Add(-time.Hour)
			}
		}, nil},
	}
	for _, tt := range tests {
		var e Events
		var p Passes
		for second := range 61 {
			s := busySample(second)
			tt.change(second, s)
			e.take(s, &p, 0)
		}
		var got []string
		for i := e.Len() - 1; i >= 0; i-- {
			mark := "  "
			if e.Latest(i).Problem {
				mark = "! "
			}
			got = append(got, mark+e.Latest(i).Text)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// TestOpenEvent goes from events to their moments and back.
func TestOpenEvent(t *testing.T) {
	s := withPast(20) // each sample has another process than the one before
	s.Key("7")
	s.Key("/")
	for _, key := range "12 p12 takes part" {
		if key == ' ' {
			s.Key("Space")
		} else {
			s.Key(string(key))
		}
	}
	s.Key("Enter")
	s.Key("Enter")
	if s.View != Overview || !s.Paused || s.Sample.Savings.NetBytes != 11 || s.Message != "" {
		t.Errorf("view %d, paused %t, sample %d, message %q, want the Overview of sample 11", s.View, s.Paused, s.Sample.Savings.NetBytes, s.Message)
	}
	if r := s.SelectedRow(); r == nil || r.PID != 12 {
		t.Errorf("selected is %+v, want process 12", r)
	}
	s.Key("Esc")
	if s.View != EventList || !s.Paused {
		t.Errorf("view %d, paused %t after Esc, want the events, still paused", s.View, s.Paused)
	}
	s.Key("Esc")
	if s.Paused {
		t.Error("Esc again does not lead to the present")
	}
}
