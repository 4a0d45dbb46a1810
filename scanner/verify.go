package scanner

import (
	"bytes"
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/ksmtop/ksmtop/scanner/internal/census"
)

// Verification is what comparing the bytes of pages that were counted as equal
// has found.
//
// One page of each content that has copies is kept while the others are compared
// with it. At most 64 MiB of such pages are kept at a time (of 16384 contents, if
// pages are 4 KiB; a few more where they do not come out even), and all memory is
// read again for each such part: where 64 GiB hold 100000 contents that have
// copies, seven times. Memory without copies is not read again.
//
// Memory changes meanwhile. A page is compared only if it has one of the
// fingerprints when it is read again, so that a page that has changed is told from
// one that never was equal.
type Verification struct {
	// Complete reports that all was read. Else the other numbers are of a part
	// of the contents.
	Complete bool

	// Compared is the number of pages that were read again with a fingerprint
	// that several pages had, and compared with the first of them; pages of zeros
	// with zeros.
	Compared uint64

	// Unequal is the number of further contents that have the fingerprint of
	// another one: Report.Distinct is too low by as many, and Report.WouldSave
	// too high if MaxPageSharing sets no limit.
	Unequal uint64

	// Changed is the number of pages that could not be compared, since they, or
	// all that they would be compared with, have changed or are gone.
	Changed uint64

	BytesRead uint64
	Elapsed   time.Duration
}

// verifyBytes is how much memory of contents is kept for comparing.
const verifyBytes = 64 << 20

// verify reads the targets again and compares.
func (s *scan) verify(ctx context.Context, zeroPages uint64) (*Verification, error) {
	began := time.Now()
	v := &Verification{Complete: true}
	defer func() { v.Elapsed = time.Since(began) }()
	if s.census == nil {
		return v, nil
	}
	pageSize := int(s.pageSize.Load())
	var contents []census.Copied
	for partition, more := uint64(0), true; more; zeroPages = 0 {
		var err error
		if contents, partition, more, err = s.census.Copied(ctx, contents[:0], partition, s.keep/pageSize); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			v.Complete = false
			return v, nil
		}
		if len(contents) == 0 && zeroPages == 0 {
			break
		}
		c := newComparison(s, contents, zeroPages)
		p := s.newPass(c.newTaker)
		stopProgress := s.reportProgress(p, true)
		p.run(ctx)
		stopProgress()
		v.BytesRead += p.pages.Load() * uint64(pageSize)
		if p.err != nil {
			return nil, p.err
		}
		if ctx.Err() != nil {
			v.Complete = false
			return v, nil
		}
		c.sum(v)
	}
	return v, nil
}

// comparison compares the pages of some contents.
type comparison struct {
	scan    *scan
	dropped int // bits of a fingerprint that the census does not keep
	zeroKey uint64
	seed    maphash.Seed // which the owners of the pages cannot guess

	zero   claim // that pages of zeros are zeros
	claims map[uint64]*claim
}

// claim is that all pages with one fingerprint are equal.
type claim struct {
	copies uint64 // as counted

	mu     sync.Mutex
	known  bool                // page is one of them
	page   []byte              // room for one
	found  uint64              // pages that have the fingerprint now
	others map[uint64]struct{} // hashes of contents other than page
}

func newComparison(s *scan, contents []census.Copied, zeroPages uint64) *comparison {
	pageSize := int(s.pageSize.Load())
	c := &comparison{
		scan: s, dropped: 64 - s.census.FingerprintBits(), seed: maphash.MakeSeed(),
		zero:   claim{copies: zeroPages, known: true, page: make([]byte, pageSize)},
		claims: make(map[uint64]*claim, len(contents)),
	}
	c.zeroKey = s.hash.of(c.zero.page)
	claims, pages := make([]claim, len(contents)), make([]byte, len(contents)*pageSize)
	for i, content := range contents {
		claims[i].copies, claims[i].page = content.Copies, pages[i*pageSize:][:pageSize]
		c.claims[content.Fingerprint>>c.dropped] = &claims[i]
	}
	return c
}

// of returns the claim that pages with a fingerprint take part in, or nil.
func (c *comparison) of(fingerprint uint64) *claim {
	if fingerprint != c.zeroKey {
		return c.claims[fingerprint>>c.dropped]
	}
	if c.zero.copies > 0 {
		return &c.zero
	}
	return nil
}

// comparing is a taker that compares pages. It needs them as look has seen them,
// and so never takes them in place.
type comparing struct {
	*comparison
	size   int
	prints []uint64
	spare  []byte
}

func (c *comparison) newTaker() taker {
	size := int(c.scan.pageSize.Load())
	return &comparing{c, size, make([]uint64, bufferBytes(c.scan.o.workers(), size)/size), make([]byte, size)}
}

func (c *comparing) look(mem []byte) { c.scan.hash(c.prints[:len(mem)/c.size], mem, c.size) }

func (c *comparing) take(_ int, mem []byte, _ []Run) {
	for i, print := range c.prints[:len(mem)/c.size] {
		if claim := c.of(print); claim != nil {
			c.compare(claim, mem[i*c.size:][:c.size], c.spare)
		}
	}
}

func (c *comparing) finish() {} // nothing is held back

// compare compares a page that had the fingerprint of a claim a moment ago.
func (c *comparison) compare(to *claim, page, spare []byte) {
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.known && bytes.Equal(to.page, page) {
		to.found++
		return
	}
	// Memory that is read in place may have changed since it was hashed.
	copy(spare, page)
	if c.of(c.scan.hash.of(spare)) != to {
		return
	}
	to.found++
	switch {
	case !to.known:
		copy(to.page, spare)
		to.known = true
	case !bytes.Equal(to.page, spare):
		if to.others == nil {
			to.others = make(map[uint64]struct{})
		}
		to.others[maphash.Bytes(c.seed, spare)] = struct{}{}
	}
}

// sum adds what was found to v.
func (c *comparison) sum(v *Verification) {
	add := func(to *claim, least uint64) {
		if to.found < least {
			to.found = 0
		}
		v.Compared += to.found
		v.Unequal += uint64(len(to.others))
		v.Changed += to.copies - min(to.copies, to.found)
	}
	for _, claim := range c.claims {
		add(claim, 2)
	}
	add(&c.zero, 1)
}
