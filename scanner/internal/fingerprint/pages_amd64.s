// xxHash64 of eight, five or four pages at once. The idea and a drawing of the
// registers are at the top of fingerprint.go.

#include "textflag.h"

// The first four primes of xxHash64, and the lanes v1..v4 before the first
// step with seed 0: prime1+prime2, prime2, 0 and -prime1.
DATA prime1<>(SB)/8, $0x9E3779B185EBCA87
GLOBL prime1<>(SB), RODATA|NOPTR, $8
DATA prime2<>(SB)/8, $0xC2B2AE3D27D4EB4F
GLOBL prime2<>(SB), RODATA|NOPTR, $8
DATA prime3<>(SB)/8, $0x165667B19E3779F9
GLOBL prime3<>(SB), RODATA|NOPTR, $8
DATA prime4<>(SB)/8, $0x85EBCA77C2B2AE63
GLOBL prime4<>(SB), RODATA|NOPTR, $8

DATA lanes<>+0(SB)/8, $0x60EA27EEADC0B5D6
DATA lanes<>+8(SB)/8, $0xC2B2AE3D27D4EB4F
DATA lanes<>+16(SB)/8, $0
DATA lanes<>+24(SB)/8, $0x61C8864E7A143579
GLOBL lanes<>(SB), RODATA|NOPTR, $32

// All functions keep in SI the place in page 0, in R8 and R9 the length of a
// page and of three. A step reads 32 bytes of every page. The functions for
// eight and five pages keep in AX the place to prefetch: a step prefetches as
// many bytes as it reads, but in one piece, so that few lines are asked for
// twice. Eight pages and the next eight are more than the first-level cache
// holds.

// ---------------------------------------------------------------- AVX-512
//
// Z0..Z3 are the lanes as drawn, Z30 and Z31 prime1 and prime2, and DI is the
// place in page 4. Z8 is the hash in the end.

// STEP8 reads the next 32 bytes of the page at a into the low half of t and of
// the page at b into the high half (y is the low half of t), and takes them
// into the lanes: v = rotl(v + t*prime2, 31) * prime1.
#define STEP8(a, b, y, t, v) \
	VMOVDQU      a, y         \
	VINSERTI64X4 $1, b, t, t  \
	VPMULLQ      Z31, t, t    \
	VPADDQ       t, v, v      \
	VPROLQ       $31, v, v    \
	VPMULLQ      Z30, v, v

// MERGE8 takes the lane v of each page into its hash, with prime4 in Z29:
// h = (h ^ rotl(v*prime2, 31)*prime1) * prime1 + prime4.
#define MERGE8(v) \
	VPMULLQ Z31, v, v    \
	VPROLQ  $31, v, v    \
	VPMULLQ Z30, v, v    \
	VPXORQ  v, Z8, Z8    \
	VPMULLQ Z30, Z8, Z8  \
	VPADDQ  Z29, Z8, Z8

// XORSHIFT8 is h ^= h >> n.
#define XORSHIFT8(n) \
	VPSRLQ $n, Z8, Z9  \
	VPXORQ Z9, Z8, Z8

// func eightPages(dst *uint64, mem *byte, pageSize, ahead int)
TEXT ·eightPages(SB), NOSPLIT, $0-32
	MOVQ mem+8(FP), SI
	MOVQ pageSize+16(FP), R8
	MOVQ ahead+24(FP), AX
	LEAQ (R8)(R8*2), R9
	LEAQ (SI)(R8*4), DI
	ADDQ SI, AX
	LEAQ (SI)(R8*1), CX // the end of page 0

	VBROADCASTI64X4 lanes<>(SB), Z0
	VMOVDQA64       Z0, Z1
	VMOVDQA64       Z0, Z2
	VMOVDQA64       Z0, Z3
	VPBROADCASTQ    prime1<>(SB), Z30
	VPBROADCASTQ    prime2<>(SB), Z31

step8:
	PREFETCHT1 (AX)
	PREFETCHT1 64(AX)
	PREFETCHT1 128(AX)
	PREFETCHT1 192(AX)
	STEP8((SI), (SI)(R8*2), Y4, Z4, Z0)
	STEP8((SI)(R8*1), (SI)(R9*1), Y5, Z5, Z1)
	STEP8((DI), (DI)(R8*2), Y6, Z6, Z2)
	STEP8((DI)(R8*1), (DI)(R9*1), Y7, Z7, Z3)
	ADDQ       $32, SI
	ADDQ       $32, DI
	ADDQ       $256, AX
	CMPQ       SI, CX
	JNE        step8

	// Transpose: Z0..Z3 become v1..v4 of all pages, page 0 first.
	VPUNPCKLQDQ Z1, Z0, Z4          // v1 v1 v3 v3 of pages 0 1, then of 2 3
	VPUNPCKHQDQ Z1, Z0, Z5          // v2 v2 v4 v4
	VPUNPCKLQDQ Z3, Z2, Z6          // the same of pages 4 5, then of 6 7
	VPUNPCKHQDQ Z3, Z2, Z7
	VSHUFI64X2  $0x88, Z6, Z4, Z0   // blocks 0 and 2 of each
	VSHUFI64X2  $0x88, Z7, Z5, Z1
	VSHUFI64X2  $0xDD, Z6, Z4, Z2   // blocks 1 and 3 of each
	VSHUFI64X2  $0xDD, Z7, Z5, Z3

	// h = rotl(v1, 1) + rotl(v2, 7) + rotl(v3, 12) + rotl(v4, 18)
	VPROLQ $1, Z0, Z8
	VPROLQ $7, Z1, Z9
	VPADDQ Z9, Z8, Z8
	VPROLQ $12, Z2, Z9
	VPADDQ Z9, Z8, Z8
	VPROLQ $18, Z3, Z9
	VPADDQ Z9, Z8, Z8

	VPBROADCASTQ prime4<>(SB), Z29
	MERGE8(Z0)
	MERGE8(Z1)
	MERGE8(Z2)
	MERGE8(Z3)

	// h += length, and the final mixing.
	VPBROADCASTQ R8, Z9
	VPADDQ       Z9, Z8, Z8
	XORSHIFT8(33)
	VPMULLQ      Z31, Z8, Z8
	XORSHIFT8(29)
	VPBROADCASTQ prime3<>(SB), Z9
	VPMULLQ      Z9, Z8, Z8
	XORSHIFT8(32)

	MOVQ      dst+0(FP), BX
	VMOVDQU64 Z8, (BX)
	VZEROUPPER
	RET

// ------------------------------------------------------------------ AVX2
//
// A lane v of four pages is kept in two parts that are not added up yet,
//
//	v = low + (both halves of cross, added) << 32
//
// as a product leaves them: VPMULUDQ makes low, lo(x)*lo(c), and VPMULLD makes
// cross, hi(x)*lo(c) and lo(x)*hi(c) side by side. The word that a step adds to
// the lane is such a product too, so that one adding up serves two products.
//
// Y0..Y3 are the low parts of the lanes of pages 0..3, Y4..Y7 the cross parts.
// Y12 and Y14 are prime1 and prime2, Y13 and Y15 the same with their halves
// swapped, Y10 ones in the high halves. Y8, Y9 and Y11 are spoilt.

// ADDUP4 is low = v. It spoils cross and t.
#define ADDUP4(low, cross, t) \
	VPSLLQ $32, cross, t      \
	VPAND  Y10, cross, cross  \
	VPADDQ t, low, low        \
	VPADDQ cross, low, low

// ROTL4 is x = rotl(x, n), where m is 64-n. It spoils t.
#define ROTL4(n, m, x, t) \
	VPSLLQ $n, x, t  \
	VPSRLQ $m, x, x  \
	VPOR   t, x, x

// STEP4 reads the next 32 bytes of the page at a and takes them into its lanes:
// v = rotl(v + a*prime2, 31) * prime1. It spoils t and u.
#define STEP4(a, low, cross, t, u) \
	VPMULLD  a, Y15, t          \
	VPMULUDQ a, Y14, u          \
	VPADDD   t, cross, cross    \
	VPADDQ   u, low, low        \
	ADDUP4(low, cross, u)       \
	ROTL4(31, 33, low, u)       \
	VPMULLD  Y13, low, cross    \
	VPMULUDQ Y12, low, low

// MUL4 is x *= c, where cswap is c with its halves swapped. It spoils t and u.
#define MUL4(c, cswap, x, t, u) \
	VPMULLD  cswap, x, t  \
	VPMULUDQ c, x, x      \
	ADDUP4(x, t, u)

// MERGE4 takes the lane v of each page into its hash in Y8, with prime4 in Y11:
// h = (h ^ rotl(v*prime2, 31)*prime1) * prime1 + prime4.
#define MERGE4(v) \
	MUL4(Y14, Y15, v, Y4, Y5)   \
	ROTL4(31, 33, v, Y4)        \
	MUL4(Y12, Y13, v, Y4, Y5)   \
	VPXOR  v, Y8, Y8            \
	MUL4(Y12, Y13, Y8, Y4, Y5)  \
	VPADDQ Y11, Y8, Y8

// XORSHIFT4 is h ^= h >> n.
#define XORSHIFT4(n) \
	VPSRLQ $n, Y8, Y9  \
	VPXOR  Y9, Y8, Y8

// SETUP4 sets the constants, and the lanes to where they start.
#define SETUP4() \
	VMOVDQU      lanes<>(SB), Y0   \
	VMOVDQA      Y0, Y1            \
	VMOVDQA      Y0, Y2            \
	VMOVDQA      Y0, Y3            \
	VPXOR        Y4, Y4, Y4        \
	VPXOR        Y5, Y5, Y5        \
	VPXOR        Y6, Y6, Y6        \
	VPXOR        Y7, Y7, Y7        \
	VPBROADCASTQ prime1<>(SB), Y12 \
	VPSHUFD      $0xB1, Y12, Y13   \
	VPBROADCASTQ prime2<>(SB), Y14 \
	VPSHUFD      $0xB1, Y14, Y15   \
	VPCMPEQD     Y10, Y10, Y10     \
	VPSLLQ       $32, Y10, Y10

// ADDROTL4 is h += rotl(v, n), where m is 64-n. It spoils Y4 and Y5.
#define ADDROTL4(n, m, v) \
	VMOVDQA v, Y5            \
	ROTL4(n, m, Y5, Y4)      \
	VPADDQ  Y5, Y8, Y8

// FINISH4 makes the lanes of four pages into their hashes, in Y8. The unpacks
// leave v1 v1 v3 v3 and v2 v2 v4 v4 of pages 0 and 1 in Y4 and Y5, and of pages
// 2 and 3 in Y6 and Y7. The permutations join the low halves and the high
// halves of these: Y0..Y3 become v1..v4 of all pages, page 0 first.
#define FINISH4() \
	ADDUP4(Y0, Y4, Y8)             \
	ADDUP4(Y1, Y5, Y8)             \
	ADDUP4(Y2, Y6, Y8)             \
	ADDUP4(Y3, Y7, Y8)             \
	VPUNPCKLQDQ  Y1, Y0, Y4        \
	VPUNPCKHQDQ  Y1, Y0, Y5        \
	VPUNPCKLQDQ  Y3, Y2, Y6        \
	VPUNPCKHQDQ  Y3, Y2, Y7        \
	VPERM2I128   $0x20, Y6, Y4, Y0 \
	VPERM2I128   $0x20, Y7, Y5, Y1 \
	VPERM2I128   $0x31, Y6, Y4, Y2 \
	VPERM2I128   $0x31, Y7, Y5, Y3 \
	VPXOR        Y8, Y8, Y8        \
	ADDROTL4(1, 63, Y0)            \
	ADDROTL4(7, 57, Y1)            \
	ADDROTL4(12, 52, Y2)           \
	ADDROTL4(18, 46, Y3)           \
	VPBROADCASTQ prime4<>(SB), Y11 \
	MERGE4(Y0)                     \
	MERGE4(Y1)                     \
	MERGE4(Y2)                     \
	MERGE4(Y3)                     \
	VMOVQ        R8, X9            \
	VPBROADCASTQ X9, Y9            \
	VPADDQ       Y9, Y8, Y8        \
	XORSHIFT4(33)                  \
	MUL4(Y14, Y15, Y8, Y4, Y5)     \
	XORSHIFT4(29)                  \
	VPBROADCASTQ prime3<>(SB), Y12 \
	VPSHUFD      $0xB1, Y12, Y13   \
	MUL4(Y12, Y13, Y8, Y4, Y5)     \
	XORSHIFT4(32)

// func fourPages(dst *uint64, mem *byte, pageSize int)
TEXT ·fourPages(SB), NOSPLIT, $0-24
	MOVQ mem+8(FP), SI
	MOVQ pageSize+16(FP), R8
	LEAQ (R8)(R8*2), R9
	LEAQ (SI)(R8*1), CX // the end of page 0
	SETUP4()

step4:
	STEP4((SI), Y0, Y4, Y8, Y9)
	STEP4((SI)(R8*1), Y1, Y5, Y11, Y9)
	STEP4((SI)(R8*2), Y2, Y6, Y8, Y9)
	STEP4((SI)(R9*1), Y3, Y7, Y11, Y9)
	ADDQ $32, SI
	CMPQ SI, CX
	JNE  step4

	FINISH4()
	MOVQ    dst+0(FP), BX
	VMOVDQU Y8, (BX)
	VZEROUPPER
	RET

// STEP1 takes the eight bytes at a into a lane of a single page, and spoils DI.
#define STEP1(a, v) \
	MOVQ  a, DI             \
	IMULQ prime2<>(SB), DI  \
	ADDQ  DI, v             \
	ROLQ  $31, v            \
	IMULQ prime1<>(SB), v

// func fivePages(dst *uint64, rest *[4]uint64, mem *byte, pageSize, ahead int)
//
// BX, DX, R10 and R11 are the lanes of page 4.
TEXT ·fivePages(SB), NOSPLIT, $0-40
	MOVQ mem+16(FP), SI
	MOVQ pageSize+24(FP), R8
	MOVQ ahead+32(FP), AX
	LEAQ (R8)(R8*2), R9
	ADDQ SI, AX
	LEAQ (SI)(R8*1), CX // the end of page 0
	SETUP4()
	MOVQ lanes<>+0(SB), BX
	MOVQ lanes<>+8(SB), DX
	MOVQ lanes<>+16(SB), R10
	MOVQ lanes<>+24(SB), R11

step5:
	PREFETCHT0 (AX)
	PREFETCHT0 64(AX)
	PREFETCHT0 128(AX)
	STEP4((SI), Y0, Y4, Y8, Y9)
	STEP1((SI)(R8*4), BX)
	STEP4((SI)(R8*1), Y1, Y5, Y11, Y9)
	STEP1(8(SI)(R8*4), DX)
	STEP4((SI)(R8*2), Y2, Y6, Y8, Y9)
	STEP1(16(SI)(R8*4), R10)
	STEP4((SI)(R9*1), Y3, Y7, Y11, Y9)
	STEP1(24(SI)(R8*4), R11)
	ADDQ       $32, SI
	ADDQ       $160, AX
	CMPQ       SI, CX
	JNE        step5

	MOVQ rest+8(FP), DI
	MOVQ BX, 0(DI)
	MOVQ DX, 8(DI)
	MOVQ R10, 16(DI)
	MOVQ R11, 24(DI)

	FINISH4()
	MOVQ    dst+0(FP), BX
	VMOVDQU Y8, (BX)
	VZEROUPPER
	RET
