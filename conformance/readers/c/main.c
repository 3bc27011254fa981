/* SPDX-License-Identifier: CC0-1.0
 *
 * main.c: the command line of the C reader, and an example of how to use it; speaks conformance/PROTOCOL.md.
 *
 *   lqa-read [--level structure|integrity|values|canonical] [--budget BYTES] [--parent FILE]... [FILE | -]
 *   lqa-read --lines
 *
 * Everything that allocates, reads files or knows JSON is here; lqa.c does none of it. */

#include "apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const LEVELS[] = {"structure", "integrity", "values", "canonical"};
static const uint64_t BUDGET = 536870912u, FRAME = 1048576u;

#ifdef LQA_ZSTD
#include <zstd.h>
static size_t inflate_frame(void *context, const uint8_t *frame, size_t frame_size, uint8_t *out, size_t size,
                            const uint8_t *dictionary, size_t dictionary_size) {
  (void)context;
  ZSTD_DCtx *decoder = ZSTD_createDCtx();
  if (!decoder) return (size_t)-1;
  const size_t came = ZSTD_decompress_usingDict(decoder, out, size, frame, frame_size, dictionary, dictionary_size);
  ZSTD_freeDCtx(decoder);
  return ZSTD_isError(came) ? (size_t)-1 : came;
}
static const lqa_inflate inflate = inflate_frame;
static const char WITHOUT[] = "{}";
#else
static const lqa_inflate inflate = 0;
static const char WITHOUT[] = "{\"zstd\":\"built without LQA_ZSTD\",\"text-zstd\":\"built without LQA_ZSTD\"}";
#endif

/* ---- Bytes that grow ---- */

typedef struct bytes {
  uint8_t *at;
  size_t size, room;
} bytes;

static int add(bytes *b, const void *data, size_t size) {
  if (size > b->room - b->size) {
    const size_t room = 2 * (b->size + size);
    uint8_t *at = room > b->size ? realloc(b->at, room) : 0;
    if (!at) return 0;
    b->at = at;
    b->room = room;
  }
  if (size) memcpy(b->at + b->size, data, size);
  b->size += size;
  return 1;
}

/* 0, or why not: NOT_FOUND, IO or BUDGET. */
static const char *read_all(bytes *b, const char *path) {
  static uint8_t piece[65536];
  FILE *in = path ? fopen(path, "rb") : stdin;
  if (!in) return errno == ENOENT ? "NOT_FOUND" : "IO";
  const char *failed = 0;
  size_t came;
  while (!failed && (came = fread(piece, 1, sizeof piece, in)) > 0)
    if (!add(b, piece, came)) failed = "BUDGET";
  if (!failed && ferror(in)) failed = "IO";
  if (path) fclose(in);
  return failed;
}

/* ---- JSON ---- */

static void print_hex(const uint8_t *p, size_t size) {
  putchar('"');
  for (size_t i = 0; i < size; i++) printf("%02x", p[i]);
  putchar('"');
}

static void print_string(const uint8_t *p, size_t size) {
  putchar('"');
  for (size_t i = 0; i < size; i++) {
    if (p[i] == '"' || p[i] == '\\') putchar('\\');
    if (p[i] < 0x20) printf("\\u%04x", p[i]);
    else putchar(p[i]);
  }
  putchar('"');
}

static void print_number(double value) { /* the shortest that gives the same number again */
  char text[32];
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (!(strtod(text, 0) < value) && !(strtod(text, 0) > value)) break;
  }
  fputs(text, stdout);
}

/* One MessagePack value that lqa_mp_check has accepted. Nests at most 16 deep. */
static size_t print_messagepack(const uint8_t *p, size_t size) {
  lqa_token t;
  size_t at = lqa_mp_token(p, size, &t);
  switch (t.kind) {
    case LQA_MP_NIL: fputs("null", stdout); break;
    case LQA_MP_BOOL: fputs(t.value ? "true" : "false", stdout); break;
    case LQA_MP_UINT: printf("%llu", (unsigned long long)t.value); break;
    case LQA_MP_INT: printf("-%llu", (unsigned long long)t.value); break;
    case LQA_MP_FLOAT: print_number(t.number); break;
    case LQA_MP_STRING: print_string(t.bytes, (size_t)t.value); break;
    case LQA_MP_BIN:
      fputs("{\"bin\":", stdout);
      print_hex(t.bytes, (size_t)t.value);
      putchar('}');
      break;
    default:
      putchar(t.kind == LQA_MP_MAP ? '{' : '[');
      for (uint64_t i = 0; i < t.value; i++) {
        if (i) putchar(',');
        if (t.kind == LQA_MP_MAP) {
          at += print_messagepack(p + at, size - at);
          putchar(':');
        }
        at += print_messagepack(p + at, size - at);
      }
      putchar(t.kind == LQA_MP_MAP ? '}' : ']');
  }
  return at;
}

/* ---- The document ---- */

enum { MOST_PARENTS = 64 };
typedef struct reading {
  bytes data;
  uint32_t *work;
  uint8_t *scratch;
  size_t scratch_size;
  void *factor, *decoding; /* room for the largest decoded factor, and for decoding */
  uint32_t *states;        /* of starts */
  lqa_level level;
  uint64_t budget;
  const char *failed; /* NOT_FOUND, IO, BUDGET: what is no fault of the file */
  lqa_file file;
  lqa_ids ids;
  const char *parents[MOST_PARENTS]; /* paths of files that may be parents */
  int parent_count;
  struct reading *family; /* what they are */
  uint64_t *places;       /* of the modules, where the file is a parent */
} reading;

static lqa_code find_parents(reading *r);

static uint64_t decoded_bytes(const lqa_module *m) {
  return 4 * (m->vector_length[0] + m->vector_length[1]) * m->rank * m->experts;
}

static lqa_code open_and_verify(reading *r) {
  const lqa_options options = {r->budget, inflate, 0};
  const size_t work_size = lqa_work_size(r->data.at, r->data.size);
  if (!(r->work = malloc(work_size))) return r->failed = "BUDGET", LQA_BUDGET;
  lqa_code code = lqa_open(&r->file, r->data.at, r->data.size, r->work, work_size, &options);
  if (!code) code = find_parents(r);
  if (code) return code;
  const uint64_t most = r->budget + FRAME; /* a chunk that would need more is LQA-L003 before the scratch is looked at */
  if (r->file.scratch_needed) {
    /* Sums with a parent need what their weights take within the budget, and a little. */
    r->scratch_size = (size_t)(r->file.parent_file || r->file.scratch_needed < most ? r->file.scratch_needed : most);
    if (!(r->scratch = malloc(r->scratch_size))) return r->failed = "BUDGET", LQA_BUDGET;
  }
  code = lqa_verify(&r->file, r->level, r->scratch, r->scratch_size, &r->ids);
  if (code || r->level < LQA_VALUES) return code;
  uint64_t weights = 0;
  size_t decoding = 0;
  lqa_module m;
  for (memset(&m, 0, sizeof m); lqa_next_module(&r->file, &m);)
    for (int i = 0; i < 2 && decoded_bytes(&m) <= r->budget; i++) {
      if (lqa_factor_weights(&m, i) > weights) weights = lqa_factor_weights(&m, i);
      if (lqa_decode_scratch(&m) > decoding) decoding = lqa_decode_scratch(&m);
    }
  if (weights && !((r->factor = malloc((size_t)weights * sizeof(float))) && (r->decoding = malloc(decoding))))
    return r->failed = "BUDGET", LQA_BUDGET;
  if (!(r->states = malloc(lqa_states_size(&r->file) + 1))) return r->failed = "BUDGET", LQA_BUDGET;
  lqa_keep_states(&r->file, r->states);
  return LQA_OK;
}

static void release(reading *r) {
  for (int i = 0; r->family && i < r->parent_count; i++) release(r->family + i);
  free(r->family);
  free(r->places);
  free(r->data.at);
  free(r->work);
  free(r->scratch);
  free(r->factor);
  free(r->decoding);
  free(r->states);
}

/* Reads the files that may be parents, and gives each of a chain to the one before it, the oldest first (8.9.2). */
static lqa_code find_parents(reading *r) {
  reading *chain[MOST_PARENTS + 1] = {r};
  int length = 0;
  if (r->file.parent.count == 0 || r->parent_count == 0) return LQA_OK;
  if (!(r->family = calloc((size_t)r->parent_count, sizeof *r->family))) return r->failed = "BUDGET", LQA_BUDGET;
  for (int i = 0; i < r->parent_count; i++) {
    reading *p = r->family + i;
    p->level = LQA_VALUES;
    p->budget = r->budget;
    if ((r->failed = read_all(&p->data, r->parents[i]))) return LQA_BUDGET;
    lqa_code code = open_and_verify(p);
    if (p->failed) return r->failed = p->failed, LQA_BUDGET;
    if (code == LQA_HARD_LIMIT || code == LQA_CORE_LIMIT || code == LQA_BUDGET) return r->file.error = p->file.error, code;
    if (code) {
      p->level = LQA_STRUCTURE; /* not valid: no parent */
      continue;
    }
    if (!(p->places = malloc(lqa_places_size(&p->file) + 1))) return r->failed = "BUDGET", LQA_BUDGET;
  }
  for (reading *last = r, *next; last->file.parent.count; last = next) {
    next = 0;
    for (int i = 0; i < r->parent_count; i++)
      if (r->family[i].level == LQA_VALUES && !memcmp(r->family[i].ids.content_id, last->file.parent.at, 32)) next = r->family + i;
    if (!next || length == MOST_PARENTS) break;
    chain[++length] = next;
  }
  if (length == 0) {
    r->file.error.place = LQA_INDEX;
    return r->file.error.code = LQA_PARENT_MISMATCH;
  }
  for (int i = length; i-- > 0;) {
    lqa_file *const f = &chain[i]->file, *const parent = &chain[i + 1]->file;
    const lqa_code code = lqa_set_parent(f, parent, &chain[i + 1]->ids, chain[i + 1]->places);
    if (code) return r->file.error = f->error, code;
  }
  return LQA_OK;
}

static int exit_code(const reading *r, lqa_code code) {
  return r->failed && strcmp(r->failed, "BUDGET") ? 2 : lqa_code_exit(code);
}

/* The digest of `count` values of `size` bytes, little-endian on every machine. */
static void hash_values(const uint8_t *values, uint64_t count, size_t size, uint8_t digest[32]) {
  const uint16_t one = 1;
  const int little = *(const uint8_t *)&one;
  lqa_sha256 hash;
  lqa_sha256_start(&hash);
  if (little) lqa_sha256_add(&hash, values, (size_t)count * size);
  for (uint64_t i = 0; !little && i < count; i++)
    for (size_t byte = size; byte-- > 0;) lqa_sha256_add(&hash, values + i * size + byte, 1);
  lqa_sha256_end(&hash, digest);
}

static void print_hashes(reading *r, const lqa_module *m, const uint8_t *payload) {
  for (int i = 0; i < 4; i++) {
    static const char *const before[] = {"{\"f32\":{\"b\":", ",\"a\":", "},\"f16\":{\"b\":", ",\"a\":"};
    const lqa_form form = {i < 2 ? LQA_F32 : LQA_F16, LQA_BY_COMPONENT, 0, 0};
    uint8_t digest[32], *const values = r->factor;
    const lqa_code code = lqa_decode_factor(&r->file, m, payload, i % 2, &form, values, r->decoding);
    hash_values(values, lqa_factor_weights(m, i % 2), i < 2 ? 4 : 2, digest);
    fputs(before[i], stdout);
    if (code) fputs("null", stdout); /* sums that f16 cannot hold */
    else print_hex(digest, 32);
  }
  fputs("}}", stdout);
}

static void print_module(reading *r, const lqa_module *m) {
  const uint8_t *payload;
  fputs("{\"name\":", stdout);
  print_string(m->name.bytes, m->name.length);
  printf(",\"out\":%u,\"inp\":%u,\"multiplier\":", m->out_size, m->in_size);
  print_number((double)m->multiplier);
  fputs(",\"alpha\":", stdout);
  print_number((double)m->alpha);
  for (int i = 0; i < 3; i++) printf(",\"kernel%d\":%u", i, m->kernel[i]);
  printf(",\"experts\":%u,\"role\":%u,\"base_layout\":%u,\"rule\":%u,\"reserved\":0,\"rank\":%u,\"bands\":[", m->experts,
         m->role, m->base_layout, m->rule, m->rank);
  for (uint32_t i = 0; i < m->bands; i++) {
    uint32_t components, b, a;
    lqa_get_band(&r->file, m->first_band + i, &components, &b, &a);
    printf("%s{\"components\":%u,\"b\":%u,\"a\":%u}", i ? "," : "", components, b, a);
  }
  if (r->file.parent.count) printf("],\"parent_module\":%u,\"sha256\":", m->parent);
  else fputs("],\"sha256\":", stdout);
  if (r->level >= LQA_VALUES && decoded_bytes(m) <= r->budget && lqa_can_decode(&r->file, m) &&
      !lqa_module_payload(&r->file, m, LQA_INTEGRITY, r->scratch, r->scratch_size, &payload))
    print_hashes(r, m, payload);
  else
    fputs("null", stdout);
  putchar('}');
}

static void print_tensor(reading *r, const lqa_tensor *t) {
  const uint8_t *payload;
  fputs("{\"name\":", stdout);
  print_string(t->name.bytes, t->name.length);
  printf(",\"chunk_length\":%u,\"name_suffix\":%u,\"name_shared\":%u,\"compression\":%u,\"element\":%u,\"role\":%u,"
         "\"axis\":%u,\"dimensions\":%u,\"shape\":[", t->chunk.length, t->name.suffix, t->name.shared,
         t->chunk.compression, t->element, t->role, t->axis, t->dimensions);
  for (uint32_t i = 0; i < t->dimensions; i++) printf("%s%u", i ? "," : "", t->shape[i]);
  fputs("],\"sha256\":", stdout);
  if (r->level >= LQA_VALUES &&
      !lqa_tensor_payload(&r->file, t, r->level, r->scratch, r->scratch_size, &payload)) {
    uint8_t digest[32];
    lqa_sha256 hash;
    lqa_sha256_start(&hash);
    lqa_sha256_add(&hash, payload, (size_t)t->chunk.raw_length);
    lqa_sha256_end(&hash, digest);
    print_hex(digest, 32);
  } else {
    fputs("null", stdout);
  }
  putchar('}');
}

static void print_section(reading *r, const lqa_section *s) {
  const uint32_t flags = s->flags;
  (void)r;
  printf("{\"tag\":\"%s\",\"chunk_length\":%u,\"raw_length\":%u,\"compression\":%u,\"flags\":%u,\"reserved\":0}", s->tag,
         s->chunk.length, (unsigned)s->chunk.raw_length, s->chunk.compression, flags);
}

static void print_document_of(reading *r, const char *tag) {
  const uint8_t *payload;
  lqa_section s;
  for (memset(&s, 0, sizeof s); r->level >= LQA_INTEGRITY && lqa_next_section(&r->file, &s);)
    if (!strcmp(s.tag, tag) && !lqa_section_payload(&r->file, &s, r->scratch, r->scratch_size, &payload)) {
      print_messagepack(payload, (size_t)s.chunk.raw_length);
      return;
    }
  fputs("null", stdout);
}

static void print_id(const reading *r, const char *name, const uint8_t *id) {
  printf("\"%s\":", name);
  if (r->level >= LQA_INTEGRITY) print_hex(id, 32);
  else fputs("null", stdout);
  putchar(',');
}

static void print_valid(reading *r) {
  const lqa_file *f = &r->file;
  const char *comma = "";
  uint8_t fingerprint[32];
  lqa_module m;
  lqa_tensor t;
  lqa_section s;
  fputs("{\"valid\":true,", stdout);
  print_id(r, "fileId", r->ids.file_id);
  print_id(r, "contentId", r->ids.content_id);
  printf("\"fileLength\":%llu,\"alignment\":%u,\"shapeFingerprint\":", (unsigned long long)f->file_length, f->alignment);
  lqa_fingerprint(f, fingerprint);
  print_hex(fingerprint, 32);
  if (f->parent.count) {
    fputs(",\"parent\":", stdout);
    print_hex(f->parent.at, 32);
  }
  fputs(",\"encodings\":[", stdout);
  for (uint32_t i = 0; i < f->encodings.count; i++) {
    const lqa_encoding e = lqa_get_encoding(f, i);
    printf("%s{\"codec\":%u,\"element\":%u,\"scale\":%u,\"bits\":%u,\"mixture\":%u,\"group_exponent\":%u,\"table\":%u,"
           "\"rotation\":%u}", i ? "," : "", e.codec, e.element, e.scale, e.bits, e.mixture, e.group_exponent, e.table,
           e.rotation);
  }
  fputs("],\"modules\":[", stdout);
  for (memset(&m, 0, sizeof m); lqa_next_module(f, &m); comma = ",") fputs(comma, stdout), print_module(r, &m);
  comma = "";
  fputs("],\"tensors\":[", stdout);
  for (memset(&t, 0, sizeof t); lqa_next_tensor(f, &t); comma = ",") fputs(comma, stdout), print_tensor(r, &t);
  comma = "";
  fputs("],\"sections\":[", stdout);
  for (memset(&s, 0, sizeof s); lqa_next_section(f, &s); comma = ",") fputs(comma, stdout), print_section(r, &s);
  fputs("],\"meta\":", stdout);
  print_document_of(r, "META");
  fputs(",\"origin\":", stdout);
  print_document_of(r, "ORIG");
  comma = "";
  fputs(",\"omissions\":[", stdout);
  for (memset(&m, 0, sizeof m); r->level >= LQA_VALUES && lqa_next_module(f, &m);)
    if (decoded_bytes(&m) > r->budget) {
      printf("%s{\"where\":\"module %u\",\"code\":\"LQA-L003\",\"message\":\"too large to decode within the budget\"}",
             comma, m.number);
      comma = ",";
    } else if (!lqa_can_decode(f, &m)) {
      printf("%s{\"where\":\"module %u\",\"code\":\"LQA-U010\",\"message\":\"the parent was not given\"}", comma, m.number);
      comma = ",";
    }
  for (memset(&s, 0, sizeof s); r->level >= LQA_INTEGRITY && !inflate && lqa_next_section(f, &s);)
    if (s.chunk.compression) {
      printf("%s{\"where\":\"section %s\",\"code\":\"LQA-U005\",\"message\":\"built without LQA_ZSTD\"}", comma, s.tag);
      comma = ",";
    }
  fputs("]}", stdout);
}

/* ---- Operation `apply` ---- */

static uint32_t little(const uint8_t *p, int size) {
  uint32_t value = 0;
  while (size-- > 0) value = value << 8 | p[size];
  return value;
}

/* The tensors of a file of base tensors (PROTOCOL.md); the names stay in `data`. 0 if there is no memory, or if it is none. */
static base_tensor *read_base(const bytes *data, size_t *count) {
  base_tensor *base = 0;
  *count = 0;
  for (size_t at = 0; at < data->size;) {
    base_tensor *more = realloc(base, (*count + 1) * sizeof *base);
    if (!more) return 0;
    base_tensor *t = (base = more) + (*count)++;
    memset(t, 0, sizeof *t);
    if (data->size - at < 3) return 0;
    t->name_length = little(data->at + at, 2);
    if (data->size - at < 3 + t->name_length) return 0;
    t->name = data->at + at + 2;
    t->dimensions = t->name[t->name_length];
    at += 3 + t->name_length;
    if (data->size - at < 4 * (size_t)t->dimensions) return 0;
    t->count = 1;
    for (uint32_t i = 0; i < t->dimensions; i++, at += 4) t->count *= t->shape[i] = little(data->at + at, 4);
    if ((data->size - at) / 4 < t->count || !(t->values = malloc(4 * (size_t)t->count + 4))) return 0;
    for (uint64_t i = 0; i < t->count; i++, at += 4) {
      const uint32_t bits = little(data->at + at, 4);
      memcpy(t->values + i, &bits, 4);
    }
  }
  return base;
}

static void print_results(const base_tensor *base, size_t count) {
  fputs("{\"valid\":true,\"results\":[", stdout);
  for (size_t i = 0; i < count; i++) {
    lqa_sha256 hash;
    uint8_t digest[32];
    lqa_sha256_start(&hash);
    for (uint64_t k = 0; k < base[i].count; k++) {
      uint32_t bits;
      uint8_t little_endian[4];
      memcpy(&bits, base[i].values + k, 4);
      for (int byte = 0; byte < 4; byte++) little_endian[byte] = (uint8_t)(bits >> 8 * byte);
      lqa_sha256_add(&hash, little_endian, 4);
    }
    lqa_sha256_end(&hash, digest);
    fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
    print_string(base[i].name, base[i].name_length);
    fputs(",\"sha256\":", stdout);
    print_hex(digest, 32);
    putchar('}');
  }
  fputs("]}", stdout);
}

static void print_invalid(const reading *r, lqa_code code) {
  const lqa_error *e = &r->file.error;
  fputs("{\"valid\":false,\"error\":", stdout);
  if (r->failed) {
    const char *text = !strcmp(r->failed, "BUDGET") ? "L003" : !strcmp(r->failed, "IO") ? "X001" : "X003";
    printf("{\"code\":\"LQA-%s\",\"name\":\"%s\",\"class\":\"%c\",\"offset\":null}}", text, r->failed, text[0]);
    return;
  }
  printf("{\"code\":\"%s\",\"name\":\"%s\",\"class\":\"%c\",\"offset\":%llu,\"where\":\"%s", lqa_code_text(code),
         lqa_code_name(code), lqa_code_text(code)[4], (unsigned long long)e->offset, lqa_place_name(e->place));
  if (e->place >= LQA_ENCODING && e->place <= LQA_SECTION) printf(" %u", e->record);
  fputs("\"}}", stdout);
}

/* Reads `path`, standard input, or what is in r->data already; applies it to the tensors in `base_path`, if there is one;
 * prints what `before` and exit code begin. */
static int answer(reading *r, const char *path, int from_input, const char *before, const char *base_path) {
  bytes base_data = {0, 0, 0};
  base_tensor *base = 0;
  size_t count = 0;
  if (path || from_input) r->failed = read_all(&r->data, path);
  if (!r->failed && base_path && !(r->failed = read_all(&base_data, base_path)) && !(base = read_base(&base_data, &count)))
    r->failed = "IO";
  lqa_code code = r->failed ? LQA_BUDGET : open_and_verify(r);
  if (!code && base) code = lqa_apply(&r->file, base, count, r->scratch, r->scratch_size);
  if (before) printf("%s,\"exit\":%d,\"document\":", before, exit_code(r, code));
  if (code) print_invalid(r, code);
  else if (base) print_results(base, count);
  else print_valid(r);
  for (size_t i = 0; i < count; i++) free(base ? base[i].values : 0);
  free(base);
  free(base_data.at);
  const int exits = exit_code(r, code);
  release(r);
  return exits;
}

static int find_level(const char *name, lqa_level *level) {
  for (int i = 0; i < 4; i++)
    if (!strcmp(LEVELS[i], name)) return *level = (lqa_level)i, 1;
  return 0;
}

/* ---- Protocol B: JSON lines ---- */

static char *skip_space(char *p) {
  while (*p && strchr(" \t\r\n", *p)) p++;
  return p;
}

static uint32_t four_digits(const char *p) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++, p++) {
    const char *digits = "0123456789abcdefABCDEF", *at = *p ? strchr(digits, *p) : 0;
    if (!at) return 0;
    const uint32_t digit = (uint32_t)(at - digits);
    value = value << 4 | (digit < 16 ? digit : digit - 6);
  }
  return value;
}

/* The string that begins at *at, unescaped in place; *at becomes what follows it. 0 if it is none. */
static char *take_string(char **at) {
  char *p = *at, *out = p + 1, *const start = p + 1;
  if (*p++ != '"') return 0;
  while (*p != '"') {
    if (*p == 0) return 0;
    if (*p != '\\') {
      *out++ = *p++;
      continue;
    }
    const char *escapes = "\"\\/bfnrt", *found = p[1] ? strchr(escapes, p[1]) : 0;
    if (found) {
      *out++ = "\"\\/\b\f\n\r\t"[found - escapes];
      p += 2;
      continue;
    }
    uint32_t c = p[1] == 'u' ? four_digits(p + 2) : 0;
    if (c == 0) return 0;
    p += 6;
    if (c >= 0xD800 && c < 0xDC00 && p[0] == '\\' && p[1] == 'u') {
      c = 0x10000 + ((c - 0xD800) << 10) + ((four_digits(p + 2) - 0xDC00) & 0x3FF);
      p += 6;
    }
    if (c < 0x80) {
      *out++ = (char)c;
    } else { /* UTF-8, at most the six or twelve bytes of the escape */
      const uint32_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
      *out++ = (char)(0xFFu << (7 - more) | c >> 6 * more);
      for (uint32_t i = more; i-- > 0;) *out++ = (char)(0x80 | (c >> 6 * i & 0x3F));
    }
  }
  *at = p + 1;
  *out = 0;
  return start;
}

/* The end of the value at p, which is not a string. */
static char *skip_value(char *p) {
  int depth = 0;
  for (; *p; p++) {
    if (*p == '"') {
      for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1]) p++;
      if (!*p) return p;
    } else if (*p == '{' || *p == '[') {
      depth++;
    } else if (*p == '}' || *p == ']') {
      if (depth-- == 0) return p;
    } else if (*p == ',' && depth == 0) {
      return p;
    }
  }
  return p;
}

/* The members of one command that this reader knows; text of numbers, strings unescaped, 0 if absent. */
enum { CMD, SEQ, PATH, HEX, LEVEL, BUDGET_OF, OPERATION, BASE, PARENTS, MEMBERS };
static int parse_command(char *p, char *members[MEMBERS]) {
  static const char *const names[MEMBERS] = {"cmd", "seq", "path", "hex", "level", "budget", "operation", "base", "parents"};
  memset(members, 0, MEMBERS * sizeof *members);
  p = skip_space(p);
  if (*p++ != '{') return 0;
  for (p = skip_space(p); *p == '"'; p = skip_space(p)) {
    const char *name = take_string(&p);
    if (!name || *(p = skip_space(p)) != ':') return 0;
    p = skip_space(p + 1);
    char *value = p, *string = *p == '"' ? take_string(&p) : 0;
    if (*value == '"' && !string) return 0;
    char *end = p = string ? skip_space(p) : skip_value(p);
    const int more = *end == ',';
    if (!more && *end != '}') return 0;
    *end = 0;
    for (int i = 0; i < MEMBERS; i++)
      if (!strcmp(name, names[i])) members[i] = string ? string : value;
    p++;
    if (!more) return 1;
  }
  return *p == '}';
}

static int unhex(bytes *b, const char *hex) {
  for (; hex[0] && hex[1]; hex += 2) {
    const char text[5] = {'0', '0', hex[0], hex[1], 0};
    const uint8_t byte = (uint8_t)four_digits(text);
    if (!add(b, &byte, 1)) return 0;
  }
  return 1;
}

static void run_line(char *members[MEMBERS]) {
  char before[64];
  reading r;
  memset(&r, 0, sizeof r);
  r.level = LQA_VALUES;
  r.budget = members[BUDGET_OF] ? strtoull(members[BUDGET_OF], 0, 10) : BUDGET;
  snprintf(before, sizeof before, "{\"seq\":%.40s", members[SEQ] ? members[SEQ] : "null");
  for (char *p = members[PARENTS]; p && r.parent_count < MOST_PARENTS && (*p == '[' || *p == ',');) { /* ["…", …] */
    if (*(p = skip_space(p + 1)) != '"' || !(r.parents[r.parent_count++] = take_string(&p))) break;
    p = skip_space(p);
  }
  const char *operation = members[OPERATION] ? members[OPERATION] : "read";
  if (strcmp(operation, "read") && (strcmp(operation, "apply") || !members[BASE]))
    printf("%s,\"skipped\":\"reads whole files only\"}", before);
  else if ((members[LEVEL] && !find_level(members[LEVEL], &r.level)) || (!members[PATH] && !members[HEX]))
    printf("%s,\"errored\":\"a command without a path, or with an unknown level\"}", before);
  else {
    if (members[HEX] && !unhex(&r.data, members[HEX])) r.failed = "BUDGET";
    answer(&r, members[PATH], 0, before, strcmp(operation, "read") ? members[BASE] : 0);
    putchar('}');
  }
}

static int lines(void) {
  bytes line = {0, 0, 0};
  for (int c = 0; c != EOF;) {
    for (line.size = 0; (c = getchar()) != EOF && c != '\n';) {
      const uint8_t byte = (uint8_t)c;
      if (!add(&line, &byte, 1)) return 2;
    }
    if (line.size == 0 && c == EOF) break;
    char *members[MEMBERS];
    if (!add(&line, "", 1)) return 2;
    if (!parse_command((char *)line.at, members) || !members[CMD]) return 2;
    if (!strcmp(members[CMD], "stop")) break;
    if (!strcmp(members[CMD], "start")) printf("{\"protocol\":1,\"name\":\"lqa-read\",\"version\":\"1.0\",\"language\":\"C99\"}");
    else if (!strcmp(members[CMD], "caps"))
      printf("{\"levels\":[\"structure\",\"integrity\",\"values\",\"canonical\"],\"operations\":[\"read\",\"apply\"],\"without\":%s}", WITHOUT);
    else if (!strcmp(members[CMD], "run")) run_line(members);
    else return 2;
    putchar('\n');
    fflush(stdout);
  }
  free(line.at);
  return 0;
}

int main(int count, char **arguments) {
  reading r;
  memset(&r, 0, sizeof r);
  r.level = LQA_VALUES;
  r.budget = BUDGET;
  const char *path = 0;
  for (int i = 1; i < count; i++) {
    const char *a = arguments[i];
    char *end;
    if (!strcmp(a, "--lines") && count == 2) return lines();
    if (!strcmp(a, "--level") && i + 1 < count && find_level(arguments[i + 1], &r.level)) i++;
    else if (!strcmp(a, "--budget") && i + 1 < count && (r.budget = strtoull(arguments[i + 1], &end, 10), !*end)) i++;
    else if (!strcmp(a, "--parent") && i + 1 < count && r.parent_count < MOST_PARENTS) r.parents[r.parent_count++] = arguments[++i];
    else if (!strcmp(a, "-") || (a[0] != '-' && !path)) path = strcmp(a, "-") ? a : 0;
    else {
      fprintf(stderr, "usage: lqa-read [--level structure|integrity|values|canonical] [--budget BYTES] [--parent FILE]... [FILE | -]\n"
                      "       lqa-read --lines\n");
      return 2;
    }
  }
  const int code = answer(&r, path, !path, 0, 0);
  putchar('\n');
  return code;
}
