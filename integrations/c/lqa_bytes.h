/* SPDX-License-Identifier: CC0-1.0
 *
 * lqa_bytes.h: what the .c files beside it know of each other. Not an interface. */
#ifndef LQA_BYTES_H
#define LQA_BYTES_H

#include "lqa_decode.h"

struct lqa_file;
struct lqa_module;
/* The parent's module of a module: 1, or 0 if it is not there. */
int lqa_parent_module(const struct lqa_file *f, const struct lqa_module *m, struct lqa_module *parent);

extern const uint32_t lqa_crc32_tables[8][256]; /* table k: the CRC-32 of a byte with k zero bytes behind it */

#endif
