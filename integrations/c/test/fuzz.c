/* SPDX-License-Identifier: CC0-1.0
 *
 * fuzz SECONDS SEED FILE...: opens, verifies and decodes mutants of the files, under the sanitizers of the compiler. In most mutants the
 * checksums are computed again, so that what lies behind them is reached. Also a target of libFuzzer, with -DLQA_LIBFUZZER. */
#include "lqa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUDGET = 1 << 24, WEIGHTS = 1 << 20, MOST = 1 << 18 };
static unsigned long opened, valid, decoded;

/* Frames are walked by the library; what comes out of them is up to the caller. */
static size_t inflate(void *context, const uint8_t *frame, size_t frame_size, uint8_t *out, size_t size, const uint8_t *dictionary,
                      size_t dictionary_size) {
  (void)context, (void)dictionary, (void)dictionary_size;
  memset(out, frame[frame_size - 1], size);
  return frame[frame_size - 1] == 255 ? size - 1 : size;
}

static void decode(const lqa_file *f, const lqa_module *m, const uint8_t *payload) {
  for (int factor = LQA_B; factor <= LQA_A; factor++) {
    const uint64_t weights = lqa_factor_weights(m, factor);
    void *scratch = weights <= WEIGHTS ? malloc(lqa_decode_scratch(m)) : 0; /* no byte more */
    for (unsigned way = 0; way < 12 && weights <= WEIGHTS; way++) {
      const lqa_form form = {way & 1 ? LQA_F16 : LQA_F32, way & 2 ? LQA_BY_WEIGHT : LQA_BY_COMPONENT, way > 5, (uint8_t)(way % 3)};
      void *out = malloc((size_t)weights * (form.element == LQA_F16 ? 2 : 4)); /* no byte more */
      if (!out || !scratch) abort();
      lqa_decode_factor(f, m, payload, factor, &form, out, scratch);
      free(out);
      decoded++;
    }
    free(scratch);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const lqa_options options = {BUDGET, inflate, 0};
  const size_t work_size = lqa_work_size(data, size);
  uint32_t *work = malloc(work_size);
  lqa_file f;
  if (!work) abort();
  if (lqa_open(&f, data, size, work, work_size, &options) == LQA_OK) {
    const size_t room = f.scratch_needed < 2 * BUDGET ? (size_t)f.scratch_needed : 2 * BUDGET;
    void *scratch = malloc(room + 1);
    const uint8_t *payload;
    lqa_ids ids;
    lqa_module m;
    lqa_tensor t;
    lqa_section s;
    uint8_t digest[32];
    if (!scratch) abort();
    opened++;
    memset(&m, 0, sizeof m);
    memset(&t, 0, sizeof t);
    memset(&s, 0, sizeof s);
    if (lqa_verify(&f, LQA_CANONICAL, scratch, room, &ids) == LQA_OK) valid++;
    lqa_fingerprint(&f, digest);
    uint32_t *states = size % 2 ? malloc(lqa_states_size(&f)) : 0; /* no byte more */
    if (states) lqa_keep_states(&f, states);
    for (unsigned left = 16; left > 0 && lqa_next_module(&f, &m); left--)
      if (lqa_module_payload(&f, &m, LQA_VALUES, scratch, room, &payload) == LQA_OK) decode(&f, &m, payload);
    while (lqa_next_tensor(&f, &t)) (void)lqa_tensor_payload(&f, &t, LQA_VALUES, scratch, room, &payload);
    while (lqa_next_section(&f, &s)) (void)lqa_section_payload(&f, &s, scratch, room, &payload);
    free(states);
    free(scratch);
  }
  free(work);
  return 0;
}

#ifndef LQA_LIBFUZZER
static uint64_t state;
static uint32_t random_below(size_t n) { /* xorshift64* */
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 0x2545F4914F6CDD1DULL >> 32) % (n ? n : 1));
}

static void put32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get32(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

static size_t mutate(uint8_t *p, size_t size) {
  static const uint32_t values[] = {0, 1, 2, 3, 4, 15, 16, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 32767, 32768, 65535, 65536,
                                    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7F800000, 0x7FC00000, 0x00FFFFFF, 0x01000000};
  const size_t index = size > 64 ? 64 + (size_t)get32(p + 32) : size;
  for (unsigned left = 1 + random_below(6); left > 0 && size > 8; left--) {
    /* Half of them in prologue and index, which are small and decide most. */
    const size_t at = random_below(random_below(2) && index < size ? index : size - 4), value = random_below(sizeof values / sizeof *values);
    switch (random_below(7)) {
      case 0: p[at] ^= (uint8_t)(1u << random_below(8)); break;
      case 1: p[at] = (uint8_t)random_below(256); break;
      case 2: p[at] = (uint8_t)values[value]; break;
      case 3: put32(p + (at < size - 4 ? at : size - 4), values[value]); break;
      case 4: p[at] = (uint8_t)(p[at] + 1); break;
      case 5: {
        const size_t from = random_below(size), room = size - (at > from ? at : from);
        memmove(p + at, p + from, random_below(room < 64 ? room : 64));
        break;
      }
      default: if (random_below(8) == 0) size -= random_below(size / 4);
    }
  }
  return size;
}

static void repair(uint8_t *p, size_t size) {
  if (size < 64) return;
  const uint32_t index = get32(p + 32);
  if (index <= size - 64) put32(p + 56, lqa_crc32(p + 64, index));
  put32(p + 60, lqa_crc32(p, 60));
  lqa_file f;
  const size_t work_size = lqa_work_size(p, size);
  uint32_t *work = malloc(work_size);
  if (!work) abort();
  if (lqa_open(&f, p, size, work, work_size, 0) == LQA_OK) {
    lqa_module m;
    lqa_tensor t;
    lqa_section s;
    memset(&m, 0, sizeof m);
    memset(&t, 0, sizeof t);
    memset(&s, 0, sizeof s);
#define SUM(c) \
  if ((c).offset + (c).length <= size) put32(p + (c).offset + (c).length - 4, lqa_crc32(p + (c).offset, (c).length - 4))
    while (lqa_next_module(&f, &m)) SUM(m.chunk);
    while (lqa_next_tensor(&f, &t)) SUM(t.chunk);
    while (lqa_next_section(&f, &s)) SUM(s.chunk);
#undef SUM
  }
  free(work);
}

int main(int count, char **arguments) {
  if (count < 4) return fprintf(stderr, "usage: fuzz SECONDS SEED FILE...\n"), 2;
  const time_t end = time(0) + atoi(arguments[1]);
  const int files = count - 3;
  unsigned long mutants = 0;
  static uint8_t buffer[MOST];
  state = strtoull(arguments[2], 0, 10) * 2 + 1;
  do {
    FILE *in = fopen(arguments[3 + random_below((size_t)files)], "rb");
    if (!in) return fprintf(stderr, "fuzz: a file cannot be opened\n"), 2;
    const size_t length = fread(buffer, 1, sizeof buffer, in);
    fclose(in);
    uint8_t *p = malloc(length ? length : 1); /* no byte more, so that the sanitizer sees a read behind the end */
    if (!p) abort();
    memcpy(p, buffer, length);
    size_t size = mutate(p, length);
    if (random_below(5)) repair(p, size);
    if (size < length) {
      uint8_t *less = malloc(size ? size : 1);
      if (!less) abort();
      memcpy(less, p, size);
      free(p);
      p = less;
    }
    LLVMFuzzerTestOneInput(p, size);
    free(p);
    mutants++;
  } while (time(0) < end);
  printf("%lu mutants of %d files, seed %s: %lu opened, %lu valid, %lu factors decoded, no finding\n", mutants, files, arguments[2], opened,
         valid, decoded);
  return opened > 0 && decoded > 0 ? 0 : 1;
}
#endif
