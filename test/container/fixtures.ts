/** Seeded packed modules and small files for the container's own tests. */

import {
  createWriter,
  FLOAT_BYTES,
  type ModuleInput,
  planeSizes,
  type SectionInput,
} from "../../src/core/format.ts";
import {
  type Band,
  type Encoding,
  inputLength,
  type MetaMap,
  type ModuleShape,
  open,
  type PlainTensor,
  type Planes,
} from "../../src/core/index.ts";

/** Small, fast, seeded: xorshift32, as bytes. */
export function random(seed: number): { byte(): number; below(n: number): number } {
  let state = seed | 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  return { byte: () => next() & 0xff, below: (n) => next() % n };
}

export const AFFINE2: Encoding = { codec: "affine", bits: 2, group: 128, scale: "f16" };
export const SIGN: Encoding = { codec: "sign", group: 128, scale: "f16" };

export function shape(name: string, over: Partial<ModuleShape> = {}): ModuleShape {
  const rank = over.rank ?? 4;
  return {
    name,
    role: "linear",
    out: 24,
    in: 40,
    kernel: [],
    experts: 1,
    rank,
    baseLayout: "out-in",
    multiplier: 2,
    alpha: 2 * rank,
    rule: "alpha/r",
    ...over,
  };
}

/** Planes that are valid at every level: positive scales, random codes, zero unused bits. */
function planes(encoding: Encoding, components: number, length: number, seed: number): Planes {
  const r = random(seed);
  const sizes = planeSizes(encoding, components, length);
  const filled = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, () => r.byte());
  const result = {
    scales: new Uint8Array(sizes.scales),
    zeroPoints: filled(sizes.zeroPoints),
    codes: filled(sizes.codes),
  };
  if (encoding.codec === "zero") return result;
  if (encoding.codec === "raw") {
    // clear the highest exponent bit of every weight: finite
    const step = FLOAT_BYTES[encoding.element];
    for (let i = step - 1; i < result.codes.length; i += step) result.codes[i]! &= 0xbf;
    return result;
  }
  for (let i = 0; i < sizes.scales; i += FLOAT_BYTES[encoding.scale]) {
    const high = i + FLOAT_BYTES[encoding.scale] - 1;
    result.scales[high] = 0x20 + r.below(16);
    result.scales[high - 1] = r.byte();
  }
  const bits = encoding.codec === "affine" ? encoding.bits : 1;
  const mask = (plane: Uint8Array, values: number): void => {
    const used = (values * bits) % 8;
    if (used === 0 || plane.length === 0) return;
    const each = Math.ceil((values * bits) / 8);
    for (let c = 0; c < components; c++) plane[(c + 1) * each - 1]! &= (1 << used) - 1;
  };
  mask(result.codes, length);
  if (encoding.codec === "affine")
    mask(result.zeroPoints, encoding.group === 0 ? 1 : Math.ceil(length / encoding.group));
  return result;
}

export function packed(module: ModuleShape, bands: readonly Band[], seed = 1): ModuleInput {
  const n = inputLength(module);
  return {
    ...module,
    bands,
    planes: Array.from({ length: module.experts }, (_, e) =>
      bands.map((band, i) => ({
        b: planes(band.b, band.components, module.out, seed * 1009 + e * 101 + i * 2 + 1),
        a: planes(band.a, band.components, n, seed * 1009 + e * 101 + i * 2 + 2),
      })),
    ),
  };
}

/** The two bands of LoRAQuant. */
export function bands(high: number, low: number): Band[] {
  return [
    { components: high, b: AFFINE2, a: AFFINE2 },
    { components: low, b: SIGN, a: SIGN },
  ];
}

export function tensor(name: string, over: Partial<PlainTensor> = {}): PlainTensor {
  const merged = { name, role: "replace", element: "F32", shape: [3, 2], axis: 0, ...over } as PlainTensor;
  const bytes = { F32: 4, F16: 2, BF16: 2, U32: 4, U8: 1, I64: 8 }[merged.element as "F32"];
  const count = merged.shape.reduce((p, s) => p * s, 1);
  return {
    ...merged,
    data: over.data ?? Uint8Array.from({ length: count * bytes }, (_, i) => (i % 4 === 3 ? 0x3f : i & 0x7f)),
  };
}

export function section(type: string, data: Uint8Array, over: Partial<SectionInput> = {}): SectionInput {
  return { type, critical: false, safeToCopy: true, data, compress: false, ...over };
}

/** What a file is made of. */
export type FileInput = Parameters<typeof createWriter>[0] & { readonly modules: readonly ModuleInput[] };

export async function fileBytes(input: FileInput): Promise<Uint8Array> {
  const writer = await createWriter(input);
  return concat([...writer.prepare(input.modules).pieces()]);
}

/** What a file says of META with these bytes. */
export async function metaOf(data: Uint8Array): Promise<MetaMap> {
  const bytes = await fileBytes({ modules: [], tensors: [], sections: [section("META", data)] });
  return (await open(bytes)).meta();
}

/** Arrays, one after the other, in memory of their own. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A small file with a bit of everything. */
export function smallInput(): FileInput {
  return {
    modules: [
      packed(shape("layers.10.q", { rank: 3, multiplier: 1, alpha: 3 }), bands(1, 2), 3),
      packed(shape("layers.2.q"), bands(1, 3), 2),
      packed(
        shape("conv", { role: "conv2d", kernel: [3, 1], in: 5, out: 7, rank: 2, multiplier: 0.5, alpha: 1 }),
        [{ components: 2, b: { codec: "raw", element: "f16" }, a: { codec: "zero" } }],
        5,
      ),
      packed(
        shape("moe", {
          experts: 2,
          out: 8,
          in: 9,
          rank: 1,
          rule: "explicit",
          alpha: 0,
          multiplier: 0.3 as number,
        }),
        [
          {
            components: 1,
            b: { ...AFFINE2, bits: 5, group: 0 } as Encoding,
            a: { ...SIGN, group: 16 } as Encoding,
          },
        ],
        6,
      ),
    ].map((m) => ({ ...m, multiplier: Math.fround(m.multiplier) })),
    tensors: [
      tensor("classifier.weight"),
      tensor("classifier.weight", { role: "carried", element: "U8", shape: [5] }),
      tensor("embed", { role: "token-rows", shape: [2, 4] }),
      tensor("embed", {
        role: "token-indices",
        element: "U32",
        shape: [2],
        data: Uint8Array.of(1, 0, 0, 0, 9, 0, 0, 0),
      }),
      tensor("layers.2.q", { role: "magnitude", shape: [24], axis: 0 }),
      tensor("zeros", { shape: [40, 40], data: new Uint8Array(6400) }),
    ],
    sections: [
      // {"a": 1}
      section("META", Uint8Array.of(0x81, 0xa1, 0x61, 0x01)),
      section("note", new TextEncoder().encode("private"), { safeToCopy: false }),
    ],
  };
}
