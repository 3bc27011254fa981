/* SPDX-License-Identifier: CC0-1.0
 *
 * levels.c FILE...: every order, type and set of instructions, with kept states of starts, gives the same weights as LQA_F32 by
 * component without any of them, which conformance/run compares with the digests of the suite. Files that do not open are left out,
 * and children whose parents are not among the files. */

#include "lqa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t MOST = 1u << 18; /* weights of a factor: larger ones say nothing more */
static const uint32_t LARGEST = 1u << 20; /* bytes of a file */

static void *room(size_t size) {
  void *const memory = malloc(size ? size : 1);
  if (!memory) perror("malloc"), exit(2);
  return memory;
}

/* A valid file and its parents. */
typedef struct opened {
  uint8_t *data;
  uint32_t *work;
  uint64_t *places;
  lqa_file f;
  lqa_ids ids;
  struct opened *parent;
} opened;

static void forget(opened *o) {
  if (!o) return;
  forget(o->parent);
  free(o->data), free(o->work), free(o->places), free(o);
}

static opened *read_file(const char *path) {
  FILE *in = fopen(path, "rb");
  if (!in) perror(path), exit(2);
  opened *const o = room(sizeof *o);
  memset(o, 0, sizeof *o);
  o->data = room(LARGEST);
  const size_t size = fread(o->data, 1, LARGEST, in), work_size = lqa_work_size(o->data, size);
  fclose(in);
  o->work = room(work_size);
  if (!lqa_open(&o->f, o->data, size, o->work, work_size, 0) && !lqa_verify(&o->f, LQA_VALUES, 0, 0, &o->ids)) return o;
  forget(o);
  return 0;
}

static char **paths;
static int files;
static uint8_t (*ids)[32]; /* content ids; zeros of a file that does not open */

/* 1 if all parents of a file were found, or it has none. */
static int find_parents(opened *o) {
  if (!o->f.parent.count) return 1;
  for (int i = 0; i < files; i++) {
    if (memcmp(ids[i], o->f.parent.at, 32)) continue;
    o->parent = read_file(paths[i]);
    if (!o->parent || !find_parents(o->parent)) return 0;
    o->places = room(lqa_places_size(&o->parent->f));
    return !lqa_set_parent(&o->f, &o->parent->f, &o->parent->ids, o->places);
  }
  return 0;
}

/* 1 if `got`, which was made in this form, is `plain` turned and rounded. */
static int equal(const lqa_module *m, int factor, const lqa_form *form, const float *plain, const uint8_t *got) {
  const uint64_t n = m->vector_length[factor], rank = m->rank;
  for (uint64_t i = 0; i < lqa_factor_weights(m, factor); i++) {
    const uint64_t expert = i / (rank * n), c = i / n % rank, w = i % n;
    const uint64_t at = form->order == LQA_BY_WEIGHT ? (expert * n + w) * rank + c : i;
    const float value = form->multiplied ? plain[i] * m->multiplier : plain[i];
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t half = lqa_f32_to_f16(value);
    if (form->element == LQA_BF16) { /* the nearer of two neighbours, or the even one */
      const uint32_t rest = bits & 0xFFFF, below = bits >> 16;
      half = (uint16_t)(below + (rest > 0x8000 || (rest == 0x8000 && below & 1)));
    }
    if (form->element == LQA_F32 ? memcmp(got + 4 * at, &value, 4) : memcmp(got + 2 * at, &half, 2)) return 0;
  }
  return 1;
}

static unsigned long long factors, compared, children;

/* 1 if all forms of a factor are equal. */
static int compare(opened *o, const lqa_module *m, int factor, uint32_t *states, const char *path) {
  static const uint8_t types[] = {LQA_F32, LQA_F16, LQA_BF16};
  const uint64_t weights = lqa_factor_weights(m, factor);
  const uint8_t *payload;
  lqa_file *const f = &o->f;
  if (weights > MOST || !lqa_can_decode(f, m) || lqa_module_payload(f, m, LQA_INTEGRITY, 0, 0, &payload)) return 1;
  /* Exactly as much as is promised, so that sanitizers see what is written behind it. */
  float *const plain = room(weights * 4);
  void *const scratch = room(lqa_decode_scratch(m));
  const lqa_form first = {LQA_F32, LQA_BY_COMPONENT, 0, LQA_WITHOUT_AVX2};
  f->states = 0;
  lqa_decode_factor(f, m, payload, factor, &first, plain, scratch);
  lqa_keep_states(f, states);
  for (int i = 0; i < 36; i++) {
    const lqa_form form = {types[i % 3], i / 3 & 1 ? LQA_BY_WEIGHT : LQA_BY_COMPONENT, (uint8_t)(i / 6 & 1), (uint8_t)(i / 12)};
    uint8_t *const got = room(weights * (form.element == LQA_F32 ? 4 : 2));
    lqa_decode_factor(f, m, payload, factor, &form, got, scratch);
    if (!equal(m, factor, &form, plain, got))
      return printf("%s: module %u, factor %d, form %d differs\n", path, m->number, factor, i), 0;
    free(got);
    compared++;
  }
  factors++;
  children += m->parent > 0;
  free(plain);
  free(scratch);
  return 1;
}

int main(int count, char **arguments) {
  paths = arguments + 1;
  files = count - 1;
  ids = room((size_t)files * sizeof *ids);
  for (int k = 0; k < files; k++) {
    opened *const o = read_file(paths[k]);
    memset(ids[k], 0, sizeof *ids);
    if (o) memcpy(ids[k], o->ids.content_id, sizeof *ids);
    forget(o);
  }
  for (int k = 0; k < files; k++) {
    opened *const o = read_file(paths[k]);
    if (o && find_parents(o)) {
      uint32_t *const states = room(lqa_states_size(&o->f));
      lqa_module m;
      memset(&m, 0, sizeof m);
      while (lqa_next_module(&o->f, &m))
        if (!compare(o, &m, 0, states, paths[k]) || !compare(o, &m, 1, states, paths[k])) return 1;
      free(states);
    }
    forget(o);
  }
  free(ids);
  printf("%llu factors, %llu of children, %llu forms: all equal\n", factors, children, compared);
  return factors == 0 || children == 0;
}
