/**
 * Writes MessagePack sections in their canonical form (spec clause 10.2): @msgpack/msgpack encodes, and the decoder of a reader
 * checks the result. Separate from `meta.ts`, so that a program that only reads loads no writer.
 *
 * @module
 */
import { encode } from "@msgpack/msgpack";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { META_DEPTH } from "../../limits.ts";
import { decodeMeta, type MetaMap } from "./meta.ts";

/**
 * Canonical bytes of a map.
 *
 * @throws LqaError META_ENCODING for values or keys outside the subset; HARD_LIMIT above the size limit
 */
export function encodeMeta(map: MetaMap, where: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    // The library throws plain errors for values that are too deep or that it cannot encode.
    bytes = encode(map, { sortKeys: true, ignoreUndefined: true, maxDepth: META_DEPTH.hard + 1 });
  } catch (cause) {
    fail(KIND.META_ENCODING, { where, expected: `plain values, at most ${META_DEPTH.hard} levels`, cause });
  }
  decodeMeta(bytes, 0, where);
  return bytes;
}
