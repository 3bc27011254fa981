/**
 * Native implementations where the runtime has them, without importing a Node module: the core stays browser-safe.
 *
 * `process.getBuiltinModule` exists in Node ≥ 20.19, Bun and Deno; elsewhere everything here is `undefined` and the
 * portable implementations serve.
 *
 * @module
 */

interface NodeZlib {
  crc32?(data: Uint8Array, value?: number): number;
  zstdDecompressSync?(data: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

interface NodeHash {
  update(data: Uint8Array): unknown;
  copy(): NodeHash;
  digest(): Uint8Array;
}

interface NodeCrypto {
  createHash(name: string): NodeHash;
}

function builtin<T>(name: string): T | undefined {
  const host = (globalThis as { process?: { getBuiltinModule?(name: string): unknown } }).process;
  try {
    return host?.getBuiltinModule?.(name) as T | undefined;
  } catch {
    return undefined;
  }
}

export const nodeZlib: NodeZlib | undefined = builtin<NodeZlib>("node:zlib");
export const nodeCrypto: NodeCrypto | undefined = builtin<NodeCrypto>("node:crypto");
