"""Declares `lqa._core`: the C library of this project as an extension over the limited API of Python.

cffi compiles the declarations below against lqa.h, so that one that differs from the header does not compile. The functions in
PARTS take what Python would have to loop over.
"""
import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
NATIVE = "gathered/native"  # copies of ../c, see setup.py
SOURCES = ("lqa.c", "lqa_vectors.c", "lqa_hash.c", "lqa_tables.c")

DECLARATIONS = """
typedef enum { LQA_OK, LQA_BUDGET, ... } lqa_code;
typedef enum { LQA_PROLOGUE, LQA_MODULE, LQA_TENSOR, LQA_SECTION, ... } lqa_place;
typedef enum { LQA_STRUCTURE, LQA_INTEGRITY, LQA_VALUES, LQA_CANONICAL } lqa_level;
enum { LQA_F32, LQA_F16, LQA_BF16, ... };
enum { LQA_BY_COMPONENT, LQA_BY_WEIGHT };
typedef struct { lqa_code code; lqa_place place; uint32_t record; uint64_t offset; ...; } lqa_error;
typedef struct { uint8_t codec, element, scale, bits, mixture, group_exponent, table, rotation; ...; } lqa_encoding;
typedef struct { uint64_t offset, raw_length; uint32_t length; uint8_t compression; ...; } lqa_chunk;
typedef struct { uint16_t length; uint8_t bytes[513]; ...; } lqa_name;
typedef struct {
  lqa_name name; lqa_chunk chunk; uint32_t out_size, in_size, experts, kernel[3]; float multiplier, alpha;
  uint8_t role, base_layout, rule; uint32_t rank, bands, first_band; uint64_t vector_length[3]; ...;
} lqa_module;
typedef struct {
  lqa_name name; lqa_chunk chunk; uint8_t element, role, axis, dimensions; uint32_t shape[8]; ...;
} lqa_tensor;
typedef struct { lqa_chunk chunk; char tag[5]; uint8_t flags; ...; } lqa_section;
typedef size_t (*lqa_inflate)(void *, const uint8_t *, size_t, uint8_t *, size_t, const uint8_t *, size_t);
typedef struct { uint64_t budget; lqa_inflate inflate; void *context; ...; } lqa_options;
typedef struct { const uint8_t *at; uint32_t count; ...; } lqa_vector;
typedef struct {
  lqa_error error; uint64_t file_length, scratch_needed, digests_at; uint32_t alignment, index_length;
  lqa_vector encodings, plans, modules, tensors, sections, positions, parent; ...;
} lqa_file;
typedef struct { uint8_t file_id[32], content_id[32]; ...; } lqa_ids;
typedef struct { uint8_t element, order, multiplied; ...; } lqa_form;

const char *lqa_code_text(lqa_code code);
const char *lqa_code_name(lqa_code code);
const char *lqa_place_name(lqa_place place);
int lqa_code_exit(lqa_code code);
size_t lqa_work_size(const void *data, size_t size);
lqa_code lqa_open(lqa_file *f, const void *data, size_t size, uint32_t *work, size_t work_size, const lqa_options *options);
lqa_code lqa_verify(lqa_file *f, lqa_level level, void *scratch, size_t scratch_size, lqa_ids *ids);
lqa_encoding lqa_get_encoding(const lqa_file *f, uint32_t number);
void lqa_get_band(const lqa_file *f, uint32_t number, uint32_t *components, uint32_t *b, uint32_t *a);
lqa_code lqa_tensor_payload(lqa_file *f, const lqa_tensor *t, lqa_level level, void *scratch, size_t scratch_size,
                            const uint8_t **payload);
lqa_code lqa_section_payload(lqa_file *f, const lqa_section *s, void *scratch, size_t scratch_size, const uint8_t **payload);
lqa_code lqa_decode_factor(const lqa_file *f, const lqa_module *m, const uint8_t *payload, int factor, const lqa_form *form,
                           void *out, void *scratch);
uint32_t lqa_crc32(const void *data, size_t size);
extern const uint8_t lqa_text_dictionary[];
extern const size_t lqa_text_dictionary_size;

extern "Python" size_t lqa_python_inflate(void *, const uint8_t *, size_t, uint8_t *, size_t, const uint8_t *, size_t);
int lqa_next_module(const lqa_file *f, lqa_module *m);
int lqa_next_tensor(const lqa_file *f, lqa_tensor *t);
int lqa_next_section(const lqa_file *f, lqa_section *s);
size_t lqa_python_keep(lqa_file *f, uint32_t *memory);
typedef struct {
  lqa_chunk chunk; uint32_t number, out_size, in_size, experts, rank; float multiplier; uint64_t vector_length[3]; ...;
} lqa_packed;
size_t lqa_python_scratch(const lqa_packed *p, size_t count);
size_t lqa_states_size(const lqa_file *f);
void lqa_keep_states(lqa_file *f, uint32_t *memory);
size_t lqa_places_size(const lqa_file *parent);
lqa_code lqa_set_parent(lqa_file *f, const lqa_file *parent, const lqa_ids *ids, uint64_t *places);
size_t lqa_python_decodable(const lqa_file *f, const lqa_packed *p, size_t count);
void lqa_python_pack(const lqa_file *f, lqa_packed *p);
lqa_code lqa_python_check(lqa_file *f, const lqa_packed *p);
size_t lqa_python_decode(const lqa_file *f, const lqa_packed *p, size_t count, int factors, const lqa_form *form, void *out, int fresh,
                       void *scratch);
"""

PARTS = r"""
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#include "lqa.h"

/* What of the work memory is used after lqa_open: copied to `memory`, if there is one. Returns its bytes. */
static size_t lqa_python_keep(lqa_file *f, uint32_t *memory) {
  const size_t size = ((size_t)f->plans.count + 1) * sizeof *memory;
  if (!memory) return size;
  memcpy(memory, f->plan_start, size);
  f->plan_start = memory;
  f->order = 0;
  return size;
}

/* A module without its name, which is most of its bytes: what stays in memory of a packed adapter. */
typedef struct lqa_packed {
  lqa_chunk chunk;
  uint32_t number, out_size, in_size, experts, rank, bands, first_band;
  float multiplier;
  uint64_t vector_length[3], zeros_at, scales_at, block;
  uint32_t positions, position;
  int started;
  uint32_t parent;
} lqa_packed;

#define FIELDS(X) \
  X(number) X(chunk) X(out_size) X(in_size) X(experts) X(rank) X(bands) X(first_band) X(multiplier) X(zeros_at) X(scales_at) X(block) \
  X(positions) X(position) X(started) X(parent)

/* All modules of a file. */
static void lqa_python_pack(const lqa_file *f, lqa_packed *p) {
  lqa_module m;
  memset(&m, 0, sizeof m);
  for (; lqa_next_module(f, &m); p++) {
#define X(field) p->field = m.field;
    FIELDS(X)
#undef X
    memcpy(p->vector_length, m.vector_length, sizeof p->vector_length);
  }
}

static lqa_module lqa_python_unpack(const lqa_packed *p) {
  lqa_module m;
  memset(&m, 0, sizeof m);
#define X(field) m.field = p->field;
  FIELDS(X)
#undef X
  memcpy(m.vector_length, p->vector_length, sizeof m.vector_length);
  return m;
}

/* Scratch for any of these modules. */
static size_t lqa_python_scratch(const lqa_packed *p, size_t count) {
  size_t most = 0;
  for (size_t i = 0; i < count; i++) {
    const lqa_module m = lqa_python_unpack(p + i);
    const size_t size = lqa_decode_scratch(&m);
    if (size > most) most = size;
  }
  return most;
}

/* How many of these modules come before the first that lacks a parent. */
static size_t lqa_python_decodable(const lqa_file *f, const lqa_packed *p, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const lqa_module m = lqa_python_unpack(p + i);
    if (!lqa_can_decode(f, &m)) return i;
  }
  return count;
}

static lqa_code lqa_python_check(lqa_file *f, const lqa_packed *p) {
  const lqa_module m = lqa_python_unpack(p);
  const uint8_t *payload;
  return lqa_module_payload(f, &m, LQA_VALUES, 0, 0, &payload);
}

/* Faults in fresh pages together, which takes half of the time that one fault after another takes. Where the system has no
 * such call, or refuses it, they are faulted in as they are written. */
static void lqa_python_populate(void *out, size_t size) {
#ifdef __linux__
  const uintptr_t page = 4096, begin = ((uintptr_t)out + page - 1) / page * page, end = ((uintptr_t)out + size) / page * page;
  if (end > begin) madvise((void *)begin, end - begin, 23); /* MADV_POPULATE_WRITE, from Linux 5.14 on */
#else
  (void)out, (void)size;
#endif
}

/* Bytes of a factor. */
static size_t lqa_python_bytes(const lqa_packed *p, int factor, uint8_t element) {
  const lqa_module m = lqa_python_unpack(p);
  return (size_t)lqa_factor_weights(&m, factor) * (element == LQA_F32 ? 4 : 2);
}

/* Factors of modules, one behind the other: with 1 << LQA_B each B in this form, with 1 << LQA_A each A by component and not multiplied.
 * Only after lqa_python_check, or lqa_verify. `fresh`: `out` was never written before. Returns how many of these modules come before
 * the first that has an infinite sum. */
static size_t lqa_python_decode(const lqa_file *f, const lqa_packed *p, size_t count, int factors, const lqa_form *form, void *out,
                                int fresh, void *scratch) {
  const lqa_form forms[2] = {*form, {form->element, LQA_BY_COMPONENT, 0, form->without}};
  uint8_t *to = out;
  size_t size = 0;
  for (size_t i = 0; i < 2 * count && fresh; i++) size += factors >> i % 2 & 1 ? lqa_python_bytes(p + i / 2, i % 2, form->element) : 0;
  if (size >= 65536) lqa_python_populate(out, size);
  for (size_t i = 0; i < 2 * count; i++) {
    const lqa_module m = lqa_python_unpack(p + i / 2);
    const int factor = i % 2; /* LQA_B, LQA_A */
    if (!(factors >> factor & 1)) continue;
    /* Modules are never compressed. */
    if (lqa_decode_factor(f, &m, f->data + m.chunk.offset, factor, forms + factor, to, scratch)) return i / 2;
    to += lqa_python_bytes(p + i / 2, factor, form->element);
  }
  return count;
}
"""

ffi = FFI()
ffi.cdef(DECLARATIONS)
# Another choice of flags is for fuzz/run, which builds with sanitizers.
ffi.set_source("lqa._core", PARTS, sources=[f"{NATIVE}/{name}" for name in SOURCES], include_dirs=[NATIVE],
               extra_compile_args=os.environ.get("LQA_COMPILE", "-O3 -g0").split(), py_limited_api=True)
