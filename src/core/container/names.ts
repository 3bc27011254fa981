/**
 * Names: what a name may be, their natural order, and front coding (spec clauses 3.3 and 6.10).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type LimitSet, NAME_BYTES, NAMES_TOTAL_BYTES } from "../../limits.ts";
import { decodeUtf8 } from "../../model/bytes.ts";
import { checkLimit } from "./prologue.ts";

const encoder = new TextEncoder();

/** C0, DEL and C1 controls. */
const CONTROL = /\p{Cc}/u;

/** Longest prefix that can be shared: the field has 8 bits. */
const MAX_SHARED = 255;

const ZERO = 0x30;
const isDigit = (byte: number): boolean => byte >= ZERO && byte <= 0x39;

/** The run of digits that ends a stretch: there is none, or only zeros, or a number above 0. */
const NO_NUMBER = 0;
const ZEROS = 1;
const NUMBER = 2;

/**
 * Natural order of two names given as UTF-8: runs of ASCII digits compare as numbers, everything else bytewise; names
 * that are equal so far (`01` and `1`) compare bytewise. Negative, zero or positive. Linear time, any digit count.
 */
export function compareNames(x: Uint8Array, y: Uint8Array): number {
  const both = new Uint8Array(x.length + y.length);
  both.set(x);
  both.set(y, x.length);
  return orderFrom(both, 0, x.length, x.length, both.length, 0, NO_NUMBER);
}

/**
 * {@link compareNames} of two names in one array, `from` … `end` and `other` … `otherEnd`.
 *
 * @param shared bytes they begin with both, which are not looked at again
 * @param run of digits that those end with
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
      // Both have a digit, so a number of nothing but zeros is one of no digits.
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

/** Smallest character of one to four bytes that is not a control. */
const SMALLEST = [0x20, 0xa0, 0x800, 0x10000];

/**
 * The character that begins at `at`, valid and within `end`; −1 if there is none or it is a control. It says no more of what is
 * wrong: see {@link decodeName}.
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
   * @param shared bytes it begins with as the name before it
   * @param suffix bytes that follow in the heap
   * @param kind of record, and its number, for errors
   * @param offset position of the record in the file
   */
  next(shared: number, suffix: number, kind: "module" | "tensor", number: number, offset: number): string;
  /** Natural order of the name before the last one, and the last one: negative, zero or positive. */
  readonly order: number;
  /** Starts a new sorted list: the next name shares nothing. */
  restart(): void;
  /** Position of the first record whose name shares less with the one before than it could; `undefined` if none does. */
  readonly noncanonical: number | undefined;
  /** @throws LqaError NAME_HEAP unless the heap is used up. */
  finish(): void;
}

/** What is shorter is copied at once: that costs less than to keep its parts. */
const COPIED = 32;

/** Makes texts that begin as the one before. What they share is never copied: the engine joins both parts where a name is used. */
function prefixes(): { next(shared: number, own: string): string } {
  /** Beginnings of the last text, each longer than the one before it, and what each has that the one before it lacks. */
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
 * Time is linear in the heap: what a name shares with the one before it is copied, and not looked at again.
 *
 * @param base position of the heap in the file
 * @param limits the column of clause 14 that bounds all names together
 */
export function nameReader(heap: Uint8Array, base: number, limits: LimitSet): NameReader {
  /** The heap as text, if every byte of it is a printable ASCII character: then so is every name. */
  const text = heap.some((byte) => byte < 0x20 || byte > 0x7e) ? undefined : decodeUtf8(heap);
  /** The last two names, at 0 and at the length limit. */
  const room = new Uint8Array(2 * NAME_BYTES.hard);
  let at = 0;
  let total = 0;
  let start = 0;
  let length = 0;
  const made = prefixes();
  let order = 0;
  let noncanonical: number | undefined;
  /** Of each length of the last name: the run of digits that ends it; UTF-16 units, where a character begins. */
  const runs = new Uint8Array(NAME_BYTES.hard + 1);
  const units = new Uint16Array(NAME_BYTES.hard + 1);
  /** The name at `from` … `end`, which shares bytes with the last one; `undefined` if it is none. */
  const decode = (from: number, end: number, shared: number): string | undefined => {
    let at = from + shared;
    // A character that what is shared ends with, or ends within.
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
