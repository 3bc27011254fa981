/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa_decode.h: a decoder of .lqa files in one header (clause 2.4 of spec/lqa-v1.md; numbers in comments are its clauses).
 * Plain C99; no dependency, no allocation, no I/O, no global state, no recursion. Copy it, and in one C file:
 *
 *   #define LQA_DECODE_IMPLEMENTATION
 *   #include "lqa_decode.h"
 *
 * It trusts that somebody has validated the file: it checks what 2.4 demands of a decoder and never reads outside of the bytes that it
 * is given, but it does not say that a file is valid. lqa.h, beside it, checks everything. Compile without -ffast-math.
 *
 *   lqa_decoder d;
 *   lqa_decoder_module m;
 *   if (lqa_decoder_open(&d, data, size)) return d.error;
 *   for (lqa_decoder_begin(&d, &m); lqa_decoder_next(&d, &m);)
 *     for (int factor = LQA_DECODER_B; factor <= LQA_DECODER_A; factor++)
 *       lqa_decoder_decode(&d, &m, factor, out, scratch);   room for lqa_decoder_weights floats, lqa_decoder_scratch bytes
 */
#ifndef LQA_DECODE_H
#define LQA_DECODE_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || (defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 2)
#error "lqa needs IEEE 754 arithmetic: no -ffast-math, and on 32-bit x86 -msse2 -mfpmath=sse"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Encodings and tables, shared with lqa.h ---- */

enum { LQA_ZERO, LQA_RAW, LQA_AFFINE, LQA_SIGN, LQA_TRELLIS };                 /* codecs */
enum { LQA_F32 = 1, LQA_F16, LQA_BF16, LQA_F64, LQA_U32 = 11, LQA_BOOL = 13 }; /* element types (some) */

typedef struct lqa_encoding {
  uint8_t codec, element, scale, bits, mixture, group_exponent, table, rotation; /* mixture: bits, of A' with a start (8.8) */
} lqa_encoding;

#define LQA_TRELLIS_TABLES 6
typedef struct lqa_trellis {
  uint8_t step_bits, weights_per_step; /* k and V of clause 8.6 */
  int16_t entries[512];                /* T[w][v] is entry w V + v */
} lqa_trellis;
extern const lqa_trellis lqa_trellis_tables[LQA_TRELLIS_TABLES];

/* ---- The decoder ---- */

enum { LQA_DECODER_B, LQA_DECODER_A, LQA_DECODER_MIXTURE }; /* factors */

typedef struct lqa_decoder_vector {
  const uint8_t *at;
  uint32_t count;
} lqa_decoder_vector;

typedef struct lqa_decoder {
  const uint8_t *data;
  size_t size;
  const char *error; /* the name of an error of the specification, once a function has failed; else 0 */
  uint32_t required, alignment, index_length;
  lqa_decoder_vector encodings, bands, plans, types, modules, names;
  lqa_decoder_vector start, positions, parent_id, parent_modules; /* with START, or with PARENT; else empty */
  const struct lqa_decoder *parent; /* of lqa_decoder_set_parent, or 0 */
} lqa_decoder;

typedef struct lqa_decoder_module {
  uint8_t name[768]; /* followed by a zero byte */
  uint32_t name_length, out_size, in_size, experts, rank;
  uint64_t n[3]; /* weights of a component of B' (out), of A' (in times kernel) and of a mixture (rank) */
  float multiplier;
  uint32_t parent; /* 0, or 1 + the number of its module in the parent (8.9) */
  /* The rest is for the functions below. */
  uint32_t next, next_name, next_position, position, plan, first_band, bands, length;
  uint64_t offset, block, zeros, scales;
  int started;
} lqa_decoder_module;

/* All return 0, or -1 with `error` set. `data` must stay as it is while the decoder is in use. */
int lqa_decoder_open(lqa_decoder *d, const void *data, size_t size);
/* Gives a child its parent, if that stores the content id that the child names (8.9.1); 0 takes it away. */
int lqa_decoder_set_parent(lqa_decoder *d, const lqa_decoder *parent);

void lqa_decoder_begin(const lqa_decoder *d, lqa_decoder_module *m);
/* 1 and the next module, 0 at the end, or -1 with `error` set. */
int lqa_decoder_next(lqa_decoder *d, lqa_decoder_module *m);

/* Weights of a factor: experts times rank times n. Compare 4 bytes for each weight of both with your budget (2.4); UINT64_MAX if 64
 * bits cannot hold it. */
uint64_t lqa_decoder_weights(const lqa_decoder_module *m, int factor);
/* Bytes of scratch, aligned as malloc does, to decode any factor of a module: 2,500, and 4 for each weight of a vector; with a start
 * 4 more for each. A module with a parent needs as much and room for the parent's factor. */
uint64_t lqa_decoder_scratch(const lqa_decoder *d, const lqa_decoder_module *m);
/* 1, or 0 for a module whose parent, or one behind it, is not there. */
int lqa_decoder_can(const lqa_decoder *d, const lqa_decoder_module *m);
/* A factor as f32, component by component: [experts][rank][n], bit for bit as clause 8.7 demands. */
int lqa_decoder_decode(lqa_decoder *d, const lqa_decoder_module *m, int factor, float *out, void *scratch);

/* ---- Numbers (3) ---- */

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

/* ---- Sizes (7.2) ---- */

/* How a mixture is stored (8.8.2). */
static inline lqa_encoding lqa_mixture_of(lqa_encoding a) {
  const lqa_encoding stored = {LQA_AFFINE, 0, LQA_BF16, a.mixture, 0, 0, 0, 0}, none = {0, 0, 0, 0, 0, 0, 0, 0};
  return a.mixture ? stored : none;
}

/* Scales of a vector of n weights. */
static inline uint64_t lqa_groups(lqa_encoding e, uint64_t n) {
  if (e.codec < LQA_AFFINE) return 0;
  return e.group_exponent ? (n + ((uint64_t)1 << e.group_exponent) - 1) >> e.group_exponent : 1;
}

/* Bits of the codes of a vector of n weights. */
static inline uint64_t lqa_code_bits(lqa_encoding e, uint64_t n) {
  if (e.codec == LQA_RAW) return n * (e.element == LQA_F32 ? 32 : 16);
  if (e.codec == LQA_AFFINE) return n * e.bits;
  if (e.codec == LQA_SIGN) return n;
  if (e.codec != LQA_TRELLIS) return 0;
  const lqa_trellis *t = &lqa_trellis_tables[e.table - 1];
  return (n + t->weights_per_step - 1) / t->weights_per_step * t->step_bits;
}

/* ---- The generator of starts (8.8.3) ---- */

enum { LQA_STATE = 624, LQA_STATE_DRAWS = 22 }; /* words of a state; the logarithm of the draws that positions count in one */

/* The state of a position, before its first draw, from the vector `start` of `count` words. */
static inline void lqa_seed(const uint8_t *start, uint32_t count, uint32_t position, uint32_t words[LQA_STATE]) {
  const int seeded = count == 2;
  const uint8_t *const at = start + 4 + (seeded ? 0 : (size_t)4 * LQA_STATE * (position >> LQA_STATE_DRAWS));
  words[0] = lqa_get32(at);
  for (uint32_t i = 1; i < LQA_STATE; i++)
    words[i] = seeded ? 1812433253u * (words[i - 1] ^ words[i - 1] >> 30) + i : lqa_get32(at + 4 * i);
}

#ifdef __cplusplus
}
#endif
#endif

/* ======================================================================================================================== */

#if defined(LQA_DECODE_IMPLEMENTATION) && !defined(LQA_DECODE_IMPLEMENTED)
#define LQA_DECODE_IMPLEMENTED

enum { LQA_D_START = 1 << 5, LQA_D_PARENT = 1 << 6, LQA_D_KNOWN = 127, LQA_D_RANK = 256, LQA_D_CHAIN = 16 };

static int lqa_d_fail(lqa_decoder *d, const char *error) {
  d->error = error;
  return -1;
}

static uint64_t lqa_d_align(uint64_t x, uint64_t to) { return (x + to - 1) / to * to; }

/* a b, or UINT64_MAX. */
static uint64_t lqa_d_times(uint64_t a, uint64_t b) { return a != 0 && b > UINT64_MAX / a ? UINT64_MAX : a * b; }

static uint32_t lqa_d_crc32(const uint8_t *p, uint64_t size) {
  uint32_t table[16], crc = 0xFFFFFFFFu; /* four bits at a time */
  for (uint32_t i = 0; i < 16; i++) {
    table[i] = i;
    for (int k = 0; k < 4; k++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
  }
  for (uint64_t i = 0; i < size; i++) {
    crc ^= p[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

/* ---- Index (6) ---- */

/* The vector of a slot (6.1), whose elements have `size` bytes. */
static int lqa_d_vector(lqa_decoder *d, uint32_t slot, uint32_t size, lqa_decoder_vector *v) {
  const uint8_t *const index = d->data + 64;
  const int64_t length = d->index_length;
  if (length < 8) return lqa_d_fail(d, "INDEX_TABLE");
  const int64_t table = lqa_get32(index);
  if (table + 4 > length) return lqa_d_fail(d, "INDEX_TABLE");
  const uint32_t distance = lqa_get32(index + table);
  const int64_t vtable = table - (distance < 0x80000000u ? (int64_t)distance : (int64_t)distance - 4294967296), entry = 4 + 2 * (int64_t)slot;
  if (vtable < 0 || vtable + 4 > length) return lqa_d_fail(d, "INDEX_TABLE");
  if (entry >= lqa_get16(index + vtable)) return lqa_d_fail(d, "INDEX_FIELD_MISSING");
  if (vtable + entry + 2 > length) return lqa_d_fail(d, "INDEX_TABLE");
  const int64_t place = lqa_get16(index + vtable + entry), field = table + place;
  if (place == 0) return lqa_d_fail(d, "INDEX_FIELD_MISSING");
  if (field + 4 > length) return lqa_d_fail(d, "INDEX_TABLE");
  const int64_t at = field + lqa_get32(index + field);
  if (at + 4 > length) return lqa_d_fail(d, "INDEX_TABLE");
  v->count = lqa_get32(index + at);
  v->at = index + at + 4;
  return at + 4 + (int64_t)v->count * size > length ? lqa_d_fail(d, "INDEX_VECTOR") : 0;
}

static lqa_encoding lqa_d_encoding(const lqa_decoder *d, uint32_t number) {
  const uint8_t *p = d->encodings.at + 8 * (size_t)number;
  const lqa_encoding e = {p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
  return e;
}

static int lqa_d_check_encoding(lqa_decoder *d, lqa_encoding e) {
  const int scaled = e.codec >= LQA_AFFINE;
  if (e.codec > LQA_TRELLIS || (e.codec == LQA_RAW && (e.element < LQA_F32 || e.element > LQA_BF16)) ||
      (scaled && e.scale != LQA_F16 && e.scale != LQA_BF16) ||
      (e.codec == LQA_TRELLIS && (e.table < 1 || e.table > LQA_TRELLIS_TABLES || e.rotation > 1)))
    return lqa_d_fail(d, "UNSUPPORTED_CODEC");
  if ((e.codec == LQA_AFFINE && (e.bits < 1 || e.bits > 8)) || e.group_exponent > 10 || e.mixture > 8 ||
      (e.mixture && !(d->required & LQA_D_START)))
    return lqa_d_fail(d, "ENCODING_PARAMETER");
  return 0;
}

static void lqa_d_band(const lqa_decoder *d, uint32_t number, uint32_t *components, uint32_t *b, uint32_t *a) {
  const uint8_t *p = d->bands.at + 4 * (size_t)number;
  *components = lqa_get16(p);
  *b = p[2];
  *a = p[3];
}

int lqa_decoder_open(lqa_decoder *d, const void *data, size_t size) {
  static const uint8_t magic[8] = {0x89, 0x4C, 0x51, 0x41, 0x0D, 0x0A, 0x1A, 0x0A};
  const uint8_t *p = (const uint8_t *)data;
  uint64_t bands = 0;
  memset(d, 0, sizeof *d);
  d->data = p;
  d->size = size;
  if (size < 64) return lqa_d_fail(d, "TRUNCATED_PROLOGUE");
  if (memcmp(p, magic, 8)) return lqa_d_fail(d, "BAD_MAGIC");
  if (lqa_d_crc32(p, 60) != lqa_get32(p + 60)) return lqa_d_fail(d, "PROLOGUE_CRC");
  if (lqa_get16(p + 8) != 1) return lqa_d_fail(d, "UNSUPPORTED_VERSION");
  d->required = lqa_get32(p + 12);
  if (d->required & ~(uint32_t)LQA_D_KNOWN) return lqa_d_fail(d, "UNSUPPORTED_FEATURE");
  if (lqa_get64(p + 24) != size) return lqa_d_fail(d, lqa_get64(p + 24) > size ? "TRUNCATED_FILE" : "TRAILING_BYTES");
  if (p[48] < 2 || p[48] > 12) return lqa_d_fail(d, "ALIGNMENT_OUT_OF_RANGE");
  d->alignment = 1u << p[48];
  d->index_length = lqa_get32(p + 32);
  if (d->index_length > size - 64) return lqa_d_fail(d, "TRUNCATED_FILE");
  if (lqa_d_crc32(p + 64, d->index_length) != lqa_get32(p + 56)) return lqa_d_fail(d, "INDEX_CRC");
  if (lqa_d_vector(d, 0, 8, &d->encodings) || lqa_d_vector(d, 1, 4, &d->bands) || lqa_d_vector(d, 2, 2, &d->plans) ||
      lqa_d_vector(d, 3, 28, &d->types) || lqa_d_vector(d, 4, 12, &d->modules) || lqa_d_vector(d, 8, 1, &d->names))
    return -1;
  if (d->required & LQA_D_START) {
    if (lqa_d_vector(d, 9, 4, &d->start) || lqa_d_vector(d, 10, 4, &d->positions)) return -1;
    if (d->start.count == 0 || lqa_get32(d->start.at) != 1) return lqa_d_fail(d, "UNSUPPORTED_CODEC");
    if (d->start.count < 2) return lqa_d_fail(d, "ENCODING_PARAMETER");
  }
  if (d->required & LQA_D_PARENT) {
    if (lqa_d_vector(d, 11, 4, &d->parent_id) || lqa_d_vector(d, 12, 4, &d->parent_modules)) return -1;
    if (d->parent_id.count != 8 || d->parent_modules.count != d->modules.count) return lqa_d_fail(d, "RECORD_REFERENCE");
  }
  for (uint32_t i = 0; i < d->encodings.count; i++)
    if (lqa_d_check_encoding(d, lqa_d_encoding(d, i))) return -1;
  for (uint32_t i = 0; i < d->bands.count; i++) {
    uint32_t components, b, a;
    lqa_d_band(d, i, &components, &b, &a);
    if (b >= d->encodings.count || a >= d->encodings.count) return lqa_d_fail(d, "RECORD_REFERENCE");
  }
  for (uint32_t i = 0; i < d->plans.count; i++) bands += lqa_get16(d->plans.at + 2 * (size_t)i);
  return bands > d->bands.count ? lqa_d_fail(d, "RECORD_REFERENCE") : 0;
}

int lqa_decoder_set_parent(lqa_decoder *d, const lqa_decoder *parent) {
  d->parent = 0;
  if (!parent) return 0;
  const uint64_t digests = 64 + (uint64_t)lqa_get32(parent->data + parent->size - 24); /* 8.9.1 */
  if (digests > parent->size || digests < 64 + 32 || d->parent_id.count != 8 || memcmp(d->parent_id.at, parent->data + parent->size - digests, 32))
    return lqa_d_fail(d, "PARENT_MISMATCH");
  d->parent = parent;
  return 0;
}

/* ---- Planes (7.2, 7.3) ---- */

/* A factor of a band: where its codes, zero points and scales begin, counted from the expert's first byte. */
typedef struct lqa_d_plane {
  uint32_t band, factor, components;
  lqa_encoding encoding;
  uint64_t n, codes, zeros, scales, code_bytes, zero_bytes, groups;
} lqa_d_plane;

/* Walks over the planes: begin with all bytes zero and `zeros` and `scales` as they are. 0 behind the last. */
static int lqa_d_next_plane(const lqa_decoder *d, const lqa_decoder_module *m, lqa_d_plane *p, int first) {
  if (!first) {
    p->codes += p->components * p->code_bytes;
    p->zeros += p->components * p->zero_bytes;
    p->scales += p->components * p->groups * 2;
    if (++p->band == m->bands) {
      p->band = 0;
      p->factor++;
    }
  }
  if (m->bands == 0 || p->factor > (uint32_t)(m->started ? LQA_DECODER_MIXTURE : LQA_DECODER_A)) return 0;
  uint32_t b, a;
  lqa_d_band(d, m->first_band + p->band, &p->components, &b, &a);
  const lqa_encoding own = lqa_d_encoding(d, p->factor == LQA_DECODER_B ? b : a);
  p->encoding = p->factor == LQA_DECODER_MIXTURE ? lqa_mixture_of(own) : own;
  p->n = m->n[p->factor];
  p->groups = lqa_groups(p->encoding, p->n);
  p->code_bytes = (lqa_code_bits(p->encoding, p->n) + 7) / 8;
  p->zero_bytes = p->encoding.codec == LQA_AFFINE ? (p->groups * p->encoding.bits + 7) / 8 : 0;
  if (p->encoding.codec == LQA_RAW) p->codes = lqa_d_align(p->codes, p->encoding.element == LQA_F32 ? 4 : 2);
  return 1;
}

/* The plane of a factor of a band. */
static void lqa_d_find(const lqa_decoder *d, const lqa_decoder_module *m, uint32_t factor, uint32_t band, lqa_d_plane *p) {
  memset(p, 0, sizeof *p);
  p->zeros = m->zeros;
  p->scales = m->scales;
  for (int more = lqa_d_next_plane(d, m, p, 1); more && (p->factor != factor || p->band != band); more = lqa_d_next_plane(d, m, p, 0)) {}
}

void lqa_decoder_begin(const lqa_decoder *d, lqa_decoder_module *m) {
  memset(m, 0, sizeof *m);
  m->offset = lqa_d_align(64 + (uint64_t)d->index_length, d->alignment);
}

int lqa_decoder_next(lqa_decoder *d, lqa_decoder_module *m) {
  if (m->next >= d->modules.count) return 0;
  if (m->next > 0) m->offset = lqa_d_align(m->offset + m->length, d->alignment);
  const uint8_t *p = d->modules.at + 12 * (size_t)m->next;
  const uint32_t suffix = lqa_get16(p + 4), shared = p[6], type = lqa_get16(p + 8), plan = lqa_get16(p + 10);
  if (suffix > d->names.count - m->next_name || shared > m->name_length || shared + suffix >= sizeof m->name)
    return lqa_d_fail(d, "NAME_HEAP");
  memcpy(m->name + shared, d->names.at + m->next_name, suffix);
  m->next_name += suffix;
  m->name[m->name_length = shared + suffix] = 0;
  if (type >= d->types.count || plan >= d->plans.count) return lqa_d_fail(d, "RECORD_REFERENCE");
  const uint8_t *t = d->types.at + 28 * (size_t)type;
  m->out_size = lqa_get32(t);
  m->in_size = lqa_get32(t + 4);
  m->multiplier = lqa_float(lqa_get32(t + 8));
  m->experts = lqa_get16(t + 22);
  m->n[LQA_DECODER_B] = m->out_size;
  m->n[LQA_DECODER_A] = m->in_size;
  for (int i = 16; i < 22; i += 2)
    if (lqa_get16(t + i)) m->n[LQA_DECODER_A] = lqa_d_times(m->n[LQA_DECODER_A], lqa_get16(t + i));
  for (; m->plan > plan; m->plan--) m->first_band -= lqa_get16(d->plans.at + 2 * (size_t)(m->plan - 1)); /* from the plan before */
  for (; m->plan < plan; m->plan++) m->first_band += lqa_get16(d->plans.at + 2 * (size_t)m->plan);
  m->bands = lqa_get16(d->plans.at + 2 * (size_t)plan);
  m->rank = 0;
  m->started = 0;
  for (uint32_t i = 0; i < m->bands; i++) {
    uint32_t components, b, a;
    lqa_d_band(d, m->first_band + i, &components, &b, &a);
    m->rank += components;
    m->started |= lqa_d_encoding(d, a).mixture != 0;
  }
  m->n[LQA_DECODER_MIXTURE] = m->rank;
  /* Above this nothing fits into a chunk, and nothing below overflows 64 bits. */
  if (m->out_size > 1u << 30 || m->n[LQA_DECODER_A] > 1u << 30 || m->rank > 65535u) return lqa_d_fail(d, "HARD_LIMIT");
  if (m->started) {
    if (m->next_position >= d->positions.count || m->rank > LQA_D_RANK) return lqa_d_fail(d, "RECORD_REFERENCE");
    m->position = lqa_get32(d->positions.at + 4 * (size_t)m->next_position++);
    const uint64_t states = d->start.count == 2 ? 1 : (d->start.count - 1) / LQA_STATE;
    if (m->position >> LQA_STATE_DRAWS >= states) return lqa_d_fail(d, "RECORD_REFERENCE");
  }
  m->parent = d->parent_modules.count ? lqa_get32(d->parent_modules.at + 4 * (size_t)m->next) : 0;
  m->length = lqa_get32(p);
  m->next++;
  lqa_d_plane q;
  uint64_t codes = 0, zeros = 0, scales = 0;
  memset(&q, 0, sizeof q);
  for (int more = lqa_d_next_plane(d, m, &q, 1); more; more = lqa_d_next_plane(d, m, &q, 0)) {
    codes = q.codes + q.components * q.code_bytes;
    zeros = q.zeros + q.components * q.zero_bytes;
    scales = q.scales + q.components * q.groups * 2;
  }
  m->zeros = codes;
  m->scales = lqa_d_align(codes + zeros, 2);
  m->block = m->scales + scales;
  const uint64_t payload = m->experts ? lqa_d_align(m->block, 16) * (m->experts - 1) + m->block : 0;
  if (payload + 4 != m->length) return lqa_d_fail(d, "CHUNK_LENGTH_MISMATCH");
  return m->offset > d->size || m->length > d->size - m->offset ? lqa_d_fail(d, "TRUNCATED_FILE") : 1;
}

uint64_t lqa_decoder_weights(const lqa_decoder_module *m, int factor) {
  return lqa_d_times(lqa_d_times(m->experts, m->rank), m->n[factor]);
}

/* The parent's module of a module: 1, 0 without a parent, or -1 if it does not fit. */
static int lqa_d_parent(const lqa_decoder *d, const lqa_decoder_module *m, lqa_decoder *file, lqa_decoder_module *own) {
  if (!d->parent) return 0;
  *file = *d->parent;
  lqa_decoder_begin(file, own);
  while (own->next < m->parent)
    if (lqa_decoder_next(file, own) != 1) return -1;
  return own->n[0] == m->n[0] && own->n[1] == m->n[1] && own->experts == m->experts && own->rank <= m->rank ? 1 : -1;
}

int lqa_decoder_can(const lqa_decoder *d, const lqa_decoder_module *m) {
  lqa_decoder files[2] = {*d, *d};
  lqa_decoder_module modules[2] = {*m, *m};
  for (int i = 0; i < LQA_D_CHAIN; i++) {
    if (modules[i % 2].parent == 0) return 1;
    const int found = lqa_d_parent(&files[i % 2], &modules[i % 2], &files[(i + 1) % 2], &modules[(i + 1) % 2]);
    if (found != 1) return found != 0; /* what does not fit is an error of lqa_decoder_decode */
  }
  return 0;
}

static uint64_t lqa_d_own_scratch(const lqa_decoder_module *m) {
  const uint64_t n = m->n[0] > m->n[1] ? m->n[0] : m->n[1];
  return 4 * LQA_STATE + 8 + 8 * n;
}

uint64_t lqa_decoder_scratch(const lqa_decoder *d, const lqa_decoder_module *m) {
  const uint64_t b = lqa_decoder_weights(m, LQA_DECODER_B), a = lqa_decoder_weights(m, LQA_DECODER_A);
  const uint64_t factor = lqa_d_times(4, b > a ? b : a);
  (void)d;
  return factor > UINT64_MAX - lqa_d_own_scratch(m) ? UINT64_MAX : lqa_d_own_scratch(m) + (m->parent ? factor : 0);
}

/* ---- Weights (8) ---- */

/* `count` bits, at most 8, from bit `first` of a string on. */
static uint32_t lqa_d_field(const uint8_t *p, uint64_t first, uint32_t count) {
  const uint32_t shift = first & 7;
  uint32_t x = p[first >> 3];
  if (shift + count > 8) x |= (uint32_t)p[(first >> 3) + 1] << 8;
  return x >> shift & ((1u << count) - 1);
}

static float lqa_d_small(const uint8_t *p, uint8_t element) {
  const uint32_t bits = lqa_get16(p);
  return element == LQA_BF16 ? lqa_float(bits << 16) : lqa_from_f16(bits);
}

static void lqa_d_trellis(lqa_encoding e, const uint8_t *codes, uint64_t n, int32_t *t) { /* 8.6 */
  const lqa_trellis *const table = &lqa_trellis_tables[e.table - 1];
  const uint32_t k = table->step_bits, v = table->weights_per_step;
  uint32_t window = 0;
  for (uint64_t i = 0; i < n; i++) {
    if (i % v == 0) window = window >> k | lqa_d_field(codes, i / v * k, k) << (8 - k);
    t[i] = table->entries[window * v + i % v];
  }
  if (!e.rotation) return;
  const uint64_t c = n / 64; /* 8.6.1 */
  for (uint64_t i = 64 * c; i < n; i++) t[i] *= 8;
  for (uint64_t h = c; h < 64 * c; h *= 2)
    for (uint64_t i = 0; i < 64 * c; i++) {
      if (i / h & 1) continue;
      const int32_t sum = t[i] + t[i + h];
      t[i + h] = t[i] - t[i + h];
      t[i] = sum;
    }
  for (uint32_t r = 0; r < 64; r++)
    if (((r & r >> 1) ^ (r >> 2 & r >> 3) ^ (r >> 4 & r >> 5)) & 1)
      for (uint64_t i = r * c; i < (r + 1) * c; i++) t[i] = -t[i];
}

static void lqa_d_component(const lqa_d_plane *p, uint32_t component, const uint8_t *expert, float *w, int32_t *t) {
  const lqa_encoding e = p->encoding;
  const uint8_t *const codes = expert + p->codes + component * p->code_bytes, *const zeros = expert + p->zeros + component * p->zero_bytes;
  const uint8_t *const scales = expert + p->scales + component * p->groups * 2;
  if (e.codec == LQA_TRELLIS) lqa_d_trellis(e, codes, p->n, t);
  for (uint64_t i = 0; i < p->n; i++) {
    const uint64_t group = e.group_exponent ? i >> e.group_exponent : 0;
    const float s = e.codec >= LQA_AFFINE ? lqa_d_small(scales + 2 * group, e.scale) : 0.0f;
    int32_t integer = 0;
    switch (e.codec) {
      case LQA_ZERO: w[i] = 0.0f; continue;
      case LQA_RAW: w[i] = e.element == LQA_F32 ? lqa_float(lqa_get32(codes + 4 * i)) : lqa_d_small(codes + 2 * i, e.element); continue;
      case LQA_AFFINE: integer = (int32_t)lqa_d_field(codes, i * e.bits, e.bits) - (int32_t)lqa_d_field(zeros, group * e.bits, e.bits); break;
      case LQA_SIGN: integer = lqa_d_field(codes, i, 1) ? -1 : 1; break;
      default: integer = t[i];
    }
    w[i] = (float)integer * s;
  }
}

/* ---- Starts (8.8) ---- */

typedef struct lqa_d_twister {
  uint32_t next, words[LQA_STATE];
} lqa_d_twister;

static void lqa_d_twist(lqa_d_twister *g) {
  uint32_t *const x = g->words;
  for (uint32_t i = 0; i < LQA_STATE; i++) {
    const uint32_t y = (x[i] & 0x80000000u) | (x[(i + 1) % LQA_STATE] & 0x7FFFFFFFu);
    x[i] = x[(i + 397) % LQA_STATE] ^ y >> 1 ^ (y & 1 ? 2567483615u : 0);
  }
  g->next = 0;
}

/* Adds the mixtures to all components of A', row of draws by row, so that scratch does not grow with the rank: sums of component c
 * are kept as integers in its own weights, behind them the remainders are decoded again. */
static void lqa_d_mix(const lqa_decoder *d, const lqa_decoder_module *m, const uint8_t *expert, float *out, void *scratch) {
  const uint64_t n = m->n[LQA_DECODER_A];
  lqa_d_twister *const g = (lqa_d_twister *)scratch;
  int32_t *const draws = (int32_t *)(void *)(g + 1), *const integers = draws + n;
  lqa_d_plane a, r;
  lqa_seed(d->start.at, d->start.count, m->position, g->words);
  g->next = LQA_STATE;
  for (uint32_t left = m->position & ((1u << LQA_STATE_DRAWS) - 1); left > 0;) {
    if (g->next == LQA_STATE) lqa_d_twist(g);
    const uint32_t part = left < LQA_STATE - g->next ? left : LQA_STATE - g->next;
    g->next += part;
    left -= part;
  }
  memset(out, 0, (size_t)(4 * m->rank * n));
  for (uint32_t k = 0; k < m->rank; k++) {
    for (uint64_t i = 0; i < n; i++) {
      if (g->next == LQA_STATE) lqa_d_twist(g);
      uint32_t y = g->words[g->next++];
      y ^= y >> 11;
      y ^= y << 7 & 2636928640u;
      y ^= y << 15 & 4022730752u;
      draws[i] = (int32_t)((y ^ y >> 18) >> 8 & 65535) - 32768;
    }
    uint64_t c = 0;
    for (uint32_t band = 0; band < m->bands; band++) {
      lqa_d_find(d, m, LQA_DECODER_MIXTURE, band, &r);
      for (uint32_t i = 0; i < r.components; i++, c++) {
        if (r.encoding.codec == LQA_ZERO) continue;
        const uint8_t *const codes = expert + r.codes + i * r.code_bytes;
        const int32_t z = (int32_t)lqa_d_field(expert + r.zeros + i * r.zero_bytes, 0, r.encoding.bits);
        const int32_t q = (int32_t)lqa_d_field(codes, (uint64_t)k * r.encoding.bits, r.encoding.bits) - z;
        for (uint64_t j = 0; j < n; j++) {
          int32_t sum;
          memcpy(&sum, out + c * n + j, sizeof sum);
          sum += q * draws[j];
          memcpy(out + c * n + j, &sum, sizeof sum);
        }
      }
    }
  }
  uint64_t c = 0;
  for (uint32_t band = 0; band < m->bands; band++) {
    lqa_d_find(d, m, LQA_DECODER_A, band, &a);
    lqa_d_find(d, m, LQA_DECODER_MIXTURE, band, &r);
    for (uint32_t i = 0; i < a.components; i++, c++) {
      float *const remainder = (float *)(void *)draws;
      lqa_d_component(&a, i, expert, remainder, integers);
      const double s = r.encoding.codec == LQA_ZERO ? 0.0 : (double)lqa_d_small(expert + r.scales + i * 2, LQA_BF16) / 32768.0;
      for (uint64_t j = 0; j < n; j++) {
        int32_t sum;
        memcpy(&sum, out + c * n + j, sizeof sum);
        out[c * n + j] = r.encoding.codec == LQA_ZERO ? remainder[j] : (float)((double)remainder[j] + s * sum);
      }
    }
  }
}

/* A factor without what the parent has. */
static int lqa_d_own(lqa_decoder *d, const lqa_decoder_module *m, int factor, float *out, void *scratch) {
  const uint8_t *const payload = d->data + m->offset;
  const uint64_t n = m->n[factor], stride = lqa_d_align(m->block, 16);
  int32_t *const integers = (int32_t *)scratch;
  lqa_d_plane p;
  if (lqa_d_crc32(payload, m->length - 4) != lqa_get32(payload + m->length - 4)) return lqa_d_fail(d, "CHUNK_CRC");
  for (uint32_t x = 0; x < m->experts; x++) {
    const uint8_t *const expert = payload + x * stride;
    float *to = out + (uint64_t)x * m->rank * n;
    if (m->started && factor == LQA_DECODER_A) {
      lqa_d_mix(d, m, expert, to, scratch);
      continue;
    }
    lqa_d_find(d, m, (uint32_t)factor, 0, &p);
    for (uint32_t band = 0; band < m->bands; band++, lqa_d_next_plane(d, m, &p, 0))
      for (uint32_t i = 0; i < p.components; i++, to += n) lqa_d_component(&p, i, expert, to, integers);
  }
  return 0;
}

int lqa_decoder_decode(lqa_decoder *d, const lqa_decoder_module *m, int factor, float *out, void *scratch) {
  /* The oldest first: of each generation the factor of those before it, to which its own is added (8.9.3). */
  lqa_decoder files[LQA_D_CHAIN + 1];
  lqa_decoder_module own;
  const lqa_decoder_module *current = m;
  lqa_decoder_module modules[LQA_D_CHAIN];
  int generations = 0;
  uint64_t rank = 0, n = m->n[factor];
  uint8_t *const rest = (uint8_t *)scratch + (lqa_d_own_scratch(m) + 7) / 8 * 8;
  files[0] = *d;
  for (; current->parent; generations++) {
    if (generations == LQA_D_CHAIN) return lqa_d_fail(d, "HARD_LIMIT");
    const int found = lqa_d_parent(&files[generations], current, &files[generations + 1], &own);
    if (found != 1) return lqa_d_fail(d, found ? "PARENT_MISMATCH" : "PARENT_MISSING");
    modules[generations] = own;
    current = &modules[generations];
  }
  for (int g = generations; g >= 0; g--) {
    const lqa_decoder_module *const at = g == 0 ? m : &modules[g - 1];
    float *const values = g == generations ? out : (float *)(void *)rest;
    if (lqa_d_own(&files[g], at, factor, values, scratch)) return lqa_d_fail(d, files[g].error);
    for (uint64_t x = at->experts; g < generations && x-- > 0;) /* from a smaller rank to this one, the last expert first */
      for (uint64_t i = at->rank * n; i-- > 0;) {
        const float sum = values[x * at->rank * n + i] + (i < rank * n ? out[x * rank * n + i] : 0.0f);
        if ((lqa_bits(sum) & 0x7FFFFFFFu) == 0x7F800000u) return lqa_d_fail(d, "NONFINITE_VALUE");
        out[x * at->rank * n + i] = sum;
      }
    rank = at->rank;
  }
  return 0;
}

/* ---- Trellis tables (8.6) ---- */

/* Generated by conformance/readers/make-tables.py from spec/trellis-tables.json. */
const lqa_trellis lqa_trellis_tables[LQA_TRELLIS_TABLES] = {
  {1, 2, {
    43, 80, -84, -64, 60, -57, -40, 98, -64, -80, 77, 65, -69, 65, 80, -53, 87, 63, -47, -56, 53, -63, -61, 86,
    -81, -99, 89, 59, -64, 72, 95, -70, -78, -62, 65, 50, -115, 71, 66, -66, 89, 74, -79, -63, 47, -61, -68, 56,
    -47, -44, 90, 48, -61, 82, 69, -67, 68, 55, -53, -75, 88, -67, -45, 46, 25, -81, -52, 109, 72, 80, -72, -76,
    -68, 78, 60, -54, -47, -48, 52, 64, 69, -81, -74, 60, 51, 60, -63, -32, -79, 37, 64, -127, -51, -40, 106, 78,
    -36, 100, 61, -46, -68, -56, 57, 57, 67, -104, -77, 33, 59, 33, -55, -52, -57, 84, 49, -74, -91, -64, 77, 66,
    65, -58, -92, 68, 86, 46, -66, -58, 51, -93, -70, 57, 67, 53, -82, -38, -49, 48, 89, -55, -72, -51, 68, 60,
    42, -93, -62, 99, 71, 54, -60, -53, -81, 54, 73, -60, -54, -104, 69, 49, -53, 95, 47, -52, -74, -66, 74, 54,
    60, -87, -67, 49, 46, 72, -108, -72, -64, 58, 72, -52, -71, -59, 83, 47, 63, -72, -74, 80, 71, 61, -42, -48,
    81, 63, -77, -77, 93, -51, -53, 100, -60, -64, 72, 98, -81, 87, 64, -50, 57, 59, -74, -51, 59, -64, -72, 72,
    -20, -87, 53, 80, -59, 36, 103, -68, -63, -46, 70, 47, -93, 46, 73, -67, 54, 43, -31, -33, 76, -93, -59, 54,
    -80, -79, 107, 69, -67, 52, 59, -47, 55, 35, -69, -110, 79, -57, -65, 47, -59, -64, 36, 80, -75, 64, 55, -114,
    94, 47, -65, -53, 80, -66, -56, 61, -46, -66, 62, 74, -55, 78, 53, -64, 66, 97, -70, -76, 89, -58, -71, 58,
    60, 56, -59, -55, 60, -78, -79, 54, -55, -85, 60, 77, -36, 73, 118, -57, 73, 47, -29, -127, 81, -50, -45, 115,
    -83, -68, 90, 68, -81, 54, 68, -52, -44, 98, 85, -62, -90, -82, 66, 52, 48, -92, -82, 82, 74, 70, -44, -67,
    -42, 66, 40, -63, -93, -40, 78, 37, 60, -58, -82, 49, 92, 78, -61, -64, 66, -77, -95, 63, 86, 43, -100, -54,
    -36, 69, 56, -71, -97, -58, 56, 68, 64, -58, -66, 75, 67, 94, -47, -84, -73, 81, 60, -65, -75, -77, 69, 84,
    -69, 66, 63, -66, -61, -71, 53, 61, 50, -59, -73, 57, 59, 87, -52, -67, -53, 84, 47, -69, -68, -61, 73, 47,
    82, -70, -66, 78, 71, 65, -96, -64, 61, -80, -80, 51, 63, 70, -55, -57, -59, 47, 74, -79, -58, -84, 64, 58,
    48, -81, -54, 57, 47, 77, -100, -43, -57, 39, 91, -61, -50, -80, 40, 73, -101, -36, 56, 77, -71, 57, 75, -68,
    68, 72, -53, -67, 68, -18, -58, 80, -120, -59, 88, 80, -39, 104, 55, -63, 32, 61, -64, -51, 66, -81, -100, 64,
    66, 66, -105, -72, 46, -53, -83, 61, -55, -65, 82, 81, -72, 65, 54, -44, 70, 57, -49, -120, 64, -37, -63, 47,
    -47, -102, 35, 127, -63, 60, 40, -54,
  }},
  {1, 1, {
    86, -12, -20, 56, -47, 27, 14, -83, 90, -7, -31, 44, -47, 21, 14, -91, -94, 18, 26, -55, 54, -27, -20, 106,
    -98, 14, 34, -37, 35, -27, -16, 76, 43, -24, -18, 65, -83, 15, 31, -41, 43, -31, -15, 79, -78, 11, 27, -38,
    -48, 26, 20, -81, 127, -5, -32, 40, -41, 33, 16, -103, 90, -18, -28, 42, -84, 15, 25, -45, 41, -33, -7, 76,
    -79, 19, 22, -46, 44, -27, -18, 86, 86, -13, -30, 36, -48, 26, 15, -108, 73, -18, -27, 55, -46, 26, 16, -91,
    -49, 32, 22, -61, 76, -16, -24, 38, -39, 32, 21, -76, 93, -14, -21, 46, 36, -31, -16, 74, -72, 18, 21, -50,
    40, -29, -24, 66, -108, 17, 25, -44, -14, 107, 60, -22, 23, -43, -93, 16, -12, 108, 39, -32, 23, -42, -76, 16,
    15, -103, -46, 34, -24, 46, 72, -21, 12, -93, -39, 31, -24, 45, 75, -18, -20, 53, 81, -18, 14, -91, -42, 36,
    -32, 48, 91, -16, 15, -85, -36, 28, 30, -43, -68, 17, -8, 107, 43, -40, 32, -38, -101, 16, -17, 83, 49, -29,
    16, -84, -39, 22, -31, 37, 84, -20, 14, -87, -46, 18, -28, 45, 86, -16, -13, 93, 44, -35, 24, -48, -78, 13,
    -20, 87, 43, -31, 28, -41, -91, 17, 30, -48, -91, 15, -21, 93, 41, -27, 27, -41, -61, 21, -17, 83, 52, -21,
    -35, 42, 69, -18, 18, -65, -47, 31, -32, 44, 81, -16, 14, -100, -54, 25,
  }},
  {3, 2, {
    86, 67, -91, -72, -18, -24, 20, 21, -12, 45, 16, -50, 58, -8, -51, 7, 21, -11, -18, 11, -101, 37, 88, -42,
    -51, -25, 40, 26, 14, 127, -5, -68, -32, -48, 36, 41, 122, -5, -69, -3, 46, -85, -48, 80, -11, 24, 9, -23,
    -56, 20, 72, -30, 24, -83, -25, 94, 2, 19, -2, -17, -35, -47, 46, 30, 27, -40, -28, 45, -66, 7, 72, -3,
    -42, -76, 51, 78, 15, 18, -15, -22, 78, 23, -72, -20, -19, -66, 21, 67, -6, 17, 2, -18, 41, -36, -45, 48,
    -63, 66, 88, -89, 26, -21, -21, 29, 17, 47, -15, -49, -47, -12, 48, 4, -25, -17, 14, 14, 60, 39, -114, -43,
    40, -21, -40, 27, -1, 71, 6, -64, -41, -68, 39, 81, 18, 20, -10, -22, 25, -43, -29, 32, -85, 9, 81, -11,
    -2, 14, 2, -20, 46, -52, -42, 48, 65, 22, -59, -28, -12, -99, 20, 62, 13, 50, -12, -45, -61, -11, 52, 8,
    -58, 85, 64, -69, 19, -19, -28, 13, 44, -22, -37, 28, -8, 72, 4, -73, -20, -18, 26, 23, 116, 33, -81, -45,
    -15, 50, 6, -49, 46, -19, -47, 8, 61, 79, -66, -98, -18, -12, 26, 20, -48, -24, 47, 21, 0, 60, 2, -70,
    17, -11, -24, 14, -85, 48, 68, -47, 38, -62, -44, 64, -12, 11, 8, -13, -31, -39, 25, 49, 72, 11, -107, -2,
    2, 21, -3, -17, -55, -46, 48, 45, -71, 24, 58, -23, 30, -82, -18, 75, 80, -9, -102, 14, -27, 39, 21, -42,
    -18, -14, 15, 23, 48, 73, -43, -77, 12, 69, -11, -106, -58, -32, 67, 29, -50, 37, 48, -45, 4, -16, -9, 12,
    -21, 10, 26, -21, 56, -96, -103, 72, 47, 14, -54, -13, -13, -56, 1, 48, -91, -43, 71, 39, 16, 6, -23, -20,
    1, -79, -4, 64, -48, 20, 47, -31, 22, 23, -24, -18, -68, -86, 48, 113, -55, 8, 50, -9, 9, -44, -20, 46,
    117, -44, -76, 53, -18, 14, 25, -18, -11, -57, 8, 67, 45, 27, -50, -21, -86, -9, 86, 0, 25, 34, -27, -43,
    18, -23, -20, 17, -33, 108, 33, -127, -13, 87, 13, -67, 68, -26, -66, 25, 47, 47, -46, -38, -5, -12, 8, 17,
    -51, 10, 49, -10, 15, -62, -14, 49, 27, 18, -17, -21, -66, -64, 93, 84, -1, -62, 9, 66, 56, 20, -45, -20,
    66, -47, -72, 58, -16, 23, 18, -7, 11, -16, -10, 15, -42, 60, 50, -76, -123, 6, 71, 5, 29, 52, -35, -42,
    46, 44, -46, -37, -3, -23, -3, 17, -24, 72, 18, -74, 61, -23, -64, 25, -12, -19, 12, 18, 44, 70, -42, -81,
    96, -14, -78, 4, -25, 45, 31, -46, -46, 35, 45, -44, 14, -10, -6, 9, 22, 91, -27, -122, -50, -23, 84, 23,
    50, 10, -62, -5, -17, -52, 18, 50, -22, 16, 19, -18, 83, -61, -61, 99, -1, -72, 0, 103, -45, 20, 37, -18,
    -80, -47, 96, 47, 21, 26, -19, -15,
  }},
  {2, 1, {
    96, -4, 29, -34, -6, 72, -40, 25, -21, 45, -65, 14, 46, -22, 10, -67, -34, 36, -118, 1, 35, -30, 4, -85,
    62, -12, 20, -47, -13, 54, -50, 16, 12, -59, 49, -17, -61, 14, -18, 57, -36, 29, -1, 92, 32, -35, 100, -3,
    -45, 20, -10, 61, 18, -47, 57, -11, 1, -78, 35, -28, -86, 2, -28, 38, 29, -35, 92, -1, -43, 28, -7, 116,
    -62, 14, -17, 56, 11, -63, 43, -21, -92, 2, -27, 34, 4, -127, 40, -29, 17, -55, 60, -13, -48, 20, -9, 60,
    44, -18, 9, -57, -19, 49, -61, 12, -4, 90, -36, 28, 83, -1, 28, -36, -9, 64, -44, 16, 64, -11, 18, -46,
    36, -27, 2, -76, -31, 35, -103, 3, -32, 27, -2, 89, 25, -38, 78, -5, 10, -64, 50, -20, -64, 10, -20, 46,
    -1, -96, 36, -28, -77, 3, -25, 36, -50, 18, -13, 66, 18, -49, 64, -10, -19, 50, -58, 14, 47, -19, 11, -62,
    77, -1, 31, -34, -7, 84, -39, 27, 66, -11, 20, -47, -14, 61, -50, 18, -30, 38, -87, 5, 34, -33, 2, -83,
    1, 127, -37, 33, 89, -4, 25, -36, 47, -18, 10, -63, -19, 48, -61, 10, 36, -27, 4, -90, -25, 40, -74, 5,
    -13, 58, -46, 19, 60, -11, 22, -45, -58, 12, -19, 47, 11, -61, 50, -19, 26, -37, 74, -5, -39, 28, -3, 77,
    19, -45, 59, -13, -52, 19, -12, 60, -78, 5, -24, 37, 2, -106, 36, -31,
  }},
  {3, 1, {
    103, -35, 24, -5, 46, -61, 10, -20, -16, 9, -56, 47, -5, 26, -34, 75, -59, 46, -19, 10, -35, 75, -5, 27,
    24, -4, 93, -35, 9, -18, 44, -57, -45, 60, -11, 18, -73, 36, -26, 3, 4, -27, 34, -91, 18, -10, 61, -47,
    36, -87, 5, -25, 62, -45, 19, -9, -10, 19, -45, 56, -26, 4, -75, 34, -25, 4, -87, 34, -9, 17, -47, 62,
    60, -46, 18, -10, 35, -77, 5, -26, 19, -10, 57, -44, 5, -25, 36, -76, -127, 34, -27, 4, -47, 60, -11, 18,
    7, -20, 43, -59, 24, -7, 74, -36, -33, 110, -3, 27, -62, 47, -17, 11, -4, 26, -36, 86, -19, 10, -60, 46,
    45, -55, 10, -19, 79, -35, 27, -4, 45, -54, 9, -18, 72, -35, 26, -6, -4, 25, -35, 85, -19, 9, -64, 47,
    -35, 127, -3, 25, -63, 46, -18, 11, 8, -18, 45, -55, 26, -4, 75, -34, -110, 35, -26, 4, -46, 62, -9, 18,
    18, -12, 54, -46, 3, -27, 34, -74, 55, -44, 20, -9, 35, -73, 5, -25, -25, 4, -87, 34, -9, 17, -46, 61,
    -10, 18, -46, 57, -26, 3, -77, 35, 36, -98, 5, -26, 64, -46, 18, -10, 5, -25, 36, -103, 19, -9, 60, -46,
    -43, 54, -10, 18, -74, 33, -25, 3, 25, -6, 96, -35, 8, -20, 45, -63, -57, 44, -18, 11, -36, 74, -4, 26,
    -18, 8, -58, 46, -6, 25, -36, 76, 90, -34, 26, -4, 45, -62, 10, -18,
  }},
  {4, 1, {
    109, 33, -51, -39, 44, 60, -30, -66, -25, -5, 15, 8, -11, -18, 2, 22, -9, -15, 5, 25, -22, -2, 18, 11,
    38, 50, -32, -95, 66, 30, -59, -43, 33, 80, -39, -52, 56, 44, -74, -30, -5, -25, 8, 15, -18, -12, 22, 2,
    -16, -8, 25, 5, -2, -23, 12, 18, 51, 39, -82, -34, 29, 76, -44, -56, 43, 55, -30, -77, 86, 32, -51, -39,
    -11, -18, 2, 22, -25, -5, 15, 8, -23, -1, 18, 11, -8, -15, 5, 25, 71, 29, -57, -44, 39, 51, -34, -87,
    58, 44, -66, -30, 34, 127, -38, -50, -18, -11, 22, 2, -5, -25, 8, 15, -2, -22, 11, 18, -15, -9, 25, 4,
    29, 67, -44, -61, 49, 38, -101, -33, 25, 5, -15, -7, 11, 18, -1, -22, -90, -33, 50, 38, -44, -57, 29, 71,
    -38, -50, 33, 79, -73, -29, 56, 43, 8, 15, -4, -25, 22, 2, -17, -11, 4, 25, -8, -15, 18, 11, -22, -2,
    -34, -111, 38, 49, -62, -44, 65, 30, -49, -38, 99, 34, -29, -67, 45, 60, 14, 8, -23, -4, 2, 22, -11, -17,
    11, 18, -2, -22, 25, 4, -15, -8, -44, -62, 30, 64, -127, -34, 49, 39, -68, -29, 60, 44, -38, -50, 34, 94,
    22, 2, -17, -11, 8, 15, -5, -24, 18, 11, -23, -2, 5, 24, -8, -15, -57, -44, 73, 29, -34, -81, 38, 51,
    -29, -72, 44, 56, -50, -38, 86, 33, 1, 22, -10, -17, 15, 8, -24, -4,
  }},
};
/* End of generated lines. */
#endif
