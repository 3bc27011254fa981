/**
 * Names: their encoding, their natural order, and front coding (spec clauses 3.3 and 6.10).
 *
 * @module
 */

import { decodeUtf8 } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type LimitSet, NAME_BYTES, NAMES_TOTAL_BYTES } from "../../limits.ts";
import { checkLimit } from "./prologue.ts";

const encoder = new TextEncoder();

/** C0, DEL and C1 controls. */
const CONTROL = /\p{Cc}/u;

/** Longest shared prefix that a record can state, in 8 bits. */
const MAX_SHARED = 255;

const ZERO = 0x30;
const isDigit = (byte: number): boolean => byte >= ZERO && byte <= 0x39;

// Kinds of the run of digits at the end of some bytes: none, only zeros, or a number above 0.
const NO_NUMBER = 0;
const ZEROS = 1;
const NUMBER = 2;

/**
 * Natural order of two names in UTF-8. Runs of ASCII digits compare as numbers, everything else bytewise; names that are equal
 * by this rule (`01` and `1`) compare bytewise. Takes linear time for any number of digits.
 *
 * @returns a negative number if `x` comes first, a positive one if `y` does, 0 if they are equal
 */
export function compareNames(x: Uint8Array, y: Uint8Array): number {
  const both = new Uint8Array(x.length + y.length);
  both.set(x);
  both.set(y, x.length);
  return orderFrom(both, 0, x.length, x.length, both.length, 0, NO_NUMBER);
}

/**
 * As {@link compareNames}, for two names in one array, `from` … `end` and `other` … `otherEnd`.
 *
 * @param shared number of bytes with which both begin; they are not read again
 * @param run kind of the run of digits with which the shared bytes end
 */
function orderFrom(
  bytes: Uint8Array,
  from: number,
  end: number,
  other: number,
  otherEnd: number,
  shared: number,
  run: number,
): number {
  const [own, others] = [from + shared, other + shared];
  let [i, j] = [own, others];
  let number = run;
  while (number !== NO_NUMBER || (i < end && j < otherEnd)) {
    const x = bytes[i]!;
    const y = bytes[j]!;
    if (number !== NO_NUMBER || (isDigit(x) && isDigit(y))) {
      // Skip leading zeros on both sides. A number that is 0 then has no digits left.
      if (number !== NUMBER) {
        while (i < end && bytes[i] === ZERO) i++;
        while (j < otherEnd && bytes[j] === ZERO) j++;
      }
      number = NO_NUMBER;
      let difference = 0;
      for (;;) {
        const more = i < end && isDigit(bytes[i]!);
        if (more !== (j < otherEnd && isDigit(bytes[j]!))) return more ? 1 : -1;
        if (!more) break;
        difference ||= bytes[i]! - bytes[j]!;
        i++;
        j++;
      }
      if (difference !== 0) return difference;
    } else {
      if (x !== y) return x - y;
      i++;
      j++;
    }
  }
  const rest = end - i - (otherEnd - j);
  return rest !== 0 ? rest : compareBytes(bytes.subarray(own, end), bytes.subarray(others, otherEnd));
}

/** Bytewise order; a prefix comes first. Returns a negative number, 0, or a positive number. */
export function compareBytes(x: Uint8Array, y: Uint8Array): number {
  const shared = sharedPrefix(x, y, x.length);
  return (x[shared] ?? -1) - (y[shared] ?? -1);
}

/** Number of bytes that `x` and `y` have in common at the start, at most `limit`. */
export function sharedPrefix(x: Uint8Array, y: Uint8Array, limit: number = MAX_SHARED): number {
  const end = Math.min(x.length, y.length, limit);
  let n = 0;
  while (n < end && x[n] === y[n]) n++;
  return n;
}

/**
 * UTF-8 of a name.
 *
 * @throws LqaError NAME_ENCODING if it is not 1 to 512 bytes, or has control characters or lone surrogates
 */
export function encodeName(name: string, where: string): Uint8Array {
  const bytes = encoder.encode(name);
  if (decodeName(bytes, undefined, where) !== name)
    fail(KIND.NAME_ENCODING, { where, expected: "well-formed Unicode", actual: JSON.stringify(name) });
  return bytes;
}

/** The name in `bytes`. @throws LqaError NAME_ENCODING */
export function decodeName(bytes: Uint8Array, offset: number | undefined, where: string): string {
  if (bytes.length < 1 || bytes.length > NAME_BYTES.hard) badLength(bytes.length, offset, where);
  let name: string;
  try {
    name = decodeUtf8(bytes);
  } catch {
    fail(KIND.NAME_ENCODING, { where, offset, expected: "valid UTF-8" });
  }
  const control = CONTROL.exec(name);
  if (control !== null)
    fail(KIND.NAME_ENCODING, {
      where,
      offset,
      expected: "no control characters",
      actual: `U+${control[0].charCodeAt(0).toString(16).padStart(4, "0")}`,
    });
  return name;
}

/** Smallest code point of one to four bytes that is not a control character. */
const SMALLEST = [0x20, 0xa0, 0x800, 0x10000];

/**
 * The code point that begins at `at` and ends before `end`; −1 if it is not valid, or a control character. {@link decodeName}
 * reports what is wrong.
 */
function characterAt(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!;
  const more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  let character = more === 0 ? lead : lead & (0x3f >> more);
  for (let i = at + 1; i <= at + more; i++) {
    if (i >= end || (bytes[i]! & 0xc0) !== 0x80) return -1;
    character = (character << 6) | (bytes[i]! & 0x3f);
  }
  const surrogate = character >>> 11 === 0x1b;
  const whole = (lead < 0x80 || lead >= 0xc0) && lead < 0xf8 && character >= SMALLEST[more]!;
  return whole && !surrogate && character !== 0x7f && character <= 0x10ffff ? character : -1;
}

function badLength(actual: number, offset: number | undefined, where: string): never {
  return fail(KIND.NAME_ENCODING, { where, offset, expected: `1 to ${NAME_BYTES.hard} bytes`, actual });
}

/** A front-coded name: number of bytes shared with the name before, and number of its own bytes in the heap. */
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
   * The next name.
   *
   * @param shared number of bytes that it shares with the name before
   * @param suffix number of its own bytes in the heap
   * @param kind kind of the record, for errors
   * @param number number of the record, for errors
   * @param offset position of the record in the file
   * @throws LqaError NAME_HEAP, NAME_ENCODING, HARD_LIMIT, CORE_LIMIT
   */
  next(shared: number, suffix: number, kind: "module" | "tensor", number: number, offset: number): string;
  /** Natural order of the last but one name and the last one, as {@link compareNames}. */
  readonly order: number;
  /** Starts a new sorted list: the next name shares nothing. */
  restart(): void;
  /** Position of the first record that shares fewer bytes with the name before than it could; undefined if none does. */
  readonly noncanonical: number | undefined;
  /** Checks that the heap is used up. @throws LqaError NAME_HEAP */
  finish(): void;
}

/** Shared prefixes below this length are copied at once: that costs less than keeping their parts. */
const COPIED = 32;

/**
 * Makes texts that begin like the one before. It does not copy long shared prefixes: the engine keeps both parts, and joins them
 * when a name is used.
 */
function prefixes(): { next(shared: number, own: string): string } {
  /** Prefixes of the last text, each longer than the one before; and the part that each adds to the one before. */
  const wholes = [""];
  const parts = [""];
  let last = 0;
  return {
    next(shared, own) {
      if (shared < COPIED) {
        const whole = wholes[last]!.slice(0, shared) + own;
        last = 1;
        parts[1] = wholes[1] = whole;
        return whole;
      }
      let part = "";
      while (wholes[last]!.length > shared) part = parts[last--]!;
      let whole = wholes[last]!;
      if (whole.length < shared) {
        parts[++last] = part.slice(0, shared - whole.length);
        wholes[last] = whole += parts[last]!;
      }
      parts[++last] = own;
      wholes[last] = whole += own;
      return whole;
    },
  };
}

/**
 * A reader of names. Time is linear in the heap: it copies the bytes that a name shares with the one before, but does not check
 * them again.
 *
 * @param base position of the heap in the file
 * @param limits the column of clause 14 that bounds all names together
 */
export function nameReader(heap: Uint8Array, base: number, limits: LimitSet): NameReader {
  /** The heap as text, if all of it is printable ASCII: then every name is, too. */
  const text = heap.some((byte) => byte < 0x20 || byte > 0x7e) ? undefined : decodeUtf8(heap);
  /** The last two names, one from byte 0 on, the other from the length limit on. */
  const room = new Uint8Array(2 * NAME_BYTES.hard);
  let at = 0;
  let total = 0;
  let start = 0;
  let length = 0;
  const made = prefixes();
  let order = 0;
  let noncanonical: number | undefined;
  /** For each prefix of the last name: kind of the run of digits at its end; and its UTF-16 units, where a character begins. */
  const runs = new Uint8Array(NAME_BYTES.hard + 1);
  const units = new Uint16Array(NAME_BYTES.hard + 1);
  /** The name at `from` … `end`, which shares bytes with the last one; undefined if it is not valid. */
  const decode = (from: number, end: number, shared: number): string | undefined => {
    let at = from + shared;
    // Go back to the start of the character in which the shared bytes end.
    while (at > from && (room[at - 1]! & 0xc0) === 0x80) at--;
    if (at > from && room[at - 1]! >= 0xc0) at--;
    const before = units[at - from]!;
    let count = before;
    let own = "";
    while (at < end) {
      const character = characterAt(room, at, end);
      if (character < 0) return undefined;
      own += String.fromCodePoint(character);
      count += character < 0x10000 ? 1 : 2;
      at += character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
      units[at - from] = count;
    }
    return made.next(before, own);
  };
  return {
    get noncanonical() {
      return noncanonical;
    },
    get order() {
      return order;
    },
    next(shared, suffix, kind, number, offset) {
      const fault = (): { where: string; offset: number } => ({ where: `${kind} ${number}`, offset });
      if (shared > length || suffix > heap.length - at)
        fail(KIND.NAME_HEAP, {
          ...fault(),
          expected: `at most ${length} shared and ${heap.length - at} own bytes`,
          actual: `${shared} and ${suffix}`,
        });
      const whole = shared + suffix;
      total += whole;
      if (total > NAMES_TOTAL_BYTES[limits]) checkLimit(total, NAMES_TOTAL_BYTES, { ...fault(), limits });
      if (whole < 1 || whole > NAME_BYTES.hard) badLength(whole, offset, fault().where);
      const other = NAME_BYTES.hard - start;
      room.copyWithin(other, start, start + shared);
      let run = runs[shared]!;
      for (let i = shared; i < whole; ) {
        const byte = heap[at + i - shared]!;
        room[other + i] = byte;
        if (!isDigit(byte)) run = NO_NUMBER;
        else if (byte !== ZERO) run = NUMBER;
        else run ||= ZEROS;
        runs[++i] = run;
      }
      if (shared < Math.min(length, whole, MAX_SHARED) && room[start + shared] === room[other + shared])
        noncanonical ??= offset;
      order = orderFrom(room, start, start + length, other, other + whole, shared, runs[shared]!);
      const name =
        text === undefined
          ? (decode(other, other + whole, shared) ??
            decodeName(room.subarray(other, other + whole), offset, fault().where))
          : made.next(shared, text.slice(at, at + suffix));
      at += suffix;
      start = other;
      length = whole;
      return name;
    },
    restart() {
      length = 0;
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
 * Sorts items by natural order of their names, then by `rank`. Also returns their names as UTF-8, in the same order.
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
