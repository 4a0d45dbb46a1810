package scenario

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestFunctions(t *testing.T) {
	check := func(name string, x, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-14*max(1, math.Abs(want)) {
			t.Errorf("%s(%v) = %v, want %v", name, x, got, want)
		}
	}
	for i := range 10_001 {
		x := float64(i)/100 - 50
		check("exp", x, exp(x), math.Exp(x))
		check("log", exp(x), log(exp(x)), math.Log(exp(x)))
		angle := math.Pi * float64(i) / 10_000
		check("sin", angle, sin(angle), math.Sin(angle))
	}
	check("exp", -1000, exp(-1000), 0)
	for _, x := range []float64{1, 2, 3, 1000, 1 << 24} {
		if got, want := pow(x, -0.8), math.Pow(x, -0.8); !near(got, want, 1e-13) {
			t.Errorf("pow(%v, -0.8) = %v, want %v", x, got, want)
		}
	}
}

func TestPortion(t *testing.T) {
	tests := []struct {
		share   float64
		n, unit int
		want    int
	}{
		{0, 100, 1, 0}, {1, 100, 1, 100}, {1.0000001, 100, 1, 100}, {0.5, 3, 1, 2}, {0.333, 1024, 512, 512},
		{0.2, 1024, 512, 0}, {1, 1000, 512, 512},
	}
	for _, tt := range tests {
		if got := portion(tt.share, tt.n, tt.unit); got != tt.want {
			t.Errorf("portion(%v, %d, %d) = %d, want %d", tt.share, tt.n, tt.unit, got, tt.want)
		}
	}
}

// TestExponential compares the distribution with its law.
func TestExponential(t *testing.T) {
	const draws = 1_000_000
	random := newRandom(1, 9, 9, 9)
	values := make([]float64, draws)
	sum, squares := 0.0, 0.0
	for i := range values {
		values[i] = float64(exponential(&random)) / (1 << 32)
		sum += values[i]
		squares += values[i] * values[i]
	}
	if mean := sum / draws; !near(mean, 1, 0.004) {
		t.Errorf("mean = %v, want 1", mean)
	}
	if square := squares / draws; !near(square, 2, 0.012) {
		t.Errorf("mean square = %v, want 2", square)
	}
	slices.Sort(values)
	worst := 0.0
	for i, v := range values {
		worst = max(worst, math.Abs(float64(i)/draws-(1-math.Exp(-v))))
	}
	if limit := 1.95 / math.Sqrt(draws); worst > limit { // Kolmogorov-Smirnov, 0.1 %
		t.Errorf("distance from the exponential distribution = %v, want at most %v", worst, limit)
	}
}

// TestSurvivalLaw compares the mixture of rates with the law, where it holds.
func TestSurvivalLaw(t *testing.T) {
	for _, beta := range []float64{0.1, 0.29, 0.5, 0.8, 0.9, 1} {
		const tau, fastest = 20 * time.Hour, time.Minute
		mixture := survival(tau, fastest, beta)
		share := 0.0
		for _, w := range mixture {
			if w.share <= 0 || w.every < fastest || w.every > maxDuration {
				t.Errorf("beta %v: %+v", beta, w)
			}
			share += w.share
		}
		if share > 1+1e-9 || share < 0.97 {
			t.Errorf("beta %v: the shares add up to %v", beta, share)
		}
		for _, after := range []time.Duration{5 * fastest, time.Hour, 2 * time.Hour, 10 * time.Hour, 24 * time.Hour, 100 * time.Hour} {
			got := 1 - share
			for _, w := range mixture {
				got += w.share * math.Exp(-after.Seconds()/w.every.Seconds())
			}
			want := math.Exp(-math.Pow(after.Seconds()/tau.Seconds(), beta))
			if math.Abs(got-want) > 0.005 {
				t.Errorf("beta %v: unchanged after %v: %.4f, want %.4f", beta, after, got, want)
			}
		}
	}
}

func TestSurvivalFastest(t *testing.T) {
	for _, beta := range []float64{0.5, 1} {
		if got := survival(time.Second, time.Minute, beta)[0]; got.every != time.Minute || got.share < 0.8 {
			t.Errorf("beta %v: the first rate is %+v, want most pages once a minute", beta, got)
		}
	}
}
