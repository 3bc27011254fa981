/**
 * The codec `raw` (spec clause 8.3): stores each weight as binary32, binary16 or bfloat16.
 *
 * @module
 */

import { numberToF16, readElement } from "../../floats.ts";
import type { Codec } from "./codec.ts";
import { FLOAT_BYTES, NOTHING, type RawEncoding, type ReferenceDecoder } from "./encoding.ts";

/** Codec 1. */
export const RAW: Codec<RawEncoding> = {
  name: "raw",
  number: 1,
  clause: "8.3",
  write: ({ element }) => ({ element }),
  read: (record) => ({ codec: "raw", element: record.float("element", "F32, F16 or BF16") }),
  lower: ({ element }) => ({ ...NOTHING, kind: "floats", element, bits: 8 * FLOAT_BYTES[element] }),
};

/** The reference decoder of `floats`. A file has neither Inf nor NaN (3.2); their decoded value is not defined. */
export const decodeFloats: ReferenceDecoder = (lowered, { codes }, components, length, target, at) => {
  const element = lowered.element!;
  const wide = target instanceof Float32Array;
  for (let c = 0, from = 0; c < components; c++) {
    let to = at.offset + c * at.componentStride;
    for (let i = 0; i < length; i++, from++, to += at.weightStride) {
      const value = readElement(codes, element, from);
      target[to] = wide ? value : numberToF16(value);
    }
  }
};
