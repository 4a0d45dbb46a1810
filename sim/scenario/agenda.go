package scenario

import (
	"cmp"
	priority "container/heap"
	"time"
)

// Agenda has what the guests and the events of a scenario do, the next first. All
// who carry out a scenario keep the same order: of what is due at the same time,
// knobs come first, then what guests do, guests that start, and guests that end;
// among themselves they are in the order of the plans.
type Agenda struct{ list appointments }

// Appointment is something that is due at a time since the scenario began.
type Appointment struct {
	At    time.Duration
	Kind  AppointmentKind
	Index int // of the event, or of the guest's plan
}

// AppointmentKind says what is due. At equal times a smaller kind comes first.
type AppointmentKind uint8

const (
	SetKnobs AppointmentKind = iota
	StepGuest
	StartGuest
	EndGuest
)

// Never is later than every time of a scenario.
const Never = time.Duration(1<<63 - 1)

// NewAgenda returns the events and the starts of guests. Who starts a guest adds
// the rest: its steps and its end.
func NewAgenda(events []Event, plans []Plan) *Agenda {
	a := new(Agenda)
	for i := range events {
		a.Add(Appointment{events[i].At, SetKnobs, i})
	}
	for i := range plans {
		a.Add(Appointment{plans[i].Start, StartGuest, i})
	}
	return a
}

// Add adds an appointment.
func (a *Agenda) Add(x Appointment) { priority.Push(&a.list, x) }

// Next returns when the next thing is due, or Never.
func (a *Agenda) Next() time.Duration {
	if len(a.list) == 0 {
		return Never
	}
	return a.list[0].At
}

// Take removes the next thing and returns it. There must be one.
func (a *Agenda) Take() Appointment { return priority.Pop(&a.list).(Appointment) }

// appointments is a heap.
type appointments []Appointment

func (a appointments) Len() int { return len(a) }
func (a appointments) Less(i, j int) bool {
	return cmp.Or(
		cmp.Compare(a[i].At, a[j].At),
		cmp.Compare(a[i].Kind, a[j].Kind),
		cmp.Compare(a[i].Index, a[j].Index),
	) < 0
}
func (a appointments) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *appointments) Push(x any)   { *a = append(*a, x.(Appointment)) }
func (a *appointments) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
