package scenario

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// What is in this file must give the same result, to the last bit, on every
// machine. The functions of package math that are not exact do not: some are
// assembly on some architectures. And where an architecture can multiply and add
// in one operation, Go may round once instead of twice, but never across an
// explicit conversion: so products that are added to something stand in one.

// exp returns e^x, for x at most 700.
func exp(x float64) float64 {
	if x < -700 {
		return 0
	}
	k := math.Floor(float64(x/math.Ln2) + 0.5)
	r := x - float64(k*math.Ln2)
	sum := 1.0
	for i := 16; i > 0; i-- {
		sum = 1 + float64(r*sum)/float64(i)
	}
	return math.Ldexp(sum, int(k))
}

// log returns the natural logarithm of a positive number.
func log(x float64) float64 {
	f, e := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	z := (f - 1) / (f + 1) // at most 0.172
	square := float64(z * z)
	sum := 0.0
	for i := 23; i > 0; i -= 2 {
		sum = 1/float64(i) + float64(square*sum)
	}
	return float64(2*z*sum) + float64(float64(e)*math.Ln2)
}

// pow returns x^y, for a positive x.
func pow(x, y float64) float64 { return exp(y * log(x)) }

// sin returns the sine of an angle of 0 to pi.
func sin(x float64) float64 {
	if x > math.Pi/2 {
		x = math.Pi - x
	}
	square := float64(x * x)
	sum := 1.0
	for i := 20; i > 0; i -= 2 {
		sum = 1 - float64(square*sum)/float64(i*(i+1))
	}
	return x * sum
}

// portion returns share*n, rounded to a multiple of unit.
func portion(share float64, n, unit int) int {
	units := n / unit
	return min(units, int(math.Floor(float64(share*float64(units))+0.5))) * unit
}

// mulDiv returns a*b/c, rounded down. The result must be below 1<<64.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	quotient, _ := bits.Div64(hi, lo, c)
	return quotient
}

// mulDivUp returns a*b/c, rounded up.
func mulDivUp(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	lo, carry := bits.Add64(lo, c-1, 0)
	quotient, _ := bits.Div64(hi+carry, lo, c)
	return quotient
}

// Random numbers. Whatever is drawn for one purpose comes from a generator of its
// own, so that nothing depends on the order in which guests are carried out.

// The purposes of a generator.
const (
	forPlans    = iota // starts and lifetimes of a group
	forCopies          // multiplicities of a class
	forSubset          // which pages of an image a guest has
	forRewrites        // what a guest rewrites
)

// newRandom returns the generator for a purpose, of thing a, or thing b of a.
func newRandom(seed uint64, purpose, a, b int) rand.PCG {
	h := mix(mix(mix(seed)+uint64(purpose)) + uint64(a))
	h = mix(h + uint64(b))
	return *rand.NewPCG(h, mix(h))
}

// mix is the step of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below returns a number below n, each with the same probability but for 2^-64*n.
func below[N int | time.Duration](random *rand.PCG, n N) N {
	hi, _ := bits.Mul64(random.Uint64(), uint64(n))
	return N(hi)
}

// uniform returns a number in [0, 1), a multiple of 2^-53.
func uniform(random *rand.PCG) float64 {
	return float64(random.Uint64()>>11) / (1 << 53)
}

// exponential returns a number of exponential distribution with mean 1, times
// 2^32 and below 2^38. It is von Neumann's method, which only compares (Various
// techniques used in connection with random digits, 1951): the length of the
// descending run that uniform numbers begin with is odd with probability e^-u,
// where u is the first.
func exponential(random *rand.PCG) uint64 {
	for whole := uint64(0); ; whole++ {
		word := random.Uint64()
		first := uint32(word)
		last, next := first, uint32(word>>32)
		isOdd := true
		for hasNext := true; next < last; isOdd = !isOdd {
			last = next
			if hasNext {
				word = random.Uint64()
				next = uint32(word)
			} else {
				next = uint32(word >> 32)
			}
			hasNext = !hasNext
		}
		if isOdd || whole == 63 {
			return whole<<32 | uint64(first)
		}
	}
}
