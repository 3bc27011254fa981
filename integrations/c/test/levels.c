/* SPDX-License-Identifier: CC0-1.0
 *
 * levels.c FILE...: every order, type and set of instructions, with kept states of starts, gives the same weights as LQA_F32 by
 * component without any of them, which conformance/run compares with the digests of the suite. Files that do not open are left out, and modules with a parent. */

#include "lqa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t MOST = 1u << 18; /* weights of a factor: larger ones say nothing more */

/* 1 if `got`, which was made in this form, is `plain` turned and rounded. */
static int equal(const lqa_module *m, int factor, const lqa_form *form, const float *plain, const uint8_t *got) {
  const uint64_t n = m->vector_length[factor], rank = m->rank;
  for (uint64_t i = 0; i < lqa_factor_weights(m, factor); i++) {
    const uint64_t expert = i / (rank * n), c = i / n % rank, w = i % n;
    const uint64_t at = form->order == LQA_BY_WEIGHT ? (expert * n + w) * rank + c : i;
    const float value = form->multiplied ? plain[i] * m->multiplier : plain[i];
    const uint16_t half = lqa_f32_to_f16(value);
    if (form->element == LQA_F16 ? memcmp(got + 2 * at, &half, 2) : memcmp(got + 4 * at, &value, 4)) return 0;
  }
  return 1;
}

int main(int count, char **arguments) {
  unsigned long long factors = 0, compared = 0;
  for (int k = 1; k < count; k++) {
    static uint8_t data[1 << 24];
    FILE *in = fopen(arguments[k], "rb");
    if (!in) return perror(arguments[k]), 2;
    const size_t size = fread(data, 1, sizeof data, in), work_size = lqa_work_size(data, size);
    fclose(in);
    uint32_t *work = malloc(work_size);
    lqa_file f;
    lqa_ids ids;
    lqa_module m;
    memset(&m, 0, sizeof m);
    if (!work) return 2;
    uint32_t *states = 0;
    int more = !lqa_open(&f, data, size, work, work_size, 0) && !lqa_verify(&f, LQA_VALUES, 0, 0, &ids);
    while (more && lqa_next_module(&f, &m))
      for (int factor = 0; factor < 2; factor++) {
        const uint64_t weights = lqa_factor_weights(&m, factor);
        const uint8_t *payload;
        /* Children are left to the readers of the suite, which give them their parents. */
        if (weights > MOST || m.parent || lqa_module_payload(&f, &m, LQA_INTEGRITY, 0, 0, &payload)) continue;
        /* Exactly as much as is promised, so that sanitizers see what is written behind it. */
        float *plain = malloc(weights * 4);
        void *scratch = malloc(lqa_decode_scratch(&m));
        if (!plain || !scratch) return 2;
        const lqa_form first = {LQA_F32, LQA_BY_COMPONENT, 0, LQA_WITHOUT_AVX2};
        lqa_decode_factor(&f, &m, payload, factor, &first, plain, scratch);
        if (!states && !(states = malloc(lqa_states_size(&f) + 1))) return 2;
        lqa_keep_states(&f, states);
        for (int i = 0; i < 24; i++) {
          const lqa_form form = {i & 1 ? LQA_F16 : LQA_F32, i & 2 ? LQA_BY_WEIGHT : LQA_BY_COMPONENT, i & 4 ? 1 : 0,
                                 (uint8_t)(i / 8)};
          uint8_t *got = malloc(weights * (i & 1 ? 2 : 4));
          if (!got) return 2;
          lqa_decode_factor(&f, &m, payload, factor, &form, got, scratch);
          if (!equal(&m, factor, &form, plain, got))
            return printf("%s: module %u, factor %d, form %d differs\n", arguments[k], m.number, factor, i), 1;
          free(got);
          compared++;
        }
        factors++;
        f.states = 0;
        free(plain);
        free(scratch);
      }
    free(states);
    free(work);
  }
  printf("%llu factors, %llu forms: all equal\n", factors, compared);
  return factors == 0;
}
