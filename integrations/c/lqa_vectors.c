/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa_vectors.c: whole factors as f32, f16 or bf16, bit for bit as clause 8.7 demands.
 *
 * Every codec but raw is integers times scales. A vector is decoded in pieces of up to 2048 weights that stay in the
 * first cache: first the integers (clause 8), as int16_t; then each times its scale, rounded to f32 and, if asked for, to
 * f16 or bf16. Integers of any place of a vector can be had alone, because a window of a trellis is 8 bits of the code string.
 * So pieces of rotated vectors are columns of the matrix of 8.6.1, and scratch does not grow with the vector.
 *
 * The loops are plain C that compilers turn into vector code. They are compiled a second time for AVX2 and F16C. */

#include "lqa.h"

#include "lqa_bytes.h"

enum { DECODED = 255 }; /* a codec of vectors that are decoded already */
enum { PIECE = 2048, COLUMNS = PIECE / 64, VECTORS = 16, SLACK = 128, BLOCK = 32 };

/* Weights first + i stride to first + i stride + length - 1, for i < runs. */
typedef struct piece {
  uint64_t first, stride;
  uint32_t runs, length;
} piece;

typedef struct vector {
  lqa_encoding encoding;
  const uint8_t *codes, *zeros, *scales;
  uint64_t n, code_bytes, zero_bytes;
} vector;

typedef struct job {
  uint32_t rank;
  int by_weight;
  float multiplier;
  int16_t *integers; /* PIECE + SLACK */
  uint8_t *tile;     /* VECTORS pieces as weights */
} job;

/* Constants in each of the functions at the end. */
enum { PLAIN, AVX2, AVX512 };
enum { TO_F32, TO_F16, TO_BF16, TYPES };
typedef struct how {
  int type, level;
} how;
#define SIZE_OF(type) ((type) == TO_F32 ? 4u : 2u)
#define WIDTH(h) SIZE_OF((h).type)

#if defined(__GNUC__) || defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAS_X86_CODE 1
#include <immintrin.h>
#endif

/* ---- Integers ---- */

/* 57 bits or more of a string from `bit` on, which may be negative: outside of the string bits are 0. */
INLINE uint64_t bits_from(const uint8_t *p, uint64_t size, int64_t bit) {
  const uint64_t at = bit < 0 ? 0 : (uint64_t)bit >> 3;
  uint64_t x = 0;
  if (at + 8 <= size) x = lqa_get64(p + at);
  else
    for (uint64_t i = at; i < size; i++) x |= (uint64_t)p[i] << 8 * (i - at);
  return bit < 0 ? x << -bit : x >> (bit & 7);
}

/* Weights of a trellis of k bits and V weights a step. Writes up to 15 more than it is asked for. */
INLINE void trellis(const vector *v, const int16_t *entries, uint64_t first, uint32_t count, int16_t *t, uint32_t k,
                    uint32_t per) {
  uint64_t step = first / per;
  if (per == 2 && first % 2) { /* the second weight of a step */
    const uint64_t window = bits_from(v->codes, v->code_bytes, (int64_t)((step + 1) * k) - 8) & 255;
    *t++ = entries[window * 2 + 1];
    count--;
    step++;
  }
  for (uint32_t i = 0; i < count; i += 8 * per, step += 8) {
    const uint64_t x = bits_from(v->codes, v->code_bytes, (int64_t)((step + 1) * k) - 8);
    for (uint32_t j = 0; j < 8; j++) memcpy(t + i + j * per, entries + (x >> k * j & 255) * per, per * sizeof *t);
  }
}

/* Codes of `bits` bits, or the signs they are. Writes up to 7 more than it is asked for. */
INLINE void fields(const vector *v, uint64_t first, uint32_t count, int16_t *t, uint32_t bits, int signs) {
  const uint32_t mask = (1u << bits) - 1;
  for (uint32_t i = 0; i < count; i += 8) {
    const uint64_t x = bits_from(v->codes, v->code_bytes, (int64_t)((first + i) * bits));
    for (uint32_t j = 0; j < 8; j++) {
      const int code = (int)(x >> bits * j & mask);
      t[i + j] = (int16_t)(signs ? 1 - 2 * code : code);
    }
  }
}

#ifdef HAS_X86_CODE
/* As `fields`, for up to 4 bits: eight codes are in 32 bits, which are shifted by as many distances at once. */
__attribute__((target("avx2"))) static void fields_avx2(const vector *v, uint64_t first, uint32_t count, int16_t *t) {
  const int signs = v->encoding.codec == LQA_SIGN, bits = signs ? 1 : v->encoding.bits;
  const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i distances = _mm256_mullo_epi32(places, _mm256_set1_epi32(bits)), mask = _mm256_set1_epi32((1 << bits) - 1);
  const __m128i one = _mm_set1_epi16(1);
  for (uint32_t i = 0; i < count; i += 8) {
    const uint64_t x = bits_from(v->codes, v->code_bytes, (int64_t)((first + i) * (uint32_t)bits));
    const __m256i codes = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int32_t)x), distances), mask);
    __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
    if (signs) w = _mm_sub_epi16(one, _mm_add_epi16(w, w));
    _mm_storeu_si128((__m128i *)(void *)(t + i), w);
  }
}
#else
#define fields_avx2(v, first, count, t) ((void)0)
#endif

/* The integers before rotation; those of `affine` are codes, whose zero points come later. */
INLINE void integers(const vector *v, uint64_t first, uint32_t count, int16_t *t, const how h) {
  const lqa_encoding e = v->encoding;
  if (e.codec == LQA_TRELLIS) {
    const int16_t *const entries = lqa_trellis_tables[e.table - 1].entries;
    switch (e.table) { /* k and V as constants */
      case 1: trellis(v, entries, first, count, t, 1, 2); break;
      case 2: trellis(v, entries, first, count, t, 1, 1); break;
      case 3: trellis(v, entries, first, count, t, 3, 2); break;
      case 4: trellis(v, entries, first, count, t, 2, 1); break;
      case 5: trellis(v, entries, first, count, t, 3, 1); break;
      default: trellis(v, entries, first, count, t, 4, 1); break;
    }
    return;
  }
  if (h.level >= AVX2 && (e.codec == LQA_SIGN || e.bits <= 4)) {
    fields_avx2(v, first, count, t);
    return;
  }
  if (e.codec == LQA_SIGN) {
    fields(v, first, count, t, 1, 1);
    return;
  }
  switch (e.bits) {
    case 1: fields(v, first, count, t, 1, 0); break;
    case 2: fields(v, first, count, t, 2, 0); break;
    case 3: fields(v, first, count, t, 3, 0); break;
    case 4: fields(v, first, count, t, 4, 0); break;
    case 5: fields(v, first, count, t, 5, 0); break;
    case 6: fields(v, first, count, t, 6, 0); break;
    case 7: fields(v, first, count, t, 7, 0); break;
    default:
      for (uint32_t i = 0; i < count; i++) t[i] = v->codes[first + i];
  }
}

#ifdef HAS_X86_CODE
/* 32 bytes of a string from the byte of `bit` on, which may be -8 to -1: outside of the string bytes are 0. */
__attribute__((target("avx512f,avx512bw,avx512vl"))) static inline __m256i half_from(const vector *v, int64_t bit) {
  if (bit >= 0) {
    const uint64_t at = (uint64_t)bit >> 3, left = v->code_bytes - at;
    return _mm256_maskz_loadu_epi8(left < 32 ? ((uint32_t)1 << left) - 1 : ~(uint32_t)0, v->codes + at);
  }
  uint8_t bytes[32] = {0};
  memcpy(bytes + 1, v->codes, v->code_bytes < 31 ? v->code_bytes : 31);
  return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

/* The lowest bytes of 64 numbers. */
__attribute__((target("avx512f"))) static inline __m512i low_bytes(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i first = _mm512_inserti32x4(_mm512_castsi128_si512(_mm512_cvtepi32_epi8(a)), _mm512_cvtepi32_epi8(b), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(first, _mm512_cvtepi32_epi8(c), 2), _mm512_cvtepi32_epi8(d), 3);
}

/* The integers of a piece, 64 codes or windows at a time: one instruction cuts them out of eight numbers of 64 bits, and two
 * look 64 windows up in 128 entries of a table. Writes up to 127 integers more than it is asked for. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi"))) static void unpack_avx512(const vector *v, const piece *p, int16_t *t,
                                                                               uint32_t width) {
#define LOAD(from) _mm512_loadu_si512((const void *)(from))
#define LOOK_UP(table) \
  _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), _mm512_permutex2var_epi8((table)[0], x, (table)[1]), \
                         _mm512_permutex2var_epi8((table)[2], x, (table)[3]))
  const lqa_encoding e = v->encoding;
  const lqa_trellis *const table = e.codec == LQA_TRELLIS ? &lqa_trellis_tables[e.table - 1] : 0;
  const uint32_t bits = table ? table->step_bits : e.codec == LQA_SIGN ? 1 : e.bits;
  const uint32_t per = table ? table->weights_per_step : 1;
  uint8_t at[64], shifts[64], pairs[192];
  __m512i tables[8];
  for (uint32_t i = 0; i < 64; i++) {
    at[i] = (uint8_t)(i / 8 * bits + i % 8); /* eight fields are `bits` bytes */
    shifts[i] = (uint8_t)(i % 8 * bits);
  }
  for (uint32_t i = 0; table && i < 4; i++) { /* the first weights of all windows, then the second */
    __m512i both[4];
    for (uint32_t k = 0; k < 4; k++) {
      const int16_t *const from = table->entries + (64 * i + 16 * k) * per;
      both[k] = per == 2 ? LOAD(from) : _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)from));
    }
    tables[i] = low_bytes(both[0], both[1], both[2], both[3]);
    for (uint32_t k = 0; k < 4; k++) both[k] = _mm512_srli_epi32(both[k], 16);
    tables[4 + i] = low_bytes(both[0], both[1], both[2], both[3]);
  }
  for (uint32_t i = 0; per == 2 && i < 192; i++) pairs[i] = (uint8_t)(i / 2 + i % 2 * 64); /* weights of a step in turn */
  const __m512i places = LOAD(at), offsets = LOAD(shifts), one = _mm512_set1_epi8(1);
  const __m512i used = _mm512_set1_epi8((char)(table ? 255 : (1u << bits) - 1));
  if (p->length <= 32) { /* 32 of each of two runs */
    const __m512i halves = _mm512_inserti64x4(places, _mm512_castsi512_si256(_mm512_add_epi8(places, _mm512_set1_epi8(32))), 1);
    const __m512i distances = _mm512_inserti64x4(offsets, _mm512_castsi512_si256(offsets), 1);
    for (uint32_t r = 0; r < p->runs; r += 2) {
      int64_t bit[2];
      uint32_t skip[2];
      for (uint32_t i = 0; i < 2; i++) {
        const uint64_t first = p->first + (r + i < p->runs ? r + i : r) * p->stride, step = first / per;
        bit[i] = table ? (int64_t)((step + 1) * bits) - 8 : (int64_t)(step * bits);
        skip[i] = (uint32_t)(first % per);
      }
      __m512i x = _mm512_inserti64x4(_mm512_castsi256_si512(half_from(v, bit[0])), half_from(v, bit[1]), 1);
      const __m256i begins[2] = {_mm256_set1_epi8((char)(bit[0] & 7)), _mm256_set1_epi8((char)(bit[1] & 7))};
      x = _mm512_permutexvar_epi8(halves, x);
      x = _mm512_multishift_epi64_epi8(
          _mm512_add_epi8(distances, _mm512_inserti64x4(_mm512_castsi256_si512(begins[0]), begins[1], 1)), x);
      x = _mm512_and_si512(x, used);
      __m256i y[2];
      if (per == 2) {
        const __m512i low = LOOK_UP(tables), high = LOOK_UP(tables + 4);
        y[0] = _mm512_castsi512_si256(_mm512_permutex2var_epi8(low, LOAD(pairs + skip[0]), high));
        y[1] = _mm512_castsi512_si256(_mm512_permutex2var_epi8(low, LOAD(pairs + 64 + skip[1]), high));
      } else {
        if (table) x = LOOK_UP(tables);
        else if (e.codec == LQA_SIGN) x = _mm512_sub_epi8(one, _mm512_add_epi8(x, x));
        y[0] = _mm512_castsi512_si256(x);
        y[1] = _mm512_extracti64x4_epi64(x, 1);
      }
      for (uint32_t i = 0; i < 2 && r + i < p->runs; i++)
        _mm512_storeu_si512((void *)(t + (r + i) * width),
                            e.codec == LQA_AFFINE ? _mm512_cvtepu8_epi16(y[i]) : _mm512_cvtepi8_epi16(y[i]));
    }
    return;
  }
  for (uint32_t r = 0; r < p->runs; r++) {
    const uint64_t first = p->first + r * p->stride;
    uint64_t step = first / per;
    uint32_t skip = (uint32_t)(first % per); /* 1: begins with the second weight of a step */
    for (uint32_t done = 0, part; done < p->length; done += part, step += 64, skip = 0) {
      const int64_t bit = table ? (int64_t)((step + 1) * bits) - 8 : (int64_t)(step * bits);
      const int early = bit < 0; /* a zero byte before the string */
      const uint64_t byte = early ? 0 : (uint64_t)bit >> 3, left = v->code_bytes - byte;
      __m512i x = _mm512_maskz_loadu_epi8(left < 64 ? ((uint64_t)1 << left) - 1 : ~(uint64_t)0, v->codes + byte);
      x = early ? _mm512_maskz_permutexvar_epi8(~(uint64_t)1, _mm512_sub_epi8(places, one), x) : _mm512_permutexvar_epi8(places, x);
      x = _mm512_multishift_epi64_epi8(_mm512_add_epi8(offsets, _mm512_set1_epi8((char)(bit & 7))), x);
      x = _mm512_and_si512(x, used);
      __m512i y = x;
      if (table) x = LOOK_UP(tables);
      if (per == 2) {
        const __m512i low = x;
        x = y;
        const __m512i high = LOOK_UP(tables + 4);
        x = _mm512_permutex2var_epi8(low, LOAD(pairs + skip), high);
        y = _mm512_permutex2var_epi8(low, LOAD(pairs + 64 + skip), high);
      } else if (e.codec == LQA_SIGN) {
        x = _mm512_sub_epi8(one, _mm512_add_epi8(x, x));
      }
      part = 64 * per - skip;
      int16_t *const to = t + r * width + done;
      for (uint32_t i = 0; i < part && i < p->length - done; i += 32) {
        const __m512i from = i < 64 ? x : y;
        const __m256i half = i & 32 ? _mm512_extracti64x4_epi64(from, 1) : _mm512_castsi512_si256(from);
        _mm512_storeu_si512((void *)(to + i), e.codec == LQA_AFFINE ? _mm512_cvtepu8_epi16(half) : _mm512_cvtepi8_epi16(half));
      }
    }
  }
#undef LOAD
#undef LOOK_UP
}
#else
#define unpack_avx512(v, p, t, width) ((void)0)
#endif

/* The integers of a piece, a run in each row of `width`. They depend on no type of weights: a copy in each decoder below would double
 * the time to compile this file, and its code. */
#define UNPACKER(name, level) \
  static void name(const vector *v, const piece *p, int16_t *t, uint32_t width) { \
    const how h = {TO_F32, level}; \
    for (uint32_t r = 0; r < p->runs; r++) integers(v, p->first + r * p->stride, p->length, t + r * width, h); \
  }
UNPACKER(unpack_plain, PLAIN)
#ifdef HAS_X86_CODE
__attribute__((target("avx2"))) UNPACKER(unpack_avx2, AVX2)
#else
#define unpack_avx2 unpack_plain
#endif

INLINE void unpack(const vector *v, const piece *p, int16_t *t, uint32_t width, const how h) {
  if (h.level >= AVX512) unpack_avx512(v, p, t, width);
  else if (h.level >= AVX2) unpack_avx2(v, p, t, width);
  else unpack_plain(v, p, t, width);
}

/* Three of the six steps of 8.6.1, for rows h, 2 h and 4 h apart, of `width` integers each. */
INLINE void butterflies(int16_t *t, uint32_t width, uint32_t h) {
#define ADD(a, b) (int16_t)((a) + (b))
#define SUB(a, b) (int16_t)((a) - (b))
  const uint32_t d = h * width;
  for (uint32_t row = 0; row < 64; row++) {
    if (row / h % 8) continue;
    int16_t *const r = t + row * width;
    for (uint32_t k = 0; k < width; k++) {
      const int16_t x0 = r[k], x1 = r[k + d], x2 = r[k + 2 * d], x3 = r[k + 3 * d];
      const int16_t x4 = r[k + 4 * d], x5 = r[k + 5 * d], x6 = r[k + 6 * d], x7 = r[k + 7 * d];
      const int16_t y0 = ADD(x0, x1), y1 = SUB(x0, x1), y2 = ADD(x2, x3), y3 = SUB(x2, x3);
      const int16_t y4 = ADD(x4, x5), y5 = SUB(x4, x5), y6 = ADD(x6, x7), y7 = SUB(x6, x7);
      const int16_t z0 = ADD(y0, y2), z1 = ADD(y1, y3), z2 = SUB(y0, y2), z3 = SUB(y1, y3);
      const int16_t z4 = ADD(y4, y6), z5 = ADD(y5, y7), z6 = SUB(y4, y6), z7 = SUB(y5, y7);
      r[k] = ADD(z0, z4);
      r[k + d] = ADD(z1, z5);
      r[k + 2 * d] = ADD(z2, z6);
      r[k + 3 * d] = ADD(z3, z7);
      r[k + 4 * d] = SUB(z0, z4);
      r[k + 5 * d] = SUB(z1, z5);
      r[k + 6 * d] = SUB(z2, z6);
      r[k + 7 * d] = SUB(z3, z7);
    }
  }
#undef ADD
#undef SUB
}

/* 8.6.1 for columns of `width` integers, without the signs. */
INLINE void rotate(int16_t *t, uint32_t width) {
  butterflies(t, width, 1);
  butterflies(t, width, 8);
}

/* The same, of a width of 16 or COLUMNS. */
#define ROTATER(name) \
  static void name(int16_t *t, uint32_t width) { \
    if (width == 16) rotate(t, 16); \
    else rotate(t, COLUMNS); \
  }
ROTATER(rotate_plain)
#ifdef HAS_X86_CODE
__attribute__((target("avx2"))) ROTATER(rotate_avx2)
__attribute__((target("avx512f,avx512bw"))) ROTATER(rotate_avx512)
#else
#define rotate_avx2 rotate_plain
#define rotate_avx512 rotate_plain
#endif

static int is_flipped(uint32_t r) { return (int)(((r & r >> 1) ^ (r >> 2 & r >> 3) ^ (r >> 4 & r >> 5)) & 1); }

/* ---- Weights ---- */

#ifdef HAS_X86_CODE
__attribute__((target("avx2,f16c"))) static inline void narrow_avx2(const float *w, uint16_t *out, uint32_t block) {
  for (uint32_t i = 0; i < block; i += 8)
    _mm_storeu_si128((__m128i *)(void *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(w + i), _MM_FROUND_TO_NEAREST_INT));
}
/* A block of raw weights, times the multiplier. */
__attribute__((target("avx2,f16c"))) static inline void widen_avx2(const uint8_t *from, uint8_t element, float multiplier, float *w) {
  const __m256 multipliers = _mm256_set1_ps(multiplier);
  for (uint32_t i = 0; i < BLOCK; i += 8) {
    const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * i));
    const __m256 values = element == LQA_F32   ? _mm256_loadu_ps((const float *)(const void *)(from + 4 * i))
                          : element == LQA_F16 ? _mm256_cvtph_ps(halves)
                                               : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    _mm256_storeu_ps(w + i, _mm256_mul_ps(values, multipliers));
  }
}

/* Not every compiler makes vectors of the loops in `put` and `multiply`. */
__attribute__((target("avx2,f16c"))) static inline __m256i round_avx2(const float *w) {
  const __m256i x = _mm256_castps_si256(_mm256_loadu_ps(w)), odd = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));
  return _mm256_srli_epi32(_mm256_add_epi32(x, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
}

__attribute__((target("avx2,f16c"))) static inline void narrow_bf16_avx2(const float *w, uint16_t *out, uint32_t block) {
  for (uint32_t i = 0; i < block; i += 16) {
    const __m256i both = _mm256_packus_epi32(round_avx2(w + i), round_avx2(w + i + 8)); /* by halves of 128 bits */
    _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_permute4x64_epi64(both, 0xD8));
  }
}

__attribute__((target("avx2,f16c"))) static inline void multiply_avx2(const int16_t *t, float *w, uint32_t block, int flip, int zero,
                                                                     float scale, float multiplier) {
  const __m256i flips = _mm256_set1_epi32(flip), zeros = _mm256_set1_epi32(zero);
  const __m256 scales = _mm256_set1_ps(scale), multipliers = _mm256_set1_ps(multiplier);
  for (uint32_t k = 0; k < block; k += 8) {
    const __m256i x = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(t + k)));
    const __m256 values = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_xor_si256(x, flips), zeros));
    _mm256_storeu_ps(w + k, _mm256_mul_ps(_mm256_mul_ps(values, scales), multipliers));
  }
}

__attribute__((target("avx512f,avx512bw,avx512vl"))) static inline void multiply_avx512(const int16_t *t, uint32_t count, int flip, int zero,
                                                                                float scale, float multiplier, uint8_t *out, int type) {
  const __m512i flips = _mm512_set1_epi32(flip), zeros = _mm512_set1_epi32(zero);
  const __m512 scales = _mm512_set1_ps(scale), multipliers = _mm512_set1_ps(multiplier);
  for (uint32_t k = 0; k < count; k += 16) {
    const __mmask16 used = (__mmask16)(count - k < 16 ? (1u << (count - k)) - 1 : 0xFFFFu);
    const __m512i x = _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(t + k)));
    const __m512 values = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_xor_si512(x, flips), zeros));
    const __m512 w = _mm512_mul_ps(_mm512_mul_ps(values, scales), multipliers);
    if (type == TO_F32) {
      _mm512_mask_storeu_ps(out + 4 * k, used, w);
    } else if (type == TO_F16) {
      _mm256_mask_storeu_epi16(out + 2 * k, used, _mm512_cvtps_ph(w, _MM_FROUND_TO_NEAREST_INT));
    } else {
      const __m512i bits = _mm512_castps_si512(w), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
      const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
      _mm256_mask_storeu_epi16(out + 2 * k, used, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
    }
  }
}
#else
#define multiply_avx512(t, count, flip, zero, scale, multiplier, out, type) ((void)0)
#define narrow_avx2(w, out, block) ((void)0)
#define widen_avx2(from, element, multiplier, w) ((void)0)
#define narrow_bf16_avx2(w, out, block) ((void)0)
#define multiply_avx2(t, w, block, flip, zero, scale, multiplier) ((void)0)
#endif

/* The first `count` weights of a block of 16 or 32. */
INLINE void put(const float *w, uint32_t block, uint32_t count, uint8_t *out, const how h) {
  uint16_t halves[BLOCK];
  if (h.type == TO_BF16 && h.level >= AVX2) narrow_bf16_avx2(w, halves, block);
  else if (h.type == TO_BF16)
    for (uint32_t i = 0; i < block; i++) halves[i] = lqa_to_bf16(w[i]);
  else if (h.type == TO_F16 && h.level >= AVX2) narrow_avx2(w, halves, block);
  else if (h.type == TO_F16)
    for (uint32_t i = 0; i < block; i++) halves[i] = lqa_to_f16(w[i]);
  const void *const from = h.type == TO_F32 ? (const void *)w : halves;
  if (count == block) memcpy(out, from, block * WIDTH(h)); /* a constant */
  else memcpy(out, from, count * WIDTH(h));
}

/* ((t ^ flip) - zero) scale, times the multiplier. Reads up to block - 1 integers more than it is asked for. */
INLINE void multiply(const int16_t *t, uint32_t count, int flip, int zero, float scale, float multiplier, uint8_t *out,
                     uint32_t block, const how h) {
  float w[BLOCK];
  if (h.level >= AVX512) {
    multiply_avx512(t, count, flip, zero, scale, multiplier, out, h.type);
    return;
  }
  for (uint32_t i = 0; i < count; i += block) {
    if (h.level >= AVX2) multiply_avx2(t + i, w, block, flip, zero, scale, multiplier);
    else
      for (uint32_t k = 0; k < block; k++) w[k] = (float)((t[i + k] ^ flip) - zero) * scale * multiplier;
    put(w, block, count - i < block ? count - i : block, out + i * WIDTH(h), h);
  }
}

static float scale_at(const vector *v, uint64_t group) {
  const uint32_t bits = lqa_get16(v->scales + 2 * group);
  return v->encoding.scale == LQA_BF16 ? lqa_float(bits << 16) : lqa_from_f16(bits);
}

/* Weights first to first + count - 1 of a vector of integers and scales, from its integers. */
INLINE void scaled(const vector *v, uint64_t first, uint32_t count, const int16_t *t, const job *j, uint8_t *out,
                   const how h) {
  const lqa_encoding e = v->encoding;
  if (!e.group_exponent && e.codec == LQA_TRELLIS) { /* behind the columns of a rotated vector, 8 times as large */
    const float s = scale_at(v, 0) * (e.rotation ? 8.0f : 1.0f);
    multiply(t, count, 0, 0, s, j->multiplier, out, BLOCK, h);
    return;
  }
  for (uint32_t i = 0, part; i < count; i += part) {
    const uint64_t group = e.group_exponent ? (first + i) >> e.group_exponent : 0;
    const uint64_t left = e.group_exponent ? ((group + 1) << e.group_exponent) - (first + i) : count;
    part = left < count - i ? (uint32_t)left : count - i;
    float s = scale_at(v, group);
    int zero = 0;
    if (e.codec == LQA_AFFINE)
      zero = (int)(bits_from(v->zeros, v->zero_bytes, (int64_t)(group * e.bits)) & ((1u << e.bits) - 1));
    if (part <= 16) multiply(t + i, part, 0, zero, s, j->multiplier, out + i * WIDTH(h), 16, h);
    else multiply(t + i, part, 0, zero, s, j->multiplier, out + i * WIDTH(h), BLOCK, h);
  }
}

INLINE void raw(const vector *v, uint64_t first, uint32_t count, float multiplier, uint8_t *out, const how h) {
  const uint8_t element = v->encoding.element;
  const uint32_t size = element == LQA_F32 ? 4 : 2;
  for (uint32_t i = 0, part; i < count; i += part) {
    float w[BLOCK];
    part = count - i < BLOCK ? count - i : BLOCK;
    uint8_t last[4 * BLOCK];
    const uint8_t *from = v->codes + (first + i) * size;
    if (part < BLOCK) {
      memset(last, 0, sizeof last);
      memcpy(last, from, part * size);
      from = last;
    }
    if (h.level >= AVX2) {
      widen_avx2(from, element, multiplier, w);
    } else {
      if (element == LQA_F32)
        for (uint32_t k = 0; k < BLOCK; k++) w[k] = lqa_float(lqa_get32(from + 4 * k));
      else if (element == LQA_F16)
        for (uint32_t k = 0; k < BLOCK; k++) w[k] = lqa_from_f16(lqa_get16(from + 2 * k));
      else
        for (uint32_t k = 0; k < BLOCK; k++) w[k] = lqa_float(lqa_get16(from + 2 * k) << 16);
      for (uint32_t k = 0; k < BLOCK; k++) w[k] *= multiplier;
    }
    put(w, BLOCK, part, out + i * WIDTH(h), h);
  }
}

/* A float of this machine. Alone: compilers make one load of many, and a copy in pieces would stall the load behind it. */
INLINE float float_at(const uint8_t *p) {
  float value;
  memcpy(&value, p, sizeof value);
  return value;
}

/* The same of a vector that holds floats of this machine. */
INLINE void decoded(const vector *v, uint64_t first, uint32_t count, float multiplier, uint8_t *out, const how h) {
  for (uint32_t i = 0, part; i < count; i += part) {
    float w[BLOCK];
    const uint8_t *const from = v->codes + (first + i) * 4;
    part = count - i < BLOCK ? count - i : BLOCK;
    if (part == BLOCK)
      for (uint32_t k = 0; k < BLOCK; k++) w[k] = float_at(from + 4 * k) * multiplier;
    else
      for (uint32_t k = 0; k < BLOCK; k++) w[k] = k < part ? float_at(from + 4 * k) * multiplier : 0.0f;
    put(w, BLOCK, part, out + i * WIDTH(h), h);
  }
}

/* A piece of a vector; run i goes to out + i stride weights. */
INLINE void decode_piece(const job *j, const vector *v, const piece *p, uint8_t *out, uint64_t stride, const how h) {
  const uint8_t codec = v->encoding.codec;
  const uint32_t width = p->length <= 16 ? 16 : COLUMNS; /* of rows of integers, if there are several */
  int16_t *const t = j->integers;
  if (codec != LQA_ZERO && codec != LQA_RAW && codec != DECODED) unpack(v, p, t, width, h);
  if (codec == LQA_TRELLIS && v->encoding.rotation && p->runs == 64) {
    if (h.level >= AVX512 && width > 16) rotate_avx512(t, width);
    else if (h.level >= AVX2) rotate_avx2(t, width);
    else rotate_plain(t, width);
    const float s = scale_at(v, 0);
    for (uint32_t r = 0; r < 64; r++, out += stride * WIDTH(h)) {
      const int flip = -is_flipped(r); /* (t ^ -1) + 1 is -t */
      if (width == 16) multiply(t + r * 16, p->length, flip, flip, s, j->multiplier, out, 16, h);
      else multiply(t + r * COLUMNS, p->length, flip, flip, s, j->multiplier, out, COLUMNS, h);
    }
    return;
  }
  for (uint32_t r = 0; r < p->runs; r++, out += stride * WIDTH(h)) {
    const uint64_t first = p->first + r * p->stride;
    if (codec == LQA_ZERO) memset(out, 0, (size_t)p->length * WIDTH(h));
    else if (codec == DECODED) decoded(v, first, p->length, j->multiplier, out, h);
    else if (codec == LQA_RAW) raw(v, first, p->length, j->multiplier, out, h);
    else scaled(v, first, p->length, t + r * width, j, out, h);
  }
}

/* ---- Layout ---- */

#ifdef __SSE2__
#include <emmintrin.h>
/* Eight rows of eight weights of 2 bytes, or four of four f32. */
static inline void transpose_2(const uint8_t *from, uint64_t pitch, uint8_t *to, uint64_t rank) {
  __m128i r[8], q[8];
  for (int i = 0; i < 8; i++) r[i] = _mm_loadu_si128((const __m128i *)(const void *)(from + (uint64_t)i * pitch));
  for (int i = 0; i < 4; i++) {
    q[i] = _mm_unpacklo_epi16(r[i], r[i + 4]);
    q[i + 4] = _mm_unpackhi_epi16(r[i], r[i + 4]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; k++) {
      r[i + 2 * k] = _mm_unpacklo_epi16(q[i + k], q[i + k + 2]);
      r[i + 2 * k + 1] = _mm_unpackhi_epi16(q[i + k], q[i + k + 2]);
    }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; k++) {
      const __m128i low = _mm_unpacklo_epi16(r[i + k], r[i + k + 2]), high = _mm_unpackhi_epi16(r[i + k], r[i + k + 2]);
      _mm_storeu_si128((__m128i *)(void *)(to + (uint64_t)(i + 2 * k) * rank), low);
      _mm_storeu_si128((__m128i *)(void *)(to + (uint64_t)(i + 2 * k + 1) * rank), high);
    }
}

static inline void transpose_f32(const uint8_t *from, uint64_t pitch, uint8_t *to, uint64_t rank) {
  __m128 r[4];
  for (int i = 0; i < 4; i++) r[i] = _mm_loadu_ps((const float *)(const void *)(from + (uint64_t)i * pitch));
  _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
  for (int i = 0; i < 4; i++) _mm_storeu_ps((float *)(void *)(to + (uint64_t)i * rank), r[i]);
}
#endif

/* `count` rows of the tile, `pitch` weights apart, to weights of `length` rows of `rank`: `out` is the first. */
INLINE void transpose(const uint8_t *tile, uint32_t pitch, uint32_t count, uint32_t length, uint8_t *out, uint64_t rank,
                      const how h) {
  const uint32_t size = WIDTH(h);
  uint32_t wide = 0, long_ = 0; /* what squares of 16 bytes a side do */
#ifdef __SSE2__
  const uint32_t square = 16 / size;
  wide = count / square * square;
  long_ = length / square * square;
  for (uint32_t i = 0; i < long_; i += square)
    for (uint32_t c = 0; c < wide; c += square) {
      const uint8_t *const from = tile + (c * pitch + i) * size;
      uint8_t *const to = out + (i * rank + c) * size;
      if (h.type != TO_F32) transpose_2(from, pitch * size, to, rank * size);
      else transpose_f32(from, pitch * size, to, rank * size);
    }
#endif
  for (uint32_t i = 0; i < length; i++)
    for (uint32_t c = i < long_ ? wide : 0; c < count; c++)
      memcpy(out + (i * rank + c) * size, tile + (c * pitch + i) * size, size);
}

/* A piece of vectors first to first + count - 1 of a factor of an expert, which begins at `out`. */
INLINE void place(const job *j, const vector *v, uint32_t first, uint32_t count, const piece *p, uint8_t *out, const how h) {
  for (uint32_t i = 0; i < count; i++) {
    if (j->by_weight) decode_piece(j, v + i, p, j->tile + (size_t)i * PIECE * WIDTH(h), p->length, h);
    else decode_piece(j, v + i, p, out + ((first + i) * v->n + p->first) * WIDTH(h), p->stride, h);
  }
  for (uint32_t r = 0; r < p->runs && j->by_weight; r++)
    transpose(j->tile + (size_t)r * p->length * WIDTH(h), PIECE, count, p->length,
              out + ((p->first + r * p->stride) * j->rank + first) * WIDTH(h), j->rank, h);
}

INLINE uint32_t least(uint64_t a, uint32_t b) { return a < b ? (uint32_t)a : b; }

INLINE void decode_vectors(const job *j, const vector *v, uint32_t first, uint32_t count, uint8_t *out, const how h) {
  int rotated = 0;
  for (uint32_t i = 0; i < count; i++) rotated |= v[i].encoding.rotation;
  const uint64_t n = v->n, columns = rotated ? n / 64 : 0;
  for (uint64_t at = 0; at < columns; at += COLUMNS) {
    const piece p = {at, columns, 64, least(columns - at, COLUMNS)};
    place(j, v, first, count, &p, out, h);
  }
  for (uint64_t at = 64 * columns; at < n; at += PIECE) {
    const piece p = {at, 0, 1, least(n - at, PIECE)};
    place(j, v, first, count, &p, out, h);
  }
}

/* ---- Starts (8.8) ---- */

enum { TILE = 4, COLUMN_BLOCK = 32, STARTED_RANK = 256 };

typedef struct twister {
  uint32_t words[LQA_STATE], next; /* LQA_STATE: the next block is yet to be made */
} twister;

/* Vectors of a factor that have mixtures, or some columns of them. Draws and integers of mixtures stand in pairs of rows, as
 * instructions that multiply and add pairs want them. A last row without another has one of zeros. */
typedef struct mixing {
  uint64_t n;             /* columns */
  uint32_t rank, count;
  const int16_t *draws;   /* [rank][n] */
  int16_t *columns;       /* room for [pair][COLUMN_BLOCK][2] */
  int16_t *factors;       /* [tile][pair][TILE][2]: q - z */
  double scales[STARTED_RANK]; /* times 2^-15 */
  uint8_t *values[STARTED_RANK];
} mixing;

INLINE uint32_t twist(uint32_t word, uint32_t after, uint32_t middle) {
  const uint32_t y = (word & 0x80000000u) | (after & 0x7FFFFFFFu);
  return middle ^ y >> 1 ^ ((0u - (y & 1)) & 2567483615u);
}

/* Two loops that compilers turn into vector code: what they read was written 227 words before, or is written 397 later. */
INLINE void next_block(uint32_t *w) {
  for (uint32_t i = 0; i < 227; i++) w[i] = twist(w[i], w[i + 1], w[i + 397]);
  for (uint32_t i = 227; i < LQA_STATE - 1; i++) w[i] = twist(w[i], w[i + 1], w[i - 227]);
  w[LQA_STATE - 1] = twist(w[LQA_STATE - 1], w[0], w[396]);
}

INLINE void skip(twister *t, uint32_t draws) {
  for (; draws > LQA_STATE - t->next; t->next = 0) {
    draws -= LQA_STATE - t->next;
    next_block(t->words);
  }
  t->next += draws;
}

INLINE void draw(twister *t, int16_t *draws, uint64_t count) {
  for (uint64_t done = 0; done < count;) {
    if (t->next == LQA_STATE) {
      next_block(t->words);
      t->next = 0;
    }
    const uint32_t *const words = t->words + t->next;
    const uint32_t left = LQA_STATE - t->next, part = count - done < left ? (uint32_t)(count - done) : left;
    for (uint32_t i = 0; i < part; i++) {
      uint32_t y = words[i];
      y ^= y >> 11;
      y ^= y << 7 & 2636928640u;
      y ^= y << 15 & 4022730752u;
      draws[done + i] = (int16_t)((int32_t)((y ^ y >> 18) >> 8 & 0xFFFF) - 0x8000);
    }
    done += part;
    t->next += part;
  }
}

#ifdef HAS_X86_CODE
#define SUM_TILE(name, with, vector_of_integers, lanes, load, store, zero, all, multiply_add, add) \
  __attribute__((target(with))) static inline void name(const int16_t *columns, const int16_t *factors, uint32_t pairs, int32_t *sums) { \
    for (uint32_t i = 0; i < COLUMN_BLOCK; i += 2 * (lanes)) { \
      vector_of_integers s[TILE][2]; \
      for (uint32_t c = 0; c < TILE; c++) s[c][0] = s[c][1] = zero(); \
      for (uint32_t k = 0; k < pairs; k++) { \
        const int16_t *const from = columns + 2 * (k * COLUMN_BLOCK + i); \
        const vector_of_integers x = load((const void *)from), y = load((const void *)(from + 2 * (lanes))); \
        for (uint32_t c = 0; c < TILE; c++) { \
          int32_t pair; \
          memcpy(&pair, factors + 2 * (k * TILE + c), sizeof pair); \
          s[c][0] = add(s[c][0], multiply_add(all(pair), x)); \
          s[c][1] = add(s[c][1], multiply_add(all(pair), y)); \
        } \
      } \
      for (uint32_t c = 0; c < TILE; c++) { \
        store((void *)(sums + c * COLUMN_BLOCK + i), s[c][0]); \
        store((void *)(sums + c * COLUMN_BLOCK + i + (lanes)), s[c][1]); \
      } \
    } \
  }
SUM_TILE(sum_tile_avx2, "avx2", __m256i, 8, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_setzero_si256, _mm256_set1_epi32,
         _mm256_madd_epi16, _mm256_add_epi32)
SUM_TILE(sum_tile_avx512, "avx512f,avx512bw", __m512i, 16, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_setzero_si512,
         _mm512_set1_epi32, _mm512_madd_epi16, _mm512_add_epi32)
#else
#define sum_tile_avx2(columns, factors, pairs, sums) ((void)0)
#define sum_tile_avx512(columns, factors, pairs, sums) ((void)0)
#endif

/* Sums of TILE mixtures of COLUMN_BLOCK columns: below 256 255 2^15, so they fit in whatever order. */
INLINE void sum_tile(const int16_t *columns, const int16_t *factors, uint32_t pairs, int32_t *sums, const how h) {
  if (h.level >= AVX512) sum_tile_avx512(columns, factors, pairs, sums);
  else if (h.level >= AVX2) sum_tile_avx2(columns, factors, pairs, sums);
  else {
    memset(sums, 0, TILE * COLUMN_BLOCK * sizeof *sums);
    for (uint32_t k = 0; k < pairs; k++, columns += 2 * COLUMN_BLOCK)
      for (uint32_t c = 0; c < TILE; c++, factors += 2)
        for (uint32_t i = 0; i < COLUMN_BLOCK; i++)
          sums[c * COLUMN_BLOCK + i] += factors[0] * columns[2 * i] + factors[1] * columns[2 * i + 1];
  }
}

/* `width` columns of draws, in pairs of rows; what is left of the block is 0. */
INLINE void pair_rows(const mixing *m, uint64_t at, uint32_t width) {
  static const int16_t zeros[COLUMN_BLOCK];
  for (uint32_t k = 0; k < m->rank; k += 2) {
    const int16_t *const x = m->draws + k * m->n + at, *const y = k + 1 < m->rank ? x + m->n : zeros;
    int16_t *const to = m->columns + k * COLUMN_BLOCK;
    if (width == COLUMN_BLOCK) {
      for (uint32_t i = 0; i < COLUMN_BLOCK; i++) {
        to[2 * i] = x[i];
        to[2 * i + 1] = y[i];
      }
      continue;
    }
    memset(to, 0, 2 * COLUMN_BLOCK * sizeof *to);
    for (uint32_t i = 0; i < width; i++) {
      to[2 * i] = x[i];
      to[2 * i + 1] = y[i];
    }
  }
}

INLINE void add_to(uint8_t *weight, double start) {
  const float sum = (float)((double)float_at(weight) + start);
  memcpy(weight, &sum, sizeof sum);
}

/* Adds mixtures of draws to vectors. */
INLINE void mix(const mixing *m, const how h) {
  const uint32_t pairs = (m->rank + 1) / 2;
  for (uint64_t at = 0; at < m->n && m->count > 0; at += COLUMN_BLOCK) {
    const uint32_t width = least(m->n - at, COLUMN_BLOCK);
    pair_rows(m, at, width);
    for (uint32_t first = 0; first < m->count; first += TILE) {
      int32_t sums[TILE * COLUMN_BLOCK];
      sum_tile(m->columns, m->factors + (size_t)first * 2 * pairs, pairs, sums, h);
      for (uint32_t c = first; c < m->count && c < first + TILE; c++) {
        uint8_t *const values = m->values[c] + 4 * at;
        const int32_t *const sum = sums + (c - first) * COLUMN_BLOCK;
        const double scale = m->scales[c];
        if (width == COLUMN_BLOCK)
          for (uint32_t i = 0; i < COLUMN_BLOCK; i++) add_to(values + 4 * i, scale * sum[i]);
        else
          for (uint32_t i = 0; i < width; i++) add_to(values + 4 * i, scale * sum[i]);
      }
    }
  }
}

/* ---- Levels ---- */

/* What depends on the instructions of the processor. */
typedef struct loops {
  void (*decode[TYPES])(const job *j, const vector *v, uint32_t first, uint32_t count, uint8_t *out);
  void (*draw)(twister *t, uint32_t skipped, int16_t *draws, uint64_t count);
  void (*mix)(const mixing *m);
} loops;

#define DECODER(name, type, level) \
  static void name(const job *j, const vector *v, uint32_t first, uint32_t count, uint8_t *out) { \
    const how h = {type, level}; \
    decode_vectors(j, v, first, count, out, h); \
  }
#define MIXER(name, level) \
  static void name(const mixing *m) { \
    const how h = {TO_F32, level}; \
    mix(m, h); \
  }
#define DRAWER(name) \
  static void name(twister *t, uint32_t skipped, int16_t *draws, uint64_t count) { \
    skip(t, skipped); \
    draw(t, draws, count); \
  }
DECODER(to_f32, TO_F32, PLAIN)
DECODER(to_f16, TO_F16, PLAIN)
DECODER(to_bf16, TO_BF16, PLAIN)
DRAWER(draw_plain)
MIXER(mix_plain, PLAIN)
static const loops plain_loops = {{to_f32, to_f16, to_bf16}, draw_plain, mix_plain};
#ifdef HAS_X86_CODE
__attribute__((target("avx2,f16c"))) DECODER(to_f32_avx2, TO_F32, AVX2)
__attribute__((target("avx2,f16c"))) DECODER(to_f16_avx2, TO_F16, AVX2)
__attribute__((target("avx2,f16c"))) DECODER(to_bf16_avx2, TO_BF16, AVX2)
__attribute__((target("avx2"))) DRAWER(draw_avx2)
__attribute__((target("avx2"))) MIXER(mix_avx2, AVX2)
static const loops avx2_loops = {{to_f32_avx2, to_f16_avx2, to_bf16_avx2}, draw_avx2, mix_avx2};
__attribute__((target("avx2,f16c"))) DECODER(to_f32_avx512, TO_F32, AVX512)
__attribute__((target("avx2,f16c"))) DECODER(to_f16_avx512, TO_F16, AVX512)
__attribute__((target("avx2,f16c"))) DECODER(to_bf16_avx512, TO_BF16, AVX512)
__attribute__((target("avx512f,avx512bw"))) DRAWER(draw_avx512)
__attribute__((target("avx512f,avx512bw"))) MIXER(mix_avx512, AVX512)
static const loops avx512_loops = {{to_f32_avx512, to_f16_avx512, to_bf16_avx512}, draw_avx512, mix_avx512};
#endif

/* Processors with AVX2 have F16C, but a virtual machine may hide it. Compilers before GCC 11 cannot ask for it. */
#if defined(__clang__) || __GNUC__ >= 11
#define HAS_F16C __builtin_cpu_supports("f16c")
#else
#define HAS_F16C 1
#endif

static const loops *choose(int without) {
#ifdef HAS_X86_CODE
  const int avx2 = __builtin_cpu_supports("avx2") && HAS_F16C;
  const int avx512 = avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512vbmi");
  if (without < LQA_WITHOUT_AVX512 && avx512) return &avx512_loops;
  if (without < LQA_WITHOUT_AVX2 && avx2) return &avx2_loops;
#endif
  (void)without;
  return &plain_loops;
}

/* ---- Factors ---- */

uint64_t lqa_factor_weights(const lqa_module *m, int factor) {
  return (uint64_t)m->experts * m->rank * m->vector_length[factor];
}

static int type_of(const lqa_form *form) {
  return form->element == LQA_F16 ? TO_F16 : form->element == LQA_BF16 ? TO_BF16 : TO_F32;
}

/* MIXING: columns and factors of a mixing. DRAWS: most draws of a module in memory at a time. */
enum { SCRATCH = 135424, MIXING = (STARTED_RANK + COLUMN_BLOCK) * STARTED_RANK * sizeof(int16_t), DRAWS = 4194304 };

static uint64_t larger_factor(const lqa_module *m) {
  const uint64_t b = lqa_factor_weights(m, LQA_B), a = lqa_factor_weights(m, LQA_A);
  return b > a ? b : a;
}

/* Columns of the draws of a module that are made at a time: all, if they are not too many. */
static uint64_t columns_at_once(uint32_t rank, uint64_t n) { return rank * n <= DRAWS ? n : DRAWS / rank; }

/* Room for draws, and where not all are made at once, for the generator before each row of them. */
static uint64_t start_bytes(uint32_t rank, uint64_t n) {
  const uint64_t wide = columns_at_once(rank, n);
  return MIXING + (2 * rank * wide + 63) / 64 * 64 + (wide < n ? rank * sizeof(twister) : 0);
}

/* Room for what the start of a parent needs, whose rank is no larger; or, a multiple of 64, for rests that wait. */
static uint64_t waiting_bytes(const lqa_module *m) {
  const uint64_t waiting = m->rank < VECTORS ? m->rank : VECTORS, rank = m->rank < STARTED_RANK ? m->rank : STARTED_RANK;
  const uint64_t b = 4 * waiting * m->vector_length[LQA_B], a = 4 * waiting * m->vector_length[LQA_A];
  const uint64_t draws = rank * m->vector_length[LQA_A] < DRAWS ? rank * m->vector_length[LQA_A] : DRAWS;
  const uint64_t start = MIXING + 2 * draws + 64 + rank * sizeof(twister);
  const uint64_t most = b > a ? b : a;
  return ((most > start ? most : start) + 63) / 64 * 64;
}

size_t lqa_decode_scratch(const lqa_module *m) {
  uint64_t size = SCRATCH;
  if (m->started) size += start_bytes(m->rank, m->vector_length[LQA_A]) + 4 * m->rank * m->vector_length[LQA_A];
  if (m->parent) size += waiting_bytes(m) + 4 * larger_factor(m);
  return size < SIZE_MAX ? (size_t)size : SIZE_MAX;
}

static vector vector_of(const lqa_planes *p, uint32_t i, const uint8_t *payload) {
  const vector v = {p->encoding, payload + p->codes + i * p->code_bytes, payload + p->zeros + i * p->zero_bytes,
                    payload + p->scales + i * p->groups * 2, p->n, p->code_bytes, p->zero_bytes};
  return v;
}

/* The next planes of a factor, or 0. */
static int next_of(const lqa_file *f, const lqa_module *m, uint32_t factor, lqa_planes *p) {
  while (lqa_next_planes(f, m, p))
    if (p->factor == factor) return 1;
  return 0;
}

static uint32_t draw_of(uint32_t position) { return position & ((1u << LQA_STATE_DRAWS) - 1); }

/* The state of a position, before its first draw. */
static void begin(const lqa_file *f, uint32_t position, twister *t) {
  lqa_seed(f->start.at, f->start.count, position, t->words);
  t->next = LQA_STATE;
}

/* Draws that come before those of a module, and the state that they come from. */
static uint32_t begin_module(const lqa_file *f, const lqa_module *m, twister *t) {
  if (!f->states) {
    begin(f, m->position, t);
    return draw_of(m->position);
  }
  memcpy(t->words, f->states + (size_t)LQA_STATE * (m->positions - 1), sizeof t->words);
  t->next = LQA_STATE;
  return draw_of(m->position) % LQA_STATE;
}

size_t lqa_states_size(const lqa_file *f) { return (size_t)f->positions.count * LQA_STATE * sizeof(uint32_t); }

void lqa_keep_states(lqa_file *f, uint32_t *memory) {
  const uint32_t count = f->positions.count;
  const loops *const level = choose(0);
  twister t;
  uint32_t at = 0; /* draws of the state that are made */
  for (uint64_t from = 0, next = 0, last = 0; count > 0; from = next + 1, last = next) {
    next = UINT64_MAX; /* the least position from `from` on */
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t position = lqa_get32(f->positions.at + 4 * i);
      if (position >= from && position < next) next = position;
    }
    if (next == UINT64_MAX) break;
    if (from == 0 || next >> LQA_STATE_DRAWS != last >> LQA_STATE_DRAWS) {
      begin(f, (uint32_t)next, &t);
      at = 0;
    }
    const uint32_t before = draw_of((uint32_t)next) / LQA_STATE * LQA_STATE; /* whole blocks */
    level->draw(&t, before - at, 0, 0);
    at = before;
    for (uint32_t i = 0; i < count; i++)
      if (lqa_get32(f->positions.at + 4 * i) == next) memcpy(memory + (size_t)LQA_STATE * i, t.words, sizeof t.words);
  }
  f->states = count > 0 ? memory : 0;
}

/* Adds a vector and its mixture to those that wait. */
static void add_mixture(mixing *m, const vector *mixture, uint8_t *values) {
  const uint32_t bits = mixture->encoding.bits, mask = (1u << bits) - 1, pairs = (m->rank + 1) / 2;
  const int zero = (int)(bits_from(mixture->zeros, mixture->zero_bytes, 0) & mask);
  int16_t *const factors = m->factors + 2 * ((size_t)(m->count / TILE * TILE) * pairs + m->count % TILE);
  for (uint32_t k = 0; k < m->rank; k++) {
    const uint64_t code = bits_from(mixture->codes, mixture->code_bytes, (int64_t)k * bits) & mask;
    factors[(size_t)(k / 2) * 2 * TILE + k % 2] = (int16_t)((int)code - zero);
  }
  m->scales[m->count] = (double)scale_at(mixture, 0) / 32768.0;
  m->values[m->count++] = values;
}

/* Vectors of f32 as if they were stored: `count` of them from `values` on. */
static void wrap_values(vector *v, const uint8_t *values, uint32_t count, uint64_t n) {
  for (uint32_t k = 0; k < count; k++) {
    const vector value = {{DECODED, 0, 0, 0, 0, 0, 0, 0}, values + 4 * k * n, 0, 0, n, 4 * n, 0};
    v[k] = value;
  }
}

/* Adds mixtures of draws, of which some columns are made at a time, to the rests of a factor. */
static void add_start(const lqa_file *f, const lqa_module *m, mixing *mixes, int16_t *draws, const loops *level) {
  const uint64_t n = m->vector_length[LQA_A], wide = columns_at_once(m->rank, n);
  twister *const rows = (twister *)(void *)((uint8_t *)draws + (2 * m->rank * wide + 63) / 64 * 64);
  twister t;
  const uint32_t before = begin_module(f, m, &t);
  level->draw(&t, before, 0, 0);
  for (uint32_t k = 0; wide < n && k < m->rank; k++) {
    rows[k] = t;
    level->draw(&t, (uint32_t)n, 0, 0);
  }
  for (uint64_t first = 0; first < n; first += wide) {
    mixes->n = n - first < wide ? n - first : wide;
    if (wide == n) level->draw(&t, 0, draws, m->rank * n);
    for (uint32_t k = 0; wide < n && k < m->rank; k++) level->draw(&rows[k], 0, draws + k * mixes->n, mixes->n);
    level->mix(mixes);
    for (uint32_t c = 0; c < mixes->count; c++) mixes->values[c] += 4 * wide;
  }
}

/* A' that has a start: its rests as f32, plus mixtures of draws, in the form asked for. */
static void decode_started(const lqa_file *f, const lqa_module *m, const uint8_t *payload, const lqa_form *form, uint8_t *out,
                           const job *j) {
  const uint64_t n = m->vector_length[LQA_A];
  const int type = type_of(form), direct = type == TO_F32 && !j->by_weight && !form->multiplied;
  const loops *const level = choose(form->without);
  const job rests = {m->rank, 0, 1.0f, j->integers, j->tile};
  int16_t *const columns = (int16_t *)(void *)((uint8_t *)j->integers + SCRATCH);
  int16_t *const factors = columns + STARTED_RANK * COLUMN_BLOCK, *const draws = factors + STARTED_RANK * STARTED_RANK;
  uint8_t *const values = direct ? out : (uint8_t *)columns + start_bytes(m->rank, n);
  mixing mixes;
  vector v[VECTORS];
  uint32_t first = 0, count = 0;
  lqa_planes a, r;
  memset(&mixes, 0, sizeof mixes);
  memset(factors, 0, STARTED_RANK * STARTED_RANK * sizeof *factors);
  memset(&a, 0, sizeof a);
  memset(&r, 0, sizeof r);
  mixes.rank = m->rank;
  mixes.draws = draws;
  mixes.columns = columns;
  mixes.factors = factors;
  while (next_of(f, m, LQA_A, &a) && next_of(f, m, LQA_MIXTURE, &r))
    for (uint32_t i = 0; i < a.components; i++) {
      const vector mixture = vector_of(&r, i, payload);
      if (r.groups) add_mixture(&mixes, &mixture, values + 4 * (first + count) * n);
      v[count++] = vector_of(&a, i, payload);
      if (count < VECTORS && first + count < m->rank) continue;
      level->decode[TO_F32](&rests, v, 0, count, values + 4 * first * n);
      first += count;
      count = 0;
    }
  add_start(f, m, &mixes, draws, level);
  for (first = 0; !direct && first < m->rank; first += count) {
    count = m->rank - first < VECTORS ? m->rank - first : VECTORS;
    wrap_values(v, values + 4 * first * n, count, n);
    level->decode[type](j, v, first, count, out);
  }
}

/* Adds the vectors that wait, as f32, to others. */
INLINE void add_values(uint8_t *to, const uint8_t *values, uint64_t count) {
  for (uint64_t i = 0; i < 4 * count; i += 4) {
    const float sum = float_at(to + i) + float_at(values + i);
    memcpy(to + i, &sum, sizeof sum);
  }
}

/* A factor of a module with a parent (8.9.3): the parent's as f32, to which the rests are added, in the form asked for. */
static void decode_child(const lqa_file *f, const lqa_module *m, const lqa_module *parent, const uint8_t *payload, int factor,
                         const lqa_form *form, uint8_t *out, const job *j) {
  const int type = type_of(form), direct = type == TO_F32 && !j->by_weight && !form->multiplied;
  const uint64_t n = m->vector_length[factor], size = 4 * m->rank * n, own = 4 * parent->rank * n;
  const loops *const level = choose(form->without);
  const job rests = {m->rank, 0, 1.0f, j->integers, j->tile};
  const lqa_form plain = {LQA_F32, LQA_BY_COMPONENT, 0, form->without};
  uint8_t *const values = (uint8_t *)j->integers + SCRATCH, *const sums = direct ? out : values + waiting_bytes(m);
  vector v[VECTORS];
  uint32_t first = 0, count = 0;
  lqa_planes p;
  lqa_decode_factor(f->parent_file, parent, f->parent_file->data + parent->chunk.offset, factor, &plain, sums, j->integers);
  for (uint32_t x = m->experts; x-- > 0;) { /* experts of a larger rank, the last first */
    memmove(sums + x * size, sums + x * own, (size_t)own);
    memset(sums + x * size + own, 0, (size_t)(size - own));
  }
  uint8_t *to = sums;
  for (memset(&p, 0, sizeof p); next_of(f, m, (uint32_t)factor, &p);)
    for (uint32_t i = 0; i < p.components; i++) {
      v[count++] = vector_of(&p, i, payload);
      const int last = first + count == m->rank;
      if (count < VECTORS && !last) continue;
      level->decode[TO_F32](&rests, v, 0, count, values);
      add_values(to, values, count * n);
      wrap_values(v, to, count, n);
      if (!direct) level->decode[type](j, v, first, count, out);
      to += 4 * count * n;
      first = last ? 0 : first + count;
      count = 0;
      if (last) out += m->rank * n * SIZE_OF(type);
    }
}

/* Whether weights in a form are finite (8.8.4, 8.9.3). */
static int all_finite(const uint8_t *weights, uint64_t count, int type) {
  int infinite = 0;
  if (type == TO_F32)
    for (uint64_t i = 0; i < 4 * count; i += 4) infinite |= (lqa_get32(weights + i) & 0x7F800000u) == 0x7F800000u;
  else
    for (uint64_t i = 0; i < 2 * count; i += 2) {
      const uint32_t mask = type == TO_F16 ? 0x7C00u : 0x7F80u;
      infinite |= ((uint32_t)(weights[i] | weights[i + 1] << 8) & mask) == mask;
    }
  return !infinite;
}

lqa_code lqa_decode_factor(const lqa_file *f, const lqa_module *m, const uint8_t *payload, int factor, const lqa_form *form,
                           void *out, void *scratch) {
  const int type = type_of(form);
  const loops *const level = choose(form->without);
  job j = {m->rank, form->order == LQA_BY_WEIGHT, form->multiplied ? m->multiplier : 1.0f, scratch, 0};
  vector v[VECTORS];
  uint32_t first = 0, count = 0; /* vectors that wait */
  uint8_t *expert = out;
  lqa_planes p;
  j.tile = (uint8_t *)scratch + (PIECE + SLACK) * sizeof *j.integers;
  memset(scratch, 0, (PIECE + SLACK) * sizeof *j.integers);
  if (m->parent) {
    lqa_module parent;
    if (!lqa_can_decode(f, m) || !lqa_parent_module(f, m, &parent)) {
      memset(out, 0xFF, (size_t)lqa_factor_weights(m, factor) * SIZE_OF(type));
      return LQA_PARENT_MISSING;
    }
    decode_child(f, m, &parent, payload, factor, form, expert, &j);
    return all_finite(out, lqa_factor_weights(m, factor), type) ? LQA_OK : LQA_NONFINITE_VALUE;
  }
  if (factor == LQA_A && m->started) {
    decode_started(f, m, payload, form, expert, &j);
    return all_finite(out, lqa_factor_weights(m, factor), type) ? LQA_OK : LQA_NONFINITE_VALUE;
  }
  for (memset(&p, 0, sizeof p); next_of(f, m, (uint32_t)factor, &p);) {
    for (uint32_t i = 0; i < p.components; i++) {
      v[count++] = vector_of(&p, i, payload);
      const int last = first + count == m->rank;
      if (count < VECTORS && !last) continue;
      level->decode[type](&j, v, first, count, expert);
      first = last ? 0 : first + count;
      count = 0;
      if (last) expert += m->rank * p.n * SIZE_OF(type);
    }
  }
  return LQA_OK;
}
