package census

import "encoding/binary"

const (
	// A chunk starts with the number of the chunk before it in its partition
	// (0: none), four bytes, followed by entries as long as eight bytes can be
	// stored: an entry is written with its successor's place, which is
	// overwritten later.
	chunkBytes  = 256
	chunkHeader = 4
	lastEntry   = chunkBytes - 8 // the last place in a chunk where an entry can start

	slabChunks = 1024
	slabBytes  = slabChunks * chunkBytes

	// heavySlots is how many contents can be heavy at a time, one for each
	// value of the low bits of the fingerprint.
	heavySlots = 256

	// leastHeavy is from how many pages on a heavy content is cheaper as one
	// record than as entries.
	leastHeavy = 8
)

type slab [slabBytes]byte

// heavy is a number of pages of one content and group, stored as a number.
type heavy struct {
	fingerprint uint64
	copies      uint64
	group       uint32
}

// groupPages are the pages of one group that one worker has added.
type groupPages struct {
	pages, zeros uint64
}

// Worker adds pages to a census. It is for one goroutine.
type Worker struct {
	census *Census
	shift  uint   // of a fingerprint to its partition
	stride uint64 // bytes of an entry

	slabs  []*slab
	chunks uint64   // chunks in use; chunk 0 is never used
	cursor []uint64 // for each partition the byte of the pool where its next entry goes

	heavyKey   [heavySlots]uint64 // fingerprint
	heavyPages [heavySlots]uint64 // pages of it in the present group, not in heavies
	group      uint32
	heavies    []heavy

	groups []groupPages

	hasZero      bool
	zeroLocation uint64 // lowest location of a zero page, if hasZero
	sample       sample
}

// Worker returns a new worker. It may be called at any time, by several
// goroutines, but not while Count runs.
func (c *Census) Worker() *Worker {
	w := &Worker{
		census: c,
		shift:  64 - c.partitionBits,
		stride: uint64(remainderBits/8 + c.groupBytes),
		slabs:  []*slab{new(slab)},
		chunks: 1,
		cursor: make([]uint64, 1<<c.partitionBits),
		groups: make([]groupPages, c.groups),
		sample: newSample(),
	}
	for i := range w.cursor {
		w.cursor[i] = chunkBytes - 1 // behind the last entry of chunk 0: a chunk is needed
	}
	for i := range w.heavyKey {
		w.heavyKey[i] = uint64(i) ^ 1 // belongs to another slot: equals no fingerprint that is looked up here
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers = append(c.workers, w)
	return w
}

// Add adds pages of one group. The number of the group is less than
// Options.Groups; Add panics otherwise. A location is any number that tells
// the caller where a page is; that of page i is location+i.
func (w *Worker) Add(fingerprints []uint64, group uint32, location uint64) {
	total := &w.groups[group]
	if group != w.group {
		w.storeHeavies()
		w.group = group
	}
	zero, shift, stride := w.census.zero, w.shift, w.stride
	tag := uint64(group) << remainderBits
	var zeros uint64
	for i, fingerprint := range fingerprints {
		if fingerprint == zero {
			if zeros == 0 {
				w.seeZero(location + uint64(i))
			}
			zeros++
			continue
		}
		if at := location + uint64(i); scatter(at) < w.sample.below {
			w.sample.add(fingerprint, at)
		}
		if slot := fingerprint % heavySlots; w.heavyKey[slot] == fingerprint {
			w.heavyPages[slot]++
			continue
		}
		partition := fingerprint >> shift
		at := w.cursor[partition]
		if at%chunkBytes > lastEntry {
			w.considerHeavy(fingerprint, at)
			at = w.room(w.cursor[partition])
		}
		entry := fingerprint<<(64-shift)>>(64-remainderBits) | tag
		binary.LittleEndian.PutUint64(w.slabs[at/slabBytes][at%slabBytes:], entry)
		w.cursor[partition] = at + stride
	}
	total.pages += uint64(len(fingerprints))
	total.zeros += zeros
}

// AddZeros adds n zero pages of one group, such as those of a hole in a file.
// The first of them is at location.
func (w *Worker) AddZeros(n uint64, group uint32, location uint64) {
	if n == 0 {
		return
	}
	w.seeZero(location)
	w.groups[group].pages += n
	w.groups[group].zeros += n
}

func (w *Worker) seeZero(location uint64) {
	if !w.hasZero || location < w.zeroLocation {
		w.hasZero, w.zeroLocation = true, location
	}
}

// room returns at if an entry can start there, and else the first place of a
// new chunk, which is linked to the one that at is in.
func (w *Worker) room(at uint64) uint64 {
	if at%chunkBytes <= lastEntry {
		return at
	}
	if w.chunks%slabChunks == 0 {
		w.slabs = append(w.slabs, new(slab))
	}
	first := w.chunks * chunkBytes
	w.chunks++
	binary.LittleEndian.PutUint32(w.slabs[first/slabBytes][first%slabBytes:], uint32(at/chunkBytes))
	return first + chunkHeader
}

// store adds n entries of a content that was thought heavy. It does not make
// other contents heavy.
func (w *Worker) store(fingerprint, n uint64) {
	partition := fingerprint >> w.shift
	at := w.cursor[partition]
	entry := w.census.remainder(fingerprint) | uint64(w.group)<<remainderBits
	for range n {
		at = w.room(at)
		binary.LittleEndian.PutUint64(w.slabs[at/slabBytes][at%slabBytes:], entry)
		at += w.stride
	}
	w.cursor[partition] = at
}

// considerHeavy makes the content of the page at hand heavy if it seems to
// fill its partition. The chunk that at is in, the partition's last, is full.
// A content that is a fraction f of its partition is found with probability
// f^4 for each chunk. One that has its slot already, and has come rarely since
// the group began, makes way.
func (w *Worker) considerHeavy(fingerprint, at uint64) {
	chunk := at / chunkBytes
	if chunk == 0 {
		return
	}
	entries := w.slabs[chunk/slabChunks][chunk%slabChunks*chunkBytes+chunkHeader:]
	remainder := w.census.remainder(fingerprint)
	for _, i := range [...]uint64{0, 13, 29} {
		if binary.LittleEndian.Uint64(entries[i*w.stride:])&remainderMask != remainder {
			return
		}
	}
	slot := fingerprint % heavySlots
	if n := w.heavyPages[slot]; n < leastHeavy {
		w.heavyPages[slot] = 0
		w.store(w.heavyKey[slot], n)
		w.heavyKey[slot] = fingerprint
	}
}

// storeHeavies stores the pages of heavy contents of the present group.
func (w *Worker) storeHeavies() {
	for slot, n := range &w.heavyPages {
		if n == 0 {
			continue
		}
		w.heavyPages[slot] = 0
		if n < leastHeavy {
			w.store(w.heavyKey[slot], n)
			continue
		}
		w.heavies = append(w.heavies, heavy{w.heavyKey[slot], n, w.group})
	}
}

// chunk returns the bytes of a chunk.
func (w *Worker) chunk(n uint64) []byte {
	start := n % slabChunks * chunkBytes
	return w.slabs[n/slabChunks][start : start+chunkBytes]
}

// before returns the number of the chunk before this one in its partition.
// There is none before the first, which is 0, nor before 0, since slabs are
// zero when new.
func (w *Worker) before(chunk uint64) uint64 {
	return uint64(binary.LittleEndian.Uint32(w.chunk(chunk)))
}
