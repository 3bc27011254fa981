import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeMeta } from "../../src/core/format.ts";
import { isLqaError, type MetaValue, open } from "../../src/core/index.ts";
import { cases } from "../helpers/thorough.ts";
import { fileBytes, metaOf, section } from "./fixtures.ts";

const key = fc
  .string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
    minLength: 1,
    maxLength: 12,
  })
  .filter((k) => k !== "__proto__");
const { value } = fc.letrec<{ value: MetaValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .map((d) => (Number.isInteger(d) && !Number.isSafeInteger(d) ? 0.5 : d + 0)),
    fc.string({ unit: "grapheme" }),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(key, tie("value"), { maxKeys: 20, noNullPrototype: true }),
  ) as fc.Arbitrary<MetaValue>,
}));

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from((hex.match(/../g) ?? []).map((b) => Number.parseInt(b, 16)));

describe("MessagePack sections", () => {
  test("what is written is read back, and writing it again gives the same bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, value, { noNullPrototype: true }), async (map) => {
        const encoded = encodeMeta(map, "META");
        const decoded = await metaOf(encoded);
        expect(encodeMeta(decoded, "META")).toEqual(encoded);
        expect(JSON.stringify(sort(decoded))).toBe(JSON.stringify(sort(map)));
      }),
    );
  });

  test.each([
    ["an array at the top", "9101"],
    ["an integer at the top", "01"],
    ["nothing", ""],
    ["a duplicate key", "82a16101a16102"],
    ["keys out of order", "82a16201a16101"],
    ["an integer key", "810101"],
    ["an empty key", "81a001"],
    ["a key that is not ASCII", "81a2c3a901"],
    ["an integer not in the shortest form", "81a161cc01"],
    ["a 16-bit integer that fits into 8 bits", "81a161cd00ff"],
    ["a negative integer not in the shortest form", "81a161d0ff"],
    ["a string not in the shortest form", "81a161d90161"],
    ["a float32", "81a161ca3f800000"],
    ["a float that is an integer", "81a161cb3ff0000000000000"],
    ["NaN", "81a161cb7ff8000000000000"],
    ["infinity", "81a161cb7ff0000000000000"],
    ["an integer above 2^53 - 1", "81a161cf0020000000000000"],
    ["an extension type", "81a161d40100"],
    ["a timestamp", "81a161d6ff00000000"],
    ["the reserved byte", "81a161c1"],
    ["bad UTF-8", "81a161a1ff"],
    ["a lone surrogate", "81a161a3eda080"],
    ["trailing bytes", "81a1610100"],
    ["a cut-off map", "82a16101"],
    ["a count beyond the data", "81a161ddffffffff"],
    ["a byte string beyond the data", "81a161c6ffffffff"],
    ["a map not in the shortest form", "de0001a16101"],
    ["__proto__", "81a95f5f70726f746f5f5f01"],
  ])("refuses %s", async (_, hex) => {
    await expect(metaOf(bytes(hex))).rejects.toThrow(/LQA-M020 META_ENCODING/);
  });

  test("a string keeps a leading U+FEFF, however long it is", async () => {
    for (const length of [0, 28, 197, 198, 300, 70_000]) {
      const map = { a: `\ufeff${"x".repeat(length)}`, b: [`\ufeff\ufeff${"y".repeat(length)}`] };
      expect(await metaOf(encodeMeta(map, "META"))).toEqual(map);
    }
  });

  test("long strings, arrays and maps have lengths of 32 bits", async () => {
    const many = Array.from({ length: 65536 }, (_, i) => i % 3);
    const documents = [
      { a: "x".repeat(65536) },
      { a: new Uint8Array(65536).fill(7) },
      { a: many },
      { a: many.slice(1) },
      Object.fromEntries(many.map((value, i) => [`k${100_000 + i}`, value])),
      { a: Object.fromEntries(many.map((value, i) => [`k${100_000 + i}`, value])) },
    ];
    for (const document of documents) {
      const encoded = encodeMeta(document, "META");
      const again = encodeMeta(await metaOf(encoded), "META");
      expect(Buffer.compare(again, encoded)).toBe(0);
      expect(encoded.length).toBeGreaterThan(65536);
    }
  });

  test("what is undefined is left out, and what is nested too deeply or too large is refused", () => {
    expect(encodeMeta({ a: undefined, b: 1 } as never, "META")).toEqual(encodeMeta({ b: 1 }, "META"));
    const nested = (depth: number): MetaValue => (depth === 0 ? 1 : [nested(depth - 1)]);
    expect(encodeMeta({ a: nested(15) }, "META").length).toBe(19);
    expect(() => encodeMeta({ a: nested(16) }, "META")).toThrow(/LQA-M020 META_ENCODING.*16 levels/);
    expect(() => encodeMeta({ a: nested(400) }, "META")).toThrow(/LQA-M020 META_ENCODING.*16 levels/);
    expect(() => encodeMeta({ a: () => 1 } as never, "META")).toThrow(/LQA-M020 META_ENCODING/);
    const sized = (length: number) => () => encodeMeta({ a: new Uint8Array(length - 8) }, "META");
    expect(sized(2 ** 24)().length).toBe(2 ** 24);
    expect(sized(2 ** 24 + 1)).toThrow(/LQA-L001 HARD_LIMIT/);
  });

  test("keys are strings of 1 to 255 characters, whatever else could stand there", async () => {
    /** What the map is, or the error and where in the section it is. */
    const key = async (hex: string): Promise<unknown> => {
      const sections = [section("META", bytes(`81${hex}01`))];
      const file = await open(await fileBytes({ modules: [], tensors: [], sections }));
      return file.meta().catch(({ kind, offset }) => [kind, offset - file.sections[0]!.chunk.offset]);
    };
    for (const hex of [
      "c0",
      "7f",
      "c3",
      "90",
      "80",
      "c400",
      "cb3fe0000000000000",
      "cc80",
      `da0100${"61".repeat(256)}`,
    ])
      expect(await key(hex), hex).toEqual(["META_ENCODING", 1]);
    expect(await key(`d9ff${"61".repeat(255)}`)).toEqual({ ["a".repeat(255)]: 1 });
  });

  test("depth is bounded without recursion", async () => {
    const nested = (depth: number): Uint8Array => bytes(`81a161${"91".repeat(depth)}01`);
    await metaOf(nested(15));
    await expect(metaOf(nested(16))).rejects.toThrow(/16 levels/);
    await expect(metaOf(nested(500_000))).rejects.toThrow(/16 levels/);
  });

  test("arbitrary bytes are refused or read, never anything else", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (tail) => {
        try {
          await metaOf(Uint8Array.of(0x81, 0xa1, 0x61, ...tail));
        } catch (error) {
          expect(isLqaError(error)).toBe(true);
        }
      }),
      { numRuns: cases(3000) },
    );
  });
});

function sort(v: unknown): unknown {
  if (v instanceof Uint8Array) return [...v];
  if (Array.isArray(v)) return v.map(sort);
  if (v !== null && typeof v === "object")
    return Object.fromEntries(
      Object.entries(v)
        .sort(([x], [y]) => (x < y ? -1 : 1))
        .map(([k, x]) => [k, sort(x)]),
    );
  return v;
}
