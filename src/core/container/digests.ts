/**
 * Identity (spec clause 11): span digests, `file_id` (the root digest) and `content_id`; and the trailer, which has the root digest.
 *
 * `content_id` covers only the parts that the maths depends on: the same packed weights have the same id, whatever the metadata,
 * the compression or the alignment.
 *
 * @module
 */

import { crc32, equalBytes, fromHex, viewOf } from "../../common/bytes.ts";
import { createSha256, sha256 } from "../../common/sha256.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape, PlainTensor } from "../../model/adapter.ts";
import { type ModuleStart, MT19937, STATE_DRAWS, STATE_LENGTH, stateOf } from "../codecs/start/start.ts";
import { BASE_LAYOUTS, ELEMENT_TYPES, MODULE_ROLES, TENSOR_ROLES, writeEncoding } from "./encoding-record.ts";
import { TRAILER_BYTES } from "./layout.ts";
import { hex32, MAGIC } from "./prologue.ts";
import type { ModuleRecord } from "./types.ts";

const encoder = new TextEncoder();
/** First bytes of the content id's input, so that no other SHA-256 of the format has the same input. */
const CONTENT_DOMAIN: Uint8Array = encoder.encode("LQA content 1\n");
const FINGERPRINT_DOMAIN: Uint8Array = encoder.encode("LQA shapes 1\n");

/** Builds bytes from little-endian numbers and length-prefixed names. */
function record(): {
  u8(v: number): void;
  u16(v: number): void;
  u32(v: number): void;
  f32(v: number): void;
  name(v: string): void;
  bytes(): Uint8Array;
} {
  const out: number[] = [];
  const scratch = new Uint8Array(4);
  const view = viewOf(scratch);
  const push = (size: number): void => {
    for (let i = 0; i < size; i++) out.push(scratch[i]!);
  };
  const u16 = (v: number): void => {
    view.setUint16(0, v, true);
    push(2);
  };
  return {
    u8: (v) => void out.push(v),
    u16,
    u32(v) {
      view.setUint32(0, v, true);
      push(4);
    },
    f32(v) {
      view.setFloat32(0, v, true);
      push(4);
    },
    name(v) {
      const utf8 = encoder.encode(v);
      u16(utf8.length);
      for (const b of utf8) out.push(b);
    },
    bytes: () => Uint8Array.from(out),
  };
}

/** The bytes of a module record that enter the content id (spec 11.3). */
export function moduleContent(
  module: ModuleShape & Pick<ModuleRecord, "bands" | "start" | "parentModule" | "parentId">,
): Uint8Array {
  const r = record();
  r.u8(0);
  r.name(module.name);
  r.u8(MODULE_ROLES.indexOf(module.role));
  r.u8(BASE_LAYOUTS.indexOf(module.baseLayout));
  for (const size of [module.out, module.in, module.experts, ...kernelFields(module)]) r.u32(size);
  r.f32(module.multiplier);
  r.u32(module.bands.length);
  for (const band of module.bands) {
    r.u32(band.components);
    for (const encoding of [band.b, band.a]) {
      const e = writeEncoding(encoding);
      for (const v of [e.codec, e.element, e.scale, e.bits, e.mixture, e.groupExponent, e.table, e.rotation])
        r.u8(v);
    }
  }
  if (module.start !== undefined) for (const word of startContent(module.start)) r.u32(word);
  if (module.parentModule !== undefined) {
    for (const byte of fromHex(module.parentId!)) r.u8(byte);
    r.u32(module.parentModule);
  }
  return r.bytes();
}

/** The bytes of a tensor record that enter the content id (spec 11.3). */
export function tensorContent(tensor: Omit<PlainTensor, "data">): Uint8Array {
  const r = record();
  r.u8(1);
  r.name(tensor.name);
  r.u8(TENSOR_ROLES.indexOf(tensor.role));
  r.u8(ELEMENT_TYPES.indexOf(tensor.element));
  r.u8(tensor.axis);
  r.u8(tensor.shape.length);
  for (const size of tensor.shape) r.u32(size);
  return r.bytes();
}

/** Computes a content id. Add modules, then tensors, in file order. */
export interface ContentHasher {
  /** Adds a record. @param payload SHA-256 of its payload before compression */
  add(recordBytes: Uint8Array, payload: Uint8Array): void;
  digest(): Uint8Array;
}

/** Starts a content id (spec 11.3). */
export function contentHasher(): ContentHasher {
  const hash = createSha256();
  hash.update(CONTENT_DOMAIN);
  return {
    add(recordBytes, payload) {
      hash.update(recordBytes);
      hash.update(payload);
    },
    digest: () => hash.digest(),
  };
}

/** `file_id`: SHA-256 of prologue, index and digest list (spec 11.2). */
export function rootDigest(prologue: Uint8Array, index: Uint8Array, digests: Uint8Array): Uint8Array {
  return sha256(prologue, index, digests);
}

/**
 * The shape fingerprint (spec 9.5): SHA-256 over name, out, in, kernel and experts of the adapted modules, in natural
 * order. Two adapters with the same fingerprint fit the same base layers.
 */
export function shapeFingerprint(modules: readonly ModuleShape[]): Uint8Array {
  const hash = createSha256();
  hash.update(FINGERPRINT_DOMAIN);
  for (const module of modules) {
    const r = record();
    r.name(module.name);
    for (const size of [module.out, module.in, ...kernelFields(module), module.experts]) r.u32(size);
    hash.update(r.bytes());
  }
  return hash.digest();
}

/** The kernel sizes as three numbers; 0 for dimensions that the kernel does not have. */
export function kernelFields({ kernel }: Pick<ModuleShape, "kernel">): [number, number, number] {
  return [kernel[0] ?? 0, kernel[1] ?? 0, kernel[2] ?? 0];
}

/** The words of a module's start that enter the content id (spec 8.8.5): generator, seed or state, and draw. */
function startContent({ start, position }: ModuleStart): number[] {
  const { state } = start;
  const at = STATE_LENGTH * stateOf(position);
  const words = typeof state === "number" ? [state] : state.subarray(at, at + STATE_LENGTH);
  return [MT19937, ...words, position % STATE_DRAWS];
}

// The last 64 bytes of a file (spec clause 11.4). Columns: offset, bytes, field.
//
//  0 32 root digest (file_id)     40 4 digest list bytes    48 4 zero       56 8 closing magic
// 32  8 file length               44 4 index bytes          52 4 own CRC

/** The magic backwards. */
const CLOSING_MAGIC: Uint8Array = MAGIC.slice().reverse();

/** The fields of a trailer. Lengths are in bytes. */
export interface Trailer {
  readonly rootDigest: Uint8Array;
  readonly fileLength: number;
  readonly digestsLength: number;
  readonly indexLength: number;
}

/** The 64 bytes of a trailer. */
export function writeTrailer(t: Trailer): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES);
  const view = viewOf(bytes);
  bytes.set(t.rootDigest);
  view.setBigUint64(32, BigInt(t.fileLength), true);
  view.setUint32(40, t.digestsLength, true);
  view.setUint32(44, t.indexLength, true);
  view.setUint32(52, crc32(bytes.subarray(0, 52)), true);
  bytes.set(CLOSING_MAGIC, 56);
  return bytes;
}

/**
 * Checks a trailer against prologue and records, and returns its root digest.
 *
 * @param base position of the trailer in the file
 * @param expected lengths that follow from prologue and records
 * @throws LqaError TRAILER_CRC, TRAILER_MISMATCH
 */
export function readTrailer(
  bytes: Uint8Array,
  base: number,
  expected: Omit<Trailer, "rootDigest">,
): Uint8Array {
  const view = viewOf(bytes);
  const crc = crc32(bytes.subarray(0, 52));
  if (view.getUint32(52, true) !== crc)
    fail(KIND.TRAILER_CRC, {
      offset: base + 52,
      expected: hex32(crc),
      actual: hex32(view.getUint32(52, true)),
    });
  const fields: [at: number, name: string, expected: number, actual: number | bigint][] = [
    [32, "file length", expected.fileLength, view.getBigUint64(32, true)],
    [40, "digest list length", expected.digestsLength, view.getUint32(40, true)],
    [44, "index length", expected.indexLength, view.getUint32(44, true)],
    [48, "reserved bytes", 0, view.getUint32(48, true)],
  ];
  for (const [at, where, want, found] of fields)
    if (BigInt(found) !== BigInt(want))
      fail(KIND.TRAILER_MISMATCH, {
        where: `trailer ${where}`,
        offset: base + at,
        expected: want,
        actual: String(found),
      });
  if (!equalBytes(bytes.subarray(56, 64), CLOSING_MAGIC))
    fail(KIND.TRAILER_MISMATCH, { where: "trailer closing magic", offset: base + 56 });
  return bytes.slice(0, 32);
}
