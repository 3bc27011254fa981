/** The index from inside: its layout, the records in it, and what of them the content id is made of. */
import fc from "fast-check";
import { ByteBuffer } from "flatbuffers";
import { describe, expect, test } from "vitest";
import { CODEC_NAMES } from "../../src/core/codecs/registry.ts";
import { ROTATIONS } from "../../src/core/codecs/rotation.ts";
import { moduleContent } from "../../src/core/container/digests.ts";
import {
  BaseLayout,
  Codec,
  Compression,
  ElementType,
  type IndexVectors,
  ModuleRole,
  MultiplierRule,
  Rotation,
  SCHEMA,
  TensorRole,
} from "../../src/core/container/generated/schema.ts";
import { writeIndex } from "../../src/core/container/index-write.ts";
import { TRELLIS_TABLES, trellisTable } from "../../src/core/format.ts";
import { type Encoding, isLqaError } from "../../src/core/index.ts";
// @ts-expect-error: flatc's code, without types
import { Index } from "../generated/lqa/index.js";
import {
  BASE_LAYOUTS,
  COMPRESSIONS,
  ELEMENT_TYPES,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  readEncoding,
  readIndex,
  TENSOR_ROLES,
  writeEncoding,
} from "../helpers/parts.ts";
import { shape } from "./fixtures.ts";

const RANGES = { u8: 0xff, u16: 0xffff, u32: 0xffffffff } as const;

/** Arbitrary vectors of the schema: any value in any field, meaningful or not. */
const vectors: fc.Arbitrary<IndexVectors> = fc.record(
  Object.fromEntries(
    SCHEMA.vectors.map(({ name, element }) => {
      if ("scalar" in element) {
        const values = fc.array(fc.nat(RANGES[element.scalar]), { maxLength: 9 });
        return [name, element.scalar === "u8" ? values.map((v) => Uint8Array.from(v)) : values];
      }
      const fields = SCHEMA.structs[element.struct]!.fields.map((field) => [
        field.name,
        field.type === "f32" ? fc.float({ noNaN: true }) : fc.nat(RANGES[field.type as "u8"]),
      ]);
      return [name, fc.array(fc.record(Object.fromEntries(fields)), { maxLength: 5 })];
    }),
  ),
) as fc.Arbitrary<never>;

const OPTIONAL = SCHEMA.vectors.filter(({ optional }) => optional).map(({ name }) => name);

/** The vectors without those that come with a feature. */
function required(all: IndexVectors): IndexVectors {
  return Object.fromEntries(Object.entries(all).filter(([name]) => !OPTIONAL.includes(name))) as never;
}

describe("index", () => {
  test("what is written is read back", () => {
    fc.assert(
      fc.property(vectors, (v) => {
        expect(readIndex(writeIndex(v), 0, OPTIONAL).vectors).toEqual(v);
      }),
    );
  });

  test("flatc's own reader reads the same records", () => {
    fc.assert(
      fc.property(vectors, (v) => {
        const root = Index.getRootAsIndex(new ByteBuffer(writeIndex(v)));
        for (const { name, element, optional } of SCHEMA.vectors) {
          if (optional) continue;
          const official = root as unknown as Record<string, (i?: number) => unknown>;
          const length = official[`${name}Length`]!() as number;
          expect(length).toBe(v[name as keyof IndexVectors]!.length);
          for (let i = 0; i < length; i++) {
            const ours = v[name as keyof IndexVectors]![i] as unknown;
            const theirs = official[name]!(i);
            if (typeof ours === "number") expect(theirs).toBe(ours);
            else
              for (const field of SCHEMA.structs[(element as { struct: string }).struct]!.fields)
                expect((theirs as Record<string, () => number>)[field.name]!()).toBe(
                  (ours as Record<string, number>)[field.name],
                );
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("the layout is the canonical one of clause 12.2", () => {
    const empty = Object.fromEntries(
      SCHEMA.vectors
        .filter(({ optional }) => !optional)
        .map(({ name }) => [name, name === "names" ? new Uint8Array(0) : []]),
    ) as unknown as IndexVectors;
    const hex = Array.from(writeIndex(empty), (b) => b.toString(16).padStart(2, "0")).join("");
    expect(hex).toBe(
      "20000000" +
        "4c514931" +
        "0000" + // root at 32, identifier, padding
        "1600" +
        "2800" +
        "0400080" +
        "00c001000140018001c0020002400" + // vtable: 22 bytes, table of 40, nine offsets
        "16000000" + // table: its vtable is 22 bytes before it
        "24000000".repeat(9) + // each vector 36 bytes after its offset
        "00000000".repeat(9),
    );
  });

  test("every truncation and every one-byte change is refused or read, never anything else", () => {
    const sample = fc.sample(vectors, { seed: 7, numRuns: 3 });
    for (const v of sample.map(required)) {
      const bytes = writeIndex(v);
      for (let end = 0; end < bytes.length; end++) {
        const cut = bytes.slice(0, end);
        // what alone may be missing is the zero padding behind the last vector
        if (bytes.length - end < 4 && v.names.length % 4 !== 0 && bytes.slice(end).every((b) => b === 0))
          continue;
        expect(() => readIndex(cut)).toThrow(/LQA-M0/);
      }
      for (let at = 0; at < bytes.length; at++)
        for (const value of [0, 1, 0x7f, 0x80, 0xff, bytes[at]! ^ 4]) {
          const mutated = bytes.slice();
          mutated[at] = value;
          try {
            readIndex(mutated);
          } catch (error) {
            expect(isLqaError(error)).toBe(true);
          }
        }
    }
  });

  test("a forged vector length is refused before it is used", () => {
    const bytes = writeIndex(required(fc.sample(vectors, { seed: 1, numRuns: 1 })[0]!));
    const view = new DataView(bytes.buffer);
    // slot 0: its offset stands at 36, relative to itself
    view.setUint32(36 + view.getUint32(36, true), 0x7fffffff, true);
    expect(() => readIndex(bytes)).toThrow(/LQA-M008 INDEX_VECTOR/);
  });
});

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");

describe("names of the library and numbers of the schema are in one order", () => {
  test.each([
    ["ModuleRole", ModuleRole, MODULE_ROLES],
    ["BaseLayout", BaseLayout, BASE_LAYOUTS],
    ["TensorRole", TensorRole, TENSOR_ROLES],
    ["Compression", Compression, COMPRESSIONS],
    ["Codec", Codec, CODEC_NAMES],
    ["Rotation", Rotation, ROTATIONS],
    ["ElementType", ElementType, ELEMENT_TYPES.map((name) => name ?? "none")],
  ] as const)("%s", (_, theirs, ours) => {
    expect(ours.map(plain)).toEqual(Object.keys(theirs).map(plain));
    expect(Object.values(theirs)).toEqual(ours.map((_, i) => i));
  });

  test("MultiplierRule", () => {
    expect(MultiplierRule).toEqual({ None: 0, AlphaOverRank: 1, AlphaOverSqrtRank: 2, Explicit: 3 });
    expect(MULTIPLIER_RULES).toEqual(["none", "alpha/r", "alpha/sqrt(r)", "explicit"]);
  });
});

describe("encoding records of trellis codes", () => {
  test("are accepted in encoding records, and others are refused as unsupported", () => {
    for (let table = 0; table < 256; table++) {
      const encoding: Encoding = { codec: "trellis", table, group: 0, scale: "bf16", rotation: "none" };
      const record = writeEncoding(encoding);
      if (TRELLIS_TABLES.has(table)) expect(readEncoding(record, "encodings[0]", 0)).toEqual(encoding);
      else {
        expect(() => readEncoding(record, "encodings[0]", 0)).toThrow("trellis table");
        try {
          trellisTable(table);
        } catch (error) {
          expect(isLqaError(error, "UNSUPPORTED_CODEC")).toBe(true);
        }
      }
    }
    const trellis: Encoding = { codec: "trellis", table: 1, group: 0, scale: "bf16", rotation: "none" };
    const record = writeEncoding(trellis);
    expect(() => readEncoding({ ...record, bits: 1 }, "encodings[0]", 0)).toThrow("encodings[0].bits");
  });

  test("may be rotated, and no other codec may", () => {
    const trellis: Encoding = { codec: "trellis", table: 1, group: 0, scale: "bf16", rotation: "hadamard64" };
    const record = writeEncoding(trellis);
    expect(record.rotation).toBe(1);
    expect(readEncoding(record, "encodings[0]", 0)).toEqual(trellis);
    for (const wrong of [
      { ...record, rotation: 2 },
      { ...writeEncoding({ codec: "sign", group: 0, scale: "f16" }), rotation: 1 },
      { ...writeEncoding({ codec: "zero" }), rotation: 1 },
    ]) {
      expect(() => readEncoding(wrong, "encodings[0]", 0)).toThrow(
        /(ENCODING_PARAMETER|UNSUPPORTED_CODEC).*encodings\[0\].rotation/,
      );
    }
  });
});

test("trellis records of drafts before 1.0, with groups or other scales, are refused, and say so", () => {
  const record = writeEncoding({ codec: "trellis", table: 1, group: 0, scale: "bf16", rotation: "none" });
  for (const [wrong, field] of [
    [{ ...record, groupExponent: 4 }, "groupExponent"],
    [{ ...record, scale: 2 }, "scale"],
    [{ ...writeEncoding({ codec: "affine", bits: 2, group: 16, scale: "f16" }), mixture: 1 }, "mixture"],
    [{ ...writeEncoding({ codec: "sign", group: 16, scale: "f16" }), scale: 1 }, "scale"],
  ] as const)
    expect(() => readEncoding(wrong, "encodings[0]", 0)).toThrow(
      new RegExp(`ENCODING_PARAMETER.*encodings\\[0\\].${field}.*drafts before 1.0`, "s"),
    );
});

describe("the content record of a module", () => {
  const bytes = (b: Encoding): string =>
    Buffer.from(
      moduleContent({ ...shape("q"), bands: [{ components: 4, b, a: { codec: "zero" } }] }),
    ).toString("hex");

  test("holds every field of its encodings: no two that decode differently have one id", () => {
    // The bytes of a record: codec, element, scale, bits, 0, exponent of the group, table, rotation.
    const encodings: [Encoding, record: string][] = [
      [{ codec: "zero" }, "0000000000000000"],
      [{ codec: "raw", element: "f16" }, "0102000000000000"],
      [{ codec: "raw", element: "f32" }, "0101000000000000"],
      [{ codec: "sign", group: 0, scale: "f16" }, "0300020000000000"],
      [{ codec: "sign", group: 16, scale: "f16" }, "0300020000040000"],
      [{ codec: "affine", bits: 2, group: 128, scale: "f16" }, "0200020200070000"],
      [{ codec: "affine", bits: 3, group: 128, scale: "f16" }, "0200020300070000"],
      [{ codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "none" }, "0400030000000400"],
      [{ codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "hadamard64" }, "0400030000000401"],
      [{ codec: "trellis", table: 5, group: 0, scale: "bf16", rotation: "none" }, "0400030000000500"],
    ];
    expect(new Set(encodings.map(([encoding]) => bytes(encoding))).size).toBe(encodings.length);
    for (const [encoding, record] of encodings) expect(bytes(encoding)).toContain(record);
  });
});
