package fingerprint

import (
	"math/bits"

	"golang.org/x/sys/cpu"
)

// implementations returns what this machine can run, the fastest first. The
// flags of package cpu say that the operating system saves the registers, too.
func implementations() []implementation {
	var list []implementation
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX2 {
		list = append(list, implementation{name: "avx512", pages: pagesAVX512})
	}
	if cpu.X86.HasAVX2 {
		list = append(list, implementation{name: "avx2", pages: pagesAVX2})
	}
	return append(list, generic)
}

// pagesAVX512 hashes eight pages at once, and what is left with pagesAVX2.
func pagesAVX512(dst []uint64, mem []byte, pageSize int) {
	for ; len(dst) >= 8; dst, mem = dst[8:], mem[8*pageSize:] {
		eightPages(&dst[0], &mem[0], pageSize, ahead(len(dst), 8, pageSize))
	}
	pagesAVX2(dst, mem, pageSize)
}

// pagesAVX2 hashes four pages at once until the rest divides by five, and the
// rest five at once. Only of less than twelve pages some can be left over.
func pagesAVX2(dst []uint64, mem []byte, pageSize int) {
	for ; len(dst) >= 4 && len(dst)%5 != 0; dst, mem = dst[4:], mem[4*pageSize:] {
		fourPages(&dst[0], &mem[0], pageSize)
	}
	for ; len(dst) >= 5; dst, mem = dst[5:], mem[5*pageSize:] {
		var rest [4]uint64
		fivePages(&dst[0], &rest, &mem[0], pageSize, ahead(len(dst), 5, pageSize))
		dst[4] = finish(&rest, pageSize)
	}
	pagesGeneric(dst, mem, pageSize)
}

// finish makes the lanes of a page of pageSize bytes into its hash.
func finish(lanes *[4]uint64, pageSize int) uint64 {
	const (
		prime1 = 0x9E3779B185EBCA87
		prime2 = 0xC2B2AE3D27D4EB4F
		prime3 = 0x165667B19E3779F9
		prime4 = 0x85EBCA77C2B2AE63
	)
	h := bits.RotateLeft64(lanes[0], 1) + bits.RotateLeft64(lanes[1], 7) +
		bits.RotateLeft64(lanes[2], 12) + bits.RotateLeft64(lanes[3], 18)
	for _, v := range lanes {
		h = (h^bits.RotateLeft64(v*prime2, 31)*prime1)*prime1 + prime4
	}
	h += uint64(pageSize)
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// ahead returns how many bytes ahead to prefetch while the first group of n
// pages is hashed: a whole group, or nothing if no whole group follows, so
// that not even a prefetch leaves the memory given.
func ahead(n, group, pageSize int) int {
	if n < 2*group {
		return 0
	}
	return group * pageSize
}

// The assembly is called once a group and not once for all pages: assembly
// cannot be preempted, and a call costs nothing beside the hashing of a group.

// eightPages stores in dst[0:8] the fingerprints of the eight pages at mem,
// while it prefetches the bytes that lie ahead bytes after those it reads. It
// needs AVX-512 F and DQ.
//
//go:noescape
func eightPages(dst *uint64, mem *byte, pageSize, ahead int)

// fivePages is eightPages for five pages: it stores the fingerprints of the first
// four in dst[0:4], and the lanes of the last in rest. It needs AVX2.
//
//go:noescape
func fivePages(dst *uint64, rest *[4]uint64, mem *byte, pageSize, ahead int)

// fourPages is eightPages for four pages. It needs AVX2.
//
//go:noescape
func fourPages(dst *uint64, mem *byte, pageSize int)
