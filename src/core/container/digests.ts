/**
 * Identity (spec clause 11): span digests, `file_id` (the root digest) and `content_id`.
 *
 * `content_id` covers only the parts that the maths depends on: the same packed weights have the same id, whatever the metadata,
 * the compression or the alignment.
 *
 * @module
 */

import type { ModuleShape, PlainTensor } from "../../model/adapter.ts";
import { fromHex, viewOf } from "./bytes.ts";
import { BASE_LAYOUTS, ELEMENT_TYPES, MODULE_ROLES, TENSOR_ROLES, writeEncoding } from "./encoding-record.ts";
import { createSha256, sha256 } from "./sha256.ts";
import { startContent } from "./shared-read.ts";
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
      for (const v of [e.codec, e.element, e.scale, e.bits, e.reserved, e.groupExponent, e.table, e.rotation])
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
