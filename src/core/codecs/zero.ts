/**
 * The codec `zero` (spec clause 8.2): stores nothing; every weight is +0.
 *
 * @module
 */
import type { Codec } from "./codec.ts";
import { NOTHING, type ReferenceDecoder, type ZeroEncoding } from "./encoding.ts";

/** Codec 0. */
export const ZERO: Codec<ZeroEncoding> = {
  name: "zero",
  number: 0,
  clause: "8.2",
  write: () => ({}),
  read: () => ({ codec: "zero" }),
  lower: () => NOTHING,
};

/** The reference decoder of `nothing`. */
export const decodeNothing: ReferenceDecoder = (_lowered, _planes, components, length, target, at) => {
  for (let c = 0; c < components; c++) {
    let to = at.offset + c * at.componentStride;
    for (let i = 0; i < length; i++, to += at.weightStride) target[to] = 0;
  }
};
