/* SPDX-License-Identifier: CC0-1.0
 *
 * apply.c: what a file does to a base model (clause 9.6), in binary64 without fused operations (-ffp-contract=off). */

#include "apply.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct context {
  lqa_file *f;
  void *scratch;
  size_t scratch_size;
  base_tensor *base;
  size_t count;
} context;

static base_tensor *exactly(const context *c, const uint8_t *name, size_t length, const char *suffix) {
  const size_t more = strlen(suffix);
  for (size_t i = 0; i < c->count; i++) {
    base_tensor *t = c->base + i;
    if (t->name_length == length + more && !memcmp(t->name, name, length) && !memcmp(t->name + length, suffix, more)) return t;
  }
  return 0;
}

static base_tensor *weight_of(const context *c, const lqa_name *name) {
  base_tensor *t = exactly(c, name->bytes, name->length, ".weight");
  return t ? t : exactly(c, name->bytes, name->length, "");
}

static int same_shape(const base_tensor *t, const uint32_t *shape, uint32_t dimensions) {
  return t->dimensions == dimensions && !memcmp(t->shape, shape, dimensions * sizeof *shape);
}

/* The tensor of this role and of this name, and its payload; 0 if there is none. */
static const uint8_t *payload_of(context *c, uint8_t role, const lqa_name *name, lqa_tensor *t) {
  const uint8_t *payload;
  for (memset(t, 0, sizeof *t); lqa_next_tensor(c->f, t);)
    if (t->role == role && t->name.length == name->length && !memcmp(t->name.bytes, name->bytes, name->length) &&
        !lqa_tensor_payload(c->f, t, LQA_INTEGRITY, c->scratch, c->scratch_size, &payload))
      return payload;
  return 0;
}

static lqa_code replace(context *c, const lqa_tensor *t) {
  const uint8_t *payload;
  base_tensor *target = exactly(c, t->name.bytes, t->name.length, "");
  if (!target) return LQA_BASE_MODULE_MISSING;
  if (!same_shape(target, t->shape, t->dimensions)) return LQA_BASE_SHAPE;
  const lqa_code code = lqa_tensor_payload(c->f, t, LQA_INTEGRITY, c->scratch, c->scratch_size, &payload);
  for (uint64_t i = 0; !code && i < target->count; i++) target->values[i] = (float)lqa_value(payload, t->element, i);
  return code;
}

/* All factors of all experts: factor[0] is [experts][rank][out], factor[1] [experts][rank][in times kernel]. */
static lqa_code decode(context *c, const lqa_module *m, float *factor[2]) {
  static const lqa_form form = {LQA_F32, LQA_BY_COMPONENT, 0, 0};
  const uint8_t *payload;
  const lqa_code code = lqa_module_payload(c->f, m, LQA_INTEGRITY, c->scratch, c->scratch_size, &payload);
  if (code) return code;
  if (!lqa_can_decode(c->f, m)) return LQA_PARENT_MISSING;
  void *scratch = malloc(lqa_decode_scratch(m));
  if (!scratch) return LQA_BUDGET;
  for (int i = 0; i < 2; i++) lqa_decode_factor(c->f, m, payload, i, &form, factor[i], scratch);
  free(scratch);
  return LQA_OK;
}

/* Steps 2 and 3 for one expert. `v` has room for out times n, `squares` for the longest axis. */
static void update(const lqa_module *m, float *weight, const float *b, const float *a, const lqa_tensor *magnitude,
                   const uint8_t *numbers, uint32_t expert, double *v, double *squares) {
  const uint64_t out = m->out_size, n = m->vector_length[1], per = n / m->in_size;
  const int by_out = numbers && magnitude->axis == m->base_layout;
  const uint64_t size = by_out ? out : m->in_size;
  for (uint64_t k = 0; numbers && k < size; k++) squares[k] = 0;
  for (uint64_t o = 0; o < out; o++)
    for (uint64_t i = 0; i < n; i++) {
      double sum = 0;
      for (uint64_t c = 0; c < m->rank; c++) sum += (double)b[c * out + o] * (double)a[c * n + i];
      const double scaled = (double)m->multiplier * sum;
      const double x = (double)weight[m->base_layout ? i * out + o : o * n + i] + scaled;
      v[o * n + i] = x;
      if (numbers) squares[by_out ? o : i / per] += x * x;
    }
  for (uint64_t o = 0; o < out; o++)
    for (uint64_t i = 0; i < n; i++) {
      const uint64_t k = by_out ? o : i / per;
      double x = v[o * n + i];
      if (numbers) x *= lqa_value(numbers, magnitude->element, expert * size + k) / sqrt(squares[k]);
      weight[m->base_layout ? i * out + o : o * n + i] = (float)x;
    }
}

static lqa_code adapt(context *c, const lqa_module *m) {
  base_tensor *weight = weight_of(c, &m->name);
  if (!weight || weight->taken) return LQA_BASE_MODULE_MISSING;
  weight->taken = 1;
  uint32_t shape[6], dimensions = 0;
  if (m->experts > 1) shape[dimensions++] = m->experts;
  shape[dimensions++] = m->base_layout ? m->in_size : m->out_size;
  shape[dimensions++] = m->base_layout ? m->out_size : m->in_size;
  for (int k = 0; k < 3 && m->kernel[k]; k++) shape[dimensions++] = m->kernel[k];
  if (!same_shape(weight, shape, dimensions)) return LQA_BASE_SHAPE;

  const uint64_t out = m->out_size, n = m->vector_length[1], experts = m->experts;
  float *factor[2] = {malloc(experts * m->rank * out * sizeof(float)), malloc(experts * m->rank * n * sizeof(float))};
  double *v = malloc(out * n * sizeof *v), *squares = malloc((out > m->in_size ? out : m->in_size) * sizeof *squares);
  lqa_code code = factor[0] && factor[1] && v && squares ? decode(c, m, factor) : LQA_BUDGET;
  lqa_tensor magnitude, added;
  const uint8_t *numbers = code ? 0 : payload_of(c, LQA_MAGNITUDE, &m->name, &magnitude);
  for (uint32_t e = 0; !code && e < experts; e++)
    update(m, weight->values + e * out * n, factor[0] + e * m->rank * out, factor[1] + e * m->rank * n, &magnitude,
           numbers, e, v, squares);
  free(factor[0]);
  free(factor[1]);
  free(v);
  free(squares);
  const uint8_t *bias = code ? 0 : payload_of(c, LQA_LORA_BIAS, &m->name, &added);
  if (!bias) return code;
  base_tensor *target = exactly(c, m->name.bytes, m->name.length, ".bias");
  if (!target) return LQA_BASE_MODULE_MISSING;
  const uint32_t of_bias[2] = {m->experts, m->out_size};
  if (!same_shape(target, of_bias + (experts == 1), experts == 1 ? 1 : 2)) return LQA_BASE_SHAPE;
  for (uint64_t i = 0; i < target->count; i++) {
    const double scaled = (double)m->multiplier * lqa_value(bias, added.element, i);
    target->values[i] = (float)((double)target->values[i] + scaled);
  }
  return LQA_OK;
}

static lqa_code set_rows(context *c, const lqa_tensor *t) {
  lqa_tensor indices;
  base_tensor *target = weight_of(c, &t->name);
  if (!target) return LQA_BASE_MODULE_MISSING;
  const uint64_t width = t->shape[1];
  if (target->dimensions != 2 || target->shape[1] != width) return LQA_BASE_SHAPE;
  uint32_t *rows = malloc((t->shape[0] + 1) * sizeof *rows);
  if (!rows) return LQA_BUDGET;
  const uint8_t *payload = payload_of(c, LQA_TOKEN_INDICES, &t->name, &indices);
  for (uint32_t i = 0; payload && i < t->shape[0]; i++)
    rows[i] = (uint32_t)payload[4 * i] | (uint32_t)payload[4 * i + 1] << 8 | (uint32_t)payload[4 * i + 2] << 16 |
              (uint32_t)payload[4 * i + 3] << 24;
  lqa_code code = lqa_tensor_payload(c->f, t, LQA_INTEGRITY, c->scratch, c->scratch_size, &payload);
  for (uint64_t i = 0; !code && i < t->shape[0]; i++) {
    if (rows[i] >= target->shape[0]) code = LQA_BASE_SHAPE;
    for (uint64_t k = 0; !code && k < width; k++)
      target->values[rows[i] * width + k] = (float)lqa_value(payload, t->element, i * width + k);
  }
  free(rows);
  return code;
}

lqa_code lqa_apply(lqa_file *f, base_tensor *base, size_t count, void *scratch, size_t scratch_size) {
  context c = {f, scratch, scratch_size, base, count};
  lqa_code code = LQA_OK;
  lqa_tensor t;
  lqa_module m;
  for (memset(&t, 0, sizeof t); !code && lqa_next_tensor(f, &t);)
    if (t.role == LQA_REPLACE || t.role == LQA_BIAS) code = replace(&c, &t);
  for (memset(&m, 0, sizeof m); !code && lqa_next_module(f, &m);) code = adapt(&c, &m);
  for (memset(&t, 0, sizeof t); !code && lqa_next_tensor(f, &t);)
    if (t.role == LQA_TOKEN_ROWS) code = set_rows(&c, &t);
  return code;
}
