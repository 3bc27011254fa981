/* SPDX-License-Identifier: CC0-1.0
 *
 * bench.c FILE [ROUNDS]: how fast a file decodes, and how fast it is verified. One line a row: name, bytes of a round, and
 * the least seconds of processor time of a round. Factors go to the same place one after the other (`held`), or each to
 * its own in memory that was used before (`kept`). bench/c.mjs makes tables of it. */

#include "lqa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint8_t *read_all(const char *path, size_t *size) {
  FILE *in = fopen(path, "rb");
  if (!in || fseek(in, 0, SEEK_END)) return 0;
  *size = (size_t)ftell(in);
  uint8_t *data = malloc(*size + 1);
  rewind(in);
  if (data && fread(data, 1, *size, in) != *size) data = 0;
  fclose(in);
  return data;
}

int main(int count, char **arguments) {
  size_t size = 0;
  uint8_t *data = count > 1 ? read_all(arguments[1], &size) : 0;
  const int rounds = count > 2 ? atoi(arguments[2]) : 5;
  if (!data) return fputs("usage: bench FILE [ROUNDS]\n", stderr), 2;
  lqa_file f;
  lqa_ids ids;
  lqa_module m;
  uint32_t *work = malloc(lqa_work_size(data, size));
  if (!work || lqa_open(&f, data, size, work, lqa_work_size(data, size), 0)) return fputs("bench: not a valid file\n", stderr), 1;
  uint64_t weights = 0;
  size_t room = 1;
  for (memset(&m, 0, sizeof m); lqa_next_module(&f, &m);) {
    weights += lqa_factor_weights(&m, LQA_B) + lqa_factor_weights(&m, LQA_A);
    if (lqa_decode_scratch(&m) > room) room = lqa_decode_scratch(&m);
  }
  uint8_t *out = malloc((size_t)weights * 4), *scratch = malloc(room);
  if (!out || !scratch) return 2;
  memset(out, 1, (size_t)weights * 4);
  double least = 1e9;
  for (int round = 0; round < rounds; round++) {
    const clock_t start = clock();
    if (lqa_verify(&f, LQA_VALUES, 0, 0, &ids)) return fputs("bench: needs a file without compressed tensors\n", stderr), 1;
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds < least) least = seconds;
  }
  printf("verify\t%zu\t%.9f\n", size, least);
  uint32_t *states = malloc(lqa_states_size(&f) + 1);
  if (!states) return 2;
  for (int i = 0; i < 24; i++) {
    const int half = i & 1, peft = i >> 1 & 1, without = i / 4 % 3, kept = i / 12;
    least = 1e9;
    for (int round = 0; round < rounds; round++) {
      uint8_t *at = out;
      const clock_t before = clock();
      lqa_keep_states(&f, states);
      double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
      for (memset(&m, 0, sizeof m); lqa_next_module(&f, &m);) {
        const uint8_t *payload;
        if (lqa_module_payload(&f, &m, LQA_STRUCTURE, 0, 0, &payload)) return 1;
        const clock_t start = clock();
        for (int factor = 0; factor < 2; factor++) {
          const lqa_form form = {half ? LQA_F16 : LQA_F32, peft && factor == LQA_B ? LQA_BY_WEIGHT : LQA_BY_COMPONENT, 0,
                                 (uint8_t)without};
          lqa_decode_factor(&f, &m, payload, factor, &form, at, scratch);
          if (kept) at += lqa_factor_weights(&m, factor) * (half ? 2 : 4);
        }
        seconds += (double)(clock() - start) / CLOCKS_PER_SEC;
      }
      if (seconds < least) least = seconds;
    }
    printf("%s %s %s%s\t%llu\t%.9f\n", half ? "f16" : "f32", peft ? "peft" : "component", kept ? "kept" : "held",
           without == 0 ? "" : without == 1 ? " avx2" : " plain", (unsigned long long)weights * (half ? 2 : 4), least);
  }
  free(out);
  free(states);
  free(scratch);
  free(work);
  free(data);
  return 0;
}
