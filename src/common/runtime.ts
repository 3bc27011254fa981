/**
 * Native implementations, if the runtime has them. It imports no Node module, so that the core runs in browsers.
 *
 * `process.getBuiltinModule` exists in Node ≥ 20.19, Bun and Deno. Elsewhere all exports are undefined, and the library uses
 * portable implementations.
 *
 * @module
 */

/** The functions of `node:zlib` that this library uses; older versions lack some. */
export interface NodeZlib {
  crc32?(data: Uint8Array, value?: number): number;
  zstdDecompressSync?(data: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

interface NodeHash {
  update(data: Uint8Array): unknown;
  copy(): NodeHash;
  digest(): Uint8Array;
}

/** The function of `node:crypto` that this library uses. */
export interface NodeCrypto {
  createHash(name: string): NodeHash;
}

interface Host {
  getBuiltinModule?(name: string): unknown;
}

/** A built-in module of Node; undefined if the host does not have it. */
export function builtin<T>(
  name: string,
  host: Host | undefined = (globalThis as { process?: Host }).process,
): T | undefined {
  try {
    return host?.getBuiltinModule?.(name) as T | undefined;
  } catch {
    return undefined;
  }
}

/** `node:zlib`, if the runtime has it. */
export const nodeZlib: NodeZlib | undefined = builtin<NodeZlib>("node:zlib");
/** `node:crypto`, if the runtime has it. */
export const nodeCrypto: NodeCrypto | undefined = builtin<NodeCrypto>("node:crypto");
