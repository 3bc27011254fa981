/* SPDX-License-Identifier: CC0-1.0
 *
 * apply.h: applies a file that lqa_verify has accepted to the tensors of a base model (clause 9.6). */
#ifndef LQA_APPLY_H
#define LQA_APPLY_H

#include "lqa.h"

typedef struct base_tensor {
  const uint8_t *name;
  size_t name_length;
  uint32_t dimensions, shape[255];
  uint64_t count; /* of values */
  float *values;  /* changed by lqa_apply */
  int taken;      /* a module has adapted it; 0 at first */
} base_tensor;

/* 0, LQA_BASE_MODULE_MISSING, LQA_BASE_SHAPE, or LQA_BUDGET if memory is not there. After an error, the values of some
 * tensors are changed. `scratch` as for lqa_verify. */
lqa_code lqa_apply(lqa_file *f, base_tensor *base, size_t count, void *scratch, size_t scratch_size);

#endif
