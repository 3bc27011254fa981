/** Inf and NaN are found wherever they stand, by whatever way the bytes are read; nothing else is. */
import { describe, expect, it } from "vitest";
import { nonfiniteElement } from "../../src/core/format.ts";
import { validate } from "../../src/core/index.ts";
import { fileBytes, random, tensor } from "../container/fixtures.ts";

const TYPES = [
  ["F64", 8, [0x7ff0, 0xfff0, 0x7ff8], [0x7fef, 0xffef, 0x8000]],
  ["F32", 4, [0x7f80, 0xff80, 0x7fc0], [0x7f7f, 0xff7f, 0x8000]],
  ["BF16", 2, [0x7f80, 0xff80, 0x7fc1], [0x7f7f, 0xff7f, 0x8000]],
  ["F16", 2, [0x7c00, 0xfc00, 0x7e01], [0x7bff, 0xfbff, 0x8000]],
] as const;

/** `count` elements whose highest 16 bits are finite ones, at an offset of their memory. */
function finite(count: number, size: number, tops: readonly number[], offset: number): Uint8Array {
  const { byte, below } = random(count + size);
  const data = new Uint8Array(offset + count * size).subarray(offset);
  for (let i = 0; i < data.length; i++) data[i] = byte();
  for (let i = 0; i < count; i++) setTop(data, size, i, tops[below(tops.length)]!);
  return data;
}

function setTop(data: Uint8Array, size: number, element: number, top: number): void {
  data.set([top & 255, top >> 8], element * size + size - 2);
}

describe.each(TYPES)("%s", (element, size, bad, good) => {
  it.each([0, 1, 2, 4])("is searched at offset %i", (offset) => {
    for (const count of [0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100]) {
      const data = finite(count, size, good, offset);
      expect(nonfiniteElement(element, data), `${count} elements`).toBe(-1);
      for (let at = 0; at < count; at++) {
        const changed = new Uint8Array(offset + data.length).subarray(offset);
        changed.set(data);
        setTop(changed, size, at, bad[at % bad.length]!);
        if (at + 3 < count) setTop(changed, size, at + 3, bad[0]!);
        expect(nonfiniteElement(element, changed), `${count} elements, number ${at}`).toBe(at);
      }
    }
  });
});

it("integers have none, and BOOL has 0 and 1", async () => {
  expect(nonfiniteElement("I32", new Uint8Array(16).fill(255))).toBe(-1);
  const found = async (element: "BOOL" | "U8"): Promise<string | undefined> => {
    const tensors = [tensor("x", { role: "carried", element, shape: [3], data: Uint8Array.of(0, 1, 2) })];
    return (await validate(await fileBytes({ modules: [], tensors, sections: [] }))).error?.where;
  };
  expect(await found("BOOL")).toBe('tensor "x", element 2');
  expect(await found("U8")).toBeUndefined();
});
