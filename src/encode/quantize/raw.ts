/**
 * The `raw` profile: the original factors, as they are (spec clause 8.3).
 *
 * No reparameterization: B is only turned to component-major order. With the element type the weights came in, or
 * f32, the decoded factors and so ΔW are the same bits; a narrower type rounds each weight once to nearest even.
 *
 * @module
 */

import { bitsToNumber, numberToBits, writeBits } from "../../core/codecs/elements.ts";
import type { FloatType, Planes } from "../../core/codecs/encoding.ts";
import { FLOAT_BYTES } from "../../core/codecs/encoding.ts";
import type { PackedFactors } from "../../core/codecs/packed.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type LoraModule } from "../../model/adapter.ts";

const none = new Uint8Array(0);

/**
 * Stores a module's factors in one band. Weights must be finite.
 *
 * @throws LqaError SOURCE_RANGE if a weight overflows the element type.
 */
export function rawFactors(module: LoraModule, element: FloatType): PackedFactors {
  const { experts, out, rank } = module;
  const n = inputLength(module);
  const encoding = { codec: "raw", element } as const;
  const planes = [];
  for (let e = 0; e < experts; e++) {
    const b = store(
      module.b,
      element,
      rank,
      out,
      e * out * rank,
      1,
      rank,
      `module "${module.name}", factor B`,
    );
    const a = store(module.a, element, rank, n, e * rank * n, n, 1, `module "${module.name}", factor A`);
    planes.push([{ b, a }]);
  }
  return { bands: [{ components: rank, b: encoding, a: encoding }], planes };
}

function store(
  weights: Float32Array,
  element: FloatType,
  components: number,
  length: number,
  offset: number,
  componentStride: number,
  weightStride: number,
  where: string,
): Planes {
  const codes = new Uint8Array(components * length * FLOAT_BYTES[element]);
  for (let c = 0, to = 0; c < components; c++) {
    for (let i = 0; i < length; i++, to++) {
      const from = offset + c * componentStride + i * weightStride;
      const bits = numberToBits(weights[from]!, element);
      if (element !== "f32" && !Number.isFinite(bitsToNumber(bits, element))) {
        fail(KIND.SOURCE_RANGE, {
          where: `${where}, index ${from}`,
          expected: element,
          actual: weights[from]!,
        });
      }
      writeBits(codes, element, to, bits);
    }
  }
  return { scales: none, zeroPoints: none, codes };
}

/**
 * The plane of codes of one vector.
 *
 * @throws LqaError SOURCE_RANGE if a weight overflows the element type.
 */
export function codeRaw(values: Float32Array, element: FloatType, where: string): Planes {
  return store(values, element, 1, values.length, 0, values.length, 1, where);
}
