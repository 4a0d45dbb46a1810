package model

import (
	"fmt"
	"testing"
	"time"
)

// Trends are those of the profit in virtual time, and forgotten with the process.
func TestTrends(t *testing.T) {
	var trends Trends
	for i := range 10 {
		s := at(float64(10 * i))
		for pid := 1; pid <= 3; pid++ {
			r := registered(pid, 0, fmt.Sprint("vm-", pid))
			r.Profit = int64(i * pid * 1000)
			s.Rows = append(s.Rows, r)
		}
		if i == 9 {
			s.Rows = s.Rows[:2]
		}
		trends.Fill(s)
		for k := range s.Rows {
			r := &s.Rows[k]
			if want := float64(6000 * (k + 1)); r.HasTrend != (i > 0) || r.HasTrend && r.Trend != want {
				t.Errorf("sample %d: trend of %s is %v (%t), want %v", i, r.Name, r.Trend, r.HasTrend, want)
			}
		}
	}
	if len(trends.of) != 2 {
		t.Errorf("%d processes are followed, want 2", len(trends.of))
	}
	again := at(1000)
	again.Rows = []Row{registered(1, uint64(time.Second), "another")} // with the number of one before
	trends.Fill(again)
	if again.Rows[0].HasTrend || len(trends.of) != 1 {
		t.Errorf("a new process has a trend; %d are followed", len(trends.of))
	}
}
