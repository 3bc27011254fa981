/**
 * Native implementations where the runtime has them, without importing a Node module: the core stays browser-safe.
 *
 * `process.getBuiltinModule` exists in Node ≥ 20.19, Bun and Deno; elsewhere everything here is `undefined` and the
 * portable implementations serve.
 *
 * @module
 */

export interface NodeZlib {
  crc32?(data: Uint8Array, value?: number): number;
  zstdDecompressSync?(data: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

interface NodeHash {
  update(data: Uint8Array): unknown;
  copy(): NodeHash;
  digest(): Uint8Array;
}

export interface NodeCrypto {
  createHash(name: string): NodeHash;
}

interface Host {
  getBuiltinModule?(name: string): unknown;
}

/** A module of Node, if the host has it. */
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

export const nodeZlib: NodeZlib | undefined = builtin<NodeZlib>("node:zlib");
export const nodeCrypto: NodeCrypto | undefined = builtin<NodeCrypto>("node:crypto");
