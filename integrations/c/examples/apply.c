/* SPDX-License-Identifier: CC0-1.0
 *
 * apply FILE MODULE: checks a file, decodes a module and adds multiplier B' A' to a base weight (of zeros here). */
#include "lqa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* weight[out][n] += multiplier * b[out][rank] * a[rank][n] */
static void apply(float *weight, const float *b, const float *a, size_t out, size_t n, size_t rank, float multiplier) {
  for (size_t o = 0; o < out; o++)
    for (size_t c = 0; c < rank; c++)
      for (size_t i = 0; i < n; i++) weight[o * n + i] += multiplier * b[o * rank + c] * a[c * n + i];
}

static int failed(const char *what) { return fprintf(stderr, "apply: %s\n", what), 2; }

int main(int count, char **arguments) {
  if (count != 3) return failed("usage: apply FILE MODULE");
  FILE *in = fopen(arguments[1], "rb");
  if (!in) return failed("the file cannot be opened");
  fseek(in, 0, SEEK_END);
  const long length = ftell(in);
  uint8_t *data = length > 0 ? malloc((size_t)length) : 0;
  rewind(in);
  if (!data || fread(data, 1, (size_t)length, in) != (size_t)length) return failed("the file cannot be read");

  lqa_file f;
  lqa_ids ids;
  const size_t work_size = lqa_work_size(data, (size_t)length);
  uint32_t *work = malloc(work_size);
  if (!work) return failed("no memory");
  lqa_code code = lqa_open(&f, data, (size_t)length, work, work_size, NULL);
  if (!code) code = lqa_verify(&f, LQA_VALUES, NULL, 0, &ids); /* all digests, all values */
  if (code) {
    fprintf(stderr, "%s %s at byte %llu\n", lqa_code_text(code), lqa_code_name(code), (unsigned long long)f.error.offset);
    return lqa_code_exit(code);
  }
  lqa_module m = {0};
  while (lqa_next_module(&f, &m)) {
    if (strcmp((const char *)m.name.bytes, arguments[2]) || m.experts != 1) continue;
    static const lqa_form by_weight = {LQA_F32, LQA_BY_WEIGHT, 0, 0}, by_component = {LQA_F32, LQA_BY_COMPONENT, 0, 0};
    const size_t out = m.out_size, n = m.vector_length[LQA_A];
    const uint8_t *payload;
    void *scratch = malloc(lqa_decode_scratch(&m));
    float *b = malloc(out * m.rank * 4), *a = malloc(n * m.rank * 4), *weight = calloc(out * n, 4);
    if (!scratch || !b || !a || !weight || lqa_module_payload(&f, &m, LQA_INTEGRITY, NULL, 0, &payload)) return failed("no memory");
    lqa_decode_factor(&f, &m, payload, LQA_B, &by_weight, b, scratch);    /* [out][rank] */
    lqa_decode_factor(&f, &m, payload, LQA_A, &by_component, a, scratch); /* [rank][n] */
    apply(weight, b, a, out, n, m.rank, m.multiplier);
    for (size_t i = 0; i < n && i < 8; i++) printf("%g%s", (double)weight[i], i + 1 < n && i < 7 ? " " : "\n");
    return 0;
  }
  return failed("the file has no such module");
}
