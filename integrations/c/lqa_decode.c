/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa_decode.c: whole factors as f32 or f16, bit for bit as clause 8.7 demands.
 *
 * Every codec but raw is integers times scales. A vector is decoded in pieces of up to 2048 weights that stay in the
 * first cache: first the integers (clause 8), as int16_t; then each times its scale, rounded to f32 and, if asked for, to
 * f16. Integers of any place of a vector can be had alone, because a window of a trellis is 8 bits of the code string.
 * So pieces of rotated vectors are columns of the matrix of 8.6.1, and scratch does not grow with the vector.
 *
 * The loops are plain C that compilers turn into vector code. They are compiled a second time for AVX2 and F16C. */

#include "lqa.h"

#include "lqa_bytes.h"

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
typedef struct how {
  int half, level;
} how;
#define WIDTH(h) ((h).half ? 2u : 4u)

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

/* The integers before rotation; those of `affine` are codes, whose zero points come later. */
INLINE void integers(const vector *v, uint64_t first, uint32_t count, int16_t *t) {
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
    default: fields(v, first, count, t, 8, 0); break;
  }
}

#ifdef HAS_X86_CODE
/* The integers of a piece, 64 codes or windows at a time: one instruction cuts them out of eight numbers of 64 bits, and two
 * look 64 windows up in 128 entries of a table. Writes up to 127 integers more than it is asked for. */
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static void unpack_avx512(const vector *v, const piece *p, int16_t *t,
                                                                               uint32_t width) {
#define LOAD(from) _mm512_loadu_si512((const void *)(from))
#define LOOK_UP(table) \
  _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), _mm512_permutex2var_epi8((table)[0], x, (table)[1]), \
                         _mm512_permutex2var_epi8((table)[2], x, (table)[3]))
  const lqa_encoding e = v->encoding;
  const lqa_trellis *const table = e.codec == LQA_TRELLIS ? &lqa_trellis_tables[e.table - 1] : 0;
  const uint32_t bits = table ? table->step_bits : e.codec == LQA_SIGN ? 1 : e.bits;
  const uint32_t per = table ? table->weights_per_step : 1;
  uint8_t at[64], shifts[64], pairs[192], entries[512];
  __m512i tables[8];
  for (uint32_t i = 0; i < 64; i++) {
    at[i] = (uint8_t)(i / 8 * bits + i % 8); /* eight fields are `bits` bytes */
    shifts[i] = (uint8_t)(i % 8 * bits);
  }
  for (uint32_t i = 0; table && i < 256; i++) {
    entries[i] = (uint8_t)table->entries[i * per];
    entries[256 + i] = (uint8_t)table->entries[i * per + per - 1];
  }
  for (uint32_t i = 0; table && i < 8; i++) tables[i] = LOAD(entries + 64 * i);
  for (uint32_t i = 0; per == 2 && i < 192; i++) pairs[i] = (uint8_t)(i / 2 + i % 2 * 64); /* weights of a step in turn */
  const __m512i places = LOAD(at), offsets = LOAD(shifts), one = _mm512_set1_epi8(1);
  const __m512i used = _mm512_set1_epi8((char)(table ? 255 : (1u << bits) - 1));
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

/* The integers of a piece, a run in each row of `width`. */
INLINE void unpack(const vector *v, const piece *p, int16_t *t, uint32_t width, const how h) {
  if (h.level >= AVX512) unpack_avx512(v, p, t, width);
  else
    for (uint32_t r = 0; r < p->runs; r++) integers(v, p->first + r * p->stride, p->length, t + r * width);
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

static int is_flipped(uint32_t r) { return (int)(((r & r >> 1) ^ (r >> 2 & r >> 3) ^ (r >> 4 & r >> 5)) & 1); }

/* ---- Weights ---- */

#ifdef HAS_X86_CODE
__attribute__((target("avx2,f16c"))) static inline void narrow_avx2(const float *w, uint16_t *out, uint32_t block) {
  for (uint32_t i = 0; i < block; i += 8)
    _mm_storeu_si128((__m128i *)(void *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(w + i), _MM_FROUND_TO_NEAREST_INT));
}
#else
#define narrow_avx2(w, out, block) ((void)0)
#endif

/* The first `count` weights of a block of 16 or 32. */
INLINE void put(const float *w, uint32_t block, uint32_t count, uint8_t *out, const how h) {
  uint16_t halves[BLOCK];
  if (h.half && h.level >= AVX2) narrow_avx2(w, halves, block);
  else if (h.half)
    for (uint32_t i = 0; i < block; i++) halves[i] = lqa_to_f16(w[i]);
  const void *const from = h.half ? (const void *)halves : w;
  if (count == block) memcpy(out, from, block * WIDTH(h)); /* a constant */
  else memcpy(out, from, count * WIDTH(h));
}

/* ((t ^ flip) - zero) scale, times the multiplier. Reads up to block - 1 integers more than it is asked for. */
INLINE void multiply(const int16_t *t, uint32_t count, int flip, int zero, float scale, float multiplier, uint8_t *out,
                     uint32_t block, const how h) {
  float w[BLOCK];
  for (uint32_t i = 0; i < count; i += block) {
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
    uint8_t bytes[4 * BLOCK];
    memset(bytes, 0, sizeof bytes);
    if (part == BLOCK) memcpy(bytes, v->codes + (first + i) * size, BLOCK * size);
    else memcpy(bytes, v->codes + (first + i) * size, part * size);
    if (element == LQA_F32)
      for (uint32_t k = 0; k < BLOCK; k++) w[k] = lqa_float(lqa_get32(bytes + 4 * k));
    else if (element == LQA_F16)
      for (uint32_t k = 0; k < BLOCK; k++) w[k] = lqa_from_f16(lqa_get16(bytes + 2 * k));
    else
      for (uint32_t k = 0; k < BLOCK; k++) w[k] = lqa_float(lqa_get16(bytes + 2 * k) << 16);
    for (uint32_t k = 0; k < BLOCK; k++) w[k] *= multiplier;
    put(w, BLOCK, part, out + i * WIDTH(h), h);
  }
}

/* A piece of a vector; run i goes to out + i stride weights. */
INLINE void decode_piece(const job *j, const vector *v, const piece *p, uint8_t *out, uint64_t stride, const how h) {
  const uint8_t codec = v->encoding.codec;
  const uint32_t width = p->length <= 16 ? 16 : COLUMNS; /* of rows of integers, if there are several */
  int16_t *const t = j->integers;
  if (codec != LQA_ZERO && codec != LQA_RAW) unpack(v, p, t, width, h);
  if (codec == LQA_TRELLIS && v->encoding.rotation && p->runs == 64) {
    if (width == 16) rotate(t, 16);
    else rotate(t, COLUMNS);
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
    else if (codec == LQA_RAW) raw(v, first, p->length, j->multiplier, out, h);
    else scaled(v, first, p->length, t + r * width, j, out, h);
  }
}

/* ---- Layout ---- */

#ifdef __SSE2__
#include <emmintrin.h>
/* Eight rows of eight f16, or four of four f32. */
static inline void transpose_f16(const uint8_t *from, uint64_t pitch, uint8_t *to, uint64_t rank) {
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
      if (h.half) transpose_f16(from, pitch * size, to, rank * size);
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

typedef void (*decoder)(const job *j, const vector *v, uint32_t first, uint32_t count, uint8_t *out);

#define DECODER(name, half, level) \
  static void name(const job *j, const vector *v, uint32_t first, uint32_t count, uint8_t *out) { \
    const how h = {half, level}; \
    decode_vectors(j, v, first, count, out, h); \
  }
DECODER(to_f32, 0, PLAIN)
DECODER(to_f16, 1, PLAIN)
#ifdef HAS_X86_CODE
__attribute__((target("avx2,f16c"))) DECODER(to_f32_avx2, 0, AVX2)
__attribute__((target("avx2,f16c"))) DECODER(to_f16_avx2, 1, AVX2)
__attribute__((target("avx2,f16c"))) DECODER(to_f32_avx512, 0, AVX512)
__attribute__((target("avx2,f16c"))) DECODER(to_f16_avx512, 1, AVX512)
#endif

/* Processors with AVX2 have F16C, but a virtual machine may hide it. Compilers before GCC 11 cannot ask for it. */
#if defined(__clang__) || __GNUC__ >= 11
#define HAS_F16C __builtin_cpu_supports("f16c")
#else
#define HAS_F16C 1
#endif

static decoder choose(int half, int without) {
#ifdef HAS_X86_CODE
  if (without < LQA_WITHOUT_AVX512 && __builtin_cpu_supports("avx512vbmi") && HAS_F16C) return half ? to_f16_avx512 : to_f32_avx512;
  if (without < LQA_WITHOUT_AVX2 && __builtin_cpu_supports("avx2") && HAS_F16C) return half ? to_f16_avx2 : to_f32_avx2;
#endif
  (void)without;
  return half ? to_f16 : to_f32;
}

uint64_t lqa_factor_weights(const lqa_module *m, int factor) {
  return (uint64_t)m->experts * m->rank * m->vector_length[factor];
}

void lqa_decode_factor(const lqa_file *f, const lqa_module *m, const uint8_t *payload, int factor, const lqa_form *form,
                       void *out, void *scratch) {
  const int half = form->element == LQA_F16;
  const decoder decode = choose(half, form->without);
  job j = {m->rank, form->order == LQA_BY_WEIGHT, form->multiplied ? m->multiplier : 1.0f, scratch, 0};
  vector v[VECTORS];
  uint32_t first = 0, count = 0; /* vectors that wait */
  uint8_t *expert = out;
  lqa_planes p;
  j.tile = (uint8_t *)scratch + (PIECE + SLACK) * sizeof *j.integers;
  memset(scratch, 0, (PIECE + SLACK) * sizeof *j.integers);
  for (memset(&p, 0, sizeof p); lqa_next_planes(f, m, &p);) {
    if (p.factor != (uint32_t)factor) continue;
    for (uint32_t i = 0; i < p.components; i++) {
      const vector one = {p.encoding, payload + p.codes + i * p.code_bytes, payload + p.zeros + i * p.zero_bytes,
                          payload + p.scales + i * p.groups * 2, p.n, p.code_bytes, p.zero_bytes};
      v[count++] = one;
      const int last = first + count == m->rank;
      if (count < VECTORS && !last) continue;
      decode(&j, v, first, count, expert);
      first = last ? 0 : first + count;
      count = 0;
      if (last) expert += m->rank * p.n * (half ? 2 : 4);
    }
  }
}
