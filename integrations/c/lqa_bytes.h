/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa_bytes.h: little-endian numbers and floats as bit patterns (clause 3), for the .c files beside it. Not an interface. */
#ifndef LQA_BYTES_H
#define LQA_BYTES_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || (defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 2)
#error "lqa needs IEEE 754 arithmetic: no -ffast-math, and on 32-bit x86 -msse2 -mfpmath=sse"
#endif

/* Words of a state of the generator of starts, and the logarithm of the draws that positions count in one (8.8.1). */
enum { LQA_STATE = 624, LQA_STATE_DRAWS = 22 };

struct lqa_file;
struct lqa_module;
/* The parent's module of a module: 1, or 0 if it is not there. */
int lqa_parent_module(const struct lqa_file *f, const struct lqa_module *m, struct lqa_module *parent);

extern const uint32_t lqa_crc32_tables[8][256]; /* table k: the CRC-32 of a byte with k zero bytes behind it */

static inline uint32_t lqa_get16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static inline uint32_t lqa_get32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t lqa_get64(const uint8_t *p) {
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
         (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline float lqa_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t lqa_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* An f16 as f32, exactly: its bits as an f32 are 2^112 times too small, also where they are subnormal. NaN, which no valid
 * file has, becomes infinity. */
static inline float lqa_from_f16(uint32_t h) {
  const float magnitude = lqa_float((h & 0x7FFFu) << 13) * 5192296858534827628530496329220096.0f; /* 2^112 */
  const uint32_t bits = (h & 0x7C00u) == 0x7C00u ? 0x7F800000u : lqa_bits(magnitude);
  return lqa_float(bits | (h & 0x8000u) << 16);
}

/* The nearest f16, to even; from 65520 on infinity (3.2). No branches, so that compilers make vectors of it. */
static inline uint16_t lqa_to_f16(float value) {
  const uint32_t bits = lqa_bits(value), all = bits & 0x7FFFFFFFu;
  const uint32_t magnitude = all < 0x47800000u ? all : 0x47800000u;                        /* 65536 */
  const uint32_t normal = (magnitude + 0xFFFu + (magnitude >> 13 & 1) - 0x38000000u) >> 13; /* exponent 2^-14 becomes 1 */
  /* The last bit of 0.5 is 2^-24, that of subnormal f16: the addition rounds. */
  const uint32_t small = lqa_bits(lqa_float(magnitude) + 0.5f) - 0x3F000000u;
  return (uint16_t)((magnitude < 0x38800000u ? small : normal) | (bits >> 16 & 0x8000u));
}

/* The nearest bf16, to even, of what is no NaN. */
static inline uint16_t lqa_to_bf16(float value) {
  const uint32_t bits = lqa_bits(value);
  return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

#endif
