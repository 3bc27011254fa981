/**
 * A codec from outside: registered, it is written, read, checked, decoded, named, applied packed and lowered for a GPU, and no file of
 * the library knows it. Not registered, its files are unsupported.
 */

import { afterEach, describe, expect, it } from "vitest";
import { encodingText } from "../../src/core/codecs/bands-text.ts";
import type { Codec } from "../../src/core/codecs/codec.ts";
import { NOTHING } from "../../src/core/codecs/encoding.ts";
import { registerCodec } from "../../src/core/codecs/registry.ts";
import { planeSizes } from "../../src/core/format.ts";
import {
  type Encoding,
  encodingLabel,
  isLqaError,
  open,
  type PackedFactors,
  type Planes,
  validate,
} from "../../src/core/index.ts";
import { readElement } from "../../src/floats.ts";
import { inspectLqa } from "../../src/report/index.ts";
import { applyPacked, residentModule } from "../../src/serve/index.ts";
import { gpuProgramOf } from "../../src/webgpu/program.ts";
import { fileBytes, random, shape } from "../container/fixtures.ts";
import { readEncoding, writeEncoding } from "../helpers/parts.ts";

/** Codes of `bits` bits in groups of 32, with the field `table` for their bits. */
interface ToyEncoding {
  readonly codec: "toy";
  readonly bits: number;
}
const GROUP = 32;

/** A code of a plane whose components begin on a byte. */
function codeAt(plane: Uint8Array, component: number, count: number, bits: number, i: number): number {
  const first = 8 * component * Math.ceil((count * bits) / 8) + i * bits;
  let code = 0;
  for (let b = 0; b < bits; b++) code |= ((plane[(first + b) >> 3]! >> ((first + b) & 7)) & 1) << b;
  return code;
}

/** Weight by weight, from the definition. */
function weightOf(bits: number, planes: Planes, length: number, c: number, i: number): number {
  const groups = Math.ceil(length / GROUP);
  const g = Math.floor(i / GROUP);
  const zero = codeAt(planes.zeroPoints, c, groups, bits, g);
  return (
    (codeAt(planes.codes, c, length, bits, i) - zero) * readElement(planes.scales, "f16", c * groups + g)
  );
}

const TOY: Codec<ToyEncoding> = {
  name: "toy",
  number: 192,
  clause: "a trial",
  feature: 24,
  usual: ["g32", "f16"],
  write: ({ bits }) => ({ table: bits }),
  read(record) {
    if (record.table < 1 || record.table > 8) record.unknown("table", "1 to 8");
    return { codec: "toy", bits: record.table };
  },
  lower: ({ bits }) => ({
    ...NOTHING,
    ...{ kind: "codes", bits, group: GROUP, scale: "f16", zeroBits: bits, largest: (1 << bits) - 1 },
  }),
};
const encoding = { codec: "toy", bits: 3 } as ToyEncoding as unknown as Encoding;

let end = (): void => {};
afterEach(() => {
  end();
  end = () => {};
});

const [out, n, rank] = [512, 600, 5];
const MODULE = { ...shape("layer", { rank }), out, in: n };

function factors(): PackedFactors {
  const source = random(7);
  const planesOf = (length: number): Planes => {
    const sizes = planeSizes(encoding, rank, length);
    const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => source.byte());
    const scales = bytes(sizes.scales).map((byte, i) => (i % 2 === 0 ? byte : 0x30 | (byte & 7)));
    const zeroPoints = bytes(sizes.zeroPoints);
    const row = sizes.zeroPoints / rank;
    const unused = (Math.ceil(length / GROUP) * 3) % 8;
    for (let c = 1; c <= rank && unused > 0; c++) zeroPoints[c * row - 1]! &= (1 << unused) - 1;
    return { scales, zeroPoints, codes: bytes(sizes.codes) };
  };
  return {
    bands: [{ components: rank, b: encoding, a: encoding }],
    planes: [[{ b: planesOf(out), a: planesOf(n) }]],
  };
}

const fileOf = (packed: PackedFactors): Promise<Uint8Array> =>
  fileBytes({ modules: [{ ...MODULE, ...packed }], tensors: [], sections: [] });

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isLqaError(error)) return error.kind;
    throw error;
  }
  return "nothing";
}

describe("a registered codec", () => {
  it("is written, read, checked, decoded and shown", async () => {
    end = registerCodec(TOY);
    const packed = factors();
    const bytes = await fileOf(packed);
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ error: undefined });
    const file = await open(bytes);
    const [module] = file.modules;
    expect(module!.bands).toEqual(packed.bands);
    // Large enough for the kernel, which takes what the codec lowers to; the expected weights are from the definition.
    const decoded = await file.decode(module!, { layout: "component" });
    const [b, a] = [decoded.b.data, decoded.a.data];
    const { b: planesB, a: planesA } = packed.planes[0]![0]!;
    for (let c = 0; c < rank; c++) {
      for (let i = 0; i < out; i++) expect(b[c * out + i]).toBe(weightOf(3, planesB, out, c, i));
      for (let i = 0; i < n; i++) expect(a[c * n + i]).toBe(weightOf(3, planesA, n, c, i));
    }
    expect(encodingLabel(encoding)).toBe("toy3 g32 f16");
    expect(encodingText(encoding)).toBe("toy3");
    const { codes } = await inspectLqa(bytes);
    expect(codes).toMatchObject([{ encoding: "toy3 g32 f16", kind: "codes", components: 2 * rank }]);
    expect(codes[0]!.counts.reduce((sum, count) => sum + count, 0)).toBe(rank * (out + n));
  });

  it("is applied packed, and lowered for a GPU", () => {
    end = registerCodec(TOY);
    const packed = factors();
    const x = Float32Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i)));
    const y = new Float32Array(out);
    applyPacked(residentModule(MODULE, packed), x, y);
    const { b, a } = packed.planes[0]![0]!;
    const expected = new Float64Array(out);
    for (let c = 0; c < rank; c++) {
      let h = 0;
      for (let i = 0; i < n; i++) h += weightOf(3, a, n, c, i) * x[i]!;
      for (let o = 0; o < out; o++) expected[o]! += MODULE.multiplier * h * weightOf(3, b, out, c, o);
    }
    const largest = Math.max(...expected.map(Math.abs));
    expect(largest).toBeGreaterThan(0);
    for (let o = 0; o < out; o++) expect(Math.abs(y[o]! - expected[o]!)).toBeLessThan(1e-4 * largest);
    // Kind 3, codes of 3 bits, scales of binary16, groups of 2^5.
    expect([...gpuProgramOf(MODULE, packed.bands).words.subarray(20, 22)]).toEqual([
      3 | (3 << 8) | (1 << 24),
      5,
    ]);
  });

  it("is unsupported by a reader that has not registered it", async () => {
    end = registerCodec(TOY);
    const bytes = await fileOf(factors());
    const record = writeEncoding(encoding);
    expect(record).toMatchObject({ codec: 192, table: 3 });
    end();
    end = () => {};
    await expect(open(bytes)).rejects.toMatchObject({ kind: "UNSUPPORTED_FEATURE", offset: 12 });
    expect(codeOf(() => readEncoding(record, "encoding 0", 0))).toBe("UNSUPPORTED_CODEC");
  });

  it("has a number and a feature bit that are not assigned, and are its own", () => {
    for (const wrong of [{ number: 5 }, { number: 255 }, { feature: 5 }, { name: "sign" as "toy" }])
      expect(() => registerCodec({ ...TOY, ...wrong })).toThrow(TypeError);
    end = registerCodec(TOY);
    expect(() => registerCodec({ ...TOY, name: "other" as "toy" })).toThrow(TypeError);
  });
});
