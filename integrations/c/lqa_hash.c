/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa_hash.c: CRC-32 (clause 3.4) and SHA-256 (3.5). Both are most of what verifying a file takes, and use the
 * instructions that x86-64 has for them where the processor has them. */

#include "lqa.h"

#include "lqa_bytes.h"

#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 11)
#define HAS_CRC_INSTRUCTIONS 1
#include <immintrin.h>

/* The CRC of 64 bytes or more, a multiple of 16: folded by products of polynomials, and reduced at the end (V. Gopal et al., Fast CRC
 * Computation for Generic Polynomials Using PCLMULQDQ, Intel 2009, whose constants these are). */
__attribute__((target("pclmul,sse4.1"))) static uint32_t crc32_folded(const uint8_t *p, size_t size, uint32_t crc) {
#define LOAD(i) _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * (i)))
#define FOLD(x, by) _mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11))
  const __m128i by_four = _mm_set_epi64x(0x01C6E41596, 0x0154442BD4), by_one = _mm_set_epi64x(0x00CCAA009E, 0x01751997D0);
  const __m128i to_64 = _mm_set_epi64x(0, 0x0163CD6124), barrett = _mm_set_epi64x(0x01F7011641, 0x01DB710641);
  const __m128i low = _mm_setr_epi32(~0, 0, ~0, 0);
  __m128i x = _mm_xor_si128(LOAD(0), _mm_cvtsi32_si128((int)crc)), x1 = LOAD(1), x2 = LOAD(2), x3 = LOAD(3);
  for (p += 64, size -= 64; size >= 64; p += 64, size -= 64) {
    x = _mm_xor_si128(FOLD(x, by_four), LOAD(0));
    x1 = _mm_xor_si128(FOLD(x1, by_four), LOAD(1));
    x2 = _mm_xor_si128(FOLD(x2, by_four), LOAD(2));
    x3 = _mm_xor_si128(FOLD(x3, by_four), LOAD(3));
  }
  x = _mm_xor_si128(FOLD(x, by_one), x1);
  x = _mm_xor_si128(FOLD(x, by_one), x2);
  x = _mm_xor_si128(FOLD(x, by_one), x3);
  for (; size > 0; p += 16, size -= 16) x = _mm_xor_si128(FOLD(x, by_one), LOAD(0));
  x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, by_one, 0x10));
  x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, low), to_64, 0x00));
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(x, low), barrett, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low), barrett, 0x00);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, quotient), 1);
#undef LOAD
#undef FOLD
}
#endif

uint32_t lqa_crc32(const void *data, size_t size) {
  const uint32_t(*const t)[256] = lqa_crc32_tables;
  const uint8_t *p = data;
  uint32_t crc = 0xFFFFFFFFu;
#ifdef HAS_CRC_INSTRUCTIONS
  if (size >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
    const size_t folded = size / 16 * 16;
    crc = crc32_folded(p, folded, crc);
    p += folded;
    size -= folded;
  }
#endif
  /* The rest, or all of it: eight bytes at a time. */
  for (; size >= 8; p += 8, size -= 8) {
    const uint32_t low = lqa_get32(p) ^ crc, high = lqa_get32(p + 4);
    crc = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^ t[3][high & 255] ^
          t[2][high >> 8 & 255] ^ t[1][high >> 16 & 255] ^ t[0][high >> 24];
  }
  for (; size > 0; p++, size--) crc = t[0][(crc ^ *p) & 255] ^ crc >> 8;
  return ~crc;
}

static const uint32_t K[64] = {
    0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u, 0xAB1C5ED5u,
    0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu, 0x9BDC06A7u, 0xC19BF174u,
    0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu, 0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu,
    0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u, 0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u,
    0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu, 0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u,
    0xA2BFE8A1u, 0xA81A664Bu, 0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u,
    0x19A4C116u, 0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
    0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u, 0xC67178F2u};

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
/* Round i + j: the eight variables move by one place each time; here their numbers do. */
#define S(k, j) s[((k) + 8 - (j)) % 8]
#define ROUND(j) \
  { \
    uint32_t *const word = w + (i + (j)) % 16; \
    if (i >= 16) { \
      const uint32_t x = w[(i + (j) + 1) % 16], y = w[(i + (j) + 14) % 16]; \
      *word += (ROTATE(x, 7) ^ ROTATE(x, 18) ^ x >> 3) + w[(i + (j) + 9) % 16] + (ROTATE(y, 17) ^ ROTATE(y, 19) ^ y >> 10); \
    } \
    const uint32_t a = S(0, j), b = S(1, j), c = S(2, j), e = S(4, j), f = S(5, j), g = S(6, j); \
    const uint32_t t = S(7, j) + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + ((e & f) ^ (~e & g)) + K[i + (j)] + *word; \
    S(3, j) += t; \
    S(7, j) = t + (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + ((a & b) ^ (a & c) ^ (b & c)); \
  }

static void blocks_plain(uint32_t state[8], const uint8_t *p, size_t count) {
  for (; count > 0; count--, p += 64) {
    uint32_t w[16], s[8];
    for (int i = 0; i < 16; i++)
      w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    memcpy(s, state, sizeof s);
    for (uint32_t i = 0; i < 64; i += 8) {
      ROUND(0) ROUND(1) ROUND(2) ROUND(3) ROUND(4) ROUND(5) ROUND(6) ROUND(7)
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
  }
}

#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 11 /* Clang does not say whether a processor has SHA */
#define HAS_SHA_CODE 1

/* Rounds 4 (i + j) to 4 (i + j) + 3; behind the first sixteen, four words from the sixteen before them. */
#define FOUR_ROUNDS(j) \
  { \
    if (i >= 4) { \
      const __m128i last = m[((j) + 3) % 4]; \
      t = _mm_add_epi32(_mm_sha256msg1_epu32(m[j], m[((j) + 1) % 4]), _mm_alignr_epi8(last, m[((j) + 2) % 4], 4)); \
      m[j] = _mm_sha256msg2_epu32(t, last); \
    } \
    t = _mm_add_epi32(m[j], _mm_loadu_si128((const __m128i *)(const void *)(K + 4 * (i + (j))))); \
    s1 = _mm_sha256rnds2_epu32(s1, s0, t); \
    s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(t, 0x0E)); \
  }

__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_sha(uint32_t state[8], const uint8_t *p, size_t count) {
  const __m128i swap = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
  __m128i t = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xB1);
  __m128i s1 = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1B);
  __m128i s0 = _mm_alignr_epi8(t, s1, 8); /* a b e f, c d g h: as the instructions want them */
  s1 = _mm_blend_epi16(s1, t, 0xF0);
  for (; count > 0; count--, p += 64) {
    const __m128i before0 = s0, before1 = s1;
    __m128i m[4];
    for (int i = 0; i < 4; i++)
      m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
    for (int i = 0; i < 16; i += 4) {
      FOUR_ROUNDS(0) FOUR_ROUNDS(1) FOUR_ROUNDS(2) FOUR_ROUNDS(3)
    }
    s0 = _mm_add_epi32(s0, before0);
    s1 = _mm_add_epi32(s1, before1);
  }
  t = _mm_shuffle_epi32(s0, 0x1B);
  s1 = _mm_shuffle_epi32(s1, 0xB1);
  _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(t, s1, 0xF0));
  _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(s1, t, 8));
}
#endif

void lqa_sha256_start(lqa_sha256 *h) {
  static const uint32_t start[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                                    0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
  memcpy(h->state, start, sizeof start);
  h->length = 0;
}

static void blocks(uint32_t state[8], const uint8_t *p, size_t count) {
#ifdef HAS_SHA_CODE
  if (__builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1")) {
    blocks_sha(state, p, count);
    return;
  }
#endif
  blocks_plain(state, p, count);
}

void lqa_sha256_add(lqa_sha256 *h, const void *data, size_t size) {
  const uint8_t *p = data;
  while (size > 0) {
    const size_t used = (size_t)(h->length % 64), whole = size / 64;
    size_t take = 64 - used;
    if (used == 0 && whole > 0) {
      blocks(h->state, p, whole);
      take = 64 * whole;
    } else {
      if (take > size) take = size;
      memcpy(h->block + used, p, take);
      if (used + take == 64) blocks(h->state, h->block, 1);
    }
    h->length += take;
    p += take;
    size -= take;
  }
}

void lqa_sha256_end(lqa_sha256 *h, uint8_t digest[32]) {
  uint64_t bits = h->length * 8;
  uint8_t tail[72] = {0x80};
  size_t pad = (size_t)((119 - h->length % 64) % 64) + 1; /* the 0x80 and zeros, up to 8 bytes before a block's end */
  for (int i = 0; i < 8; i++) tail[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
  lqa_sha256_add(h, tail, pad + 8);
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}
