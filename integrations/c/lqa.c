/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa.c: see lqa.h. Written from spec/lqa-v1.md alone; numbers in comments are its clauses.
 *
 * Every number of the file is compared with its limit before it is used, and every read is preceded by a check that
 * the bytes are there. Sums and products fit into 64 bits by the limits of clause 14; the two that could be larger,
 * in times kernel and the size of a tensor, saturate. */

#define LQA_DECODE_IMPLEMENTATION
#include "lqa.h"

#include "lqa_bytes.h"

/* Limits (14): Hard, Core. */
#define LIMIT_INDEX 67108864u, 16777216u
#define LIMIT_RECORDS 1048576u, 65536u /* modules, plain tensors */
#define LIMIT_SECTIONS 1024u, 64u
#define LIMIT_ENCODINGS 256u, 256u
#define LIMIT_SHARED 65536u, 65536u /* plans, types */
#define LIMIT_BANDS 8388608u, 524288u
#define LIMIT_EXPERT_BANDS 16777216u, 1048576u
#define LIMIT_NAMES 67108864u, 16777216u
#define LIMIT_RANK 4096u, 1024u
#define LIMIT_DIMENSION 33554432u, 16777216u /* vector length */
#define LIMIT_EXPERTS 4096u, 1024u
#define LIMIT_SHAPE 8u, 8u /* dimensions of a tensor */
#define LIMIT_CHUNK 4294967295u, 1073741824u
#define LIMIT_EXPANSION 17179869184u, 268435456u
#define LIMIT_FILE 9007199254740991u, 68719476736u
#define LIMIT_META 16777216u, 1048576u
#define LIMIT_STARTED 65536u, 4096u
#define LIMIT_STARTED_RANK 256u, 256u
#define LIMIT_START_WORK 1048576u, 16384u
#define LIMIT_STARTS 1024u, 64u
#define LIMIT_GENERATIONS 16u, 4u
#define NAME_MAX_BYTES 512u
#define META_DEPTH 16
#define FRAME_BYTES 1048576u
#define SPAN_BYTES 32768u
#define DEFAULT_BUDGET 536870912u

enum { PROLOGUE_SIZE = 64, TRAILER_SIZE = 64, DIGEST_SIZE = 32 };
enum { ENCODING_SIZE = 8, BAND_SIZE = 4, PLAN_SIZE = 2, TYPE_SIZE = 28, MODULE_SIZE = 12, TENSOR_SIZE = 12,
       DIMENSION_SIZE = 4, SECTION_SIZE = 16 };
enum { HAS_ZSTD = 1, HAS_TRELLIS = 2, HAS_EXPERTS = 4, HAS_MAGNITUDE = 8, HAS_REPLACEMENT = 16,
       HAS_START = 32, HAS_PARENT = 64, KNOWN_REQUIRED = 127 };
enum { CRITICAL = 1, SAFE_TO_COPY = 2 };

/* ---- Errors ---- */

/* Where the next checks look: what an error says unless it has a better offset. */
static void here(lqa_file *f, lqa_place place, uint32_t record, uint64_t offset) {
  f->error.place = place;
  f->error.record = record;
  f->error.offset = offset;
}

static lqa_code fail(lqa_file *f, lqa_code code, uint64_t offset) {
  f->error.offset = offset;
  return f->error.code = code;
}

#define MUST_AT(condition, code, offset) \
  do { \
    if (!(condition)) return fail(f, LQA_##code, offset); \
  } while (0)
#define MUST(condition, code) MUST_AT(condition, code, f->error.offset)
#define TRY(call) \
  do { \
    lqa_code code_ = (call); \
    if (code_) return code_; \
  } while (0)

static lqa_code limit(lqa_file *f, uint64_t value, uint64_t hard, uint64_t core) { /* Hard first, then Core (14) */
  MUST(value <= hard, HARD_LIMIT);
  MUST(value <= core, CORE_LIMIT);
  return LQA_OK;
}
#define LIMIT(value, pair) TRY(limit(f, value, pair))
#define LIMIT_AT(value, pair, at) \
  do { \
    f->error.offset = (at); \
    TRY(limit(f, value, pair)); \
  } while (0)

const char *lqa_code_text(lqa_code code) {
  switch (code) {
#define X(text, name) case LQA_##name: return "LQA-" #text;
    LQA_ERRORS(X)
#undef X
    case LQA_OK: break;
  }
  return "";
}

const char *lqa_code_name(lqa_code code) {
  switch (code) {
#define X(text, name) case LQA_##name: return #name;
    LQA_ERRORS(X)
#undef X
    case LQA_OK: break;
  }
  return "";
}

const char *lqa_place_name(lqa_place place) {
  static const char *const names[] = {"prologue", "index", "encoding", "plan", "type",
                                      "module", "tensor", "section", "digests", "trailer"};
  return names[place];
}

int lqa_code_exit(lqa_code code) {
  if (code == LQA_OK) return 0;
  char letter = lqa_code_text(code)[4];
  return letter == 'U' ? 3 : letter == 'L' ? 4 : 1;
}

/* ---- Bytes (3) ---- */

static void put32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t align_up(uint64_t x, uint64_t to) { return (x + to - 1) / to * to; }

static uint64_t leading_zeros(const uint8_t *p, uint64_t size) {
  uint64_t i = 0;
  while (i < size && p[i] == 0) i++;
  return i;
}

static int is_finite(uint32_t bits) { return (bits & 0x7F800000u) != 0x7F800000u; }

/* The f32 bits of an f32, f16 or bf16 (3.2). */
static uint32_t widen(const uint8_t *p, uint8_t element) {
  if (element == LQA_F32) return lqa_get32(p);
  const uint32_t h = lqa_get16(p);
  return element == LQA_BF16 ? h << 16 : lqa_bits(lqa_from_f16(h));
}

double lqa_value(const uint8_t *payload, uint8_t element, uint64_t i) {
  if (element != LQA_F64) return (double)lqa_float(widen(payload + i * (element == LQA_F32 ? 4 : 2), element));
  const uint64_t bits = lqa_get64(payload + 8 * i);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

uint16_t lqa_f32_to_f16(float value) { return lqa_to_f16(value); }

/* ---- Numbers into digests (11.3) ---- */

static void hash_u16(lqa_sha256 *h, uint32_t v) {
  uint8_t bytes[4];
  put32(bytes, v);
  lqa_sha256_add(h, bytes, 2);
}

static void hash_u32(lqa_sha256 *h, uint32_t v) {
  uint8_t bytes[4];
  put32(bytes, v);
  lqa_sha256_add(h, bytes, 4);
}

static void hash_u8(lqa_sha256 *h, uint32_t v) {
  uint8_t byte = (uint8_t)v;
  lqa_sha256_add(h, &byte, 1);
}

/* ---- Names (3.3) ---- */

/* Valid UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF; on request no control characters. */
static int valid_utf8(const uint8_t *p, uint64_t size, int allow_control) {
  uint64_t i = 0;
  while (i < size) {
    uint32_t c = p[i], more = c < 0x80 ? 0 : c < 0xC2 ? 9 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : c < 0xF5 ? 3 : 9;
    if (more >= size - i) return 0;
    c &= more ? 0x3Fu >> more : 0x7Fu;
    for (uint32_t j = 1; j <= more; j++) {
      if ((p[i + j] & 0xC0) != 0x80) return 0;
      c = c << 6 | (p[i + j] & 0x3Fu);
    }
    if ((more == 2 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) || (more == 3 && (c < 0x10000 || c > 0x10FFFF)))
      return 0;
    if (!allow_control && (c < 0x20 || (c >= 0x7F && c <= 0x9F))) return 0;
    i += 1 + more;
  }
  return 1;
}

static int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static int compare_bytes(const uint8_t *a, size_t na, const uint8_t *b, size_t nb) {
  int order = memcmp(a, b, na < nb ? na : nb);
  return order ? order : na < nb ? -1 : na > nb;
}

/* The end of the run of digits at i; *first is where its leading zeros end. */
static size_t digit_run(const lqa_name *n, size_t i, size_t *first) {
  while (i < n->length && n->bytes[i] == '0') i++;
  *first = i;
  while (i < n->length && is_digit(n->bytes[i])) i++;
  return i;
}

static int compare_names(const lqa_name *a, const lqa_name *b) {
  size_t i = 0, j = 0, first_a, first_b;
  while (i < a->length && j < b->length) {
    if (is_digit(a->bytes[i]) && is_digit(b->bytes[j])) {
      size_t end_a = digit_run(a, i, &first_a), end_b = digit_run(b, j, &first_b);
      if (end_a - first_a != end_b - first_b) return end_a - first_a < end_b - first_b ? -1 : 1;
      int order = memcmp(a->bytes + first_a, b->bytes + first_b, end_a - first_a);
      if (order) return order;
      i = end_a;
      j = end_b;
    } else {
      if (a->bytes[i] != b->bytes[j]) return a->bytes[i] < b->bytes[j] ? -1 : 1;
      i++;
      j++;
    }
  }
  if (i < a->length || j < b->length) return i < a->length ? 1 : -1;
  return compare_bytes(a->bytes, a->length, b->bytes, b->length);
}

/* ---- Records of the index (6) ---- */

static const uint8_t *record(const lqa_vector *v, uint32_t i, uint32_t size) { return v->at + (size_t)i * size; }
static uint64_t position(const lqa_file *f, const uint8_t *p) { return (uint64_t)(p - f->data); }

lqa_encoding lqa_get_encoding(const lqa_file *f, uint32_t number) {
  const uint8_t *p = record(&f->encodings, number, ENCODING_SIZE);
  lqa_encoding e = {p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
  return e;
}

void lqa_get_band(const lqa_file *f, uint32_t number, uint32_t *components, uint32_t *b, uint32_t *a) {
  const uint8_t *p = record(&f->bands, number, BAND_SIZE);
  *components = lqa_get16(p);
  *b = p[2];
  *a = p[3];
}

/* out, in, kernel... of a product that may be huge: stops at 2^40, which is above every limit. */
static uint64_t saturating(uint64_t a, uint64_t b) {
  const uint64_t top = (uint64_t)1 << 40;
  return a != 0 && b > top / a ? top : a * b;
}

static void get_type(const lqa_file *f, uint32_t number, lqa_module *m) {
  const uint8_t *p = record(&f->types, number, TYPE_SIZE);
  m->out_size = lqa_get32(p);
  m->in_size = lqa_get32(p + 4);
  m->multiplier = lqa_float(lqa_get32(p + 8));
  m->alpha = lqa_float(lqa_get32(p + 12));
  m->vector_length[0] = m->out_size;
  m->vector_length[1] = m->in_size;
  for (int i = 0; i < 3; i++) {
    m->kernel[i] = lqa_get16(p + 16 + 2 * i);
    if (m->kernel[i]) m->vector_length[1] = saturating(m->vector_length[1], m->kernel[i]);
  }
  m->experts = lqa_get16(p + 22);
  m->role = p[24];
  m->base_layout = p[25];
  m->rule = p[26];
}

static void get_plan(const lqa_file *f, uint32_t number, lqa_module *m) {
  uint32_t components, b, a;
  m->first_band = f->plan_start[number];
  m->bands = f->plan_start[number + 1] - m->first_band;
  m->rank = 0;
  m->mixtures = 0;
  for (uint32_t i = 0; i < m->bands; i++) {
    lqa_get_band(f, m->first_band + i, &components, &b, &a);
    m->rank += components;
    if (lqa_get_encoding(f, a).mixture) m->mixtures += components;
  }
  m->started = m->mixtures > 0;
  m->vector_length[LQA_MIXTURE] = m->rank;
}

/* Front coding (6.10) of a record whose bytes 4 to 6 are suffix and shared; the numbers are checked already. */
static void take_name(const lqa_file *f, lqa_name *name, const uint8_t *p) {
  name->suffix = (uint16_t)lqa_get16(p + 4);
  name->shared = p[6];
  memcpy(name->bytes + name->shared, f->names.at + name->next, name->suffix);
  name->length = (uint16_t)(name->shared + name->suffix);
  name->bytes[name->length] = 0;
  name->next += name->suffix;
}

static void take_chunk(const lqa_file *f, lqa_chunk *c, int first, uint64_t start, uint32_t length,
                       uint8_t compression) {
  c->offset = first ? start : align_up(c->offset + c->length, f->alignment); /* 4.2 */
  c->length = length;
  c->compression = compression;
}

static void lay_out(const lqa_file *f, lqa_module *m);

int lqa_next_module(const lqa_file *f, lqa_module *m) {
  if (m->next >= f->modules.count) return 0;
  const uint8_t *p = record(&f->modules, m->number = m->next, MODULE_SIZE);
  take_name(f, &m->name, p);
  take_chunk(f, &m->chunk, m->next == 0, f->modules_at, lqa_get32(p), LQA_PLAIN);
  const uint32_t type = lqa_get16(p + 8), plan = lqa_get16(p + 10);
  if (m->next == 0 || type != m->type || plan != m->plan) { /* most modules are like the one before */
    get_type(f, m->type = type, m);
    get_plan(f, m->plan = plan, m);
    lay_out(f, m);
  }
  m->parent = f->parent_modules.count > m->number ? lqa_get32(record(&f->parent_modules, m->number, 4)) : 0;
  if (m->started) {
    m->position = m->positions < f->positions.count ? lqa_get32(record(&f->positions, m->positions, 4)) : 0;
    m->positions++;
  }
  m->next++;
  return 1;
}

static uint32_t element_size(uint8_t element) {
  static const uint8_t sizes[14] = {0, 4, 2, 2, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1};
  return sizes[element];
}

int lqa_next_tensor(const lqa_file *f, lqa_tensor *t) {
  if (t->next >= f->tensors.count) return 0;
  const uint8_t *p = record(&f->tensors, t->number = t->next, TENSOR_SIZE);
  if (t->next == 0) t->name.next = f->tensor_names;
  take_name(f, &t->name, p);
  take_chunk(f, &t->chunk, t->next == 0, f->tensors_at, lqa_get32(p), p[7]);
  t->element = p[8];
  t->role = p[9];
  t->axis = p[10];
  t->dimensions = p[11];
  uint64_t size = element_size(t->element);
  int empty = 0;
  for (uint32_t i = 0; i < t->dimensions; i++) {
    t->shape[i] = lqa_get32(record(&f->dimensions, t->next_dimension + i, DIMENSION_SIZE));
    if (t->shape[i] == 0) empty = 1;
    size = saturating(size, t->shape[i]);
  }
  t->chunk.raw_length = empty ? 0 : size;
  t->next_dimension += t->dimensions;
  t->next++;
  return 1;
}

int lqa_next_section(const lqa_file *f, lqa_section *s) {
  if (s->next >= f->sections.count) return 0;
  const uint8_t *p = record(&f->sections, s->number = s->next, SECTION_SIZE);
  memcpy(s->tag, p, 4);
  s->tag[4] = 0;
  take_chunk(f, &s->chunk, s->next == 0, f->sections_at, lqa_get32(p + 4), p[12]);
  s->chunk.raw_length = lqa_get32(p + 8);
  s->flags = p[13];
  s->next++;
  return 1;
}

/* ---- Module payload (7.2, 7.3) ---- */

static void start_block(const lqa_module *m, lqa_planes *p) {
  p->codes = p->expert * align_up(m->block, 16);
  p->zeros = p->codes + m->zeros_at;
  p->scales = p->codes + m->scales_at;
}

static uint32_t last_factor(const lqa_module *m) { return m->started ? LQA_MIXTURE : LQA_A; }

int lqa_next_planes(const lqa_file *f, const lqa_module *m, lqa_planes *p) {
  if (!p->next) {
    p->next = 1;
    start_block(m, p);
  } else {
    p->codes += p->components * p->code_bytes;
    p->zeros += p->components * p->zero_bytes;
    p->scales += p->components * p->groups * 2;
    p->first += p->components;
    if (++p->band == m->bands) {
      p->band = p->first = 0;
      if (p->factor++ == last_factor(m)) {
        p->factor = 0;
        p->expert++;
        start_block(m, p);
      }
    }
  }
  if (p->expert >= m->experts) return 0;
  uint32_t encodings[2];
  lqa_get_band(f, m->first_band + p->band, &p->components, &encodings[0], &encodings[1]);
  const lqa_encoding own = lqa_get_encoding(f, encodings[p->factor != LQA_B]);
  const lqa_encoding e = p->encoding = p->factor == LQA_MIXTURE ? lqa_mixture_of(own) : own;
  const uint64_t n = p->n = m->vector_length[p->factor];
  p->groups = lqa_groups(e, n);
  p->code_bits = lqa_code_bits(e, n);
  p->zero_bits = e.codec == LQA_AFFINE ? p->groups * e.bits : 0;
  if (e.codec == LQA_RAW) p->codes = align_up(p->codes, element_size(e.element));
  p->zero_bytes = (p->zero_bits + 7) / 8;
  p->code_bytes = (p->code_bits + 7) / 8;
  return 1;
}

/* Where the three kinds of planes of an expert begin, and the bytes of a payload. */
static void lay_out(const lqa_file *f, lqa_module *m) {
  lqa_planes p;
  memset(&p, 0, sizeof p);
  m->zeros_at = m->scales_at = m->block = 0; /* so each kind is counted from 0 */
  uint64_t codes = 0, zeros = 0, scales = 0;
  while (lqa_next_planes(f, m, &p) && p.expert == 0) {
    codes = p.codes + p.components * p.code_bytes;
    zeros = p.zeros + p.components * p.zero_bytes;
    scales = p.scales + p.components * p.groups * 2;
  }
  m->zeros_at = codes;
  m->scales_at = align_up(codes + zeros, 2);
  m->block = m->scales_at + scales;
  m->chunk.raw_length = (m->experts - 1) * align_up(m->block, 16) + m->block;
}

/* ---- Step 1: the prologue (5) ---- */

static const uint8_t MAGIC[8] = {0x89, 'L', 'Q', 'A', 0x0D, 0x0A, 0x1A, 0x0A};

static int begins(const lqa_file *f, const char *with, size_t size) {
  return f->size >= size && memcmp(f->data, with, size) == 0;
}

static lqa_code open_prologue(lqa_file *f) {
  const uint8_t *p = f->data;
  size_t same = 0;
  while (same < 8 && same < f->size && p[same] == MAGIC[same]) same++;
  if (same < 8 && same < f->size) {
    int damaged = begins(f, "\x89LQA\n", 5) || begins(f, "\x89LQA\r\r\n", 7) || begins(f, "\x09LQA", 4) ||
                  begins(f, "\xC2\x89LQA", 5) || begins(f, "\xEF\xBF\xBDLQA", 6);
    return fail(f, damaged ? LQA_MAGIC_TEXT_DAMAGE : LQA_BAD_MAGIC, same);
  }
  MUST_AT(f->size >= PROLOGUE_SIZE, TRUNCATED_PROLOGUE, f->size);
  MUST_AT(lqa_get32(p + 60) == lqa_crc32(p, 60), PROLOGUE_CRC, 60);
  MUST_AT(lqa_get16(p + 8) == 1, UNSUPPORTED_VERSION, 8);
  f->required = lqa_get32(p + 12);
  f->read_only = lqa_get32(p + 16);
  f->compatible = lqa_get32(p + 20);
  MUST_AT(!(f->required & ~(uint32_t)KNOWN_REQUIRED), UNSUPPORTED_FEATURE, 12);
  MUST_AT(!(f->required & HAS_START) || !(f->required & HAS_PARENT), FEATURE_BITS, 12); /* 8.9 */
  MUST_AT(leading_zeros(p + 49, 7) == 7, PROLOGUE_RESERVED_NONZERO, 49 + leading_zeros(p + 49, 7));
  MUST_AT(p[48] >= 2 && p[48] <= 12, ALIGNMENT_OUT_OF_RANGE, 48);
  f->alignment = 1u << p[48];
  f->file_length = lqa_get64(p + 24);
  f->index_length = lqa_get32(p + 32);
  LIMIT_AT(f->file_length, LIMIT_FILE, 24);
  LIMIT_AT(f->index_length, LIMIT_INDEX, 32);
  LIMIT_AT(lqa_get32(p + 36), LIMIT_RECORDS, 36);
  LIMIT_AT(lqa_get32(p + 40), LIMIT_RECORDS, 40);
  LIMIT_AT(lqa_get32(p + 44), LIMIT_SECTIONS, 44);
  return LQA_OK;
}

/* ---- Step 2: the FlatBuffer (6.2) ---- */

enum { REQUIRED_SLOTS = 9, SLOTS = 13 };
static const uint8_t ELEMENT_SIZES[SLOTS] = {ENCODING_SIZE, BAND_SIZE, PLAN_SIZE, TYPE_SIZE, MODULE_SIZE, TENSOR_SIZE,
                                             DIMENSION_SIZE, SECTION_SIZE, 1, 4, 4, 4, 4};

/* The vectors of the index by their slots. */
static lqa_vector *vector_in(lqa_file *f, uint32_t slot) {
  lqa_vector *const vectors[SLOTS] = {&f->encodings, &f->bands, &f->plans, &f->types, &f->modules, &f->tensors,
                                      &f->dimensions, &f->sections, &f->names, &f->start, &f->positions, &f->parent,
                                      &f->parent_modules};
  return vectors[slot];
}

/* Whether the file has the vector: those of 8.8.1 come with starts, those of 8.9.1 with a parent. */
static int has_vector(const lqa_file *f, uint32_t slot) {
  return slot < REQUIRED_SLOTS || (f->required & (slot < 11 ? HAS_START : HAS_PARENT)) != 0;
}

static lqa_code open_index(lqa_file *f) {
  here(f, LQA_INDEX, 0, PROLOGUE_SIZE);
  MUST_AT(f->size - PROLOGUE_SIZE >= f->index_length, TRUNCATED_FILE, f->size);
  const uint8_t *index = f->data + PROLOGUE_SIZE;
  const uint32_t n = f->index_length;
  MUST_AT(lqa_get32(f->data + 56) == lqa_crc32(index, n), INDEX_CRC, 56);
  MUST(n >= 8, INDEX_TABLE);
  MUST_AT(memcmp(index + 4, "LQI1", 4) == 0, INDEX_IDENTIFIER, PROLOGUE_SIZE + 4);
  const uint32_t table = lqa_get32(index);
  MUST(table >= 4 && table % 4 == 0 && table <= n - 4, INDEX_TABLE);
  const uint32_t back = lqa_get32(index + table); /* signed, but positions modulo 2^32 say the same */
  const uint32_t vtable = table - back;
  MUST_AT(vtable % 2 == 0 && vtable <= n - 4, INDEX_TABLE, PROLOGUE_SIZE + table);
  const uint32_t vtable_size = lqa_get16(index + vtable), table_size = lqa_get16(index + vtable + 2);
  MUST_AT(vtable_size >= 4 && vtable_size % 2 == 0 && vtable_size <= n - vtable, INDEX_TABLE, PROLOGUE_SIZE + vtable);
  MUST_AT(table_size >= 4 && table_size <= n - table, INDEX_TABLE, PROLOGUE_SIZE + vtable + 2);
  for (uint32_t slot = 0; slot < SLOTS; slot++) {
    if (!has_vector(f, slot)) continue;
    const uint32_t entry = vtable + 4 + 2 * slot;
    const uint32_t field = 6 + 2 * slot <= vtable_size ? lqa_get16(index + entry) : 0;
    MUST_AT(field != 0, INDEX_FIELD_MISSING, PROLOGUE_SIZE + vtable);
    MUST_AT(field >= 4 && field % 4 == 0 && field + 4 <= table_size, INDEX_TABLE, PROLOGUE_SIZE + entry);
    const uint32_t at = table + field, offset = lqa_get32(index + at);
    MUST_AT(offset >= 4 && offset % 4 == 0 && offset <= n - at - 4, INDEX_TABLE, PROLOGUE_SIZE + at);
    const uint32_t length = at + offset, count = lqa_get32(index + length);
    MUST_AT(count <= (n - length - 4) / ELEMENT_SIZES[slot], INDEX_VECTOR, PROLOGUE_SIZE + length);
    vector_in(f, slot)->at = index + length + 4;
    vector_in(f, slot)->count = count;
  }
  return LQA_OK;
}

/* ---- Step 3: the records (6, 9) ---- */

static lqa_code check_encodings(lqa_file *f) {
  for (uint32_t i = 0; i < f->encodings.count; i++) {
    const uint8_t *p = record(&f->encodings, i, ENCODING_SIZE);
    const lqa_encoding e = lqa_get_encoding(f, i);
    const int grouped = e.codec == LQA_AFFINE || e.codec == LQA_SIGN, trellis = e.codec == LQA_TRELLIS;
    here(f, LQA_ENCODING, i, position(f, p));
    MUST(e.codec <= LQA_TRELLIS, UNSUPPORTED_CODEC);
    if (trellis) {
      MUST(e.table >= 1 && e.table <= LQA_TRELLIS_TABLES, UNSUPPORTED_CODEC);
      MUST(e.rotation <= 1, UNSUPPORTED_CODEC);
    }
    if (e.codec == LQA_RAW) MUST(e.element >= LQA_F32 && e.element <= LQA_BOOL, UNSUPPORTED_CODEC);
    if (grouped || trellis) MUST(e.scale >= LQA_F32 && e.scale <= LQA_BOOL, UNSUPPORTED_CODEC);
    MUST(trellis || e.table == 0, ENCODING_PARAMETER);
    MUST(e.codec == LQA_RAW ? e.element <= LQA_BF16 : e.element == 0, ENCODING_PARAMETER);
    MUST(grouped && e.scale == LQA_F16 ? 1 : e.scale == (grouped || trellis ? LQA_BF16 : 0), ENCODING_PARAMETER);
    MUST(e.group_exponent == 0 || (grouped && e.group_exponent >= 4 && e.group_exponent <= 10), ENCODING_PARAMETER);
    MUST(e.rotation == 0 || trellis, ENCODING_PARAMETER);
    MUST(e.codec == LQA_AFFINE ? e.bits >= 1 && e.bits <= 8 : e.bits == 0, ENCODING_PARAMETER);
    MUST(e.mixture == 0 || (f->required & HAS_START && (e.mixture == 4 || e.mixture == 8)), ENCODING_PARAMETER);
    for (uint32_t j = 0; j < i; j++) /* at most 256 */
      MUST(memcmp(p, record(&f->encodings, j, ENCODING_SIZE), ENCODING_SIZE), RECORD_REFERENCE);
  }
  return LQA_OK;
}

/* Two records as byte strings, by number where they are equal. */
static int compare_plans(const lqa_file *f, uint32_t a, uint32_t b) {
  uint32_t size_a = f->plan_start[a + 1] - f->plan_start[a], size_b = f->plan_start[b + 1] - f->plan_start[b];
  return compare_bytes(record(&f->bands, f->plan_start[a], BAND_SIZE), (size_t)size_a * BAND_SIZE,
                       record(&f->bands, f->plan_start[b], BAND_SIZE), (size_t)size_b * BAND_SIZE);
}

static int compare_types(const lqa_file *f, uint32_t a, uint32_t b) {
  return memcmp(record(&f->types, a, TYPE_SIZE), record(&f->types, b, TYPE_SIZE), TYPE_SIZE);
}

typedef int (*comparison)(const lqa_file *f, uint32_t a, uint32_t b);

static int before(const lqa_file *f, comparison compare, uint32_t a, uint32_t b) {
  int order = compare(f, a, b);
  return order < 0 || (order == 0 && a < b);
}

/* The first record that equals an earlier one, or count. A heap sort: no file makes it quadratic. */
static uint32_t first_duplicate(lqa_file *f, uint32_t count, comparison compare) {
  uint32_t *heap = f->order;
  for (uint32_t i = 0; i < count; i++) heap[i] = i;
  for (uint32_t start = count / 2, size = count; size > 1;) {
    if (start > 0) {
      start--;
    } else {
      uint32_t top = heap[0];
      heap[0] = heap[--size];
      heap[size] = top;
    }
    for (uint32_t root = start, child; (child = 2 * root + 1) < size; root = child) {
      if (child + 1 < size && before(f, compare, heap[child], heap[child + 1])) child++;
      if (!before(f, compare, heap[root], heap[child])) break;
      uint32_t top = heap[root];
      heap[root] = heap[child];
      heap[child] = top;
    }
  }
  uint32_t first = count;
  for (uint32_t i = 1; i < count; i++)
    if (heap[i] < first && compare(f, heap[i - 1], heap[i]) == 0) first = heap[i];
  return first;
}

/* A reference is to a record used before, or to the first one that is not (6.3). */
static int refer(uint32_t *used, const lqa_vector *v, uint32_t reference) {
  if (reference >= v->count || reference > *used) return 0;
  if (reference == *used) ++*used;
  return 1;
}

static lqa_code check_plans(lqa_file *f) {
  uint32_t whole = 0, used = 0, at = 0; /* whole: plans whose bands are there */
  for (f->plan_start[0] = 0; whole < f->plans.count; whole++) {
    const uint32_t bands = lqa_get16(record(&f->plans, whole, PLAN_SIZE));
    if (bands == 0 || bands > f->bands.count - at) break;
    f->plan_start[whole + 1] = at += bands;
  }
  const uint32_t duplicate = first_duplicate(f, whole, compare_plans);
  for (uint32_t i = 0; i < f->plans.count; i++) {
    const uint8_t *p = record(&f->plans, i, PLAN_SIZE);
    here(f, LQA_PLAN, i, position(f, p));
    MUST(lqa_get16(p) != 0, BAND_PLAN);
    MUST(i < whole, RECORD_REFERENCE);
    uint32_t rank = 0, last_b = 0, last_a = 0;
    for (uint32_t k = f->plan_start[i]; k < f->plan_start[i + 1]; k++) {
      here(f, LQA_PLAN, i, position(f, record(&f->bands, k, BAND_SIZE)));
      uint32_t components, b, a;
      lqa_get_band(f, k, &components, &b, &a);
      MUST(components > 0, BAND_PLAN);
      MUST(k == f->plan_start[i] || b != last_b || a != last_a, BAND_PLAN);
      MUST(refer(&used, &f->encodings, b), RECORD_REFERENCE);
      MUST(refer(&used, &f->encodings, a), RECORD_REFERENCE);
      MUST(lqa_get_encoding(f, b).mixture == 0, BAND_PLAN);
      rank += components;
      last_b = b;
      last_a = a;
    }
    here(f, LQA_PLAN, i, position(f, p));
    LIMIT(rank, LIMIT_RANK);
    MUST(i != duplicate, RECORD_REFERENCE);
  }
  here(f, LQA_INDEX, 0, position(f, record(&f->bands, at, BAND_SIZE)));
  MUST(at == f->bands.count, RECORD_REFERENCE);
  here(f, LQA_ENCODING, used, position(f, record(&f->encodings, used, ENCODING_SIZE)));
  MUST(used == f->encodings.count, RECORD_REFERENCE);
  return LQA_OK;
}

static lqa_code check_types(lqa_file *f) {
  const uint32_t duplicate = first_duplicate(f, f->types.count, compare_types);
  lqa_module m;
  memset(&m, 0, sizeof m);
  for (uint32_t i = 0; i < f->types.count; i++) {
    const uint8_t *p = record(&f->types, i, TYPE_SIZE);
    here(f, LQA_TYPE, i, position(f, p));
    get_type(f, i, &m);
    MUST(m.role <= 4, UNSUPPORTED_ROLE);
    MUST(m.base_layout <= 1, UNSUPPORTED_ROLE);
    MUST(m.rule <= 3, UNSUPPORTED_ROLE);
    MUST(p[27] == 0, RECORD_RESERVED_NONZERO);
    MUST(m.out_size && m.in_size && m.experts, DIMENSION_RANGE);
    for (uint32_t k = 0; k < 3; k++) /* conv1d is role 2 */
      MUST((m.kernel[k] != 0) == (k + 2 <= m.role), ROLE_SHAPE);
    MUST(m.role == 0 || m.base_layout == (m.role == 1), ROLE_SHAPE); /* embeddings (in, out), convolutions (out, in) */
    LIMIT(m.vector_length[0], LIMIT_DIMENSION);
    LIMIT(m.vector_length[1], LIMIT_DIMENSION);
    LIMIT(m.experts, LIMIT_EXPERTS);
    for (uint32_t k = 8; k <= 12; k += 4) /* multiplier, alpha: finite and not -0 (9.1) */
      MUST(is_finite(lqa_get32(p + k)) && lqa_get32(p + k) != 0x80000000u, MULTIPLIER);
    MUST(i != duplicate, RECORD_REFERENCE);
  }
  return LQA_OK;
}

static lqa_code check_start(lqa_file *f) { /* 8.8.1 */
  if (!(f->required & HAS_START)) return LQA_OK;
  here(f, LQA_INDEX, 0, position(f, f->start.at));
  MUST(f->start.count > 0 && lqa_get32(f->start.at) == 1, UNSUPPORTED_CODEC);
  MUST(f->start.count == 2 || (f->start.count > 1 && f->start.count % LQA_STATE == 1), ENCODING_PARAMETER);
  LIMIT(f->start.count / LQA_STATE, LIMIT_STARTS);
  LIMIT_AT(f->positions.count, LIMIT_STARTED, position(f, f->positions.at) - 4);
  return LQA_OK;
}

static lqa_code check_parent(lqa_file *f) { /* 8.9.1 */
  if (!(f->required & HAS_PARENT)) return LQA_OK;
  here(f, LQA_INDEX, 0, position(f, f->parent.at) - 4);
  MUST(f->parent.count == DIGEST_SIZE / 4, RECORD_REFERENCE);
  MUST_AT(f->parent_modules.count == f->modules.count, RECORD_REFERENCE, position(f, f->parent_modules.at) - 4);
  return LQA_OK;
}

/* The square root of x <= 4096 as IEEE 754 rounds it, without libm: two binary digits of x 4^54 give one of the root;
 * whether anything is left becomes the lowest bit, so that the conversion rounds once, and correctly. */
static double square_root(uint32_t x) {
  uint64_t root = 0, rest = 0;
  for (int i = 0; i < 8 + 54; i++) {
    rest = rest << 2 | (i < 8 ? x >> (14 - 2 * i) & 3 : 0);
    const uint64_t trial = root << 2 | 1;
    root <<= 1;
    if (rest >= trial) {
      rest -= trial;
      root |= 1;
    }
  }
  return (double)(root | (rest != 0)) / 18014398509481984.0; /* 2^54 */
}

static int multiplier_follows(const lqa_module *m) { /* 9.1 */
  switch (m->rule) {
    case 0: return m->multiplier == 1.0f && m->alpha == 0.0f;
    case 1: return m->multiplier == (float)((double)m->alpha / (double)m->rank);
    case 2: return m->multiplier == (float)((double)m->alpha / square_root(m->rank));
    default: return 1;
  }
}

/* Heap, total, length, encoding (15.2); leaves the name of the record in *name. */
static lqa_code check_name(lqa_file *f, lqa_name *name, const uint8_t *p, uint64_t *total) {
  const uint32_t suffix = lqa_get16(p + 4), shared = p[6];
  MUST(shared <= name->length && suffix <= f->names.count - name->next, NAME_HEAP);
  LIMIT(*total += shared + suffix, LIMIT_NAMES);
  MUST(shared + suffix >= 1 && shared + suffix <= NAME_MAX_BYTES, NAME_ENCODING);
  take_name(f, name, p);
  MUST(valid_utf8(name->bytes, name->length, 0), NAME_ENCODING);
  return LQA_OK;
}

/* Limits, compression and length of a chunk of a tensor or section (7.1, 7.5); `allowed` has a bit for each compression, and
 * *expansion is what payloads before this one have beyond 16 times their bytes (14). */
static lqa_code check_chunk(lqa_file *f, const lqa_chunk *c, uint32_t allowed, uint64_t *expansion) {
  LIMIT(c->raw_length, LIMIT_CHUNK);
  LIMIT(c->length, LIMIT_CHUNK);
  MUST(c->compression <= 3 && (allowed >> c->compression & 1), UNSUPPORTED_COMPRESSION);
  if (c->compression == LQA_PLAIN) {
    MUST(c->length == c->raw_length + 4, CHUNK_LENGTH_MISMATCH);
    return LQA_OK;
  }
  MUST(c->length >= 5 && c->length < c->raw_length + 4, CHUNK_LENGTH_MISMATCH);
  if (c->raw_length > 16 * (uint64_t)c->length) *expansion += c->raw_length - 16 * (uint64_t)c->length;
  LIMIT(*expansion, LIMIT_EXPANSION);
  uint64_t needed = c->raw_length;
  if (c->compression == LQA_ZSTD_SHUFFLED) needed += needed < FRAME_BYTES ? needed : FRAME_BYTES; /* one frame twice */
  if (needed > f->scratch_needed) f->scratch_needed = needed;
  return LQA_OK;
}

static uint64_t end_of(const lqa_file *f, const lqa_chunk *last, uint64_t start, uint32_t count) {
  return count ? align_up(last->offset + last->length, f->alignment) : start;
}

static lqa_code check_modules(lqa_file *f, uint64_t *total, uint32_t *features) {
  uint32_t types = 0, plans = 0, last_parent = 0;
  uint64_t expert_bands = 0;
  lqa_module m;
  memset(&m, 0, sizeof m);
  for (uint32_t i = 0; i < f->modules.count; i++) {
    const uint8_t *p = record(&f->modules, i, MODULE_SIZE);
    lqa_name name = m.name;
    here(f, LQA_MODULE, i, position(f, p));
    TRY(check_name(f, &name, p, total));
    MUST(i == 0 || compare_names(&m.name, &name) < 0, NAME_ORDER);
    MUST(refer(&types, &f->types, lqa_get16(p + 8)), RECORD_REFERENCE);
    MUST(refer(&plans, &f->plans, lqa_get16(p + 10)), RECORD_REFERENCE);
    lqa_next_module(f, &m);
    MUST(multiplier_follows(&m), MULTIPLIER);
    LIMIT(expert_bands += m.experts * (uint64_t)m.bands, LIMIT_EXPERT_BANDS);
    LIMIT(m.chunk.raw_length, LIMIT_CHUNK);
    LIMIT(m.chunk.length, LIMIT_CHUNK);
    MUST(p[7] == 0, RECORD_RESERVED_NONZERO);
    MUST(m.chunk.length == m.chunk.raw_length + 4, CHUNK_LENGTH_MISMATCH);
    if (m.experts > 1) *features |= HAS_EXPERTS;
    if (m.parent) {
      *features |= HAS_PARENT;
      MUST(m.parent > last_parent, RECORD_REFERENCE); /* 8.9.1 */
      last_parent = m.parent;
    }
    if (!m.started) continue;
    MUST(m.experts == 1, BAND_PLAN);
    LIMIT(m.rank, LIMIT_STARTED_RANK);
    MUST(m.positions <= f->positions.count, RECORD_REFERENCE);
    MUST((m.position >> LQA_STATE_DRAWS) < (f->start.count == 2 ? 1 : f->start.count / LQA_STATE), RECORD_REFERENCE);
    LIMIT((m.rank * m.vector_length[LQA_A] * (m.mixtures + 8) + m.chunk.length - 1) / m.chunk.length, LIMIT_START_WORK);
  }
  here(f, LQA_TYPE, types, position(f, record(&f->types, types, TYPE_SIZE)));
  MUST(types == f->types.count, RECORD_REFERENCE);
  here(f, LQA_PLAN, plans, position(f, record(&f->plans, plans, PLAN_SIZE)));
  MUST(plans == f->plans.count, RECORD_REFERENCE);
  if (f->required & HAS_START) {
    here(f, LQA_INDEX, 0, position(f, record(&f->positions, m.positions, 4)));
    MUST(m.positions == f->positions.count, RECORD_REFERENCE);
  }
  f->tensor_names = m.name.next;
  f->tensors_at = end_of(f, &m.chunk, f->modules_at, f->modules.count);
  return LQA_OK;
}

static int same_name(const lqa_name *a, const lqa_name *b) {
  return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static uint64_t elements(const lqa_tensor *t) { return t->chunk.raw_length / element_size(t->element); }

/* The shape is (E, size), where dimensions of 1 do not count. */
static int shape_is(const lqa_tensor *t, uint32_t experts, uint32_t size) {
  const uint32_t want[2] = {experts, size};
  uint32_t next = 0;
  for (uint32_t i = 0; i < t->dimensions; i++) {
    if (t->shape[i] == 1) continue;
    while (next < 2 && want[next] == 1) next++;
    if (next == 2 || want[next++] != t->shape[i]) return 0;
  }
  while (next < 2 && want[next] == 1) next++;
  return next == 2;
}

/* What the role of a tensor demands (9.4). Modules and tensors are in one order, so that one pass over both finds the
 * modules; the token-indices of token-rows are the next tensor: the same name, the next role. */
static lqa_code check_roles(lqa_file *f) {
  lqa_module m;
  lqa_tensor t, other;
  memset(&m, 0, sizeof m);
  memset(&t, 0, sizeof t);
  int have_module = lqa_next_module(f, &m), have_rows = 0; /* rows that found their indices */
  for (other = t; lqa_next_tensor(f, &t); other = t) {
    here(f, LQA_TENSOR, t.number, position(f, record(&f->tensors, t.number, TENSOR_SIZE)));
    if (t.role == LQA_REPLACE || t.role == LQA_CARRIED) continue;
    while (have_module && compare_names(&m.name, &t.name) < 0) have_module = lqa_next_module(f, &m);
    const int of_module = have_module && same_name(&m.name, &t.name);
    MUST(t.role == LQA_TOKEN_INDICES ? t.element == LQA_U32 : t.element <= LQA_F64, TENSOR_RECORD);
    if (t.role == LQA_BIAS) {
      MUST(other.next == 0 || other.role != LQA_REPLACE || !same_name(&other.name, &t.name), TENSOR_RECORD);
    } else if (t.role == LQA_TOKEN_ROWS) {
      other = t;
      have_rows = lqa_next_tensor(f, &other) && other.role == LQA_TOKEN_INDICES && same_name(&t.name, &other.name);
      MUST(!of_module && t.dimensions == 2 && have_rows && other.dimensions > 0 && t.shape[0] == other.shape[0],
           TENSOR_RECORD);
    } else if (t.role == LQA_TOKEN_INDICES) {
      MUST(t.dimensions == 1 && have_rows, TENSOR_RECORD);
      have_rows = 0;
    } else {
      /* axis 0 of a base weight is `out` in layout 0 and `in` in layout 1 (9.2) */
      const uint32_t size = t.role == LQA_MAGNITUDE && t.axis != m.base_layout ? m.in_size : m.out_size;
      MUST(of_module && shape_is(&t, m.experts, size), TENSOR_RECORD);
    }
  }
  return LQA_OK;
}

static lqa_code check_tensors(lqa_file *f, uint64_t *total, uint64_t *expansion, uint32_t *features) {
  lqa_tensor t;
  memset(&t, 0, sizeof t);
  t.name.next = f->tensor_names;
  for (uint32_t i = 0; i < f->tensors.count; i++) {
    const uint8_t *p = record(&f->tensors, i, TENSOR_SIZE);
    lqa_name name = t.name;
    here(f, LQA_TENSOR, i, position(f, p));
    TRY(check_name(f, &name, p, total));
    if (i > 0) {
      int order = compare_names(&t.name, &name);
      MUST(order < 0 || (order == 0 && t.role < p[9]), NAME_ORDER);
    }
    MUST(p[9] <= LQA_CARRIED, UNSUPPORTED_ROLE);
    MUST(p[8] >= LQA_F32 && p[8] <= LQA_BOOL, UNSUPPORTED_CODEC);
    LIMIT(p[11], LIMIT_SHAPE);
    MUST(p[11] <= f->dimensions.count - t.next_dimension, RECORD_REFERENCE);
    lqa_next_tensor(f, &t);
    MUST(t.axis == 0 || (t.axis == 1 && t.role == LQA_MAGNITUDE), TENSOR_RECORD);
    TRY(check_chunk(f, &t.chunk, 1 << LQA_PLAIN | 1 << LQA_ZSTD_FRAMES | 1 << LQA_ZSTD_SHUFFLED, expansion));
    if (t.chunk.compression) *features |= HAS_ZSTD;
    if (t.role == LQA_MAGNITUDE) *features |= HAS_MAGNITUDE;
    if (t.role != LQA_MAGNITUDE && t.role != LQA_CARRIED) *features |= HAS_REPLACEMENT;
  }
  here(f, LQA_INDEX, 0, position(f, record(&f->dimensions, t.next_dimension, DIMENSION_SIZE)));
  MUST(t.next_dimension == f->dimensions.count, RECORD_REFERENCE);
  MUST_AT(t.name.next == f->names.count, NAME_HEAP, position(f, f->names.at + t.name.next));
  f->sections_at = end_of(f, &t.chunk, f->tensors_at, f->tensors.count);
  return check_roles(f);
}

static int is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
static int is_messagepack(const lqa_section *s) { return !memcmp(s->tag, "META", 4) || !memcmp(s->tag, "ORIG", 4); }

static lqa_code check_sections(lqa_file *f, uint64_t *expansion) {
  lqa_section s;
  memset(&s, 0, sizeof s);
  for (uint32_t i = 0; i < f->sections.count; i++) {
    const uint8_t *p = record(&f->sections, i, SECTION_SIZE);
    char last[4];
    here(f, LQA_SECTION, i, position(f, p));
    memcpy(last, s.tag, 4);
    lqa_next_section(f, &s);
    for (int k = 0; k < 4; k++) MUST(is_letter(s.tag[k]), SECTION_RECORD);
    MUST(!(s.flags & ~(CRITICAL | SAFE_TO_COPY)), RECORD_RESERVED_NONZERO);
    MUST(lqa_get16(p + 14) == 0, RECORD_RESERVED_NONZERO);
    MUST(i == 0 || memcmp(last, s.tag, 4) < 0, SECTION_ORDER);
    MUST(!(s.flags & CRITICAL) || s.tag[0] <= 'Z', SECTION_RECORD);
    MUST(!(s.flags & CRITICAL) || is_messagepack(&s), UNSUPPORTED_SECTION);
    LIMIT(s.chunk.raw_length, LIMIT_CHUNK);
    LIMIT(s.chunk.length, LIMIT_CHUNK);
    if (is_messagepack(&s)) LIMIT(s.chunk.raw_length, LIMIT_META);
    MUST(s.tag[0] != 'M' || !is_messagepack(&s) || s.chunk.compression == LQA_PLAIN, SECTION_RECORD);
    TRY(check_chunk(f, &s.chunk, 1 << LQA_PLAIN | 1 << LQA_ZSTD_TEXT, expansion));
  }
  f->digests_at = end_of(f, &s.chunk, f->sections_at, f->sections.count);
  return LQA_OK;
}

/* Chunks in file order, whatever they hold (4.1). */
static uint32_t chunk_count(const lqa_file *f) { return f->modules.count + f->tensors.count + f->sections.count; }

static uint32_t chunk_length(const lqa_file *f, uint32_t i) {
  if (i < f->modules.count) return lqa_get32(record(&f->modules, i, MODULE_SIZE));
  i -= f->modules.count;
  if (i < f->tensors.count) return lqa_get32(record(&f->tensors, i, TENSOR_SIZE));
  return lqa_get32(record(&f->sections, i - f->tensors.count, SECTION_SIZE) + 4);
}

/* The end of the span that begins with chunk *i at `start` (11.1); *i becomes the chunk behind it. */
static uint64_t span_end(const lqa_file *f, uint32_t *i, uint64_t start) {
  uint64_t end = start;
  while (*i < chunk_count(f) && end - start < SPAN_BYTES) end = align_up(end + chunk_length(f, (*i)++), f->alignment);
  return end;
}

static uint64_t digests_size(const lqa_file *f) { return DIGEST_SIZE * ((uint64_t)f->spans + 1); }

static lqa_code check_padding(lqa_file *f, uint64_t from, uint64_t to) {
  MUST_AT(f->size >= to, TRUNCATED_FILE, f->size);
  const uint64_t zeros = leading_zeros(f->data + from, to - from);
  MUST_AT(zeros == to - from, PADDING_NONZERO, from + zeros);
  return LQA_OK;
}

size_t lqa_work_size(const void *data, size_t size) {
  uint32_t shared = size < PROLOGUE_SIZE ? 0 : lqa_get32((const uint8_t *)data + 32) / PLAN_SIZE;
  return (2 * (size_t)(shared < 65536 ? shared : 65536) + 1) * sizeof(uint32_t);
}

static lqa_code check_records(lqa_file *f, uint32_t *work, size_t work_size) {
  here(f, LQA_PROLOGUE, 0, 0);
  MUST_AT(f->modules.count == lqa_get32(f->data + 36), COUNT_MISMATCH, 36);
  MUST_AT(f->tensors.count == lqa_get32(f->data + 40), COUNT_MISMATCH, 40);
  MUST_AT(f->sections.count == lqa_get32(f->data + 44), COUNT_MISMATCH, 44);
  here(f, LQA_INDEX, 0, PROLOGUE_SIZE);
  LIMIT_AT(f->encodings.count, LIMIT_ENCODINGS, position(f, f->encodings.at) - 4);
  LIMIT_AT(f->bands.count, LIMIT_BANDS, position(f, f->bands.at) - 4);
  LIMIT_AT(f->plans.count, LIMIT_SHARED, position(f, f->plans.at) - 4);
  LIMIT_AT(f->types.count, LIMIT_SHARED, position(f, f->types.at) - 4);
  const uint32_t most = f->plans.count > f->types.count ? f->plans.count : f->types.count;
  MUST_AT(work_size / sizeof *work >= (size_t)f->plans.count + 1 + most, BUDGET, PROLOGUE_SIZE);
  f->plan_start = work;
  f->order = work + f->plans.count + 1;
  TRY(check_encodings(f));
  TRY(check_plans(f));
  TRY(check_types(f));
  TRY(check_start(f));
  TRY(check_parent(f));
  uint32_t required = 0;
  uint64_t total = 0, expansion = 0; /* bytes of all names; of payloads beyond 16 times their chunks */
  f->modules_at = align_up((uint64_t)PROLOGUE_SIZE + f->index_length, f->alignment);
  TRY(check_modules(f, &total, &required));
  TRY(check_tensors(f, &total, &expansion, &required));
  TRY(check_sections(f, &expansion));
  for (uint32_t i = 0; i < f->encodings.count; i++) {
    const lqa_encoding e = lqa_get_encoding(f, i);
    if (e.codec == LQA_TRELLIS) required |= HAS_TRELLIS;
    if (e.mixture) required |= HAS_START;
  }
  here(f, LQA_PROLOGUE, 0, 0);
  MUST_AT(f->required == required, FEATURE_BITS, 12);
  uint32_t i = 0;
  for (uint64_t at = f->modules_at; i < chunk_count(f); f->spans++) at = span_end(f, &i, at);
  MUST_AT(f->file_length == f->digests_at + digests_size(f) + TRAILER_SIZE, FILE_LENGTH_MISMATCH, 24);
  here(f, LQA_INDEX, 0, PROLOGUE_SIZE);
  return check_padding(f, (uint64_t)PROLOGUE_SIZE + f->index_length, f->modules_at);
}

lqa_code lqa_open(lqa_file *f, const void *data, size_t size, uint32_t *work, size_t work_size,
                  const lqa_options *options) {
  memset(f, 0, sizeof *f);
  f->data = data;
  f->size = size;
  f->options.budget = DEFAULT_BUDGET;
  if (options) f->options = *options;
  TRY(open_prologue(f));
  TRY(open_index(f));
  return check_records(f, work, work_size);
}

/* ---- Step 4: payloads (7) ---- */

/* The size of the zstd frame at p if it keeps the rules of 7.5 and fits into n bytes, or 0. */
static uint64_t frame_size(const uint8_t *p, uint64_t n, uint64_t content) {
  static const uint8_t magic[4] = {0x28, 0xB5, 0x2F, 0xFD};
  if (n < 6 || memcmp(p, magic, 4) != 0) return 0;
  const uint32_t bytes = 1u << (p[4] >> 6);
  uint64_t at = 5, declared = 0;
  if ((p[4] & 0x3F) != 0x20) return 0; /* a single segment without dictionary and checksum */
  if (n - at < bytes) return 0;
  for (uint32_t i = 0; i < bytes; i++) declared |= (uint64_t)p[at + i] << 8 * i;
  if ((bytes == 2 ? declared + 256 : declared) != content) return 0;
  at += bytes;
  for (uint32_t last = 0; !last;) {
    if (n - at < 3) return 0;
    const uint32_t header = lqa_get16(p + at) | (uint32_t)p[at + 2] << 16, type = header >> 1 & 3, size = header >> 3;
    last = header & 1;
    at += 3;
    if (type == 3 || size > 131072) return 0;
    if (n - at < (type == 1 ? 1 : size)) return 0; /* type 1 repeats one byte */
    at += type == 1 ? 1 : size;
  }
  return at;
}

static void unshuffle(const uint8_t *from, uint8_t *to, uint64_t size, uint32_t element) { /* 7.6 */
  const uint64_t count = size / element;
  for (uint32_t b = 0; b < element; b++)
    for (uint64_t i = 0; i < count; i++) to[i * element + b] = from[b * count + i];
}

/* Budget, bytes present, CRC-32, frames; then the payload, inflated if need be. */
static lqa_code get_payload(lqa_file *f, const lqa_chunk *c, uint32_t element, uint8_t *scratch, size_t scratch_size,
                            const uint8_t **payload) {
  const uint64_t stored = c->length - 4;
  MUST(stored + (c->compression ? c->raw_length : 0) <= f->options.budget, BUDGET);
  MUST_AT(f->size >= c->offset + c->length, TRUNCATED_FILE, f->size);
  const uint8_t *p = f->data + c->offset;
  MUST_AT(lqa_get32(p + stored) == lqa_crc32(p, (size_t)stored), CHUNK_CRC, c->offset + stored);
  *payload = p;
  if (c->compression == LQA_PLAIN) return LQA_OK;
  uint64_t at = 0;
  for (uint64_t done = 0; done < c->raw_length; done += FRAME_BYTES) {
    const uint64_t left = c->raw_length - done, content = left < FRAME_BYTES ? left : FRAME_BYTES;
    const uint64_t size = frame_size(p + at, stored - at, content);
    MUST_AT(size > 0, ZSTD_FRAME, c->offset + at);
    at += size;
  }
  MUST_AT(at == stored, ZSTD_FRAME, c->offset + at);
  MUST(f->options.inflate, UNSUPPORTED_COMPRESSION);
  const int shuffled = c->compression == LQA_ZSTD_SHUFFLED, text = c->compression == LQA_ZSTD_TEXT;
  const uint64_t room = scratch_size > c->raw_length ? scratch_size - c->raw_length : 0;
  MUST(scratch_size >= c->raw_length && (!shuffled || room >= FRAME_BYTES || room >= c->raw_length), BUDGET);
  at = 0;
  for (uint64_t done = 0; done < c->raw_length; done += FRAME_BYTES) {
    const uint64_t left = c->raw_length - done, content = left < FRAME_BYTES ? left : FRAME_BYTES;
    const uint64_t size = frame_size(p + at, stored - at, content);
    uint8_t *out = shuffled ? scratch + c->raw_length : scratch + done;
    const size_t came = f->options.inflate(f->options.context, p + at, (size_t)size, out, (size_t)content,
                                           text ? lqa_text_dictionary : 0, text ? lqa_text_dictionary_size : 0);
    MUST_AT(came == content, ZSTD_FRAME, c->offset + at);
    if (shuffled) unshuffle(out, scratch + done, content, element);
    at += size;
  }
  *payload = scratch;
  return LQA_OK;
}

/* Where in the file byte `at` of a payload is, as well as can be said. */
static uint64_t in_chunk(const lqa_chunk *c, uint64_t at) { return c->offset + (c->compression ? 0 : at); }

static lqa_code check_zeros(lqa_file *f, const lqa_module *m, const uint8_t *payload, uint64_t from, uint64_t to) {
  const uint64_t zeros = leading_zeros(payload + from, to - from);
  MUST_AT(zeros == to - from, PADDING_NONZERO, in_chunk(&m->chunk, from + zeros));
  return LQA_OK;
}

/* Padding between planes, and unused bits of each component (3.6, 7.2, 7.3). */
static lqa_code check_module_padding(lqa_file *f, const lqa_module *m, const uint8_t *payload) {
  lqa_planes p;
  memset(&p, 0, sizeof p);
  for (uint64_t end = 0; lqa_next_planes(f, m, &p);) {
    TRY(check_zeros(f, m, payload, end, p.codes));
    end = p.codes + p.components * p.code_bytes;
    for (int plane = 0; plane < 2; plane++) {
      const uint64_t at = plane ? p.codes : p.zeros, bytes = plane ? p.code_bytes : p.zero_bytes;
      const uint32_t used = (plane ? p.code_bits : p.zero_bits) % 8;
      for (uint64_t i = 1; used && i <= p.components; i++)
        MUST_AT(payload[at + i * bytes - 1] >> used == 0, PADDING_NONZERO, in_chunk(&m->chunk, at + i * bytes - 1));
    }
    if (p.factor < last_factor(m) || p.band + 1 < m->bands) continue;
    const uint64_t block = p.expert * align_up(m->block, 16); /* the last of an expert */
    TRY(check_zeros(f, m, payload, p.zeros + p.components * p.zero_bytes, block + m->scales_at));
    end = block + m->block;
  }
  return LQA_OK;
}

/* The first of the bits from .. to - 1 that is 1, or `to`. */
static uint64_t first_one(const uint8_t *p, uint64_t from, uint64_t to) {
  while (from < to && !(p[from >> 3] >> (from & 7) & 1)) {
    const uint64_t bytes = from % 8 ? 0 : leading_zeros(p + from / 8, (to - from) / 8);
    from += bytes ? 8 * bytes : 1;
  }
  return from;
}

/* Whether group g of a component has only zeros in a plane of rows of so many bits (12.4). */
static int is_empty(const uint8_t *plane, uint64_t bits, uint64_t per_group, uint64_t component, uint64_t g) {
  const uint64_t from = g * per_group, to = bits - from < per_group ? bits : from + per_group;
  return first_one(plane + component * ((bits + 7) / 8), from, to) >= to;
}

static lqa_code check_scales(lqa_file *f, const lqa_module *m, const lqa_planes *p, const uint8_t *payload,
                             int canonical) { /* 8.1; the first breach of 12.4 waits, since only a valid file is told */
  const lqa_encoding e = p->encoding;
  const uint64_t group = e.codec == LQA_SIGN ? 1 : e.bits;
  const uint64_t per_group = e.group_exponent ? group << e.group_exponent : p->code_bits;
  float largest = 1;
  if (e.codec == LQA_AFFINE) largest = (float)((1 << e.bits) - 1);
  if (e.codec == LQA_TRELLIS) largest = e.rotation ? 64 * 127 : 127;
  if (p->factor == LQA_MIXTURE) largest = 18446744073709551616.0f; /* 8.8.2 */
  for (uint64_t i = 0; i < p->components * p->groups; i++) {
    const uint32_t bits = widen(payload + p->scales + 2 * i, p->encoding.scale);
    const uint64_t at = in_chunk(&m->chunk, p->scales + 2 * i), c = i / p->groups, g = i % p->groups;
    MUST_AT(bits < 0x7F800000u && is_finite(lqa_bits(lqa_float(bits) * largest)), SCALE_VALUE, at);
    if (!canonical || bits != 0 || f->noncanonical) continue;
    if ((p->zero_bits && !is_empty(payload + p->zeros, p->zero_bits, e.bits, c, g)) ||
        !is_empty(payload + p->codes, p->code_bits, per_group, c, g))
      f->noncanonical = at;
  }
  return LQA_OK;
}

/* No Inf and no NaN (8.3). */
static lqa_code check_finite(lqa_file *f, const uint8_t *p, uint64_t count, uint8_t element, const lqa_chunk *c,
                             uint64_t at) {
  const uint32_t size = element_size(element);
  for (uint64_t i = 0; i < count; i++) {
    const uint8_t *q = p + i * size;
    int finite = element == LQA_F64 ? (lqa_get32(q + 4) & 0x7FF00000u) != 0x7FF00000u : is_finite(widen(q, element));
    MUST_AT(finite, NONFINITE_VALUE, in_chunk(c, at + i * size));
  }
  return LQA_OK;
}

lqa_code lqa_module_payload(lqa_file *f, const lqa_module *m, lqa_level level, void *scratch, size_t scratch_size,
                            const uint8_t **payload) {
  here(f, LQA_MODULE, m->number, m->chunk.offset);
  TRY(get_payload(f, &m->chunk, 1, scratch, scratch_size, payload));
  TRY(check_module_padding(f, m, *payload));
  lqa_planes p;
  memset(&p, 0, sizeof p);
  for (int more = level >= LQA_VALUES && lqa_next_planes(f, m, &p); more;) { /* of each expert raw weights, then scales */
    lqa_planes q = p;
    for (int own = 1; own && q.expert == p.expert; own = lqa_next_planes(f, m, &q))
      if (q.encoding.codec == LQA_RAW)
        TRY(check_finite(f, *payload + q.codes, q.n * q.components, q.encoding.element, &m->chunk, q.codes));
    for (const uint32_t expert = p.expert; more && p.expert == expert; more = lqa_next_planes(f, m, &p))
      TRY(check_scales(f, m, &p, *payload, level >= LQA_CANONICAL));
  }
  return LQA_OK;
}

lqa_code lqa_tensor_payload(lqa_file *f, const lqa_tensor *t, lqa_level level, void *scratch, size_t scratch_size,
                            const uint8_t **payload) {
  here(f, LQA_TENSOR, t->number, t->chunk.offset);
  TRY(get_payload(f, &t->chunk, element_size(t->element), scratch, scratch_size, payload));
  if (level < LQA_VALUES) return LQA_OK;
  if (t->element <= LQA_F64) return check_finite(f, *payload, elements(t), t->element, &t->chunk, 0);
  for (uint64_t i = 1; t->role == LQA_TOKEN_INDICES && i < elements(t); i++)
    MUST_AT(lqa_get32(*payload + 4 * i - 4) < lqa_get32(*payload + 4 * i), TENSOR_RECORD, in_chunk(&t->chunk, 4 * i));
  for (uint64_t i = 0; t->element == LQA_BOOL && i < t->chunk.raw_length; i++)
    MUST_AT((*payload)[i] <= 1, TENSOR_RECORD, in_chunk(&t->chunk, i));
  return LQA_OK;
}

lqa_code lqa_section_payload(lqa_file *f, const lqa_section *s, void *scratch, size_t scratch_size,
                             const uint8_t **payload) {
  here(f, LQA_SECTION, s->number, s->chunk.offset);
  TRY(get_payload(f, &s->chunk, 1, scratch, scratch_size, payload));
  if (!is_messagepack(s)) return LQA_OK;
  size_t wrong;
  MUST_AT(lqa_mp_check(*payload, (size_t)s->chunk.raw_length, &wrong), META_ENCODING, in_chunk(&s->chunk, wrong));
  return LQA_OK;
}

/* ---- MessagePack (10.2) ---- */

static int integer_in_range(double x) { /* such a number must not be a float */
  return x >= -9007199254740991.0 && x <= 9007199254740991.0 && x == (double)(int64_t)x;
}

size_t lqa_mp_token(const uint8_t *p, size_t size, lqa_token *t) {
  static const uint64_t safe = 9007199254740991u;
  memset(t, 0, sizeof *t);
  if (size == 0) return 0;
  const uint8_t first = p[0];
  uint32_t width = 0;  /* bytes of the big-endian number behind the first byte */
  uint64_t least = 0; /* of such a number: below it a shorter form exists */
  if (first < 0x80) t->kind = LQA_MP_UINT, t->value = first;
  else if (first < 0x90) t->kind = LQA_MP_MAP, t->value = first & 15;
  else if (first < 0xA0) t->kind = LQA_MP_ARRAY, t->value = first & 15;
  else if (first < 0xC0) t->kind = LQA_MP_STRING, t->value = first & 31;
  else if (first >= 0xE0) t->kind = LQA_MP_INT, t->value = 256u - first;
  else switch (first) {
    case 0xC0: t->kind = LQA_MP_NIL; break;
    case 0xC2: case 0xC3: t->kind = LQA_MP_BOOL; t->value = first & 1; break;
    case 0xC4: t->kind = LQA_MP_BIN; width = 1; break;
    case 0xC5: t->kind = LQA_MP_BIN; width = 2; least = 256; break;
    case 0xC6: t->kind = LQA_MP_BIN; width = 4; least = 65536; break;
    case 0xCB: t->kind = LQA_MP_FLOAT; width = 8; break;
    case 0xCC: t->kind = LQA_MP_UINT; width = 1; least = 128; break;
    case 0xCD: t->kind = LQA_MP_UINT; width = 2; least = 256; break;
    case 0xCE: t->kind = LQA_MP_UINT; width = 4; least = 65536; break;
    case 0xCF: t->kind = LQA_MP_UINT; width = 8; least = (uint64_t)1 << 32; break;
    case 0xD0: t->kind = LQA_MP_INT; width = 1; least = 33; break;
    case 0xD1: t->kind = LQA_MP_INT; width = 2; least = 129; break;
    case 0xD2: t->kind = LQA_MP_INT; width = 4; least = 32769; break;
    case 0xD3: t->kind = LQA_MP_INT; width = 8; least = ((uint64_t)1 << 31) + 1; break;
    case 0xD9: t->kind = LQA_MP_STRING; width = 1; least = 32; break;
    case 0xDA: t->kind = LQA_MP_STRING; width = 2; least = 256; break;
    case 0xDB: t->kind = LQA_MP_STRING; width = 4; least = 65536; break;
    case 0xDC: t->kind = LQA_MP_ARRAY; width = 2; least = 16; break;
    case 0xDD: t->kind = LQA_MP_ARRAY; width = 4; least = 65536; break;
    case 0xDE: t->kind = LQA_MP_MAP; width = 2; least = 16; break;
    case 0xDF: t->kind = LQA_MP_MAP; width = 4; least = 65536; break;
    default: return 0; /* float 32, extension types, the unused byte C1 */
  }
  if (size - 1 < width) return 0;
  size_t at = 1 + width;
  if (width) {
    for (uint32_t i = 0; i < width; i++) t->value = t->value << 8 | p[1 + i];
    if (t->kind == LQA_MP_INT) { /* to the magnitude of a negative number */
      const uint64_t top = (uint64_t)1 << (8 * width - 1);
      if (t->value < top) return 0; /* from 0 up in the unsigned family */
      t->value = top - (t->value - top);
    }
    if (t->kind == LQA_MP_FLOAT) {
      memcpy(&t->number, &t->value, 8);
      if ((t->value >> 52 & 0x7FF) == 0x7FF || integer_in_range(t->number)) return 0;
    } else if (t->value < least) {
      return 0;
    }
  }
  if ((t->kind == LQA_MP_UINT || t->kind == LQA_MP_INT) && t->value > safe) return 0;
  if (t->kind == LQA_MP_STRING || t->kind == LQA_MP_BIN) {
    t->bytes = p + at;
    if (size - at < t->value || (t->kind == LQA_MP_STRING && !valid_utf8(p + at, t->value, 1))) return 0;
    at += (size_t)t->value;
  }
  return at;
}

static int valid_key(const lqa_token *key, const lqa_token *last) {
  if (key->kind != LQA_MP_STRING || key->value < 1 || key->value > 255) return 0;
  for (uint64_t i = 0; i < key->value; i++)
    if (key->bytes[i] < 0x20 || key->bytes[i] > 0x7E) return 0;
  if (key->value == 9 && memcmp(key->bytes, "__proto__", 9) == 0) return 0;
  return !last->bytes || compare_bytes(last->bytes, (size_t)last->value, key->bytes, (size_t)key->value) < 0;
}

int lqa_mp_check(const uint8_t *p, size_t size, size_t *wrong) {
  struct {
    uint64_t left; /* values, keys of maps included, that are still to come */
    int map;
    lqa_token key;
  } stack[META_DEPTH];
  size_t at = 0;
  int depth = 0;
  do {
    lqa_token token;
    const size_t taken = lqa_mp_token(p + at, size - at, &token);
    *wrong = at;
    if (taken == 0 || (depth == 0 && token.kind != LQA_MP_MAP)) return 0;
    at += taken;
    if (depth > 0 && stack[depth - 1].left-- % 2 == 0 && stack[depth - 1].map) {
      if (!valid_key(&token, &stack[depth - 1].key)) return 0;
      stack[depth - 1].key = token;
    }
    if (token.kind == LQA_MP_ARRAY || token.kind == LQA_MP_MAP) {
      if (depth == META_DEPTH) return 0;
      memset(&stack[depth], 0, sizeof stack[depth]);
      stack[depth].map = token.kind == LQA_MP_MAP;
      stack[depth++].left = token.kind == LQA_MP_MAP ? 2 * token.value : token.value;
    }
    while (depth > 0 && stack[depth - 1].left == 0) depth--;
  } while (depth > 0);
  *wrong = at;
  return at == size;
}

/* ---- Steps 4 to 7 ---- */

static void hash_name(lqa_sha256 *h, const lqa_name *name) {
  hash_u16(h, name->length);
  lqa_sha256_add(h, name->bytes, name->length);
}

static void hash_digest(lqa_sha256 *h, const uint8_t *data, uint64_t size) {
  lqa_sha256 one;
  uint8_t digest[DIGEST_SIZE];
  lqa_sha256_start(&one);
  lqa_sha256_add(&one, data, (size_t)size);
  lqa_sha256_end(&one, digest);
  lqa_sha256_add(h, digest, DIGEST_SIZE);
}

static void hash_module(const lqa_file *f, lqa_sha256 *h, const lqa_module *m, const uint8_t *payload) { /* 11.3 */
  hash_u8(h, 0);
  hash_name(h, &m->name);
  hash_u8(h, m->role);
  hash_u8(h, m->base_layout);
  const uint32_t numbers[8] = {m->out_size, m->in_size, m->experts, m->kernel[0], m->kernel[1],
                               m->kernel[2], lqa_bits(m->multiplier), m->bands};
  for (int i = 0; i < 8; i++) hash_u32(h, numbers[i]);
  for (uint32_t i = 0; i < m->bands; i++) {
    uint32_t components, b, a;
    lqa_get_band(f, m->first_band + i, &components, &b, &a);
    hash_u32(h, components);
    lqa_sha256_add(h, record(&f->encodings, b, ENCODING_SIZE), ENCODING_SIZE);
    lqa_sha256_add(h, record(&f->encodings, a, ENCODING_SIZE), ENCODING_SIZE);
  }
  if (m->started) { /* 8.8.5 */
    const uint32_t words = f->start.count == 2 ? 1 : LQA_STATE;
    lqa_sha256_add(h, f->start.at, 4);
    lqa_sha256_add(h, record(&f->start, 1 + words * (m->position >> LQA_STATE_DRAWS), 4), (size_t)4 * words);
    hash_u32(h, m->position & ((1u << LQA_STATE_DRAWS) - 1));
  }
  if (m->parent) { /* 8.9.4 */
    lqa_sha256_add(h, f->parent.at, DIGEST_SIZE);
    hash_u32(h, m->parent - 1);
  }
  hash_digest(h, payload, m->chunk.raw_length);
}

static void hash_tensor(lqa_sha256 *h, const lqa_tensor *t, const uint8_t *payload) {
  hash_u8(h, 1);
  hash_name(h, &t->name);
  hash_u8(h, t->role);
  hash_u8(h, t->element);
  hash_u8(h, t->axis);
  hash_u8(h, t->dimensions);
  for (uint32_t i = 0; i < t->dimensions; i++) hash_u32(h, t->shape[i]);
  hash_digest(h, payload, t->chunk.raw_length);
}

/* What check_sums needs: room to decode, and for a factor as f32; 0 if weights are not to be had, or above the budget. */
static uint64_t sums_scratch(const lqa_file *f, const lqa_module *m) {
  const uint64_t b = lqa_factor_weights(m, LQA_B), a = lqa_factor_weights(m, LQA_A);
  if (!m->parent || !lqa_can_decode(f, m) || 4 * (a + b) > f->options.budget) return 0;
  return (uint64_t)lqa_decode_scratch(m) + 64 + 4 * (a > b ? a : b);
}

/* Whether all sums of a module with its parents are finite (8.9.3). */
static lqa_code check_sums(lqa_file *f, const lqa_module *m, const uint8_t *payload, uint8_t *scratch, size_t scratch_size) {
  static const lqa_form form = {LQA_F32, LQA_BY_COMPONENT, 0, 0};
  if (!m->parent || !lqa_can_decode(f, m) || sums_scratch(f, m) == 0) return LQA_OK;
  here(f, LQA_MODULE, m->number, m->chunk.offset);
  MUST(scratch_size >= sums_scratch(f, m), BUDGET);
  const size_t decoding = (lqa_decode_scratch(m) + 63) / 64 * 64;
  for (int factor = 0; factor < 2; factor++)
    MUST(lqa_decode_factor(f, m, payload, factor, &form, scratch + decoding, scratch) == LQA_OK, NONFINITE_VALUE);
  return LQA_OK;
}

static lqa_code padding_behind(lqa_file *f, const lqa_chunk *c) {
  const uint64_t end = c->offset + c->length;
  return check_padding(f, end, align_up(end, f->alignment));
}

static lqa_code verify_chunks(lqa_file *f, lqa_level level, uint8_t *scratch, size_t scratch_size,
                              uint8_t *content_id) {
  const uint8_t *payload;
  lqa_module m;
  lqa_tensor t;
  lqa_section s;
  lqa_sha256 content;
  memset(&m, 0, sizeof m);
  memset(&t, 0, sizeof t);
  memset(&s, 0, sizeof s);
  lqa_sha256_start(&content);
  lqa_sha256_add(&content, "LQA content 1\n", 14);
  while (lqa_next_module(f, &m)) {
    TRY(lqa_module_payload(f, &m, level, scratch, scratch_size, &payload));
    if (level >= LQA_VALUES) TRY(check_sums(f, &m, payload, scratch, scratch_size));
    TRY(padding_behind(f, &m.chunk));
    hash_module(f, &content, &m, payload);
  }
  while (lqa_next_tensor(f, &t)) {
    TRY(lqa_tensor_payload(f, &t, level, scratch, scratch_size, &payload));
    TRY(padding_behind(f, &t.chunk));
    hash_tensor(&content, &t, payload);
  }
  lqa_sha256_end(&content, content_id);
  while (lqa_next_section(f, &s)) {
    const lqa_code code = lqa_section_payload(f, &s, scratch, scratch_size, &payload);
    if (code && (code != LQA_UNSUPPORTED_COMPRESSION || (s.flags & CRITICAL))) return code; /* else an omission, 15.3 */
    f->error.code = LQA_OK;
    TRY(padding_behind(f, &s.chunk));
  }
  return LQA_OK;
}

static lqa_code verify_end(lqa_file *f, lqa_ids *ids) {
  const uint64_t digests = digests_size(f), trailer = f->digests_at + digests;
  const uint8_t *list = f->data + f->digests_at, *t = f->data + trailer;
  lqa_sha256 h;
  uint8_t digest[DIGEST_SIZE];
  here(f, LQA_DIGESTS, 0, f->digests_at);
  MUST_AT(f->size >= trailer, TRUNCATED_FILE, f->size);
  uint32_t i = 0, span = 0;
  for (uint64_t at = f->modules_at, end; span < f->spans; at = end) {
    end = span_end(f, &i, at);
    lqa_sha256_start(&h);
    lqa_sha256_add(&h, f->data + at, (size_t)(end - at));
    lqa_sha256_end(&h, digest);
    span++;
    const size_t stored = (size_t)DIGEST_SIZE * span;
    MUST_AT(memcmp(digest, list + stored, DIGEST_SIZE) == 0, SPAN_DIGEST, f->digests_at + stored);
  }
  here(f, LQA_TRAILER, 0, trailer);
  MUST_AT(f->size >= trailer + TRAILER_SIZE, TRUNCATED_FILE, f->size);
  MUST_AT(lqa_get32(t + 52) == lqa_crc32(t, 52), TRAILER_CRC, trailer + 52);
  MUST_AT(lqa_get64(t + 32) == f->file_length, TRAILER_MISMATCH, trailer + 32);
  MUST_AT(lqa_get32(t + 40) == digests, TRAILER_MISMATCH, trailer + 40);
  MUST_AT(lqa_get32(t + 44) == f->index_length, TRAILER_MISMATCH, trailer + 44);
  MUST_AT(lqa_get32(t + 48) == 0, TRAILER_MISMATCH, trailer + 48);
  for (int k = 0; k < 8; k++) MUST_AT(t[56 + k] == MAGIC[7 - k], TRAILER_MISMATCH, trailer + 56);
  lqa_sha256_start(&h);
  lqa_sha256_add(&h, f->data, (size_t)PROLOGUE_SIZE + f->index_length);
  lqa_sha256_add(&h, list, (size_t)digests);
  lqa_sha256_end(&h, ids->file_id);
  MUST(memcmp(ids->file_id, t, DIGEST_SIZE) == 0, ROOT_DIGEST);
  here(f, LQA_DIGESTS, 0, f->digests_at);
  MUST(memcmp(ids->content_id, list, DIGEST_SIZE) == 0, CONTENT_ID);
  return LQA_OK;
}

static lqa_code verify_canonical_names(lqa_file *f) { /* 12.3 */
  lqa_module m;
  lqa_tensor t;
  memset(&m, 0, sizeof m);
  memset(&t, 0, sizeof t);
  for (int tensors = 0; tensors < 2; tensors++)
    for (;;) {
      lqa_name *name = tensors ? &t.name : &m.name, last = *name;
      if (!(tensors ? lqa_next_tensor(f, &t) : lqa_next_module(f, &m))) break;
      uint32_t shared = 0;
      while (shared < 255 && shared < last.length && shared < name->length && last.bytes[shared] == name->bytes[shared])
        shared++;
      const uint32_t number = tensors ? t.number : m.number;
      here(f, tensors ? LQA_TENSOR : LQA_MODULE, number,
           position(f, record(tensors ? &f->tensors : &f->modules, number, MODULE_SIZE)));
      MUST(name->shared == shared, NONCANONICAL_NAME);
    }
  return LQA_OK;
}

/* The bytes from *at on are these, and *at goes behind them (12.2). */
static lqa_code expect(lqa_file *f, uint64_t *at, const uint8_t *bytes, uint64_t size) {
  const uint8_t *index = f->data + PROLOGUE_SIZE;
  for (uint64_t i = 0; i < size; i++, ++*at)
    MUST_AT(*at < f->index_length && index[*at] == bytes[i], NONCANONICAL_INDEX, PROLOGUE_SIZE + *at);
  return LQA_OK;
}

static lqa_code verify_canonical_index(lqa_file *f) { /* 12.2 */
  const int more = f->required & HAS_PARENT ? 4 : f->required & HAS_START ? 2 : 0;
  uint32_t present[SLOTS], count = 0, slots = REQUIRED_SLOTS + (uint32_t)more;
  for (uint32_t slot = 0; slot < slots; slot++)
    if (has_vector(f, slot)) present[count++] = slot;
  const uint32_t vtable = 4 + 2 * slots, table = 4 + 4 * count, root = (10 + vtable + 3) / 4 * 4; /* 32, 36 or 40 */
  uint8_t head[48] = {(uint8_t)root, 0, 0, 0, 'L', 'Q', 'I', '1'}, bytes[4], *const fields = head + root - vtable;
  uint64_t at = 0, end[SLOTS + 1] = {root + table}; /* where vectors end, padding not counted */
  here(f, LQA_INDEX, 0, PROLOGUE_SIZE);
  fields[0] = head[root] = (uint8_t)vtable;
  fields[2] = (uint8_t)table;
  for (uint32_t i = 0; i < count; i++) fields[4 + 2 * present[i]] = (uint8_t)(4 + 4 * i);
  TRY(expect(f, &at, head, root + 4));
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t start = align_up(end[i], 4);
    end[i + 1] = start + 4 + (uint64_t)vector_in(f, present[i])->count * ELEMENT_SIZES[present[i]];
    put32(bytes, (uint32_t)(start - at));
    TRY(expect(f, &at, bytes, 4));
  }
  memset(bytes, 0, sizeof bytes); /* now the vectors are where they should be: padding is what is left */
  for (uint32_t i = 1; i <= count; i++) TRY(expect(f, (at = end[i], &at), bytes, align_up(end[i], 4) - end[i]));
  MUST_AT(at == f->index_length, NONCANONICAL_INDEX, PROLOGUE_SIZE + at);
  return LQA_OK;
}

lqa_code lqa_verify(lqa_file *f, lqa_level level, void *scratch, size_t scratch_size, lqa_ids *ids) {
  if (level >= LQA_INTEGRITY) {
    TRY(verify_chunks(f, level, scratch, scratch_size, ids->content_id));
    TRY(verify_end(f, ids));
  }
  here(f, LQA_TRAILER, 0, 0);
  MUST_AT(f->size >= f->file_length, TRUNCATED_FILE, f->size);
  MUST_AT(f->size <= f->file_length, TRAILING_BYTES, f->file_length);
  if (level < LQA_CANONICAL) return LQA_OK;
  MUST_AT(!f->noncanonical, NONCANONICAL_CODES, f->noncanonical);
  TRY(verify_canonical_names(f));
  return verify_canonical_index(f);
}

/* ---- Parents (8.9.2) ---- */

size_t lqa_places_size(const lqa_file *parent) { return 2 * (size_t)parent->modules.count * sizeof(uint64_t); }

/* A module by its number, without a name: where its chunk begins, and how many modules with a start come before it, stand in
 * `places`. */
static void module_at(const lqa_file *f, uint32_t number, const uint64_t *places, lqa_module *m) {
  const uint8_t *p = record(&f->modules, number, MODULE_SIZE);
  memset(m, 0, sizeof *m);
  m->number = number;
  m->chunk.length = lqa_get32(p);
  m->chunk.offset = places[2 * number];
  get_type(f, m->type = lqa_get16(p + 8), m);
  get_plan(f, m->plan = lqa_get16(p + 10), m);
  lay_out(f, m);
  m->positions = (uint32_t)places[2 * number + 1];
  if (m->started) m->position = lqa_get32(record(&f->positions, m->positions++, 4));
  if (f->parent_modules.count) m->parent = lqa_get32(record(&f->parent_modules, number, 4));
}

int lqa_parent_module(const lqa_file *f, const lqa_module *m, lqa_module *parent) {
  if (!m->parent || !f->parent_file) return 0;
  module_at(f->parent_file, m->parent - 1, f->parent_places, parent);
  return 1;
}

lqa_code lqa_set_parent(lqa_file *f, const lqa_file *parent, const lqa_ids *ids, uint64_t *places) {
  lqa_module m, own;
  here(f, LQA_INDEX, 0, position(f, f->parent.at ? f->parent.at : f->data));
  MUST(f->parent.count && !memcmp(f->parent.at, ids->content_id, DIGEST_SIZE), PARENT_MISMATCH);
  f->generations = parent->generations + 1;
  LIMIT(f->generations, LIMIT_GENERATIONS);
  for (memset(&m, 0, sizeof m); lqa_next_module(parent, &m);) {
    places[2 * m.number] = m.chunk.offset;
    places[2 * m.number + 1] = m.positions - (uint32_t)m.started;
  }
  f->parent_places = places;
  for (memset(&m, 0, sizeof m); lqa_next_module(f, &m);) {
    if (!m.parent) continue;
    here(f, LQA_MODULE, m.number, position(f, record(&f->modules, m.number, MODULE_SIZE)));
    MUST(m.parent <= parent->modules.count, PARENT_MISMATCH);
    module_at(parent, m.parent - 1, places, &own);
    MUST(own.out_size == m.out_size && own.in_size == m.in_size && own.experts == m.experts, PARENT_MISMATCH);
    MUST(!memcmp(own.kernel, m.kernel, sizeof m.kernel) && own.rank <= m.rank, PARENT_MISMATCH);
  }
  f->parent_file = parent;
  for (memset(&m, 0, sizeof m); lqa_next_module(f, &m);)
    if (sums_scratch(f, &m) > f->scratch_needed) f->scratch_needed = sums_scratch(f, &m);
  return LQA_OK;
}

int lqa_can_decode(const lqa_file *f, const lqa_module *m) {
  lqa_module parent;
  return !m->parent || (lqa_parent_module(f, m, &parent) && lqa_can_decode(f->parent_file, &parent));
}

void lqa_fingerprint(const lqa_file *f, uint8_t digest[32]) {
  lqa_sha256 h;
  lqa_module m;
  memset(&m, 0, sizeof m);
  lqa_sha256_start(&h);
  lqa_sha256_add(&h, "LQA shapes 1\n", 13);
  while (lqa_next_module(f, &m)) {
    hash_name(&h, &m.name);
    hash_u32(&h, m.out_size);
    hash_u32(&h, m.in_size);
    for (int i = 0; i < 3; i++) hash_u32(&h, m.kernel[i]);
    hash_u32(&h, m.experts);
  }
  lqa_sha256_end(&h, digest);
}
