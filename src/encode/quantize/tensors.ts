/**
 * The policy for plain tensors: biases, DoRA magnitudes, saved modules, token rows (spec clause 9.4).
 *
 * They are not low-rank updates, so no profile changes them. The policy `f16` halves the size of tensors in F32:
 * it rounds each float once to F16, to nearest, ties to even. Integers, booleans, token indices and tensors that are
 * already F16 stay unchanged. The origin record keeps the types, so that a converter can restore them.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { f16ToNumber, f64ToF16 } from "../../floats.ts";
import { type Adapter, ELEMENT_BYTES, type PlainTensor } from "../../model/adapter.ts";
import { type FloatElement, recordSourceElements, sourceElements } from "../../model/source-elements.ts";

/**
 * `zstd`: unchanged, compressed if that makes them smaller. `keep`: unchanged and not compressed, so that readers need no zstd
 * and can use the bytes in place. `f16`: floats rounded to F16, then compressed if that makes them smaller.
 */
export type TensorPolicy = "zstd" | "keep" | "f16";

const POLICIES: readonly TensorPolicy[] = ["zstd", "keep", "f16"];

/** The effect of rounding tensors to F16. */
export interface NarrowedTensors {
  /** Number of tensors whose type changed to F16. */
  readonly tensors: number;
  /** Σ (x − x̂)² / Σ x² over all of them; 0 if nothing was lost. */
  readonly relativeError: number;
  /** The tensor with the largest error; undefined if none lost anything. */
  readonly worst: { readonly name: string; readonly relativeError: number } | undefined;
}

/** @throws LqaError USAGE */
export function resolveTensorPolicy(policy: TensorPolicy = "zstd"): TensorPolicy {
  if (!POLICIES.includes(policy))
    fail(KIND.USAGE, { where: "tensors", expected: POLICIES.join(", "), actual: policy });
  return policy;
}

/**
 * Rounds the plain floats of an adapter to F16. Values must be finite.
 *
 * @throws LqaError SOURCE_RANGE for a value that F16 cannot represent, with tensor and index; UNSUPPORTED_DIALECT if the
 *   origin record of an earlier encoding is broken
 */
export function narrowTensors(adapter: Adapter): { adapter: Adapter; narrowed: NarrowedTensors } {
  const earlier = sourceElements(adapter.origin);
  const sources: (Pick<PlainTensor, "role" | "name"> & { source: FloatElement })[] = [];
  let [count, energy, lost] = [0, 0, 0];
  let worst: NarrowedTensors["worst"];
  const tensors = adapter.tensors.map((tensor): PlainTensor => {
    const { name, role, element } = tensor;
    const source = element === "F16" ? earlier(tensor) : element;
    if (!isFloat(source)) return tensor;
    sources.push({ name, role, source });
    if (element === "F16") return tensor;
    const rounded = narrow(tensor);
    count++;
    energy += rounded.energy;
    lost += rounded.lost;
    const relativeError = rounded.lost === 0 ? 0 : rounded.lost / rounded.energy;
    if (relativeError > (worst?.relativeError ?? 0)) worst = { name, relativeError };
    return { ...tensor, element: "F16", data: rounded.data };
  });
  const origin = adapter.origin && recordSourceElements(adapter.origin, sources);
  return {
    adapter: { ...adapter, tensors, origin },
    narrowed: { tensors: count, relativeError: lost === 0 ? 0 : lost / energy, worst },
  };
}

function isFloat(element: string): element is FloatElement {
  return element === "F64" || element === "F32" || element === "BF16" || element === "F16";
}

function narrow({ name, element, data }: PlainTensor): { data: Uint8Array; energy: number; lost: number } {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const size = ELEMENT_BYTES[element];
  const count = data.length / size;
  const halves = new Uint8Array(2 * count);
  const bits = new Uint32Array(1);
  const single = new Float32Array(bits.buffer);
  let [energy, lost] = [0, 0];
  for (let i = 0; i < count; i++) {
    let value: number;
    if (element === "F64") value = view.getFloat64(8 * i, true);
    else if (element === "F32") value = view.getFloat32(4 * i, true);
    else {
      bits[0] = view.getUint16(2 * i, true) << 16;
      value = single[0]!;
    }
    const half = f64ToF16(value);
    if ((half & 0x7fff) === 0x7c00)
      fail(KIND.SOURCE_RANGE, {
        where: `tensor "${name}", index ${i}`,
        expected: "a value that F16 can hold",
        actual: value,
        advice: "Store plain tensors as they are (zstd or keep) instead of as f16.",
      });
    halves[2 * i] = half;
    halves[2 * i + 1] = half >>> 8;
    const difference = value - f16ToNumber(half);
    energy += value * value;
    lost += difference * difference;
  }
  return { data: halves, energy, lost };
}
