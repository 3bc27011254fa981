/**
 * Names: what a name may be, their natural order, and front coding (spec clauses 3.3 and 6.10).
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type LimitSet, NAME_BYTES, NAMES_TOTAL_BYTES } from "../limits.ts";
import { decodeUtf8 } from "../model/bytes.ts";
import { checkLimit } from "./prologue.ts";

const encoder = new TextEncoder();

/** Longest prefix that can be shared: the field has 8 bits. */
const MAX_SHARED = 255;

/** Whether there is a digit at `i`; behind the end there is none. */
const isDigit = (bytes: Uint8Array, i: number): boolean => bytes[i]! >= 0x30 && bytes[i]! <= 0x39;

/**
 * Natural order of two names given as UTF-8: runs of ASCII digits compare as numbers, everything else bytewise; names
 * that are equal so far (`01` and `1`) compare bytewise. Negative, zero or positive. Linear time, any digit count.
 */
export function compareNames(x: Uint8Array, y: Uint8Array): number {
  let i = 0;
  let j = 0;
  while (i < x.length && j < y.length) {
    if (isDigit(x, i) && isDigit(y, j)) {
      while (x[i] === 0x30 && isDigit(x, i + 1)) i++;
      while (y[j] === 0x30 && isDigit(y, j + 1)) j++;
      let difference = 0;
      for (;;) {
        const more = isDigit(x, i);
        if (more !== isDigit(y, j)) return more ? 1 : -1;
        if (!more) break;
        difference ||= x[i]! - y[j]!;
        i++;
        j++;
      }
      if (difference !== 0) return difference;
    } else {
      if (x[i] !== y[j]) return x[i]! - y[j]!;
      i++;
      j++;
    }
  }
  const rest = x.length - i - (y.length - j);
  return rest !== 0 ? rest : compareBytes(x, y);
}

/** Bytewise; a prefix comes first. Negative, zero or positive. */
export function compareBytes(x: Uint8Array, y: Uint8Array): number {
  const shared = sharedPrefix(x, y, x.length);
  return (x[shared] ?? -1) - (y[shared] ?? -1);
}

/** Bytes `x` and `y` have in common at the start, at most `limit`. */
export function sharedPrefix(x: Uint8Array, y: Uint8Array, limit: number = MAX_SHARED): number {
  const end = Math.min(x.length, y.length, limit);
  let n = 0;
  while (n < end && x[n] === y[n]) n++;
  return n;
}

/**
 * UTF-8 of a name.
 *
 * @throws LqaError NAME_ENCODING if it is not 1 to 512 bytes, has control characters or lone surrogates
 */
export function encodeName(name: string, where: string): Uint8Array {
  const bytes = encoder.encode(name);
  if (decodeName(bytes, undefined, where) !== name)
    fail(KIND.NAME_ENCODING, { where, expected: "well-formed Unicode", actual: JSON.stringify(name) });
  return bytes;
}

/** The name in `bytes`. @throws LqaError NAME_ENCODING */
export function decodeName(bytes: Uint8Array, offset: number | undefined, where: string): string {
  if (bytes.length < 1 || bytes.length > NAME_BYTES.hard)
    fail(KIND.NAME_ENCODING, {
      where,
      offset,
      expected: `1 to ${NAME_BYTES.hard} bytes`,
      actual: bytes.length,
    });
  let name: string;
  try {
    name = decodeUtf8(bytes);
  } catch {
    fail(KIND.NAME_ENCODING, { where, offset, expected: "valid UTF-8" });
  }
  // C0, DEL and C1 controls
  for (const character of name) {
    const unit = character.charCodeAt(0);
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f))
      fail(KIND.NAME_ENCODING, {
        where,
        offset,
        expected: "no control characters",
        actual: `U+${unit.toString(16).padStart(4, "0")}`,
      });
  }
  return name;
}

/** A front-coded name: bytes shared with the name before, and how many follow in the heap. */
export interface FrontCoded {
  readonly nameShared: number;
  readonly nameSuffix: number;
}

/** Front-codes sorted names; appends their suffixes to `heap`. */
export function frontCode(names: readonly Uint8Array[], heap: Uint8Array[]): FrontCoded[] {
  let previous: Uint8Array = new Uint8Array(0);
  return names.map((name) => {
    const nameShared = sharedPrefix(previous, name);
    previous = name;
    heap.push(name.subarray(nameShared));
    return { nameShared, nameSuffix: name.length - nameShared };
  });
}

/** Expands front-coded names one after the other from a heap, bounded in total. */
export interface NameReader {
  /**
   * The next name. @throws LqaError NAME_HEAP, NAME_ENCODING, HARD_LIMIT, CORE_LIMIT
   *
   * @param offset position of the record in the file
   */
  next(record: FrontCoded, where: string, offset: number): { bytes: Uint8Array; name: string };
  /** Starts a new sorted list: the next name shares nothing. */
  restart(): void;
  /** Position of the first record whose name shares less with the one before than it could; `undefined` if none does. */
  readonly noncanonical: number | undefined;
  /** @throws LqaError NAME_HEAP unless the heap is used up. */
  finish(): void;
}

/**
 * @param base position of the heap in the file
 * @param limits the column of clause 14 that bounds all names together
 */
export function nameReader(heap: Uint8Array, base: number, limits: LimitSet): NameReader {
  let at = 0;
  let total = 0;
  let previous: Uint8Array = new Uint8Array(0);
  let noncanonical: number | undefined;
  return {
    get noncanonical() {
      return noncanonical;
    },
    next({ nameShared, nameSuffix }, where, offset) {
      if (nameShared > previous.length || nameSuffix > heap.length - at)
        fail(KIND.NAME_HEAP, {
          where,
          offset,
          expected: `at most ${previous.length} shared and ${heap.length - at} own bytes`,
          actual: `${nameShared} and ${nameSuffix}`,
        });
      const length = nameShared + nameSuffix;
      total += length;
      checkLimit(total, NAMES_TOTAL_BYTES, { where, offset, limits });
      const bytes = new Uint8Array(length);
      bytes.set(previous.subarray(0, nameShared));
      bytes.set(heap.subarray(at, at + nameSuffix), nameShared);
      at += nameSuffix;
      if (sharedPrefix(previous, bytes) !== nameShared) noncanonical ??= offset;
      previous = bytes;
      return { bytes, name: decodeName(bytes, offset, where) };
    },
    restart() {
      previous = new Uint8Array(0);
    },
    finish() {
      if (at !== heap.length)
        fail(KIND.NAME_HEAP, {
          where: "names",
          offset: base + at,
          expected: `${at} bytes`,
          actual: heap.length,
        });
    },
  };
}

/**
 * Items in natural order of their names, then by `rank`; with the names as UTF-8.
 *
 * @throws LqaError NAME_ENCODING
 */
export function sortByName<T>(
  items: readonly T[],
  name: (item: T) => string,
  rank: (item: T) => number,
  kind: string,
): { items: T[]; utf8: Uint8Array[] } {
  const keyed = items.map((item) => ({
    item,
    utf8: encodeName(name(item), `${kind} "${name(item)}"`),
    rank: rank(item),
  }));
  keyed.sort((x, y) => compareNames(x.utf8, y.utf8) || x.rank - y.rank);
  return { items: keyed.map((k) => k.item), utf8: keyed.map((k) => k.utf8) };
}
