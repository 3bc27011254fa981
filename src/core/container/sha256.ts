/**
 * SHA-256 over several pieces (spec clause 11): native where the runtime has a synchronous one, @noble/hashes
 * elsewhere. WebCrypto is not used: it is asynchronous, takes one piece, and is absent from insecure pages.
 *
 * @module
 */
import { sha256 as portable } from "@noble/hashes/sha2.js";
import { type NodeCrypto, nodeCrypto } from "./runtime.ts";

/** A digest under way. */
export interface Hasher {
  update(data: Uint8Array): void;
  /** The digest of what has come so far. The hasher goes on. */
  snapshot(): Uint8Array;
  /** The 32 bytes of the digest. Ends the use of this object. */
  digest(): Uint8Array;
}

/** Starts a SHA-256, the portable one without `native`. */
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

/** SHA-256 of the pieces one after the other. */
export function sha256(...pieces: readonly Uint8Array[]): Uint8Array {
  const hash = createSha256();
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}
