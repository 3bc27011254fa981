/**
 * SHA-256 over several pieces (spec clause 11): native if the runtime has a synchronous one, otherwise @noble/hashes. It does
 * not use WebCrypto, which is asynchronous, takes one piece, and is absent from insecure pages.
 *
 * @module
 */
import { sha256 as portable } from "@noble/hashes/sha2.js";
import { type NodeCrypto, nodeCrypto } from "./runtime.ts";

/** Computes a SHA-256. */
export interface Hasher {
  update(data: Uint8Array): void;
  /** The digest of the data so far. The hasher stays usable. */
  snapshot(): Uint8Array;
  /** The 32 bytes of the digest. Do not use the hasher afterwards. */
  digest(): Uint8Array;
}

/** Starts a SHA-256. @param native null selects the portable implementation */
export function createSha256(native: NodeCrypto | null = nodeCrypto ?? null): Hasher {
  if (native !== null) {
    const hash = native.createHash("sha256");
    return {
      update: (data) => void hash.update(data),
      snapshot: () => new Uint8Array(hash.copy().digest()),
      digest: () => new Uint8Array(hash.digest()),
    };
  }
  const hash = portable.create();
  return {
    update: (data) => void hash.update(data),
    snapshot: () => hash.clone().digest(),
    digest: () => hash.digest(),
  };
}

/** SHA-256 of the concatenated pieces. */
export function sha256(...pieces: readonly Uint8Array[]): Uint8Array {
  const hash = createSha256();
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}
