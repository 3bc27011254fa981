/** safetensors: what is written is read, what the library writes is written, and nothing hostile gets through. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toFloat32 } from "../../src/adapters/elements.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "../../src/adapters/safetensors.ts";
import { type ElementType, isLqaError } from "../../src/core/index.ts";
import { ELEMENT_BYTES } from "../../src/model/adapter.ts";
import { numbers } from "../helpers/thorough.ts";
import { bytesOf, floats, rawSafetensors } from "./build.ts";

const element = fc.constantFrom(...(Object.keys(ELEMENT_BYTES) as ElementType[]));
const tensor = fc
  .tuple(element, fc.array(fc.nat(4), { maxLength: 4 }))
  .chain(([element, shape]): fc.Arbitrary<SafeTensor> => {
    const length = shape.reduce((product, size) => product * size, ELEMENT_BYTES[element]);
    const byte = element === "BOOL" ? fc.nat(1) : fc.nat(255);
    const data = fc.array(byte, { minLength: length, maxLength: length });
    return data.map((bytes) => ({ element, shape, data: Uint8Array.from(bytes) }));
  });
const name = fc
  .string({ unit: "grapheme", minLength: 1 })
  .filter((text) => !/\0|^__(proto|metadata)__$/.test(text));
const text = fc.string({ unit: "grapheme" });

describe("safetensors", () => {
  it("reads back whatever it writes, in the order written", () => {
    const metadata = fc.option(fc.uniqueArray(fc.tuple(name, text), { selector: ([key]) => key }), {
      nil: undefined,
    });
    const tensors = fc.uniqueArray(fc.tuple(name, tensor), { selector: ([key]) => key, maxLength: 6 });
    fc.assert(
      fc.property(tensors, metadata, fc.nat(7), (entries, pairs, shift) => {
        const order = entries.map(([key]) => key);
        const file = writeSafetensors(new Map(entries), { metadata: pairs && new Map(pairs), order });
        // At any offset of its buffer, as views of a larger file are.
        const moved = new Uint8Array(shift + file.length).subarray(shift);
        moved.set(file);
        const read = readSafetensors(moved);
        expect([...read.tensors]).toEqual(entries);
        expect(read.metadata && [...read.metadata]).toEqual(pairs);
        expect(new DataView(file.buffer).getUint32(0, true) % 8).toBe(0);
      }),
    );
  });

  it("writes what the reference library writes, byte for byte", () => {
    // safetensors.torch.save of version 0.8.0 gave this header for these tensors.
    const header =
      '{"__metadata__":{"format":"pt"},"q":{"dtype":"U64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"I64","shape":[2],"data_offsets":[8,24]},"t":{"dtype":"F64","shape":[1],"data_offsets":[24,32]},"r":{"dtype":"F32","shape":[],"data_offsets":[32,36]},"z":{"dtype":"F32","shape":[1],"data_offsets":[36,40]},"é\\"\\\\/\\n\x7f\u2028":{"dtype":"F32","shape":[0,3],"data_offsets":[40,40]},"p":{"dtype":"U32","shape":[1],"data_offsets":[40,44]},"y":{"dtype":"I32","shape":[1],"data_offsets":[44,48]},"x":{"dtype":"BF16","shape":[1],"data_offsets":[48,50]},"w":{"dtype":"F16","shape":[1],"data_offsets":[50,52]},"o":{"dtype":"U16","shape":[1],"data_offsets":[52,54]},"s":{"dtype":"I16","shape":[1],"data_offsets":[54,56]},"v":{"dtype":"I8","shape":[1],"data_offsets":[56,57]},"u":{"dtype":"U8","shape":[1],"data_offsets":[57,58]},"a":{"dtype":"BOOL","shape":[1],"data_offsets":[58,59]}}';
    const padded =
      bytesOf(header).length % 8 === 0 ? header : header + " ".repeat(8 - (bytesOf(header).length % 8));
    const file = rawSafetensors(padded, new Uint8Array(59));
    const { tensors, metadata } = readSafetensors(file);
    const shuffled = new Map([...tensors].reverse());
    expect(writeSafetensors(shuffled, { metadata })).toEqual(file);
    expect(writeSafetensors(new Map())).toEqual(rawSafetensors("{}      "));
  });

  it("widens F16 and BF16 exactly and copies F32, wherever the data lies", () => {
    const file = rawSafetensors(
      '{"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[6,10]},"f":{"dtype":"F32","shape":[1],"data_offsets":[10,14]}}  ',
      Uint8Array.of(0, 0x3c, 1, 0, 0xff, 0xfb, 0x80, 0x3f, 1, 0x80, 0xdb, 0x0f, 0x49, 0x40),
    );
    const { tensors } = readSafetensors(file);
    expect([...toFloat32(tensors.get("h")!)]).toEqual([1, 2 ** -24, -65504]);
    expect([...toFloat32(tensors.get("b")!)]).toEqual([1, -(2 ** -133)]);
    expect([...toFloat32(tensors.get("f")!)]).toEqual([Math.fround(Math.PI)]);
    expect(() => toFloat32({ element: "I8", data: new Uint8Array(1) })).toThrow(/SOURCE_ELEMENT_TYPE/);
  });

  it("is read or refused with one of its own errors after any truncation or any change of one byte", () => {
    const tensors = new Map<string, SafeTensor>([
      ["a.weight", floats([2, 1], 1, "F16")],
      ["b", { element: "BOOL", shape: [1], data: Uint8Array.of(1) }],
    ]);
    const file = writeSafetensors(tensors, { metadata: new Map([["format", "pt"]]) });
    for (let length = 0; length < file.length; length++) {
      expect(attempt(file.subarray(0, length)), `truncated to ${length}`).toBe("TRUNCATED_SOURCE");
    }
    const kinds = new Set(["SOURCE_HEADER", "TRUNCATED_SOURCE", "SOURCE_ELEMENT_TYPE", "read"]);
    for (const at of numbers(0, file.length - 1, 5)) {
      for (let value = 0; value < 256; value++) {
        const changed = file.slice();
        changed[at] = value;
        expect(kinds.has(attempt(changed)), `byte ${at} set to ${value}`).toBe(true);
      }
    }
  });
});

/** Kind of the error, or `read`. Anything but an LqaError escapes and fails the test. */
function attempt(file: Uint8Array): string {
  try {
    readSafetensors(file);
    return "read";
  } catch (error) {
    if (isLqaError(error)) return error.kind;
    throw error;
  }
}

const F = '"dtype":"F32","shape":[1],"data_offsets":[0,4]';
const nested = "[".repeat(100_000);

describe("hostile safetensors headers", () => {
  const four = new Uint8Array(4);
  const cases: [string, string, Uint8Array, string, number?][] = [
    ["empty header", "", new Uint8Array(), "SOURCE_HEADER", 8],
    ["leading space", " {}", new Uint8Array(), "SOURCE_HEADER", 8],
    ["byte order mark", "\ufeff{}", new Uint8Array(), "SOURCE_HEADER", 8],
    ["an array", "[]", new Uint8Array(), "SOURCE_HEADER", 8],
    ["a line feed behind the object", "{}\n", new Uint8Array(), "SOURCE_HEADER", 10],
    ["a second object", "{}{}", new Uint8Array(), "SOURCE_HEADER", 10],
    ["a trailing comma", `{"a":{${F}},}`, four, "SOURCE_HEADER"],
    ["a name twice", `{"a":{${F}},"a":{${F}}}`, four, "SOURCE_HEADER", 62],
    ["a name twice, once escaped", `{"a":{${F}},"\\u0061":{${F}}}`, four, "SOURCE_HEADER", 62],
    ["metadata twice", '{"__metadata__":{},"__metadata__":{}}', new Uint8Array(), "SOURCE_HEADER"],
    ["a metadata key twice", '{"__metadata__":{"a":"","\\u0061":""}}', new Uint8Array(), "SOURCE_HEADER"],
    ["metadata that is a number", '{"__metadata__":{"a":1}}', new Uint8Array(), "SOURCE_HEADER"],
    ["metadata that is an object", '{"__metadata__":{"a":{}}}', new Uint8Array(), "SOURCE_HEADER"],
    ["__proto__ as metadata", '{"__metadata__":{"__proto__":"a"}}', new Uint8Array(), "SOURCE_HEADER"],
    ["__proto__ as name", `{"__proto__":{${F}}}`, four, "SOURCE_HEADER"],
    ["an empty name", `{"":{${F}}}`, four, "SOURCE_HEADER"],
    ["NUL in a name", `{"a\\u0000b":{${F}}}`, four, "SOURCE_HEADER"],
    ["a lone high surrogate", `{"\\ud800":{${F}}}`, four, "SOURCE_HEADER"],
    ["a lone low surrogate", `{"\\udc00x":{${F}}}`, four, "SOURCE_HEADER"],
    ["two high surrogates", `{"\\ud800\\ud800":{${F}}}`, four, "SOURCE_HEADER"],
    ["an unknown field", `{"a":{${F},"x":1}}`, four, "SOURCE_HEADER"],
    ["a field twice", `{"a":{${F},"dtype":"F32"}}`, four, "SOURCE_HEADER"],
    ["a field missing", '{"a":{"dtype":"F32","shape":[1]}}', four, "SOURCE_HEADER"],
    ["a tensor that is an array", '{"a":["F32",[1],[0,4]]}', four, "SOURCE_HEADER"],
    ["a tensor that is null", '{"a":null}', four, "SOURCE_HEADER"],
    [
      "a fraction in the shape",
      '{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}',
      four,
      "SOURCE_HEADER",
    ],
    [
      "an exponent in the shape",
      '{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}',
      four,
      "SOURCE_HEADER",
    ],
    ["a negative size", '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', four, "SOURCE_HEADER"],
    ["a leading zero", '{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}', four, "SOURCE_HEADER"],
    ["a size as text", '{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}', four, "SOURCE_HEADER"],
    ["2^53", '{"a":{"dtype":"F32","shape":[9007199254740992],"data_offsets":[0,4]}}', four, "SOURCE_HEADER"],
    [
      "2^64 + 1",
      '{"a":{"dtype":"U8","shape":[18446744073709551617],"data_offsets":[0,1]}}',
      four,
      "SOURCE_HEADER",
    ],
    [
      "a product of 2^64",
      '{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}',
      four,
      "SOURCE_HEADER",
    ],
    [
      "a product that overflows before its zero",
      '{"a":{"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}',
      new Uint8Array(),
      "SOURCE_HEADER",
    ],
    ["three offsets", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}', four, "SOURCE_HEADER"],
    ["descending offsets", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', four, "SOURCE_HEADER"],
    [
      "offsets that do not fit the shape",
      '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
      four,
      "SOURCE_HEADER",
    ],
    ["a hole at the start", '{"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}', four, "SOURCE_HEADER"],
    [
      "a hole between",
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
      four,
      "SOURCE_HEADER",
    ],
    [
      "an overlap",
      '{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
      four,
      "SOURCE_HEADER",
    ],
    ["two tensors in one place", `{"a":{${F}},"b":{${F}}}`, four, "SOURCE_HEADER"],
    ["trailing bytes", `{"a":{${F}}}`, new Uint8Array(5), "SOURCE_HEADER"],
    ["missing bytes", `{"a":{${F}}}`, new Uint8Array(3), "TRUNCATED_SOURCE"],
    [
      "a BOOL of 2",
      '{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}',
      Uint8Array.of(1, 2),
      "SOURCE_HEADER",
      64,
    ],
    ["F8_E8M0", '{"a":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[0,4]}}', four, "SOURCE_ELEMENT_TYPE"],
    ["F4", '{"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}', four, "SOURCE_ELEMENT_TYPE"],
    [
      "C64",
      '{"a":{"dtype":"C64","shape":[0],"data_offsets":[0,0]}}',
      new Uint8Array(),
      "SOURCE_ELEMENT_TYPE",
    ],
    [
      "a type called constructor",
      '{"a":{"dtype":"constructor","shape":[1],"data_offsets":[0,4]}}',
      four,
      "SOURCE_ELEMENT_TYPE",
    ],
    ["deep nesting", `{"a":${nested}`, new Uint8Array(), "SOURCE_HEADER"],
    ["deep nesting in the metadata", `{"__metadata__":${nested}`, new Uint8Array(), "SOURCE_HEADER"],
    [
      "a number of a million digits",
      `{"a":{"dtype":"F32","shape":[${"1".repeat(1e6)}]`,
      new Uint8Array(),
      "SOURCE_HEADER",
    ],
    ["a raw control character", `{"a\tb":{${F}}}`, four, "SOURCE_HEADER", 11],
    ["an unknown escape", `{"\\x61":{${F}}}`, four, "SOURCE_HEADER"],
    ["an unterminated string", '{"a', new Uint8Array(), "SOURCE_HEADER"],
  ];
  it.each(cases)("%s", (_name, header, data, kind, offset) => {
    const error = catchError(rawSafetensors(header, data));
    expect(error.kind).toBe(kind);
    expect(error.offset).toBeTypeOf("number");
    if (offset !== undefined) expect(error.offset).toBe(offset);
  });

  it("invalid UTF-8", () => {
    const header = bytesOf(`{"aXb":{${F}}}`);
    header[3] = 0xc0;
    expect(catchError(rawSafetensors(header, four)).kind).toBe("SOURCE_HEADER");
  });

  it("a length above 100 MB, above the file, and above 2^53", () => {
    const file = rawSafetensors("{}");
    const view = new DataView(file.buffer);
    view.setUint32(0, 100_000_001, true);
    expect(catchError(file).kind).toBe("SOURCE_HEADER");
    view.setUint32(0, 3, true);
    expect(catchError(file).kind).toBe("TRUNCATED_SOURCE");
    view.setUint32(4, 0xffffffff, true);
    expect(catchError(file).kind).toBe("SOURCE_HEADER");
  });

  it("names the tensor and the type it refuses", () => {
    const file = rawSafetensors('{"layer.w":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[0,4]}}', four);
    expect(catchError(file)).toMatchObject({ where: 'tensor "layer.w"', actual: '"F8_E8M0"' });
  });

  it("accepts what is unusual but sound", () => {
    const header =
      '{ "__metadata__" : null ,\n"constructor":{"shape":[0],"data_offsets":[4,4],"dtype":"F32"},"😀\\ud83d\\ude00":{' +
      `${F}}}   `;
    const { metadata, tensors } = readSafetensors(rawSafetensors(header, four));
    expect(metadata).toBeUndefined();
    expect([...tensors.keys()]).toEqual(["constructor", "😀😀"]);
  });
});

function catchError(file: Uint8Array): { kind: string; offset?: number } {
  try {
    readSafetensors(file);
  } catch (error) {
    if (isLqaError(error)) return error as never;
    throw error;
  }
  throw new Error("was read");
}
