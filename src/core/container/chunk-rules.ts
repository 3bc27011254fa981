/**
 * Rules that every chunk record obeys, and the bound check that all record readers share (spec clauses 7.1, 7.5, 14).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Limit } from "../../limits.ts";
import { CRC_BYTES } from "./crc32.ts";
import { COMPRESSIONS } from "./encoding-record.ts";
import type { IndexVectors } from "./generated/schema.ts";
import type { CompressionName } from "./types.ts";

/** What an error names. A function: a text for every record takes longer than all checks of it. */
export type Where = () => string;

/** Fails with HARD_LIMIT or CORE_LIMIT at entry `i` of a vector if `value` is above `bound`. */
export type LimitCheck = (
  value: number,
  bound: Limit,
  name: keyof IndexVectors,
  i: number,
  where: Where,
) => void;

/** The ways to store a kind of payload, in addition to uncompressed (spec 7.5). */
export const CHOICES = {
  tensor: ["zstd", "shuffled-zstd"],
  section: ["text-zstd"],
} as const;

/** A compression that is known, and allowed for this kind of payload (spec 7.5). */
export function readCompression(
  value: number,
  kind: keyof typeof CHOICES,
  where: Where,
  offset: number,
): CompressionName {
  if (value === 0) return "none";
  const name = COMPRESSIONS[value];
  const allowed: readonly CompressionName[] = ["none", ...CHOICES[kind]];
  return (
    allowed.find((one) => one === name) ??
    fail(KIND.UNSUPPORTED_COMPRESSION, {
      where: where(),
      offset,
      expected: allowed.join(" or "),
      actual: name ?? value,
    })
  );
}

/** A stored payload has the length its record implies; a compressed one is shorter than that, and not empty. */
export function checkChunkLength(
  length: number,
  payload: number,
  compression: CompressionName,
  where: Where,
  offset: number,
): void {
  const full = payload + CRC_BYTES;
  if (compression === "none" ? length !== full : length <= CRC_BYTES || length >= full)
    fail(KIND.CHUNK_LENGTH_MISMATCH, {
      where: where(),
      offset,
      expected: compression === "none" ? full : `${CRC_BYTES + 1} to ${full - 1}`,
      actual: length,
    });
}
