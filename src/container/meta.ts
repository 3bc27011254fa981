/**
 * MessagePack sections in their one canonical form (spec clause 10.2): maps with sorted unique ASCII string keys,
 * shortest forms, no extension types, no float32, no NaN or Inf, valid UTF-8, bounded depth.
 *
 * @msgpack/msgpack parses; before it does, {@link checkCanonical} walks the bytes without recursion and accepts only
 * what the library would read unambiguously (it keeps the last of two equal keys, repairs bad UTF-8, has no depth
 * limit, and throws at a key `__proto__`). What writes is in `meta-write.ts`.
 *
 * @module
 */
import { decode } from "@msgpack/msgpack";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { META_BYTES, META_DEPTH } from "../limits.ts";
import type { MetaValue } from "../model/adapter.ts";
import { equalBytes } from "../model/bytes.ts";
import { viewOf } from "./bytes.ts";
import { compareBytes } from "./names.ts";

/** A key that sets the prototype of an object in some readers (spec 10.2). */
const PROTO: Uint8Array = new TextEncoder().encode("__proto__");

/** A map at the top of a section. */
export type MetaMap = { readonly [key: string]: MetaValue };

/**
 * The map in a section.
 *
 * @param base position of the bytes in the file, for error offsets
 * @throws LqaError META_ENCODING
 */
export function decodeMeta(bytes: Uint8Array, base: number, where: string): MetaMap {
  checkCanonical(bytes, base, where);
  return decode(bytes) as MetaMap;
}

/**
 * Checks that `bytes` is one canonical map and nothing else. Linear time, no recursion.
 *
 * @throws LqaError META_ENCODING, HARD_LIMIT
 */
export function checkCanonical(bytes: Uint8Array, base: number, where: string): void {
  if (bytes.length > META_BYTES.hard)
    fail(KIND.HARD_LIMIT, {
      where,
      offset: base,
      expected: `at most ${META_BYTES.hard} bytes`,
      actual: bytes.length,
    });
  const view = viewOf(bytes);
  let at = 0;
  const bad = (expected: string, position = at): never =>
    fail(KIND.META_ENCODING, { where, offset: base + position, expected });
  const need = (length: number): number => {
    if (length > bytes.length - at) bad(`${length} more bytes`);
    at += length;
    return at - length;
  };
  const uint = (size: 1 | 2 | 4): number => {
    const from = need(size);
    return size === 1 ? view.getUint8(from) : size === 2 ? view.getUint16(from) : view.getUint32(from);
  };
  const text = new TextDecoder("utf-8", { fatal: true });

  // Open containers: items left, and for maps the last key seen and whether a key comes next.
  const open: { left: number; map: boolean; keyNext: boolean; lastKey: Uint8Array | undefined }[] = [];
  const enter = (count: number, map: boolean, start: number): void => {
    if (open.length >= META_DEPTH.hard) bad(`at most ${META_DEPTH.hard} levels`, start);
    open.push({ left: count, map, keyNext: map, lastKey: undefined });
  };
  const string = (length: number): Uint8Array => {
    const from = need(length);
    const content = bytes.subarray(from, from + length);
    try {
      text.decode(content);
    } catch {
      bad("valid UTF-8", from);
    }
    return content;
  };

  for (let first = true; first || open.length > 0; first = false) {
    const top = open[open.length - 1];
    if (top !== undefined && top.left === 0) {
      open.pop();
      continue;
    }
    const start = at;
    const tag = uint(1);
    if (top === undefined && !((tag & 0xf0) === 0x80 || tag === 0xde || tag === 0xdf)) bad("a map", start);
    let key: Uint8Array | undefined;
    const wide = (value: number, above: number): number =>
      value > above ? value : bad("the shortest form", start);

    if (tag <= 0x7f || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) {
      // positive or negative fixint, nil, false, true
    } else if ((tag & 0xe0) === 0xa0) key = string(tag & 0x1f);
    else if ((tag & 0xf0) === 0x80) {
      consume(top, undefined, start);
      enter(tag & 0x0f, true, start);
      continue;
    } else if ((tag & 0xf0) === 0x90) {
      consume(top, undefined, start);
      enter(tag & 0x0f, false, start);
      continue;
    } else
      switch (tag) {
        case 0xc4:
          need(uint(1));
          break;
        case 0xc5:
          need(wide(uint(2), 0xff));
          break;
        case 0xc6:
          need(wide(uint(4), 0xffff));
          break;
        case 0xcb: {
          const value = view.getFloat64(need(8));
          if (!Number.isFinite(value) || Number.isSafeInteger(value))
            bad("a finite number that is no integer", start);
          break;
        }
        case 0xcc:
          wide(uint(1), 0x7f);
          break;
        case 0xcd:
          wide(uint(2), 0xff);
          break;
        case 0xce:
          wide(uint(4), 0xffff);
          break;
        case 0xcf: {
          const value = view.getBigUint64(need(8));
          if (value <= 0xffffffffn || value > BigInt(Number.MAX_SAFE_INTEGER))
            bad("the shortest form, at most 2^53 - 1", start);
          break;
        }
        case 0xd0:
          if (view.getInt8(need(1)) >= -32) bad("the shortest form", start);
          break;
        case 0xd1:
          if (view.getInt16(need(2)) >= -128) bad("the shortest form", start);
          break;
        case 0xd2:
          if (view.getInt32(need(4)) >= -32768) bad("the shortest form", start);
          break;
        case 0xd3: {
          const value = view.getBigInt64(need(8));
          if (value >= -2147483648n || value < BigInt(Number.MIN_SAFE_INTEGER))
            bad("the shortest form, at least -(2^53 - 1)", start);
          break;
        }
        case 0xd9:
          key = string(wide(uint(1), 31));
          break;
        case 0xda:
          string(wide(uint(2), 0xff));
          break;
        case 0xdb:
          string(wide(uint(4), 0xffff));
          break;
        case 0xdc:
        case 0xdd: {
          const count = tag === 0xdc ? wide(uint(2), 15) : wide(uint(4), 0xffff);
          consume(top, undefined, start);
          enter(count, false, start);
          continue;
        }
        case 0xde:
        case 0xdf: {
          const count = tag === 0xde ? wide(uint(2), 15) : wide(uint(4), 0xffff);
          consume(top, undefined, start);
          enter(count, true, start);
          continue;
        }
        default:
          bad("no extension type and no float32", start);
      }
    consume(top, key, start);
  }
  if (at !== bytes.length) bad("the end of the section");

  function consume(top: (typeof open)[number] | undefined, key: Uint8Array | undefined, start: number): void {
    if (top === undefined) return;
    if (!top.map) {
      top.left--;
    } else if (top.keyNext) {
      if (key === undefined || key.length === 0 || key.some((c) => c < 0x20 || c > 0x7e))
        bad("a key of 1 to 255 printable ASCII characters", start);
      if (equalBytes(key!, PROTO)) bad("keys that are safe on an object", start);
      if (top.lastKey !== undefined && compareBytes(top.lastKey, key!) >= 0)
        bad("keys in ascending order, each once", start);
      top.lastKey = key;
      top.keyNext = false;
    } else {
      top.keyNext = true;
      top.left--;
    }
  }
}
