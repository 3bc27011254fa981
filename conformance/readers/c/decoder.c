/* SPDX-License-Identifier: CC0-1.0
 *
 * decoder.c: the command line of the decoder in one header (integrations/c/lqa_decode.h); speaks conformance/PROTOCOL.md, "Decoders".
 *
 *   lqa-decode [--budget BYTES] [--parent FILE]... < file
 *   lqa-decode --lines */

#define LQA_DECODE_IMPLEMENTATION
#include "lqa_decode.h"

#include "lqa.h" /* SHA-256 */

#include <stdio.h>
#include <stdlib.h>

enum { MOST_PARENTS = 64, LINE = 1 << 20 };

typedef struct bytes {
  uint8_t *at;
  size_t size, room;
} bytes;

static void *must(void *memory) {
  if (memory) return memory;
  fputs("out of memory\n", stderr);
  exit(2);
}

static bytes read_all(FILE *in) {
  bytes b = {0, 0, 0};
  for (size_t came = 1; in && came > 0; b.size += came) {
    if (b.room - b.size < 65536) b.at = must(realloc(b.at, b.room = 2 * b.room + 65536));
    came = fread(b.at + b.size, 1, b.room - b.size, in);
  }
  return b;
}

/* Bytes of the character at p, or 0 if it is no UTF-8: a decoder does not check names, but JSON has to be UTF-8. */
static size_t character(const uint8_t *p, size_t size) {
  const size_t length = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
  for (size_t i = 1; i < length; i++)
    if (i == size || (p[i] & 0xC0) != 0x80) return 0;
  const int bad = length > 2 && ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F));
  return bad ? 0 : length;
}

static void print_name(const uint8_t *p, size_t size) {
  putchar('"');
  for (size_t i = 0, length; i < size; i += length ? length : 1) {
    length = character(p + i, size - i);
    if (length == 0 || p[i] < 0x20) printf("\\u%04x", length ? p[i] : 0xFFFDu);
    else if (p[i] == '"' || p[i] == '\\') printf("\\%c", p[i]);
    else fwrite(p + i, 1, length, stdout);
  }
  putchar('"');
}

/* Weights as bytes, little-endian on every machine; null for a sum of which a weight is infinite as f16 (8.8.4). */
static void print_hash(const float *weights, uint64_t count, int halves, int sum) {
  uint8_t digest[32], piece[4096];
  size_t size = 0;
  lqa_sha256 hash;
  lqa_sha256_start(&hash);
  for (uint64_t i = 0; i < count; i++) {
    const uint32_t bits = halves ? lqa_to_f16(weights[i]) : lqa_bits(weights[i]);
    if (halves && sum && (bits & 0x7FFF) == 0x7C00) {
      fputs("null", stdout);
      return;
    }
    for (int k = 0; k < (halves ? 2 : 4); k++) piece[size++] = (uint8_t)(bits >> 8 * k);
    if (size < sizeof piece) continue;
    lqa_sha256_add(&hash, piece, size);
    size = 0;
  }
  lqa_sha256_add(&hash, piece, size);
  lqa_sha256_end(&hash, digest);
  putchar('"');
  for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
  putchar('"');
}

static void print_hashes(const lqa_decoder_module *m, float *const factors[2]) {
  for (int i = 0; i < 4; i++) {
    static const char *const before[] = {"{\"f32\":{\"b\":", ",\"a\":", "},\"f16\":{\"b\":", ",\"a\":"};
    fputs(before[i], stdout);
    print_hash(factors[i % 2], lqa_decoder_weights(m, i % 2), i >= 2, m->parent != 0 || (m->started && i % 2 == LQA_DECODER_A));
  }
  fputs("}}", stdout);
}

/* Decodes one module, and prints it if `print`. */
static int module(lqa_decoder *d, const lqa_decoder_module *m, uint64_t budget, int print) {
  const uint64_t b = lqa_decoder_weights(m, LQA_DECODER_B), a = lqa_decoder_weights(m, LQA_DECODER_A);
  const int decode = b <= budget / 4 && a <= budget / 4 - b && lqa_decoder_can(d, m);
  float *factors[2] = {0, 0};
  int failed = 0;
  if (decode) {
    void *const scratch = must(malloc((size_t)lqa_decoder_scratch(d, m)));
    factors[0] = must(malloc((size_t)(4 * b + 1)));
    factors[1] = must(malloc((size_t)(4 * a + 1)));
    for (int i = 0; i < 2 && !failed; i++) failed = lqa_decoder_decode(d, m, i, factors[i], scratch);
    free(scratch);
  }
  if (print && !failed) {
    printf("%s{\"name\":", m->next > 1 ? "," : "");
    print_name(m->name, m->name_length);
    printf(",\"out\":%u,\"inp\":%u,\"experts\":%u,\"rank\":%u,\"multiplier\":", m->out_size, m->in_size, m->experts, m->rank);
    if ((lqa_bits(m->multiplier) & 0x7F800000u) == 0x7F800000u) fputs("null", stdout);
    else printf("%.17g", (double)m->multiplier);
    fputs(",\"sha256\":", stdout);
    if (decode) print_hashes(m, factors);
    else fputs("null", stdout);
    putchar('}');
  }
  free(factors[0]);
  free(factors[1]);
  return failed;
}

/* Prints the document and returns the exit code. Decodes all twice: nothing is printed before it is known that nothing fails. */
static int answer(bytes data, uint64_t budget, const bytes *parents, int count) {
  static lqa_decoder files[MOST_PARENTS], file;
  static lqa_decoder_module m;
  int usable[MOST_PARENTS];
  int state = lqa_decoder_open(&file, data.at, data.size);
  for (int i = 0; i < count; i++) usable[i] = lqa_decoder_open(&files[i], parents[i].at, parents[i].size) == 0;
  for (int i = 0; i < count && state == 0; i++) {
    for (int k = 0; k < count && usable[i]; k++)
      if (k != i && usable[k] && !files[i].parent) lqa_decoder_set_parent(&files[i], &files[k]);
    if (usable[i] && !file.parent) lqa_decoder_set_parent(&file, &files[i]);
  }
  for (int print = 0; print < 2 && state == 0; print++) {
    if (print) fputs("{\"decoded\":true,\"modules\":[", stdout);
    for (lqa_decoder_begin(&file, &m); state == 0 && (state = lqa_decoder_next(&file, &m)) == 1;) state = module(&file, &m, budget, print);
  }
  if (state == 0) {
    fputs("]}", stdout);
    return 0;
  }
  printf("{\"decoded\":false,\"error\":{\"name\":\"%s\"}}", file.error);
  return strncmp(file.error, "UNSUPPORTED", 11) == 0 ? 3 : strstr(file.error, "LIMIT") ? 4 : 1;
}

/* The value of a member of a line, or 0; strings without escapes. */
static const char *member(const char *line, const char *name) {
  char key[32];
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *at = strstr(line, key);
  return at ? at + strlen(key) + (at[strlen(key)] == '"') : 0;
}

static bytes read_path(const char *path, size_t length) {
  char name[4096];
  snprintf(name, sizeof name, "%.*s", (int)length, path);
  FILE *const in = fopen(name, "rb");
  const bytes b = read_all(in);
  if (in) fclose(in);
  return b;
}

static void answer_line(const char *line) {
  bytes data = {0, 0, 0}, parents[MOST_PARENTS];
  int count = 0;
  const char *const hex = member(line, "hex"), *const path = member(line, "path"), *const budget = member(line, "budget");
  if (hex) {
    data.at = must(malloc(strlen(hex) / 2 + 1));
    for (unsigned byte; sscanf(hex + 2 * data.size, "%2x", &byte) == 1 && hex[2 * data.size] != '"';) data.at[data.size++] = (uint8_t)byte;
  } else if (path) {
    data = read_path(path, strcspn(path, "\""));
  }
  const char *at = member(line, "parents");
  while (at && *at != ']' && count < MOST_PARENTS) {
    at += strspn(at, "[,\"");
    if (*at == ']') break;
    const size_t length = strcspn(at, "\"");
    parents[count++] = read_path(at, length);
    at += length + 1;
  }
  printf("{\"seq\":%ld,\"document\":", strtol(member(line, "seq"), 0, 10));
  const int code = answer(data, budget ? strtoull(budget, 0, 10) : 536870912u, parents, count);
  printf(",\"exit\":%d}\n", code);
  fflush(stdout);
  free(data.at);
  while (count-- > 0) free(parents[count].at);
}

int main(int count, char **words) {
  uint64_t budget = 536870912u;
  bytes parents[MOST_PARENTS];
  int given = 0;
  for (int i = 1; i < count; i++) {
    if (!strcmp(words[i], "--lines")) {
      static char line[LINE];
      while (fgets(line, sizeof line, stdin)) {
        const char *const command = member(line, "cmd");
        if (!command || !strncmp(command, "stop", 4)) return 0;
        if (!strncmp(command, "start", 5)) puts("{\"protocol\":1,\"name\":\"lqa_decode.h\",\"version\":\"1.0\",\"language\":\"C99\"}");
        else if (!strncmp(command, "caps", 4)) puts("{\"levels\":[],\"operations\":[\"decode\"],\"without\":{}}");
        else answer_line(line);
        fflush(stdout);
      }
      return 0;
    }
    if (i + 1 < count && !strcmp(words[i], "--budget")) budget = strtoull(words[++i], 0, 10);
    else if (i + 1 < count && !strcmp(words[i], "--parent") && given < MOST_PARENTS) parents[given++] = read_path(words[i + 1], strlen(words[i + 1])), i++;
    else i++; /* --level: a decoder has none */
  }
  const bytes data = read_all(stdin);
  const int code = answer(data, budget, parents, given);
  putchar('\n');
  return code;
}
