package scenario

import (
	"math"
	"time"
)

// Memory does not change at one rate. Of the pages of virtual machines about 0.6
// are the same after two hours and 0.35 after a day; no exponential law does that,
// but the stretched one does:
//
//	S(t) = exp(-(t/tau)^beta)
//
// It is what a mixture of exponential laws gives, in which each page has a rate of
// its own for ever. Measured in 1/tau the rates have the one-sided stable
// distribution of index beta, whose Laplace transform is exp(-s^beta). So nothing
// needs to be known of a page but where it lies: the class is divided into ranges
// of pages with rates that grow by rateStep, each as large as the distribution
// says. That the rates are steps changes S(t) by less than 0.005.
//
// The distribution is heavy-tailed: of its fastest pages there are few, but they
// would be rewritten without end. So there is a fastest rate, below which the law
// does not hold; from about three times that time on it does.

const (
	rateStep       = 1.5
	angles         = 400 // steps of the integral over the angle
	negligibleRate = 1e-6
)

// survival returns the mixture of exponential laws, fastest rates first.
func survival(tau, fastest time.Duration, beta float64) []write {
	if beta == 1 {
		return []write{{share: 1, every: max(tau, fastest)}}
	}
	rate := stableRates(beta)
	var writes []write
	slower, every := 1.0, fastest // the share of pages at this rate and slower ones
	edge := float64(tau) / float64(fastest)
	for slower > negligibleRate && every < maxDuration {
		share := slower
		if next := float64(every) * rateStep; next < float64(maxDuration) {
			share -= rate(edge)
		}
		writes = append(writes, write{share: share, every: every})
		slower -= share
		// The pages between two edges are rewritten at the rate in the middle.
		if len(writes) == 1 {
			every = time.Duration(float64(every) * math.Sqrt(rateStep))
		} else {
			every = time.Duration(float64(every) * rateStep)
		}
		edge /= rateStep
	}
	return writes
}

// stableRates returns the distribution function of the one-sided stable law of
// index beta, which is below 1. In Kanter's representation a variable of that law
// is (a(u)/w)^((1-beta)/beta), with an angle u uniform in 0 to pi and an
// exponential w; the probability that it is at most s is the mean of
// exp(-a(u) s^(-beta/(1-beta))).
func stableRates(beta float64) func(s float64) float64 {
	var a [angles]float64
	for i := range a {
		u := math.Pi * (float64(i) + 0.5) / angles
		a[i] = sin(float64((1-beta)*u)) * pow(sin(float64(beta*u)), beta/(1-beta)) / pow(sin(u), 1/(1-beta))
	}
	return func(s float64) float64 {
		scale := pow(s, -beta/(1-beta))
		sum := 0.0
		for _, a := range a {
			sum += exp(-float64(a * scale))
		}
		return sum / angles
	}
}
