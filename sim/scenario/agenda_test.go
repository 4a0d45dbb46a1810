package scenario

import (
	"slices"
	"testing"
	"time"
)

func TestAgendaOrder(t *testing.T) {
	events := []Event{{At: time.Second}, {At: 0}}
	plans := []Plan{{Start: time.Second}, {Start: 0}, {Start: time.Second}}
	a := NewAgenda(events, plans)
	a.Add(Appointment{time.Second, EndGuest, 1})
	a.Add(Appointment{time.Second, StepGuest, 2})
	a.Add(Appointment{time.Second, StepGuest, 1})
	var got []Appointment
	for a.Next() != Never {
		if at := a.Next(); at != a.list[0].At {
			t.Errorf("Next() = %v", at)
		}
		got = append(got, a.Take())
	}
	want := []Appointment{
		{0, SetKnobs, 1}, {0, StartGuest, 1},
		{time.Second, SetKnobs, 0}, {time.Second, StepGuest, 1}, {time.Second, StepGuest, 2},
		{time.Second, StartGuest, 0}, {time.Second, StartGuest, 2}, {time.Second, EndGuest, 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
}
