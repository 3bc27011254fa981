/**
 * MessagePack sections in their one canonical form (spec clause 10.2): maps with sorted unique ASCII string keys,
 * shortest forms, no extension types, no float32, no NaN or Inf, valid UTF-8, bounded depth.
 *
 * @msgpack/msgpack writes (`meta-write.ts`). What reads is here: one walk over the bytes, without recursion, that accepts the
 * canonical form alone (the library keeps the last of two equal keys, repairs bad UTF-8, has no depth limit, and throws at a key
 * `__proto__`; and in browsers it weighs a twelfth of a reader).
 *
 * @module
 */
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
  return walk(bytes, base, where, true)!;
}

/**
 * Checks that `bytes` is one canonical map and nothing else. Linear time, no recursion, and no memory for its values.
 *
 * @throws LqaError META_ENCODING, HARD_LIMIT
 */
export function checkCanonical(bytes: Uint8Array, base: number, where: string): void {
  walk(bytes, base, where, false);
}

/** A map or an array that has begun: items left, and of maps the last key and whether a key comes next. */
interface Open {
  left: number;
  keyNext: boolean;
  lastKey: Uint8Array | undefined;
  /** The key whose value comes next. */
  name: string;
  readonly map: boolean;
  /** Where its items go, if values are asked for. */
  readonly into: MetaValue[] | { [key: string]: MetaValue } | undefined;
}

function walk(bytes: Uint8Array, base: number, where: string, values: boolean): MetaMap | undefined {
  if (bytes.length > META_BYTES.hard)
    fail("HARD_LIMIT", {
      where,
      offset: base,
      expected: `at most ${META_BYTES.hard} bytes`,
      actual: bytes.length,
    });
  const view = viewOf(bytes);
  let at = 0;
  const bad = (expected: string, position = at): never =>
    fail("META_ENCODING", { where, offset: base + position, expected });
  const need = (length: number): number => {
    if (length > bytes.length - at) bad(`${length} more bytes`);
    at += length;
    return at - length;
  };
  const uint = (size: 1 | 2 | 4): number => {
    const from = need(size);
    return size === 1 ? view.getUint8(from) : size === 2 ? view.getUint16(from) : view.getUint32(from);
  };
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  const open: Open[] = [];
  let whole: MetaMap | undefined;
  const enter = (top: Open | undefined, count: number, map: boolean, start: number): void => {
    const into = values ? (map ? {} : []) : undefined;
    if (top === undefined) whole = into as MetaMap | undefined;
    else consume(top, into, undefined, start);
    if (open.length >= META_DEPTH.hard) bad(`at most ${META_DEPTH.hard} levels`, start);
    open.push({ left: count, map, keyNext: map, lastKey: undefined, name: "", into });
  };
  let key: Uint8Array | undefined;
  const string = (length: number): string => {
    const from = need(length);
    key = bytes.subarray(from, from + length);
    try {
      return text.decode(key);
    } catch {
      return bad("valid UTF-8", from);
    }
  };
  const binary = (length: number): Uint8Array => {
    const from = need(length);
    return bytes.subarray(from, from + length);
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
    key = undefined;
    const wide = (value: number, above: number): number =>
      value > above ? value : bad("the shortest form", start);
    const small = (value: number, above: number): number =>
      value < above ? value : bad("the shortest form", start);

    let value: MetaValue;
    if (tag <= 0x7f) value = tag;
    else if (tag >= 0xe0) value = tag - 0x100;
    else if (tag <= 0x9f) {
      enter(top, tag & 0x0f, tag < 0x90, start);
      continue;
    } else if (tag <= 0xbf) value = string(tag & 0x1f);
    else
      switch (tag) {
        case 0xc0:
          value = null;
          break;
        case 0xc2:
        case 0xc3:
          value = tag === 0xc3;
          break;
        case 0xc4:
          value = binary(uint(1));
          break;
        case 0xc5:
          value = binary(wide(uint(2), 0xff));
          break;
        case 0xc6:
          value = binary(wide(uint(4), 0xffff));
          break;
        case 0xcb:
          value = view.getFloat64(need(8));
          if (!Number.isFinite(value) || Number.isSafeInteger(value))
            bad("a finite number that is no integer", start);
          break;
        case 0xcc:
          value = wide(uint(1), 0x7f);
          break;
        case 0xcd:
          value = wide(uint(2), 0xff);
          break;
        case 0xce:
          value = wide(uint(4), 0xffff);
          break;
        case 0xcf: {
          const wanted = view.getBigUint64(need(8));
          if (wanted <= 0xffffffffn || wanted > BigInt(Number.MAX_SAFE_INTEGER))
            bad("the shortest form, at most 2^53 - 1", start);
          value = Number(wanted);
          break;
        }
        case 0xd0:
          value = small(view.getInt8(need(1)), -32);
          break;
        case 0xd1:
          value = small(view.getInt16(need(2)), -128);
          break;
        case 0xd2:
          value = small(view.getInt32(need(4)), -32768);
          break;
        case 0xd3: {
          const wanted = view.getBigInt64(need(8));
          if (wanted >= -2147483648n || wanted < BigInt(Number.MIN_SAFE_INTEGER))
            bad("the shortest form, at least -(2^53 - 1)", start);
          value = Number(wanted);
          break;
        }
        case 0xd9:
          value = string(wide(uint(1), 31));
          break;
        case 0xda:
          value = string(wide(uint(2), 0xff));
          key = undefined;
          break;
        case 0xdb:
          value = string(wide(uint(4), 0xffff));
          key = undefined;
          break;
        case 0xdc:
        case 0xdd:
        case 0xde:
        case 0xdf:
          enter(top, (tag & 1) === 0 ? wide(uint(2), 15) : wide(uint(4), 0xffff), tag >= 0xde, start);
          continue;
        default:
          value = bad("no extension type and no float32", start);
      }
    // At the top is a map.
    consume(top!, value, key, start);
  }
  if (at !== bytes.length) bad("the end of the section");
  return whole;

  function consume(
    top: Open,
    value: MetaValue | undefined,
    key: Uint8Array | undefined,
    start: number,
  ): void {
    const { into } = top;
    if (!top.map) {
      top.left--;
      if (values) (into as MetaValue[]).push(value!);
    } else if (top.keyNext) {
      if (key === undefined || key.length === 0 || key.some((c) => c < 0x20 || c > 0x7e))
        bad("a key of 1 to 255 printable ASCII characters", start);
      if (equalBytes(key!, PROTO)) bad("keys that are safe on an object", start);
      if (top.lastKey !== undefined && compareBytes(top.lastKey, key!) >= 0)
        bad("keys in ascending order, each once", start);
      top.lastKey = key;
      top.name = value as string;
      top.keyNext = false;
    } else {
      top.keyNext = true;
      top.left--;
      if (values) (into as { [key: string]: MetaValue })[top.name] = value!;
    }
  }
}
