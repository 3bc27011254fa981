/**
 * Reads MessagePack sections in their canonical form (spec clause 10.2): maps with sorted unique ASCII string keys, shortest
 * forms, no extension types, no float32, no NaN or Inf, valid UTF-8, bounded depth.
 *
 * One walk over the bytes, without recursion, checks them and builds the values. It uses no library: @msgpack/msgpack keeps
 * the last of two equal keys, repairs bad UTF-8, has no depth limit, and drops a leading U+FEFF from strings of more than 200
 * bytes. `meta-write.ts` writes sections.
 *
 * @module
 */

import { decodeUtf8, viewOf } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { META_BYTES, META_DEPTH } from "../../limits.ts";
import type { MetaValue } from "../../model/adapter.ts";

/** A key that sets the prototype of an object in some readers (spec 10.2). */
const PROTO = "__proto__";
const KEY = /^[ -~]{1,255}$/;

/** A map at the top of a section. */
export type MetaMap = { readonly [key: string]: MetaValue };

/** A container that the walk has entered. */
interface Open {
  readonly value: MetaValue[] | { [key: string]: MetaValue };
  /** Items that are left; for maps, pairs. */
  left: number;
  /** For maps: the key that waits for its value. */
  key: string | undefined;
  /** For maps: the last key. */
  lastKey: string;
}

/**
 * The map in a section, which has one canonical map and nothing else. Takes linear time. Byte strings are views on `bytes`.
 *
 * @param base position of the bytes in the file, for error offsets
 * @throws LqaError META_ENCODING, HARD_LIMIT (spec 10.2)
 */
export function decodeMeta(bytes: Uint8Array, base: number, where: string): MetaMap {
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

  const open: Open[] = [];
  let outermost: MetaMap | undefined;

  const text = (length: number): string => {
    const from = need(length);
    try {
      return decodeUtf8(bytes.subarray(from, from + length));
    } catch {
      return bad("valid UTF-8", from);
    }
  };
  const binary = (length: number): Uint8Array => {
    const from = need(length);
    return bytes.subarray(from, from + length);
  };
  const enter = (value: Open["value"], left: number, start: number): MetaValue => {
    if (open.length >= META_DEPTH.hard) bad(`at most ${META_DEPTH.hard} levels`, start);
    open.push({ value, left, key: undefined, lastKey: "" });
    return value;
  };

  do {
    const top = open[open.length - 1];
    if (top?.left === 0) {
      open.pop();
      continue;
    }
    const start = at;
    const tag = uint(1);
    if (top === undefined) {
      if (!((tag & 0xf0) === 0x80 || tag === 0xde || tag === 0xdf)) bad("a map", start);
      outermost = item(tag, start) as MetaMap;
    } else put(top, item(tag, start), start);
  } while (open.length > 0);
  if (at !== bytes.length) bad("the end of the section");
  return outermost!;

  /** The item behind a tag. For a container it is empty, and the walk has entered it. */
  function item(tag: number, start: number): MetaValue {
    const wide = (value: number, above: number): number =>
      value > above ? value : bad("the shortest form", start);
    if (tag <= 0x7f) return tag;
    if (tag >= 0xe0) return tag - 256;
    if (tag <= 0x8f) return enter({}, tag & 0x0f, start);
    if (tag <= 0x9f) return enter([], tag & 0x0f, start);
    if (tag <= 0xbf) return text(tag & 0x1f);
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return binary(uint(1));
      case 0xc5:
        return binary(wide(uint(2), 0xff));
      case 0xc6:
        return binary(wide(uint(4), 0xffff));
      case 0xcb: {
        const value = view.getFloat64(need(8));
        if (!Number.isFinite(value) || Number.isSafeInteger(value))
          bad("a finite number that is no integer", start);
        return value;
      }
      case 0xcc:
        return wide(uint(1), 0x7f);
      case 0xcd:
        return wide(uint(2), 0xff);
      case 0xce:
        return wide(uint(4), 0xffff);
      case 0xcf: {
        const value = view.getBigUint64(need(8));
        if (value <= 0xffffffffn || value > BigInt(Number.MAX_SAFE_INTEGER))
          bad("the shortest form, at most 2^53 - 1", start);
        return Number(value);
      }
      case 0xd0:
        return narrow(view.getInt8(need(1)), -32, start);
      case 0xd1:
        return narrow(view.getInt16(need(2)), -128, start);
      case 0xd2:
        return narrow(view.getInt32(need(4)), -32768, start);
      case 0xd3: {
        const value = view.getBigInt64(need(8));
        if (value >= -2147483648n || value < BigInt(Number.MIN_SAFE_INTEGER))
          bad("the shortest form, at least -(2^53 - 1)", start);
        return Number(value);
      }
      case 0xd9:
        return text(wide(uint(1), 31));
      case 0xda:
        return text(wide(uint(2), 0xff));
      case 0xdb:
        return text(wide(uint(4), 0xffff));
      case 0xdc:
        return enter([], wide(uint(2), 15), start);
      case 0xdd:
        return enter([], wide(uint(4), 0xffff), start);
      case 0xde:
        return enter({}, wide(uint(2), 15), start);
      case 0xdf:
        return enter({}, wide(uint(4), 0xffff), start);
      default:
        return bad("no extension type and no float32", start);
    }
  }

  function narrow(value: number, below: number, start: number): number {
    return value < below ? value : bad("the shortest form", start);
  }

  /** Puts an item into its container: as an element, a key, or the value of the last key. */
  function put(top: Open, value: MetaValue, start: number): void {
    if (Array.isArray(top.value)) {
      top.value.push(value);
      top.left--;
    } else if (top.key === undefined) {
      if (typeof value !== "string" || !KEY.test(value))
        throw bad("a key of 1 to 255 printable ASCII characters", start);
      if (value === PROTO) bad("keys that are safe on an object", start);
      if (value <= top.lastKey) bad("keys in ascending order, each once", start);
      top.key = top.lastKey = value;
    } else {
      top.value[top.key] = value;
      top.key = undefined;
      top.left--;
    }
  }
}
