/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa.h: reads and validates .lqa files, version 1.0 (spec/lqa-v1.md; clause numbers refer to it).
 *
 * C99. No dependency, no allocation, no global state, no I/O: the whole file is in memory (read or mapped), and the
 * caller gives two buffers whose sizes lqa_work_size and lqa_file.scratch_needed say. Inflating zstd is a callback.
 *
 *   lqa_open     checks everything that needs no chunk (steps 1 to 3 of clause 15.2)
 *   lqa_next_*   go through modules, tensors and sections
 *   lqa_payload  checks one chunk and gives its payload
 *   lqa_decode_factor  gives the weights of a factor as f32, f16 or bf16
 *   lqa_verify   does everything else (steps 4 to 7) in the order of clause 15.2
 */
#ifndef LQA_H
#define LQA_H

#include "lqa_decode.h" /* encodings, trellis tables, numbers */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors (clause 15) ---- */

#define LQA_ERRORS(X) \
  X(T001, TRUNCATED_PROLOGUE) X(T002, TRUNCATED_FILE) \
  X(M001, BAD_MAGIC) X(M002, MAGIC_TEXT_DAMAGE) X(M003, PROLOGUE_RESERVED_NONZERO) X(M004, ALIGNMENT_OUT_OF_RANGE) \
  X(M005, FILE_LENGTH_MISMATCH) X(M006, TRAILING_BYTES) X(M007, INDEX_TABLE) X(M008, INDEX_VECTOR) \
  X(M009, INDEX_IDENTIFIER) X(M010, INDEX_FIELD_MISSING) X(M011, COUNT_MISMATCH) X(M012, PADDING_NONZERO) \
  X(M013, NAME_ENCODING) X(M014, NAME_ORDER) X(M015, NAME_HEAP) X(M016, CHUNK_LENGTH_MISMATCH) \
  X(M017, RECORD_RESERVED_NONZERO) X(M018, RECORD_REFERENCE) X(M019, ZSTD_FRAME) X(M020, META_ENCODING) \
  X(M021, TRAILER_MISMATCH) X(M022, SECTION_ORDER) \
  X(V001, DIMENSION_RANGE) X(V002, ENCODING_PARAMETER) X(V003, MULTIPLIER) X(V004, BAND_PLAN) X(V005, ROLE_SHAPE) \
  X(V006, TENSOR_RECORD) X(V007, FEATURE_BITS) X(V008, SCALE_VALUE) X(V009, NONFINITE_VALUE) X(V011, SECTION_RECORD) \
  X(V012, PARENT_MISMATCH) \
  X(I001, PROLOGUE_CRC) X(I002, INDEX_CRC) X(I003, CHUNK_CRC) X(I004, TRAILER_CRC) X(I005, SPAN_DIGEST) \
  X(I006, ROOT_DIGEST) X(I007, CONTENT_ID) \
  X(U001, UNSUPPORTED_VERSION) X(U002, UNSUPPORTED_FEATURE) X(U003, UNSUPPORTED_CODEC) X(U004, UNSUPPORTED_ROLE) \
  X(U005, UNSUPPORTED_COMPRESSION) X(U006, UNSUPPORTED_SECTION) X(U010, PARENT_MISSING) \
  X(L001, HARD_LIMIT) X(L002, CORE_LIMIT) X(L003, BUDGET) \
  X(B001, BASE_MODULE_MISSING) X(B002, BASE_SHAPE) \
  X(C001, NONCANONICAL_INDEX) X(C002, NONCANONICAL_CODES) X(C003, NONCANONICAL_NAME)

typedef enum lqa_code {
  LQA_OK = 0,
#define X(code, name) LQA_##name,
  LQA_ERRORS(X)
#undef X
} lqa_code;

typedef enum lqa_place {
  LQA_PROLOGUE, LQA_INDEX, LQA_ENCODING, LQA_PLAN, LQA_TYPE, LQA_MODULE, LQA_TENSOR, LQA_SECTION, LQA_DIGESTS, LQA_TRAILER
} lqa_place;

typedef struct lqa_error {
  lqa_code code;
  lqa_place place;
  uint32_t record;  /* number of the record, where the place has records */
  uint64_t offset;  /* in the file */
} lqa_error;

const char *lqa_code_text(lqa_code code); /* "LQA-M012" */
const char *lqa_code_name(lqa_code code); /* "PADDING_NONZERO" */
const char *lqa_place_name(lqa_place place);
int lqa_code_exit(lqa_code code);         /* exit code of its class: 0, 1, 3 or 4 */

/* ---- Records (clause 6) ---- */

enum { LQA_PLAIN, LQA_ZSTD_FRAMES, LQA_ZSTD_SHUFFLED, LQA_ZSTD_TEXT };                /* compressions */
enum { LQA_REPLACE, LQA_BIAS, LQA_LORA_BIAS, LQA_MAGNITUDE, LQA_TOKEN_ROWS, LQA_TOKEN_INDICES, LQA_CARRIED };

typedef struct lqa_chunk {
  uint64_t offset, raw_length; /* where it begins in the file; bytes of its payload when not compressed */
  uint32_t length;             /* stored bytes, CRC-32 included */
  uint8_t compression;
} lqa_chunk;

typedef struct lqa_name {
  uint32_t next; /* where in the vector `names` the next suffix begins */
  uint16_t length, shared, suffix;
  uint8_t bytes[513]; /* followed by a zero byte */
} lqa_name;

/* Start each with all bytes zero: lqa_next_* then give the first record. */
typedef struct lqa_module {
  uint32_t next, number; /* next: records given so far */
  lqa_name name;
  lqa_chunk chunk;
  uint32_t out_size, in_size, experts, kernel[3];
  float multiplier, alpha;
  uint8_t role, base_layout, rule;
  uint32_t type, plan, rank, bands, first_band;
  uint64_t vector_length[3]; /* weights of a component of B' (out), of A' (in times kernel) and of a mixture (rank) */
  uint32_t positions, position; /* modules with a start so far; where in the stream this one begins (8.8) */
  int started;                  /* whether a vector of A' has a start */
  uint32_t mixtures;            /* how many have one */
  uint32_t parent;              /* 0, or 1 + the number of its module in the parent (8.9) */
  uint64_t zeros_at, scales_at, block; /* of an expert: where zero points and scales begin, and all bytes (7.2) */
} lqa_module;

typedef struct lqa_tensor {
  uint32_t next, number;
  lqa_name name;
  lqa_chunk chunk;
  uint8_t element, role, axis, dimensions;
  uint32_t next_dimension, shape[8];
} lqa_tensor;

typedef struct lqa_section {
  uint32_t next, number;
  lqa_chunk chunk;
  char tag[5];
  uint8_t flags;
} lqa_section;

/* Where in a module's payload one factor of one band of one expert lies (clause 7.2). Start with all bytes zero. */
typedef struct lqa_planes {
  uint32_t next, expert, band, factor; /* factor 0 is B', 1 is A', 2 the mixture of A' */
  uint32_t first, components;          /* components first to first + components - 1 of the module */
  lqa_encoding encoding;
  uint64_t n, groups;                  /* weights and scales of a vector */
  uint64_t codes, zeros, scales;
  uint64_t zero_bytes, code_bytes, zero_bits, code_bits; /* of one component */
} lqa_planes;

/* ---- Reading ---- */

/* Inflates one zstd frame with the text dictionary (raw content) or without, into size bytes. Returns the number of
 * bytes that came out, or anything else than size on an error. */
typedef size_t (*lqa_inflate)(void *context, const uint8_t *frame, size_t frame_size, uint8_t *out, size_t size,
                              const uint8_t *dictionary, size_t dictionary_size);

typedef struct lqa_options {
  uint64_t budget;     /* most bytes a chunk may need, stored and raw; 512 MiB if there are no options */
  lqa_inflate inflate; /* 0: what is compressed is LQA-U005 */
  void *context;
} lqa_options;

typedef struct lqa_vector {
  const uint8_t *at;
  uint32_t count;
} lqa_vector;

typedef struct lqa_file {
  const uint8_t *data;
  size_t size;
  lqa_options options;
  lqa_error error; /* the first error, once a function has failed */
  uint64_t file_length;
  uint32_t required, read_only, compatible, index_length, alignment;
  lqa_vector encodings, bands, plans, types, modules, tensors, dimensions, sections, names;
  lqa_vector start, positions, parent, parent_modules; /* two with starts only, two with a parent only: its content id first */
  uint32_t *plan_start, *order; /* in the work memory */
  uint64_t modules_at, tensors_at, sections_at, digests_at;
  uint32_t tensor_names, spans;
  const uint32_t *states; /* of lqa_keep_states, or 0 */
  const struct lqa_file *parent_file; /* of lqa_set_parent, or 0 */
  const uint64_t *parent_places;
  uint32_t generations; /* parents, one behind the other */
  uint64_t scratch_needed; /* largest scratch that lqa_verify needs; 0 if nothing is compressed and there is no parent */
  uint64_t noncanonical;   /* where codes are not canonical first, at level canonical; or 0 */
} lqa_file;

typedef enum lqa_level { LQA_STRUCTURE, LQA_INTEGRITY, LQA_VALUES, LQA_CANONICAL } lqa_level;

typedef struct lqa_ids {
  uint8_t file_id[32], content_id[32];
} lqa_ids;

/* All of these return 0 or an lqa_code, with lqa_file.error set. `data` must stay as it is while the file is in use. */
size_t lqa_work_size(const void *data, size_t size); /* at most 512 KiB and a little; `work` is for uint32_t */
lqa_code lqa_open(lqa_file *f, const void *data, size_t size, uint32_t *work, size_t work_size,
                  const lqa_options *options);
lqa_code lqa_verify(lqa_file *f, lqa_level level, void *scratch, size_t scratch_size, lqa_ids *ids);

/* 1 and the next record, or 0 at the end. After lqa_open nothing can be wrong with a record. */
int lqa_next_module(const lqa_file *f, lqa_module *m);
int lqa_next_tensor(const lqa_file *f, lqa_tensor *t);
int lqa_next_section(const lqa_file *f, lqa_section *s);
lqa_encoding lqa_get_encoding(const lqa_file *f, uint32_t number);
void lqa_get_band(const lqa_file *f, uint32_t number, uint32_t *components, uint32_t *b, uint32_t *a);

/* The payload of a chunk after all checks (CRC-32, frames, padding, values); it lies in the file, or in `scratch` if
 * it was compressed. At level integrity values are not looked at. */
lqa_code lqa_module_payload(lqa_file *f, const lqa_module *m, lqa_level level, void *scratch, size_t scratch_size,
                            const uint8_t **payload);
lqa_code lqa_tensor_payload(lqa_file *f, const lqa_tensor *t, lqa_level level, void *scratch, size_t scratch_size,
                            const uint8_t **payload);
lqa_code lqa_section_payload(lqa_file *f, const lqa_section *s, void *scratch, size_t scratch_size,
                             const uint8_t **payload);

/* 1 and the planes of the next factor in file order (expert, band, factor), or 0 at the end. */
int lqa_next_planes(const lqa_file *f, const lqa_module *m, lqa_planes *p);

/* ---- Parents (8.9) ---- */

/* Gives a file its parent, which lqa_verify has found valid at level values or canonical, with these ids, and which has its own
 * parent by then. Whether it is the right one, and has the modules: else LQA_PARENT_MISMATCH; above the limit of generations
 * LQA_HARD_LIMIT or LQA_CORE_LIMIT. `places` has lqa_places_size(parent) bytes, 16 for each module, aligned as for uint64_t. Parent
 * and places must stay as they are while the file is in use. */
size_t lqa_places_size(const lqa_file *parent);
lqa_code lqa_set_parent(lqa_file *f, const lqa_file *parent, const lqa_ids *ids, uint64_t *places);
/* Whether the weights of a module can be had: 0 if a parent is missing (LQA_PARENT_MISSING). */
int lqa_can_decode(const lqa_file *f, const lqa_module *m);

/* ---- Weights (8) ---- */

enum { LQA_B, LQA_A, LQA_MIXTURE };         /* factors: B' has vectors of `out` weights, A' of `in` times kernel */
enum { LQA_BY_COMPONENT, LQA_BY_WEIGHT };   /* orders: [experts][rank][n], as stored, and [experts][n][rank] */
enum { LQA_WITHOUT_AVX512 = 1, LQA_WITHOUT_AVX2 };

typedef struct lqa_form {
  uint8_t element;    /* LQA_F32; LQA_F16 or LQA_BF16: bit patterns in uint16_t, rounded once from f32, to nearest even */
  uint8_t order;      /* PEFT has B' LQA_BY_WEIGHT and A' LQA_BY_COMPONENT */
  uint8_t multiplied; /* 1: times the multiplier of the module, which rounds once more */
  uint8_t without;    /* 0: what the processor has. LQA_WITHOUT_*: less of it, for tests; the weights are the same */
} lqa_form;

/* Bytes, aligned as malloc does: 135,424. Where A' has a start 9.3 MB more at most, and room for A' as f32, which is touched
 * unless the form is LQA_F32, by component and not multiplied. A module with a parent takes 9.3 MB more at most, or 16 vectors as
 * f32, and room for the larger factor as f32, which is touched as above. SIZE_MAX if a size_t cannot hold it. */
size_t lqa_decode_scratch(const lqa_module *m);
uint64_t lqa_factor_weights(const lqa_module *m, int factor); /* experts times rank times n */
/* A factor of a payload from lqa_module_payload, bit for bit as clause 8.7 demands; `out` has room for its weights. Returns 0;
 * LQA_PARENT_MISSING where lqa_can_decode says 0: the weights are all NaN; or LQA_NONFINITE_VALUE if a sum with a start or a parent
 * is infinite in this form: do not use the weights. */
lqa_code lqa_decode_factor(const lqa_file *f, const lqa_module *m, const uint8_t *payload, int factor, const lqa_form *form,
                           void *out, void *scratch);
/* Optional, for a file with starts: keeps the state of the generator for each module, in one pass over the draws. Without it
 * lqa_decode_factor makes the draws before those of its module too, up to 2^22. `memory` has lqa_states_size bytes, aligned
 * as for uint32_t: 2,496 for each module with a start, 0 without starts. */
size_t lqa_states_size(const lqa_file *f);
void lqa_keep_states(lqa_file *f, uint32_t *memory);
uint16_t lqa_f32_to_f16(float value); /* clause 3.2 */
/* Element i of the payload of a tensor of a float type, exactly. */
double lqa_value(const uint8_t *payload, uint8_t element, uint64_t i);

/* The shape fingerprint (clause 9.5). */
void lqa_fingerprint(const lqa_file *f, uint8_t digest[32]);

/* ---- Parts ---- */

typedef struct lqa_sha256 {
  uint32_t state[8];
  uint64_t length;
  uint8_t block[64];
} lqa_sha256;
void lqa_sha256_start(lqa_sha256 *h);
void lqa_sha256_add(lqa_sha256 *h, const void *data, size_t size);
void lqa_sha256_end(lqa_sha256 *h, uint8_t digest[32]);
uint32_t lqa_crc32(const void *data, size_t size);

/* MessagePack in the canonical subset of clause 10.2, one token at a time. */
enum { LQA_MP_NIL, LQA_MP_BOOL, LQA_MP_UINT, LQA_MP_INT, LQA_MP_FLOAT, LQA_MP_STRING, LQA_MP_BIN, LQA_MP_ARRAY, LQA_MP_MAP };
typedef struct lqa_token {
  int kind;
  uint64_t value; /* BOOL, UINT, the negative of INT; length of STRING and BIN; entries of ARRAY and MAP */
  double number;  /* FLOAT */
  const uint8_t *bytes;
} lqa_token;
size_t lqa_mp_token(const uint8_t *p, size_t size, lqa_token *token); /* bytes taken, 0 if not allowed here */
int lqa_mp_check(const uint8_t *p, size_t size, size_t *wrong); /* 1 if it is one canonical map; else *wrong says where not */

extern const uint8_t lqa_text_dictionary[];
extern const size_t lqa_text_dictionary_size;

#ifdef __cplusplus
}
#endif
#endif
