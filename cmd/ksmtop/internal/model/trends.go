package model

// Trends follows the profit of simulated processes, as Live does that of real ones.
// The zero value is ready for use.
type Trends struct{ of map[process]*trend }

// Fill gives the rows of a sample their trends. It is called for each sample, in
// order.
func (t *Trends) Fill(s *Sample) {
	if t.of == nil {
		t.of = make(map[process]*trend)
	}
	for i := range s.Rows {
		r := &s.Rows[i]
		if !r.HasProfit() {
			continue
		}
		followed := t.of[r.id()]
		if followed == nil {
			followed = &trend{}
			t.of[r.id()] = followed
		}
		r.Trend, r.HasTrend = followed.next(s.Time, r.Profit)
	}
	if len(t.of) <= len(s.Rows) {
		return
	}
	for p := range t.of {
		if s.rowOf(p) == nil { // it has ended
			delete(t.of, p)
		}
	}
}
