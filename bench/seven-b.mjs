/**
 * An adapter shaped like LLaMA-2-7B's, for the benches of reading: 32 layers, seven projections each, rank 16, 40 million
 * weights. Its planes are arbitrary bytes with ordinary scales; what the codes are makes no difference to the time.
 */

import { concat } from "../dist/common/bytes.js";
import { planeSizes } from "../dist/core/codecs/registry.js";
import { createWriter } from "../dist/core/write/write.js";

export const RANK = 16;

let state = 1;
const byte = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state >>> 24;
};

/** Planes of arbitrary bytes; scales, and raw values, are finite and ordinary. */
export function planesOf(encoding, components, length) {
  const sizes = planeSizes(encoding, components, length);
  const bytes = (n) => Uint8Array.from({ length: n }, byte);
  const scales = bytes(sizes.scales);
  // Between 2^-9 and 2^-5 as f16, about 2^-7 as bf16.
  for (let i = 1; i < scales.length; i += 2)
    scales[i] = encoding.scale === "f16" ? 0x18 + (scales[i] & 15) : 0x3c;
  const codes = bytes(sizes.codes);
  if (encoding.codec === "raw") {
    const width = encoding.element === "f32" ? 4 : 2;
    const exponent = encoding.element === "f16" ? 0x30 : 0x3c;
    for (let i = width - 1; i < codes.length; i += width) codes[i] = (codes[i] & 0x80) | exponent;
  }
  const zeroPoints = bytes(sizes.zeroPoints);
  const bits = encoding.codec === "affine" ? Math.ceil(length / encoding.group) * encoding.bits : 0;
  // Bits that no zero point uses are zero; codes fill their bytes.
  const each = sizes.zeroPoints / components;
  if (bits % 8 !== 0)
    for (let at = each - 1; at < zeroPoints.length; at += each) zeroPoints[at] &= (1 << (bits % 8)) - 1;
  return { scales, zeroPoints, codes };
}

/** Its projections: name, out, in. */
export const PROJECTIONS = [
  ...["q", "k", "v", "o"].map((name) => [`self_attn.${name}_proj`, 4096, 4096]),
  ["mlp.gate_proj", 11008, 4096],
  ["mlp.up_proj", 11008, 4096],
  ["mlp.down_proj", 4096, 11008],
];

/** A linear module for the writer, with planes for each of its bands. */
export function linear(name, out, input, bands) {
  const rank = bands.reduce((sum, { components }) => sum + components, 0);
  return {
    name,
    role: "linear",
    out,
    in: input,
    kernel: [],
    experts: 1,
    rank,
    baseLayout: "out-in",
    multiplier: 2,
    alpha: 2 * rank,
    rule: "alpha/r",
    bands,
    planes: [
      bands.map(({ components, b, a }) => ({
        b: planesOf(b, components, out),
        a: planesOf(a, components, input),
      })),
    ],
  };
}

/**
 * The file.
 *
 * @param mix bands of every module, as [components, encoding of B, encoding of A]; 16 components together
 */
export async function sevenB(mix) {
  const bands = mix.map(([components, b, a]) => ({ components, b, a }));
  const modules = [];
  for (let layer = 0; layer < 32; layer++)
    for (const [name, out, input] of PROJECTIONS)
      modules.push(linear(`model.layers.${layer}.${name}`, out, input, bands));
  return concat([...(await createWriter({ tensors: [], sections: [] })).prepare(modules).pieces()]);
}
