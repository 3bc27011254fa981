import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compareNames,
  decodeName,
  encodeName,
  frontCode,
  nameReader,
  sortByName,
} from "../../src/core/container/names.ts";
import { isLqaError, type LimitSet } from "../../src/core/index.ts";
import { concat } from "./fixtures.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const compare = (x: string, y: string): number => Math.sign(compareNames(utf8(x), utf8(y)));
/** Strings rich in digits, so that numbers meet. */
const name = fc.string({
  unit: fc.constantFrom("0", "1", "2", "9", "a", "b", ".", "é", "/", ":"),
  minLength: 0,
  maxLength: 8,
});

describe("natural order", () => {
  test.each([
    ["layers.2.q", "layers.10.q", -1],
    ["a", "b", -1],
    ["a", "a", 0],
    ["a1", "a01", 1], // equal as numbers, then bytewise: '0' < '1'
    ["a01b", "a1a", 1], // numbers equal, what follows decides
    ["a1", "a1b", -1],
    ["10", "9", 1],
    ["99999999999999999999", "100000000000000000000", -1],
    ["a", "é", -1],
    ["a/", "a0", -1],
    ["a:", "a0", 1],
  ])("%s against %s", (x, y, expected) => expect(compare(x, y)).toBe(expected));

  test("it is a total order", () => {
    fc.assert(
      fc.property(name, name, name, (x, y, z) => {
        expect(compare(x, y)).toBe(0 - compare(y, x));
        expect(compare(x, y) === 0).toBe(x === y);
        if (compare(x, y) <= 0 && compare(y, z) <= 0) expect(compare(x, z)).toBeLessThanOrEqual(0);
      }),
      { numRuns: 5000 },
    );
  });
});

test("items are sorted by name, then by rank, and their names come along", () => {
  const items = ["b 2", "a10 1", "b 0", "a9 5", "b 1"];
  const { items: sorted, utf8: names } = sortByName(
    items,
    (item) => item.split(" ")[0]!,
    (item) => Number(item.split(" ")[1]),
    "tensor",
  );
  expect(sorted).toEqual(["a9 5", "a10 1", "b 0", "b 1", "b 2"]);
  expect(names.map((bytes) => new TextDecoder().decode(bytes))).toEqual(["a9", "a10", "b", "b", "b"]);
  expect(() => sortByName(["\t"], String, () => 0, "tensor")).toThrow('tensor "\t"');
});

describe("front coding", () => {
  test("names are read back as written, and canonical", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 40 }).filter((s) => utf8(s).length > 0)),
        (names) => {
          const bytes = names.map(utf8).sort(compareNames);
          const heap: Uint8Array[] = [];
          const records = frontCode(bytes, heap);
          const reader = nameReader(concat(heap), 0, "core");
          records.forEach((record, i) => {
            let read: string | undefined;
            try {
              read = reader.next(record.nameShared, record.nameSuffix, "module", i, 0);
            } catch (error) {
              expect(String(error)).toMatch(/NAME_ENCODING/); // control characters
              reader.finish = () => {};
              return;
            }
            expect(utf8(read)).toEqual(bytes[i]);
            if (i > 0) expect(reader.order).toBeLessThan(0);
            expect(reader.noncanonical).toBeUndefined();
          });
        },
      ),
    );
  });

  test("any bytes give the name, the order and the error that they give alone", () => {
    // Pieces of characters of one to four bytes, controls, and digits that go on across what is shared.
    const byte = fc.constantFrom(
      ...[0x30, 0x30, 0x31, 0x39, 0x61, 0x1f, 0x7f, 0xc1, 0xc2, 0x80, 0x9f, 0xa0, 0xe0, 0xe2, 0xed, 0xef],
      ...[0xbb, 0xbf, 0xf0, 0x90, 0xf4, 0x8f, 0xf8, 0xff],
    );
    const character = fc.constantFrom(..."019aé\u0800\ufeff\uffff\u{10000}\u{10ffff}");
    const part = fc.oneof(
      fc.array(character, { maxLength: 5 }).map((list) => utf8(list.join(""))),
      {
        weight: 1,
        arbitrary: fc.array(byte, { maxLength: 4 }).map((list) => Uint8Array.from(list)),
      },
    );
    const parts = fc.array(fc.tuple(fc.nat(), part), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(parts, (list) => {
        // A byte that is not ASCII at the end: or none of these is looked at in turn.
        const reader = nameReader(concat([...list.map(([, own]) => own), Uint8Array.of(0xff)]), 0, "core");
        let last: Uint8Array = new Uint8Array(0);
        for (const [some, own] of list) {
          const shared = some % (last.length + 1);
          const bytes = concat([last.subarray(0, shared), own]);
          const outcome = (run: () => string): string => {
            try {
              return run();
            } catch (error) {
              return String(error);
            }
          };
          const read = outcome(() => reader.next(shared, own.length, "module", 7, 9));
          expect(read).toBe(outcome(() => decodeName(bytes, 9, "module 7")));
          if (read.startsWith("LqaError")) return;
          expect(Math.sign(reader.order)).toBe(Math.sign(compareNames(last, bytes)));
          last = bytes;
        }
      }),
      { numRuns: 5000 },
    );
  });

  test("a shared prefix may be shorter than it could be, but that is not canonical", () => {
    const reader = nameReader(utf8("abcabd"), 0, "core");
    expect(reader.next(0, 3, "module", 0, 0)).toBe("abc");
    expect(reader.noncanonical).toBeUndefined();
    expect(reader.next(0, 3, "module", 0, 12)).toBe("abd");
    expect(reader.noncanonical).toBe(12);
    reader.finish();
  });

  test.each([
    ["more shared bytes than the name before has", { nameShared: 1, nameSuffix: 1 }],
    ["more own bytes than the heap has", { nameShared: 0, nameSuffix: 5 }],
  ])("refuses %s", (_, record) =>
    expect(() =>
      nameReader(utf8("abcd"), 0, "core").next(record.nameShared, record.nameSuffix, "module", 0, 0),
    ).toThrow(/NAME_HEAP/),
  );

  test("refuses a heap that is not used up", () =>
    expect(() => nameReader(utf8("a"), 0, "core").finish()).toThrow(/NAME_HEAP/));

  test("total name bytes are bounded, before a name is made of them", () => {
    const heap = new Uint8Array(2 ** 26 + 1);
    const last = (bytes: number, limits: LimitSet): unknown => {
      const reader = nameReader(heap.fill(0x61, 0, 2), 0, limits);
      reader.next(0, 2, "module", 0, 0);
      try {
        reader.next(1, bytes - 3, "module", 0, 12);
      } catch (error) {
        return isLqaError(error) && `${error.kind} at ${error.offset}`;
      }
      return "read";
    };
    // Within the bound, its length is what is wrong with the second name.
    expect(last(2 ** 24, "core")).toBe("NAME_ENCODING at 12");
    expect(last(2 ** 24 + 1, "core")).toBe("CORE_LIMIT at 12");
    expect(last(2 ** 26, "hard")).toBe("NAME_ENCODING at 12");
    expect(last(2 ** 26 + 1, "hard")).toBe("HARD_LIMIT at 12");
  });

  test("says where the record stands, and where the heap goes on", () => {
    const at = (run: () => unknown): unknown => {
      try {
        return run();
      } catch (error) {
        return isLqaError(error) ? [error.kind, error.where, error.offset] : error;
      }
    };
    const reader = nameReader(utf8("ab\nc"), 500, "core");
    expect(reader.next(0, 2, "module", 0, 40)).toBe("ab");
    expect(at(() => reader.next(0, 1, "module", 1, 52))).toEqual(["NAME_ENCODING", "module 1", 52]);
    expect(at(() => reader.next(0, 3, "module", 2, 64))).toEqual(["NAME_HEAP", "module 2", 64]);
    expect(at(() => reader.finish())).toEqual(["NAME_HEAP", "names", 502]);
  });
});

describe("names", () => {
  test.each(["", "a\0b", "a\nb", "\u007f", "\u0085", "x".repeat(513), "é".repeat(257), "a\ud800"])(
    "refuses %j",
    (bad) => expect(() => encodeName(bad, "test")).toThrow(/NAME_ENCODING/),
  );
  test.each(["a", "__proto__", "constructor", "..", "x".repeat(512), "\ufeffa", "日本"])(
    "accepts %j",
    (good) =>
      expect(new TextDecoder("utf-8", { ignoreBOM: true }).decode(encodeName(good, "test"))).toBe(good),
  );
});
